"""The channels that laravel-websockets' own debug page listens to, by a client with the page's subscriptions.

What is expected is what DashboardLogger of 1.14.1 and of 2.x says for the same.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from bridge.demo.app import APP_ID, DemoApp
from bridge.sockets.pusher import signatures
from tests.monitoring.dashboard.serving import PATIENCE, Served, serving

PREFIX = "private-websockets-dashboard-"
RELEASE_1 = (
    "disconnection",
    "connection",
    "vacated",
    "occupied",
    "subscribed",
    "client-message",
    "api-message",
)
RELEASE_2 = ("disconnected", "connected", "subscribed", "ws-message", "api-message")


class Client:
    def __init__(self, app: DemoApp, socket: ClientConnection) -> None:
        self.app = app
        self.socket = socket
        self.socket_id = json.loads(self.get("pusher:connection_established")["data"])["socket_id"]

    def get(self, event: str) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.socket.recv(timeout=PATIENCE))
        assert message["event"] == event, message
        return message

    def send(self, event: str, data: object, **extra: object) -> None:
        self.socket.send(json.dumps({"event": event, "data": data, **extra}))

    def subscribe(self, channel: str) -> None:
        text = signatures.subscription_text(self.socket_id, channel, None)
        auth = f"{self.app.key}:{signatures.sign(self.app.secret.reveal(), text)}"
        self.send("pusher:subscribe", {"channel": channel, "auth": auth})

    def told(self) -> list[dict[str, Any]]:
        """What the page has been told of the others so far, times and what it causes itself left out."""
        self.send("pusher:ping", {})
        told = []
        while (message := json.loads(self.socket.recv(timeout=PATIENCE)))["event"] != "pusher:pong":
            if message["event"] == "pusher_internal:subscription_succeeded":
                continue
            assert message["event"] == "log-message", message
            data = json.loads(message["data"])
            assert message["channel"] == PREFIX + data["type"]
            assert len(data.pop("time")) == len("12:34:56")
            if PREFIX not in json.dumps(data):
                told.append(data)
        return told


@contextlib.contextmanager
def client(served: Served) -> Iterator[Client]:
    url = f"{served.address}/app/{served.app.key}?protocol=7&client=js&version=8.4.0"
    with connect(url.replace("http", "ws", 1), open_timeout=PATIENCE, ping_interval=None) as socket:
        yield Client(served.app, socket)


def visit(served: Served) -> tuple[str, str]:
    """Somebody comes, subscribes, whispers and leaves, and an event comes over the API; two socket ids."""
    with client(served) as first, client(served) as second:
        for one in (first, second):
            one.subscribe("private-room")
            one.get("pusher_internal:subscription_succeeded")
        first.send("client-typing", {"by": "Ännchen"}, channel="private-room")
        second.get("client-typing")
        logged_in = served.logged_in()
        event = {"appId": APP_ID, "channel": "private-room", "event": "sent", "data": '{"n":1}'}
        answer = logged_in.post("/laravel-websockets/event", json=event)
        assert answer.is_success, answer.text
        for one in (first, second):
            one.get("sent")
        ids = first.socket_id, second.socket_id
    return ids


def seen(page: Client, *sockets: str) -> list[dict[str, Any]]:
    """What the page is told until it is told that these sockets are gone."""
    told: list[dict[str, Any]] = []
    gone = ""
    while not all(socket in gone for socket in sockets):
        told += page.told()
        gone = str([one for one in told if one["type"].startswith("disconnect")])
    return told


def lock(folder: Path, version: str | None) -> None:
    """The app's composer.lock has the package in this release, or has it not."""
    packages = [{"name": "beyondcode/laravel-websockets", "version": version}] if version else []
    (folder / "composer.lock").write_text(json.dumps({"packages": packages}))


