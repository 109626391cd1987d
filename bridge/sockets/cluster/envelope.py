"""Envelopes: what nodes believe of what comes over the bus. Whoever can write to Redis cannot make an event.

    version 1 · kind 1 · code 16 · random 8 · length 1 and socket_id that is left out · text

The code is HMAC-SHA256, cut to 16 bytes, over the place (app and channel) and all but the code; its key comes
from the app's secret. Its first 8 bytes are the *tag*, by which a message is known: the random bytes make it
another one for each message, also where the same is published twice in a moment. The text is ready to be
sent: a receiver parses nothing. Lengths are in bytes.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass

from bridge.sockets.pusher.app import App

VERSION = 1
EVENT, CLIENT_EVENT, CONTROL, MEMBER = 1, 2, 3, 4
CODE, TAG = 16, 8
_HEAD = 2 + CODE + 8 + 1
SPARE = 4_096  # bytes besides the data: names, quotes
OWN = 100  # envelopes that are known by comparison when they come back: those of a batch, or under way,
OWN_BYTES = 1_048_576  # and so much of them


class Forged(ValueError):
    """Not an envelope of ours; the text is a word for the reason."""


@dataclass(frozen=True, slots=True)
class Envelope:
    kind: int
    tag: bytes
    text: str
    excluded: str


class Own:
    """A node's own events, of all its apps. They come back to it as they went out: to see that is cheaper
    than to compute their code. To a node without a subscriber they do not, so few are kept."""

    def __init__(self) -> None:
        self._by_tag: dict[bytes, tuple[bytes, bytes, Envelope]] = {}  # place, what was sealed, what is in it
        self.size = 0  # of what was sealed

    def __len__(self) -> int:
        return len(self._by_tag)

    def put(self, place: bytes, data: bytes, envelope: Envelope) -> None:
        if len(self._by_tag) >= OWN or self.size + len(data) > OWN_BYTES:
            self._by_tag.clear()
            self.size = 0
        self._by_tag[envelope.tag] = (place, data, envelope)
        self.size += len(data)

    def take(self, place: bytes, data: bytes) -> Envelope | None:
        """What is in it, where this is one of them."""
        own = self._by_tag.pop(data[2 : 2 + TAG], None)
        if own is None:
            return None
        self.size -= len(own[1])
        return own[2] if own[0] == place and own[1] == data else None


class Sealer:
    """Makes and opens the envelopes of one app; those sealed with a previous secret are opened too."""

    def __init__(self, app: App, own: Own) -> None:
        secrets = (app.secret, *app.previous_secrets)
        self._keys = tuple(_key(secret, app.id) for secret in secrets)
        self._own = own
        self._most = 6 * max(app.limits.event_bytes, app.limits.member_bytes) + SPARE  # escapes: six for one

    def seal(self, place: bytes, kind: int, text: str, excluded: str = "") -> bytes:
        left_out = excluded.encode()
        head = bytes((VERSION, kind))
        tail = os.urandom(8) + bytes((len(left_out),)) + left_out + text.encode("utf-8", "surrogatepass")
        code = _code(self._keys[0], place, head, tail)
        data = head + code + tail
        if kind == EVENT:
            self._own.put(place, data, Envelope(kind, code[:TAG], text, excluded))
        return data

    def open(self, place: bytes, data: bytes) -> Envelope:
        """Raises Forged for anything that was not sealed for this place."""
        if (own := self._own.take(place, data)) is not None:
            return own
        if len(data) < _HEAD or len(data) > self._most:
            raise Forged("size")
        if data[0] != VERSION:
            raise Forged("version")
        if data[1] not in (EVENT, CLIENT_EVENT, CONTROL, MEMBER):
            raise Forged("kind")
        head, code, tail = data[:2], data[2 : 2 + CODE], data[2 + CODE :]
        for key in self._keys:
            if hmac.compare_digest(code, _code(key, place, head, tail)):
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


def _code(key: bytes, place: bytes, head: bytes, tail: bytes) -> bytes:
    return hmac.digest(key, b"\n".join((place, head + tail)), "sha256")[:CODE]
