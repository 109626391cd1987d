"""Origins: which pages of browsers may connect, by the rules of `allowed_origins`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_RULE = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?"
    r"(?P<host>[a-z0-9*](?:[a-z0-9_.*-]*[a-z0-9*])?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}|\*))?/?"
)
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[^/:\[\]@]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]+))?"
)
_PORTS = {"http": "80", "ws": "80", "https": "443", "wss": "443"}  # that browsers leave out
_WHOLE = ("null", "file://")  # pages without a host: of files, of sandboxed frames


@lru_cache(maxsize=1_024)
def read(rule: str) -> re.Pattern[str] | None:
    """The rule as a pattern of a normal origin (see `_normal`); None for `*`.

    Understood are `*`, `null`, `file://` and hosts, with or without scheme and port, in which a star stands
    for anything: `example.com`, `*.example.com`, `app-*.example.com`, `localhost:*`, `https://example.com`,
    `capacitor://localhost`. Without a scheme any will do; without scheme and port, any port; with a scheme
    alone, its usual port. Raises ValueError when the rule is none of these.
    """
    text = rule.strip().lower()
    if text == "*":
        return None
    if text in _WHOLE:
        return re.compile(re.escape(text))
    if not text.isascii():
        scheme, separator, rest = text.rpartition("://")
        try:
            text = scheme + separator + rest.encode("idna").decode()
        except UnicodeError:
            raise ValueError(rule) from None
    known = _RULE.fullmatch(text)
    if known is None or ".." in known["host"]:
        raise ValueError(rule)
    scheme, port = known["scheme"], known["port"]
    if port is None and scheme is not None:
        port = _PORTS.get(scheme, "")
    return re.compile(
        (re.escape(scheme) if scheme else "[^:]+")
        + "://"
        + re.escape(known["host"]).replace(r"\*", "[^/:]*")
        + (":[0-9]*" if port in (None, "*") else f":{port}")
    )


def allows(rules: Iterable[str], origin: str) -> bool:
    """Whether a page of this origin (the request's header) is let in by one of the rules, all readable."""
    known = _normal(origin.strip().lower())
    for rule in rules:
        pattern = read(rule)
        if pattern is None or (known is not None and pattern.fullmatch(known)):
            return True
    return False


def _normal(origin: str) -> str | None:
    """`scheme://host:port`, the port empty where the scheme has no usual one; None when it is no origin."""
    if origin in _WHOLE:
        return origin
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        return None
    port = found["port"] or _PORTS.get(found["scheme"], "")
    return f"{found['scheme']}://{found['host']}:{port}"
