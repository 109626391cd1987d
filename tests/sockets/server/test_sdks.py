"""The server SDKs of PyPI and npm against a server that listens; what they publish arrives."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import nacl.secret
import pytest

from bridge.sockets.pusher import signatures
from bridge.sockets.pusher.app import App
from tests.sockets.server.running import Client, Running, running
from tests.sockets.server.sdks import MASTER_KEY, Failed, Node, Sdk, sdk

APP = App(id="4711", key="app-key", secret="app-secret")  # PyPI's takes numbers only
pytestmark = pytest.mark.anyio
both = pytest.mark.parametrize("kind", ["python", "node"])


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@asynccontextmanager
async def started(kind: str) -> AsyncIterator[tuple[Running, Sdk]]:
    async with running(APP) as server, sdk(kind, APP, server.port) as client:
        yield server, client


async def subscribe(client: Client, channel: str, auth: dict[str, Any]) -> dict[str, Any]:
    """With what an SDK has signed."""
    await client.send("pusher:subscribe", {"channel": channel, **auth})
    return await client.get()


@both
async def test_an_event_to_one_channel_and_to_many(kind: str) -> None:
    data = {"text": "grüße / 日本 🎉", "n": [1, 2.5, None, True]}
    async with started(kind) as (server, rest), server.client("news", "private-a") as client:
        assert await rest.trigger("news", "App\\Events\\X", data) == {}
        event = await client.get("App\\Events\\X")
        assert (event["channel"], json.loads(event["data"])) == ("news", data)
        assert await rest.trigger(["private-a", "news", "empty"], "y", "text") == {}
        assert [(await client.get("y"))["channel"] for _ in range(2)] == ["private-a", "news"]
        await client.silence()


@both
async def test_the_excepted_socket_gets_nothing(kind: str) -> None:
    async with (
        started(kind) as (server, rest),
        server.client("news") as sender,
        server.client("news") as other,
    ):
        await rest.trigger("news", "x", {}, sender.socket_id)
        await other.get("x")
        await sender.silence()


@both
async def test_a_batch_arrives_in_order(kind: str) -> None:
    async with started(kind) as (server, rest), server.client("a", "b") as client:
        batch = [{"channel": "ab"[n % 2], "name": f"e{n}", "data": {"n": n}} for n in range(10)]
        await rest.trigger_batch(batch)
        for n in range(10):
            event = await client.get(f"e{n}")
            assert (event["channel"], json.loads(event["data"])) == ("ab"[n % 2], {"n": n})


@both
async def test_what_is_asked_of_channels_is_told(kind: str) -> None:
    async with started(kind) as (server, rest), server.client("news") as one, server.client() as two:
        for client, user in ((one, "7"), (two, "8")):
            await client.subscribe("presence-a", json.dumps({"user_id": user}))
            await client.get("pusher_internal:subscription_succeeded")
        assert await rest.channels("presence-", ["user_count"]) == {
            "channels": {"presence-a": {"user_count": 2}}
        }
        assert await rest.channel("presence-a", ["user_count", "subscription_count"]) == {
            "occupied": True,
            "user_count": 2,
            "subscription_count": 2,
        }
        assert await rest.users("presence-a") == {"users": [{"id": "7"}, {"id": "8"}]}


@both
async def test_what_they_sign_lets_a_client_subscribe_and_sign_in(kind: str) -> None:
    async with started(kind) as (server, rest), server.client() as client:
        for channel, user in (
            ("private-a", None),
            ("presence-a", {"user_id": "7", "user_info": {"name": "Änne"}}),
            ("private-encrypted-a", None),
        ):
            auth = await rest.authorize(client.socket_id, channel, user)
            auth.pop("shared_secret", None)  # for the client, not for the server
            assert (await subscribe(client, channel, auth))[
                "event"
            ] == "pusher_internal:subscription_succeeded"
        await client.send("pusher:signin", await rest.authenticate(client.socket_id, {"id": "7"}))
        await client.get("pusher:signin_success")


@both
async def test_an_encrypted_event_is_passed_on_sealed(kind: str) -> None:
    channel = "private-encrypted-a"
    async with started(kind) as (server, rest), server.client(channel) as client:
        await rest.trigger(channel, "x", {"secret": 1})
        sealed = json.loads((await client.get("x"))["data"])
        box = nacl.secret.SecretBox(hashlib.sha256(channel.encode() + MASTER_KEY).digest())
        opened = box.decrypt(base64.b64decode(sealed["ciphertext"]), base64.b64decode(sealed["nonce"]))
        assert json.loads(opened) == {"secret": 1}


@both
async def test_a_refusal_reaches_the_developer_word_for_word(kind: str) -> None:
    async with running(APP) as server, sdk(kind, replace(APP, secret="wrong"), server.port) as rest:
        with pytest.raises(Failed) as failed:
            await rest.trigger("news", "x", {})
        assert "auth_signature is wrong" in failed.value.body
    async with started(kind) as (_, rest):
        with pytest.raises(Failed) as failed:
            await rest.channel("news", ["user_count"])
        assert "user_count is for presence channels only" in failed.value.body


@both
async def test_a_webhook_that_bridge_signs_is_believed_and_a_changed_one_is_not(kind: str) -> None:
    events = [{"name": "channel_occupied", "channel": "a"}]
    body = json.dumps({"time_ms": int(time.time() * 1_000), "events": events})
    signature = signatures.sign(APP.secret, body)
    async with sdk(kind, APP, 1) as rest:  # asks no server
        assert await rest.webhook(APP.key, signature, body) == events
        assert await rest.webhook(APP.key, signature, body + " ") is None
        assert await rest.webhook("other", signature, body) is None


async def test_npm_sends_to_a_user_and_ends_its_connections() -> None:
    async with started("node") as (server, rest), server.client() as client, server.client() as other:
        assert isinstance(rest, Node)
        for who, user in ((client, "7"), (other, "8")):
            await who.sign_in({"id": user})
            await who.get("pusher:signin_success")
        await rest.call("sendToUser", "7", "x", {"n": 1})
        event = await client.get("x")
        assert (event["channel"], json.loads(event["data"])) == ("#server-to-user-7", {"n": 1})
        assert await rest.call("terminateUserConnections", "7") == {}
        assert await client.close_code() == 4009
        await other.silence()


async def test_npm_asks_for_info_with_an_event() -> None:
    async with started("node") as (server, rest), server.client("presence-a"):
        assert isinstance(rest, Node)
        answer = await rest.call(
            "trigger", ["presence-a", "empty"], "x", {}, {"info": "user_count,subscription_count"}
        )
        assert answer == {
            "channels": {
                "presence-a": {"user_count": 1, "subscription_count": 1},
                "empty": {"subscription_count": 0},
            }
        }
