"""Nodes + values + a World → a value. Free of side effects, within a budget of steps and bytes.

Rules of this room: nothing here knows Laravel. What lies outside the language (functions, constants,
classes written in Python) comes from the `World`. A construct without a node has already been refused by
`syntax`; `compile` makes Python functions of nodes, which run on the Evaluator here; what the World does not
know is refused with file and line.

How values behave: arrays are copied when they are stored (assigned, passed, captured, put into another
array), so that a write never shows elsewhere; objects are shared. A PHP exception travels as `Thrown`, and a
warning is one too, as Laravel makes ErrorExceptions of warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, Protocol

from bridge.errors import Refused
from bridge.php import nodes as n
from bridge.php import syntax
from bridge.php.access import slot
from bridge.php.calls import construct, enum_static, positional
from bridge.php.classes import BoundMethod, ClassTable
from bridge.php.compile import Code, Compiler, Parameter, Routine
from bridge.php.frame import MAX_STRING as MAX_STRING
from bridge.php.frame import Frame as Frame
from bridge.php.frame import PhpClosure as PhpClosure
from bridge.php.frame import ReferenceFunction as ReferenceFunction
from bridge.php.frame import stored
from bridge.php.operators import (
    BINARY,
    Thrown,
    is_numeric,
    to_bool,
    to_int,
    to_string,
    type_name,
    warn,
)
from bridge.php.types import coerce, fits, plainly_fits
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
MAX_CALLS = 100  # nested calls

Function = Callable[["Evaluator", Sequence[Value]], Value]


class Native(Protocol):
    """A class, or a family of classes, whose behaviour is written in Python.

    Each raises Refused for what it does not know; `method` and `name` are as written in the source. A class
    whose methods may be called with named arguments has `parameters`: lower-case method → their names. One
    whose objects have properties of the app's own has a true `assignable`: these may be assigned.
    """

    def construct(self, php: Evaluator, class_name: str, arguments: Sequence[Value]) -> Value: ...

    def call(self, php: Evaluator, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value: ...

    def static(self, php: Evaluator, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        """`class_name` is the class that was called, as `static` means it: in `class Own extends Base` a
        `parent::make()` reaches the native of Base with `Own`."""
        ...

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

    @property
    def php_version(self) -> tuple[int, int] | None:
        """Major and minor of the PHP that runs the app, where it is known."""
        ...

    def native(self, class_name: str) -> Native | None: ...


class Evaluator:
    """Evaluates for one event; make a new one for the next (the budget is its state)."""

    def __init__(self, world: World, *, max_steps: int = MAX_STEPS) -> None:
        self.world = world
        self.classes = world.classes
        self._steps = max_steps
        self._depth = 0
        self.frame = Frame("")
        self.line = 0
        self.strict = False  # whether the function call under way stands in a file with strict_types

    # ---- what others call ---------------------------------------------------------------

    def call_method(self, subject: PhpObject, name: str, arguments: Sequence[Value] = ()) -> Value:
        """`$subject->name(…)` from outside of any class."""
        bound = self.classes.method(subject.class_name, name) if self.declared(subject) else None
        if bound is not None:
            return self.run(bound, subject, subject.class_name, arguments, {})
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
                return self.run(bound, None, class_name, arguments, {})
            if self.is_enum(class_name):
                return enum_static(self, class_name, name, arguments)
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
            return self.call_function(name.lstrip("\\").lower(), arguments)
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
        return self.expression(expression, Frame(file, {}, None, class_name, class_name))

    def expression(self, expression: n.Expression, frame: Frame) -> Value:
        """The value of an expression in that frame."""

        def act(php: Evaluator) -> Value:
            steps, code = php.classes.once(expression, php._compiled)
            php.spend(steps)
            return code(php)

        return self.inside(frame, act)

    def _compiled(self, expression: n.Expression) -> tuple[int, Code]:
        compiler = Compiler(self.world)
        code = compiler.value(expression)
        return compiler.steps, code

    def class_constant(self, class_name: str, name: str) -> Value:
        """`Class::NAME` or `Enum::Case`."""
        if self.classes.find(class_name) is None:
            self.refuse(f"the constant {class_name}::{name}")
        if name in self.classes.require(class_name).cases:
            return EnumCase(class_name, name)
        found = self.classes.constant(class_name, name)
        if found is None:
            raise Thrown("Error", f"Undefined constant {class_name}::{name}")
        expression, owner = found
        return self.constant_expression(expression, owner, self.classes.require(owner).file)

    def text(self, value: Value) -> bytes:
        """`(string) $value`, `__toString` included."""
        if type(value) is bytes:
            return value
        if isinstance(value, PhpObject) and not self._is_textless(value):
            return to_string(self.call_method(value, "__toString"))
        return to_string(value)

    def _is_textless(self, value: PhpObject) -> bool:
        """Whether the class is known to have no `__toString`."""
        known = self.declared(value) and self.world.native(value.class_name) is None
        return known and self.classes.method(value.class_name, "__toString") is None

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
        return self.frame.function

    def runs_inside(self, subject: PhpObject) -> bool:
        """Whether the code that runs may reach protected members of the object."""
        scope = self.frame.class_name
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
        if declared.names is None or plainly_fits(value, declared.names):
            return True
        outer = self.frame
        self.frame = Frame("", {}, None, class_name, class_name)
        try:
            return any(fits(self, value, name) for name in declared.names)
        finally:
            self.frame = outer

    def spend(self, steps: int) -> None:
        """Takes more than one step off the budget, for work that grows with a string or an array."""
        self._steps -= steps
        if self._steps < 0:
            self.refuse("code that runs this long")

    def operate(self, operator: str, left: Value, right: Value) -> Value:
        """A binary operator on two values that are at hand."""
        if operator in ("==", "!="):  # an object beside a string is compared by __toString
            subject, other = (left, right) if isinstance(left, PhpObject) else (right, left)
            if isinstance(subject, PhpObject) and isinstance(other, bytes):
                if self._is_textless(subject):
                    return operator == "!="
                left, right = self.text(subject), other
        return BINARY[operator](left, right)

    def refuse(self, what: str) -> NoReturn:
        """Raises Refused, pointing at the line under evaluation."""
        raise Refused(f"{what} is not evaluated natively", file=self.frame.file, line=self.line)

    # ---- calls ----------------------------------------------------------------------------

    def is_complete(self, class_name: str) -> bool:
        """Whether all code of the class is at hand: a declaration without a file has none of its methods."""
        return self.classes.find(class_name) is not None and all(
            part.file for part in self.classes.whole(class_name)
        )

    def declared(self, value: PhpObject | EnumCase) -> bool:
        return self.classes.find(value.class_name) is not None

    def inside(self, frame: Frame, act: Code) -> Value:
        """What `act` gives in that frame."""
        return self.enter(frame, Routine(parameters=(), body=act, returns=None), (), {})

    def run(
        self,
        bound: BoundMethod,
        this: PhpObject | None,
        static_class: str,
        arguments: Sequence[Value],
        named: Mapping[str, Value],
        case: EnumCase | None = None,
    ) -> Value:
        method = bound.method
        routine = self.routine(method)
        frame = Frame(method.file, {}, this, bound.owner, static_class, method.name)
        if case is not None:
            frame.variables["this"] = case
        elif this is not None and not method.static:
            frame.variables["this"] = this
        return self.enter(frame, routine, arguments, named)

    def routine(self, method: n.Method) -> Routine:
        """The method, compiled. Refused where a construct in it is not known."""
        return self.classes.once(method, self._routine)

    def _routine(self, method: n.Method) -> Routine:
        body = self.classes.body(method)
        parameters = syntax.lower_parameters(method)
        try:
            return Compiler(self.world).routine(parameters, body, method.returns)
        except RecursionError:
            raise Refused("code nested this deep", file=method.file, line=method.line) from None

    def enter(
        self, frame: Frame, routine: Routine, arguments: Sequence[Value], named: Mapping[str, Value]
    ) -> Value:
        """What the function returns, called in that frame."""
        if self._depth >= MAX_CALLS:
            self.refuse("a recursion this deep")
        outer, line = self.frame, self.line
        self.frame = frame
        self._depth += 1
        try:
            if routine.parameters or named:
                self.bind(routine.parameters, arguments, named)
            value = routine.body(self)
            return value if routine.returns is None else coerce(self, value, routine.returns, "return value")
        except RecursionError:  # Python's frames end before MAX_CALLS where expressions are deep
            self.refuse("a recursion this deep")
        except Thrown as thrown:
            thrown.leaves(self.frame.file, self.line)
            raise
        finally:
            self.frame, self.line = outer, line
            self._depth -= 1

    def bind(
        self, parameters: tuple[Parameter, ...], arguments: Sequence[Value], named: Mapping[str, Value]
    ) -> None:
        variables, given = self.frame.variables, len(arguments)
        for index, parameter in enumerate(parameters):
            if parameter.variadic:
                rest = PhpArray.of(
                    coerce(self, value, parameter.type, "argument") for value in arguments[index:]
                )
                variables[parameter.name] = rest
                break
            if index < given:
                value = arguments[index]
            elif parameter.name in named:
                value = named[parameter.name]
            elif parameter.default is not None:
                variables[parameter.name] = parameter.default(self)
                continue
            else:
                raise Thrown("ArgumentCountError", f"Too few arguments, ${parameter.name} is missing")
            if parameter.type is not None:
                value = coerce(self, value, parameter.type, "argument")
            variables[parameter.name] = stored(value)
        for name in named:
            if all(parameter.name != name for parameter in parameters):
                self.refuse(f"the named argument {name}")

    def call_function(self, name: str, arguments: Sequence[Value], *, strict: bool = False) -> Value:
        function = self.world.functions.get(name)
        if function is None:
            self.refuse(f"the function {name}()")
        return self.apply(function, arguments, strict=strict)

    def apply(
        self, function: Function | ReferenceFunction, arguments: Sequence[Value], *, strict: bool
    ) -> Value:
        """`strict`: whether the call stands in a file with strict_types."""
        self.strict = strict
        if isinstance(function, ReferenceFunction):
            return function.act(self, arguments)[0]
        result = function(self, arguments)
        if isinstance(result, bytes) and len(result) > MAX_STRING:
            self.refuse("a string this long")
        return result

    # ---- values -----------------------------------------------------------------------------

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
        if not self.declared(holder):
            self.refuse(f"the property {holder.class_name}::${name}")
        mangled = slot(self, holder, name)
        if mangled is not None and mangled in holder.properties:
            return holder.properties[mangled]
        magic = self.classes.method(holder.class_name, "__get")
        if magic is not None:
            self.refuse(f"__get of {holder.class_name}")
        if not self.is_complete(holder.class_name) and mangled is None:
            self.refuse(f"the property {holder.class_name}::${name}")
        if quiet:
            return None
        if mangled is not None:
            raise Thrown("Error", f"Typed property {holder.class_name}::${name} must not be accessed before "
                                  "initialization")  # fmt: skip
        raise warn(f"Undefined property: {holder.class_name}::${name}")

    def class_of(self, value: Value) -> str:
        """The class that a value in front of `::` means."""
        if isinstance(value, PhpObject | EnumCase):
            return value.class_name
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace").lstrip("\\")
        raise Thrown("Error", "Class name must be a valid object or a string")

    def parent_class(self) -> str:
        """The class that `parent` means."""
        parent = self.classes.require(self.frame.class_name).parent
        if parent is None:
            self.refuse("parent of a class without one")
        return parent

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
            if index is None or isinstance(index, bool | float):
                if quiet:
                    self.refuse("an offset of a string that is no integer")
                raise warn("String offset cast occurred")
            if isinstance(index, bytes) and is_numeric(index) and not isinstance(array_key(index), int):
                self.refuse("an offset of a string that is no integer")
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

    def make(
        self, class_name: str, arguments: Sequence[Value] = (), named: Mapping[str, Value] | None = None
    ) -> Value:
        """`new Class(…)`."""
        named = named or {}
        native = self.world.native(class_name)
        if native is not None:
            return native.construct(
                self, class_name, positional(self, native, "__construct", arguments, named)
            )
        if self.classes.find(class_name) is None:
            self.refuse(f"new {class_name}")
        declared = self.classes.require(class_name)
        if declared.kind != "class" or declared.abstract:
            raise Thrown("Error", f"Cannot instantiate {declared.kind} {class_name}")
        made = self.instantiate(class_name)
        constructor = self.classes.method(class_name, "__construct")
        if constructor is not None:
            construct(self, constructor, made, arguments, named)
        elif self.classes.method(class_name, "__destruct") is not None:
            self.refuse(f"the destructor of {class_name}")
        return made

    def to_array(self, value: Value) -> PhpArray:
        """`(array) $value`."""
        if isinstance(value, PhpArray):
            return value
        if value is None:
            return PhpArray()
        if isinstance(value, PhpObject | EnumCase):
            if value.class_name != "stdClass" or isinstance(value, EnumCase):
                self.refuse("the cast of an object to an array")
            return PhpArray(
                (array_key(k) if isinstance(k, bytes) else k, v) for k, v in value.properties.items()
            )
        return PhpArray.of([value])
