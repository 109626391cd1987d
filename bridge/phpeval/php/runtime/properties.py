"""Properties of objects: read, asked for, written, unset.

Visibility, readonly, declared types and the magic methods `__get`, `__set`, `__isset`, `__unset` count as in
PHP; the code that runs is that of `frame`. Classes written in Python answer for themselves."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.phpeval.php.runtime.class_table import BoundMethod, BoundProperty
from bridge.phpeval.php.runtime.copy_on_write import own_item
from bridge.phpeval.php.runtime.frame import PhpClosure
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import Thrown, to_bool, type_name, warn
from bridge.phpeval.php.runtime.type_declarations import coerce
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value, array_key, plain_name
from bridge.phpeval.php.runtime.visibility import may_not_reach


def locate(php: Interpreter, holder: PhpObject, name: str) -> tuple[bytes, BoundProperty | None, str]:
    """The mangled name that the running code means, its declaration (None for a property that no class
    declares), and `private` or `protected` where the code may not reach it, else nothing."""
    plain = name.encode("utf-8", "surrogateescape")
    scope = php.frame.class_name
    if scope and scope != holder.class_name and php.classes.find(scope) is not None:
        own = php.classes.properties(scope).get(name)
        private = own is not None and own.declaration.visibility == "private" and own.owner == scope
        if own is not None and private and _holds(php, holder, own):
            return own.mangled, own, ""
    bound = php.classes.properties(holder.class_name).get(name)
    if bound is None or bound.declaration.static:
        return plain, None, ""
    if bound.declaration.hooked:
        php.refuse(f"the property hook of ${name}")
    return (
        bound.mangled,
        bound,
        may_not_reach(php, bound.declaration.visibility, holder.class_name, bound.owner),
    )


def _holds(php: Interpreter, holder: PhpObject, own: BoundProperty) -> bool:
    """Whether a private property of that class can be in the object."""
    return own.mangled in holder.properties or bool(php.classes.is_a(holder.class_name, own.owner))


def slot(php: Interpreter, holder: PhpObject, name: str) -> bytes | None:
    """The mangled name by which the running code may reach a property; None if it is not declared."""
    mangled, bound, hidden = locate(php, holder, name)
    if hidden:
        raise Thrown("Error", f"Cannot access {hidden} property {holder.class_name}::${name}")
    return None if bound is None and mangled not in holder.properties else mangled


def _magic(php: Interpreter, holder: PhpObject, method: str, name: str) -> BoundMethod | None:
    """The magic method, None where there is none, or where it runs for this very property."""
    bound = php.classes.method(holder.class_name, method)
    return None if bound is None or (id(holder), method, name) in php.magic else bound


def _ask(php: Interpreter, holder: PhpObject, bound: BoundMethod, name: str, *more: Value) -> Value:
    mark = (id(holder), bound.method.name.lower(), name)
    php.magic.add(mark)
    php.strict = False
    try:
        text = name.encode("utf-8", "surrogateescape")
        return php.run(bound, holder, holder.class_name, (text, *more), {})
    finally:
        php.magic.discard(mark)


def read_property(php: Interpreter, holder: Value, name: str, *, silent: bool = False) -> Value:
    """`$holder->name`; `silent` as `??` reads it: null instead of a warning."""
    if isinstance(holder, EnumCase):
        if name == "name":
            return holder.case.encode()
        value = php.backing_value(holder) if name == "value" else None
        if value is None and not silent:
            raise warn(f"Undefined property: {holder.class_name}::${name}")
        return value
    if not isinstance(holder, PhpObject):
        if silent:
            return None
        raise warn(f'Attempt to read property "{name}" on {type_name(holder)}')
    if holder.class_name == "stdClass":
        key = name.encode("utf-8", "surrogateescape")
        if key not in holder.properties and not silent:
            raise warn(f"Undefined property: stdClass::${name}")
        return holder.properties.get(key)
    native = php.environment.native(holder.class_name)
    if native is not None:
        # Without __isset, `??` asks __get at once.
        if silent and getattr(native, "has_isset", True) and not native.has(php, holder, name):
            return None
        return native.read(php, holder, name)
    if not php.declared(holder):
        php.refuse(f"the property {holder.class_name}::${name}")
    mangled, bound, hidden = locate(php, holder, name)
    if not hidden:
        if mangled in holder.properties:
            return holder.properties[mangled]
        if bound is not None and bound.declaration.type is not None:
            if silent:
                return None
            raise Thrown("Error", f"Typed property {holder.class_name}::${name} must not be accessed before "
                                  "initialization")  # fmt: skip
    asks = _magic(php, holder, "__isset", name) if silent else None
    if asks is not None and not to_bool(_ask(php, holder, asks, name)):
        return None
    getter = _magic(php, holder, "__get", name)
    if getter is not None:
        return _ask(php, holder, getter, name)
    if bound is None and not php.is_complete(holder.class_name):
        php.refuse(f"the property {holder.class_name}::${name}")
    if silent:
        return None
    if hidden:
        raise Thrown("Error", f"Cannot access {hidden} property {holder.class_name}::${name}")
    raise warn(f"Undefined property: {holder.class_name}::${name}")


def has_property(php: Interpreter, holder: Value, name: str) -> bool:
    """`isset($holder->name)`."""
    native = php.environment.native(holder.class_name) if isinstance(holder, PhpObject) else None
    if native is not None and isinstance(holder, PhpObject):
        return native.has(php, holder, name)
    if not isinstance(holder, PhpObject) or holder.class_name == "stdClass" or not php.declared(holder):
        return read_property(php, holder, name, silent=True) is not None
    mangled, bound, hidden = locate(php, holder, name)
    if not hidden and mangled in holder.properties:
        return holder.properties[mangled] is not None
    if not hidden and bound is not None and bound.declaration.type is not None:
        return False
    asks = _magic(php, holder, "__isset", name)
    if asks is not None:
        return to_bool(_ask(php, holder, asks, name))
    if bound is None and not php.is_complete(holder.class_name):
        php.refuse(f"the property {holder.class_name}::${name}")
    return False


def write_property(php: Interpreter, holder: Value, name: str, value: Value) -> Value:
    """`$holder->name = $value`; the value as the property holds it."""
    if isinstance(holder, EnumCase):
        raise Thrown("Error", f"Cannot modify readonly property {holder.class_name}::${name}")
    if not isinstance(holder, PhpObject):
        raise Thrown("Error", f'Attempt to assign property "{name}" on {type_name(holder)}')
    kept = value
    if holder.class_name == "stdClass":
        holder.properties[name.encode("utf-8", "surrogateescape")] = kept
        return value
    native = php.environment.native(holder.class_name)
    assignable = native is None or getattr(native, "assignable", False)
    if not assignable or not php.declared(holder) or isinstance(holder, PhpClosure):
        php.refuse(f"an assignment to {holder.class_name}::${name}")
    mangled, bound, hidden = locate(php, holder, name)
    if bound is None or hidden:
        setter = _magic(php, holder, "__set", name)
        if setter is not None and (hidden or mangled not in holder.properties):
            _ask(php, holder, setter, name, value)
            return value
        if hidden:
            raise Thrown("Error", f"Cannot access {hidden} property {holder.class_name}::${name}")
        return _write_undeclared(php, holder, name, mangled, value, own=native is None)
    declaration = bound.declaration
    if declaration.readonly:
        if mangled in holder.properties:
            raise Thrown("Error", f"Cannot modify readonly property {holder.class_name}::${name}")
        if php.frame.class_name != bound.owner:
            where = f"scope {php.frame.class_name}" if php.frame.class_name else "global scope"
            raise Thrown(
                "Error", f"Cannot initialize readonly property {holder.class_name}::${name} from {where}"
            )
    elif declaration.set_visibility and may_not_reach(
        php, declaration.set_visibility, holder.class_name, bound.owner
    ):
        raise Thrown(
            "Error", f"Cannot modify {declaration.set_visibility}(set) property {holder.class_name}::${name}"
        )
    if declaration.type is not None:
        kept = coerce(
            php, value, declaration.type, "property", strict=php.frame.strict, self_class=bound.owner
        )
    holder.properties[mangled] = kept
    return kept


def _write_undeclared(
    php: Interpreter, holder: PhpObject, name: str, mangled: bytes, value: Value, *, own: bool
) -> Value:
    """PHP makes a new property, from 8.2 on with a deprecation only."""
    if not own or not php.is_complete(holder.class_name):
        php.refuse(f"the new property ${name} of {holder.class_name}")
    if any(part.readonly for part in php.classes.chain(holder.class_name)):
        raise Thrown("Error", f"Cannot create dynamic property {holder.class_name}::${name}")
    holder.properties[mangled] = value
    return value


def visible_properties(php: Interpreter, holder: PhpObject) -> PhpArray:
    """The properties that the running code may reach, by plain name, as `get_object_vars` and foreach see
    them."""
    php.copies += 1
    result = PhpArray()
    for mangled, value in _in_order(php, holder):
        name = plain_name(mangled)
        if holder.class_name != "stdClass":
            reached, _, hidden = locate(php, holder, name)
            if hidden or reached != mangled:
                continue
        result[array_key(name.encode("utf-8", "surrogateescape"))] = value
    return result


def _in_order(php: Interpreter, holder: PhpObject) -> Iterator[tuple[int | bytes, Value]]:
    """Declared properties first, whenever they were set, those of parents before all; then the others."""
    held = holder.properties
    declared: dict[int | bytes, None] = {}
    if php.declared(holder):
        declared = {bound.mangled: None for bound in php.classes.instance_properties(holder.class_name)}
    yield from ((mangled, held[mangled]) for mangled in declared if mangled in held)
    yield from (entry for entry in held.items() if entry[0] not in declared)


def property_container(php: Interpreter, holder: Value, name: str) -> Value:
    """What `$holder->name[…] = …` finds there: null where it makes an array."""
    if not isinstance(holder, PhpObject | EnumCase):
        raise Thrown("Error", f'Attempt to modify property "{name}" on {type_name(holder)}')
    if isinstance(holder, EnumCase) or holder.class_name == "stdClass":
        return read_property(php, holder, name, silent=True)
    native = php.environment.native(holder.class_name)
    if native is not None or not php.declared(holder):
        value = read_property(php, holder, name)
        if not isinstance(value, PhpObject) and not getattr(native, "assignable", False):
            php.refuse(f"an assignment into {holder.class_name}::${name}")
        return value
    mangled, bound, hidden = locate(php, holder, name)
    if (hidden or (bound is None and mangled not in holder.properties)) and (
        php.classes.method(holder.class_name, "__get") is not None
    ):
        value = read_property(php, holder, name)
        if not isinstance(value, PhpObject):
            raise warn(
                f"Indirect modification of overloaded property {holder.class_name}::${name} has no effect"
            )
        return value
    if hidden:
        raise Thrown("Error", f"Cannot access {hidden} property {holder.class_name}::${name}")
    if mangled not in holder.properties and bound is not None and bound.declaration.readonly:
        raise Thrown(
            "Error",
            f"Typed property {holder.class_name}::${name} must not be accessed before initialization",
        )
    return holder.properties.get(mangled)


def property_array(php: Interpreter, holder: Value, name: str) -> Value:
    """What `$holder->name[…] = …` writes to: the array itself, made where there was null; an object; other
    values as they are."""
    value = property_container(php, holder, name)
    if not (type(value) is PhpArray or value is None or value is False) or not isinstance(holder, PhpObject):
        return value
    write_property(php, holder, name, PhpArray() if value is None or value is False else value)
    del value  # it counts as one that holds the array
    mangled = name.encode("utf-8", "surrogateescape")
    if holder.class_name != "stdClass":
        mangled = locate(php, holder, name)[0]
    if type(holder.properties.get(mangled)) is not PhpArray:
        php.refuse(f"an assignment into {holder.class_name}::${name}")
    return own_item(holder.properties, mangled)


def lend_property(php: Interpreter, holder: Value, name: str) -> None:
    """Makes a property ready for a reference to it, as PHP does: null where there is none yet."""
    value = property_container(php, holder, name)
    if not isinstance(holder, PhpObject) or (
        holder.class_name != "stdClass" and not php.is_plain(holder.class_name)
    ):
        php.refuse("a reference to a property of this object")
    if holder.class_name != "stdClass":
        mangled, bound, _ = locate(php, holder, name)
        if bound is not None and (bound.declaration.readonly or bound.declaration.set_visibility):
            php.refuse("a reference to a property that is not written everywhere")
        if bound is not None and bound.declaration.type is not None and mangled not in holder.properties:
            php.refuse("a reference to a typed property that is not set")
    elif name.encode("utf-8", "surrogateescape") in holder.properties:
        return
    if value is None:
        make_property(php, holder, name)


def make_property(php: Interpreter, holder: PhpObject, name: str) -> bool:
    """Makes a property null that was read to be changed and is not there; whether it did."""
    mangled = name.encode("utf-8", "surrogateescape")
    if holder.class_name != "stdClass":
        if not php.is_plain(holder.class_name) or php.classes.method(holder.class_name, "__get") is not None:
            return False
        mangled, _, hidden = locate(php, holder, name)
        if hidden:
            return False
    made = mangled not in holder.properties
    holder.properties.setdefault(mangled, None)
    return made


def unset_property(php: Interpreter, holder: Value, name: str) -> None:
    """Does `unset($holder->name)`."""
    php.copies += 1
    if holder is None or isinstance(holder, bool | int | float | bytes | PhpArray):
        return
    if isinstance(holder, PhpObject) and holder.class_name == "stdClass":
        holder.properties.pop(name.encode("utf-8", "surrogateescape"), None)
        return
    if (
        not isinstance(holder, PhpObject)
        or php.environment.native(holder.class_name) is not None
        or not php.is_complete(holder.class_name)
    ):
        php.refuse("unset of this property")
    mangled, bound, hidden = locate(php, holder, name)
    if mangled not in holder.properties or hidden:
        magic = _magic(php, holder, "__unset", name)
        if magic is not None:
            _ask(php, holder, magic, name)
            return
        if hidden:
            raise Thrown("Error", f"Cannot access {hidden} property {holder.class_name}::${name}")
    if bound is not None:
        if bound.declaration.readonly:
            raise Thrown("Error", f"Cannot unset readonly property {holder.class_name}::${name}")
        if any(php.classes.method(holder.class_name, one) for one in ("__get", "__set", "__isset")):
            php.refuse("unset of a declared property of a class with __get, __set or __isset")
    holder.properties.pop(mangled, None)
