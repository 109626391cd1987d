"""Who may look: whoever knows the password, or has a link signed by an app; in the demo, this machine.

A session is a signed text in a cookie that no script can read and no other site can send with a form. What
changes something needs, besides, a token that only a page of the same origin can have read. Without password
and link the dashboard is closed.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bridge.secret import Secret

COOKIE = "bridge_dashboard"
LIFE = 12 * 3_600  # seconds of a session
LONGEST_LINK = 24 * 3_600  # seconds that a signed link may be good for
WINDOW, FAILURES, ALL_FAILURES = 60.0, 5, 50  # seconds; wrong passwords of one address, and of all
ADDRESSES = 1_000  # remembered
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LINK = "bridge-dashboard:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """`csrf` must come with every request that changes something."""

    csrf: str


class Access:
    """`is_open`: anybody may look who opens it by a name of this machine. The rest: see `use`."""

    def __init__(
        self,
        *,
        password: Secret | None,
        secrets: Sequence[Secret],
        is_open: bool = False,
        origins: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._is_open = is_open
        self._clock = clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self.use(password=password, secrets=secrets, origins=origins)

    def use(self, *, password: Secret | None, secrets: Sequence[Secret], origins: Sequence[str]) -> None:
        """These count from now on; sessions end with the password or secret that they were opened under.

        `secrets` are those of the apps: they sign links. `origins`: pages of these may talk to it too, where
        a proxy changes the Host header."""
        self.has_password = password is not None
        self._password = _digest(password.reveal()) if password else b""
        self._secrets = tuple(secrets)
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        texts = [secret.reveal() for secret in secrets] + [password.reveal() if password else ""]
        self._key = _digest("\0".join(["bridge dashboard", *texts]))

    def session(self, request: Request) -> Session | None:
        """The session of whoever asks, None where nobody may look."""
        token = request.cookies.get(COOKIE, "")
        if self._is_valid(token, "session", self._key):
            return Session(csrf=self._sign(token, "csrf"))
        if self._is_open and request.url.hostname in LOOPBACK:
            return Session(csrf=self._sign("open", "csrf"))
        return None

    def require(self, request: Request) -> Session:
        """The session. HTTPException 401 where there is none."""
        session = self.session(request)
        if session is None:
            raise HTTPException(401, "log in first")
        return session

    def require_change(self, request: Request) -> Session:
        """The session of a page of ours that wants to change something. HTTPException 401 or 403."""
        self.require_origin(request)
        session = self.require(request)
        given = request.headers.get("x-csrf-token", "")
        if not hmac.compare_digest(given.encode(), session.csrf.encode()):
            raise HTTPException(403, "the page is from an earlier session: load it again")
        return session

    def require_origin(self, request: Request) -> None:
        """Returns for a page of this address. HTTPException 403 for any other site's."""
        origin = request.headers.get("origin")
        if origin is None or origin.lower() in self._origins:
            return
        if urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
            raise HTTPException(403, "this origin may not use the dashboard: see dashboard_origins")

    def log_in(self, request: Request, password: str) -> str:
        """The cookie's value. HTTPException 403 for a wrong password, 429 after too many."""
        self.require_origin(request)
        now = self._clock()
        address = request.client.host if request.client else ""
        recent = [at for at in self._failures.get(address, ()) if at > now - WINDOW]
        others = sum(at > now - WINDOW for failures in self._failures.values() for at in failures)
        if len(recent) >= FAILURES or others >= ALL_FAILURES:
            raise HTTPException(429, "too many wrong passwords: wait a minute")
        right = hmac.compare_digest(_digest(password), self._password)
        if not (right and self.has_password):
            self._failures[address] = [*recent, now]
            self._failures.move_to_end(address)
            while len(self._failures) > ADDRESSES:
                self._failures.popitem(last=False)
            raise HTTPException(403, "this is not the password")
        self._failures.pop(address, None)
        return self.new_session()

    def new_session(self) -> str:
        expires = f"{self._clock() + LIFE:.0f}"
        return f"{expires}.{self._sign(expires, 'session')}"

    def follow_link(self, token: str) -> str | None:
        """The cookie's value for a link: `{expires}.{signature}`, unix seconds and the lower-case hex
        HMAC-SHA256 of `bridge-dashboard:{expires}` under an app's secret. None where it is not good."""
        if any(self._is_valid(token, LINK, secret.reveal().encode()) for secret in self._secrets):
            return self.new_session()
        return None

    def _sign(self, text: str, purpose: str) -> str:
        return _hmac(self._key, f"{purpose}{text}")

    def _is_valid(self, token: str, purpose: str, key: bytes) -> bool:
        expires, _, signature = token.partition(".")
        if not (expires.isascii() and expires.isdecimal() and len(expires) < 12):
            return False
        if not hmac.compare_digest(signature.encode(), _hmac(key, f"{purpose}{expires}").encode()):
            return False
        return 0 < int(expires) - self._clock() <= LONGEST_LINK


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _hmac(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
