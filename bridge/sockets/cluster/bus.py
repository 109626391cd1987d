"""Bus: what all parts of a cluster share: the link to Redis while there is one, and this node's name."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Generic, Protocol

from bridge.errors import ServiceUnavailable
from bridge.sockets.cluster.link import Link
from bridge.sockets.cluster.names import Names, place_of
from bridge.sockets.pusher.hub_events import HubEvent
from bridge.sockets.pusher.outcome import Answered, Delivery, S
from bridge.sockets.pusher.shared_hub import SharedHub

place_for = lru_cache(maxsize=65_536)(place_of)


class Home(Protocol[S]):
    """What the cluster asks of its node."""

    @property
    def hubs(self) -> Mapping[str, SharedHub[S]]: ...

    def settle(self) -> None:
        """To be called before a hub changes who is subscribed."""

    def answered(self, hub: SharedHub[S], answered: Answered[S]) -> None: ...

    def send(self, deliveries: Sequence[Delivery[S]]) -> None:
        """An answer that has no other effect."""

    def tell(self, event: HubEvent) -> None: ...

    def terminate(self, hub: SharedHub[S], user_id: str) -> None: ...


class Bus(Generic[S]):
    """Its parts read it; only `Cluster` opens and drops the link.

    home        this process's hubs; set by `Cluster.start`, like `now`, the loop's clock
    link        None while Redis is away
    node        this node's name; another one when it was taken for dead
    is_synced   whether Redis knows all that is wanted here
    is_leaving  whether this node stops, and nobody leaves a channel any more
    """

    home: Home[S]
    now: Callable[[], float]

    def __init__(self, names: Names, begin_anew: Callable[[], None]) -> None:
        self.names = names
        self.node = _new_name()
        self.link: Link | None = None
        self.is_synced = self.is_leaving = False
        self._begin_anew = begin_anew

    @property
    def is_up(self) -> bool:
        """Whether events go to other nodes now."""
        return self.link is not None and self.is_synced

    def asking(self) -> Link:
        """The link. Raises ServiceUnavailable where there is none."""
        if self.link is None:
            raise ServiceUnavailable("the bus is away: only all nodes together could tell")
        return self.link

    def is_fenced(self, node: str, answer: Any) -> bool:
        """Whether a script refused this `node` because it was taken for dead. A present one begins anew, as
        another."""
        if answer != b"FENCED":
            return False
        if node == self.node and self.link is not None:
            self.node = _new_name()
            self._begin_anew()
        return True


def _new_name() -> str:
    return "".join(secrets.choice("0123456789abcdefghijklmnopqrstuvwxyz") for _ in range(12))


def flat(answer: Any) -> list[bytes]:
    """RESP3 answers a hash as a map, a script as a list."""
    return [part for pair in answer.items() for part in pair] if isinstance(answer, dict) else list(answer)


def app_of(place: bytes) -> bytes:
    """The app in a place, as keys name it."""
    return place.partition(b":")[0]
