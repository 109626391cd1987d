"""The PROXY protocol, versions 1 and 2: a proxy that passes bytes on says first from where they come.

Source: haproxy's `doc/proxy-protocol.txt`.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

TEXT = b"PROXY "
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LONGEST_LINE = 107  # bytes of version 1, its line break included
MOST_BYTES = 4_096  # of addresses and what else version 2 tells; haproxy sends some hundred at most

_INET, _INET6 = 1, 2  # of version 2's address families
_SIZES = {_INET: 4, _INET6: 16}
_SSL = 0x20  # what version 2 tells of the client's TLS
_CLIENT_SSL = 0x01


class Malformed(ValueError):
    """The connection begins otherwise than the PROXY protocol says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a connection comes from, as its proxy says; `is_secure`: it came there by TLS."""

    address: str
    port: int
    is_secure: bool = False


def begins(data: bytes) -> bool:
    """Whether these first bytes of a connection are of the PROXY protocol, so neither of HTTP nor of TLS."""
    return data.startswith((TEXT, SIGNATURE))


async def receive(read: Callable[[int], Awaitable[bytes]]) -> Origin | None:
    """Reads the header and no byte behind it; `read` gives exactly so many bytes.

    None where the proxy speaks for itself (a check whether we are up), or does not know. Raises Malformed.
    """
    start = await read(len(SIGNATURE))
    if start == SIGNATURE:
        version, family, length = struct.unpack(">BBH", await read(4))
        if version >> 4 != 2 or length > MOST_BYTES:
            raise Malformed("version 2 has another form")
        return _binary(version & 0xF, family, await read(length))
    if not start.startswith(TEXT):
        raise Malformed("it begins without a header")
    line = start
    while not line.endswith(b"\r\n"):
        if len(line) >= LONGEST_LINE:
            raise Malformed("version 1 has a longer line")
        line += await read(1)
    return _text(line)


def _text(line: bytes) -> Origin | None:
    words = line.decode("latin-1")[:-2].split(" ")
    if words[1] == "UNKNOWN":
        return None
    try:
        _, family, source, target, source_port, target_port = words
        version = {"TCP4": 4, "TCP6": 6}[family]
        addresses = [ipaddress.ip_address(text) for text in (source, target)]
        ports = [int(text) for text in (source_port, target_port) if text.isascii() and text.isdecimal()]
    except (KeyError, ValueError):
        raise Malformed("version 1 has another form") from None
    has_zone = "%" in source + target  # what is behind it may be anything
    if len(ports) != 2 or max(ports) > 0xFFFF or has_zone or any(one.version != version for one in addresses):
        raise Malformed("version 1 has another form")
    return Origin(address=str(addresses[0]), port=ports[0])


def _binary(command: int, family: int, content: bytes) -> Origin | None:
    if command == 0:
        return None
    size = _SIZES.get(family >> 4)
    if command != 1:
        raise Malformed("version 2 has another command")
    if size is None or family & 0xF != 1:  # a UNIX socket, or no stream
        return None
    if len(content) < 2 * size + 4:
        raise Malformed("version 2 has another form")
    address = ipaddress.ip_address(content[:size])
    (port,) = struct.unpack_from(">H", content, 2 * size)
    return Origin(address=str(address), port=port, is_secure=_was_secure(content[2 * size + 4 :]))


def _was_secure(rest: bytes) -> bool:
    """Whether the further values, each with type and length, tell of TLS."""
    while len(rest) >= 3:
        kind, length = struct.unpack_from(">BH", rest)
        value, rest = rest[3 : 3 + length], rest[3 + length :]
        if kind == _SSL and value:
            return bool(value[0] & _CLIENT_SSL)
    return False
