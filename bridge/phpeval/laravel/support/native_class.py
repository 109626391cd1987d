"""A class written in Python as tables: one entry a method, static method or property.

    Family(methods={"count": lambda php, subject: …})

Names are as Laravel writes them: PHP ignores the case of a declared method, but not of one that `__call`
serves, so another case is refused.

The Python function's own signature says how many arguments the method takes; another count is refused, as is
every name without an entry. `refuse` in the converters below means: PHP would do something else than the
plain thing here, and nobody has written it down yet.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.phpeval.laravel.support.releases import Rows, require
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value

Act = Callable[..., Any]


class NativeClass:
    """A `bridge.phpeval.php.runtime.interpreter.Native` made of tables.

    methods     by name; called with (php, subject, *arguments)
    statics     by name; called with (php, class_name, *arguments)
    properties  by name; called with (php, subject)
    make        the constructor; called with (php, class_name, *arguments)
    releases    since when Laravel has them; None: they are not Laravel's own
    compare     `<=>` of two objects, None where PHP compares their properties
    """

    def __init__(
        self,
        *,
        methods: Mapping[str, Act],
        statics: Mapping[str, Act] | None = None,
        properties: Mapping[str, Act] | None = None,
        make: Act | None = None,
        releases: Rows | None = None,
        compare: Callable[[Interpreter, PhpObject, PhpObject], int | None] | None = None,
    ) -> None:
        self.compares = compare
        self.methods = methods
        self.statics = statics or {}
        self.properties = properties or {}
        self._make = make
        self._releases = releases

    @property
    def makes(self) -> bool:
        """Whether there is a constructor."""
        return self._make is not None

    def has_property(self, name: str) -> bool:
        """Whether `read` knows the property."""
        return name in self.properties

    def construct(self, php: Interpreter, class_name: str, arguments: Sequence[Value]) -> Value:
        if self._make is None:
            php.refuse(f"new {class_name}")
        return run(php, self._make, f"new {class_name}", class_name, arguments)

    def call(self, php: Interpreter, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value:
        act = self.methods.get(method)
        if act is None:
            php.refuse(f"the method {subject.class_name}::{method}()")
        if self._releases is not None:
            require(php, self._releases, method, len(arguments), f"{subject.class_name}::{method}()")
        return run(php, act, f"{subject.class_name}::{method}()", subject, arguments)

    def static(self, php: Interpreter, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        act = self.statics.get(method)
        if act is None:
            php.refuse(f"the static method {class_name}::{method}()")
        if self._releases is not None:
            require(php, self._releases, method, len(arguments), f"{class_name}::{method}()")
        return run(php, act, f"{class_name}::{method}()", class_name, arguments)

    def read(self, php: Interpreter, subject: PhpObject, name: str) -> Value:
        act = self.properties.get(name)
        if act is None:
            php.refuse(f"the property {subject.class_name}::${name}")
        value: Value = act(php, subject)
        return value

    def has(self, php: Interpreter, subject: PhpObject, name: str) -> bool:
        if name not in self.properties:
            php.refuse(f"isset of {subject.class_name}::${name}")
        return True


def run(php: Interpreter, act: Act, what: str, subject: object, arguments: Sequence[Value]) -> Value:
    """The method's value; refused where it takes another number of arguments."""
    fewest, most = _arity(act)
    if not fewest <= len(arguments) <= most:
        php.refuse(f"{what} with {len(arguments)} arguments")
    value: Value = act(php, subject, *arguments)
    return value


_ARITIES: dict[Act, tuple[int, float]] = {}


def _arity(act: Act) -> tuple[int, float]:
    """How many arguments besides the first two."""
    known = _ARITIES.get(act)
    if known is None:
        parameters = list(inspect.signature(act).parameters.values())[2:]
        plain = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        fewest = sum(p.default is p.empty for p in plain)
        many = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        known = _ARITIES[act] = (fewest, float("inf") if many else len(plain))
    return known


# ---- what an argument must be ---------------------------------------------------------------


def whole(php: Interpreter, value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        php.refuse("this argument, which is not an integer,")
    return value


def text(php: Interpreter, value: Value) -> bytes:
    if not isinstance(value, bytes):
        php.refuse("this argument, which is not a string,")
    return value


def array(php: Interpreter, value: Value) -> PhpArray:
    if not isinstance(value, PhpArray):
        php.refuse("this argument, which is not an array,")
    return value


def flag(php: Interpreter, value: Value) -> bool:
    if not isinstance(value, bool):
        php.refuse("this argument, which is not true or false,")
    return value
