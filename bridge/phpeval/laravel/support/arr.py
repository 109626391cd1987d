"""`Arr` and `data_get`: reaching into arrays, objects and collections. One entry a method.

Sources: Illuminate/Collections/Arr.php and helpers.php, 8.83 to 13.26.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeGuard

from bridge.phpeval.laravel.framework_classes import MODEL
from bridge.phpeval.laravel.support import releases
from bridge.phpeval.laravel.support.json_forms import COLLECTIONS
from bridge.phpeval.laravel.support.native_class import Act, NativeClass, array, text, whole
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.runtime.class_table import BoundProperty
from bridge.phpeval.php.runtime.interpreter import Interpreter, PhpClosure, ReferenceFunction
from bridge.phpeval.php.runtime.operators import Thrown, to_bool
from bridge.phpeval.php.runtime.properties import has_property
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.runtime.visibility import may_not_reach

ARR = "Illuminate\\Support\\Arr"
ITEMS = b"\0*\0items"

Callback = Callable[..., Value]


# ---- shared with collections and helpers ----------------------------------------------------------


def value_of(php: Interpreter, default: Value) -> Value:
    """`value($default)`: a closure is called."""
    return php.call(default, ()) if isinstance(default, PhpClosure) else default


def callback(php: Interpreter, given: Value) -> Callback:
    """A closure as a Python function; other callables are refused, their arguments differ by release."""
    if not isinstance(given, PhpClosure):
        php.refuse("a callback that is not a closure")
    return lambda *arguments: php.call(given, arguments)


def mapped(php: Interpreter, act: Value, items: PhpArray) -> PhpArray:
    """`Arr::map`, which `Collection::map` calls. From 9.18 on a callback that takes no key, as PHP's own
    functions of one argument, is called once more without it."""
    change = callback(php, act)
    pairs = list(items.items())
    try:
        return PhpArray((key, change(item, key)) for key, item in pairs)
    except Thrown as thrown:
        version: Version | None = getattr(php.environment, "version", None)
        if thrown.exception.class_name != "ArgumentCountError" or version is None or version < (9, 18):
            raise
    return PhpArray((key, change(item)) for key, item in pairs)


def array_function(php: Interpreter, name: str, *arguments: Value) -> PhpArray:
    """The array that a PHP function returns, or changes in place where it takes its first by reference."""
    function = php.environment.functions.get(name)
    if function is None:
        php.refuse(f"the function {name}()")
    if isinstance(function, ReferenceFunction):
        result = function.act(php, arguments)[1][0]
    else:
        result = function(php, arguments)
    made = array(php, result)
    if name in _THINNING and made is not arguments[0]:
        made.next_index = array(php, arguments[0]).next_key()
    return made


# These take entries out of a copy, so that the next key stays where it was.
_THINNING = frozenset({"array_intersect", "array_unique"})


def items_of(php: Interpreter, value: Value) -> PhpArray:
    """The items of an array or collection."""
    if isinstance(value, PhpArray):
        return value
    if isinstance(value, PhpObject) and value.class_name in COLLECTIONS:
        return array(php, value.properties.get(ITEMS))
    php.refuse("what is neither an array nor a collection,")


def is_items(value: Value) -> bool:
    return isinstance(value, PhpArray) or (isinstance(value, PhpObject) and value.class_name in COLLECTIONS)


def public_read(php: Interpreter, holder: PhpObject | EnumCase, name: str, *, silent: bool) -> Value:
    """A property as Laravel's code sees it, which has no part in the class: public ones only."""
    _require_public(php, holder, name)
    return php.read(holder, name, silent=silent)


def public_has(php: Interpreter, holder: PhpObject | EnumCase, name: str) -> bool:
    """`isset` of a property as Laravel's code sees it."""
    _require_public(php, holder, name)
    return has_property(php, holder, name)


def _require_public(php: Interpreter, holder: PhpObject | EnumCase, name: str) -> None:
    """Raises Refused for others; those of a model are attributes to who may not reach them."""
    if isinstance(holder, PhpObject):
        bound = _declared(php, holder, name)
        if bound is None or bound.declaration.visibility == "public":
            return
        magic = php.environment.native(holder.class_name) is not None
        if not magic or not may_not_reach(php, bound.declaration.visibility, holder.class_name, bound.owner):
            php.refuse(
                f"the {bound.declaration.visibility} property {holder.class_name}::${name} from outside"
            )


