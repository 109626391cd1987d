"""The rung that asks the app itself: a resident PHP process that has it booted (`php.php`).

It starts at the first event that needs it. What an event does to the process (it hangs, exits, crashes)
happens to that job alone: it is tried again once, in a new process, and fails the second time.
"""

from __future__ import annotations

import collections
import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from bridge.errors import BridgeError, Judged, NotTried, Refused, Released, ServiceUnavailable, WouldFail
from bridge.jobs.php_process.agreement import Agreement
from bridge.jobs.php_process.app_processes import AppProcesses, text
from bridge.jobs.php_process.process import OUTPUT_KEPT, Frame, PhpProcess, ProcessDied, ProcessTimedOut
from bridge.jobs.resolve.resolution import Answer
from bridge.laravel.broadcast_handler import Call
from bridge.laravel.payload import BroadcastEvent

SCRIPT = Path(__file__).with_name("php.php")
TIMEOUT = 60  # seconds, for jobs that name none; as queue:work
REPORT_TIMEOUT = 20.0  # seconds; it takes milliseconds
JOBS = 1_000  # that one process serves
MEMORY = 128 * 1024 * 1024  # bytes; a process that uses more serves no further job
FATAL = 2  # times that a job may end its process; then it fails
REMEMBERED = 1_000  # jobs that have ended a process
MOST_SLOW = 4  # questions that go on in threads of their own beside those that do not take long
SLOW_KEPT = 100  # answers of theirs that wait for whoever asked

NOTHING = "Laravel sends nothing: no channel, no connection that sends, or a model that is gone and may be"

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One of the tries that a job has, for Laravel to judge by what follows where the app throws.

    number          its reservations, this one included
    queue           where it lay
    tries, backoff  for a job that says none itself, as `queue:work` takes them
    elsewhere       broadcast connections of other servers than bridge: the app itself sends to them
    """

    number: int
    queue: str
    tries: int
    backoff: str
    elsewhere: tuple[str, ...] = ()


class Slow(BridgeError):
    """PHP takes long over the job. `answer` is done once it has one; `resolve` gives that, asked again."""

    def __init__(self, event_class: str, answer: Future[Answer]) -> None:
        super().__init__(f"PHP takes long over {event_class}")
        self.answer = answer


class Full(BridgeError):
    """PHP can be asked again once one of the questions that take long has an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhpPool:
    """The processes that are asked: see `AppProcesses`."""

    php: str = "php"
    size: int = 1
    jobs: int = JOBS
    memory: int = MEMORY


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where jobs come from, as the app's listeners get to see it."""

    connection_name: str = "database"
    queue: str = "default"


