"""What happened, as the page gets it: one flat JSON object each.

n, at   number of the entry, unix seconds
kind    what the page filters by
text    what happened, in few words; `why` the reason, where there is one
tone    "bad" or "warn", where somebody should look
job     uuid, where it belongs to a job
app, channel, socket, user, event, data, queue, rung, receivers, ms, …  where they are known
process  of several, where it was another than the one that shows the page
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bridge.jobs.resolve.trust import Disagreement
from bridge.jobs.worker.progress import JobProgress, OtherJobRun
from bridge.monitoring.journal import Elsewhere, Entry
from bridge.sockets.pusher.hub_events import (
    ApiCalled,
    CacheMissed,
    ClientEventSent,
    Connected,
    ConnectionRefused,
    Disconnected,
    MemberAdded,
    MemberRemoved,
    MessageRefused,
    Occupied,
    Published,
    Resumed,
    SignedIn,
    SlowClientClosed,
    Subscribed,
    SubscriptionRefused,
    Unsubscribed,
    Vacated,
)

SHOWN = 2_000  # characters of an event's data

KINDS = ("connection", "subscription", "job", "broadcast", "client", "api", "refusal")

Row = dict[str, Any]


def row(entry: Entry) -> Row:
    """The entry for the page; fields without a value are left out."""
    made = {"n": entry.number, "at": round(entry.at, 4), **_ROWS[type(entry.what)](entry.what)}
    return {name: value for name, value in made.items() if value not in (None, "")}


def shortened(data: str) -> str:
    return data if len(data) <= SHOWN else f"{data[:SHOWN]}… ({len(data):,} characters)"


def _of(kind: str, text: str, tone: str = "") -> Callable[[Any], Row]:
    """Hub events whose fields are shown as they are, under the page's names."""

    def make(event: Any) -> Row:
        shown = {ours: getattr(event, name, None) for name, ours in _NAMES.items()}
        return {"kind": kind, "text": text, "tone": tone, **shown}

    return make


_NAMES = {
    "app_id": "app",
    "channel": "channel",
    "socket_id": "socket",
    "user_id": "user",
    "code": "code",
    "status": "code",
    "reason": "why",
    "subscriptions": "count",
}


def _published(event: Published) -> Row:
    return {
        "kind": "broadcast",
        "text": "broadcast",
        "app": event.app_id,
        "channel": ", ".join(event.channels),
        "event": event.name,
        "data": shortened(event.data),
        "socket": event.socket_id,
        "origin": event.origin,
        "receivers": event.receivers,
        "job": event.job,
    }


def _client_event(event: ClientEventSent) -> Row:
    return {
        "kind": "client",
        "text": "client event",
        "app": event.app_id,
        "channel": event.channel,
        "event": event.name,
        "data": shortened(event.data),
        "socket": event.socket_id,
        "user": event.user_id,
        "receivers": event.receivers,
    }


def _called(event: ApiCalled) -> Row:
    return {
        "kind": "api",
        "text": f"{event.method} {event.path}",
        "tone": "bad" if event.status >= 400 else "",
        "app": event.app_id,
        "code": event.status,
        "why": event.reason,
        "ms": round(event.seconds * 1000, 2),
    }


_STEP_TEXT = {
    "reserved": ("job reserved", ""),
    "resolved": ("job resolved", ""),
    "delivered": ("job done", ""),
    "nothing": ("nothing to broadcast", "warn"),
    "failed": ("job failed", "bad"),
    "released": ("job is tried later", "warn"),
    "given_back": ("job given back", ""),
}


def _step(step: JobProgress) -> Row:
    text, tone = _STEP_TEXT[step.step]
    took = step.seconds if step.step == "resolved" else None
    return {
        "kind": "job",
        "text": text,
        "tone": tone,
        "step": step.step,
        "job": step.job,
        "event": step.event,
        "queue": step.queue,
        "rung": step.rung,
        "why": step.why,
        "attempts": step.attempts,
        "queued_at": step.queued_at,
        "ms": None if took is None else round(took * 1000, 2),
        "delay": step.seconds if step.step == "released" else None,
    }


_RUN_TEXT = {
    "done": ("other job done", ""),
    "failed": ("other job failed", "bad"),
    "released": ("other job is tried later", "warn"),
}


def _run(run: OtherJobRun) -> Row:
    text, tone = _RUN_TEXT[run.ended]
    return {
        "kind": "job",
        "text": text,
        "tone": tone,
        "uuid": run.uuid,
        "event": run.name,
        "queue": run.queue,
        "why": run.why,
        "attempts": run.attempts,
        "ms": round(run.seconds * 1000, 2),
        "delay": run.delay,
    }


def _disagreement(found: Disagreement) -> Row:
    return {
        "kind": "job",
        "text": "native and PHP differ",
        "tone": "bad",
        "event": found.class_name,
        "why": f"{', '.join(found.paths)}: the class is PHP's until the next deploy",
    }


def _elsewhere(what: Elsewhere) -> Row:
    return {**{name: value for name, value in what.row.items() if name != "n"}, "process": what.process}


_ROWS: Mapping[type[Any], Callable[[Any], Row]] = {
    Connected: _of("connection", "connected"),
    Disconnected: _of("connection", "disconnected"),
    ConnectionRefused: _of("refusal", "connection refused", "bad"),
    Subscribed: _of("subscription", "subscribed"),
    Resumed: _of("subscription", "resumed"),
    Unsubscribed: _of("subscription", "unsubscribed"),
    SubscriptionRefused: _of("refusal", "subscription refused", "bad"),
    MessageRefused: _of("refusal", "message refused", "bad"),
    SlowClientClosed: _of("refusal", "slow client cut", "bad"),
    Occupied: _of("subscription", "channel occupied"),
    Vacated: _of("subscription", "channel vacated"),
    MemberAdded: _of("subscription", "member added"),
    MemberRemoved: _of("subscription", "member removed"),
    CacheMissed: _of("subscription", "cache missed"),
    SignedIn: _of("connection", "signed in"),
    Published: _published,
    ClientEventSent: _client_event,
    ApiCalled: _called,
    JobProgress: _step,
    OtherJobRun: _run,
    Disagreement: _disagreement,
    Elsewhere: _elsewhere,
}
