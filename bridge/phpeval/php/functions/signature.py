"""A PHP function as a table's row: its signature, written as PHP's manual does, and what it does.

    FUNCTIONS = table({"strrev(string $string)": lambda string: string[::-1]})

The signature gives the count of arguments, the conversion of each (as PHP does it without strict_types) and
the exact errors for what cannot be converted. A default in it only says that the argument may be left out;
the value then is the Python function's own default. A Python function whose first parameter is called `php`
gets the Interpreter. Where the signature has a `&$parameter` the function returns its result and the new
values of these arguments by position.

null for a scalar parameter is deprecated in PHP and passes, as Laravel only logs deprecations.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from bridge.errors import Refused
from bridge.phpeval.php.runtime.frame import References
from bridge.phpeval.php.runtime.interpreter import (
    MAX_STRING,
    REQUIRED,
    UNKNOWN_DEFAULT,
    Function,
    Interpreter,
    PhpClosure,
    ReferenceFunction,
)
from bridge.phpeval.php.runtime.operators import Thrown, number_prefix, to_bool, to_string, type_name
from bridge.phpeval.php.runtime.type_declarations import is_callable
from bridge.phpeval.php.runtime.values import (
    INT_MAX,
    INT_MIN,
    CustomSerialized,
    EnumCase,
    PhpArray,
    PhpObject,
    Value,
)

MAX_ENTRIES = 1_000_000  # of one array that a function makes

Act = Callable[..., Any]

_TAKEN: dict[str, type] = {
    "null": type(None), "bool": bool, "int": int, "float": float, "string": bytes, "array": PhpArray,
    "callable": PhpClosure,
}  # fmt: skip
_ALL = (*_TAKEN.values(), PhpObject, EnumCase, CustomSerialized)
_SIGNATURE = re.compile(r"(\w+)\((.*)\)\Z")
_PARAMETER = re.compile(r"(\??[\w|]+) (&?)(\.{3})?\$(\w+)( = .+)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    types: tuple[str, ...]
    shown: str  # the type as messages show it
    optional: bool
    reference: bool
    variadic: bool
    taken: frozenset[type]  # of values that it takes as they are; others may be taken too


def require_php(php: Interpreter, major: int, minor: int, function: str) -> None:
    """Raises Refused where the app's PHP does not have the function yet: then the app may define it."""
    if php.before(major, minor):
        php.refuse(f"{function}(), which PHP has from {major}.{minor} on,")


def in_place(act: Act) -> Act:
    """For a row whose first argument is an array by reference: `act` changes it itself."""
    act.in_place = True  # type: ignore[attr-defined]
    return act


def table(rows: Mapping[str, Act]) -> dict[str, Function | ReferenceFunction]:
    """The functions of the rows, by lower-case name."""
    return dict(_entry(signature, act) for signature, act in rows.items())


def _entry(signature: str, act: Act) -> tuple[str, Function | ReferenceFunction]:
    match = _SIGNATURE.match(signature)
    if match is None:
        raise ValueError(signature)
    name = match[1]
    parameters = tuple(_parameter(text) for text in match[2].split(", ")) if match[2] else ()
    takes = [*inspect.signature(act).parameters.values()]
    wants_php = bool(takes) and takes[0].name == "php"
    required = sum(not parameter.optional for parameter in parameters)

    def run(php: Interpreter, arguments: Sequence[Value]) -> Any:
        converted = bind(php, name, parameters, required, arguments)
        return act(php, *converted) if wants_php else act(*converted)

    run.parameters = _named(parameters, takes[wants_php:])  # type: ignore[attr-defined]
    positions = frozenset(index for index, parameter in enumerate(parameters) if parameter.reference)
    if not positions:
        return name, run
    return name, ReferenceFunction(References(positions), run, getattr(act, "in_place", False))


def _named(parameters: Sequence[Parameter], takes: Sequence[inspect.Parameter]) -> list[tuple[str, object]]:
    """Name and default of each parameter; a variadic one has no name."""
    named: list[tuple[str, object]] = []
    for index, parameter in enumerate(parameters):
        if parameter.variadic:
            break
        default: object = UNKNOWN_DEFAULT if parameter.optional else REQUIRED
        if parameter.optional and index < len(takes) and takes[index].default is not inspect.Parameter.empty:
            default = takes[index].default
        named.append((parameter.name, default))
    return named


def _parameter(text: str) -> Parameter:
    match = _PARAMETER.match(text)
    if match is None:
        raise ValueError(text)
    shown, reference, dots, name, default = match.groups()
    types = (*shown[1:].split("|"), "null") if shown.startswith("?") else tuple(shown.split("|"))
    return Parameter(
        name=name,
        types=types,
        shown=shown,
        optional=default is not None or dots is not None,
        reference=bool(reference),
        variadic=dots is not None,
        taken=frozenset(_ALL if "mixed" in types else (_TAKEN[name] for name in types if name in _TAKEN)),
    )


