"""Proxies: whom we believe about where a request came from.

What counts is X-Forwarded-For and X-Forwarded-Proto, which nearly every proxy writes over. `Forwarded`
(RFC 7239), X-Forwarded-Ssl and CF-Visitor count only where the former is missing: a proxy that does not know
them passes on what the client has written there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_SECURE = ("https", "wss")  # Traefik says wss
_CF_SCHEME = re.compile(r'"scheme"\s*:\s*"(\w+)"')
_PAIR = re.compile(r'\s*(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;,\s"]*)\s*(;|,|\Z)')


class Proxies:
    """The networks of proxies that tell the truth; whatever others say of themselves is ignored.

    `on_unix`: so does whoever comes over a Unix socket."""

    def __init__(self, networks: Sequence[str] = (), *, on_unix: bool = False) -> None:
        self._on_unix = on_unix
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def __bool__(self) -> bool:
        return bool(self._networks) or self._on_unix

    def client(self, peer: str, headers: Iterable[tuple[str, str]], *, is_secure: bool) -> tuple[str, bool]:
        """Address of the client, and whether it came over TLS, given the peer of the TCP connection.

        Every proxy adds its own peer at the end of X-Forwarded-For, so the list is read from there, as long
        as what adds can be believed.
        """
        if not self or not self.trusts(peer):
            return peer, is_secure
        hops: list[str] = []
        forwarded: list[dict[str, str]] = []
        scheme = other_scheme = ""
        for name, value in headers:
            match name.lower():
                case "x-forwarded-for":
                    hops += value.split(",")
                case "x-forwarded-proto":
                    scheme = value.split(",")[0]
                case "forwarded":
                    forwarded += _elements(value)
                case "x-forwarded-ssl":
                    other_scheme = "https" if value.strip().lower() == "on" else "http"
                case "cf-visitor":
                    found = _CF_SCHEME.search(value)
                    other_scheme = found[1] if found else other_scheme
        if not hops:
            hops = [element.get("for", "unknown") for element in forwarded]
        scheme = scheme or other_scheme or next((said["proto"] for said in forwarded if "proto" in said), "")
        if scheme:
            is_secure = scheme.strip().lower() in _SECURE
        client = peer
        for hop in reversed(hops):
            address = _address(hop.strip())
            if address is None:
                break
            client = str(address)
            if not self._trusts(address):
                break
        return client, is_secure

    def trusts(self, peer: str) -> bool:
        """Whether the peer of a TCP connection is one of them."""
        return (self._on_unix and not peer) or self._trusts(_address(peer))

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


class Forwarded:
    """ASGI: `client` and `scheme` of each HTTP request are what believed proxies say."""

    def __init__(self, app: ASGIApp, proxies: Proxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["client"]:
            headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
            peer, port = scope["client"]
            address, is_secure = self._proxies.client(peer, headers, is_secure=scope["scheme"] == "https")
            scope["client"] = (address, port if address == peer else 0)
            scope["scheme"] = "https" if is_secure else "http"
        await self._app(scope, receive, send)


def _elements(forwarded: str) -> list[dict[str, str]]:
    """The hops of a `Forwarded` header, nearest last; none where it is not readable."""
    elements: list[dict[str, str]] = [{}]
    at = 0
    while at < len(forwarded):
        pair = _PAIR.match(forwarded, at)
        if pair is None:
            return []
        name, value, end = pair.groups()
        elements[-1][name.lower()] = value.strip('"')
        if end == ",":
            elements.append({})
        at = pair.end()
    return elements


def _address(text: str) -> Address | None:
    """`1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]`, `[::1]:567`; an IPv4 address inside IPv6 is taken out."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def sender(client: str) -> str:
    """Whom an address stands for: itself, but for IPv6 its /64, all of which one machine may have."""
    address = _address(client)
    if address is None:
        return client
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address.packed, 64), strict=False))
