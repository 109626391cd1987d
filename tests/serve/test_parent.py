"""The parent of several processes: what it does when reloads fail."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from bridge.serve.notify import ServiceManager
from bridge.serve.parent import Parent, Plan
from bridge.sockets.server.binding import Listening, bind

STUBBORN = [
    "/bin/sh",
    "-c",
    "trap '' TERM; exec sleep 600",
]  # it never serves, and does not end when it should


def test_a_reload_waits_until_the_processes_of_a_failed_one_have_ended() -> None:
    plan = Plan(
        processes=64,
        address="",
        is_kept=False,
        ends_by_itself=False,
        drain=60.0,
        drain_jobs=60.0,
        spread=0.0,
        log_level="info",
        log_format="text",
        running_file=None,
    )
    listening = Listening([bind("127.0.0.1", 0)])
    parent = Parent(
        plan,
        listening,
        command=STUBBORN,
        reread=lambda: plan,
        announce=lambda address: None,
        manager=ServiceManager(),
    )
    parent._has_served = True
    try:
        for _ in range(5):
            parent._begin_reload()
            parent._give_up_reload(1, "a new process did not serve in time")
        assert len(parent._processes) == 65
        outcome = parent._file.running.outcome
        end_all(parent)
        parent._begin_reload()
        assert len(parent._processes) == 65
    finally:
        end_all(parent)
        parent._selector.close()
        parent._folder.rmdir()
        listening.close()
    assert "the old processes stay" in outcome


def end_all(parent: Parent) -> None:
    while parent._processes:
        pid, process = parent._processes.popitem()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        parent._selector.unregister(process.line)
        process.line.close()
        Path(process.path).unlink()
