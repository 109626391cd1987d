"""HTTP/1.1 on one connection: whole requests are answered in order; a WebSocket handshake is handed over.

`http_request` reads, `http_answer` writes, `http_server` has the limits. Four rules keep one client's bytes
from being read as somebody else's request, whatever proxy stands in between:

- A request is answered once it is whole, so no answer overtakes its own body.
- An `Upgrade` other than a complete WebSocket handshake is taken out of the request, which is then parsed as
  what it is without: with its body. (llhttp would leave the body to the new protocol.)
- After a request that is refused, too large or the connection's last, nothing is parsed any more.
- An answer that is not as long as it said ends the connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, cast

from bridge.sockets.server.http_answer import Exchange, Later, address, json_answer, text_answer
from bridge.sockets.server.http_request import Request, RequestReader
from bridge.sockets.server.proxy_protocol import Origin

if TYPE_CHECKING:
    from bridge.sockets.server.http_server import HttpServer

IDLE_TIMEOUT = 75.0  # seconds without a request, or without progress in taking an answer
LINGER = 5.0  # seconds in which a client that is refused may go on sending, so that it gets the answer
MAX_PIPELINED = 100  # requests that may wait behind the one that is being answered
AT_ONCE = 16  # requests of a connection that are answered in one turn of the loop, which others share

logger = logging.getLogger(__name__)


class HttpConnection(asyncio.Protocol):
    """A TCP connection that speaks HTTP, until it is upgraded or ends."""

    __slots__ = (
        "_answered",
        "_exchange",
        "_is_lingering",
        "_last_words",
        "_origin",
        "_queue",
        "_reader",
        "_server",
        "_upgrading",
        "_writable",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, server: HttpServer, origin: Origin | None = None) -> None:
        self._server = server
        self._origin = origin
        self._reader: RequestReader | None = RequestReader(self, server)  # None: nothing more is a request
        self._answered = 0  # requests in this turn of the loop, at once
        self._exchange: Exchange | Later | None = None  # what is being answered,
        self._queue: deque[Request] | None = None  # and what waits behind it, or for the next turn
        self._upgrading: tuple[Request, bytes] | None = None  # likewise, and what came with it
        self._last_words = b""  # an answer of our own, behind all these
        self._is_lingering = False
        self._writable: asyncio.Future[None] | None = None  # set while the client does not read

    @property
    def _is_answering(self) -> bool:
        return self._exchange is not None or bool(self._queue)

    # Called by the transport ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._server.add(self)
        self._server.await_client(self, self._server.request_timeout)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader is None:
            if self._upgrading is not None:
                request, rest = self._upgrading
                self._upgrading = (request, rest + data)
            return
        was_partial = reader.is_partial
        if self._exchange is None and not self._queue:
            self._answered = 0
        reader.feed(data)
        if reader.is_partial and not was_partial and not self._is_answering:
            self._server.await_client(self, self._server.request_timeout)

    def eof_received(self) -> bool:
        """The client has ended its side. It may still get an answer that has not begun."""
        has_begun = self._exchange is not None and self._exchange.has_begun
        if not self._is_answering or has_begun or not self.transport.can_write_eof():
            return False
        self._read_no_more()
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
        self._give_up()
        if self._exchange is not None:
            self._exchange.end()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # Called by the server -------------------------------------------------------------------------------

    def finish(self) -> None:
        """The server stops: what is being answered is the last."""
        self._give_up()
        if self._exchange is None or self._exchange.has_begun:
            self.transport.close()

    def expire(self) -> None:
        """The client has had its time."""
        reader = self._reader
        if self._writable is not None or self._is_lingering:
            self.transport.abort()
        elif reader is None or (reader.has_read and not reader.is_partial and not self._is_answering):
            self.transport.close()
        else:
            self.refuse(408, "the request was not complete in time")

    def abort(self) -> None:
        """Ends the connection at once."""
        self.transport.abort()

    def _give_up(self) -> None:
        self._read_no_more()
        self._queue = self._upgrading = None

    # Called by the reader -------------------------------------------------------------------------------

    def take(self, request: Request) -> None:
        """A request is whole, or too large to be so."""
        if request.is_too_large or not request.keep_alive:
            self._read_no_more()
        if self._exchange is None and not self._queue and self._answered < AT_ONCE:
            self._begin(request)
            return
        if self._queue is None:
            self._queue = deque()
        self._queue.append(request)
        self.transport.pause_reading()
        if self._exchange is None:  # what one read has brought, and no more
            if len(self._queue) == 1:
                self._server.loop.call_soon(self._go_on)
        elif len(self._queue) >= MAX_PIPELINED:
            self.refuse(429, f"more than {MAX_PIPELINED} requests wait for their answers")

    def proceed(self) -> None:
        """The client wants to be told that it may send the body."""
        if not self._is_answering:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def upgrade(self, request: Request, rest: bytes) -> bool:
        """The head asks for an upgrade; whether it gets one. Then `rest` is what came behind it."""
        if request.method == "CONNECT":  # nor is it served without its upgrade
            self.refuse(405, "CONNECT is not served")
            return True
        if not self._server.is_handshake(request):
            return False
        self._read_no_more()
        if not self._is_answering:
            self._switch(request, rest)
        else:
            self._upgrading = (request, rest)
            self.transport.pause_reading()
        return True

    def refuse(self, status: int, line: str, detail: str = "") -> None:
        """This is the last answer; it comes after those that are due."""
        if self._reader is None:
            return
        self._read_no_more()
        self._last_words = text_answer(status, line, closes=True)
        about = {"action": "http", "status": status, "address": self._peer()[0]}
        logger.debug("HTTP request refused", extra={**about, "why": detail or line})
        if not self._is_answering:
            self._end(linger=True)

    def unexpected(self) -> None:
        """A refused connection begins with the PROXY protocol."""
        self._server.tell_unexpected()

    def _read_no_more(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.end()

    # Answering ------------------------------------------------------------------------------------------

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
            body = server.at_once(request, self)
        except Exception:
            about = {"action": "http", "method": request.method, "path": request.path}
            logger.exception("HTTP request failed", extra=about)
            answer = text_answer(500, "the server has a fault", closes=self.closes_after(request))
        else:
            if body is None:
                return False
            if type(body) is Later:
                self._exchange = body
                return True
            answer = json_answer(cast("bytes", body), closes=self.closes_after(request))
        self.transport.write(answer)
        self._answered += 1
        return True

    def answer(self, request: Request, body: bytes) -> None:
        """The request that was to be answered later is answered."""
        self.transport.write(json_answer(body, closes=self.closes_after(request)))
        self.answered(request)

    def fail(self, request: Request, status: int, line: str) -> None:
        """It has failed instead."""
        self.transport.write(text_answer(status, line, closes=self.closes_after(request)))
        self.answered(request)

    def closes_after(self, request: Request) -> bool:
        """Whether the answer to this request is the connection's last."""
        return self._reader is None and not (self._queue or self._upgrading or self._last_words)

    def answered(self, request: Request) -> None:
        """The answer is written."""
        self._exchange = None
        if self.transport.is_closing():
            return
        if self._queue:
            if self._answered < AT_ONCE:
                self._begin_next(self._queue)
            else:
                self._server.loop.call_soon(self._go_on)
        elif self._upgrading is not None:
            self._switch(*self._upgrading)
        elif self._reader is None:
            self._end(linger=request.is_too_large or bool(self._last_words))
        else:
            seconds = self._server.request_timeout if self._reader.is_partial else IDLE_TIMEOUT
            self._server.await_client(self, seconds)

    def _go_on(self) -> None:
        """The next turn of the loop, for requests that wait for nothing else."""
        self._answered = 0
        if self._queue and self._exchange is None and not self.transport.is_closing():
            self._begin_next(self._queue)

    def _begin_next(self, queue: deque[Request]) -> None:
        following = queue.popleft()
        if not queue and self._reader is not None:
            self.transport.resume_reading()
        self._begin(following)

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
            return self._peer(), is_tls
        return (self._origin.address, self._origin.port), is_tls or self._origin.is_secure

    def _peer(self) -> tuple[str, int]:
        return address(self.transport.get_extra_info("peername")) or ("", 0)

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
