"""A page that a browser keeps in its back/forward cache: pusher-js in Chromium, which leaves and returns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from bridge.sockets.pusher import signatures
from tests.end_to_end.echo import Client, Driver, echo_driver
from tests.end_to_end.laravel import BROWSER
from tests.sockets.server.running import APP, running, until

pytestmark = pytest.mark.anyio

KEPT = replace(APP, ping_interval=1, pong_timeout=10)  # as 45 and 30 in fast time
PAGE = """<!doctype html><title>page</title><script src="/pusher.js"></script><script>
addEventListener('pagehide', (event) => tell({ happened: 'hidden', kept: event.persisted }));
addEventListener('pageshow', (event) => tell({ happened: 'shown', kept: event.persisted }));
const pusher = new Pusher('app-key', { cluster: 'mt1', wsHost: location.hostname, wsPort: location.port,
    forceTLS: false, enabledTransports: ['ws'], channelAuthorization: { endpoint: '/auth' } });
pusher.subscribe('presence-x').bind('pusher:subscription_succeeded', () => tell({ happened: 'subscribed' }));
</script>"""


async def page(request: Request) -> Response:
    return HTMLResponse(PAGE)


async def other(request: Request) -> Response:
    return HTMLResponse("<!doctype html><title>other</title>")


async def pusher_js(request: Request) -> Response:
    file = BROWSER / "node_modules/pusher-js/dist/web/pusher.js"
    return Response(file.read_bytes(), media_type="text/javascript")


async def auth(request: Request) -> Response:
    form = parse_qs((await request.body()).decode())
    data = json.dumps({"user_id": "page"})
    text = signatures.subscription_text(form["socket_id"][0], form["channel_name"][0], data)
    return JSONResponse({"auth": f"{APP.key}:{signatures.sign(APP.secret, text)}", "channel_data": data})


ROUTES = [
    Route("/page", page),
    Route("/other", other),
    Route("/pusher.js", pusher_js),
    Route("/auth", auth, methods=["POST"]),
]


@pytest.fixture
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with echo_driver(tmp_path_factory.mktemp("driver") / "log.txt") as driver:
        yield driver


async def test_a_page_that_the_browser_keeps_leaves_its_channels_soon_and_is_back_when_shown(
    driver: Driver,
) -> None:
    async with running(KEPT, routes=ROUTES) as server:
        members = server.node.hubs["app-id"].channels

        def is_there() -> bool:
            return "presence-x" in members and "page" in members["presence-x"].members

        address = f"http://127.0.0.1:{server.port}"
        shown: Client = await asyncio.to_thread(driver.open, "page", "chromium", page=f"{address}/page")
        await until(is_there)
        await asyncio.to_thread(shown.do, "go", to=f"{address}/other")
        await until(lambda: not is_there())  # the browser still answers ping frames in its name
        subscribed = len(shown.saw("subscribed"))
        await asyncio.to_thread(shown.do, "back")
        await until(is_there)
        await until(lambda: len(shown.saw("subscribed")) > subscribed)
        assert shown.saw("shown", kept=True), "the browser did not keep the page: this tests nothing"
        await asyncio.to_thread(shown.close)
