"""Addresses: `url()` and `asset()`, as a queue worker makes them.

There the request is made of `app.url`. What the app forces while it boots is in its report.
Sources: Routing/UrlGenerator.php, Foundation/Bootstrap/SetRequestForConsole.php, 8.83 to 13.31.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote_from_bytes

from bridge.errors import Refused
from bridge.phpeval.laravel.support.native_class import Act, text
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.values import PhpArray, Value

ADDRESSES = frozenset({"url", "asset"})

Setting = Callable[[Interpreter, bytes], Value]

_PLAIN = re.compile(rb"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::(\d{1,5}))?")
_WHOLE = re.compile(rb"#|//|https?://|(?:mailto|tel|sms):")
_PORTS = {b"http": b"80", b"https": b"443"}


def url_functions(setting: Setting) -> dict[str, Act]:
    """`setting` gives a value of the configuration, null where there is none."""

    def root(php: Interpreter) -> bytes:
        known = _reported(php)
        if known is not None:
            return known[0]
        configured = setting(php, b"app.url")
        found = _PLAIN.fullmatch(configured) if isinstance(configured, bytes) else None
        if found is None:
            php.refuse("an address under this app.url")
        scheme, host, port = found.groups()
        return scheme + b"://" + host + (b":" + port if port and port != _PORTS[scheme] else b"")

    def asset_root(php: Interpreter) -> bytes:
        known = _reported(php)
        if known is not None:
            return known[1].removesuffix(b"/")
        configured = setting(php, b"app.asset_url")
        if configured in (None, False, b"", b"0"):
            return root(php)
        if not isinstance(configured, bytes) or configured.endswith(b"/") or b"index.php" in configured:
            php.refuse("an address under this app.asset_url")
        return configured

    def url(php: Interpreter, name: str, path: Value, parameters: Value = None) -> bytes:
        given = _path(php, name, path)
        if _is_whole(php, given):
            return given
        tail = b"/".join(_segment(php, one) for one in _listed(php, parameters))
        before, mark, query = given.partition(b"?")
        inner = b"/" + (before + b"/" + tail).strip(b"/").strip(b"/")
        return (root(php) + inner).strip(b"/") + mark + query

    def asset(php: Interpreter, name: str, path: Value) -> bytes:
        given = _path(php, name, path)
        return given if _is_whole(php, given) else asset_root(php) + b"/" + given.strip(b"/")

    return {"url": url, "asset": asset}


def _reported(php: Interpreter) -> tuple[bytes, bytes] | None:
    refusal: Refused | None = getattr(php.environment, "no_urls", None)
    if refusal is not None:
        raise refusal.anew()
    roots: tuple[str, str] | None = getattr(php.environment, "url_roots", None)
    return None if roots is None else (roots[0].encode(), roots[1].encode())


def _path(php: Interpreter, name: str, path: Value) -> bytes:
    if isinstance(path, int) and not isinstance(path, bool):
        return b"%d" % path
    if not isinstance(path, bytes):
        php.refuse(f"{name}() of this")
    return text(php, path)


def _is_whole(php: Interpreter, path: bytes) -> bool:
    """`isValidUrl`: what other schemes count, PHP's filter says."""
    if _WHOLE.match(path):
        return True
    if b":" in path:
        php.refuse("an address with a colon")
    return False


def _listed(php: Interpreter, parameters: Value) -> list[Value]:
    if parameters is None:
        return []
    if isinstance(parameters, PhpArray):
        return list(parameters.values())
    return [parameters]


def _segment(php: Interpreter, value: Value) -> bytes:
    if not isinstance(value, int | bytes) or isinstance(value, bool):
        php.refuse("an address with this parameter")
    return quote_from_bytes(php.text(value), safe="-_.~").encode()
