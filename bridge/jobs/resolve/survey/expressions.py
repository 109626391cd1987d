"""What the survey finds in each kind of expression: the type of its value, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bridge.jobs.resolve.survey.resources import made_resource, resource_call, resource_property
from bridge.jobs.resolve.survey.types import (
    CARBON,
    InferredType,
    either,
    item_of,
    offers,
)
from bridge.jobs.resolve.survey.visitor import SourceVisitor
from bridge.phpeval.laravel.eloquent.model import ModelClass
from bridge.phpeval.laravel.eloquent.model_facts import ATTRIBUTE
from bridge.phpeval.laravel.eloquent.relations import ENDINGS, RELATION_CLASSES, RELATION_METHODS, scope_of
from bridge.phpeval.laravel.object_conversions import is_native
from bridge.phpeval.laravel.support.native_class import NativeClass
from bridge.phpeval.laravel.support.resource import (
    ANONYMOUS,
    ResourceClass,
)
from bridge.phpeval.php import ast as n

_USERS = ("App\\Models\\User", "App\\User")
_AUTH = ("Illuminate\\Support\\Facades\\Auth", "Auth")
_IN_ENGLISH = frozenset({"diffForHumans", "isoFormat"})
_CARBON_FUNCTIONS = frozenset({"now", "today"})


def _is_of_request(node: n.Expression) -> bool:
    """Whether it is `request()` or `auth()`."""
    return isinstance(node, n.Call) and node.function in ("request", "auth")


def _variable(visitor: SourceVisitor, node: n.Variable) -> InferredType | None:
    return visitor.scope.variables.get(node.name)


def _assign(visitor: SourceVisitor, node: n.Assign) -> InferredType | None:
    kind = visitor.value(node.value)
    match node.target:
        case n.Variable(name=name):
            visitor.scope.variables[name] = kind
        case n.Property(object=n.Variable(name="this"), name=str(name)) if visitor.source.is_quiet:
            visitor.constructed.setdefault(visitor.scope.static_class, {})[name] = kind
        case n.Property(object=holder):
            owner = visitor.value(holder)
            if owner is not None and visitor.source.native(owner.class_name) is not None:
                visitor.note(f"an assignment to {owner.class_name}::${node.target.name}", node.line)
        case target:
            visitor.walk(target)
    return kind


def _array(visitor: SourceVisitor, node: n.ArrayLiteral) -> InferredType | None:
    kinds = [(visitor.value(entry.value), entry) for entry in node.entries]
    for entry in node.entries:
        visitor.walk(entry.key)
    return InferredType(entries=tuple(kind for kind, _ in kinds if kind is not None))


def _property(visitor: SourceVisitor, node: n.Property) -> InferredType | None:
    kind = visitor.value(node.object)
    if kind is None or not kind.class_name or not isinstance(node.name, str):
        visitor.walk(node.name)
        return None
    name = kind.class_name
    if visitor.source.is_model(name):
        return visitor.attribute(name, node.name)
    native = visitor.source.native(name)
    if isinstance(native, ResourceClass):
        return resource_property(visitor, kind, node.name)
    if native is not None:
        if isinstance(native, NativeClass) and not native.has_property(node.name):
            visitor.note(f"the property {name}::${node.name}", node.line)
        return None
    found = visitor.source.find(name)
    if found is None and not is_native(name):
        visitor.note(f"the property {name}::${node.name}", node.line)
    if found is None or not found.file:
        return None
    if node.name not in visitor.source.properties(name):
        visitor.method(name, "__get")
        return None
    return visitor.property_kind(name, node.name)


def _method_call(visitor: SourceVisitor, node: n.MethodCall) -> InferredType | None:
    if visitor.source.is_quiet and node.name == "user" and _is_of_request(node.object):
        return _user(visitor)
    kind = visitor.value(node.object)
    arguments = visitor.arguments(node.arguments, item_of(kind))
    if kind is None or not kind.class_name or not isinstance(node.name, str):
        visitor.walk(node.name)
        return None
    name, method = kind.class_name, node.name
    if name in RELATION_CLASSES:
        if method.lower() in RELATION_METHODS:
            return kind
        if method.lower() in ENDINGS and not node.arguments:
            return visitor.relation_end(kind, method.lower())
        table, version = visitor.source.table, visitor.environment.version
        if visitor.source.attempt(lambda: scope_of(table, kind.item, method, version)) is None:
            visitor.note(f"{method}() on a relation", node.line)
            return None
        if visitor.environment.report.queries is not None:
            visitor.source.refuse(visitor.environment.report.queries.refused())
        return kind
    if visitor.source.has(name, method):
        return visitor.method(name, method, arguments)
    native = visitor.source.native(name)
    if isinstance(native, ModelClass):
        return visitor.model_call(native, kind, node)
    if isinstance(native, ResourceClass):
        return resource_call(visitor, kind, node.name, node.line, arguments)
    if native is None:
        found = visitor.source.find(name)
        if found is None or not found.file:
            visitor.note(f"the method {name}::{method}()", node.line)
    elif offers(native, method) is False:
        visitor.note(f"the method {name}::{method}()", node.line)
    elif name == CARBON and method in _IN_ENGLISH and visitor.environment.sets_locale:
        visitor.note(f"{method}() in a language that may not be English", node.line)
    return None


def _user(visitor: SourceVisitor) -> InferredType | None:
    """Who is logged in at dispatch: the app's model of users, where it has the usual name."""
    return next((InferredType(class_name=name) for name in _USERS if visitor.source.is_model(name)), None)


