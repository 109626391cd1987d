"""Http: uvicorn's HTTP protocol with limits of time and size, against clients whose requests never end."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_TIMEOUT = 20.0  # seconds for a whole request, headers and body

MAX_HEAD = 65_536  # bytes of a request line and its headers that may wait to become complete


def _last_words(status: bytes, line: bytes) -> bytes:
    return (
        b"HTTP/1.1 %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
        b"connection: close\r\n\r\n%s" % (status, len(line), line)
    )


_TIMEOUT = _last_words(b"408 Request Timeout", b"the request was not complete in time")
_TOO_LARGE = _last_words(
    b"431 Request Header Fields Too Large", b"the headers are larger than %d bytes" % MAX_HEAD
)


class Http(HttpToolsProtocol):
    """A request has to be whole within `request_timeout` seconds; the first counts from the connection.

    Between requests uvicorn's keep-alive limit counts. A request in one segment costs no timer. Headers that
    do not end are not kept: the parser itself would take any number.
    """

    request_timeout = REQUEST_TIMEOUT
    _is_partial = True
    _is_head = True
    _head = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_head:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._end(_TOO_LARGE)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_partial = False
        self._watch()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self._is_partial = False
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        self._is_partial = self._is_head = True
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_partial = False
        super().on_message_complete()

    def _watch(self) -> None:
        if self._is_partial and self._deadline is None:
            self._deadline = self.loop.call_later(self.request_timeout / 2, self._hurry)
        elif not self._is_partial and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _hurry(self) -> None:
        """Half the time is over. In halves, so that a process that stood still reads before it judges."""
        self._deadline = self.loop.call_later(self.request_timeout / 2, self._give_up)

    def _give_up(self) -> None:
        self._end(_TIMEOUT)

    def _end(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()


def with_timeout(seconds: float) -> type[Any]:
    """The protocol class with this limit, in seconds."""
    return type("Http", (Http,), {"request_timeout": seconds})
