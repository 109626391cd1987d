"""Finding methods: visibility, static calls, magic methods, enums, classes written in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.arguments import native_arguments
from bridge.phpeval.php.runtime.class_table import BoundMethod
from bridge.phpeval.php.runtime.frame import PhpClosure
from bridge.phpeval.php.runtime.generators import PhpGenerator, call_generator
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import Thrown, identical, type_name
from bridge.phpeval.php.runtime.type_declarations import coerce
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.runtime.visibility import may_not_reach

_RELATIVE = ("self", "static", "parent")


def find_method(php: Interpreter, holder: Value, name: str) -> BoundMethod | None:
    """The app's own method that the running code may call on the value; None where a class written in Python
    or `__call` answers. An Error where nothing does."""
    if not isinstance(holder, PhpObject | EnumCase):
        raise Thrown("Error", f"Call to a member function {name}() on {type_name(holder)}")
    class_name = holder.class_name
    if not php.declared(holder):
        return None
    scope = php.frame.class_name
    if scope == class_name:
        inner = php.classes.method(class_name, name)
        if inner is None or inner.owner == scope or inner.method.visibility != "private":
            return inner
    elif scope and php.classes.find(scope) is not None:
        own = php.classes.method(scope, name)
        private = own is not None and own.method.visibility == "private" and own.owner == scope
        if private and php.classes.is_a(class_name, scope):
            return own
    bound = php.classes.method(class_name, name)
    if bound is None:
        return None
    hidden = may_not_reach(php, bound.method.visibility, class_name, bound.owner)
    if not hidden:
        return bound
    if php.classes.method(class_name, "__call") is not None:
        return None
    raise Thrown("Error", f"Call to {hidden} method {class_name}::{name}()")


def find_static(
    php: Interpreter, class_name: str, name: str
) -> tuple[BoundMethod, PhpObject | EnumCase | None] | None:
    """The app's own method and the object it runs for (None for a static one)."""
    if php.classes.find(class_name) is None:
        return None
    bound = php.classes.method(class_name, name)
    if bound is None:
        return None
    this: Any = php.frame.variables.get("this")
    related = this is not None and bool(php.classes.is_a(this.class_name, class_name))
    hidden = may_not_reach(php, bound.method.visibility, class_name, bound.owner)
    if hidden:
        magic = "__call" if related else "__callStatic"
        if php.classes.method(class_name, magic) is not None:
            return None
        what = "constructor" if name.lower() == "__construct" else "method"
        raise Thrown("Error", f"Call to {hidden} {what} {class_name}::{name}()")
    if bound.method.static:
        return bound, None
    if related:
        return bound, this
    raise Thrown("Error", f"Non-static method {class_name}::{name}() cannot be called statically")


def answers_nothing(php: Interpreter, class_name: str, *magic: str) -> bool:
    """Whether a method that the class does not declare is an Error, before its arguments are evaluated."""
    if php.environment.native(class_name) is not None or not php.is_complete(class_name):
        return False
    if php.is_enum(class_name):
        return False
    return all(php.classes.method(class_name, method) is None for method in magic)


def require_static(php: Interpreter, class_name: str, name: str) -> None:
    """Checked before the arguments of `Class::name()`, which no class of the app declares, are evaluated."""
    if (
        class_name != "Closure"
        and php.environment.native(class_name) is None
        and not php.is_complete(class_name)
    ):
        php.refuse(f"the static method {class_name}::{name}()")
    this = php.frame.this
    related = this is not None and bool(php.classes.is_a(this.class_name, class_name))
    if answers_nothing(php, class_name, "__callStatic", *(["__call"] if related else [])):
        raise Thrown("Error", f"Call to undefined method {class_name}::{name}()")


