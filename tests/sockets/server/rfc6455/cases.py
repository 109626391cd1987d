"""Case: bytes that a client sends and the frames that must come back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle

from bridge.sockets.pusher.app import LEAST_MESSAGE

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = bytes((0x37, 0xFA, 0x21, 0x3D))
LIMIT = LEAST_MESSAGE

Frame = tuple[int, bytes]
"""Opcode and payload of a frame of the server, which is whole, unmasked and of the shortest length form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    sent      what the client sends
    behind    what it sends in one segment with the last octet of that: too late, the server ends here
    expected  all the frames that come back: messages in this order, pongs in this order, a close frame last.
              When there is none, the client closes with 1000, and exactly that comes back as the next thing
    """

    id: str
    sent: bytes
    behind: bytes = b""
    expected: tuple[Frame, ...]

    @property
    def is_closed(self) -> bool:
        return bool(self.expected) and self.expected[-1][0] == CLOSE


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK
) -> bytes:
    """A frame as clients send it; `mask` None: not masked, which they must not."""
    first, size = fin << 7 | rsv << 4 | opcode, len(payload)
    bit = 0x80 if mask is not None else 0
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 65_536:
        head = bytes((first, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8, "big")
    if mask is None:
        return head + payload
    return head + mask + bytes(octet ^ key for octet, key in zip(payload, cycle(mask), strict=False))


def text(payload: bytes = b"", **options: bool) -> bytes:
    return frame(TEXT, payload, **options)  # type: ignore[arg-type]


def fragments(*payloads: bytes, opcode: int = TEXT) -> bytes:
    """One message in as many frames."""
    last = len(payloads) - 1
    return b"".join(
        frame(CONT if at else opcode, payload, fin=at == last) for at, payload in enumerate(payloads)
    )


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    return frame(CLOSE, closing(code, reason))


def closing(code: int | None = None, reason: bytes = b"") -> bytes:
    """The payload of a close frame."""
    return b"" if code is None else code.to_bytes(2, "big") + reason


def echo(payload: bytes) -> Frame:
    return TEXT, payload


def closed(code: int) -> Frame:
    """A close frame with this code and any reason."""
    return CLOSE, code.to_bytes(2, "big")
