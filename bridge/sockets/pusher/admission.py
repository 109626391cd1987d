"""Admission: who may connect, decided once, from the upgrade request alone."""

from __future__ import annotations

from bridge.errors import ProtocolError
from bridge.sockets.pusher import close_codes
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.immutable import immutable
from bridge.sockets.pusher.resume import Returning

PROTOCOLS = ("4", "5", "6", "7")
"""Served alike: what came with 5 to 7 (pings, close codes alone, `activity_timeout`) harms no client."""


@immutable
class UpgradeRequest:
    """A client that asks to be let in.

    key        from the path; None when the path is not `/app/{key}`
    protocol   of the query, None when it is not there
    client     of the query: the library's name for itself
    origin     of the page; None: the client is no browser
    address    of the client, as far as proxies may be believed; for limits and logs
    is_secure  whether it came over TLS, to us or to a proxy that is believed
    returning  which page it is, where the path says so
    """

    key: str | None
    protocol: str | None = None
    client: str = ""
    origin: str | None = None
    address: str = ""
    is_secure: bool = False
    returning: Returning | None = None

    @property
    def is_page(self) -> bool:
        """Whether it is pusher-js in a browser, Echo's too."""
        return self.client == "js" and self.origin is not None


def check(arrival: UpgradeRequest, app: App | None, connections: int, from_address: int) -> App:
    """The app that this client may connect to. Raises ProtocolError with the code that ends the connection.

    `connections` are the app's, `from_address` those of them that came from the same address. A client that
    names no protocol is let in: only pusher-js and its like name one, people with a terminal do not.
    """
    if arrival.key is None:
        raise _closing(
            close_codes.UNKNOWN_PATH,
            "clients connect to /app/{key}: check wsPath here, path_prefix in bridge",
        )
    if arrival.protocol == "":
        raise _closing(close_codes.NO_PROTOCOL, "the query's protocol is empty")
    if arrival.protocol is not None and arrival.protocol not in PROTOCOLS:
        raise _closing(close_codes.UNSUPPORTED_PROTOCOL, f"protocol is none of {', '.join(PROTOCOLS)}")
    if app is None:
        raise _closing(close_codes.UNKNOWN_APP, "no app has this key: check PUSHER_APP_KEY")
    if not app.enabled:
        raise _closing(close_codes.APP_DISABLED, "this app is switched off")
    if app.tls_only and not arrival.is_secure:
        raise _closing(close_codes.TLS_ONLY, "this app takes TLS only: set forceTLS to true")
    if not app.allows_origin(arrival.origin):
        raise _closing(close_codes.UNAUTHORIZED, "this origin is not among the app's allowed origins")
    if app.max_connections is not None and connections >= app.max_connections:
        raise _closing(close_codes.OVER_QUOTA, "the app has as many connections as it may")
    limit = app.limits.connections_per_address
    if limit is not None and from_address >= limit:
        raise _closing(close_codes.OVER_CAPACITY, "this address has as many connections as it may")
    return app


def _closing(code: int, problem: str) -> ProtocolError:
    return ProtocolError(code, problem, close=True)
