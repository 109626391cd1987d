"""Collections, those of Eloquent too, and their higher order proxies. One entry a method.

What only sorts, cuts or compares arrays is left to PHP's own functions of the World. A collection is a
PhpObject with the protected property `items`, as unserialize gives it.

Sources: Illuminate/Collections/{Collection,Traits/EnumeratesValues,HigherOrderCollectionProxy}.php and
Illuminate/Database/Eloquent/Collection.php, 8.83 to 13.26.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.laravel import objects
from bridge.laravel.classes import arr
from bridge.laravel.classes.arr import ITEMS, array_function, callback, data_get, items_of, value_of
from bridge.laravel.classes.family import Act, Family, array, flag, text, whole
from bridge.laravel.classes.values import COLLECTIONS
from bridge.laravel.framework import MODEL
from bridge.laravel.version import Version
from bridge.php.evaluate import Evaluator, Native, PhpClosure
from bridge.php.json_encode import json_encode
from bridge.php.operators import BINARY, Thrown, add, divide, equal, identical, to_bool
from bridge.php.values import EnumCase, PhpArray, PhpObject, Value

COLLECTION = "Illuminate\\Support\\Collection"
ELOQUENT = "Illuminate\\Database\\Eloquent\\Collection"
PROXY = "Illuminate\\Support\\HigherOrderCollectionProxy"

_SORT_REGULAR = 0
_INFINITE = float("inf")


def collection(items: PhpArray, class_name: str = COLLECTION) -> PhpObject:
    return PhpObject(class_name, {ITEMS: items})


def arrayable(php: Evaluator, value: Value) -> PhpArray:
    """What `new Collection($value)` and the like take for items; objects but collections are refused."""
    if value is None:
        return PhpArray()
    if arr.is_items(value):
        return items_of(php, value)
    if isinstance(value, bool | int | float | bytes):
        return PhpArray.of([value])
    php.refuse("a collection made of this object")


def release(php: Evaluator) -> Version:
    """Laravel's release; refused where it is not known."""
    version: Version | None = getattr(php.world, "version", None)
    if version is None:
        php.refuse("what differs between Laravel's releases")
    return version


def _items(php: Evaluator, subject: PhpObject) -> PhpArray:
    return items_of(php, subject)


def _like(subject: PhpObject, items: PhpArray) -> PhpObject:
    """`new static($items)`."""
    return collection(items, subject.class_name)


def _list(subject: PhpObject, values: object) -> PhpObject:
    return _like(subject, PhpArray.of(values))


def _retriever(php: Evaluator, by: Value) -> Callable[..., Value]:
    """`valueRetriever`: a closure, or what `data_get` finds."""
    if isinstance(by, PhpClosure):
        return callback(php, by)
    if isinstance(by, PhpObject | PhpArray):
        php.refuse("this way to get a value of an item")
    return lambda item, *rest: data_get(php, item, by)


def _by_function(name: str, *more: Value) -> Act:
    """A method that gives a PHP function of the items."""
    return lambda php, subject: _like(subject, array_function(php, name, _items(php, subject), *more))


def _with_items(name: str) -> Act:
    """A method that gives a PHP function of the items and other items."""
    return lambda php, subject, other: _like(
        subject, array_function(php, name, _items(php, subject), arrayable(php, other))
    )


# ---- where ---------------------------------------------------------------------------------------

_OPERATORS: dict[bytes, Callable[[Value, Value], Value]] = {
    b"=": equal,
    **{name: BINARY[name.decode()] for name in (b"==", b"!=", b"<", b">", b"<=", b">=", b"===", b"!==")},
    b"<>": BINARY["!="],
}
_UNEQUAL = (b"!=", b"<>", b"!==")


def _where_test(php: Evaluator, arguments: Sequence[Value]) -> Callable[[Value], bool]:
    """`operatorForWhere`, by the number of arguments."""
    if not 1 <= len(arguments) <= 3 or isinstance(arguments[0], PhpClosure):
        php.refuse("where() with these arguments")
    key = arguments[0]
    operator: Value = b"="
    wanted: Value = True
    if len(arguments) == 2:
        wanted = arguments[1]
    elif len(arguments) == 3:
        operator, wanted = arguments[1], arguments[2]
    if not isinstance(operator, bytes) or operator not in _OPERATORS:
        php.refuse("where() with this operator")
    holds, name = _OPERATORS[operator], operator

    def test(item: Value) -> bool:
        found = data_get(php, item, key)
        for one, other in ((found, wanted), (wanted, found)):
            if isinstance(one, PhpObject | EnumCase):
                strict = name in (b"===", b"!==")
                if other is None and (strict or isinstance(one, PhpObject)):
                    return name in _UNEQUAL
                php.refuse("where() on an object")
        return to_bool(holds(found, wanted))

    return test


