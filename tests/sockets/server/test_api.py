import asyncio
import json
import time
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from bridge.sockets.pusher.app import App, Limits
from bridge.sockets.pusher.channels import kind_of
from bridge.sockets.pusher.hub import Channel
from bridge.sockets.pusher.hub_events import ApiCalled, Published
from bridge.sockets.server.api import get_channels
from bridge.sockets.server.occupancy import SLICE
from bridge.sockets.server.signed_endpoint import Call
from tests.sockets.server.running import APP, LIMIT, Running, running, signed, until

pytestmark = pytest.mark.anyio


def event(**fields: Any) -> dict[str, Any]:
    return {"name": "App\\Events\\X", "channels": ["news"], "data": '{"a":"\\u00e4\\/"}', **fields}


async def test_an_event_is_delivered_as_posted_and_answered_with_an_object() -> None:
    async with running() as server, server.client("news", "private-a") as client:
        answer = await server.request("POST", "/apps/app-id/events", event(channels=["private-a", "news"]))
        assert (answer.status_code, answer.text) == (200, "{}")
        assert answer.headers["content-type"] == "application/json"
        for channel in ("private-a", "news"):
            assert await client.get() == {
                "event": "App\\Events\\X",
                "channel": channel,
                "data": '{"a":"\\u00e4\\/"}',
            }
        (told,) = [told for told in server.hub_events if isinstance(told, Published)]
        assert (told.origin, told.receivers) == ("api", 2)


async def test_what_a_refused_call_was_told_is_told_to_observers_too() -> None:
    async with running() as server:
        answers = [
            await server.request("POST", "/apps/app-id/events", event(), sign=sign) for sign in (True, False)
        ]
        assert [answer.status_code for answer in answers] == [200, 401]

        def calls() -> list[ApiCalled]:
            return [told for told in server.hub_events if isinstance(told, ApiCalled)]

        await until(lambda: len(calls()) == 2)
        assert [(call.status, call.reason) for call in calls()] == [(200, ""), (401, answers[1].text)]
        assert answers[1].text


