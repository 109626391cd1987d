"""JSON text → values, as PHP's json_decode reads it."""

from __future__ import annotations

import json
import re
from functools import cache

from bridge.phpeval.php.runtime.values import INT_MAX, INT_MIN, PhpArray, PhpObject, Value, array_key

MAX_DEPTH = 512  # a scalar inside counts as one level more

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


class NotJson(ValueError):
    """PHP gives null (or throws, if asked to)."""


def decode_json(text: bytes, *, objects: bool) -> Value:
    """The value; None for the text `null` and for everything that is not JSON, as PHP gives it.

    `objects`: `{…}` becomes a stdClass; else an array.
    """
    try:
        return read_json(text, objects=objects)
    except NotJson:
        return None


def read_json(text: bytes, *, objects: bool, depth: int = MAX_DEPTH, big_as_text: bool = False) -> Value:
    """The value; NotJson where there is none. `big_as_text`: integers over 64 bits stay text, else float."""
    try:
        decoded = text.decode()
        opened = decoded.count("[") + decoded.count("{")
        if decoded[:1] == "\ufeff" or (opened >= depth and _depth(decoded) >= depth):
            raise NotJson("a byte order mark, or too deep")
        return _value(_decoder(objects, big_as_text).decode(decoded))
    except ValueError as error:
        raise NotJson("not JSON") from error


@cache
def _decoder(objects: bool, big_as_text: bool) -> json.JSONDecoder:
    def number(digits: str) -> Value:
        # Python refuses to convert very long digits
        whole = int(digits) if len(digits) <= 20 else INT_MAX + 1
        if INT_MIN <= whole <= INT_MAX:
            return whole
        return digits.encode() if big_as_text else float(digits)

    def reject(name: str) -> Value:
        raise NotJson(name)

    def members(pairs: list[tuple[str, object]]) -> Value:
        entries: dict[int | bytes, Value] = {}
        for name, value in pairs:
            key = name.encode()  # a lone surrogate is an error in PHP too
            if objects and key[:1] == b"\0":
                raise NotJson("a property name that begins with NUL")
            entries[key if objects else array_key(key)] = _value(value)
        return PhpObject("stdClass", entries) if objects else PhpArray(entries)

    return json.JSONDecoder(
        object_pairs_hook=members, parse_int=number, parse_float=float, parse_constant=reject
    )


def _value(read: object) -> Value:
    if isinstance(read, str):
        return read.encode()
    if isinstance(read, list):
        return PhpArray.of(_value(item) for item in read)
    return read  # type: ignore[return-value]


def _depth(text: str) -> int:
    deepest = depth = 0
    for character in _STRING.sub("", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest
