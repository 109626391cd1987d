"""Requests: the bytes of a client become whole requests. llhttp, in its strict mode, decides where one ends;
what is larger than it may be, or could be read in two ways, is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import httptools

from bridge.sockets.server import paths
from bridge.sockets.server.proxy_protocol import begins

MAX_HEAD = 65_536  # bytes of a request line and its headers that may wait to become complete
MAX_HEADERS = 2_000

Headers = list[tuple[bytes, bytes]]


class Request:
    """A request whose head is complete.

    target    as it stands in the request line
    path      the target's path in its normal form, percent-decoded
    raw_path  the path as it came; query likewise, without its question mark
    peer      address and port from which the connection comes, or its proxy says that it does; `is_secure`:
              by TLS. Known to the application and to `upgrade`
    headers   names in lower case
    body      whole once the application sees it; empty when `is_too_large`
    """

    __slots__ = (
        "_by_name",
        "body",
        "headers",
        "is_secure",
        "is_too_large",
        "keep_alive",
        "method",
        "path",
        "peer",
        "query",
        "raw_path",
        "target",
        "version",
    )

    def __init__(
        self, method: str, target: bytes, version: str, headers: Headers, *, keep_alive: bool, prefix: str
    ) -> None:
        """Raises ValueError when the target is not readable."""
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        self._by_name: dict[bytes, list[bytes]] | None = None
        self.keep_alive = keep_alive
        self.body = b""
        self.is_too_large = False
        self.peer = ("", 0)
        self.is_secure = False
        if target.startswith(b"/"):
            self.raw_path, _, self.query = target.partition(b"#")[0].partition(b"?")
        else:
            self.raw_path, self.query = _parts(target)
        self.path = paths.unquoted(paths.normal(self.raw_path.decode("ascii"), prefix))

    @property
    def by_name(self) -> Mapping[bytes, list[bytes]]:
        """The headers: name in lower case → values, in order."""
        known = self._by_name
        if known is None:
            known = self._by_name = {}
            for name, value in self.headers:
                if name in known:
                    known[name].append(value)
                else:
                    known[name] = [value]
        return known

    def head_without_upgrade(self) -> bytes:
        lines = [b"%s %s HTTP/%s" % (self.method.encode(), self.target, self.version.encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"


def _parts(target: bytes) -> tuple[bytes, bytes]:
    """Path and query of an absolute URL or `*`. Raises ValueError."""
    if target == b"*":
        return target, b""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserError:
        raise ValueError("the target is no URL") from None
    return url.path or b"/", url.query or b""


class Reading(Protocol):
    """The limits of what is read, the same for all connections of a server.

    path_prefix   see `paths.normal`
    is_ending     every request is the last of its connection
    largest_body  bytes that a body may have now
    """

    path_prefix: str
    is_ending: bool
    largest_body: Callable[[], int]

    def count_unfinished(self, size: int) -> None:
        """`size` bytes more of a body that is not complete; negative for one that is, or is given up."""


class Taker(Protocol):
    """Who gets what is read."""

    def take(self, request: Request) -> None:
        """A request is whole, or too large to be so."""

    def proceed(self) -> None:
        """The client wants to be told that it may send the body."""

    def upgrade(self, request: Request, rest: bytes) -> bool:
        """The head asks for an upgrade; whether it gets one. Then nothing more is read, and `rest` is what
        came behind it."""

    def refuse(self, status: int, line: str, detail: str = "") -> None:
        """Nothing that comes from now on is a request."""

    def unexpected(self) -> None:
        """A refused connection begins with the PROXY protocol."""


class RequestReader:
    """Reads one connection, and tells `taker`. It ends with `end`, which a taker may call at any moment.

    is_partial  a request has begun, and is not whole
    has_read    anything has come
    """

    __slots__ = (
        "_body",
        "_counted",
        "_fed",
        "_head",
        "_headers",
        "_limits",
        "_most",
        "_parser",
        "_request",
        "_size",
        "_taker",
        "is_partial",
    )

    def __init__(self, taker: Taker, limits: Reading) -> None:
        self._taker = taker
        self._limits = limits
        self._parser: Any = httptools.HttpRequestParser(self)  # None: it has ended
        self.is_partial = False
        self._fed = 0  # bytes since the request began
        self._head: bytes | None = None  # its target so far, until its head is complete
        self._headers: Headers = []
        self._request: Request | None = None
        self._body: list[bytes] = []
        self._size = self._counted = 0  # bytes of the body, and those of them that the server has counted
        self._most = 0  # that it may have

    @property
    def has_read(self) -> bool:
        return self._fed > 0

    def end(self) -> None:
        self._parser = None
        self.is_partial = False
        self._let_body_go()

    def feed(self, data: bytes) -> None:
        """Reads what has come; all that is whole by then is taken, in order."""
        while data and self._parser is not None:
            self._fed += len(data)
            try:
                self._parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as end:
                data = self._upgrade(data[end.args[0] :])
            except httptools.HttpParserError as problem:
                if begins(data):
                    self._taker.unexpected()
                self._taker.refuse(400, "the request is not well-formed HTTP", str(problem))
        if self._parser is None or not self.is_partial:
            return
        if self._head is not None:
            if self._fed > MAX_HEAD:
                self._taker.refuse(431, f"the headers are larger than {MAX_HEAD} bytes")
        elif self._fed > MAX_HEAD + 8 * self._most:  # chunks of one byte, and no more
            self._taker.refuse(413, "the chunks are much larger than what they carry")
        elif self._counted < self._size:
            grown, self._counted = self._size - self._counted, self._size
            self._limits.count_unfinished(grown)

    def _upgrade(self, rest: bytes) -> bytes:
        """The parser has stopped behind a head with an upgrade. What it shall read next."""
        request = self._request
        if request is None or self._parser is None or self._taker.upgrade(request, rest):
            return b""
        self._fed = 0
        self._parser = httptools.HttpRequestParser(self)
        return request.head_without_upgrade() + rest

    def _let_body_go(self) -> None:
        self._body = []
        if self._counted:
            self._limits.count_unfinished(-self._counted)
            self._counted = 0

    # Called by the parser -------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._parser is None:  # it has ended within this segment, which is parsed to its end
            return
        self.is_partial = True
        self._head = b""
        self._headers = []
        self._size = 0
        self._request = None

    def on_url(self, part: bytes) -> None:
        if self._head is not None:
            self._head += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is None:  # of a trailer: nobody asks for it
            return
        headers = self._headers
        if len(headers) < MAX_HEADERS:
            headers.append((name.lower(), value))
        else:
            self._taker.refuse(431, f"there are more than {MAX_HEADERS} headers")

    def on_headers_complete(self) -> None:
        parser, target, limits = self._parser, self._head, self._limits
        if parser is None or target is None:
            return
        self._head = None
        version = parser.get_http_version()
        try:
            request = self._request = Request(
                parser.get_method().decode(),
                target,
                version,
                self._headers,
                keep_alive=version == "1.1" and parser.should_keep_alive() and not limits.is_ending,
                prefix=limits.path_prefix,
            )
        except ValueError:
            self._taker.refuse(400, "the path is not readable")
            return
        if not parser.should_upgrade():
            self._expect_body(request)

    def _expect_body(self, request: Request) -> None:
        """The head is complete; refused where a proxy could read the length of its body in another way."""
        hosts, has_body, codings = 0, False, 0
        expected: list[bytes] = []
        most = self._most = self._limits.largest_body()
        for name, value in self._headers:
            if name not in _TELLING:
                continue
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                has_body = True
                if int(value) > most:
                    self._too_large(request)
                    return
            elif name == b"expect":
                expected.append(value.lower())
            else:
                has_body = True
                # more than once where it is more than the one word: proxies read the rest in different ways
                codings += 1 if value.strip(b" \t").lower() == b"chunked" else 2
        if codings > 1:
            self._taker.refuse(400, "Transfer-Encoding is not just chunked")
        elif hosts > 1:
            self._taker.refuse(400, "Host is given twice")
        elif has_body and request.version == "1.1" and expected == [b"100-continue"]:
            self._taker.proceed()

    def on_body(self, part: bytes) -> None:
        if self._parser is None or self._request is None:
            return
        self._size += len(part)
        if self._size > self._most:
            self._too_large(self._request)
        else:
            self._body.append(part)

    def on_message_complete(self) -> None:
        request, body = self._request, self._body
        if self._parser is None or request is None or self._parser.should_upgrade():
            return
        self.is_partial = False
        self._fed = 1  # something has come; what the next begins with is counted from the next segment on
        request.body = body[0] if len(body) == 1 else b"".join(body)
        if body:
            self._let_body_go()
        self._taker.take(request)

    def _too_large(self, request: Request) -> None:
        """The application says so itself, once it asks for the body."""
        request.is_too_large = True
        self.is_partial = False
        self._let_body_go()
        self._taker.take(request)


_TELLING = frozenset((b"host", b"content-length", b"transfer-encoding", b"expect"))
"""Headers that matter here."""
