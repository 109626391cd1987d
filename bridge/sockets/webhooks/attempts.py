"""What became of each request to a webhook's address; the last ones are kept, for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

KEPT = 500

Outcome = Literal["taken", "again", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAttempt:
    """One request, without what was in it.

    at       unix seconds, when it had ended
    place    scheme and host of the address
    events   name → how many of it were in the request
    number   1 for the first request with these events, 2 for the next, …
    answer   what the address answered, or why there was no answer
    seconds  until then
    outcome  `again`: it is tried later; `lost`: no more
    """

    at: float
    app_id: str
    place: str
    events: Mapping[str, int]
    number: int
    answer: str
    seconds: float
    outcome: Outcome
