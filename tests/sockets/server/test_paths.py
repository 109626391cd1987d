"""Prefixes, slashes and quoting: what clients and proxies do to paths."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlencode

import httpx
import pytest

from bridge.sockets.server.paths import normal, unquoted
from tests.sockets.server.running import APP, LIMIT, connect, running, signed

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/app/key", "/app/key"),
        ("//app/key", "/app/key"),
        ("/app//key/", "/app/key"),
        ("/ws/app/key", "/app/key"),
        ("//ws//app/key", "/app/key"),
        ("/ws", "/"),
        ("/ws/", "/"),
        ("/ws/up", "/up"),
        ("/wsx/app/key", "/wsx/app/key"),
        ("/ws/metrics", "/ws/metrics"),  # what a proxy keeps inside has one form only
        ("/ws/laravel-websockets", "/ws/laravel-websockets"),
        ("/ws/openapi.json", "/ws/openapi.json"),
        ("//metrics", "//metrics"),
        ("/ws//metrics", "/ws//metrics"),
        ("/laravel-websockets//style.css", "/laravel-websockets//style.css"),
        ("/ws/apps/1/events/", "/apps/1/events"),
        ("/apps/1/users/a%2F/x", "/apps/1/users/a%2F/x"),
        ("/laravel-websockets/", "/laravel-websockets/"),
        ("/", "/"),
        ("*", "*"),
    ],
)
def test_a_path_has_one_form(path: str, expected: str) -> None:
    assert normal(path, "/ws") == expected
    if "ws" not in path.split("/")[1:3]:
        assert normal(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/%6detrics", "/%6detrics"),
        ("/metrics%0a", "/metrics%0a"),
        ("/metrics%00", "/metrics%00"),
        ("/metrics%7f", "/metrics%7f"),
        ("/laravel%2dwebsockets", "/laravel%2dwebsockets"),
        ("/%6caravel-websockets/", "/%6caravel-websockets/"),
        ("/%6Caravel-websockets/api/channels", "/%6Caravel-websockets/api/channels"),
        ("/laravel-websockets%2fapi", "/laravel-websockets%2fapi"),
        ("/laravel-websockets%5Capi", "/laravel-websockets%5Capi"),
        ("/laravel-websockets/%2e%2e/metrics", "/laravel-websockets/%2e%2e/metrics"),
        ("/ws/%6caravel-websockets/api", "/ws/%6caravel-websockets/api"),
        ("/%61pps/1/channels", "/%61pps/1/channels"),
        ("/my%20dashboard", "/my dashboard"),
        ("/laravel-websockets/api/channels/1/a%3Db%40c%2C%3B", "/laravel-websockets/api/channels/1/a=b@c,;"),
        ("/app/k%65y", "/app/key"),
        ("/%D0%B4", "/\u0434"),
        ("/apps/1/ch%61nnels", "/apps/1/channels"),
        ("/apps/1/users/a%0Ab/x", "/apps/1/users/a\nb/x"),
    ],
)
def test_a_page_is_not_found_by_a_disguised_name(path: str, expected: str) -> None:
    assert unquoted(path) == expected


@pytest.mark.parametrize("path", ["/%72eady", "/ready%0a", "/openapi.jso%6E"])
async def test_a_page_that_a_proxy_keeps_inside_has_one_form_only(path: str) -> None:
    async with running() as server:
        assert (await server.request("GET", path, sign=False)).status_code == 404


async def test_a_user_whose_id_has_a_line_break_is_disconnected() -> None:
    async with running() as server, server.client() as client:
        await client.sign_in({"id": "a\nb"})
        await client.get("pusher:signin_success")
        path = "/apps/app-id/users/a%0Ab/terminate_connections"
        assert (await server.request("POST", path, b"{}")).status_code == 200
        assert await client.close_code() == 4009


@pytest.mark.parametrize("path", ["/ws/app/app-key", "//app/app-key", "/app/app-key/", "/app/app-key"])
async def test_clients_reach_their_app(path: str) -> None:
    async with (
        running(path_prefix="/ws") as server,
        connect(f"ws://127.0.0.1:{server.port}{path}?protocol=7") as websocket,
    ):
        message = json.loads(await asyncio.wait_for(websocket.recv(), LIMIT))
        assert message["event"] == "pusher:connection_established"


CHANNELS = "/apps/app-id/channels"


@pytest.mark.parametrize("asked", [f"/ws{CHANNELS}", f"{CHANNELS}/", f"/{CHANNELS}"])
@pytest.mark.parametrize("is_signed_as_asked", [False, True])
async def test_the_api_is_reached_with_either_path_signed(asked: str, is_signed_as_asked: bool) -> None:
    path = asked if is_signed_as_asked else CHANNELS
    query = urlencode(signed(APP, "GET", path, b"", {}))
    async with running(path_prefix="/ws") as server, httpx.AsyncClient(timeout=LIMIT) as http:
        answer = await http.get(f"http://127.0.0.1:{server.port}{asked}?{query}")
        assert (answer.status_code, answer.text) == (200, '{"channels":{}}')
        other = urlencode(signed(APP, "GET", "/apps/app-id/connections", b"", {}))
        assert (await http.get(f"http://127.0.0.1:{server.port}{asked}?{other}")).status_code == 401


async def test_a_slash_at_the_end_is_never_a_redirect_to_where_the_request_says() -> None:
    async with running() as server, httpx.AsyncClient(timeout=LIMIT) as http:
        for path in ("/up/", "/metrics/", "/ready/"):
            url = f"http://127.0.0.1:{server.port}{path}"
            answer = await http.get(url, headers={"Host": "evil.test"})
            assert answer.status_code == 404
            assert "location" not in answer.headers


async def test_the_root_answers_load_balancers() -> None:
    async with running() as server:
        for method in ("GET", "HEAD"):
            assert (await server.request(method, "/", sign=False)).status_code == 200


@pytest.mark.parametrize("user", ["a/b", "a b", "ü", "a//b", "7"])
@pytest.mark.parametrize("is_quoted", [False, True])
async def test_a_user_of_any_id_can_be_ended(user: str, is_quoted: bool) -> None:
    quoted = httpx.URL("http://x").join(f"/{user}").raw_path.decode()[1:].replace("/", "%2F")
    asked = f"/apps/app-id/users/{quoted}/terminate_connections"
    path = asked if is_quoted else f"/apps/app-id/users/{user}/terminate_connections"
    query = urlencode(signed(APP, "POST", path, b"{}", {}))
    async with running() as server, server.client() as client:
        await client.sign_in({"id": user})
        await client.get("pusher:signin_success")
        async with httpx.AsyncClient(timeout=LIMIT) as http:
            answer = await http.post(f"http://127.0.0.1:{server.port}{asked}?{query}", content=b"{}")
        assert (answer.status_code, answer.text) == (200, "{}")
        assert await client.close_code() == 4009
