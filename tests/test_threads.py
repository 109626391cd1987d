"""What a thread repeats for a test, and what of its errors the test learns."""

from __future__ import annotations

import threading

import pytest

from tests.threads import repeatedly


def test_it_is_repeated_until_the_block_ends() -> None:
    calls: list[int] = []
    twice = threading.Event()

    def work() -> None:
        calls.append(threading.get_ident())
        if len(calls) == 2:
            twice.set()

    with repeatedly(work, 0.001):
        assert twice.wait(60)
    assert threading.get_ident() not in calls
    assert not any(thread.ident == calls[0] for thread in threading.enumerate())


def test_what_it_raises_fails_the_block_and_hides_nothing_of_it() -> None:
    raised = threading.Event()

    def fail() -> None:
        raised.set()
        raise LookupError("there")

    def run(problem: Exception | None) -> None:
        raised.clear()
        with repeatedly(fail, 0.001):
            assert raised.wait(60)
            if problem is not None:
                raise problem

    with pytest.raises(LookupError, match="there"):
        run(None)
    with pytest.raises(LookupError, match="there") as caught:
        run(OSError("here"))
    assert isinstance(caught.value.__context__, OSError)
