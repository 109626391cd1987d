"""Log lines on standard error: for people, or one JSON object each.

A line tells one thing: a fixed message, then what varies. Texts from outside (event classes, reasons) are
cut, and characters that would move the cursor or turn the writing around are escaped.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

LONGEST = 2_000  # characters of one text

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "action", "taskName"}
# C1 controls, zero width, line separators, changes of direction; those of C0 are JSON's own business
_TRICKS = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


class _Line(logging.Formatter):
    """`2026-01-31 12:00:00 warning job failed uuid="…" why="…"`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        extra = [
            f"{key}={_escaped(value) if isinstance(value, str) else value}"
            for key, value in _extra(record).items()
        ]
        line = " ".join([moment, record.levelname.lower(), record.getMessage(), *extra])
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class _Json(logging.Formatter):
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
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _escaped(text: str) -> str:
    quoted = json.dumps(_cut(text), ensure_ascii=False)
    return _TRICKS.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def start_logging(level: str, form: str = "text") -> None:
    """From now on lines of this level and above are on standard error; `form` is `text` or `json`."""
    handler = logging.StreamHandler()
    handler.setFormatter(FORMATTERS[form]())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for noisy in ("uvicorn", "asyncio", "apscheduler", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
