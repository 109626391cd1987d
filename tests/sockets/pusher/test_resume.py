"""Pages that come back: what they get of what they missed, and what they do not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.sockets.pusher import resume
from bridge.sockets.pusher.app import Limits
from bridge.sockets.pusher.hub_events import Resumed
from bridge.sockets.pusher.messages import GAP
from bridge.sockets.pusher.resume import Returning, split_path
from tests.sockets.pusher.clients import APP, Client, Room

RESUMING = replace(APP, resume_seconds=120.0)
CONFIRMED = "pusher_internal:subscription_succeeded"


def page(number: int = 0, name: str = "a-page-of-its-own") -> Returning:
    return Returning(name, number)


def events(messages: list[dict[str, Any]]) -> list[str]:
    """The data of events, and the name of everything else."""
    return [one["data"] if one["event"] == "event" else one["event"] for one in messages]


def publish(room: Room, channel: str, *numbers: int, socket_id: str | None = None) -> None:
    for number in numbers:
        room.publish(channel, data=str(number), socket_id=socket_id)


# Paths


@pytest.mark.parametrize(
    ("path", "rest", "session"),
    [
        ("/app/r/0123456789abcdef.0/app/key", "/app/key", Returning("0123456789abcdef", 0)),
        ("/app/r/0123456789abcdef.12/app/key", "/app/key", Returning("0123456789abcdef", 12)),
        ("/r/0123456789-abc_def/app/key", "/app/key", Returning("0123456789-abc_def", None)),
        ("/app/key", "/app/key", None),
        ("/app/r/short.0/app/key", "/app/r/short.0/app/key", None),
        ("/app/r/0123456789abcde\u0664.0/app/key", "/app/r/0123456789abcde\u0664.0/app/key", None),
        ("/app/r/0123456789abcdef.0/app/key/x", "/app/r/0123456789abcdef.0/app/key/x", None),
        (f"/app/r/{'x' * 65}.0/app/key", f"/app/r/{'x' * 65}.0/app/key", None),
        ("/app/r/0123456789abcdef.0\n/app/key", "/app/r/0123456789abcdef.0\n/app/key", None),
        ("/app/r/0123456789abcdef.-1/app/key", "/app/r/0123456789abcdef.-1/app/key", None),
    ],
)
def test_the_path_tells_which_page_connects(path: str, rest: str, session: Returning | None) -> None:
    assert split_path(path) == (rest, session)


# What is replayed


def test_what_a_page_missed_comes_behind_the_confirmation_and_before_what_comes_from_now_on() -> None:
    room = Room(RESUMING)
    first = room.join(page())
    first.subscribe("a")
    publish(room, "a", 1, 2)
    first.acknowledge()
    publish(room, "b", 3)
    first.leave(1006)
    publish(room, "a", 4, 5)
    again = room.join(page(1))
    assert events(again.subscribe("a")) == [CONFIRMED, "4", "5"]
    publish(room, "a", 6)
    assert events(again.take())[-1] == "6"
    assert room.happened(Resumed) == [
        Resumed(app_id=APP.id, channel="a", socket_id=again.connection.socket_id, events=2, has_gap=False)
    ]


def test_what_was_written_and_not_acknowledged_comes_again() -> None:
    room = Room(RESUMING)
    first = room.join(page())
    first.subscribe("a")
    publish(room, "a", 1)
    first.acknowledge()
    publish(room, "a", 2, 3)
    number = first.connection.next_ping()
    publish(room, "a", 4)
    first.leave(1006)
    assert number is not None
    first.connection.acknowledged(number, room.now)  # too late
    second = room.join(page(1))
    assert events(second.subscribe("a")) == [CONFIRMED, "2", "3", "4"]
    second.leave(1006)  # with all of it on the way
    third = room.join(page(2))
    assert events(third.subscribe("a")) == [CONFIRMED, "2", "3", "4"]
    third.acknowledge()
    third.leave(1006)
    assert events(room.join(page(3)).subscribe("a")) == [CONFIRMED]


def test_a_page_that_gets_nothing_more_is_not_asked_again() -> None:
    room = Room(RESUMING)
    first = room.join(page())
    first.subscribe("a")
    publish(room, "a", 1)
    number = first.connection.next_ping(is_last=True)
    publish(room, "a", 2)
    assert number is not None
    first.connection.acknowledged(number, room.now)
    assert first.connection.next_ping() is None
    first.leave(4200)
    again = room.join(page(1))
    assert events(again.subscribe("a")) == [CONFIRMED, "2"]
    assert again.connection.next_ping() is not None


def test_nothing_from_before_the_subscription_and_nothing_after_it_was_given_up() -> None:
    room = Room(RESUMING)
    other, first = room.join(page(0, "somebody-elses-page")), room.join(page())
    other.subscribe("a")
    publish(room, "a", 1)
    first.subscribe("a")
    publish(room, "a", 2)
    first.leave(1006)
    again = room.join(page(1))
    assert events(again.subscribe("a")) == [CONFIRMED, "2"]
    again.send("pusher:unsubscribe", {"channel": "a"})
    publish(room, "a", 3)
    assert events(again.subscribe("a")) == [CONFIRMED]
    again.send("pusher:unsubscribe", {"channel": "a"})
    again.leave(1006)
    publish(room, "a", 4)
    assert events(room.join(page(2)).subscribe("a")) == [CONFIRMED]


def test_a_page_that_does_not_resume_and_an_app_that_does_not_are_as_ever() -> None:
    for app, who in ((RESUMING, None), (APP, page())):
        room = Room(app)
        other = room.join(page(0, "somebody-elses-page"))
        other.subscribe("a")
        first = room.join(who if app.resume_seconds else None)
        first.subscribe("a")
        publish(room, "a", 1)
        first.leave(1006)
        publish(room, "a", 2)
        assert events(room.join(None).subscribe("a")) == [CONFIRMED]


# Where something may be missing


@pytest.mark.parametrize(
    ("limits", "sent", "left"),
    [
        (Limits(resume_events=3), range(1, 6), ["3", "4", "5"]),
        (Limits(resume_bytes=100), range(1, 6), ["4", "5"]),
        (Limits(resume_events=3), range(1, 4), None),
    ],
)
def test_more_than_is_kept_is_told(limits: Limits, sent: range, left: list[str] | None) -> None:
    room = Room(replace(RESUMING, limits=limits))
    room.join(page()).subscribe("a")
    first = room.clients["socket 1.1"]
    first.leave(1006)
    publish(room, "a", *sent)
    got = events(room.join(page(1)).subscribe("a"))
    if left is None:
        assert got == [CONFIRMED, *map(str, sent)]
    else:
        assert got == [CONFIRMED, GAP, *left]
    # and told again until it has arrived
    room.clients["socket 2.1"].leave(1006)
    last = room.join(page(2))
    assert events(last.subscribe("a")) == got
    last.acknowledge()
    last.leave(1006)
    assert events(room.join(page(3)).subscribe("a")) == [CONFIRMED]


def test_a_page_that_is_not_known_hears_of_a_gap_in_every_channel_it_comes_back_to() -> None:
    room = Room(RESUMING)
    client = room.join(page(1))  # the server that knew it has ended
    assert events(client.subscribe("a")) == [CONFIRMED, GAP]
    assert events(client.subscribe("private-encrypted-b")) == [CONFIRMED, f"pusher:{GAP}"]
    assert events(client.enter("presence-c", "1"))[1:] == [GAP]
    client.acknowledge()
    room.now += 121.0
    assert events(client.subscribe("d")) == [CONFIRMED]  # new to it, long after it came back
    first = room.join(page(0, "a-page-that-is-new"))
    assert events(first.subscribe("a")) == [CONFIRMED]


def test_who_is_away_for_too_long_is_forgotten_and_is_told() -> None:
    room = Room(RESUMING)
    stays, first = room.join(page(0, "somebody-elses-page")), room.join(page())
    stays.subscribe("a")
    first.subscribe("a")
    first.leave(1006)
    room.now += 119.0
    room.hub.forget_absent(room.now)
    publish(room, "a", 1)
    second = room.join(page(1))
    assert events(second.subscribe("a")) == [CONFIRMED, "1"]
    second.acknowledge()
    second.leave(1006)
    room.now += 121.0
    room.hub.forget_absent(room.now)
    assert list(room.hub.sessions.by_id) == ["somebody-elses-page"]
    assert events(room.join(page(2)).subscribe("a")) == [CONFIRMED, GAP]


def test_a_channel_that_was_not_listened_to_for_long_is_not_taken_for_whole() -> None:
    room = Room(RESUMING)
    first = room.join(page())
    first.subscribe("a")
    first.leave(1006)
    for _ in range(200):
        room.now += 1.0
        if room.now == 1_100.0:
            first = room.join(page(1))  # comes back, but not to the channel
            first.leave(1006)
        room.hub.forget_absent(room.now)
    assert len(room.hub.logs) == 0
    publish(room, "a", 1)
    assert events(room.join(page(2)).subscribe("a")) == [CONFIRMED, GAP]
    room.join(page(0, "somebody-elses-page")).subscribe("a")
    assert len(room.hub.logs) == 1


# Who may have what


def test_a_sender_stays_excluded_over_its_connections() -> None:
    room = Room(RESUMING)
    first, other = room.join(page()), room.join(page(0, "somebody-elses-page"))
    first.subscribe("a"), other.subscribe("a")
    ids = [first.connection.socket_id]
    first.leave(1006)
    publish(room, "a", 1, socket_id=ids[0])
    publish(room, "a", 2)
    second = room.join(page(1))
    assert events(second.subscribe("a")) == [CONFIRMED, "2"]
    publish(room, "a", 3, socket_id=ids[0])  # its request was slow
    publish(room, "a", 4, socket_id=second.connection.socket_id)
    assert events(second.take())[-1] == "2"
    assert events(other.take())[-4:] == ["1", "2", "3", "4"]
    second.leave(1006)
    other.leave(1006)
    assert events(room.join(page(2)).subscribe("a")) == [CONFIRMED, "2"]
    again = room.join(page(1, "somebody-elses-page"))
    assert events(again.subscribe("a")) == [CONFIRMED, "1", "2", "3", "4"]


def test_without_a_right_nothing_is_replayed() -> None:
    room = Room(RESUMING)
    first = room.join(page())
    first.subscribe("private-a")
    first.leave(1006)
    publish(room, "private-a", 1)
    again = room.join(page(1))
    data = {"channel": "private-a", "auth": f"{APP.key}:{'0' * 64}"}
    (refused,) = again.send("pusher:subscribe", data)
    assert refused["event"] == "pusher:subscription_error"
    assert events(again.subscribe("private-a")) == [CONFIRMED, "1"]  # the right is given back


def test_a_position_in_a_presence_channel_is_its_users() -> None:
    room = Room(RESUMING)
    first = room.join(page())
    first.enter("presence-a", "1")
    first.leave(1006)
    publish(room, "presence-a", 1)
    again = room.join(page(1))
    assert events(again.enter("presence-a", "2")) == [CONFIRMED]
    again.send("pusher:unsubscribe", {"channel": "presence-a"})
    assert events(again.enter("presence-a", "1")) == [CONFIRMED, "1"]


def test_members_are_state_and_client_events_are_not_replayed() -> None:
    room = Room(RESUMING)
    first, other = room.join(page()), room.join()
    first.enter("presence-a", "1"), other.enter("presence-a", "2")
    first.leave(1006)
    other.send("client-x", {}, channel="presence-a")
    other.leave()
    room.join().enter("presence-a", "3")
    (confirmed,) = room.join(page(1)).enter("presence-a", "1")
    assert sorted(json.loads(confirmed["data"])["presence"]["ids"]) == ["1", "3"]


def test_a_user_who_signs_in_again_gets_what_was_sent_to_him() -> None:
    room = Room(RESUMING)
    first = room.join(page())
    first.sign_in('{"id":"7"}')
    publish(room, "#server-to-user-7", 1)
    first.acknowledge()
    first.leave(1006)
    publish(room, "#server-to-user-7", 2)
    assert events(room.join(page(1)).sign_in('{"id":"7"}')) == ["pusher:signin_success", "2"]
    assert events(room.join(page(0, "somebody-elses-page")).sign_in('{"id":"7"}')) == [
        "pusher:signin_success"
    ]


def test_a_cache_channel_gives_its_last_event_once() -> None:
    room = Room(RESUMING)
    first = room.join(page())
    assert events(first.subscribe("cache-a")) == [CONFIRMED, "pusher:cache_miss"]
    publish(room, "cache-a", 1)
    first.acknowledge()
    first.leave(1006)
    second = room.join(page(1))
    assert events(second.subscribe("cache-a")) == [CONFIRMED]
    second.leave(1006)
    publish(room, "cache-a", 2, 3)
    assert events(room.join(page(2)).subscribe("cache-a")) == [CONFIRMED, "2", "3"]
    unknown = room.join(page(1, "a-page-nobody-knows"))
    assert events(unknown.subscribe("cache-a")) == [CONFIRMED, GAP, "3"]
    assert events(unknown.subscribe("cache-b")) == [CONFIRMED, GAP, "pusher:cache_miss"]


def test_two_living_pages_with_one_id_exclude_only_themselves() -> None:
    room = Room(RESUMING)
    first = room.join(page())
    first.subscribe("a")
    second = room.join(page(1))  # the first is open still
    second.subscribe("a")
    first.connection.acknowledged(0, room.now)  # and answers
    publish(room, "a", 1, socket_id=first.connection.socket_id)
    assert events(second.take())[-1] == "1"
    first.leave(1006)
    assert room.hub.sessions.by_id["a-page-of-its-own"].socket == second.connection.socket


def test_a_connection_that_only_seems_open_is_replaced() -> None:
    room = Room(RESUMING)
    first = room.join(page())
    first.subscribe("a")
    publish(room, "a", 1)
    first.acknowledge()
    publish(room, "a", 2)
    second = room.join(page(1))
    assert events(second.subscribe("a")) == [CONFIRMED, "2"]
    publish(room, "a", 3, socket_id=first.connection.socket_id)
    assert events(second.take())[-1] == "2"
    first.leave(1006)  # found dead at last
    second.acknowledge()
    second.leave(1006)
    assert events(room.join(page(2)).subscribe("a")) == [CONFIRMED]


def test_sessions_without_a_connection_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "MOST_ABSENT", 10)
    room = Room(RESUMING)
    for number in range(100):
        room.join(page(0, f"page-number-{number:08d}")).leave(1006)
    sessions = room.hub.sessions
    assert len(sessions.by_id) == len(sessions.by_socket) == 10
    room.now += 121.0
    room.hub.forget_absent(room.now)
    assert not sessions.by_id
    assert not sessions.by_socket


def test_positions_of_all_who_are_away_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "MOST_POSITIONS", 25)
    room = Room(RESUMING)
    sessions = room.hub.sessions
    for number in range(10):
        client = room.join(page(0, f"page-{number:016}"))
        for at in range(10):
            client.subscribe(f"c-{number}-{at}")
        client.leave()
        assert sum(len(one.before) for one in sessions.by_id.values()) <= 25
    assert list(sessions.by_id) == ["page-0000000000000008", "page-0000000000000009"]
    back = room.join(page(1, "page-0000000000000009"))
    assert sessions._positions == 10
    back.leave()
    assert sessions._positions == 20


def test_a_page_that_comes_with_other_channels_each_time_is_bounded_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resume, "MOST_BEFORE", 20)
    room = Room(RESUMING)
    for number in range(10):
        client = room.join(page(number))
        for at in range(10):
            client.subscribe(f"c-{number}-{at}")
        client.leave()
    (session,) = room.hub.sessions.by_id.values()
    assert list(session.before) == [f"c-{number}-{at}" for number in (8, 9) for at in range(10)]
    publish(room, "c-9-0", 1)
    back = room.join(page(10))
    assert events(back.subscribe("c-9-0")) == [CONFIRMED, GAP, "1"], "that of before was not acknowledged"
    assert events(back.subscribe("c-1-0")) == [CONFIRMED, GAP]


def test_logs_of_vacant_channels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "MOST_VACANT", 20)
    room = Room(RESUMING)
    stays = room.join(page(0, "another-page-of-its-own"))
    stays.subscribe("first")
    client = room.join(page())
    for number in range(100):
        client.subscribe(f"c-{number}")
        if number < 99:
            client.send("pusher:unsubscribe", {"channel": f"c-{number}"})
        assert len(room.hub.logs) <= 20 + 2
    assert {"first", "c-99", "c-98"} <= room.hub.logs.by_name.keys()
    client.leave()
    publish(room, "c-99", 1)
    assert events(room.join(page(1)).subscribe("c-99")) == [CONFIRMED, "1"]


def test_who_only_says_that_it_comes_back_gets_no_history() -> None:
    room = Room(RESUMING)
    other = room.join(page(0, "somebody-elses-page"))
    other.subscribe("private-a")
    publish(room, "private-a", 1, 2)
    liar = room.join(page(7))
    assert events(liar.subscribe("private-a")) == [CONFIRMED, GAP]
    publish(room, "private-a", 3)
    liar.leave(1006)
    liar = room.join(page(8))
    assert events(liar.subscribe("private-a")) == [CONFIRMED, GAP, "3"]
    liar.acknowledge()
    liar.leave(1006)
    assert events(room.join(page(9)).subscribe("private-a")) == [CONFIRMED]


# Any order of everything


class Page:
    """A page, and a plain list of what was sent to its channel since it subscribed.

    expected  every event that the page is to have, in order
    had       of these, how many it has without a hole, or with a hole it was told of
    safe      how many the server knows it to have
    has_gap   whether it was told of a gap, and the server does not know that it knows
    """

    def __init__(self, number: int) -> None:
        self.name = f"page-number-{number:08d}"
        self.tries = 0
        self.client: Client | None = None
        self.ids: set[str] = set()
        self.subscribed = self.has_gap = False
        self.expected: list[int] = []
        self.had = self.safe = 0
        self.left_at = 0.0

    def read(self, lost: int = 0, *, is_back: bool = False) -> int:
        """What has come, but for the last `lost` messages; how many gaps were told."""
        assert self.client is not None
        messages = [one for one in self.client.take() if one["event"] in ("event", GAP)]
        gaps, may_skip, may_repeat = 0, False, is_back
        for message in messages[: len(messages) - lost] if lost else messages:
            if message["event"] == GAP:
                gaps, may_skip = gaps + 1, True
                continue
            at = self.expected.index(json.loads(message["data"])["n"])
            assert at == self.had or (at > self.had and may_skip) or (at < self.had and may_repeat), message
            assert at >= self.safe or may_skip
            self.had, may_skip, may_repeat = at + 1, False, False
        if may_skip:
            self.had = len(self.expected)
        return gaps


class Steps(RuleBasedStateMachine):
    """Few events are kept, so that gaps come often."""

    MOST, SECONDS = 4, 30.0

    def __init__(self) -> None:
        super().__init__()
        limits = Limits(resume_events=self.MOST)
        self.room = Room(replace(RESUMING, resume_seconds=self.SECONDS, limits=limits))
        self.pages = [Page(number) for number in range(3)]
        self.number = 0
        self.sent: list[tuple[int, float]] = []

    def who(self, number: int) -> Page:
        return self.pages[number]

    @rule(number=st.integers(0, 2))
    def connect(self, number: int) -> None:
        one = self.who(number)
        if one.client is not None:
            return
        one.client = self.room.join(Returning(one.name, one.tries))
        one.tries += 1
        one.ids.add(one.client.connection.socket_id)
        one.client.take()
        if one.subscribed:
            one.client.subscribe("a")
            gaps = one.read(is_back=True)
            away = self.room.now - one.left_at
            if not one.has_gap and away < self.SECONDS and not self.overflowed(one):
                assert gaps == 0
            one.has_gap = one.has_gap or gaps > 0
            assert one.had == len(one.expected)

    def overflowed(self, one: Page) -> bool:
        """Whether more was sent than is kept since what the page is known to have."""
        first = one.expected[one.safe] if one.safe < len(one.expected) else self.number + 1
        return sum(number >= first for number, _ in self.sent) > self.MOST or any(
            number >= first and at < self.room.now - self.SECONDS for number, at in self.sent
        )

    @rule(number=st.integers(0, 2))
    def subscribe(self, number: int) -> None:
        one = self.who(number)
        if one.client is None or one.subscribed:
            return
        one.client.subscribe("a")
        one.subscribed, one.expected, one.had, one.safe = True, [], 0, 0
        one.has_gap = one.read() > 0
        assert not one.has_gap or not self.room.hub.sessions.by_id[one.name].is_known

    @rule(number=st.integers(0, 2))
    def unsubscribe(self, number: int) -> None:
        one = self.who(number)
        if one.client is None or not one.subscribed:
            return
        one.read()
        one.client.send("pusher:unsubscribe", {"channel": "a"})
        one.subscribed = False

    @rule(count=st.integers(1, 3), by=st.none() | st.integers(0, 2), which=st.integers(0, 9))
    def publish(self, count: int, by: int | None, which: int) -> None:
        """Perhaps by a page's request, with the id of a socket that it has or had a moment ago."""
        sender = None if by is None else self.who(by)
        ids = [] if sender is None else self.recent(sender)
        socket_id = ids[which % len(ids)] if ids else None
        for _ in range(count):
            self.number += 1
            self.sent.append((self.number, self.room.now))
            for one in self.pages:
                if one.subscribed and socket_id not in one.ids:
                    one.expected.append(self.number)
            self.room.publish("a", data=json.dumps({"n": self.number}), socket_id=socket_id)

    def recent(self, one: Page) -> list[str]:
        session = self.room.hub.sessions.by_id.get(one.name)
        return [] if session is None else list(session.socket_ids)

    @rule(number=st.integers(0, 2))
    def acknowledge(self, number: int) -> None:
        one = self.who(number)
        if one.client is not None and one.subscribed:
            one.read()
            one.client.acknowledge()
            one.safe, one.has_gap = one.had, False

    @rule(number=st.integers(0, 2), lost=st.integers(0, 3))
    def cut(self, number: int, lost: int) -> None:
        """The line breaks; the last messages have not arrived."""
        one = self.who(number)
        if one.client is None:
            return
        if one.subscribed:
            one.read(lost=lost)
        one.client.leave(1006)
        one.client, one.left_at = None, self.room.now

    @rule(seconds=st.sampled_from([0.5, 5.0, 29.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.room.now += seconds
        self.room.hub.forget_absent(self.room.now)

    @precondition(lambda self: any(one.client for one in self.pages))
    @invariant()
    def who_is_here_has_everything(self) -> None:
        for one in self.pages:
            if one.client is not None and one.subscribed:
                one.read()
                assert one.had == len(one.expected)

    @invariant()
    def what_is_kept_is_bounded(self) -> None:
        log = self.room.hub.logs.by_name.get("a")
        assert log is None or len(log.events) <= self.MOST
        assert log is None or log.size == sum(len(event.text) for event in log.events)
        assert len(self.room.hub.sessions.by_id) <= 3


Steps.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, report_multiple_bugs=False
)
TestSteps = Steps.TestCase
