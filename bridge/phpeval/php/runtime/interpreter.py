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

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, Protocol

from bridge.errors import BridgeError, Refused
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.compile.calls import as_closure, construct, enum_static, method_reference, positional
from bridge.phpeval.php.compile.compiler import Code, Compiler, Parameter, Routine
from bridge.phpeval.php.parse import declarations
from bridge.phpeval.php.runtime.class_table import BoundMethod, ClassTable
from bridge.phpeval.php.runtime.frame import MAX_STRING as MAX_STRING
from bridge.phpeval.php.runtime.frame import Frame as Frame
from bridge.phpeval.php.runtime.frame import PhpClosure as PhpClosure
from bridge.phpeval.php.runtime.frame import Reference, stored
from bridge.phpeval.php.runtime.frame import ReferenceFunction as ReferenceFunction
from bridge.phpeval.php.runtime.members import (
    array_offset,
    has_offset,
    may_not_reach,
    read_offset,
    read_property,
    visible_properties,
    write_property,
)
from bridge.phpeval.php.runtime.operators import (
    BINARY,
    Thrown,
    compare,
    comparisons,
    equal,
    to_bool,
    to_string,
    type_name,
    warn,
)
from bridge.phpeval.php.runtime.type_declarations import coerce, fits, initial, plainly_fits
from bridge.phpeval.php.runtime.values import (
    CustomSerialized,
    EnumCase,
    PhpArray,
    PhpObject,
    Value,
    array_key,
)

MAX_STEPS = 200_000  # nodes evaluated for one event
MAX_CALLS = 100  # nested calls

