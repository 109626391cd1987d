"""The rung that asks the app itself: a resident PHP process that has it booted (`helper.php`).

It starts at the first event that needs it. What an event does to the process (it hangs, exits, crashes)
happens to that job alone: it is tried again once, in a new process, and fails the second time.
"""

from __future__ import annotations

import collections
import hashlib
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.errors import Refused, ServiceUnavailable, WouldFail
from bridge.laravel.broadcasting import Call
from bridge.laravel.payload import BroadcastEvent
from bridge.resolvers.pool import OUTPUT_KEPT, Died, Frame, Late, PhpProcess, Pool
from bridge.resolvers.resolution import Answer

SCRIPT = Path(__file__).with_name("helper.php")
TIMEOUT = 60  # seconds, for jobs that name none; as queue:work
BOOT_TIMEOUT = 60.0  # seconds
JOBS = 1_000  # that one process serves
MEMORY = 128 * 1024 * 1024  # bytes; a process that uses more serves no further job
FATAL = 2  # times that a job may end its process; then it fails
REMEMBERED = 1_000  # jobs that have ended a process
CRASHES = 5  # processes in a row that died at work, until there is a pause
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds without a new process

NOTHING = "Laravel sends nothing: no channel, no connection that sends, or a model that is gone and may be"

log = logging.getLogger(__name__)


class HelperRung:
    """`resolvers.resolution.Rung`. Any thread may ask; `close` ends all processes.

    app              the app's folder
    php              PHP's command line program, a path or a name in PATH
    size             processes at most
    timeout          seconds for a job that names none
    connection_name  of the queue, as the app's listeners get to see it
    queue            likewise
    fatal            times that a job may end its process until it fails; before, it is ServiceUnavailable
    """

    name = "php"

    def __init__(
        self,
        app: Path,
        *,
        php: str = "php",
        size: int = 1,
        timeout: int = TIMEOUT,
        jobs: int = JOBS,
        memory: int = MEMORY,
        connection_name: str = "database",
        queue: str = "default",
        fatal: int = FATAL,
    ) -> None:
        self._app = app.absolute()  # not resolved: it may be a link that a deploy changes
        self._php = php
        self._timeout = timeout
        self._jobs = jobs
        self._memory = memory
        self._queue = {"connection": connection_name, "queue": queue}
        self._fatal = fatal
        self._pool = Pool(self._start, self._boot, size=size, fit=self._is_fit)
        self._outages = _Outages()
        self._deaths: collections.OrderedDict[str, int] = collections.OrderedDict()
        self._deaths_lock = threading.Lock()  # workers share this rung
        self._recycled_at = 0.0
        self._has_booted = False

    @property
    def down(self) -> str | None:
        """Why no process is started at present, for `/ready`; None if all is well."""
        problem = self._outages.present()
        return None if problem is None else str(problem)

    def recycle(self) -> None:
        """Every process is replaced before its next job, as after `queue:restart`."""
        self._recycled_at = time.monotonic()

    def close(self) -> None:
        """No process is left. Who waits for an answer gets ServiceUnavailable."""
        self._pool.close()

    def resolve(self, event: BroadcastEvent) -> Answer:
        """What Laravel itself gives to its broadcasters, in order.

        Raises WouldFail with Laravel's exception, Refused where the app has never booted or sends over
        something that is no Pusher server, ServiceUnavailable where a database of the app, the process or an
        app amid a deploy may be back at the next try."""
        job = _identity(event)
        try:
            answer = self._ask(event)
        except Died as death:
            raise self._after(death, event, job) from death
        with self._deaths_lock:
            self._deaths.pop(job, None)
        if isinstance(answer, Exception):
            raise answer
        return Answer(calls=answer, why="" if answer else NOTHING)

    def _ask(self, event: BroadcastEvent) -> Sequence[Call] | Exception:
        """The calls, or what Laravel's worker would have been thrown. Raises Died."""
        document = event.payload.document
        given = document.get("timeout")
        timeout = given if type(given) is int and given > 0 else self._timeout
        while True:
            with self._pool.borrowed() as process:
                number = process.questions
                question = {
                    "id": number,
                    "payload": json.dumps(document),
                    "timeout": timeout,
                    **self._queue,
                }
                try:
                    answer = process.ask(question, timeout)
                finally:
                    _log_output(process, event.class_name)
                if answer.get("id") != number:
                    raise Died("it answered a question that was not asked")
                if "died" in answer:
                    raise Died(str(answer["died"])[:300])
                if "stale" in answer:
                    process.retired = True
                    continue
                result, process.memory = self._read(answer)
                self._outages.over()
                return result

    def _read(self, answer: Frame) -> tuple[Sequence[Call] | Exception, int]:
        """What an answer says, and the bytes of memory that PHP uses. Raises Died if it is none."""
        match answer:
            case {"memory": int(memory), "error": dict(error)}:
                return self._failure(error), memory
            case {"memory": int(memory), "calls": list(calls)}:
                return [_call(call) for call in calls], memory
        raise Died("it answered with something that is no answer")

    def _is_fit(self, process: PhpProcess) -> bool:
        return (
            not process.retired
            and process.questions <= self._jobs
            and process.memory <= self._memory
            and process.started_at >= self._recycled_at
        )

    def _start(self) -> PhpProcess:
        """A new process. Raises Refused or ServiceUnavailable, in a pause at once, and Died when closed."""
        if self._pool.closed:
            raise Died("it has been closed")
        problem = self._outages.present()
        if problem is not None:
            raise problem.with_traceback(None)
        php = shutil.which(self._php)
        if php is None:
            mend = "install php-cli, or set `php` to its path"
            raise self._down(Refused(f"there is no PHP program `{self._php}`: {mend}"))
        if not (self._app / "bootstrap" / "app.php").is_file():
            raise self._down(Refused(f"{self._app} holds no Laravel app: bootstrap/app.php is missing"))
        try:
            return PhpProcess([os.path.abspath(php), str(SCRIPT), str(self._app)], self._app)
        except OSError as error:
            raise self._down(
                ServiceUnavailable(f"PHP cannot be started ({php}): {error.strerror}")
            ) from error

    def _boot(self, process: PhpProcess) -> None:
        """The process has booted the app. Raises Refused, ServiceUnavailable, and Died when closed."""
        try:
            answer = process.ask(None, BOOT_TIMEOUT)
            if "died" in answer:
                raise Died(str(answer["died"])[:300])
            boot = answer.get("boot")
            if isinstance(boot, dict):
                raise self._down(self._not_booted(boot))
            if "ready" not in answer:
                raise Died("it said something else than that it is ready")
        except Died as error:
            if self._pool.closed:
                raise
            raise self._down(Refused(f"the app does not boot under {self._php}: {error}")) from error
        self._has_booted = True
        about = {"pid": process.pid, "laravel": answer["ready"], "duration_ms": round(process.age() * 1000)}
        log.info("PHP helper started", extra={"action": "helper_started", **about})

    def _down(self, problem: Refused | ServiceUnavailable) -> Refused | ServiceUnavailable:
        """What is raised for it, now and until the pause is over."""
        if self._has_booted:  # the app is perhaps in the middle of a deploy: its jobs are kept
            problem = ServiceUnavailable(str(problem))
        self._outages.begin(problem)
        return problem

    def _not_booted(self, error: Mapping[str, object]) -> Refused | ServiceUnavailable:
        if error.get("unavailable"):
            return ServiceUnavailable(f"the app does not boot: {_text(error)}")
        return Refused(f"the app does not boot: {self._told(error)}; try `php artisan about` in {self._app}")

    def _failure(self, error: Mapping[str, object]) -> Exception:
        match error.get("kind"):
            case "refused":
                return Refused(str(error.get("message")))
            case "released" | "unavailable":
                return ServiceUnavailable(_text(error))
        return WouldFail(self._told(error))

    def _told(self, error: Mapping[str, object]) -> str:
        file = str(error.get("file")).removeprefix(f"{self._app.resolve()}/")
        return f"{_text(error)} ({file}:{error.get('line')})"

    def _after(self, death: Died, event: BroadcastEvent, job: str) -> Exception:
        """What a job comes to that ended its process."""
        if self._pool.closed:
            return ServiceUnavailable(f"the PHP helper was closed while it resolved {event.class_name}")
        with self._deaths_lock:
            deaths = self._deaths.pop(job, 0) + 1
            self._deaths[job] = deaths
            if len(self._deaths) > REMEMBERED:
                self._deaths.popitem(last=False)
        about = {"event_class": event.class_name, "uuid": event.payload.uuid, "deaths": deaths}
        log.warning(
            "the PHP helper was lost at work",
            extra={"action": "helper_died", "why": str(death), "late": isinstance(death, Late), **about},
        )
        problem = ServiceUnavailable(f"the PHP helper was lost while it resolved {event.class_name}: {death}")
        if not isinstance(death, Late):
            self._outages.crashed(problem)
        if deaths < self._fatal:
            return problem
        with self._deaths_lock:
            self._deaths.pop(job, None)
        return WouldFail(f"{event.class_name} ended PHP {deaths} times: {death}")


