"""Happenings: what is told once on all nodes is told by the node whose call made it so.

That also where the answer to the call was lost: Redis has noted it, until beats say that the answer has come.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic

from bridge.sockets.cluster.bus import Bus
from bridge.sockets.cluster.link import Link, Script, Word
from bridge.sockets.cluster.records import Records
from bridge.sockets.pusher.outcome import S

NOTED = 4  # beats for which notes are kept: longer than `AWAY`, so that who takes out this node has them

Take = Callable[[bytes, bytes, bytes, bytes], None]


class Happenings(Generic[S]):
    """take: gets each happening whose answer was lost: kind, place, word of the user, moment, as in
    `note.lua`. To be set before the first link.
    """

    take: Take

    def __init__(self, bus: Bus[S], records: Records[S]) -> None:
        self._bus = bus
        self._records = records
        self._calls = itertools.count(1)
        self._answered = 0  # number of the last call whose answer has come
        self._told = deque([0], maxlen=NOTED)  # what that was at the last beats, the oldest first

    @property
    def key(self) -> bytes:
        return self._bus.names.key("h", self._bus.node.encode())

    def known(self) -> int:
        """The last call of which no note is needed any more, where this node lives or dies. To be called with
        each beat."""
        self._told.append(self._answered)
        return self._told[0]

    def run(
        self,
        script: Script,
        keys: Sequence[Word],
        *words: Word,
        then: Callable[[Any], None],
        lost: Callable[[str], None] | None = None,
        refused: Callable[[str], None] | None = None,
        size: int = 0,
        is_told: bool = False,
    ) -> None:
        """As `Link.run`, of a script that notes. It gets its notes' key as the last, and its call's number as
        the last word: 0 with `is_told`, where nothing is to be noted."""
        link, call = self._bus.link, 0 if is_told else next(self._calls)
        if link is None:
            if lost is not None:
                lost("there is no link")
            return

        def answered(answer: Any) -> None:
            self._answered = call or self._answered
            then(answer)

        link.run(
            script, [*keys, self.key], *words, call, then=answered, lost=lost, refused=refused, size=size
        )

    def recall(self, link: Link) -> None:
        """To be called with each new link, before anything else is sent."""
        link.send("LRANGE", self.key, 0, -1, then=self._recalled)

    def _recalled(self, notes: Sequence[bytes]) -> None:
        last = self._answered
        for note in notes:
            try:
                call, kind, place, word, at = note.split(b" ")
                number = int(call)
            except ValueError:  # nobody of ours has written this
                self._records.reject("note")
                continue
            if number > self._answered:
                self.take(kind, place, word, at)
                last = number
        self._answered = last
