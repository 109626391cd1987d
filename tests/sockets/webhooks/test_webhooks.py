"""Webhooks of a real server to a real server."""

import asyncio
import contextlib
import json
import logging
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pusher
import pytest

from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.hub_events import Occupied
from bridge.sockets.webhooks.events import Webhook
from bridge.sockets.webhooks.sender import SenderLimits
from bridge.sockets.webhooks.webhooks import Webhooks
from tests.sockets.server.running import APP, LIMIT, running, until
from tests.sockets.webhooks.receiver import Receiver, receiving

pytestmark = pytest.mark.anyio

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]  # the request's head → what is said to it

QUICK = SenderLimits(answer_timeout=LIMIT, first=0.02, longest=0.05)


@asynccontextmanager
async def posting(
    *webhooks: Webhook, app: App = APP, patience: SenderLimits = QUICK, delay: float = 0.0
) -> AsyncIterator[Webhooks]:
    hooks = Webhooks(patience=patience, delay=delay)
    hooks.serve([(app, webhooks)])
    try:
        yield hooks
    finally:
        await hooks.stop(within=LIMIT)


def occupied(*channels: str) -> Sequence[Occupied]:
    return [Occupied(app_id="app-id", channel=channel) for channel in channels]


async def test_everything_that_happens_to_clients_is_posted_signed_as_the_sdk_checks_it() -> None:
    app = replace(APP, subscription_count=True)
    with receiving() as receiver:
        async with posting(Webhook(url=receiver.url), app=app) as hooks, running(app) as server:
            server.node.observers = (hooks.observe,)
            async with server.client("cache-x") as client, server.client() as member:
                await client.get("pusher:cache_miss")
                await member.subscribe("presence-x", json.dumps({"user_id": "7"}))
                await member.get("pusher_internal:subscription_succeeded")
                await member.send("client-x", {"a": 1}, channel="presence-x")
                await until(lambda: "subscription_count cache-x" in receiver.names())
                socket_id = member.socket_id
            await until(lambda: "channel_vacated presence-x" in receiver.names())
    assert {(event["name"], event["channel"]) for event in receiver.events()} == {
        ("channel_occupied", "cache-x"),
        ("channel_vacated", "cache-x"),
        ("channel_occupied", "presence-x"),
        ("channel_vacated", "presence-x"),
        ("member_added", "presence-x"),
        ("member_removed", "presence-x"),
        ("cache_miss", "cache-x"),
        ("client_event", "presence-x"),
        ("subscription_count", "cache-x"),
    }
    (sent,) = [event for event in receiver.events() if event["name"] == "client_event"]
    assert sent == {
        "name": "client_event",
        "channel": "presence-x",
        "event": "client-x",
        "data": '{"a":1}',
        "socket_id": socket_id,
        "user_id": "7",
    }
    sdk = pusher.Pusher("1", APP.key, APP.secret)
    for headers, body in zip(receiver.headers, receiver.bodies, strict=True):
        assert headers["content-type"] == "application/json"
        key, signature = headers["x-pusher-key"], headers["x-pusher-signature"]
        assert sdk.validate_webhook(key, signature, body.decode()) == json.loads(body)
        assert sdk.validate_webhook(key, signature, body.decode() + " ") is None


async def test_what_happens_together_goes_together_and_in_order() -> None:
    channels = [f"c{number}" for number in range(250)]
    with receiving() as receiver:
        async with posting(Webhook(url=receiver.url)) as hooks:
            for event in occupied(*channels):
                hooks.observe(event)
    assert [len(events) for events in receiver.posted()] == [100, 100, 50]
    assert [event["channel"] for event in receiver.events()] == channels


@pytest.mark.parametrize("status", [302, 307, 400, 404, 410, 500, 503])
async def test_what_is_refused_is_posted_again_until_it_is_taken(status: int) -> None:
    with receiving() as receiver:
        receiver.answers = [status] * 3
        async with posting(Webhook(url=receiver.url)) as hooks:
            for event in occupied("first"):
                hooks.observe(event)
            await until(lambda: receiver.names() == ["channel_occupied first"])
            for event in occupied("second"):
                hooks.observe(event)
    assert receiver.names() == ["channel_occupied first", "channel_occupied second"]
    assert receiver.answers == []
    known = [(one.number, one.answer, one.outcome, dict(one.events)) for one in hooks.attempts]
    once = {"channel_occupied": 1}
    refused = [(number, f"answered {status}", "again", once) for number in (1, 2, 3)]
    assert known == [*refused, (4, "answered 200", "taken", once), (1, "answered 200", "taken", once)]


