"""The server SDKs that users have, behind one interface: PyPI's `pusher` and npm's."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pusher
import pusher.errors

from bridge.sockets.pusher.app import App
from tests.sockets.server.running import LIMIT

BROWSER = Path(__file__).parents[3] / "fixtures/browser"
MASTER_KEY = bytes(range(32))


class Failed(Exception):
    """The SDK has raised; `body` is what it shows to the developer."""

    def __init__(self, body: str) -> None:
        super().__init__(body)
        self.body = body


class Sdk(Protocol):
    async def trigger(
        self, channels: str | list[str], event: str, data: object, socket_id: str | None = None
    ) -> Any: ...
    async def trigger_batch(self, batch: list[dict[str, Any]]) -> Any: ...
    async def channels(self, prefix: str, info: list[str]) -> Any: ...
    async def channel(self, name: str, info: list[str]) -> Any: ...
    async def users(self, name: str) -> Any: ...
    async def authorize(self, socket_id: str, channel: str, user: dict[str, Any] | None = None) -> Any: ...
    async def authenticate(self, socket_id: str, user: dict[str, Any]) -> Any: ...
    async def webhook(self, key: str, signature: str, body: str) -> Any:
        """The events of a webhook's body, None when it is not believed."""


class Python:
    def __init__(self, app: App, port: int) -> None:
        self._client = pusher.Pusher(
            app_id=app.id,
            key=app.key,
            secret=app.secret,
            host="127.0.0.1",
            port=port,
            ssl=False,
            timeout=LIMIT,
            encryption_master_key_base64=base64.b64encode(MASTER_KEY).decode(),
        )

    async def trigger(
        self, channels: str | list[str], event: str, data: object, socket_id: str | None = None
    ) -> Any:
        return await self._call("trigger", channels, event, data, socket_id)

    async def trigger_batch(self, batch: list[dict[str, Any]]) -> Any:
        return await self._call("trigger_batch", batch)

    async def channels(self, prefix: str, info: list[str]) -> Any:
        return await self._call("channels_info", prefix, info)

    async def channel(self, name: str, info: list[str]) -> Any:
        return await self._call("channel_info", name, info)

    async def users(self, name: str) -> Any:
        return await self._call("users_info", name)

    async def authorize(self, socket_id: str, channel: str, user: dict[str, Any] | None = None) -> Any:
        return await self._call("authenticate", channel, socket_id, user)

    async def authenticate(self, socket_id: str, user: dict[str, Any]) -> Any:
        return await self._call("authenticate_user", socket_id, user)

    async def webhook(self, key: str, signature: str, body: str) -> Any:
        read = await self._call("validate_webhook", key, signature, body)
        return read and read["events"]

    async def _call(self, name: str, *given: Any) -> Any:
        try:
            return await asyncio.to_thread(getattr(self._client, name), *given)
        except pusher.errors.PusherError as problem:
            raise Failed(str(problem)) from None


class Node:
    """`fixtures/browser/sdk.mjs`, a process that calls what it is told to."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def trigger(
        self, channels: str | list[str], event: str, data: object, socket_id: str | None = None
    ) -> Any:
        return await self.call(
            "trigger", channels, event, data, {"socket_id": socket_id} if socket_id else {}
        )

    async def trigger_batch(self, batch: list[dict[str, Any]]) -> Any:
        return await self.call("triggerBatch", batch)

    async def channels(self, prefix: str, info: list[str]) -> Any:
        return await self.get("/channels", filter_by_prefix=prefix, info=",".join(info))

    async def channel(self, name: str, info: list[str]) -> Any:
        return await self.get(f"/channels/{name}", info=",".join(info))

    async def users(self, name: str) -> Any:
        return await self.get(f"/channels/{name}/users")

    async def authorize(self, socket_id: str, channel: str, user: dict[str, Any] | None = None) -> Any:
        return await self.call("authorizeChannel", socket_id, channel, *([user] if user else []))

    async def authenticate(self, socket_id: str, user: dict[str, Any]) -> Any:
        return await self.call("authenticateUser", socket_id, user)

    async def webhook(self, key: str, signature: str, body: str) -> Any:
        headers = {"x-pusher-key": key, "x-pusher-signature": signature, "content-type": "application/json"}
        return (await self.call("webhook", {"headers": headers, "rawBody": body}))["events"]

    async def get(self, path: str, **params: str) -> Any:
        return await self.call("get", {"path": path, "params": params})

    async def call(self, name: str, *given: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"call": name, "with": given}).encode() + b"\n")
        line = await asyncio.wait_for(self._process.stdout.readline(), LIMIT)
        out = json.loads(line)
        if "problem" in out:
            raise Failed(f"{out['problem']['status']} {out['problem']['body']}")
        return out["answer"]


@asynccontextmanager
async def sdk(kind: str, app: App, port: int) -> AsyncIterator[Sdk]:
    """One of the SDKs for this app, as a user would configure it for bridge."""
    if kind == "python":
        yield Python(app, port)
        return
    assert (BROWSER / "node_modules/pusher").is_dir(), (
        "run `npm ci` in fixtures/browser first (make test does)"
    )
    options = {
        "appId": app.id,
        "key": app.key,
        "secret": app.secret,
        "host": "127.0.0.1",
        "port": str(port),
        "useTLS": False,
        "encryptionMasterKeyBase64": base64.b64encode(MASTER_KEY).decode(),
    }
    process = await asyncio.create_subprocess_exec(
        *("node", "sdk.mjs", json.dumps(options)),
        cwd=BROWSER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Node(process)
    finally:
        assert process.stdin
        process.stdin.close()
        await process.wait()