class _Outages:
    """Times in which no process is started: after a boot that failed, after many crashes in a row."""

    def __init__(self) -> None:
        self._problem: Refused | ServiceUnavailable | None = None
        self._until = 0.0
        self._pause = FIRST_PAUSE
        self._crashes = 0

    def present(self) -> Refused | ServiceUnavailable | None:
        return self._problem if time.monotonic() < self._until else None

    def begin(self, problem: Refused | ServiceUnavailable) -> None:
        """No start until the pause is over; the next one is twice as long."""
        self._problem = problem
        self._until = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        about = {"why": str(problem), "pause_s": round(self._until - time.monotonic(), 1)}
        log.error("the PHP helper is down", extra={"action": "helper_down", **about})

    def crashed(self, problem: ServiceUnavailable) -> None:
        self._crashes += 1
        if self._crashes >= CRASHES:
            self.begin(problem)

    def over(self) -> None:
        """A job was answered."""
        self._problem, self._pause, self._crashes = None, FIRST_PAUSE, 0


def _call(call: object) -> Call:
    match call:
        case {
            "connection": str(connection),
            "channels": [*channels],
            "name": str(name),
            "data": str(data),
            "socket": str() | None as socket,
        } if channels and all(isinstance(channel, str) for channel in channels):
            return Call(connection=connection, channels=tuple(channels), name=name, data=data, socket=socket)
    raise Died("it answered with a call that is none")


def _identity(event: BroadcastEvent) -> str:
    """The job's uuid; before Laravel 7 what it holds."""
    payload = event.payload
    return payload.uuid or hashlib.sha256(payload.command).hexdigest()


def _text(error: Mapping[str, object]) -> str:
    return f"{error.get('class')}: {error.get('message')}"


def _log_output(process: PhpProcess, event_class: str) -> None:
    if process.printed:
        about = {"event_class": event_class, "printed_bytes": process.printed, "kept_bytes": OUTPUT_KEPT}
        log.warning(
            "the app printed while it resolved an event",
            extra={
                "action": "helper_output",
                "output": process.output.decode("utf-8", "replace"),
                **about,
            },
        )
