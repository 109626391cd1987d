"""PHP 8's rules for truth, conversion, comparison and arithmetic.

Where PHP throws, these raise `Thrown` with the class of the exception; where it warns, `Thrown` with
ErrorException, because Laravel turns every warning into one. Objects are compared by identity only:
`==` between two objects is refused. Every rule is compared with a real PHP in tests/php/test_operators.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from bridge.errors import Refused, WouldFail
from bridge.php.values import (
    INT_MAX,
    INT_MIN,
    CustomSerialized,
    EnumCase,
    PhpArray,
    PhpObject,
    Value,
    float_text,
)

_NUMERIC = re.compile(rb"[ \t\n\r\v\f]*([+-]?(?:\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?)")
_INTEGER = re.compile(rb"[+-]?\d+\Z")


class Thrown(WouldFail):
    """A PHP exception on its way to a catch. `exception` is the object, its message property included."""

    def __init__(self, class_name: str, message: str = "", exception: PhpObject | None = None) -> None:
        super().__init__(f"{class_name}: {message}" if message else class_name)
        if exception is None:
            exception = PhpObject(
                class_name, {b"\0*\0message": message.encode(), b"\0*\0code": 0, b"\0*\0previous": None}
            )
        self.exception = exception


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
            return value.class_name


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
            return float(number_prefix(value)[0])
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
                return float_text(value).encode()
            return b"NAN" if math.isnan(value) else b"INF" if value > 0 else b"-INF"
        case PhpArray():
            raise warn("Array to string conversion")
    raise Thrown("Error", f"Object of class {value.class_name} could not be converted to string")


def to_number(value: Value, operator: str) -> int | float:
    """An operand of arithmetic."""
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
                raise Thrown("TypeError", f"Unsupported operand types: string {operator} number")
            if not whole:
                raise warn("A non-numeric value encountered")
            return number
    raise Thrown("TypeError", f"Unsupported operand types: {type_name(value)} {operator}")


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


def equal(left: Value, right: Value) -> bool:
    """`==`."""
    return _compare(left, right, equality=True) == 0


def compare(left: Value, right: Value) -> int:
    """`<=>`: -1, 0, 1, or 2 where nothing is smaller (NAN, arrays with different keys)."""
    return _compare(left, right, equality=False)


def _order(left: object, right: object) -> int:
    if left == right:
        return 0
    if left < right:  # type: ignore[operator]
        return -1
    return 1 if left > right else 2  # type: ignore[operator]


def _compare(left: Value, right: Value, *, equality: bool) -> int:
    a, b = type(left), type(right)
    if a is b and a in (int, float):
        return _order(left, right)
    if isinstance(left, bool | None) or isinstance(right, bool | None):
        if left is None and isinstance(right, bytes):
            return _order(b"", right)
        if right is None and isinstance(left, bytes):
            return _order(left, b"")
        return _order(to_bool(left), to_bool(right))
    if isinstance(left, EnumCase) or isinstance(right, EnumCase):
        return 0 if left == right else 2 if not equality else 1
    if isinstance(left, PhpObject | CustomSerialized) or isinstance(right, PhpObject | CustomSerialized):
        if left is right:
            return 0
        raise Refused("a comparison with an object by == or an order")
    if isinstance(left, PhpArray) and isinstance(right, PhpArray):
        return _compare_arrays(left, right, equality=equality)
    if isinstance(left, PhpArray):
        return 1
    if isinstance(right, PhpArray):
        return -1
    if isinstance(left, bytes) and isinstance(right, bytes):
        x, _, whole_left = number_prefix(left)
        y, _, whole_right = number_prefix(right)
        if whole_left and whole_right:
            return _order(x, y)
        return _order(left, right)
    if isinstance(left, bytes):
        return _compare_text_number(left, right)  # type: ignore[arg-type]
    if isinstance(right, bytes):
        return -flip if (flip := _compare_text_number(right, left)) != 2 else 2
    return _order(left, right)


def _compare_text_number(text: bytes, number: int | float) -> int:
    parsed, _, whole = number_prefix(text)
    if whole:
        return _order(parsed, number)
    return _order(text, to_string(number))


def _compare_arrays(left: PhpArray, right: PhpArray, *, equality: bool) -> int:
    if len(left) != len(right):
        return -1 if len(left) < len(right) else 1
    for key, value in left.items():
        if key not in right:
            return 2
        order = _compare(value, right[key], equality=equality)
        if order != 0:
            return order
    return 0


# ---- arithmetic -------------------------------------------------------------------------------


def _number(result: int | float) -> int | float:
    if isinstance(result, int) and not INT_MIN <= result <= INT_MAX:
        return float(result)
    return result


def add(left: Value, right: Value) -> Value:
    """`+`; of two arrays their union."""
    if isinstance(left, PhpArray) and isinstance(right, PhpArray):
        union = left.copy()
        for key, value in right.items():
            union.setdefault(key, value)
        return union
    return _number(to_number(left, "+") + to_number(right, "+"))


def subtract(left: Value, right: Value) -> Value:
    return _number(to_number(left, "-") - to_number(right, "-"))


def multiply(left: Value, right: Value) -> Value:
    return _number(to_number(left, "*") * to_number(right, "*"))


def divide(left: Value, right: Value) -> Value:
    """`/`: an int only if both are and it divides evenly."""
    a, b = to_number(left, "/"), to_number(right, "/")
    if b == 0:
        raise Thrown("DivisionByZeroError", "Division by zero")
    if isinstance(a, int) and isinstance(b, int):
        quotient, rest = divmod(a, b)
        return _number(quotient) if rest == 0 else a / b
    return a / b


def modulo(left: Value, right: Value) -> Value:
    """`%`: of integers, with the sign of the left one."""
    a, b = _integer_operand(left, "%"), _integer_operand(right, "%")
    if b == 0:
        raise Thrown("DivisionByZeroError", "Modulo by zero")
    return (
        int(math.fmod(a, b))
        if abs(a) < 2**53 and abs(b) < 2**53
        else (abs(a) % abs(b)) * (1 if a >= 0 else -1)
    )


def _integer_operand(value: Value, operator: str) -> int:
    number = to_number(value, operator)
    return number if isinstance(number, int) else float_to_int(number)


def power(left: Value, right: Value) -> Value:
    """`**`."""
    a, b = to_number(left, "**"), to_number(right, "**")
    if isinstance(a, int) and isinstance(b, int) and b >= 0:
        if b > 64 and abs(a) > 1:
            return _float_power(a, b)
        return _number(a**b)
    return _float_power(a, b)


def _float_power(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf
    except ValueError:
        return math.nan if a else math.inf


def _bitwise(operator: str, act: Callable[[int, int], int]) -> Callable[[Value, Value], Value]:
    def operate(left: Value, right: Value) -> Value:
        if isinstance(left, bytes) and isinstance(right, bytes):
            raise Refused(f"the operator {operator} between two strings")
        return wrap(act(_integer_operand(left, operator), _integer_operand(right, operator)))

    return operate


def _shift(operator: str) -> Callable[[Value, Value], Value]:
    def operate(left: Value, right: Value) -> Value:
        number, by = _integer_operand(left, operator), _integer_operand(right, operator)
        if by < 0:
            raise Thrown("ArithmeticError", "Bit shift by negative number")
        if operator == "<<":
            return wrap(number << by) if by < 64 else 0
        return number >> min(by, 63)

    return operate


# Operators on two values; `.`, `&&`, `||`, `??` belong to the evaluator (objects, short circuit).
BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
    "**": power,
    "==": equal,
    "!=": lambda a, b: not equal(a, b),
    "===": identical,
    "!==": lambda a, b: not identical(a, b),
    "<": lambda a, b: compare(a, b) == -1,
    "<=": lambda a, b: compare(a, b) in (-1, 0),
    ">": lambda a, b: compare(b, a) == -1,
    ">=": lambda a, b: compare(b, a) in (-1, 0),
    "<=>": lambda a, b: 1 if compare(a, b) == 2 else compare(a, b),
    "xor": lambda a, b: to_bool(a) is not to_bool(b),
    "&": _bitwise("&", lambda a, b: a & b),
    "|": _bitwise("|", lambda a, b: a | b),
    "^": _bitwise("^", lambda a, b: a ^ b),
    "<<": _shift("<<"),
    ">>": _shift(">>"),
}
