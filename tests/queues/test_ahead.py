"""What was seen ahead is claimed only in its turn, and only while the look counts."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

import bridge.queues.ahead
from bridge.queues.ahead import MOST, Ahead
from bridge.queues.queue import Job


class Shelf:
    """Numbers that are free, and how often they were looked at."""

    def __init__(self, count: int) -> None:
        self.free = list(range(count))
        self.looks = 0

    def look(self, most: int) -> Iterable[int]:
        self.looks += 1
        return list(self.free[:most])

    def claim(self, number: int) -> Job | None:
        if number not in self.free:
            return None
        self.free.remove(number)
        return Job(queue="default", payload=b"", document={}, attempts=1, receipt=number)

    def ahead(self) -> Ahead[int]:
        return Ahead(self.look, self.claim)


def numbers(ahead: Ahead[int], count: int) -> list[object]:
    return [job.receipt if (job := ahead.next()) else None for _ in range(count)]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look counts for long, however slow the machine is."""
    monkeypatch.setattr(bridge.queues.ahead, "FRESH", 3600.0)


def test_one_look_serves_many(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(MOST + 5)
    assert numbers(shelf.ahead(), MOST) == list(range(MOST))
    assert shelf.looks == 1
    assert len(shelf.free) == 5


def test_what_others_took_is_passed_over() -> None:
    shelf = Shelf(4)
    ahead = shelf.ahead()
    assert numbers(ahead, 1) == [0]
    shelf.free.remove(1)
    assert numbers(ahead, 3) == [2, 3, None]


def test_nothing_is_claimed_before_its_turn() -> None:
    shelf = Shelf(3)
    numbers(shelf.ahead(), 1)
    assert shelf.free == [1, 2]


def test_a_look_counts_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge.queues.ahead, "FRESH", 0.0)
    shelf = Shelf(3)
    ahead = shelf.ahead()
    assert numbers(ahead, 1) == [0]
    shelf.free.insert(0, 7)  # a more urgent one
    assert ahead.pop() is None
    assert numbers(ahead, 1) == [7]


def test_after_forget_it_looks_anew() -> None:
    shelf = Shelf(3)
    ahead = shelf.ahead()
    numbers(ahead, 1)
    shelf.free.insert(0, 7)
    ahead.forget()
    assert ahead.pop() is None
    assert numbers(ahead, 1) == [7]


def test_popped_ones_come_in_order_and_once() -> None:
    shelf = Shelf(3)
    ahead = shelf.ahead()
    numbers(ahead, 1)
    assert [ahead.pop(), ahead.pop(), ahead.pop()] == [1, 2, None]
