"""The methods of collections that choose, compare or order items without changing them. One entry a method.

What only sorts, cuts or compares arrays is left to PHP's own functions of the Environment.

Sources: as in `collection`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.phpeval.laravel.support import arr
from bridge.phpeval.laravel.support.arr import array_function, callback, data_get, items_of
from bridge.phpeval.laravel.support.collection_items import (
    ELOQUENT,
    arrayable,
    by_function,
    by_model_key,
    collection,
    held_items,
    like,
    listed,
    model_key,
    release,
    retriever,
    same_model,
    with_items,
)
from bridge.phpeval.laravel.support.native_class import Act, array, flag, whole
from bridge.phpeval.php.runtime.interpreter import Interpreter, PhpClosure
from bridge.phpeval.php.runtime.operators import BINARY, equal, identical, to_bool
from bridge.phpeval.php.runtime.type_declarations import is_callable
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value

SORT_REGULAR = 0


def refuse_callable(php: Interpreter, given: Value) -> None:
    """Raises Refused for what Laravel would call although it is no closure (`useAsCallable`).

    A pair of keys, ['name', 'age'], is nothing to call, unless a class may have the name of the first.
    """
    if isinstance(given, PhpArray):
        holder = given.get(0)
        called = (not isinstance(holder, bytes) or _may_be_class(php, holder)) and is_callable(php, given)
    else:
        invokable = isinstance(given, PhpObject | EnumCase) and not isinstance(given, PhpClosure)
        called = invokable and php.classes.method(given.class_name, "__invoke") is not None  # type: ignore[union-attr]
    if called:
        php.refuse("a callable that is no closure, given to a collection,")


# In lower case: aliases of Laravel's facades, which answer any static method once the alias was used, and
# classes of PHP with static methods.
_GLOBAL_CLASSES = frozenset(
    (
        b"app arr artisan auth blade broadcast bus cache concurrency config context cookie crypt date db"
        b" eloquent event exceptions file gate hash http image js lang log mail notification number"
        b" password pipeline process queue ratelimiter redirect redis request response route"
        b" schedule schema session storage str uri url validator view vite"
        b" closure collator dateinterval datetime datetimeimmutable datetimezone fiber imagick"
        b" intlcalendar intlchar intldateformatter intltimezone locale messageformatter normalizer"
        b" numberformatter parent pdo phar phardata reflection reflectionreference resourcebundle self"
        b" splfixedarray static transliterator uconverter weakreference xmlreader"
    ).split()
)


def _may_be_class(php: Interpreter, name: bytes) -> bool:
    return (
        b"\\" in name
        or name[:1].isupper()
        or name.lower() in _GLOBAL_CLASSES
        or php.classes.find(name.decode("utf-8", "replace")) is not None
    )


# ---- where ---------------------------------------------------------------------------------------

_OPERATORS: dict[bytes, Callable[[Value, Value], Value]] = {
    b"=": equal,
    **{name: BINARY[name.decode()] for name in (b"==", b"!=", b"<", b">", b"<=", b">=", b"===", b"!==")},
    b"<>": BINARY["!="],
}
_UNEQUAL = (b"!=", b"<>", b"!==")


def _where_test(php: Interpreter, arguments: Sequence[Value]) -> Callable[[Value], bool]:
    """`operatorForWhere`, by the number of arguments."""
    if not 1 <= len(arguments) <= 3 or isinstance(arguments[0], PhpClosure):
        php.refuse("where() with these arguments")
    key = arguments[0]
    refuse_callable(php, key)
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
        if isinstance(found, EnumCase) or isinstance(wanted, EnumCase):
            return _of_enums(php, name, found, wanted)
        for one, other in ((found, wanted), (wanted, found)):
            if isinstance(one, PhpObject | EnumCase):
                strict = name in (b"===", b"!==")
                if other is None and (strict or isinstance(one, PhpObject)):
                    return name in _UNEQUAL
                php.refuse("where() on an object")
        return to_bool(holds(found, wanted))

    return test


def _of_enums(php: Interpreter, operator: bytes, found: Value, wanted: Value) -> bool:
    """Where one of the two is a case: newer releases compare what it is worth, older ones the object."""
    if isinstance(found, PhpObject) or isinstance(wanted, PhpObject):
        php.refuse("where() on an object")
    if release(php) >= (11, 36):
        return to_bool(_OPERATORS[operator](_worth(php, found), _worth(php, wanted)))
    if not (isinstance(found, EnumCase) and isinstance(wanted, EnumCase)):
        return operator in _UNEQUAL
    same = identical(found, wanted)
    return not same if operator in _UNEQUAL else same and operator not in (b"<", b">")


def _worth(php: Interpreter, value: Value) -> Value:
    """`enum_value`."""
    if not isinstance(value, EnumCase):
        return value
    backing = php.backing_value(value)
    return value.case.encode() if backing is None else backing


def _filtered(subject: PhpObject, items: PhpArray, keep: Callable[[int | bytes, Value], bool]) -> PhpObject:
    return like(subject, PhpArray((key, item) for key, item in list(items.items()) if keep(key, item)))


def where(php: Interpreter, subject: PhpObject, *arguments: Value) -> PhpObject:
    test = _where_test(php, arguments)
    return _filtered(subject, held_items(php, subject), lambda key, item: test(item))


def _first_where(php: Interpreter, subject: PhpObject, *arguments: Value) -> Value:
    test = _where_test(php, arguments)
    return next((item for item in held_items(php, subject).values() if test(item)), None)


def _where_null(php: Interpreter, subject: PhpObject, key: Value = None) -> PhpObject:
    return where(php, subject, key, b"===", None)


def _where_not_null(php: Interpreter, subject: PhpObject, key: Value = None) -> PhpObject:
    return where(php, subject, key, b"!==", None)


def _where_in(*, keep: bool, always_strict: bool) -> Act:
    def act(
        php: Interpreter, subject: PhpObject, key: Value, values: Value, strict: Value = False
    ) -> PhpObject:
        wanted = list(arrayable(php, values).values())
        same = identical if always_strict or flag(php, strict) else equal

        def inside(_: int | bytes, item: Value) -> bool:
            found = data_get(php, item, key)
            return any(same(found, one) for one in wanted) is keep

        return _filtered(subject, held_items(php, subject), inside)

    return act


def _where_between(php: Interpreter, subject: PhpObject, key: Value, values: Value) -> PhpObject:
    bounds = list(array(php, values).values())
    if not bounds:
        php.refuse("whereBetween() without bounds")
    low = _where_test(php, (key, b">=", bounds[0]))
    high = _where_test(php, (key, b"<=", bounds[-1]))
    return _filtered(subject, held_items(php, subject), lambda _, item: low(item) and high(item))


# ---- tests ---------------------------------------------------------------------------------------


def _filter(php: Interpreter, subject: PhpObject, test: Value = None) -> PhpObject:
    items = held_items(php, subject)
    if test is None:
        return _filtered(subject, items, lambda _, item: to_bool(item))
    return like(subject, arr.where(php, items, test))


def _reject(php: Interpreter, subject: PhpObject, test: Value = True) -> PhpObject:
    items = held_items(php, subject)
    if isinstance(test, PhpClosure):
        holds = callback(php, test)
        return _filtered(subject, items, lambda key, item: not to_bool(holds(item, key)))
    refuse_callable(php, test)
    return _filtered(subject, items, lambda _, item: not equal(item, test))


def _contains(php: Interpreter, subject: PhpObject, *arguments: Value) -> bool:
    items = held_items(php, subject)
    if len(arguments) != 1:
        test = _where_test(php, arguments)
        return any(test(item) for item in items.values())
    wanted = arguments[0]
    refuse_callable(php, wanted)
    if isinstance(wanted, PhpClosure):
        holds = callback(php, wanted)
        return any(to_bool(holds(item, key)) for key, item in list(items.items()))
    if subject.class_name == ELOQUENT:
        if isinstance(wanted, PhpObject):
            return any(same_model(php, item, wanted) for item in items.values())
        return any(equal(model_key(php, item), wanted) for item in items.values())
    return any(equal(wanted, item) for item in items.values())


def _contains_strict(php: Interpreter, subject: PhpObject, wanted: Value) -> bool:
    refuse_callable(php, wanted)
    if isinstance(wanted, PhpClosure):
        php.refuse("containsStrict() with a closure")
    return any(identical(item, wanted) for item in held_items(php, subject).values())


def _every(php: Interpreter, subject: PhpObject, *arguments: Value) -> bool:
    items = held_items(php, subject)
    if len(arguments) == 1:
        holds = retriever(php, arguments[0])
        return all(to_bool(holds(item, key)) for key, item in list(items.items()))
    test = _where_test(php, arguments)
    return all(test(item) for item in items.values())


def _partition(php: Interpreter, subject: PhpObject, *arguments: Value) -> PhpObject:
    passed, failed = PhpArray(), PhpArray()
    if len(arguments) == 1:
        holds = retriever(php, arguments[0])
    else:
        test = _where_test(php, arguments)

        def holds(item: Value, key: int | bytes) -> Value:
            return test(item)

    for key, item in list(held_items(php, subject).items()):
        (passed if to_bool(holds(item, key)) else failed)[key] = item
    parts = PhpArray.of([like(subject, passed), like(subject, failed)])
    return collection(parts) if release(php) >= (12, 0) else like(subject, parts)


def _search(php: Interpreter, subject: PhpObject, wanted: Value, strict: Value = False) -> Value:
    items = held_items(php, subject)
    refuse_callable(php, wanted)
    if isinstance(wanted, PhpClosure):
        holds = callback(php, wanted)
        return next((key for key, item in list(items.items()) if to_bool(holds(item, key))), False)
    same = identical if flag(php, strict) else equal
    return next((key for key, item in items.items() if same(wanted, item)), False)


# ---- parts ---------------------------------------------------------------------------------------


def _unique(php: Interpreter, subject: PhpObject, by: Value = None, strict: Value = False) -> PhpObject:
    items = held_items(php, subject)
    exact = flag(php, strict)
    if by is None and not exact and (subject.class_name == ELOQUENT or release(php) >= (8, 74)):
        if subject.class_name == ELOQUENT:
            return like(subject, PhpArray.of(by_model_key(php, items).values()))
        return like(subject, array_function(php, "array_unique", items, SORT_REGULAR))
    get = retriever(php, by)
    same = identical if exact else equal
    seen: list[Value] = []
    result = PhpArray()
    for key, item in list(items.items()):
        identity = get(item, key)
        php.charge(len(seen))
        if not any(same(identity, one) for one in seen):
            seen.append(identity)
            result[key] = item
    return like(subject, result)


def _by_keys(*, keep: bool) -> Act:
    """`only` and `except`, by model key for Eloquent's."""

    def act(php: Interpreter, subject: PhpObject, first: Value, *rest: Value) -> PhpObject:
        items = held_items(php, subject)
        if keep and first is None:
            return like(subject, items)
        if first is None:
            php.refuse("except(null)")
        keys = list(items_of(php, first).values()) if arr.is_items(first) else [first, *rest]
        if subject.class_name == ELOQUENT:
            if not arr.is_items(first):
                php.refuse("only() and except() of models without an array")
            wanted = {php.key(key) for key in keys}
            models = by_model_key(php, items).items()
            return listed(subject, [model for key, model in models if (key in wanted) is keep])
        made = arr.only(php, items, keys) if keep else arr.forget(php, items, keys)
        return like(subject, made)

    return act


