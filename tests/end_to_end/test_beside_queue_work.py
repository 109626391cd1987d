"""Two bridges and one real `queue:work` on one queue: each takes what it can, nobody loses a job."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests import services
from tests.end_to_end.bridge import bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import wait_until
from tests.end_to_end.stores import NOTHING, Store, sql_store
from tests.end_to_end.wire import WireClient, wire_client
from tests.services import free_port

JOBS = 5000
PLAIN_EVERY = 5  # 80 % broadcasts


@pytest.mark.parametrize("store", ["mariadb", "redis"], indirect=True)
def test_each_broadcast_is_delivered_and_no_other_job_is_lost_or_run_twice(
    app: Laravel, store: Store, tag: str
) -> None:
    plain = {f"{tag} {number}" for number in range(PLAIN_EVERY, JOBS + 1, PLAIN_EVERY)}
    broadcasts = {number for number in range(1, JOBS + 1) if number % PLAIN_EVERY}
    with (
        bridge_serve(app, name="first") as first,
        bridge_serve(app, port=free_port(), name="second") as second,
        wire_client(first.port, "lines") as of_first,
        wire_client(second.port, "lines") as of_second,
        # its Pusher client posts to the first bridge, as .env says
        app.queue_work("--sleep=0.1", "--tries=3"),
    ):
        app.dispatch("line", tag=tag, count=JOBS, plain_every=PLAIN_EVERY)
        wait_until("the queue is empty", lambda: store.left() == NOTHING, timeout=200)
        wait_until("the last message is here", lambda: not broadcasts - set(numbers(of_first, of_second)))
        delivered = Counter(numbers(of_first, of_second))
        ran = Counter(app.lines())
        for _ in range(10):  # one that stood still meanwhile has its part in what comes then
            if of_first.events() and of_second.events():
                break
            app.dispatch("line", tag=tag, count=500)
            wait_until("the queue is empty", lambda: store.left() == NOTHING, timeout=200)
        taken = {"first": len(of_first.events()), "second": len(of_second.events())}
        assert second.terminate() == 0
        assert first.terminate() == 0
    assert min(taken.values()) > 0, f"one bridge had no part in it: {taken}"
    assert set(delivered) == broadcasts
    assert {number: times for number, times in delivered.items() if times > 1} == {}
    assert set(ran) == plain
    assert {line: times for line, times in ran.items() if times > 1} == {}
    assert store.failed() == 0


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_what_queue_work_posts_to_the_http_api_is_delivered_as_it_is(
    app: Laravel, store: Store, tag: str, tmp_path: Path
) -> None:
    with services.sqlite(tmp_path) as empty, sql_store("sqlite", empty) as elsewhere:
        beside = Laravel.create(tmp_path / "beside", elsewhere.settings, port=app.port)
        with (
            bridge_serve(beside) as bridge,
            wire_client(bridge.port, "ChatChannel", "private-orders.7") as client,
            app.queue_work("--sleep=0.1"),
        ):
            app.dispatch("public", "private", tag=tag)
            wait_until("both are received", lambda: len(client.events()) >= 2)
            got = [(it.channel, it.event, it.data) for it in client.events()]
    sent = [*app.oracle("public", tag=tag), *app.oracle("private", tag=tag)]
    assert got == [(*it.channels, it.name, it.data) for it in sent]
    assert store.failed() == 0


def numbers(*clients: WireClient) -> list[int]:
    """The numbers of the events that these clients received, each as often as it came."""
    return [json.loads(it.data)["number"] for client in clients for it in client.events()]
