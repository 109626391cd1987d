"""Envelopes: what nodes believe of what comes over the bus. Whoever can write to Redis cannot make an event.

    version 1 · kind 1 · code 16 · number 8 · length 1 and socket_id that is left out · text

The code is HMAC-SHA256, cut to 16 bytes, over the place (app and channel) and all but the code; its key comes
from the app's secret. Its first 8 bytes are the *tag*, by which a message is known: the number, counted from
a random one in each process, makes it another one for each message, also where the same is published twice
in a moment. The text is ready to be sent: a receiver parses nothing. Lengths are in bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import secrets
from typing import NamedTuple

from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.shared_channel import Message

VERSION = 1
EVENT, CLIENT_EVENT, CONTROL, MEMBER = 1, 2, 3, 4
CODE, TAG = 16, 8
_HEAD = 2 + CODE + 8 + 1
SPARE = 4_096  # bytes besides the data: names, quotes
OWN = 100  # envelopes that are known by comparison when they come back: those of a batch, or under way,
OWN_BYTES = 1_048_576  # and so much of them


class Forged(ValueError):
    """Not an envelope of ours; the text is a word for the reason."""


class Envelope(NamedTuple):
    kind: int
    tag: bytes
    text: str
    excluded: str


class Own:
    """A node's own events, of all its apps. They come back to it as they went out: to see that is cheaper
    than to compute their code. To a node without a subscriber they do not, so few are kept."""

    def __init__(self) -> None:
        self._by_tag: dict[bytes, tuple[bytes, bytes, Message]] = {}  # place, what was sealed, what is in it
        self.size = 0  # of what was sealed

    def __len__(self) -> int:
        return len(self._by_tag)

    def put(self, place: bytes, data: bytes, message: Message) -> None:
        if len(self._by_tag) >= OWN or self.size + len(data) > OWN_BYTES:
            self._by_tag.clear()
            self.size = 0
        self._by_tag[message.tag] = (place, data, message)
        self.size += len(data)

    def take(self, place: bytes, data: bytes) -> Message | None:
        """What is in it, where this is one of them."""
        own = self._by_tag.pop(data[2 : 2 + TAG], None)
        if own is None:
            return None
        self.size -= len(own[1])
        return own[2] if own[0] == place and own[1] == data else None


class Code:
    """HMAC-SHA256 (RFC 2104) with one key, cut: what depends on the key alone is computed once, which takes
    less than half the time of `hmac.digest`."""

    def __init__(self, key: bytes) -> None:
        """`key` is not longer than a block of SHA-256."""
        key = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))

    def __call__(self, data: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return outer.digest()[:CODE]


class Sealer:
    """Makes and opens the envelopes of one app; those sealed with a previous secret are opened too."""

    def __init__(self, app: App, own: Own) -> None:
        self._codes = tuple(Code(_key(secret, app.id)) for secret in (app.secret, *app.previous_secrets))
        self._own = own
        self._most = 6 * max(app.limits.event_bytes, app.limits.member_bytes) + SPARE  # escapes: six for one

    def seal(self, place: bytes, kind: int, text: str, excluded: str = "") -> bytes:
        left_out = excluded.encode()
        head = _HEADS[kind]
        number = (next(_numbers) & _MOST).to_bytes(8, "big")
        tail = b"%s%c%s%s" % (number, len(left_out), left_out, text.encode("utf-8", "surrogatepass"))
        code = self._codes[0](b"%s\n%s%s" % (place, head, tail))
        data = head + code + tail
        if kind == EVENT:
            self._own.put(place, data, Message(text, code[:TAG], excluded))
        return data

    def event(self, place: bytes, data: bytes) -> Message:
        """What is in an event's envelope. Raises Forged, also for another kind."""
        if (own := self._own.take(place, data)) is not None:
            return own
        opened = self.open(place, data)
        if opened.kind != EVENT:  # a client's, repeated as the app's
            raise Forged("kind")
        return Message(opened.text, opened.tag, opened.excluded)

    def open(self, place: bytes, data: bytes) -> Envelope:
        """Raises Forged for anything that was not sealed for this place."""
        if len(data) < _HEAD or len(data) > self._most:
            raise Forged("size")
        if data[0] != VERSION:
            raise Forged("version")
        if data[1] not in _HEADS:
            raise Forged("kind")
        code, tail = data[2 : 2 + CODE], data[2 + CODE :]
        signed = b"%s\n%s%s" % (place, data[:2], tail)
        for code_of in self._codes:
            if hmac.compare_digest(code, code_of(signed)):
                break
        else:
            raise Forged("code")
        end = 9 + tail[8]
        try:
            return Envelope(data[1], code[:TAG], tail[end:].decode(), tail[9:end].decode())
        except UnicodeDecodeError:
            raise Forged("text") from None


def _key(secret: str, app_id: str) -> bytes:
    return hmac.digest(secret.encode(), b"bridge bus 1:" + app_id.encode(), "sha256")


_HEADS = {kind: bytes((VERSION, kind)) for kind in (EVENT, CLIENT_EVENT, CONTROL, MEMBER)}
_MOST = 2**64 - 1
_numbers = itertools.count(secrets.randbits(64))
