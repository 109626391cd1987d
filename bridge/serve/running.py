"""Which process serves an app, for `bridge reload`: a small file that it writes into the state folder.

It tells the process, and how its last reload came out. A file that a killed process has left is known by the
moment at which the process of that number began.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from bridge import state_file as files

LARGEST = 4_096  # bytes

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Running:
    """A `bridge serve`.

    pid, began  its number, and when the system says that it began (0 where it does not say)
    processes   how many serve clients
    reloads     that are over
    is_reloading
    code        exit code of the last reload: 0 done
    outcome     of the last reload, a sentence
    """

    pid: int
    began: int = 0
    processes: int = 1
    reloads: int = 0
    is_reloading: bool = False
    code: int = 0
    outcome: str = ""

    @property
    def is_alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return began(self.pid) == self.began


class RunningFile:
    """That of this process; `path` None: there is none."""

    def __init__(self, path: Path | None, processes: int) -> None:
        self._path = path
        self._is_written = True  # or the log says that it cannot be
        self.running = Running(os.getpid(), began(os.getpid()), processes)

    def write(self) -> None:
        if self._path is None:
            return
        try:
            files.write(self._path, json.dumps(asdict(self.running)))
        except OSError as problem:  # a disk that is full may have room again at the next write
            about = {"action": "reload", "why": problem.strerror or type(problem).__name__}
            about["do"] = "see state_path; SIGUSR2 works without it"
            if self._is_written:
                log.info("`bridge reload` does not learn what becomes of this process", extra=about)
            self._is_written = False
        else:
            self._is_written = True

    def begin(self) -> None:
        """Notes that a reload has begun."""
        self.running.is_reloading = True
        self.write()

    def end(self, code: int, outcome: str) -> None:
        """Notes that the reload is over."""
        self.running.is_reloading = False
        self.running.reloads += 1
        self.running.code, self.running.outcome = code, outcome
        self.write()

    def remove(self) -> None:
        if self._path is None:
            return
        known, ours = read(self._path), self.running
        if known is None or (known.pid, known.began) == (ours.pid, ours.began):
            with contextlib.suppress(OSError):
                self._path.unlink()


def read(path: Path) -> Running | None:
    """What the file tells; None where it tells nothing that makes sense, or root would signal a process of
    another user than the file's."""
    try:
        text, owner = files.read_owned(path, LARGEST)
        running = Running(**json.loads(text))
        numbers = (running.pid, running.began, running.processes, running.reloads, running.code)
        if all(type(number) is int for number in numbers) and running.pid > 0:
            is_foreign = os.geteuid() == 0 and _owner(running.pid) not in (owner, None)
            return None if is_foreign else running
    except (OSError, ValueError, TypeError, RecursionError):
        pass
    return None


def began(pid: int) -> int:
    """When the process began, in the kernel's ticks since the boot; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def _owner(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
