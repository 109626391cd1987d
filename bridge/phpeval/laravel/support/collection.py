"""Collections, those of Eloquent too, and their higher order proxies. One entry a method.

What only sorts, cuts or compares arrays is left to PHP's own functions of the Environment. A collection is a
PhpObject with the protected property `items`, as unserialize gives it.

Sources: Illuminate/Collections/{Collection,Traits/EnumeratesValues,HigherOrderCollectionProxy}.php and
Illuminate/Database/Eloquent/Collection.php, 8.83 to 13.26.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bridge.phpeval.laravel import object_conversions
from bridge.phpeval.laravel.support import arr, releases
from bridge.phpeval.laravel.support.arr import ITEMS, array_function, callback, items_of, value_of
from bridge.phpeval.laravel.support.collection_items import (
    ELOQUENT,
    arrayable,
    base_of,
    by_function,
    by_model_key,
    collection,
    held_items,
    is_model,
    like,
    listed,
    model_key,
    release,
    retriever,
    with_items,
)
from bridge.phpeval.laravel.support.collection_queries import SELECTING, SORT_REGULAR, refuse_callable, where
from bridge.phpeval.laravel.support.json_forms import COLLECTIONS
from bridge.phpeval.laravel.support.native_class import Act, NativeClass, array, flag, text, whole
from bridge.phpeval.laravel.support.resource_class import is_class, marked_class, resource_names
from bridge.phpeval.php.runtime.interpreter import Interpreter, Native, PhpClosure
from bridge.phpeval.php.runtime.operators import BINARY, Thrown, add, divide, equal, to_bool
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.serialization.json_encode import json_encode

RESOURCE_COLLECTION = "Illuminate\\Http\\Resources\\Json\\ResourceCollection"
PROXY = "Illuminate\\Support\\HigherOrderCollectionProxy"

_INFINITE = float("inf")


# ---- change --------------------------------------------------------------------------------------


def _mapped(php: Interpreter, subject: PhpObject, items: PhpArray) -> PhpObject:
    """A collection of what a callback gave: Eloquent's is one only as long as all items are models."""
    if subject.class_name == ELOQUENT and not all(is_model(php, item) for item in items.values()):
        return collection(items)
    return like(subject, items)


def _map(php: Interpreter, subject: PhpObject, act: Value) -> PhpObject:
    return _mapped(php, subject, arr.mapped(php, act, held_items(php, subject)))


def _map_into(php: Interpreter, subject: PhpObject, name: Value) -> PhpObject:
    class_name = text(php, name).decode("utf-8", "replace").lstrip("\\")
    is_own = php.classes.find(class_name) is not None
    if not (is_own or class_name in COLLECTIONS) or php.is_enum(class_name):
        php.refuse(f"mapInto() of {class_name}")
    items = list(held_items(php, subject).items())
    made = PhpArray((k, php.make(class_name, (item, k) if is_own else (item,))) for k, item in items)
    return _mapped(php, subject, made)


def _map_spread(php: Interpreter, subject: PhpObject, act: Value) -> PhpObject:
    change = callback(php, act)
    made = PhpArray()
    for key, item in list(held_items(php, subject).items()):
        if not array(php, item).is_list:
            php.refuse("mapSpread() of items with keys")
        made[key] = change(*array(php, item).values(), key)
    return _mapped(php, subject, made)


def _split(php: Interpreter, subject: PhpObject, count: Value) -> PhpObject:
    """`split`: so many parts as equal as can be, the longer ones first."""
    parts, values = whole(php, count), list(held_items(php, subject).values())
    if parts < 1:
        php.refuse("split() into this number of groups")
    size, longer = divmod(len(values), parts)
    groups, start = [], 0
    for index in range(parts if values else 0):
        end = start + size + (index < longer)
        if end > start:
            # integer keys are numbered anew, others kept: of these nothing is said here
            groups.append(like(subject, PhpArray.of(values[start:end])))
        start = end
    if not held_items(php, subject).is_list:
        php.refuse("split() of items with keys")
    return listed(subject, groups)


def _map_with_keys(php: Interpreter, subject: PhpObject, act: Value) -> PhpObject:
    change = callback(php, act)
    result = PhpArray()
    for key, item in list(held_items(php, subject).items()):
        result.update(php.iterable(change(item, key)))
    return _mapped(php, subject, result)


