"""Broadcast: the one type that passes from jobs (or the HTTP API) to sockets."""

from __future__ import annotations

from dataclasses import dataclass, field

CHANNEL_CHARACTERS = "-a-zA-Z0-9_=@,.;"
"""Of a channel's name, as between brackets of a pattern: pusher-http-php `Pusher::validate_channel`."""


@dataclass(slots=True, kw_only=True)  # not frozen: that makes it three times as dear, and each job has one
class Broadcast:
    """One delivery order: what one call of Laravel's broadcaster gives to a Pusher server. Not to be changed.

    app_id     the Pusher app whose connections receive it
    channels   wire names with prefixes (`private-orders.7`), in Laravel's order, at least one
    name       the event's name on the wire
    data       the exact text of the message's `data` field; never parsed or re-encoded on the way;
               already sealed for `private-encrypted-` channels
    socket_id  the connection that is left out (`toOthers`), or None
    job        uuid of the job that it comes from, for who looks on; empty for all others
    """

    app_id: str
    channels: tuple[str, ...]
    name: str
    data: str
    socket_id: str | None = None
    job: str = field(default="", compare=False)
