"""Log lines: one line for one thing, readable by people or as JSON, and without tricks."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from bridge.cli.logs import FORMATTERS, LONGEST, Unhurried
from bridge.errors import ServiceUnavailable
from bridge.sockets.pusher.signatures import sign, subscription_text
from tests.monitoring.dashboard.serving import PASSWORD, PATIENCE, Served, serving, until


def record(message: str = "job failed", **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "bridge.jobs.worker.loop", "levelname": "ERROR", "msg": message})
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
        "level": "error", "message": "job failed", "action": "job_failed",
        "logger": "bridge.jobs.worker.loop",
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
    assert json.loads(line)["exception"].endswith("\nValueError")


@pytest.mark.parametrize("form", FORMATTERS)
def test_an_error_tells_its_class_and_place_and_its_words_only_if_they_are_ours(form: str) -> None:
    try:
        try:
            try:
                raise KeyError("words of a payload")
            except KeyError as first:
                raise ExceptionGroup("words of a group", [OSError(24, "Too many open files")]) from first
        except ExceptionGroup as second:
            raise ServiceUnavailable("the queue does not \x1b answer") from second
    except ServiceUnavailable:
        text = "\n".join(lines(form, record(exc_info=sys.exc_info())))
    for told in (
        "KeyError",
        "ExceptionGroup",
        "OSError: Too many open files",
        "the queue does not",
        "test_logs.py",
    ):
        assert told in text, told
    assert "words of" not in "\n".join(line for line in text.split("\\n" if form == "json" else "\n")
                                      if "raise" not in line)  # fmt: skip
    assert "\x1b" not in text


def test_libraries_tell_warnings_only_whatever_the_level(capfd: pytest.CaptureFixture[str]) -> None:
    script = """
import logging, sys, threading
from bridge.cli.logs import start_logging
start_logging("debug")
for name in ("websockets.server", "uvicorn.error", "sqlalchemy.engine", "apscheduler", "httpx", "any"):
    logging.getLogger(name).info("told by a library")
    logging.getLogger(name).debug("told by a library")
    logging.getLogger(name).warning("warned by a library")
logging.getLogger("bridge.any").debug("ours")
thread = threading.Thread(target=lambda: {}["words of a payload"])
thread.start()
thread.join()
raise ValueError("words of a payload")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "told by" not in done.stderr
    assert done.stderr.count("warned by") == 6
    assert " debug ours" in done.stderr
    assert done.stderr.count("critical bridge met a fault of its own") == 2
    assert [line for line in done.stderr.splitlines() if line.startswith(("KeyError", "ValueError"))] == [
        "KeyError", "ValueError",
    ]  # fmt: skip


def with_everything_hidden(served: Served) -> None:
    """A client that sends all that nobody else may read, in every form that a frame can have."""
    headers = {"Cookie": "laravel_session=canary-of-cookies", "Authorization": "Bearer canary-of-a-token"}
    address = f"{served.address.replace('http', 'ws')}/app/{served.app.key}?protocol=7"
    secret = served.app.secret.reveal()
    with connect(address, additional_headers=headers, open_timeout=PATIENCE, ping_interval=None) as client:
        socket_id = json.loads(json.loads(client.recv(timeout=PATIENCE))["data"])["socket_id"]
        member = json.dumps({"user_id": "1", "user_info": {"name": "canary-of-a-member"}})
        for channel, more in (("presence-log", {"channel_data": member}), ("private-log", {})):
            text = subscription_text(socket_id, channel, more.get("channel_data"))
            data = {"channel": channel, "auth": f"{served.app.key}:{sign(secret, text)}", **more}
            client.send(json.dumps({"event": "pusher:subscribe", "data": data}))
        client.send(
            json.dumps(
                {"event": "pusher:subscribe", "data": {"channel": "private-x", "auth": "canary-of-auth"}}
            )
        )
        client.ping("canary-of-a-ping").wait(PATIENCE)
        whisper = json.dumps({"event": "client-x", "channel": "private-log", "data": "canary-of-a-whisper"})
        client.send(whisper)
        client.send([whisper[:9], whisper[9:]])
        client.send("canary-of-no-json {")
        client.send(
            json.dumps({"event": "pusher:signin", "data": {"user_data": "canary-of-a-user", "auth": "x:y"}})
        )
        client.ping("canary-of-a-ping").wait(PATIENCE)
    with (
        contextlib.suppress(Exception),
        connect(
            address + "&canary-of-a-query=1",
            additional_headers=headers,
            open_timeout=PATIENCE,
            ping_interval=None,
        ) as client,
    ):
        client.send(b"canary-of-bytes")
        client.recv(timeout=PATIENCE)
        client.recv(timeout=PATIENCE)


