"""How many clients each process has, in memory that all of them share.

A kernel that wakes several processes for one connection prefers one of them: with few connections a second,
as after a quiet start, one of two got 76 to 83 % of them, one of four 50 %. So a process that has more than
another lets that one take the next (`Acceptor`), unless it has only a few more of many: in a rush, it costs
more to wait for each other. Two sockets with SO_REUSEPORT would be even too, but what waits at the socket of
a process that dies, waits until it is back.
"""

from __future__ import annotations

import mmap
import os
import tempfile

PLACES = 256  # processes at once, those that are being replaced included
_SIZE = 8  # bytes of a number
_TOLERATED = 16  # part of its clients that a process may have more than another


class SharedCounts:
    """Numbers by place; a place where no process is has none. Every place is written by one process."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, PLACES * _SIZE)
        self._numbers = memoryview(self._memory).cast("q")

    @classmethod
    def new(cls) -> SharedCounts:
        with tempfile.TemporaryFile() as file:
            file.truncate(PLACES * _SIZE)
            return cls(os.dup(file.fileno()))

    def set(self, place: int, count: int | None) -> None:
        """None: there is no process, or it takes no clients."""
        self._numbers[place] = 0 if count is None else count + 1

    def beside(self, place: int) -> int:
        """Clients of all the others."""
        others = self._others(place)
        return sum(others) - len(others)

    def has_fewer(self, place: int, count: int) -> bool:
        """Whether any other has fewer than so many, by more than is tolerated."""
        return min(self._others(place), default=count + 1) <= count - count // _TOLERATED

    def _others(self, place: int) -> list[int]:
        """Their clients, each plus one. Asked for in a rush of clients: no Python is run for each place."""
        numbers = self._numbers.tolist()
        numbers[place] = 0
        return list(filter(None, numbers))