def _static_call(visitor: SourceVisitor, node: n.StaticCall) -> InferredType | None:
    name = visitor.class_of(node.class_name)
    if visitor.source.is_quiet and node.name == "user" and name in _AUTH:
        return _user(visitor)
    arguments = visitor.arguments(node.arguments)
    if not name or not isinstance(node.name, str):
        visitor.walk(node.name)
        return None
    visitor.source.check_setup(name)
    relative = node.class_name in ("self", "static", "parent")
    if visitor.source.has(name, node.name):
        return visitor.method(name, node.name, arguments, visitor.scope.static_class if relative else "")
    found, native = visitor.source.find(name), visitor.source.native(name)
    if found is not None and found.kind == "enum":
        return InferredType(class_name=name) if node.name in ("from", "tryFrom") else None
    if relative and isinstance(native, ModelClass):
        if not native.knows(node.name.lower()):
            visitor.note(f"{name}::{node.name}()", node.line)
    elif isinstance(native, ModelClass):
        visitor.note(f"{name}::{node.name}()", node.line)
    elif isinstance(native, ResourceClass) and node.name in ("make", "collection"):
        made = made_resource(visitor, native, name, arguments)
        return made if node.name == "make" else InferredType(class_name=ANONYMOUS, item=name, many=True)
    elif isinstance(native, ResourceClass) and relative:
        if node.name != "__construct":
            own = InferredType(class_name=visitor.scope.static_class)
            return resource_call(visitor, own, node.name, node.line, arguments)
    elif isinstance(native, ResourceClass):
        visitor.note(f"the static method {name}::{node.name}()", node.line)
    elif isinstance(native, NativeClass):
        if node.name not in native.statics:
            visitor.note(f"the static method {name}::{node.name}()", node.line)
    elif native is None and node.name != "__construct" and not visitor.source.has(name, "__callStatic"):
        visitor.note(f"the static method {name}::{node.name}()", node.line)
    return InferredType(class_name=ATTRIBUTE) if name == ATTRIBUTE else None


