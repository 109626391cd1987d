"""What laravel-websockets' own debug page listens to, so that it goes on working beside bridge.

The page subscribes to `private-websockets-dashboard-{type}` and shows each `log-message`; release 1 also
draws `statistics-updated`. Nothing is made for a type that nobody listens to. Events about these channels are
told as well, as laravel-websockets does, but for what is published on them.
Source: laravel-websockets 1.14.1, Dashboard/DashboardLogger.php and Statistics/Events/StatisticsUpdated.php;
2.x, DashboardLogger.php and where it is called.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from bridge.broadcast import Broadcast
from bridge.monitoring.statistics import Counts
from bridge.sockets.pusher.hub_events import (
    ClientEventSent,
    Connected,
    Disconnected,
    HubEvent,
    Occupied,
    Published,
    Subscribed,
    Vacated,
)

PREFIX = "private-websockets-dashboard-"
ORIGIN = "legacy_dashboard"  # of what is published here

Release = Literal["1", "2"]
Details = dict[str, Any]
# an event of the hub → the type that it is shown as, and its details
_Kinds = Mapping[type[Any], tuple[str, Callable[[Any], list[Details]]]]


class LegacyDashboard:
    """On the loop, like the hub that it hears of.

    publish  takes what is to be sent, at once or in the next turn of the loop
    clock    the app's local time
    """

    def __init__(
        self,
        release: Release,
        publish: Callable[[Broadcast], object],
        *,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._release = release
        self._kinds = _KINDS[release]
        self._publish = publish
        self._clock = clock
        self._listened: set[tuple[str, str]] = set()  # app id and channel, of the page's

    def observe(self, event: HubEvent) -> None:
        if isinstance(event, Occupied | Vacated) and event.channel.startswith(PREFIX):
            place = (event.app_id, event.channel)
            if isinstance(event, Occupied):
                self._listened.add(place)
            else:
                self._listened.discard(place)
        if not self._listened or (kind := self._kinds.get(type(event))) is None:
            return
        name, details = kind
        if (event.app_id, PREFIX + name) in self._listened:
            with contextlib.suppress(RecursionError):  # data just as deep as clients may nest them
                for shown in details(event):
                    self._log(event.app_id, name, shown)

    def counted(self, rows: Mapping[str, Counts]) -> None:
        """Notes that a row of statistics was written for each of these apps."""
        channel = f"{PREFIX}statistics"
        for app_id, counts in rows.items():
            if self._release == "1" and (app_id, channel) in self._listened:
                data = {
                    "time": self._clock().strftime("%Y-%m-%d %H:%M:%S"),
                    "app_id": app_id,
                    "peak_connection_count": counts.peak,
                    "websocket_message_count": counts.websocket,
                    "api_message_count": counts.api,
                }
                self._send(app_id, channel, "statistics-updated", data)

    def _log(self, app_id: str, name: str, shown: Details) -> None:
        about = {"type": name, "time": self._clock().strftime("%H:%M:%S")}
        data = {**about, **shown} if self._release == "1" else {**about, "details": shown}
        self._send(app_id, PREFIX + name, "log-message", data)

    def _send(self, app_id: str, channel: str, name: str, data: Details) -> None:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        self._publish(Broadcast(app_id=app_id, channels=(channel,), name=name, data=text))


def _connected(event: Connected) -> list[Details]:
    return [{"socketId": event.socket_id}]


def _disconnected(event: Disconnected) -> list[Details]:
    return [{"socketId": event.socket_id}]


def _channel(event: Occupied | Vacated) -> list[Details]:
    return [{"details": f"Channel: {event.channel}"}]


def _subscribed_1(event: Subscribed) -> list[Details]:
    return [{"socketId": event.socket_id, "details": f"Channel: {event.channel}"}]


def _subscribed_2(event: Subscribed) -> list[Details]:
    return [{"socketId": event.socket_id, "channel": event.channel}]


def _client_event_1(event: ClientEventSent) -> list[Details]:
    payload = {
        "event": event.name,
        "channel": event.channel,
        "data": json.loads(event.data),
    }
    return [
        {
            "details": f"Channel: {event.channel}, Event: {event.name}",
            "socketId": event.socket_id,
            "data": json.dumps(payload, ensure_ascii=False),
        }
    ]


def _client_event_2(event: ClientEventSent) -> list[Details]:
    payload = {
        "event": event.name,
        "channel": event.channel,
        "data": json.loads(event.data),
    }
    return [
        {
            "socketId": event.socket_id,
            "event": event.name,
            "channel": event.channel,
            "data": payload,
        }
    ]


def _published_1(event: Published) -> list[Details]:
    """Of events from the queue too: to laravel-websockets they come over its API."""
    return [
        {"details": f"Channel: {channel}, Event: {event.name}", "data": event.data}
        for channel in event.channels
    ]


def _published_2(event: Published) -> list[Details]:
    return [{"event": event.name, "channel": channel, "payload": event.data} for channel in event.channels]


_KINDS: Mapping[Release, _Kinds] = {
    "1": {
        Connected: ("connection", _connected),
        Disconnected: ("disconnection", _disconnected),
        Occupied: ("occupied", _channel),
        Vacated: ("vacated", _channel),
        Subscribed: ("subscribed", _subscribed_1),
        ClientEventSent: ("client-message", _client_event_1),
        Published: ("api-message", _published_1),
    },
    "2": {
        Connected: ("connected", _connected),
        Disconnected: ("disconnected", _disconnected),
        Subscribed: ("subscribed", _subscribed_2),
        ClientEventSent: ("ws-message", _client_event_2),
        Published: ("api-message", _published_2),
    },
}