def told_of(text: str) -> set[tuple[str, str | None]]:
    """Action and job of each whole line; each is JSON."""
    whole = text[: text.rindex("\n") + 1].splitlines()
    entries = [json.loads(line) for line in whole if not line.startswith("listening on ")]
    return {(entry["action"], entry.get("uuid")) for entry in entries}


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
        client.get("/apps/demo/channels", headers={"Cookie": "canary-of-cookies=1"})
        client.post("/apps/demo/events", content=b'{"data": "canary-of-an-event"}')
        with_everything_hidden(served)
        ends = {("job_delivered", delivered), ("job_failed", failed)}
        until("both jobs have ended", lambda: ends <= told_of(served.log.read_text()))
        served.process.terminate()
        assert served.process.wait(timeout=60) == 0
        canaries = [
            "canary-of",
            "laravel_session",
            "user_info",
            "channel_data",
            "Bearer",
            f"{served.app.key}:",
        ]
        canaries += [PASSWORD, served.app.secret.reveal(), "Hello World", "gold"]
        env = (served.app.path / ".env").read_text()
        canaries += [env.partition("APP_KEY=")[2].splitlines()[0]]
        yield [served.log.read_text(), delivered, failed, *canaries]


def test_the_log_of_a_run_is_json_with_the_job_throughout(told: list[str]) -> None:
    text, delivered, failed, *_ = told
    assert {("job_delivered", delivered), ("job_failed", failed)} <= told_of(text)


def test_no_secret_and_no_data_of_an_event_are_in_it(told: list[str]) -> None:
    text, _, _, *canaries = told
    assert [canary for canary in canaries if canary in text] == []


def test_a_log_that_nobody_reads_holds_nobody_up_and_tells_what_was_dropped() -> None:
    reading, writing = os.pipe()
    handler = Unhurried(writing, most=10)
    handler.setFormatter(FORMATTERS["json"]())
    log = logging.Logger("full")
    log.addHandler(handler)
    line = "x" * 1000
    for _ in range(200):  # a pipe takes 64 KiB
        log.warning("%s", line)
    handler.finish(within=0.05)
    read: list[bytes] = []

    def read_all() -> None:
        with open(reading, "rb") as lines:
            read.extend(lines)

    reader = threading.Thread(target=read_all, daemon=True)
    reader.start()
    handler.finish(within=60)
    log.warning("the last")
    handler.finish(within=60)
    os.close(writing)
    reader.join(60)
    entries = [json.loads(entry) for entry in read]
    messages = [entry["message"] for entry in entries]
    dropped = sum(entry["lines"] for entry in entries if entry["action"] == "log_dropped")
    assert dropped > 0
    assert messages.count(line) + dropped == 200
    assert messages[-1] == "the last"


def test_what_was_logged_is_written_before_the_end() -> None:
    reading, writing = os.pipe()
    handler = Unhurried(writing)
    log = logging.Logger("end")
    log.addHandler(handler)
    for number in range(100):
        log.warning("%d", number)
    handler.finish(within=60)
    os.close(writing)
    with open(reading) as lines:
        assert lines.read().split() == [str(number) for number in range(100)]
