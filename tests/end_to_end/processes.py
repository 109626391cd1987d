"""Start, wait for, stop: every process is a group of its own and ends with its `with` block."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# What no output of bridge may hold, whatever a test does: secrets of the tests' apps, signatures, cookies,
# tokens, what members show of themselves.
UNTELLABLE = re.compile(
    rb"app-secret|open sesame|:[0-9a-f]{64}\b|laravel_session|XSRF-TOKEN|Bearer |\buser_info\b|channel_data\W"
)

PATIENCE = 90.0  # seconds for anything that should happen soon; a loaded machine is slow, a hang is longer


def wait_until(what: str, probe: Callable[[], T], timeout: float = PATIENCE) -> T:
    """The first true answer of `probe`, asked every 20 ms; AssertionError naming `what` after `timeout`."""
    deadline = time.monotonic() + timeout
    while not (answer := probe()):
        assert time.monotonic() < deadline, f"waited {timeout:g} s in vain: {what}"
        time.sleep(0.02)
    return answer


def listens(port: int) -> bool:
    """Whether 127.0.0.1:`port` takes connections."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def environment(**more: str) -> dict[str, str]:
    """This process's environment without variables that would configure Laravel or bridge."""
    own = (
        "APP_",
        "DB_",
        "DATABASE_",
        "REDIS_",
        "QUEUE_",
        "PUSHER_",
        "BROADCAST_",
        "BRIDGE_",
        "CACHE_",
        "REVERB_",
    )
    return {name: value for name, value in os.environ.items() if not name.startswith(own)} | more


def children_of(pid: int) -> list[int]:
    """What the process has started and what has not ended."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def family(pid: int) -> list[int]:
    """The process, its children, theirs, and so on."""
    found, at = [pid], 0
    while at < len(found):
        found += children_of(found[at])
        at += 1
    return found


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    cwd: Path,
    log: Path,
    env: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[str]]:
    """The command runs, writing to `log` (stdout elsewhere if asked); ends with its children at the end."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(env),
            stdin=stdin,
            stdout=file if stdout is None else stdout,
            stderr=file,
            text=True,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
    if "bridge" in command:
        told = UNTELLABLE.search(log.read_bytes())
        assert told is None, f"bridge wrote {told[0]!r}, which nobody may read: see {log}"
