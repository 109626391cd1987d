"""HTTP/1.1: bytes become whole requests, which are answered in order; a WebSocket handshake is handed over.

llhttp, in its strict mode, decides where a request ends: nothing here looks for that itself. Four rules keep
one client's bytes from being read as somebody else's request, whatever proxy stands in between:

- A request is answered once it is whole, so no answer overtakes its own body.
- An `Upgrade` other than a complete WebSocket handshake is taken out of the request, which is then parsed as
  what it is without: with its body. (llhttp would leave the body to the new protocol.)
- After a request that is refused, too large or the connection's last, nothing is parsed any more.
- An answer that is not as long as it said ends the connection.

Requests reach an ASGI application. Time limits are looked after by one sweep of all connections.
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import httptools
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Scope

from bridge.sockets.server import paths
from bridge.sockets.server.proxy_protocol import Origin, begins

REQUEST_TIMEOUT = 20.0  # seconds for a whole request, headers and body; the first counts from the connection
IDLE_TIMEOUT = 75.0  # seconds without a request, or without progress in taking an answer
LINGER = 5.0  # seconds in which a client that is refused may go on sending, so that it gets the answer
SWEEP_INTERVAL = 1.0  # seconds between two looks at the time limits

MAX_HEAD = 65_536  # bytes of a request line and its headers that may wait to become complete
MAX_HEADERS = 2_000
MAX_BODY = 1_048_576  # bytes of a body, unless the listener says otherwise
MAX_UNFINISHED = 33_554_432  # bytes of all bodies that are not complete
MAX_PIPELINED = 100  # requests that may wait behind the one that is being answered
AT_ONCE = 16  # requests of a connection that are answered in one turn of the loop, which others share

Headers = list[tuple[bytes, bytes]]

logger = logging.getLogger(__name__)


class Request:
    """A request whose head is complete.

    target    as it stands in the request line
    path      the target's path in its normal form, percent-decoded
    raw_path  the path as it came; query likewise, without its question mark
    peer      address and port from which the connection comes, or its proxy says that it does; `is_secure`:
              by TLS. Known to the application and to `upgrade`
    headers   names in lower case
    body      whole once the application sees it; empty when `is_too_large`
    """

    __slots__ = (
        "_values",
        "body",
        "headers",
        "is_secure",
        "is_too_large",
        "keep_alive",
        "method",
        "path",
        "peer",
        "query",
        "raw_path",
        "target",
        "version",
    )

    def __init__(
        self, method: str, target: bytes, version: str, headers: Headers, *, keep_alive: bool, prefix: str
    ) -> None:
        """Raises ValueError when the target is not readable."""
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        self._values: dict[bytes, list[bytes]] | None = None
        self.keep_alive = keep_alive
        self.body = b""
        self.is_too_large = False
        self.peer = ("", 0)
        self.is_secure = False
        if target.startswith(b"/"):
            self.raw_path, _, self.query = target.partition(b"#")[0].partition(b"?")
        else:
            self.raw_path, self.query = _parts(target)
        self.path = paths.unquoted(paths.normal(self.raw_path.decode("ascii"), prefix))

    def values(self, name: bytes) -> list[bytes]:
        """Of every header of this name, in lower case."""
        if self._values is None:
            self._values = {}
            for header, value in self.headers:
                self._values.setdefault(header, []).append(value)
        return self._values.get(name, [])

    @property
    def awaits_continue(self) -> bool:
        """Whether the client sends the body only once it is asked to."""
        expected = [value.lower() for value in self.values(b"expect")]
        return self.version == "1.1" and expected == [b"100-continue"]

    def head_without_upgrade(self) -> bytes:
        lines = [b"%s %s HTTP/%s" % (self.method.encode(), self.target, self.version.encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"


def _parts(target: bytes) -> tuple[bytes, bytes]:
    """Path and query of an absolute URL or `*`. Raises ValueError."""
    if target == b"*":
        return target, b""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserError:
        raise ValueError("the target is no URL") from None
    return url.path or b"/", url.query or b""


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
    at_once          what is asked before it, with a maker of a `Later`: the JSON text of an answer with
                     status 200, or the `Later` that will be given it; None: ask the app
    is_handshake     whether a request is a WebSocket handshake, and not a plain request
    upgrade          answers a handshake and returns who speaks on the transport from then on
    largest_body     bytes that a body may have now
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        at_once: Callable[[Request, Callable[[Request], Later]], bytes | Later | None] | None = None,
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

    def hold(self, size: int) -> None:
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


class HttpConnection(asyncio.Protocol):
    """A TCP connection that speaks HTTP, until it is upgraded or ends."""

    __slots__ = (
        "_answered",
        "_body",
        "_body_size",
        "_exchange",
        "_fed",
        "_head",
        "_headers",
        "_is_lingering",
        "_is_partial",
        "_last_words",
        "_origin",
        "_parser",
        "_queue",
        "_request",
        "_server",
        "_upgrading",
        "_writable",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, server: HttpServer, origin: Origin | None = None) -> None:
        self._server = server
        self._origin = origin
        self._parser: Any = httptools.HttpRequestParser(self)  # None: nothing more is read as a request
        self._answered = 0  # requests in this turn of the loop, at once
        self._exchange: Exchange | Later | None = None  # what is being answered,
        self._queue: deque[Request] = deque()  # and what waits behind it, or for the next turn
        self._upgrading: tuple[Request, bytes] | None = None  # likewise, and what came with it
        self._last_words = b""  # an answer of our own, behind all these
        self._is_lingering = False
        self._writable: asyncio.Future[None] | None = None  # set while the client does not read
        self._is_partial = False  # a request has begun
        self._head: bytes | None = None  # its target so far, until its head is complete
        self._fed = 0  # bytes since it began
        self._headers: Headers = []
        self._request: Request | None = None
        self._body: list[bytes] = []
        self._body_size = 0

    @property
    def is_idle(self) -> bool:
        """No request has begun, and none is being answered."""
        return not self._is_answering and not self._is_partial

    @property
    def _is_answering(self) -> bool:
        return self._exchange is not None or bool(self._queue)

    # Called by the transport ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._server.add(self)
        self._server.await_client(self, self._server.request_timeout)

    def data_received(self, data: bytes) -> None:
        was_partial = self._is_partial
        if not self._is_answering:
            self._answered = 0
        while data and self._parser is not None:
            self._fed += len(data)
            try:
                self._parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as end:
                data = self._upgrade(data[end.args[0] :])
            except httptools.HttpParserError as problem:
                if begins(data):
                    self._server.tell_unexpected()
                self._refuse(400, "the request is not well-formed HTTP", str(problem))
        else:
            if self._upgrading is not None:
                request, rest = self._upgrading
                self._upgrading = (request, rest + data)
        if self._parser is None:
            return
        if self._is_partial:
            if self._head is not None:
                if self._fed > MAX_HEAD:
                    self._refuse(431, f"the headers are larger than {MAX_HEAD} bytes")
            elif self._fed > MAX_HEAD + 8 * self._server.largest_body():  # chunks of one byte, and no more
                self._refuse(413, "the chunks are much larger than what they carry")
            if not was_partial and not self._is_answering:
                self._server.await_client(self, self._server.request_timeout)

    def eof_received(self) -> bool:
        """The client has ended its side. It may still get an answer that has not begun."""
        has_begun = self._exchange is not None and self._exchange.has_begun
        if not self._is_answering or has_begun or not self.transport.can_write_eof():
            return False
        self._parser = None
        self._upgrading = None
        return True

    def pause_writing(self) -> None:
        self._writable = self._server.loop.create_future()
        self._server.await_client(self, IDLE_TIMEOUT)

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)
        if self._exchange is not None:
            self._server.await_nothing(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.remove(self)
        self._parser = self._upgrading = None
        self._queue.clear()
        self._let_body_go()
        if self._exchange is not None:
            self._exchange.end()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # Called by the server -------------------------------------------------------------------------------

    def finish(self) -> None:
        """The server stops: what is being answered is the last."""
        self._parser = self._upgrading = None
        self._queue.clear()
        if self._exchange is None or self._exchange.has_begun:
            self.transport.close()

    def expire(self) -> None:
        """The client has had its time."""
        if self._writable is not None or self._is_lingering:
            self.transport.abort()
        elif self.is_idle and self._fed:
            self.transport.close()
        else:
            self._refuse(408, "the request was not complete in time")

    def abort(self) -> None:
        """Ends the connection at once."""
        self.transport.abort()

    # Called by the parser -------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._is_partial = True
        self._head = b""
        self._headers = []
        self._body_size = 0
        self._request = None

    def on_url(self, part: bytes) -> None:
        if self._head is not None:
            self._head += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is None:  # of a trailer: nobody asks for it
            return
        if len(self._headers) >= MAX_HEADERS:
            self._refuse(431, f"there are more than {MAX_HEADERS} headers")
        else:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, target = self._parser, self._head
        if parser is None or target is None:
            return
        self._head = None
        method = parser.get_method().decode()
        version = parser.get_http_version()
        keep_alive = version == "1.1" and parser.should_keep_alive() and not self._server.is_ending
        try:
            request = self._request = Request(
                method,
                target,
                version,
                self._headers,
                keep_alive=keep_alive,
                prefix=self._server.path_prefix,
            )
        except ValueError:
            self._refuse(400, "the path is not readable")
            return
        if parser.should_upgrade():
            return
        hosts, has_body, codings = 0, False, 0
        for name, value in self._headers:
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                has_body = True
                if int(value) > self._server.largest_body():
                    self._too_large(request)
                    return
            elif name == b"transfer-encoding":
                has_body = True
                # more than once where it is more than the one word: proxies read the rest in different ways
                codings += 1 if value.strip(b" \t").lower() == b"chunked" else 2
        if codings > 1:
            self._refuse(400, "Transfer-Encoding is not just chunked")
        elif hosts > 1:
            self._refuse(400, "Host is given twice")
        elif has_body and not self._is_answering and request.awaits_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        if self._parser is None or self._request is None:
            return
        self._body_size += len(part)
        if self._body_size > self._server.largest_body():
            self._too_large(self._request)
        else:
            self._body.append(part)
            self._server.hold(len(part))

    def on_message_complete(self) -> None:
        request = self._request
        if self._parser is None or request is None or self._parser.should_upgrade():
            return
        self._is_partial = False
        self._fed = 1  # something has come; what the next begins with is counted from the next segment on
        request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._let_body_go()
        self._take(request)

    def _let_body_go(self) -> None:
        if self._body:
            self._server.hold(-sum(map(len, self._body)))
            self._body = []

    # Requests -------------------------------------------------------------------------------------------

    def _too_large(self, request: Request) -> None:
        """The application says so itself, once it asks for the body."""
        self._let_body_go()
        request.is_too_large = True
        self._is_partial = False
        self._take(request)

    def _take(self, request: Request) -> None:
        if request.is_too_large or not request.keep_alive:
            self._parser = None
        if not self._is_answering and self._answered < AT_ONCE:
            self._begin(request)
            return
        self._queue.append(request)
        self.transport.pause_reading()
        if self._exchange is None:  # what one read has brought, and no more
            if len(self._queue) == 1:
                self._server.loop.call_soon(self._go_on)
        elif len(self._queue) >= MAX_PIPELINED:
            self._refuse(429, f"more than {MAX_PIPELINED} requests wait for their answers")

    def _begin(self, request: Request) -> None:
        """Answers the request at once, or begins to."""
        self._server.await_nothing(self)  # whoever asks is the youngest of those that are waited for
        if self._is_answered(request):
            if self._exchange is None:
                self.answered(request)  # which may begin the next: at most AT_ONCE deep
            return
        request.peer, request.is_secure = self._arrival()
        exchange = self._exchange = Exchange(self, request)
        task = self._server.loop.create_task(exchange.run(self._server.app))
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    def _is_answered(self, request: Request) -> bool:
        """Whether the request needs no application."""
        server = self._server
        if server.at_once is None or self._writable is not None:
            return False
        try:
            body = server.at_once(request, self._later)
        except Exception:
            about = {"action": "http", "method": request.method, "path": request.path}
            logger.exception("HTTP request failed", extra=about)
            answer = _text(500, "the server has a fault", closes=self.closes_after(request))
        else:
            if body is None:
                return False
            if isinstance(body, Later):
                self._exchange = body
                return True
            answer = self._json(request, body)
        self.transport.write(answer)
        self._answered += 1
        return True

    def _later(self, request: Request) -> Later:
        return Later(self, request)

    def _json(self, request: Request, body: bytes) -> bytes:
        closing = b"connection: close\r\n" if self.closes_after(request) else b""
        return _JSON_HEAD % (len(body), closing) + body

    def answer(self, request: Request, body: bytes) -> None:
        """The request that was to be answered later is answered."""
        self.transport.write(self._json(request, body))
        self.answered(request)

    def closes_after(self, request: Request) -> bool:
        """Whether the answer to this request is the connection's last."""
        if self._queue or self._upgrading or self._last_words:
            return False
        return self._parser is None

    def answered(self, request: Request) -> None:
        """The answer is written."""
        self._exchange = None
        if self.transport.is_closing():
            return
        if self._queue:
            if self._answered < AT_ONCE:
                self._begin_next()
            else:
                self._server.loop.call_soon(self._go_on)
        elif self._upgrading is not None:
            self._switch(*self._upgrading)
        elif self._parser is None:
            self._end(linger=request.is_too_large or bool(self._last_words))
        else:
            seconds = self._server.request_timeout if self._is_partial else IDLE_TIMEOUT
            self._server.await_client(self, seconds)

    def _go_on(self) -> None:
        """The next turn of the loop, for requests that wait for nothing else."""
        self._answered = 0
        if self._queue and self._exchange is None and not self.transport.is_closing():
            self._begin_next()

    def _begin_next(self) -> None:
        following = self._queue.popleft()
        if not self._queue and self._parser is not None:
            self.transport.resume_reading()
        self._begin(following)

    def _upgrade(self, rest: bytes) -> bytes:
        """The parser has stopped behind a head with an upgrade. What it shall read next."""
        request = self._request
        if request is None or self._parser is None:
            return b""
        if request.method == "CONNECT":  # nor is it served without its upgrade
            self._refuse(405, "CONNECT is not served")
            return b""
        if not self._server.is_handshake(request):
            self._fed = 0
            self._parser = httptools.HttpRequestParser(self)
            return request.head_without_upgrade() + rest
        self._parser = None
        if not self._is_answering:
            self._switch(request, rest)
        else:
            self._upgrading = (request, rest)
            self.transport.pause_reading()
        return b""

    def _switch(self, request: Request, rest: bytes) -> None:
        self._server.remove(self)
        self._upgrading = None
        request.peer, request.is_secure = self._arrival()
        protocol = self._server.upgrade(self.transport, request)
        self.transport.resume_reading()
        if rest:
            protocol.data_received(rest)

    def _arrival(self) -> tuple[tuple[str, int], bool]:
        is_tls = self.transport.get_extra_info("sslcontext") is not None
        if self._origin is None:
            return _peer(self.transport), is_tls
        return (self._origin.address, self._origin.port), is_tls or self._origin.is_secure

    def _refuse(self, status: int, line: str, detail: str = "") -> None:
        """This is the last answer; it comes after those that are due."""
        if self._parser is None:
            return
        self._parser = None
        self._is_partial = False
        self._let_body_go()
        self._last_words = _text(status, line, closes=True)
        about = {"action": "http", "status": status, "address": _peer(self.transport)[0]}
        logger.debug("HTTP request refused", extra={**about, "why": detail or line})
        if not self._is_answering:
            self._end(linger=True)

    def _end(self, *, linger: bool) -> None:
        """The connection ends. A client that may still be sending is heard out first: to close would reset
        the connection, and take the answer with it."""
        if self._last_words:
            self.transport.write(self._last_words)
            self._last_words = b""
        if not linger:
            self.transport.close()
            return
        self._is_lingering = True
        self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._server.await_client(self, LINGER)

    # For the exchange -----------------------------------------------------------------------------------

    @property
    def largest_body(self) -> int:
        return self._server.largest_body()

    async def writable(self) -> None:
        """The client has taken enough of what was written."""
        while self._writable is not None:
            await self._writable

    def scope(self, request: Request) -> Scope:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.version,
            "method": request.method,
            "scheme": "https" if request.is_secure else "http",
            "path": request.path,
            "raw_path": request.raw_path,
            "query_string": request.query,
            "root_path": "",
            "headers": request.headers,
            "client": request.peer,
            "server": _address(self.transport.get_extra_info("sockname")),
        }


