"""The file by which `bridge reload` finds a bridge."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridge.cli.reload import _over
from bridge.errors import ServiceUnavailable
from bridge.serve import running
from bridge.serve.running import Running, RunningFile, began, read


def test_a_reload_is_told_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "serving.json"
    file = RunningFile(path, 3)
    file.write()
    known = read(path)
    assert known == Running(os.getpid(), began(os.getpid()), 3)
    assert known is not None
    assert known.is_alive
    file.begin()
    assert read(path) == Running(os.getpid(), began(os.getpid()), 3, is_reloading=True)
    file.end(78, "zzz is unknown")
    after = read(path)
    assert after is not None
    assert (after.reloads, after.is_reloading, after.code, after.outcome) == (1, False, 78, "zzz is unknown")
    file.remove()
    assert read(path) is None


def test_a_reload_that_was_asked_for_during_another_is_over_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "serving.json"
    file = RunningFile(path, 3)
    file.begin()
    before = read(path)
    assert before is not None
    file.end(0, "that of the other")
    between = read(path)
    assert between is not None
    file.begin()
    file.end(0, "ours")
    assert _over(path, between, time.monotonic() + 60).outcome == "ours"
    assert _over(path, before, time.monotonic() + 60).outcome == "ours"
    before.reloads += 1
    with pytest.raises(ServiceUnavailable, match="longer than --wait"):
        _over(path, before, time.monotonic() + 0.2)


def test_a_process_that_has_ended_or_another_of_its_number_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert not Running(ended.pid).is_alive
    assert not Running(os.getpid(), began(os.getpid()) - 1).is_alive


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"pid": "1"}',
        '{"pid": -1}',
        '{"pid": 1, "x": 2}',
        "[" * 3000,
        "{" * 5000,
        "\0",
    ],
)
def test_a_file_that_makes_no_sense_tells_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "serving.json"
    path.write_text(text)
    assert read(path) is None


def test_the_file_of_another_process_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "serving.json"
    file = RunningFile(path, 1)
    path.write_text(json.dumps({"pid": 1}))
    file.remove()
    assert path.exists()


def test_a_folder_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    file = RunningFile(tmp_path / "nowhere" / "serving.json", 1)
    file.write()
    file.end(0, "done")
    file.remove()


def test_a_folder_that_could_not_be_written_for_a_while_is_written_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    folder.mkdir()
    file = RunningFile(folder / "serving.json", 1)
    for _ in range(2):
        file.write()
        folder.rename(elsewhere)
        file.begin()
        file.end(1, "not told")
        elsewhere.rename(folder)
    assert len(caplog.records) == 2
    file.remove()  # though it tells what was before
    assert not list(folder.iterdir())


def test_root_signals_no_process_of_another_user_than_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "serving.json"
    RunningFile(path, 1).write()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert read(path) is not None
    monkeypatch.setattr(running, "_owner", lambda pid: path.stat().st_uid + 1)
    assert read(path) is None
