"""The plugin that finds tests which a thread that stands still decides."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from tests import standstills, threads
from tests.proxy import Proxy

TESTS = """
import threading, time
from tests.threads import repeatedly

def test_hasty():
    began = time.monotonic()
    with repeatedly(int, 60):
        assert time.monotonic() - began < 1.9

def test_patient():
    called = threading.Event()
    with repeatedly(called.set, 0.01):
        assert called.wait(60)
"""


def test_a_test_that_a_standstill_decides_fails_and_names_the_line(tmp_path: Path) -> None:
    source, first = inspect.getsourcelines(threads.repeatedly)
    (offset,) = [number for number, line in enumerate(source) if "threading.Event()" in line]
    line = f"tests/threads.py:{first + offset}"
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_two.py").write_text(TESTS)
    options = ["-p", "no:cacheprovider", "-p", "tests.standstills", f"--standstills={line}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=standstills.ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert f"- stood still -{'-' * 10}" in done.stdout
    assert f"\n{line}\n" in done.stdout


def test_a_seed_chooses_always_the_same_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(standstills.SHARES, "tests", 0.5)
    functions = [it.__code__ for it in vars(Proxy).values() if inspect.isfunction(it)]

    def chosen(seed: str) -> list[frozenset[int]]:
        plugin = standstills.Standstills(seed)
        return [plugin._chosen(code) for code in functions]

    assert any(chosen("1"))
    assert chosen("1") == chosen("1") != chosen("2")
