"""What a kill met at work and what it did not, read by the next process from a file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.jobs.queue.queue import Job
from bridge.jobs.worker.at_work import AtWork

PREAMBLE = """
import os, signal, sys
from bridge.jobs.worker.at_work import AtWork
from tests.jobs.worker.test_at_work import job
from pathlib import Path
work = AtWork(Path(sys.argv[1]))
one, two, three = jobs = [job(name) for name in ("one", "two", "three")]
"""
KILL = "\nos.kill(os.getpid(), signal.SIGKILL)"


def job(uuid: str) -> Job:
    return Job(queue="default", payload=b"{}", document={"uuid": uuid}, attempts=1, receipt=uuid.encode())


def killed(file: Path, deeds: str) -> None:
    """A process has done this with the file, and was killed."""
    command = [sys.executable, "-c", PREAMBLE + deeds + KILL, str(file)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr


def crashes(file: Path) -> list[int | None]:
    """Of each of the three, as the next process sees it, which then ends well."""
    work = AtWork(file)
    work.reserved(())
    found = [work.crashes(job(name)) for name in ("one", "two", "three")]
    work.close()
    return found


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "at-work.json"
    assert len(os.listdir(tmp_path)) <= 1


@pytest.mark.parametrize(
    ("deeds", "expected"),
    [
        ("work.reserved(jobs)", [0, 0, 0]),
        ("work.reserved(jobs); work.any()", [1, 1, 1]),
        ("work.reserved(jobs); work.any(); work.only(two)", [0, 1, 0]),
        ("work.reserved(jobs); work.only(one); work.only(three)", [0, 0, 1]),
        ("work.reserved(jobs); work.only(one); work.none()", [0, 0, 0]),
        ("work.reserved(jobs); work.only(job('four'))", [1, 1, 1]),
        ("work.reserved(jobs); work.only(one); work.reserved([two]); work.only(two)", [0, 1, 0]),
        ("work.reserved(jobs); work.only(one); work.reserved([])", [0, 0, 0]),
        ("work.reserved([job('a\\nb'), one]); work.only(one)", [0, 0, 0]),
        ("work.reserved([job('x' * 70_000), one]); work.only(one)", [0, 0, 0]),
        ("work.reserved(jobs); work.only(one); work.close()", [0, 0, 0]),
        ("work.reserved(jobs); work.only(one); work.stop_begins()", [0, 0, 0]),
        ("work.reserved(jobs); work.stop_begins(); work.reserved([two]); work.only(two)", [0, 0, 0]),
        ("work.stop_begins(); work.reserved(jobs); work.only(one)", [0, 0, 0]),
        ("", [0, 0, 0]),
    ],
)
def test_a_crash_counts_for_what_was_at_work_alone(file: Path, deeds: str, expected: list[int]) -> None:
    killed(file, deeds)
    assert crashes(file) == expected
    assert crashes(file) == expected  # a stop adds none


def test_crashes_add_up_until_the_job_has_failed(file: Path) -> None:
    for _ in range(3):
        killed(file, "work.reserved(jobs); work.only(one)")
    killed(file, "work.reserved(jobs); work.any()")
    assert crashes(file) == [4, 1, 1]
    work = AtWork(file)
    work.reserved([job("one")])
    work.forget(job("one"))
    work.close()
    assert crashes(file) == [0, 1, 1]


def test_a_stop_ends_with_its_process(file: Path) -> None:
    killed(file, "work.reserved(jobs); work.only(one)")
    killed(file, "work.reserved(jobs); work.only(one); work.stop_begins()")
    killed(file, "work.reserved(jobs); work.only(one)")
    assert crashes(file) == [2, 0, 0]


def test_only_so_many_are_remembered(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(file, "work.reserved([one]); work.any()")
    killed(file, "work.reserved([two, three]); work.any()")
    monkeypatch.setattr("bridge.jobs.worker.at_work.REMEMBERED", 2)
    assert crashes(file) == [0, 1, 1]


def test_two_processes_do_not_write_over_each_other(file: Path) -> None:
    first, second = AtWork(file), AtWork(file)
    first.reserved([job("one")])
    first.only(job("one"))
    second.reserved([job("two")])
    second.only(job("two"))
    assert second.crashes(job("two")) is None
    first.close()
    second.reserved([job("two")])  # it is its own now
    assert second.crashes(job("two")) == 0
    second.close()
    assert crashes(file) == [0, 0, 0]


@pytest.mark.parametrize("content", [b"", b"BAW1", b"\xff" * 400_000, b"BAW1" + b"\0" * 12 + b"{" * 90_000])
def test_a_damaged_file_tells_nothing(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert crashes(file) == [0, 0, 0]


def test_where_no_file_can_be_written_nothing_is_known(tmp_path: Path) -> None:
    for file in (None, tmp_path / "missing" / "file", tmp_path):
        work = AtWork(file)
        work.reserved([job("one")])
        work.only(job("one"))
        work.none()
        work.forget(job("one"))
        assert work.crashes(job("one")) is None
        work.close()