def test_the_page_of_release_1_is_told(tmp_path: Path) -> None:
    with serving(
        tmp_path, legacy_dashboard="1", statistics_interval="1", create_statistics_table="1"
    ) as served:
        with client(served) as page:
            for channel in RELEASE_1:
                page.subscribe(PREFIX + channel)
            page.told()
            first, second = visit(served)
            told = seen(page, first, second)
            by_type = {kind: [one for one in told if one["type"] == kind] for kind in RELEASE_1}
            assert by_type == {
                "connection": [{"type": "connection", "socketId": one} for one in (first, second)],
                "occupied": [{"type": "occupied", "details": "Channel: private-room"}],
                "subscribed": [
                    {"type": "subscribed", "socketId": one, "details": "Channel: private-room"}
                    for one in (first, second)
                ],
                "client-message": [
                    {
                        "type": "client-message",
                        "details": "Channel: private-room, Event: client-typing",
                        "socketId": first,
                        "data": '{"event": "client-typing", "channel": "private-room", '
                        '"data": {"by": "Ännchen"}}',
                    }
                ],
                "api-message": [
                    {
                        "type": "api-message",
                        "details": "Channel: private-room, Event: sent",
                        "data": '{"n":1}',
                    }
                ],
                "vacated": [{"type": "vacated", "details": "Channel: private-room"}],
                "disconnection": by_type["disconnection"],
            }
            assert {one["socketId"] for one in by_type["disconnection"]} == {first, second}
        with client(served) as chart:
            chart.subscribe(PREFIX + "statistics")
            chart.get("pusher_internal:subscription_succeeded")
            data = json.loads(chart.get("statistics-updated")["data"])
            assert list(data) == [
                "time", "app_id", "peak_connection_count", "websocket_message_count", "api_message_count",
            ]  # fmt: skip
            assert data["app_id"] == APP_ID


def test_data_as_deep_as_clients_may_nest_them_make_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path, legacy_dashboard="1") as served, client(served) as page, client(served) as other:
        page.subscribe(PREFIX + "client-message")
        other.subscribe("private-room")
        page.told()
        for depth in range(900, 1_000, 5):
            data = "[" * depth + "]" * depth
            other.socket.send(f'{{"event":"client-x","channel":"private-room","data":{data}}}')
        other.send("pusher:ping", {})
        while json.loads(other.socket.recv(timeout=PATIENCE))["event"] != "pusher:pong":
            pass
        assert page.told(), "what is less deep is shown"
    assert "observer failed" not in caplog.text


def test_the_page_of_release_2_is_told(tmp_path: Path) -> None:
    with serving(tmp_path, legacy_dashboard="2") as served, client(served) as page:
        for channel in RELEASE_2:
            page.subscribe(PREFIX + channel)
        page.told()
        first, second = visit(served)
        told = {one["type"]: one["details"] for one in seen(page, first, second)}
        assert set(told) == set(RELEASE_2)
        assert told["connected"] == {"socketId": second}
        assert told["subscribed"] == {"socketId": second, "channel": "private-room"}
        assert told["ws-message"] == {
            "socketId": first,
            "event": "client-typing",
            "channel": "private-room",
            "data": {"event": "client-typing", "channel": "private-room", "data": {"by": "Ännchen"}},
        }
        assert told["api-message"] == {"event": "sent", "channel": "private-room", "payload": '{"n":1}'}


@pytest.mark.parametrize(("version", "is_fed"), [("1.14.1", True), ("2.0.0-beta.36", True), (None, False)])
def test_it_is_fed_where_the_package_is_installed(tmp_path: Path, version: str | None, is_fed: bool) -> None:
    with serving(tmp_path, lambda folder: lock(folder, version)) as served, client(served) as page:
        page.subscribe(PREFIX + "subscribed")
        page.told()
        with client(served) as other:
            other.subscribe("private-room")
            other.get("pusher_internal:subscription_succeeded")
            told = page.told()
            assert [one["type"] for one in told] == (["subscribed"] if is_fed else [])
            assert all(
                ("details" in one) is (version == "1.14.1") or "channel" in one["details"] for one in told
            )