def _filtered(subject: PhpObject, items: PhpArray, keep: Callable[[int | bytes, Value], bool]) -> PhpObject:
    return _like(subject, PhpArray((key, item) for key, item in list(items.items()) if keep(key, item)))


def _where(php: Evaluator, subject: PhpObject, *arguments: Value) -> PhpObject:
    test = _where_test(php, arguments)
    return _filtered(subject, _items(php, subject), lambda key, item: test(item))


def _first_where(php: Evaluator, subject: PhpObject, *arguments: Value) -> Value:
    test = _where_test(php, arguments)
    return next((item for item in _items(php, subject).values() if test(item)), None)


def _where_null(php: Evaluator, subject: PhpObject, key: Value = None) -> PhpObject:
    return _where(php, subject, key, b"===", None)


def _where_not_null(php: Evaluator, subject: PhpObject, key: Value = None) -> PhpObject:
    return _where(php, subject, key, b"!==", None)


def _where_in(*, keep: bool, always_strict: bool) -> Act:
    def act(
        php: Evaluator, subject: PhpObject, key: Value, values: Value, strict: Value = False
    ) -> PhpObject:
        wanted = list(arrayable(php, values).values())
        same = identical if always_strict or flag(php, strict) else equal

        def inside(_: int | bytes, item: Value) -> bool:
            found = data_get(php, item, key)
            return any(same(found, one) for one in wanted) is keep

        return _filtered(subject, _items(php, subject), inside)

    return act


def _where_between(php: Evaluator, subject: PhpObject, key: Value, values: Value) -> PhpObject:
    bounds = list(array(php, values).values())
    if not bounds:
        php.refuse("whereBetween() without bounds")
    low = _where_test(php, (key, b">=", bounds[0]))
    high = _where_test(php, (key, b"<=", bounds[-1]))
    return _filtered(subject, _items(php, subject), lambda _, item: low(item) and high(item))


# ---- tests ---------------------------------------------------------------------------------------


def _filter(php: Evaluator, subject: PhpObject, test: Value = None) -> PhpObject:
    items = _items(php, subject)
    if test is None:
        return _filtered(subject, items, lambda _, item: to_bool(item))
    return _like(subject, arr.where(php, items, test))


def _reject(php: Evaluator, subject: PhpObject, test: Value = True) -> PhpObject:
    items = _items(php, subject)
    if isinstance(test, PhpClosure):
        holds = callback(php, test)
        return _filtered(subject, items, lambda key, item: not to_bool(holds(item, key)))
    return _filtered(subject, items, lambda _, item: not equal(item, test))


def _contains(php: Evaluator, subject: PhpObject, *arguments: Value) -> bool:
    items = _items(php, subject)
    if len(arguments) != 1:
        test = _where_test(php, arguments)
        return any(test(item) for item in items.values())
    wanted = arguments[0]
    if isinstance(wanted, PhpClosure):
        holds = callback(php, wanted)
        return any(to_bool(holds(item, key)) for key, item in list(items.items()))
    if subject.class_name == ELOQUENT:
        if isinstance(wanted, PhpObject):
            return any(_same_model(php, item, wanted) for item in items.values())
        return any(equal(_model_key(php, item), wanted) for item in items.values())
    return any(equal(wanted, item) for item in items.values())


def _contains_strict(php: Evaluator, subject: PhpObject, wanted: Value) -> bool:
    if isinstance(wanted, PhpClosure):
        php.refuse("containsStrict() with a closure")
    return any(identical(item, wanted) for item in _items(php, subject).values())


def _every(php: Evaluator, subject: PhpObject, *arguments: Value) -> bool:
    items = _items(php, subject)
    if len(arguments) == 1:
        holds = _retriever(php, arguments[0])
        return all(to_bool(holds(item, key)) for key, item in list(items.items()))
    test = _where_test(php, arguments)
    return all(test(item) for item in items.values())


