"""Nodes + values + a World → a value. Free of side effects, within a budget of steps and bytes.

Rules of this room: nothing here knows Laravel. What lies outside the language (functions, constants,
classes written in Python) comes from the `World`. A construct without an entry in the tables below has
already been refused by `syntax`; what the World does not know is refused here with file and line.

How values behave: arrays are copied when they are stored (assigned, passed, captured, put into another
array), so that a write never shows elsewhere; objects are shared. A PHP exception travels as `Thrown`, and a
warning is one too, as Laravel makes ErrorExceptions of warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from bridge.errors import Refused
from bridge.php import nodes as n
from bridge.php import syntax
from bridge.php.classes import BoundMethod, ClassTable
from bridge.php.operators import (
    BINARY,
    Thrown,
    equal,
    identical,
    is_numeric,
    number_prefix,
    to_bool,
    to_float,
    to_int,
    to_string,
    type_name,
    warn,
)
from bridge.php.values import (
    CustomSerialized,
    EnumCase,
    PhpArray,
    PhpObject,
    Value,
    array_key,
    plain_name,
)

MAX_STEPS = 200_000  # nodes evaluated for one event
MAX_STRING = 8 << 20  # bytes of one string
MAX_CALLS = 100  # nested calls

Function = Callable[["Evaluator", Sequence[Value]], Value]


@dataclass(frozen=True, slots=True)
class ReferenceFunction:
    """A function that changes some of its arguments (`sort`, `preg_match`).

    positions  of the arguments taken by reference; they may be variables that do not exist yet (null)
    act        returns the result and the new values of these arguments, by position
    """

    positions: tuple[int, ...]
    act: Callable[[Evaluator, Sequence[Value]], tuple[Value, Mapping[int, Value]]]


class Native(Protocol):
    """A class, or a family of classes, whose behaviour is written in Python.

    Each raises Refused for what it does not know; `method` and `name` are as written in the source. A class
    whose methods may be called with named arguments has `parameters`: lower-case method → their names.
    """

    def construct(self, php: Evaluator, class_name: str, arguments: Sequence[Value]) -> Value: ...

    def call(self, php: Evaluator, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value: ...

    def static(self, php: Evaluator, class_name: str, method: str, arguments: Sequence[Value]) -> Value: ...

    def read(self, php: Evaluator, subject: PhpObject, name: str) -> Value: ...

    def has(self, php: Evaluator, subject: PhpObject, name: str) -> bool: ...


class World(Protocol):
    """What surrounds the code that is evaluated."""

    @property
    def classes(self) -> ClassTable: ...

    @property
    def functions(self) -> Mapping[str, Function | ReferenceFunction]:
        """By lower-case name. Arguments come unconverted and uncounted: `arity` and the conversions of
        `bridge.php.operators` are each function's own business."""
        ...

    @property
    def constants(self) -> Mapping[str, Value]: ...

    def native(self, class_name: str) -> Native | None: ...


class PhpClosure(PhpObject):
    """A closure or a reference to a function; it has no JSON form and leaves no trace in a payload."""

    __slots__ = ("act",)

    def __init__(self, act: Callable[[Sequence[Value]], Value]) -> None:
        super().__init__("Closure")
        self.act = act


@dataclass(slots=True)
class Frame:
    """One call: its variables, `$this`, the class whose code runs and the class it was called on."""

    file: str
    variables: dict[str, Value] = field(default_factory=dict)
    this: PhpObject | None = None
    class_name: str = ""
    static_class: str = ""
    function: str = ""


class _Return(Exception):
    def __init__(self, value: Value) -> None:
        self.value = value


class _Leave(Exception):
    def __init__(self, levels: int, again: bool) -> None:
        self.levels = levels
        self.again = again


