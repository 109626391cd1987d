"""Who is connected, what is occupied, what was posted to webhooks: lists for the page, never long ones."""

from __future__ import annotations

import heapq
from collections.abc import Collection
from typing import Any

from bridge.sockets.pusher.channels import ChannelKind, kind_of
from bridge.sockets.pusher.hub import Hub
from bridge.sockets.server import occupancy
from bridge.sockets.server.node import Node
from bridge.sockets.server.socket import Socket
from bridge.sockets.webhooks.attempts import WebhookAttempt

MOST = 200  # rows of a list
MOST_USERS = 5  # of one connection

List = dict[str, Any]


async def channels(node: Node, search: str, app_id: str = "") -> List:
    """The occupied channels whose names hold the text, the fullest first; of one app, or of all. On all
    nodes: raises ServiceUnavailable where these cannot be asked."""
    found: list[tuple[int, Hub[Socket], str]] = []
    for hub in _hubs(node, app_id):
        occupied = await occupancy.channels(node, hub)
        async for some in occupancy.slices(tuple(occupied.items())):
            found += [(subscribers, hub, name) for name, subscribers in some if search in name]
    rows = heapq.nlargest(MOST, found, key=lambda one: one[0])
    members: dict[tuple[str, str], int] = {}
    for hub in _hubs(node, app_id):
        names = [name for _, of, name in rows if of is hub and kind_of(name).has_members]
        counts = await occupancy.user_counts(node, hub, names)
        members |= {(hub.app.id, name): count for name, count in counts.items()}
    return {
        "total": len(found),
        "rows": [
            {
                "app": hub.app.id,
                "name": name,
                "kind": kind(kind_of(name)),
                "subscribers": subscribers,
                "members": members.get((hub.app.id, name)),
            }
            for subscribers, hub, name in rows
        ],
    }


def channel(hub: Hub[Socket], name: str) -> List | None:
    """Members and subscribers of one channel, None where nobody here is subscribed to it."""
    found = hub.channels.get(name)
    if found is None:
        return None
    presences = list(found.members.values())[:MOST]
    cached = hub.cached.get(name)
    return {
        "name": name,
        "kind": kind(found.kind),
        "subscribers": len(found.sockets),
        "sockets": [_socket_id(socket) for socket in list(found.sockets)[:MOST]],
        "cached": cached.data[:2_000] if cached else None,
        "members": [
            {"id": one.member.user_id, "info": one.member.info, "connections": one.connections}
            for one in presences
        ],
    }


def connections(node: Node, search: str, app_id: str = "") -> List:
    """The connections whose id, users or channels hold the text, the newest first; of one app, or of all.

    `users` of a connection: whom it signed in as, and the members that it is in presence channels."""
    rows: list[dict[str, Any]] = []
    total, now = 0, node.now()
    for hub in _hubs(node, app_id):
        for socket_id, socket in reversed(hub.sockets.items()):
            connection = socket.connection
            if connection is None:
                continue
            wanted = not search or any(search in text for text in (socket_id, *connection.channels))
            users = _users(hub, socket) if not wanted or len(rows) < MOST else {}
            if not wanted and not any(search in id for id in users):
                continue
            total += 1
            if len(rows) < MOST:
                peer = socket.transport.get_extra_info("peername")
                rows.append(
                    {
                        "app": hub.app.id,
                        "id": socket_id,
                        "users": [{"id": id, "info": info} for id, info in list(users.items())[:MOST_USERS]],
                        "address": peer[0] if peer else "",
                        "channels": connection.channels[:20],
                        "count": len(connection.channels),
                        "silent": round(now - connection.seen),
                        "slow": socket.backlog is not None,
                    }
                )
    return {"total": total, "rows": rows}


def _hubs(node: Node, app_id: str) -> list[Hub[Socket]]:
    return [hub for hub in node.hubs.values() if app_id in ("", hub.app.id)]


def webhooks(attempts: Collection[WebhookAttempt], search: str, app_id: str = "") -> List:
    """The last requests to webhooks whose address, events or answer hold the text, the newest first."""
    found = [
        one
        for one in reversed(list(attempts))
        if app_id in ("", one.app_id)
        and any(search.lower() in text.lower() for text in (one.place, one.answer, one.outcome, *one.events))
    ]
    return {
        "total": len(found),
        "rows": [
            {
                "at": one.at,
                "app": one.app_id,
                "place": one.place,
                "events": one.events,
                "number": one.number,
                "answer": one.answer,
                "ms": round(one.seconds * 1000, 1),
                "outcome": one.outcome,
            }
            for one in found[:MOST]
        ],
    }


def _users(hub: Hub[Socket], socket: Socket) -> dict[str, str | None]:
    """Whom the connection stands for: user_id → `user_info` as JSON text, if a presence channel has it."""
    connection = socket.connection
    if connection is None:
        return {}
    users: dict[str, str | None] = {connection.user.user_id: None} if connection.user else {}
    for name in connection.channels:
        channel = hub.channels.get(name)
        id = channel.sockets.get(socket) if channel is not None else None
        if channel is not None and id is not None:
            presence = channel.members.get(id)
            users[id] = users.get(id) or (presence.member.info if presence else None)
    return users


def kind(channel: ChannelKind) -> str:
    """`private`, `presence`, `encrypted`, `cache` or `public`, by what matters most."""
    if channel.is_encrypted:
        return "encrypted"
    if channel.has_members:
        return "presence"
    if channel.needs_auth:
        return "private"
    return "cache" if channel.is_cache else "public"


def _socket_id(socket: Socket) -> str:
    return socket.connection.socket_id if socket.connection else ""
