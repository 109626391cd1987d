"""The WebSocket handshake (RFC 6455, section 4.2), answered from the request as it was parsed."""

from __future__ import annotations

import binascii
import hashlib
import re

from bridge.sockets.server.http_request import Request

VERSION = b"13"
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def is_handshake(request: Request) -> bool:
    """Whether this is a complete opening handshake. llhttp has seen `Connection: upgrade`.

    Anything less is a plain request, whose `Upgrade` means nothing: one with a body, too.
    """
    return (
        request.method == "GET"
        and request.version == "1.1"
        and _is_websocket((known := request.by_name).get(b"upgrade", []))
        and known.get(b"sec-websocket-version") == [VERSION]
        and len(keys := known.get(b"sec-websocket-key", [])) == 1
        and _KEY.fullmatch(keys[0]) is not None
        and b"transfer-encoding" not in known
        and known.get(b"content-length", [b"0"]) == [b"0"]
        and len(known.get(b"host", ())) <= 1
    )


def answer(request: Request) -> bytes:
    """The 101 to a handshake; no extension and no subprotocol is agreed to."""
    [key] = request.by_name[b"sec-websocket-key"]
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    accepted = binascii.b2a_base64(digest, newline=False)
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %s\r\n\r\n" % accepted
    )


def _is_websocket(upgrades: list[bytes]) -> bool:
    if upgrades == [b"websocket"]:
        return True
    return any(word.strip().lower() == b"websocket" for value in upgrades for word in value.split(b","))
