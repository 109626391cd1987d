"""Http: uvicorn's HTTP protocol with a time limit, against clients that send their requests byte by byte."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_TIMEOUT = 20.0  # seconds for a whole request, headers and body

_TIMEOUT = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 36\r\n"
    b"connection: close\r\n\r\nthe request was not complete in time"
)


class Http(HttpToolsProtocol):
    """A request has to be whole within `request_timeout` seconds; the first counts from the connection.

    Between requests uvicorn's keep-alive limit counts. A request in one segment costs no timer.
    """

    request_timeout = REQUEST_TIMEOUT
    _is_partial = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_partial = False
        self._watch()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self._is_partial = False
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        self._is_partial = True
        super().on_message_begin()

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
        if not self.transport.is_closing():
            self.transport.write(_TIMEOUT)
            self.transport.close()


def with_timeout(seconds: float) -> type[Any]:
    """The protocol class with this limit, in seconds."""
    return type("Http", (Http,), {"request_timeout": seconds})
