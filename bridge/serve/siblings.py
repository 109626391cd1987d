"""What the processes of one bridge ask each other, over private Unix sockets in a folder of their user's.

Metrics are put together from all of them, each told by the label `process`. The dashboard is that of the
process of the jobs, wherever its pages are asked for: so there is one log-in, and one list of what happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

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


async def metrics_of_all(folder: Path, name: str, own: Callable[[], Awaitable[bytes]]) -> bytes:
    """The metrics of all processes, as text; those of one that does not answer are not in it."""
    others = {other: path for other, path in addresses(folder).items() if other != name}
    texts = await asyncio.gather(own(), *(_metrics(path) for path in others.values()))
    return joined(dict(zip([name, *others], texts, strict=True)))


def joined(texts: Mapping[str, bytes | None]) -> bytes:
    """Metrics of several processes as those of one; None: a process has not answered."""
    families: dict[str, Metric] = {}
    up = Metric("bridge_process_up", "1 for each process that tells its metrics.", "gauge")
    for process, text in texts.items():
        up.add_sample("bridge_process_up", {"process": process}, 0.0 if text is None else 1.0)
        for family in text_string_to_metric_families((text or b"").decode()):
            known = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type, family.unit)
            )
            for sample in family.samples:
                labels = {**sample.labels, "process": process}
                known.add_sample(sample.name, labels, sample.value, sample.timestamp, sample.exemplar)
    return generate_latest(_Collected([up, *families.values()]))


class _Collected(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


async def _metrics(path: Path) -> bytes | None:
    import httpx

    try:
        async with _client(path, PATIENCE) as client:
            answer = await client.get("http://process/metrics")
    except httpx.HTTPError:
        return None
    return answer.content if answer.is_success else None


def _client(path: Path, timeout: float | None) -> httpx.AsyncClient:
    import httpx  # only where there are several processes

    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=str(path)), timeout=timeout, follow_redirects=False
    )


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