def _flat_map(php: Interpreter, subject: PhpObject, act: Value) -> PhpObject:
    mapped = _map(php, subject, act)
    return collection(arr.collapse(php, held_items(php, mapped)), base_of(mapped))


def _map_to_groups(php: Interpreter, subject: PhpObject, act: Value) -> PhpObject:
    change = callback(php, act)
    groups: dict[int | bytes, list[Value]] = {}
    for key, item in list(held_items(php, subject).items()):
        pair = array(php, change(item, key))
        if not pair:
            php.refuse("mapToGroups() with an empty pair")
        name, value = next(iter(pair.items()))
        groups.setdefault(name, []).append(value)
    return collection(
        PhpArray((name, listed(subject, values)) for name, values in groups.items()), base_of(subject)
    )


def _pluck(php: Interpreter, subject: PhpObject, value: Value, key: Value = None) -> PhpObject:
    return collection(arr.pluck(php, held_items(php, subject), value, key))


def _key_by(php: Interpreter, subject: PhpObject, by: Value) -> PhpObject:
    get = retriever(php, by)
    return like(
        subject,
        PhpArray(
            (arr.result_key(php, get(item, key)), item)
            for key, item in list(held_items(php, subject).items())
        ),
    )


def _group_by(php: Interpreter, subject: PhpObject, by: Value, preserve: Value = False) -> PhpObject:
    get, keep = retriever(php, by), flag(php, preserve)
    groups: dict[int | bytes, PhpArray] = {}
    for key, item in list(held_items(php, subject).items()):
        found = get(item, key)
        for name in found.values() if isinstance(found, PhpArray) else (found,):
            if isinstance(name, float):
                php.refuse("groupBy() with a fraction as key")
            group = groups.setdefault(arr.result_key(php, name), PhpArray())
            if keep:
                group[key] = item
            else:
                group.append(item)
    return like(subject, PhpArray((name, like(subject, group)) for name, group in groups.items()))


def _merge(php: Interpreter, subject: PhpObject, other: Value) -> PhpObject:
    more = arrayable(php, other)
    if subject.class_name == ELOQUENT:
        merged = by_model_key(php, held_items(php, subject))
        merged.update(by_model_key(php, more))
        return like(subject, PhpArray.of(merged.values()))
    return like(subject, array_function(php, "array_merge", held_items(php, subject), more))


def _chunk(php: Interpreter, subject: PhpObject, size: Value) -> PhpObject:
    if whole(php, size) <= 0:
        return like(subject, PhpArray())
    chunks = array_function(php, "array_chunk", held_items(php, subject), size, True)
    return listed(subject, [like(subject, array(php, chunk)) for chunk in chunks.values()])


def _flatten(php: Interpreter, subject: PhpObject, depth: Value = None) -> PhpObject:
    levels = _INFINITE if depth is None else whole(php, depth)
    return collection(arr.flatten(php, held_items(php, subject), levels), base_of(subject))


def _zip(php: Interpreter, subject: PhpObject, *others: Value) -> PhpObject:
    lists = [
        list(held_items(php, subject).values()),
        *(list(arrayable(php, other).values()) for other in others),
    ]
    rows = [
        [one[index] if index < len(one) else None for one in lists] for index in range(max(map(len, lists)))
    ]
    base = base_of(subject)
    return collection(PhpArray.of(collection(PhpArray.of(row), base) for row in rows), base)


def _keys(php: Interpreter, subject: PhpObject) -> PhpObject:
    return collection(PhpArray.of(held_items(php, subject).keys()), base_of(subject))


def _concat(php: Interpreter, subject: PhpObject, source: Value) -> PhpObject:
    result = held_items(php, subject).copy()
    for item in php.iterable(source).values():
        result.append(item)
    return like(subject, result)


# ---- one value ------------------------------------------------------------------------------------


def _edge(last: bool) -> Act:
    pick = arr.last if last else arr.first
    return lambda php, subject, test=None, default=None: pick(php, held_items(php, subject), test, default)