def _slice(php: Interpreter, subject: PhpObject, offset: Value, length: Value = None) -> PhpObject:
    return like(subject, array_function(php, "array_slice", held_items(php, subject), offset, length, True))


def _take(php: Interpreter, subject: PhpObject, limit: Value) -> PhpObject:
    count = whole(php, limit)
    return _slice(php, subject, count, -count) if count < 0 else _slice(php, subject, 0, count)


def _skip(php: Interpreter, subject: PhpObject, count: Value) -> PhpObject:
    return _slice(php, subject, whole(php, count))


def _up_to(*, skip: bool, wanted: bool) -> Act:
    """`takeUntil`, `takeWhile` and their twins: a part before or from the first item that decides."""

    def act(php: Interpreter, subject: PhpObject, test: Value) -> PhpObject:
        items = list(held_items(php, subject).items())
        if isinstance(test, PhpClosure):
            holds = callback(php, test)
        elif isinstance(test, PhpObject | EnumCase | PhpArray):
            php.refuse("this item to look for")
        else:

            def holds(item: Value, key: int | bytes) -> Value:
                return identical(item, test)

        ends = (at for at, (key, item) in enumerate(items) if to_bool(holds(item, key)) is wanted)
        end = next(ends, len(items))
        return like(subject, PhpArray(items[end:] if skip else items[:end]))

    return act


