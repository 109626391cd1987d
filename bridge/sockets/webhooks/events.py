"""What is posted of a event: one table. Names and fields are Pusher's ("Webhooks", event types)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.sockets.pusher.hub_events import (
    CacheMissed,
    ClientEventSent,
    HubEvent,
    MemberAdded,
    MemberRemoved,
    Occupied,
    SubscriptionCounted,
    Vacated,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of a webhook's `events`; `fields` hold `name` and `channel` too."""

    app_id: str
    name: str
    channel: str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An address that is posted to.

    events    names of those it wants; none: every one
    prefixes  of the channels it wants; none: every channel
    headers   sent besides Pusher's own
    within    private networks that it may be in; else it must be public. None: it may be anywhere
    """

    url: str
    events: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    within: tuple[str, ...] | None = None

    def wants(self, event: Event) -> bool:
        return (not self.events or event.name in self.events) and (
            not self.prefixes or event.channel.startswith(self.prefixes)
        )

    @property
    def place(self) -> str:
        """The address as far as logs may show it: paths and queries hold secrets often enough."""
        scheme, _, rest = self.url.partition("://")
        host = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
        return f"{scheme}://{host}"


def _channel(event: Any) -> dict[str, object]:
    return {"channel": event.channel}


def _member(event: Any) -> dict[str, object]:
    return {"channel": event.channel, "user_id": event.user_id}


def _count(event: SubscriptionCounted) -> dict[str, object]:
    return {"channel": event.channel, "subscription_count": event.subscriptions}


def _client_event(event: ClientEventSent) -> dict[str, object]:
    text = event.data  # a string goes as it is, anything else as its JSON text
    fields: dict[str, object] = {
        "channel": event.channel,
        "event": event.name,
        "data": json.loads(text) if text.startswith('"') else text,
        "socket_id": event.socket_id,
    }
    return fields if event.user_id is None else {**fields, "user_id": event.user_id}


EVENTS: Mapping[type[Any], tuple[str, Callable[[Any], dict[str, object]]]] = {
    Occupied: ("channel_occupied", _channel),
    Vacated: ("channel_vacated", _channel),
    MemberAdded: ("member_added", _member),
    MemberRemoved: ("member_removed", _member),
    ClientEventSent: ("client_event", _client_event),
    CacheMissed: ("cache_miss", _channel),
    SubscriptionCounted: ("subscription_count", _count),
}
NAMES = tuple(name for name, _ in EVENTS.values())


def event(event: HubEvent) -> Event | None:
    """The event to post, None where it is of no interest outside."""
    row = EVENTS.get(type(event))
    if row is None:
        return None
    name, fields = row
    known = fields(event)
    return Event(
        app_id=event.app_id, name=name, channel=str(known["channel"]), fields={"name": name, **known}
    )
