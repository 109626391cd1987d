"""What the processes of one bridge ask each other, over private Unix sockets in a folder of their user's.

Metrics are put together from all of them, told apart by the label `process`. The dashboard is that of the
process of the jobs, wherever its pages are asked for: so there is one log-in. It asks the others for their
connections and their requests to webhooks, and once a second what has happened there.
"""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bridge.monitoring.counters import Counters
from bridge.monitoring.dashboard.responses import WritableJson
from bridge.monitoring.dashboard.rows import row
from bridge.monitoring.journal import Elsewhere, Journal
from bridge.monitoring.timeseries import Beside
from bridge.sockets.server.node import Node

if TYPE_CHECKING:
    import httpx

PATIENCE = 2.0  # seconds in which another process must answer
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
# Of one connection, or written anew for the next one (RFC 9110, section 7.6.1).
_OWN = {
    "connection", "content-length", "keep-alive", "proxy-authenticate", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "forwarded",
}  # fmt: skip


def addresses(folder: Path) -> dict[str, Path]:
    """Name → Unix socket of each process that is not about to end."""
    return {path.stem: path for path in sorted(folder.glob("*.sock"))}


COUNTED = ("received", "sent", "broadcasts", "calls", "cut")
PRESENT = ("connections", "subscriptions", "slow")


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What a process said last. `since` is another after it was started again, `number` of its last row."""

    since: str
    number: int
    now: Mapping[str, int]
    counted: Mapping[str, int]


def numbers_route(journal: Journal, tally: Counters, node: Node) -> Route:
    """What `Siblings.listen` asks."""
    since = f"{os.getpid()}-{time.time()}"

    async def numbers(request: Request) -> Response:
        asked = request.query_params
        after = int(asked["after"]) if asked["since"] == since else 0
        most = int(asked["most"])
        entries, number = journal.newest(after, most) if most else ((), after)
        counts = {name: tally.total(name) for name in (*PRESENT[:2], *COUNTED) if name != "calls"}
        counts |= {"calls": tally.calls(), "slow": len(node.slow)}
        return WritableJson(
            {
                "since": since,
                "number": number,
                "rows": [row(entry) for entry in entries],
                "now": {name: counts[name] for name in PRESENT},
                "counted": {name: counts[name] for name in COUNTED},
            }
        )

    return Route("/told", numbers)


class Siblings:
    """`dashboard.processes.Others`, of the process `name`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.beside = Beside()
        self._folder, self._name = folder, name
        self._latest: dict[str, _Numbers] = {}
        self._counted: dict[str, int] = dict.fromkeys(COUNTED, 0)

    async def lists(self, what: str, search: str, app_id: str) -> Mapping[str, dict[str, Any] | None]:
        others = self._others()
        asked = {"search": search, "app": app_id}
        answers = await asyncio.gather(*(_ask(path, "GET", what, asked) for path in others.values()))
        return {
            name: None if answer is None else answer.json()
            for name, answer in zip(others, answers, strict=True)
        }

    async def channel(self, app_id: str, name: str) -> list[dict[str, Any]]:
        asked = {"app": app_id, "name": name}
        paths = self._others().values()
        answers = await asyncio.gather(*(_ask(path, "GET", "channel", asked) for path in paths))
        return [answer.json() for answer in answers if answer is not None]

    async def disconnect(self, app_id: str, socket_id: str) -> bool:
        asked = {"app": app_id, "socket": socket_id}
        paths = self._others().values()
        answers = await asyncio.gather(*(_ask(path, "POST", "disconnect", asked) for path in paths))
        return any(answer is not None for answer in answers)

    async def listen(self, most: int) -> Sequence[Elsewhere]:
        """What happened in the others since the last time, at most so many of each, oldest first; and
        `beside` is as they are now. None counts what was before it was first asked."""
        others = self._others()
        answers = await asyncio.gather(*(self._hear(name, path, most) for name, path in others.items()))
        self._latest = {name: numbers for name, numbers in self._latest.items() if name in others}
        now = {name: sum(numbers.now[name] for numbers in self._latest.values()) for name in PRESENT}
        self.beside = Beside(**now, **self._counted)
        return sorted((one for answer in answers for one in answer), key=lambda one: float(one.row["at"]))

    async def _hear(self, name: str, path: Path, most: int) -> list[Elsewhere]:
        before = self._latest.get(name)
        asked = {"since": "" if before is None else before.since, "most": str(most)}
        asked["after"] = "0" if before is None else str(before.number)
        answer = await _ask(path, "GET", "told", asked)
        if answer is None:
            return []
        numbers = answer.json()
        same = before is not None and before.since == numbers["since"]
        for one in COUNTED:
            if before is not None:  # one that was started again counts from nothing
                self._counted[one] += numbers["counted"][one] - (before.counted[one] if same else 0)
        self._latest[name] = _Numbers(numbers["since"], numbers["number"], numbers["now"], numbers["counted"])
        return [Elsewhere(name, row) for row in numbers["rows"]]

    def _others(self) -> dict[str, Path]:
        return {name: path for name, path in addresses(self._folder).items() if name != self._name}


