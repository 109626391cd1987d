"""Variables, properties and offsets: reading them, reading them quietly, writing to them. One function a
node, which compiles it (see `compiler`); the tables at the end say what is read quietly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bridge.phpeval.php import ast as n
from bridge.phpeval.php.compile.compiler import Compiler, ExprCode, StoreCode
from bridge.phpeval.php.runtime.after_warning import go_on, is_missing, undefined, value_or_null
from bridge.phpeval.php.runtime.conversions import operate
from bridge.phpeval.php.runtime.frame import MAX_STRING, NullChain, Reference
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.offsets import has_offset, quiet_offset, require_array_access
from bridge.phpeval.php.runtime.operators import Thrown, to_bool, warn
from bridge.phpeval.php.runtime.places import (
    SUPERGLOBALS,
    ElementPlace,
    Place,
    PropertyPlace,
    ResultPlace,
    StaticPlace,
    VariablePlace,
    next_value,
    plain_value,
)
from bridge.phpeval.php.runtime.properties import has_property, locate, slot
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value


def variable(c: Compiler, node: n.Variable) -> ExprCode:
    name = node.name
    if name in SUPERGLOBALS:
        return _superglobal(node)
    if name in c.shared:

        def read(php: Interpreter) -> Value:
            held = php.frame.variables.get(name)
            if held is None and name not in php.frame.variables:
                raise warn(f"Undefined variable ${name}")
            return held.value if isinstance(held, Reference) else held

        return read

    def run(php: Interpreter) -> Value:
        try:
            return php.frame.variables[name]
        except KeyError:
            if name == "this":
                raise Thrown("Error", "Using $this when not in object context") from None
            raise warn(f"Undefined variable ${name}") from None

    return run


def variable_name(node: n.Expression) -> str | None:
    """The name of a variable that may be undefined; None for any other expression."""
    if isinstance(node, n.Variable) and node.name != "this" and node.name not in SUPERGLOBALS:
        return node.name
    return None


def _superglobal(node: n.Variable) -> ExprCode:
    def refuse(php: Interpreter) -> Value:
        php.line = node.line
        php.refuse(f"${node.name}")

    return refuse


def property(c: Compiler, node: n.Property) -> ExprCode:
    line, nullsafe, subject, name_of = node.line, node.nullsafe, c.link(node.object), c.name(node.name)
    match node:
        case n.Property(object=n.Variable(name="this"), name=str(name)):
            return _own_property(node, name, subject)

    absent, there = c.branch(), c.branch()

    def run(php: Interpreter) -> Value:
        holder = subject(php)
        php.line = line
        if nullsafe:
            php.path.add(absent if holder is None else there)
            if holder is None:
                raise NullChain
        return php.read(holder, name_of(php))

    return run


def _own_property(node: n.Property, name: str, subject: ExprCode) -> ExprCode:
    """`$this->name`: where it lies in an object of the very class whose code runs is looked up once."""
    line, places = node.line, dict[str, bytes]()

    def run(php: Interpreter) -> Value:
        holder, scope = subject(php), php.frame.class_name
        php.line = line
        if type(holder) is PhpObject and holder.class_name == scope:
            mangled = places.get(scope)
            if mangled is None and php.declared(holder) and php.environment.native(scope) is None:
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


def index(c: Compiler, node: n.Index) -> ExprCode:
    if node.index is None:

        def fail(php: Interpreter) -> Value:
            raise Thrown("Error", "Cannot use [] for reading")

        return fail
    if not _is_steady(node.index) and _is_place(node):
        whole = place(c, node)
        return lambda php: whole.read(php, whole.open(php))
    line, subject, index_of = node.line, c.link(node.base), c.value(node.index)
    name = variable_name(node.index)
    if variable_name(node.base) is not None and not isinstance(node.index, n.Variable | n.Literal):

        def late(php: Interpreter) -> Value:
            offset = index_of(php)
            holder = subject(php)
            php.line = line
            return php.offset(holder, offset)

        return late

    def run(php: Interpreter) -> Value:
        holder = subject(php)
        if is_missing(php, name) and isinstance(holder, PhpObject):
            php.line = line
            php.refuse("an undefined variable as the offset of an object")
        offset = index_of(php)
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


def _quiet_variable(c: Compiler, node: n.Variable) -> ExprCode:
    name = node.name
    if name in SUPERGLOBALS:
        return _superglobal(node)
    if name in c.shared:
        return lambda php: plain_value(php.frame.variables.get(name))
    return lambda php: php.frame.variables.get(name)


def _quiet_index(c: Compiler, node: n.Index) -> ExprCode:
    if node.index is None:
        return index(c, node)
    if not _is_steady(node.index) and _is_place(node):
        whole = place(c, node)
        return lambda php: whole.silent(php, whole.open(php))
    line, subject, index_of = node.line, c.silent(node.base), c.value(node.index)

    def run(php: Interpreter) -> Value:
        holder = subject(php)
        offset = index_of(php)  # evaluated in any case, as it may throw
        if holder is None:
            return None
        php.line = line
        return quiet_offset(php, holder, offset)

    return run


def _quiet_property(c: Compiler, node: n.Property) -> ExprCode:
    line, subject, name_of = node.line, c.silent(node.object), c.name(node.name)

    def run(php: Interpreter) -> Value:
        holder = subject(php)
        if not isinstance(holder, PhpObject | EnumCase):
            return None
        php.line = line
        return php.read(holder, name_of(php), silent=True)

    return run


def is_set(c: Compiler, node: n.Expression) -> Callable[[Interpreter], bool]:
    """`isset(node)`: objects are asked by offsetExists or __isset, and not for the value."""
    line = node.line
    match node:
        case n.Index(base=base, index=n.Expression() as inner):
            holder_of, index_of = c.silent(base), c.value(inner)

            def has_element(php: Interpreter) -> bool:
                holder, offset = holder_of(php), index_of(php)
                php.line = line
                if isinstance(holder, PhpObject):
                    require_array_access(php, holder)
                    return has_offset(php, holder, offset)
                return holder is not None and quiet_offset(php, holder, offset) is not None

            return has_element
        case n.Property(object=subject, name=name):
            holder_of, name_of = c.silent(subject), c.name(name)

            def has_one(php: Interpreter) -> bool:
                holder = holder_of(php)
                if not isinstance(holder, PhpObject | EnumCase):
                    return False
                php.line = line
                return has_property(php, holder, name_of(php))

            return has_one
    code = c.silent(node)
    return lambda php: code(php) is not None


def lent(c: Compiler, node: n.Expression) -> ExprCode:
    """`return node` of a function that returns a reference: where nothing is there yet, PHP makes it, without
    a warning, and so it is refused."""
    c.steps += 1
    line = node.line
    match node:
        case n.Variable(name=name) if name not in SUPERGLOBALS:

            def held(php: Interpreter) -> Value:
                if name not in php.frame.variables:
                    php.refuse("a reference to what is not there yet")
                return plain_value(php.frame.variables[name])

            return held
        case n.Index(base=base, index=n.Expression() as inner) if _is_steady(inner):
            array_of, index_of = lent(c, base), c.value(inner)

            def element(php: Interpreter) -> Value:
                array = array_of(php)
                key = php.key(index_of(php))
                php.line = line
                if not isinstance(array, PhpArray) or key not in array:
                    php.refuse("a reference to what is not there yet")
                return array[key]

            return element
        case n.Property(object=subject, name=str(name), nullsafe=False):
            holder_of = c.value(subject)

            def kept(php: Interpreter) -> Value:
                holder = holder_of(php)
                php.line = line
                there = isinstance(holder, PhpObject) and php.is_plain(holder.class_name)
                mangled, bound, hidden = locate(php, holder, name) if there else (b"", None, "")  # type: ignore[arg-type]
                limited = bound is not None and (
                    bound.declaration.readonly or bound.declaration.set_visibility
                )
                if not isinstance(holder, PhpObject) or hidden or limited or mangled not in holder.properties:
                    php.refuse("a reference to this property")
                return holder.properties[mangled]

            return kept

    def refuse(php: Interpreter) -> Value:
        php.line = line or php.line
        php.refuse("a function that returns a reference to this")

    return refuse


def is_empty_property(c: Compiler, node: n.Property) -> ExprCode:
    """`empty($object->name)`: `__isset` is asked once, then `__get`."""
    line, holder_of, name_of = node.line, c.silent(node.object), c.name(node.name)
    c.steps += 1

    def run(php: Interpreter) -> Value:
        holder = holder_of(php)
        if not isinstance(holder, PhpObject | EnumCase):
            return True
        php.line = line
        name, class_name = name_of(php), holder.class_name
        if not has_property(php, holder, name):
            return True
        plain = (
            class_name != "stdClass" and php.declared(holder) and php.environment.native(class_name) is None
        )
        asked = plain and php.classes.method(class_name, "__isset") is not None
        if asked and php.classes.method(class_name, "__get") is None:
            php.refuse("empty() of a property of a class with __isset alone")
        return not to_bool(php.read(holder, name, silent=not asked))

    return run


def place(c: Compiler, node: n.Expression) -> Place:
    """The place that the node names."""
    match node:
        case n.Variable():
            return VariablePlace(node, node.name in c.shared)
        case n.Index(base=base, index=inner):
            late = isinstance(inner, n.Variable | n.Literal)
            return ElementPlace(node.line, place(c, base), None if inner is None else c.value(inner), late)
        case n.Property(object=subject, name=name):
            return PropertyPlace(node.line, place(c, subject), _property_name(c, name), node.nullsafe)
        case n.StaticProperty():
            return StaticPlace(node, c.value(node))
    return ResultPlace(node, c.value(node))


def _property_name(c: Compiler, name: str | n.Expression) -> Callable[[Interpreter], str]:
    name_of, variable = c.name(name), None if isinstance(name, str) else variable_name(name)
    if variable is None:
        return name_of

    def run(php: Interpreter) -> str:
        if is_missing(php, variable):
            php.refuse("an undefined variable as the name of a property")
        return name_of(php)

    return run


def argument_place(c: Compiler, node: n.Expression) -> Place:
    """The place that an argument by reference is: found at its turn, before the arguments that follow."""
    match node:
        case n.Index(base=base, index=inner):
            index_of = None if inner is None else c.value(inner)
            return ElementPlace(node.line, argument_place(c, base), index_of, late=False)
        case n.Property(object=subject, name=name):
            inner_place = argument_place(c, subject)
            holder = ResultPlace(subject, lambda php: inner_place.container(php, inner_place.open(php)))
            return PropertyPlace(node.line, holder, c.name(name), node.nullsafe)
    return place(c, node)


def _to_variable(c: Compiler, node: n.Variable) -> StoreCode:
    name = node.name
    if name == "this" or name in SUPERGLOBALS or name in c.shared:
        return _to_place(c, node)

    def assign(php: Interpreter, value: Value) -> Value:
        php.frame.variables[name] = value
        return value

    return assign


def _to_place(c: Compiler, node: n.Expression) -> StoreCode:
    target = place(c, node)
    return lambda php, value: target.write(php, target.open(php), value)


def _to_pattern(c: Compiler, node: n.ListPattern) -> StoreCode:
    parts: list[tuple[ExprCode, StoreCode]] = []
    position = 0
    for entry in node.entries:
        if entry is None:
            position += 1
            continue
        key, target = entry
        parts.append((_position(position) if key is None else c.value(key), c.target(target)))
        position += key is None

    def assign(php: Interpreter, value: Value) -> Value:
        holds = isinstance(value, PhpArray | PhpObject | EnumCase)
        for index_of, assign_part in parts:
            offset = index_of(php)
            assign_part(php, php.offset(value, offset) if holds else None)
        return value

    return assign


def _position(position: int) -> ExprCode:
    return lambda php: position


def assign(c: Compiler, node: n.Assign) -> ExprCode:
    if isinstance(node.target, n.Variable | n.ListPattern):
        code, target = c.value(node.value), c.target(node.target)
        name = variable_name(node.value)
        if name is None or isinstance(node.target, n.ListPattern):
            return lambda php: target(php, code(php))

        def copy(php: Interpreter) -> Value:
            if name not in php.frame.variables:
                go_on(undefined(name), lambda: target(php, None))
            return target(php, code(php))

        return copy
    c.steps += 1
    goal, code, name = place(c, node.target), c.value(node.value), variable_name(node.value)

    def run(php: Interpreter) -> Value:
        at = goal.open(php)
        if is_missing(php, name):
            php.line = node.line
            go_on(undefined(name), lambda: _write_null(php, goal, at))
        return goal.write(php, at, code(php))

    return run


def _write_null(php: Interpreter, goal: Place, at: Any) -> None:
    """What PHP still does where an undefined variable is written, while its exception is under way: no code
    of a class runs then."""
    if isinstance(goal, ElementPlace | PropertyPlace):
        if not isinstance(goal.base, VariablePlace):
            php.refuse("what becomes of a place that an undefined variable is written to")
        holder = goal.base.container(php, at[0])
        if isinstance(holder, PhpObject):
            element = isinstance(goal, ElementPlace)
            setter = php.classes.method(holder.class_name, "offsetSet" if element else "__set")
            if not php.declared(holder) or (setter is not None) is not element:
                php.refuse("what becomes of an object that an undefined variable is written to")
            if element:
                return
        elif isinstance(goal, ElementPlace) and goal.index is not None:
            offset = goal.index(php) if goal.late else at[1]
            usual = int if isinstance(holder, bytes) else int | float | bool | bytes | None
            if not isinstance(offset, usual):  # its own exception takes the place of that under way
                php.refuse("what becomes of an undefined variable and an offset of this kind")
    goal.write(php, at, None)


def _operand(c: Compiler, node: n.Expression) -> ExprCode:
    """What a property or an element is changed by: where it is a variable that is not defined, PHP goes on
    with null, and what comes of that depends on the place."""
    name, code = variable_name(node), c.value(node)
    if name is None:
        return code

    def run(php: Interpreter) -> Value:
        if is_missing(php, name):
            php.line = node.line
            php.refuse("what becomes of a place that an undefined variable is written to")
        return code(php)

    return run


def assign_reference(c: Compiler, node: n.AssignReference) -> ExprCode:
    """`$name = &$source`: both names share one value from now on."""
    name, source = node.name, node.source

    def run(php: Interpreter) -> Value:
        held: Any = php.frame.variables.get(source)
        if not isinstance(held, Reference):
            held = Reference(held)
            php.frame.variables[source] = held
        php.frame.variables[name] = held
        value: Value = held.value
        return value

    return run


def assign_operation(c: Compiler, node: n.AssignOperation) -> ExprCode:
    line, operator = node.line, node.operator
    c.steps += 1
    goal = place(c, node.target)
    if operator == "??":
        return _assign_unless_set(c, node, goal)

    def changed(php: Interpreter, current: Value, other: Value) -> Value:
        php.line = line
        if operator != ".":
            return operate(php, operator, current, other)
        text = php.text(current) + php.text(other)
        if len(text) > MAX_STRING:
            php.refuse("a string this long")
        return text

    if isinstance(goal, ElementPlace) and goal.index is None:
        return _change_new_element(goal, _operand(c, node.value), changed, operator)
    name = variable_name(node.value) if isinstance(goal, VariablePlace) else None
    operand = _operand(c, node.value) if name is None else c.value(node.value)

    def change(php: Interpreter, at: Any, current: Value, other: Value) -> None:
        if operator != ".":  # which gives nothing while an exception is under way
            goal.write(php, at, changed(php, current, other))

    def run(php: Interpreter) -> Value:
        at = goal.open(php)
        other = value_or_null(php, name, operand)
        warning = undefined(name) if is_missing(php, name) else None
        current = None
        try:
            current = goal.update(php, at)
        except Thrown as thrown:
            if not thrown.undefined:
                raise
            warning = warning or thrown
        if warning is not None:
            go_on(warning, lambda: change(php, at, current, other))
        try:
            value = changed(php, current, other)
        except Thrown:
            if isinstance(goal, PropertyPlace) and goal.is_typed(php, at):
                php.refuse("a typed property whose change has failed")  # PHP leaves null in it, converted
            raise
        return goal.write(php, at, value)

    return run


def _assign_unless_set(c: Compiler, node: n.AssignOperation, goal: Place) -> ExprCode:
    """`$a ??= …`"""
    name, operand = variable_name(node.value), c.branching(node.value)

    def run(php: Interpreter) -> Value:
        at = goal.open(php)
        current = goal.silent(php, at)
        if current is not None:
            return current
        if is_missing(php, name):
            go_on(undefined(name), lambda: _write_null(php, goal, at))
        return goal.write(php, at, operand(php))

    return run


def _change_new_element(
    goal: ElementPlace,
    operand: ExprCode,
    changed: Callable[[Interpreter, Value, Value], Value],
    operator: str,
) -> ExprCode:
    """`$a[] .= …`"""

    def first(php: Interpreter, at: Any, other: Value) -> None:
        if operator != ".":  # which gives nothing while an exception is under way
            goal.write_grown(php, at, 0, changed(php, None, other))

    def run(php: Interpreter) -> Value:
        at = goal.open(php)
        other = operand(php)
        try:
            key, current = goal.grow(php, at)
        except Thrown as thrown:
            if not thrown.undefined:
                raise
            go_on(thrown, lambda: first(php, at, other))
        return goal.write_grown(php, at, key, changed(php, current, other))

    return run


def increment(c: Compiler, node: n.Increment) -> ExprCode:
    line, step, prefix = node.line, node.step, node.prefix
    c.steps += 1
    goal = place(c, node.target)

    def run(php: Interpreter) -> Value:
        at = goal.open(php)
        try:
            before = goal.stepped(php, at)
        except Thrown as thrown:
            if thrown.undefined and step == 1:
                goal.write(php, at, 1)  # PHP goes on with null after the warning
            raise
        php.line = line
        after = goal.write(php, at, next_value(php, before, step))
        return after if prefix else before

    return run


QUIET: dict[type[n.Expression], Callable[[Compiler, Any], ExprCode]] = {
    n.Variable: _quiet_variable,
    n.Index: _quiet_index,
    n.Property: _quiet_property,
}


TARGETS: dict[type[n.Expression], Callable[[Compiler, Any], StoreCode]] = {
    n.Variable: _to_variable,
    n.ListPattern: _to_pattern,
}