def _get(php: Interpreter, subject: PhpObject, key: Value, default: Value = None) -> Value:
    if not isinstance(key, int | bytes) or isinstance(key, bool):
        php.refuse("get() with this key")
    items = held_items(php, subject)
    index = php.key(key)
    return items[index] if index in items else value_of(php, default)


def _has(php: Interpreter, subject: PhpObject, first: Value, *rest: Value) -> bool:
    items = held_items(php, subject)
    keys = first.values() if isinstance(first, PhpArray) else (first, *rest)
    return all(php.key(key) in items for key in keys)


def _has_any(php: Interpreter, subject: PhpObject, first: Value, *rest: Value) -> bool:
    items = held_items(php, subject)
    keys = first.values() if isinstance(first, PhpArray) else (first, *rest)
    return any(php.key(key) in items for key in keys)


def _sum(php: Interpreter, subject: PhpObject, by: Value = None) -> Value:
    get = retriever(php, by)
    total: Value = 0
    with_keys = release(php) >= (13, 2)
    for key, item in list(held_items(php, subject).items()):
        total = add(total, get(item, key) if with_keys else get(item))
    return total


def _average(php: Interpreter, subject: PhpObject, by: Value = None) -> Value:
    get = retriever(php, by)
    found = [
        one for one in (get(item) for item in list(held_items(php, subject).values())) if one is not None
    ]
    total: Value = 0
    for one in found:
        total = add(total, one)
    return divide(total, len(found)) if found else None


def _extreme(operator: str) -> Act:
    def act(php: Interpreter, subject: PhpObject, by: Value = None) -> Value:
        get = retriever(php, by)
        result: Value = None
        for item in list(held_items(php, subject).values()):
            if operator == ">" and item is None:
                continue
            value = get(item)
            if operator == "<" and value is None:
                continue
            if result is None or BINARY[operator](value, result):
                result = value
        return result

    return act


def _median(php: Interpreter, subject: PhpObject, key: Value = None) -> Value:
    items = held_items(php, subject) if key is None else arr.pluck(php, held_items(php, subject), key)
    kept = PhpArray.of(item for item in items.values() if item is not None)
    values = list(array_function(php, "asort", kept, SORT_REGULAR).values())
    if not values:
        return None
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else divide(add(values[middle - 1], values[middle]), 2)


def _first_or_fail(php: Interpreter, subject: PhpObject, *arguments: Value) -> Value:
    if len(arguments) > 1:
        found = php.call_method(where(php, subject, *arguments), "first", (None, _ABSENT))
    else:
        test = arguments[0] if arguments else None
        found = arr.first(php, held_items(php, subject), test, _ABSENT)
    if found is _ABSENT:
        raise Thrown("Illuminate\\Support\\ItemNotFoundException", "")
    return found


_ABSENT = PhpObject("")


def _reduce(php: Interpreter, subject: PhpObject, act: Value, initial: Value = None) -> Value:
    fold = callback(php, act)
    result = initial
    for key, item in list(held_items(php, subject).items()):
        result = fold(result, item, key)
    return result


def _implode(php: Interpreter, subject: PhpObject, value: Value, glue: Value = None) -> Value:
    items = held_items(php, subject)
    if isinstance(value, PhpClosure):
        if release(php) < (9, 5):
            php.refuse("implode() with a closure before Laravel 9.5")
        change = callback(php, value)
        items = PhpArray((key, change(item, key)) for key, item in list(items.items()))
        return arr.join(php, items, b"" if glue is None else text(php, glue), b"")
    refuse_callable(php, value)
    first = next(iter(items.values()), None)
    if isinstance(first, EnumCase):
        php.refuse("implode() of enum cases")
    if isinstance(first, PhpArray | PhpObject):
        if isinstance(first, PhpObject) and first.class_name == "Illuminate\\Support\\Stringable":
            php.refuse("implode() of Stringables")
        return arr.join(php, arr.pluck(php, items, value), b"" if glue is None else text(php, glue), b"")
    return arr.join(php, items, b"" if value is None else text(php, value), b"")


