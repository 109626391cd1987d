"""HttpServer: all HTTP connections of a listener, and their limits in time, number and memory.

Time limits are looked after by one sweep of all connections.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.types import ASGIApp

from bridge.sockets.server.http_answer import Answered, Later
from bridge.sockets.server.http_protocol import HttpConnection
from bridge.sockets.server.http_request import Request
from bridge.sockets.server.proxy_protocol import Origin

REQUEST_TIMEOUT = 20.0  # seconds for a whole request, headers and body; the first counts from the connection
SWEEP_INTERVAL = 1.0  # seconds between two looks at the time limits
MAX_BODY = 1_048_576  # bytes of a body, unless the listener says otherwise
MAX_UNFINISHED = 33_554_432  # bytes of all bodies that are not complete

logger = logging.getLogger(__name__)


class Connection(Protocol):
    """What the server counts: an HTTP connection, or a TLS handshake that may become one."""

    def finish(self) -> None:
        """The server stops: what is being answered is the last."""

    def expire(self) -> None:
        """The client has had its time."""

    def abort(self) -> None:
        """Ends the connection at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """
    path_prefix      see `paths.normal`
    request_timeout  seconds in which a request has to be complete
    max_connections  at once; beyond it the one is closed that keeps us waiting for longest
    """

    path_prefix: str = ""
    request_timeout: float = REQUEST_TIMEOUT
    max_connections: int = 1_024


class HttpServer:
    """All HTTP connections of a listener: what they serve, and their limits.

    app              the ASGI application
    at_once          what is asked before it, with the connection: the JSON text of an answer with status 200,
                     or a `Later` of that connection that will be given it; None: ask the app
    is_handshake     whether a request is a WebSocket handshake, and not a plain request
    upgrade          answers a handshake and returns who speaks on the transport from then on
    largest_body     bytes that a body may have now
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        at_once: Callable[[Request, Answered], bytes | Later | None] | None = None,
        is_handshake: Callable[[Request], bool],
        upgrade: Callable[[asyncio.Transport, Request], asyncio.Protocol],
        largest_body: Callable[[], int] = lambda: MAX_BODY,
        options: HttpOptions = HttpOptions(),
    ) -> None:
        self.app = app
        self.at_once = at_once
        self.is_handshake = is_handshake
        self.upgrade = upgrade
        self.largest_body = largest_body
        self.path_prefix = options.path_prefix
        self.request_timeout = options.request_timeout
        self.max_connections = options.max_connections
        self.tasks: set[asyncio.Task[None]] = set()
        self.is_ending = False  # every answer is the last of its connection
        self._connections: set[Connection] = set()
        # it is the client's turn, for longest first → when that must have an end
        self._deadlines: dict[Connection, float] = {}
        self._has_told = False  # of a header of the PROXY protocol
        self._unfinished = 0  # bytes of bodies that are not complete
        self._all_gone = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """On the running loop."""
        self.loop = asyncio.get_running_loop()
        self._interval = min(SWEEP_INTERVAL, self.request_timeout / 4)
        self._swept_at = self.loop.time()
        self._sweep()

    async def stop(self, within: float) -> None:
        """What is being answered gets up to `within` seconds; then there is no connection any more."""
        for connection in tuple(self._connections):
            connection.finish()
        if self._connections:
            self._all_gone.clear()
            try:
                async with asyncio.timeout(within):
                    await self._all_gone.wait()
            except TimeoutError:
                pass
        for connection in tuple(self._connections):
            connection.abort()
        for task in self.tasks:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def connection(self, origin: Origin | None = None) -> asyncio.Protocol:
        """For a new TCP connection; `origin`: from where its proxy says that it comes."""
        return HttpConnection(self, origin)

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    # For connections ------------------------------------------------------------------------------------

    def add(self, connection: Connection) -> None:
        while len(self._connections) >= self.max_connections and self._deadlines:
            self._end_oldest()
        self._connections.add(connection)

    def _end_oldest(self) -> None:
        """The connection that keeps us waiting for longest."""
        oldest = next(iter(self._deadlines))
        self.remove(oldest)
        oldest.abort()

    def count_unfinished(self, size: int) -> None:
        """`size` bytes more of a body that is not complete; negative for one that is, or is given up."""
        self._unfinished += size
        if self._unfinished > MAX_UNFINISHED and size > 0 and self._deadlines:
            self._end_oldest()

    def remove(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._deadlines.pop(connection, None)
        if not self._connections:
            self._all_gone.set()

    def tell_unexpected(self) -> None:
        """A connection begins with the PROXY protocol; said once, since any client may do so."""
        if not self._has_told:
            self._has_told = True
            logger.warning("the PROXY protocol is not expected", extra=_UNEXPECTED)

    def await_client(self, connection: Connection, seconds: float) -> None:
        """Gives the client its turn; after `seconds` the connection expires. Its rank in age stays."""
        if connection in self._connections:
            self._deadlines[connection] = self.loop.time() + seconds

    def await_nothing(self, connection: Connection) -> None:
        """It is our turn."""
        self._deadlines.pop(connection, None)

    def _sweep(self) -> None:
        now = self.loop.time()
        was_stopped = now - self._swept_at > 2 * self._interval + SWEEP_INTERVAL
        self._swept_at = now
        self._timer = self.loop.call_later(self._interval, self._sweep)
        if was_stopped:  # the process slept; what clients sent meanwhile is to be read first
            return
        for connection, deadline in tuple(self._deadlines.items()):
            if now >= deadline:
                connection.expire()


_UNEXPECTED = {
    "action": "proxy_protocol",
    "why": "set proxy_protocol = true and trusted_proxies, or take send-proxy out of the proxy's settings",
}
