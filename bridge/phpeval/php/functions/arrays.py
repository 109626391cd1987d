# ruff: noqa: E501 (a signature is one line, as in the manual)
"""PHP's array functions but for sorting: new arrays, order and keys as PHP leaves them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bridge.phpeval.php.functions.signature import (
    MAX_ENTRIES,
    check_entries,
    in_place,
    require_php,
    table,
    value_error,
)
from bridge.phpeval.php.runtime.callables import as_closure
from bridge.phpeval.php.runtime.frame import Reference
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import (
    Thrown,
    add,
    identical,
    is_numeric,
    multiply,
    to_bool,
    to_int,
    to_string,
    warn,
)
from bridge.phpeval.php.runtime.properties import has_property, visible_properties
from bridge.phpeval.php.runtime.values import INT_MAX, EnumCase, PhpArray, PhpObject, Value, array_key

COUNT_RECURSIVE = 1
USE_KEY, USE_BOTH = 2, 1

Entries = Iterable[tuple[int | bytes, Value]]


def renumbered(entries: Entries) -> PhpArray:
    """Integer keys counted from 0, string keys kept."""
    result = PhpArray()
    index = 0
    for key, value in entries:
        if isinstance(key, int):
            result[index] = value
            index += 1
        else:
            result[key] = value
    return result


# ---- look ---------------------------------------------------------------------------------------


def _same(php: Interpreter, strict: bool) -> Callable[[Value, Value], bool]:
    return identical if strict else php.equal


def _in_array(php: Interpreter, needle: Value, haystack: PhpArray, strict: bool = False) -> bool:
    same = _same(php, strict)
    return any(same(needle, value) for value in haystack.values())


def _array_search(php: Interpreter, needle: Value, haystack: PhpArray, strict: bool = False) -> Value:
    same = _same(php, strict)
    return next((key for key, value in haystack.items() if same(needle, value)), False)


def _array_keys(php: Interpreter, array: PhpArray, *filter: Value) -> PhpArray:
    if not filter:
        return PhpArray.of(array)
    same = _same(php, len(filter) > 1 and to_bool(filter[1]))
    return PhpArray.of(key for key, value in array.items() if same(value, filter[0]))


def _array_key_exists(php: Interpreter, key: Value, array: PhpArray) -> bool:
    if isinstance(key, float | bool) or key is None or isinstance(key, int | bytes):
        return _offset(php, key) in array
    raise Thrown("TypeError", "Illegal offset type")


def _offset(php: Interpreter, key: Value) -> int | bytes:
    if isinstance(key, float):
        return to_int(key)
    return php.key(key)


def _edge(last: bool) -> Callable[..., tuple[Value, dict[int, Value]]]:
    """`end` and `reset`: the pointer that they move is seen by no function that is known here."""

    def take(array: PhpArray) -> tuple[Value, dict[int, Value]]:
        if not array:
            return False, {0: array}
        return next(reversed(array.values()) if last else iter(array.values())), {0: array}

    return take


# ---- make -----------------------------------------------------------------------------------------


def _array_fill(php: Interpreter, start_index: int, count: int, value: Value) -> PhpArray:
    if count < 0:
        value_error("array_fill", 2, "count", "must be greater than or equal to 0")
    check_entries(php, count)
    if start_index > INT_MAX - count:
        php.refuse("array_fill() beyond the last index")
    if start_index < 0 and count > 1:
        php.refuse("array_fill() from a negative index (8.3 changed it)")
    return PhpArray((start_index + index, value) for index in range(count))


def _array_fill_keys(php: Interpreter, keys: PhpArray, value: Value) -> PhpArray:
    return PhpArray((_text_key(php, key), value) for key in keys.values())


def _text_key(php: Interpreter, key: Value) -> int | bytes:
    return key if isinstance(key, int) and not isinstance(key, bool) else array_key(php.text(key))


def _array_combine(php: Interpreter, keys: PhpArray, values: PhpArray) -> PhpArray:
    if len(keys) != len(values):
        raise Thrown(
            "ValueError",
            "array_combine(): Argument #1 ($keys) and argument #2 ($values) must have the same number of elements",
        )
    pairs = zip(keys.values(), values.values(), strict=True)
    return PhpArray((_text_key(php, key), value) for key, value in pairs)


def _range(php: Interpreter, start: Value, end: Value, step: int | float = 1) -> PhpArray:
    """Integers, floats and single letters; what 8.3 changed is refused."""
    if isinstance(start, bytes) and isinstance(end, bytes) and len(start) == len(end) == 1:
        if start.isdigit() or end.isdigit() or not isinstance(step, int) or step == 0:
            php.refuse("range() of these")
        else:
            codes = _steps(php, start[0], end[0], step)
            return PhpArray.of(bytes([code]) for code in codes)
    if isinstance(start, bytes) or isinstance(end, bytes):
        php.refuse("range() of strings (8.3 changed it)")
    if isinstance(start, bool) or isinstance(end, bool):
        php.refuse("range() of these")
    if isinstance(start, int) and isinstance(end, int) and float(step).is_integer():
        if isinstance(step, float):
            php.refuse("range() of integers with a float step (8.3 changed it)")
        return PhpArray.of(_steps(php, start, end, step))
    if not isinstance(start, int | float) or not isinstance(end, int | float):
        php.refuse("range() of these")
    by = abs(float(step))
    low, high = float(start), float(end)
    if by == 0 or not abs(high - low) >= by or not abs(high - low) / by < MAX_ENTRIES:
        php.refuse("range() with this step")
    count = int(abs(high - low) / by) + 1
    check_entries(php, count)
    sign = 1.0 if low <= high else -1.0
    return PhpArray.of(low + sign * (index * by) for index in range(count))


def _steps(php: Interpreter, first: int, last: int, step: int) -> Iterable[int]:
    by = abs(step)
    if first == last and by:
        return (first,)
    if by == 0 or by > abs(last - first):
        value_error("range", 3, "step", "must not exceed the specified range")
    if step < 0 and first < last:
        php.refuse("range() with a step away from its end (8.3 changed it)")
    check_entries(php, abs(last - first) // by + 1)
    return range(first, last + 1, by) if first < last else range(first, last - 1, -by)


def _array_pad(php: Interpreter, array: PhpArray, length: int, value: Value) -> PhpArray:
    missing = abs(length) - len(array)
    if missing <= 0:
        return array.copy()
    if missing > 1_048_576:
        php.refuse("array_pad() by this much")
    check_entries(php, abs(length))
    padding = [(0, value)] * missing
    items = list(array.items())
    return renumbered([*items, *padding] if length > 0 else [*padding, *items])


# ---- take -----------------------------------------------------------------------------------------


def _array_slice(
    array: PhpArray, offset: int, length: int | None = None, preserve_keys: bool = False
) -> PhpArray:
    size = len(array)
    if offset > size:
        return PhpArray()
    start = max(size + offset, 0) if offset < 0 else offset
    end = size if length is None else size + length if length < 0 else min(start + length, size)
    part = list(array.items())[start : max(end, start)]
    return PhpArray(part) if preserve_keys else renumbered(part)


def _array_splice(
    php: Interpreter, array: PhpArray, offset: int, length: int | None = None, replacement: Value = None
) -> tuple[Value, dict[int, Value]]:
    size = len(array)
    start = max(size + offset, 0) if offset < 0 else min(offset, size)
    end = size if length is None else max(size + length, start) if length < 0 else min(start + length, size)
    items = list(array.items())
    put = php.to_array(replacement).values() if replacement is not None else ()
    kept = [*items[:start], *((0, value) for value in put), *items[end:]]
    return renumbered(items[start:end]), {0: renumbered(kept)}


def _array_chunk(php: Interpreter, array: PhpArray, length: int, preserve_keys: bool = False) -> PhpArray:
    if length < 1:
        value_error("array_chunk", 2, "length", "must be greater than 0")
    items = list(array.items())
    parts = (items[at : at + length] for at in range(0, len(items), length))
    if preserve_keys:
        return PhpArray.of(PhpArray(part) for part in parts)
    return PhpArray.of(PhpArray.of(value for _, value in part) for part in parts)


def _property_cell(php: Interpreter, row: PhpObject | EnumCase, name: str) -> tuple[bool, Value]:
    """Whether array_column finds the property (one that is null counts), and its value."""
    if isinstance(row, EnumCase):
        value = php.read(row, name, silent=True)
        return value is not None, value
    declared = row.class_name == "stdClass" or (
        php.environment.native(row.class_name) is None and php.is_complete(row.class_name)
    )
    if declared:
        here = visible_properties(php, row)
        key = array_key(name.encode("utf-8", "surrogateescape"))
        if key in here:
            return True, here[key]
    return (True, php.read(row, name)) if has_property(php, row, name) else (False, None)


def _array_column(php: Interpreter, array: PhpArray, column_key: Value, index_key: Value = None) -> PhpArray:
    result = PhpArray()

    def cell(row: Value, key: Value) -> tuple[bool, Value]:
        if isinstance(row, PhpArray):
            at = php.key(key)
            return at in row, row.get(at)
        if isinstance(row, PhpObject | EnumCase):
            return _property_cell(php, row, to_string(key).decode("utf-8", "surrogateescape"))
        return False, None

    for row in array.values():
        found, value = (True, row) if column_key is None else cell(row, column_key)
        if not found:
            continue
        indexed, index = (False, None) if index_key is None else cell(row, index_key)
        if not indexed:
            result.append(value)
        elif index is None or isinstance(index, int | bytes):
            result[php.key(index)] = value
        elif isinstance(index, float):
            result[to_int(index)] = value
        else:
            result[array_key(php.text(index))] = value
    return result


# ---- join -----------------------------------------------------------------------------------------


def _array_merge(php: Interpreter, *arrays: PhpArray) -> PhpArray:
    check_entries(php, sum(map(len, arrays)))
    return renumbered(item for array in arrays for item in array.items())


def _array_merge_recursive(php: Interpreter, *arrays: PhpArray) -> PhpArray:
    result = PhpArray()
    for array in arrays:
        _merge_into(php, result, array)
    return result


def _merge_into(php: Interpreter, target: PhpArray, source: PhpArray) -> None:
    for key, value in source.items():
        if isinstance(key, int):
            target.append(value)
        elif key not in target:
            target[key] = value
        else:
            there = target[key]
            if isinstance(there, PhpObject) or isinstance(value, PhpObject):
                php.refuse("array_merge_recursive() of objects")
            joined = there.copy() if isinstance(there, PhpArray) else PhpArray()
            if not isinstance(there, PhpArray):
                joined.append(there)
            if isinstance(value, PhpArray):
                _merge_into(php, joined, value)
            else:
                joined.append(value)
            target[key] = joined


def _array_replace(array: PhpArray, *replacements: PhpArray) -> PhpArray:
    result = array.copy()
    for replacement in replacements:
        for key, value in replacement.items():
            result[key] = value
    return result


def _array_replace_recursive(array: PhpArray, *replacements: PhpArray) -> PhpArray:
    result = array.copy()
    for replacement in replacements:
        for key, value in replacement.items():
            held = result.get(key)
            both = isinstance(held, PhpArray) and isinstance(value, PhpArray)
            result[key] = _array_replace_recursive(held, value) if both else value  # type: ignore[arg-type]
    return result


# ---- change ---------------------------------------------------------------------------------------


@in_place
def _array_push(array: PhpArray, *values: Value) -> tuple[Value, dict[int, Value]]:
    for value in values:
        array.append(value)
    return len(array), {0: array}


def _array_unshift(array: PhpArray, *values: Value) -> tuple[Value, dict[int, Value]]:
    changed = renumbered([*((0, value) for value in values), *array.items()])
    return len(changed), {0: changed}


@in_place
def _array_pop(array: PhpArray) -> tuple[Value, dict[int, Value]]:
    if not array:
        return None, {0: array}
    next_key = array.next_key()
    key, value = array.popitem()
    array.next_index = next_key - 1 if key == next_key - 1 else next_key
    return value, {0: array}


def _array_shift(array: PhpArray) -> tuple[Value, dict[int, Value]]:
    if not array:
        return None, {0: array}
    items = list(array.items())
    return items[0][1], {0: renumbered(items[1:])}


def _array_flip(array: PhpArray) -> PhpArray:
    result = PhpArray()
    for key, value in array.items():
        if isinstance(value, bool) or not isinstance(value, int | bytes):
            raise warn("array_flip(): Can only flip string and integer values, entry skipped")
        result[array_key(value) if isinstance(value, bytes) else value] = key
    return result


def _array_reverse(array: PhpArray, preserve_keys: bool = False) -> PhpArray:
    items = reversed(list(array.items()))
    return PhpArray(items) if preserve_keys else renumbered(items)


def _array_change_key_case(array: PhpArray, case: int = 0) -> PhpArray:
    change = bytes.upper if case == 1 else bytes.lower
    return PhpArray((change(key) if isinstance(key, bytes) else key, value) for key, value in array.items())


def _array_count_values(array: PhpArray) -> PhpArray:
    result = PhpArray()
    for value in array.values():
        if isinstance(value, bool) or not isinstance(value, int | bytes):
            raise warn("array_count_values(): Can only count string and integer values, entry skipped")
        key = array_key(value) if isinstance(value, bytes) else value
        result[key] = to_int(result.get(key, 0)) + 1
    return result


def _array_unique(php: Interpreter, array: PhpArray, flags: int = 2) -> PhpArray:
    if len(array) <= 1:
        return array.copy()
    seen: set[object] = set()
    result = PhpArray()
    for key, value in array.items():
        mark: object
        if flags == 2:
            mark = php.text(value)
        elif flags == 0 and (type(value) is int or (isinstance(value, bytes) and not is_numeric(value))):
            mark = (type(value), value)
            if len({type(other) for other in array.values()}) > 1:
                php.refuse("array_unique() of values of several kinds")
        else:
            php.refuse("array_unique() with these flags or values")
        if mark not in seen:
            seen.add(mark)
            result[key] = value
    if flags != 2:
        result.next_index = array.next_key()
    return result


# ---- compare --------------------------------------------------------------------------------------


def _texts(php: Interpreter, array: PhpArray) -> set[bytes]:
    return {php.text(value) for value in array.values()}


def _by_value(keep: bool) -> Callable[..., PhpArray]:
    """`array_diff` (keep what is in none) or `array_intersect` (in all), by text."""

    def compare(php: Interpreter, array: PhpArray, *arrays: PhpArray) -> PhpArray:
        others = [_texts(php, other) for other in arrays]
        result = PhpArray()
        for key, value in array.items():
            if not others:
                result[key] = value
                continue
            text = php.text(value)
            inside = [text in other for other in others]
            if all(inside) if keep else not any(inside):
                result[key] = value
        return result

    return compare


def _by_key(keep: bool, values: bool) -> Callable[..., PhpArray]:
    """`array_diff_key`, `array_intersect_key` and, where values count too, the `_assoc` ones."""

    def compare(php: Interpreter, array: PhpArray, *arrays: PhpArray) -> PhpArray:
        def inside(key: int | bytes, value: Value, other: PhpArray) -> bool:
            return key in other and (not values or php.text(value) == php.text(other[key]))

        result = PhpArray()
        for key, value in array.items():
            found = [inside(key, value, other) for other in arrays]
            if all(found) if keep else not any(found):
                result[key] = value
        return result

    return compare


# ---- fold -----------------------------------------------------------------------------------------


def _fold(operation: Callable[[Value, Value], Value], start: int) -> Callable[..., Value]:
    def fold(php: Interpreter, array: PhpArray) -> Value:
        result: Value = start
        for value in array.values():
            if isinstance(value, PhpArray | PhpObject | EnumCase) or (
                isinstance(value, bytes) and not is_numeric(value)
            ):
                php.refuse("a sum of what is not numbers (8.3 changed it)")
            result = operation(result, value)
        return result

    return fold


def _array_map(php: Interpreter, callback: Value, array: PhpArray, *arrays: PhpArray) -> PhpArray:
    if not arrays:
        if callback is None:
            return array.copy()
        return PhpArray((key, php.call(callback, (value,))) for key, value in array.items())
    columns = [list(one.values()) for one in (array, *arrays)]
    result = PhpArray()
    for index in range(max(map(len, columns))):
        row = [column[index] if index < len(column) else None for column in columns]
        result[index] = PhpArray.of(row) if callback is None else php.call(callback, row)
    return result


def _array_filter(php: Interpreter, array: PhpArray, callback: Value = None, mode: int = 0) -> PhpArray:
    def keeps(key: int | bytes, value: Value) -> bool:
        if callback is None:
            return to_bool(value)
        given = (key,) if mode == USE_KEY else (value, key) if mode == USE_BOTH else (value,)
        return to_bool(php.call(callback, given))

    return PhpArray((key, value) for key, value in array.items() if keeps(key, value))


def _found(name: str, give: Callable[[int | bytes, Value], Value], *, wanted: bool, none: Value) -> Any:
    """`array_find` and its kin, of PHP 8.4: what is given of the first element that the callback says so of."""

    def search(php: Interpreter, array: PhpArray, callback: Value) -> Value:
        require_php(php, 8, 4, name)
        for key, value in array.items():
            if to_bool(php.call(callback, (value, key))) is wanted:
                return give(key, value)
        return none

    return search


def _array_reduce(php: Interpreter, array: PhpArray, callback: Value, initial: Value = None) -> Value:
    result = initial
    for value in array.values():
        result = php.call(callback, (result, value))
    return result


def _array_walk(
    php: Interpreter, array: PhpArray, callback: Value, *arg: Value
) -> tuple[Value, dict[int, Value]]:
    changed = array.copy()
    closure = as_closure(php, callback)
    for key, value in array.items():
        php.charge(1)
        php.strict = False
        if 0 not in closure.references:
            closure.act((value, key, *arg))
            continue
        element: Any = Reference(value)
        closure.act((element, key, *arg))
        changed[key] = element.value
    return True, {0: changed}


FUNCTIONS = table({
    "in_array(mixed $needle, array $haystack, bool $strict = false)": _in_array,
    "array_search(mixed $needle, array $haystack, bool $strict = false)": _array_search,
    "array_keys(array $array, mixed $filter_value = null, bool $strict = false)": _array_keys,
    "array_values(array $array)": lambda array: PhpArray.of(array.values()),
    "array_key_exists(mixed $key, array $array)": _array_key_exists,
    "key_exists(mixed $key, array $array)": _array_key_exists,
    "array_key_first(array $array)": lambda array: next(iter(array), None),
    "array_key_last(array $array)": lambda array: next(reversed(array), None),
    "array_is_list(array $array)": lambda array: array.is_list,
    "end(array &$array)": _edge(last=True),
    "reset(array &$array)": _edge(last=False),
    "array_fill(int $start_index, int $count, mixed $value)": _array_fill,
    "array_fill_keys(array $keys, mixed $value)": _array_fill_keys,
    "array_combine(array $keys, array $values)": _array_combine,
    "range(mixed $start, mixed $end, int|float $step = 1)": _range,
    "array_pad(array $array, int $length, mixed $value)": _array_pad,
    "array_slice(array $array, int $offset, ?int $length = null, bool $preserve_keys = false)": _array_slice,
    "array_splice(array &$array, int $offset, ?int $length = null, mixed $replacement = [])": _array_splice,
    "array_chunk(array $array, int $length, bool $preserve_keys = false)": _array_chunk,
    "array_column(array $array, int|string|null $column_key, int|string|null $index_key = null)": _array_column,
    "array_merge(array ...$arrays)": _array_merge,
    "array_merge_recursive(array ...$arrays)": _array_merge_recursive,
    "array_replace(array $array, array ...$replacements)": _array_replace,
    "array_replace_recursive(array $array, array ...$replacements)": _array_replace_recursive,
    "array_push(array &$array, mixed ...$values)": _array_push,
    "array_unshift(array &$array, mixed ...$values)": _array_unshift,
    "array_pop(array &$array)": _array_pop,
    "array_shift(array &$array)": _array_shift,
    "array_flip(array $array)": _array_flip,
    "array_reverse(array $array, bool $preserve_keys = false)": _array_reverse,
    "array_change_key_case(array $array, int $case = 0)": _array_change_key_case,
    "array_count_values(array $array)": _array_count_values,
    "array_unique(array $array, int $flags = 2)": _array_unique,
    "array_diff(array $array, array ...$arrays)": _by_value(keep=False),
    "array_diff_key(array $array, array ...$arrays)": _by_key(keep=False, values=False),
    "array_diff_assoc(array $array, array ...$arrays)": _by_key(keep=False, values=True),
    "array_intersect(array $array, array ...$arrays)": _by_value(keep=True),
    "array_intersect_key(array $array, array ...$arrays)": _by_key(keep=True, values=False),
    "array_intersect_assoc(array $array, array ...$arrays)": _by_key(keep=True, values=True),
    "array_sum(array $array)": _fold(add, 0),
    "array_product(array $array)": _fold(multiply, 1),
    "array_map(?callable $callback, array $array, array ...$arrays)": _array_map,
    "array_filter(array $array, ?callable $callback = null, int $mode = 0)": _array_filter,
    "array_find(array $array, callable $callback)": _found("array_find", lambda key, value: value, wanted=True, none=None),
    "array_find_key(array $array, callable $callback)": _found("array_find_key", lambda key, value: key, wanted=True, none=None),
    "array_any(array $array, callable $callback)": _found("array_any", lambda key, value: True, wanted=True, none=False),
    "array_all(array $array, callable $callback)": _found("array_all", lambda key, value: False, wanted=False, none=True),
    "array_walk(array &$array, callable $callback, mixed $arg = UNKNOWN)": _array_walk,
    "array_reduce(array $array, callable $callback, mixed $initial = null)": _array_reduce,
})  # fmt: skip
