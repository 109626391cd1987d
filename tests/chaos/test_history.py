"""The checker finds nothing in a good history, and what was done to it in each of the doctored ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.chaos.history import KINDS, Done, History, Message, Pushed, Socket, faults, told, unattended

JOBS = [f"job-{number:012x}" for number in range(1, 7)]


def good() -> History:
    """Six jobs, the last of which must fail; two bridges one after the other, each with a socket that was
    there before; the fourth job was sent by the first bridge, which died before it deleted it."""
    channels = ["lines", "lines", "orders", "lines", "lines", "lines"]
    pushed = [
        Pushed(job=job, at=1.0, channel=channel, name="said", data=f'"{job}"', fails=job == JOBS[5])
        for job, channel in zip(JOBS, channels, strict=True)
    ]
    first = Socket(bridge="one", subscribed={"lines": 2.0, "orders": 2.0}, closed=6.0)
    second = Socket(bridge="two", subscribed={"lines": 8.0, "orders": 8.0}, caught_up=30.0)
    done = [Done(job=job, at=3.0 + n / 100, bridge="one", deed="reserved") for n, job in enumerate(JOBS[:4])]
    done += [Done(job=job, at=4.0 + n / 100, bridge="one", deed="sent") for n, job in enumerate(JOBS[:4])]
    done += [Done(job=job, at=5.0 + n / 100, bridge="one", deed="deleting") for n, job in enumerate(JOBS[:3])]
    done += [Done(job=job, at=5.5 + n / 100, bridge="one", deed="deleted") for n, job in enumerate(JOBS[:3])]
    first.messages = [_message(it, 4.5) for it in pushed[:4]]
    for at, deed in ((20.0, "reserved"), (21.0, "sent"), (22.0, "deleting"), (23.0, "deleted")):
        done += [Done(job=job, at=at, bridge="two", deed=deed) for job in JOBS[3:5]]  # type: ignore[arg-type]
    for at, deed in ((24.0, "reserved"), (25.0, "failed"), (26.0, "deleting"), (26.0, "deleted")):
        done.append(Done(job=JOBS[5], at=at, bridge="two", deed=deed))  # type: ignore[arg-type]
    second.messages = [_message(it, 21.5) for it in pushed[3:5]]
    return History(retry_after=10, pushed=pushed, done=done, sockets=[first, second], failed=[JOBS[5]])


def _message(pushed: Pushed, at: float) -> Message:
    return Message(job=pushed.job, at=at, channel=pushed.channel, name=pushed.name, data=pushed.data)


def forget(history: History, job: str, *deeds: str) -> None:
    history.done = [it for it in history.done if it.job != job or it.deed not in deeds]


def unseen(history: History, job: str) -> None:
    for socket in history.sockets:
        socket.messages = [it for it in socket.messages if it.job != job]


def add(history: History, job: str, at: float, deed: str, bridge: str = "two") -> None:
    history.done.append(Done(job=job, at=at, bridge=bridge, deed=deed))  # type: ignore[arg-type]


def alter(history: History, job: str, **what: str) -> None:
    for socket in history.sockets:
        socket.messages = [replace(it, **what) if it.job == job else it for it in socket.messages]  # type: ignore[arg-type]


# ---- what is done to a good history, and what must be found

Doctor = Callable[[History], object]


def lost_in_the_store(history: History) -> None:
    forget(history, JOBS[4], "sent", "deleting", "deleted")
    unseen(history, JOBS[4])


def lost_after_it_was_sent(history: History) -> None:
    forget(history, JOBS[0], "deleting", "deleted")


def lost_when_it_failed(history: History) -> None:
    history.failed.clear()
    forget(history, JOBS[5], "deleting", "deleted")


def forgotten_in_the_queue(history: History) -> None:
    forget(history, JOBS[4], "reserved", "sent", "deleting", "deleted")
    unseen(history, JOBS[4])
    history.left.append(JOBS[4])


def put_back_and_deleted(history: History) -> None:
    history.left.append(JOBS[0])


def doubled_in_the_queue(history: History) -> None:
    forget(history, JOBS[0], "deleting", "deleted")
    history.left += [JOBS[0], JOBS[0]]


def failed_in_two_rows(history: History) -> None:
    history.failed.append(JOBS[5])


def failed_and_kept(history: History) -> None:
    history.left.append(JOBS[5])


def deleted_without_a_broadcast(history: History) -> None:
    forget(history, JOBS[4], "sent")
    unseen(history, JOBS[4])


def deleted_before_the_broadcast(history: History) -> None:
    forget(history, JOBS[1], "sent")
    add(history, JOBS[1], 5.7, "sent", "one")


def deleted_by_two(history: History) -> None:
    add(history, JOBS[1], 6.5, "deleted")


def reserved_by_two(history: History) -> None:
    add(history, JOBS[3], 7.0, "reserved")


def a_good_one_buried(history: History) -> None:
    history.failed.append(JOBS[4])
    forget(history, JOBS[4], "sent")
    unseen(history, JOBS[4])


def a_sent_one_buried(history: History) -> None:
    history.failed.append(JOBS[4])


def a_bad_one_sent(history: History) -> None:
    history.failed.clear()
    add(history, JOBS[5], 25.0, "sent")


def doubled_on_a_socket(history: History) -> None:
    history.sockets[0].messages.append(history.sockets[0].messages[0])


def dropped_amid_a_socket(history: History) -> None:
    history.sockets[0].messages.pop(1)


def dropped_at_the_end_of_a_socket(history: History) -> None:
    history.sockets[1].messages.pop()


def shown_to_nobody(history: History) -> None:
    unseen(history, JOBS[4])


def swapped(history: History) -> None:
    messages = history.sockets[0].messages
    messages[0], messages[1] = messages[1], messages[0]


def made_up(history: History) -> None:
    history.sockets[1].messages.append(replace(history.sockets[1].messages[0], job="job-00000000beef"))


def on_a_foreign_channel(history: History) -> None:
    alter(history, JOBS[2], channel="lines")


def with_another_name(history: History) -> None:
    alter(history, JOBS[2], name="sung")


def with_another_text(history: History) -> None:
    alter(history, JOBS[2], data=f'"{JOBS[1]}"')


def before_it_was_pushed(history: History) -> None:
    history.pushed[0] = replace(history.pushed[0], at=4.6)


def before_it_was_subscribed(history: History) -> None:
    history.sockets[1].subscribed["lines"] = 22.0


def never_subscribed(history: History) -> None:
    del history.sockets[0].subscribed["orders"]


def after_it_was_closed(history: History) -> None:
    history.sockets[0].closed = 4.4


def pushed_twice(history: History) -> None:
    history.pushed.append(history.pushed[0])


DOCTORED: dict[Doctor, str] = {
    lost_in_the_store: "lost",
    lost_after_it_was_sent: "lost",
    lost_when_it_failed: "lost",
    forgotten_in_the_queue: "left",
    put_back_and_deleted: "in two places",
    doubled_in_the_queue: "in two places",
    failed_in_two_rows: "in two places",
    failed_and_kept: "in two places",
    deleted_without_a_broadcast: "deleted unsent",
    deleted_before_the_broadcast: "deleted unsent",
    deleted_by_two: "deleted twice",
    reserved_by_two: "reserved twice",
    a_good_one_buried: "wrongly failed",
    a_sent_one_buried: "failed though sent",
    a_bad_one_sent: "not failed",
    doubled_on_a_socket: "twice",
    dropped_amid_a_socket: "hole",
    dropped_at_the_end_of_a_socket: "hole",
    shown_to_nobody: "unseen",
    swapped: "out of order",
    made_up: "phantom",
    on_a_foreign_channel: "altered",
    with_another_name: "altered",
    with_another_text: "altered",
    before_it_was_pushed: "too early",
    before_it_was_subscribed: "too early",
    never_subscribed: "too early",
    after_it_was_closed: "too early",
    pushed_twice: "pushed twice",
}


def test_a_good_history_has_no_fault() -> None:
    assert faults(good()) == []


def test_a_history_in_which_nothing_happened_has_none() -> None:
    assert faults(History(retry_after=90)) == []


@pytest.mark.parametrize("doctor", DOCTORED, ids=lambda doctor: doctor.__name__)
def test_a_doctored_history_has_the_fault_that_was_put_into_it(doctor: Doctor) -> None:
    history = copy.deepcopy(good())
    doctor(history)
    found = faults(history)
    assert DOCTORED[doctor] in {fault.kind for fault in found}, told(found)


def test_every_kind_of_fault_is_doctored_and_there_are_twenty() -> None:
    assert set(DOCTORED.values()) == KINDS.keys()
    assert len(DOCTORED) >= 20


def test_a_job_that_another_bridge_took_over_is_late_without_fault_and_early_with_it() -> None:
    history = good()
    assert faults(replace(history, retry_after=16)) == []  # reserved after 16.97 s
    assert [it.kind for it in faults(replace(history, retry_after=19))] == ["reserved twice"]


def test_who_stood_still_in_the_middle_of_a_reservation_tells_of_it_late() -> None:
    history = good()
    history.done += [
        Done(job=JOBS[4], at=19.5, bridge="one", deed="reserved", since=9.0),
        Done(job=JOBS[5], at=24.5, bridge="one", deed="reserved", since=9.0),
    ]
    history.done = [replace(it, attempts=2) if it.at in (20.0, 24.0) else it for it in history.done]
    assert faults(history) == []
    history.done[-2] = replace(history.done[-2], since=19.5)
    assert [it.kind for it in faults(history)] == ["reserved twice"]


def test_what_was_sent_before_a_client_was_there_is_seen_by_nobody_and_no_fault() -> None:
    history = good()
    assert unattended(history) == set()
    history.sockets[1].subscribed = {"lines": 21.2, "orders": 21.2}
    history.sockets[1].messages.clear()
    assert [fault.kind for fault in faults(history)] == ["unseen"]
    assert faults(replace(history, attended=False)) == []
    assert unattended(history) == {JOBS[4]}


def test_what_comes_again_may_be_late_also_where_the_first_reservation_was_not_told() -> None:
    history = good()
    swapped(history)
    history.done = [
        replace(it, attempts=2) if (it.job, it.deed) == (JOBS[0], "reserved") else it for it in history.done
    ]
    assert faults(history) == []


def test_what_is_done_beside_bridge_is_known_by_the_sockets_alone() -> None:
    history = good()
    history.done = [it for it in history.done if it.job != JOBS[0]]
    assert [it.kind for it in faults(history)] == ["lost"]
    assert faults(replace(history, beside=True)) == []


def test_faults_are_told_by_kind_with_their_number_and_first_jobs() -> None:
    history = good()
    unseen(history, JOBS[0])
    unseen(history, JOBS[4])
    assert "2 unseen" in told(faults(history))
    assert JOBS[0] in told(faults(history))
