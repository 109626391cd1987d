"""The live line: one line at the foot of a terminal that shows how the work goes, beneath the log.

Only where standard error is a terminal and the log is for people. Log lines are written above it, whole.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from bridge.cli.logs import Unhurried

if TYPE_CHECKING:
    from bridge.monitoring.timeseries import Sample

ERASE = "\r\x1b[2K"
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_SEPARATOR = " · "


class LiveLine:
    """Stands in for the stream of the log's handlers, so that it can step aside for every line.

    The lock is there because threads log while the loop draws: a log line must not land inside ours.
    """

    def __init__(self, terminal: TextIO, *, colour: bool, width: Callable[[], int]) -> None:
        self._terminal = terminal
        self._colour = colour
        self._width = width
        self._line = ""
        self._lock = threading.Lock()

    def show(self, point: Sample) -> None:
        """Shows this moment on the line."""
        self.say(_words(point))

    def say(self, words: Sequence[str]) -> None:
        """Shows this text on the line."""
        text = _SEPARATOR.join(words)[: max(self._width() - 1, 0)]
        with self._lock:
            self._line = f"{_DIM}{text}{_PLAIN}" if self._colour else text
            self._terminal.write(ERASE + self._line)
            self._terminal.flush()

    def write(self, text: str) -> int:
        """Writes the text above the line."""
        with self._lock:
            aside = ERASE if self._line else ""
            again = self._line if text.endswith("\n") else ""
            self._terminal.write(aside + text + again)
        return len(text)

    def flush(self) -> None:
        self._terminal.flush()

    def end(self) -> None:
        """Removes the line; what is written from now on passes through."""
        with self._lock:
            if self._line:
                self._terminal.write(ERASE)
                self._terminal.flush()
            self._line = ""


def live_line(terminal: TextIO, environ: Mapping[str, str]) -> LiveLine | None:
    """The line on this terminal, the log's handlers writing above it; None where there is no terminal."""
    if not terminal.isatty() or environ.get("TERM", "dumb") == "dumb":
        return None
    made = LiveLine(
        terminal,
        colour=not environ.get("NO_COLOR"),
        width=lambda: os.get_terminal_size(terminal.fileno()).columns or shutil.get_terminal_size().columns,
    )
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is terminal:
            handler.setStream(made)
        elif isinstance(handler, Unhurried) and handler.descriptor == terminal.fileno():
            handler.write_to(made)
    return made


def _words(point: Sample) -> list[str]:
    words = [
        f"{'?' if point.depth is None else f'{point.depth:,}'} waiting",
        f"{point.jobs:,.0f} jobs/s",
        f"{point.sent:,.0f} deliveries/s",
        f"{point.connections:,} connection{'' if point.connections == 1 else 's'}",
    ]
    if point.failed:
        words.append(f"{point.failed:,.0f} failed/s")
    return words
