"""PHP's generators: an object of the class Generator around a Python generator, which is its code."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any, TypeAlias

from bridge.phpeval.php.runtime.execution import enter
from bridge.phpeval.php.runtime.frame import Completion, Return
from bridge.phpeval.php.runtime.interpreter import Interpreter, Routine
from bridge.phpeval.php.runtime.operators import Thrown
from bridge.phpeval.php.runtime.values import PhpObject, Value

# What the code of a generator function is: it yields a key (AUTOMATIC: the next integer), a value and whether
# an integer key counts for the automatic ones after it; it gets what is sent.
Yielding: TypeAlias = Generator[tuple[Any, Value, bool], Value, Completion]
AUTOMATIC = object()


class PhpGenerator(PhpObject):
    """Made when a generator function is called, in whose frame its code goes on each time."""

    __slots__ = ("_at_first", "_code", "_frame", "_item", "_last_key", "_outcome", "_running", "_started")

    def __init__(self, php: Interpreter, code: Yielding) -> None:
        super().__init__("Generator")
        self._code = code
        self._frame = php.frame
        self._item: tuple[Value, Value] | None = None  # None before the first and after the last
        self._last_key = -1
        self._outcome: Return | None = None
        self._started = self._at_first = self._running = False

    def _resume(self, php: Interpreter, sent: Value = None) -> None:
        if self._running:
            raise Thrown("Error", "Cannot resume an already running generator")
        self._at_first = not self._started
        self._started = self._running = True
        self._item, code = None, self._code

        def step(php: Interpreter) -> Value:
            try:
                key, value, counts = code.send(sent)
            except StopIteration as stopped:
                self._outcome = stopped.value if type(stopped.value) is Return else Return(None)
                return None
            if key is AUTOMATIC:
                key = self._last_key = self._last_key + 1
            elif counts and type(key) is int and key > self._last_key:
                self._last_key = key
            self._item = key, value
            return None

        frame = self._frame
        routine = Routine(parameters=(), body=step, returns=None, names=tuple(frame.parameters))
        try:
            enter(php, frame, routine, frame.arguments or (), {})
        finally:
            self._running = False

    def start(self, php: Interpreter) -> None:
        """Runs to the first `yield`, unless it has."""
        if not self._started:
            self._resume(php)

    def rewind(self, php: Interpreter) -> None:
        self.start(php)
        if not self._at_first:
            raise Thrown("Exception", "Cannot rewind a generator that was already run")

    def item(self, php: Interpreter) -> tuple[Value, Value] | None:
        """The key and value that it is at; None where it has ended."""
        self.start(php)
        return self._item

    def next(self, php: Interpreter) -> None:
        self.start(php)
        if self._item is not None:
            self._resume(php)

    def send(self, php: Interpreter, value: Value) -> Value:
        """The value sent becomes that of the `yield`; gives the next value."""
        self.start(php)
        if self._item is not None:
            self._resume(php, value)
        return None if self._item is None else self._item[1]

    def returned(self, php: Interpreter) -> Value:
        if self._outcome is None:
            raise Thrown("Exception", "Cannot get return value of a generator that hasn't returned")
        return self._outcome.value

    def entries(self, php: Interpreter) -> Iterator[tuple[Value, Value]]:
        """As foreach goes through it."""
        if self._started and self._item is None:
            raise Thrown("Exception", "Cannot traverse an already closed generator")
        self.rewind(php)
        while (item := self.item(php)) is not None:
            yield item
            self.next(php)


def call_generator(php: Interpreter, subject: PhpGenerator, name: str, arguments: Sequence[Value]) -> Value:
    """`$generator->name(…)`."""
    match name.lower(), len(arguments):
        case "current", 0:
            item = subject.item(php)
            return None if item is None else item[1]
        case "key", 0:
            item = subject.item(php)
            return None if item is None else item[0]
        case "next", 0:
            subject.next(php)
            return None
        case "valid", 0:
            return subject.item(php) is not None
        case "rewind", 0:
            subject.rewind(php)
            return None
        case "send", 1:
            return subject.send(php, arguments[0])
        case "getreturn", 0:
            return subject.returned(php)
    php.refuse(f"Generator::{name}() with these arguments")
