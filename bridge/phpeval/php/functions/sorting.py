"""PHP's sort functions: stable since 8.0.

The result of a comparison sort is independent of its algorithm only if the comparison is an order. What is
not plainly one (several kinds of values, a callback) is sorted by PHP's algorithm.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key

from bridge.phpeval.php.functions.arrays import Entries
from bridge.phpeval.php.functions.signature import table
from bridge.phpeval.php.functions.sort_order import zend_sort
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import compare, is_numeric, to_float, to_int
from bridge.phpeval.php.runtime.values import PhpArray, Value

SORT_REGULAR, SORT_NUMERIC, SORT_STRING, SORT_FLAG_CASE = 0, 1, 2, 8
UNCOMPARABLE = 2  # what `compare` gives then

Compare = Callable[[Value, Value], int]
_Placed = tuple[int, tuple[int | bytes, Value]]


def _plain(values: list[Value]) -> bool:
    """Whether PHP's own comparison is an order among these: numbers, or strings of one kind."""
    kinds = {type(value) for value in values}
    if kinds <= {int} or kinds <= {float}:
        return all(value == value for value in values)
    return kinds == {bytes} and len({is_numeric(value) for value in values if isinstance(value, bytes)}) == 1


def _by_flags(php: Interpreter, flags: int) -> Compare:
    match flags:
        case 0:
            return php.compare
        case 1:
            return lambda a, b: compare(to_float(a), to_float(b))
        case 2:
            return lambda a, b: _order(php.text(a), php.text(b))
        case 10:
            return lambda a, b: _order(php.text(a).lower(), php.text(b).lower())
    php.refuse("these flags of a sort")


def _order(left: bytes, right: bytes) -> int:
    return (left > right) - (left < right)


def _sorted(
    php: Interpreter, entries: list[tuple[int | bytes, Value]], of: int, order: Compare, *, plain: bool
) -> Entries:
    """The entries in the order of their keys (`of` 0) or values (`of` 1). `plain`: their comparison is an
    order and nobody sees it, so that any stable sort does as PHP's."""
    php.charge(len(entries))
    version = php.environment.php_version
    stable = version is None or version >= (8, 0)
    if plain and stable:

        def compare_entries(a: tuple[int | bytes, Value], b: tuple[int | bytes, Value]) -> int:
            return order(a[of], b[of])

        return sorted(entries, key=cmp_to_key(compare_entries))
    placed = list(enumerate(entries))

    def above(left: _Placed, right: _Placed) -> bool:
        compared = order(left[1][of], right[1][of])
        if compared == UNCOMPARABLE:
            php.refuse("a sort of values that cannot be compared")
        return compared > 0 or (compared == 0 and stable and left[0] > right[0])

    zend_sort(placed, above)
    return [entry for _, entry in placed]


def _sort(*, of: int, keep: bool, descending: bool) -> Callable[..., tuple[Value, dict[int, Value]]]:
    def sort(php: Interpreter, array: PhpArray, flags: int = 0) -> tuple[Value, dict[int, Value]]:
        order = _by_flags(php, flags)
        subjects: list[Value] = list(array.values()) if of else list(array)
        plain = _plain(subjects) or (flags != 0 and flags != 1)
        if of == 0 and not plain:
            php.refuse("a sort by keys of several kinds (8.2 changed it)")
        directed: Compare = (lambda a, b: order(b, a)) if descending else order
        result = _sorted(php, list(array.items()), of, directed, plain=plain)
        return True, {0: _made(array, result, keep)}

    return sort


def _made(array: PhpArray, entries: Entries, keep: bool) -> PhpArray:
    if not keep:
        return PhpArray.of(value for _, value in entries)
    made = PhpArray(entries)
    made.next_index = array.next_key()
    return made


def _user_sort(*, of: int, keep: bool) -> Callable[..., tuple[Value, dict[int, Value]]]:
    def sort(php: Interpreter, array: PhpArray, callback: Value) -> tuple[Value, dict[int, Value]]:
        version = php.environment.php_version

        def order(left: Value, right: Value) -> int:
            answer = php.call(callback, (left, right))
            if answer is False and (version is None or version >= (8, 0)):  # deprecated: PHP asks once more
                return -1 if php.call(callback, (right, left)) is True else 0
            number = to_int(answer)
            return (number > 0) - (number < 0)

        result = _sorted(php, list(array.items()), of, order, plain=False)
        return True, {0: _made(array, result, keep)}

    return sort


FUNCTIONS = table({
    "sort(array &$array, int $flags = SORT_REGULAR)": _sort(of=1, keep=False, descending=False),
    "rsort(array &$array, int $flags = SORT_REGULAR)": _sort(of=1, keep=False, descending=True),
    "asort(array &$array, int $flags = SORT_REGULAR)": _sort(of=1, keep=True, descending=False),
    "arsort(array &$array, int $flags = SORT_REGULAR)": _sort(of=1, keep=True, descending=True),
    "ksort(array &$array, int $flags = SORT_REGULAR)": _sort(of=0, keep=True, descending=False),
    "krsort(array &$array, int $flags = SORT_REGULAR)": _sort(of=0, keep=True, descending=True),
    "usort(array &$array, callable $callback)": _user_sort(of=1, keep=False),
    "uasort(array &$array, callable $callback)": _user_sort(of=1, keep=True),
    "uksort(array &$array, callable $callback)": _user_sort(of=0, keep=True),
})  # fmt: skip
