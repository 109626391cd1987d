"""Listener: the one port for WebSocket and HTTP. uvicorn reads HTTP; an upgrade becomes a `Socket`.

Only this file and `socket` know how uvicorn calls a WebSocket protocol class; `tests/server/test_listener.py`
guards it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import resource
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.pusher.codes import OVER_CAPACITY
from bridge.server import api
from bridge.server.calls import Calls
from bridge.server.certificate import Certificate
from bridge.server.http import REQUEST_TIMEOUT, with_timeout
from bridge.server.node import Node
from bridge.server.proxies import Forwarded
from bridge.server.socket import Socket

BACKLOG = 4_096  # connections the kernel holds while the process starts or the loop is busy
SPARE_DESCRIPTORS = 64  # kept for databases, files and the HTTP API


def bind(host: str, port: int) -> socket.socket:
    """A listening TCP socket, before anything slow happens; clients wait in its backlog.

    Port 0 takes a free one. Raises ServiceUnavailable where another holds the address, ConfigurationError
    where it can never be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as problem:
        where, fault = f"address {host}:{port}", f"cannot be listened on ({problem.strerror})"
        if isinstance(problem, PermissionError | socket.gaierror):
            mend = "choose another with --host and --port"
            raise ConfigurationError(where, fault, mend=mend) from None
        raise ServiceUnavailable(
            f"{where} {fault}: stop the process that holds it, or choose another with --host and --port"
        ) from None


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed (a quarter less memory and half the cost under load), else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def raise_descriptor_limit() -> int:
    """As many open files as the system lets this process have; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Listener:
    """Serves a node on listening sockets.

    routes       extra Starlette routes (a demo page, a dashboard); they come after the API's
    instead      routes that come before the API's, and so in their place
    ready        what `/ready` answers; 200 when its `ready` is true, else 503
    certificate  for TLS; None: plain
    request_timeout  seconds in which an HTTP request has to be complete
    """

    def __init__(
        self,
        node: Node,
        sockets: Sequence[socket.socket],
        *,
        routes: Sequence[BaseRoute] = (),
        instead: Sequence[BaseRoute] = (),
        ready: Callable[[], Mapping[str, object]] = lambda: {"ready": True},
        certificate: Certificate | None = None,
        request_timeout: float = REQUEST_TIMEOUT,
    ) -> None:
        self._node = node
        self._sockets = list(sockets)
        app: ASGIApp = Calls(Starlette(routes=[*instead, *api.routes(node, ready), *routes]), node)
        if node.proxies:
            app = Forwarded(app, node.proxies)
        protocol: Any = functools.partial(Socket, node)
        config = uvicorn.Config(
            app,
            ws=protocol,
            http=with_timeout(request_timeout),
            loop="asyncio",  # not used: the loop is running already
            interface="asgi3",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
        config.load()
        config.ssl = certificate.context if certificate else None
        self._uvicorn = _Uvicorn(config)
        self._ended = asyncio.Event()
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Serves until `stop`; `listening` is set once connections are taken."""
        limit = raise_descriptor_limit()
        if self._node.max_connections is None:
            self._node.max_connections = max(limit - SPARE_DESCRIPTORS, 1)
        self._node.start()
        self._uvicorn.on_startup = self.listening.set
        try:
            await self._uvicorn.serve(self._sockets)
        finally:
            self._node.stop()
            self._ended.set()

    async def stop(self, drain: float = 2.0, code: int = OVER_CAPACITY) -> None:
        """No connection is taken any more, every socket is flushed and closed, and `run` has returned."""
        for server in getattr(self._uvicorn, "servers", ()):
            server.close()
        await self._node.drain(drain, code)
        self._uvicorn.should_exit = True
        await self._ended.wait()


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers, telling when it listens."""

    on_startup: Callable[[], None]

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_startup()
