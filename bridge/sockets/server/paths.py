"""Paths: the one form of a request's path, whatever prefix and slashes a client or a proxy puts in."""

from __future__ import annotations

import re
from urllib.parse import unquote

_SLASHES = re.compile("//+")
_FOR_ALL = ("/", "/up")  # what load balancers ask for
# what nobody need encode, both slashes, and control characters
_DISGUISED = re.compile("%(2[D-Fd-f]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[CFcf]|7[EeFf]|[01][0-9A-Fa-f])")


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


def unquoted(path: str) -> str:
    """What `normal` gives, percent-decoded. A page's path that is disguised stays so: a proxy that keeps
    `/metrics` inside has not let `/%6detrics` or `/metrics%0a` in, nor `/laravel-websockets%2fapi`."""
    if "%" not in path or (not path.startswith(("/app/", "/apps/")) and _DISGUISED.search(path)):
        return path
    return unquote(path)