def _declared(php: Interpreter, holder: PhpObject, name: str) -> BoundProperty | None:
    known = php.classes.find(holder.class_name) is not None
    return php.classes.properties(holder.class_name).get(name) if known else None


def public_call(
    php: Interpreter, holder: PhpObject | EnumCase, method: str, arguments: Sequence[Value]
) -> Value:
    """A method that Laravel's code calls by a name that the app gave: public ones only."""
    known = isinstance(holder, EnumCase) or php.declared(holder)
    bound = php.classes.method(holder.class_name, method) if known else None
    if bound is not None and bound.method.visibility != "public":
        php.refuse(f"the {bound.method.visibility} method {holder.class_name}::{method}() from outside")
    if isinstance(holder, EnumCase):
        return php.call(PhpArray.of([holder, method.encode()]), arguments)
    return php.call_method(holder, method, arguments)


def data_get(php: Interpreter, target: Value, key: Value, default: Value = None) -> Value:
    """`data_get`: dotted, with `*`."""
    if key is None:
        return target
    return _data_get(php, target, segments(php, key), default)


def segments(php: Interpreter, key: Value) -> list[Value]:
    if isinstance(key, PhpArray):
        return list(key.values())
    if isinstance(key, bool) or not isinstance(key, int | bytes):
        php.refuse("this key of data_get()")
    return list(key.split(b".")) if isinstance(key, bytes) else [str(key).encode()]


def _data_get(php: Interpreter, target: Value, keys: Sequence[Value], default: Value) -> Value:
    for position, segment in enumerate(keys):
        if segment is None:
            return target
        if isinstance(segment, bytes) and segment.startswith((b"{", b"\\*", b"\\{")):
            php.refuse("{first}, {last} and \\* in data_get(), which older releases read as keys,")
        rest = keys[position + 1 :]
        if segment == b"*":
            if not is_items(target):
                if isinstance(target, PhpObject):
                    php.refuse("data_get() with * on this object")
                return value_of(php, default)
            result = PhpArray.of(_data_get(php, one, rest, None) for one in items_of(php, target).values())
            return collapse(php, result) if b"*" in rest else result
        if is_items(target):
            held = items_of(php, target)
            index = php.key(segment)
            if index not in held:
                if not isinstance(target, PhpArray):
                    php.refuse("data_get() of a property of a collection")
                return value_of(php, default)
            target = held[index]
        elif _is_accessible(target, php) and to_bool(php.call_method(target, "offsetExists", (segment,))):
            target = php.call_method(target, "offsetGet", (segment,))
        elif isinstance(target, PhpObject | EnumCase):
            name = text(php, segment).decode("utf-8", "replace")
            if isinstance(target, PhpObject) and php.environment.native(target.class_name) is not None:
                bound = _declared(php, target, name)
                if bound is not None and bound.declaration.visibility == "public":
                    php.refuse(f"data_get() of ${name}, a property of a model that may be a column as well,")
            if not public_has(php, target, name):  # not `??`: without __isset, __get is not asked
                return value_of(php, default)
            target = public_read(php, target, name, silent=False)
        else:
            return value_of(php, default)
    return target


def _is_accessible(value: Value, php: Interpreter) -> TypeGuard[PhpObject]:
    """`Arr::accessible` of an object of the app's: by a model's attributes alone it is read as quickly."""
    if (
        not isinstance(value, PhpObject)
        or not php.declared(value)
        or php.classes.is_a(value.class_name, MODEL)
    ):
        return False
    return php.is_a(value, "ArrayAccess")


def collapse(php: Interpreter, holder: PhpArray) -> PhpArray:
    """One array of all arrays and collections in it; other items are dropped."""
    parts = [items_of(php, one) for one in holder.values() if is_items(one)]
    return array_function(php, "array_merge", PhpArray(), *parts)


def flatten(php: Interpreter, holder: PhpArray, depth: float) -> PhpArray:
    flat: list[Value] = []
    for one in holder.values():
        if not is_items(one):
            flat.append(one)
        elif depth == 1:
            flat.extend(items_of(php, one).values())
        else:
            flat.extend(flatten(php, items_of(php, one), depth - 1).values())
    return PhpArray.of(flat)