def _partition(php: Evaluator, subject: PhpObject, *arguments: Value) -> PhpObject:
    passed, failed = PhpArray(), PhpArray()
    if len(arguments) == 1:
        holds = _retriever(php, arguments[0])
    else:
        test = _where_test(php, arguments)

        def holds(item: Value, key: int | bytes) -> Value:
            return test(item)

    for key, item in list(_items(php, subject).items()):
        (passed if to_bool(holds(item, key)) else failed)[key] = item
    return _list(subject, [_like(subject, passed), _like(subject, failed)])


def _search(php: Evaluator, subject: PhpObject, wanted: Value, strict: Value = False) -> Value:
    items = _items(php, subject)
    if isinstance(wanted, PhpClosure):
        holds = callback(php, wanted)
        return next((key for key, item in list(items.items()) if to_bool(holds(item, key))), False)
    same = identical if flag(php, strict) else equal
    return next((key for key, item in items.items() if same(wanted, item)), False)


# ---- change --------------------------------------------------------------------------------------


def _mapped(php: Evaluator, subject: PhpObject, items: PhpArray) -> PhpObject:
    """A collection of what a callback gave: Eloquent's is one only as long as all items are models."""
    if subject.class_name == ELOQUENT and not all(_is_model(php, item) for item in items.values()):
        return collection(items)
    return _like(subject, items)


def _map(php: Evaluator, subject: PhpObject, act: Value) -> PhpObject:
    change = callback(php, act)
    items = _items(php, subject)
    return _mapped(php, subject, PhpArray((key, change(item, key)) for key, item in list(items.items())))


def _map_with_keys(php: Evaluator, subject: PhpObject, act: Value) -> PhpObject:
    change = callback(php, act)
    result = PhpArray()
    for key, item in list(_items(php, subject).items()):
        result.update(php.iterable(change(item, key)))
    return _mapped(php, subject, result)


def _flat_map(php: Evaluator, subject: PhpObject, act: Value) -> PhpObject:
    mapped = _map(php, subject, act)
    return collection(arr.collapse(php, _items(php, mapped)), _base_of(mapped))


def _map_to_groups(php: Evaluator, subject: PhpObject, act: Value) -> PhpObject:
    change = callback(php, act)
    groups: dict[int | bytes, list[Value]] = {}
    for key, item in list(_items(php, subject).items()):
        pair = array(php, change(item, key))
        if not pair:
            php.refuse("mapToGroups() with an empty pair")
        name, value = next(iter(pair.items()))
        groups.setdefault(name, []).append(value)
    return collection(
        PhpArray((name, _list(subject, values)) for name, values in groups.items()), _base_of(subject)
    )


def _base_of(subject: PhpObject) -> str:
    return COLLECTION if subject.class_name == ELOQUENT else subject.class_name


def _pluck(php: Evaluator, subject: PhpObject, value: Value, key: Value = None) -> PhpObject:
    return collection(arr.pluck(php, _items(php, subject), value, key))


def _key_by(php: Evaluator, subject: PhpObject, by: Value) -> PhpObject:
    get = _retriever(php, by)
    return _like(
        subject,
        PhpArray(
            (arr.result_key(php, get(item, key)), item) for key, item in list(_items(php, subject).items())
        ),
    )


def _group_by(php: Evaluator, subject: PhpObject, by: Value, preserve: Value = False) -> PhpObject:
    get, keep = _retriever(php, by), flag(php, preserve)
    groups: dict[int | bytes, PhpArray] = {}
    for key, item in list(_items(php, subject).items()):
        found = get(item, key)
        for name in found.values() if isinstance(found, PhpArray) else (found,):
            if isinstance(name, float):
                php.refuse("groupBy() with a fraction as key")
            group = groups.setdefault(arr.result_key(php, name), PhpArray())
            if keep:
                group[key] = item
            else:
                group.append(item)
    return _like(subject, PhpArray((name, _like(subject, group)) for name, group in groups.items()))


def _unique(php: Evaluator, subject: PhpObject, by: Value = None, strict: Value = False) -> PhpObject:
    items = _items(php, subject)
    exact = flag(php, strict)
    if by is None and not exact:
        if subject.class_name == ELOQUENT:
            return _like(subject, PhpArray.of(_by_model_key(php, items).values()))
        return _like(subject, array_function(php, "array_unique", items, _SORT_REGULAR))
    get = _retriever(php, by)
    same = identical if exact else equal
    seen: list[Value] = []
    result = PhpArray()
    for key, item in list(items.items()):
        identity = get(item, key)
        php.spend(len(seen))
        if not any(same(identity, one) for one in seen):
            seen.append(identity)
            result[key] = item
    return _like(subject, result)


