"""Metrics for Prometheus: who may ask for them, and what they are made of. `prometheus` makes the text."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.jobs.queue.queue import Depth
from bridge.monitoring.counters import Counters
from bridge.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    """What joins this process with others.

    nodes     that are known, with this one
    gaps      channels in which events were missed and could not be had again
    repairs   channels that were asked for again since something was missing
    rejected  messages that were not believed, by reason
    """

    is_up: bool
    nodes: int
    gaps: int
    repairs: int
    rejected: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeState:
    """What is asked at the moment of a scrape.

    channels  app id → occupied channels
    depths    queue → jobs as of `looked_at`, in unix seconds; empty where the store does not answer
    slow      clients that have not read what they were sent
    answers   whether the queue's store does; None where another process takes the jobs
    php_processes  PHP processes: state (`living`, `most`) → how many; empty where there is no PHP
    php_is_down  whether no PHP process can be started at present
    bus       None where this process is alone
    """

    channels: Mapping[str, int]
    depths: Mapping[str, Depth]
    looked_at: float
    slow: int
    answers: bool | None
    php_processes: Mapping[str, int]
    php_is_down: bool = False
    bus: Bus | None = None


class MetricsAccess:
    """Who may scrape: these addresses, but not through a proxy, and whoever bears the token.

    A proxy on this machine has its address. It gives itself away by what it adds, by the Host that its
    clients asked for, or by HTTP/1.0, which nginx speaks where it is told nothing else."""

    def __init__(self, addresses: Sequence[str], token: Secret | None) -> None:
        self._addresses = frozenset(addresses)
        self._token = token

    def allows(self, request: Request) -> bool:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._token and hmac.compare_digest(given.encode(), self._token.reveal().encode()):
            return True
        if request.client is None or request.client.host not in self._addresses:
            return False
        return not any(_forwards(name) for name in request.headers) and not _is_proxied(request)


def _forwards(header: str) -> bool:
    return header.startswith("x-forwarded-") or header in (
        "forwarded",
        "via",
        "x-real-ip",
        "cf-connecting-ip",
    )


def _is_proxied(request: Request) -> bool:
    """Whether a request of this machine was made for another that knows it by a name."""
    if request.client is None or not _is_loopback(request.client.host):
        return False
    given = request.headers.get("host", "")
    try:
        host = urlsplit(f"//{given}").hostname or ""
    except ValueError:
        return True
    if "@" in given:
        return True
    return not (host == "localhost" or _is_loopback(host)) or request.scope.get("http_version") == "1.0"


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def metrics_text(
    tally: Counters,
    now: Callable[[], ScrapeState],
    *,
    store_faults: Callable[[], int],
    look: Callable[[], Awaitable[object]],
) -> Callable[[], Awaitable[bytes]]:
    """Gives the metrics of this process. `look` is done before: what `now` gives is of then. `store_faults`:
    the times that the queue's store did not answer.

    Prometheus's client comes with the first question: it takes 2 MB, and not everybody asks."""
    made: Callable[[], bytes] | None = None

    def make() -> Callable[[], bytes]:
        from bridge.monitoring.prometheus import exposition

        return exposition(tally, now, store_faults)

    async def text() -> bytes:
        nonlocal made
        if made is None:
            made = await asyncio.to_thread(make)
        await look()
        return made()

    return text


def metrics_route(text: Callable[[], Awaitable[bytes]], access: MetricsAccess | None) -> Route:
    """`GET /metrics`; `access` None: whoever gets here may."""

    async def metrics(request: Request) -> Response:
        if access is not None and not access.allows(request):
            raise HTTPException(
                403,
                "from here, or through a proxy, this needs the token: see metrics_token, metrics_addresses",
            )
        body = await text()
        from prometheus_client.exposition import CONTENT_TYPE_LATEST  # which `text` has imported in a thread

        return Response(body, media_type=CONTENT_TYPE_LATEST)

    return Route("/metrics", metrics)
