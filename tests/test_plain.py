"""What a command prints moves no cursor, whatever a job or a class was called."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.cli.plain import json_line, plain
from bridge.demo.app import write_app
from tests.end_to_end.processes import environment

EVIL = "a\x1b]0;title\x07\x9b2Jb\u202ec\ud800\x7f"


def test_tricks_are_written_out_and_all_else_stays() -> None:
    assert plain('ä\u4e2d\U0001f600 "x" \\') == 'ä\u4e2d\U0001f600 "x" \\'
    assert plain(EVIL) == "a\\u001b]0;title\\u0007\\u009b2Jb\\u202ec\\ud800\\u007f"
    assert (plain("a\n\tb"), plain("a\n\tb", lines=True)) == ("a\\u000a\\u0009b", "a\n\tb")


@pytest.mark.parametrize("value", [EVIL, {"ключ": [EVIL, 1.5, None]}, "\u2028\ufeff"])
def test_a_line_of_json_is_printable_and_the_same_value(value: object) -> None:
    line = json_line(value)
    assert line.isprintable()
    assert json.loads(line) == value


@pytest.mark.parametrize("flags", [("list",), ("list", "--json"), ("show", "1"), ("show", "1", "--json")])
def test_a_failed_job_with_a_name_like_that_is_shown_as_it_is_and_plainly(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    app = write_app(tmp_path)
    name = "App\\\x1b[31mEvil\u202e\nforged line"
    payload = json.dumps({"uuid": "1", "displayName": name, "job": "x", "data": {"command": "x"}})
    row = ("1", "redis\x1b[2J", "default", payload, f"Oops: {name}\n#0 second line", "2026-01-01 00:00:00")
    columns = "uuid, connection, queue, payload, exception, failed_at"
    insert = f"insert into failed_jobs ({columns}) values (?, ?, ?, ?, ?, ?)"
    with contextlib.closing(sqlite3.connect(app.database)) as connection, connection:
        connection.execute(insert, row)
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "failed", *flags, "--app", str(app.path)],
        env=environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Evil" in done.stdout
    assert "".join(done.stdout.split("\n")).isprintable()
    if flags == ("list",):
        assert len(done.stdout.splitlines()) == 2
