"""Variables, properties and offsets: reading them, reading them quietly, and the places that are written to.

A place is what stands left of `=`, in `unset`, or where a function takes a reference. What it is made of is
evaluated once, by `open`, before the value that comes: calls and the like in PHP's order, from left to right.
Plain variables in it are read only when the place itself is, as PHP does: `$a[$i] = ++$i` writes to the new
`$i`. One function a node, which compiles it (see `compile`); the tables at the end say what is read quietly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.frame import MAX_STRING, NullChain, Reference, stored
from bridge.phpeval.php.runtime.members import (
    has_property,
    property_container,
    require_array_access,
    slot,
    unset_property,
    write_property,
)
from bridge.phpeval.php.runtime.operators import BINARY, Thrown, is_numeric, number_prefix, type_name, warn
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value

if TYPE_CHECKING:
    from bridge.phpeval.php.compile.compiler import Assign, Code, Compiler
    from bridge.phpeval.php.runtime.interpreter import Evaluator

__all__ = ["Place", "place", "slot"]

_SUPERGLOBALS = frozenset(
    {"GLOBALS", "_GET", "_POST", "_COOKIE", "_FILES", "_SERVER", "_ENV", "_REQUEST", "_SESSION"}
)


# ---- reading --------------------------------------------------------------------------------


def variable(c: Compiler, node: n.Variable) -> Code:
    name = node.name
    if name in _SUPERGLOBALS:
        return _superglobal(node)
    if name in c.shared:

        def read(php: Evaluator) -> Value:
            held = php.frame.variables.get(name)
            if held is None and name not in php.frame.variables:
                raise warn(f"Undefined variable ${name}")
            return held.value if isinstance(held, Reference) else held

        return read

    def run(php: Evaluator) -> Value:
        try:
            return php.frame.variables[name]
        except KeyError:
            if name == "this":
                raise Thrown("Error", "Using $this when not in object context") from None
            raise warn(f"Undefined variable ${name}") from None

    return run


def _superglobal(node: n.Variable) -> Code:
    def refuse(php: Evaluator) -> Value:
        php.line = node.line
        php.refuse(f"${node.name}")

    return refuse


def property(c: Compiler, node: n.Property) -> Code:
    line, nullsafe, subject, name_of = node.line, node.nullsafe, c.link(node.object), c.name(node.name)
    match node:
        case n.Property(object=n.Variable(name="this"), name=str(name)):
            return _own_property(node, name, subject)

    def run(php: Evaluator) -> Value:
        holder = subject(php)
        php.line = line
        if nullsafe and holder is None:
            raise NullChain
        return php.read(holder, name_of(php))

    return run


def _own_property(node: n.Property, name: str, subject: Code) -> Code:
    """`$this->name`: where it lies in an object of the very class whose code runs is looked up once."""
    line, places = node.line, dict[str, bytes]()

    def run(php: Evaluator) -> Value:
        holder, scope = subject(php), php.frame.class_name
        php.line = line
        if type(holder) is PhpObject and holder.class_name == scope:
            mangled = places.get(scope)
            if mangled is None and php.declared(holder) and php.world.native(scope) is None:
                declared = php.classes.properties(scope).get(name)
                if declared is not None and not declared.declaration.static:
                    mangled = slot(php, holder, name)
                    if mangled is not None:
                        places[scope] = mangled
            if mangled is not None and mangled in holder.properties:
                return holder.properties[mangled]
        elif holder is None and node.nullsafe:
            raise NullChain
        return php.read(holder, name)

    return run


def index(c: Compiler, node: n.Index) -> Code:
    if node.index is None:

        def fail(php: Evaluator) -> Value:
            raise Thrown("Error", "Cannot use [] for reading")

        return fail
    if not _is_steady(node.index) and _is_place(node):
        whole = place(c, node)
        return lambda php: whole.read(php, whole.open(php))
    line, subject, index_of = node.line, c.link(node.base), c.value(node.index)

    def run(php: Evaluator) -> Value:
        holder, offset = subject(php), index_of(php)
        php.line = line
        return php.offset(holder, offset)

    return run


_STEADY = (
    n.Literal, n.Variable, n.Constant, n.ClassConstant, n.StaticProperty, n.Property, n.Index, n.Binary,
    n.Unary, n.Cast, n.Interpolated, n.Ternary, n.Isset, n.Empty, n.InstanceOf,
)  # fmt: skip


def _is_steady(node: object) -> bool:
    """Whether evaluating it changes no variable."""
    if isinstance(node, tuple):
        return all(map(_is_steady, node))
    if not isinstance(node, n.Node):
        return True
    return isinstance(node, _STEADY) and all(_is_steady(getattr(node, name)) for name in node.__slots__)


is_steady = _is_steady


def _is_place(node: n.Expression) -> bool:
    """Whether it is offsets and properties of a variable, without `?->`."""
    while True:
        match node:
            case n.Variable():
                return True
            case n.Index(base=inner) | n.Property(object=inner, nullsafe=False):
                node = inner
            case _:
                return False


# ---- reading quietly, as `??`, isset and empty do ---------------------------------------------


def _quiet_variable(c: Compiler, node: n.Variable) -> Code:
    name = node.name
    if name in _SUPERGLOBALS:
        return _superglobal(node)
    if name in c.shared:
        return lambda php: _value(php.frame.variables.get(name))
    return lambda php: php.frame.variables.get(name)


def _value(held: Any) -> Value:
    value: Value = held.value if isinstance(held, Reference) else held
    return value


def _quiet_index(c: Compiler, node: n.Index) -> Code:
    if node.index is None:
        return index(c, node)
    if not _is_steady(node.index) and _is_place(node):
        whole = place(c, node)
        return lambda php: whole.quiet(php, whole.open(php))
    line, subject, index_of = node.line, c.quiet(node.base), c.value(node.index)

    def run(php: Evaluator) -> Value:
        holder = subject(php)
        offset = index_of(php)  # evaluated in any case, as it may throw
        if holder is None:
            return None
        php.line = line
        return _quiet_offset(php, holder, offset)

    return run


def _quiet_offset(php: Evaluator, holder: Value, offset: Value) -> Value:
    if isinstance(holder, bytes) and not isinstance(offset, int | bytes):
        php.refuse("an offset of a string that is no integer")
    return php.offset(holder, offset, quiet=True)


def _quiet_property(c: Compiler, node: n.Property) -> Code:
    line, subject, name_of = node.line, c.quiet(node.object), c.name(node.name)

    def run(php: Evaluator) -> Value:
        holder = subject(php)
        if not isinstance(holder, PhpObject | EnumCase):
            return None
        php.line = line
        return php.read(holder, name_of(php), quiet=True)

    return run


def is_set(c: Compiler, node: n.Expression) -> Callable[[Evaluator], bool]:
    """`isset(node)`: objects are asked by offsetExists or __isset, and not for the value."""
    line = node.line
    match node:
        case n.Index(base=base, index=n.Expression() as inner):
            holder_of, index_of = c.quiet(base), c.value(inner)

            def has_offset(php: Evaluator) -> bool:
                holder, offset = holder_of(php), index_of(php)
                php.line = line
                if isinstance(holder, PhpObject):
                    require_array_access(php, holder)
                    return php.has_offset(holder, offset)
                return holder is not None and _quiet_offset(php, holder, offset) is not None

            return has_offset
        case n.Property(object=subject, name=name):
            holder_of, name_of = c.quiet(subject), c.name(name)

            def has_one(php: Evaluator) -> bool:
                holder = holder_of(php)
                if not isinstance(holder, PhpObject | EnumCase):
                    return False
                php.line = line
                return has_property(php, holder, name_of(php))

            return has_one
    code = c.quiet(node)
    return lambda php: code(php) is not None


# ---- places -----------------------------------------------------------------------------------


class Place:
    """Somewhere that a value is kept. `at` is what `open` gave: the parts, evaluated."""

    __slots__ = ("line",)

    def __init__(self, line: int) -> None:
        self.line = line

    def open(self, php: Evaluator) -> Any:
        """Evaluates the parts, once."""
        raise NotImplementedError

    def read(self, php: Evaluator, at: Any) -> Value:
        raise NotImplementedError

    def quiet(self, php: Evaluator, at: Any) -> Value:
        """As `??` reads: null where there is nothing."""
        raise NotImplementedError

    def update(self, php: Evaluator, at: Any) -> Value:
        """As `.=` reads."""
        return self.read(php, at)

    def stepped(self, php: Evaluator, at: Any) -> Value:
        """As `++` and `--` read."""
        return self.update(php, at)

    def container(self, php: Evaluator, at: Any) -> Value:
        """As a write into it reads: null where an array will be made."""
        raise NotImplementedError

    def write(self, php: Evaluator, at: Any, value: Value) -> Value:
        """Keeps the value (its own copy of an array); gives it as it is kept."""
        raise NotImplementedError

    def unset(self, php: Evaluator, at: Any) -> None:
        raise NotImplementedError


class _Variable(Place):
    __slots__ = ("name", "shared")

    def __init__(self, node: n.Variable, shared: bool) -> None:
        super().__init__(node.line)
        self.name = node.name
        self.shared = shared

    def open(self, php: Evaluator) -> Any:
        if self.name in _SUPERGLOBALS:
            php.line = self.line
            php.refuse(f"${self.name}")
        return None

    def read(self, php: Evaluator, at: Any) -> Value:
        if self.name not in php.frame.variables:
            if self.name == "this":
                raise Thrown("Error", "Using $this when not in object context")
            raise warn(f"Undefined variable ${self.name}")
        return _value(php.frame.variables[self.name])

    def quiet(self, php: Evaluator, at: Any) -> Value:
        return _value(php.frame.variables.get(self.name))

    container = quiet

    def write(self, php: Evaluator, at: Any, value: Value) -> Value:
        if self.name == "this":
            php.line = self.line
            php.refuse("an assignment to $this")
        kept = stored(value)
        if self.shared:
            held: Any = php.frame.variables.get(self.name)
            if isinstance(held, Reference):
                held.value = kept
                return value
        php.frame.variables[self.name] = kept
        return value

    def unset(self, php: Evaluator, at: Any) -> None:
        php.frame.variables.pop(self.name, None)


class _Index(Place):
    """`at` is what the base gave, and the offset if it is evaluated by `open`."""

    __slots__ = ("base", "index", "late")

    def __init__(self, line: int, base: Place, index: Code | None, late: bool) -> None:
        super().__init__(line)
        self.base = base
        self.index = index
        self.late = late

    def open(self, php: Evaluator) -> Any:
        base = self.base.open(php)
        return base, None if self.late or self.index is None else self.index(php)

    def _offset(self, php: Evaluator, at: Any) -> Value:
        if self.index is None:
            php.line = self.line
            raise Thrown("Error", "Cannot use [] for reading")
        offset: Value = self.index(php) if self.late else at[1]
        php.line = self.line
        return offset

    def read(self, php: Evaluator, at: Any) -> Value:
        holder = self.base.read(php, at[0])
        return php.offset(holder, self._offset(php, at))

    def quiet(self, php: Evaluator, at: Any) -> Value:
        holder = self.base.quiet(php, at[0])
        offset = self._offset(php, at)
        return None if holder is None else _quiet_offset(php, holder, offset)

    def update(self, php: Evaluator, at: Any) -> Value:
        return self._element(php, at, self.base.update(php, at[0]))

    def _element(self, php: Evaluator, at: Any, holder: Value) -> Value:
        if self.index is None:
            if not isinstance(holder, PhpArray):
                php.line = self.line
                php.refuse("a change of a new element of this")
            return None
        if isinstance(holder, int | float) and holder is not False:
            raise Thrown("Error", "Cannot use a scalar value as an array")
        return php.offset(holder, self._offset(php, at))

    def stepped(self, php: Evaluator, at: Any) -> Value:
        holder = self.base.update(php, at[0])
        if not isinstance(holder, PhpObject) or self.index is None:
            return self._element(php, at, holder)
        require_array_access(php, holder)
        if php.world.native(holder.class_name) is not None:
            php.refuse("++ or -- of an offset of this object")
        if isinstance(php.call_method(holder, "offsetGet", (self._offset(php, at),)), PhpObject):
            php.refuse("++ or -- of an object")
        raise warn(f"Indirect modification of overloaded element of {holder.class_name} has no effect")

    def container(self, php: Evaluator, at: Any) -> Value:
        holder = self.base.container(php, at[0])
        if self.index is None or holder is None or holder is False:
            return None
        offset = self._offset(php, at)
        if isinstance(holder, PhpArray):
            return holder.get(php.key(offset))
        if isinstance(holder, PhpObject):
            require_array_access(php, holder)
            value = php.call_method(holder, "offsetGet", (offset,))
            if not isinstance(value, PhpObject):
                php.refuse("an assignment into an offset of an object")
            return value
        self._no_container(php, holder)
        return None

    def _no_container(self, php: Evaluator, holder: Value) -> None:
        php.line = self.line
        if isinstance(holder, bytes):
            php.refuse("an assignment to an offset of a string")
        if isinstance(holder, EnumCase):
            raise Thrown("Error", f"Cannot use object of type {holder.class_name} as array")
        raise Thrown("Error", "Cannot use a scalar value as an array")

    def write(self, php: Evaluator, at: Any, value: Value) -> Value:
        holder = self.base.container(php, at[0])
        offset = None if self.index is None else self._offset(php, at)
        php.line = self.line
        if type(holder) is PhpArray:
            changed = holder.copy()
        elif holder is None or holder is False:
            changed = PhpArray()
        elif isinstance(holder, PhpObject):
            require_array_access(php, holder)
            php.call_method(holder, "offsetSet", (offset, value))
            return value
        else:
            self._no_container(php, holder)
            return value
        if self.index is None:
            changed.append(stored(value))
        else:
            changed[php.key(offset)] = stored(value)
        self.base.write(php, at[0], changed)
        return value

    def unset(self, php: Evaluator, at: Any) -> None:
        base = self.base
        if isinstance(base, _Variable):
            holder = base.read(php, at[0])
        elif isinstance(base, _Property):
            holder = base.quiet(php, at[0])
        else:
            holder = base.quiet(php, at[0])
        if holder is None or holder is False:
            return
        offset = self._offset(php, at)
        if isinstance(holder, PhpArray):
            changed = holder.copy()
            changed.next_index = holder.upcoming()
            changed.pop(php.key(offset), None)
            base.write(php, at[0], changed)
        elif isinstance(holder, PhpObject):
            require_array_access(php, holder)
            php.call_method(holder, "offsetUnset", (offset,))
        elif isinstance(holder, bytes):
            raise Thrown("Error", "Cannot unset string offsets")
        else:
            raise Thrown("Error", "Cannot unset offset in a non-array variable")


class _Property(Place):
    """`at` is what the base gave, and the name."""

    __slots__ = ("base", "name", "nullsafe")

    def __init__(self, line: int, base: Place, name: Callable[[Evaluator], str], nullsafe: bool) -> None:
        super().__init__(line)
        self.base = base
        self.name = name
        self.nullsafe = nullsafe

    def open(self, php: Evaluator) -> Any:
        return self.base.open(php), self.name(php)

    def read(self, php: Evaluator, at: Any) -> Value:
        holder = self.base.read(php, at[0])
        php.line = self.line
        if self.nullsafe and holder is None:
            raise NullChain
        return php.read(holder, at[1])

    def quiet(self, php: Evaluator, at: Any) -> Value:
        holder = self.base.quiet(php, at[0])
        php.line = self.line
        return php.read(holder, at[1], quiet=True) if isinstance(holder, PhpObject | EnumCase) else None

    def update(self, php: Evaluator, at: Any) -> Value:
        holder = self.base.container(php, at[0])
        php.line = self.line
        if not isinstance(holder, PhpObject | EnumCase):
            raise Thrown("Error", f'Attempt to assign property "{at[1]}" on {type_name(holder)}')
        return php.read(holder, at[1])

    def container(self, php: Evaluator, at: Any) -> Value:
        holder = self.base.container(php, at[0])
        php.line = self.line
        return property_container(php, holder, at[1])

    def write(self, php: Evaluator, at: Any, value: Value) -> Value:
        holder = self.base.container(php, at[0])
        php.line = self.line
        return write_property(php, holder, at[1], value)

    def unset(self, php: Evaluator, at: Any) -> None:
        holder = self.base.quiet(php, at[0])
        php.line = self.line
        unset_property(php, holder, at[1])


class _Result(Place):
    """What an expression gives: its properties can be written, and offsets if it is an object."""

    __slots__ = ("code", "node")

    def __init__(self, node: n.Expression, code: Code) -> None:
        super().__init__(node.line)
        self.node = node
        self.code = code

    def open(self, php: Evaluator) -> Any:
        return self.code(php)

    def read(self, php: Evaluator, at: Any) -> Value:
        value: Value = at
        return value

    quiet = container = read

    def write(self, php: Evaluator, at: Any, value: Value) -> Value:
        php.line = self.line or php.line
        php.refuse("an assignment to this")

    def unset(self, php: Evaluator, at: Any) -> None:
        php.line = self.line or php.line
        php.refuse("unset of this")


class _Static(_Result):
    """A static property: read, not written, since what is written stays for the jobs that follow."""

    def write(self, php: Evaluator, at: Any, value: Value) -> Value:
        php.line = self.line
        php.refuse("an assignment to a static property")


def place(c: Compiler, node: n.Expression) -> Place:
    """The place that the node names."""
    match node:
        case n.Variable():
            return _Variable(node, node.name in c.shared)
        case n.Index(base=base, index=inner):
            late = isinstance(inner, n.Variable | n.Literal)
            return _Index(node.line, place(c, base), None if inner is None else c.value(inner), late)
        case n.Property(object=subject, name=name):
            return _Property(node.line, place(c, subject), c.name(name), node.nullsafe)
        case n.StaticProperty():
            return _Static(node, c.value(node))
    return _Result(node, c.value(node))


# ---- assigning --------------------------------------------------------------------------------


def _to_variable(c: Compiler, node: n.Variable) -> Assign:
    name = node.name
    if name == "this" or name in _SUPERGLOBALS or name in c.shared:
        return _to_place(c, node)

    def assign(php: Evaluator, value: Value) -> Value:
        php.frame.variables[name] = value.copy() if type(value) is PhpArray else value
        return value

    return assign


def _to_place(c: Compiler, node: n.Expression) -> Assign:
    target = place(c, node)
    return lambda php, value: target.write(php, target.open(php), value)


def _to_pattern(c: Compiler, node: n.ListPattern) -> Assign:
    parts: list[tuple[Code, Assign]] = []
    position = 0
    for entry in node.entries:
        if entry is None:
            position += 1
            continue
        key, target = entry
        parts.append((_position(position) if key is None else c.value(key), c.target(target)))
        position += key is None

    def assign(php: Evaluator, value: Value) -> Value:
        holds = isinstance(value, PhpArray | PhpObject)
        for index_of, assign_part in parts:
            offset = index_of(php)
            assign_part(php, php.offset(value, offset) if holds else None)
        return value

    return assign


def _position(position: int) -> Code:
    return lambda php: position


def assign(c: Compiler, node: n.Assign) -> Code:
    if isinstance(node.target, n.Variable | n.ListPattern):
        code, target = c.value(node.value), c.target(node.target)
        return lambda php: target(php, code(php))
    c.steps += 1
    goal, code = place(c, node.target), c.value(node.value)

    def run(php: Evaluator) -> Value:
        at = goal.open(php)
        return goal.write(php, at, code(php))

    return run


def assign_reference(c: Compiler, node: n.AssignReference) -> Code:
    """`$name = &$source`: both names share one value from now on."""
    name, source = node.name, node.source

    def run(php: Evaluator) -> Value:
        held: Any = php.frame.variables.get(source)
        if not isinstance(held, Reference):
            held = Reference(held)
            php.frame.variables[source] = held
        php.frame.variables[name] = held
        value: Value = held.value
        return value

    return run


def assign_operation(c: Compiler, node: n.AssignOperation) -> Code:
    line, operator = node.line, node.operator
    c.steps += 1
    goal, operand = place(c, node.target), c.value(node.value)
    if operator == "??":

        def coalesce(php: Evaluator) -> Value:
            at = goal.open(php)
            current = goal.quiet(php, at)
            return current if current is not None else goal.write(php, at, operand(php))

        return coalesce

    def run(php: Evaluator) -> Value:
        at = goal.open(php)
        other = operand(php)
        current = goal.update(php, at)
        php.line = line
        if operator == ".":
            value: Value = php.text(current) + php.text(other)
            if len(value) > MAX_STRING:  # type: ignore[arg-type]
                php.refuse("a string this long")
        else:
            value = php.operate(operator, current, other)
        return goal.write(php, at, value)

    return run


def increment(c: Compiler, node: n.Increment) -> Code:
    line, step, prefix = node.line, node.step, node.prefix
    c.steps += 1
    goal = place(c, node.target)

    def run(php: Evaluator) -> Value:
        at = goal.open(php)
        before = goal.stepped(php, at)
        php.line = line
        after = goal.write(php, at, _next(php, before, step))
        return after if prefix else before

    return run


def _next(php: Evaluator, before: Value, step: int) -> Value:
    if before is None and step == 1:
        return 1
    if before is None or isinstance(before, bool):
        if php.before(8, 3):  # later ones warn
            return before
        php.refuse("++ or -- of null or a bool")
    if isinstance(before, bytes) and not is_numeric(before):
        if step == 1 and before.isalnum() and before.isascii():
            return _next_text(before)
        php.refuse("++ or -- of a string")
    return BINARY["+"](number_prefix(before)[0] if isinstance(before, bytes) else before, step)


def _next_text(before: bytes) -> bytes:
    """The next of `a`, `z`, `Az`, `a9`: each place counts through letters of its case, or digits."""
    characters = bytearray(before)
    for at in reversed(range(len(characters))):
        last = {57: 48, 90: 65, 122: 97}.get(characters[at])  # 9, Z, z → 0, A, a
        if last is None:
            characters[at] += 1
            return bytes(characters)
        characters[at] = last
    first = 49 if characters[0] == 48 else characters[0]
    return bytes([first]) + bytes(characters)


QUIET: dict[type[n.Expression], Callable[[Compiler, Any], Code]] = {
    n.Variable: _quiet_variable,
    n.Index: _quiet_index,
    n.Property: _quiet_property,
}

TARGETS: dict[type[n.Expression], Callable[[Compiler, Any], Assign]] = {
    n.Variable: _to_variable,
    n.ListPattern: _to_pattern,
}
