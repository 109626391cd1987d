"""Calls: functions, methods with their visibility, static calls, `new`. One function a node, which compiles
it (see `compile`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bridge.phpeval.php import ast as n
from bridge.phpeval.php.compile.places import Place
from bridge.phpeval.php.runtime.class_table import BoundMethod
from bridge.phpeval.php.runtime.frame import (
    NO_REFERENCES,
    Frame,
    NullChain,
    PhpClosure,
    Reference,
    ReferenceFunction,
    References,
    stored,
)
from bridge.phpeval.php.runtime.members import may_not_reach
from bridge.phpeval.php.runtime.operators import Thrown, identical, type_name, warn
from bridge.phpeval.php.runtime.type_declarations import coerce
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value

if TYPE_CHECKING:
    from bridge.phpeval.php.compile.compiler import Code, Compiler
    from bridge.phpeval.php.runtime.interpreter import Evaluator, Native

_NONE: Mapping[str, Value] = {}
_RELATIVE = ("self", "static", "parent")


# ---- arguments ------------------------------------------------------------------------------


class Arguments:
    """The arguments of a call. Called, it gives them: in order, and by name.

    `by_reference` is for a function that takes references: such an argument is a Reference, and `give_back`
    writes what became of it.
    """

    __slots__ = ("_codes", "_compiler", "_given", "_kinds", "_places", "plain")

    def __init__(self, c: Compiler, given: tuple[n.Argument, ...]) -> None:
        self._codes = [c.value(argument.value) for argument in given]
        self._given = given
        self._kinds = [(argument.spread, argument.name) for argument in given]
        self._compiler = c.twin()
        self._places: dict[int, Place] = {}
        self.plain = not any(argument.spread or argument.name is not None for argument in given)

    def __call__(self, php: Evaluator) -> tuple[Sequence[Value], Mapping[str, Value]]:
        if self.plain:
            return ([code(php) for code in self._codes] if self._codes else ()), _NONE
        positional: list[Value] = []
        named: dict[str, Value] = {}
        for code, (spread, name) in zip(self._codes, self._kinds, strict=True):
            value = code(php)
            if spread:
                _spread(php, value, positional, named)
            elif name is not None:
                named[name] = value
            else:
                positional.append(value)
        return positional, named

    def by_reference(
        self, php: Evaluator, references: References
    ) -> tuple[list[Any], list[tuple[Place, Any]]]:
        """Arguments in order, and where the References of them are kept. Read once all are evaluated."""
        if not self.plain:
            php.refuse("spread or named arguments of a function that changes its arguments")
        arguments: list[Any] = []
        kept: list[tuple[Place, Any]] = []
        for position, code in enumerate(self._codes):
            if position not in references:
                arguments.append(code(php))
                continue
            place = self._place(position)
            at = place.open(php)
            arguments.append(Reference(None))
            kept.append((place, at))
        position = 0
        for argument in arguments:
            if type(argument) is Reference:
                place, at = kept[position]
                argument.value = place.container(php, at)
                position += 1
        return arguments, kept

    def _place(self, position: int) -> Place:
        known = self._places.get(position)
        if known is None:
            node = self._given[position].value
            if isinstance(node, n.Call | n.MethodCall | n.StaticCall | n.New):
                raise warn("Only variables should be passed by reference")
            known = self._places[position] = self._compiler.place(node)
        return known


def _spread(php: Evaluator, value: Value, positional: list[Value], named: dict[str, Value]) -> None:
    for key, item in php.iterable(value).items():
        if isinstance(key, bytes):
            named[key.decode("utf-8", "replace")] = item
        elif named:
            raise Thrown("Error", "Cannot use positional argument after named argument during unpacking")
        else:
            positional.append(item)


def give_back(php: Evaluator, arguments: Sequence[Any], kept: Sequence[tuple[Place, Any]]) -> None:
    """Writes the values that the References have now."""
    references = [argument for argument in arguments if type(argument) is Reference]
    for reference, (place, at) in zip(references, kept, strict=True):
        place.write(php, at, reference.value)


def _with_references(
    php: Evaluator, arguments: Arguments, references: References, run: Callable[[Sequence[Any]], Value]
) -> Value:
    given, kept = arguments.by_reference(php, references)
    try:
        return run(given)
    finally:
        give_back(php, given, kept)


# ---- functions ------------------------------------------------------------------------------


def call(c: Compiler, node: n.Call) -> Code:
    line, strict, name = node.line, node.strict, node.function
    arguments = Arguments(c, node.arguments)
    if not isinstance(name, str):
        return _dynamic_call(c, node, name, arguments)
    function = c.world.functions.get(name)
    if isinstance(function, ReferenceFunction):
        return _reference_call(node, function, arguments)

    def run(php: Evaluator) -> Value:
        given, named = arguments(php)
        php.line = line
        if function is None:
            php.refuse(f"the function {name}()")
        if named:
            given = php.positional(name, function, given, named)
        return php.apply(function, given, strict=strict)

    return run


def _dynamic_call(c: Compiler, node: n.Call, callee: n.Expression, arguments: Arguments) -> Code:
    line, callback_of = node.line, c.value(callee)

    def run(php: Evaluator) -> Value:
        callback = callback_of(php)
        php.line = line
        strict = php.frame.strict
        if isinstance(callback, bytes):
            function = php.world.functions.get(callback.decode("utf-8", "replace").lstrip("\\").lower())
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
        return closure.call(php, given, named) if named else closure.act(given)

    return run


def _reference_call(node: n.Call, function: ReferenceFunction, arguments: Arguments) -> Code:
    line, strict = node.line, node.strict
    return lambda php: _call_reference_function(php, function, arguments, line, strict=strict)


def _call_reference_function(
    php: Evaluator, function: ReferenceFunction, arguments: Arguments, line: int, *, strict: bool
) -> Value:
    php.line = line
    given, kept = arguments.by_reference(php, function.references)
    places = iter(kept)
    at = {position: next(places) for position, value in enumerate(given) if type(value) is Reference}
    php.line = line
    values = [value.value if type(value) is Reference else value for value in given]
    result, changed = php.apply_reference(function, values, strict=strict)
    for position, value in changed.items():
        if position in at:
            place, opened = at[position]
            place.write(php, opened, value)
    return result


def as_closure(php: Evaluator, callback: Value) -> PhpClosure:
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
        return method_reference(php, callback, "__invoke")
    raise Thrown("Error", "Value not callable")


def function_reference(php: Evaluator, name: str) -> PhpClosure:
    """`name(...)`. strict_types count where it is called."""
    function = php.world.functions.get(name)
    if function is None:
        php.refuse(f"the function {name}()")
    if isinstance(function, ReferenceFunction):
        return PhpClosure(lambda arguments: php.call(name.encode(), arguments))

    def act(arguments: Sequence[Value], named: Mapping[str, Value] = _NONE) -> Value:
        given = php.positional(name, function, arguments, named) if named else arguments
        return php.apply(function, given, strict=php.strict)

    return PhpClosure(act, named=act)


# ---- methods --------------------------------------------------------------------------------


def method_call(c: Compiler, node: n.MethodCall) -> Code:
    line, nullsafe = node.line, node.nullsafe
    subject, name_of, arguments = c.link(node.object), c.name(node.name), Arguments(c, node.arguments)
    fixed = node.name if isinstance(node.name, str) else None

    def run(php: Evaluator) -> Value:
        holder = subject(php)
        if nullsafe and holder is None:
            raise NullChain
        name = fixed if fixed is not None else name_of(php)
        php.line = line
        if type(holder) is not PhpClosure:
            bound = find_method(php, holder, name)
            if bound is not None:
                return _run_bound(php, bound, holder, holder.class_name, arguments, line)  # type: ignore[union-attr, arg-type]
            if _answers_nothing(php, holder.class_name, "__call"):  # type: ignore[union-attr]
                raise Thrown("Error", f"Call to undefined method {holder.class_name}::{name}()")  # type: ignore[union-attr]
        given, named = arguments(php)
        php.line = line
        return _call_other(php, holder, name, given, named)  # type: ignore[arg-type]

    return run


def _run_bound(
    php: Evaluator, bound: BoundMethod, this: PhpObject | EnumCase | None, static_class: str,
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


def find_method(php: Evaluator, holder: Value, name: str) -> BoundMethod | None:
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


def _answers_nothing(php: Evaluator, class_name: str, *magic: str) -> bool:
    """Whether a method that the class does not declare is an Error, before its arguments are evaluated."""
    if php.world.native(class_name) is not None or not php.is_complete(class_name):
        return False
    if php.is_enum(class_name):
        return False
    return all(php.classes.method(class_name, method) is None for method in magic)


def _call_other(
    php: Evaluator,
    holder: PhpObject | EnumCase,
    name: str,
    arguments: Sequence[Value],
    named: Mapping[str, Value],
) -> Value:
    """A method that is not the app's own code."""
    class_name = holder.class_name
    if isinstance(holder, PhpClosure):
        return _call_closure(php, holder, name, arguments, named)
    if isinstance(holder, EnumCase):
        if name.lower() in ("cases", "from", "tryfrom") and php.is_enum(class_name):
            return enum_static(php, class_name, name, arguments)
        php.refuse(f"the method {class_name}::{name}()")
    native = php.world.native(class_name)
    if native is not None:
        return native.call(php, holder, name, positional(php, native, name, arguments, named))
    if not php.is_complete(class_name):
        php.refuse(f"the method {class_name}::{name}()")
    magic = php.classes.method(class_name, "__call")
    if magic is None:  # of a callable: a call is checked before
        raise Thrown("Error", f"Call to undefined method {class_name}::{name}()")
    if named:
        php.refuse("named arguments of __call")
    return php.run(magic, holder, class_name, (name.encode(), PhpArray.of(arguments)), {})


