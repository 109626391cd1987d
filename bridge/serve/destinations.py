"""From jobs to sockets: which app here a call of Laravel's broadcaster goes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.broadcast import Broadcast
from bridge.errors import Refused, WouldFail
from bridge.laravel.broadcast_handler import Call
from bridge.laravel.encryption import master_key, seal
from bridge.serve.wiring.sockets import limits_of
from bridge.settings.load import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The Pusher app of a broadcast connection, and the key for its encrypted channels.

    `elsewhere`: the host whose clients get its broadcasts, where that is not bridge.
    """

    app_id: str
    master_key: bytes | None
    event_bytes: int
    elsewhere: str = ""


def destinations(settings: Settings) -> dict[str, Destination]:
    """Broadcast connection → where its broadcasts go."""
    keys = settings.laravel.broadcasting().connections
    elsewhere = settings.elsewhere()
    found = {}
    for app in settings.apps():
        for name in app.connections:
            secret = keys[name].master_key
            found[name] = Destination(
                app_id=app.id,
                master_key=master_key(secret) if secret is not None else None,
                event_bytes=limits_of(app, settings).event_bytes,
                elsewhere=elsewhere.get(name, ""),
            )
    return found


def addressed(call: Call, destinations: Mapping[str, Destination], job: str = "") -> Broadcast:
    """What a call of Laravel's broadcaster comes to here. Raises WouldFail where Pusher would refuse it, and
    Refused where it goes to another server."""
    to = destinations.get(call.connection)
    if to is None:
        raise WouldFail(
            f"the broadcast connection {call.connection} has no app: set its app_id, key and secret"
        )
    if to.elsewhere:
        raise Refused(
            f"the broadcast connection {call.connection} is of the server {to.elsewhere}, not of bridge: "
            "set php_binary, so that the app itself sends there, or list the connection's app under [[apps]] "
            "in bridge.toml"
        )
    if len(call.data) * 4 > to.event_bytes and len(call.data.encode()) > to.event_bytes:
        raise WouldFail(
            f"the event's data has more than {to.event_bytes} bytes, Pusher's limit: send less, or raise "
            "BRIDGE_LIMIT_EVENT_BYTES"
        )
    data = call.data
    if call.channels[0].startswith("private-encrypted-"):
        if to.master_key is None:
            raise WouldFail(
                f"{call.channels[0]} is encrypted: set options.encryption_master_key_base64 of the broadcast "
                f"connection {call.connection}"
            )
        data = seal(call.channels[0], data, to.master_key)
    return Broadcast(
        app_id=to.app_id,
        channels=call.channels,
        name=call.name,
        data=data,
        socket_id=call.socket,
        job=job,
    )
