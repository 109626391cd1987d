"""A hub whose app has subscribers on other nodes, without these: what it does with those who wait."""

from __future__ import annotations

import json
import sys
from typing import Any

from bridge.sockets.pusher.channels import kind_of
from bridge.sockets.pusher.close_codes import OVER_CAPACITY
from bridge.sockets.pusher.hub import Member
from bridge.sockets.pusher.outcome import Answered
from bridge.sockets.pusher.shared_channel import Joined, Message
from bridge.sockets.pusher.shared_hub import PATIENCE, SharedHub
from tests.sockets.server.running import APP


def subscribe(hub: SharedHub[str], name: str, socket: str, now: float) -> None:
    hub.sockets[socket] = socket
    hub.subscribe(socket, socket, name, kind_of(name), None, now)


def answer(hub: SharedHub[str], name: str, now: float) -> None:
    channel = hub.shared(name)
    assert channel is not None
    hub.joined(Joined(channel=name, generation=channel.generation), now)


def refused(answered: Answered[str]) -> list[tuple[str, str]]:
    assert all(close.code == OVER_CAPACITY for _, close in answered.closes)
    closed = [socket for socket, _ in answered.closes]
    told = [(*one.sockets, json.loads(one.text)["channel"]) for one in answered.deliveries]
    assert [socket for socket, _ in told] == closed
    return told


def test_who_waits_for_too_long_is_told_once_to_come_back() -> None:
    hub: SharedHub[str] = SharedHub(APP)
    subscribe(hub, "a", "1", 0.0)
    subscribe(hub, "b", "2", 1.0)
    subscribe(hub, "a", "3", 2.0)
    assert refused(hub.give_up(PATIENCE - 0.1)) == []
    assert refused(hub.give_up(PATIENCE + 1.0)) == [("1", "a"), ("2", "b")]
    assert refused(hub.give_up(PATIENCE + 1.5)) == []
    hub.disconnect("3", "3", ["a"], None, [], 1000, PATIENCE + 1.6)
    subscribe(hub, "a", "3", PATIENCE + 1.7)
    assert refused(hub.give_up(PATIENCE + 2.0)) == []
    assert refused(hub.give_up(2 * PATIENCE + 1.7)) == [("3", "a")]


def test_who_is_let_in_is_not_told_to_come_back() -> None:
    hub: SharedHub[str] = SharedHub(APP)
    subscribe(hub, "a", "1", 0.0)
    subscribe(hub, "b", "2", 0.0)
    answer(hub, "b", 1.0)
    assert refused(hub.give_up(PATIENCE)) == [("1", "a")]


def test_who_is_let_in_with_what_others_missed_gets_only_what_comes_then() -> None:
    hub: SharedHub[str] = SharedHub(APP)
    name = "presence-r"
    for user in "12":
        member = Member(user_id=user, info=None)
        hub.sockets[user] = user
        hub.subscribe(user, user, name, kind_of(name), member, 0.0)
        channel = hub.shared(name)
        assert channel is not None
        generation = channel.generation
        if user == "1":
            first = Joined(channel=name, generation=generation, users=["1"], roster={"1": None})
            hub.joined(first, 0.0)
            hub.lost()
    again = Joined(
        channel=name,
        generation=generation,
        users=["1", "2"],
        roster={"1": None, "2": None, "3": None},
        missed=[Message("{}", b"tag")],
        has_gap=True,
    )
    *before, confirmation = hub.joined(again, 1.0).deliveries
    assert {tuple(one.sockets) for one in before} == {("1",)}
    assert len(before) == 4  # the gap, the event, two members
    assert tuple(confirmation.sockets) == ("2",)
    assert "pusher_internal:subscription_succeeded" in confirmation.text


def test_channels_in_which_nobody_waits_cost_nothing() -> None:
    hub: SharedHub[str] = SharedHub(APP)
    for number in range(1_000):
        subscribe(hub, f"c-{number}", str(number), 0.0)
        answer(hub, f"c-{number}", 0.0)
    hub.give_up(1.0)
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        hub.give_up(2.0)
    finally:
        sys.setprofile(None)
    assert calls < 100