class Later:
    """A request that needs no application, and whose answer is not there yet."""

    __slots__ = ("_connection", "_is_ended", "_request", "has_begun")

    def __init__(self, connection: HttpConnection, request: Request) -> None:
        self._connection = connection
        self._request = request
        self._is_ended = False
        self.has_begun = False

    def answer(self, body: bytes) -> None:
        """The JSON text of the answer; once, and in another turn of the loop than the request's."""
        if not self._is_ended:
            self._is_ended = True
            self._connection.answer(self._request, body)

    def end(self) -> None:
        """The client is gone."""
        self._is_ended = True


class Exchange:
    """One request and its answer, as an ASGI application sees them."""

    __slots__ = (
        "_connection",
        "_ended",
        "_gave_body",
        "_head",
        "_is_chunked",
        "_is_ended",
        "_left",
        "_request",
        "has_begun",
    )

    def __init__(self, connection: HttpConnection, request: Request) -> None:
        self._connection = connection
        self._request = request
        self._gave_body = False
        self._ended: asyncio.Future[None] | None = None
        self._is_ended = False  # the answer is complete, or the client is gone
        self._head: Message | None = None  # what was told of the answer, until it is written
        self._left: int | None = None  # bytes of the answer still to come, if that is known
        self._is_chunked = False
        self.has_begun = False

    async def run(self, app: ASGIApp) -> None:
        connection, request = self._connection, self._request
        try:
            await app(connection.scope(request), self.receive, self.send)
        except Exception:
            about = {"action": "http", "method": request.method, "path": request.path}
            logger.exception("HTTP request failed", extra=about)
        if not self._is_ended:
            if self.has_begun:  # a part of an answer is no answer
                connection.transport.abort()
            else:
                self._left = None
                self._head = {"status": 500, "headers": [(b"content-type", b"text/plain; charset=utf-8")]}
                self._write(b"the server has a fault", is_last=True)
        self.end()
        connection.answered(request)

    async def receive(self) -> Message:
        if not self._gave_body:
            self._gave_body = True
            if self._request.is_too_large:
                raise HTTPException(413, f"the body is larger than {self._connection.largest_body} bytes")
            return {"type": "http.request", "body": self._request.body, "more_body": False}
        if not self._is_ended:
            if self._ended is None:
                self._ended = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._ended)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = message
            return
        await self._connection.writable()
        if not self._is_ended:
            self._write(message.get("body", b""), is_last=not message.get("more_body", False))

    def end(self) -> None:
        self._is_ended = True
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _write(self, body: bytes, *, is_last: bool) -> None:
        data = []
        if self._head is not None:
            data.append(self._begin(self._head, len(body) if is_last else None))
            self._head = None
            self.has_begun = True
        is_head = self._request.method == "HEAD"
        if self._left is not None and not is_head:
            self._left -= len(body)
            if self._left < 0 or (is_last and self._left):
                raise RuntimeError("the answer is not as long as its Content-Length")
        if not is_head:
            if not self._is_chunked:
                data.append(body)
            else:
                if body:
                    data += b"%x\r\n" % len(body), body, b"\r\n"
                if is_last:
                    data.append(b"0\r\n\r\n")
        self._connection.transport.write(b"".join(data))
        self._is_ended = is_last

    def _begin(self, head: Message, length: int | None) -> bytes:
        """The head of the answer; `length` is the body's, when all of it is there."""
        status = head["status"]
        lines = [STATUS_LINES[status]]
        for name, value in head["headers"]:
            if name == b"content-length":
                self._left = int(value)
            lines.append(b"%s: %s" % (name, value))
        closes = self._connection.closes_after(self._request)
        if status in (204, 304):
            self._left = 0
        elif self._left is None and length is not None:
            lines.append(b"content-length: %d" % length)
        elif self._left is None and self._request.version == "1.1":
            self._is_chunked = True
            lines.append(b"transfer-encoding: chunked")
        if closes:
            lines.append(b"connection: close")
        text = b"\r\n".join(lines)
        if not text.count(b"\r") == text.count(b"\n") == len(lines) - 1:
            raise RuntimeError("a header of the answer holds a line break")
        return text + b"\r\n\r\n"


_UNEXPECTED = {
    "action": "proxy_protocol",
    "why": "set proxy_protocol = true and trusted_proxies, or take send-proxy out of the proxy's settings",
}
STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in http.HTTPStatus
}


_JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\ncontent-type: application/json\r\n%s\r\n"


def _text(status: int, line: str, *, closes: bool) -> bytes:
    text = line.encode()
    closing = b"connection: close\r\n" if closes else b""
    head = b"%s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n%s\r\n"
    return head % (STATUS_LINES[status], len(text), closing) + text


def _peer(transport: asyncio.Transport) -> tuple[str, int]:
    return _address(transport.get_extra_info("peername")) or ("", 0)


def _address(known: object) -> tuple[str, int] | None:
    """An IPv4 client of a port of both kinds, as systemd's `ListenStream=6001` is, has its IPv4 address."""
    if not isinstance(known, tuple):
        return None
    host = str(known[0])
    return host.removeprefix("::ffff:") if "." in host else host, int(known[1])
