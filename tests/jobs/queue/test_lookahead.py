"""What was seen ahead is told once, in order, and only while the look counts."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.jobs.queue.lookahead import FRESH, MOST, URGENT, Lookahead, fresh

LONG = 3600.0  # seconds: however slow the machine is


class Shelf:
    """Numbers that are free, and how often they were looked at."""

    def __init__(self, count: int) -> None:
        self.free = list(range(count))
        self.looks = 0

    def look(self, most: int) -> Iterable[int]:
        self.looks += 1
        return list(self.free[:most])


def test_one_look_serves_many() -> None:
    shelf = Shelf(MOST + 5)
    ahead = Lookahead(shelf.look, fresh=LONG)
    told = [number for _ in range(MOST // 5) for number in ahead.pop(5)]
    assert told == list(range(MOST))
    assert shelf.looks == 1


def test_it_looks_anew_when_all_are_told() -> None:
    shelf = Shelf(3)
    ahead = Lookahead(shelf.look, fresh=LONG)
    assert ahead.pop(2) == [0, 1]
    assert ahead.pop(2) == [2]
    shelf.free = [7]
    assert ahead.pop(2) == [7]
    shelf.free = []
    assert not ahead.pop(2)


def test_a_look_counts_for_a_moment_only() -> None:
    shelf = Shelf(3)
    ahead = Lookahead(shelf.look, fresh=0.0)
    assert ahead.pop(1) == [0]
    shelf.free = [7, 1, 2]  # a more urgent one
    assert ahead.pop(1) == [7]


def test_after_forget_it_looks_anew() -> None:
    shelf = Shelf(3)
    ahead = Lookahead(shelf.look, fresh=LONG)
    ahead.pop(1)
    shelf.free = [7, 1, 2]
    ahead.forget()
    assert ahead.pop(3) == [7, 1, 2]


def test_only_those_of_a_kin_come_together() -> None:
    shelf = Shelf(6)
    shelf.free = [1, 3, 4, 6, 5]
    ahead = Lookahead(shelf.look, group_key=lambda number: number % 2, fresh=LONG)
    assert [ahead.pop(5), ahead.pop(1), ahead.pop(5), ahead.pop(5)] == [[1, 3], [4], [6], [5]]


def test_a_look_counts_for_less_long_where_another_queue_may_be_more_urgent() -> None:
    assert fresh(["default"]) == FRESH
    assert fresh(["high", "default"]) == URGENT < FRESH
