"""What a user's page must see, on every store: the tests of test_echo_node.py and test_echo_browser.py."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from tests.end_to_end.bridge import bridge_serve
from tests.end_to_end.echo import Client, Driver, Place
from tests.end_to_end.laravel import Laravel, decoded
from tests.end_to_end.processes import wait_until
from tests.end_to_end.stores import NOTHING, Store

CHAT, ORDER, SECRET, LINE, MESSAGE, NOTICE = (
    ".App\\Events\\ChatEvent",
    "OrderShipped",  # Echo puts App.Events before it
    "SecretShared",
    "LineSaid",
    ".room.message",
    ".Illuminate\\Notifications\\Events\\BroadcastNotificationCreated",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Ann and Ben are connected and subscribed to everything that `App\\Cases` dispatches."""

    app: Laravel
    store: Store
    driver: Driver
    place: Place
    port: int
    web: str
    ann: Client
    ben: Client

    def visitor(self, user: str) -> Client:
        """One more connected client; the caller closes it."""
        client = self.driver.open(f"{user}-{uuid.uuid4().hex[:6]}", self.place, page=f"{self.web}/page")
        client.connect(port=self.port, app=self.web, user=user)
        return client

    def dispatched(self, case: str, tag: str) -> None:
        """The case has been queued by Laravel, and what was queued after it has reached both clients."""
        after = f"{tag}-after"
        self.app.dispatch(case, tag=tag)
        self.app.dispatch("line", tag=after)
        for client in (self.ann, self.ben):
            client.await_received(after)

    def equals_laravel(self, client: Client, case: str, tag: str, *, channel: str, event: str) -> None:
        """The client got what Laravel itself would send, once."""
        [sent] = self.app.oracle(case, tag=tag)
        got = [it for it in client.received(tag) if f"{tag}-after" not in json.dumps(it["data"])]
        assert got == [
            {
                "client": client.name,
                "happened": "event",
                "channel": channel,
                "event": event,
                "data": decoded(sent.data),
            }
        ]


@contextlib.contextmanager
def stage(store: Store, folder: Path, driver: Driver, place: Place) -> Iterator[Stage]:
    app = Laravel.create(folder / "app", store.settings)
    with app.web() as web, bridge_serve(app) as bridge:
        clients = []
        for user in ("Ann", "Ben"):
            client = driver.open(f"{user}-{uuid.uuid4().hex[:6]}", place, page=f"{web}/page")
            client.connect(port=bridge.port, app=web, user=user)
            client.listen("public", "ChatChannel", events=(CHAT,))
            client.listen("public", "lines", events=(LINE,))
            client.listen("private", "orders.7", events=(ORDER,), whispers=("typing",))
            client.listen("encrypted", "vault", events=(SECRET,))
            client.listen("presence", "room.4", events=(MESSAGE,), whispers=("typing",))
            clients.append(client)
        ann, ben = clients
        ann.listen("private", "App.Models.User.1", events=(NOTICE,))
        yield Stage(
            app=app, store=store, driver=driver, place=place, port=bridge.port, web=web, ann=ann, ben=ben
        )
        for client in clients:
            client.close()


class Delivery:
    """The fixture `stage` comes from the module that gives these tests a place."""

    def test_a_public_event_reaches_every_subscriber_once_as_laravel_would_send_it(
        self, stage: Stage, tag: str
    ) -> None:
        stage.dispatched("public", tag)
        for client in (stage.ann, stage.ben):
            stage.equals_laravel(client, "public", tag, channel="ChatChannel", event=CHAT)

    def test_a_private_event_reaches_every_subscriber_once_as_laravel_would_send_it(
        self, stage: Stage, tag: str
    ) -> None:
        stage.dispatched("private", tag)
        for client in (stage.ann, stage.ben):
            stage.equals_laravel(client, "private", tag, channel="orders.7", event=ORDER)

    def test_a_presence_event_reaches_every_member_once_as_laravel_would_send_it(
        self, stage: Stage, tag: str
    ) -> None:
        stage.dispatched("presence", tag)
        for client in (stage.ann, stage.ben):
            stage.equals_laravel(client, "presence", tag, channel="room.4", event=MESSAGE)

    def test_an_encrypted_event_is_opened_by_every_subscriber_and_equals_laravels(
        self, stage: Stage, tag: str
    ) -> None:
        stage.dispatched("encrypted", tag)
        for client in (stage.ann, stage.ben):
            stage.equals_laravel(client, "encrypted", tag, channel="vault", event=SECRET)

    def test_a_notification_reaches_its_user_alone(self, stage: Stage, tag: str) -> None:
        stage.dispatched("notification", tag)
        [sent] = stage.app.oracle("notification", tag=tag)
        [got] = [it for it in stage.ann.received(tag) if it["event"] == NOTICE]
        # every notification has an id of its own, so the oracle's is another
        assert {**got["data"], "id": ""} == {**decoded(sent.data), "id": ""}
        assert uuid.UUID(got["data"]["id"])
        assert not [it for it in stage.ben.received(tag) if it["event"] == NOTICE]

    def test_to_others_reaches_everybody_but_its_sender(self, stage: Stage, tag: str) -> None:
        socket_id = stage.ann.do("socket")["socket_id"]
        answer = httpx.post(
            f"{stage.web}/dispatch/to-others",
            data={"tag": tag},
            headers={"X-Socket-ID": socket_id},
            timeout=120,
        )
        assert answer.status_code == 204, answer.text
        stage.app.dispatch("line", tag=f"{tag}-after")
        for client in (stage.ann, stage.ben):
            client.await_received(f"{tag}-after")
        stage.equals_laravel(stage.ben, "to-others", tag, channel="lines", event=LINE)
        assert [it["data"]["tag"] for it in stage.ann.received(tag)] == [f"{tag}-after"]

    def test_a_whisper_reaches_the_others_of_the_channel_once_and_not_its_sender(
        self, stage: Stage, tag: str
    ) -> None:
        for channel in ("orders.7", "room.4"):
            stage.ann.whisper(channel, "typing", {"tag": tag, "text": "ä/\U0001f680"})
        stage.ann.catch_up()  # the server has read both
        stage.ben.catch_up()  # and what it wrote then is here
        assert [(it["channel"], it["event"], it["data"]) for it in stage.ben.received(tag)] == [
            ("orders.7", "typing", {"tag": tag, "text": "ä/\U0001f680"}),
            ("room.4", "typing", {"tag": tag, "text": "ä/\U0001f680"}),
        ]
        assert stage.ann.received(tag) == []

    def test_presence_says_who_is_here_who_joins_and_who_leaves(self, stage: Stage) -> None:
        cleo = stage.visitor("Cleo")
        try:
            cleo.listen("presence", "room.4")
            assert [it["members"] for it in cleo.saw("here")] == [["Ann", "Ben", "Cleo"]]
            for client in (stage.ann, stage.ben):
                wait_until("joining is told", partial(client.saw, "joining", member="Cleo"))
            cleo.leave("room.4")
            for client in (stage.ann, stage.ben):
                wait_until("leaving is told", partial(client.saw, "leaving", member="Cleo"))
                assert len(client.saw("joining", member="Cleo")) == 1
                assert len(client.saw("leaving", member="Cleo")) == 1
        finally:
            cleo.close()

    def test_nothing_is_left_in_the_queue(self, stage: Stage, tag: str) -> None:
        failed = stage.store.failed()
        stage.dispatched("private", tag)
        wait_until("the queue is empty", lambda: stage.store.left() == NOTHING)
        assert stage.store.failed() == failed
