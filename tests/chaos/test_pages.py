"""What is found in what a page has seen."""

from __future__ import annotations

import json

from tests.chaos.pages import CONFIRMED, ROOM, Visit, Visitor, _take, faults_of

CAME, LEFT = "pusher_internal:member_added", "pusher_internal:member_removed"


def seen(*told: tuple[str, str]) -> Visitor:
    """A page that was in the room with `u1`, and was told this of users."""
    page, visit = Visitor("u0", resumes=False), Visit(port=1, opened=0.0)
    page.visits.append(visit)
    presence = json.dumps({"presence": {"ids": ["u0", "u1"]}})
    _take(visit, {"event": CONFIRMED, "channel": ROOM, "data": presence})
    for event, user in told:
        _take(visit, {"event": event, "channel": ROOM, "data": json.dumps({"user_id": user})})
    return page


def test_members_who_come_and_leave_by_turns_are_no_fault() -> None:
    assert not list(faults_of(seen((LEFT, "u1"), (CAME, "u1"), (CAME, "u2"), (LEFT, "u1")), 0))


def test_who_is_said_to_leave_or_come_twice_is_a_fault_of_the_page() -> None:
    found = list(faults_of(seen((LEFT, "u1"), (LEFT, "u1"), (CAME, "u0")), 0))
    assert [(it.kind, it.job) for it in found] == [("twice", "u1 left"), ("twice", "u0 came")]