# A PHP function. One that takes named arguments has `parameters`: names, each with its default.
Function = Callable[["Evaluator", Sequence[Value]], Value]
REQUIRED, UNKNOWN_DEFAULT = object(), object()  # in place of a default


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
        `bridge.phpeval.php.runtime.operators` are each function's own business."""
        ...

    @property
    def constants(self) -> Mapping[str, Value]:
        """By name; those of classes whose source is not at hand as `Class::NAME`."""
        ...

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
        self.strict = False  # whether the call under way stands in a file with strict_types
        self.magic: set[tuple[int, str, str]] = set()  # object, magic method, property: those that run
        self._comparisons: Mapping[str, Callable[[Value, Value], Value]] | None = None
        self._applied: Frame | None = None  # the frame that called the PHP function under way

    # ---- what others call ---------------------------------------------------------------

    def call_method(self, subject: PhpObject, name: str, arguments: Sequence[Value] = ()) -> Value:
        """`$subject->name(…)`, called by PHP itself or a class written in Python."""
        self.strict = False
        bound = self.classes.method(subject.class_name, name) if self.declared(subject) else None
        if bound is not None:
            return self.run(bound, subject, subject.class_name, arguments, {})
        native = self.world.native(subject.class_name)
        if native is None:
            if self.is_complete(subject.class_name):
                return method_reference(self, subject, name).act(arguments)
            self.refuse(f"the method {subject.class_name}::{name}()")
        return native.call(self, subject, name, arguments)

    def call_static(self, class_name: str, name: str, arguments: Sequence[Value] = ()) -> Value:
        """`Class::name(…)`, called by PHP itself or a class written in Python."""
        self.strict = False
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

    def _require_reach(self, class_name: str, name: str) -> None:
        """A callback of a method that is not public works from the code that hands it to a PHP function."""
        bound = self.classes.method(class_name, name) if self.classes.find(class_name) is not None else None
        if bound is None or bound.method.visibility == "public":
            return
        hidden = may_not_reach(self, bound.method.visibility, class_name, bound.owner)
        if hidden or self._applied is not self.frame:
            what = f"the {bound.method.visibility} method {class_name}::{bound.method.name}()"
            self.refuse(f"{what} as a callback from outside")

    def call(self, callback: Value, arguments: Sequence[Value]) -> Value:
        """What `$callback(…)` gives: a closure, function name, `[object, method]` or invokable object.

        Called by a PHP function or a class written in Python, where strict_types never count."""
        self.strict = False
        if isinstance(callback, PhpClosure):
            if callback.references:
                self.refuse("a callback that takes a reference")
            return callback.act(arguments)
        if isinstance(callback, bytes):
            name = callback.decode("utf-8", "replace")
            class_name, colons, method = name.partition("::")
            if colons:
                self._require_reach(class_name.lstrip("\\"), method)
                return self.call_static(class_name.lstrip("\\"), method, arguments)
            name = name.lstrip("\\").lower()
            if isinstance(self.world.functions.get(name), ReferenceFunction):
                raise warn(f"{name}(): Argument #1 must be passed by reference, value given")
            return self.call_function(name, arguments)
        if isinstance(callback, PhpArray) and len(callback) == 2 and callback.is_list:
            subject, method_name = callback[0], to_string(callback[1]).decode("utf-8", "replace")
            if isinstance(subject, EnumCase):
                return as_closure(self, callback).act(arguments)
            if isinstance(subject, PhpObject):
                self._require_reach(subject.class_name, method_name)
                return self.call_method(subject, method_name, arguments)
            if isinstance(subject, bytes):
                self._require_reach(subject.decode("utf-8", "replace").lstrip("\\"), method_name)
                return self.call_static(
                    subject.decode("utf-8", "replace").lstrip("\\"), method_name, arguments
                )
        if isinstance(callback, EnumCase):
            return as_closure(self, callback).act(arguments)
        if isinstance(callback, PhpObject):
            return self.call_method(callback, "__invoke", arguments)
        raise Thrown("Error", "Value not callable")

    def before(self, major: int, minor: int) -> bool:
        """Whether the app's PHP is older than that release. Refused where it is not known."""
        version = self.world.php_version
        if version is None:
            self.refuse("what differs between PHP's releases")
        return version < (major, minor)

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

    def class_constant(self, class_name: str, name: str, *, visible: bool = False) -> Value:
        """`Class::NAME` or `Enum::Case`; `visible`: only if the running code may reach it."""
        if self.classes.find(class_name) is None:
            if f"{class_name}::{name}" in self.world.constants:
                return self.world.constants[f"{class_name}::{name}"]
            self.refuse(f"the constant {class_name}::{name}")
        if name in self.classes.require(class_name).cases:
            return EnumCase(class_name, name)
        found = self.classes.constant(class_name, name)
        if found is None:
            for ancestor in self.classes.chain(class_name):
                if f"{ancestor.name}::{name}" in self.world.constants:
                    return self.world.constants[f"{ancestor.name}::{name}"]
            if not self.is_plain(class_name):
                self.refuse(f"the constant {class_name}::{name}")
            raise Thrown("Error", f"Undefined constant {class_name}::{name}")
        expression, owner = found
        if visible:
            hidden = self.classes.require(owner).hidden_constants.get(name, "public")
            if may_not_reach(self, hidden, class_name, owner):
                raise Thrown("Error", f"Cannot access {hidden} constant {class_name}::{name}")
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
                default = self.constant_expression(declaration.default, bound.owner, file)
                values[bound.mangled] = initial(default, declaration.type)
            elif declaration.type is None:
                values[bound.mangled] = None
        return values

    def accepts(self, value: Value, declared: n.Type, class_name: str) -> bool:
        """Whether a property of that type, in that class, may hold the value unconverted."""
        if declared.names is None or plainly_fits(value, declared.names):
            return True
        return any(fits(self, value, name, class_name) for name in declared.names)

    def spend(self, steps: int) -> None:
        """Takes more than one step off the budget, for work that grows with a string or an array."""
        self._steps -= steps
        if self._steps < 0:
            self.refuse("code that runs this long")

    def operate(self, operator: str, left: Value, right: Value) -> Value:
        """A binary operator on two values that are at hand."""
        if isinstance(left, PhpObject | PhpArray) or isinstance(right, PhpObject | PhpArray):
            if self._comparisons is None:
                self._comparisons = comparisons(self._compare_objects)
            compares = self._comparisons.get(operator)
            if compares is not None:
                return compares(left, right)
        return BINARY[operator](left, right)

    def equal(self, left: Value, right: Value) -> bool:
        """`==`."""
        return equal(left, right, self._compare_objects)

    def compare(self, left: Value, right: Value) -> int:
        """`<=>`; see `operators.compare`."""
        return compare(left, right, self._compare_objects)

    def _compare_objects(self, left: Value, right: Value, equality: bool) -> int:
        """Of an object and another one, a string or an array: by properties, by `__toString`, or unequal."""
        if isinstance(left, bytes):
            order = self._compare_objects(right, left, equality)
            return -order if order in (-1, 1) else order
        if isinstance(left, PhpArray):
            return -1
        if isinstance(right, PhpArray):
            return 1
        if isinstance(left, PhpObject) and isinstance(right, bytes):
            if self._is_textless(left):
                return 1
            return compare(self.text(left), right)
        if not (isinstance(left, PhpObject) and isinstance(right, PhpObject)):
            self.refuse("a comparison of an object with this")
        self._require_comparable(left)
        self._require_comparable(right)
        if left.class_name != right.class_name:
            return 1
        self.spend(1 + len(left.properties))
        return (
            compare(PhpArray(left.properties), PhpArray(right.properties), self._compare_objects)
            if not equality
            else int(not equal(PhpArray(left.properties), PhpArray(right.properties), self._compare_objects))
        )

    def _require_comparable(self, value: PhpObject) -> None:
        """Refused where an object holds more, or compares otherwise, than its properties here show."""
        if value.class_name == "stdClass":
            return
        native = self.world.native(value.class_name)
        if isinstance(value, PhpClosure) or native is not None or not self.is_complete(value.class_name):
            self.refuse(f"a comparison of {value.class_name} by its properties")

    def refuse(self, what: str) -> NoReturn:
        """Raises Refused, pointing at the line under evaluation."""
        raise Refused(f"{what} is not evaluated natively", file=self.frame.file, line=self.line)

    # ---- calls ----------------------------------------------------------------------------

    def is_complete(self, class_name: str) -> bool:
        """Whether all code of the class is at hand: a declaration without a file has none of its methods."""
        return self.classes.find(class_name) is not None and all(
            part.file for part in self.classes.whole(class_name)
        )

    def is_plain(self, class_name: str) -> bool:
        """Whether objects of the class are what its PHP code says, and nothing in Python adds to it."""
        return self.is_complete(class_name) and self.world.native(class_name) is None

    def declared(self, value: PhpObject | EnumCase) -> bool:
        return self.classes.find(value.class_name) is not None

    def inside(self, frame: Frame, act: Code) -> Value:
        """What `act` gives in that frame."""
        return self.enter(frame, Routine(parameters=(), body=act, returns=None), (), {})

    def run(
        self,
        bound: BoundMethod,
        this: PhpObject | EnumCase | None,
        static_class: str,
        arguments: Sequence[Value],
        named: Mapping[str, Value],
    ) -> Value:
        method = bound.method
        routine = self.routine(method)
        variables: dict[str, Value] = {}
        if method.static:
            this = None
        elif this is not None:
            variables["this"] = this
        held = this if isinstance(this, PhpObject) else None
        frame = Frame(method.file, variables, held, bound.owner, static_class, method.name, method.strict)
        return self.enter(frame, routine, arguments, named)

    def routine(self, method: n.Method) -> Routine:
        """The method, compiled. Refused where a construct in it is not known."""
        return self.classes.once(method, self._routine)

    def _routine(self, method: n.Method) -> Routine:
        body = self.classes.body(method)
        parameters = declarations.lower_parameters(method)
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
                if routine.promotes:
                    self._promote(routine.parameters)
            value = routine.body(self)
            if routine.returns is not None:
                value = coerce(self, value, routine.returns, "return value", strict=frame.strict)
            return value
        except Refused as refusal:
            if refusal.file:
                raise
            raise Refused(refusal.reason, file=frame.file, line=self.line) from refusal
        except Thrown as thrown:
            thrown.leaves(frame.file, self.line)
            raise
        except BridgeError:
            raise
        except RecursionError:  # Python's frames end before MAX_CALLS where expressions are deep
            self.refuse("a recursion this deep")
        except Exception as problem:
            self.refuse(f"something that ends in {type(problem).__name__}")
        finally:
            if routine.references:
                self._hand_back(routine, arguments)
            self.frame, self.line = outer, line
            self._depth -= 1

    def _hand_back(self, routine: Routine, arguments: Sequence[Any]) -> None:
        """Parameters by reference as they are now go into the References that came as arguments."""
        variables = self.frame.variables
        for index, parameter in enumerate(routine.parameters):
            if not parameter.reference or parameter.name not in variables:
                continue
            held: Any = variables[parameter.name]
            value = held.value if isinstance(held, Reference) else held
            if isinstance(value, PhpArray) and parameter.variadic:
                for argument, last in zip(arguments[index:], value.values(), strict=False):
                    if type(argument) is Reference:
                        argument.value = last
            elif index < len(arguments) and type(arguments[index]) is Reference:
                arguments[index].value = value

    def _promote(self, parameters: tuple[Parameter, ...]) -> None:
        """Puts promoted parameters into the properties of the class whose constructor runs."""
        frame = self.frame
        if frame.this is None:
            self.refuse("a constructor without an object")
        own, held = self.classes.properties(frame.class_name), frame.this.properties
        for parameter in parameters:
            if parameter.promoted:
                bound = own[parameter.name]
                if bound.declaration.hooked or (bound.declaration.readonly and bound.mangled in held):
                    write_property(self, frame.this, parameter.name, frame.variables[parameter.name])
                else:
                    held[bound.mangled] = stored(frame.variables[parameter.name])

    def bind(
        self, parameters: tuple[Parameter, ...], arguments: Sequence[Any], named: Mapping[str, Value]
    ) -> None:
        variables, given, strict = self.frame.variables, len(arguments), self.strict
        if named and not (parameters and parameters[-1].variadic):
            for name in named:
                if all(parameter.name != name for parameter in parameters):
                    raise Thrown("Error", f"Unknown named parameter ${name}")
        for index, parameter in enumerate(parameters):
            if parameter.variadic:
                values = arguments[index:]
                if parameter.reference:
                    values = [self._referred(value) for value in values]
                rest = PhpArray.of(
                    stored(coerce(self, value, parameter.type, "argument", strict=strict)) for value in values
                )
                for name, value in named.items():
                    if all(one.name != name for one in parameters[:-1]):
                        rest[name.encode()] = stored(
                            coerce(self, value, parameter.type, "argument", strict=strict)
                        )
                variables[parameter.name] = rest
                return
            if index < given:
                value = arguments[index]
                if parameter.reference:
                    value = self._referred(value)
                elif parameter.name in named:
                    raise Thrown("Error", f"Named parameter ${parameter.name} overwrites previous argument")
            elif parameter.name in named:
                value = named[parameter.name]
                if parameter.reference:
                    self.refuse("a named argument by reference")
            elif parameter.default is not None:
                variables[parameter.name] = initial(parameter.default(self), parameter.type)
                continue
            else:
                raise Thrown("ArgumentCountError", f"Too few arguments, ${parameter.name} is missing")
            if parameter.type is not None:
                value = coerce(self, value, parameter.type, "argument", strict=strict)
            variables[parameter.name] = stored(value)

    def _referred(self, argument: Any) -> Value:
        """The value of an argument by reference; refused where the caller gave a mere value."""
        if type(argument) is not Reference:
            self.refuse("a mere value as an argument by reference")
        value: Value = argument.value
        return value

    def call_function(self, name: str, arguments: Sequence[Value], *, strict: bool = False) -> Value:
        function = self.world.functions.get(name)
        if function is None:
            self.refuse(f"the function {name}()")
        return self.apply(function, arguments, strict=strict)

    def apply(
        self, function: Function | ReferenceFunction, arguments: Sequence[Value], *, strict: bool
    ) -> Value:
        """`strict`: whether the call stands in a file with strict_types."""
        if isinstance(function, ReferenceFunction):
            return self.apply_reference(function, arguments, strict=strict)[0]
        self.strict = strict
        outer, self._applied = self._applied, self.frame
        try:
            result = function(self, arguments)
        finally:
            self._applied = outer
        if isinstance(result, bytes) and len(result) > MAX_STRING:
            self.refuse("a string this long")
        return result

    def apply_reference(
        self, function: ReferenceFunction, arguments: Sequence[Value], *, strict: bool
    ) -> tuple[Value, Mapping[int, Value]]:
        """The result, and the new values of the arguments by reference."""
        self.strict = strict
        outer, self._applied = self._applied, self.frame
        try:
            return function.act(self, arguments)
        finally:
            self._applied = outer

    def positional(
        self, name: str, function: Function, arguments: Sequence[Value], named: Mapping[str, Value]
    ) -> Sequence[Value]:
        """The arguments of a PHP function in order, named ones put in their places."""
        parameters: Sequence[tuple[str, object]] = getattr(function, "parameters", ())
        names = [parameter for parameter, _ in parameters]
        for given in named:
            if given not in names:
                self.refuse(f"the named argument {given} of {name}()")
            if names.index(given) < len(arguments):
                raise Thrown("Error", f"Named parameter ${given} overwrites previous argument")
        last = max(names.index(given) for given in named)
        placed = [*arguments]
        for parameter, default in parameters[len(arguments) : last + 1]:
            if parameter in named:
                placed.append(named[parameter])
            elif default is REQUIRED:
                raise Thrown("ArgumentCountError", f"{name}(): Argument (${parameter}) not passed")
            elif default is UNKNOWN_DEFAULT:
                self.refuse(f"named arguments of {name}() without ${parameter}")
            else:
                placed.append(default)  # type: ignore[arg-type]
        return placed

    # ---- values -----------------------------------------------------------------------------

    def iterable(self, value: Value) -> PhpArray:
        """The entries that foreach would go through, keys of an iterator that are no array keys refused."""
        if isinstance(value, PhpArray):
            return value
        if isinstance(value, PhpObject):
            native = self.world.native(value.class_name)
            if native is not None:
                entries = native.call(self, value, "all", ())
                if isinstance(entries, PhpArray):
                    return entries
            found = None if native is not None else self.entries(value)
            if found is not None:
                result = PhpArray()
                for key, item in found:
                    if type(key) is not int and not isinstance(key, bytes):
                        self.refuse("an iterator with keys of this kind")
                    result[self.key(key)] = item
                    self.spend(1)
                return result
            self.refuse(f"a loop over an object of class {value.class_name}")
        raise warn(f"foreach() argument must be of type array|object, {type_name(value)} given")

    def entries(self, value: PhpObject) -> Iterator[tuple[Value, Value]] | None:
        """What foreach gets from an object of an app's class, one by one; None where that is not known."""
        name = value.class_name
        if self.world.native(name) is not None or not (name == "stdClass" or self.is_complete(name)):
            return None
        if name != "stdClass":
            if self.classes.is_a(name, "Iterator"):
                return self._iterated(value)
            if self.classes.is_a(name, "IteratorAggregate"):
                inner = self.call_method(value, "getIterator")
                if isinstance(inner, PhpObject) and inner.class_name != "stdClass":
                    return self.entries(inner) or iter([*self.iterable(inner).items()])
                self.refuse(f"what getIterator() of {name} gives")
            if self.classes.is_a(name, "Traversable") is not False or isinstance(value, PhpClosure):
                return None
        return iter([*visible_properties(self, value).items()])

    def _iterated(self, value: PhpObject) -> Iterator[tuple[Value, Value]]:
        self.call_method(value, "rewind")
        while to_bool(self.call_method(value, "valid")):
            item = self.call_method(value, "current")
            yield self.call_method(value, "key"), item
            self.call_method(value, "next")

    def read(self, holder: Value, name: str, *, quiet: bool = False) -> Value:
        """`$holder->name` as the code under evaluation sees it; `quiet` gives null instead of a warning."""
        return read_property(self, holder, name, quiet=quiet)

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
        return read_offset(self, holder, index, quiet=quiet)

    def has_offset(self, holder: PhpObject, index: Value) -> bool:
        """`isset($object[$index])`."""
        return has_offset(self, holder, index)

    def key(self, index: Value) -> int | bytes:
        """An array key as PHP makes it of a value."""
        return array_offset(self, index)

    def require_constructor(self, class_name: str) -> None:
        """An Error where the running code may not make objects of the class."""
        if self.classes.find(class_name) is None:
            return
        bound = self.classes.method(class_name, "__construct")
        if bound is not None:
            hidden = may_not_reach(self, bound.method.visibility, class_name, bound.owner)
            if hidden:
                where = f"scope {self.frame.class_name}" if self.frame.class_name else "global scope"
                raise Thrown("Error", f"Call to {hidden} {class_name}::__construct() from {where}")

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
        if self.classes.method(class_name, "__destruct") is not None:
            self.refuse(f"the destructor of {class_name}")
        made = self.instantiate(class_name)
        constructor = self.classes.method(class_name, "__construct")
        if constructor is not None:
            construct(self, constructor, made, arguments, named)
        elif named and self.is_complete(class_name):
            raise Thrown("Error", f"Unknown named parameter ${next(iter(named))}")
        elif (named or arguments) and not self.is_complete(class_name):
            self.refuse(f"new {class_name} with arguments")
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
