"""PHP's sort algorithm: which elements it compares, and in which order.

A callback sees the comparisons, and where the comparison is no order the result depends on them. Source:
Zend/zend_sort.c (the same from PHP 7.0 on); tested against PHP 8.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_INSERTED_UP_TO = 16  # elements; more are divided first
_SEARCHED_LINEARLY = 6


def zend_sort(items: list[T], above: Callable[[T, T], bool]) -> None:
    """Sorts in place; `above(a, b)` is whether a belongs behind b."""
    _Sort(items, above).sort(0, len(items))


class _Sort:
    def __init__(self, items: list[T], above: Callable[[T, T], bool]) -> None:
        self._items = items
        self._above = above

    def _is_above(self, left: int, right: int) -> bool:
        return self._above(self._items[left], self._items[right])

    def _swap(self, left: int, right: int) -> None:
        items = self._items
        items[left], items[right] = items[right], items[left]

    def sort(self, start: int, count: int) -> None:
        while count > _INSERTED_UP_TO:
            end, middle = start + count, start + (count >> 1)
            if count >> 10:
                quarter = count >> 2
                self._few(start, start + quarter, middle, middle + quarter, end - 1)
            else:
                self._few(start, middle, end - 1)
            self._swap(start + 1, middle)
            split = self._divided(start + 1, end)
            self._swap(start + 1, split - 1)
            if split - 1 - start < end - split:
                self.sort(start, split - 1 - start)
                start, count = split, end - split
            else:
                self.sort(split, end - split)
                count = split - 1 - start
        if count <= 5:
            self._few(*range(start, start + count))
        else:
            self._insert(start, count)

    def _divided(self, pivot: int, end: int) -> int:
        """Brings what belongs behind the pivot to the end; where that begins."""
        low, high = pivot + 1, end - 1
        while True:
            while self._is_above(pivot, low):
                low += 1
                if low == high:
                    return low
            high -= 1
            if high == low:
                return low
            while self._is_above(high, pivot):
                high -= 1
                if high == low:
                    return low
            self._swap(low, high)
            low += 1
            if low == high:
                return low

    def _few(self, *at: int) -> None:
        """Sorts up to five elements."""
        if len(at) == 2:
            if self._is_above(*at):
                self._swap(*at)
        elif len(at) == 3:
            self._three(*at)
        elif len(at) > 3:
            self._few(*at[:-1])
            for left, right in zip(at[-2::-1], at[:0:-1], strict=True):
                if not self._is_above(left, right):
                    break
                self._swap(left, right)

    def _three(self, first: int, second: int, third: int) -> None:
        if not self._is_above(first, second):
            if self._is_above(second, third):
                self._swap(second, third)
                self._few(first, second)
        elif not self._is_above(third, second):
            self._swap(first, third)
        else:
            self._swap(first, second)
            self._few(second, third)

    def _insert(self, start: int, count: int) -> None:
        for at in range(start + 1, start + count):
            if not self._is_above(at - 1, at):
                continue
            search = self._place_in_steps if at >= start + _SEARCHED_LINEARLY else self._place
            place = search(start, at)
            self._items.insert(place, self._items.pop(at))

    def _place(self, start: int, at: int) -> int:
        place = at - 1
        while place != start and self._is_above(place - 1, at):
            place -= 1
        return place

    def _place_in_steps(self, start: int, at: int) -> int:
        """Two elements back at a time."""
        place = at - 1
        while True:
            place -= 2
            if not self._is_above(place, at):
                return place + 1 if self._is_above(place + 1, at) else place + 2
            if place == start:
                return place
            if place == start + 1:
                return place if self._is_above(at, start) else start
