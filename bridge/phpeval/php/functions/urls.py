"""PHP's functions for URLs and paths, whose rules are the same in every release for what is well-formed."""

from __future__ import annotations

import os.path
import re
from urllib.parse import unquote_to_bytes

from bridge.phpeval.php.functions.signature import table
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.values import PhpArray, Value, array_key

# ext/standard/url.c takes far more than this; what is not well-formed is refused.
_URL = re.compile(
    rb"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    rb"(?:(?P<user>[^\x00-\x20\x7f:@/?#\[\]]+)(?::(?P<pass>[^\x00-\x20\x7f:@/?#\[\]]+))?@)?"
    rb"(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*)(?::(?P<port>[1-9][0-9]{0,4}))?)?"
    rb"(?P<path>(?:/|(?<!.)[^\x00-\x20\x7f:/?#])[^\x00-\x20\x7f?#]*)?"
    rb"(?:\?(?P<query>[^\x00-\x20\x7f#]+))?(?:#(?P<fragment>[^\x00-\x20\x7f]+))?",
    re.DOTALL,
)
_PARTS = ("scheme", "host", "port", "user", "pass", "path", "query", "fragment")  # PHP_URL_… from 0


def _parse_url(php: Interpreter, url: bytes, component: int = -1) -> Value:
    match = _URL.fullmatch(url)
    if match is None or not url or not -1 <= component < len(_PARTS):
        php.refuse("parse_url() of this text")
    if match["scheme"] is None and (b":" in url or url.startswith(b"//")):
        php.refuse("parse_url() of this text")
    parts: dict[str, Value] = {name: match[name] for name in _PARTS if match[name] is not None}
    if match["port"] is not None:
        parts["port"] = int(match["port"])
        if int(match["port"]) > 65535:
            php.refuse("parse_url() of this text")
    if component >= 0:
        return parts.get(_PARTS[component])
    return PhpArray((name.encode(), value) for name, value in parts.items())


def _dirname(php: Interpreter, path: bytes, levels: int = 1) -> bytes:
    if levels < 1 or not path:
        php.refuse("dirname() of this")
    for _ in range(min(levels, path.count(b"/") + 1)):
        path = os.path.dirname(path.rstrip(b"/")) or (b"/" if path.startswith(b"/") else b".")
        path = path.rstrip(b"/") or b"/"
    return path


_KEY = re.compile(rb"([^\x00\[]+)((?:\[[^\x00\[\]]*\])*)\Z")
_MAX_VARIABLES, _MAX_DEPTH = 1000, 64  # php.ini max_input_vars and max_input_nesting_level


def _parse_str(php: Interpreter, string: bytes, result: Value) -> tuple[Value, dict[int, Value]]:
    parsed = PhpArray()
    parts = [part for part in string.split(b"&") if part]
    if len(parts) > _MAX_VARIABLES:
        php.refuse("parse_str() of this many variables")
    for part in parts:
        name, _, value = part.partition(b"=")
        key = unquote_to_bytes(name.replace(b"+", b" ")).lstrip(b" ")
        if not key or key[:1] in (b"\0", b"["):
            continue
        match = _KEY.match(key)
        if match is None or b"[ " in key or match[2].count(b"[") > _MAX_DEPTH:
            php.refuse("parse_str() of these names")
        plain = re.sub(rb"[ .]", b"_", match[1])
        _put(parsed, [plain, *match[2][1:-1].split(b"][")] if match[2] else [plain],
             unquote_to_bytes(value.replace(b"+", b" ")))  # fmt: skip
    return None, {1: parsed}


def _put(holder: PhpArray, keys: list[bytes], value: bytes) -> None:
    """Writes into arrays in arrays; an empty key appends, and what is no array makes room for one."""
    *outer, last = keys
    for key in outer:
        inner = holder.get(array_key(key)) if key else None
        if not isinstance(inner, PhpArray):
            inner = PhpArray()
            if key:
                holder[array_key(key)] = inner
            else:
                holder.append(inner)
        holder = inner
    if last:
        holder[array_key(last)] = value
    else:
        holder.append(value)


FUNCTIONS = table({
    "parse_str(string $string, mixed &$result)": _parse_str,
    "parse_url(string $url, int $component = -1)": _parse_url,
    "dirname(string $path, int $levels = 1)": _dirname,
})  # fmt: skip