async def test_a_refused_call_is_logged_with_the_id_that_it_came_with(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", logger="bridge.sockets.server.api_observer")
    async with running() as server, httpx.AsyncClient(timeout=LIMIT) as client:
        url = f"http://127.0.0.1:{server.port}/apps/app-id/events"
        for id in ("4bf9-2f35", "x" * 200, "a b\tc"):
            assert (await client.post(url, json={}, headers={"X-Request-ID": id})).status_code == 401
        await until(lambda: len(caplog.records) == 3)
    assert [getattr(line, "request_id", None) for line in caplog.records] == ["4bf9-2f35", None, None]


async def test_the_excepted_socket_and_a_single_channel_field() -> None:
    body = event(channel="news")
    del body["channels"]
    async with running() as server, server.client("news") as sender, server.client("news") as other:
        answer = await server.request("POST", "/apps/app-id/events", {**body, "socket_id": sender.socket_id})
        assert answer.status_code == 200
        assert (await other.get())["channel"] == "news"
        await sender.silence()


async def test_info_of_an_event_tells_the_channels_asked_for() -> None:
    async with running() as server, server.client("presence-a", "news"):
        body = event(channels=["presence-a", "news", "empty"], info="user_count,subscription_count")
        answer = await server.request("POST", "/apps/app-id/events", body)
        assert answer.json() == {
            "channels": {
                "presence-a": {"user_count": 1, "subscription_count": 1},
                "news": {"subscription_count": 1},
                "empty": {"subscription_count": 0},
            }
        }


@pytest.mark.parametrize(
    ("fields", "status", "word"),
    [
        ({"name": ""}, 400, "name"),
        ({"name": 7}, 400, "name"),
        ({"name": "x" * 201}, 400, "name"),
        ({"data": {"a": 1}}, 400, "data"),
        ({"data": None}, 400, "data"),
        ({"data": "x" * 10_241}, 413, "data"),
        ({"channels": []}, 400, "channels"),
        ({"channels": "news"}, 400, "channels"),
        ({"channels": [7]}, 400, "channels"),
        ({"channels": ["a b"]}, 400, "channels"),
        ({"channels": ["x"] * 101}, 400, "channels"),
        ({"channels": ["private-encrypted-a", "news"]}, 400, "encrypted"),
        ({"socket_id": "1.1\n"}, 400, "socket_id"),
        ({"socket_id": "undefined"}, 400, "socket_id"),
        ({"info": 7}, 400, "info"),
    ],
)
async def test_a_bad_field_is_named_in_one_line(fields: dict[str, Any], status: int, word: str) -> None:
    async with running() as server, server.client("news") as client:
        answer = await server.request("POST", "/apps/app-id/events", event(**fields))
        assert answer.status_code == status
        assert word in answer.text
        assert "\n" not in answer.text
        if "info" not in fields:
            await client.silence()


@pytest.mark.parametrize("body", [b"nonsense", b"[]", b"\xff", b"[" * 60_000])
async def test_a_body_that_is_no_json_object_is_400(body: bytes) -> None:
    async with running() as server:
        answer = await server.request("POST", "/apps/app-id/events", body)
        assert answer.status_code == 400


async def test_a_body_that_is_too_large_is_413_and_not_read() -> None:
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"POST /apps/app-id/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
            + b"x" * 1_000
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n"), LIMIT)
        assert b" 413 " in head
        writer.close()
        await writer.wait_closed()


async def test_a_chunked_body_is_taken_up_to_the_limit() -> None:
    body = json.dumps({"name": "x", "channels": ["news"], "data": "{}"}).encode()

    async def post(body: bytes) -> httpx.Response:
        async def chunks() -> Any:
            for at in range(0, len(body), 7_000):
                yield body[at : at + 7_000]

        query = signed(APP, "POST", "/apps/app-id/events", body, {})
        async with httpx.AsyncClient(timeout=LIMIT) as http:
            url = f"http://127.0.0.1:{server.port}/apps/app-id/events"
            return await http.post(url, params=query, content=chunks())

    async with running() as server, server.client("news") as client:
        assert (await post(body)).text == "{}"
        await client.get("x")
        assert (await post(b" " * (256_000 - len(body)) + body)).text == "{}"
        await client.get("x")
        answer = await post(b" " * (256_001 - len(body)) + body)
        assert (answer.status_code, answer.text) == (413, "the body is larger than 256000 bytes")
        await client.silence()


async def test_a_batch_is_delivered_in_order_with_its_infos() -> None:
    async with running() as server, server.client("news", "presence-a") as client:
        batch = [
            {"name": "one", "channel": "news", "data": "1"},
            {"name": "two", "channel": "presence-a", "data": "2", "info": "user_count"},
            {"name": "three", "channel": "news", "data": "3", "socket_id": client.socket_id},
        ]
        answer = await server.request("POST", "/apps/app-id/batch_events", {"batch": batch})
        assert answer.json() == {"batch": [{}, {"user_count": 1}, {}]}
        assert [(await client.get())["event"] for _ in range(2)] == ["one", "two"]
        await client.silence()
        plain = await server.request("POST", "/apps/app-id/batch_events", {"batch": batch[:1]})
        assert plain.text == "{}"


@pytest.mark.parametrize(
    "batch", [None, {}, [7], [{"name": "x", "channel": "a", "data": ""}] * 11, [{"channel": "a", "data": ""}]]
)
async def test_a_bad_batch_delivers_nothing(batch: Any) -> None:
    async with running() as server:
        answer = await server.request("POST", "/apps/app-id/batch_events", {"batch": batch})
        assert answer.status_code == 400
        assert not any(isinstance(told, Published) for told in server.hub_events)


async def test_channels_lists_the_occupied_ones() -> None:
    async with running() as server, server.client("presence-a", "news"):
        empty = await server.request("GET", "/apps/app-id/channels", filter_by_prefix="private-")
        assert empty.json() == {"channels": {}}
        every = await server.request("GET", "/apps/app-id/channels", info="subscription_count")
        assert every.json() == {
            "channels": {"presence-a": {"subscription_count": 1}, "news": {"subscription_count": 1}}
        }
        users = await server.request(
            "GET", "/apps/app-id/channels", filter_by_prefix="presence-", info="user_count"
        )
        assert users.json() == {"channels": {"presence-a": {"user_count": 1}}}
        refused = await server.request("GET", "/apps/app-id/channels", info="user_count")
        assert refused.status_code == 400


async def test_a_channel_is_described_also_when_it_is_empty() -> None:
    async with running() as server, server.client("presence-a"):
        get = server.request
        occupied = await get("GET", "/apps/app-id/channels/presence-a", info="user_count,subscription_count")
        assert occupied.json() == {"occupied": True, "user_count": 1, "subscription_count": 1}
        assert (await get("GET", "/apps/app-id/channels/news")).json() == {"occupied": False}
        assert (await get("GET", "/apps/app-id/channels/news", info="user_count")).status_code == 400
        assert (await get("GET", "/apps/app-id/channels/news", info="cache")).status_code == 400


async def test_a_cache_channel_shows_its_last_event() -> None:
    async with running() as server:
        assert (await server.request("GET", "/apps/app-id/channels/cache-a", info="cache")).json() == {
            "occupied": False,
            "cache": None,
        }
        server.publish("cache-a", data="kept")
        answer = await server.request("GET", "/apps/app-id/channels/cache-a", info="cache")
        cache = answer.json()["cache"]
        assert cache["data"] == "kept"
        assert 1_000 <= cache["ttl"] <= 1_800


@pytest.mark.parametrize("slice_size", [SLICE, 1])
async def test_users_of_a_presence_channel(monkeypatch: pytest.MonkeyPatch, slice_size: int) -> None:
    monkeypatch.setattr("bridge.sockets.server.occupancy.SLICE", slice_size)
    async with running() as server, server.client() as one, server.client() as two:
        for client, user_id in ((one, "7"), (two, "8")):
            await client.subscribe("presence-a", json.dumps({"user_id": user_id}))
            await client.get("pusher_internal:subscription_succeeded")
        answer = await server.request("GET", "/apps/app-id/channels/presence-a/users")
        assert answer.json() == {"users": [{"id": "7"}, {"id": "8"}]}
        assert (await server.request("GET", "/apps/app-id/channels/news/users")).status_code == 400
        assert (await server.request("GET", "/apps/app-id/connections")).json() == {"connections": 2}


async def test_terminating_a_user_closes_its_connections_with_4009_and_no_others() -> None:
    async with running() as server, server.client() as one, server.client() as two:
        for client, user_id in ((one, "7"), (two, "8")):
            await client.subscribe("presence-a", json.dumps({"user_id": user_id}))
            await client.get("pusher_internal:subscription_succeeded")
        answer = await server.request("POST", "/apps/app-id/users/7/terminate_connections", {})
        assert answer.text == "{}"
        await one.get("pusher_internal:member_added")
        assert await one.close_code() == 4009
        await two.get("pusher_internal:member_removed")
        await two.silence()


# Signatures


async def test_an_unsigned_request_is_401_and_names_what_is_missing() -> None:
    async with running() as server:
        answer = await server.request("POST", "/apps/app-id/events", event(), sign=False)
        assert (answer.status_code, answer.text) == (401, "auth_key is missing")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/events"),
        ("POST", "/batch_events"),
        ("GET", "/channels"),
        ("GET", "/channels/news"),
        ("GET", "/channels/presence-a/users"),
        ("GET", "/connections"),
        ("POST", "/users/1/terminate_connections"),
    ],
)
async def test_every_endpoint_asks_for_the_signature(method: str, path: str) -> None:
    async with running() as server:
        body = b"{}" if method == "POST" else None
        answer = await server.request(method, f"/apps/app-id{path}", body, sign=False)
        assert answer.status_code == 401


