"""Log lines on standard error: for people, or one JSON object each.

A line says one thing: a fixed message, then what varies. Texts from outside (event classes, reasons) are
cut, and characters that would move the cursor or turn the writing around are escaped. Errors that are not
ours are written by their class and place alone, since their messages may quote what a job or a request held.
Of the libraries below us only warnings and worse are written.

Nobody waits for whoever reads the lines: a thread writes them, and those that it cannot get rid of are
dropped and counted.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import logging
import os
import queue
import sys
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Protocol

from bridge.cli.plain import json_line, plain
from bridge.errors import BridgeError

LONGEST = 2_000  # characters of one text
WAITING = 10_000  # lines that are not written yet
LAST_LINES = 1.0  # seconds at the end to write them

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "action", "taskName"}


class _Formatter(logging.Formatter):
    def formatException(self, ei: object) -> str:
        error = ei[1] if isinstance(ei, tuple) else None
        return "".join(_traceback(error, set())).rstrip() if isinstance(error, BaseException) else ""


class _Line(_Formatter):
    """`2026-01-31 12:00:00 warning job failed uuid="…" why="…"`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        extra = [
            f"{key}={_escaped(value) if isinstance(value, str) else value}"
            for key, value in _extra(record).items()
        ]
        line = " ".join([moment, record.levelname.lower(), plain(record.getMessage()), *extra])
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class _Json(_Formatter):
    """`{"ts": …, "level": …, "message": …, "action": …, …}`; the time in UTC, ASCII only."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        extra = _extra(record).items()
        line: dict[str, object] = {
            "ts": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "action": getattr(record, "action", ""),
            "logger": record.name,
            **{key: _cut(value) if isinstance(value, str) else value for key, value in extra},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


FORMATTERS: dict[str, type[logging.Formatter]] = {"text": _Line, "json": _Json}


def _extra(record: logging.LogRecord) -> dict[str, object]:
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    process = extra.pop("process_", None)
    return extra if process is None else {"process": process, **extra}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _escaped(text: str) -> str:
    return json_line(_cut(text))


def _traceback(error: BaseException, shown: set[int]) -> Iterator[str]:
    """The traceback, and those of what led to it."""
    shown.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in shown:
        yield from _traceback(before, shown)
        yield "then\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    said = error.strerror if isinstance(error, OSError) else ""
    if isinstance(error, BridgeError):
        said = str(error)
    yield plain(f"{name}: {said}" if said else name) + "\n"
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _traceback(one, shown)


class Writable(Protocol):
    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


class Unhurried(logging.Handler):
    """Lines go to a file descriptor, in a thread of its own.

    most  lines that wait to be written; those beyond are dropped, and a line says how many
    """

    def __init__(self, descriptor: int, most: int = WAITING) -> None:
        super().__init__()
        self.descriptor = descriptor
        self._stream: Writable | None = None
        self._lines: queue.Queue[str] = queue.Queue(most)
        self._dropped = 0
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            return self.handleError(record)
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def write_to(self, stream: Writable) -> None:
        """Lines go to this stream from now on, which stands in for the descriptor."""
        self._stream = stream

    def finish(self, within: float = LAST_LINES) -> None:
        """Writes what was logged, as far as that can be done `within` seconds."""
        ended = threading.Thread(target=self._lines.join, daemon=True)
        ended.start()
        ended.join(within)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            self._put(line)
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                about = {"action": "log_dropped", "lines": dropped}
                record = logging.makeLogRecord({"name": __name__, "msg": "log lines were dropped", **about})
                record.levelno, record.levelname = logging.WARNING, "WARNING"
                self._put(self.format(record))
            self._lines.task_done()

    def _put(self, line: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads it any more
            if self._stream is not None:
                self._stream.write(f"{line}\n")
                self._stream.flush()
                return
            rest = memoryview(f"{line}\n".encode("utf-8", "backslashreplace"))
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]


def _handler() -> logging.Handler:
    try:
        handler = Unhurried(sys.stderr.fileno())
    except (io.UnsupportedOperation, AttributeError):  # it is no file
        return logging.StreamHandler()
    atexit.register(handler.finish)
    return handler


def start_logging(level: str, form: str = "text", process: str = "") -> None:
    """Writes lines of this level and above to standard error; `form` is `text` or `json`.

    `process`: which of several this is, for every line; empty where there is one.
    Libraries write warnings and worse. An error that nobody caught is a line, too."""
    handler = _handler()
    handler.setFormatter(FORMATTERS[form]())
    if process:
        handler.addFilter(partial(_name, process))
    ours = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(ours, logging.WARNING), handlers=[handler])
    logging.getLogger("bridge").setLevel(ours)
    # a look that takes longer than until the next one is none to warn of; what goes wrong in it is an error
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
    sys.excepthook = _uncaught
    threading.excepthook = lambda given: _uncaught(
        given.exc_type, given.exc_value or given.exc_type(), given.exc_traceback
    )


def _name(process: str, record: logging.LogRecord) -> bool:
    record.process_ = process
    return True


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    logging.getLogger("bridge").critical(
        "bridge met a fault of its own", exc_info=(kind, error, trace), extra={"action": "fault"}
    )
