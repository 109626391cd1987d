"""How large a payload may be. Reading one and evaluating it takes several times its size; where a container
has not so much left, no MemoryError comes: the kernel kills, and would again at each start.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

NEEDED = 10  # times its size: as bytes, as text of 4 bytes a character, decoded, unserialized
KNOWN = 1.0  # seconds for which a look at the system counts
UNLIMITED = 1 << 60  # bytes; cgroup v1 calls about 1 << 63 no limit


class Memory:
    """What this process may still take, as the kernel tells it. Swap is not counted.

    proc     where /proc is
    cgroups  where control groups are, of version 2 or 1
    """

    def __init__(self, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = proc
        self._cgroups = cgroups
        self._largest = 0
        self._until = float("-inf")

    def largest(self) -> int:
        """Bytes of the largest payload that may be read now. Any thread may call it."""
        now = time.monotonic()
        if now >= self._until:
            self._largest = self.left() // NEEDED
            self._until = now + KNOWN
        return self._largest

    def possible(self) -> int:
        """Bytes of the largest payload that may be read when nothing else takes memory."""
        total = _numbers(self._proc / "meminfo").get("MemTotal:")
        limits = [UNLIMITED if total is None else total << 10, *(_room(group)[0] for group in self._groups())]
        return min(limits) // NEEDED

    def left(self) -> int:
        """Bytes that the system and every group this process is in have left; UNLIMITED where none tells."""
        available = _numbers(self._proc / "meminfo").get("MemAvailable:")
        left = UNLIMITED if available is None else available << 10
        for group in self._groups():
            left = min(left, _room(group)[1])
        return max(0, left)

    def _groups(self) -> Iterator[Path]:
        """The groups and those they are in. A container may see its own as the uppermost, under another name
        than it has outside."""
        with contextlib.suppress(OSError):
            for line in (self._proc / "self/cgroup").read_text().splitlines():
                _, controllers, name = line.split(":", 2)
                if controllers and "memory" not in controllers.split(","):
                    continue
                root = self._cgroups / "memory" if controllers else self._cgroups
                path = root / name.strip("/")
                yield path
                yield from (above for above in path.parents if above.is_relative_to(root))


def _room(group: Path) -> tuple[int, int]:
    """Bytes that a group may take, and those that it has left; UNLIMITED where it has no limit."""
    for limit, used, prefix in (
        ("memory.max", "memory.current", ""),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
    ):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            most = int((group / limit).read_text())
            if most < UNLIMITED:
                kinds = _numbers(group / "memory.stat")
                cached = sum(kinds.get(f"{prefix}{kind}_file", 0) for kind in ("active", "inactive"))
                return most, most - int((group / used).read_text()) + cached
    return UNLIMITED, UNLIMITED


def _numbers(file: Path) -> dict[str, int]:
    """The lines of a file that begin with a name and a number."""
    with contextlib.suppress(OSError, ValueError):
        words = (line.split() for line in file.read_text().splitlines())
        return {line[0]: int(line[1]) for line in words if len(line) > 1}
    return {}
