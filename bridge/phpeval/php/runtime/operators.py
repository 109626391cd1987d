"""PHP 8's rules for truth, conversion, comparison and arithmetic.

Where PHP throws, these raise `Thrown` with the class of the exception; where it warns, `Thrown` with
ErrorException, because Laravel turns every warning into one. Objects are compared by identity only:
`==` between two objects is refused. Every rule is compared with a real PHP in its test.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TypeAlias

from bridge.errors import Refused, WouldFail
from bridge.phpeval.php.runtime.values import (
    INT_MAX,
    INT_MIN,
    PRECISION,
    CustomSerialized,
    EnumCase,
    PhpArray,
    PhpObject,
    Value,
    float_text,
)

Number: TypeAlias = int | float

_NUMERIC = re.compile(rb"[ \t\n\r\v\f]*([+-]?(?:\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?)")
_INTEGER = re.compile(rb"[+-]?\d+\Z")


class RaisedByPhp(PhpObject):
    """An exception that PHP itself or Laravel raises: its class is theirs, its text is our own."""

    __slots__ = ()


class Thrown(WouldFail):
    """A PHP exception on its way to a catch. `exception` is the object, its message property included.

    file, line  where the function stood that it left first; empty where it has left none
    undefined   whether it warns of a variable or property that was read to be changed, and is null since
    """

    file, line = "", 0
    undefined = False

    def __init__(self, class_name: str, message: str = "", exception: PhpObject | None = None) -> None:
        super().__init__(f"{class_name}: {message}" if message else class_name)
        if exception is None:
            exception = RaisedByPhp(
                class_name, {b"\0*\0message": message.encode(), b"\0*\0code": 0, b"\0*\0previous": None}
            )
        self.exception = exception

    def leaves(self, file: str, line: int) -> None:
        """It leaves a function at that place."""
        if not self.file:
            self.file, self.line = file, line

    @property
    def by_app(self) -> bool:
        """Whether the app's own code threw it; else PHP's rules or Laravel's, as they are written here."""
        return not isinstance(self.exception, RaisedByPhp)


def warn(message: str) -> Thrown:
    """What a warning becomes under Laravel."""
    return Thrown("ErrorException", message)


def type_name(value: Value) -> str:
    """As `get_debug_type` names it in messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
        case bytes():
            return "string"
        case PhpArray():
            return "array"
        case _:
            return value.class_name.partition("\0")[0]  # an anonymous class has more


# ---- conversion ---------------------------------------------------------------------------


def to_bool(value: Value) -> bool:
    """`(bool) $value`."""
    if isinstance(value, bytes):
        return value not in (b"", b"0")
    if isinstance(value, PhpObject | EnumCase | CustomSerialized):
        return True
    return bool(value)


def number_prefix(text: bytes) -> tuple[int | float, bool, bool]:
    """The number a string begins with (else 0), whether there is one, and whether it is all of the string."""
    match = _NUMERIC.match(text)
    if match is None:
        return 0, False, False
    number: int | float
    if match[2] is None and match[3] is None and b"." not in match[1]:
        # Python refuses to convert very long digits, and they are floats anyway
        number = int(match[1]) if len(match[1]) <= 20 else float(match[1])
        if not INT_MIN <= number <= INT_MAX:
            number = float(match[1])
    else:
        number = float(match[1])
    return number, True, not text[match.end() :].strip(b" \t\n\r\v\f")


def is_numeric(text: bytes) -> bool:
    """`is_numeric` of a string."""
    return number_prefix(text)[2]


def float_to_int(number: float) -> int:
    """`(int) $float`: truncated, modulo 2^64, 0 for INF and NAN."""
    if not math.isfinite(number):
        return 0
    return wrap(int(number))


def wrap(number: int) -> int:
    """Into 64 bits, two's complement."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def to_int(value: Value) -> int:
    """`(int) $value`."""
    match value:
        case None:
            return 0
        case bool() | int():
            return int(value)
        case float():
            return float_to_int(value)
        case bytes():
            number = number_prefix(value)[0]
            return number if isinstance(number, int) else _string_float_to_int(number)
        case PhpArray():
            return 1 if value else 0
    raise warn(f"Object of class {value.class_name} could not be converted to int")