def _join(php: Interpreter, subject: PhpObject, glue: Value, final: Value = b"") -> Value:
    if text(php, final) == b"":
        return _implode(php, subject, glue)
    items = held_items(php, subject)
    if any(isinstance(item, PhpObject | PhpArray | EnumCase) for item in items.values()):
        php.refuse("join() of objects and arrays")
    return arr.join(php, items, text(php, glue), text(php, final))


def _json_serialize(php: Interpreter, subject: PhpObject) -> PhpArray:
    """As arrays all the way down; what else json_encode would turn into text is refused."""
    result = PhpArray()
    for key, item in array(php, object_conversions.jsonable(subject, php)).items():
        if isinstance(item, PhpObject) and arr.is_items(item):
            item = _json_serialize(php, item)
        elif isinstance(item, PhpObject | EnumCase):
            php.refuse("jsonSerialize() of a collection of objects")
        result[key] = item
    return result


def _to_json(php: Interpreter, subject: PhpObject) -> bytes:
    return json_encode(subject, lambda value: object_conversions.jsonable(value, php)).encode()


# ---- flow -------------------------------------------------------------------------------------------


def _each(php: Interpreter, subject: PhpObject, act: Value) -> PhpObject:
    visit = callback(php, act)
    for key, item in list(held_items(php, subject).items()):
        if visit(item, key) is False:
            break
    return subject


def _tap(php: Interpreter, subject: PhpObject, act: Value) -> PhpObject:
    seen = subject if release(php) >= (9, 0) else like(subject, held_items(php, subject).copy())
    callback(php, act)(seen)
    return subject


def _when(*, negate: bool) -> Act:
    def act(
        php: Interpreter, subject: PhpObject, value: Value, then: Value, otherwise: Value = None
    ) -> Value:
        if isinstance(value, PhpClosure):
            php.refuse("when() with a condition that is a closure")
        chosen = then if to_bool(value) is not negate else otherwise
        if chosen is None:
            return subject
        if negate and release(php) < (9, 0):
            value = not to_bool(value)
        result = callback(php, chosen)(subject, value)
        if release(php) == (9, 0):
            return result if to_bool(result) else subject
        return subject if result is None and release(php) >= (9, 0) else result

    return act


def _when_empty(*, empty: bool) -> Act:
    when = _when(negate=False)

    def act(php: Interpreter, subject: PhpObject, then: Value, otherwise: Value = None) -> Value:
        result: Value = when(php, subject, (not held_items(php, subject)) is empty, then, otherwise)
        return result

    return act


# ---- in place ---------------------------------------------------------------------------------------


def _store(subject: PhpObject, items: PhpArray) -> PhpObject:
    subject.properties[ITEMS] = items
    return subject


def _push(php: Interpreter, subject: PhpObject, *values: Value) -> PhpObject:
    items = held_items(php, subject).copy()
    for value in values:
        items.append(value)
    return _store(subject, items)


def _put(php: Interpreter, subject: PhpObject, key: Value, value: Value) -> PhpObject:
    if key is None:
        return _push(php, subject, value)
    items = held_items(php, subject).copy()
    items[php.key(key)] = value
    return _store(subject, items)


def _prepend(php: Interpreter, subject: PhpObject, value: Value, *key: Value) -> PhpObject:
    items = held_items(php, subject)
    if key:
        php.refuse("prepend() with a key")
    return _store(subject, array_function(php, "array_unshift", items, value))


def _removed(name: str) -> Act:
    def act(php: Interpreter, subject: PhpObject) -> Value:
        items = held_items(php, subject)
        if not items:
            return None
        value = next(iter(items.values())) if name == "array_shift" else next(reversed(items.values()))
        _store(subject, array_function(php, name, items))
        return value

    return act


def _transform(php: Interpreter, subject: PhpObject, act: Value) -> PhpObject:
    return _store(subject, held_items(php, _map(php, subject, act)))


def _set(php: Interpreter, subject: PhpObject, key: Value, value: Value) -> None:
    _put(php, subject, key, value)


def _unset(php: Interpreter, subject: PhpObject, key: Value) -> None:
    items = held_items(php, subject).copy()
    items.next_index = items.next_key()
    items.pop(php.key(key), None)
    _store(subject, items)


