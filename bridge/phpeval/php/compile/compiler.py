"""Nodes → Python functions, once for each piece of source: a node becomes a closure over those of its parts.

`expressions`, `places`, `calls` and `statements` hold one function a node: it gets the Compiler and the node,
and gives what evaluates it. Whatever needs no values is done here, once: names are looked at, constant parts
worked out, the steps of a statement counted, so that the budget is asked once a statement and once a turn of
a loop. What may refuse sets the line first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias
from zlib import crc32

from bridge.errors import JobError
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.frame import Completion, NullChain, References, Return
from bridge.phpeval.php.runtime.interpreter import Environment, Interpreter, Parameter, Routine
from bridge.phpeval.php.runtime.interpreter import ExprCode as ExprCode
from bridge.phpeval.php.runtime.object_model import class_of, parent_class
from bridge.phpeval.php.runtime.operators import BINARY
from bridge.phpeval.php.runtime.places import Place
from bridge.phpeval.php.runtime.values import PhpArray, Value, array_key

StmtCode: TypeAlias = "Callable[[Interpreter], Completion]"
StoreCode: TypeAlias = "Callable[[Interpreter, Value], Value]"
Name: TypeAlias = "Callable[[Interpreter], str]"

UNKNOWN = object()  # what `constant` gives where values are needed


@dataclass(frozen=True, slots=True)
class Nodes:
    """What makes functions of nodes, by kind.

    expressions  the value
    quiet        the value, as `??` reads it; where a kind is missing, as `expressions` does
    targets      what assigns to it; where a kind is missing, it is done through its place
    statements   what runs it
    place        where its value is kept
    is_set       `isset` of it
    lent         the value, as a function that returns a reference reads it
    is_generator, generator  whether code has a `yield`, and what such a function's body gives
    """

    expressions: Mapping[type[n.Expression], Callable[[Compiler, Any], ExprCode]]
    silent: Mapping[type[n.Expression], Callable[[Compiler, Any], ExprCode]]
    targets: Mapping[type[n.Expression], Callable[[Compiler, Any], StoreCode]]
    statements: Mapping[type[n.Statement], Callable[[Compiler, Any], StmtCode]]
    place: Callable[[Compiler, n.Expression], Place]
    is_set: Callable[[Compiler, n.Expression], Callable[[Interpreter], bool]]
    lent: Callable[[Compiler, n.Expression], ExprCode]
    is_generator: Callable[[object], bool]
    generator: Callable[[Compiler, tuple[n.Statement, ...]], ExprCode]


class Compiler:
    """Compiles one method or constant expression for an Environment.

    unit        a name for what is compiled, the same in every process
    steps       what it costs to run so far
    shared      the variables of the function that may be a Reference
    in_closure  whether it is at the code of a closure
    lends       whether it is at the code of a function that returns a reference
    """

    def __init__(
        self,
        environment: Environment,
        nodes: Nodes,
        unit: str,
        shared: frozenset[str] = frozenset(),
        branches: Iterator[int] | None = None,
    ) -> None:
        self.unit = unit
        self._branches = count() if branches is None else branches
        self.environment = environment
        self.nodes = nodes
        self.shared = shared
        self.steps = 0
        self.in_closure = False
        self.lends = False

    # ---- branches ---------------------------------------------------------------------------

    def branch(self) -> int:
        """A number for code that may or may not run, the same in every process: see `Interpreter.path`."""
        return crc32(f"{self.unit}#{next(self._branches)}".encode("utf-8", "replace"))

    def branching(self, node: n.Expression) -> ExprCode:
        """`value`, of a part that may or may not be asked for."""
        here, code = self.branch(), self.value(node)

        def run(php: Interpreter) -> Value:
            php.path.add(here)
            return code(php)

        return run

    # ---- expressions ------------------------------------------------------------------------

    def value(self, node: n.Expression) -> ExprCode:
        """The value; null where a `?->` in the chain meets null."""
        code = self.link(node)
        if not _may_end(node):
            return code

        def run(php: Interpreter) -> Value:
            try:
                return code(php)
            except NullChain:
                return None

        return run

    def link(self, node: n.Expression) -> ExprCode:
        """What stands left of `->` or `[`: a `?->` on null in it ends the whole chain (NullChain)."""
        self.steps += 1
        known = self.constant(node)
        if known is not UNKNOWN:
            return lambda php: known  # type: ignore[return-value]
        return self.nodes.expressions[type(node)](self, node)

    def silent(self, node: n.Expression) -> ExprCode:
        """As the left of `??` or inside `isset`: whatever is not there is null, without a warning."""
        compiled = self.nodes.silent.get(type(node))
        if compiled is None:
            return self.value(node)
        self.steps += 1
        return compiled(self, node)

    def returned(self, node: n.Expression) -> ExprCode:
        """The value that `return node` gives."""
        return self.nodes.lent(self, node) if self.lends else self.value(node)

    def target(self, node: n.Expression) -> StoreCode:
        """What assigns a value to the variable, offset, property or pattern."""
        self.steps += 1
        compiled = self.nodes.targets.get(type(node))
        if compiled is not None:
            return compiled(self, node)
        target = self.nodes.place(self, node)
        return lambda php, value: target.write(php, target.open(php), value)

    def place(self, node: n.Expression) -> Place:
        """Where the node's value is kept."""
        self.steps += 1
        return self.nodes.place(self, node)

    def is_set(self, node: n.Expression) -> Callable[[Interpreter], bool]:
        """`isset(node)`."""
        self.steps += 1
        return self.nodes.is_set(self, node)

    def constant(self, node: n.Expression) -> object:
        """The value that the node always has, else UNKNOWN."""
        match node:
            case n.Literal(value=value):
                return value
            case n.Unary(operator="-" | "+" as sign, operand=operand):
                return self._operated("*", self.constant(operand), -1 if sign == "-" else 1)
            case n.Binary(operator=operator, left=left, right=right) if operator in BINARY:
                return self._operated(operator, self.constant(left), self.constant(right))
        return UNKNOWN

    def _operated(self, operator: str, left: object, right: object) -> object:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        try:
            return BINARY[operator](left, right) if numbers else UNKNOWN  # type: ignore[arg-type]
        except JobError:
            return UNKNOWN  # an exception of PHP, at its time

    def keys(self, entries: tuple[n.Entry, ...]) -> list[int | bytes] | None:
        """The keys of an array literal, None where they are not all known before."""
        made = PhpArray()
        keys: list[int | bytes] = []
        for entry in entries:
            index = None if entry.key is None else self.constant(entry.key)
            if entry.spread or not (entry.key is None or type(index) in (int, bytes)):
                return None
            if isinstance(index, bytes):
                key = array_key(index)
            else:
                try:
                    key = made.next_key() if entry.key is None else index  # type: ignore[assignment]
                except JobError:
                    return None
            made[key] = None
            keys.append(key)
        return keys

    def twin(self) -> Compiler:
        """One for what is compiled later in the same function."""
        return Compiler(self.environment, self.nodes, self.unit, self.shared, self._branches)

    def name(self, name: str | n.Expression) -> Name:
        """The name of a property or method."""
        if isinstance(name, str):
            return lambda php: name
        code = self.value(name)
        return lambda php: php.text(code(php)).decode("utf-8", "surrogateescape")

    def class_name(self, reference: str | n.Expression) -> Name:
        """The class that `self`, `static`, `parent`, a name or an object in front of `::` means."""
        if not isinstance(reference, str):
            code = self.value(reference)
            return lambda php: class_of(php, code(php))
        match reference:
            case "self":
                return lambda php: php.frame.class_name
            case "static":
                return lambda php: php.frame.static_class
            case "parent":
                return parent_class
        return lambda php: reference

    # ---- statements -------------------------------------------------------------------------

    def statements(self, body: tuple[n.Statement, ...]) -> StmtCode:
        """Statements in turn, each with its steps; they end at a return or break."""
        here = self.branch()
        acts: list[tuple[int, int, StmtCode]] = []
        for statement in body:
            outer, self.steps = self.steps, 1
            act = self.nodes.statements[type(statement)](self, statement)
            acts.append((statement.line, self.steps, act))
            self.steps = outer
        if len(acts) == 1:
            [(only_line, only_steps, only)] = acts

            def run_one(php: Interpreter) -> Completion:
                php.path.add(here)
                php.line = only_line
                php.charge(only_steps)
                return only(php)

            return run_one

        def run(php: Interpreter) -> Completion:
            php.path.add(here)
            for line, steps, act in acts:
                php.line = line
                php.charge(steps)
                completion = act(php)
                if completion is not None:
                    return completion
            return None

        return run

    def body(self, body: tuple[n.Statement, ...], *, by_reference: bool = False) -> ExprCode:
        """What a function returns."""
        if self.nodes.is_generator(body):
            made = self.nodes.generator(self, body)
            takes = by_reference or self.lends
            return _refusing("a generator function that takes or gives references") if takes else made
        match body:
            case (n.Return(value=n.Expression() as value, line=line),):
                return self._single(value, line)
        act = self.statements(body)

        def run(php: Interpreter) -> Value:
            completion = act(php)
            if completion is None:
                return None
            if type(completion) is Return:
                return completion.value
            php.refuse("a break or continue outside of a loop")

        return run

    def _single(self, value: n.Expression, line: int) -> ExprCode:
        """As `body`, of a body that is nothing but `return value;`."""
        here = self.branch()
        outer, self.steps = self.steps, 1
        code, steps = self.returned(value), self.steps
        self.steps = outer

        def run(php: Interpreter) -> Value:
            php.path.add(here)
            php.line = line
            php.charge(steps)
            return code(php)

        return run

    def routine(
        self,
        parameters: tuple[n.Parameter, ...],
        body: tuple[n.Statement, ...],
        returns: n.Type | None,
        *,
        lends: bool = False,
    ) -> Routine:
        by_reference = {one.name for one in parameters if one.reference and not one.variadic}
        outer, self.shared = self.shared, self.shared | _shared(body) | by_reference
        outer_lends, self.lends = self.lends, lends
        try:
            return self._routine(parameters, body, returns)
        finally:
            self.shared, self.lends = outer, outer_lends

    def _routine(
        self, parameters: tuple[n.Parameter, ...], body: tuple[n.Statement, ...], returns: n.Type | None
    ) -> Routine:
        return Routine(
            references=References(
                frozenset(at for at, one in enumerate(parameters) if one.reference and not one.variadic),
                next((at for at, one in enumerate(parameters) if one.reference and one.variadic), None),
            ),
            promotes=any(one.promoted for one in parameters),
            names=tuple(one.name for one in parameters if not one.variadic),
            parameters=tuple(
                Parameter(
                    name=one.name,
                    default=None if one.default is None else self.value(one.default),
                    variadic=one.variadic,
                    promoted=one.promoted,
                    type=one.type,
                    reference=one.reference,
                )
                for one in parameters
            ),
            body=self.body(body, by_reference=any(one.reference for one in parameters)),
            returns=returns,
        )


def _refusing(what: str) -> ExprCode:
    def refuse(php: Interpreter) -> Value:
        php.refuse(what)

    return refuse


def _may_end(node: n.Expression) -> bool:
    """Whether a `?->` in the chain of this node may end it."""
    while True:
        match node:
            case n.Property(object=inner, nullsafe=nullsafe) | n.MethodCall(object=inner, nullsafe=nullsafe):
                if nullsafe:
                    return True
            case n.Index(base=inner):
                pass
            case _:
                return False
        node = inner


def _shared(part: object) -> frozenset[str]:
    """The variables of a function's code that get bound to others. Closures inside have their own."""
    match part:
        case n.Closure(shared=names):
            return frozenset(names)
        case n.AssignReference(name=name, source=source):
            return frozenset((name, source))
        case n.StaticVariables(variables=variables):
            return frozenset(name for name, _ in variables)
        case n.Foreach(reference=True, value=n.Variable(name=name)):
            own = frozenset((name,))
        case _:
            own = frozenset()
    if isinstance(part, tuple):
        return own.union(*map(_shared, part))
    if isinstance(part, n.Node):
        return own.union(*(_shared(getattr(part, name)) for name in part.__slots__))
    return own
