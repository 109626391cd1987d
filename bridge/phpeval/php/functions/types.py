"""What a value is, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable

from bridge.phpeval.php.functions.signature import table, value_error
from bridge.phpeval.php.runtime.conversions import to_object
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import Thrown, is_numeric, to_bool, to_float, to_int, type_name
from bridge.phpeval.php.runtime.type_declarations import is_callable
from bridge.phpeval.php.runtime.values import CustomSerialized, EnumCase, PhpArray, PhpObject, Value

_OBJECTS = PhpObject | EnumCase | CustomSerialized
_OLD_NAMES = {"null": "NULL", "bool": "boolean", "int": "integer", "float": "double"}


def _is_int(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_object(value: Value) -> bool:
    return isinstance(value, _OBJECTS)


def _gettype(value: Value) -> bytes:
    if _is_object(value):
        return b"object"
    name = type_name(value)
    return _OLD_NAMES.get(name, name).encode()


def _intval(php: Interpreter, value: Value, base: int = 10) -> int:
    if base == 10 or not isinstance(value, bytes):
        return to_int(value)
    if base not in (2, 8, 16) or not value.isalnum():
        php.refuse("intval() with this base")
    try:
        return min(int(value, base), (1 << 63) - 1)
    except ValueError:
        php.refuse("intval() of these digits")


def _is_countable(php: Interpreter, value: Value) -> bool:
    return isinstance(value, PhpArray) or (_is_object(value) and php.is_a(value, "Countable"))


def _is_iterable(php: Interpreter, value: Value) -> bool:
    return isinstance(value, PhpArray) or (_is_object(value) and php.is_a(value, "Traversable"))


def _is_callable(php: Interpreter, value: Value, syntax_only: bool = False) -> bool:
    if syntax_only:
        php.refuse("is_callable() of the syntax only")
    return is_callable(php, value)


def _count(php: Interpreter, value: Value, mode: int = 0) -> Value:
    if mode not in (0, 1):
        raise Thrown(
            "ValueError", "count(): Argument #2 ($mode) must be either COUNT_NORMAL or COUNT_RECURSIVE"
        )
    if isinstance(value, PhpArray):
        return _count_all(value) if mode else len(value)
    if isinstance(value, PhpObject):
        known = php.environment.native(value.class_name) is not None or php.is_a(value, "Countable")
        if known:
            return php.call_method(value, "count")
    raise Thrown(
        "TypeError",
        f"count(): Argument #1 ($value) must be of type Countable|array, {type_name(value)} given",
    )


def _count_all(array: PhpArray) -> int:
    return len(array) + sum(_count_all(value) for value in array.values() if isinstance(value, PhpArray))


_SETTING: dict[bytes, Callable[[Interpreter, Value], Value]] = {
    **dict.fromkeys((b"bool", b"boolean"), lambda php, value: to_bool(value)),
    **dict.fromkeys((b"int", b"integer"), lambda php, value: to_int(value)),
    **dict.fromkeys((b"float", b"double"), lambda php, value: to_float(value)),
    b"string": lambda php, value: php.text(value),
    b"array": lambda php, value: php.to_array(value),
    b"object": to_object,
    b"null": lambda php, value: None,
}


def _settype(php: Interpreter, var: Value, type: bytes) -> tuple[Value, dict[int, Value]]:
    setting = _SETTING.get(type.lower())
    if setting is None:
        value_error("settype", 2, "type", "must be a valid type")
    return True, {0: setting(php, var)}


FUNCTIONS = table({
    "settype(mixed &$var, string $type)": _settype,
    "is_null(mixed $value)": lambda value: value is None,
    "is_bool(mixed $value)": lambda value: isinstance(value, bool),
    "is_int(mixed $value)": _is_int,
    "is_integer(mixed $value)": _is_int,
    "is_long(mixed $value)": _is_int,
    "is_float(mixed $value)": lambda value: isinstance(value, float),
    "is_double(mixed $value)": lambda value: isinstance(value, float),
    "is_string(mixed $value)": lambda value: isinstance(value, bytes),
    "is_array(mixed $value)": lambda value: isinstance(value, PhpArray),
    "is_object(mixed $value)": _is_object,
    "is_scalar(mixed $value)": lambda value: isinstance(value, bool | int | float | bytes),
    "is_numeric(mixed $value)": lambda value: (
        is_numeric(value) if isinstance(value, bytes) else _is_int(value) or isinstance(value, float)
    ),
    "is_countable(mixed $value)": _is_countable,
    "is_iterable(mixed $value)": _is_iterable,
    "is_resource(mixed $value)": lambda value: False,
    "is_callable(mixed $value, bool $syntax_only = false)": _is_callable,
    "gettype(mixed $value)": _gettype,
    "get_debug_type(mixed $value)": lambda value: type_name(value).encode(),
    "intval(mixed $value, int $base = 10)": _intval,
    "floatval(mixed $value)": to_float,
    "doubleval(mixed $value)": to_float,
    "boolval(mixed $value)": to_bool,
    "strval(mixed $value)": lambda php, value: php.text(value),
    "count(mixed $value, int $mode = 0)": _count,
    "sizeof(mixed $value, int $mode = 0)": _count,
})  # fmt: skip
