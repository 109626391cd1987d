"""Answers: to requests that an ASGI application serves, to those that need none, and our own refusals."""

from __future__ import annotations

import asyncio
import http
import logging
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Scope

from bridge.sockets.server.http_request import Request

logger = logging.getLogger(__name__)

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in http.HTTPStatus
}
_JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\ncontent-type: application/json\r\n%s\r\n"
_CLOSING = b"connection: close\r\n"


def json_answer(body: bytes, *, closes: bool) -> bytes:
    """Status 200."""
    return _JSON_HEAD % (len(body), _CLOSING if closes else b"") + body


def text_answer(status: int, line: str, *, closes: bool) -> bytes:
    text = line.encode()
    head = b"%s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n%s\r\n"
    return head % (STATUS_LINES[status], len(text), _CLOSING if closes else b"") + text


def address(known: object) -> tuple[str, int] | None:
    """Of one end of a connection, as a transport knows it; None: it has none. An IPv4 client of a port of
    both kinds, as systemd's `ListenStream=6001` is, has its IPv4 address."""
    if not isinstance(known, tuple):
        return None
    host = str(known[0])
    return host.removeprefix("::ffff:") if "." in host else host, int(known[1])


def _scope(request: Request, transport: asyncio.Transport) -> Scope:
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
        "server": address(transport.get_extra_info("sockname")),
    }


class Answered(Protocol):
    """The connection that an answer goes to."""

    transport: asyncio.Transport

    @property
    def largest_body(self) -> int:
        """Bytes that a body may have."""

    async def writable(self) -> None:
        """The client has taken enough of what was written."""

    def closes_after(self, request: Request) -> bool:
        """Whether the answer to this request is the connection's last."""

    def answer(self, request: Request, body: bytes) -> None:
        """Writes the JSON text that answers a request with a `Later`."""

    def fail(self, request: Request, status: int, line: str) -> None:
        """The same, with this status and text instead."""

    def answered(self, request: Request) -> None:
        """The answer is written."""


class Later:
    """A request that needs no application, and whose answer is not there yet."""

    __slots__ = ("_connection", "_is_ended", "_request", "has_begun")

    def __init__(self, connection: Answered, request: Request) -> None:
        self._connection = connection
        self._request = request
        self._is_ended = False
        self.has_begun = False

    def answer(self, body: bytes) -> None:
        """The JSON text of the answer; once, and in another turn of the loop than the request's."""
        if not self._is_ended:
            self._is_ended = True
            self._connection.answer(self._request, body)

    def fail(self, status: int, line: str) -> None:
        """Instead of `answer`."""
        if not self._is_ended:
            self._is_ended = True
            self._connection.fail(self._request, status, line)

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

    def __init__(self, connection: Answered, request: Request) -> None:
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
            await app(_scope(request, connection.transport), self.receive, self.send)
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
