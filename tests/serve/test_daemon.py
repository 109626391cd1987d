"""An attempt at a batch, and how `bridge serve` starts and stops."""

from __future__ import annotations

import base64
import dataclasses
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from subprocess import Popen

import httpx
import pytest
from nacl.secret import SecretBox

from bridge.broadcast import Broadcast
from bridge.errors import JobError, NotTried, Refused, ServiceUnavailable, WouldFail
from bridge.jobs.queue.queue import Job
from bridge.jobs.resolve.resolution import Resolution
from bridge.jobs.worker.loop import Delivered, Failed, NotBegun, NothingToSend, Result, Retry
from bridge.laravel.broadcast_handler import Call
from bridge.serve.attempt import Attempt
from bridge.serve.destinations import Destination
from tests import services
from tests.end_to_end.processes import environment, running, wait_until

KEY = bytes(range(32))
TO = {
    "pusher": Destination(app_id="1", master_key=KEY, event_bytes=100),
    "keyless": Destination(app_id="2", master_key=None, event_bytes=100),
}


def call(number: int, *, channel: str = "c", connection: str = "pusher", data: str = "{}") -> Call:
    return Call(connection=connection, channels=(f"{channel}{number}",), name="n", data=data, socket=None)


def sends(*calls: Call) -> Resolution:
    return Resolution(outcome="broadcast", event="E", by="native", broadcasts=calls)


def one_by_one(
    resolve: Callable[[Mapping[str, object]], Resolution],
) -> Callable[[Sequence[Mapping[str, object]]], list[Callable[[], Resolution]]]:
    """What has nothing to prepare for a batch."""
    return lambda documents: [partial(resolve, document) for document in documents]


class Batch:
    """Attempts at jobs that resolve to what is given, an exception being raised; `published` is each call."""

    def __init__(self, *outcomes: Resolution | Exception, fails: bool = False) -> None:
        self.published: list[list[Broadcast]] = []
        self.outcomes = outcomes
        self.fails = fails
        self.attempt = Attempt(one_by_one(self._resolve), TO, self._publish)

    def results(self, is_enough: Callable[[], bool] = lambda: False) -> Sequence[Result]:
        jobs = [
            Job(queue="default", payload=b"{}", document={"at": at}, attempts=1, receipt=None)
            for at in range(len(self.outcomes))
        ]
        return self.attempt(jobs, is_enough)

    def _resolve(self, document: Mapping[str, object]) -> Resolution:
        at = document["at"]
        assert isinstance(at, int)
        outcome = self.outcomes[at]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _publish(self, broadcasts: Sequence[Broadcast]) -> None:
        self.published.append(list(broadcasts))
        if self.fails:
            raise ServiceUnavailable("the node is too slow")


NOTHING = Resolution(outcome="nothing", event="E", by="native", why="no channel")
FAILED = Resolution(outcome="failed", event="E", by="native", why="bad channel")
REFUSED = Resolution(outcome="refused", event="E", why="native: unknown")


def test_a_batch_is_published_in_one_call_in_order() -> None:
    batch = Batch(sends(call(1), call(2)), NOTHING, sends(call(3)))
    assert batch.results() == [Delivered(), NothingToSend("no channel"), Delivered()]
    assert [[one.channels for one in calls] for calls in batch.published] == [[("c1",), ("c2",), ("c3",)]]


def test_a_batch_without_broadcasts_publishes_nothing() -> None:
    batch = Batch(NOTHING, FAILED)
    batch.results()
    assert batch.published == []


def test_where_publishing_fails_exactly_the_deliverable_jobs_are_tried_again() -> None:
    batch = Batch(sends(call(1)), NOTHING, FAILED, REFUSED, sends(call(2)), fails=True)
    first, nothing, failed, refused, last = batch.results()
    assert isinstance(first, Retry)
    assert isinstance(last, Retry)
    assert isinstance(nothing, NothingToSend)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, WouldFail)
    assert isinstance(refused, Failed)
    assert isinstance(refused.error, Refused)


def test_a_job_whose_database_is_away_is_tried_again_and_the_others_go_out() -> None:
    batch = Batch(sends(call(1)), ServiceUnavailable("away"), sends(call(2)))
    first, away, last = batch.results()
    assert (first, last) == (Delivered(), Delivered())
    assert isinstance(away, Retry)
    assert [one.channels for one in batch.published[0]] == [("c1",), ("c2",)]


