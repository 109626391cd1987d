"""What bridge says while the tests run: every line of its log, at any level, and what its commands print.

Nothing of that may hold a secret that the tests have planted (`UNTELLABLE`). Tests that start bridge by
`tests.end_to_end.processes.running` look through its output there; this is for the rest: records of loggers
in this process, as the log would write them, and the output of commands that a test waits for.
"""

from __future__ import annotations

import logging
import subprocess
from typing import Any

from bridge.cli.logs import FORMATTERS
from tests.end_to_end.processes import UNTELLABLE

SHOWS_PAYLOADS = {"resolve"}  # commands whose standard output does, as it says
_FORMATS = [form() for form in FORMATTERS.values()]
_communicate = subprocess.Popen.communicate

_leaks: list[str] = []


def take() -> list[str]:
    """What was told and may not be, since this was last called."""
    taken = _leaks.copy()
    _leaks.clear()
    return taken


def look(text: str | bytes | None, where: str) -> None:
    """The text may be told, or becomes one of those that `take` gives."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text or b""
    if found := UNTELLABLE.search(data):
        _leaks.append(f"{where}: {found[0]!r} in {data[max(found.start() - 300, 0) : found.end() + 50]!r}")


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == "bridge"


class WatchedLogger(logging.Logger):
    """One of bridge makes records of every level, looks through them, and passes on those that are wanted."""

    def isEnabledFor(self, level: int) -> bool:
        return _is_ours(self.name) or super().isEnabledFor(level)

    def handle(self, record: logging.LogRecord) -> None:
        if _is_ours(self.name):
            for form in _FORMATS:
                look(form.format(record), record.name)
            if not super().isEnabledFor(record.levelno):
                return
        super().handle(record)


def watch() -> None:
    """From now on: the loggers of bridge, and commands of bridge that are waited for."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if _is_ours(name) and isinstance(logger, logging.Logger):
            logger.__class__ = WatchedLogger
    logging.setLoggerClass(WatchedLogger)  # for those to come
    subprocess.Popen.communicate = _looked_through  # type: ignore[method-assign]


def _looked_through(self: subprocess.Popen[Any], *args: Any, **options: Any) -> tuple[Any, Any]:
    out, err = _communicate(self, *args, **options)
    words = [str(word) for word in self.args] if isinstance(self.args, list | tuple) else []
    if "bridge" in [word.rpartition("/")[2] for word in words[:4]]:
        look(err, f"standard error of {words}")
        if not SHOWS_PAYLOADS.intersection(words):
            look(out, f"standard output of {words}")
    return out, err
