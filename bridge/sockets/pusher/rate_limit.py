"""RateLimit: how often something may happen. Pure: the time comes in."""

from __future__ import annotations


class RateLimit:
    """So many a second on average, and at most one second's worth at once.

    One number is enough (the "generic cell rate algorithm" of ATM): when everything that has happened would
    be used up at the allowed rate.
    """

    __slots__ = ("_used_up_at",)

    def __init__(self) -> None:
        self._used_up_at = 0.0

    def take(self, per_second: int | None, now: float) -> float:
        """0.0 when one more may happen, which is counted; else the seconds until it may. None: no limit."""
        if per_second is None:
            return 0.0
        used_up_at = max(self._used_up_at, now) + 1 / per_second
        wait = used_up_at - now - 1
        if wait > 1e-9:  # of the sum's rounding
            return wait
        self._used_up_at = used_up_at
        return 0.0
