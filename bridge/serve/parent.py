"""Parent: holds the listening sockets, and starts, replaces and stops the processes that do the work.

No event loop, no thread but that of the log, no connection to anything: what it does not do cannot hang. Its
children are started by exec: each is a program of its own, of the version that is installed at that moment.

    sockets-1 … sockets-N   take clients from the sockets that the parent holds
    jobs                    takes jobs, and gives their broadcasts to the others over the bus

A reload starts all of them anew beside the old ones. Once every new one serves, the old ones that take
clients take no more and close theirs, spread over a time, so that each client moves once; and the old one of
the jobs ends what it has in hand before the new one takes any. Last the parent replaces its own program,
keeping its number, sockets and children. Where a new one cannot start, all new ones go and the old ones stay.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.errors import BridgeError, ConfigurationError, ServiceUnavailable, UsageError
from bridge.serve.counts import PLACES
from bridge.serve.handover import SIGNALS, replace_program
from bridge.serve.inheritance import Role
from bridge.serve.notify import STATUS_INTERVAL, ServiceManager
from bridge.serve.plan import Plan
from bridge.serve.running import RunningFile
from bridge.serve.spawner import Process, Spawner
from bridge.sockets.pusher.close_codes import OVER_CAPACITY, RECONNECT
from bridge.sockets.server.binding import Listening

TICK = 0.5  # seconds between looks at everything below
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds until a process that died is started again
STEADY = 30.0  # seconds after which a death is the first again
SILENT = 30.0  # seconds without a word, of our own unbroken attention, after which a process hangs
START_LIMIT = 120.0  # seconds in which a new process must serve, in a reload
STOP_RESERVE = 15.0  # seconds beyond its own limits that a process may take to end
WRONG_USAGE, UNAVAILABLE, MISCONFIGURED = 2, 69, 78
FATAL = (WRONG_USAGE, UNAVAILABLE, MISCONFIGURED)  # exit codes that another try at once does not change

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Reload:
    """A reload under way. `old`, `new`: the numbers of processes; `plan` counts once the new ones serve."""

    plan: Plan
    old: set[int]
    deadline: float
    new: set[int] = field(default_factory=set)
    is_swapped: bool = False


class Parent:
    """`run` once. `command`: what starts a child, that reads what it inherits from its environment.

    reread  gives the plan as it is after a deploy; raises BridgeError where the new settings are wrong
    """

    def __init__(
        self,
        plan: Plan,
        listening: Listening,
        *,
        command: Sequence[str],
        reread: Callable[[], Plan],
        announce: Callable[[str], None],
        manager: ServiceManager,
    ) -> None:
        self._plan = plan
        self._listening = listening
        self._command = list(command)
        self._reread = reread
        self._announce = announce
        self._manager = manager
        self._processes: dict[int, Process] = {}
        self._deaths: dict[str, tuple[int, float]] = {}  # name → deaths in a row, when it may start again
        self._reload: Reload | None = None
        self._reloads_again = False  # asked for while one was under way, which may have read what was before
        self._is_rereading = False
        self._has_served = False
        self._is_stopping = False
        self._code = 0
        self._looked_at = time.monotonic()
        self._status_at = self._shared_at = 0.0
        self._spawner = Spawner(command, listening)
        self._selector = selectors.DefaultSelector()
        self._woken: tuple[socket.socket, socket.socket] | None = None  # reads signals, and gets them
        self._file = RunningFile(
            Path(plan.running_file) if plan.running_file else None, processes=plan.processes
        )

    # Life ---------------------------------------------------------------------------------------------

    def run(self, adopted: str | None = None) -> int:
        """Until all processes have ended; the exit code. `adopted`: what PARENT_STATE says."""
        with self._signals():
            if adopted is not None:
                self._adopt(json.loads(adopted))
            try:
                while not self._is_over():
                    self._look()
                    for key, _ in self._selector.select(TICK):
                        key.data()
            finally:
                for process in self._processes.values():
                    _signal(process.pid, signal.SIGKILL)
                self._file.remove()
                shutil.rmtree(self._spawner.folder, ignore_errors=True)
        return self._code

    def _is_over(self) -> bool:
        return self._is_stopping and not self._processes

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Signals wake the loop by a byte; what they ask for is done there."""
        receives, sends = self._woken = socket.socketpair()
        receives.setblocking(False)
        sends.setblocking(False)
        before = {number: signal.signal(number, lambda number, frame: None) for number in SIGNALS}
        wakeup = signal.set_wakeup_fd(sends.fileno(), warn_on_full_buffer=False)
        self._selector.register(receives, selectors.EVENT_READ, lambda: self._signalled(receives.recv(4096)))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # which the program before has blocked
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            receives.close()
            sends.close()

    def _unread_signals(self) -> bytes:
        """Those that have come and were not acted upon."""
        try:
            return b"" if self._woken is None else self._woken[0].recv(4096)
        except BlockingIOError:
            return b""

    def _signalled(self, numbers: bytes) -> None:
        for number in numbers:
            if number in (signal.SIGTERM, signal.SIGINT):
                if self._is_stopping:  # nobody wants to wait
                    for process in self._processes.values():
                        _signal(process.pid, signal.SIGKILL)
                self._stop(0)
            elif number == signal.SIGHUP:
                self._hang_up()
        if signal.SIGUSR2 in numbers:  # however often at once
            self._ask_for_reload()
        self._reap()

    # Every so often -------------------------------------------------------------------------------------

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at > 4 * TICK:  # we slept, and so may have the others
            for process in self._processes.values():
                process.heard_at = now
        self._looked_at = now
        self._reap()
        for process in tuple(self._processes.values()):
            if process.kill_at is not None and now > process.kill_at:
                log.warning("a process does not end and is killed", extra=_about(process))
                _signal(process.pid, signal.SIGKILL)
            elif now - process.heard_at > (SILENT if process.serves else START_LIMIT):
                log.error("a process hangs and is killed", extra=_about(process))
                _signal(process.pid, signal.SIGKILL)
                process.heard_at = now
        if not self._is_stopping:
            self._start_missing(now)
        reload = self._reload
        if reload is not None and not reload.is_swapped and now > reload.deadline:
            self._give_up_reload(1, f"a new process did not serve within {START_LIMIT:g} s")
        self._proceed()
        if now - self._shared_at >= TICK:
            self._shared_at = now
            self._share_states()
        self._manager.alive()
        if self._is_stopping or (reload is not None and reload.is_swapped):
            self._manager.extend()
        if now - self._status_at >= STATUS_INTERVAL and not self._is_stopping:
            self._status_at = now
            self._manager.status(
                f"{self._spawner.counts.beside(-1)} connections, {len(self._processes)} processes"
            )

    def _share_states(self) -> None:
        """Sends every process the state of each; of one that is not there nothing is known."""
        serving = [one for one in self._processes.values() if one.serves and not one.is_ending]
        others: dict[str, object] = {name: {} for name, _ in self._plan.names}
        others |= {one.name: one.state for one in serving}
        for process in self._processes.values():
            _send(process, {"others": others, "clients": self._clients()})

    def _clients(self) -> list[int]:
        """Connections and subscriptions of all, also of those that end: their clients are still here."""
        return [sum(one.clients[at] for one in self._processes.values()) for at in range(2)]

    def _start_missing(self, now: float) -> None:
        """Starts a process of every name that has none, or only one that ends."""
        reload = self._reload
        for name, role in self._plan.names:
            if not any(one.name == name and not one.is_ending for one in self._processes.values()):
                if reload is not None and not reload.is_swapped:
                    continue  # the new ones are on their way
                if now >= self._deaths.get(name, (0, 0.0))[1]:
                    process = self._start(name, role)
                    if reload is not None:
                        reload.new.add(process.pid)

    # Processes ------------------------------------------------------------------------------------------

    def _start(self, name: str, role: Role, *, announces: bool = False) -> Process:
        says_address = announces or (role == "jobs" and not self._has_served)
        taken = {process.place for process in self._processes.values()}
        process = self._spawner.start(
            name,
            role,
            place=next(number for number in range(PLACES) if number not in taken),
            is_kept=self._plan.is_kept,
            is_first=not self._has_served,
            address=self._plan.address if says_address else None,
        )
        self._watch(process)
        log.debug("a process is started", extra=_about(process))
        return process

    def _watch(self, process: Process) -> None:
        self._processes[process.pid] = process
        self._selector.register(process.line, selectors.EVENT_READ, lambda: self._hear(process))

    def _hear(self, process: Process) -> None:
        try:
            data = process.line.recv(65_536)
        except OSError:
            return
        if not data:  # it ends, which SIGCHLD reports
            with contextlib.suppress(KeyError):
                self._selector.unregister(process.line)
            return
        process.heard_at = time.monotonic()
        *lines, process.received = (process.received + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            process.state = message.get("state", process.state)
            process.clients = message.get("clients", process.clients)
            if "reread" in message:
                process.reread = message["reread"]
            if message.get("serves") and not process.serves:
                process.serves = True
                if self._reload is None or self._reload.is_swapped:
                    self._spawner.lead_to(process)
        self._proceed()

    def _end(self, process: Process, code: int, spread: float) -> None:
        """Asks the process to end in its own time, with `code` and `spread` for its clients."""
        if process.is_ending:
            return
        process.is_ending = True
        limit = self._plan.drain + STOP_RESERVE
        limit += spread if process.role == "sockets" else self._plan.drain_jobs
        process.kill_at = time.monotonic() + limit
        self._spawner.counts.set(process.place, None)
        _send(process, {"stop": {"code": code, "spread": spread, "whole": self._is_stopping}})
        if not process.serves:  # it may not listen to us yet
            _signal(process.pid, signal.SIGTERM)

    def _reap(self) -> None:
        """Processes that have ended are known to have; of the first process of a container, orphans too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            process = self._processes.pop(pid, None)
            if process is not None:
                self._ended(process, os.waitstatus_to_exitcode(status))

    def _ended(self, process: Process, code: int) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(process.line)
        process.line.close()
        self._spawner.counts.set(process.place, None)
        is_latest = not any(one.name == process.name and one.serves for one in self._processes.values())
        for path in (
            Path(process.path),
            *([self._spawner.address(process)] if process.serves and is_latest else []),
        ):
            path.unlink(missing_ok=True)
        reload = self._reload
        if process.is_ending or self._is_stopping:
            if code and not self._is_stopping:
                log.warning("a process did not end well", extra=_about(process, code))
        elif reload is not None and not reload.is_swapped and process.pid in reload.new:
            log.error("a new process did not start", extra=_about(process, code))
            why = f"the new process {process.name} {_how(code)} (see bridge's log)"
            self._give_up_reload(code if code in FATAL else 1, why)
        elif code == 0 and process.role == "jobs" and self._plan.ends_by_itself:
            self._stop(0)
        elif code in FATAL and not self._has_others(process):
            log.error("a process cannot start, so nothing is served", extra=_about(process, code))
            self._stop(code)
        else:
            self._died(process, code)
        self._proceed()

    def _has_others(self, process: Process) -> bool:
        """Whether clients are served without it: then what keeps it from starting may pass."""
        return self._has_served and any(
            one.role == "sockets" and one.serves for one in self._processes.values()
        )

    def _died(self, process: Process, code: int) -> None:
        now = time.monotonic()
        deaths, _ = self._deaths.get(process.name, (0, 0.0))
        deaths = 1 if now - process.started_at > STEADY else deaths + 1
        pause = 0.0 if code == 0 else min(FIRST_PAUSE * 2 ** (deaths - 1), LONGEST_PAUSE)
        self._deaths[process.name] = (deaths, now + pause)
        level = logging.INFO if code == 0 else logging.ERROR
        log.log(level, "a process has ended and is started again", extra=_about(process, code))

    # What goes on ---------------------------------------------------------------------------------------

    def _proceed(self) -> None:
        """Takes the next step of whatever is under way, if it may be taken."""
        if self._is_stopping:
            self._proceed_stop()
            return
        if not self._has_served:
            serving = {one.name for one in self._processes.values() if one.serves}
            if all(name in serving for name, _ in self._plan.names):
                self._has_served = True
                self._share_states()
                self._file.write()
                self._announce(self._plan.address)
                self._manager.ready()
        self._proceed_reread()
        self._proceed_reload()
        jobs = [one for one in self._processes.values() if one.role == "jobs"]
        if len(jobs) == 1 and jobs[0].serves and not jobs[0].is_ending:  # what was before has ended
            # from then on it writes down how many clients there are, so it must know that before
            _send(jobs[0], {"take_jobs": True, "clients": self._clients()})

    def _stop(self, code: int) -> None:
        """Ends all processes: that of the jobs first, so that clients get what it has in hand."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._code = code
        self._manager.stopping()
        log.info("stopping", extra={"action": "drain"})
        for process in self._processes.values():
            _send(process, {"stopping": True})
        self._proceed_stop()

    def _proceed_stop(self) -> None:
        code = RECONNECT if self._plan.is_kept else OVER_CAPACITY
        jobs = [one for one in self._processes.values() if one.role == "jobs"]
        for process in jobs or tuple(self._processes.values()):
            self._end(process, code, 0.0)

    def _hang_up(self) -> None:
        """Does what SIGHUP asks: each process reads apps, webhooks, certificate and the app anew."""
        if not self._has_served or self._is_stopping:
            return
        self._manager.reloading()
        self._is_rereading = True
        for process in self._processes.values():
            process.reread = None
            if process.serves:  # one that starts reads what is there now
                _signal(process.pid, signal.SIGHUP)

    def _proceed_reread(self) -> None:
        if not self._is_rereading or any(
            one.reread is None for one in self._processes.values() if one.serves and not one.is_ending
        ):
            return
        self._is_rereading = False
        self._manager.ready()

    # A reload -------------------------------------------------------------------------------------------

    def _ask_for_reload(self) -> None:
        if self._is_stopping or not self._has_served:
            log.info("this is no time for a reload", extra={"action": "reload"})
        elif self._reload is not None or self._reloads_again:
            self._reloads_again = True
            log.info("a reload is under way, and another follows it", extra={"action": "reload"})
        else:
            self._begin_reload()

    def _begin_reload(self) -> None:
        self._reloads_again = False
        self._manager.reloading()
        self._file.begin()
        if ending := sum(one.is_ending for one in self._processes.values()):
            # each has a place until it has ended, and there are only so many
            self._give_up_reload(1, f"{ending} processes of an earlier reload have not ended yet")
            return
        try:
            plan = self._reread()
        except BridgeError as problem:
            code = next((code for kind, code in _CODES if isinstance(problem, kind)), 1)
            self._give_up_reload(code, str(problem))
            return
        log.info("new processes are started beside the old ones", extra={"action": "reload"})
        old = {pid for pid, one in self._processes.items() if not one.is_ending}
        self._reload = Reload(plan, old, time.monotonic() + START_LIMIT)
        self._deaths.clear()
        for name, role in plan.names:
            self._reload.new.add(self._start(name, role, announces=role == "jobs").pid)

    def _give_up_reload(self, code: int, why: str) -> None:
        reload, self._reload = self._reload, None
        for pid in () if reload is None else reload.new & self._processes.keys():
            self._end(self._processes[pid], RECONNECT, 0.0)
        log.error("the reload has failed, the old processes stay", extra={"action": "reload", "why": why})
        self._file.end(code, f"{why}; the old processes stay")
        self._manager.ready()

    def _proceed_reload(self) -> None:
        reload = self._reload
        if reload is None:
            if self._reloads_again and not any(one.is_ending for one in self._processes.values()):
                self._begin_reload()
            return
        if not reload.is_swapped:
            if not all(pid in self._processes and self._processes[pid].serves for pid in reload.new):
                return
            reload.is_swapped = True
            self._plan = reload.plan
            for pid in reload.new:
                self._spawner.lead_to(self._processes[pid])
            for pid in reload.old & self._processes.keys():
                self._end(self._processes[pid], RECONNECT, reload.plan.spread)
        if reload.old.isdisjoint(self._processes):
            self._reload = None
            self._file.running.processes = self._plan.processes
            count = len(reload.new)
            log.info("all processes are replaced", extra={"action": "reload", "processes": count})
            outcome = f"{count} processes are replaced, and no client was refused"
            self._file.end(0, outcome)
            self._manager.ready()
            self._replace_program()

    def _replace_program(self) -> None:
        """Replaces this process's program by the one that is installed now."""
        state: dict[str, Any] = {
            "plan": {name: getattr(self._plan, name) for name in Plan.__dataclass_fields__},
            "sockets": [sock.fileno() for sock in self._listening.sockets],
            "counts": self._spawner.counts.descriptor,
            "folder": str(self._spawner.folder),
            "numbers": self._spawner.numbers,
            "reloads": self._file.running.reloads,
            "outcome": self._file.running.outcome,
            "reloads_again": self._reloads_again,
            "processes": [
                {
                    **{
                        name: getattr(one, name)
                        for name in ("name", "role", "pid", "place", "path", "state", "clients")
                    },
                    "line": one.line.fileno(),
                }
                for one in self._processes.values()
                if one.serves and not one.is_ending and not one.received
            ],
        }
        if len(state["processes"]) != len(self._processes):
            return  # one has just died; this program is good enough until the next reload
        why = replace_program(self._command, state, self._manager.environ(), self._unread_signals)
        if why:
            about = {"action": "reload", "why": why}
            log.warning("this process could not become the new version: its children are", extra=about)

    def _adopt(self, state: dict[str, Any]) -> None:
        """Takes over what the program before has left."""
        self._spawner.adopt(state["counts"], state["folder"], state["numbers"])
        self._has_served = True
        self._file.running.reloads, self._file.running.outcome = state["reloads"], state["outcome"]
        self._reloads_again = state.get("reloads_again", False)
        now = time.monotonic()
        for one in state["processes"]:
            line = socket.socket(fileno=one.pop("line"))
            os.set_inheritable(line.fileno(), False)
            line.setblocking(False)
            self._watch(Process(line=line, started_at=now, heard_at=now, serves=True, **one))
        self._file.write()


def own_command() -> list[str]:
    """What starts this program again, as it was started."""
    return [sys.executable, *sys.orig_argv[1:]]


_CODES = (
    (UsageError, WRONG_USAGE),
    (ServiceUnavailable, UNAVAILABLE),
    (ConfigurationError, MISCONFIGURED),
)


def _send(process: Process, message: object) -> None:
    with contextlib.suppress(OSError):  # it ends, or hangs, which is seen elsewhere
        process.line.send(json.dumps(message).encode() + b"\n")


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def _about(process: Process, code: int | None = None) -> dict[str, object]:
    about: dict[str, object] = {"action": "process", "which": process.name, "pid": process.pid}
    return about if code is None else {**about, "how": _how(code)}
