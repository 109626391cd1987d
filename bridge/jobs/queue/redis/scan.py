"""What waits in the lists of a Redis queue: entries whose jobs are ours. Nothing is reserved here.

Behind a backlog of other jobs the search goes on where it ended (`_ScanPosition`), a bounded piece per call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from bridge.jobs.queue.memory import Memory
from bridge.jobs.queue.portion import LARGE, MOST_BYTES, Portion
from bridge.jobs.queue.queue import Job
from bridge.jobs.queue.redis.keys import Keys
from bridge.jobs.queue.redis.line import Command, Line, script
from bridge.jobs.queue.redis.scripts import Entry, run_script
from bridge.jobs.queue.selection import Selection, name_and_uuid, whole_number, with_attempts

MIGRATED = 100  # members per call, as Laravel's chunks
EXPIRED_PAGES = 10  # of so many expired reservations of others, past which one of ours is looked for
LONGEST_ENTRY = 1 << 29  # bytes; Redis takes none that is longer
ENTRIES_BYTES = 1 << 40  # more than any entries have together
WINDOW = 500  # entries per call behind the head of the list
TOLD = 1_000  # large entries that the log names, at most

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _ScanPosition:
    """Where a search goes on: no entry before `position` is ours, and `entry` is the last of them. The list
    had `length` entries when it was there."""

    position: int
    entry: Entry
    length: int


class Scan:
    """For one thread. Its calls may raise RedisError.

    line      of the driver
    clock     unix seconds
    memory    what is too large for it is left in the queue, unread
    note_end  called at each look with a queue's name, the length and last entry of its list, and its tokens
    has_more  whether there may be more to find than was found since `begin`
    """

    def __init__(
        self,
        client: redis.Redis,
        line: Line,
        selection: Selection,
        clock: Callable[[], float],
        memory: Memory,
        note_end: Callable[[str, int, object, int], None],
    ) -> None:
        self._client = client
        self._line = line
        self._selection = selection
        self._clock = clock
        self._memory = memory
        self._note_end = note_end
        self.has_more = False
        self._places: dict[str, _ScanPosition] = {}
        self._longest = LONGEST_ENTRY  # that could be read so far
        self._least_unread = LONGEST_ENTRY  # bytes; of those that a search has passed
        self._logged: set[tuple[int, bytes]] = set()  # length and beginning of unread entries
        self._skipped: set[bytes] = set()
        self._last_skipped: dict[str, bytes] = {}  # by queue
        self._brought: dict[str, Sequence[Any]] = {}  # answers of a look, for the calls of `find` after next
        self._answers: dict[str, Sequence[Any]] = {}  # … for those that belong together now

    def begin(self) -> None:
        """Comes before the calls of `find` that belong together, one for each queue."""
        self.has_more = False
        self._answers, self._brought = self._brought, {}

    def look(self, queues: Mapping[str, Keys], limit: int, *, uses_up_tokens: bool) -> list[Command]:
        """What `find` would ask each of these queues now, for who sends it together with other commands."""
        now = int(self._clock())
        return [
            command
            for keys in queues.values()
            for command in self._commands(keys, limit, now, uses_up_tokens)
        ]

    def bring(self, queues: Collection[str], answers: Sequence[Any]) -> None:
        """Gives the answers to `look`, if there are any: the next `find` of each queue asks no more."""
        each = len(answers) // max(1, len(queues))
        self._brought = {
            queue: answers[number * each : (number + 1) * each]
            for number, queue in enumerate(queues if each else ())
        }

    def taken(self, queue: str, count: int, at_head: int) -> None:
        """Notes how many of those found last have left the list, and how many of them at its head."""
        if place := self._places.get(queue):
            place.position -= at_head
            place.length -= count

    def skip(self, jobs: Collection[Job]) -> None:
        """Does not find these jobs until `clear_skipped`."""
        self._skipped.update(job.payload for job in jobs)
        self._last_skipped.update((job.queue, job.payload) for job in jobs)

    def last_skipped(self, queue: str) -> bytes:
        """The entry of the job that was skipped last; empty where there is none."""
        return self._last_skipped.get(queue, b"")

    def clear_skipped(self) -> None:
        if self._skipped:
            self._skipped.clear()
            self._last_skipped.clear()
            self._places.clear()

    def read_less(self) -> None:
        """Leaves larger entries unread from now on: the memory did not suffice."""
        self._longest = max(MOST_BYTES, self._readable() // 8)

    def find(
        self, queue: str, keys: Keys, portion: Portion, *, uses_up_tokens: bool
    ) -> tuple[list[Job], int]:
        """Jobs of ours that wait, as they are once reserved, and as many as fit into the portion; how many of
        them stand at the head of the list. What is due is moved there first; `uses_up_tokens`: the list of
        tokens is emptied before."""
        head, length = self._look(queue, keys, portion.left, int(self._clock()), uses_up_tokens)
        found = self._ours(queue, head, portion)
        at_head = len(found)
        if portion.left > 0 and length > len(head):
            found += self._look_behind(queue, keys, len(head), length, portion)
        return found, at_head

    def _look(self, queue: str, keys: Keys, limit: int, now: int, uses_up: bool) -> tuple[list[Entry], int]:
        """Due members are migrated. Returns up to `limit` first entries of the list, and its length."""
        commands = self._commands(keys, limit, now, uses_up)
        answers = self._answers.pop(queue, None) or self._line.ask(*commands)
        *_, due, expired, head, length, last, tokens = answers
        if expired and self._take_back(queue, keys, expired, now):
            *_, due, expired, head, length, last, tokens = self._line.ask(*commands)
        self._note_end(queue, length, last, tokens)
        self.has_more = self.has_more or due == MIGRATED
        return head, length

    def _commands(self, keys: Keys, limit: int, now: int, uses_up: bool) -> list[Command]:
        # the tokens first: what they stand for is looked at next
        return [
            *([("DEL", keys.notify)] if uses_up else ()),
            script("migrate", (keys.delayed, keys.list, keys.notify), now, MIGRATED),
            script("head", (keys.reserved,), *self._expired(0, now)),
            script("head", (keys.list,), 0, limit - 1, MOST_BYTES, self._readable()),
            ("LLEN", keys.list),
            script("head", (keys.list,), -1, -1, MOST_BYTES, LARGE),
            ("LLEN", keys.notify),
        ]

    def _take_back(self, queue: str, keys: Keys, expired: Sequence[Entry], now: int) -> bool:
        """Whether reservations of our kind had expired, which are in the list again. Those of other jobs stay
        for who takes them: they may be at work in another thread of ours. Large ones stay unread."""
        start = 0
        for _ in range(EXPIRED_PAGES):
            read = list(self._read(queue, expired))
            ours = [member for member in read if self._selection.document(queue, member) is not None]
            if ours:
                moved: int = run_script(
                    self._client, "take_back", (keys.reserved, keys.list, keys.notify), (now, *ours)
                )
                return moved > 0
            start += len(expired)
            expired = run_script(self._client, "head", (keys.reserved,), self._expired(start, now))
            if not expired:
                break
        return False

    def _expired(self, start: int, now: int) -> tuple[int, ...]:
        """What to ask a reserved set for: members whose reservation has ended, from a position on."""
        return start, start + MIGRATED - 1, MOST_BYTES, self._readable(), now

    def _look_behind(self, queue: str, keys: Keys, start: int, length: int, portion: Portion) -> list[Job]:
        """Jobs of ours among the next entries after those known to be others', never before `start`."""
        if self._readable() > self._least_unread:  # there is more memory than when they were passed
            self._least_unread = LONGEST_ENTRY
            self._places.clear()
        position = self._find_place(queue, keys, start, length)
        entries: list[Entry] = run_script(
            self._client,
            "head",
            (keys.list,),
            (position, position + WINDOW - 1, MOST_BYTES, self._readable()),
        )
        found = self._ours(queue, entries, portion)
        if entries and not found:
            self._places[queue] = _ScanPosition(
                position=position + len(entries), entry=entries[-1], length=length
            )
            self.has_more = self.has_more or position + len(entries) < length
        return found

    def _ours(self, queue: str, entries: Iterable[Entry], portion: Portion) -> list[Job]:
        found = []
        for entry in self._read(queue, entries):
            document = self._selection.document(queue, entry)
            if document is None or (self._skipped and entry in self._skipped):
                continue
            attempts = whole_number(document, "attempts") if document else 0
            if attempts is None and document.get("attempts") is not None:
                continue
            if attempts is None:  # Laravel's script would lose it
                document, attempts = {}, 0
            if not portion.takes(len(entry), attempts):
                break
            reserved = with_attempts(entry, document, attempts + 1) if document else entry
            found.append(
                Job(queue=queue, payload=entry, document=document, attempts=attempts + 1, receipt=reserved)
            )
        return found

    def _find_place(self, queue: str, keys: Keys, start: int, length: int) -> int:
        """The position where the search goes on. Pops at the head move everything to the left, by as much as
        the list is shorter now; where entries behind were taken, or others pushed, it lies elsewhere near."""
        place = self._places.get(queue)
        if place is None or place.position <= start:
            return start
        moved = place.position - max(0, place.length - length)
        for back, end in ((0, moved), (0, place.position), (WINDOW, moved), (WINDOW, place.position)):
            first = max(0, end - 1 - back)
            read = self._range(keys.list, first, end - 1) if end > 0 else []
            if place.entry in read:
                place.position, place.length = first + read.index(place.entry) + 1, length
                return max(start, place.position)
        del self._places[queue]
        return start

    def _range(self, key: bytes, first: int, last: int) -> list[Entry]:
        entries: list[Entry] = run_script(
            self._client, "head", (key,), (first, last, ENTRIES_BYTES, self._readable())
        )
        return entries

    def _read(self, queue: str, entries: Iterable[Entry]) -> Iterator[bytes]:
        """Those that were read; the others stay in the queue, and the log names each once."""
        for entry in entries:
            if isinstance(entry, bytes):
                yield entry
                continue
            size, start = entry
            self._least_unread = min(self._least_unread, size)
            if (size, start) in self._logged or len(self._logged) >= TOLD:
                continue
            self._logged.add((size, start))
            if self._selection.may_take(start):
                name, uuid = name_and_uuid(start)
                about = {"action": "memory", "uuid": uuid, "event_class": name, "queue": queue}
                log.error(
                    "a job stays in the queue until there is memory to read it",
                    extra={**about, "kib": size >> 10},
                )

    def _readable(self) -> int:
        """Bytes from which on an entry is left in the queue: whoever reads it may be killed for it."""
        return min(self._longest, max(LARGE, self._memory.largest()))
