"""Calls: functions, methods with their visibility, static calls, `new`. One function a node, which
compiles it (see `compiler`)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.phpeval.php import ast as n
from bridge.phpeval.php.compile.compiler import Compiler, ExprCode
from bridge.phpeval.php.compile.places import argument_place, variable_name
from bridge.phpeval.php.runtime.after_warning import is_missing
from bridge.phpeval.php.runtime.arguments import ordered
from bridge.phpeval.php.runtime.callables import as_closure, call_closure
from bridge.phpeval.php.runtime.class_table import BoundMethod
from bridge.phpeval.php.runtime.conversions import unpacked
from bridge.phpeval.php.runtime.execution import apply, apply_reference
from bridge.phpeval.php.runtime.frame import NullChain, PhpClosure, Reference, References, shared_reference
from bridge.phpeval.php.runtime.interpreter import Interpreter, ReferenceFunction
from bridge.phpeval.php.runtime.methods import (
    answers_nothing,
    call_other,
    call_static_elsewhere,
    find_method,
    find_static,
    require_static,
)
from bridge.phpeval.php.runtime.object_model import require_constructor
from bridge.phpeval.php.runtime.operators import Thrown, warn
from bridge.phpeval.php.runtime.places import Place, PlaceReference, VariablePlace
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value

_NONE: Mapping[str, Value] = {}


class Arguments:
    """The arguments of a call. Called, it gives them: in order, and by name.

    `places` and `by_reference` are for functions that take references.
    """

    __slots__ = ("_codes", "_compiler", "_given", "_kinds", "_places", "plain")

    def __init__(self, c: Compiler, given: tuple[n.Argument, ...]) -> None:
        self._codes = [c.value(argument.value) for argument in given]
        self._given = given
        self._kinds = [(argument.spread, argument.name) for argument in given]
        self._compiler = c.twin()
        self._places: dict[int, tuple[Place, bool]] = {}
        self.plain = not any(argument.spread or argument.name is not None for argument in given)

    def __call__(self, php: Interpreter) -> tuple[Sequence[Value], Mapping[str, Value]]:
        if self.plain:
            return ([code(php) for code in self._codes] if self._codes else ()), _NONE
        positional: list[Value] = []
        named: dict[str, Value] = {}
        for argument, code, (spread, name) in zip(self._given, self._codes, self._kinds, strict=True):
            if spread and is_missing(php, variable_name(argument.value)):
                php.refuse("an undefined variable that is unpacked")
            value = code(php)
            if spread:
                _spread(php, value, positional, named)
            elif name is not None:
                named[name] = value
            else:
                positional.append(value)
        return positional, named

    def places(
        self, php: Interpreter, references: References
    ) -> tuple[list[Any], dict[int, tuple[Place, Any]]]:
        """For a PHP function: arguments in order, and of each by reference, by position, the place that it is
        and what `open` gave. Their values are read once all are evaluated."""
        if not self.plain:
            php.refuse("spread or named arguments of a function that changes its arguments")
        arguments: list[Any] = []
        opened: dict[int, tuple[Place, Any]] = {}
        watched: list[PlaceReference] = []
        for position, code in enumerate(self._codes):
            if position not in references:
                arguments.append(code(php))
                continue
            place, calm = self._place(php, position)
            at = place.open(php)
            if not calm and not isinstance(place, VariablePlace):
                watched.append(PlaceReference(php, place, at))
            opened[position] = place, at
            arguments.append(None)
        for reference in watched:
            reference.check()
        return arguments, opened

    def by_reference(
        self, php: Interpreter, references: References
    ) -> tuple[list[Any], dict[str, Reference], list[PlaceReference]]:
        """For PHP code: arguments in order, those by reference as References; variables that nothing else is
        bound to by name, whose values go back into them; and references to properties and elements."""
        if not self.plain:
            php.refuse("spread or named arguments of a function that changes its arguments")
        arguments: list[Any] = []
        variables: dict[str, Reference] = {}
        inner: list[PlaceReference] = []
        for position, code in enumerate(self._codes):
            if position not in references:
                arguments.append(code(php))
                continue
            place, _ = self._place(php, position)
            at = place.open(php)
            if not isinstance(place, VariablePlace):
                inner.append(PlaceReference(php, place, at))
                arguments.append(inner[-1])
            elif place.shared:
                arguments.append(shared_reference(php.frame.variables, place.name))
            else:
                arguments.append(variables.setdefault(place.name, Reference(None)))
        for name, reference in variables.items():
            reference.value = php.frame.variables.get(name)
        return arguments, variables, inner

    def _place(self, php: Interpreter, position: int) -> tuple[Place, bool]:
        """The place of an argument by reference, and whether the arguments after it leave all as it is."""
        known = self._places.get(position)
        if known is None:
            node = self._given[position].value
            if isinstance(node, n.MethodCall | n.StaticCall):
                php.refuse("what a method gives as an argument by reference")
            if isinstance(node, n.Call | n.New):
                raise warn("Only variables should be passed by reference")
            name = _variable_of(node)
            calm = all(
                isinstance(later.value, n.Literal | n.Constant | n.ClassConstant)
                or (isinstance(later.value, n.Variable) and later.value.name != name)
                for later in self._given[position + 1 :]
            )
            known = self._places[position] = argument_place(self._compiler, node), calm
        return known


def _variable_of(node: n.Expression) -> str | None:
    """The variable that the place begins with."""
    while True:
        match node:
            case n.Variable(name=name):
                return name
            case n.Index(base=inner) | n.Property(object=inner):
                node = inner
            case _:
                return None


def _spread(php: Interpreter, value: Value, positional: list[Value], named: dict[str, Value]) -> None:
    for key, item in unpacked(php, value, argument=True):
        if isinstance(key, bytes):
            named[key.decode("utf-8", "replace")] = item
        elif named:
            raise Thrown("Error", "Cannot use positional argument after named argument during unpacking")
        else:
            positional.append(item)


def _with_references(
    php: Interpreter, arguments: Arguments, references: References, run: Callable[[Sequence[Any]], Value]
) -> Value:
    given, variables, inner = arguments.by_reference(php, references)
    before = _holders(variables, inner)
    try:
        value = run(given)
    finally:
        php.frame.variables.update((name, variables[name].value) for name in variables)
    for at in range(len(inner)):
        inner[at].check()
    if _holders(variables, inner) != before:
        php.refuse("a reference that outlives the call that it was given to")
    return value


def _holders(variables: Mapping[str, Reference], inner: Sequence[PlaceReference]) -> list[int]:
    """How much holds each Reference."""
    return [*map(sys.getrefcount, variables.values()), *map(sys.getrefcount, inner)]


def call(c: Compiler, node: n.Call) -> ExprCode:
    line, strict, name = node.line, node.strict, node.function
    arguments = Arguments(c, node.arguments)
    if not isinstance(name, str):
        return _dynamic_call(c, node, name, arguments)
    function = c.environment.functions.get(name)
    if isinstance(function, ReferenceFunction):
        return _reference_call(node, function, arguments)
    if function is None:  # refused before its arguments, which it may take by reference

        def refuse(php: Interpreter) -> Value:
            php.line = line
            php.refuse(f"the function {name}()")

        return refuse

    def run(php: Interpreter) -> Value:
        given, named = arguments(php)
        php.line = line
        if named:
            given = ordered(php, name, function, given, named)
        return apply(php, function, given, strict=strict)

    return run


def _dynamic_call(c: Compiler, node: n.Call, callee: n.Expression, arguments: Arguments) -> ExprCode:
    line, callback_of = node.line, c.value(callee)

    def run(php: Interpreter) -> Value:
        callback = callback_of(php)
        php.line = line
        strict = php.frame.strict
        if isinstance(callback, bytes):
            function = php.environment.functions.get(callback.decode("utf-8", "replace").lstrip("\\").lower())
            if isinstance(function, ReferenceFunction):
                return _call_reference_function(php, function, arguments, line, strict=strict)
        closure = callback if isinstance(callback, PhpClosure) else as_closure(php, callback)
        if closure.references:

            def run_closure(given: Sequence[Any]) -> Value:
                php.strict = strict
                return closure.act(given)

            return _with_references(php, arguments, closure.references, run_closure)
        given, named = arguments(php)
        php.line, php.strict = line, strict
        return call_closure(php, closure, given, named) if named else closure.act(given)

    return run


def _reference_call(node: n.Call, function: ReferenceFunction, arguments: Arguments) -> ExprCode:
    line, strict = node.line, node.strict
    return lambda php: _call_reference_function(php, function, arguments, line, strict=strict)


def _call_reference_function(
    php: Interpreter, function: ReferenceFunction, arguments: Arguments, line: int, *, strict: bool
) -> Value:
    php.line = line
    values, places = arguments.places(php, function.references)
    php.line = line
    for position, (place, at) in places.items():
        values[position] = place.container(php, at)
    if function.in_place and 0 in places and type(values[0]) is PhpArray:
        values[0] = None  # the array is copied if anything holds it still
        values[0] = places[0][0].array(php, places[0][1])
    given = [position for position in places if values[position] is None]
    try:
        result, changed = apply_reference(php, function, values, strict=strict)
    except Thrown:
        for position in given:  # what was not there is null now, as a reference has been taken of it
            place, at = places[position]
            place.write(php, at, None)
        raise
    for position, value in changed.items():
        if position in places:
            place, at = places[position]
            place.write(php, at, value)
    return result


def method_call(c: Compiler, node: n.MethodCall) -> ExprCode:
    line, nullsafe = node.line, node.nullsafe
    subject, name_of, arguments = c.link(node.object), c.name(node.name), Arguments(c, node.arguments)
    fixed = node.name if isinstance(node.name, str) else None
    absent, there = c.branch(), c.branch()

    def run(php: Interpreter) -> Value:
        holder = subject(php)
        if nullsafe:
            php.path.add(absent if holder is None else there)
            if holder is None:
                raise NullChain
        name = fixed if fixed is not None else name_of(php)
        php.line = line
        if type(holder) is not PhpClosure:
            bound = find_method(php, holder, name)
            if bound is not None:
                return _run_bound(php, bound, holder, holder.class_name, arguments, line)  # type: ignore[union-attr, arg-type]
            if answers_nothing(php, holder.class_name, "__call"):  # type: ignore[union-attr]
                raise Thrown("Error", f"Call to undefined method {holder.class_name}::{name}()")  # type: ignore[union-attr]
        given, named = arguments(php)
        php.line = line
        return call_other(php, holder, name, given, named)  # type: ignore[arg-type]

    return run


def _run_bound(
    php: Interpreter, bound: BoundMethod, this: PhpObject | EnumCase | None, static_class: str,
    arguments: Arguments, line: int,
) -> Value:  # fmt: skip
    strict = php.frame.strict
    references = php.routine(bound.method).references
    if references:

        def run(given: Sequence[Any]) -> Value:
            php.line, php.strict = line, strict
            return php.run(bound, this, static_class, given, {})

        return _with_references(php, arguments, references, run)
    given, named = arguments(php)
    php.line, php.strict = line, strict
    return php.run(bound, this, static_class, given, named)


_RELATIVE = ("self", "static", "parent")


def is_relative(node: n.StaticCall) -> bool:
    """Whether it is written as `self::`, `static::` or `parent::`, which keep the class that was called."""
    return node.class_name in _RELATIVE


def static_call(c: Compiler, node: n.StaticCall) -> ExprCode:
    line, relative = node.line, is_relative(node)
    class_of, name_of, arguments = (
        c.class_name(node.class_name),
        c.name(node.name),
        Arguments(c, node.arguments),
    )

    def run(php: Interpreter) -> Value:
        php.line = line
        class_name, name = class_of(php), name_of(php)
        php.line = line
        called = php.frame.static_class if relative else class_name
        found = find_static(php, class_name, name)
        if found is not None:
            bound, this = found
            return _run_bound(php, bound, this, called if this is None else this.class_name, arguments, line)
        require_static(php, class_name, name)
        given, named = arguments(php)
        php.line = line
        return call_static_elsewhere(php, class_name, called, name, relative, given, named)

    return run


def new(c: Compiler, node: n.New) -> ExprCode:
    line, class_of, arguments = node.line, c.class_name(node.class_name), Arguments(c, node.arguments)
    declaration = node.declaration

    def run(php: Interpreter) -> Value:
        php.line = line
        if declaration is not None:
            php.classes.add(declaration)
        class_name = class_of(php)
        php.line = line
        require_constructor(php, class_name)
        given, named = arguments(php)
        php.line, php.strict = line, php.frame.strict
        return php.make(class_name, given, named)

    return run