def _for_page(php: Interpreter, subject: PhpObject, page: Value, size: Value) -> PhpObject:
    return _slice(php, subject, max(0, (whole(php, page) - 1) * whole(php, size)), size)


def _nth(php: Interpreter, subject: PhpObject, step: Value, offset: Value = 0) -> PhpObject:
    if whole(php, step) < 1:
        php.refuse("nth() with this step")
    begin, distance = whole(php, offset), whole(php, step)
    if release(php) < (9, 6):
        items = list(held_items(php, subject).values())
        return listed(subject, [one for at, one in enumerate(items) if at % distance == begin])
    return listed(subject, list(held_items(php, _slice(php, subject, begin)).values())[::distance])


def _by_value(name: str, *, keep: bool) -> Act:
    plain = with_items(name)

    def act(php: Interpreter, subject: PhpObject, other: Value) -> object:
        if subject.class_name != ELOQUENT:
            return plain(php, subject, other)
        theirs = by_model_key(php, arrayable(php, other))
        items = held_items(php, subject).values()
        return listed(
            subject, [one for one in items if (arr.result_key(php, model_key(php, one)) in theirs) is keep]
        )

    return act


# ---- order ----------------------------------------------------------------------------------------


def _sort(php: Interpreter, subject: PhpObject, by: Value = None) -> PhpObject:
    items = held_items(php, subject)
    if isinstance(by, PhpClosure):
        return like(subject, array_function(php, "uasort", items, by))
    order = SORT_REGULAR if by is None else whole(php, by)
    return like(subject, array_function(php, "asort", items, order))


