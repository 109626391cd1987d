"""Former links: Redis ends each of them before it hears the next one.

What a lost link had sent may still be in Redis' buffers, or in those of a proxy before Redis, which knows
nothing of our end's reset. It would come after what the next link sends: somebody who is back would leave, an
event that is sent again would come twice.
"""

from __future__ import annotations

import re
from collections import deque
from functools import partial
from typing import Any

from bridge.sockets.cluster.link import Link

MOST = 100
_ABOUT = re.compile(rb"\bid=(\d+) addr=([^ /]+:\d+) ")  # not those of a Unix socket, which are all alike


class FormerLinks:
    """Those of this process that Redis may still hear. Redis 6.0 cannot be asked for a link's address, and a
    user may lack the right (`client|kill`): then nothing is ended, and all else is the same."""

    def __init__(self) -> None:
        self._links: deque[tuple[bytes, bytes]] = deque(maxlen=MOST)

    def __len__(self) -> int:
        return len(self._links)

    def end(self, link: Link) -> None:
        """To be called with each new link, before it changes anything. Redis counts its clients anew when it
        starts, so another may have a link's number; it has not the link's address, too."""
        for former in self._links:
            number, address = former
            forget = partial(self._forget, former)
            link.try_to("CLIENT", "KILL", "ID", number, "ADDR", address, then=forget)
        link.try_to("CLIENT", "INFO", then=self._remember)

    def _remember(self, about: Any) -> None:
        if isinstance(about, bytes) and (found := _ABOUT.search(about)):
            self._links.append((found[1], found[2]))

    def _forget(self, former: tuple[bytes, bytes], _: Any) -> None:
        self._links.remove(former)
