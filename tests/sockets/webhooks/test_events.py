"""What is posted of each hub_event."""

from typing import Any

import pytest

from bridge.sockets.pusher.hub_events import (
    CacheMissed,
    ClientEventSent,
    Connected,
    HubEvent,
    MemberAdded,
    MemberRemoved,
    Occupied,
    SubscriptionCounted,
    Vacated,
)
from bridge.sockets.webhooks.events import Event, Webhook, event

PLACE: dict[str, Any] = {"app_id": "1", "channel": "presence-x"}
SENT: dict[str, Any] = {**PLACE, "name": "client-x", "socket_id": "1.2", "receivers": 3}


@pytest.mark.parametrize(
    ("hub_event", "fields"),
    [
        (Occupied(**PLACE), {"name": "channel_occupied", "channel": "presence-x"}),
        (Vacated(**PLACE), {"name": "channel_vacated", "channel": "presence-x"}),
        (
            MemberAdded(**PLACE, user_id="7"),
            {"name": "member_added", "channel": "presence-x", "user_id": "7"},
        ),
        (
            MemberRemoved(**PLACE, user_id="7"),
            {"name": "member_removed", "channel": "presence-x", "user_id": "7"},
        ),
        (CacheMissed(**PLACE), {"name": "cache_miss", "channel": "presence-x"}),
        (
            SubscriptionCounted(**PLACE, subscriptions=3),
            {"name": "subscription_count", "channel": "presence-x", "subscription_count": 3},
        ),
        (
            ClientEventSent(**SENT, data='{"a":1}', user_id="7"),
            {
                "name": "client_event",
                "channel": "presence-x",
                "event": "client-x",
                "data": '{"a":1}',
                "socket_id": "1.2",
                "user_id": "7",
            },
        ),
        (
            ClientEventSent(**SENT, data='"caf\\u00e9"', user_id=None),
            {
                "name": "client_event",
                "channel": "presence-x",
                "event": "client-x",
                "data": "café",
                "socket_id": "1.2",
            },
        ),
    ],
)
def test_an_event_has_pushers_fields(hub_event: HubEvent, fields: dict[str, object]) -> None:
    told = event(hub_event)
    assert told is not None
    assert (told.app_id, told.channel, told.fields) == ("1", "presence-x", fields)


def test_the_rest_stays_inside() -> None:
    assert event(Connected(app_id="1", socket_id="1.2")) is None


@pytest.mark.parametrize(
    ("wanted", "name", "channel", "wants"),
    [
        ({}, "cache_miss", "cache-x", True),
        ({"events": frozenset({"cache_miss"})}, "cache_miss", "cache-x", True),
        ({"events": frozenset({"cache_miss"})}, "client_event", "private-x", False),
        ({"prefixes": ("private-", "presence-")}, "client_event", "private-x", True),
        ({"prefixes": ("private-", "presence-")}, "channel_vacated", "news", False),
    ],
)
def test_an_address_gets_the_events_and_channels_it_wants(
    wanted: dict[str, Any], name: str, channel: str, wants: bool
) -> None:
    told = Event(app_id="1", name=name, channel=channel, fields={})
    assert Webhook(url="https://example.com", **wanted).wants(told) is wants


def test_a_log_shows_the_place_without_path_query_or_password() -> None:
    webhook = Webhook(url="https://user:pass@example.com:8443/hook/token?key=1")
    assert webhook.place == "https://example.com:8443"