def _merge(php: Evaluator, subject: PhpObject, other: Value) -> PhpObject:
    more = arrayable(php, other)
    if subject.class_name == ELOQUENT:
        merged = _by_model_key(php, _items(php, subject))
        merged.update(_by_model_key(php, more))
        return _like(subject, PhpArray.of(merged.values()))
    return _like(subject, array_function(php, "array_merge", _items(php, subject), more))


def _by_keys(*, keep: bool) -> Act:
    """`only` and `except`, by model key for Eloquent's."""

    def act(php: Evaluator, subject: PhpObject, first: Value, *rest: Value) -> PhpObject:
        items = _items(php, subject)
        if keep and first is None:
            return _like(subject, items)
        if first is None:
            php.refuse("except(null)")
        keys = list(items_of(php, first).values()) if arr.is_items(first) else [first, *rest]
        if subject.class_name == ELOQUENT:
            if not arr.is_items(first):
                php.refuse("only() and except() of models without an array")
            wanted = {php.key(key) for key in keys}
            models = _by_model_key(php, items).items()
            return _list(subject, [model for key, model in models if (key in wanted) is keep])
        made = arr.only(php, items, keys) if keep else arr.forget(php, items, keys)
        return _like(subject, made)

    return act


def _slice(php: Evaluator, subject: PhpObject, offset: Value, length: Value = None) -> PhpObject:
    return _like(subject, array_function(php, "array_slice", _items(php, subject), offset, length, True))


def _take(php: Evaluator, subject: PhpObject, limit: Value) -> PhpObject:
    count = whole(php, limit)
    return _slice(php, subject, count, -count) if count < 0 else _slice(php, subject, 0, count)


def _skip(php: Evaluator, subject: PhpObject, count: Value) -> PhpObject:
    return _slice(php, subject, whole(php, count))


def _for_page(php: Evaluator, subject: PhpObject, page: Value, size: Value) -> PhpObject:
    return _slice(php, subject, max(0, (whole(php, page) - 1) * whole(php, size)), size)


def _chunk(php: Evaluator, subject: PhpObject, size: Value) -> PhpObject:
    if whole(php, size) <= 0:
        return _like(subject, PhpArray())
    chunks = array_function(php, "array_chunk", _items(php, subject), size, True)
    return _list(subject, [_like(subject, array(php, chunk)) for chunk in chunks.values()])


def _nth(php: Evaluator, subject: PhpObject, step: Value, offset: Value = 0) -> PhpObject:
    if whole(php, step) < 1:
        php.refuse("nth() with this step")
    items = _items(php, _slice(php, subject, offset))
    return _list(subject, list(items.values())[:: whole(php, step)])


def _flatten(php: Evaluator, subject: PhpObject, depth: Value = None) -> PhpObject:
    levels = _INFINITE if depth is None else whole(php, depth)
    return collection(arr.flatten(php, _items(php, subject), levels), _base_of(subject))


def _zip(php: Evaluator, subject: PhpObject, *others: Value) -> PhpObject:
    lists = [list(_items(php, subject).values()), *(list(arrayable(php, other).values()) for other in others)]
    rows = [
        [one[index] if index < len(one) else None for one in lists] for index in range(max(map(len, lists)))
    ]
    base = _base_of(subject)
    return collection(PhpArray.of(collection(PhpArray.of(row), base) for row in rows), base)


def _keys(php: Evaluator, subject: PhpObject) -> PhpObject:
    return collection(PhpArray.of(_items(php, subject).keys()), _base_of(subject))


def _concat(php: Evaluator, subject: PhpObject, source: Value) -> PhpObject:
    result = _items(php, subject).copy()
    for item in php.iterable(source).values():
        result.append(item)
    return _like(subject, result)


# ---- order ----------------------------------------------------------------------------------------


def _sort(php: Evaluator, subject: PhpObject, by: Value = None) -> PhpObject:
    items = _items(php, subject)
    if isinstance(by, PhpClosure):
        return _like(subject, array_function(php, "uasort", items, by))
    order = _SORT_REGULAR if by is None else whole(php, by)
    return _like(subject, array_function(php, "asort", items, order))