async def send_signed(server: Running, content: bytes, parameters: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=LIMIT) as client:
        return await client.post("/apps/app-id/events", params=parameters, content=content)


async def test_a_request_that_was_changed_after_signing_is_401() -> None:
    content = json.dumps(event()).encode()
    path = "/apps/app-id/events"
    async with running() as server:
        good = signed(APP, "POST", path, content, {})
        assert (await send_signed(server, content, good)).status_code == 200
        for changed in (
            {**good, "auth_signature": "0" * 64},
            {**good, "auth_key": "other"},
            {**good, "extra": "1"},
            signed(replace(APP, secret="other"), "POST", path, content, {}),
            signed(APP, "GET", path, content, {}),
            signed(APP, "POST", path + "/", content, {}),
            signed(APP, "POST", path, content, {}, now=time.time() - 700),
            signed(APP, "POST", path, content, {}, now=time.time() + 700),
        ):
            assert (await send_signed(server, content, changed)).status_code == 401
        answer = await send_signed(server, content.replace(b"news", b"olds"), good)
        assert (answer.status_code, answer.text) == (401, "body_md5 is not that of the body")


async def test_a_previous_secret_still_signs() -> None:
    async with running(replace(APP, secret="new", previous_secrets=("app-secret",))) as server:
        content = json.dumps(event()).encode()
        parameters = signed(APP, "POST", "/apps/app-id/events", content, {})
        assert (await send_signed(server, content, parameters)).status_code == 200