def _string_float_to_int(number: float) -> int:
    if not math.isfinite(number):
        return 0
    if number >= 2**63:
        return INT_MAX
    if number < -(2**63):
        return INT_MIN
    return int(number)


def to_float(value: Value) -> float:
    """`(float) $value`."""
    match value:
        case None:
            return 0.0
        case bool() | int() | float():
            return float(value)
        case bytes():
            match = _NUMERIC.match(value)
            return float(match[1]) if match is not None else 0.0
        case PhpArray():
            return 1.0 if value else 0.0
    raise warn(f"Object of class {value.class_name} could not be converted to float")


def to_string(value: Value) -> bytes:
    """`(string) $value` of everything but objects, which only the evaluator can ask (`__toString`)."""
    match value:
        case bytes():
            return value
        case None | False:
            return b""
        case True:
            return b"1"
        case int():
            return str(value).encode()
        case float():
            if math.isfinite(value):
                return float_text(value, precision=PRECISION).encode()
            return b"NAN" if math.isnan(value) else b"INF" if value > 0 else b"-INF"
        case PhpArray():
            raise warn("Array to string conversion")
    raise Thrown("Error", f"Object of class {value.class_name} could not be converted to string")


class _Unsupported(Exception):
    """An operand that arithmetic does not take."""


def _number_of(value: Value) -> int | float:
    match value:
        case None:
            return 0
        case bool():
            return int(value)
        case int() | float():
            return value
        case bytes():
            number, found, whole = number_prefix(value)
            if not found:
                raise _Unsupported
            if not whole:
                raise warn("A non-numeric value encountered")
            return number
    raise _Unsupported


def _integer_of(value: Value) -> int:
    number = _number_of(value)
    if isinstance(number, int):
        return number
    return _string_float_to_int(number) if isinstance(value, bytes) else float_to_int(number)


def _operands(
    left: Value, right: Value, operator: str, convert: Callable[[Value], Number]
) -> tuple[Number, Number]:
    """Both operands, the left one first; a TypeError that names both where one is not taken."""
    try:
        return convert(left), convert(right)
    except _Unsupported:
        kinds = f"{type_name(left)} {operator} {type_name(right)}"
        raise Thrown("TypeError", f"Unsupported operand types: {kinds}") from None


# ---- comparison -----------------------------------------------------------------------------


def identical(left: Value, right: Value) -> bool:
    """`===`."""
    if isinstance(left, PhpArray) and isinstance(right, PhpArray):
        return len(left) == len(right) and all(
            a == b and type(a) is type(b) and identical(left[a], right[b])
            for a, b in zip(left, right, strict=True)
        )
    if isinstance(left, PhpObject) or isinstance(right, PhpObject):
        return left is right
    return type(left) is type(right) and left == right


CompareObjects: TypeAlias = "Callable[[Value, Value, bool], int]"


def equal(left: Value, right: Value, objects: CompareObjects | None = None) -> bool:
    """`==`. `objects` compares what is an object on one side at least; else that is refused."""
    return _compare(left, right, equality=True, objects=objects) == 0


def compare(left: Value, right: Value, objects: CompareObjects | None = None) -> int:
    """`<=>`: -1, 0, 1, or 2 where nothing is smaller (NAN, arrays with different keys)."""
    return _compare(left, right, equality=False, objects=objects)


def _order(left: object, right: object) -> int:
    if left == right:
        return 0
    if left < right:  # type: ignore[operator]
        return -1
    return 1 if left > right else 2  # type: ignore[operator]


def _order_numbers(left: int | float, right: int | float) -> int:
    """Of an int and a float as floats, as PHP does; Python compares them exactly."""
    if isinstance(left, float) or isinstance(right, float):
        return _order(float(left), float(right))
    return _order(left, right)