def _sort_by(*, reverse: bool) -> Act:
    def act(
        php: Evaluator,
        subject: PhpObject,
        by: Value,
        options: Value = _SORT_REGULAR,
        descending: Value = reverse,
    ) -> PhpObject:
        items = _items(php, subject)
        if isinstance(by, PhpArray):
            return _list(subject, _sorted_by_many(php, items, by).values())
        get = _retriever(php, by)
        found = PhpArray((key, get(item, key)) for key, item in list(items.items()))
        name = "arsort" if flag(php, descending) else "asort"
        order = array_function(php, name, found, whole(php, options))
        return _like(subject, PhpArray((key, items[key]) for key in order))

    return act


def _sorted_by_many(php: Evaluator, items: PhpArray, comparisons: PhpArray) -> PhpArray:
    """`sortBy([['name', 'asc'], 'age'])`: keys and directions."""
    rules: list[tuple[Value, bool]] = []
    for comparison in comparisons.values():
        parts = list(comparison.values()) if isinstance(comparison, PhpArray) else [comparison]
        if not parts or not isinstance(parts[0], bytes):
            php.refuse("this rule of sortBy()")
        rules.append((parts[0], len(parts) < 2 or parts[1] is True or parts[1] == b"asc"))

    def compare(arguments: Sequence[Value]) -> Value:
        for key, ascending in rules:
            pair = [data_get(php, one, key) for one in arguments]
            order = BINARY["<=>"](*(pair if ascending else pair[::-1]))
            if order:
                return order
        return 0

    return array_function(php, "usort", items, PhpClosure(compare))


def _sort_keys(name: str) -> Act:
    return lambda php, subject, options=_SORT_REGULAR: _like(
        subject, array_function(php, name, _items(php, subject), whole(php, options))
    )


# ---- one value ------------------------------------------------------------------------------------


def _edge(last: bool) -> Act:
    pick = arr.last if last else arr.first
    return lambda php, subject, test=None, default=None: pick(php, _items(php, subject), test, default)


def _get(php: Evaluator, subject: PhpObject, key: Value, default: Value = None) -> Value:
    if not isinstance(key, int | bytes) or isinstance(key, bool):
        php.refuse("get() with this key")
    items = _items(php, subject)
    index = php.key(key)
    return items[index] if index in items else value_of(php, default)


def _has(php: Evaluator, subject: PhpObject, first: Value, *rest: Value) -> bool:
    items = _items(php, subject)
    keys = first.values() if isinstance(first, PhpArray) else (first, *rest)
    return all(php.key(key) in items for key in keys)


def _has_any(php: Evaluator, subject: PhpObject, first: Value, *rest: Value) -> bool:
    items = _items(php, subject)
    keys = first.values() if isinstance(first, PhpArray) else (first, *rest)
    return any(php.key(key) in items for key in keys)


def _sum(php: Evaluator, subject: PhpObject, by: Value = None) -> Value:
    get = _retriever(php, by)
    total: Value = 0
    for item in list(_items(php, subject).values()):
        total = add(total, get(item))
    return total


def _average(php: Evaluator, subject: PhpObject, by: Value = None) -> Value:
    get = _retriever(php, by)
    found = [one for one in (get(item) for item in list(_items(php, subject).values())) if one is not None]
    total: Value = 0
    for one in found:
        total = add(total, one)
    return divide(total, len(found)) if found else None


def _extreme(operator: str) -> Act:
    def act(php: Evaluator, subject: PhpObject, by: Value = None) -> Value:
        get = _retriever(php, by)
        result: Value = None
        for item in list(_items(php, subject).values()):
            if operator == ">" and item is None:
                continue
            value = get(item)
            if operator == "<" and value is None:
                continue
            if result is None or BINARY[operator](value, result):
                result = value
        return result

    return act


def _reduce(php: Evaluator, subject: PhpObject, act: Value, initial: Value = None) -> Value:
    fold = callback(php, act)
    result = initial
    for key, item in list(_items(php, subject).items()):
        result = fold(result, item, key)
    return result


def _implode(php: Evaluator, subject: PhpObject, value: Value, glue: Value = None) -> Value:
    items = _items(php, subject)
    if isinstance(value, PhpClosure):
        if release(php) < (9, 0):
            php.refuse("implode() with a closure")
        change = callback(php, value)
        items = PhpArray((key, change(item, key)) for key, item in list(items.items()))
        return arr.join(php, items, b"" if glue is None else text(php, glue), b"")
    first = next(iter(items.values()), None)
    if isinstance(first, EnumCase):
        php.refuse("implode() of enum cases")
    if isinstance(first, PhpArray | PhpObject):
        if isinstance(first, PhpObject) and first.class_name == "Illuminate\\Support\\Stringable":
            php.refuse("implode() of Stringables")
        return arr.join(php, arr.pluck(php, items, value), b"" if glue is None else text(php, glue), b"")
    return arr.join(php, items, b"" if value is None else text(php, value), b"")