def _pull(php: Interpreter, subject: PhpObject, key: Value, default: Value = None) -> Value:
    """`pull`, of a key that is not dotted."""
    if isinstance(key, bytes) and b"." in key:
        php.refuse("pull() of a dotted key")
    found = _get(php, subject, key, default)
    _unset(php, subject, key)
    return found


def _forget(php: Interpreter, subject: PhpObject, keys: Value) -> PhpObject:
    items = held_items(php, subject).copy()
    items.next_index = items.next_key()
    if isinstance(keys, PhpObject):
        if not arr.is_items(keys) or release(php) < (10, 15):
            php.refuse("forget() of this object")
        keys = items_of(php, keys)
    for key in keys.values() if isinstance(keys, PhpArray) else (keys,):
        items.pop(php.key(key), None)
    return _store(subject, items)


# ---- models -----------------------------------------------------------------------------------------


def _model_keys(php: Interpreter, subject: PhpObject) -> PhpArray:
    if subject.class_name != ELOQUENT:
        php.refuse("modelKeys() of a plain collection")
    return PhpArray((key, model_key(php, item)) for key, item in held_items(php, subject).items())


def _to_resource_collection(php: Interpreter, subject: PhpObject, given: Value = None) -> Value:
    """`toResourceCollection()`: by the class given, else by what the first item's class says."""
    if release(php) < ((12, 29) if given is None else (12, 7)):
        php.refuse("toResourceCollection()")
    if given is not None:
        return php.call_static(text(php, given).decode().lstrip("\\"), "collection", (subject,))
    items = held_items(php, subject)
    if not items:
        return php.make(RESOURCE_COLLECTION, (subject,))
    first = items.get(0)
    if not isinstance(first, PhpObject) or not is_model(php, first):
        php.refuse("toResourceCollection() of what begins with no model")
    made = (marked_class(first.class_name, "UseResourceCollection", php),)
    collects = (marked_class(first.class_name, "UseResource", php),)
    guessed = resource_names(first, php)
    for names, is_collection in (
        (made, True),
        (collects, False),
        ([f"{name}Collection" for name in guessed], True),
        (guessed, False),
    ):
        for name in names:
            if name is not None and is_class(name, php):
                if is_collection:
                    return php.make(name, (subject,))
                return php.call_static(name, "collection", (subject,))
    raise Thrown("LogicException", f"Failed to find resource class for model [{first.class_name}].")


def _on_models(php: Interpreter, subject: PhpObject) -> list[PhpObject]:
    """The models of an Eloquent collection."""
    if subject.class_name != ELOQUENT:
        php.refuse("a method for models of a plain collection")
    models = list(held_items(php, subject).values())
    if not all(is_model(php, one) for one in models):
        php.refuse("a method for models of a collection with something else")
    return [one for one in models if isinstance(one, PhpObject)]


def _on_each(method: str) -> Act:
    """A method of every model in turn: `makeHidden`, `append`."""

    def act(php: Interpreter, subject: PhpObject, *arguments: Value) -> PhpObject:
        for model in _on_models(php, subject):
            php.call_method(model, method, arguments)
        return subject

    return act


def _load(php: Interpreter, subject: PhpObject, *names: Value) -> PhpObject:
    """All models at once, as a query for each would show them apart."""
    models = _on_models(php, subject)
    if any(one.class_name != models[0].class_name for one in models):
        php.refuse("load() of models of several classes")
    if models:
        load_all(php, models, names)
    return subject


def _load_missing(php: Interpreter, subject: PhpObject, *names: Value) -> PhpObject:
    models = _on_models(php, subject)
    if models:
        native: Any = php.environment.native(models[0].class_name)
        native.load_missing(models, native.names(names), php)
    return subject


def _count_by(php: Interpreter, subject: PhpObject, by: Value = None) -> PhpObject:
    get = retriever(php, by)
    counts = PhpArray()
    for key, item in list(held_items(php, subject).items()):
        name = arr.result_key(php, get(item, key) if by is not None else item)
        held = counts.get(name, 0)
        counts[name] = held + 1 if isinstance(held, int) else 1
    return collection(counts, base_of(subject))


def load_all(php: Interpreter, models: Sequence[PhpObject], names: Sequence[Value]) -> None:
    """Does `load` of these relations for models of one class together."""
    native: Any = php.environment.native(models[0].class_name)
    native.load(models, native.names(names), php)