def first(php: Interpreter, holder: PhpArray, test: Value = None, default: Value = None) -> Value:
    if test is None:
        return next(iter(holder.values())) if holder else value_of(php, default)
    holds = callback(php, test)
    for key, one in list(holder.items()):
        if to_bool(holds(one, key)):
            return one
    return value_of(php, default)


def last(php: Interpreter, holder: PhpArray, test: Value = None, default: Value = None) -> Value:
    return first(php, PhpArray(reversed(holder.items())), test, default)


def where(php: Interpreter, holder: PhpArray, test: Value) -> PhpArray:
    holds = callback(php, test)
    return PhpArray((key, one) for key, one in list(holder.items()) if to_bool(holds(one, key)))


def pluck(php: Interpreter, holder: PhpArray, value: Value, key: Value = None) -> PhpArray:
    if isinstance(value, PhpClosure) or isinstance(key, PhpClosure):
        php.refuse("pluck() with a closure")
    plucked = PhpArray()
    for one in holder.values():
        found = data_get(php, one, value)
        if key is None:
            plucked.append(found)
        else:
            plucked[result_key(php, data_get(php, one, key))] = found
    return plucked


def result_key(php: Interpreter, key: Value) -> int | bytes:
    """A key that a callback or item gave; objects and enum cases differ by release."""
    if isinstance(key, PhpObject | EnumCase):
        php.refuse("an object as a key")
    return php.key(key)


def only(php: Interpreter, holder: PhpArray, keys: Sequence[Value]) -> PhpArray:
    wanted = {php.key(key) for key in keys}
    return PhpArray((key, one) for key, one in holder.items() if key in wanted)


def forget(php: Interpreter, holder: PhpArray, keys: Sequence[Value]) -> PhpArray:
    """`Arr::except`: without the keys, dotted ones included."""
    result = holder.copy()
    result.next_index = holder.next_key()
    for key in keys:
        index = php.key(key)
        if index in result:
            result.pop(index)
        elif isinstance(key, bytes) and b"." in key:
            result = _without(php, result, key.split(b"."))
    return result


def _without(php: Interpreter, holder: PhpArray, path: Sequence[bytes]) -> PhpArray:
    index = php.key(path[0])
    result = holder.copy()
    result.next_index = holder.next_key()
    if len(path) == 1:
        result.pop(index, None)
        return result
    inner = holder.get(index)
    if isinstance(inner, PhpObject):
        php.refuse("Arr::except() inside an object")
    if isinstance(inner, PhpArray):
        result[index] = _without(php, inner, path[1:])
    return result


def join(php: Interpreter, holder: PhpArray, glue: bytes, final: bytes) -> Value:
    texts = list(holder.values())
    if final and len(texts) == 1:
        return texts[0]
    parts = [php.text(one) for one in texts]
    if final and parts:
        return glue.join(parts[:-1]) + final + parts[-1]
    return glue.join(parts)


# ---- Arr ------------------------------------------------------------------------------------------


def get(php: Interpreter, target: Value, key: Value, default: Value = None) -> Value:
    """`Arr::get`."""
    if isinstance(target, PhpObject) and not is_items(target):
        php.refuse("Arr::get() of an object")
    if not is_items(target):
        return value_of(php, default)
    if key is None:
        return target
    held = items_of(php, target)
    index = php.key(key)
    if index in held:
        return held[index]
    if not isinstance(key, bytes) or b"." not in key:
        return value_of(php, default)
    current: Value = target
    for segment in key.split(b"."):
        if isinstance(current, PhpObject) and not is_items(current):
            php.refuse("Arr::get() of an object")
        if not is_items(current) or php.key(segment) not in items_of(php, current):
            return value_of(php, default)
        current = items_of(php, current)[php.key(segment)]
    return current


_ABSENT = PhpObject("")


def _has(php: Interpreter, holder: Value, key: Value) -> bool:
    return get(php, holder, key, _ABSENT) is not _ABSENT


def _keys(value: Value) -> list[Value]:
    return list(value.values()) if isinstance(value, PhpArray) else [] if value is None else [value]


def _has_all(php: Interpreter, name: str, holder: Value, keys: Value) -> bool:
    wanted = _keys(keys)
    return bool(items_of(php, holder)) and bool(wanted) and all(_has(php, holder, key) for key in wanted)


def _has_any(php: Interpreter, name: str, holder: Value, keys: Value) -> bool:
    return bool(items_of(php, holder)) and any(_has_all(php, name, holder, key) for key in _keys(keys))


