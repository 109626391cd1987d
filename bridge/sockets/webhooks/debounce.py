"""Debounce: whoever goes and comes back at once was never away. Pure: the time comes in."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.sockets.webhooks.events import Event

DELAY = 3.0  # seconds; Pusher's "up to three seconds"

_GOING = {"channel_vacated": "channel_occupied", "member_removed": "member_added"}
_COMING = {coming: going for going, coming in _GOING.items()}


class Debounce:
    """Delays each going by `delay` seconds. If its coming happens meanwhile, neither is posted."""

    def __init__(self, delay: float = DELAY) -> None:
        self._delay = delay
        self._pending: dict[tuple[object, ...], tuple[float, Event]] = {}  # in order of time

    def take(self, event: Event, now: float) -> Event | None:
        """The event, if it is to be posted now."""
        if event.name in _GOING:
            self._pending[_key(event.name, event)] = (now + self._delay, event)
            return None
        going = _COMING.get(event.name)
        if going is not None and self._pending.pop(_key(going, event), None) is not None:
            return None
        return event

    def due(self, now: float) -> Sequence[Event]:
        """Those whose time has come, in their order; they are forgotten."""
        due: list[Event] = []
        while self._pending:
            key = next(iter(self._pending))
            at, event = self._pending[key]
            if at > now:
                break
            del self._pending[key]
            due.append(event)
        return due

    @property
    def next_at(self) -> float | None:
        """When the next is due; None: nothing is pending."""
        return next(iter(self._pending.values()))[0] if self._pending else None


def _key(going: str, event: Event) -> tuple[object, ...]:
    return (going, event.app_id, event.channel, event.fields.get("user_id"))