async def _ask(path: Path, method: str, what: str, asked: Mapping[str, str]) -> httpx.Response | None:
    """None: it has not answered, or has nothing to answer."""
    import httpx

    try:
        async with _client(path, PATIENCE) as client:
            answer = await client.request(method, f"http://process/{what}", params=dict(asked))
    except httpx.HTTPError:
        return None
    return answer if answer.is_success else None


async def metrics_of_all(folder: Path, name: str, own: Callable[[], Awaitable[bytes]]) -> bytes:
    """The metrics of all processes, as text; those of one that does not answer are not in it."""
    others = {other: path for other, path in addresses(folder).items() if other != name}
    texts = await asyncio.gather(own(), *(_metrics(path) for path in others.values()))
    from bridge.monitoring.prometheus import joined  # which `own` has imported in a thread

    return joined(dict(zip([name, *others], texts, strict=True)))


async def _metrics(path: Path) -> bytes | None:
    answer = await _ask(path, "GET", "metrics", {})
    return None if answer is None else answer.content


def _client(path: Path, timeout: float | None) -> httpx.AsyncClient:
    import httpx  # only where there are several processes

    transport = httpx.AsyncHTTPTransport(uds=str(path), verify=_unused_context())
    return httpx.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False)


@functools.cache
def _unused_context() -> ssl.SSLContext:
    """Nothing is encrypted on a Unix socket. Without it httpx reads all certificates of this machine for each
    client, which takes longer than the rest of a request."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def forwarding_routes(path: str, folder: Path) -> list[Route]:
    """What is below `/{path}` is answered by the process of the jobs."""

    async def forward(request: Request) -> Response:
        import httpx

        found = addresses(folder).get("jobs")
        if found is None:
            return _away()
        client = _client(found, None)
        headers = [(name, value) for name, value in request.headers.raw if name.decode().lower() not in _OWN]
        headers = [one for one in headers if not one[0].startswith(b"x-forwarded-")]
        address = request.client.host if request.client else ""
        headers += [
            (b"x-forwarded-for", address.encode()),
            (b"x-forwarded-proto", request.url.scheme.encode()),
        ]
        asked = client.build_request(
            request.method,
            httpx.URL("http://process", raw_path=_target(request)),
            headers=headers,
            content=await request.body(),
        )
        try:
            answer = await client.send(asked, stream=True)
        except httpx.HTTPError:
            await client.aclose()
            return _away()

        async def body() -> AsyncIterator[bytes]:
            try:
                async for part in answer.aiter_raw():
                    yield part
            except httpx.HTTPError:  # it ends, as a stream of events does when that process is replaced
                pass
            finally:
                await answer.aclose()
                await client.aclose()

        given = StreamingResponse(body(), status_code=answer.status_code)
        given.raw_headers = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.decode().lower() not in _OWN - {"content-length"}
        ]
        return given

    return [
        Route(f"/{path}", forward, methods=METHODS),
        Route(f"/{path}/{{rest:path}}", forward, methods=METHODS),
    ]


def _target(request: Request) -> bytes:
    raw: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return raw + (b"?" + query if query else b"")


def _away() -> Response:
    return PlainTextResponse(
        "the process that shows the dashboard is not there: try again in a moment\n",
        status_code=503,
        headers={"Retry-After": "1"},
    )
