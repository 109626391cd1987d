"""The signatures of the Pusher protocol: hex HMAC-SHA256 with the app's secret, compared in constant time.

Source: Pusher channels documentation, "Authentication signatures" and "HTTP API reference";
pusher-http-php 7.2 `Pusher::authorizeChannel`, `authenticateUser`, `sign`.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence

from bridge.sockets.pusher.app import App

CLOCK_SKEW = 600  # seconds that `auth_timestamp` may be away from our clock, as at Pusher

_NEEDED = ("auth_key", "auth_timestamp", "auth_version", "auth_signature")
_BLOCK = 64  # bytes that SHA-256 reads at once
_INNER, _OUTER = (bytes(octet ^ pad for octet in range(256)) for pad in (0x36, 0x5C))


def sign(secret: str, text: str | bytes) -> str:
    """Lower-case hex digest; text is signed as UTF-8, a webhook's body as it stands."""
    started, ending = _keyed(secret)
    inner, outer = started.copy(), ending.copy()
    inner.update(_octets(text))
    outer.update(inner.digest())
    return outer.hexdigest()


@functools.lru_cache(maxsize=1_024)
def _keyed(secret: str) -> tuple[hashlib._Hash, hashlib._Hash]:
    """The two hashes of an HMAC (RFC 2104) that have read the key. A signature goes on from there, in half
    the time of `hmac.digest`, which looks up its algorithm each time."""
    key = _octets(secret)
    if len(key) > _BLOCK:
        key = hashlib.sha256(key).digest()
    key = key.ljust(_BLOCK, b"\0")
    return hashlib.sha256(key.translate(_INNER)), hashlib.sha256(key.translate(_OUTER))


def subscription_text(socket_id: str, channel: str, channel_data: str | None) -> str:
    """What the app signed to let this connection subscribe.

    `channel_data` is the exact JSON text the client sends, not a re-encoding; None when it sends none.
    """
    text = f"{socket_id}:{channel}"
    return text if channel_data is None else f"{text}:{channel_data}"


def signin_text(socket_id: str, user_data: str) -> str:
    return f"{socket_id}::user::{user_data}"


def verify(app: App, auth: str, text: str) -> bool:
    """Whether `auth` is `KEY:HEX`: this app's key and its signature of `text`, by any of its secrets."""
    key, _, signature = auth.partition(":")
    return _same(key, app.key) & _signed(app, signature, text)


def api_text(method: str, path: str, parameters: Iterable[tuple[str, str]]) -> str:
    """The text behind `auth_signature`: method, path, and the sorted parameters, not URL-encoded."""
    query = {name.lower(): value for name, value in parameters}
    query.pop("auth_signature", None)
    return f"{method.upper()}\n{path}\n{_joined(query)}"


def _joined(query: Mapping[str, str]) -> str:
    return "&".join(map("=".join, sorted(query.items())))


def refusal(
    app: App,
    *,
    method: str,
    paths: Sequence[str],
    parameters: Sequence[tuple[str, str]],
    body: bytes,
    now: float,
) -> str | None:
    """Why this HTTP request is not believed, in one line naming the parameter; None when it is.

    `paths` are the forms of its path of which one must be signed: as we know it, as it stands in the request
    (quoted, with a proxy's prefix). `parameters` are the decoded query parameters as they came; `now` is the
    wall clock in seconds.
    """
    query = {name.lower(): value for name, value in parameters}
    if len(query) != len(parameters):
        return "a query parameter is given twice"
    key, timestamp, version, signature = map(query.get, _NEEDED)
    if not (key and timestamp and version and signature):
        return f"{next(name for name in _NEEDED if not query.get(name))} is missing"
    if key != app.key:  # no secret, nor is the MD5: only the signature takes constant time
        return "auth_key is not this app's key"
    if version != "1.0":
        return "auth_version is not 1.0"
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return "auth_timestamp is not a number of seconds"
    if abs(int(timestamp) - now) > CLOCK_SKEW:
        return f"auth_timestamp is not within {CLOCK_SKEW} s of this server's clock"
    if body:
        if "body_md5" not in query:
            return "body_md5 is missing"
        if query["body_md5"] != hashlib.md5(body, usedforsecurity=False).hexdigest():
            return "body_md5 is not that of the body"
    del query["auth_signature"]
    rest = _joined(query)
    for path in dict.fromkeys(paths):
        if _signed(app, signature, f"{method.upper()}\n{path}\n{rest}"):
            return None
    return "auth_signature is wrong"


def _signed(app: App, signature: str, text: str) -> bool:
    good = _same(signature, sign(app.secret, text))
    for secret in app.previous_secrets:
        good |= _same(signature, sign(secret, text))
    return good


def _same(given: str, known: str) -> bool:
    if given.isascii() and known.isascii():
        return hmac.compare_digest(given, known)
    return hmac.compare_digest(_octets(given), _octets(known))


def _octets(text: str | bytes) -> bytes:
    # JSON may smuggle in lone surrogates; they are compared like anything else instead of raising
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
