"""What `bridge serve` prints at its start: which app, out of which files, which queue, what else it runs.

Ordinary lines of the log, each of which answers a question that comes up when something is not as expected.
The warnings are those checks of `bridge doctor` that cost next to nothing.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator

from bridge import __version__
from bridge.doctor.round import AT_START, go_through
from bridge.doctor.subject import ExaminedApp
from bridge.errors import BridgeError
from bridge.serve.wiring.other_jobs import other_jobs
from bridge.settings.load import Settings

log = logging.getLogger(__name__)

Line = tuple[str, dict[str, object]]


class Banner:
    """Made before the start, `show` when it has succeeded: an error of the start stays the only line."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lines = [line for make in (_app, _files, _queue, _apps, _php) for line in _made(make, settings)]
        self._warnings = list(go_through(AT_START, ExaminedApp(settings=settings)))

    def show(self, address: str) -> None:
        """Lines of the log; `address` is bridge's own, without a slash at the end."""
        for message, about in (*self._lines, _dashboard(self._settings, address)):
            log.info(message, extra={"action": "start", **about})
        for finding in self._warnings:
            about = {"action": "start", "where": finding.where, "do": finding.remedy}
            log.warning(finding.what, extra=about)


def _made(make: Callable[[Settings], Line], settings: Settings) -> Iterator[Line]:
    with contextlib.suppress(BridgeError):  # the start itself says it, and ends with it
        yield make(settings)


def _dashboard(settings: Settings, address: str) -> Line:
    if settings.dashboard_password is None and settings.link_secret() is None:
        return "the dashboard is closed", {"do": "set BRIDGE_DASHBOARD_PASSWORD"}
    opened = "password" if settings.dashboard_password else "links of the app only"
    return "dashboard", {"url": f"{address}/{settings.dashboard_path.strip('/')}", "opened_by": opened}


def _app(settings: Settings) -> Line:
    laravel = settings.laravel
    about: dict[str, object] = {"app": laravel.name, "folder": str(laravel.path.resolve())}
    about["laravel"] = laravel.version or "unknown"
    return f"bridge {__version__}", about | {"environment": laravel.environment}


def _files(settings: Settings) -> Line:
    laravel = settings.laravel
    files = [str(settings.file)] if settings.file else []
    if laravel.dotenv:
        files.append(str(laravel.path / ".env"))
    own = sorted(set(laravel.config.files.values()))
    if laravel.config.cached or len(own) == 1:
        files += own
    elif own:
        files.append(f"{len(own)} files of {laravel.path / 'config'}")
    return "configuration is read", {"files": ", ".join(files) or "none"}


def _queue(settings: Settings) -> Line:
    facts, others = settings.queue_connection(), other_jobs(settings)
    about: dict[str, object] = {"connection": facts.name, "driver": facts.driver, "store": facts.connection}
    about["queues"] = ", ".join(settings.queue_names())
    about["other_jobs"] = (
        f"left: {others.why}" if others.selection is None else ", ".join(settings.other_jobs)
    )
    return "queue", about | ({} if others.selection is None else {"workers": settings.workers})


def _apps(settings: Settings) -> Line:
    about: dict[str, object] = {"ids": ", ".join(app.id for app in settings.apps())}
    if settings.apps_table is not None:
        about["table"] = settings.apps_table.table
    return "apps", about


def _php(settings: Settings) -> Line:
    found = shutil.which(settings.php_binary) if settings.php_binary else None
    if found is None:
        why = f"there is no program {settings.php_binary}" if settings.php_binary else "php_binary is empty"
        return "PHP is not used", {"why": why}
    if not (settings.laravel.path / "bootstrap/app.php").is_file():
        return "PHP is not used", {"why": "the app has no bootstrap/app.php"}
    return "PHP", {"program": found, "processes": settings.php_processes}
