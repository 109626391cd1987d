"""Values → the JSON text that PHP's json_encode writes with default flags.

Slashes are `\\/`, everything beyond ASCII is `\\uXXXX`, an array is a list only if its keys are 0 … n-1.
Where PHP would give an error (bytes that are not UTF-8, NAN, INF, recursion, depth over 512) this raises
`WouldFail`: a repaired value must never be delivered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from math import isfinite

from bridge.errors import Refused, WouldFail
from bridge.phpeval.php.runtime.values import (
    CustomSerialized,
    EnumCase,
    PhpArray,
    PhpObject,
    Value,
    float_text,
)

MAX_DEPTH = 512
_ESCAPED = re.compile(r"\\(?:u....|.)")  # one escape, so that the backslash of a backslash begins none

# An object or enum case → what stands for it in JSON: a scalar, an array, or a stdClass (always `{…}`).
Jsonable = Callable[["PhpObject | EnumCase"], Value]


def refuse_objects(value: PhpObject | EnumCase) -> Value:
    """The Jsonable for values that should hold none."""
    raise Refused(f"how {value.class_name} becomes JSON is not known")


def json_encode(value: Value, jsonable: Jsonable = refuse_objects, *, within: int = 0) -> str:
    """The text. `jsonable` is asked for every object but stdClass, and for every enum case. `within` so many
    arrays the value stands.

    Raises WouldFail as json_encode would fail, and whatever `jsonable` raises.
    """
    try:
        text = _python_json(value, jsonable, within)
    except UnicodeDecodeError as error:
        raise WouldFail("a string is not valid UTF-8, so it has no JSON form") from error
    return _as_php(text)


def text_json(text: bytes) -> str:
    """`json_encode` of a string. Raises UnicodeDecodeError."""
    return _as_php(quoted(text.decode()))


def float_json(number: float) -> str:
    """`json_encode` of a float. Raises WouldFail."""
    if not isfinite(number):
        raise WouldFail("INF and NAN have no JSON form")
    return float_text(number, exponent="e")


def _as_php(text: str) -> str:
    """What PHP writes in another way than Python, which stands in strings only."""
    if "\\u007f" in text:
        text = _ESCAPED.sub(_unescaped_delete, text)
    return text.replace("/", "\\/") if "/" in text else text


def _python_json(value: Value, jsonable: Jsonable, within: int = 0) -> str:
    """The text but for slashes and DEL, which Python writes `/` and `\\u007f`."""
    parts: list[str] = []
    write = parts.append
    # The open arrays and objects: what is left of each, and whether names are written. No recursion, since
    # PHP's 512 levels are more than Python's frames would hold. The outermost holds the value itself.
    stack: list[tuple[Iterator[tuple[int | bytes, Value]], bool]] = []
    entries: Iterator[tuple[int | bytes, Value]] = iter(((0, value),))
    named = False
    lead = ""  # what stands before the next entry
    while True:
        for key, entry in entries:
            if named:
                lead += _name(key)
            kind = type(entry)
            if kind is bytes:
                write(lead + quoted(entry.decode()))  # type: ignore[union-attr]
            elif kind is int:
                write(lead + str(entry))
            elif entry is None:
                write(lead + "null")
            elif entry is True:
                write(lead + "true")
            elif entry is False:
                write(lead + "false")
            elif kind is float:
                write(lead + float_json(entry))  # type: ignore[arg-type]
            else:
                if kind is not PhpArray:
                    entry = _plain(entry, jsonable)
                if not isinstance(entry, PhpArray | PhpObject):  # a scalar, that stands for an enum case
                    write(lead + _python_json(entry, jsonable))
                    lead = ","
                    continue
                if len(stack) + within >= MAX_DEPTH:
                    raise WouldFail("the payload is nested deeper than json_encode allows, or holds itself")
                stack.append((entries, named))
                named = not (isinstance(entry, PhpArray) and entry.is_list)
                entries = iter((entry if isinstance(entry, PhpArray) else entry.properties).items())
                write(lead + ("{" if named else "["))
                lead = ""
                break
            lead = ","
        else:
            if not stack:
                return "".join(parts)
            write("}" if named else "]")
            entries, named = stack.pop()
            lead = ","


@lru_cache(maxsize=1024)
def _name(key: int | bytes) -> str:
    """What stands before an entry with a name; most names come in every job."""
    return (quoted(key.decode()) if isinstance(key, bytes) else f'"{key}"') + ":"


def _unescaped_delete(escape: re.Match[str]) -> str:
    return "\x7f" if escape[0] == "\\u007f" else escape[0]


def _plain(value: Value, jsonable: Jsonable) -> Value:
    """What stands for an object or enum case in JSON: a scalar, array or stdClass."""
    asked = 0
    while isinstance(value, EnumCase) or (isinstance(value, PhpObject) and value.class_name != "stdClass"):
        asked += 1
        if asked > MAX_DEPTH:
            raise WouldFail("jsonSerialize gives objects without end")
        value = jsonable(value)
    if isinstance(value, CustomSerialized):
        raise Refused(f"how {value.class_name} becomes JSON is not known")
    return value
