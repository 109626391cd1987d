"""Paths: the one form of a request's path, whatever prefix and slashes a client or a proxy puts in."""

from __future__ import annotations

import re

_SLASHES = re.compile("//+")
_FOR_ALL = ("/", "/up")  # what load balancers ask for


def normal(path: str, prefix: str = "") -> str:
    """Of what clients and apps ask for: without the prefix (`/ws`), with single slashes, and without one at
    the end.

    `path` is as it came, still quoted: an encoded slash stays what it is. Paths without the prefix mean the
    same, so that it does not matter whether a proxy takes it off. Any other path stays as it came: a proxy
    that lets the prefix through, or keeps `/metrics` inside, has not let `/ws/metrics` or `//metrics` in.
    """
    found = _SLASHES.sub("/", path) if "//" in path else path
    if prefix and found.startswith(prefix) and found[len(prefix) :][:1] in ("", "/"):
        found = found[len(prefix) :] or "/"
    if found.startswith(("/app/", "/apps/")):
        return found.removesuffix("/")
    return found if found in _FOR_ALL else path
