"""sprintf and its kin.

Source of the rules: php-src ext/standard/formatted_print.c (8.2); `g` and `G` are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from bridge.phpeval.php.functions.signature import check_length, table
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import Thrown, to_float, to_int
from bridge.phpeval.php.runtime.values import PhpArray, Value

_DIRECTIVE = re.compile(rb"%(?:(\d+)\$)?((?:[-+ 0]|'.)*)(\d*)(?:\.(\d+))?(l?)(.)?", re.DOTALL)
_INTEGERS = {"x": "x", "X": "X", "o": "o", "b": "b"}


def _format(php: Interpreter, function: str, format: bytes, values: Sequence[Value], first: int) -> bytes:
    """`first`: the position of the first value among the call's arguments, for messages."""
    result: list[bytes] = []
    position = 0
    missing = -1
    index = 0
    size = 0
    while True:
        percent = format.find(b"%", position)
        if percent < 0:
            result.append(format[position:])
            break
        result.append(format[position:percent])
        if format[percent + 1 : percent + 2] == b"%":
            result.append(b"%")
            position = percent + 2
            continue
        match = _DIRECTIVE.match(format, percent)
        assert match is not None  # noqa: S101
        number, flags, width, precision, _, kind = match.groups()
        if number is not None:
            if int(number) == 0:
                raise Thrown(
                    "ValueError",
                    "Argument number specifier must be greater than zero and less than 2147483647",
                )
            at = int(number) - 1
        else:
            at = index
            index += 1
        if len(width) > 7 or (precision is not None and len(precision) > 3):
            php.refuse("a format this wide")
        position = match.end()
        if kind == b"'":
            php.refuse("a format without its padding character")
        if at >= len(values):
            missing = max(missing, at)
            continue
        if kind is None:
            raise Thrown("ValueError", "Missing format specifier at end of string")
        if kind in b"gGhH*%":
            php.refuse(f"the format %{kind.decode('latin-1')}")
        if kind not in b"bcdeEfFosuxX":
            raise Thrown("ValueError", f'Unknown format specifier "{kind.decode("latin-1")}"')
        piece = _directive(php, kind.decode(), flags, int(width or 0), precision, values[at])
        size += len(piece)
        check_length(php, size)
        result.append(piece)
    if missing >= 0:
        if function.startswith("v"):
            raise Thrown(
                "ValueError", f"The arguments array must contain {missing + 1} items, {len(values)} given"
            )
        needed, given = missing + first, len(values) + first - 1
        raise Thrown("ArgumentCountError", f"{needed} arguments are required, {given} given")
    text = b"".join(result)
    check_length(php, len(text))
    return text


def _directive(
    php: Interpreter, kind: str, flags: bytes, width: int, precision: bytes | None, value: Value
) -> bytes:
    left = plus = False
    pad = b" "
    index = 0
    while index < len(flags):
        flag = flags[index : index + 1]
        if flag == b"'":
            index += 1
            pad = flags[index : index + 1]
        elif flag == b"-":
            left = True
        elif flag == b"+":
            plus = True
        else:
            pad = flag
        index += 1
    places = int(precision) if precision is not None else None
    if kind == "c":
        return bytes([to_int(value) % 256])
    if kind == "s":
        text = php.text(value)
        return _padded(text if places is None else text[:places], width, pad, left, numeric=False)
    if left and kind in "du" and pad == b"0":
        pad = b" "  # zeros to the right would make it another number
    if kind == "d":
        number = to_int(value)
        text = str(number).encode() if number < 0 or not plus else b"+%d" % number
        return _padded(text, width, pad, left, numeric=True)
    if kind == "u":
        return _padded(str(to_int(value) % (1 << 64)).encode(), width, pad, left, numeric=True)
    if kind in _INTEGERS:
        text = format(to_int(value) % (1 << 64), _INTEGERS[kind]).encode()
        return _padded(text, width, pad, left, numeric=False)
    amount = to_float(value)
    if not math.isfinite(amount):
        php.refuse("a format of INF or NAN")
    places = 6 if places is None else places
    if places > 53 or (kind in "fF" and abs(amount) > 1e15):
        php.refuse("a format with this many digits")
    if kind in "fF":
        text = f"{abs(amount):.{places}f}".encode()
    else:
        mantissa, _, exponent = f"{abs(amount):.{places}e}".partition("e")
        text = f"{mantissa}{kind}{int(exponent):+d}".encode()
    sign = b"-" if amount < 0 else b"+" if plus else b""
    return _padded(sign + text, width, pad, left, numeric=True)


def _padded(text: bytes, width: int, pad: bytes, left: bool, *, numeric: bool) -> bytes:
    missing = width - len(text)
    if missing <= 0:
        return text
    if left:
        return text + pad * missing
    if numeric and pad == b"0" and text[:1] in (b"-", b"+"):
        return text[:1] + b"0" * missing + text[1:]
    return pad * missing + text


def _sprintf(php: Interpreter, format: bytes, *values: Value) -> bytes:
    return _format(php, "sprintf", format, values, 2)


def _vsprintf(php: Interpreter, format: bytes, values: PhpArray) -> bytes:
    return _format(php, "vsprintf", format, list(values.values()), 1)


FUNCTIONS = table(
    {
        "sprintf(string $format, mixed ...$values)": _sprintf,
        "vsprintf(string $format, array $values)": _vsprintf,
    }
)
