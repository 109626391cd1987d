"""The app, kept booted in a few PHP processes, and what is wrong where it cannot be."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from bridge.errors import NotTried, Refused, ServiceUnavailable
from bridge.jobs.php_process.agreement import Agreement
from bridge.jobs.php_process.circuit_breaker import CircuitBreaker
from bridge.jobs.php_process.pool import Pool
from bridge.jobs.php_process.process import PhpProcess, ProcessDied

BOOT_TIMEOUT = 60.0  # seconds

log = logging.getLogger(__name__)


class AppProcesses:
    """Any thread may ask; `close` ends all processes.

    app        the app's folder
    script     the PHP program, which gets the folder, `arguments` and the number of its socket
    php        PHP's command line program, a path or a name in PATH
    size       processes at most; none is started before it is needed
    jobs       questions that one process is asked at most; None: no limit
    memory     bytes; a process that says it uses more is asked nothing further; None: no limit
    """

    def __init__(
        self,
        app: Path,
        script: Path,
        *,
        php: str = "php",
        arguments: Sequence[str] = (),
        size: int = 1,
        jobs: int | None = None,
        memory: int | None = None,
    ) -> None:
        self._app = app.absolute()  # not resolved: it may be a link that a deploy changes
        self._script = script
        self._php = php
        self._arguments = arguments
        self._jobs = float("inf") if jobs is None else jobs
        self._memory = float("inf") if memory is None else memory
        self._pool = Pool(self._start, self._boot, size=size, fit=self._is_fit)
        self.breaker = CircuitBreaker()
        self._recycled_at = 0.0
        self._has_booted = False
        self._agreement: Agreement | None = None
        self._booting: dict[PhpProcess, float] = {}  # → since when, monotonic

    @property
    def down(self) -> str | None:
        """Why no process is started at present, for `/ready`; None if all is well."""
        problem = self.breaker.problem()
        return None if problem is None else str(problem)

    @property
    def closed(self) -> bool:
        return self._pool.closed

    def processes(self) -> dict[str, int]:
        """PHP processes: `living`, `busy`, and `most` at once."""
        return self._pool.counts()

    @property
    def is_awake(self) -> bool:
        """Whether any process lives."""
        return not self._pool.is_empty

    def lease(self) -> AbstractContextManager[PhpProcess]:
        """A booted process for the caller alone, ended if the block raises.

        Raises Refused or ServiceUnavailable where there can be none now, ProcessDied when closed."""
        return self._pool.lease()

    def widen(self) -> None:
        """Lets one more process than `size` work, until `narrow`."""
        self._pool.widen()

    def narrow(self) -> None:
        self._pool.narrow()

    def hangs(self, seconds: float) -> bool:
        """Whether a boot takes longer than that, and nobody else is there to be asked. Any thread may ask."""
        begun = list(self._booting.values())
        return bool(begun) and time.monotonic() - min(begun) > seconds and not self._pool.has_idle

    def recycle(self) -> None:
        """Has every process replaced before its next question, as after `queue:restart`."""
        self._recycled_at = time.monotonic()

    def agree(self, agreement: Agreement) -> None:
        """Requires of every process started from now on that its set-up agrees."""
        self._agreement = agreement

    def close(self) -> None:
        """Ends all processes. Who waits for an answer gets ProcessDied."""
        self._pool.close()

    def describe(self, error: Mapping[str, object]) -> str:
        """An exception of the app, as the process described it, in one line."""
        file = str(error.get("file")).removeprefix(f"{self._app.resolve()}/")
        return f"{text(error)} ({file}:{error.get('line')})"

    def _is_fit(self, process: PhpProcess) -> bool:
        return (
            not process.retired
            and process.questions <= self._jobs
            and process.memory <= self._memory
            and process.started_at >= self._recycled_at
        )

    def _start(self) -> PhpProcess:
        """A new process.

        Raises Refused or ServiceUnavailable, in a pause at once, and ProcessDied when closed.
        """
        if self._pool.closed:
            raise ProcessDied("it has been closed")
        problem = self.breaker.problem()
        if problem is not None:
            raise problem.with_traceback(None)
        php = shutil.which(self._php)
        if php is None:
            remedy = "install php-cli, or set `php` to its path"
            raise self._down(Refused(f"there is no PHP program `{self._php}`: {remedy}"))
        if not (self._app / "bootstrap" / "app.php").is_file():
            raise self._down(Refused(f"{self._app} holds no Laravel app: bootstrap/app.php is missing"))
        try:
            return PhpProcess(
                [os.path.abspath(php), str(self._script), str(self._app), *self._arguments], self._app
            )
        except OSError as error:
            raise self._down(
                ServiceUnavailable(f"PHP cannot be started ({php}): {error.strerror}")
            ) from error

    def _boot(self, process: PhpProcess) -> None:
        """Waits for the boot. Raises Refused, ServiceUnavailable, and ProcessDied when closed."""
        self._booting[process] = time.monotonic()
        try:
            answer = process.ask(None, BOOT_TIMEOUT)
            if "died" in answer:
                raise ProcessDied(str(answer["died"])[:300])
            boot = answer.get("boot")
            if isinstance(boot, dict):
                raise self._down(self._not_booted(boot))
            if "ready" not in answer:
                raise ProcessDied("it said something else than that it is ready")
        except ProcessDied as error:
            if self._pool.closed:
                raise
            raise self._down(Refused(f"the app does not boot under {self._php}: {error}")) from error
        finally:
            del self._booting[process]
        set_up = answer.get("set_up")
        if self._agreement is not None and isinstance(set_up, dict) and not self._agreement.accepts(set_up):
            raise self._down(
                NotTried(
                    "PHP has set up broadcasting otherwise than bridge has read it (its default is "
                    f"{set_up.get('default')}): if that is meant, run php artisan queue:restart"
                )
            )
        self._has_booted = True
        about = {"script": self._script.name, "pid": process.pid, "laravel": answer["ready"]}
        about["duration_ms"] = round(process.age() * 1000)
        log.info("PHP process started", extra={"action": "helper_started", **about})

    def _down(self, problem: Refused | ServiceUnavailable) -> Refused | ServiceUnavailable:
        """Pauses all starts; returns what to raise, now and until the pause is over."""
        if self._has_booted:  # the app is perhaps in the middle of a deploy: its jobs are kept
            problem = NotTried(str(problem))
        self.breaker.open(problem)
        return problem

    def _not_booted(self, error: Mapping[str, object]) -> Refused | ServiceUnavailable:
        if error.get("unavailable"):
            return ServiceUnavailable(f"the app does not boot: {text(error)}")
        return Refused(
            f"the app does not boot: {self.describe(error)}; try `php artisan about` in {self._app}"
        )


def text(error: Mapping[str, object]) -> str:
    """Class and message of an exception of the app."""
    return f"{error.get('class')}: {error.get('message')}"
