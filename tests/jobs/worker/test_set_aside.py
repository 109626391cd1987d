"""A job that takes long is set aside: others go on, but none overtakes it on its channels."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future

import pytest

import bridge.jobs.worker.set_aside
from bridge.broadcast import Broadcast
from bridge.errors import NotTried
from bridge.jobs.queue.failed_jobs import NoFailedJobs
from bridge.jobs.queue.queue import Queue
from bridge.jobs.resolve.resolution import Resolution
from bridge.jobs.resolve.rungs.php import Slow
from bridge.jobs.worker.loop import Worker, WorkerHooks, WorkerState
from bridge.jobs.worker.retry_policy import RetryPolicy
from bridge.jobs.worker.set_aside import SetAside
from bridge.laravel.broadcast_handler import Call
from bridge.serve.attempt import Attempt, Order
from bridge.serve.destinations import Destination
from tests.jobs.queue.stores import RETRY_AFTER, Store, broadcast
from tests.jobs.worker.test_loop import eventually

TO = {"pusher": Destination(app_id="1", master_key=None, event_bytes=1000)}
KNOWN = "known-"  # classes whose channels can be told beforehand


class Bench:
    """A worker on a store. Each job says its name, its class, its channels; who is `slow` takes long."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.sent: list[str] = []
        self.slow: dict[str, Future[object]] = {}
        self.fails_as: dict[str, Exception] = {}
        self.aside = SetAside()
        self.paused: list[str] = []
        self.queue: Queue = store.queue()
        self._attempt = Attempt(
            self._resolve_all, TO, self._publish, order=Order(aside=self.aside, channels=self._channels)
        )
        self.worker = Worker(
            self.queue,
            NoFailedJobs(),
            self._attempt,
            batch=50,
            retries=RetryPolicy(tries=3, backoff=(1, 5, 10)),
            hooks=WorkerHooks(clock=store.clock, paused=lambda: self.paused),
            state=WorkerState(aside=self.aside),
        )

    def push(self, name: str, *channels: str, of: str = "", slow: bool = False) -> None:
        """`of`: its class, or one of its own."""
        self.store.push(broadcast(displayName=of or name, name=name, channels=channels))
        if slow:
            self.slow[name] = Future()

    def end(self, name: str) -> None:
        self.slow[name].set_result(None)

    def _resolve_all(self, documents: Sequence[Mapping[str, object]]) -> list[Callable[[], Resolution]]:
        return [lambda document=document: self._resolve(document) for document in documents]  # type: ignore[misc]

    def _resolve(self, document: Mapping[str, object]) -> Resolution:
        name = document["name"]
        assert isinstance(name, str)
        if (answer := self.slow.get(name)) is not None:
            if not answer.done():
                raise Slow(name, answer)  # type: ignore[arg-type]
            if name in self.fails_as:
                raise self.fails_as.pop(name)
        channels = document["channels"]
        assert isinstance(channels, list)
        calls = (Call(connection="pusher", channels=tuple(channels), name=name, data="{}", socket=None),)
        return Resolution(outcome="broadcast", event=name, by="php", broadcasts=calls)

    def _channels(self, document: Mapping[str, object]) -> list[str] | None:
        channels = document["channels"]
        assert isinstance(channels, list)
        return channels if str(document["displayName"]).startswith(KNOWN) else None

    def _publish(self, broadcasts: Sequence[Broadcast]) -> None:
        self.sent += [one.name for one in broadcasts]


@pytest.fixture
def bench(store: Store) -> Iterator[Bench]:
    made = Bench(store)
    yield made
    for answer in made.slow.values():
        with contextlib.suppress(Exception):
            answer.set_result(None)
    assert made.worker.stop(60)


def test_others_go_on_and_the_slow_one_comes_when_it_is_done(bench: Bench) -> None:
    bench.push("slow", "a", slow=True)
    for number in range(5):
        bench.push(f"quick{number}", "b")
    bench.worker.start()
    eventually(lambda: len(bench.sent) == 5 and len(bench.store.payloads()) == 1)
    bench.end("slow")
    eventually(lambda: not bench.store.payloads())
    assert bench.sent == [*(f"quick{number}" for number in range(5)), "slow"]


def test_its_class_waits_where_its_channels_are_not_known(bench: Bench) -> None:
    bench.push("first", "a", of="Slow", slow=True)
    bench.push("second", "b", of="Slow")
    bench.push("other", "a", of="Other")
    bench.push("third", "c", of="Slow")
    bench.worker.start()
    eventually(lambda: bench.sent == ["other"])
    bench.push("fourth", "d", of="Slow")
    bench.push("last", "e", of="Other")
    eventually(lambda: bench.sent == ["other", "last"])
    eventually(lambda: bench.aside.waiting == 3)
    bench.end("first")
    eventually(lambda: not bench.store.payloads())
    assert bench.sent == ["other", "last", "first", "second", "third", "fourth"]


def test_only_its_channels_wait_where_they_are_known(bench: Bench) -> None:
    bench.push("first", "a", of=f"{KNOWN}Slow", slow=True)
    bench.push("elsewhere", "b", of=f"{KNOWN}Slow")
    bench.push("behind", "a", "c", of="Other")
    bench.push("behind it", "c", of="Third")
    bench.push("free", "d", of="Other")
    bench.worker.start()
    eventually(lambda: bench.sent == ["elsewhere", "free"])
    bench.end("first")
    eventually(lambda: not bench.store.payloads())
    assert bench.sent == ["elsewhere", "free", "first", "behind", "behind it"]