def bind(
    php: Interpreter, name: str, parameters: Sequence[Parameter], required: int, arguments: Sequence[Value]
) -> list[Value]:
    """The arguments, counted and converted; the first `required` ones must be given."""
    given, count = len(arguments), len(parameters)
    if given < required or (given > count and not (count and parameters[-1].variadic)):
        exact = required == count and not (count and parameters[-1].variadic)
        bound = required if given < required else len(parameters)
        how = "exactly" if exact else "at least" if given < required else "at most"
        plural = "" if bound == 1 else "s"
        raise Thrown("ArgumentCountError", f"{name}() expects {how} {bound} argument{plural}, {given} given")
    size = 0
    converted = list(arguments)
    for index, argument in enumerate(arguments):
        kind = type(argument)
        if kind is bytes or kind is PhpArray:
            size += len(argument)  # type: ignore[arg-type]
        parameter = parameters[index if index < count else -1]
        if kind not in parameter.taken:
            converted[index] = _convert(php, name, index, parameter, argument)
    php.charge(1 + size // 256)
    return converted


def _convert(php: Interpreter, function: str, index: int, parameter: Parameter, value: Value) -> Value:
    types = parameter.types
    if "mixed" in types:
        return value
    match value:
        case None:
            if "null" in types:
                return None
            if not php.strict:
                for scalar, empty in _EMPTY.items():
                    if scalar in types:
                        return empty
        case bool() | int() | float() | bytes():
            if _SCALARS[type(value)] in types:
                return value
            if type(value) is int and "float" in types:
                return float(value)
            if type(value) is bytes and "callable" in types:
                return _callable_name(php, function, index, parameter, value)
            if not php.strict:
                converted = _of_scalar(php, types, value)
                if converted is not None:
                    return converted
        case PhpArray():
            if "array" in types:
                return value
            if "callable" in types and _may_be_callable(php, value):
                return value
        case PhpClosure():
            if "callable" in types or "object" in types:
                return value
        case PhpObject() | EnumCase() | CustomSerialized():
            if "object" in types:
                return value
            if "callable" in types and _may_be_callable(php, value):
                return value
            if (
                "string" in types
                and not php.strict
                and isinstance(value, PhpObject)
                and _may_have_text(php, value)
            ):
                return php.text(value)
    name = "" if parameter.variadic else f" (${parameter.name})"
    problem = f"must be of type {parameter.shown}, {type_name(value)} given"
    raise Thrown("TypeError", f"{function}(): Argument #{index + 1}{name} {problem}")


_SCALARS: dict[type, str] = {bool: "bool", int: "int", float: "float", bytes: "string"}
_EMPTY: dict[str, Value] = {"string": b"", "int": 0, "float": 0.0, "bool": False}


def _of_scalar(php: Interpreter, types: tuple[str, ...], value: bool | int | float | bytes) -> Value:
    """A scalar as one of the types takes it, in PHP's order; None if none does."""
    if "int" in types:
        if isinstance(value, bytes):
            number, _, whole = number_prefix(value)
            if whole:
                if isinstance(number, int):
                    return number
                if "float" in types:
                    return number
                value = number
        if isinstance(value, float):
            if math.isfinite(value) and INT_MIN <= value < INT_MAX:  # a fraction is cut off
                return int(value)
        elif isinstance(value, bool | int):
            return int(value)
    if "float" in types:
        if isinstance(value, bytes):
            number, _, whole = number_prefix(value)
            if whole:
                return float(number)
        else:
            return float(value)
    if "string" in types:
        return to_string(value)
    if "bool" in types:
        return to_bool(value)
    return None


def _callable_name(php: Interpreter, function: str, index: int, parameter: Parameter, value: bytes) -> bytes:
    name = value.decode("utf-8", "replace").lstrip("\\").lower()
    if "::" not in name and name not in php.environment.functions:
        php.refuse(f"the function {name}() as a callback")
    return value


def _may_be_callable(php: Interpreter, value: Value) -> bool:
    """Whether it can be called, or that is not known before it is."""
    try:
        return is_callable(php, value)
    except Refused:
        return True


def _may_have_text(php: Interpreter, value: PhpObject) -> bool:
    """Whether `__toString` is, or may be, there."""
    if value.class_name in ("stdClass", "Closure"):
        return False
    if php.environment.native(value.class_name) is not None or php.classes.find(value.class_name) is None:
        return True
    return php.classes.method(value.class_name, "__toString") is not None


# ---- for the functions themselves ---------------------------------------------------------


def value_error(function: str, position: int, parameter: str, problem: str) -> NoReturn:
    """Raises PHP's ValueError about an argument; `position` from 1."""
    raise Thrown("ValueError", f"{function}(): Argument #{position} (${parameter}) {problem}")


def check_length(php: Interpreter, length: int) -> None:
    """Raises Refused before too long a string is made; what is made costs steps by its length."""
    if length > MAX_STRING:
        php.refuse("a string this long")
    php.charge(length // 256)


def check_entries(php: Interpreter, count: int) -> None:
    """Raises Refused before too large an array is made; what is made costs steps by its size."""
    if count > MAX_ENTRIES:
        php.refuse("an array this large")
    php.charge(count // 16)
