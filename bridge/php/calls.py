"""Calls: functions, methods with their visibility, static calls, `new`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bridge.php import nodes as n
from bridge.php import syntax
from bridge.php.access import assign_to, slot, value_or_null
from bridge.php.classes import BoundMethod
from bridge.php.frame import Frame, NullChain, PhpClosure, ReferenceFunction, stored
from bridge.php.operators import Thrown, equal, type_name
from bridge.php.values import EnumCase, PhpArray, PhpObject, Value

if TYPE_CHECKING:
    from bridge.php.evaluate import Evaluator, Native


def call(php: Evaluator, node: n.Call) -> Value:
    if isinstance(node.function, str):
        function = php.world.functions.get(node.function)
        if isinstance(function, ReferenceFunction):
            return _reference_call(php, function, node)
    arguments, named = _arguments(php, node.arguments)
    if named:
        php.refuse("named arguments of a function")
    if isinstance(node.function, str):
        return php.call_function(node.function, arguments, strict=node.strict)
    return php.call(php.value(node.function), arguments)


def _reference_call(php: Evaluator, function: ReferenceFunction, node: n.Call) -> Value:
    arguments: list[Value] = []
    for position, argument in enumerate(node.arguments):
        if argument.spread or argument.name is not None:
            php.refuse("this argument of a function that changes its arguments")
        by_reference = position in function.positions
        arguments.append(value_or_null(php, argument.value) if by_reference else php.value(argument.value))
    php.strict = node.strict
    result, changed = function.act(php, arguments)
    for position, value in changed.items():
        if position < len(node.arguments):
            assign_to(php, node.arguments[position].value, value)
    return result


def method_call(php: Evaluator, node: n.MethodCall) -> Value:
    holder = php.link(node.object)
    if holder is None and node.nullsafe:
        raise NullChain
    name = php.name_of(node.name)
    arguments, named = _arguments(php, node.arguments)
    if isinstance(holder, EnumCase):
        bound = php.classes.method(holder.class_name, name) if php.declared(holder) else None
        if bound is None:
            php.refuse(f"the method {holder.class_name}::{name}()")
        return php.run(bound, None, holder.class_name, arguments, named, case=holder)
    if not isinstance(holder, PhpObject):
        raise Thrown("Error", f"Call to a member function {name}() on {type_name(holder)}")
    if isinstance(holder, PhpClosure):
        if name.lower() in ("call", "bindto", "bind"):
            php.refuse(f"Closure::{name}()")
        return php.call(holder, arguments)
    bound = _visible_method(php, holder, name)
    if bound is not None:
        return php.run(bound, holder, holder.class_name, arguments, named)
    native = php.world.native(holder.class_name)
    if native is None:
        if php.is_complete(holder.class_name) and php.classes.method(holder.class_name, "__call") is None:
            raise Thrown("Error", f"Call to undefined method {holder.class_name}::{name}()")
        php.refuse(f"the method {holder.class_name}::{name}()")
    return native.call(php, holder, name, positional(php, native, name, arguments, named))


def _visible_method(php: Evaluator, holder: PhpObject, name: str) -> BoundMethod | None:
    if not php.declared(holder):
        return None
    scope = php.frame.class_name
    if scope and scope != holder.class_name and php.classes.find(scope) is not None:
        own = php.classes.require(scope).methods.get(name.lower())
        if own is not None and own.visibility == "private" and php.classes.is_a(holder.class_name, scope):
            return BoundMethod(own, scope)
    bound = php.classes.method(holder.class_name, name)
    if bound is not None and bound.method.visibility != "public":
        private = bound.method.visibility == "private"
        allowed = scope == bound.owner if private else bool(scope) and (
            php.classes.is_a(holder.class_name, scope) or php.classes.is_a(scope, bound.owner)
        )  # fmt: skip
        if not allowed:
            if php.classes.method(holder.class_name, "__call") is not None:
                php.refuse(f"__call of {holder.class_name}")
            raise Thrown("Error", f"Call to {bound.method.visibility} method {holder.class_name}::{name}()")
    return bound


def static_call(php: Evaluator, node: n.StaticCall) -> Value:
    class_name = php.class_of(node.class_name)
    arguments, named = _arguments(php, node.arguments)
    relative = node.class_name in ("self", "static", "parent")
    if php.classes.find(class_name) is not None:
        bound = php.classes.method(class_name, node.name)
        if bound is not None:
            static_class = php.frame.static_class if relative else class_name
            if bound.method.static:
                return php.run(bound, None, static_class, arguments, named)
            this = php.frame.this
            if this is not None and php.classes.is_a(this.class_name, class_name):
                return php.run(bound, this, this.class_name, arguments, named)
            raise Thrown(
                "Error", f"Non-static method {class_name}::{node.name}() cannot be called statically"
            )
    if relative and php.frame.this is not None:
        native = php.world.native(php.frame.this.class_name)
        if native is not None:
            given = positional(php, native, node.name, arguments, named)
            return native.call(php, php.frame.this, node.name, given)
    if named:
        native = php.world.native(class_name)
        if native is None:
            php.refuse("named arguments of this method")
        arguments = list(positional(php, native, node.name, arguments, named))
    return php.call_static(class_name, node.name, arguments)


def enum_static(php: Evaluator, class_name: str, name: str, arguments: Sequence[Value]) -> Value:
    cases = [EnumCase(class_name, case) for case in php.classes.require(class_name).cases]
    match name.lower():
        case "cases":
            return PhpArray.of(cases)
        case "from" | "tryfrom":
            wanted = arguments[0] if arguments else None
            for case in cases:
                if equal(php.backing_value(case), wanted):
                    return case
            if name.lower() == "tryfrom":
                return None
            raise Thrown("ValueError", f"not a valid backing value for enum {class_name}")
    php.refuse(f"the static method {class_name}::{name}()")


def new(php: Evaluator, node: n.New) -> Value:
    class_name = php.class_of(node.class_name)
    arguments, named = _arguments(php, node.arguments)
    return php.make(class_name, arguments, named)


def positional(
    php: Evaluator, native: Native, method: str, arguments: Sequence[Value], named: Mapping[str, Value]
) -> Sequence[Value]:
    """The arguments of a native in order, named ones put in their places."""
    if not named:
        return arguments
    signature: Sequence[str] = getattr(native, "parameters", {}).get(method.lower(), ())
    if any(name not in signature for name in named):
        php.refuse(f"named arguments of {method}()")
    places = {signature.index(name): value for name, value in named.items()}
    last = max(places)
    return [
        arguments[place] if place < len(arguments) else places.get(place)
        for place in range(max(last + 1, len(arguments)))
    ]


def construct(
    php: Evaluator,
    bound: BoundMethod,
    made: PhpObject,
    arguments: Sequence[Value],
    named: Mapping[str, Value],
) -> None:
    body = php.classes.body(bound.method)
    parameters = syntax.lower_parameters(bound.method)
    frame = Frame(bound.method.file, {"this": made}, made, bound.owner, made.class_name)

    def act() -> Value:
        php.bind(parameters, arguments, named)
        for parameter in parameters:
            if parameter.promoted:
                place = slot(php, made, parameter.name)
                if place is not None:
                    made.properties[place] = stored(frame.variables[parameter.name])
        return php.body(body)

    php.inside(frame, act)


def _arguments(php: Evaluator, given: tuple[n.Argument, ...]) -> tuple[list[Value], dict[str, Value]]:
    positional: list[Value] = []
    named: dict[str, Value] = {}
    for argument in given:
        value = php.value(argument.value)
        if argument.spread:
            if not isinstance(value, PhpArray):
                php.refuse("spreading what is not an array")
            for key, item in value.items():
                if isinstance(key, bytes):
                    named[key.decode("utf-8", "replace")] = item
                else:
                    positional.append(item)
        elif argument.name is not None:
            named[argument.name] = value
        else:
            positional.append(value)
    return positional, named
