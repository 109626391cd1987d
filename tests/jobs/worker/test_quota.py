"""When work ends by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bridge.jobs.worker.quota import Quota


class Ended:
    """How often the end was told."""

    def __init__(self, quota: Quota) -> None:
        self.times = 0
        quota.end = self.note

    def note(self) -> None:
        self.times += 1


def in_another_lane(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)


def took(quota: Quota, wanted: int, found: int) -> int:
    """A reservation; how many jobs it was allowed."""
    turn = quota.turn(wanted)
    quota.took(turn, min(found, turn.jobs))
    return turn.jobs


def test_without_a_condition_it_never_ends() -> None:
    quota = Quota()
    ended = Ended(quota)
    assert took(quota, 50, 50) == 50
    quota.finished(50)
    took(quota, 50, 0)
    assert ended.times == 0


def test_no_more_jobs_are_allowed_than_there_shall_be() -> None:
    quota = Quota(most=5)
    ended = Ended(quota)
    assert [took(quota, 3, 3), took(quota, 3, 3), took(quota, 3, 3)] == [3, 2, 0]
    quota.finished(3)
    assert ended.times == 0
    quota.finished(2)
    assert ended.times == 1


def test_what_a_reservation_did_not_bring_is_left_for_the_next() -> None:
    quota = Quota(most=2)
    assert [took(quota, 2, 1), took(quota, 2, 0), took(quota, 2, 1), took(quota, 1, 1)] == [2, 1, 1, 0]


def test_a_job_given_back_untried_does_not_count() -> None:
    quota = Quota(most=1)
    ended = Ended(quota)
    took(quota, 1, 1)
    quota.finished(0, given_back=1)
    assert ended.times == 0
    assert took(quota, 1, 1) == 1
    quota.finished(1)
    assert ended.times == 1


def test_it_ends_once_every_lane_has_found_nothing() -> None:
    quota = Quota(lanes=2, when_empty=True)
    ended = Ended(quota)
    took(quota, 1, 0)
    took(quota, 1, 0)
    assert ended.times == 0  # the same lane twice
    in_another_lane(lambda: took(quota, 1, 0))
    assert ended.times == 1


def test_it_does_not_end_while_a_job_is_at_work_which_may_queue_another() -> None:
    quota = Quota(lanes=2, when_empty=True)
    ended = Ended(quota)
    in_another_lane(lambda: took(quota, 1, 1))
    took(quota, 1, 0)
    quota.finished(1)
    assert ended.times == 0  # this lane looked before the job was over
    took(quota, 1, 0)
    in_another_lane(lambda: took(quota, 1, 0))
    assert ended.times == 1


def test_a_look_that_began_before_a_job_was_over_does_not_count_as_empty() -> None:
    quota = Quota(when_empty=True)
    ended = Ended(quota)
    took(quota, 1, 1)
    turn = quota.turn(1)
    quota.finished(1)
    quota.took(turn, 0)
    assert ended.times == 0
    took(quota, 1, 0)
    assert ended.times == 1


def test_it_is_told_once() -> None:
    quota = Quota(most=1, when_empty=True)
    ended = Ended(quota)
    took(quota, 1, 1)
    quota.finished(1)
    took(quota, 1, 0)
    assert ended.times == 1
