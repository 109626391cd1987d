import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sockets.pusher.rate_limit import RateLimit


def test_no_limit_is_no_limit() -> None:
    rate = RateLimit()
    assert [rate.take(None, 1.0) for _ in range(1_000)] == [0.0] * 1_000


def test_one_seconds_worth_may_come_at_once_and_then_one_after_the_other() -> None:
    rate = RateLimit()
    assert [rate.take(4, 10.0) for _ in range(4)] == [0.0] * 4
    assert rate.take(4, 10.0) == pytest.approx(0.25)
    assert rate.take(4, 10.24) > 0
    assert rate.take(4, 10.25) == 0.0
    assert rate.take(4, 10.25) == pytest.approx(0.25)


def test_what_is_refused_does_not_count() -> None:
    rate = RateLimit()
    assert rate.take(1, 5.0) == 0.0
    assert all(rate.take(1, 5.5) for _ in range(100))
    assert rate.take(1, 6.0) == 0.0


def test_a_lower_limit_counts_at_once() -> None:
    rate = RateLimit()
    assert all(rate.take(100, 5.0) == 0.0 for _ in range(100))
    assert rate.take(1, 5.5) > 0


@given(st.integers(1, 50), st.lists(st.floats(0, 0.2), max_size=200))
def test_never_more_than_the_rate_in_the_long_run(per_second: int, pauses: list[float]) -> None:
    rate, now, taken = RateLimit(), 100.0, 0
    for pause in pauses:
        now += pause
        taken += rate.take(per_second, now) == 0.0
    assert taken <= per_second * (now - 100.0) + per_second + 1
