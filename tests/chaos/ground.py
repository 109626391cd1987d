"""What a row runs on: a store, a folder, so many trials, a seed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.rig import Figures, Rig, rig
from tests.end_to_end.stores import StoreName


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """`server` gives a running server by the name of its fixture; None: each rig starts its own."""

    store: StoreName
    folder: Path
    trials: int
    seed: int
    server: Callable[[str], object] | None = None

    @contextlib.contextmanager
    def rig(
        self,
        *,
        retry_after: int = 90,
        proxied: bool = False,
        durable: bool = False,
        settings: dict[str, str] | None = None,
    ) -> Iterator[Rig]:
        """See `tests.chaos.rig.rig`; one for a ground."""
        with rig(
            self.store,
            self.folder,
            retry_after=retry_after,
            seed=self.seed,
            proxied=proxied,
            durable=durable,
            server=self.server,
            settings=settings,
        ) as made:
            yield made


Run = Callable[[Ground], Figures]