async def test_an_address_that_is_away_for_a_while_misses_nothing() -> None:
    with receiving() as receiver, socket.socket() as back:
        back.bind(("127.0.0.1", 0))  # refuses connections until it listens
        back.settimeout(LIMIT)
        away = Webhook(url=f"http://127.0.0.1:{back.getsockname()[1]}/")
        async with posting(away, Webhook(url=receiver.url)) as hooks:
            for event in occupied("news"):
                hooks.observe(event)
            await until(lambda: receiver.names() == ["channel_occupied news"])  # the others do not wait
            back.listen()
            taken, _ = await asyncio.to_thread(back.accept)
            request = await asyncio.to_thread(taken.recv, 65_536)
            taken.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert request.startswith(b"POST / ")
        taken.close()


async def test_an_address_that_never_takes_anything_loses_and_the_log_says_how_much(
    caplog: pytest.LogCaptureFixture,
) -> None:
    patience = replace(QUICK, give_up=0.0, max_waiting=5, summary=0.0)
    with receiving() as receiver:
        receiver.answers = [500] * 1_000
        hook = Webhook(url=receiver.url + "secret-path")
        async with posting(hook, patience=patience) as hooks:
            for event in occupied(*map(str, range(12))):
                hooks.observe(event)
    lost = [vars(record) for record in caplog.records if record.msg == "webhook events were lost"]
    assert sum(record["lost"] for record in lost) == 12
    assert {(one.number, one.outcome) for one in hooks.attempts} == {(1, "lost")}
    assert "secret-path" not in str(hooks.attempts)
    assert lost[-1]["why"] == "answered 500"
    assert {record["url"] for record in lost} == {receiver.url.rstrip("/")}
    assert all(record["levelno"] == logging.WARNING for record in lost)


async def test_losses_are_summed_up_rather_than_told_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    with receiving() as receiver:
        async with posting(Webhook(url=receiver.url), patience=replace(QUICK, max_waiting=1)) as hooks:
            for event in occupied(*map(str, range(50))):
                hooks.observe(event)
    lost = [vars(record)["lost"] for record in caplog.records if record.msg == "webhook events were lost"]
    assert sum(lost) == 49
    assert len(lost) == 2


async def test_a_stop_posts_what_is_pending_and_does_not_wait_for_ever() -> None:
    with receiving() as receiver:
        hooks = Webhooks(patience=QUICK, delay=LIMIT)
        hooks.serve([(APP, [Webhook(url=receiver.url)])])
        async with running() as server:
            server.node.observers = (hooks.observe,)
            async with server.client("news"):
                pass
            await until(lambda: not server.node.hubs["app-id"].channels)
        await hooks.stop(within=LIMIT)
        assert receiver.names() == ["channel_occupied news", "channel_vacated news"]
        receiver.answers = [500] * 1_000
        stuck = Webhooks(patience=replace(QUICK, give_up=LIMIT * 10))
        stuck.serve([(APP, [Webhook(url=receiver.url)])])
        stuck.observe(occupied("news")[0])
        started = asyncio.get_running_loop().time()
        await stuck.stop(within=0.2)
        assert asyncio.get_running_loop().time() - started < LIMIT


async def test_a_page_that_is_loaded_again_posts_nothing() -> None:
    with receiving() as receiver:
        async with posting(Webhook(url=receiver.url), delay=LIMIT) as hooks, running() as server:
            server.node.observers = (hooks.observe,)
            async with server.client("presence-x") as first:
                user = json.dumps({"user_id": "7"})
                await first.subscribe("presence-y", user)
                await first.get("pusher_internal:subscription_succeeded")
            await until(lambda: not server.node.hubs["app-id"].channels)
            async with server.client() as again:
                await again.subscribe("presence-y", user)
                await again.get("pusher_internal:subscription_succeeded")
                await until(lambda: len(receiver.events()) >= 4)
    names = receiver.names()
    assert names.count("channel_occupied presence-y") == 1
    assert names.count("member_added presence-y") == 1
    assert names.count("channel_vacated presence-x") == 1


def header(receiver: Receiver, name: str) -> set[str]:
    return {headers[name] for headers in receiver.headers}


