"""From the first line on stdout to exit 0, and what becomes of a job that cannot be delivered."""

from __future__ import annotations

import contextlib
import json
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.bridge import Bridge, bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import PATIENCE, listens, wait_until
from tests.end_to_end.stores import NOTHING, Left, Store
from tests.end_to_end.wire import wire_client
from tests.threads import repeatedly


def test_the_text_on_the_wire_is_laravels_byte_for_byte(app: Laravel, bridge: Bridge, tag: str) -> None:
    [public] = app.oracle("public", tag=tag)
    [private] = app.oracle("private", tag=tag)
    with wire_client(bridge.port, "ChatChannel", "private-orders.7") as client:
        app.dispatch("public", "private", tag=tag)
        wait_until("both are received", lambda: len(client.events()) >= 2)
        got = [(it.channel, it.event, it.data) for it in client.events()]
    assert got == [
        ("ChatChannel", public.name, public.data),
        ("private-orders.7", private.name, private.data),
    ]


def test_jobs_that_waited_before_the_start_are_delivered(app: Laravel, store: Store, tag: str) -> None:
    app.dispatch("private", tag=tag, count=50)
    with bridge_serve(app):
        wait_until("the queue is empty", lambda: store.left() == NOTHING)
    assert store.failed() == 0


@contextlib.contextmanager
def being_pushed(store: Store, pattern: str, tag: str) -> Iterator[list[int]]:
    """Jobs come while the block runs, each an event of its own, however slow the machine; how many so far."""
    known = json.loads(pattern)["uuid"]
    pushed = [0]

    def name(number: int) -> str:
        return f"{number:0{len(tag)}d}"  # as long as the tag, whose length stands in the payload

    def push() -> None:
        numbers = range(pushed[0], pushed[0] + 50)
        store.push(
            [pattern.replace(tag, name(number)).replace(known, str(uuid.uuid4())) for number in numbers]
        )
        pushed[0] += 50

    with repeatedly(push, 0.01):
        yield pushed


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_work_leaves_nothing_reserved_and_exits_0(
    app: Laravel, store: Store, tag: str, how: signal.Signals
) -> None:
    app.dispatch("line", tag=tag)
    [pattern] = store.payloads()
    store.clear()
    with (
        bridge_serve(app) as bridge,
        wire_client(bridge.port, "lines") as client,
        being_pushed(store, pattern, tag) as pushed,
    ):
        wait_until("delivery has begun", client.events)
        bridge.process.send_signal(how)
        assert bridge.process.wait(timeout=PATIENCE) == 0
        seen = pushed[0]
        wait_until("more has come than anybody takes", lambda: pushed[0] > seen)
        client.join()
        delivered = [it.data for it in client.events()]
        assert not listens(bridge.port)
    left = store.left()
    assert left.reserved == 0
    # what was delivered is gone from the queue, what was not is still there
    assert len(delivered) == len(set(delivered)) == pushed[0] - left.waiting
    assert store.failed() == 0


def test_clients_are_told_to_come_back_when_bridge_stops(app: Laravel, bridge: Bridge) -> None:
    with wire_client(bridge.port, "lines") as client:
        assert bridge.terminate() == 0
        client.join()
        assert client.close_code in {4100, 4200}  # both make pusher-js reconnect within a second


def test_other_jobs_are_left_as_they_are_if_told_so(app: Laravel, store: Store, tag: str) -> None:
    app.dispatch("plain", "line", "plain", tag=tag)
    with bridge_serve(app, "--other-jobs=leave") as bridge, wire_client(bridge.port, "lines"):
        wait_until("the broadcast is gone", lambda: store.left() == Left(waiting=2, reserved=0))
        assert bridge.terminate() == 0
    assert store.left() == Left(waiting=2, reserved=0)
    assert app.lines() == []
    with app.queue_work():
        wait_until("Laravel's worker ran them", lambda: store.left() == NOTHING)
    assert app.lines() == [f"{tag} 1", f"{tag} 1"]


def test_an_event_whose_class_is_gone_ends_in_failed_jobs_and_is_delivered_when_retried(
    app: Laravel, store: Store, tag: str, tmp_path: Path
) -> None:
    app.dispatch("vanishing", tag=tag)
    source, elsewhere = app.path / "app/Events/Vanishing.php", tmp_path / "Vanishing.php"
    source.rename(elsewhere)
    with bridge_serve(app) as bridge:
        wait_until("the job is in failed_jobs", store.failed)
        # the row is written first, then the job is deleted
        wait_until("it is gone from the queue", lambda: store.left() == NOTHING)
        assert bridge.terminate() == 0
    listed = app.artisan("queue:failed")
    assert listed.count(f"| {store.connection} ") == 1
    elsewhere.rename(source)
    with bridge_serve(app, name="bridge-again") as bridge, wire_client(bridge.port, "lines") as client:
        app.artisan("queue:retry", "all")
        wait_until("the event is delivered", client.events)
        assert [it.data for it in client.events()] == [f'{{"tag":"{tag}"}}']
        wait_until("the queue is empty", lambda: store.left() == NOTHING)
    assert store.failed() == 0
