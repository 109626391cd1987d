"""Arrays are copied on write: storing one shares it, and who writes to a shared one writes to its own copy.

PHP counts who holds an array; so does Python. What is counted here is the place that holds the array and what
the counting itself adds; whatever else holds it, a variable, a property, another array, an argument of a call
under way or a list in a function written in Python, makes it more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from bridge.phpeval.php.runtime.values import PhpArray, Value


def _holders_of_item(places: dict[Any, Any], key: object) -> int:
    array = places[key]
    return sys.getrefcount(array)


class Cell:
    """One value."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value


def _holders_of_cell(cell: Cell) -> int:
    array = cell.value
    return sys.getrefcount(array)


def _measured(count: Callable[..., int], *place: Any) -> int:
    """What `count` gives where nothing else holds the array. 0, so that each write copies, where that is not
    certain: Python may run warm code in another way, and without its lock it counts only roughly."""
    counts = {count(*place) for _ in range(1000)}
    exact = len(counts) == 1 and getattr(sys, "_is_gil_enabled", lambda: True)()
    return counts.pop() if exact else 0


ALONE_AS_ITEM = _measured(_holders_of_item, {0: PhpArray()}, 0)
ALONE_IN_CELL = _measured(_holders_of_cell, Cell(PhpArray()))


def own_item(places: dict[Any, Any], key: object) -> PhpArray:
    """The array at that key, to be changed in place: a copy has taken its place if others hold it."""
    if _holders_of_item(places, key) > ALONE_AS_ITEM:
        dict.__setitem__(places, key, places[key].copy())
    array: PhpArray = places[key]
    return array


def own_value(cell: Cell) -> PhpArray:
    """The array of a cell, to be changed in place."""
    if _holders_of_cell(cell) > ALONE_IN_CELL:
        cell.value = cell.value.copy()  # type: ignore[union-attr]
    return cell.value  # type: ignore[return-value]