class Evaluator:
    """Evaluates for one event; make a new one for the next (the budget is its state)."""

    def __init__(self, world: World, *, max_steps: int = MAX_STEPS) -> None:
        self.world = world
        self.classes = world.classes
        self._steps = max_steps
        self._depth = 0
        self._frame = Frame("")
        self._line = 0
        self.strict = False  # whether the function call under way stands in a file with strict_types

    # ---- what others call ---------------------------------------------------------------

    def call_method(self, subject: PhpObject, name: str, arguments: Sequence[Value] = ()) -> Value:
        """`$subject->name(…)` from outside of any class."""
        bound = self.classes.method(subject.class_name, name) if self._declared(subject) else None
        if bound is not None:
            return self._run(bound, subject, subject.class_name, arguments, {})
        native = self.world.native(subject.class_name)
        if native is None:
            self.refuse(f"the method {subject.class_name}::{name}()")
        return native.call(self, subject, name, arguments)

    def call_static(self, class_name: str, name: str, arguments: Sequence[Value] = ()) -> Value:
        """`Class::name(…)`."""
        if self.classes.find(class_name) is not None:
            bound = self.classes.method(class_name, name)
            if bound is not None:
                if not bound.method.static:
                    self.refuse(f"the static call of {class_name}::{name}(), which is not static")
                return self._run(bound, None, class_name, arguments, {})
            if self.is_enum(class_name):
                return self._enum_static(class_name, name, arguments)
        native = self.world.native(class_name)
        if native is None:
            self.refuse(f"the static method {class_name}::{name}()")
        return native.static(self, class_name, name, arguments)

    def call(self, callback: Value, arguments: Sequence[Value]) -> Value:
        """What `$callback(…)` gives: a closure, function name, `[object, method]` or invokable object."""
        if isinstance(callback, PhpClosure):
            return callback.act(arguments)
        if isinstance(callback, bytes):
            name = callback.decode("utf-8", "replace")
            class_name, colons, method = name.partition("::")
            if colons:
                return self.call_static(class_name.lstrip("\\"), method, arguments)
            return self._function(name.lstrip("\\").lower(), arguments)
        if isinstance(callback, PhpArray) and len(callback) == 2 and callback.is_list:
            subject, method_name = callback[0], to_string(callback[1]).decode()
            if isinstance(subject, PhpObject):
                return self.call_method(subject, method_name, arguments)
            if isinstance(subject, bytes):
                return self.call_static(subject.decode().lstrip("\\"), method_name, arguments)
        if isinstance(callback, PhpObject):
            return self.call_method(callback, "__invoke", arguments)
        raise Thrown("Error", "Value not callable")

    def constant_expression(self, expression: n.Expression, class_name: str, file: str) -> Value:
        """A default value or constant of a class."""
        return self._inside(Frame(file, {}, None, class_name, class_name), lambda: self._value(expression))

    def text(self, value: Value) -> bytes:
        """`(string) $value`, `__toString` included."""
        if isinstance(value, PhpObject):
            declared = self._declared(value) and self.world.native(value.class_name) is None
            if declared and self.classes.method(value.class_name, "__toString") is None:
                return to_string(value)
            return to_string(self.call_method(value, "__toString"))
        return to_string(value)

    def backing_value(self, case: EnumCase) -> int | bytes | None:
        """The value of a backed enum case; None for a pure enum. Refused if its source is not known."""
        declared = self.classes.require(case.class_name)
        if case.case not in declared.cases:
            raise Thrown("Error", f"Undefined constant {case.class_name}::{case.case}")
        expression = declared.cases[case.case]
        if expression is None:
            return None
        value = self.constant_expression(expression, declared.name, declared.file)
        if not isinstance(value, int | bytes):
            self.refuse(f"the value of {case.class_name}::{case.case}")
        return value

    def is_enum(self, class_name: str) -> bool:
        declared = self.classes.find(class_name)
        return declared is not None and declared.kind == "enum"

    def is_a(self, value: Value, class_name: str) -> bool:
        """`$value instanceof Class`; Refused where the chain of its class is not known."""
        if not isinstance(value, PhpObject | EnumCase | CustomSerialized):
            return False
        if class_name == "Closure" or isinstance(value, PhpClosure):
            return value.class_name == class_name
        answer = self.classes.is_a(value.class_name, class_name)
        if answer is None:
            if isinstance(value, EnumCase) and class_name in ("UnitEnum", "BackedEnum"):
                return class_name == "UnitEnum" or self.backing_value(value) is not None
            self.refuse(f"whether {value.class_name} is a {class_name}")
        if not answer and isinstance(value, EnumCase) and class_name in ("UnitEnum", "BackedEnum"):
            return class_name == "UnitEnum" or self.backing_value(value) is not None
        return answer

    @property
    def function_name(self) -> str:
        """The method that is running."""
        return self._frame.function

    def runs_inside(self, subject: PhpObject) -> bool:
        """Whether the code that runs may reach protected members of the object."""
        scope = self._frame.class_name
        return bool(scope) and bool(self.classes.is_a(subject.class_name, scope))

    def instantiate(self, class_name: str) -> PhpObject:
        """An object with every property at its default, no constructor run."""
        return PhpObject(class_name, self.defaults(class_name))

    def defaults(self, class_name: str) -> dict[int | bytes, Value]:
        """Mangled name → default; typed properties without one are left out (uninitialized)."""
        return dict(self.classes.remember("defaults", class_name, lambda: self._defaults(class_name)))

    def _defaults(self, class_name: str) -> dict[int | bytes, Value]:
        values: dict[int | bytes, Value] = {}
        for bound in self.classes.instance_properties(class_name):
            declaration = bound.declaration
            if declaration.default is not None:
                file = self.classes.require(bound.owner).file
                values[bound.mangled] = self.constant_expression(declaration.default, bound.owner, file)
            elif declaration.type is None:
                values[bound.mangled] = None
        return values

    def accepts(self, value: Value, declared: n.Type, class_name: str) -> bool:
        """Whether a property of that type, in that class, may hold the value unconverted."""
        if declared.names is None:
            return True
        outer = self._frame
        self._frame = Frame("", {}, None, class_name, class_name)
        try:
            return any(self._fits(value, name) for name in declared.names)
        finally:
            self._frame = outer

    def spend(self, steps: int) -> None:
        """Takes more than one step off the budget, for work that grows with a string or an array."""
        self._steps -= steps
        if self._steps < 0:
            self.refuse("code that runs this long")

    def refuse(self, what: str) -> NoReturn:
        """Raises Refused, pointing at the line under evaluation."""
        raise Refused(f"{what} is not evaluated natively", file=self._frame.file, line=self._line)

    # ---- calls ----------------------------------------------------------------------------

    def _complete(self, class_name: str) -> bool:
        """Whether all code of the class is at hand: a declaration without a file has none of its methods."""
        return self.classes.find(class_name) is not None and all(
            part.file for part in self.classes.whole(class_name)
        )

    def _declared(self, value: PhpObject | EnumCase) -> bool:
        return self.classes.find(value.class_name) is not None

    def _inside(self, frame: Frame, act: Callable[[], Value]) -> Value:
        if self._depth >= MAX_CALLS:
            self.refuse("a recursion this deep")
        outer, line = self._frame, self._line
        self._frame = frame
        self._depth += 1
        try:
            return act()
        finally:
            self._frame, self._line = outer, line
            self._depth -= 1

    def _run(
        self,
        bound: BoundMethod,
        this: PhpObject | None,
        static_class: str,
        arguments: Sequence[Value],
        named: Mapping[str, Value],
        case: EnumCase | None = None,
    ) -> Value:
        method = bound.method
        body = self.classes.body(method)
        frame = Frame(method.file, {}, this, bound.owner, static_class, method.name)
        if case is not None:
            frame.variables["this"] = case
        elif this is not None and not method.static:
            frame.variables["this"] = this

        def act() -> Value:
            self._bind(syntax.lower_parameters(method), arguments, named)
            return self._coerce(self._body(body), method.returns, "return value")

        return self._inside(frame, act)

    def _body(self, body: tuple[n.Statement, ...]) -> Value:
        try:
            self._statements(body)
        except _Return as returned:
            return returned.value
        return None

    def _bind(
        self, parameters: tuple[n.Parameter, ...], arguments: Sequence[Value], named: Mapping[str, Value]
    ) -> None:
        variables = self._frame.variables
        for index, parameter in enumerate(parameters):
            if parameter.variadic:
                rest = PhpArray.of(
                    self._coerce(value, parameter.type, "argument") for value in arguments[index:]
                )
                variables[parameter.name] = rest
                break
            if index < len(arguments):
                value = arguments[index]
            elif parameter.name in named:
                value = named[parameter.name]
            elif parameter.default is not None:
                variables[parameter.name] = self._value(parameter.default)
                continue
            else:
                raise Thrown("ArgumentCountError", f"Too few arguments, ${parameter.name} is missing")
            variables[parameter.name] = _stored(self._coerce(value, parameter.type, "argument"))
        for name in named:
            if all(parameter.name != name for parameter in parameters):
                self.refuse(f"the named argument {name}")

    def _coerce(self, value: Value, declared: n.Type | None, what: str) -> Value:
        """The value as a declared type takes it: checked, and converted where PHP converts."""
        if declared is None:
            return value
        if declared.names is None:
            self.refuse(f"the type of this {what}")
        names = declared.names
        if any(self._fits(value, name) for name in names):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and "float" in names:
            return float(value)
        scalar = isinstance(value, bool | int | float | bytes)
        if scalar and not declared.strict:
            converted = _weak(value, names)  # type: ignore[arg-type]
            if converted is not None:
                return converted
        raise Thrown("TypeError", f"{what} of type {type_name(value)} given, {'|'.join(names)} expected")

    def _fits(self, value: Value, name: str) -> bool:
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
                return isinstance(value, PhpArray) or self.is_a(value, "Traversable")
            case "callable":
                return isinstance(value, PhpClosure)
            case "never":
                return False
            case "self":
                return self.is_a(value, self._frame.class_name)
            case "static":
                return self.is_a(value, self._frame.static_class)
            case "parent":
                self.refuse("the type parent")
        return isinstance(value, PhpObject | EnumCase | CustomSerialized) and self.is_a(value, name)

    def _function(self, name: str, arguments: Sequence[Value], *, strict: bool = False) -> Value:
        function = self.world.functions.get(name)
        if function is None:
            self.refuse(f"the function {name}()")
        self.strict = strict
        if isinstance(function, ReferenceFunction):
            return function.act(self, arguments)[0]
        result = function(self, arguments)
        if isinstance(result, bytes) and len(result) > MAX_STRING:
            self.refuse("a string this long")
        return result

    def _arguments(self, given: tuple[n.Argument, ...]) -> tuple[list[Value], dict[str, Value]]:
        positional: list[Value] = []
        named: dict[str, Value] = {}
        for argument in given:
            value = self._value(argument.value)
            if argument.spread:
                if not isinstance(value, PhpArray):
                    self.refuse("spreading what is not an array")
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

    # ---- statements -------------------------------------------------------------------------

    def _statements(self, body: tuple[n.Statement, ...]) -> None:
        for statement in body:
            self._step(statement.line)
            _STATEMENTS[type(statement)](self, statement)

    def _step(self, line: int) -> None:
        self._line = line
        self._steps -= 1
        if self._steps < 0:
            self.refuse("code that runs this long")

    def _return(self, node: n.Return) -> None:
        raise _Return(self._value(node.value) if node.value is not None else None)

    def _evaluate(self, node: n.Evaluate) -> None:
        self._value(node.expression)

    def _if(self, node: n.If) -> None:
        self._statements(node.then if to_bool(self._value(node.condition)) else node.otherwise)

    def _turn(self, body: tuple[n.Statement, ...]) -> bool:
        """One turn of a loop; False where it ends the loop."""
        try:
            self._statements(body)
        except _Leave as leave:
            if leave.levels > 1:
                raise _Leave(leave.levels - 1, leave.again) from None
            return leave.again
        return True

    def _foreach(self, node: n.Foreach) -> None:
        subject = self.iterable(self._value(node.subject))
        for key, value in list(subject.items()):
            self._assign_to(node.value, value)
            if node.key is not None:
                self._assign_to(node.key, key)
            self._step(node.line)
            if not self._turn(node.body):
                break

    def iterable(self, value: Value) -> PhpArray:
        """The entries that foreach would go through."""
        if isinstance(value, PhpArray):
            return value
        if isinstance(value, PhpObject):
            native = self.world.native(value.class_name)
            entries = native.call(self, value, "all", ()) if native is not None else None
            if isinstance(entries, PhpArray):
                return entries
            self.refuse(f"a loop over an object of class {value.class_name}")
        raise warn(f"foreach() argument must be of type array|object, {type_name(value)} given")

    def _loop(self, node: n.Loop) -> None:
        for expression in node.before:
            self._value(expression)
        first = node.first
        while True:
            if not first and node.condition:
                results = [self._value(expression) for expression in node.condition]
                if not to_bool(results[-1]):
                    return
            first = False
            self._step(node.line)
            if not self._turn(node.body):
                return
            for expression in node.after:
                self._value(expression)

    def _switch(self, node: n.Switch) -> None:
        subject = self._value(node.subject)
        start = next(
            (
                index
                for index, case in enumerate(node.cases)
                if case.value is not None and equal(subject, self._value(case.value))
            ),
            None,
        )
        if start is None:
            start = next(
                (index for index, case in enumerate(node.cases) if case.value is None), len(node.cases)
            )
        try:
            for case in node.cases[start:]:
                self._statements(case.body)
        except _Leave as leave:
            if leave.levels > 1:
                raise _Leave(leave.levels - 1, leave.again) from None

    def _leave(self, node: n.Leave) -> None:
        raise _Leave(node.levels, node.again)

    def _unset(self, node: n.Unset) -> None:
        for target in node.targets:
            match target:
                case n.Variable(name=name):
                    self._frame.variables.pop(name, None)
                case n.Index(base=base, index=index) if index is not None:
                    holder = self._value_or_null(base)
                    if isinstance(holder, PhpArray):
                        changed = holder.copy()
                        changed.next_index = holder.upcoming()
                        changed.pop(self.key(self._value(index)), None)
                        self._assign_to(base, changed)
                    elif holder is not None:
                        self.refuse("unset of an offset of this")
                case _:
                    self.refuse("unset of this")

    def _try(self, node: n.Try) -> None:
        try:
            self._caught(node)
        finally:
            # A return or exception in finally replaces the one under way, as in PHP.
            self._statements(node.finally_body)

    def _caught(self, node: n.Try) -> None:
        try:
            self._statements(node.body)
        except Thrown as thrown:
            for catch in node.catches:
                if any(self._catches(thrown.exception, name) for name in catch.class_names):
                    if catch.variable is not None:
                        self._frame.variables[catch.variable] = thrown.exception
                    self._statements(catch.body)
                    return
            raise

    def _catches(self, exception: PhpObject, class_name: str) -> bool:
        return class_name == "Throwable" or self.is_a(exception, class_name)

    # ---- expressions ------------------------------------------------------------------------

    def _value(self, node: n.Expression) -> Value:
        self._step(node.line or self._line)
        return _EXPRESSIONS[type(node)](self, node)

    def _value_or_null(self, node: n.Expression) -> Value:
        """As the left of `??` or inside `isset`: whatever is not there is null, without a warning."""
        match node:
            case n.Variable(name=name):
                return self._frame.variables.get(name)
            case n.Index(base=base, index=index) if index is not None:
                holder = self._value_or_null(base)
                if holder is None:
                    return None
                return self.offset(holder, self._value(index), quiet=True)
            case n.Property(object=base, name=name):
                holder = self._value_or_null(base)
                if not isinstance(holder, PhpObject | EnumCase):
                    return None
                return self.read(holder, self._name(name), quiet=True)
        return self._value(node)

    def _literal(self, node: n.Literal) -> Value:
        return node.value

    def _unknown(self, node: syntax.Unknown) -> Value:
        raise node.problem

    def _interpolated(self, node: n.Interpolated) -> Value:
        return b"".join([self.text(self._value(part)) for part in node.parts])

    def _array(self, node: n.ArrayLiteral) -> Value:
        result = PhpArray()
        for entry in node.entries:
            if entry.spread:
                for key, value in self.iterable(self._value(entry.value)).items():
                    if isinstance(key, int):
                        result.append(_stored(value))
                    else:
                        result[key] = _stored(value)
            elif entry.key is None:
                result.append(_stored(self._value(entry.value)))
            else:
                index = self.key(self._value(entry.key))
                result[index] = _stored(self._value(entry.value))
        return result

    def _variable(self, node: n.Variable) -> Value:
        try:
            return self._frame.variables[node.name]
        except KeyError:
            raise warn(f"Undefined variable ${node.name}") from None

    def _name(self, name: str | n.Expression) -> str:
        if isinstance(name, str):
            return name
        return self.text(self._value(name)).decode("utf-8", "surrogateescape")

    def _property(self, node: n.Property) -> Value:
        holder = self._value(node.object)
        if holder is None and node.nullsafe:
            return None
        return self.read(holder, self._name(node.name))

    def read(self, holder: Value, name: str, *, quiet: bool = False) -> Value:
        """`$holder->name` as the code under evaluation sees it; `quiet` gives null instead of a warning."""
        if isinstance(holder, EnumCase):
            if name == "name":
                return holder.case.encode()
            value = self.backing_value(holder) if name == "value" else None
            if value is None and not quiet:
                raise warn(f"Undefined property: {holder.class_name}::${name}")
            return value
        if not isinstance(holder, PhpObject):
            if quiet:
                return None
            raise warn(f'Attempt to read property "{name}" on {type_name(holder)}')
        if holder.class_name == "stdClass":
            key = name.encode("utf-8", "surrogateescape")
            if key not in holder.properties and not quiet:
                raise warn(f"Undefined property: stdClass::${name}")
            return holder.properties.get(key)
        native = self.world.native(holder.class_name)
        if native is not None:
            if quiet and not native.has(self, holder, name):
                return None
            return native.read(self, holder, name)
        if not self._declared(holder):
            self.refuse(f"the property {holder.class_name}::${name}")
        mangled = self._slot(holder, name)
        if mangled is not None and mangled in holder.properties:
            return holder.properties[mangled]
        magic = self.classes.method(holder.class_name, "__get")
        if magic is not None:
            self.refuse(f"__get of {holder.class_name}")
        if not self._complete(holder.class_name) and mangled is None:
            self.refuse(f"the property {holder.class_name}::${name}")
        if quiet:
            return None
        if mangled is not None:
            raise Thrown("Error", f"Typed property {holder.class_name}::${name} must not be accessed before "
                                  "initialization")  # fmt: skip
        raise warn(f"Undefined property: {holder.class_name}::${name}")

    def _slot(self, holder: PhpObject, name: str) -> bytes | None:
        """The mangled name by which the running code may reach a property; None if it is not declared."""
        plain = name.encode("utf-8", "surrogateescape")
        scope = self._frame.class_name
        if scope and scope != holder.class_name and self.classes.find(scope) is not None:
            own = self.classes.require(scope).properties.get(name)
            if own is not None and own.visibility == "private":
                mangled = b"\0" + scope.encode() + b"\0" + plain
                if mangled in holder.properties or self.classes.is_a(holder.class_name, scope):
                    return mangled
        bound = self.classes.properties(holder.class_name).get(name)
        if bound is None or bound.declaration.static:
            return plain if plain in holder.properties else None
        if bound.declaration.hooked:
            self.refuse(f"the property hook of ${name}")
        if bound.declaration.visibility == "private" and bound.owner != scope:
            raise Thrown("Error", f"Cannot access private property {holder.class_name}::${name}")
        if bound.declaration.visibility == "protected":
            related = scope and (
                self.classes.is_a(holder.class_name, scope) or self.classes.is_a(scope, bound.owner)
            )
            if not related:
                raise Thrown("Error", f"Cannot access protected property {holder.class_name}::${name}")
        return bound.mangled

    def _static_property(self, node: n.StaticProperty) -> Value:
        # Its value may have been changed by anything that ran before in the process.
        self.refuse(f"the static property ${node.name}")

    def _class(self, reference: str | n.Expression) -> str:
        """The class that `self`, `static`, `parent`, a name or an object in front of `::` means."""
        if isinstance(reference, n.Expression):
            value = self._value(reference)
            if isinstance(value, PhpObject | EnumCase):
                return value.class_name
            if isinstance(value, bytes):
                return value.decode("utf-8", "replace").lstrip("\\")
            raise Thrown("Error", "Class name must be a valid object or a string")
        match reference:
            case "self":
                return self._frame.class_name
            case "static":
                return self._frame.static_class
            case "parent":
                parent = self.classes.require(self._frame.class_name).parent
                if parent is None:
                    self.refuse("parent of a class without one")
                return parent
        return reference

    def _class_constant(self, node: n.ClassConstant) -> Value:
        class_name = self._class(node.class_name)
        if node.name == "class":
            return class_name.encode()
        if self.classes.find(class_name) is None:
            self.refuse(f"the constant {class_name}::{node.name}")
        if node.name in self.classes.require(class_name).cases:
            return EnumCase(class_name, node.name)
        found = self.classes.constant(class_name, node.name)
        if found is None:
            raise Thrown("Error", f"Undefined constant {class_name}::{node.name}")
        expression, owner = found
        return self.constant_expression(expression, owner, self.classes.require(owner).file)

    def _constant(self, node: n.Constant) -> Value:
        if node.name not in self.world.constants:
            self.refuse(f"the constant {node.name}")
        return self.world.constants[node.name]

    def _index(self, node: n.Index) -> Value:
        if node.index is None:
            raise Thrown("Error", "Cannot use [] for reading")
        return self.offset(self._value(node.base), self._value(node.index))

    def offset(self, holder: Value, index: Value, *, quiet: bool = False) -> Value:
        """`$holder[$index]`; `quiet` gives null where there is nothing."""
        if isinstance(holder, PhpArray):
            key = self.key(index)
            if key in holder:
                return holder[key]
            if quiet:
                return None
            raise warn(f'Undefined array key "{plain_name(key)}"')
        if isinstance(holder, bytes):
            if not isinstance(index, int) and not (isinstance(index, bytes) and is_numeric(index)):
                if quiet:
                    return None
                raise Thrown("TypeError", "Cannot access offset of this type on string")
            position = to_int(index)
            if -len(holder) <= position < len(holder):
                return holder[position : position + 1] or holder[position:]
            if quiet:
                return None
            raise warn(f"Uninitialized string offset {position}")
        if isinstance(holder, PhpObject):
            method = "offsetGet"
            if quiet and not to_bool(self.call_method(holder, "offsetExists", (index,))):
                return None
            return self.call_method(holder, method, (index,))
        if quiet:
            return None
        if holder is None or isinstance(holder, bool | int | float):
            raise warn(f"Trying to access array offset on value of type {type_name(holder)}")
        self.refuse("an offset of this")

    def key(self, index: Value) -> int | bytes:
        """An array key as PHP makes it of a value."""
        match index:
            case bytes():
                return array_key(index)
            case bool() | int():
                return int(index)
            case None:
                return b""
            case float():
                if index != int(index):
                    self.refuse("a fraction as an array key")
                return int(index)
        raise Thrown("TypeError", "Illegal offset type")

    def _call(self, node: n.Call) -> Value:
        if isinstance(node.function, str):
            function = self.world.functions.get(node.function)
            if isinstance(function, ReferenceFunction):
                return self._reference_call(function, node)
        arguments, named = self._arguments(node.arguments)
        if named:
            self.refuse("named arguments of a function")
        if isinstance(node.function, str):
            return self._function(node.function, arguments, strict=node.strict)
        return self.call(self._value(node.function), arguments)

    def _reference_call(self, function: ReferenceFunction, node: n.Call) -> Value:
        arguments: list[Value] = []
        for position, argument in enumerate(node.arguments):
            if argument.spread or argument.name is not None:
                self.refuse("this argument of a function that changes its arguments")
            by_reference = position in function.positions
            arguments.append(
                self._value_or_null(argument.value) if by_reference else self._value(argument.value)
            )
        self.strict = node.strict
        result, changed = function.act(self, arguments)
        for position, value in changed.items():
            if position < len(node.arguments):
                self._assign_to(node.arguments[position].value, value)
        return result

    def _method_call(self, node: n.MethodCall) -> Value:
        holder = self._value(node.object)
        if holder is None and node.nullsafe:
            return None
        name = self._name(node.name)
        arguments, named = self._arguments(node.arguments)
        if isinstance(holder, EnumCase):
            bound = self.classes.method(holder.class_name, name) if self._declared(holder) else None
            if bound is None:
                self.refuse(f"the method {holder.class_name}::{name}()")
            return self._run(bound, None, holder.class_name, arguments, named, case=holder)
        if not isinstance(holder, PhpObject):
            raise Thrown("Error", f"Call to a member function {name}() on {type_name(holder)}")
        if isinstance(holder, PhpClosure):
            if name.lower() in ("call", "bindto", "bind"):
                self.refuse(f"Closure::{name}()")
            return self.call(holder, arguments)
        bound = self._visible_method(holder, name)
        if bound is not None:
            return self._run(bound, holder, holder.class_name, arguments, named)
        native = self.world.native(holder.class_name)
        if native is None:
            if self._complete(holder.class_name) and self.classes.method(holder.class_name, "__call") is None:
                raise Thrown("Error", f"Call to undefined method {holder.class_name}::{name}()")
            self.refuse(f"the method {holder.class_name}::{name}()")
        return native.call(self, holder, name, self._positional(native, name, arguments, named))

    def _visible_method(self, holder: PhpObject, name: str) -> BoundMethod | None:
        if not self._declared(holder):
            return None
        scope = self._frame.class_name
        if scope and scope != holder.class_name and self.classes.find(scope) is not None:
            own = self.classes.require(scope).methods.get(name.lower())
            if (
                own is not None
                and own.visibility == "private"
                and self.classes.is_a(holder.class_name, scope)
            ):
                return BoundMethod(own, scope)
        bound = self.classes.method(holder.class_name, name)
        if bound is not None and bound.method.visibility != "public":
            private = bound.method.visibility == "private"
            allowed = scope == bound.owner if private else bool(scope) and (
                self.classes.is_a(holder.class_name, scope) or self.classes.is_a(scope, bound.owner)
            )  # fmt: skip
            if not allowed:
                if self.classes.method(holder.class_name, "__call") is not None:
                    self.refuse(f"__call of {holder.class_name}")
                raise Thrown(
                    "Error", f"Call to {bound.method.visibility} method {holder.class_name}::{name}()"
                )
        return bound

    def _static_call(self, node: n.StaticCall) -> Value:
        class_name = self._class(node.class_name)
        arguments, named = self._arguments(node.arguments)
        relative = node.class_name in ("self", "static", "parent")
        if self.classes.find(class_name) is not None:
            bound = self.classes.method(class_name, node.name)
            if bound is not None:
                static_class = self._frame.static_class if relative else class_name
                if bound.method.static:
                    return self._run(bound, None, static_class, arguments, named)
                this = self._frame.this
                if this is not None and self.classes.is_a(this.class_name, class_name):
                    return self._run(bound, this, this.class_name, arguments, named)
                raise Thrown(
                    "Error", f"Non-static method {class_name}::{node.name}() cannot be called statically"
                )
        if relative and self._frame.this is not None:
            native = self.world.native(self._frame.this.class_name)
            if native is not None:
                given = self._positional(native, node.name, arguments, named)
                return native.call(self, self._frame.this, node.name, given)
        if named:
            native = self.world.native(class_name)
            if native is None:
                self.refuse("named arguments of this method")
            arguments = list(self._positional(native, node.name, arguments, named))
        return self.call_static(class_name, node.name, arguments)

    def _enum_static(self, class_name: str, name: str, arguments: Sequence[Value]) -> Value:
        cases = [EnumCase(class_name, case) for case in self.classes.require(class_name).cases]
        match name.lower():
            case "cases":
                return PhpArray.of(cases)
            case "from" | "tryfrom":
                wanted = arguments[0] if arguments else None
                for case in cases:
                    if equal(self.backing_value(case), wanted):
                        return case
                if name.lower() == "tryfrom":
                    return None
                raise Thrown("ValueError", f"not a valid backing value for enum {class_name}")
        self.refuse(f"the static method {class_name}::{name}()")

    def _new(self, node: n.New) -> Value:
        class_name = self._class(node.class_name)
        arguments, named = self._arguments(node.arguments)
        return self.make(class_name, arguments, named)

    def make(
        self, class_name: str, arguments: Sequence[Value] = (), named: Mapping[str, Value] | None = None
    ) -> Value:
        """`new Class(…)`."""
        named = named or {}
        native = self.world.native(class_name)
        if native is not None:
            return native.construct(
                self, class_name, self._positional(native, "__construct", arguments, named)
            )
        if self.classes.find(class_name) is None:
            self.refuse(f"new {class_name}")
        declared = self.classes.require(class_name)
        if declared.kind != "class" or declared.abstract:
            raise Thrown("Error", f"Cannot instantiate {declared.kind} {class_name}")
        made = self.instantiate(class_name)
        constructor = self.classes.method(class_name, "__construct")
        if constructor is not None:
            self._construct(constructor, made, arguments, named)
        elif self.classes.method(class_name, "__destruct") is not None:
            self.refuse(f"the destructor of {class_name}")
        return made

    def _positional(
        self, native: Native, method: str, arguments: Sequence[Value], named: Mapping[str, Value]
    ) -> Sequence[Value]:
        """The arguments of a native in order, named ones put in their places."""
        if not named:
            return arguments
        signature: Sequence[str] = getattr(native, "parameters", {}).get(method.lower(), ())
        if any(name not in signature for name in named):
            self.refuse(f"named arguments of {method}()")
        places = {signature.index(name): value for name, value in named.items()}
        last = max(places)
        return [
            arguments[place] if place < len(arguments) else places.get(place)
            for place in range(max(last + 1, len(arguments)))
        ]

    def _construct(
        self, bound: BoundMethod, made: PhpObject, arguments: Sequence[Value], named: Mapping[str, Value]
    ) -> None:
        body = self.classes.body(bound.method)
        parameters = syntax.lower_parameters(bound.method)
        frame = Frame(bound.method.file, {"this": made}, made, bound.owner, made.class_name)

        def act() -> Value:
            self._bind(parameters, arguments, named)
            for parameter in parameters:
                if parameter.promoted:
                    slot = self._slot(made, parameter.name)
                    if slot is not None:
                        made.properties[slot] = _stored(frame.variables[parameter.name])
            return self._body(body)

        self._inside(frame, act)

    def _unary(self, node: n.Unary) -> Value:
        value = self._value(node.operand)
        match node.operator:
            case "!":
                return not to_bool(value)
            case "-":
                return BINARY["*"](value, -1)
            case "+":
                return BINARY["*"](value, 1)
        if isinstance(value, bytes):
            self.refuse("~ of a string")
        return ~to_int(value)

    def _binary(self, node: n.Binary) -> Value:
        operator = node.operator
        if operator == ".":
            return self.text(self._value(node.left)) + self.text(self._value(node.right))
        if operator == "??":
            value = self._value_or_null(node.left)
            return value if value is not None else self._value(node.right)
        if operator == "&&":
            return to_bool(self._value(node.left)) and to_bool(self._value(node.right))
        if operator == "||":
            return to_bool(self._value(node.left)) or to_bool(self._value(node.right))
        return self._operate(operator, self._value(node.left), self._value(node.right))

    def _operate(self, operator: str, left: Value, right: Value) -> Value:
        if operator in ("==", "!="):  # an object beside a string is compared by __toString
            if isinstance(left, PhpObject) and isinstance(right, bytes):
                left = self.text(left)
            elif isinstance(right, PhpObject) and isinstance(left, bytes):
                right = self.text(right)
        return BINARY[operator](left, right)

    def _instance_of(self, node: n.InstanceOf) -> Value:
        return self.is_a(self._value(node.object), self._class(node.class_name))

    def _ternary(self, node: n.Ternary) -> Value:
        condition = self._value(node.condition)
        if node.then is None:
            return condition if to_bool(condition) else self._value(node.otherwise)
        return self._value(node.then if to_bool(condition) else node.otherwise)

    def _cast(self, node: n.Cast) -> Value:
        value = self._value(node.operand)
        match node.kind:
            case "string":
                return self.text(value)
            case "int":
                return to_int(value)
            case "float":
                return to_float(value)
            case "bool":
                return to_bool(value)
            case "array":
                return self.to_array(value)
        if isinstance(value, PhpObject):
            return value
        if isinstance(value, PhpArray):
            entries: dict[int | bytes, Value] = {
                str(k).encode() if isinstance(k, int) else k: _stored(v) for k, v in value.items()
            }
            return PhpObject("stdClass", entries)
        return PhpObject("stdClass", {} if value is None else {b"scalar": value})

    def to_array(self, value: Value) -> PhpArray:
        """`(array) $value`."""
        if isinstance(value, PhpArray):
            return value
        if value is None:
            return PhpArray()
        if isinstance(value, PhpObject):
            if value.class_name != "stdClass":
                self.refuse("the cast of an object to an array")
            return PhpArray(
                (array_key(k) if isinstance(k, bytes) else k, v) for k, v in value.properties.items()
            )
        return PhpArray.of([value])

    def _isset(self, node: n.Isset) -> Value:
        return all(self._value_or_null(operand) is not None for operand in node.operands)

    def _empty(self, node: n.Empty) -> Value:
        return not to_bool(self._value_or_null(node.operand))

    def _assign(self, node: n.Assign) -> Value:
        value = self._value(node.value)
        self._assign_to(node.target, value)
        return value

    def _assign_operation(self, node: n.AssignOperation) -> Value:
        if node.operator == "??":
            current = self._value_or_null(node.target)
            value = current if current is not None else self._value(node.value)
        else:
            current = self._value(node.target)
            operand = self._value(node.value)
            if node.operator == ".":
                value = self.text(current) + self.text(operand)
                if len(value) > MAX_STRING:
                    self.refuse("a string this long")
            else:
                value = self._operate(node.operator, current, operand)
        self._assign_to(node.target, value)
        return value

    def _increment(self, node: n.Increment) -> Value:
        before = self._value(node.target)
        if isinstance(before, bytes) and not is_numeric(before):
            self.refuse("++ or -- of a string")
        if before is None:
            after: Value = 1 if node.step == 1 else None
        elif isinstance(before, bool):
            after = before
        elif isinstance(before, bytes):
            after = BINARY["+"](number_prefix(before)[0], node.step)
        else:
            after = BINARY["+"](before, node.step)
        self._assign_to(node.target, after)
        return after if node.prefix else before

    def _assign_to(self, target: n.Expression, value: Value) -> None:
        match target:
            case n.Variable(name=name):
                if name == "this":
                    self.refuse("an assignment to $this")
                self._frame.variables[name] = _stored(value)
            case n.Index(base=base, index=index):
                self._assign_offset(base, index, value)
            case n.Property(object=base, name=name):
                self._write(self._value(base), self._name(name), value)
            case n.ListPattern(entries=entries):
                self._destructure(entries, value)
            case _:
                self.refuse("an assignment to this")

    def _assign_offset(self, base: n.Expression, index: n.Expression | None, value: Value) -> None:
        holder = self._value_or_null(base)
        if holder is None:
            holder = PhpArray()
        elif isinstance(holder, PhpArray):
            holder = holder.copy()
        else:
            self.refuse("an assignment to an offset of this")
        if index is None:
            holder.append(_stored(value))
        else:
            holder[self.key(self._value(index))] = _stored(value)
        self._assign_to(base, holder)

    def _write(self, holder: Value, name: str, value: Value) -> None:
        if not isinstance(holder, PhpObject):
            raise Thrown("Error", f'Attempt to assign property "{name}" on {type_name(holder)}')
        if holder.class_name == "stdClass":
            holder.properties[name.encode()] = _stored(value)
            return
        if self.world.native(holder.class_name) is not None or not self._declared(holder):
            self.refuse(f"an assignment to {holder.class_name}::${name}")
        slot = self._slot(holder, name)
        if slot is None:
            self.refuse(f"the new property ${name} of {holder.class_name}")
        bound = self.classes.properties(holder.class_name).get(name)
        declared = bound.declaration.type if bound is not None else None
        holder.properties[slot] = _stored(self._coerce(value, declared, "property"))

    def _destructure(
        self, entries: tuple[tuple[n.Expression | None, n.Expression] | None, ...], value: Value
    ) -> None:
        position = 0
        for entry in entries:
            if entry is None:
                position += 1
                continue
            key, target = entry
            index: Value = position if key is None else self._value(key)
            position += key is None
            self._assign_to(target, None if value is None else self.offset(value, index))

    def _closure(self, node: n.Closure) -> Value:
        outer = self._frame
        if node.captures is None:
            captured = dict(outer.variables)
        else:
            captured = {name: _stored(outer.variables.get(name)) for name in node.captures}
            if "this" in outer.variables:
                captured["this"] = outer.variables["this"]

        def act(arguments: Sequence[Value]) -> Value:
            frame = Frame(outer.file, dict(captured), outer.this, outer.class_name, outer.static_class)

            def inside() -> Value:
                self._bind(node.parameters, arguments, {})
                return self._coerce(self._body(node.body), node.returns, "return value")

            return self._inside(frame, inside)

        return PhpClosure(act)

    def _function_reference(self, node: n.FunctionReference) -> Value:
        call = node.call
        if isinstance(call, n.Call) and isinstance(call.function, str):
            name = call.function
            return PhpClosure(lambda arguments: self._function(name, arguments))
        if isinstance(call, n.MethodCall):
            holder, method = self._value(call.object), self._name(call.name)
            if isinstance(holder, PhpObject):
                return PhpClosure(lambda arguments: self.call_method(holder, method, arguments))
        self.refuse("this reference to a function")

    def _match(self, node: n.Match) -> Value:
        subject = self._value(node.subject)
        default: n.Expression | None = None
        for arm in node.arms:
            if not arm.conditions:
                default = arm.result
            elif any(identical(subject, self._value(condition)) for condition in arm.conditions):
                return self._value(arm.result)
        if default is None:
            raise Thrown("UnhandledMatchError", f"Unhandled match case of type {type_name(subject)}")
        return self._value(default)

    def _throw(self, node: n.ThrowExpression) -> Value:
        exception = self._value(node.exception)
        if not isinstance(exception, PhpObject):
            raise Thrown("Error", "Can only throw objects")
        message = exception.get("message", b"")
        raise Thrown(
            exception.class_name,
            message.decode("utf-8", "replace") if isinstance(message, bytes) else "",
            exception,
        )

    def _clone(self, node: n.Clone) -> Value:
        value = self._value(node.operand)
        if not isinstance(value, PhpObject) or isinstance(value, PhpClosure):
            self.refuse("clone of this")
        if value.class_name != "stdClass":
            if self.world.native(value.class_name) is not None:
                self.refuse(f"clone of {value.class_name}")
            if self.classes.method(value.class_name, "__clone") is not None:
                self.refuse(f"__clone of {value.class_name}")
        return PhpObject(value.class_name, {k: _stored(v) for k, v in value.properties.items()})


