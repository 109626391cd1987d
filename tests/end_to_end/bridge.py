"""`bridge serve` as a user runs it: the command, its line on stdout, SIGTERM."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import children_of, environment, running, wait_until

COMMAND = (sys.executable, "-m", "bridge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """A `bridge serve` that takes connections on `port`."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    def terminate(self) -> int:
        """SIGTERM; the exit code, once it has drained."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=70)


@contextlib.contextmanager
def bridge_serve(
    app: Laravel,
    *flags: str,
    port: int | None = None,
    host: str = "127.0.0.1",
    name: str = "bridge",
    scheme: str = "http",
    entry: Sequence[str] = COMMAND,
    env: Mapping[str, str] = MappingProxyType({}),
    patience: float = 60,
) -> Iterator[Bridge]:
    """bridge serves the app, on the port its Pusher client posts to unless another is given."""
    port = app.port if port is None else port
    log = app.path / "storage/logs" / f"{name}.txt"
    command = [*entry, "serve", "--app", str(app.path), "--host", host, "--port", str(port)]
    command += flags
    variables = environment(PYTHONUNBUFFERED="1", **env)
    written_before = log.stat().st_size if log.exists() else 0  # by another of this name
    with running(command, cwd=app.path, log=log, env=variables) as process:

        def ready() -> bool:
            written = log.read_bytes()[written_before:].decode()
            assert process.poll() is None, f"bridge ended with {process.returncode}: {written}"
            return f"listening on {scheme}://{host}:{port}\n" in written

        wait_until("bridge says that it listens", ready, timeout=patience)
        yield Bridge(process=process, port=port, log=log)


def children(bridge: Bridge) -> dict[str, list[int]]:
    """Name → process ids; what these start bears their command line too until it runs its own."""
    found: dict[str, list[int]] = {}
    for pid in children_of(bridge.process.pid):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if "--child" in words:
                found.setdefault(words[words.index("--child") + 1], []).append(pid)
    return found