def test_who_waits_is_free_in_the_queue_and_was_not_tried(bench: Bench) -> None:
    bench.push("first", "a", of="Slow", slow=True)
    bench.push("second", "a", of="Slow")
    bench.worker.start()
    eventually(lambda: bench.aside.waiting == 1)
    eventually(lambda: bench.worker.counts["given_back"] == 1)
    (job,) = bench.store.queue().reserve(5)  # another worker
    assert (job.document["name"], job.attempts) == ("second", 1)
    bench.store.queue().delete([job])
    bench.end("first")
    eventually(lambda: not bench.store.payloads())
    assert bench.sent == ["first"]


def test_two_that_are_slow_end_by_themselves(bench: Bench) -> None:
    bench.push("one", "a", slow=True)
    bench.push("two", "b", slow=True)
    bench.push("three", "c")
    bench.push("behind two", "b", of="two")
    bench.worker.start()
    eventually(lambda: bench.sent == ["three"])
    bench.end("one")
    eventually(lambda: bench.sent == ["three", "one"])
    eventually(lambda: bench.aside.waiting == 1)
    bench.end("two")
    eventually(lambda: not bench.store.payloads())
    assert bench.sent == ["three", "one", "two", "behind two"]


def test_its_reservation_lasts_however_long_it_takes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge.jobs.worker.loop, "RENEWED", 1e-9)  # at each turn
    bench.push("slow", "a", slow=True)
    bench.worker.start()
    eventually(lambda: bench.aside)
    other = bench.store.queue()
    for _ in range(4):
        bench.store.clock.now += RETRY_AFTER - 1
        turn(bench)
        assert not other.reserve(1)
    bench.end("slow")
    eventually(lambda: not bench.store.payloads())
    assert bench.sent == ["slow"]
    assert bench.worker.counts["fenced"] == 0


def test_one_that_somebody_else_has_meanwhile_is_left_to_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge.jobs.worker.loop, "RENEWED", 1e9)  # never
    bench.push("slow", "a", slow=True)
    bench.worker.start()
    eventually(lambda: bench.aside)
    turn(bench)
    bench.paused = ["default"]  # or it might take the job itself, as redelivered
    turn(bench)
    bench.store.clock.now += RETRY_AFTER + 1
    (job,) = bench.store.queue().reserve(1)
    monkeypatch.setattr(bridge.jobs.worker.loop, "RENEWED", 1e-9)
    eventually(lambda: bench.worker.counts["fenced"] == 1)
    bench.end("slow")
    turn(bench)
    assert bench.sent == []
    assert bench.store.queue().delete([job]) == 1


def test_a_slow_one_that_fails_in_the_end_does_not_hold_up_those_behind(bench: Bench) -> None:
    bench.push("first", "a", of="Slow", slow=True)
    bench.push("second", "a", of="Slow")
    bench.fails_as["first"] = NotTried("PHP is away", pause=30)
    bench.worker.start()
    eventually(lambda: bench.aside.waiting == 1)
    bench.end("first")
    eventually(lambda: bench.sent == ["second"])
    bench.store.clock.now += 31
    eventually(lambda: not bench.store.payloads())
    assert bench.sent == ["second", "first"]


def test_a_stop_waits_for_the_slow_one_and_leaves_those_behind(bench: Bench) -> None:
    bench.push("first", "a", of="Slow", slow=True)
    bench.push("second", "a", of="Slow")
    bench.worker.start()
    eventually(lambda: bench.worker.counts["given_back"] == 1)
    ended: list[bool] = []
    stop = threading.Thread(target=lambda: ended.append(bench.worker.stop(60)))
    stop.start()
    eventually(lambda: bench.worker._stopping.is_set())
    bench.end("first")
    stop.join()
    assert ended == [True]
    assert bench.sent == ["first"]
    assert [json.loads(payload)["name"] for payload in bench.store.payloads()] == ["second"]
    (job,) = bench.store.queue().reserve(1)
    assert job.attempts == 1


def test_nothing_more_is_taken_where_too_many_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge.jobs.worker.set_aside, "MOST_WAITING", 2)
    bench.push("first", "a", of="Slow", slow=True)
    for number in range(4):
        bench.push(str(number), "a", of="Slow")
    bench.worker.start()
    eventually(lambda: bench.aside.is_full)
    taken = bench.worker.counts["reserved"]
    bench.push("other", "b")
    turn(bench)
    assert bench.worker.counts["reserved"] == taken
    bench.end("first")
    eventually(lambda: not bench.store.payloads())
    assert bench.sent == ["first", "0", "1", "2", "3", "other"]


def turn(bench: Bench) -> None:
    """The worker has looked at everything since."""
    turns = 0
    paused = bench.worker._paused

    def counting() -> Collection[str]:
        nonlocal turns
        turns += 1
        return paused()

    bench.worker._paused = counting
    eventually(lambda: turns > 2)
    bench.worker._paused = paused
