"""Variables, properties and offsets: reading them, and every way to assign."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.php import nodes as n
from bridge.php.frame import MAX_STRING, NullChain, stored
from bridge.php.operators import BINARY, Thrown, is_numeric, number_prefix, type_name, warn
from bridge.php.types import coerce
from bridge.php.values import EnumCase, PhpArray, PhpObject, Value

if TYPE_CHECKING:
    from bridge.php.evaluate import Evaluator

_SUPERGLOBALS = frozenset(
    {"GLOBALS", "_GET", "_POST", "_COOKIE", "_FILES", "_SERVER", "_ENV", "_REQUEST", "_SESSION"}
)


def variable(php: Evaluator, node: n.Variable) -> Value:
    if node.name in _SUPERGLOBALS:
        php.refuse(f"${node.name}")
    try:
        return php.frame.variables[node.name]
    except KeyError:
        raise warn(f"Undefined variable ${node.name}") from None


def property(php: Evaluator, node: n.Property) -> Value:
    holder = php.link(node.object)
    if holder is None and node.nullsafe:
        raise NullChain
    return php.read(holder, php.name_of(node.name))


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


def index(php: Evaluator, node: n.Index) -> Value:
    if node.index is None:
        raise Thrown("Error", "Cannot use [] for reading")
    return php.offset(php.link(node.base), php.value(node.index))


def assign_to(php: Evaluator, target: n.Expression, value: Value) -> None:
    match target:
        case n.Variable(name=name):
            if name == "this":
                php.refuse("an assignment to $this")
            php.frame.variables[name] = stored(value)
        case n.Index(base=base, index=index):
            _assign_offset(php, base, index, value)
        case n.Property(object=base, name=name):
            _write(php, php.value(base), php.name_of(name), value)
        case n.ListPattern(entries=entries):
            _destructure(php, entries, value)
        case _:
            php.refuse("an assignment to this")


def _assign_offset(php: Evaluator, base: n.Expression, index: n.Expression | None, value: Value) -> None:
    holder = value_or_null(php, base)
    if holder is None:
        holder = PhpArray()
    elif isinstance(holder, PhpArray):
        holder = holder.copy()
    else:
        php.refuse("an assignment to an offset of this")
    if index is None:
        holder.append(stored(value))
    else:
        holder[php.key(php.value(index))] = stored(value)
    assign_to(php, base, holder)


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


def _destructure(
    php: Evaluator, entries: tuple[tuple[n.Expression | None, n.Expression] | None, ...], value: Value
) -> None:
    position = 0
    for entry in entries:
        if entry is None:
            position += 1
            continue
        key, target = entry
        index: Value = position if key is None else php.value(key)
        position += key is None
        assign_to(php, target, None if value is None else php.offset(value, index))


def assign(php: Evaluator, node: n.Assign) -> Value:
    value = php.value(node.value)
    assign_to(php, node.target, value)
    return value


def assign_operation(php: Evaluator, node: n.AssignOperation) -> Value:
    if node.operator == "??":
        current = value_or_null(php, node.target)
        value = current if current is not None else php.value(node.value)
    else:
        current = php.value(node.target)
        operand = php.value(node.value)
        if node.operator == ".":
            value = php.text(current) + php.text(operand)
            if len(value) > MAX_STRING:
                php.refuse("a string this long")
        else:
            value = php.operate(node.operator, current, operand)
    assign_to(php, node.target, value)
    return value


def increment(php: Evaluator, node: n.Increment) -> Value:
    before = php.value(node.target)
    if isinstance(before, bytes) and not is_numeric(before):
        php.refuse("++ or -- of a string")
    if before is None:
        after: Value = 1 if node.step == 1 else None
    elif isinstance(before, bool):
        after = before
    elif isinstance(before, bytes):
        after = BINARY["+"](number_prefix(before)[0], node.step)
    else:
        after = BINARY["+"](before, node.step)
    assign_to(php, node.target, after)
    return after if node.prefix else before


def value_or_null(php: Evaluator, node: n.Expression) -> Value:
    """As the left of `??` or inside `isset`: whatever is not there is null, without a warning."""
    match node:
        case n.Variable(name=name):
            if name in _SUPERGLOBALS:
                php.refuse(f"${name}")
            return php.frame.variables.get(name)
        case n.Index(base=base, index=index) if index is not None:
            holder = value_or_null(php, base)
            offset = php.value(index)  # evaluated in any case, as it may throw
            if holder is None:
                return None
            if isinstance(holder, bytes) and not isinstance(offset, int | bytes):
                php.refuse("an offset of a string that is no integer")
            return php.offset(holder, offset, quiet=True)
        case n.Property(object=base, name=name):
            holder = value_or_null(php, base)
            if not isinstance(holder, PhpObject | EnumCase):
                return None
            return php.read(holder, php.name_of(name), quiet=True)
    return php.value(node)