def test_what_was_flushed_before_is_not_tried_again() -> None:
    batch = Batch(sends(call(1)), sends(call(2)))

    def resolve(document: Mapping[str, object]) -> Resolution:
        if document["at"] == 1:
            batch.attempt.flush()
            batch.fails = True
        return batch._resolve(document)

    batch.attempt = Attempt(one_by_one(resolve), TO, batch._publish)
    first, second = batch.results()
    assert first == Delivered()
    assert isinstance(second, Retry)
    assert len(batch.published) == 2


def test_a_job_whose_broadcast_cannot_be_published_costs_no_other_a_try() -> None:
    batch = Batch(sends(call(1)), sends(call(2)), NOTHING, sends(call(3)))

    def publish(broadcasts: Sequence[Broadcast]) -> None:
        batch._publish(broadcasts)
        if any(one.channels == ("c2",) for one in broadcasts):
            raise JobError("Redis refuses the event")

    batch.attempt = Attempt(one_by_one(batch._resolve), TO, publish)
    first, refused, _, last = batch.results()
    assert (first, last) == (Delivered(), Delivered())
    assert isinstance(refused, Retry)
    assert isinstance(refused.error, JobError)
    assert [[one.channels for one in calls] for calls in batch.published[1:]] == [
        [("c1",)],
        [("c2",)],
        [("c3",)],
    ]


def test_a_fault_of_ours_is_one_jobs_and_nothing_goes_out_twice() -> None:
    batch = Batch(sends(call(1)), KeyError("a secret"), sends(call(2)))
    first, fault, last = batch.results()
    assert (first, last) == (Delivered(), Delivered())
    assert isinstance(fault, Failed)
    assert [[one.channels for one in calls] for calls in batch.published] == [[("c1",), ("c2",)]]


def test_a_batch_that_breaks_off_keeps_what_it_came_to() -> None:
    batch = Batch(sends(call(1)), sends(call(2)))

    def broken(documents: Sequence[Mapping[str, object]]) -> Iterator[Callable[[], Resolution]]:
        yield partial(batch._resolve, documents[0])
        raise RuntimeError("broken")

    batch.attempt = Attempt(broken, TO, batch._publish)
    first, second = batch.results()
    assert first == Delivered()
    assert isinstance(second, Failed)
    assert len(batch.published) == 1


def test_a_fault_of_the_machine_is_no_verdict_and_says_its_number() -> None:
    away = OSError(24, "Too many open files", "/var/www/app/app/Events/Shipped.php")
    (result,) = Batch(away).results()
    assert isinstance(result, Retry)
    assert isinstance(result.error, NotTried)
    assert str(result.error) == "Too many open files (EMFILE): /var/www/app/app/Events/Shipped.php"


def test_what_laravel_has_dealt_with_is_done_as_it_said() -> None:
    again = dataclasses.replace(FAILED, by="php", retry_in=30)
    final = dataclasses.replace(FAILED, by="php", keeps_lock=True)
    first, second = Batch(again, final).results()
    assert isinstance(first, Retry)
    assert first.delay == 30
    assert isinstance(second, Failed)
    assert second.keeps_lock


def test_where_publishing_meets_a_fault_its_jobs_are_tried_again() -> None:
    batch = Batch(sends(call(1)))

    def publish(_: Sequence[Broadcast]) -> None:
        raise ValueError("a fault")

    batch.attempt = Attempt(one_by_one(batch._resolve), TO, publish)
    (result,) = batch.results()
    assert isinstance(result, Retry)


def test_a_bus_that_is_away_costs_no_job_a_try() -> None:
    batch = Batch(sends(call(1)))

    def publish(_: Sequence[Broadcast]) -> None:
        raise ServiceUnavailable("the bus is away")

    batch.attempt = Attempt(one_by_one(batch._resolve), TO, publish)
    (result,) = batch.results()
    assert isinstance(result, Retry)
    assert isinstance(result.error, NotTried)


def test_an_encrypted_channel_is_sealed_for_its_key() -> None:
    batch = Batch(sends(call(7, channel="private-encrypted-", data='{"a":1}')))
    assert batch.results() == [Delivered()]
    sealed = json.loads(batch.published[0][0].data)
    box = SecretBox(sha256(b"private-encrypted-7" + KEY).digest())
    opened = box.decrypt(base64.b64decode(sealed["ciphertext"]), base64.b64decode(sealed["nonce"]))
    assert opened == b'{"a":1}'
    assert set(sealed) == {"nonce", "ciphertext"}


