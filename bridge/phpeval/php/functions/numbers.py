# ruff: noqa: E501 (a signature is one line, as in the manual)
"""PHP's arithmetic functions. Those whose last bit depends on the C library (sin, exp, log) are left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal

from bridge.phpeval.php.functions.signature import table, value_error
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import Thrown, compare, power, type_name
from bridge.phpeval.php.runtime.values import INT_MAX, INT_MIN, PhpArray, PhpObject, Value

Number = int | float

# ---- rounding -------------------------------------------------------------------------------


def _power_of_ten(places: int) -> float:
    return 10.0**places if 0 <= places <= 22 else math.pow(10.0, places)


def _half_up(number: float) -> float:
    if number >= 0:
        return float(math.floor(number + 0.5))
    return math.copysign(float(math.ceil(number - 0.5)), number)


def _round_with_pre_rounding(value: float, places: int) -> float:
    """Source: php-src 8.2 ext/standard/math.c, _php_math_round, half up."""
    precision = 14 - math.floor(math.log10(abs(value)))
    factor = _power_of_ten(abs(places))
    if precision > places and precision - 15 < places:
        used = max(precision, -60)
        scaled = value * _power_of_ten(used) if used >= 0 else value / _power_of_ten(-used)
        scaled = _half_up(scaled)
        used = max(places - used, -60)
        scaled = scaled / _power_of_ten(abs(used))
    else:
        scaled = value * factor if places >= 0 else value / factor
        if abs(scaled) >= 1e15:
            return value
    scaled = _half_up(scaled)
    return scaled / factor if places > 0 else scaled * factor


def round_half_up(php: Interpreter, value: float, places: int) -> float:
    """`round($value, $places)`. Refused where the releases' algorithms differ (pre-rounding ended in 8.4)."""
    if not math.isfinite(value) or value == 0:
        return value
    if abs(places) > 22:
        php.refuse("rounding to this many places")
    old = _round_with_pre_rounding(value, places)
    shown = Decimal(repr(value))
    if shown.adjusted() + places > 15:
        return old if old == value else php.refuse("rounding this number")
    new = float(shown.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP))
    if old != new:
        php.refuse("rounding this number, in which PHP's releases differ,")
    return old


def _round(php: Interpreter, num: Number, precision: int = 0, mode: int = 1) -> float:
    if mode != 1:
        php.refuse("this mode of round()")
    if isinstance(num, int) and precision >= 0:
        return float(num)
    return round_half_up(php, float(num), precision)


def _number_format(
    php: Interpreter,
    num: float,
    decimals: int = 0,
    decimal_separator: bytes | None = b".",
    thousands_separator: bytes | None = b",",
) -> bytes:
    if decimals < 0:
        php.refuse("number_format() with negative decimals")
    if decimals > 22 or not math.isfinite(num):
        php.refuse("number_format() of this")
    if abs(num) >= 2**53 and not php.before(8, 3):  # which does not make a float of an integer
        php.refuse("number_format() of a number this large")
    point = b"." if decimal_separator is None else decimal_separator
    comma = b"," if thousands_separator is None else thousands_separator
    rounded = round_half_up(php, num, decimals)
    digits = f"{abs(rounded):.{decimals}f}".encode()
    whole, _, fraction = digits.partition(b".")
    groups = [whole[max(end - 3, 0) : end] for end in range(len(whole), 0, -3)][::-1]
    sign = b"-" if rounded < 0 and digits.strip(b"0.") else b""
    return sign + comma.join(groups) + (point + fraction if decimals else b"")


# ---- arithmetic -------------------------------------------------------------------------------


def _abs(num: Number) -> Number:
    return float(-num) if num == INT_MIN and isinstance(num, int) else abs(num)


def _floor(num: Number) -> float:
    if isinstance(num, int) or not math.isfinite(num):
        return float(num)
    return math.copysign(float(math.floor(num)), num) if num else num


def _ceil(num: Number) -> float:
    if isinstance(num, int) or not math.isfinite(num):
        return float(num)
    return math.copysign(float(math.ceil(num)), num)


def _intdiv(num1: int, num2: int) -> int:
    if num2 == 0:
        raise Thrown("DivisionByZeroError", "Division by zero")
    if num1 == INT_MIN and num2 == -1:
        raise Thrown("ArithmeticError", "Division of PHP_INT_MIN by -1 is not an integer")
    quotient = abs(num1) // abs(num2)
    return quotient if (num1 < 0) == (num2 < 0) else -quotient


def _fmod(num1: float, num2: float) -> float:
    if num2 == 0 or math.isinf(num1) or math.isnan(num1) or math.isnan(num2):
        return math.nan
    return math.fmod(num1, num2)


