"""Who may look: whoever knows the password, or has a link signed by the app; in the demo, this machine.

With a gate, a page without a session goes to the app's own route, which decides and sends it back with a
link. A link may be for looking only; whoever has the password may do everything.

A session is a random text in a cookie that no script can read and no other site can send with a form. The
server keeps what it stands for in memory, so a session ends when it is told to: by logging out, by a change
of the password or of the secret that signs links, and by a restart. What changes something needs, besides, a
token that only a page of the same origin can have read. Without password and link the dashboard is closed.

Log-ins, refusals and links that were used are lines of the log, with the client's address: see `audit`.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bridge.secret import Secret
from bridge.sockets.server.trusted_proxies import sender

COOKIE = "bridge_dashboard"
BROWSER_COOKIE = "bridge_dashboard_browser"  # a browser that logged in once is not slowed down with others
LIFE = 12 * 3_600  # seconds of a session
GATE_LIFE = 3_600  # seconds of a session that the app's gate has let in; then it is asked again
BROWSER_LIFE = 30 * 24 * 3_600  # seconds that a browser is known
LONGEST_LINK = 24 * 3_600  # seconds that a signed link may be good for
FREE = 5  # wrong passwords of one sender that cost no waiting
LONGEST_WAIT = 60.0  # seconds after one wrong password more
FORGIVEN = 600.0  # seconds without a wrong password until the count starts again
MOST = 1_000  # sessions, browsers and senders that are remembered; the oldest are forgotten first
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LINK = "bridge-dashboard:"
_LINK = re.compile(
    r"(?P<expires>[0-9]{1,11})(?:\.(?P<nonce>[\w-]{1,64}))?(?:\.(?P<role>look|do))?"
    r"\.(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)

V = TypeVar("V")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """`csrf` must come with every request that changes something; `expires` in unix seconds; `may_do`: it may
    change something, else it only looks."""

    csrf: str
    expires: float = math.inf
    opened: Literal["password", "link", "demo"] = "demo"
    may_do: bool = True


@dataclass(slots=True)
class _Wrong:
    """Wrong passwords of one sender: how many, when the last came, and until when it must wait."""

    count: int = 0
    last: float = 0.0
    until: float = 0.0


class SessionGuard:
    """`is_open`: anybody may look who opens it by a name of this machine. The rest: see `use`.

    clock  unix seconds
    """

    def __init__(
        self,
        *,
        password: Secret | None,
        link_secret: Secret | None,
        is_open: bool = False,
        gate: str | None = None,
        origins: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._browsers: OrderedDict[str, float] = OrderedDict()  # that logged in → until when they count
        self._wrong: OrderedDict[str, _Wrong] = OrderedDict()
        self._used: dict[str, float] = {}  # links that were used → when they expire
        self._bad_links: OrderedDict[str, _Wrong] = OrderedDict()
        self._open = Session(csrf=secrets.token_urlsafe(32)) if is_open else None
        self._password: Secret | None = None
        self._link_secret: Secret | None = None
        self.gate: str | None = None
        self.use(password=password, link_secret=link_secret, gate=gate, origins=origins)

    def use(
        self,
        *,
        password: Secret | None,
        link_secret: Secret | None,
        gate: str | None = None,
        origins: Sequence[str],
    ) -> None:
        """Uses these from now on. Ends all sessions when the password or the secret of links is another.

        `link_secret` signs links; None: there are none. `gate`: the app's address that makes them for those
        who may look; sessions of links are short then, so that the app decides again. `origins`: pages of
        these may talk to it too, where a proxy changes the Host header."""
        if (password, link_secret) != (self._password, self._link_secret):
            self._sessions.clear()
            self._browsers.clear()
        self._password = password
        self._link_secret = link_secret
        self.gate = gate if link_secret is not None else None
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    @property
    def has_password(self) -> bool:
        return self._password is not None

    @property
    def is_closed(self) -> bool:
        """Whether nobody can get in at all."""
        return self._open is None and self._password is None and self._link_secret is None

    def session(self, request: Request) -> Session | None:
        """The session of whoever asks, None where nobody may look."""
        token = request.cookies.get(COOKIE, "")
        session = self._sessions.get(_digest(token))
        if session is not None:
            if session.expires > self._clock():
                return session
            del self._sessions[_digest(token)]
        return self._open if self._open is not None and _host(request) in LOOPBACK else None

    def require(self, request: Request) -> Session:
        """The session. HTTPException 401 where there is none."""
        session = self.session(request)
        if session is None:
            raise HTTPException(401, "log in first")
        return session

    def require_change(self, request: Request, *, does: bool = True) -> Session:
        """The session of a page of ours that wants to change something. HTTPException 401 or 403.

        `does`: False for what also those may who only look."""
        self.require_origin(request)
        session = self.require(request)
        given = request.headers.get("x-csrf-token", "")
        if not hmac.compare_digest(given.encode(), session.csrf.encode()):
            raise HTTPException(403, "the page is from an earlier session: load it again")
        if does and not session.may_do:
            raise HTTPException(403, "this session may look, and change nothing")
        return session

    def require_origin(self, request: Request) -> None:
        """Returns for a page of this address. HTTPException 403 for any other site's."""
        origin = request.headers.get("origin")
        if origin is None or origin.lower() in self._origins:
            return
        try:
            own = urlsplit(origin).netloc.lower()
        except ValueError:
            own = ""
        if not own or own != request.headers.get("host", "").lower():
            raise HTTPException(403, "this origin may not use the dashboard: see dashboard_origins")

    def log_in(self, request: Request, password: str) -> tuple[str, str]:
        """Values of the two cookies, of the session and of the browser.

        HTTPException 403 for a wrong password, 429 with Retry-After for a sender that has to wait after some.

        Nobody waits for what others send, and whoever has a session needs no password."""
        self.require_origin(request)
        now, sender = self._clock(), self._sender(request)
        wrong = self._wrong.get(sender)
        if wrong is not None and now - wrong.last > FORGIVEN:
            del self._wrong[sender]
            wrong = None
        if wrong is not None and now < wrong.until:
            wait = math.ceil(wrong.until - now)
            raise HTTPException(
                429, f"too many wrong passwords: wait {wait} s", headers={"Retry-After": str(wait)}
            )
        # as digests, so that neither length nor place of the first difference can be measured
        known = self._password.reveal() if self._password is not None else ""
        if not (hmac.compare_digest(_digest(password), _digest(known)) and self.has_password):
            wrong = wrong or _Wrong()
            wrong.count, wrong.last = wrong.count + 1, now
            if wrong.count >= FREE:
                wrong.until = now + min(2.0 ** (wrong.count - FREE), LONGEST_WAIT)
            _remember(self._wrong, sender, wrong)
            audit(request, "log-in refused", level=logging.WARNING, wrong_passwords=wrong.count)
            raise HTTPException(403, "this is not the password")
        self._wrong.pop(sender, None)
        audit(request, "logged in")
        browser = request.cookies.get(BROWSER_COOKIE, "")
        if not self._is_known(browser):
            browser = secrets.token_urlsafe(32)
        _remember(self._browsers, _digest(browser), now + BROWSER_LIFE)
        return self.new_session("password"), browser

    def new_session(self, opened: Literal["password", "link"] = "password", *, may_do: bool = True) -> str:
        """The cookie's value of a session that begins now."""
        token = secrets.token_urlsafe(32)
        life = GATE_LIFE if opened == "link" and self.gate is not None else LIFE
        session = Session(
            csrf=secrets.token_urlsafe(32), expires=self._clock() + life, opened=opened, may_do=may_do
        )
        _remember(self._sessions, _digest(token), session)
        return token

    def log_out(self, request: Request) -> None:
        """Ends the request's session; its cookie opens nothing any more."""
        self._sessions.pop(_digest(request.cookies.get(COOKIE, "")), None)
        audit(request, "logged out")

    def follow_link(self, request: Request, token: str) -> str | None:
        """The cookie's value for a link that has not been used before; None where it is not good.

        `{expires}.{nonce}.{signature}`: unix seconds; letters, digits, `_` and `-`, so that links made in the
        same second differ; the lower-case hex HMAC-SHA256 of `bridge-dashboard:{expires}:{nonce}`. Without a
        nonce, `{expires}.{signature}`, of `bridge-dashboard:{expires}`. With `.look` or `.do` before the
        signature, and `:look` or `:do` in what is signed, it says what the session may."""
        why, now = self._fault(token), self._clock()
        if why:
            sender = self._sender(request)
            bad = self._bad_links.get(sender) or _Wrong()
            bad.count, bad.last = (1 if now - bad.last > FORGIVEN else bad.count + 1), now
            _remember(self._bad_links, sender, bad)
            if bad.count <= FREE:  # nobody may fill the log
                audit(request, "link refused", level=logging.WARNING, why=why)
            return None
        self._used = {used: expires for used, expires in self._used.items() if expires > now}
        self._used[_digest(token)] = float(token.partition(".")[0])
        may_do = "look" not in token.split(".")  # without a nonce the role stands in its place
        audit(request, "link used", may="do" if may_do else "look")
        return self.new_session("link", may_do=may_do)

    def _fault(self, token: str) -> str:
        """Why the link is not good; empty where it is."""
        found = _LINK.fullmatch(token)
        if self._link_secret is None or found is None:
            return "it is not signed" if found is None else "nothing is known that signs links"
        text = LINK + ":".join(part for part in found.group("expires", "nonce", "role") if part)
        right = hmac.new(self._link_secret.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(found["signature"], right):
            return "the signature is wrong"
        left = int(found["expires"]) - self._clock()
        if not 0 < left <= LONGEST_LINK:
            return "it has expired" if left <= 0 else "it would be good for more than a day"
        return "it was used before" if _digest(token) in self._used else ""

    def _sender(self, request: Request) -> str:
        """Who tries passwords: a browser that logged in before, else an address, of IPv6 the network."""
        browser = request.cookies.get(BROWSER_COOKIE, "")
        return f"browser {_digest(browser)}" if self._is_known(browser) else sender(address(request))

    def _is_known(self, browser: str) -> bool:
        return self._browsers.get(_digest(browser), 0.0) > self._clock()


def audit(request: Request, what: str, *, level: int = logging.INFO, **about: object) -> None:
    """Logs what was done at the dashboard, and from which address."""
    log.log(level, f"dashboard: {what}", extra={"action": "dashboard", "address": address(request), **about})


def address(request: Request) -> str:
    """The client's, as far as proxies are believed; empty where it has none."""
    return request.client.host if request.client else ""


def _host(request: Request) -> str:
    """The name under which it was asked, without a port; empty where that is no name."""
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _remember(kept: OrderedDict[str, V], key: str, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > MOST:
        kept.popitem(last=False)


def _digest(text: str) -> str:
    """What stands for a secret text in memory, and makes its lookup tell nothing of it by its time."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
