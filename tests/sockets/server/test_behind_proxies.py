"""A server behind the proxies of `docker/proxies`, with the files as users get them."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bridge.sockets.pusher.app import App, Limits
from bridge.sockets.server.trusted_proxies import Proxies
from tests import services
from tests.certificates import self_signed
from tests.sockets.server.running import APP, LIMIT, Client, Running, connect, running, signed

pytestmark = pytest.mark.anyio

FILES = Path(__file__).parents[3] / "docker/proxies"
APP_BEHIND = replace(APP, tls_only=True, limits=Limits(connections_per_address=10))
CLIENT = "127.0.0.2"  # another address than the proxy's, which is believed


def adapted(name: str, replacements: dict[str, str]) -> str:
    text = (FILES / name).read_text(encoding="utf-8")
    for old, new in replacements.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def nginx(folder: Path, port: int, behind: int, chain: str, key: str) -> list[str]:
    server = adapted(
        "nginx.conf",
        {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "127.0.0.1:6001": f"127.0.0.1:{behind}",
            "/etc/ssl/ws.example.com/fullchain.pem": chain,
            "/etc/ssl/ws.example.com/privkey.pem": key,
            "ws.example.com": "localhost",
        },
    )
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{place}_temp_path {folder}/{place};\n" for place in places)
    configuration = (
        f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{server}}}\n"
    )
    (folder / "nginx.conf").write_text(configuration)
    program = services.program("nginx", "nginx")
    return [program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"), "-p", str(folder)]


def caddy(folder: Path, port: int, behind: int, chain: str, key: str) -> list[str]:
    site = adapted(
        "Caddyfile",
        {
            "ws.example.com {": f"https://localhost:{port} {{\n\ttls {chain} {key}\n\tbind 127.0.0.1",
            "127.0.0.1:6001": f"127.0.0.1:{behind}",
        },
    )
    (folder / "Caddyfile").write_text(
        f"{{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system {folder}/caddy\n}}\n{site}"
    )
    return [services.program("caddy", "caddy"), "run", "--config", str(folder / "Caddyfile")]


def apache(folder: Path, port: int, behind: int, chain: str, key: str) -> list[str]:
    site = adapted(
        "apache.conf",
        {
            "<VirtualHost *:443>": f"<VirtualHost 127.0.0.1:{port}>",
            "127.0.0.1:6001": f"127.0.0.1:{behind}",
            "/etc/ssl/ws.example.com/fullchain.pem": chain,
            "/etc/ssl/ws.example.com/privkey.pem": key,
            "ws.example.com": "localhost",
        },
    )
    program = Path(services.program("apache2", "apache2"))
    modules = "mpm_event authz_core authz_host ssl proxy proxy_http proxy_wstunnel headers"
    (folder / "empty").mkdir()
    configuration = (
        "".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in modules.split()
        )
        + f"ServerName localhost\nServerRoot {folder}\nDefaultRuntimeDir {folder}\nPidFile {folder}/pid\n"
        f"ErrorLog {folder}/error.log\nListen 127.0.0.1:{port} https\nDocumentRoot {folder}/empty\n"
        f"User nobody\nGroup nogroup\n{site}"
    )
    (folder / "apache.conf").write_text(configuration)
    return [str(program), "-DFOREGROUND", "-f", str(folder / "apache.conf")]


def haproxy(folder: Path, port: int, behind: int, chain: str, key: str) -> list[str]:
    (folder / "both.pem").write_text(Path(chain).read_text() + Path(key).read_text())
    site = adapted(
        "haproxy.cfg",
        {
            "bind :443": f"bind 127.0.0.1:{port}",
            "127.0.0.1:6001": f"127.0.0.1:{behind}",
            "/etc/ssl/ws.example.com/both.pem": str(folder / "both.pem"),
        },
    )
    (folder / "haproxy.cfg").write_text(site)
    return [services.program("haproxy", "haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]


Command = Callable[[Path, int, int, str, str], list[str]]
PROXIES: list[Command] = [nginx, caddy, apache, haproxy]


@asynccontextmanager
async def behind(
    command: Command, folder: Path, app: App = APP_BEHIND, **options: Any
) -> AsyncIterator[tuple[Running, int, ssl.SSLContext]]:
    """A server, the port of the proxy before it, and what makes its certificate believed."""
    chain, key = self_signed(folder)
    port = services.free_port()
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    async with running(app, proxies=Proxies(["127.0.0.1"]), **options) as server:
        log = (folder / "proxy.log").open("wb")
        proxy = await asyncio.create_subprocess_exec(
            *command(folder, port, server.port, chain, key), stdout=log, stderr=log, env=environ
        )
        log.close()
        try:
            async with asyncio.timeout(LIMIT):
                while True:
                    assert proxy.returncode is None, (folder / "proxy.log").read_text()
                    with suppress(OSError):
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                        writer.close()
                        await writer.wait_closed()
                        break
                    await asyncio.sleep(0.05)
            yield server, port, ssl.create_default_context(cafile=chain)
        finally:
            with suppress(ProcessLookupError):
                proxy.terminate()
            await asyncio.wait_for(proxy.wait(), LIMIT)


@pytest.mark.parametrize("command", PROXIES, ids=lambda command: command.__name__)
async def test_clients_and_the_api_reach_bridge_and_it_knows_their_address(
    command: Command, tmp_path: Path
) -> None:
    async with behind(command, tmp_path) as (server, port, context):
        url = f"wss://localhost:{port}/app/app-key?protocol=7"
        pretended = {"X-Forwarded-For": "9.9.9.9"}
        async with connect(
            url, ssl=context, local_addr=(CLIENT, 0), host="127.0.0.1", additional_headers=pretended
        ) as websocket:
            client = Client(websocket, APP)
            await client.get("pusher:connection_established")  # it is known to have come over TLS
            assert list(server.node.addresses) == [("app-id", CLIENT)]
            await client.send("pusher:subscribe", {"channel": "news", "auth": ""})
            await client.get("pusher_internal:subscription_succeeded")
            content = b'{"name":"event","channel":"news","data":"' + b"x" * 9_000 + b'"}'
            query = signed(APP, "POST", "/apps/app-id/events", content, {})
            async with httpx.AsyncClient(verify=context, timeout=LIMIT, trust_env=False) as http:
                address = f"https://localhost:{port}"
                answer = await http.post(f"{address}/apps/app-id/events", params=query, content=content)
                assert (answer.status_code, answer.text) == (200, "{}")
                hidden = await http.get(f"{address}/up")
                assert hidden.status_code in (403, 404)
            assert (await client.get())["data"] == "x" * 9_000
            await client.silence()


# One client's bytes are never another's request. The proxies share their connections to bridge among clients,
# so what an attacker leaves behind on one would be answered to whoever comes next.

OTHERS, REQUESTS = 8, 100  # clients beside the attackers, and what each of them asks for
SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
ATTACKS = [
    b"POST /apps/x/events HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s\r\n" % pair
    for pair in [
        (b"h2c", b"Content-Length: %d\r\n" % len(SMUGGLED)),
        (b"websocket", b"Content-Length: %d\r\n" % len(SMUGGLED)),
        (b"foo", b"Transfer-Encoding: chunked\r\n"),
    ]
] + [
    b"GET /app/app-key HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Content-Length: %d\r\n\r\n" % len(SMUGGLED)
]


async def attack(port: int, context: ssl.SSLContext, head: bytes) -> None:
    """The head and the body in two segments, as the proxy then passes them on."""
    body = SMUGGLED if b"chunked" not in head else b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    with suppress(OSError):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
        writer.write(head)
        await writer.drain()
        await asyncio.sleep(0.002)
        writer.write(body)
        with suppress(TimeoutError):
            await asyncio.wait_for(reader.read(65_536), 0.2)
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("command", PROXIES, ids=lambda command: command.__name__)
async def test_no_client_gets_what_an_attacker_asked_for(command: Command, tmp_path: Path) -> None:
    served = 0

    async def metrics(request: Request) -> PlainTextResponse:
        nonlocal served
        served += 1
        return PlainTextResponse("secret")

    async with behind(command, tmp_path, routes=[Route("/metrics", metrics)]) as (_, port, context):
        is_over = asyncio.Event()

        async def attacks(head: bytes) -> int:
            times = 0
            while not is_over.is_set() or not times:
                await attack(port, context, head)
                times += 1
            return times

        async def other(number: int) -> Counter[str]:
            answers: Counter[str] = Counter()
            async with httpx.AsyncClient(verify=context, timeout=LIMIT, trust_env=False) as http:
                for n in range(REQUESTS):
                    name = f"c{number}-{n}"
                    path = f"/apps/app-id/channels/{name}"
                    query = signed(APP, "GET", path, b"", {"info": "subscription_count"})
                    answer = await http.get(f"https://localhost:{port}{path}", params=query)
                    answers[f"{answer.status_code} {answer.text}"] += 1
            return answers

        async with asyncio.TaskGroup() as tasks:
            attackers = [tasks.create_task(attacks(head)) for head in ATTACKS]
            others = [tasks.create_task(other(number)) for number in range(OTHERS)]
            await asyncio.wait(others)
            is_over.set()
    own = '200 {"occupied":false,"subscription_count":0}'
    assert sum((task.result() for task in others), Counter()) == {own: OTHERS * REQUESTS}
    assert sum(task.result() for task in attackers) >= len(ATTACKS)
    assert served == 0