def _compare(left: Value, right: Value, *, equality: bool, objects: CompareObjects | None) -> int:
    if isinstance(left, bool | None) or isinstance(right, bool | None):
        if left is None and isinstance(right, bytes):
            return _order(b"", right)
        if right is None and isinstance(left, bytes):
            return _order(left, b"")
        return _order(to_bool(left), to_bool(right))
    if isinstance(left, int | float) and isinstance(right, int | float):
        return _order_numbers(left, right)
    if isinstance(left, EnumCase) or isinstance(right, EnumCase):
        return 0 if left == right else 2 if not equality else 1
    if isinstance(left, PhpObject | CustomSerialized) or isinstance(right, PhpObject | CustomSerialized):
        if left is right:
            return 0
        if objects is None:
            raise Refused("a comparison with an object by == or an order")
        return objects(left, right, equality)
    if isinstance(left, PhpArray) and isinstance(right, PhpArray):
        return _compare_arrays(left, right, equality=equality, objects=objects)
    if isinstance(left, PhpArray):
        return 1
    if isinstance(right, PhpArray):
        return -1
    if isinstance(left, bytes) and isinstance(right, bytes):
        return _compare_texts(left, right)
    if isinstance(left, bytes):
        return _compare_text_number(left, right)  # type: ignore[arg-type]
    order = _compare_text_number(right, left)  # type: ignore[arg-type]
    return 1 if left != left else -order if order != 2 else 2


def _compare_texts(left: bytes, right: bytes) -> int:
    """As numbers if both are numeric, unless that would hide a difference beyond 64 bits.

    Source: Zend/zend_operators.c zendi_smart_strcmp.
    """
    x, _, whole_left = number_prefix(left)
    y, _, whole_right = number_prefix(right)
    if not (whole_left and whole_right):
        return _order(left, right)
    over_left, over_right = _overflow(left, x), _overflow(right, y)
    if over_left and over_left == over_right:
        return _order(left, right)
    if isinstance(x, int) and over_right:
        return -over_right
    if isinstance(y, int) and over_left:
        return over_left
    if isinstance(x, float) and isinstance(y, float) and x == y and not math.isfinite(x):
        return _order(left, right)
    return _order_numbers(x, y)


def _overflow(text: bytes, number: int | float) -> int:
    """1 or -1 for an integer's digits that do not fit into 64 bits."""
    if isinstance(number, int) or not _INTEGER.match(text.strip(b" \t\n\r\v\f")):
        return 0
    return 1 if number > 0 else -1


def _compare_text_number(text: bytes, number: int | float) -> int:
    if number != number:
        return 1
    parsed, _, whole = number_prefix(text)
    if whole:
        return _order_numbers(parsed, number)
    return _order(text, to_string(number))


def _compare_arrays(
    left: PhpArray, right: PhpArray, *, equality: bool, objects: CompareObjects | None
) -> int:
    if len(left) != len(right):
        return -1 if len(left) < len(right) else 1
    for key, value in left.items():
        if key not in right:
            return 2
        order = _compare(value, right[key], equality=equality, objects=objects)
        if order != 0:
            return order
    return 0


# ---- arithmetic -------------------------------------------------------------------------------


def _fitting(result: Number, in_floats: Callable[[], float]) -> Number:
    """Integers that do not fit into 64 bits are computed again as floats."""
    if isinstance(result, int) and not INT_MIN <= result <= INT_MAX:
        return in_floats()
    return result


def add(left: Value, right: Value) -> Value:
    """`+`; of two arrays their union."""
    if isinstance(left, PhpArray) and isinstance(right, PhpArray):
        union = left.copy()
        for key, value in right.items():
            if key not in union:
                union[key] = value
        return union
    a, b = _operands(left, right, "+", _number_of)
    return _fitting(a + b, lambda: float(a) + float(b))


def subtract(left: Value, right: Value) -> Value:
    a, b = _operands(left, right, "-", _number_of)
    return _fitting(a - b, lambda: float(a) - float(b))


