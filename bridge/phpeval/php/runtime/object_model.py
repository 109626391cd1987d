"""Classes and objects: constants, enum cases, defaults, what an object is, `new`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.arguments import native_arguments
from bridge.phpeval.php.runtime.class_table import BoundMethod
from bridge.phpeval.php.runtime.frame import PhpClosure
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import Thrown
from bridge.phpeval.php.runtime.type_declarations import fits, initial, plainly_fits
from bridge.phpeval.php.runtime.values import CustomSerialized, EnumCase, PhpObject, Value
from bridge.phpeval.php.runtime.visibility import may_not_reach


def class_constant(php: Interpreter, class_name: str, name: str, *, visible: bool = False) -> Value:
    """`Class::NAME` or `Enum::Case`; `visible`: only if the running code may reach it."""
    if php.classes.find(class_name) is None:
        if f"{class_name}::{name}" in php.environment.constants:
            return php.environment.constants[f"{class_name}::{name}"]
        php.refuse(f"the constant {class_name}::{name}")
    if name in php.classes.require(class_name).cases:
        return EnumCase(class_name, name)
    found = php.classes.constant(class_name, name)
    if found is None:
        for ancestor in php.classes.chain(class_name):
            if f"{ancestor.name}::{name}" in php.environment.constants:
                return php.environment.constants[f"{ancestor.name}::{name}"]
        if not php.is_plain(class_name):
            php.refuse(f"the constant {class_name}::{name}")
        raise Thrown("Error", f"Undefined constant {class_name}::{name}")
    expression, owner = found
    if visible:
        hidden = php.classes.require(owner).hidden_constants.get(name, "public")
        if may_not_reach(php, hidden, class_name, owner):
            raise Thrown("Error", f"Cannot access {hidden} constant {class_name}::{name}")
    return php.constant_expression(expression, owner, php.classes.require(owner).file)


def backing_value(php: Interpreter, case: EnumCase) -> int | bytes | None:
    """The value of a backed enum case; None for a pure enum. Refused if its source is not known."""
    declared = php.classes.require(case.class_name)
    if case.case not in declared.cases:
        raise Thrown("Error", f"Undefined constant {case.class_name}::{case.case}")
    expression = declared.cases[case.case]
    if expression is None:
        return None
    value = php.constant_expression(expression, declared.name, declared.file)
    if not isinstance(value, int | bytes):
        php.refuse(f"the value of {case.class_name}::{case.case}")
    return value


def is_a(php: Interpreter, value: Value, class_name: str) -> bool:
    """`$value instanceof Class`; Refused where the chain of its class is not known."""
    if not isinstance(value, PhpObject | EnumCase | CustomSerialized):
        return False
    if value.class_name == "Generator":
        return class_name in ("Generator", "Iterator", "Traversable")
    if class_name == "Closure" or isinstance(value, PhpClosure):
        return value.class_name == class_name
    answer = php.classes.is_a(value.class_name, class_name)
    if answer is None:
        if isinstance(value, EnumCase) and class_name in ("UnitEnum", "BackedEnum"):
            return class_name == "UnitEnum" or php.backing_value(value) is not None
        if class_name in getattr(php.environment.native(value.class_name), "interfaces", ()):
            return True
        php.refuse(f"whether {value.class_name} is a {class_name}")
    if not answer and isinstance(value, EnumCase) and class_name in ("UnitEnum", "BackedEnum"):
        return class_name == "UnitEnum" or php.backing_value(value) is not None
    return answer


def instantiate(php: Interpreter, class_name: str) -> PhpObject:
    """An object with every property at its default, no constructor run."""
    return PhpObject(class_name, php.defaults(class_name))


def defaults(php: Interpreter, class_name: str) -> dict[int | bytes, Value]:
    """Mangled name → default; typed properties without one are left out (uninitialized)."""
    return dict(php.classes.remember("defaults", class_name, lambda: _defaults(php, class_name)))


def _defaults(php: Interpreter, class_name: str) -> dict[int | bytes, Value]:
    values: dict[int | bytes, Value] = {}
    for bound in php.classes.instance_properties(class_name):
        declaration = bound.declaration
        if declaration.default is not None:
            file = php.classes.require(bound.owner).file
            default = php.constant_expression(declaration.default, bound.owner, file)
            values[bound.mangled] = initial(default, declaration.type)
        elif declaration.type is None:
            values[bound.mangled] = None
    return values


def accepts(php: Interpreter, value: Value, declared: n.Type, class_name: str) -> bool:
    """Whether a property of that type, in that class, may hold the value unconverted."""
    if declared.names is None or plainly_fits(value, declared.names):
        return True
    return any(fits(php, value, name, class_name) for name in declared.names)


def class_of(php: Interpreter, value: Value) -> str:
    """The class that a value in front of `::` means."""
    if isinstance(value, PhpObject | EnumCase):
        return value.class_name
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").lstrip("\\")
    raise Thrown("Error", "Class name must be a valid object or a string")


def name_of_class(php: Interpreter, class_name: str) -> bytes:
    """`Class::class`. That of an anonymous class says where its file lies and how PHP has counted it."""
    if "@anonymous" in class_name:
        php.refuse("the name of an anonymous class")
    return class_name.encode()


def parent_class(php: Interpreter) -> str:
    """The class that `parent` means."""
    parent = php.classes.require(php.frame.class_name).parent
    if parent is None:
        php.refuse("parent of a class without one")
    return parent


def require_constructor(php: Interpreter, class_name: str) -> None:
    """Throws an Error where the running code may not make objects of the class."""
    if php.classes.find(class_name) is None:
        return
    bound = php.classes.method(class_name, "__construct")
    if bound is not None:
        hidden = may_not_reach(php, bound.method.visibility, class_name, bound.owner)
        if hidden:
            where = f"scope {php.frame.class_name}" if php.frame.class_name else "global scope"
            raise Thrown("Error", f"Call to {hidden} {class_name}::__construct() from {where}")


def make(
    php: Interpreter,
    class_name: str,
    arguments: Sequence[Value] = (),
    named: Mapping[str, Value] | None = None,
) -> Value:
    """`new Class(…)`."""
    named = named or {}
    native = php.environment.native(class_name)
    if native is not None:
        return native.construct(
            php, class_name, native_arguments(php, native, "__construct", arguments, named)
        )
    if php.classes.find(class_name) is None:
        php.refuse(f"new {class_name}")
    declared = php.classes.require(class_name)
    if declared.kind != "class" or declared.abstract:
        raise Thrown("Error", f"Cannot instantiate {declared.kind} {class_name}")
    if php.classes.method(class_name, "__destruct") is not None:
        php.refuse(f"the destructor of {class_name}")
    made = php.instantiate(class_name)
    constructor = php.classes.method(class_name, "__construct")
    if constructor is not None:
        construct(php, constructor, made, arguments, named)
    elif named and php.is_complete(class_name):
        raise Thrown("Error", f"Unknown named parameter ${next(iter(named))}")
    elif (named or arguments) and not php.is_complete(class_name):
        php.refuse(f"new {class_name} with arguments")
    return made


def construct(
    php: Interpreter,
    bound: BoundMethod,
    made: PhpObject,
    arguments: Sequence[Value],
    named: Mapping[str, Value],
) -> None:
    """Runs the constructor; promoted parameters are put into their properties first."""
    php.run(bound, made, made.class_name, arguments, named)


def catches(php: Interpreter, exception: PhpObject, class_name: str) -> bool:
    """Whether `catch (Class $e)` takes the exception."""
    return class_name == "Throwable" or php.is_a(exception, class_name)
