"""What clients send is in no log line, at any level of any logger."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from websockets.frames import Frame, Opcode

from tests.sockets.server.running import APP, LIMIT, UPGRADE, running, signed, text

pytestmark = pytest.mark.anyio

SECRET = "PLANTED"


async def test_no_header_query_or_payload_of_a_client_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    headers = "".join(f"{name}: {SECRET}\r\n" for name in ("Cookie", "Authorization", "X-Token")).encode()
    member = json.dumps({"user_id": "1", "user_info": {"pin": SECRET}})
    with caplog.at_level(logging.DEBUG):
        async with running() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(UPGRADE[:-2].replace(b"protocol=7", b"protocol=7&token=PLANTED") + headers + b"\r\n")
            await asyncio.wait_for(reader.readuntil(b"established"), LIMIT)
            writer.write(Frame(Opcode.PING, SECRET.encode()).serialize(mask=True))
            auth = f"app-key:{SECRET}"
            writer.write(
                text("pusher:subscribe", {"channel": "presence-a", "auth": auth, "channel_data": member})
            )
            writer.write(text("client-x", {"pin": SECRET}, channel="presence-a"))
            writer.write(text("pusher:signin", {"auth": auth, "user_data": json.dumps({"id": SECRET})}))
            await asyncio.wait_for(reader.readuntil(b"signature of user_data"), LIMIT)
            writer.close()
            await writer.wait_closed()
            event = {"name": "x", "channels": ["news"], "data": SECRET}
            await server.request("POST", "/apps/app-id/events", event)
            await server.request("POST", "/apps/app-id/events", event, sign=False, auth_signature=SECRET)
            query = signed(APP, "GET", "/apps/app-id/channels", b"", {})["auth_signature"]
            for request in (
                b"nonsense PLANTED\r\n\r\n",
                b"GET /up HTTP/1.1\r\nHost: x\r\n" + headers + b"Bad Header: PLANTED\r\n\r\n",
                b"GET /up?auth_signature=PLANTED HTTP/1.1\r\nHost: x\r\nHost: y\r\n" + headers + b"\r\n",
            ):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(request)
                assert b" 400 " in await asyncio.wait_for(reader.read(), LIMIT)
                writer.close()
                await writer.wait_closed()
    said = [repr(vars(record)) + record.getMessage() for record in caplog.records if record.name != "httpx"]
    said = [line for line in said if "httpcore" not in line]
    assert said
    for line in said:
        assert SECRET not in line
        assert query not in line
    assert not [record for record in caplog.records if record.name.startswith("websockets.server")]