async def test_addresses_come_and_go_and_a_new_secret_signs_from_then_on() -> None:
    with receiving() as first, receiving() as second:
        old = Webhook(url=first.url, headers=(("Authorization", "Bearer x"),))
        async with posting(old) as hooks:
            hooks.observe(occupied("a")[0])
            await until(lambda: first.names() == ["channel_occupied a"])
            renewed = replace(APP, secret="new-secret")
            hooks.serve([(renewed, [old, Webhook(url=second.url)])])
            hooks.observe(occupied("b")[0])
            await until(lambda: first.names()[1:] == second.names() == ["channel_occupied b"])
            sdk: Any = pusher.Pusher("1", APP.key, "new-secret")
            body, signature = second.bodies[0].decode(), second.headers[0]["x-pusher-signature"]
            assert sdk.validate_webhook(APP.key, signature, body)
            hooks.serve([(renewed, [Webhook(url=second.url)])])
            hooks.observe(occupied("c")[0])
            await until(lambda: second.names() == ["channel_occupied b", "channel_occupied c"])
        assert len(first.names()) == 2
        assert header(first, "authorization") == {"Bearer x"}


async def test_apps_without_webhooks_cost_nothing() -> None:
    hooks = Webhooks()
    hooks.observe(occupied("news")[0])
    await hooks.stop(within=LIMIT)


@asynccontextmanager
async def speaking(answer: Answer) -> AsyncIterator[str]:
    """The address of a server that does with each connection as `answer` says; it has read the request."""
    here: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        here.add(task)
        # uvloop raises a RuntimeError where the client is gone
        with contextlib.suppress(OSError, EOFError, RuntimeError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                (length,) = re.findall(rb"(?i)content-length: (\d+)", head)
                await reader.readexactly(int(length))
                await answer(head, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in here:
            task.cancel()
        await asyncio.gather(*here, return_exceptions=True)


async def endless_hints(head: bytes, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 10)
        await writer.drain()
        await asyncio.sleep(0.01)


async def endless_head(head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Still: here\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("answer", [endless_hints, endless_head])
@pytest.mark.parametrize("within", [None, ("127.0.0.0/8",)], ids=["anywhere", "within"])
async def test_an_answer_that_never_begins_is_none_however_much_comes(
    answer: Answer, within: tuple[str, ...] | None, caplog: pytest.LogCaptureFixture
) -> None:
    patience = SenderLimits(answer_timeout=0.5, first=0.02, longest=0.02, give_up=0.1, summary=0.0)
    async with (
        speaking(answer) as url,
        posting(Webhook(url=url, within=within), patience=patience) as hooks,
    ):
        with caplog.at_level(logging.WARNING):
            hooks.observe(occupied("x")[0])
            await until(lambda: "webhook events were lost" in caplog.text)
    lost = [vars(record) for record in caplog.records if record.msg == "webhook events were lost"]
    assert {record["why"] for record in lost} == {"TimeoutError"}


@pytest.mark.parametrize(
    "location", [b"http://xn--0.xn--a/", b"http://[::1", b"http://\xff/", b"data:x", b"\x01", b"//"]
)
async def test_no_redirect_ends_the_sender(location: bytes) -> None:
    seen: list[bytes] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(head)
        status = b"302 Found\r\nLocation: " + location if len(seen) == 1 else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    async with speaking(answer) as url, posting(Webhook(url=url)) as hooks:
        hooks.observe(occupied("x")[0])
        await until(lambda: len(seen) == 2)


@pytest.mark.parametrize("within", [None, ("127.0.0.0/8",)], ids=["anywhere", "within"])
async def test_slow_addresses_take_no_connection_from_others(within: tuple[str, ...] | None) -> None:
    slow: set[bytes] = set()

    async def wait(head: bytes, writer: asyncio.StreamWriter) -> None:
        slow.add(head.partition(b"\r\n")[0])  # each has its own path
        await asyncio.Event().wait()

    async with speaking(wait) as url:
        others = [Webhook(url=f"{url}{n}", within=within) for n in range(120)]
        with receiving() as receiver:
            own = Webhook(url=receiver.url, within=within, prefixes=("later",))
            async with posting(*others, own) as hooks:
                hooks.observe(occupied("x")[0])
                await until(lambda: len(slow) == len(others))
                hooks.observe(occupied("later")[0])
                await until(lambda: receiver.names() == ["channel_occupied later"])
                hooks.serve([])


@pytest.mark.parametrize("within", [None, ("127.0.0.0/8",)], ids=["anywhere", "within"])
async def test_no_cookie_is_kept(within: tuple[str, ...] | None) -> None:
    seen: list[bytes] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(head)
        status = b"503 Later\r\nSet-Cookie: a=b" if len(seen) == 1 else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    async with speaking(answer) as url, posting(Webhook(url=url, within=within)) as hooks:
        hooks.observe(occupied("x")[0])
        await until(lambda: len(seen) == 2)
    assert b"cookie" not in seen[1].lower()
