"""The parent of several processes: what it does when reloads fail."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.serve.handover import SIGNALS
from bridge.serve.inheritance import PARENT_STATE
from bridge.serve.notify import ServiceManager
from bridge.serve.parent import Parent
from bridge.serve.plan import Plan
from bridge.serve.spawner import Process
from bridge.sockets.server.binding import Listening, bind

STUBBORN = [
    "/bin/sh",
    "-c",
    "trap '' TERM; exec sleep 600",
]  # it never serves, and does not end when it should


@pytest.fixture(autouse=True)
def only_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parent reaps whatever child has ended: here that might be PHP of another test."""

    def reap(parent: Parent) -> None:
        for pid in list(parent._processes):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                parent._ended(parent._processes.pop(pid), os.waitstatus_to_exitcode(status))

    monkeypatch.setattr(Parent, "_reap", reap)


@contextmanager
def parent_of(processes: int) -> Iterator[Parent]:
    """It has served, and nothing runs."""
    plan = Plan(
        processes=processes,
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
        yield parent
    finally:
        end_all(parent)
        parent._selector.close()
        parent._spawner.folder.rmdir()
        listening.close()


def test_a_reload_waits_until_the_processes_of_a_failed_one_have_ended() -> None:
    with parent_of(64) as parent:
        for _ in range(5):
            parent._begin_reload()
            parent._give_up_reload(1, "a new process did not serve in time")
        parent._begin_reload()
        assert len(parent._processes) == 65
        outcome = parent._file.running.outcome
        end_all(parent)
        parent._begin_reload()
        assert len(parent._processes) == 65
    assert "65 processes of an earlier reload have not ended yet; the old processes stay" in outcome


def test_a_reload_that_is_asked_for_during_another_follows_it() -> None:
    """The other may have read settings and code from before."""
    with parent_of(2) as parent:
        running = parent._file.running
        parent._signalled(bytes([signal.SIGUSR2, signal.SIGUSR2]))  # at once: this is one
        first = set(parent._processes)
        assert not parent._reloads_again
        parent._signalled(bytes([signal.SIGUSR2]))
        assert set(parent._processes) == first
        parent._give_up_reload(1, "a new process did not serve in time")
        parent._proceed()
        assert set(parent._processes) == first  # they have still to end
        assert (running.reloads, running.is_reloading) == (1, False)
        parent._signalled(bytes([signal.SIGUSR2]))  # this is the one that waits
        assert running.reloads == 1
        end_all(parent)
        parent._proceed()
        assert running.is_reloading
        assert len(parent._processes) == len(first)
        parent._give_up_reload(1, "a new process did not serve in time")
        end_all(parent)
        parent._proceed()
        assert (running.reloads, running.is_reloading) == (2, False)
        assert not parent._processes


def test_a_reload_that_is_asked_for_during_another_follows_it_in_the_new_program() -> None:
    handed_on: list[str] = []
    with parent_of(2) as parent, pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "execve", lambda file, command, env: handed_on.append(env[PARENT_STATE]))
        parent._signalled(bytes([signal.SIGUSR2]))
        parent._signalled(bytes([signal.SIGUSR2]))
        end_all(parent)
        assert parent._reload is not None
        parent._reload.is_swapped = True
        parent._proceed()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        adopting = Parent(
            parent._plan,
            parent._listening,
            command=STUBBORN,
            reread=lambda: parent._plan,
            announce=lambda address: None,
            manager=ServiceManager(),
        )
        state = json.loads(handed_on[0])
        state["counts"] = os.dup(state["counts"])
        adopting._adopt(state)
        assert (adopting._file.running.reloads, adopting._file.running.is_reloading) == (1, False)
        adopting._proceed()
        assert len(adopting._processes) == 3
        end_all(adopting)
        adopting._selector.close()


@contextmanager
def other_thread() -> Iterator[None]:
    """One that takes the signals which the thread of the test blocks."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_signal_that_comes_just_before_the_new_program_is_not_lost() -> None:
    waiting: list[set[int]] = []

    def execve(*_: object) -> None:
        time.sleep(0.2)  # in which the other thread would have taken it
        waiting.append(set(signal.sigpending()))

    with parent_of(1) as parent, pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "execve", execve)
        with parent._signals(), other_thread():
            signal.raise_signal(signal.SIGTERM)
            parent._replace_program()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        parent._selector = selectors.DefaultSelector()
    assert signal.SIGTERM in waiting[0]


def test_clients_are_counted_until_the_process_that_has_them_has_ended() -> None:
    """Else a kill just after a reload leaves no number for the next start to wait for."""
    ours, theirs = socket.socketpair()
    with parent_of(1) as parent, ours, theirs:
        old = Process("sockets-1", "sockets", 1, 0, theirs, "", 0, 0, serves=True, clients=(3, 5))
        jobs = Process("jobs", "jobs", 2, 1, ours, "", 0, 0, serves=True)
        parent._processes = {1: old, 2: jobs}
        handed_on: list[str] = []
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "execve", lambda file, command, env: handed_on.append(env[PARENT_STATE]))
            parent._replace_program()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        old.is_ending = True
        parent._proceed()
        parent._processes.clear()
        told = json.loads(theirs.recv(4096))
    assert told == {"take_jobs": True, "clients": [3, 5]}
    assert json.loads(handed_on[0])["processes"][0]["clients"] == [3, 5]


def end_all(parent: Parent) -> None:
    while parent._processes:
        pid, process = parent._processes.popitem()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        parent._selector.unregister(process.line)
        process.line.close()
        Path(process.path).unlink()
