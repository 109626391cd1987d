"""Listener: the one port for WebSocket and HTTP. `http` reads requests; a handshake becomes a `Socket`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from starlette import requests
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp

from bridge.sockets.pusher.close_codes import OVER_CAPACITY
from bridge.sockets.server import api
from bridge.sockets.server.acceptor import Acceptor
from bridge.sockets.server.api_observer import ApiObserver
from bridge.sockets.server.binding import BACKLOG
from bridge.sockets.server.certificate import Certificate
from bridge.sockets.server.events_endpoint import EventsEndpoint
from bridge.sockets.server.handshake import is_handshake
from bridge.sockets.server.http_request import Request
from bridge.sockets.server.http_server import HttpOptions, HttpServer
from bridge.sockets.server.node import CLOSING_SHARE, Node
from bridge.sockets.server.open_files import REMEDY, raise_limit
from bridge.sockets.server.socket import Socket
from bridge.sockets.server.trusted_proxies import Forwarded

HTTP_CONNECTIONS = 1_024  # plain ones at once, where there are descriptors for them
SPARE_DESCRIPTORS = 64  # kept for databases and files
HANDSHAKE_TIMEOUT = 10.0  # seconds for a TLS handshake
ANSWER_TIMEOUT = 2.0  # seconds that a stop leaves to requests that are being answered


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed (a quarter less memory and half the cost under load), else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def application(routes: Sequence[BaseRoute]) -> ASGIApp:
    """Serves the routes. Starlette's own application adds a page for errors, which `http` answers itself."""
    # A redirect to or from a final slash would go where the Host header says.
    return ExceptionMiddleware(Router(routes, redirect_slashes=False))


async def _root(request: requests.Request) -> Response:
    """For load balancers that ask here."""
    return PlainTextResponse("OK")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerOptions:
    """
    certificate     for TLS; None: plain
    proxy_protocol  whether connections of the node's proxies begin with a header of the PROXY protocol
    http            of the public HTTP server
    largest_body    bytes of an HTTP request's body; None: as much as the apps' limits ask for
    """

    certificate: Certificate | None = None
    proxy_protocol: bool = False
    http: HttpOptions = field(default_factory=HttpOptions)
    largest_body: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """Where several processes serve the same sockets.

    private     Unix sockets that listen, and what is served on them, always without TLS
    yields      whether one of the others should have the next connection. It gets how many are here
    may_listen  clients are taken once it is set; None: at once
    """

    private: tuple[Sequence[socket.socket], ASGIApp] | None = None
    yields: Callable[[int], bool] | None = None
    may_listen: asyncio.Event | None = None


class Listener:
    """Serves a node on listening sockets.

    routes   extra Starlette routes (a demo page, a dashboard); they come after the API's
    override_routes  routes that come before the API's, and so in their place
    ready    what `/ready` answers; 200 when its `ready` is true, else 503
    """

    def __init__(
        self,
        node: Node,
        sockets: Sequence[socket.socket],
        *,
        routes: Sequence[BaseRoute] = (),
        override_routes: Sequence[BaseRoute] = (),
        ready: Callable[[], Mapping[str, object]] = lambda: {"ready": True},
        options: ListenerOptions = ListenerOptions(),
        sharing: Sharing = Sharing(),
    ) -> None:
        private = sharing.private
        self._node = node
        self._sockets = list(sockets)
        self._certificate = options.certificate
        self._proxy_protocol = options.proxy_protocol
        self._yields = sharing.yields
        self._private = private
        self._may_listen = sharing.may_listen
        self._largest_body = options.largest_body
        pages = application([*override_routes, *api.routes(node, ready), *routes, Route("/", _root)])
        app: ASGIApp = ApiObserver(pages, node)
        if node.proxies:
            app = Forwarded(app, node.proxies)
        self._http = HttpServer(
            app,
            at_once=None if override_routes else EventsEndpoint(node),
            is_handshake=is_handshake,
            upgrade=self._upgrade,
            largest_body=self._body_limit,
            options=options.http,
        )
        self._private_http = HttpServer(
            app if private is None else private[1],
            is_handshake=lambda request: False,
            upgrade=self._upgrade,
            largest_body=self._body_limit,
        )
        self._private_servers: list[asyncio.Server] = []
        self._servers: list[asyncio.Server | Acceptor] = []
        self._stopped = asyncio.Event()
        self._ended = asyncio.Event()
        self._is_closed = False
        self.started = asyncio.Event()
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Serves until `stop`; `started` is set once the node may be used, `listening` once connections are
        taken."""
        descriptors = raise_limit()
        self._http.max_connections = max(min(HTTP_CONNECTIONS, descriptors // 4), 1)
        if self._node.max_connections is None:
            free = descriptors - self._http.max_connections - SPARE_DESCRIPTORS
            most = max(free * CLOSING_SHARE // (CLOSING_SHARE + 1), 1)
            self._node.limit(most, f"{descriptors} open files allow {most} clients: {REMEDY}")
        self._node.start()
        self._http.start()
        self._private_http.start()
        loop = asyncio.get_running_loop()
        self.started.set()
        try:
            if self._may_listen is not None:
                await self._may_listen.wait()
            for sock in self._sockets if not self._is_closed else ():
                if self._certificate is not None or self._proxy_protocol or self._yields is not None:
                    context = None if self._certificate is None else self._certificate.context
                    proxies = self._node.proxies if self._proxy_protocol else None
                    acceptor = Acceptor(
                        self._http,
                        sock,
                        context,
                        HANDSHAKE_TIMEOUT,
                        proxies,
                        self._should_yield,
                        self._node.warn_full,
                    )
                    self._servers.append(acceptor)
                else:
                    self._servers.append(
                        await loop.create_server(self._http.connection, sock=sock, backlog=BACKLOG)
                    )
            for sock in self._private[0] if self._private else ():
                own = self._private_http
                self._private_servers.append(await loop.create_unix_server(own.connection, sock=sock))
            self.listening.set()
            await self._stopped.wait()
        finally:
            self._close()
            for server in self._private_servers:
                server.close()
            within = ANSWER_TIMEOUT if self._stopped.is_set() else 0
            await asyncio.gather(self._http.stop(within), self._private_http.stop(within))
            self._node.stop()
            self._ended.set()

    async def stop(self, drain: float = 2.0, code: int = OVER_CAPACITY, spread: float = 0.0) -> None:
        """Takes no further connection, flushes and closes every socket, and waits until `run` has returned.

        `spread`: see `Node.drain`; meanwhile plain HTTP goes on, each answer the last of its connection."""
        self._close()
        if self._may_listen is not None:
            self._may_listen.set()
        self._http.is_ending = True
        await self._node.drain(drain, code, spread)
        self._stopped.set()
        await self._ended.wait()

    @property
    def is_stopping(self) -> bool:
        return self._is_closed

    def _close(self) -> None:
        self._is_closed = True
        for server in self._servers:
            server.close()
        self._servers.clear()

    @property
    def connections(self) -> int:
        """Of clients: WebSockets, and those that speak plain HTTP or nothing yet."""
        return self._node.connections + self._http.connections

    def _should_yield(self) -> bool:
        return self._yields is not None and self._yields(self.connections)

    def _upgrade(self, transport: asyncio.Transport, request: Request) -> Socket:
        socket = Socket(self._node)
        socket.open(transport, request)
        return socket

    def _body_limit(self) -> int:
        if self._largest_body is not None:
            return self._largest_body
        return self._node.largest_body
