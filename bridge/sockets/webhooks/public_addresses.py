"""HTTP to public addresses only, for webhooks that somebody else than the operator has written down.

What counts is the address that is connected to, not the name: a name that leads to a public address when it
is looked at, and to this machine when it is used, leads nowhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpcore
import httpx

from bridge.errors import BridgeError, ConfigurationError

# Clouds answer questions about a machine at 192.0.0.192, and Python calls it public before 3.11.10.
_ASSIGNED = ipaddress.IPv4Network("192.0.0.0/24")
# All that is public; no form of an IPv4 address is in it but 6to4.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # the last four bytes are an IPv4 address


class PrivateAddress(BridgeError, httpcore.ConnectError):
    """The name leads to no address that may be connected to."""


class PublicBackend(httpcore.AsyncNetworkBackend):
    """Looks the name up, and connects to the first of its addresses that may be and answers.

    networks  private ones that may be reached all the same
    """

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("its name was not found in time") from error
        except OSError as error:
            raise httpcore.ConnectError("its name is not known") from error
        allowed = [str(entry[4][0]) for entry in found if self.allows(str(entry[4][0]))]
        if not allowed:
            raise PrivateAddress("it leads to a private address: see webhook_networks of [apps_table]")
        for number, address in enumerate(dict.fromkeys(allowed), 1):
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(set(allowed)):
                    raise
        raise AssertionError

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)

    def allows(self, address: str) -> bool:
        """Whether the address is public, or in one of the networks."""
        known = ipaddress.ip_address(address.partition("%")[0])
        if any(known in network for network in self._networks):
            return True
        if isinstance(known, ipaddress.IPv6Address):
            inner = known.ipv4_mapped or known.sixtofour or (known.teredo[1] if known.teredo else None)
            if known in _NAT64:
                inner = ipaddress.IPv4Address(known.packed[12:])
            if inner is not None:
                return self.allows(str(inner))
            if known not in _UNICAST:
                return False
        elif known in _ASSIGNED:
            return False
        return known.is_global and not known.is_multicast


def webhook_client() -> httpx.AsyncClient:
    """A client for many addresses that know nothing of each other; `public_client` is one, too.

    An address that is slow takes no connection from the others, and no cookie is kept. Time limits are the
    caller's: those of httpx count anew with each byte. Raises ConfigurationError for a proxy of the
    environment that cannot be used.
    """
    limits = httpx.Limits(max_connections=None)
    try:
        client = httpx.AsyncClient(limits=limits, timeout=None)  # noqa: S113 (see above)
    except (ImportError, ValueError, httpx.InvalidURL):  # their texts may hold a password
        raise ConfigurationError(
            "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY",
            "is no proxy that webhooks can go by",
            where="the environment",
            remedy="write it as http://host:port; a SOCKS proxy needs the package httpx[socks]",
        ) from None
    return _keeping_nothing(client)


def public_client(networks: Sequence[str]) -> httpx.AsyncClient:
    """A client that goes by no proxy, and reaches public addresses and these networks."""
    transport = httpx.AsyncHTTPTransport()
    transport._pool = httpcore.AsyncConnectionPool(
        ssl_context=httpx.create_ssl_context(trust_env=False),
        max_connections=None,
        network_backend=PublicBackend(networks),
    )
    client = httpx.AsyncClient(transport=transport, trust_env=False, timeout=None)  # noqa: S113 (see above)
    return _keeping_nothing(client)


def _keeping_nothing(client: httpx.AsyncClient) -> httpx.AsyncClient:
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
    return client