def _join(php: Evaluator, subject: PhpObject, glue: Value, final: Value = b"") -> Value:
    if text(php, final) == b"":
        return _implode(php, subject, glue)
    items = _items(php, subject)
    if any(isinstance(item, PhpObject | PhpArray | EnumCase) for item in items.values()):
        php.refuse("join() of objects and arrays")
    return arr.join(php, items, text(php, glue), text(php, final))


def _json_serialize(php: Evaluator, subject: PhpObject) -> PhpArray:
    """As arrays all the way down; what else json_encode would turn into text is refused."""
    result = PhpArray()
    for key, item in array(php, objects.jsonable(subject, php)).items():
        if isinstance(item, PhpObject) and arr.is_items(item):
            item = _json_serialize(php, item)
        elif isinstance(item, PhpObject | EnumCase):
            php.refuse("jsonSerialize() of a collection of objects")
        result[key] = item
    return result


def _to_json(php: Evaluator, subject: PhpObject) -> bytes:
    return json_encode(subject, lambda value: objects.jsonable(value, php)).encode()


# ---- flow -------------------------------------------------------------------------------------------


def _each(php: Evaluator, subject: PhpObject, act: Value) -> PhpObject:
    visit = callback(php, act)
    for key, item in list(_items(php, subject).items()):
        if visit(item, key) is False:
            break
    return subject


def _tap(php: Evaluator, subject: PhpObject, act: Value) -> PhpObject:
    seen = subject if release(php) >= (9, 0) else _like(subject, _items(php, subject).copy())
    callback(php, act)(seen)
    return subject


def _when(*, negate: bool) -> Act:
    def act(php: Evaluator, subject: PhpObject, value: Value, then: Value, otherwise: Value = None) -> Value:
        if isinstance(value, PhpClosure):
            php.refuse("when() with a condition that is a closure")
        chosen = then if to_bool(value) is not negate else otherwise
        if chosen is None:
            return subject
        if negate and release(php) < (9, 0):
            value = not to_bool(value)
        result = callback(php, chosen)(subject, value)
        return subject if result is None and release(php) >= (9, 0) else result

    return act


def _when_empty(*, empty: bool) -> Act:
    when = _when(negate=False)

    def act(php: Evaluator, subject: PhpObject, then: Value, otherwise: Value = None) -> Value:
        result: Value = when(php, subject, (not _items(php, subject)) is empty, then, otherwise)
        return result

    return act


# ---- in place ---------------------------------------------------------------------------------------


def _store(subject: PhpObject, items: PhpArray) -> PhpObject:
    subject.properties[ITEMS] = items
    return subject


def _push(php: Evaluator, subject: PhpObject, *values: Value) -> PhpObject:
    items = _items(php, subject).copy()
    for value in values:
        items.append(value)
    return _store(subject, items)


def _put(php: Evaluator, subject: PhpObject, key: Value, value: Value) -> PhpObject:
    if key is None:
        return _push(php, subject, value)
    items = _items(php, subject).copy()
    items[php.key(key)] = value
    return _store(subject, items)


def _prepend(php: Evaluator, subject: PhpObject, value: Value, *key: Value) -> PhpObject:
    items = _items(php, subject)
    if key:
        php.refuse("prepend() with a key")
    return _store(subject, array_function(php, "array_unshift", items, value))


def _removed(name: str) -> Act:
    def act(php: Evaluator, subject: PhpObject) -> Value:
        items = _items(php, subject)
        if not items:
            return None
        value = next(iter(items.values())) if name == "array_shift" else next(reversed(items.values()))
        _store(subject, array_function(php, name, items))
        return value

    return act


def _transform(php: Evaluator, subject: PhpObject, act: Value) -> PhpObject:
    return _store(subject, _items(php, _map(php, subject, act)))


def _forget(php: Evaluator, subject: PhpObject, keys: Value) -> PhpObject:
    items = _items(php, subject).copy()
    items.next_index = items.upcoming()
    for key in keys.values() if isinstance(keys, PhpArray) else (keys,):
        items.pop(php.key(key), None)
    return _store(subject, items)


# ---- models -----------------------------------------------------------------------------------------


