"""Outbox: what waits to be written, and the flush that writes it once per turn of the loop.

A frame is made once and the same bytes go to every socket. All frames that a socket gets in one turn of the
loop are written together, in order: with a backlog of events that is several times cheaper than a write each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.server.socket import Socket

SLICE = 1_000
"""Sockets written before the loop may do something else: some 5 to 8 ms."""


def text_frame(text: str) -> bytes:
    """A whole unmasked text message (RFC 6455, 5.2). `text` is ASCII, or at least encodable."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class Outbox:
    __slots__ = ("_dirty", "_is_scheduled", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._dirty: list[Socket] = []
        self._is_scheduled = False

    def put(self, frame: bytes, sockets: Iterable[Socket], excluded: Socket | None = None) -> None:
        """The frame is the next that each of the sockets gets; `sockets` is not changed meanwhile.

        `Socket.out` is None, one frame, or a list: most sockets have one frame per turn, and no list.
        """
        dirty = self._dirty
        for socket in sockets:
            if socket is not excluded:
                out = socket.out
                if out is None:
                    socket.out = frame
                    dirty.append(socket)
                elif type(out) is list:
                    out.append(frame)
                else:
                    socket.out = [out, frame]  # type: ignore[list-item]
        if dirty and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        batch, self._dirty = self._dirty[:SLICE], self._dirty[SLICE:]
        previous: list[bytes] | None = None
        joined = b""
        for socket in batch:
            out = socket.out
            if out is None:  # closed meanwhile
                continue
            socket.out = None
            if type(out) is list:
                if out != previous:  # neighbours mostly wait for the same frames
                    previous, joined = out, b"".join(out)
                socket.write(joined)
            else:
                socket.write(out)  # type: ignore[arg-type]
        self._is_scheduled = bool(self._dirty)
        if self._is_scheduled:
            self._loop.call_soon(self._flush)
