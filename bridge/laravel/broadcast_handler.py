"""What BroadcastEvent::handle() and the Pusher broadcaster do with an event, whoever knows the event.

Sources: Broadcasting/BroadcastEvent.php and Broadcasting/Broadcasters/PusherBroadcaster.php of 8.83 to
13.26; pusher-php-server 7 src/Pusher.php (checks of channels, socket id and encrypted channels).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bridge.broadcast import CHANNEL_CHARACTERS
from bridge.errors import CheckFailed, Refused
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.runtime.operators import to_string
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, Value

CHANNELS_A_CALL = 100  # what the Pusher client accepts
_CHANNEL = re.compile(rf"#?[{CHANNEL_CHARACTERS}]+\Z")
_SOCKET_ID = re.compile(r"\d+\.\d+\Z", re.ASCII)
_SENDING = {"pusher", "reverb"}  # drivers that reach a Pusher server
_SILENT = {"log", "null"}


@dataclass(slots=True, kw_only=True)  # not frozen: as `Broadcast`
class Call:
    """One call of a broadcaster's client: what goes to the server of that connection. Not to be changed.

    connection  name in config/broadcasting.php
    channels    wire names with prefixes, in Laravel's order
    data        the JSON text, not yet sealed
    socket      the socket_id that is left out, or None
    """

    connection: str
    channels: tuple[str, ...]
    name: str
    data: str
    socket: str | None


class EventView(Protocol):
    """An event as handle() sees it. Every method may raise Refused or WouldFail."""

    def name(self) -> Value:
        """`broadcastAs()`, else the class name."""
        ...

    def channels(self) -> Value:
        """`broadcastOn()`."""
        ...

    def connections(self) -> PhpArray:
        """`broadcastConnections()`, else a list of one null."""
        ...

    def payload(self) -> PhpArray:
        """The array of getPayloadFromEvent, `socket` in it; `broadcastQueue` taken out."""
        ...

    def text(self, value: Value) -> bytes:
        """`(string) $value`."""
        ...

    def json(self, payload: PhpArray) -> str:
        """The JSON text of what is left of `payload` when the broadcaster sends it."""
        ...

    def enum_value(self, case: EnumCase) -> Value:
        """The backing value, or the name of a pure case."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """`broadcasting.connections` by name → driver, and `broadcasting.default`.

    `elsewhere`: those that the app's own PHP has to send to another server, by name → host."""

    drivers: Mapping[str, str]
    default: str | None
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def driver(self, name: str | None) -> tuple[str, str]:
        """The connection's name and its driver. CheckFailed if it is not defined."""
        chosen = name if name is not None else self.default
        if chosen is None:
            return "null", "null"
        driver = self.drivers.get(chosen)
        if driver is None:
            if chosen == "null":
                return "null", "null"
            raise CheckFailed(f"broadcast connection [{chosen}] is not defined in config/broadcasting.php")
        return chosen, driver


def handle(subject: EventView, version: Version, connections: Connections) -> list[Call]:
    """The calls that Laravel makes, in order; none if there are no channels or no connection that sends."""
    name = subject.name()
    channels = _wrap(subject.channels())
    if not channels and version >= (8, 45):
        return []
    chosen = list(subject.connections().values())
    payload = subject.payload()
    calls: list[Call] = []
    for connection in chosen:
        calls += _broadcast(subject, version, connections, connection, channels, name, payload)
    return calls


def _wrap(value: Value) -> PhpArray:
    if value is None:
        return PhpArray()
    return value if isinstance(value, PhpArray) else PhpArray.of([value])


def _broadcast(
    subject: EventView,
    version: Version,
    connections: Connections,
    connection: Value,
    channels: PhpArray,
    event: Value,
    payload: PhpArray,
) -> list[Call]:
    if isinstance(connection, EnumCase):
        connection = subject.enum_value(connection)
    label = None if connection is None else to_string(connection).decode("utf-8", "replace")
    name, driver = connections.driver(label or None)
    if version >= (11, 38):
        key = (label or "").encode()
        own = channels.get(key)
        channels = own if isinstance(own, PhpArray) else channels
        socket = payload.get(b"socket")
        own = payload.get(key)
        if isinstance(own, PhpArray):
            payload = own.copy()
            if socket is not None:
                payload[b"socket"] = socket
    if driver in _SILENT:
        return []
    if driver not in _SENDING:
        raise Refused(
            f"the broadcast connection {name} has the driver {driver}, which is not a Pusher server"
        )
    if name in connections.elsewhere:
        raise Refused(
            f"the broadcast connection {name} is of the server {connections.elsewhere[name]}, not of bridge"
        )
    wire = _wire_names(subject, channels)
    payload = payload.copy()
    socket = payload.pop(b"socket", None)
    left_out = socket_id(socket)
    if len(wire) > CHANNELS_A_CALL and version < (9, 12):
        raise CheckFailed(f"an event can go to {CHANNELS_A_CALL} channels at most, this one has {len(wire)}")
    if not wire and version < (8, 45):
        raise Refused("Laravel before 8.45 calls Pusher without a channel")
    text = _event_name(subject, event, version)
    chunks = [wire[at : at + CHANNELS_A_CALL] for at in range(0, len(wire), CHANNELS_A_CALL)]
    for chunk in chunks:
        if len(chunk) > 1 and any(channel.startswith("private-encrypted-") for channel in chunk):
            raise CheckFailed("an event on an encrypted channel can go to that channel only")
    data = subject.json(payload)
    return [Call(connection=name, channels=chunk, name=text, data=data, socket=left_out) for chunk in chunks]


def _wire_names(subject: EventView, channels: PhpArray) -> tuple[str, ...]:
    names = []
    for channel in channels.values():
        name = subject.text(channel).decode("utf-8", "replace")
        if not _CHANNEL.match(name):
            raise CheckFailed("a channel name has characters other than letters, digits and -_=@,.;")
        names.append(name)
    return tuple(names)


def socket_id(value: Value) -> str | None:
    """The event's `socket`. Raises CheckFailed where the Pusher client does not take it."""
    if value is None:
        return None
    text = to_string(value).decode("utf-8", "replace")
    if not _SOCKET_ID.match(text):
        raise CheckFailed("the event's socket is not a socket_id of the form 123.456")
    return text


def _event_name(subject: EventView, value: Value, version: Version) -> str:
    if isinstance(value, EnumCase) and version >= (13, 16):
        value = subject.enum_value(value)
    if value is None or isinstance(value, (PhpArray, EnumCase)):
        raise CheckFailed("the event's name (broadcastAs) is not a string")
    try:
        return (value if isinstance(value, bytes) else subject.text(value)).decode()
    except UnicodeDecodeError as error:
        raise CheckFailed("the event's name (broadcastAs) is not valid UTF-8") from error