def _is_model(php: Evaluator, item: Value) -> bool:
    return isinstance(item, PhpObject) and php.is_a(item, MODEL)


def _model_key(php: Evaluator, item: Value) -> Value:
    if not isinstance(item, PhpObject):
        php.refuse("a method by model key with what is not a model")
    key = php.call_method(item, "getKey")
    if key is None:
        php.refuse("a method by model key with a model that has none")
    return key


def _same_model(php: Evaluator, one: Value, other: PhpObject) -> bool:
    """`$one->is($other)`; refused for models of different classes, which may share a table."""
    if not isinstance(one, PhpObject) or one.class_name != other.class_name:
        php.refuse("a comparison of models of different classes")
    return identical(_model_key(php, one), _model_key(php, other))


def _by_model_key(php: Evaluator, items: PhpArray) -> PhpArray:
    return PhpArray((arr.result_key(php, _model_key(php, item)), item) for item in items.values())


def _model_keys(php: Evaluator, subject: PhpObject) -> PhpArray:
    if subject.class_name != ELOQUENT:
        php.refuse("modelKeys() of a plain collection")
    return PhpArray((key, _model_key(php, item)) for key, item in _items(php, subject).items())


def _find(php: Evaluator, subject: PhpObject, wanted: Value, default: Value = None) -> Value:
    if subject.class_name != ELOQUENT or not isinstance(wanted, int | bytes):
        php.refuse("find() in this collection")
    for item in _items(php, subject).values():
        if equal(_model_key(php, item), wanted):
            return item
    return value_of(php, default)


def _by_value(name: str, *, keep: bool) -> Act:
    plain = _with_items(name)

    def act(php: Evaluator, subject: PhpObject, other: Value) -> object:
        if subject.class_name != ELOQUENT:
            return plain(php, subject, other)
        theirs = _by_model_key(php, arrayable(php, other))
        items = _items(php, subject).values()
        return _list(
            subject, [one for one in items if (arr.result_key(php, _model_key(php, one)) in theirs) is keep]
        )

    return act


# ---- tables -------------------------------------------------------------------------------------------

METHODS: dict[str, Act] = {
    "all": _items,
    "toArray": lambda php, subject: objects.to_array(subject, php),
    "jsonSerialize": _json_serialize,
    "toJson": _to_json,
    "__toString": _to_json,
    "count": lambda php, subject: len(_items(php, subject)),
    "isEmpty": lambda php, subject: not _items(php, subject),
    "isNotEmpty": lambda php, subject: bool(_items(php, subject)),
    "containsOneItem": lambda php, subject: len(_items(php, subject)) == 1,
    "collect": lambda php, subject: collection(_items(php, subject)),
    "toBase": lambda php, subject: collection(_items(php, subject)),
    "first": _edge(last=False),
    "last": _edge(last=True),
    "get": _get,
    "has": _has,
    "hasAny": _has_any,
    "offsetExists": lambda php, subject, key: _items(php, subject).get(php.key(key)) is not None,
    "offsetGet": lambda php, subject, key: php.offset(_items(php, subject), key),
    "sum": _sum,
    "avg": _average,
    "average": _average,
    "min": _extreme("<"),
    "max": _extreme(">"),
    "reduce": _reduce,
    "implode": _implode,
    "join": _join,
    "filter": _filter,
    "reject": _reject,
    "where": _where,
    "firstWhere": _first_where,
    "whereStrict": lambda php, subject, key, value: _where(php, subject, key, b"===", value),
    "whereNull": _where_null,
    "whereNotNull": _where_not_null,
    "whereIn": _where_in(keep=True, always_strict=False),
    "whereInStrict": _where_in(keep=True, always_strict=True),
    "whereNotIn": _where_in(keep=False, always_strict=False),
    "whereNotInStrict": _where_in(keep=False, always_strict=True),
    "whereBetween": _where_between,
    "contains": _contains,
    "some": _contains,
    "containsStrict": _contains_strict,
    "doesntContain": lambda php, subject, *arguments: not _contains(php, subject, *arguments),
    "every": _every,
    "partition": _partition,
    "search": _search,
    "map": _map,
    "mapWithKeys": _map_with_keys,
    "mapToGroups": _map_to_groups,
    "flatMap": _flat_map,
    "pluck": _pluck,
    "keyBy": _key_by,
    "groupBy": _group_by,
    "unique": _unique,
    "merge": _merge,
    "concat": _concat,
    "union": lambda php, subject, other: _like(
        subject, array(php, add(_items(php, subject), arrayable(php, other)))
    ),
    "combine": _with_items("array_combine"),
    "replace": _with_items("array_replace"),
    "diff": _by_value("array_diff", keep=False),
    "diffKeys": _with_items("array_diff_key"),
    "diffAssoc": _with_items("array_diff_assoc"),
    "intersect": _by_value("array_intersect", keep=True),
    "intersectByKeys": _with_items("array_intersect_key"),
    "only": _by_keys(keep=True),
    "except": _by_keys(keep=False),
    "values": _by_function("array_values"),
    "keys": _keys,
    "flip": _by_function("array_flip"),
    "reverse": _by_function("array_reverse", True),
    "slice": _slice,
    "take": _take,
    "skip": _skip,
    "forPage": _for_page,
    "chunk": _chunk,
    "nth": _nth,
    "collapse": lambda php, subject: collection(arr.collapse(php, _items(php, subject)), _base_of(subject)),
    "flatten": _flatten,
    "zip": _zip,
    "sort": _sort,
    "sortDesc": _sort_keys("arsort"),
    "sortBy": _sort_by(reverse=False),
    "sortByDesc": _sort_by(reverse=True),
    "sortKeys": _sort_keys("ksort"),
    "sortKeysDesc": _sort_keys("krsort"),
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
    "modelKeys": _model_keys,
    "find": _find,
}

