"""Threads stand still for two seconds at lines that a seed chooses: to find tests which that decides.

`python -m pytest -p tests.standstills --standstills=7 -n 4 tests/jobs`. A seed chooses the same lines each
time, of a test and of what it calls. A test that fails names those at which it stood still, to run it with
one alone: `--standstills=bridge/jobs/worker/loop.py:336`. Child processes and imports are left alone.
"""

from __future__ import annotations

import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

SECONDS = 2.0
MOST = 3  # of one test
SHARES = {"bridge": 0.008, "tests": 0.04}  # of the lines of these folders
ROOT = Path(__file__).parent.parent
NOT = ("tests/services.py", "tests/standstills.py", "tests/output_secrets.py")  # part of every test


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--standstills", default="", help="a seed, or lines as file:line,file:line")


def pytest_configure(config: pytest.Config) -> None:
    if what := config.getoption("--standstills"):
        config.pluginmanager.register(Standstills(what))


class Standstills:
    """The pytest plugin. `what`: as the option says."""

    def __init__(self, what: str) -> None:
        self._seed = what
        self._only = frozenset(what.split(",")) if ":" in what else None
        self._test = ""
        self._lines: dict[CodeType, frozenset[int]] = {}
        self._passed = Counter[str]()  # how often a chosen line came up
        self._stood: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._test, self._stood = item.nodeid, []
        self._lines.clear()
        self._passed.clear()
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and self._stood:
            report.sections.append(("stood still", ",".join(self._stood)))
        return report

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        code = frame.f_code
        lines = self._lines.get(code)
        if lines is None:
            lines = self._lines[code] = self._chosen(code)
        return self._at_line if lines else None

    def _at_line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line" and frame.f_lineno in self._lines.get(frame.f_code, ()):
            self._come_to(f"{_file(frame.f_code)}:{frame.f_lineno}")
        return self._at_line

    def _come_to(self, line: str) -> None:
        self._passed[line] += 1
        nth = 1 if self._only else (1, 1, 1, 2, 3, 7)[int(6 * self._share("nth", line))]
        if self._passed[line] == nth and len(self._stood) < MOST:
            self._stood.append(line)
            time.sleep(SECONDS)

    def _chosen(self, code: CodeType) -> frozenset[int]:
        """The lines of the function at which a thread stands still."""
        file = _file(code)
        share = 0.0 if file in NOT else SHARES.get(file.partition("/")[0], 0.0)
        if not share or code.co_name == "<module>":
            return frozenset()
        lines = {number for _, _, number in code.co_lines() if number and number > code.co_firstlineno}
        if self._only is not None:
            return frozenset(number for number in lines if f"{file}:{number}" in self._only)
        return frozenset(number for number in lines if self._share(self._test, file, number) < share)

    def _share(self, *what: object) -> float:
        """A number from 0 to 1 of the seed's."""
        text = "|".join(map(str, (self._seed, *what)))
        return zlib.crc32(text.encode()) / 2**32


def _file(code: CodeType) -> str:
    """Relative to the project."""
    return code.co_filename.removeprefix(f"{ROOT}/")