class PhpRung:
    """`jobs.resolve.resolution.Rung`. Any thread may ask; `close` ends all processes.

    app       the app's folder
    timeout   seconds for a job that names none
    fatal     times that a job may end its process until it fails; before, it is ServiceUnavailable
    patience  seconds that who wants the report waits for it, once: the app's boot may hang; None: as long as
              it takes
    """

    name = "php"

    def __init__(
        self,
        app: Path,
        *,
        pool: PhpPool = PhpPool(),
        timeout: int = TIMEOUT,
        origin: Origin = Origin(),
        fatal: int = FATAL,
        patience: float | None = None,
    ) -> None:
        self._patience = patience
        self._processes = AppProcesses(
            app, SCRIPT, php=pool.php, size=pool.size, jobs=pool.jobs, memory=pool.memory
        )
        self._timeout = timeout
        self._queue = {"connection": origin.connection_name, "queue": origin.queue}
        self._fatal = fatal
        self._deaths: collections.OrderedDict[str, int] = collections.OrderedDict()
        self._deaths_lock = threading.Lock()  # workers share this rung
        self._questions = ThreadPoolExecutor(1 + MOST_SLOW, thread_name_prefix="php-question")
        self._slow: collections.OrderedDict[str, Future[Answer]] = collections.OrderedDict()
        self._slow_lock = threading.Lock()
        self._report: Mapping[str, object] | None = None
        self._report_lock = threading.Lock()
        self._report_is_stale = True
        self._report_is_missing = False  # and that has been said
        self._report_asked: Future[Mapping[str, object]] | None = None  # a question under way
        self._is_closed = False

    @property
    def down(self) -> str | None:
        """Why no process is started at present, for `/ready`; None if all is well."""
        return self._processes.down

    def processes(self) -> dict[str, int]:
        """PHP processes: `living`, `busy`, and `most` at once."""
        return self._processes.processes()

    def recycle(self) -> None:
        """Has every process replaced before its next job, as after `queue:restart`."""
        self._report_is_stale = True
        self._processes.recycle()

    def agree(self, agreement: Agreement) -> None:
        """Requires of every process from now on that its broadcasting is as bridge has read it."""
        self._processes.agree(agreement)

    def close(self) -> None:
        """Ends all processes. Who waits for an answer gets ServiceUnavailable."""
        self._is_closed = True
        self._processes.close()
        self._questions.shutdown(wait=False)

    def ask_ahead(self) -> None:
        """Asks for the report now, in a thread of its own: no event has to wait for PHP's boot."""
        threading.Thread(target=self.report, name="app-report", daemon=True).start()

    def report(self, anew: bool = False) -> Mapping[str, object] | None:
        """How the app is set up, as `report.php` reads it; asked once, after `recycle`, and if `anew`.

        The same object while it says the same. None where no process can be had now, or none answers within
        `patience`: the next call tries again, and waits no more until one has answered."""
        with self._report_lock:
            if self._report is not None and not anew and not self._report_is_stale:
                return self._report
            if self._report_is_missing and self.down is not None:
                return None
            asked, self._report_asked = self._report_asked, None
            if asked is not None and asked.done() and (anew or self._report_is_stale):
                asked = None  # it is about what was before
            elif asked is not None:
                self._report_is_stale = self._report_is_stale or anew
            started = time.monotonic()
            patience = 0.0 if self._report_is_missing and self._patience is not None else self._patience
            if asked is None:
                self._report_is_stale = False
                asked = _in_a_thread("app-report", self._ask_report)
            wait([asked], patience)
            if not asked.done():
                self._report_asked = asked
                self._lacks_report(f"PHP has not answered for {self._patience} s")
                return None
            try:
                found = asked.result()
            except (Refused, ServiceUnavailable, ProcessDied) as problem:
                self._report_is_stale = True
                self._lacks_report(str(problem))
                return None
            self._report_is_missing = False
            if found != self._report:
                self._report = found
                took = round(1000 * (time.monotonic() - started))
                log.info(
                    "the app has said how it is set up", extra={"action": "app_report", "duration_ms": took}
                )
            return self._report

    def _lacks_report(self, why: str) -> None:
        is_news = self._report is not None or not self._report_is_missing
        if is_news and not self._is_closed:
            about = {"action": "app_report", "why": why}
            log.warning("the app cannot say how it is set up, its source is read", extra=about)
        self._report, self._report_is_missing = None, True

    def _ask_report(self) -> Mapping[str, object]:
        """Of a process without earlier jobs, which may have left a language or such behind.

        Raises Refused, ServiceUnavailable and ProcessDied."""
        while True:
            with self._processes.lease() as process:
                if process.has_worked:
                    process.retired = True
                    continue
                number = process.questions
                answer = process.ask({"id": number, "report": True}, REPORT_TIMEOUT)
                if "stale" in answer:
                    process.retired = True
                    continue
                match answer:
                    case {"id": int(answered), "report": dict(report)} if answered == number:
                        self._processes.breaker.close()
                        return report
                raise ProcessDied(str(answer.get("died", "it said no report"))[:300])

    def resolve(
        self, event: BroadcastEvent, attempt: Try | None = None, patience: float | None = None
    ) -> Answer:
        """What Laravel itself gives to its broadcasters, in order.

        `patience`: seconds after which PHP goes on in a thread of its own, with a process of its own, and
        Slow is raised; where more than MOST_SLOW questions do already, or the app's boot takes as long,
        nothing is asked, and Full is raised.

        Raises WouldFail with Laravel's exception: Judged where this is an `attempt`; without one the app
        hears nothing of its failure. Refused where the app has never booted; where no `attempt` lets the app
        itself send over what is not bridge's, that too. ServiceUnavailable where a database of the app, the
        process or an app amid a deploy may be back at the next try."""
        if patience is None:
            return self._resolve(event, attempt)
        job = _identity(event)
        with self._slow_lock:
            answer = self._slow.pop(job, None)
        if answer is None:
            if self._is_full(patience):
                raise Full(f"PHP takes long over others than {event.class_name}")
            answer = self._begun(event, attempt)
            is_new = True
        else:
            patience, is_new = 0.0, False
        try:
            return answer.result(patience)
        except TimeoutError:
            if answer.done():
                return answer.result()
        with self._slow_lock:
            self._slow[job] = answer
            while len(self._slow) > SLOW_KEPT:
                self._slow.popitem(last=False)
        if is_new:
            self._processes.widen()
            answer.add_done_callback(lambda _: self._processes.narrow())
        raise Slow(event.class_name, answer)

    def _begun(self, event: BroadcastEvent, attempt: Try | None) -> Future[Answer]:
        """The question, in a thread of its own. Raises NotTried when closed."""
        try:
            return self._questions.submit(self._resolve, event, attempt)
        except RuntimeError as over:  # it takes none any more
            raise NotTried(f"the PHP process was closed before it resolved {event.class_name}") from over

    def _is_full(self, patience: float) -> bool:
        with self._slow_lock:
            slow = sum(not answer.done() for answer in self._slow.values())
        return slow > MOST_SLOW or (slow > 0 and self._processes.hangs(patience))

    def _resolve(self, event: BroadcastEvent, attempt: Try | None) -> Answer:
        job = _identity(event)
        try:
            answer = self._ask(event, attempt)
        except ProcessDied as death:
            raise self._after(death, event, job) from death
        with self._deaths_lock:
            self._deaths.pop(job, None)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _ask(self, event: BroadcastEvent, attempt: Try | None) -> Answer | Exception:
        """The calls, or what Laravel's worker would have been thrown. Raises ProcessDied."""
        document = event.payload.document
        given = document.get("timeout")
        timeout = given if type(given) is int and given > 0 else self._timeout
        while True:
            with self._processes.lease() as process:
                number = process.questions
                question = {
                    "id": number,
                    "payload": json.dumps(document),
                    "timeout": timeout,
                    **self._queue,
                }
                if attempt is not None:
                    question |= {"attempt": asdict(attempt), "queue": attempt.queue}
                process.has_worked = True
                try:
                    answer = process.ask(question, timeout)
                finally:
                    _log_output(process, event.class_name)
                if answer.get("id") != number:
                    raise ProcessDied("it answered a question that was not asked")
                if "died" in answer:
                    raise ProcessDied(str(answer["died"])[:300])
                if "stale" in answer:
                    process.retired = True
                    continue
                if isinstance(error := answer.get("error"), dict) and error.get("kind") == "changing":
                    process.retired = True  # Composer remembers which classes it has not found
                result, process.memory = self._read(answer)
                self._processes.breaker.close()
                return result

    def _read(self, answer: Frame) -> tuple[Answer | Exception, int]:
        """What an answer says, and the bytes of memory that PHP uses. Raises ProcessDied if it is none."""
        match answer:
            case {"memory": int(memory), "error": dict(error)}:
                return self._failure(error), memory
            case {"memory": int(memory), "calls": list(calls), "elsewhere": list(names)}:
                sent = f"the app itself has sent it, over {', '.join(map(str, names))}" if names else NOTHING
                return Answer(calls=[_call(call) for call in calls], why="" if calls else sent), memory
        raise ProcessDied("it answered with something that is no answer")

    def _failure(self, error: Mapping[str, object]) -> Exception:
        match error.get("kind"):
            case "refused":
                return Refused(str(error.get("message")))
            case "released":
                return Released(text(error))
            case "changing":
                return NotTried(f"a file of the app is being written, perhaps: {text(error)}")
            case "unavailable":
                return ServiceUnavailable(text(error))
        described = self._processes.describe(error)
        match error.get("end"):
            case {"released": int(delay)}:
                return Judged(described, delay)
            case {"failed": True}:
                return Judged(described, None)
        return WouldFail(described)

    def _after(self, death: ProcessDied, event: BroadcastEvent, job: str) -> Exception:
        """What a job comes to that ended its process."""
        if self._processes.closed:
            return NotTried(f"the PHP process was closed while it resolved {event.class_name}")
        with self._deaths_lock:
            deaths = self._deaths.pop(job, 0) + 1
            self._deaths[job] = deaths
            if len(self._deaths) > REMEMBERED:
                self._deaths.popitem(last=False)
        about = {"event_class": event.class_name, "uuid": event.payload.uuid, "deaths": deaths}
        log.warning(
            "a PHP process was lost at work",
            extra={
                "action": "helper_died",
                "why": str(death),
                "late": isinstance(death, ProcessTimedOut),
                **about,
            },
        )
        lost = f"the PHP process was lost while it resolved {event.class_name}: {death}"
        problem = ServiceUnavailable(lost)
        if not isinstance(death, ProcessTimedOut):
            self._processes.breaker.record_crash(problem)
        if deaths < self._fatal:
            return problem
        with self._deaths_lock:
            self._deaths.pop(job, None)
        return WouldFail(f"{event.class_name} ended PHP {deaths} times: {death}")


def _in_a_thread(name: str, work: Callable[[], T]) -> Future[T]:
    """What it comes to; the process does not wait for it to end."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as problem:
            answer.set_exception(problem)

    threading.Thread(target=run, name=name, daemon=True).start()
    return answer


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
    raise ProcessDied("it answered with a call that is none")


def _identity(event: BroadcastEvent) -> str:
    """The job's uuid; before Laravel 7 what it holds."""
    payload = event.payload
    return payload.uuid or hashlib.sha256(payload.command).hexdigest()


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
