"""The least an HTTP server of this stack can do with a post: read it, answer `{}`. For `tests.bench.publish`.

python -m tests.bench.http_floor PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvicorn

from bridge.sockets.server.binding import bind
from bridge.sockets.server.listener import new_event_loop

START: Any = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-length", b"2"), (b"content-type", b"application/json")],
}
BODY: Any = {"type": "http.response.body", "body": b"{}"}


async def app(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send(BODY)


async def serve(port: int) -> None:
    options = {"date_header": False, "server_header": False}
    config = uvicorn.Config(app, http="httptools", lifespan="off", log_level="warning", **options)  # type: ignore[arg-type]
    await uvicorn.Server(config).serve([bind("127.0.0.1", port)])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