def _fdiv(num1: float, num2: float) -> float:
    if num2 == 0:
        if num1 == 0 or math.isnan(num1):
            return math.nan
        return math.copysign(math.inf, num1) * math.copysign(1.0, num2)
    return num1 / num2


def _sqrt(num: float) -> float:
    return math.sqrt(num) if num >= 0 else math.nan


def _extreme(function: str, sign: int) -> Callable[..., Value]:
    def pick(php: Interpreter, value: Value, *values: Value) -> Value:
        candidates: list[Value]
        if not values:
            if not isinstance(value, PhpArray):
                kind = type_name(value)
                raise Thrown(
                    "TypeError", f"{function}(): Argument #1 ($value) must be of type array, {kind} given"
                )
            if not value:
                value_error(function, 1, "value", "must contain at least one element")
            candidates = list(value.values())
        else:
            candidates = [value, *values]
        best = candidates[0]
        for candidate in candidates[1:]:
            if isinstance(candidate, PhpObject) or isinstance(best, PhpObject):
                php.refuse(f"{function}() of objects")
            forth, back = compare(candidate, best), compare(best, candidate)
            if forth == 2 or back == 2 or forth != -back:
                php.refuse(f"{function}() of values without an order")
            if forth == sign:
                best = candidate
        return best

    return pick


# ---- bases --------------------------------------------------------------------------------------


def _in_base(number: int, base: int) -> bytes:
    digits = ""
    while number:
        number, rest = divmod(number, base)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return (digits or "0").encode()


def _to_base(base: int) -> Callable[[int], bytes]:
    return lambda num: _in_base(num % (1 << 64), base)


def _from_base(base: int) -> Callable[..., Number]:
    prefix = {2: b"0b", 8: b"0o", 16: b"0x"}[base]

    def read(php: Interpreter, string: bytes) -> Number:
        digits = string.lower().removeprefix(prefix)
        if not digits:
            return 0
        if not digits.isalnum():
            php.refuse("digits of another base")
        try:
            number = int(digits, base)
        except ValueError:
            php.refuse("digits of another base")
        if number > INT_MAX:
            php.refuse("a number of more than 64 bits")
        return number

    return read


def _base_convert(php: Interpreter, num: bytes, from_base: int, to_base: int) -> bytes:
    if not 2 <= from_base <= 36:
        value_error("base_convert", 2, "from_base", "must be between 2 and 36 (inclusive)")
    if not 2 <= to_base <= 36:
        value_error("base_convert", 3, "to_base", "must be between 2 and 36 (inclusive)")
    try:
        number = int(num, from_base) if num.isalnum() else -1
    except ValueError:
        number = -1
    if not 0 <= number <= INT_MAX:
        php.refuse("base_convert() of this number")
    return _in_base(number, to_base)


def _checkdate(month: int, day: int, year: int) -> bool:
    if not (1 <= month <= 12 and 1 <= day <= 31 and 1 <= year <= 32767):
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return day <= (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


FUNCTIONS = table({
    "abs(int|float $num)": _abs,
    "floor(int|float $num)": _floor,
    "ceil(int|float $num)": _ceil,
    "round(int|float $num, int $precision = 0, int $mode = 1)": _round,
    "number_format(float $num, int $decimals = 0, ?string $decimal_separator = '.', ?string $thousands_separator = ',')": _number_format,
    "intdiv(int $num1, int $num2)": _intdiv,
    "fmod(float $num1, float $num2)": _fmod,
    "fdiv(float $num1, float $num2)": _fdiv,
    "sqrt(float $num)": _sqrt,
    "pow(mixed $num, mixed $exponent)": power,
    "pi()": lambda: math.pi,
    "is_nan(float $num)": math.isnan,
    "is_finite(float $num)": math.isfinite,
    "is_infinite(float $num)": math.isinf,
    "deg2rad(float $num)": lambda num: num / 180.0 * math.pi,
    "rad2deg(float $num)": lambda num: num / math.pi * 180.0,
    "max(mixed $value, mixed ...$values)": _extreme("max", 1),
    "min(mixed $value, mixed ...$values)": _extreme("min", -1),
    "dechex(int $num)": _to_base(16),
    "decbin(int $num)": _to_base(2),
    "decoct(int $num)": _to_base(8),
    "hexdec(string $hex_string)": _from_base(16),
    "bindec(string $binary_string)": _from_base(2),
    "octdec(string $octal_string)": _from_base(8),
    "base_convert(string $num, int $from_base, int $to_base)": _base_convert,
    "checkdate(int $month, int $day, int $year)": _checkdate,
})  # fmt: skip