def _set(php: Interpreter, holder: PhpArray, path: Sequence[bytes], value: Value) -> PhpArray:
    result = holder.copy()
    index = php.key(path[0])
    if len(path) == 1:
        result[index] = value
    else:
        inner = result.get(index)
        result[index] = _set(php, inner if isinstance(inner, PhpArray) else PhpArray(), path[1:], value)
    return result


def _add(php: Interpreter, name: str, holder: Value, key: Value, value: Value) -> Value:
    given = array(php, holder)
    if get(php, given, key) is not None:
        return given
    return _set(
        php, given, [one if isinstance(one, bytes) else text(php, one) for one in segments(php, key)], value
    )


def dot(php: Interpreter, holder: PhpArray, prefix: bytes = b"") -> PhpArray:
    """`Arr::dot`. Numeric keys of the result are refused, as releases number them differently."""
    flat = PhpArray()
    for key, one in holder.items():
        name = prefix + (str(key).encode() if isinstance(key, int) else key)
        entries = dot(php, one, name + b".") if isinstance(one, PhpArray) and one else PhpArray({name: one})
        for path, leaf in entries.items():
            if isinstance(php.key(path), int):
                php.refuse("Arr::dot() of an array with numbers as keys")
            flat[path] = leaf
    return flat


def _is_assoc(php: Interpreter, name: str, holder: Value) -> bool:
    return not array(php, holder).is_list


def _wrap(php: Interpreter, name: str, value: Value) -> PhpArray:
    if isinstance(value, PhpArray):
        return value
    return PhpArray() if value is None else PhpArray.of([value])


def _map(php: Interpreter, name: str, holder: Value, act: Value) -> PhpArray:
    return mapped(php, act, array(php, holder))


def _divide(php: Interpreter, name: str, holder: Value) -> PhpArray:
    given = array(php, holder)
    return PhpArray.of([PhpArray.of(given.keys()), PhpArray.of(given.values())])


def _prepend(php: Interpreter, name: str, holder: Value, value: Value) -> PhpArray:
    return array_function(php, "array_unshift", array(php, holder), value)


def _flatten(php: Interpreter, name: str, holder: Value, depth: Value = None) -> PhpArray:
    return flatten(php, items_of(php, holder), float("inf") if depth is None else whole(php, depth))


def _where_not_null(php: Interpreter, name: str, holder: Value) -> PhpArray:
    return PhpArray((key, one) for key, one in array(php, holder).items() if one is not None)


def _join(php: Interpreter, name: str, holder: Value, glue: Value, final: Value = b"") -> Value:
    return join(php, array(php, holder), text(php, glue), text(php, final))


STATICS: dict[str, Act] = {
    "accessible": lambda php, name, value: is_items(value) or _no_object(php, value),
    "add": _add,
    "collapse": lambda php, name, holder: collapse(php, items_of(php, holder)),
    "divide": _divide,
    "dot": lambda php, name, holder: dot(php, array(php, holder)),
    "except": lambda php, name, holder, keys: forget(php, array(php, holder), _keys(keys)),
    "exists": lambda php, name, holder, key: php.key(key) in items_of(php, holder),
    "first": lambda php, name, holder, test=None, default=None: first(php, array(php, holder), test, default),
    "flatten": _flatten,
    "get": lambda php, name, holder, key, default=None: get(php, holder, key, default),
    "has": _has_all,
    "hasAny": _has_any,
    "isAssoc": _is_assoc,
    "isList": lambda php, name, holder: array(php, holder).is_list,
    "join": _join,
    "last": lambda php, name, holder, test=None, default=None: last(php, array(php, holder), test, default),
    "map": _map,
    "only": lambda php, name, holder, keys: only(php, array(php, holder), _keys(keys)),
    "pluck": lambda php, name, holder, value, key=None: pluck(php, items_of(php, holder), value, key),
    "prepend": _prepend,
    "where": lambda php, name, holder, test: where(php, array(php, holder), test),
    "whereNotNull": _where_not_null,
    "wrap": _wrap,
}


def _no_object(php: Interpreter, value: Value) -> bool:
    if isinstance(value, PhpObject):
        php.refuse("whether this object is accessible as an array")
    return False


_ARR = NativeClass(methods={}, statics=STATICS, releases=releases.ARR)
ARR_CLASSES = {ARR: _ARR, "Arr": _ARR}
