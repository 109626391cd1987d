"""What should be posted beside what was posted: pairs them, and finds what has no partner. Pure.

All times are seconds of one monotonic clock.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bridge.jobs.resolve.comparison import data_differences

WINDOW = 120.0  # seconds between a job and its post; what lies in the queue for longer is waited for
EXPIRY = WINDOW + 5.0  # later than a post, so that the two can still be paired by name alone
GRACE = 2.0  # seconds in which an equal partner may still come, before the likest one is taken
CANDIDATES = 100  # that are compared with a post which has no equal
KEPT = 1_000  # jobs of one class that post nothing known


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What is posted to a Pusher server, its data not sealed."""

    app_id: str
    channels: tuple[str, ...]
    name: str
    data: str
    socket: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """An event that Laravel posted and its server took."""

    event: Event
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """One call that a job should make; `call` is its number. `event` is None where none is known or due.

    outcome   of the job, `broadcast` where there is an event
    document  the job's payload
    """

    uuid: str
    event_class: str
    outcome: str
    why: str
    by: str | None
    call: int
    event: Event | None
    at: float
    document: Mapping[str, object] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two belong together; `equal` where every byte is."""

    resolved: Resolved
    posted: Posted
    equal: bool


Difference = Pair | Resolved | Posted  # alone: resolved and never posted, posted and never seen in the queue
Address = tuple[str, tuple[str, ...], str]


class Matcher:
    def __init__(self) -> None:
        self._resolved: dict[Address, list[Resolved]] = collections.defaultdict(list)
        self._open: set[str] = set()  # jobs in `_resolved`, and some that were
        self._mute: dict[str, collections.deque[Resolved]] = {}  # by class: known, but not what they post
        self._posted: dict[Address, list[Posted]] = collections.defaultdict(list)
        self._stages = tuple(_Stage(after, search) for after, search in self._searches())
        self._differences: list[Difference] = []
        self._expired_at = float("-inf")

    @property
    def waiting(self) -> int:
        """Calls that were not posted so far."""
        return sum(map(len, self._resolved.values()))

    def expect(self, uuid: str, calls: Iterable[Resolved]) -> None:
        """Notes what a job should post, in place of what was noted before."""
        if uuid in self._open:
            for waiting in self._resolved.values():
                waiting[:] = [one for one in waiting if one.uuid != uuid]
        for one in calls:
            if one.event is None:
                self._mute.setdefault(one.event_class, collections.deque(maxlen=KEPT)).append(one)
                continue
            posts = self._posted[_address(one.event)]
            equal = next((posted for posted in posts if posted.event == one.event), None)
            if equal is None:
                self._resolved[_address(one.event)].append(one)
                self._open.add(uuid)
            else:
                posts.remove(equal)
                self._differences.append(Pair(resolved=one, posted=equal, equal=True))

    def post(self, posted: Posted) -> None:
        """Notes what Laravel posted."""
        waiting = self._resolved[_address(posted.event)]
        equal = next((one for one in waiting if one.event == posted.event), None)
        if equal is None:
            self._posted[_address(posted.event)].append(posted)
            self._stages[0].waiting.append(posted)
        else:
            self._pair(equal, posted)

    def findings(self, now: float, present: Collection[str], *, last: bool = False) -> list[Difference]:
        """Takes the pairs, and what has waited too long for a partner.

        `present`: jobs that lie in the queue; `last`: nothing more will come."""
        for stage, after in zip(self._stages, (*self._stages[1:], None), strict=True):
            while stage.waiting and (last or now - stage.waiting[0].at > stage.after):
                posted = stage.waiting.popleft()
                if posted not in self._posted[_address(posted.event)]:
                    continue  # has found its partner
                partner = stage.search(posted)
                if partner is not None:
                    self._posted[_address(posted.event)].remove(posted)
                    self._pair(partner, posted)
                elif after is not None:
                    after.waiting.append(posted)
                else:
                    self._posted[_address(posted.event)].remove(posted)
                    self._differences.append(posted)
        if now - self._expired_at >= 1.0:
            self._expired_at = now
            self._expire(now, present)
        found, self._differences = self._differences, []
        return found

    def _searches(self) -> Iterator[tuple[float, Callable[[Posted], Resolved | None]]]:
        """How a post finds a partner that is not equal, and the age at which that is tried."""
        yield GRACE, lambda posted: _likest(self._resolved[_address(posted.event)], posted)
        yield GRACE, lambda posted: _likest(self._mute_now(posted), posted)
        yield WINDOW, lambda posted: _likest(self._named(posted.event.name), posted)

    def _mute_now(self, posted: Posted) -> list[Resolved]:
        """Jobs of the class that gave the post its name; those that should post nothing count for a while."""
        known = self._mute.get(posted.event.name, ())
        return [one for one in known if one.outcome == "refused" or posted.at - one.at <= WINDOW]

    def _named(self, name: str) -> list[Resolved]:
        return [one for address, waiting in self._resolved.items() if address[-1] == name for one in waiting]

    def _pair(self, resolved: Resolved, posted: Posted) -> None:
        if resolved.event is None:
            self._mute[resolved.event_class].remove(resolved)
        else:
            self._resolved[_address(resolved.event)].remove(resolved)
        self._differences.append(Pair(resolved=resolved, posted=posted, equal=resolved.event == posted.event))

    def _expire(self, now: float, present: Collection[str]) -> None:
        for address, waiting in list(self._resolved.items()):
            late = [one for one in waiting if now - one.at > EXPIRY and one.uuid not in present]
            self._differences += late
            waiting[:] = [one for one in waiting if one not in late]
            if not waiting:
                del self._resolved[address]
        self._open = {one.uuid for waiting in self._resolved.values() for one in waiting}
        for address in [address for address, posts in self._posted.items() if not posts]:
            del self._posted[address]


@dataclass(frozen=True, slots=True)
class _Stage:
    after: float
    search: Callable[[Posted], Resolved | None]
    waiting: collections.deque[Posted] = field(default_factory=collections.deque)


def _likest(among: Iterable[Resolved], posted: Posted) -> Resolved | None:
    """The one that differs in the fewest places; of several the one that has waited longest."""

    def unlikeness(one: Resolved) -> int:
        return 0 if one.event is None else sum(1 for _ in differing(one.event, posted.event))

    return min(itertools.islice(among, CANDIDATES), key=unlikeness, default=None)


def differing(one: Event, other: Event) -> Iterator[str]:
    """Where two events differ: fields, and paths into the data."""
    for name in ("app_id", "channels", "name", "socket"):
        if getattr(one, name) != getattr(other, name):
            yield name
    yield from data_differences(one.data, other.data)


def _address(event: Event) -> Address:
    return event.app_id, event.channels, event.name
