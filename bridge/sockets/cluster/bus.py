"""Bus: what all parts of a cluster share: the link to Redis while there is one, and this node's name."""

from __future__ import annotations

import math
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

    def terminate(self, hub: SharedHub[S], user_id: str, at: float = math.inf) -> None: ...


class Bus(Generic[S]):
    """Its parts read it; only `Cluster` opens and drops the link.

    home        this process's hubs; set by `Cluster.start`, like `now`, the loop's clock
    link        None while Redis is away
    node        this node's name; another one when it was taken for dead
    is_synced   whether Redis knows all that is wanted here
    is_leaving  whether this node stops, and nobody leaves a channel any more

    Moments that nodes tell each other are in milliseconds of Redis' clock: those of machines may differ.
    """

    home: Home[S]
    now: Callable[[], float]

    def __init__(self, names: Names, begin_anew: Callable[[], None]) -> None:
        self.names = names
        self.node = _new_name()
        self.link: Link | None = None
        self.is_synced = self.is_leaving = False
        self._begin_anew = begin_anew
        self._ahead = (-math.inf, math.inf)  # seconds that Redis' clock is ahead of ours: at least, at most

    @property
    def is_up(self) -> bool:
        """Whether events go to other nodes now."""
        return self.link is not None and self.is_synced

    def read_clock(self, link: Link) -> None:
        """Asks Redis what time it is: it was that between the question and its answer."""
        asked = self.now()

        def then(answer: Any) -> None:
            seconds = int(answer[0]) + int(answer[1]) / 1_000_000
            self._ahead = (seconds - self.now(), seconds - asked)

        link.send("TIME", then=then)

    def latest_ms(self) -> int | None:
        """The latest that it may be now, by Redis' clock; None where that was never read."""
        at_most = self._ahead[1]
        return None if at_most == math.inf else math.ceil((self.now() + at_most) * 1000)

    def latest_here(self, at: int) -> float:
        """The latest that our clock may show when Redis' shows `at`."""
        return at / 1000 - self._ahead[0]

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