def multiply(left: Value, right: Value) -> Value:
    a, b = _operands(left, right, "*", _number_of)
    return _fitting(a * b, lambda: float(a) * float(b))


def divide(left: Value, right: Value) -> Value:
    """`/`: an int only if both are and it divides evenly."""
    a, b = _operands(left, right, "/", _number_of)
    if b == 0:
        raise Thrown("DivisionByZeroError", "Division by zero")
    if isinstance(a, int) and isinstance(b, int) and a % b == 0 and a // b <= INT_MAX:
        return a // b
    return float(a) / float(b)


def modulo(left: Value, right: Value) -> Value:
    """`%`: of integers, with the sign of the left one."""
    a, b = _operands(left, right, "%", _integer_of)
    if b == 0:
        raise Thrown("DivisionByZeroError", "Modulo by zero")
    rest = abs(a) % abs(b)
    return rest if a >= 0 else -rest


def power(left: Value, right: Value) -> Value:
    """`**`. Source: Zend/zend_operators.c pow_function_base: integers by squaring, floats from the first
    product that does not fit."""
    base, exponent = _operands(left, right, "**", _number_of)
    if not (isinstance(base, int) and isinstance(exponent, int) and exponent >= 0):
        return _float_power(base, exponent)
    if exponent == 0:
        return 1
    if base == 0:
        return 0
    result = 1
    while exponent:
        if exponent % 2:
            exponent -= 1
            if not INT_MIN <= result * base <= INT_MAX:
                return float(result) * float(base) * _float_power(base, exponent)
            result *= base
        else:
            exponent //= 2
            if not INT_MIN <= base * base <= INT_MAX:
                return float(result) * _float_power(float(base) * float(base), exponent)
            base *= base
    return result


def _float_power(base: float, exponent: float) -> float:
    base, exponent = float(base), float(exponent)
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf
    except ValueError:  # a root of a negative number, or zero to a negative power
        if base:
            return math.nan
        return math.copysign(math.inf, base) if exponent % 2 == 1 else math.inf


def _bitwise(operator: str, act: Callable[[int, int], int]) -> Callable[[Value, Value], Value]:
    def operate(left: Value, right: Value) -> Value:
        if isinstance(left, bytes) and isinstance(right, bytes):
            raise Refused(f"the operator {operator} between two strings")
        a, b = _operands(left, right, operator, _integer_of)
        return wrap(act(int(a), int(b)))

    return operate


def _shift(operator: str) -> Callable[[Value, Value], Value]:
    def operate(left: Value, right: Value) -> Value:
        number, by = map(int, _operands(left, right, operator, _integer_of))
        if by < 0:
            raise Thrown("ArithmeticError", "Bit shift by negative number")
        if operator == "<<":
            return wrap(number << by) if by < 64 else 0
        return number >> min(by, 63)

    return operate


def comparisons(objects: CompareObjects | None) -> dict[str, Callable[[Value, Value], Value]]:
    """The operators that compare; see `equal` for `objects`."""
    return {
        "==": lambda a, b: equal(a, b, objects),
        "!=": lambda a, b: not equal(a, b, objects),
        "===": identical,
        "!==": lambda a, b: not identical(a, b),
        "<": lambda a, b: compare(a, b, objects) == -1,
        "<=": lambda a, b: compare(a, b, objects) in (-1, 0),
        ">": lambda a, b: compare(b, a, objects) == -1,
        ">=": lambda a, b: compare(b, a, objects) in (-1, 0),
        "<=>": lambda a, b: 1 if compare(a, b, objects) == 2 else compare(a, b, objects),
    }


# Operators on two values; `.`, `&&`, `||`, `??` belong to the evaluator (objects, short circuit).
BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
    "**": power,
    **comparisons(None),
    "xor": lambda a, b: to_bool(a) is not to_bool(b),
    "&": _bitwise("&", lambda a, b: a & b),
    "|": _bitwise("|", lambda a, b: a | b),
    "^": _bitwise("^", lambda a, b: a ^ b),
    "<<": _shift("<<"),
    ">>": _shift(">>"),
}
