"""JSON text → values, as PHP's json_decode reads it (default depth and flags)."""

from __future__ import annotations

import json
from typing import NoReturn

from bridge.php.values import INT_MAX, INT_MIN, PhpArray, PhpObject, Value, array_key

MAX_DEPTH = 511  # arrays and objects inside one another; depth 512 counts one more


class _NotJson(ValueError):
    pass


def decode_json(text: bytes, *, objects: bool) -> Value:
    """The value; None for the text `null` and for everything that is not JSON, as PHP gives it.

    `objects`: `{…}` becomes a stdClass; else an array.
    """
    pairs = _object if objects else _array
    try:
        value = json.loads(text.decode(), object_pairs_hook=pairs, parse_int=_int, parse_constant=_constant)
        return _value(value, 0)
    except (ValueError, RecursionError):
        return None


class _Pairs(list[tuple[str, object]]):
    """The members of one object, before their values are converted."""


class _ObjectPairs(_Pairs):
    pass


def _array(pairs: list[tuple[str, object]]) -> _Pairs:
    return _Pairs(pairs)


def _object(pairs: list[tuple[str, object]]) -> _Pairs:
    return _ObjectPairs(pairs)


def _int(digits: str) -> int | float:
    if len(digits) > 20:  # Python refuses to convert very long digits
        return float(digits)
    number = int(digits)
    return number if INT_MIN <= number <= INT_MAX else float(number)


def _constant(name: str) -> NoReturn:
    raise _NotJson(name)


def _value(value: object, depth: int) -> Value:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return value.encode()  # a lone surrogate is an error in PHP too
    if depth >= MAX_DEPTH:
        raise _NotJson("too deep")
    match value:
        case _ObjectPairs():
            properties: dict[int | bytes, Value] = {}
            for key, item in value:
                if key[:1] == "\0":
                    raise _NotJson("a property name that begins with NUL")
                properties[key.encode()] = _value(item, depth + 1)
            return PhpObject("stdClass", properties)
        case _Pairs():
            return PhpArray((array_key(key.encode()), _value(item, depth + 1)) for key, item in value)
        case list():
            return PhpArray.of([_value(item, depth + 1) for item in value])
    raise _NotJson("an unknown kind of value")
