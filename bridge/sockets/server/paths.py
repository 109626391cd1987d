"""Paths: the one form of a request's path, whatever prefix and slashes a client or a proxy puts in."""

from __future__ import annotations

import re

_SLASHES = re.compile("//+")


def normal(path: str, prefix: str = "") -> str:
    """Without the prefix (`/ws`), with single slashes, and below `/app/` and `/apps/` without one at the end.

    `path` is as it came, still quoted: an encoded slash stays what it is. Paths without the prefix mean the
    same, so that it does not matter whether a proxy takes it off.
    """
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if prefix and path.startswith(prefix) and path[len(prefix) :][:1] in ("", "/"):
        path = path[len(prefix) :] or "/"
    if path.endswith("/") and path.startswith(("/app/", "/apps/")):
        path = path[:-1]
    return path