PROXIES = frozenset(
    {"average", "avg", "contains", "each", "every", "filter", "first", "flatMap", "groupBy", "keyBy", "map"}
    | {"max", "min", "partition", "reject", "some", "sortBy", "sortByDesc", "sum", "unique"}
)


def _made(php: Evaluator, class_name: str, items: Value = None) -> PhpObject:
    return collection(arrayable(php, items), class_name)


def _wrapped(php: Evaluator, class_name: str, value: Value) -> PhpObject:
    return collection(items_of(php, value) if arr.is_items(value) else PhpArray.of([value]), class_name)


def _times(php: Evaluator, class_name: str, count: Value, act: Value) -> PhpObject:
    change = callback(php, act)
    php.spend(max(0, whole(php, count)))
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


class CollectionClass(Family):
    """Collections, whose undeclared properties are higher order proxies."""

    def read(self, php: Evaluator, subject: PhpObject, name: str) -> Value:
        if name not in PROXIES:
            raise Thrown("Exception", f"Property [{name}] does not exist on this collection instance.")
        return PhpObject(PROXY, {b"\0*\0collection": subject, b"\0*\0method": name.encode()})

    def has(self, php: Evaluator, subject: PhpObject, name: str) -> bool:
        return False  # Collection has __get without __isset


class _ProxyClass:
    """`$collection->map->name`, `$collection->each->notify()`: the method with a callback of one step."""

    def construct(self, php: Evaluator, class_name: str, arguments: Sequence[Value]) -> Value:
        php.refuse(f"new {class_name}")

    def static(self, php: Evaluator, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        php.refuse(f"the static method {class_name}::{method}()")

    def read(self, php: Evaluator, subject: PhpObject, name: str) -> Value:
        def step(arguments: Sequence[Value]) -> Value:
            item = arguments[0]
            if isinstance(item, PhpArray):
                return php.offset(item, name.encode())
            if isinstance(item, PhpObject | EnumCase):
                return arr.public_read(php, item, name, quiet=False)
            return php.read(item, name)

        return self._through(php, subject, step)

    def call(self, php: Evaluator, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value:
        def step(items: Sequence[Value]) -> Value:
            if not isinstance(items[0], PhpObject):
                php.refuse("a method called on each item, which is no object,")
            return php.call_method(items[0], method, arguments)

        return self._through(php, subject, step)

    def has(self, php: Evaluator, subject: PhpObject, name: str) -> bool:
        return False

    def _through(self, php: Evaluator, subject: PhpObject, step: Callable[[Sequence[Value]], Value]) -> Value:
        held, method = subject.get("collection"), subject.get("method")
        if not isinstance(held, PhpObject) or not isinstance(method, bytes):
            php.refuse("a proxy that was not made here")
        return php.call_method(held, method.decode(), (PhpClosure(step),))


COLLECTION_CLASSES: dict[str, Native] = {
    **dict.fromkeys(COLLECTIONS, CollectionClass(methods=METHODS, statics=STATICS, make=_made)),
    PROXY: _ProxyClass(),
}