def _stored(value: Value) -> Value:
    """What a store keeps: its own copy of an array."""
    return value.copy() if isinstance(value, PhpArray) else value


def _weak(value: bool | int | float | bytes, names: tuple[str, ...]) -> Value:
    """A scalar as a declared scalar type takes it, in PHP's order int, float, string, bool; else None."""
    if "int" in names:
        if isinstance(value, bool):
            return int(value)
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
            return int(value)
        if isinstance(value, bytes) and is_numeric(value):
            number = number_prefix(value)[0]
            if isinstance(number, int) or (number.is_integer() and "float" not in names):
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


_STATEMENTS: dict[type[n.Statement], Callable[[Evaluator, Any], None]] = {
    n.Return: Evaluator._return,
    n.Evaluate: Evaluator._evaluate,
    n.If: Evaluator._if,
    n.Foreach: Evaluator._foreach,
    n.Loop: Evaluator._loop,
    n.Switch: Evaluator._switch,
    n.Leave: Evaluator._leave,
    n.Unset: Evaluator._unset,
    n.Try: Evaluator._try,
}

_EXPRESSIONS: dict[type[n.Expression], Callable[[Evaluator, Any], Value]] = {
    n.Literal: Evaluator._literal,
    syntax.Unknown: Evaluator._unknown,
    n.Interpolated: Evaluator._interpolated,
    n.ArrayLiteral: Evaluator._array,
    n.Variable: Evaluator._variable,
    n.Property: Evaluator._property,
    n.StaticProperty: Evaluator._static_property,
    n.ClassConstant: Evaluator._class_constant,
    n.Constant: Evaluator._constant,
    n.Index: Evaluator._index,
    n.Call: Evaluator._call,
    n.MethodCall: Evaluator._method_call,
    n.StaticCall: Evaluator._static_call,
    n.New: Evaluator._new,
    n.Unary: Evaluator._unary,
    n.Binary: Evaluator._binary,
    n.InstanceOf: Evaluator._instance_of,
    n.Ternary: Evaluator._ternary,
    n.Cast: Evaluator._cast,
    n.Isset: Evaluator._isset,
    n.Empty: Evaluator._empty,
    n.Assign: Evaluator._assign,
    n.AssignOperation: Evaluator._assign_operation,
    n.Increment: Evaluator._increment,
    n.Closure: Evaluator._closure,
    n.FunctionReference: Evaluator._function_reference,
    n.Match: Evaluator._match,
    n.ThrowExpression: Evaluator._throw,
    n.Clone: Evaluator._clone,
}
