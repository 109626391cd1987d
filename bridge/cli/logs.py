"""Log lines for people on standard error."""

from __future__ import annotations

import json
import logging

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "action", "taskName"}


class _Line(logging.Formatter):
    """`2026-01-31 12:00:00 warning job failed uuid=… why="…"`: the message, then what varies."""

    def format(self, record: logging.LogRecord) -> str:
        moment = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        extra = [
            f"{key}={json.dumps(value, ensure_ascii=False) if isinstance(value, str) else value}"
            for key, value in vars(record).items()
            if key not in _STANDARD
        ]
        line = " ".join([moment, record.levelname.lower(), record.getMessage(), *extra])
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def start_logging(level: str) -> None:
    """Lines for people on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Line())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for noisy in ("uvicorn", "asyncio", "apscheduler", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
