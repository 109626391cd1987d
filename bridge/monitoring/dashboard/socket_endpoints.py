"""Channels, connections, events and webhooks: what the page asks of the sockets half."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bridge.broadcast import Broadcast
from bridge.errors import BridgeError, ServiceUnavailable
from bridge.monitoring.dashboard import processes, socket_lists
from bridge.monitoring.dashboard.requests import (
    app_of,
    channel_of,
    data_of,
    fields_of,
    filters_of,
    hub_of,
    name_of,
)
from bridge.monitoring.dashboard.session import (
    audit,
)
from bridge.sockets.pusher.channels import is_valid, kind_of
from bridge.sockets.pusher.signatures import sign, subscription_text
from bridge.sockets.server.api import SOCKET_ID
from bridge.sockets.server.node import Node
from bridge.sockets.webhooks.attempts import WebhookAttempt


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketEndpoints:
    """`attempts`: the last requests to webhooks, the newest last. `others`: the other processes of this
    bridge, if it has several."""

    node: Node
    attempts: Collection[WebhookAttempt]
    others: processes.Others | None

    async def channels(self, request: Request) -> Any:
        try:
            return await socket_lists.channels(self.node, *filters_of(request))
        except ServiceUnavailable as problem:
            raise HTTPException(503, str(problem)) from None

    async def channel(self, request: Request) -> Any:
        hub = hub_of(self.node, request.path_params["app_id"])
        try:
            found = await processes.channel(self.node, hub, request.path_params["name"], self.others)
        except ServiceUnavailable as problem:
            raise HTTPException(503, str(problem)) from None
        if found is None:
            raise HTTPException(404, "nobody is subscribed to it any more")
        return found

    async def connections(self, request: Request) -> Any:
        return await self._of_all(
            "connections", socket_lists.connections(self.node, *filters_of(request)), request
        )

    async def webhooks(self, request: Request) -> Any:
        return await self._of_all(
            "webhooks", socket_lists.webhooks(self.attempts, *filters_of(request)), request
        )

    async def _of_all(self, what: str, own: socket_lists.List, request: Request) -> socket_lists.List:
        others = {} if self.others is None else await self.others.lists(what, *filters_of(request))
        return processes.joined(own, others)

    async def disconnect(self, request: Request) -> Any:
        """One `socket` of the app `appId`, or all of a `user`, on all nodes; how many ended, or None: not
        known, since other nodes end theirs without a word.

        They are closed as the HTTP API closes a user's, with 4009, so that clients do not come back."""
        fields = await fields_of(request)
        hub = hub_of(self.node, str(fields.get("appId", "")))
        id, user = fields.get("socket"), fields.get("user")
        if isinstance(user, str) and user and id is None:
            ended = len(hub.sockets_of(user))
            if not ended and self.node.peers is None:
                raise HTTPException(404, "the user has no connection any more")
            self.node.terminate_everywhere(hub, user)
            audit(request, "user disconnected", app=hub.app.id, user=user, connections=ended)
            return {"ended": ended if self.node.peers is None else None}
        if not isinstance(id, str) or user is not None:
            raise HTTPException(422, "name a socket or a user")
        ended_here = processes.disconnect(self.node, hub.app.id, id)
        if not ended_here and (self.others is None or not await self.others.disconnect(hub.app.id, id)):
            raise HTTPException(404, "the socket is not connected any more")
        audit(request, "socket disconnected", app=hub.app.id, socket=id)
        return {"ended": 1}

    async def event(self, request: Request) -> Any:
        """An event straight to the channel's subscribers; `appId`, `channel`, `event`, `data` (JSON text)."""
        fields = await fields_of(request)
        app = app_of(self.node, fields)
        channel = channel_of(app, fields)
        if kind_of(channel).is_encrypted:
            raise HTTPException(
                422, "an encrypted channel's events are sealed by the app: send a job instead"
            )
        broadcast = Broadcast(
            app_id=app.id, channels=(channel,), name=name_of(app, fields), data=data_of(app, fields)[0]
        )
        audit(request, "event sent", app=app.id, channel=channel, event=broadcast.name)
        try:
            return {"receivers": await self.node.publish_to_all([broadcast], origin="dashboard")}
        except BridgeError as problem:
            raise HTTPException(503, str(problem)) from None

    async def auth(self, request: Request) -> Any:
        """A subscription's signature, for the app in the header `X-App-ID`; any channel."""
        app = hub_of(self.node, request.headers.get("x-app-id", "")).app
        fields = await fields_of(request)
        socket_id, channel = fields.get("socket_id"), fields.get("channel_name")
        if not isinstance(socket_id, str) or not isinstance(channel, str):
            raise HTTPException(422, "socket_id or channel_name is missing")
        # the same secret signs links, sign-ins and requests to the API: nothing but subscriptions here
        if not SOCKET_ID.fullmatch(socket_id) or not is_valid(channel, app.limits.channel_name_length):
            raise HTTPException(422, "socket_id or channel_name has another form")
        answer = {}
        if kind_of(channel).has_members:
            answer["channel_data"] = json.dumps({"user_id": "dashboard", "user_info": {}})
        text = subscription_text(socket_id, channel, answer.get("channel_data"))
        audit(request, "subscription signed", app=app.id, channel=channel)
        return {"auth": f"{app.key}:{sign(app.secret, text)}", **answer}