def _sort_by(*, reverse: bool) -> Act:
    def act(
        php: Interpreter,
        subject: PhpObject,
        by: Value,
        options: Value = SORT_REGULAR,
        *more: Value,
    ) -> PhpObject:
        items = held_items(php, subject)
        descending = more[0] if more and not reverse else reverse
        if isinstance(by, PhpArray):
            refuse_callable(php, by)
            return _sorted_by_many(php, subject, by, options, downwards=reverse)
        get = retriever(php, by)
        found = PhpArray((key, get(item, key)) for key, item in list(items.items()))
        name = "arsort" if flag(php, descending) else "asort"
        order = array_function(php, name, found, whole(php, options))
        return like(subject, PhpArray((key, items[key]) for key in order))

    return act


def _sorted_by_many(
    php: Interpreter, subject: PhpObject, comparisons: PhpArray, options: Value, *, downwards: bool
) -> PhpObject:
    """`sortBy([['name', 'asc'], 'age'])`: keys and directions. From 9.24 on items keep their keys, and
    sortByDesc() turns the directions around in 10.48, not yet in 8.83."""
    if release(php) < (8, 78):
        php.refuse("sortBy() with several rules before Laravel 8.78")
    if options != SORT_REGULAR and release(php) >= (9, 0):
        php.refuse("sortBy() with several rules and options")
    if downwards and (9, 0) <= release(php) < (10, 48):
        php.refuse("sortByDesc() with several rules, in which Laravel's releases differ,")
    rules: list[tuple[Value, bool]] = []
    for comparison in comparisons.values():
        parts = comparison if isinstance(comparison, PhpArray) else PhpArray.of([comparison])
        key, direction = parts.get(0), parts.get(1, True)
        if not isinstance(key, bytes) or not isinstance(direction, bool | bytes):
            php.refuse("this rule of sortBy()")
        ascending = direction is True or direction == b"asc"
        rules.append((key, ascending and not (downwards and release(php) >= (10, 48))))

    def compare(arguments: Sequence[Value]) -> Value:
        for key, ascending in rules:
            pair = [data_get(php, one, key) for one in arguments]
            order = BINARY["<=>"](*(pair if ascending else pair[::-1]))
            if order:
                return order
        return 0

    keeps_keys = release(php) >= (9, 24)
    by = "uasort" if keeps_keys else "usort"
    return like(subject, array_function(php, by, held_items(php, subject), PhpClosure(compare)))


def _sort_keys(name: str) -> Act:
    return lambda php, subject, options=SORT_REGULAR: like(
        subject, array_function(php, name, held_items(php, subject), whole(php, options))
    )


# ---- table ---------------------------------------------------------------------------------------

SELECTING: dict[str, Act] = {
    "filter": _filter,
    "reject": _reject,
    "where": where,
    "firstWhere": _first_where,
    "whereStrict": lambda php, subject, key, value: where(php, subject, key, b"===", value),
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
    "unique": _unique,
    "diff": _by_value("array_diff", keep=False),
    "diffKeys": with_items("array_diff_key"),
    "diffAssoc": with_items("array_diff_assoc"),
    "intersect": _by_value("array_intersect", keep=True),
    "intersectByKeys": with_items("array_intersect_key"),
    "only": _by_keys(keep=True),
    "except": _by_keys(keep=False),
    "values": by_function("array_values"),
    "reverse": by_function("array_reverse", True),
    "slice": _slice,
    "take": _take,
    "skip": _skip,
    "skipUntil": _up_to(skip=True, wanted=True),
    "skipWhile": _up_to(skip=True, wanted=False),
    "takeUntil": _up_to(skip=False, wanted=True),
    "takeWhile": _up_to(skip=False, wanted=False),
    "forPage": _for_page,
    "nth": _nth,
    "sort": _sort,
    "sortDesc": _sort_keys("arsort"),
    "sortBy": _sort_by(reverse=False),
    "sortByDesc": _sort_by(reverse=True),
    "sortKeys": _sort_keys("ksort"),
    "sortKeysDesc": _sort_keys("krsort"),
}
