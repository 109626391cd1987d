"""Occupancy: who is subscribed to what, on all nodes: asked of the peers, or read from the hub of one alone.

With peers every function raises ServiceUnavailable while they cannot be asked. What goes through all channels
does so in slices, between which the loop does something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

from bridge.sockets.pusher.hub import Cached, Hub
from bridge.sockets.server.node import Node
from bridge.sockets.server.socket import Socket

T = TypeVar("T")
SLICE = 1_000  # names: a millisecond, or a few


async def slices(names: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """All of them, in order; the loop has a turn between two slices."""
    for at in range(0, len(names), SLICE):
        if at:
            await asyncio.sleep(0)
        yield names[at : at + SLICE]


async def channels(node: Node, hub: Hub[Socket]) -> dict[str, int]:
    """The occupied channels → their subscriptions."""
    if node.peers is not None:
        return await node.peers.channels(hub)
    found: dict[str, int] = {}
    async for names in slices(tuple(hub.channels)):
        there = ((name, hub.channels.get(name)) for name in names)
        found.update((name, len(channel.sockets)) for name, channel in there if channel is not None)
    return found


async def subscriptions(node: Node, hub: Hub[Socket], name: str) -> int:
    if node.peers is not None:
        return await node.peers.subscriptions(hub, name)
    channel = hub.channels.get(name)
    return len(channel.sockets) if channel else 0


async def user_counts(node: Node, hub: Hub[Socket], names: Sequence[str]) -> dict[str, int]:
    """Presence channels → their members."""
    if node.peers is not None:
        return await node.peers.user_counts(hub, names)
    counts: dict[str, int] = {}
    async for some in slices(names):
        found = ((name, hub.channels.get(name)) for name in some)
        counts.update((name, len(channel.members) if channel else 0) for name, channel in found)
    return counts


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