def _call_closure(
    php: Evaluator, closure: PhpClosure, name: str, arguments: Sequence[Value], named: Mapping[str, Value]
) -> Value:
    if name.lower() != "__invoke":
        php.refuse(f"Closure::{name}()")
    if named or closure.references:
        php.refuse("these arguments of a closure")
    php.strict = php.frame.strict
    return closure.act(arguments)


def method_reference(php: Evaluator, holder: Value, name: str) -> PhpClosure:
    """`$holder->name(...)`: found now, by the code that runs."""
    if isinstance(holder, PhpClosure):
        if name.lower() == "__invoke":
            return holder
        php.refuse(f"Closure::{name}()")
    bound = find_method(php, holder, name)
    if bound is None:
        return PhpClosure(lambda arguments: _call_other(php, holder, name, arguments, {}))  # type: ignore[arg-type]
    this: Any = None if bound.method.static else holder
    static_class = holder.class_name  # type: ignore[union-attr]
    return _bound_closure(php, bound, this, static_class)


def _bound_closure(php: Evaluator, bound: BoundMethod, this: Any, static_class: str) -> PhpClosure:
    def act(arguments: Sequence[Value], named: Mapping[str, Value] = _NONE) -> Value:
        return php.run(bound, this, static_class, arguments, named)

    return PhpClosure(act, php.routine(bound.method).references, act)


