"""Values → the JSON text that PHP's json_encode writes with default flags.

Slashes are `\\/`, everything beyond ASCII is `\\uXXXX`, an array is a list only if its keys are 0 … n-1.
Where PHP would give an error (bytes that are not UTF-8, NAN, INF, recursion, depth over 512) this raises
`WouldFail`: a repaired value must never be delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    write = parts.append
    # The open arrays and objects: what is left of each, and whether names are written. No recursion, since
    # PHP's 512 levels are more than Python's frames would hold.
    entries: Iterator[tuple[int | bytes, Value]] = iter(())
    stack: list[tuple[Iterator[tuple[int | bytes, Value]], bool]] = []
    named = first = False
    while True:
        opened, named_inside = _write(value, write, jsonable)
        if opened is not None:
            if len(stack) >= MAX_DEPTH:
                raise WouldFail("the payload is nested deeper than json_encode allows, or holds itself")
            stack.append((entries, named))
            entries, named, first = iter(opened.items()), named_inside, True
        while (entry := next(entries, None)) is None:
            if not stack:
                return "".join(parts)
            write("}" if named else "]")
            entries, named = stack.pop()
            first = False
            if not stack:
                return "".join(parts)
        key, value = entry
        if not first:
            write(",")
        first = False
        if named:
            write(json_string(key) if isinstance(key, bytes) else f'"{key}"')
            write(":")


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


def _write(
    value: Value, write: Callable[[str], None], jsonable: Jsonable
) -> tuple[dict[int | bytes, Value] | None, bool]:
    """Writes a scalar, or the beginning of what holds entries: gives these, and whether with their names."""
    asked = 0
    while isinstance(value, EnumCase) or (isinstance(value, PhpObject) and value.class_name != "stdClass"):
        asked += 1
        if asked > MAX_DEPTH:
            raise WouldFail("jsonSerialize gives objects without end")
        value = jsonable(value)
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
    elif isinstance(value, float):
        if not isfinite(value):
            raise WouldFail("INF and NAN have no JSON form")
        write(float_text(value, exponent="e"))
    elif isinstance(value, PhpArray):
        named = not value.is_list
        write("{" if named else "[")
        return value, named
    elif isinstance(value, PhpObject):
        write("{")
        return value.properties, True
    else:
        raise Refused(f"how {value.class_name} becomes JSON is not known")  # type: ignore[union-attr]
    return None, False
