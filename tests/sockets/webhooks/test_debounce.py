"""Whoever goes and comes back at once was never away."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.sockets.webhooks.debounce import Debounce
from bridge.sockets.webhooks.events import Event


def occupied(channel: str = "news") -> Event:
    return Event(app_id="1", name="channel_occupied", channel=channel, fields={"channel": channel})


def vacated(channel: str = "news") -> Event:
    return Event(app_id="1", name="channel_vacated", channel=channel, fields={"channel": channel})


def member(name: str, user_id: str = "7") -> Event:
    return Event(app_id="1", name=name, channel="presence-x", fields={"user_id": user_id})


def test_a_coming_is_told_at_once_and_a_going_after_its_delay() -> None:
    debounce = Debounce(3.0)
    assert debounce.take(occupied(), 10.0) == occupied()
    assert debounce.take(vacated(), 11.0) is None
    assert debounce.next_at == 14.0
    assert debounce.due(13.9) == []
    assert debounce.due(14.0) == [vacated()]
    assert debounce.next_at is None


def test_a_page_that_is_loaded_again_tells_nothing() -> None:
    debounce = Debounce(3.0)
    assert debounce.take(member("member_removed"), 10.0) is None
    assert debounce.take(vacated(), 10.0) is None
    assert debounce.take(occupied(), 12.9) is None
    assert debounce.take(member("member_added"), 12.9) is None
    assert debounce.due(100.0) == []


def test_another_user_or_channel_is_another_matter() -> None:
    debounce = Debounce(3.0)
    debounce.take(member("member_removed", "7"), 10.0)
    debounce.take(vacated("a"), 10.0)
    assert debounce.take(member("member_added", "8"), 11.0) == member("member_added", "8")
    assert debounce.take(occupied("b"), 11.0) == occupied("b")
    assert debounce.due(13.0) == [member("member_removed", "7"), vacated("a")]


def test_everything_else_passes_at_once() -> None:
    event = Event(app_id="1", name="cache_miss", channel="cache-x", fields={})
    assert Debounce().take(event, 1.0) is event


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 4)), max_size=60))
def test_comings_and_goings_alternate_whatever_happens(steps: list[tuple[str, float]]) -> None:
    debounce, now, told = Debounce(3.0), 0.0, dict[str, list[str]](a=[], b=[])
    inside: set[str] = set()

    def tell(event: Event) -> None:
        told[event.channel].append(event.name)

    for channel, pause in steps:
        now += pause
        for event in debounce.due(now):
            tell(event)
        event = vacated(channel) if channel in inside else occupied(channel)
        inside ^= {channel}
        ready = debounce.take(event, now)
        if ready:
            tell(ready)
    for event in debounce.due(float("inf")):
        tell(event)
    for channel, names in told.items():
        expected = ["channel_occupied", "channel_vacated"] * (len(names) // 2 + 1)
        assert names == expected[: len(names)]
        assert (len(names) % 2 == 1) == (channel in inside)
