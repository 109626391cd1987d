"""Values → the JSON text that PHP's json_encode writes with default flags.

Slashes are `\\/`, everything beyond ASCII is `\\uXXXX`, an array is a list only if its keys are 0 … n-1.
Where PHP would give an error (bytes that are not UTF-8, NAN, INF, recursion, depth over 512) this raises
`WouldFail`: a repaired value must never be delivered.
"""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring_ascii
from math import isfinite

from bridge.errors import Refused, WouldFail
from bridge.php.values import EnumCase, PhpArray, PhpObject, Value, float_text

MAX_DEPTH = 512

# An object or enum case → what stands for it in JSON: a scalar, an array, or a stdClass (always `{…}`).
Jsonable = Callable[["PhpObject | EnumCase"], Value]


def refuse_objects(value: PhpObject | EnumCase) -> Value:
    """The Jsonable for values that should hold none."""
    raise Refused(f"how {value.class_name} becomes JSON is not known")


def json_encode(value: Value, jsonable: Jsonable = refuse_objects) -> str:
    """The text. `jsonable` is asked for every object but stdClass, and for every enum case.

    Raises WouldFail as json_encode would fail, and whatever `jsonable` raises.
    """
    parts: list[str] = []
    _write(value, parts.append, jsonable, 0)
    return "".join(parts)


def json_string(text: bytes) -> str:
    """One string with its quotes."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise WouldFail("a string is not valid UTF-8, so it has no JSON form") from error
    if "\x7f" in decoded:  # Python escapes DEL, PHP does not
        pieces = (encode_basestring_ascii(piece)[1:-1] for piece in decoded.split("\x7f"))
        encoded = '"' + "\x7f".join(pieces) + '"'
    else:
        encoded = encode_basestring_ascii(decoded)
    return encoded.replace("/", "\\/")


def _write(value: Value, write: Callable[[str], None], jsonable: Jsonable, depth: int) -> None:
    kind = type(value)
    if kind is bytes:
        write(json_string(value))  # type: ignore[arg-type]
    elif kind is int:
        write(str(value))
    elif value is None:
        write("null")
    elif value is True:
        write("true")
    elif value is False:
        write("false")
    elif kind is float:
        if not isfinite(value):  # type: ignore[arg-type]
            raise WouldFail("INF and NAN have no JSON form")
        write(float_text(value, exponent="e"))  # type: ignore[arg-type]
    elif isinstance(value, PhpArray):
        if not value:
            write("[]")
        elif value.is_list:
            _write_list(value, write, jsonable, depth + 1)
        else:
            _write_map(value, write, jsonable, depth + 1)
    elif isinstance(value, PhpObject):
        if value.class_name == "stdClass":
            if value.properties:
                _write_map(value.properties, write, jsonable, depth + 1)
            else:
                write("{}")
        else:
            _write(jsonable(value), write, jsonable, depth + 1)
    elif isinstance(value, EnumCase):
        _write(jsonable(value), write, jsonable, depth)
    else:
        raise Refused(f"how {value.class_name} becomes JSON is not known")  # type: ignore[union-attr]


def _write_list(values: PhpArray, write: Callable[[str], None], jsonable: Jsonable, depth: int) -> None:
    _check(depth)
    separator = "["
    for value in values.values():
        write(separator)
        _write(value, write, jsonable, depth)
        separator = ","
    write("]")


def _write_map(
    entries: dict[int | bytes, Value], write: Callable[[str], None], jsonable: Jsonable, depth: int
) -> None:
    _check(depth)
    separator = "{"
    for key, value in entries.items():
        write(separator)
        write(json_string(key) if isinstance(key, bytes) else f'"{key}"')
        write(":")
        _write(value, write, jsonable, depth)
        separator = ","
    write("}")


def _check(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise WouldFail("the payload is nested deeper than json_encode allows, or holds itself")