def _find(php: Interpreter, subject: PhpObject, wanted: Value, default: Value = None) -> Value:
    if subject.class_name != ELOQUENT or not isinstance(wanted, int | bytes):
        php.refuse("find() in this collection")
    for item in held_items(php, subject).values():
        if equal(model_key(php, item), wanted):
            return item
    return value_of(php, default)


# ---- tables -------------------------------------------------------------------------------------------

METHODS: dict[str, Act] = {
    **SELECTING,
    "all": held_items,
    "toArray": lambda php, subject: object_conversions.to_array(subject, php),
    "jsonSerialize": _json_serialize,
    "toJson": _to_json,
    "__toString": _to_json,
    "count": lambda php, subject: len(held_items(php, subject)),
    "isEmpty": lambda php, subject: not held_items(php, subject),
    "isNotEmpty": lambda php, subject: bool(held_items(php, subject)),
    "containsOneItem": lambda php, subject: len(held_items(php, subject)) == 1,
    "collect": lambda php, subject: collection(held_items(php, subject)),
    "toBase": lambda php, subject: collection(held_items(php, subject)),
    "first": _edge(last=False),
    "last": _edge(last=True),
    "get": _get,
    "has": _has,
    "hasAny": _has_any,
    "offsetExists": lambda php, subject, key: held_items(php, subject).get(php.key(key)) is not None,
    "offsetGet": lambda php, subject, key: php.offset(held_items(php, subject), key),
    "offsetSet": _set,
    "offsetUnset": _unset,
    "pull": _pull,
    "median": _median,
    "firstOrFail": _first_or_fail,
    "mapInto": _map_into,
    "mapSpread": _map_spread,
    "split": _split,
    "pad": lambda php, subject, size, value: like(
        subject, array_function(php, "array_pad", held_items(php, subject), size, value)
    ),
    "sum": _sum,
    "avg": _average,
    "average": _average,
    "min": _extreme("<"),
    "max": _extreme(">"),
    "reduce": _reduce,
    "implode": _implode,
    "join": _join,
    "map": _map,
    "mapWithKeys": _map_with_keys,
    "mapToGroups": _map_to_groups,
    "flatMap": _flat_map,
    "pluck": _pluck,
    "keyBy": _key_by,
    "groupBy": _group_by,
    "merge": _merge,
    "concat": _concat,
    "union": lambda php, subject, other: like(
        subject, array(php, add(held_items(php, subject), arrayable(php, other)))
    ),
    "combine": with_items("array_combine"),
    "replace": with_items("array_replace"),
    "keys": _keys,
    "flip": by_function("array_flip"),
    "chunk": _chunk,
    "collapse": lambda php, subject: collection(
        arr.collapse(php, held_items(php, subject)), base_of(subject)
    ),
    "flatten": _flatten,
    "zip": _zip,
    "each": _each,
    "tap": _tap,
    "pipe": lambda php, subject, act: callback(php, act)(subject),
    "when": _when(negate=False),
    "unless": _when(negate=True),
    "whenEmpty": _when_empty(empty=True),
    "whenNotEmpty": _when_empty(empty=False),
    "push": _push,
    "add": lambda php, subject, value: _push(php, subject, value),
    "put": _put,
    "prepend": _prepend,
    "pop": _removed("array_pop"),
    "shift": _removed("array_shift"),
    "transform": _transform,
    "forget": _forget,
    "toResourceCollection": _to_resource_collection,
    "modelKeys": _model_keys,
    "makeHidden": _on_each("makeHidden"),
    "makeVisible": _on_each("makeVisible"),
    "append": _on_each("append"),
    "load": _load,
    "loadMissing": _load_missing,
    "countBy": _count_by,
    "find": _find,
}

PROXIES = frozenset(
    {"average", "avg", "contains", "each", "every", "filter", "first", "flatMap", "groupBy", "keyBy", "map"}
    | {"max", "min", "partition", "reject", "some", "sortBy", "sortByDesc", "sum", "unique"}
    | {"skipUntil", "skipWhile", "takeUntil", "takeWhile"}
)
# Proxies that are not written here, or not of every release
_OTHER_PROXIES = frozenset(
    {"doesntContain", "hasMany", "hasSole", "last", "percentage", "unless", "until", "when"}
)


