"""Calls: functions, methods with their visibility, static calls, `new`. One function a node, which compiles
it (see `compile`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from bridge.php import nodes as n
from bridge.php.access import slot
from bridge.php.classes import BoundMethod
from bridge.php.frame import Frame, NullChain, PhpClosure, ReferenceFunction, stored
from bridge.php.operators import Thrown, equal, type_name
from bridge.php.values import EnumCase, PhpArray, PhpObject, Value

if TYPE_CHECKING:
    from bridge.php.compile import Assign, Code, Compiler
    from bridge.php.evaluate import Evaluator, Native

# The arguments of a call: in order, and by name.
Arguments: TypeAlias = "Callable[[Evaluator], tuple[Sequence[Value], Mapping[str, Value]]]"

_NONE: Mapping[str, Value] = {}


def call(c: Compiler, node: n.Call) -> Code:
    line, strict, name = node.line, node.strict, node.function
    function = c.world.functions.get(name) if isinstance(name, str) else None
    if isinstance(function, ReferenceFunction):
        return _reference_call(c, node, function)
    arguments_of = _arguments(c, node.arguments)
    callback_of = None if isinstance(name, str) else c.value(name)

    def run(php: Evaluator) -> Value:
        arguments, named = arguments_of(php)
        php.line = line
        if named:
            php.refuse("named arguments of a function")
        if callback_of is not None:
            return php.call(callback_of(php), arguments)
        if function is None:
            php.refuse(f"the function {name}()")
        return php.apply(function, arguments, strict=strict)

    return run


def _reference_call(c: Compiler, node: n.Call, function: ReferenceFunction) -> Code:
    line, strict = node.line, node.strict
    if any(argument.spread or argument.name is not None for argument in node.arguments):

        def refuse(php: Evaluator) -> Value:
            php.line = line
            php.refuse("this argument of a function that changes its arguments")

        return refuse
    codes: list[Code] = []
    targets: dict[int, Assign] = {}
    for position, argument in enumerate(node.arguments):
        if position in function.positions:
            codes.append(c.quiet(argument.value))
            targets[position] = c.target(argument.value)
        else:
            codes.append(c.value(argument.value))

    def run(php: Evaluator) -> Value:
        arguments = [code(php) for code in codes]
        php.line = line
        php.strict = strict
        result, changed = function.act(php, arguments)
        for position, value in changed.items():
            if position in targets:
                targets[position](php, value)
        return result

    return run


def method_call(c: Compiler, node: n.MethodCall) -> Code:
    line, nullsafe = node.line, node.nullsafe
    subject, name_of, arguments_of = c.link(node.object), c.name(node.name), _arguments(c, node.arguments)

    def run(php: Evaluator) -> Value:
        holder = subject(php)
        if nullsafe and holder is None:
            raise NullChain
        name = name_of(php)
        arguments, named = arguments_of(php)
        php.line = line
        return _call_method(php, holder, name, arguments, named)

    return run


def _call_method(
    php: Evaluator, holder: Value, name: str, arguments: Sequence[Value], named: Mapping[str, Value]
) -> Value:
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


def static_call(c: Compiler, node: n.StaticCall) -> Code:
    line, name, relative = node.line, node.name, node.class_name in ("self", "static", "parent")
    class_of, arguments_of = c.class_name(node.class_name), _arguments(c, node.arguments)

    def run(php: Evaluator) -> Value:
        php.line = line
        class_name = class_of(php)
        arguments, named = arguments_of(php)
        php.line = line
        return _call_static(php, class_name, name, relative, arguments, named)

    return run


def _call_static(
    php: Evaluator,
    class_name: str,
    name: str,
    relative: bool,
    arguments: Sequence[Value],
    named: Mapping[str, Value],
) -> Value:
    """`relative`: written as `self::`, `static::` or `parent::`, which keep the class that was called."""
    called = php.frame.static_class if relative else class_name
    if php.classes.find(class_name) is not None:
        bound = php.classes.method(class_name, name)
        if bound is not None:
            if bound.method.static:
                return php.run(bound, None, called, arguments, named)
            this = php.frame.this
            if this is not None and php.classes.is_a(this.class_name, class_name):
                return php.run(bound, this, this.class_name, arguments, named)
            raise Thrown("Error", f"Non-static method {class_name}::{name}() cannot be called statically")
    if relative and php.frame.this is not None:
        native = php.world.native(php.frame.this.class_name)
        if native is not None:
            given = positional(php, native, name, arguments, named)
            return native.call(php, php.frame.this, name, given)
    native = php.world.native(class_name)
    if native is not None:
        return native.static(php, called, name, positional(php, native, name, arguments, named))
    if named:
        php.refuse("named arguments of this method")
    return php.call_static(class_name, name, arguments)


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


def new(c: Compiler, node: n.New) -> Code:
    line, class_of, arguments_of = node.line, c.class_name(node.class_name), _arguments(c, node.arguments)

    def run(php: Evaluator) -> Value:
        php.line = line
        class_name = class_of(php)
        arguments, named = arguments_of(php)
        php.line = line
        return php.make(class_name, arguments, named)

    return run


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
    """Runs the constructor, promoted parameters put into their properties first."""
    routine = php.routine(bound.method)
    frame = Frame(bound.method.file, {"this": made}, made, bound.owner, made.class_name)

    def act(php: Evaluator) -> Value:
        php.bind(routine.parameters, arguments, named)
        for parameter in routine.parameters:
            if parameter.promoted:
                place = slot(php, made, parameter.name)
                if place is not None:
                    made.properties[place] = stored(frame.variables[parameter.name])
        return routine.body(php)

    php.inside(frame, act)


def _arguments(c: Compiler, given: tuple[n.Argument, ...]) -> Arguments:
    codes = [c.value(argument.value) for argument in given]
    if not any(argument.spread or argument.name is not None for argument in given):
        if not codes:
            return lambda php: ((), _NONE)
        if len(codes) == 1:
            [only] = codes
            return lambda php: ((only(php),), _NONE)
        return lambda php: ([code(php) for code in codes], _NONE)
    kinds = [(argument.spread, argument.name) for argument in given]

    def run(php: Evaluator) -> tuple[Sequence[Value], Mapping[str, Value]]:
        positional: list[Value] = []
        named: dict[str, Value] = {}
        for code, (spread, name) in zip(codes, kinds, strict=True):
            value = code(php)
            if spread:
                if not isinstance(value, PhpArray):
                    php.refuse("spreading what is not an array")
                for key, item in value.items():
                    if isinstance(key, bytes):
                        named[key.decode("utf-8", "replace")] = item
                    else:
                        positional.append(item)
            elif name is not None:
                named[name] = value
            else:
                positional.append(value)
        return positional, named

    return run
