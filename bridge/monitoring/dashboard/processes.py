"""Lists of all processes of one bridge: each has its own clients, and one of them shows the page.

The others answer what is here on their private sockets, which nobody else reaches.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.monitoring.dashboard import socket_lists
from bridge.monitoring.dashboard.responses import WritableJson
from bridge.sockets.pusher.channels import kind_of
from bridge.sockets.pusher.close_codes import UNAUTHORIZED
from bridge.sockets.pusher.hub import Hub
from bridge.sockets.server import occupancy
from bridge.sockets.server.node import Node
from bridge.sockets.server.socket import Socket
from bridge.sockets.webhooks.attempts import WebhookAttempt

ENDED = "an administrator has ended this connection"


class Others(Protocol):
    """The processes of this bridge besides the one that shows the page."""

    async def lists(self, what: str, search: str, app_id: str) -> Mapping[str, socket_lists.List | None]:
        """Process → its list `connections` or `webhooks`; None: it has not answered."""
        ...

    async def channel(self, app_id: str, name: str) -> Sequence[socket_lists.List]:
        """What each of them says of the channel, where somebody there is subscribed to it."""
        ...

    async def disconnect(self, app_id: str, socket_id: str) -> bool:
        """Whether one of them had it."""
        ...


def joined(own: socket_lists.List, others: Mapping[str, socket_lists.List | None]) -> socket_lists.List:
    """Lists as one, each row with its `process`; `missing`: who has not answered. A row of each in turn, or
    by time where rows have one."""
    found = {"": own, **{name: rows for name, rows in others.items() if rows is not None}}
    named = [[{**row, "process": name} for row in one["rows"]] for name, one in found.items()]
    rows: list[dict[str, Any]] = [row for turn in itertools.zip_longest(*named) for row in turn if row]
    if rows and "at" in rows[0]:
        rows.sort(key=lambda row: float(row["at"]), reverse=True)
    return {
        "total": sum(one["total"] for one in found.values()),
        "rows": rows[: socket_lists.MOST],
        "missing": sorted(name for name, one in others.items() if one is None),
    }


async def channel(node: Node, hub: Hub[Socket], name: str, others: Others | None) -> socket_lists.List | None:
    """As `socket_lists.channel`, of all processes; subscribers are counted on all nodes.

    None where it is vacant.
    Raises ServiceUnavailable where nodes cannot be asked."""
    own = socket_lists.channel(hub, name)
    parts = [] if own is None else [own]
    if node.peers is None:
        return own
    subscribers = await occupancy.subscriptions(node, hub, name)
    if not subscribers:
        return None
    if others is not None:
        parts += await others.channel(hub.app.id, name)
    members: dict[str, dict[str, Any]] = {}
    for part in parts:
        for member in part["members"]:
            known = members.get(member["id"])
            members[member["id"]] = {**member, **({} if known is None else _both(known, member))}
    if kind_of(name).has_members:
        for id in (await occupancy.users(node, hub, name))[: socket_lists.MOST]:
            members.setdefault(id, {"id": id, "info": None, "connections": None})
    sockets = [socket for part in parts for socket in part["sockets"]]
    cached = await occupancy.last_event(node, hub, name) if kind_of(name).is_cache else None
    return {
        "name": name,
        "kind": socket_lists.kind(kind_of(name)),
        "subscribers": subscribers,
        "sockets": sockets[: socket_lists.MOST],
        "cached": cached.data[:2_000] if cached else None,
        "members": list(members.values())[: socket_lists.MOST],
    }


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {
        "info": one["info"] or other["info"],
        "connections": one["connections"] + other["connections"],
    }


def disconnect(node: Node, app_id: str, socket_id: str) -> bool:
    """Ends the connection, as the HTTP API ends a user's; whether it was there."""
    hub = node.hubs.get(app_id)
    socket = None if hub is None else hub.sockets.get(socket_id)
    if socket is not None:
        socket.close(UNAUTHORIZED, ENDED)
    return socket is not None


def routes_for_others(node: Node, attempts: Collection[WebhookAttempt]) -> list[Route]:
    """What the process that shows the page asks of this one."""

    async def connections(request: Request) -> Response:
        asked = request.query_params
        return WritableJson(socket_lists.connections(node, asked.get("search", ""), asked.get("app", "")))

    async def webhooks(request: Request) -> Response:
        asked = request.query_params
        return WritableJson(socket_lists.webhooks(attempts, asked.get("search", ""), asked.get("app", "")))

    async def of_channel(request: Request) -> Response:
        asked = request.query_params
        hub = node.hubs.get(asked.get("app", ""))
        found = None if hub is None else socket_lists.channel(hub, asked.get("name", ""))
        if found is None:
            raise HTTPException(404)
        return WritableJson(found)

    async def end(request: Request) -> Response:
        asked = request.query_params
        if not disconnect(node, asked.get("app", ""), asked.get("socket", "")):
            raise HTTPException(404)
        return Response(status_code=204)

    return [
        Route("/connections", connections),
        Route("/webhooks", webhooks),
        Route("/channel", of_channel),
        Route("/disconnect", end, methods=["POST"]),
    ]
