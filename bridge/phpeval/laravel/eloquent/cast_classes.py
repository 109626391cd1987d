"""Cast classes of the app, and the objects that a model keeps once a cast or an accessor has made them.

Eloquent hands out the same object at each read, and before attributes are read it writes those that it keeps
back through `set`: an object that was changed is seen, and so is every column that `set` gives.
Source: Concerns/HasAttributes.php getClassCastableAttributeValue, resolveCasterClass, isClassSerializable,
mutateAttributeMarkedAttribute, mergeAttributesFromCachedCasts, 8.83 to 13.26.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.errors import Refused
from bridge.phpeval.laravel.eloquent import properties
from bridge.phpeval.laravel.eloquent.casts import Casting, NamedCast, cast_value, is_cast, written
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.runtime.interpreter import Interpreter, PhpClosure
from bridge.phpeval.php.runtime.operators import to_bool
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value

_CONTRACTS = "Illuminate\\Contracts\\Database\\Eloquent\\"
_INBOUND = _CONTRACTS + "CastsInboundAttributes"
_CASTABLE = _CONTRACTS + "Castable"
BY_CAST = "classCastCache"  # properties of Model
BY_ACCESSOR = "attributeCastCache"


def is_own(cast: NamedCast, php: Interpreter) -> bool:
    """Whether the cast is a class of the app, but no enum."""
    return php.classes.find(cast.name) is not None and not php.is_enum(cast.whole)


def problem(cast: NamedCast, php: Interpreter) -> Refused | None:
    """Why a cast class of the app cannot be evaluated, as far as its source alone tells."""
    classes = php.classes
    castable = classes.is_a(cast.name, _CASTABLE)
    reads = classes.is_a(cast.name, _INBOUND) or classes.method(cast.name, "get") is not None
    if castable is not False or not reads or "withoutObjectCaching" in classes.properties(cast.name):
        return Refused(f"the cast class {cast.name}", file=classes.require(cast.name).file)
    return None


def _caster(cast: NamedCast, php: Interpreter) -> PhpObject:
    """`resolveCasterClass`: a new object for each use."""
    refused = php.classes.remember("cast", cast.name, lambda: problem(cast, php))
    if refused is not None:
        raise refused
    given = [part.encode() for part in cast.argument.split(",")] if cast.argument else []
    made = php.make(cast.name, given)
    if not isinstance(made, PhpObject):
        raise Refused(f"the cast class {cast.name}")
    return made


def _is_inbound(cast: NamedCast, php: Interpreter) -> bool:
    return bool(php.classes.is_a(cast.name, _INBOUND))


def read(
    model: PhpObject, key: bytes, cast: NamedCast, value: Value, casting: Casting, php: Interpreter
) -> Value:
    """What a cast class gives, or gave before."""
    kept = properties.array(model, BY_CAST).get(key)
    if kept is not None:
        return kept
    if not is_own(cast, php):
        made = cast_value(cast, value, casting)
    else:
        caster = _caster(cast, php)
        if _is_inbound(cast, php):
            return value
        attributes = properties.array(model, "attributes").copy()
        made = php.call_method(caster, "get", (model, key, value, attributes))
    if is_object(made):
        keep(model, BY_CAST, key, made)
    return made


def is_object(value: Value) -> bool:
    """`is_object`."""
    return isinstance(value, PhpObject | EnumCase)


def keep(model: PhpObject, where: str, key: bytes, made: Value) -> None:
    """A value for the next read."""
    kept = properties.array(model, where).copy()
    kept[key] = made
    properties.put(model, where, kept)


def keeps(model: PhpObject) -> bool:
    """Whether the model has kept an object that a cast or an accessor made."""
    return bool(properties.get(model, BY_CAST) or properties.get(model, BY_ACCESSOR))


def for_array(model: PhpObject, key: bytes, cast: NamedCast, made: Value, php: Interpreter) -> Value:
    """`serializeClassCastableAttribute`, where the app's cast class has `serialize`."""
    if made is None or php.classes.method(cast.name, "serialize") is None:
        return made
    if not isinstance(made, PhpObject | EnumCase | PhpArray) and not to_bool(made):
        raise Refused(f"the serialize() of {cast.name} for an empty value, in which releases differ,")
    attributes = properties.array(model, "attributes").copy()
    return php.call_method(_caster(cast, php), "serialize", (model, key, made, attributes))


def write_back(
    model: PhpObject,
    key: bytes | None,
    php: Interpreter,
    version: Version,
    cast_of: Callable[[bytes], NamedCast | None],
    accessor_of: Callable[[bytes], PhpObject],
) -> None:
    """`mergeAttributesFromCachedCasts`, before the attribute `key` is read, or all of them."""
    by_cast, by_accessor = properties.array(model, BY_CAST), properties.array(model, BY_ACCESSOR)
    if not by_cast and not by_accessor:
        return
    alone = key is not None and version >= (12, 52)
    for name, value in by_cast.items():
        cast = cast_of(name) if isinstance(name, bytes) else None
        if cast is None:
            raise Refused(f"what a {model.class_name} keeps of its casts")
        if not alone or name == key:
            _merge(model, name, _set(model, name, cast, value, php))
    for name, value in by_accessor.items():
        if isinstance(name, bytes) and (not alone or name == key):
            if value is None and version >= (12, 52):
                if version < (13, 31):
                    raise Refused("null that an accessor keeps, in which releases differ,")
                continue
            setter = accessor_of(name).get("set")
            if isinstance(setter, PhpClosure):
                _merge(model, name, php.call(setter, (value, properties.array(model, "attributes").copy())))


def _set(model: PhpObject, name: int | bytes, cast: NamedCast, value: Value, php: Interpreter) -> Value:
    if not is_own(cast, php):
        return written(cast, value, properties.array(model, "attributes").get(name), php)
    if _is_inbound(cast, php):
        return value
    if php.classes.method(cast.name, "set") is None:
        raise Refused(f"the cast class {cast.name}, which has no set(),")
    attributes = properties.array(model, "attributes").copy()
    return php.call_method(_caster(cast, php), "set", (model, name, value, attributes))


def _merge(model: PhpObject, name: int | bytes, given: Value) -> None:
    """What `set` gave: columns and their values, or the value of this one."""
    attributes = properties.array(model, "attributes").copy()
    if isinstance(given, PhpArray):
        if any(isinstance(key, int) for key in given):
            raise Refused("a cast whose set() gives a list")
        attributes.update(given)
    else:
        attributes[name] = given
    properties.put(model, "attributes", attributes)


def is_class(cast: NamedCast | None, php: Interpreter) -> bool:
    """`isClassCastable`, as far as it decides between cast and accessor. Refused where Laravel would throw,
    or differs by release."""
    if cast is None:
        return False
    if is_own(cast, php):
        return True
    if php.is_enum(cast.whole) or not is_cast(cast):
        raise Refused(f"the cast {cast.whole} of an attribute that has an accessor")
    return "\\" in cast.name