# ---- static calls ---------------------------------------------------------------------------


def is_relative(node: n.StaticCall) -> bool:
    """Whether it is written as `self::`, `static::` or `parent::`, which keep the class that was called."""
    return node.class_name in _RELATIVE


def static_call(c: Compiler, node: n.StaticCall) -> Code:
    line, relative = node.line, is_relative(node)
    class_of, name_of, arguments = (
        c.class_name(node.class_name),
        c.name(node.name),
        Arguments(c, node.arguments),
    )

    def run(php: Evaluator) -> Value:
        php.line = line
        class_name, name = class_of(php), name_of(php)
        php.line = line
        called = php.frame.static_class if relative else class_name
        found = _find_static(php, class_name, name)
        if found is not None:
            bound, this = found
            return _run_bound(php, bound, this, called if this is None else this.class_name, arguments, line)
        if _answers_nothing(php, class_name, "__call", "__callStatic"):
            raise Thrown("Error", f"Call to undefined method {class_name}::{name}()")
        given, named = arguments(php)
        php.line = line
        return _call_static_elsewhere(php, class_name, called, name, relative, given, named)

    return run


def _find_static(
    php: Evaluator, class_name: str, name: str
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


def _call_static_elsewhere(
    php: Evaluator, class_name: str, called: str, name: str, relative: bool,
    arguments: Sequence[Value], named: Mapping[str, Value],
) -> Value:  # fmt: skip
    """A static call of what is not the app's own code."""
    if relative and php.frame.this is not None:
        native = php.world.native(php.frame.this.class_name)
        if native is not None:
            given = positional(php, native, name, arguments, named)
            return native.call(php, php.frame.this, name, given)
    native = php.world.native(class_name)
    if native is not None:
        return native.static(php, called, name, positional(php, native, name, arguments, named))
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


def static_reference(php: Evaluator, class_name: str, name: str, relative: bool) -> PhpClosure:
    """`Class::name(...)`: found now, by the code that runs."""
    called = php.frame.static_class if relative else class_name
    found = _find_static(php, class_name, name)
    if found is None:
        frame = php.frame

        def act(arguments: Sequence[Value]) -> Value:
            return php.inside(
                frame,
                lambda _: _call_static_elsewhere(php, class_name, called, name, relative, arguments, {}),
            )

        return PhpClosure(act)
    bound, this = found
    return _bound_closure(php, bound, this, called if this is None else this.class_name)


def enum_static(php: Evaluator, class_name: str, name: str, arguments: Sequence[Value]) -> Value:
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


def _backing(php: Evaluator, value: Value, kind: str) -> Value:
    """The argument of from() as the type of the enum takes it; null passes where PHP only deprecates it."""
    strict = php.frame.strict
    if value is None and not strict:
        return 0 if kind == "int" else b""
    return coerce(php, value, n.Type(names=(kind,)), "argument", strict=strict)


# ---- objects --------------------------------------------------------------------------------


def new(c: Compiler, node: n.New) -> Code:
    line, class_of, arguments = node.line, c.class_name(node.class_name), Arguments(c, node.arguments)

    def run(php: Evaluator) -> Value:
        php.line = line
        class_name = class_of(php)
        php.line = line
        php.require_constructor(class_name)
        given, named = arguments(php)
        php.line, php.strict = line, php.frame.strict
        return php.make(class_name, given, named)

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
    """Runs the constructor; promoted parameters are put into their properties first."""
    php.run(bound, made, made.class_name, arguments, named)


__all__ = ["NO_REFERENCES", "Frame", "construct", "enum_static", "positional", "stored"]
