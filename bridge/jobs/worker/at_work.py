"""AtWork: which of the reserved jobs is at work, in a file that outlives a kill.

A crash leaves jobs reserved that come again with one more attempt, whether they were at work or not. The next
process reads here which of them was: only for that one it counts as a crash, and for none once a stop has
begun, since whoever stops bridge may kill it after a while: a job that really kills bridge in each stop is
still bounded by its attempts (FORGIVEN more of them). The file is mapped into memory, so that a word
costs no system call.

    four bytes, then three numbers of four bytes: what is at work, bytes of the two texts after them
    uuids of the jobs that are reserved, one a line
    uuids of those that were at work at crashes, and at how many, as JSON
    one byte: 1 from the beginning of a stop on
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import mmap
import os
import stat
import struct
from collections.abc import Sequence
from pathlib import Path

from bridge.jobs.queue.queue import Job

RESERVED, COUNTED = 1 << 16, 1 << 18  # bytes of the two texts, at most
REMEMBERED = 3_000  # jobs that were at work at a crash

_HEAD = struct.Struct("=4sIII")
_WORD = struct.Struct("=I")
_MAGIC = b"BAW1"
# Any of them may be at work; none is; from there on: the first is, the second …
_ANY, _NONE, _FIRST = 0, 1, 2
_STOPPING = _HEAD.size + RESERVED + COUNTED
_SIZE = _STOPPING + 1

log = logging.getLogger(__name__)


class AtWork:
    """For one thread, but for `stop_begins`.

    file  None, or a place where none can be: nothing is known after a crash
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._map: mmap.mmap | None = None
        self._descriptor = -1
        self._is_stopping = False
        self._crashes: dict[str, int] = {}
        self._places: dict[int, int] = {}  # of the reserved jobs, by identity

    def reserved(self, jobs: Sequence[Job]) -> None:
        """Records that these are reserved, no others, and that none is at work."""
        if self._map is None and not self._open():
            return
        text = "\n".join(job.uuid for job in jobs).encode(errors="replace")
        self._say(_ANY)
        self._places.clear()
        self._write(_HEAD.size, 8, b"")
        if len(text) > RESERVED or text.count(b"\n") != max(0, len(jobs) - 1):
            return
        self._write(_HEAD.size, 8, text)
        self._places.update((id(job), number) for number, job in enumerate(jobs))
        self._say(_NONE)

    def only(self, job: Job) -> None:
        """Notes that this one of the reserved jobs is at work."""
        place = self._places.get(id(job))
        self._say(_ANY if place is None else _FIRST + place)

    def any(self) -> None:
        """Notes that any of the reserved jobs may be at work."""
        self._say(_ANY)

    def none(self) -> None:
        """Notes that no job is at work."""
        self._say(_NONE if self._places else _ANY)

    def stop_begins(self) -> None:
        """Notes that a kill from now on is no crash. Any thread may call it."""
        self._is_stopping = True
        file = self._map
        if file is not None:
            with contextlib.suppress(ValueError):  # closed meanwhile
                file[_STOPPING] = 1

    def crashes(self, job: Job) -> int | None:
        """At how many crashes the job was at work, as far as the file knows; None: there is none."""
        return None if self._map is None else self._crashes.get(job.uuid, 0)

    def forget(self, job: Job) -> None:
        """Drops a job that has ended."""
        if self._crashes.pop(job.uuid, None) is not None:
            self._keep()

    def close(self) -> None:
        """Notes that nothing is reserved, and frees the file for another process."""
        if self._map is not None:
            self.reserved(())
            self._map.close()
            self._map = None
            os.close(self._descriptor)

    def _open(self) -> bool:
        """Whether the file is ours now: what the last process left in it is known. While another one still
        works with it, that is tried again."""
        if self._file is None:
            return False
        descriptor = -1
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._file, flags, 0o600)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError("it is no file")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(descriptor, 0, _SIZE)  # a full disk would kill us at a write
            file = mmap.mmap(descriptor, _SIZE)
        except OSError as problem:
            if descriptor >= 0:
                os.close(descriptor)
            if not isinstance(problem, BlockingIOError):
                self._file = None
                about = {"action": "at_work", "why": problem.strerror or str(problem)}
                log.info("a crash will count for all jobs that are reserved", extra=about)
            return False
        self._descriptor = descriptor
        met, self._crashes = _read(file[:])
        for uuid in met:
            self._crashes[uuid] = self._crashes.pop(uuid, 0) + 1
        file[: _HEAD.size] = _HEAD.pack(_MAGIC, _ANY, 0, 0)
        self._map = file
        file[_STOPPING] = self._is_stopping  # a stop that begins now sees the map
        self._keep()
        return True

    def _say(self, what: int) -> None:
        if self._map is not None:
            _WORD.pack_into(self._map, 4, what)

    def _keep(self) -> None:
        while len(self._crashes) > REMEMBERED:
            del self._crashes[next(iter(self._crashes))]
        text = json.dumps(self._crashes).encode()
        self._write(_HEAD.size + RESERVED, 12, text if len(text) <= COUNTED else b"")

    def _write(self, at: int, length: int, text: bytes) -> None:
        """A kill meanwhile leaves no text there."""
        if self._map is not None:
            _WORD.pack_into(self._map, length, 0)
            self._map[at : at + len(text)] = text
            _WORD.pack_into(self._map, length, len(text))


def _read(data: bytes) -> tuple[Sequence[str], dict[str, int]]:
    """The jobs that are at work, and at how many crashes before this one others were."""
    magic, at_work, reserved, counted = _HEAD.unpack_from(data)
    if magic != _MAGIC or reserved > RESERVED or counted > COUNTED:
        return (), {}
    known: dict[str, int] = {}
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(_text(data, _HEAD.size + RESERVED, counted) or "{}")
        if isinstance(found, dict):
            known = {uuid: times for uuid, times in found.items() if type(times) is int and times > 0}
    text = _text(data, _HEAD.size, reserved)
    uuids = text.split("\n") if text and at_work != _NONE and not data[_STOPPING] else ()
    return uuids if at_work == _ANY else uuids[at_work - _FIRST :][:1], known


def _text(data: bytes, at: int, length: int) -> str:
    return data[at : at + length].decode(errors="replace")
