"""What no output may hold is noticed wherever it is: in a log line of any level, in what a command prints."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from tests import output_secrets

SIGNATURE = f"app-key:{'0' * 64}"


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.ERROR])
def test_a_record_with_a_secret_is_noticed_whether_it_is_wanted_or_not(
    level: int, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("bridge.sockets.a_part")
    log.log(level, "nothing to see", extra={"why": "the app is away"})
    assert output_secrets.take() == []
    log.log(level, "refused", extra={"why": SIGNATURE})
    leaks = output_secrets.take()
    assert leaks
    assert all("refused" in one for one in leaks)
    assert len(caplog.records) == (2 if level >= logging.WARNING else 0)


def test_an_error_is_looked_through_as_the_log_writes_it() -> None:
    log = logging.getLogger("bridge.jobs.a_part")
    said = "app-" + "secret"  # the traceback has this line
    try:
        raise ValueError(said)
    except ValueError:
        log.exception("an observer failed")
    assert output_secrets.take() == [], "messages of errors that are not ours are not told"
    log.error("it said %s", said)
    assert output_secrets.take()


def test_records_of_others_are_left_alone() -> None:
    other = logging.getLogger("someone.else")
    assert not other.isEnabledFor(logging.DEBUG)
    other.warning("app-secret")
    assert output_secrets.take() == []


@pytest.mark.parametrize("stream", ["out", "err"])
def test_the_output_of_a_command_that_is_waited_for_is_looked_through(
    stream: str,
) -> None:
    program = f"import sys; sys.std{stream}.write(sys.argv[-1])"
    subprocess.run([sys.executable, "-c", program, "bridge", SIGNATURE], capture_output=True, check=True)
    assert output_secrets.take()
