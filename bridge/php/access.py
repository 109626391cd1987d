"""Variables, properties and offsets: reading them, reading them quietly, and every way to assign.

One function a node, which compiles it (see `compile`); the tables at the end say what can be read quietly and
what can be assigned to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bridge.php import nodes as n
from bridge.php.frame import MAX_STRING, NullChain, stored
from bridge.php.operators import BINARY, Thrown, is_numeric, number_prefix, type_name, warn
from bridge.php.types import coerce
from bridge.php.values import EnumCase, PhpArray, PhpObject, Value

if TYPE_CHECKING:
    from bridge.php.compile import Assign, Code, Compiler
    from bridge.php.evaluate import Evaluator

_SUPERGLOBALS = frozenset(
    {"GLOBALS", "_GET", "_POST", "_COOKIE", "_FILES", "_SERVER", "_ENV", "_REQUEST", "_SESSION"}
)


# ---- reading --------------------------------------------------------------------------------


def variable(c: Compiler, node: n.Variable) -> Code:
    name = node.name
    if name in _SUPERGLOBALS:
        return _superglobal(node)

    def run(php: Evaluator) -> Value:
        try:
            return php.frame.variables[name]
        except KeyError:
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
    line, subject, index_of = node.line, c.link(node.base), c.value(node.index)

    def run(php: Evaluator) -> Value:
        holder, offset = subject(php), index_of(php)
        php.line = line
        return php.offset(holder, offset)

    return run


def slot(php: Evaluator, holder: PhpObject, name: str) -> bytes | None:
    """The mangled name by which the running code may reach a property; None if it is not declared."""
    plain = name.encode("utf-8", "surrogateescape")
    scope = php.frame.class_name
    if scope and scope != holder.class_name and php.classes.find(scope) is not None:
        own = php.classes.require(scope).properties.get(name)
        if own is not None and own.visibility == "private":
            mangled = b"\0" + scope.encode() + b"\0" + plain
            if mangled in holder.properties or php.classes.is_a(holder.class_name, scope):
                return mangled
    bound = php.classes.properties(holder.class_name).get(name)
    if bound is None or bound.declaration.static:
        return plain if plain in holder.properties else None
    if bound.declaration.hooked:
        php.refuse(f"the property hook of ${name}")
    if bound.declaration.visibility == "private" and bound.owner != scope:
        raise Thrown("Error", f"Cannot access private property {holder.class_name}::${name}")
    if bound.declaration.visibility == "protected":
        related = scope and (
            php.classes.is_a(holder.class_name, scope) or php.classes.is_a(scope, bound.owner)
        )
        if not related:
            raise Thrown("Error", f"Cannot access protected property {holder.class_name}::${name}")
    return bound.mangled


# ---- reading quietly, as `??`, isset and empty do ---------------------------------------------


def _quiet_variable(c: Compiler, node: n.Variable) -> Code:
    name = node.name
    if name in _SUPERGLOBALS:
        return _superglobal(node)
    return lambda php: php.frame.variables.get(name)


def _quiet_index(c: Compiler, node: n.Index) -> Code:
    if node.index is None:
        return index(c, node)
    line, subject, index_of = node.line, c.quiet(node.base), c.value(node.index)

    def run(php: Evaluator) -> Value:
        holder = subject(php)
        offset = index_of(php)  # evaluated in any case, as it may throw
        if holder is None:
            return None
        php.line = line
        if isinstance(holder, bytes) and not isinstance(offset, int | bytes):
            php.refuse("an offset of a string that is no integer")
        return php.offset(holder, offset, quiet=True)

    return run


def _quiet_property(c: Compiler, node: n.Property) -> Code:
    line, subject, name_of = node.line, c.quiet(node.object), c.name(node.name)

    def run(php: Evaluator) -> Value:
        holder = subject(php)
        if not isinstance(holder, PhpObject | EnumCase):
            return None
        php.line = line
        return php.read(holder, name_of(php), quiet=True)

    return run


# ---- assigning --------------------------------------------------------------------------------


def _to_variable(c: Compiler, node: n.Variable) -> Assign:
    name = node.name

    def assign(php: Evaluator, value: Value) -> None:
        if name == "this":
            php.line = node.line
            php.refuse("an assignment to $this")
        php.frame.variables[name] = stored(value)

    return assign


def _to_index(c: Compiler, node: n.Index) -> Assign:
    line, subject, assign_base = node.line, c.quiet(node.base), c.target(node.base)
    index_of = None if node.index is None else c.value(node.index)

    def assign(php: Evaluator, value: Value) -> None:
        holder = subject(php)
        if holder is None:
            holder = PhpArray()
        elif isinstance(holder, PhpArray):
            holder = holder.copy()
        else:
            php.line = line
            php.refuse("an assignment to an offset of this")
        if index_of is None:
            holder.append(stored(value))
        else:
            holder[php.key(index_of(php))] = stored(value)
        assign_base(php, holder)

    return assign


def _to_property(c: Compiler, node: n.Property) -> Assign:
    line, subject, name_of = node.line, c.value(node.object), c.name(node.name)

    def assign(php: Evaluator, value: Value) -> None:
        holder = subject(php)
        php.line = line
        _write(php, holder, name_of(php), value)

    return assign


def _write(php: Evaluator, holder: Value, name: str, value: Value) -> None:
    if not isinstance(holder, PhpObject):
        raise Thrown("Error", f'Attempt to assign property "{name}" on {type_name(holder)}')
    if holder.class_name == "stdClass":
        holder.properties[name.encode()] = stored(value)
        return
    native = php.world.native(holder.class_name)
    if (native is not None and not getattr(native, "assignable", False)) or not php.declared(holder):
        php.refuse(f"an assignment to {holder.class_name}::${name}")
    place = slot(php, holder, name)
    if place is None:
        php.refuse(f"the new property ${name} of {holder.class_name}")
    bound = php.classes.properties(holder.class_name).get(name)
    declared = bound.declaration.type if bound is not None else None
    if bound is not None and bound.declaration.readonly and place in holder.properties:
        raise Thrown("Error", f"Cannot modify readonly property {holder.class_name}::${name}")
    holder.properties[place] = stored(coerce(php, value, declared, "property"))


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

    def assign(php: Evaluator, value: Value) -> None:
        for index_of, assign_part in parts:
            offset = index_of(php)
            assign_part(php, None if value is None else php.offset(value, offset))

    return assign


def _position(position: int) -> Code:
    return lambda php: position


def assign(c: Compiler, node: n.Assign) -> Code:
    code, target = c.value(node.value), c.target(node.target)

    def run(php: Evaluator) -> Value:
        value = code(php)
        target(php, value)
        return value

    return run


def assign_operation(c: Compiler, node: n.AssignOperation) -> Code:
    line, operator = node.line, node.operator
    operand, target = c.value(node.value), c.target(node.target)
    if operator == "??":
        quiet = c.quiet(node.target)

        def coalesce(php: Evaluator) -> Value:
            current = quiet(php)
            value = current if current is not None else operand(php)
            target(php, value)
            return value

        return coalesce
    current_of = c.value(node.target)

    def run(php: Evaluator) -> Value:
        current, other = current_of(php), operand(php)
        php.line = line
        if operator == ".":
            value: Value = php.text(current) + php.text(other)
            if len(value) > MAX_STRING:  # type: ignore[arg-type]
                php.refuse("a string this long")
        else:
            value = php.operate(operator, current, other)
        target(php, value)
        return value

    return run


def increment(c: Compiler, node: n.Increment) -> Code:
    line, step, prefix = node.line, node.step, node.prefix
    current_of, target = c.value(node.target), c.target(node.target)

    def run(php: Evaluator) -> Value:
        before = current_of(php)
        if isinstance(before, bytes) and not is_numeric(before):
            php.line = line
            php.refuse("++ or -- of a string")
        after = _next(before, step)
        target(php, after)
        return after if prefix else before

    return run


def _next(before: Value, step: int) -> Value:
    if before is None:
        return 1 if step == 1 else None
    if isinstance(before, bool):
        return before
    return BINARY["+"](number_prefix(before)[0] if isinstance(before, bytes) else before, step)


QUIET: dict[type[n.Expression], Callable[[Compiler, Any], Code]] = {
    n.Variable: _quiet_variable,
    n.Index: _quiet_index,
    n.Property: _quiet_property,
}

TARGETS: dict[type[n.Expression], Callable[[Compiler, Any], Assign]] = {
    n.Variable: _to_variable,
    n.Index: _to_index,
    n.Property: _to_property,
    n.ListPattern: _to_pattern,
}
