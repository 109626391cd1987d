"""The job of an anonymous event, `Broadcast::on(…)->as(…)->with(…)->send()`, as Laravel writes it.

Its class is Laravel's own (11.5 and later), so that every app can be sent one; older releases cannot run the
job, bridge can. Source: Broadcasting/AnonymousEvent.php, Queue/Queue.php `createObjectPayload`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import phpserialize

BROADCAST_EVENT = "Illuminate\\Broadcasting\\BroadcastEvent"
ANONYMOUS_EVENT = "Illuminate\\Broadcasting\\AnonymousEvent"
HANDLER = "Illuminate\\Queue\\CallQueuedHandler@call"
LARGEST_INTEGER = 2**63 - 1

# What the job object has in every release since 8.19, besides the event.
_COMMAND: dict[str, object] = {
    **dict.fromkeys(("tries", "timeout", "backoff", "connection", "queue", "chainConnection", "chainQueue")),
    **dict.fromkeys(("chainCatchCallbacks", "delay", "afterCommit")),
    "middleware": [],
    "chained": [],
}


def anonymous_job(
    channels: Sequence[str],
    name: str,
    data: dict[str, Any] | list[Any],
    *,
    connection: str | None = None,
    clock: Callable[[], float] = time.time,
) -> tuple[str, bytes]:
    """Uuid and payload. `channels` with their prefixes, `connection` of config/broadcasting.php."""
    job = str(uuid.uuid4())
    event = {
        "\0*\0connection": None,
        "\0*\0name": name,
        "\0*\0payload": _php(data),
        "\0*\0includeCurrentUser": True,
        "\0*\0shouldBroadcastNow": False,
        "\0*\0channels": list(channels),
        "\0*\0broadcastConnection": [connection],
        "socket": None,
    }
    command = {"event": phpserialize.phpobject(ANONYMOUS_EVENT, event), **_COMMAND}
    serialized = phpserialize.dumps(phpserialize.phpobject(BROADCAST_EVENT, command))
    document = {
        "uuid": job,
        "displayName": ANONYMOUS_EVENT,
        "job": HANDLER,
        **dict.fromkeys(
            ("maxTries", "maxExceptions", "failOnTimeout", "backoff", "timeout", "retryUntil"), None
        ),
        "id": job,  # Laravel's own for Redis; a column of the table elsewhere
        "attempts": 0,
        "data": {"commandName": BROADCAST_EVENT, "command": serialized.decode()},
        "createdAt": int(clock()),
    }
    return job, json.dumps(document, separators=(",", ":")).encode()


def _php(value: Any) -> Any:
    """The value as PHP's json_decode holds it: an integer that is too large is a float."""
    match value:
        case bool():
            return value
        case int():
            return value if -LARGEST_INTEGER - 1 <= value <= LARGEST_INTEGER else float(value)
        case list():
            return [_php(one) for one in value]
        case dict():
            return {key: _php(one) for key, one in value.items()}
    return value
