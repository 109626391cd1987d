"""Callables: whatever can be called, and calls that PHP functions and native classes make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.phpeval.php.runtime.arguments import ordered
from bridge.phpeval.php.runtime.class_table import BoundMethod
from bridge.phpeval.php.runtime.execution import apply
from bridge.phpeval.php.runtime.frame import PhpClosure
from bridge.phpeval.php.runtime.generators import PhpGenerator
from bridge.phpeval.php.runtime.interpreter import Interpreter, ReferenceFunction
from bridge.phpeval.php.runtime.methods import (
    answers_nothing,
    call_other,
    call_static_elsewhere,
    enum_static,
    find_method,
    find_static,
    require_static,
)
from bridge.phpeval.php.runtime.operators import Thrown, to_string, warn
from bridge.phpeval.php.runtime.type_declarations import is_callable
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value

_NONE: Mapping[str, Value] = {}


def as_closure(php: Interpreter, callback: Value) -> PhpClosure:
    """The closure of whatever can be called, looked up now by the code that runs."""
    if isinstance(callback, PhpClosure):
        return callback
    if isinstance(callback, PhpArray) and len(callback) == 2 and callback.is_list:
        holder, method = callback[0], callback[1]
        if isinstance(method, bytes):
            name = method.decode("utf-8", "replace")
            if isinstance(holder, PhpObject | EnumCase):
                return method_reference(php, holder, name)
            if isinstance(holder, bytes):
                return static_reference(
                    php, holder.decode("utf-8", "replace").lstrip("\\"), name, relative=False
                )
    if isinstance(callback, bytes):
        name = callback.decode("utf-8", "replace").lstrip("\\")
        class_name, colons, method_name = name.partition("::")
        if colons:
            return static_reference(php, class_name, method_name, relative=False)
        return function_reference(php, name.lower())
    if isinstance(callback, PhpObject | EnumCase):
        class_name = callback.class_name
        if php.is_plain(class_name) and php.classes.method(class_name, "__invoke") is None:
            raise Thrown("Error", f"Object of type {class_name} is not callable")
        return method_reference(php, callback, "__invoke")
    raise Thrown("Error", "Value not callable")


def closure_of(php: Interpreter, callback: Value) -> PhpClosure:
    """`Closure::fromCallable($callback)`."""
    if not is_callable(php, callback):
        raise Thrown("TypeError", "Failed to create closure from callable")
    return as_closure(php, callback)


def function_reference(php: Interpreter, name: str) -> PhpClosure:
    """`name(...)`. strict_types count where it is called."""
    function = php.environment.functions.get(name)
    if function is None:
        php.refuse(f"the function {name}()")
    if isinstance(function, ReferenceFunction):
        return PhpClosure(lambda arguments: php.call(name.encode(), arguments))

    def act(arguments: Sequence[Value], named: Mapping[str, Value] = _NONE) -> Value:
        given = ordered(php, name, function, arguments, named) if named else arguments
        return apply(php, function, given, strict=php.strict)

    return PhpClosure(act, named=act)


def method_reference(php: Interpreter, holder: Value, name: str) -> PhpClosure:
    """`$holder->name(...)`: found now, by the code that runs."""
    if isinstance(holder, PhpClosure):
        if name.lower() == "__invoke":
            return holder
        php.refuse(f"Closure::{name}()")
    bound = find_method(php, holder, name)
    if bound is None:
        if answers_nothing(php, holder.class_name, "__call"):  # type: ignore[union-attr]
            raise Thrown("Error", f"Call to undefined method {holder.class_name}::{name}()")  # type: ignore[union-attr]
        return PhpClosure(lambda arguments: call_other(php, holder, name, arguments, {}))  # type: ignore[arg-type]
    this: Any = None if bound.method.static else holder
    static_class = holder.class_name  # type: ignore[union-attr]
    return _bound_closure(php, bound, this, static_class)


def _bound_closure(php: Interpreter, bound: BoundMethod, this: Any, static_class: str) -> PhpClosure:
    def act(arguments: Sequence[Value], named: Mapping[str, Value] = _NONE) -> Value:
        return php.run(bound, this, static_class, arguments, named)

    return PhpClosure(act, php.routine(bound.method).references, act)


def static_reference(php: Interpreter, class_name: str, name: str, relative: bool) -> PhpClosure:
    """`Class::name(...)`: found now, by the code that runs."""
    called = php.frame.static_class if relative else class_name
    found = find_static(php, class_name, name)
    if found is None:
        require_static(php, class_name, name)
        frame = php.frame

        def act(arguments: Sequence[Value]) -> Value:
            return php.inside(
                frame,
                lambda _: call_static_elsewhere(php, class_name, called, name, relative, arguments, {}),
            )

        return PhpClosure(act)
    bound, this = found
    return _bound_closure(php, bound, this, called if this is None else this.class_name)


def call_method(php: Interpreter, subject: PhpObject, name: str, arguments: Sequence[Value] = ()) -> Value:
    """`$subject->name(…)`, called by PHP itself or a class written in Python."""
    php.strict = False
    bound = php.classes.method(subject.class_name, name) if php.declared(subject) else None
    if bound is not None:
        return php.run(bound, subject, subject.class_name, arguments, {})
    native = php.environment.native(subject.class_name)
    if native is None:
        if php.is_complete(subject.class_name) or isinstance(subject, PhpGenerator):
            return method_reference(php, subject, name).act(arguments)
        php.refuse(f"the method {subject.class_name}::{name}()")
    return native.call(php, subject, name, arguments)


def call_static(php: Interpreter, class_name: str, name: str, arguments: Sequence[Value] = ()) -> Value:
    """`Class::name(…)`, called by PHP itself or a class written in Python."""
    php.strict = False
    if php.classes.find(class_name) is not None:
        bound = php.classes.method(class_name, name)
        if bound is not None:
            if not bound.method.static:
                php.refuse(f"the static call of {class_name}::{name}(), which is not static")
            return php.run(bound, None, class_name, arguments, {})
        if php.is_enum(class_name):
            return enum_static(php, class_name, name, arguments)
    native = php.environment.native(class_name)
    if native is None:
        php.refuse(f"the static method {class_name}::{name}()")
    return native.static(php, class_name, name, arguments)


def call(php: Interpreter, callback: Value, arguments: Sequence[Value]) -> Value:
    """What `$callback(…)` gives: a closure, function name, `[object, method]` or invokable object.

    Called by a PHP function or a class written in Python, where strict_types never count."""
    php.strict = False
    if isinstance(callback, PhpClosure):
        if callback.references:
            php.refuse("a callback that takes a reference")
        return callback.act(arguments)
    if isinstance(callback, bytes):
        name = callback.decode("utf-8", "replace")
        class_name, colons, method = name.partition("::")
        if colons:
            return _call_back_static(php, class_name.lstrip("\\"), method, arguments)
        name = name.lstrip("\\").lower()
        if isinstance(php.environment.functions.get(name), ReferenceFunction):
            raise warn(f"{name}(): Argument #1 must be passed by reference, value given")
        return php.call_function(name, arguments)
    if isinstance(callback, PhpArray) and len(callback) == 2 and callback.is_list:
        subject, method_name = callback[0], to_string(callback[1]).decode("utf-8", "replace")
        if isinstance(subject, EnumCase):
            return as_closure(php, callback).act(arguments)
        if isinstance(subject, PhpObject):
            return _call_back(php, subject, method_name, arguments)
        if isinstance(subject, bytes):
            class_name = subject.decode("utf-8", "replace").lstrip("\\")
            return _call_back_static(php, class_name, method_name, arguments)
    if isinstance(callback, EnumCase):
        return as_closure(php, callback).act(arguments)
    if isinstance(callback, PhpObject):
        return as_closure(php, callback).act(arguments)
    raise Thrown("Error", "Value not callable")


def _call_back(php: Interpreter, subject: PhpObject, name: str, arguments: Sequence[Value]) -> Value:
    """`[$subject, 'name']`, called by a PHP function in the scope of the code that handed it over, or by a
    class written in Python, whose code stands outside of all classes."""
    if php.applied is php.frame:
        return method_reference(php, subject, name).act(arguments)
    _require_public(php, subject.class_name, name)
    return php.call_method(subject, name, arguments)


def _require_public(php: Interpreter, class_name: str, name: str) -> None:
    bound = php.classes.method(class_name, name) if php.classes.find(class_name) is not None else None
    if bound is not None and bound.method.visibility != "public":
        what = f"the {bound.method.visibility} method {class_name}::{bound.method.name}()"
        php.refuse(f"{what} as a callback from outside")


def _call_back_static(php: Interpreter, class_name: str, name: str, arguments: Sequence[Value]) -> Value:
    if php.applied is php.frame and php.classes.find(class_name) is not None:
        return static_reference(php, class_name, name, relative=False).act(arguments)
    _require_public(php, class_name, name)
    return php.call_static(class_name, name, arguments)


def call_closure(
    php: Interpreter, closure: PhpClosure, arguments: Sequence[Value], named: Mapping[str, Value]
) -> Value:
    """The closure's value, called with named arguments too."""
    if not named:
        return closure.act(arguments)
    if closure.named is None:
        php.refuse("named arguments of this closure")
    return closure.named(arguments, named)