def _new(visitor: SourceVisitor, node: n.New) -> InferredType | None:
    name = visitor.class_of(node.class_name)
    arguments = visitor.arguments(node.arguments)
    if not name:
        return None
    native = visitor.source.native(name)
    if isinstance(native, ResourceClass):
        return made_resource(visitor, native, name, arguments)
    if isinstance(native, ModelClass) or (isinstance(native, NativeClass) and not native.makes):
        visitor.note(f"new {name}", node.line)
    elif native is None and name != "stdClass":
        found = visitor.source.find(name)
        if found is None or not found.file:
            visitor.note(f"new {name}", node.line)
        else:
            visitor.source.attempt(lambda: visitor.source.table.whole(name))
            if visitor.source.has(name, "__destruct"):
                visitor.note(f"the destructor of {name}", node.line)
            visitor.method(name, "__construct", arguments)
    return InferredType(class_name=name)


def _call(visitor: SourceVisitor, node: n.Call) -> InferredType | None:
    arguments = visitor.arguments(node.arguments)
    if not isinstance(node.function, str):
        visitor.value(node.function)
        return None
    if node.function not in visitor.environment.functions:
        visitor.note(f"the function {node.function}()", node.line)
    visitor.source.check_setup(node.function)
    if node.function in _CARBON_FUNCTIONS:
        return InferredType(class_name=CARBON)
    if node.function in ("tap", "optional", "with") and arguments:
        return arguments[0]
    return None


def _class_constant(visitor: SourceVisitor, node: n.ClassConstant) -> InferredType | None:
    name = visitor.class_of(node.class_name)
    if not name or not isinstance(node.name, str) or node.name == "class":
        visitor.walk(node.name)
        return None
    if f"{name}::{node.name}" in visitor.environment.constants:
        return None
    found = visitor.source.find(name)
    if found is None:
        visitor.note(f"the constant {name}::{node.name}", node.line)
        return None
    if node.name in found.cases:
        return InferredType(class_name=name)
    label = node.name
    constant = visitor.source.attempt(lambda: visitor.source.table.constant(name, label))
    if constant is not None and visitor.source.is_first("constant", f"{constant[1]}::{label}"):
        visitor.walk(constant[0])
    return None


def _constant(visitor: SourceVisitor, node: n.Constant) -> InferredType | None:
    if node.name not in visitor.environment.constants:
        visitor.note(f"the constant {node.name}", node.line)
    return None


def _static_property(visitor: SourceVisitor, node: n.StaticProperty) -> InferredType | None:
    visitor.note(f"the static property ${node.name}", node.line)
    return None


def _ternary(visitor: SourceVisitor, node: n.Ternary) -> InferredType | None:
    condition = visitor.value(node.condition)
    then = visitor.value(node.then) if node.then is not None else condition
    return either(then, visitor.value(node.otherwise))


def _binary(visitor: SourceVisitor, node: n.Binary) -> InferredType | None:
    left, right = visitor.value(node.left), visitor.value(node.right)
    return either(left, right) if node.operator == "??" else None


def _unknown(visitor: SourceVisitor, node: n.Unsupported) -> InferredType | None:
    visitor.source.refuse(node.problem)
    return None


def _clone(visitor: SourceVisitor, node: n.Clone) -> InferredType | None:
    kind = visitor.value(node.operand)
    if kind is not None and kind.class_name and visitor.source.native(kind.class_name) is not None:
        visitor.note(f"clone of {kind.class_name}", node.line)
    return kind


EXPRESSIONS: Mapping[type[n.Expression], Callable[[SourceVisitor, Any], InferredType | None]] = {
    n.Variable: _variable,
    n.Assign: _assign,
    n.ArrayLiteral: _array,
    n.Closure: SourceVisitor.closure,
    n.Property: _property,
    n.MethodCall: _method_call,
    n.StaticCall: _static_call,
    n.New: _new,
    n.Call: _call,
    n.ClassConstant: _class_constant,
    n.Constant: _constant,
    n.StaticProperty: _static_property,
    n.Ternary: _ternary,
    n.Binary: _binary,
    n.Clone: _clone,
    n.Unsupported: _unknown,
}
