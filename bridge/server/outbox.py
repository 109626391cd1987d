"""Outbox: what waits to be written, and the flush that writes it once per turn of the loop.

A frame is made once and the same bytes go to every socket. All frames that a socket gets in one turn of the
loop are written together, in order: with a backlog of events that is several times cheaper than a write each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
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
    """Two steps to the sockets: a run of frames for one audience, then each socket's own slot.

    A run gathers the frames that one turn of the loop brings for the same channel, so that a backlog touches
    each socket once and is joined once. It holds the hub's own collection of sockets: `settle` must be called
    before the hub changes. `Socket.out` is None, one frame, or a list: mostly one frame, and no list.
    """

    __slots__ = ("_audience", "_dirty", "_is_scheduled", "_loop", "_run")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._run: list[bytes] = []
        self._audience: Collection[Socket] = ()
        self._dirty: list[Socket] = []
        self._is_scheduled = False

    def put(self, frame: bytes, sockets: Collection[Socket], excluded: Socket | None = None) -> None:
        """The frame is the next that each of the sockets gets."""
        if excluded is not None or sockets is not self._audience:
            self.settle()
        if excluded is not None:
            self._distribute(frame, sockets, excluded)
        else:
            self._audience = sockets
            self._run.append(frame)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)

    def settle(self) -> None:
        """What was put so far does not depend on the hub any more."""
        run, audience = self._run, self._audience
        if run:
            self._run, self._audience = [], ()
            self._distribute(b"".join(run), audience, None)

    def _distribute(self, frame: bytes, sockets: Collection[Socket], excluded: Socket | None) -> None:
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

    def _flush(self) -> None:
        self.settle()
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
        self._is_scheduled = bool(self._dirty or self._run)
        if self._is_scheduled:
            self._loop.call_soon(self._flush)
