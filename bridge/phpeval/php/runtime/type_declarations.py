"""Declared types: which values they take, and what PHP converts on the way in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.frame import PhpClosure
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import (
    Thrown,
    is_numeric,
    number_prefix,
    to_bool,
    to_string,
    type_name,
)
from bridge.phpeval.php.runtime.values import CustomSerialized, EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.runtime.visibility import may_not_reach

# Types whose values are known by their Python type alone.
_PLAIN: dict[str, type] = {
    "null": type(None), "void": type(None), "int": int, "float": float, "string": bytes, "bool": bool,
    "array": PhpArray,
}  # fmt: skip


_FUNCTION_NAME = re.compile(r"[A-Za-z_\x80-\U0010ffff][\w\\\x80-\U0010ffff]*\Z")


def plainly_fits(value: Value, names: Iterable[str]) -> bool:
    """Whether the value's kind alone says that one of the types takes it; most do so."""
    return type(value) in map(_PLAIN.get, names)


def is_plain(declared: n.Type | None) -> bool:
    """Whether the kind of a value alone says if the type takes it."""
    return declared is None or all(name in _PLAIN or name == "mixed" for name in declared.names or ("?",))


def initial(value: Value, declared: n.Type | None) -> Value:
    """A default as a property or parameter of that type has it: an integer for a float becomes one."""
    names = () if declared is None else declared.names or ()
    if type(value) is int and "float" in names and not {"int", "mixed"} & {*names}:
        return float(value)
    return value


def coerce(
    php: Interpreter,
    value: Value,
    declared: n.Type | None,
    what: str,
    *,
    strict: bool,
    self_class: str | None = None,
) -> Value:
    """The value as a declared type takes it: checked, and converted where PHP converts.

    strict      whether the code that calls, returns or assigns stands in a file with strict_types
    self_class  what `self` in the type means, if not the class whose code runs
    """
    if declared is None:
        return value
    if declared.names is None:
        php.refuse(f"the type of this {what}")
    names = declared.names
    if plainly_fits(value, names) or any(fits(php, value, name, self_class) for name in names):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and "float" in names:
        return float(value)
    scalar = isinstance(value, bool | int | float | bytes)
    if scalar and not strict:
        converted = weak(value, names)  # type: ignore[arg-type]
        if converted is not None:
            return converted
    if "string" in names and isinstance(value, PhpObject) and not strict and _has_text(php, value):
        return php.text(value)
    raise Thrown("TypeError", f"{what} of type {type_name(value)} given, {'|'.join(names)} expected")


def _has_text(php: Interpreter, value: PhpObject) -> bool:
    """Whether the object has a `__toString`; Refused where its class is not known."""
    if isinstance(value, PhpClosure) or value.class_name == "stdClass":
        return False
    native = php.environment.native(value.class_name)
    if "__toString" in getattr(native, "methods", ()):
        return True
    if native is not None or not php.declared(value):
        php.refuse(f"{value.class_name} as a string")
    return php.classes.method(value.class_name, "__toString") is not None


def fits(php: Interpreter, value: Value, name: str, self_class: str | None = None) -> bool:
    """Whether the type of that name takes the value as it is."""
    match name:
        case "mixed":
            return True
        case "null" | "void":
            return value is None
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return isinstance(value, float)
        case "string":
            return isinstance(value, bytes)
        case "bool":
            return isinstance(value, bool)
        case "false":
            return value is False
        case "true":
            return value is True
        case "array":
            return isinstance(value, PhpArray)
        case "object":
            return isinstance(value, PhpObject | EnumCase)
        case "iterable":
            return isinstance(value, PhpArray) or php.is_a(value, "Traversable")
        case "callable":
            return is_callable(php, value)
        case "never":
            return False
        case "self":
            return php.is_a(value, php.frame.class_name if self_class is None else self_class)
        case "static":
            return php.is_a(value, php.frame.static_class)
        case "parent":
            php.refuse("the type parent")
    return isinstance(value, PhpObject | EnumCase | CustomSerialized) and php.is_a(value, name)


def weak(value: bool | int | float | bytes, names: tuple[str, ...]) -> Value:
    """A scalar as a declared scalar type takes it, in PHP's order int, float, string, bool; else None."""
    if "int" in names:
        if isinstance(value, bool):
            return int(value)
        number: int | float | bytes = value
        if isinstance(value, bytes) and is_numeric(value):
            number = number_prefix(value)[0]
        if isinstance(number, int):
            return number
        # a fraction is cut off with a deprecation only
        if isinstance(number, float) and "float" not in names and -(2.0**63) <= number < 2.0**63:
            return int(number)
    if "float" in names:
        if isinstance(value, bool):
            return float(value)
        if isinstance(value, bytes) and is_numeric(value):
            return float(number_prefix(value)[0])
    if "string" in names and not isinstance(value, bytes):
        return to_string(value)
    if "bool" in names:
        return to_bool(value)
    return None


def is_callable(php: Interpreter, value: Value) -> bool:
    """`is_callable($value)` where the running code asks; Refused where that is not known."""
    if isinstance(value, PhpClosure):
        return True
    if value is None or isinstance(value, bool | int | float):
        return False
    if isinstance(value, PhpArray):
        if len(value) != 2 or not value.is_list or not isinstance(value[1], bytes):
            return False
        holder, method = value[0], value[1].decode("utf-8", "replace")
        if isinstance(holder, bytes):
            return _has_method(php, holder.decode("utf-8", "replace").lstrip("\\"), method, static=True)
        return isinstance(holder, PhpObject | EnumCase) and _has_method(php, holder.class_name, method)
    if isinstance(value, bytes):
        name = value.decode("utf-8", "replace").lstrip("\\")
        class_name, colons, method = name.partition("::")
        if colons:
            return _has_method(php, class_name, method, static=True)
        if name.lower() in php.environment.functions:
            return True
        if not _FUNCTION_NAME.match(name):
            return False
        php.refuse(f"whether {name} can be called")
    return _has_method(php, value.class_name, "__invoke", magic=False)


def _has_method(
    php: Interpreter, class_name: str, method: str, *, static: bool = False, magic: bool = True
) -> bool:
    """`magic`: whether `__call` and `__callStatic` count."""
    if php.classes.find(class_name) is None or not php.is_complete(class_name) or "::" in method:
        php.refuse(f"whether {class_name}::{method}() can be called")
    bound = php.classes.method(class_name, method)
    given_by_php = php.is_enum(class_name) and method.lower() in ("cases", "from", "tryfrom")
    if bound is None and (php.environment.native(class_name) is not None or given_by_php):
        php.refuse(f"whether {class_name}::{method}() can be called")
    scope = php.frame.class_name
    if scope and not static and php.classes.find(scope) is not None and php.classes.is_a(class_name, scope):
        own = php.classes.method(scope, method)
        if own is not None and own.owner == scope and own.method.visibility == "private":
            return True
    this: Any = php.frame.variables.get("this")
    related = this is not None and bool(php.classes.is_a(this.class_name, class_name))
    if bound is None or may_not_reach(php, bound.method.visibility, class_name, bound.owner):
        answering = "__callStatic" if static and not related else "__call"
        return magic and php.classes.method(class_name, answering) is not None
    return not static or bound.method.static or related
