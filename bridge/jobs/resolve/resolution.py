"""What the ladder says of a job."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bridge.laravel.broadcast_handler import Call
from bridge.laravel.payload import BroadcastEvent

Outcome = Literal["broadcast", "nothing", "failed", "refused", "other"]


@dataclass(slots=True, kw_only=True)  # not frozen: as `Broadcast`
class Resolution:
    """Not to be changed.

    outcome     broadcast; nothing (ended well without sending); failed (Laravel itself would throw);
                refused (no allowed rung can know); other (not a broadcast job)
    by          the rung that decided; None for refused and other
    broadcasts  the calls Laravel would make, in order
    why         one sentence for everything but broadcast
    keeps_lock  see `Answer`
    retry_in    of `failed`: seconds until the app's own Laravel tries the job again; None if it does not
    path        see `Answer`
    """

    outcome: Outcome
    event: str
    by: str | None = None
    broadcasts: tuple[Call, ...] = ()
    why: str = ""
    keeps_lock: bool = False
    retry_in: int | None = None
    path: Set[int] = field(default=frozenset(), compare=False)


@dataclass(slots=True, kw_only=True)  # not frozen: as `Broadcast`
class Answer:
    """A rung's answer: the calls, and for none of them why. Not to be changed.

    keeps_lock  the lock of a unique event is not ours to release: PHP has done so, or Laravel does not
    path        the branches of the app's code that were evaluated for it: `Interpreter.path`
    """

    calls: Sequence[Call]
    why: str = ""
    keeps_lock: bool = False
    path: Set[int] = frozenset()


class Rung(Protocol):
    """One way to know what Laravel would send."""

    @property
    def name(self) -> str:
        """`mapping`, `framework`, `native` or `php`."""
        ...

    def resolve(self, event: BroadcastEvent) -> Answer | None:
        """The answer, or None where this rung has nothing to do with such events.

        Raises Refused where it cannot know, WouldFail where Laravel would throw, ServiceUnavailable where
        a database does not answer."""
        ...
