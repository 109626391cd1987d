"""Our own nodes: what `syntax` lowers PHP source to, and all that `evaluate` knows.

Names are already resolved: a class name is fully qualified without a leading backslash, or one of
`self`, `static`, `parent`. Every node carries its line, so that a refusal can point at it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from bridge.errors import Refused
from bridge.phpeval.php.runtime.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    line: int = 0


# ---- expressions ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression(Node):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal(Expression):
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpolated(Expression):
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Node):
    """One entry of an array literal; `key` None appends; `spread` is `...value`."""

    key: Expression | None
    value: Expression
    spread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayLiteral(Expression):
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable(Expression):
    """`$name`; `this` is a variable like any other."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Property(Expression):
    """`object->name` or `object?->name`; `name` may be an expression in braces."""

    object: Expression
    name: str | Expression
    nullsafe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticProperty(Expression):
    class_name: str | Expression
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassConstant(Expression):
    """`Class::NAME`, `Enum::Case`, `Class::class`; `Class::{$name}` from PHP 8.3 on."""

    class_name: str | Expression
    name: str | Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant(Expression):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Index(Expression):
    """`base[index]`; `index` None is `base[]`, which can only be assigned to."""

    base: Expression
    index: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument(Node):
    value: Expression
    name: str | None = None
    spread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Expression):
    """`name(…)`, lower-case and without namespace, or a callable value. `strict`: as in `Type`."""

    function: str | Expression
    arguments: tuple[Argument, ...]
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodCall(Expression):
    object: Expression
    name: str | Expression
    arguments: tuple[Argument, ...]
    nullsafe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticCall(Expression):
    class_name: str | Expression
    name: str | Expression
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class New(Expression):
    """`declaration`: that of `new class { … }`."""

    class_name: str | Expression
    arguments: tuple[Argument, ...]
    declaration: ClassDeclaration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary(Expression):
    """`!`, `-`, `+`, `~`."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(Expression):
    """Any binary operator, `&&`, `||`, `??` included (they do not evaluate the right side in vain)."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceOf(Expression):
    object: Expression
    class_name: str | Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Ternary(Expression):
    """`then` None is `?:`."""

    condition: Expression
    then: Expression | None
    otherwise: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast(Expression):
    """To `int`, `float`, `string`, `bool`, `array`, `object`."""

    kind: str
    operand: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Isset(Expression):
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty(Expression):
    operand: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPattern(Expression):
    """The left side of `[…] = …`: key (None for the next index) and target; a None entry is skipped."""

    entries: tuple[tuple[Expression | None, Expression] | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign(Expression):
    target: Expression
    value: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignReference(Expression):
    """`$name = &$source`, of two variables."""

    name: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignOperation(Expression):
    """`target .= value` and its kin; `operator` without the `=`."""

    operator: str
    target: Expression
    value: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Increment(Expression):
    """`++` (step 1) or `--` (step -1), before (`prefix`) or after its target."""

    target: Expression
    step: int
    prefix: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Type(Node):
    """A declared type: the names of a union (built-in ones in lower case, `null` among them), or `None`
    for one that is not understood (an intersection). `strict`: the file declares strict_types."""

    names: tuple[str, ...] | None
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter(Node):
    name: str
    default: Expression | None = None
    variadic: bool = False
    promoted: bool = False
    type: Type | None = None
    reference: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure(Expression):
    """`function (…) use (…) {…}`, or `fn (…) => …`, which sees all of its surroundings (`captures` None).

    `shared`: those of the captures that are `&$name`; `static`: it has no `$this`; `names_class`: it says
    `__CLASS__`, which in a class, but not in a trait, stays what it is when the closure gets another `$this`.
    """

    parameters: tuple[Parameter, ...]
    captures: tuple[str, ...] | None
    body: tuple[Statement, ...]
    returns: Type | None = None
    shared: tuple[str, ...] = ()
    static: bool = False
    names_class: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionReference(Expression):
    """`strlen(...)` and `$object->method(...)`: the call without its arguments."""

    call: Call | MethodCall | StaticCall


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchArm(Node):
    """`conditions` empty is `default`."""

    conditions: tuple[Expression, ...]
    result: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Match(Expression):
    subject: Expression
    arms: tuple[MatchArm, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrowExpression(Expression):
    exception: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Yield(Expression):
    """`yield`, `yield value`, `yield key => value`."""

    key: Expression | None
    value: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class YieldFrom(Expression):
    source: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Clone(Expression):
    operand: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsupported(Expression):
    """A constant expression (default, constant) that could not be lowered: refused only when it is used."""

    problem: Refused


# ---- statements -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement(Node):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Return(Statement):
    value: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluate(Statement):
    expression: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class If(Statement):
    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreach(Statement):
    subject: Expression
    key: Expression | None
    value: Expression
    body: tuple[Statement, ...]
    reference: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop(Statement):
    """`for`, `while` and `do … while` (`first` runs the body before the first test)."""

    before: tuple[Expression, ...]
    condition: tuple[Expression, ...]
    after: tuple[Expression, ...]
    body: tuple[Statement, ...]
    first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Case(Node):
    """`value` None is `default`."""

    value: Expression | None
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch(Statement):
    subject: Expression
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(Statement):
    """`break` or `continue` (`is_continue`) out of `levels` loops and switches."""

    levels: int
    is_continue: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unset(Statement):
    targets: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticVariables(Statement):
    """`static $name = initial;`: names, each with its first value."""

    variables: tuple[tuple[str, Expression | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Catch(Node):
    class_names: tuple[str, ...]
    variable: str | None
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Try(Statement):
    body: tuple[Statement, ...]
    catches: tuple[Catch, ...]
    finally_body: tuple[Statement, ...]


# ---- declarations -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyDeclaration(Node):
    """`promoted` ones come from the constructor's parameters and have no default of their own."""

    name: str
    visibility: str = "public"
    static: bool = False
    type: Type | None = None
    promoted: bool = False
    default: Expression | None = None
    hooked: bool = False
    readonly: bool = False
    set_visibility: str = ""  # `private(set)`, `protected(set)`: who may write it


@dataclass(frozen=True, slots=True, kw_only=True)
class Method(Node):
    """`body` is lowered on demand by `syntax.lower_body`, so that an unknown construct in a method
    that nobody calls does no harm. None for an abstract method."""

    name: str
    class_name: str
    file: str
    visibility: str
    static: bool
    abstract: bool
    parameters: tuple[Parameter, ...] | None
    returns: Type | None
    attributes: tuple[str, ...] = ()
    strict: bool = False  # whether its file declares strict_types
    gives_reference: bool = False  # `function &name()`
    source: object = field(repr=False, compare=False)


TraitAlias: TypeAlias = tuple[str | None, str, str | None, str | None]  # trait, method, visibility, alias


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitUse(Node):
    """`use A, B { B::x insteadof A; A::x as protected y; }`"""

    names: tuple[str, ...]
    instead_of: tuple[tuple[str, str, tuple[str, ...]], ...] = ()  # trait, method, losing traits
    aliases: tuple[TraitAlias, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDeclaration(Node):
    """One class, interface, trait or enum as its file declares it. Methods are keyed in lower case."""

    name: str
    kind: str
    file: str
    parent: str | None
    interfaces: tuple[str, ...]
    traits: tuple[TraitUse, ...]
    constants: dict[str, Expression]
    cases: dict[str, Expression | None]
    properties: dict[str, PropertyDeclaration]
    methods: dict[str, Method]
    attributes: tuple[str, ...] = ()
    attribute_arguments: dict[str, tuple[Argument, ...]] = field(default_factory=dict)
    abstract: bool = False
    readonly: bool = False
    hidden_constants: dict[str, str] = field(default_factory=dict)  # those not public → visibility
