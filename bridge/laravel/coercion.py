"""What PHP makes of a configuration value: truth, text, number, array key; and Laravel's slug of a text.

Where PHP would warn, throw, or answer differently in its releases, these raise TypeError or ValueError:
better no answer than a guess.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = "str | int | float | bool | dict[int | str, Value] | Unknown | None"
Array: TypeAlias = "dict[int | str, Value]"

_NUMERIC = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_LEADING_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only PHP could tell: why, and where it stands (`line` from 1; 0 without one)."""

    reason: str
    file: str
    line: int = 0


class NotKnown(Exception):
    """An Unknown was met where its value was needed."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


def known(value: Value) -> str | int | float | bool | Array | None:
    """The value itself; NotKnown for an Unknown."""
    if isinstance(value, Unknown):
        raise NotKnown(value.reason, value.line)
    return value


def as_array(value: Value) -> Array:
    """The array; TypeError for anything else."""
    it = known(value)
    if not isinstance(it, dict):
        raise TypeError("not an array")
    return it


def truth(value: Value) -> bool:
    """PHP's `(bool)`."""
    it = known(value)
    return bool(it) and it != "0"


def to_string(value: Value) -> str:
    """PHP's `(string)`; ValueError for arrays and for floats that PHP writes with an exponent."""
    match known(value):
        case None | False:
            return ""
        case True:
            return "1"
        case float() as number:
            text = f"{number:.14g}"
            if "e" in text or "n" in text:
                raise ValueError("a float that PHP writes in another way")
            return text
        case dict():
            raise ValueError("an array has no text")
        case scalar:
            return str(scalar)


def to_int(value: Value) -> int:
    """PHP's `(int)`: the number a text begins with, else 0. ValueError beyond 64 bits."""
    it = known(value)
    if isinstance(it, str):
        leading = _LEADING_NUMBER.match(it)
        it = _read_number(leading[1]) if leading else 0
    number = int(bool(it)) if isinstance(it, dict) else int(it or 0)
    if not -(2**63) <= number < 2**63:
        raise ValueError("beyond 64 bits")
    return number


def to_number(value: Value) -> int | float:
    """The operand that PHP's arithmetic takes; ValueError for a text that is no number."""
    it = known(value)
    if isinstance(it, dict):
        raise TypeError("an array is no number")
    if isinstance(it, str):
        if not _NUMERIC.fullmatch(it):
            raise ValueError("not a number")
        return _read_number(it)
    return it if isinstance(it, float) else int(it or 0)


def in_64_bits(number: int | float) -> int | float:
    """An int result that leaves 64 bits becomes a float, as in PHP."""
    return number if isinstance(number, float) or -(2**63) <= number < 2**63 else float(number)


def identical(left: Value, right: Value) -> bool:
    """PHP's `===`."""
    a, b = known(left), known(right)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(identical(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


def loosely_equal(left: Value, right: Value) -> bool:
    """PHP 8's `==` of scalars; ValueError for arrays."""
    a, b = known(left), known(right)
    if isinstance(a, dict) or isinstance(b, dict):
        raise ValueError("arrays are not compared")
    if isinstance(a, bool) or isinstance(b, bool):
        return truth(a) == truth(b)
    if a is None or b is None:
        # null is "" beside a text and false beside a number
        return (a or "") == (b or "") if isinstance(a or b or "", str) else truth(a) == truth(b)
    if _is_numeric(a) and _is_numeric(b):
        return to_number(a) == to_number(b)
    return to_string(a) == to_string(b)


def array_key(value: Value) -> int | str:
    """The key that PHP makes of a value: decimal texts become ints, null the empty text."""
    it = known(value)
    match it:
        case None:
            return ""
        case str():
            return int(it) if re.fullmatch(r"0|-?[1-9]\d{0,17}", it, re.ASCII) else it
        case int() | float():
            return int(it)
        case _:
            raise TypeError("an array is no key")


def next_key(array: Array) -> int:
    """The key of the next element that is given without one."""
    return max((key for key in array if isinstance(key, int)), default=-1) + 1


def slug(title: str, separator: str = "-") -> str:
    """Laravel's `Str::slug`; ValueError for letters whose transliteration differs between its releases."""
    text = "".join(_ascii(sign) for sign in title)
    text = re.sub("_+" if separator == "-" else "-+", separator, text)
    text = text.replace("@", f"{separator}at{separator}").lower()
    text = re.sub(rf"[^{re.escape(separator)}a-z0-9\s]+", "", text)
    return re.sub(rf"[{re.escape(separator)}\s]+", separator, text).strip(separator)


def _read_number(text: str) -> int | float:
    return float(text) if re.search(r"[.eE]", text) else in_64_bits(int(text))


def _is_numeric(value: str | int | float) -> bool:
    return not isinstance(value, str) or bool(_NUMERIC.fullmatch(value))


def _ascii(sign: str) -> str:
    if sign < "\x80":
        return sign
    if sign in _LATIN:
        return _LATIN[sign]
    base = unicodedata.normalize("NFD", sign)[0]
    if not ("\u00c0" <= sign <= "\u017f" and base < "\x80" and base.isalpha()):
        raise ValueError("a letter that bridge does not transliterate")
    return base


# Letters that do not come apart into a base and marks; alike in all releases of voku/portable-ascii.
_LATIN = {
    "Æ": "AE", "Ð": "D", "Ø": "O", "Þ": "TH", "ß": "ss", "æ": "ae", "ð": "d", "ø": "o", "þ": "th",
    "Đ": "D", "đ": "d", "Ł": "L", "ł": "l", "Œ": "OE", "œ": "oe", "ı": "i",
}  # fmt: skip
