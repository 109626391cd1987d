"""Log lines: one line for one thing, readable by people or as JSON, and without tricks."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.cli.logs import FORMATTERS, LONGEST
from tests.dashboard.serving import PASSWORD, serving, until


def record(message: str = "job failed", **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "bridge.queues.worker", "levelname": "ERROR", "msg": message})
    vars(made).update(extra)
    return made


def lines(form: str, made: logging.LogRecord) -> list[str]:
    return FORMATTERS[form]().format(made).splitlines()


def test_a_line_for_people_is_the_message_and_what_varies() -> None:
    [line] = lines("text", record(action="job_failed", uuid="7", why='no "class"', delay_s=3))
    assert line.endswith(' error job failed uuid="7" why="no \\"class\\"" delay_s=3')


def test_a_line_of_json_is_one_object_with_time_level_action_and_what_varies() -> None:
    [line] = lines("json", record(action="job_failed", uuid="7", why="Ы"))
    told = json.loads(line)
    assert told.pop("ts").endswith("Z")
    assert told == {
        "level": "error", "message": "job failed", "action": "job_failed", "logger": "bridge.queues.worker",
        "uuid": "7", "why": "Ы",
    }  # fmt: skip


@pytest.mark.parametrize("form", FORMATTERS)
@pytest.mark.parametrize(
    "text", ["a\nb", "a\x1b[2Jb", "a\u202eb", "a\u2028b", "a\x85b", "a\u200bb", "\ud800"]
)
def test_a_text_from_outside_moves_no_cursor_and_makes_no_line(form: str, text: str) -> None:
    [line] = lines(form, record(why=text))
    assert text not in line
    assert line.isprintable()


@pytest.mark.parametrize("form", FORMATTERS)
def test_a_long_text_is_cut(form: str) -> None:
    [line] = lines(form, record(why="x" * 100_000))
    assert len(line) < LONGEST + 300
    assert "(100000 characters)" in line


def test_json_holds_an_exception_in_the_one_line() -> None:
    try:
        raise ValueError("odd")
    except ValueError:
        [line] = lines("json", record(exc_info=sys.exc_info()))
    assert "ValueError: odd" in json.loads(line)["exception"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The log, at its most talkative, of a job that went and one that failed; then their ids, and secrets."""
    folder: Path = tmp_path_factory.mktemp("logs")
    with serving(folder, log_format="json", log_level="debug", metrics_token="canary-of-metrics") as served:
        delivered = served.queue_sample()
        failed = served.queue_refused("App\\Events\\Nowhere")
        client = served.client()
        client.post("/laravel-websockets/login", json={"password": "canary-of-a-guess"})
        served.logged_in()
        client.get("/metrics", headers={"Authorization": "Bearer canary-of-metrics"})
        until(
            "both jobs are told of", lambda: all(job in served.log.read_text() for job in (delivered, failed))
        )
        served.process.terminate()
        assert served.process.wait(timeout=60) == 0
        canaries = ["canary-of", PASSWORD, served.app.secret.reveal(), "Hello World", "gold"]
        env = (served.app.path / ".env").read_text()
        canaries += [env.partition("APP_KEY=")[2].splitlines()[0]]
        yield [served.log.read_text(), delivered, failed, *canaries]


def test_the_log_of_a_run_is_json_with_the_job_throughout(told: list[str]) -> None:
    text, delivered, failed, *_ = told
    entries = [json.loads(line) for line in text.splitlines() if not line.startswith("listening on ")]
    actions = {(entry["action"], entry.get("uuid")) for entry in entries}
    assert {("job_delivered", delivered), ("job_failed", failed)} <= actions


def test_no_secret_and_no_data_of_an_event_are_in_it(told: list[str]) -> None:
    text, _, _, *canaries = told
    assert [canary for canary in canaries if canary in text] == []
