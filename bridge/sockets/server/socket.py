"""Socket: one client's TCP connection after the upgrade. Bytes ↔ text, closing, and slow readers.

The listener makes one for each handshake. Kept small, because there are thousands: no task, no timer, no
compression (one frame for all is worth more). What clients send nearly always, a complete, masked, short
text frame, is read here; the first byte of anything else (fragments, control frames, partial frames, errors)
brings the library's `ServerProtocol`, which reads this client from then on.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl

from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from bridge.errors import ProtocolError
from bridge.sockets.pusher import close_codes, messages
from bridge.sockets.pusher.admission import UpgradeRequest
from bridge.sockets.pusher.app import LEAST_MESSAGE
from bridge.sockets.pusher.connection import Connection
from bridge.sockets.pusher.hub_events import SlowClientClosed
from bridge.sockets.pusher.resume import split_path
from bridge.sockets.server import handshake
from bridge.sockets.server.http_request import Request
from bridge.sockets.server.outbox import text_frame

if TYPE_CHECKING:
    from bridge.sockets.server.node import Node

try:
    from websockets.speedups import apply_mask
except ImportError:  # no C extension for this platform
    from websockets.utils import apply_mask

BINARY_REFUSED, NOT_UTF8 = 1003, 1007
NOT_UTF8_REASON = "text is not UTF-8"
ABNORMAL, NO_CODE = 1006, 1005
_NUMBERED_PONG = b"\x8a\x88"
RESUME_PIECE = 65_536  # bytes handed over at once when a slow client reads again
ANSWERS = 16  # times `max_backlog` that a client may owe of answers to its own messages
PIECE = 1_024  # bytes that the library reads at once: 170 frames at most
LATE = 100  # frames that are read of a client that is being closed: its close frame should be among them

# The library logs headers and payloads: nothing of it below a warning, at any level of ours.
_library_logger = logging.getLogger("websockets.server")
_library_logger.setLevel(logging.WARNING)

Out = bytes | list[bytes] | None
_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


class Backlog:
    """What a slow client has not taken yet; exists only while its transport holds unsent bytes.

    chunks  whole frames, shared with other sockets, that the transport has not been given
    size    their bytes
    unsent  bytes in the transport when it last moved, at `since`
    """

    __slots__ = ("chunks", "since", "size", "unsent")

    def __init__(self, unsent: int, since: float) -> None:
        self.chunks: deque[bytes] = deque()
        self.size = 0
        self.unsent = unsent
        self.since = since

    def add(self, data: bytes) -> None:
        self.chunks.append(data)
        self.size += len(data)

    def take(self) -> bytes:
        """The next chunks, joined up to a piece; at least one."""
        piece = [self.chunks.popleft()]
        size = len(piece[0])
        while self.chunks and size + len(self.chunks[0]) <= RESUME_PIECE:
            piece.append(self.chunks.popleft())
            size += len(piece[-1])
        self.size -= size
        return b"".join(piece)


class Fragments:
    """The text of a message of which only a part has come."""

    __slots__ = ("_decoder", "texts")

    def __init__(self) -> None:
        self._decoder = _Utf8Decoder()
        self.texts: list[str] = []

    def add(self, data: bytes | bytearray | memoryview, *, is_last: bool) -> None:
        """Raises UnicodeDecodeError as soon as no octet that may follow could remedy it."""
        self.texts.append(self._decoder.decode(bytes(data), is_last))


class Wire(ServerProtocol):
    """The library's, but a close frame may come between the fragments of a message (RFC 6455, 5.4)."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class Socket(asyncio.Protocol):
    """One upgraded connection. Only `Node` and `Outbox` call its public methods, on the loop.

    address     whom its address stands for, where the app limits its connections; else empty
    out         frames of this turn of the loop, see `Outbox.put`
    connection  the protocol state; None before admission and once closing
    backlog     see `Backlog`; None while the client keeps up
    send        the kernel's, past the transport, while nothing waits and there is no TLS; else takes 0 bytes
    """

    __slots__ = (
        "_asked",
        "_fragments",
        "_is_closing",
        "_is_finished",
        "_late",
        "_node",
        "_raw",
        "_wire",
        "address",
        "backlog",
        "connection",
        "out",
        "send",
        "transport",
    )

    transport: asyncio.Transport
    send: Callable[[bytes], int]

    def __init__(self, node: Node) -> None:
        self._node = node
        self._raw: socket.socket | None = None
        self.send = _send_nothing
        self._wire: Wire | None = None
        self._fragments: Fragments | None = None
        self._is_closing = False
        self._is_finished = False
        self._late = 0  # frames that came since then
        self._asked = 0  # bytes of answers that it may still have to take; 0 once all is written
        self.address = ""
        self.out: Out = None
        self.connection: Connection[Socket] | None = None
        self.backlog: Backlog | None = None

    # Called by the listener -----------------------------------------------------------------------------

    def open(self, transport: asyncio.Transport, request: Request) -> None:
        """Opens after an answered handshake; from now on the transport calls this protocol.

        A client that may not stay is let in, told the code, and closed with it: browsers hide the status of a
        refused upgrade from the page.
        """
        self.transport = transport
        transport.set_protocol(self)
        # A pause shall mean: bytes are waiting. Plain transports pause above the mark, those of TLS at it.
        transport.set_write_buffer_limits(high=1 if self._is_tls else 0)
        head = handshake.answer(request)
        try:
            connection = self._node.admit(self, self._arrival(request))
        except ProtocolError as refusal:
            transport.write(head + text_frame(messages.error(refusal.code, str(refusal))))
            self.close(refusal.code, str(refusal))
            return
        self.connection = connection
        opened = connection.open()
        transport.write(head + b"".join(map(text_frame, opened.replies)))
        if self.backlog is None and transport.get_write_buffer_size():  # of an answer before the upgrade
            self.pause_writing()
        if self.backlog is None:
            self._write_directly()
        self._node.deliver(opened)
        self._node.ask(connection, opened)

    def _arrival(self, request: Request) -> UpgradeRequest:
        path, returning = split_path(request.path)
        key = path.removeprefix("/app/") if path.startswith("/app/") else ""
        query = _parameters(request.query.decode("latin-1"))
        origins = request.by_name.get(b"origin")
        proxies, address, is_secure = self._node.proxies, request.peer[0], request.is_secure
        if proxies:
            headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
            address, is_secure = proxies.client(address, headers, is_secure=is_secure)
        return UpgradeRequest(
            key=key if key and "/" not in key else None,
            protocol=query.get("protocol"),
            client=query.get("client", ""),
            origin=None if not origins else origins[0].decode("latin-1") if len(origins) == 1 else "",
            address=address,
            is_secure=is_secure,
            returning=returning,
        )

    # Called by the transport ----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        at, end, size = 0, 0, len(data)
        while self._wire is None and at < size:
            # FIN and text, no reserved bits; then the mask bit and the length
            if size - at < 6 or data[at] != 0x81:
                if size - at >= 14 and data[at : at + 2] == _NUMBERED_PONG and self.connection is not None:
                    at += 14
                    self._take_pong(self.connection, apply_mask(data[at - 8 : at], data[at - 12 : at - 8]))
                    continue
                break
            length = data[at + 1] - 0x80
            start = at + 6
            if length == 126 and size - at >= 8:
                length = data[at + 2] << 8 | data[at + 3]
                start = at + 8
            elif not 0 <= length < 126:
                break
            end = start + length
            if end > size:
                break
            at = end
            self._receive(apply_mask(data[start:end], data[start - 4 : start]), is_last=end == size)
        if at < size:
            self._receive_frames(data[at:])

    def eof_received(self) -> None:
        """Lets the transport close our side, for the client has ended its own."""

    def pause_writing(self) -> None:
        self.send = _send_nothing
        self.backlog = Backlog(self.transport.get_write_buffer_size(), self._node.now())
        self._node.slow.add(self)

    def resume_writing(self) -> None:
        backlog, self.backlog = self.backlog, None
        self._node.slow.discard(self)
        if backlog is None or self._is_closing:
            return
        self._write_directly()
        while backlog.chunks:
            self._hand_over(backlog.take())
            if (paused := cast("Backlog | None", self.backlog)) is not None:
                paused.chunks, paused.size = backlog.chunks, backlog.size
                return
        if self.out is None:
            self._asked = 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave(ABNORMAL)
        self.send = _send_nothing
        if self._raw is not None:
            self._raw.detach()  # the descriptor is the transport's to close
        self._is_closing = True
        self.out = self.backlog = self._wire = self._fragments = None
        self._node.forget(self)

    # Called by the node ---------------------------------------------------------------------------------

    def expect(self, size: int) -> None:
        """An answer to its own message comes, such as the list of a channel's members or what a page missed.
        It does not make the client slow, however large it is; many that it does not take do."""
        self._asked = max(min(self._asked + size, ANSWERS * self._node.max_backlog), size)

    def write(self, data: bytes) -> None:
        """Gives whole frames to the kernel, the transport or the backlog; cuts the client when it is full.

        Straight to the kernel when nothing waits before it: a fifth cheaper than through the transport.
        """
        if self._is_closing or self._is_finished:
            return
        if self.backlog is not None:
            self.backlog.add(data)
            if self.backlog.size + self.backlog.unsent > self._node.max_backlog + self._asked:
                self.cut("the client reads too slowly")
            return
        self._hand_over(data)
        if self._asked and self.backlog is None:
            self._asked = 0

    def finish(self, last: bytes) -> None:
        """Writes what waits, then `last`, and nothing after that but a close frame."""
        out, self.out = self.out, None
        waits = b"" if out is None else b"".join(out) if type(out) is list else cast("bytes", out)
        if waits or last:
            self.write(waits + last)
        self._is_finished = True
        self.send = _send_nothing

    def _hand_over(self, data: bytes) -> None:
        """Writes to the kernel, and what it does not take to the transport."""
        try:
            sent = self.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.transport.abort()
            return
        if sent < len(data):
            self.transport.write(data[sent:])

    def check_progress(self, now: float, limit: float) -> None:
        """Cuts a client that has taken nothing for `limit` seconds."""
        backlog = self.backlog
        if backlog is None:
            return
        unsent = self.transport.get_write_buffer_size()
        if unsent < backlog.unsent:
            backlog.unsent, backlog.since = unsent, now
        elif now - backlog.since >= limit:
            self.cut("the client has stopped reading")

    def cut(self, reason: str) -> None:
        """Closes a slow client with 4100; frames that it has not begun to read are dropped."""
        if self.connection is not None:
            at = self.connection
            self._node.tell(SlowClientClosed(app_id=at.hub.app.id, socket_id=at.socket_id, reason=reason))
        self.out = None
        if self.backlog is not None:
            self.backlog.chunks.clear()
        self.close(close_codes.OVER_CAPACITY, reason)

    def close(self, code: int, reason: str = "") -> None:
        """Writes what waits, then a close frame; the transport ends with its answer or the time limit."""
        if self._is_closing:
            return
        self._leave(code)
        wire = self._wire = self._wire or self._new_wire()
        if wire.state is State.OPEN:
            wire.send_close(code, reason)
        self._end(wire.data_to_send())

    # The way in -----------------------------------------------------------------------------------------

    def _receive(self, payload: bytes | bytearray | memoryview, *, is_last: bool = True) -> None:
        connection = self.connection
        if connection is None:
            return
        try:
            text = str(payload, "utf-8")
        except UnicodeDecodeError:
            self.close(NOT_UTF8, NOT_UTF8_REASON)
            return
        self._node.receive(self, connection, text, is_last=is_last)

    def _take_pong(self, connection: Connection[Socket], payload: bytes | bytearray | memoryview) -> None:
        """Takes the answer to a numbered ping."""
        try:
            connection.count(self._node.now())
        except ProtocolError as flood:
            self.close(flood.code, str(flood))
            return
        self._node.acknowledged(connection, int.from_bytes(payload, "big"))

    def _receive_fragment(self, connection: Connection[Socket], frame: Frame) -> None:
        """Takes a fragment. Text that is not UTF-8 ends the connection at once, not only at its end."""
        message = self._fragments = self._fragments or Fragments()
        try:
            message.add(frame.data, is_last=frame.fin)
        except UnicodeDecodeError:
            self.close(NOT_UTF8, NOT_UTF8_REASON)
            return
        if frame.fin:
            self._fragments = None
            self._node.receive(self, connection, "".join(message.texts))

    def _receive_frames(self, data: bytes) -> None:
        """Bytes go through the library, whatever the fast reader leaves: piece by piece, since frames are
        counted only then, and a flood of tiny ones is not worth the time that reading all of it takes."""
        wire = self._wire
        if wire is None:
            wire = self._wire = self._new_wire()
        for start in range(0, len(data), PIECE):
            if self._late > LATE:
                return
            frames = self._receive_piece(wire, data[start : start + PIECE])
            if not self._is_closing:
                continue
            self._late += frames
            if self._late > LATE:
                self._end_our_side()

    def _receive_piece(self, wire: Wire, data: bytes) -> int:
        """The number of frames that ended in it."""
        wire.receive_data(data)
        events = wire.events_received()
        if wire.state is State.OPEN and (pongs := wire.data_to_send()):
            self.transport.write(b"".join(pongs))  # before messages are answered, which is done at once
        for event in events:
            if isinstance(event, Frame):
                self._take(event)
        writes = wire.data_to_send()
        if b"" in writes:  # the library's sign that the connection ends
            self._leave(_close_code(wire))
            self._end(writes)
            if wire.close_rcvd is not None or wire.close_sent is None:
                self.transport.close()
            else:
                self._end_our_side()
        elif writes:
            self.transport.write(b"".join(writes))
        return len(events)

    def _end_our_side(self) -> None:
        """After an error the client may still be sending; closing now would reset the connection and take our
        close frame with it. So end our side only, and drop what comes until it ends."""
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _new_wire(self) -> Wire:
        """For a connection that is open; a message may be as large, in all its fragments, as its app says."""
        most = LEAST_MESSAGE if self.connection is None else self.connection.hub.app.limits.message_bytes
        return Wire(state=State.OPEN, max_size=most, logger=_library_logger)

    def _take(self, frame: Frame) -> None:
        connection = self.connection
        if connection is None:
            return
        match frame.opcode:
            case Opcode.TEXT if frame.fin:
                self._receive(frame.data)
                return
            case Opcode.TEXT | Opcode.CONT:
                self._receive_fragment(connection, frame)
                if frame.fin:
                    return
            case Opcode.BINARY:
                self.close(BINARY_REFUSED, "messages are text")
                return
            case Opcode.PONG if len(frame.data) == 8:
                self._take_pong(connection, frame.data)
                return
            case Opcode.CLOSE:
                return
        if self.connection is None:
            return
        try:  # fragments, pings and pongs count as life, and as messages
            if frame.opcode is Opcode.PONG:
                connection.ponged(self._node.now())
            else:
                connection.alive(self._node.now())
            connection.count(self._node.now())
        except ProtocolError as flood:
            self.close(flood.code, str(flood))

    # The way out ----------------------------------------------------------------------------------------

    def _end(self, writes: list[bytes]) -> None:
        """Writes what waits, then the last bytes, and starts the time limit for the client's answer."""
        out, self.out = self.out, None
        if out is not None:
            self.write(b"".join(out) if type(out) is list else cast("bytes", out))
        if self.backlog is not None:
            self.transport.write(b"".join(self.backlog.chunks))
            self.backlog.chunks.clear()
        self._is_closing = True
        self.send = _send_nothing  # from now on in the transport's order only
        self.transport.write(b"".join(writes))
        self._node.closing[self] = self._node.now() + self._node.close_timeout

    @property
    def _is_tls(self) -> bool:
        return self.transport.get_extra_info("sslcontext") is not None

    def _write_directly(self) -> None:
        if self._is_tls or self._is_finished:
            return
        if self._raw is None:
            known = self.transport.get_extra_info("socket")
            self._raw = socket.socket(known.family, known.type, known.proto, fileno=known.fileno())
        self.send = self._raw.send

    def _leave(self, code: int) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            self._node.leave(self, connection, code)


def _parameters(query: str) -> dict[str, str]:
    """Names and values; of one that is given twice the last counts."""
    if "%" in query or "+" in query:
        return dict(parse_qsl(query, keep_blank_values=True))
    pairs = (pair.partition("=") for pair in query.split("&") if pair)  # the same, and much quicker
    return {name: value for name, _, value in pairs}


def _send_nothing(data: bytes) -> int:
    return 0


def _close_code(wire: Wire) -> int:
    close = wire.close_rcvd or wire.close_sent
    return NO_CODE if close is None else int(close.code)