def _made(php: Interpreter, class_name: str, items: Value = None) -> PhpObject:
    return collection(arrayable(php, items), class_name)


def _wrapped(php: Interpreter, class_name: str, value: Value) -> PhpObject:
    if arr.is_items(value):
        return collection(items_of(php, value), class_name)
    return collection(PhpArray() if value is None else PhpArray.of([value]), class_name)


def _times(php: Interpreter, class_name: str, count: Value, act: Value) -> PhpObject:
    change = callback(php, act)
    php.charge(max(0, whole(php, count)))
    return collection(PhpArray.of(change(index + 1, index) for index in range(whole(php, count))), class_name)


STATICS: dict[str, Act] = {
    "make": _made,
    "empty": lambda php, class_name: collection(PhpArray(), class_name),
    "wrap": _wrapped,
    "unwrap": lambda php, class_name, value: items_of(php, value) if arr.is_items(value) else value,
    "times": _times,
    "range": lambda php, class_name, start, end: collection(
        array_function(php, "range", start, end), class_name
    ),
}


class CollectionClass(NativeClass):
    """Collections, whose undeclared properties are higher order proxies."""

    has_isset = False  # __get without __isset
    interfaces = frozenset(
        {
            "ArrayAccess", "Countable", "IteratorAggregate", "JsonSerializable", "Traversable",
            "Illuminate\\Contracts\\Support\\Arrayable", "Illuminate\\Contracts\\Support\\Jsonable",
            "Illuminate\\Support\\Enumerable",
        }
    )  # fmt: skip

    def has_property(self, name: str) -> bool:
        return name in PROXIES

    def read(self, php: Interpreter, subject: PhpObject, name: str) -> Value:
        if name in _OTHER_PROXIES:
            php.refuse(f"{subject.class_name}->{name} without a call")
        if name not in PROXIES:
            raise Thrown("Exception", f"Property [{name}] does not exist on this collection instance.")
        return PhpObject(PROXY, {b"\0*\0collection": subject, b"\0*\0method": name.encode()})

    def has(self, php: Interpreter, subject: PhpObject, name: str) -> bool:
        return False


class _ProxyClass:
    """`$collection->map->name`, `$collection->each->notify()`: the method with a callback of one step."""

    has_isset = False  # __get without __isset

    def construct(self, php: Interpreter, class_name: str, arguments: Sequence[Value]) -> Value:
        php.refuse(f"new {class_name}")

    def static(self, php: Interpreter, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        php.refuse(f"the static method {class_name}::{method}()")

    def read(self, php: Interpreter, subject: PhpObject, name: str) -> Value:
        def step(arguments: Sequence[Value]) -> Value:
            item = arguments[0]
            if isinstance(item, PhpArray):
                return php.offset(item, name.encode())
            if isinstance(item, PhpObject | EnumCase):
                return arr.public_read(php, item, name, silent=False)
            return php.read(item, name)

        return self._through(php, subject, step)

    def call(self, php: Interpreter, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value:
        def step(items: Sequence[Value]) -> Value:
            if not isinstance(items[0], PhpObject | EnumCase):
                php.refuse("a method called on each item, which is no object,")
            return arr.public_call(php, items[0], method, arguments)

        return self._through(php, subject, step)

    def has(self, php: Interpreter, subject: PhpObject, name: str) -> bool:
        return False

    def _through(
        self, php: Interpreter, subject: PhpObject, step: Callable[[Sequence[Value]], Value]
    ) -> Value:
        held, method = subject.get("collection"), subject.get("method")
        if not isinstance(held, PhpObject) or not isinstance(method, bytes):
            php.refuse("a proxy that was not made here")
        return php.call_method(held, method.decode(), (PhpClosure(step),))


COLLECTION_CLASS = CollectionClass(methods=METHODS, statics=STATICS, make=_made, releases=releases.COLLECTION)
COLLECTION_CLASSES: dict[str, Native] = {
    **dict.fromkeys(COLLECTIONS, COLLECTION_CLASS),
    PROXY: _ProxyClass(),
}
