"""What runs PHP's code: the state of one evaluation, and what it is surrounded by.

Rules of this room: nothing here knows Laravel. What lies outside the language (functions, constants, classes
written in Python) comes from the `Environment`. What runs are the Python functions that `compile` has made
of the nodes; they call the functions of this package. A construct without a node has already been refused by
`parse`; what the Environment does not know is refused with file and line. How values behave: an array is
shared until it is written to, and the writer gets its own copy (see `copy_on_write`), so that a write never
shows elsewhere; objects are shared. A PHP exception travels as `Thrown`, and a warning is one too, as
Laravel makes ErrorExceptions of warnings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol, TypeAlias

from bridge.errors import Refused
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.class_table import BoundMethod, ClassTable
from bridge.phpeval.php.runtime.frame import MAX_STRING as MAX_STRING
from bridge.phpeval.php.runtime.frame import NO_REFERENCES, References
from bridge.phpeval.php.runtime.frame import Frame as Frame
from bridge.phpeval.php.runtime.frame import PhpClosure as PhpClosure
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value

MAX_STEPS = 200_000  # nodes evaluated for one event
MAX_CALLS = 100  # nested calls

# A PHP function. One that takes named arguments has `parameters`: names, each with its default.
Function = Callable[["Interpreter", Sequence[Value]], Value]
REQUIRED, UNKNOWN_DEFAULT = object(), object()  # in place of a default

ExprCode: TypeAlias = "Callable[[Interpreter], Value]"


@dataclass(frozen=True, slots=True)
class ReferenceFunction:
    """A function that changes some of its arguments (`sort`, `preg_match`).

    references  the arguments taken by reference; they may be variables that do not exist yet (null)
    act         returns the result and the new values of these arguments, by position
    in_place    it changes an array that is the first argument itself
    """

    references: References
    act: Callable[[Interpreter, Sequence[Value]], tuple[Value, Mapping[int, Value]]]
    in_place: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    default: ExprCode | None
    variadic: bool
    promoted: bool
    type: n.Type | None
    reference: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Routine:
    """A function or method: `body` gives what it returns, not yet coerced to the declared type."""

    parameters: tuple[Parameter, ...]
    body: ExprCode
    returns: n.Type | None
    references: References = NO_REFERENCES
    promotes: bool = False
    names: tuple[str, ...] = ()  # of the parameters, without a variadic one


class Native(Protocol):
    """A class, or a family of classes, whose behaviour is written in Python.

    Each raises Refused for what it does not know; `method` and `name` are as written in the source. A class
    whose methods may be called with named arguments has `parameters`: lower-case method → their names. One
    whose objects have properties of the app's own has a true `assignable`: these may be assigned.
    """

    def construct(self, php: Interpreter, class_name: str, arguments: Sequence[Value]) -> Value: ...

    def call(
        self, php: Interpreter, subject: PhpObject, method: str, arguments: Sequence[Value]
    ) -> Value: ...

    def static(self, php: Interpreter, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        """`class_name` is the class that was called, as `static` means it: in `class Own extends Base` a
        `parent::make()` reaches the native of Base with `Own`."""
        ...

    def read(self, php: Interpreter, subject: PhpObject, name: str) -> Value: ...

    def has(self, php: Interpreter, subject: PhpObject, name: str) -> bool: ...


class Environment(Protocol):
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


class Interpreter(ABC):
    """The state of one evaluation, and what PHP functions and classes written in Python may ask of it.

    Make a new one for each event: its budget is part of its state. `bridge.phpeval.php.evaluator` makes them.
    """

    def __init__(self, environment: Environment, *, max_steps: int = MAX_STEPS) -> None:
        self.environment = environment
        self.classes = environment.classes
        self.steps_left = max_steps
        self.depth = 0
        self.path: set[int] = (
            set()
        )  # numbers of the branches that have run: blocks, arms, sides of `?:`, `??`
        self.frame = Frame("")
        self.line = 0
        self.strict = False  # whether the call under way stands in a file with strict_types
        self.magic: set[tuple[int, str, str]] = set()  # object, magic method, property: those that run
        self.comparisons: Mapping[str, Callable[[Value, Value], Value]] | None = None
        self.applied: Frame | None = None  # the frame that called the PHP function under way
        self.copies = 0  # how often an object's properties were copied, or one was unset

    @abstractmethod
    def routine(self, method: n.Method) -> Routine:
        """The method, compiled. Refused where a construct in it is not known."""
        ...

    @abstractmethod
    def compiled(self, expression: n.Expression) -> tuple[int, ExprCode]:
        """The steps that the expression takes, and what evaluates it."""
        ...

    # ---- budget and position --------------------------------------------------------------

    def charge(self, steps: int) -> None:
        """Takes more than one step off the budget, for work that grows with a string or an array."""
        self.steps_left -= steps
        if self.steps_left < 0:
            self.refuse("code that runs this long")

    def refuse(self, what: str) -> NoReturn:
        """Raises Refused, pointing at the line under evaluation."""
        raise Refused(f"{what} is not evaluated natively", file=self.frame.file, line=self.line)

    def before(self, major: int, minor: int) -> bool:
        """Whether the app's PHP is older than that release. Refused where it is not known."""
        version = self.environment.php_version
        if version is None:
            self.refuse("what differs between PHP's releases")
        return version < (major, minor)

    @property
    def function_name(self) -> str:
        """The method that is running."""
        return self.frame.function

    # ---- classes ----------------------------------------------------------------------------

    def is_enum(self, class_name: str) -> bool:
        declared = self.classes.find(class_name)
        return declared is not None and declared.kind == "enum"

    def is_complete(self, class_name: str) -> bool:
        """Whether all code of the class is at hand: a declaration without a file has none of its methods."""
        return self.classes.find(class_name) is not None and all(
            part.file for part in self.classes.whole(class_name)
        )

    def is_plain(self, class_name: str) -> bool:
        """Whether objects of the class are what its PHP code says, and nothing in Python adds to it."""
        return self.is_complete(class_name) and self.environment.native(class_name) is None

    def declared(self, value: PhpObject | EnumCase) -> bool:
        return self.classes.find(value.class_name) is not None

    def runs_inside(self, subject: PhpObject) -> bool:
        """Whether the code that runs may reach protected members of the object."""
        scope = self.frame.class_name
        return bool(scope) and bool(self.classes.is_a(subject.class_name, scope))

    # ---- calls, objects, conversions: see the functions of the same name in this package --------

    @abstractmethod
    def call_method(self, subject: PhpObject, name: str, arguments: Sequence[Value] = ()) -> Value:
        """`$subject->name(…)`, called by PHP itself or a class written in Python."""
        ...

    @abstractmethod
    def call_static(self, class_name: str, name: str, arguments: Sequence[Value] = ()) -> Value:
        """`Class::name(…)`, called by PHP itself or a class written in Python."""
        ...

    @abstractmethod
    def call(self, callback: Value, arguments: Sequence[Value]) -> Value:
        """What `$callback(…)` gives: a closure, function name, `[object, method]` or invokable object.

        Called by a PHP function or a class written in Python, where strict_types never count."""
        ...

    @abstractmethod
    def closure_of(self, callback: Value) -> PhpClosure:
        """`Closure::fromCallable($callback)`."""
        ...

    @abstractmethod
    def call_function(self, name: str, arguments: Sequence[Value], *, strict: bool = False) -> Value: ...

    @abstractmethod
    def run(
        self,
        bound: BoundMethod,
        this: PhpObject | EnumCase | None,
        static_class: str,
        arguments: Sequence[Value],
        named: Mapping[str, Value],
    ) -> Value: ...

    @abstractmethod
    def inside(self, frame: Frame, act: ExprCode) -> Value:
        """What `act` gives in that frame."""
        ...

    @abstractmethod
    def expression(self, expression: n.Expression, frame: Frame) -> Value:
        """The value of an expression in that frame."""
        ...

    @abstractmethod
    def constant_expression(self, expression: n.Expression, class_name: str, file: str) -> Value:
        """A default value or constant of a class."""
        ...

    @abstractmethod
    def make(
        self, class_name: str, arguments: Sequence[Value] = (), named: Mapping[str, Value] | None = None
    ) -> Value:
        """`new Class(…)`."""
        ...

    @abstractmethod
    def instantiate(self, class_name: str) -> PhpObject:
        """An object with every property at its default, no constructor run."""
        ...

    @abstractmethod
    def defaults(self, class_name: str) -> dict[int | bytes, Value]:
        """Mangled name → default; typed properties without one are left out (uninitialized)."""
        ...

    @abstractmethod
    def accepts(self, value: Value, declared: n.Type, class_name: str) -> bool:
        """Whether a property of that type, in that class, may hold the value unconverted."""
        ...

    @abstractmethod
    def backing_value(self, case: EnumCase) -> int | bytes | None:
        """The value of a backed enum case; None for a pure enum. Refused if its source is not known."""
        ...

    @abstractmethod
    def is_a(self, value: Value, class_name: str) -> bool:
        """`$value instanceof Class`; Refused where the chain of its class is not known."""
        ...

    @abstractmethod
    def read(self, holder: Value, name: str, *, silent: bool = False) -> Value:
        """`$holder->name` as the code under evaluation sees it; `silent` gives null instead of a warning."""
        ...

    @abstractmethod
    def offset(self, holder: Value, index: Value, *, silent: bool = False) -> Value:
        """`$holder[$index]`; `silent` gives null where there is nothing."""
        ...

    @abstractmethod
    def key(self, index: Value) -> int | bytes:
        """An array key as PHP makes it of a value."""
        ...

    @abstractmethod
    def iterable(self, value: Value) -> PhpArray:
        """The entries that foreach would go through, keys of an iterator that are no array keys refused."""
        ...

    @abstractmethod
    def text(self, value: Value) -> bytes:
        """`(string) $value`, `__toString` included."""
        ...

    @abstractmethod
    def equal(self, left: Value, right: Value) -> bool:
        """`==`."""
        ...

    @abstractmethod
    def compare(self, left: Value, right: Value) -> int:
        """`<=>`; see `operators.compare`."""
        ...

    @abstractmethod
    def to_array(self, value: Value) -> PhpArray:
        """`(array) $value`."""
        ...
