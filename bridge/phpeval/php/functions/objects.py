# ruff: noqa: E501 (a signature is one line, as in the manual)
"""Functions on objects, classes and callbacks. What depends on code that is not known is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bridge.phpeval.php.functions.signature import table
from bridge.phpeval.php.runtime.callables import as_closure, call_closure
from bridge.phpeval.php.runtime.conversions import pairs
from bridge.phpeval.php.runtime.frame import Reference
from bridge.phpeval.php.runtime.interpreter import Interpreter, PhpClosure
from bridge.phpeval.php.runtime.object_model import class_constant, name_of_class
from bridge.phpeval.php.runtime.operators import Thrown, warn
from bridge.phpeval.php.runtime.properties import visible_properties
from bridge.phpeval.php.runtime.values import (
    CustomSerialized,
    EnumCase,
    PhpArray,
    PhpObject,
    Value,
    array_key,
)

_OBJECTS = PhpObject | EnumCase | CustomSerialized


def _class_name(php: Interpreter, value: Value) -> str:
    if isinstance(value, _OBJECTS):
        return value.class_name
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").lstrip("\\")
    php.refuse("this as the name of a class")


def _get_class(php: Interpreter, object: Value = None) -> bytes:
    if object is None and php.frame.class_name:
        return name_of_class(php, php.frame.class_name)
    return name_of_class(php, _class_name(php, object))


def _method_exists(php: Interpreter, object_or_class: Value, method: bytes) -> bool:
    """Refused for Python-written classes and where the chain of the class is not known."""
    name = _class_name(php, object_or_class)
    if isinstance(object_or_class, PhpClosure) or php.environment.native(name) is not None:
        php.refuse(f"method_exists() of {name}")
    if php.classes.find(name) is None:
        php.refuse(f"method_exists() of {name}")
    if any(not part.file for part in php.classes.whole(name)):
        php.refuse(f"method_exists() of {name}")
    wanted = method.decode("utf-8", "replace").lower()
    if any(wanted in part.methods for part in php.classes.whole(name)):
        return True
    if php.classes.method(name, wanted) is not None:
        return True
    if php.is_enum(name):
        php.refuse(f"method_exists() of the enum {name}")
    return False


def _property_exists(php: Interpreter, object_or_class: Value, property: bytes) -> bool:
    name = _class_name(php, object_or_class)
    if isinstance(object_or_class, PhpObject) and name == "stdClass":
        return property in object_or_class.properties
    if not isinstance(object_or_class, PhpObject | bytes) or php.environment.native(name) is not None:
        php.refuse(f"property_exists() of {name}")
    if php.classes.find(name) is None or any(not part.file for part in php.classes.whole(name)):
        php.refuse(f"property_exists() of {name}")
    if property.decode("utf-8", "replace") in php.classes.properties(name):
        return True
    return isinstance(object_or_class, PhpObject) and property in object_or_class.properties


def _is_a(*, itself: bool, strings: bool) -> Callable[..., bool]:
    def check(php: Interpreter, object_or_class: Value, class_: bytes, allow_string: bool = strings) -> bool:
        wanted = class_.decode("utf-8", "replace").lstrip("\\")
        if isinstance(object_or_class, bytes):
            if not allow_string:
                return False
            name = _class_name(php, object_or_class)
            if php.classes.find(name) is None:
                php.refuse(f"whether {name} is a {wanted}")
            answer = php.classes.is_a(name, wanted)
            if answer is None:
                php.refuse(f"whether {name} is a {wanted}")
        elif isinstance(object_or_class, _OBJECTS):
            name = object_or_class.class_name
            answer = php.is_a(object_or_class, wanted)
        else:
            return False
        return answer and (itself or name.lower() != wanted.lower())

    return check


def _get_object_vars(php: Interpreter, object: PhpObject) -> PhpArray:
    name = object.class_name
    if name == "stdClass":
        return visible_properties(php, object)
    if isinstance(object, EnumCase) or php.environment.native(name) is not None or not php.is_complete(name):
        php.refuse(f"get_object_vars() of {name}")
    return visible_properties(php, object)


def _constant(php: Interpreter, name: bytes) -> Value:
    label = name.decode("utf-8", "replace").lstrip("\\")
    class_name, colons, constant = label.rpartition("::")
    if colons:
        return class_constant(php, class_name, constant, visible=True)
    if label not in php.environment.constants:
        php.refuse(f"the constant {label}")
    return php.environment.constants[label]


def _compact(php: Interpreter, *names: Value) -> PhpArray:
    result = PhpArray()
    for name in names:
        if isinstance(name, PhpArray):
            result.update(_compact(php, *name.values()))
            continue
        if not isinstance(name, bytes) or name == b"this":
            php.refuse("compact() of this")
        variable = name.decode("utf-8", "surrogateescape")
        if php.frame.function == "{closure}" and variable not in php.frame.variables:
            php.refuse("compact() in a closure")
        if variable not in php.frame.variables:
            raise warn(f"compact(): Undefined variable ${variable}")
        held: Any = php.frame.variables[variable]
        result[array_key(name)] = held.value if isinstance(held, Reference) else held
    return result


def _call_user_func(php: Interpreter, callback: Value, *args: Value) -> Value:
    return php.call(callback, args)


def _call_user_func_array(php: Interpreter, callback: Value, args: PhpArray) -> Value:
    named = {k.decode("utf-8", "replace"): v for k, v in args.items() if isinstance(k, bytes)}
    if named:
        positional = [value for key, value in args.items() if not isinstance(key, bytes)]
        php.strict = False
        return call_closure(php, as_closure(php, callback), positional, named)
    return php.call(callback, list(args.values()))


def _func_get_args(php: Interpreter) -> PhpArray:
    """Of the function under way: its parameters as they are now, then what came beyond them."""
    frame = php.frame
    if frame.arguments is None:
        php.refuse("the arguments of a call with named ones")
    values: list[Value] = []
    for at, given in enumerate(frame.arguments):
        held: Any = given
        if at < len(frame.parameters):
            if frame.parameters[at] not in frame.variables:
                php.refuse("func_get_args() after unset() of a parameter")
            held = frame.variables[frame.parameters[at]]
        values.append(held.value if isinstance(held, Reference) else held)
    return PhpArray.of(values)


def _iterator_to_array(php: Interpreter, iterator: Value, preserve_keys: bool = True) -> PhpArray:
    _require_iterator(php, "iterator_to_array", iterator)
    if preserve_keys:
        return php.iterable(iterator)
    return PhpArray.of(value for _, value in pairs(php, iterator))


def _iterator_count(php: Interpreter, iterator: Value) -> int:
    _require_iterator(php, "iterator_count", iterator)
    return sum(1 for _ in pairs(php, iterator))


def _require_iterator(php: Interpreter, function: str, value: Value) -> None:
    """Arrays are taken from PHP 8.2 on."""
    if isinstance(value, PhpArray) and php.before(8, 2):
        raise Thrown("TypeError", f"{function}(): Argument #1 ($iterator) must be of type Traversable")
    if not isinstance(value, PhpArray) and not php.is_a(value, "Traversable"):
        raise Thrown("TypeError", f"{function}(): Argument #1 ($iterator) must be of type Traversable|array")


FUNCTIONS = table({
    "iterator_to_array(mixed $iterator, bool $preserve_keys = true)": _iterator_to_array,
    "iterator_count(mixed $iterator)": _iterator_count,
    "func_get_args()": _func_get_args,
    "func_num_args()": lambda php: len(_func_get_args(php)),
    "get_class(object $object = null)": _get_class,
    "method_exists(mixed $object_or_class, string $method)": _method_exists,
    "property_exists(mixed $object_or_class, string $property)": _property_exists,
    "is_a(mixed $object_or_class, string $class, bool $allow_string = false)": _is_a(itself=True, strings=False),
    "is_subclass_of(mixed $object_or_class, string $class, bool $allow_string = true)": _is_a(itself=False, strings=True),
    "get_object_vars(object $object)": _get_object_vars,
    "constant(string $name)": _constant,
    "compact(mixed $var_name, mixed ...$var_names)": _compact,
    "call_user_func(callable $callback, mixed ...$args)": _call_user_func,
    "call_user_func_array(callable $callback, array $args)": _call_user_func_array,
})  # fmt: skip
