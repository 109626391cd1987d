"""A log that nobody reads, no memory, no folder to write to: bridge goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.end_to_end.bridge import COMMAND
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import environment, wait_until
from tests.end_to_end.stores import NOTHING, Store
from tests.end_to_end.test_reservations import set_up
from tests.end_to_end.wire import wire_client

pytestmark = pytest.mark.parametrize("store", ["sqlite", "redis"], indirect=True)


@contextlib.contextmanager
def serving(
    app: Laravel, *, stderr: int, before: Callable[[], object] = lambda: None, **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A bridge that listens; what it says on stdout is in `out.txt` of the app's logs."""
    out = app.path / "storage/logs/out.txt"
    command = [*COMMAND, "serve", "--app", str(app.path), "--host", "127.0.0.1", "--port", str(app.port)]
    with out.open("wb") as said:
        process = subprocess.Popen(
            command,
            cwd=app.path,
            env=environment(PYTHONUNBUFFERED="1", **env),
            stdout=said,
            stderr=stderr,
            preexec_fn=before,
        )
    try:

        def ready() -> bool:
            assert process.poll() is None, f"bridge ended with {process.returncode}"
            return "listening on" in out.read_text()

        wait_until("bridge listens", ready)
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_log_that_nobody_reads_holds_nothing_up(app: Laravel, store: Store, tag: str) -> None:
    set_up(app, BRIDGE_LOG_LEVEL="debug")
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    with serving(app, stderr=writing) as process:
        os.close(writing)
        with wire_client(app.port, "lines") as client:
            app.dispatch("line", tag=tag, count=50)
            wait_until("all have come", lambda: len(client.events()) == 50)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=90) == 0
    os.close(reading)
    assert store.left() == NOTHING
