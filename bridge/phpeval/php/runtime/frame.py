"""What an evaluation holds on to: frames, closures, and what return, break and continue give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bridge.phpeval.php.runtime.copy_on_write import Cell, own_value
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value

MAX_STRING = 8 << 20  # bytes of one string


@dataclass(frozen=True, slots=True)
class References:
    """Which parameters a function takes by reference: positions, and all from `rest` on."""

    positions: frozenset[int] = frozenset()
    rest: int | None = None

    def __bool__(self) -> bool:
        return bool(self.positions) or self.rest is not None

    def __contains__(self, position: int) -> bool:
        return position in self.positions or (self.rest is not None and position >= self.rest)


NO_REFERENCES = References()


class Reference(Cell):
    """A value that several names share; and an argument by reference, whose last value goes back."""

    __slots__ = ()

    def array(self) -> Value:
        """What a write into it writes to; see `Place.array`."""
        if type(self.value) is PhpArray:
            return own_value(self)
        if self.value is None or self.value is False:
            self.value = PhpArray()
        return self.value


def shared_reference(variables: dict[str, Value], name: str) -> Any:
    """The Reference that the variable is from now on."""
    held: Any = variables.get(name)
    if not isinstance(held, Reference):
        held = Reference(held)
        variables[name] = held
    return held


class PhpClosure(PhpObject):
    """A closure or a reference to a function; it has no JSON form and leaves no trace in a payload.

    `rebound` gives the same closure with another `$this`, whose class is its scope; None where it cannot be
    had, as of a static closure.
    """

    __slots__ = ("act", "named", "rebound", "references")

    def __init__(
        self,
        act: Callable[[Sequence[Value]], Value],
        references: References = NO_REFERENCES,
        named: Callable[[Sequence[Value], Mapping[str, Value]], Value] | None = None,
        rebound: Callable[[PhpObject], PhpClosure] | None = None,
    ) -> None:
        super().__init__("Closure")
        self.act = act
        self.rebound = rebound
        self.references = references
        self.named = named


@dataclass(slots=True, weakref_slot=True)
class Frame:
    """One call: its variables, `$this`, the class whose code runs and the class it was called on.

    `strict`: whether its file has strict_types. A variable may be a Reference where the function's code
    binds its name to others. `statics`: the static variables of a closure. `parameters`: the names of those
    that are no `...$rest`; `arguments`: as they came, None where some came by name.
    """

    file: str
    variables: dict[str, Value] = field(default_factory=dict)
    this: PhpObject | None = None
    class_name: str = ""
    static_class: str = ""
    function: str = ""
    strict: bool = False
    statics: dict[str, Reference] | None = None
    parameters: Sequence[str] = ()
    arguments: Sequence[Value] | None = None


class Return:
    """Given by a statement that ends its function; other statements give None."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value


class Break:
    """Given by a statement that ends so many loops and switches (`is_continue`: only the turn)."""

    __slots__ = ("is_continue", "levels")

    def __init__(self, levels: int, is_continue: bool) -> None:
        self.levels = levels
        self.is_continue = is_continue


Completion: TypeAlias = Return | Break | None


def ends_loop(completion: Return | Break) -> bool:
    """Whether it ends the loop, and not only its turn."""
    return type(completion) is Return or not (completion.is_continue and completion.levels == 1)  # type: ignore[union-attr]


def left(completion: Return | Break) -> Completion:
    """Returns what a loop or switch that ends so gives to the one around it."""
    if isinstance(completion, Return):
        return completion
    return Break(completion.levels - 1, completion.is_continue) if completion.levels > 1 else None


class NullChain(Exception):
    """A `?->` met null: the value of the whole chain that it stands in is null."""