async def test_an_unknown_app_is_404_and_a_wrong_method_405() -> None:
    async with running() as server:
        assert (await server.request("POST", "/apps/other/events", event())).status_code == 404
        assert (await server.request("GET", "/apps/app-id/events")).status_code == 405


# The rest


async def test_up_and_ready() -> None:
    async with running(ready=lambda: {"ready": True, "queue": "ok"}) as server:
        up = await server.request("GET", "/up", sign=False)
        assert (up.status_code, up.json()) == (200, {"health": "OK"})
        ready = await server.request("GET", "/ready", sign=False)
        assert (ready.status_code, ready.json()) == (200, {"ready": True, "queue": "ok", "draining": False})
        server.node.is_draining = True
        draining = await server.request("GET", "/ready", sign=False)
        assert (draining.status_code, draining.json()["ready"]) == (503, False)


async def test_not_ready_is_503_with_the_reasons() -> None:
    async with running(ready=lambda: {"ready": False, "queue": "does not answer"}) as server:
        answer = await server.request("GET", "/ready", sign=False)
        assert answer.status_code == 503
        assert answer.json()["queue"] == "does not answer"


async def test_a_plain_get_of_the_websocket_address_is_told_to_upgrade() -> None:
    async with running() as server:
        answer = await server.request("GET", "/app/app-key", sign=False)
        assert answer.status_code == 426
        assert answer.headers["upgrade"] == "websocket"
        assert "pusher-js" in answer.text


# Rates


@pytest.mark.parametrize(
    ("limits", "method", "path", "other_method", "other_path"),
    [
        (Limits(api_requests_per_second=2), "POST", "/events", "GET", "/connections"),
        (Limits(api_reads_per_second=2), "GET", "/connections", "POST", "/events"),
    ],
)
async def test_too_many_requests_of_an_app_are_429_and_say_when_to_come_again(
    limits: Limits, method: str, path: str, other_method: str, other_path: str
) -> None:
    other_app = App(id="other-id", key="other-key", secret="other-secret")
    async with running(replace(APP, limits=limits), apps=[other_app]) as server:
        server.stop_clock()

        async def answer(method: str, path: str) -> httpx.Response:
            return await server.request(method, f"/apps/app-id{path}", event() if method == "POST" else None)

        assert [(await answer(method, path)).status_code for _ in range(3)] == [200, 200, 429]
        refused = await answer(method, path)
        assert refused.headers["retry-after"] == "1"
        assert "too many requests" in refused.text
        assert (await answer(other_method, other_path)).status_code == 200


async def test_requests_that_are_not_signed_use_up_nothing() -> None:
    async with running(replace(APP, limits=Limits(api_reads_per_second=1))) as server:
        server.stop_clock()
        for _ in range(3):
            assert (await server.request("GET", "/apps/app-id/channels", sign=False)).status_code == 401
        assert (await server.request("GET", "/apps/app-id/channels")).status_code == 200


async def test_an_app_that_is_switched_off_is_403() -> None:
    async with running(replace(APP, enabled=False)) as server:
        answer = await server.request("POST", "/apps/app-id/events", event())
        assert (answer.status_code, answer.text) == (403, "this app is switched off")