def call_other(
    php: Interpreter,
    holder: PhpObject | EnumCase,
    name: str,
    arguments: Sequence[Value],
    named: Mapping[str, Value],
) -> Value:
    """A method that is not the app's own code."""
    class_name = holder.class_name
    if isinstance(holder, PhpGenerator):
        return call_generator(php, holder, name, arguments)
    if isinstance(holder, PhpClosure):
        return _call_closure(php, holder, name, arguments, named)
    if isinstance(holder, EnumCase):
        if name.lower() in ("cases", "from", "tryfrom") and php.is_enum(class_name):
            return enum_static(php, class_name, name, arguments)
        php.refuse(f"the method {class_name}::{name}()")
    native = php.environment.native(class_name)
    if native is not None:
        return native.call(php, holder, name, native_arguments(php, native, name, arguments, named))
    if not php.is_complete(class_name):
        php.refuse(f"the method {class_name}::{name}()")
    magic = php.classes.method(class_name, "__call")
    if magic is None:  # of a callable: a call is checked before
        raise Thrown("Error", f"Call to undefined method {class_name}::{name}()")
    if named:
        php.refuse("named arguments of __call")
    return php.run(magic, holder, class_name, (name.encode(), PhpArray.of(arguments)), {})


def _call_closure(
    php: Interpreter, closure: PhpClosure, name: str, arguments: Sequence[Value], named: Mapping[str, Value]
) -> Value:
    if named or closure.references:
        php.refuse("these arguments of a closure")
    match name.lower():
        case "__invoke":
            php.strict = php.frame.strict
            return closure.act(arguments)
        case "call" if arguments and closure.rebound is not None:
            this, *given = arguments
            if isinstance(this, PhpObject) and php.declared(this) and php.is_plain(this.class_name):
                php.strict = False  # PHP itself calls the closure
                return closure.rebound(this).act(given)
    php.refuse(f"Closure::{name}()")


def call_static_elsewhere(
    php: Interpreter, class_name: str, called: str, name: str, relative: bool,
    arguments: Sequence[Value], named: Mapping[str, Value],
) -> Value:  # fmt: skip
    """A static call of what is not the app's own code."""
    if class_name == "Closure" and name.lower() == "fromcallable" and len(arguments) == 1 and not named:
        return php.closure_of(arguments[0])
    if relative and php.frame.this is not None:
        native = php.environment.native(php.frame.this.class_name)
        if native is not None:
            given = native_arguments(php, native, name, arguments, named)
            return native.call(php, php.frame.this, name, given)
    native = php.environment.native(class_name)
    if native is not None:
        return native.static(php, called, name, native_arguments(php, native, name, arguments, named))
    if php.is_enum(class_name):
        if named:
            php.refuse("named arguments of this method")
        return enum_static(php, class_name, name, arguments)
    magic = php.classes.method(class_name, "__callStatic") if php.is_complete(class_name) else None
    this = php.frame.this
    dynamic = this is not None and php.classes.is_a(this.class_name, class_name)
    if magic is not None and not named and not dynamic:
        return php.run(magic, None, called, (name.encode(), PhpArray.of(arguments)), {})
    if php.is_complete(class_name) and magic is None and php.classes.method(class_name, "__call") is None:
        raise Thrown("Error", f"Call to undefined method {class_name}::{name}()")
    php.refuse(f"the static method {class_name}::{name}()")


def enum_static(php: Interpreter, class_name: str, name: str, arguments: Sequence[Value]) -> Value:
    declared = php.classes.require(class_name)
    cases = [EnumCase(class_name, case) for case in declared.cases]
    match name.lower():
        case "cases" if not arguments:
            return PhpArray.of(cases)
        case "from" | "tryfrom" if len(arguments) == 1 and cases:
            values = [php.backing_value(case) for case in cases]
            kind = "int" if isinstance(values[0], int) else "string"
            if values[0] is not None:
                wanted = _backing(php, arguments[0], kind)
                for case, value in zip(cases, values, strict=True):
                    if identical(value, wanted):
                        return case
                if name.lower() == "tryfrom":
                    return None
                raise Thrown("ValueError", f"not a valid backing value for enum {class_name}")
    php.refuse(f"the static method {class_name}::{name}()")


def _backing(php: Interpreter, value: Value, kind: str) -> Value:
    """The argument of from() as the type of the enum takes it; null passes where PHP only deprecates it."""
    strict = php.frame.strict
    if value is None and not strict:
        return 0 if kind == "int" else b""
    return coerce(php, value, n.Type(names=(kind,)), "argument", strict=strict)