@pytest.mark.parametrize(
    ("broken", "remedy"),
    [
        (call(7, channel="private-encrypted-", connection="keyless"), "encryption_master_key_base64"),
        (call(7, data="x" * 101), "BRIDGE_LIMIT_EVENT_BYTES"),
        (call(7, data="é" * 51), "BRIDGE_LIMIT_EVENT_BYTES"),
        (call(7, connection="nowhere"), "the broadcast connection nowhere has no app"),
    ],
)
def test_what_cannot_be_addressed_fails_alone_and_names_the_remedy(broken: Call, remedy: str) -> None:
    batch = Batch(sends(call(1)), sends(broken), sends(call(2)))
    first, failed, last = batch.results()
    assert (first, last) == (Delivered(), Delivered())
    assert isinstance(failed, Failed)
    assert remedy in str(failed.error)
    assert [one.channels for one in batch.published[0]] == [("c1",), ("c2",)]


def test_data_as_long_as_the_limit_goes_out() -> None:
    assert Batch(sends(call(1, data="é" * 50))).results() == [Delivered()]


# ---- start and stop --------------------------------------------------------------------------


@contextmanager
def serving(folder: Path, env: str) -> Iterator[tuple[Popen[str], int, Path]]:
    """`bridge serve`, its port and its output."""
    app = folder / "app"
    app.mkdir()
    (app / ".env").write_text("PUSHER_APP_ID=1\nPUSHER_APP_KEY=k\nPUSHER_APP_SECRET=s\n" + env)
    port, log = services.free_port(), folder / "log"
    command = [sys.executable, "-m", "bridge", "serve", "--app", str(app), "--host", "127.0.0.1"]
    with running([*command, "--port", str(port)], cwd=app, log=log, env=environment()) as process:
        yield process, port, log


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/up", trust_env=False, timeout=60).status_code == 200
    except httpx.HTTPError:
        return False


def test_sigterm_while_the_queue_is_awaited_ends_the_start(tmp_path: Path) -> None:
    env = f"QUEUE_CONNECTION=redis\nREDIS_CLIENT=predis\nREDIS_PORT={services.free_port()}\n"
    with serving(tmp_path, env) as (process, port, log):
        wait_until("it answers", lambda: answers(port))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) in (0, 69), log.read_text()
        assert "Traceback" not in log.read_text()
        assert "listening on" not in log.read_text()


def test_it_says_that_it_listens_and_ends_with_0(tmp_path: Path) -> None:
    with services.sqlite(tmp_path) as database:
        env = "".join(f"{name}={value}\n" for name, value in database.env.items())
        with serving(tmp_path, env + "QUEUE_CONNECTION=database\n") as (process, port, log):
            line = f"listening on http://127.0.0.1:{port}\n"
            wait_until("it listens", lambda: line in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
            assert "Traceback" not in log.read_text()


def test_a_second_sigterm_does_not_wait(tmp_path: Path) -> None:
    with services.sqlite(tmp_path) as database:
        env = "".join(f"{name}={value}\n" for name, value in database.env.items())
        with serving(tmp_path, env + "QUEUE_CONNECTION=database\n") as (process, _, log):
            wait_until("it listens", lambda: "listening on" in log.read_text())
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) in (0, -signal.SIGTERM)


def test_what_is_not_begun_when_it_is_enough_is_said_to_be_so() -> None:
    batch = Batch(sends(call(1)), sends(call(2)), sends(call(3)))
    answers = iter([False, True, True])
    assert batch.results(lambda: next(answers)) == [Delivered(), Delivered(), NotBegun()]
    assert [one.channels for calls in batch.published for one in calls] == [("c1",), ("c2",)]


def test_the_first_is_begun_whatever_the_time() -> None:
    batch = Batch(sends(call(1)), sends(call(2)))
    assert batch.results(lambda: True) == [Delivered(), NotBegun()]


def test_what_lacks_memory_beside_others_is_not_begun_and_alone_it_fails() -> None:
    batch = Batch(sends(call(1)), MemoryError(), sends(call(2)))
    assert batch.results() == [Delivered(), NotBegun(lacks_memory=True), Delivered()]
    [alone] = Batch(MemoryError()).results()
    assert isinstance(alone, Failed)