async def test_error_texts_say_what_client_libraries_look_for() -> None:
    event = {"name": "x", "channel": "news", "data": "x" * 10_241}
    async with running() as server, server.client("news") as client:
        answer = await server.request("POST", "/apps/app-id/batch_events", {"batch": [event]})
        assert answer.status_code == 413
        assert "content of this event" in answer.text
        assert "10240" in answer.text
        answer = await server.request("POST", "/apps/app-id/batch_events", {"batch": [event] * 11})
        assert answer.status_code == 400
        assert "Batch too large" in answer.text
        assert "10" in answer.text
        await client.silence()


async def test_an_empty_socket_id_excepts_nobody() -> None:
    event = {"name": "x", "channel": "news", "data": "{}", "socket_id": ""}
    async with running() as server, server.client("news") as client:
        assert (await server.request("POST", "/apps/app-id/events", event)).text == "{}"
        await client.get("x")


async def test_a_request_may_be_as_large_as_its_largest_event() -> None:
    app = replace(APP, limits=Limits(event_bytes=400_000))
    data = '"' * 400_000  # each is two bytes once it is escaped
    async with running(app) as server, server.client("news", max_size=None) as client:
        event = {"name": "x", "channel": "news", "data": data}
        assert (await server.request("POST", "/apps/app-id/events", event)).text == "{}"
        assert (await client.get("x"))["data"] == data


async def test_events_that_come_together_are_answered_and_published_in_order() -> None:
    """Requests behind one that is slow, and events that are refused, take the long way: the order stays."""
    async with running() as server, server.client("news") as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

        def post(number: int, **fields: object) -> bytes:
            body = json.dumps({"name": "e", "channel": "news", "data": str(number), **fields}).encode()
            query = urlencode(signed(server.app, "POST", "/apps/app-id/events", body, {}))
            head = (
                f"POST /apps/app-id/events?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            return head.encode() + body

        requests = [
            post(0),
            b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n",
            post(1),
            post(2, info="subscription_count"),
            post(3, data=4),
            post(5),
            post(6).replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n"),
        ]
        writer.write(b"".join(requests))
        answers = (await asyncio.wait_for(reader.read(), LIMIT)).split(b"HTTP/1.1 ")[1:]
        assert [answer[:3] for answer in answers] == [b"200", b"200", b"200", b"200", b"400", b"200", b"200"]
        bodies = [answer.partition(b"\r\n\r\n")[2] for answer in answers]
        assert bodies[:4] == [
            b"{}",
            b'{"health":"OK"}',
            b"{}",
            b'{"channels":{"news":{"subscription_count":1}}}',
        ]
        assert bodies[5:] == [b"{}", b"{}"]
        assert b"connection: close" in answers[-1]
        assert all(b"content-type: application/json\r\n" in answers[at] for at in (0, 2, 5))
        assert [(await client.get())["data"] for _ in range(5)] == ["0", "1", "2", "5", "6"]
        await client.silence()
        calls = [event for event in server.hub_events if type(event) is ApiCalled]
        assert [call.status for call in calls] == [200, 200, 200, 400, 200, 200]
        assert {(call.app_id, call.method, call.path) for call in calls} == {("app-id", "POST", "/events")}
        writer.close()
        await writer.wait_closed()


async def test_the_loop_goes_on_while_many_channels_are_listed() -> None:
    async with running() as server, server.client():
        hub = server.node.hubs[APP.id]
        [socket] = hub.sockets.values()
        names = [f"c{number}" for number in range(20_000)]
        for name in names:
            hub.channels[name] = Channel(name, kind_of(name))
            hub.channels[name].add(socket, None)
        call = Call(node=server.node, hub=hub, query={"info": "subscription_count"}, path={}, body={})
        listing = asyncio.ensure_future(get_channels(call))
        turns = 0
        while not listing.done():
            await asyncio.sleep(0)
            turns += 1
        assert json.loads(listing.result()) == {
            "channels": {name: {"subscription_count": 1} for name in names}
        }
        assert turns > len(names) / SLICE
        for name in names:
            del hub.channels[name]
