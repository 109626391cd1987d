"""Loaded by schemathesis (SCHEMATHESIS_HOOKS): every request is signed as an SDK signs it."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import requests
import schemathesis

from tests.sockets.server.running import APP, signed


class Signature(requests.auth.AuthBase):
    """Signs what is about to be sent, byte for byte."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        url = urlsplit(str(request.url))
        if not url.path.startswith("/apps/"):
            return request
        body = request.body or b""
        content = body if isinstance(body, bytes) else str(body).encode()
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        parameters = signed(APP, str(request.method), unquote(url.path), content, query)
        request.url = urlunsplit(url._replace(query=urlencode(parameters)))
        return request


schemathesis.auth.set_from_requests(Signature())  # type: ignore[attr-defined]  # not in its stub
