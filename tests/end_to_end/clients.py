"""A bridge server on a thread, with what an app has beside it: a page with Echo, and two auth endpoints."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from bridge.sockets.pusher import signatures
from bridge.sockets.pusher.app import App
from bridge.sockets.server.listener import new_event_loop
from tests.end_to_end.laravel import BROWSER
from tests.sockets.server.running import Running, running

T = TypeVar("T")


class Threaded:
    """`Running`, for tests that are not coroutines: everything runs on the server's own loop."""

    def __init__(self, server: Running, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.port = server.port
        self._loop = loop

    def do(self, action: Callable[[Running], T]) -> T:
        async def act() -> T:
            return action(self.server)

        return self.run(act())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=120)


@contextlib.contextmanager
def serving(app: App) -> Iterator[Threaded]:
    """Serves the app on a free port until the block ends."""
    started, stopping = threading.Event(), asyncio.Event()
    found: list[Threaded] = []

    async def serve() -> None:
        async with running(app, routes=routes(app)) as server:
            found.append(Threaded(server, asyncio.get_running_loop()))
            started.set()
            await stopping.wait()

    def main() -> None:
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(serve())
        finally:
            started.set()

    thread = threading.Thread(target=main)
    thread.start()
    started.wait()
    assert found, "the server did not start"
    try:
        yield found[0]
    finally:
        found[0].do(lambda server: stopping.set())
        thread.join()


def routes(app: App) -> list[BaseRoute]:
    """The page, and what signs: the bearer token is the user's name and id; `nobody` may not."""

    async def channel_auth(request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        user = _user(request)
        if user == "nobody":
            return Response(status_code=403)
        name = form["channel_name"]
        member = {"user_id": user, "user_info": {"name": user}}
        data = json.dumps(member) if name.startswith("presence-") else None
        text = signatures.subscription_text(form["socket_id"], name, data)
        answer = {"auth": f"{app.key}:{signatures.sign(app.secret, text)}"}
        return JSONResponse(answer if data is None else {**answer, "channel_data": data})

    async def user_auth(request: Request) -> Response:
        socket_id = parse_qs((await request.body()).decode())["socket_id"][0]
        data = json.dumps({"id": _user(request), "watchlist": ["ann", "bob"]})
        text = signatures.signin_text(socket_id, data)
        return JSONResponse({"auth": f"{app.key}:{signatures.sign(app.secret, text)}", "user_data": data})

    async def page(request: Request) -> Response:
        return FileResponse(BROWSER / "page.html")

    return [
        Route("/page", page),
        Mount("/fixture", StaticFiles(directory=BROWSER, follow_symlink=True)),
        Route("/broadcasting/auth", channel_auth, methods=["POST"]),
        Route("/broadcasting/user-auth", user_auth, methods=["POST"]),
    ]


def _user(request: Request) -> str:
    return request.headers["authorization"].removeprefix("Bearer ")
