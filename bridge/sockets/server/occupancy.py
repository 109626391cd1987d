"""Occupancy: who is subscribed to what, on all nodes: asked of the peers, or read from the hub of one alone.

With peers every function raises ServiceUnavailable while they cannot be asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.sockets.pusher.hub import Cached, Hub
from bridge.sockets.server.node import Node
from bridge.sockets.server.socket import Socket


async def channels(node: Node, hub: Hub[Socket]) -> dict[str, int]:
    """The occupied channels → their subscriptions."""
    if node.peers is not None:
        return await node.peers.channels(hub)
    return {name: len(channel.sockets) for name, channel in hub.channels.items()}


async def subscriptions(node: Node, hub: Hub[Socket], name: str) -> int:
    if node.peers is not None:
        return await node.peers.subscriptions(hub, name)
    channel = hub.channels.get(name)
    return len(channel.sockets) if channel else 0


async def user_counts(node: Node, hub: Hub[Socket], names: Sequence[str]) -> dict[str, int]:
    """Presence channels → their members."""
    if node.peers is not None:
        return await node.peers.user_counts(hub, names)
    found = ((name, hub.channels.get(name)) for name in names)
    return {name: len(channel.members) if channel else 0 for name, channel in found}


async def users(node: Node, hub: Hub[Socket], name: str) -> list[str]:
    """The members of a presence channel."""
    if node.peers is not None:
        return await node.peers.users(hub, name)
    channel = hub.channels.get(name)
    return list(channel.members) if channel else []


async def last_event(node: Node, hub: Hub[Socket], name: str) -> Cached | None:
    """Of a cache channel."""
    if node.peers is not None:
        return await node.peers.last_event(hub, name, node.now())
    return hub.last_event(name, node.now())
