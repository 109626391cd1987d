"""The ladder: mapping, framework, native, php; in this order, with the reason of each step.

The first rung that knows decides. A rung that refuses passes to the next; where all refuse, so does the
ladder, and the job ends in failed_jobs with all their reasons. Where the release of Laravel is not told,
the oldest and the newest that fit the payload must agree.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bridge.errors import ConfigurationError, Refused, Unreadable, WouldFail
from bridge.laravel.payload import (
    HANDLER,
    BroadcastEvent,
    Decrypt,
    NotABroadcast,
    Payload,
    broadcast_event,
    foreign,
    read_document,
)
from bridge.laravel.version import Version
from bridge.php.shapes import Fit, Shape, Shapes
from bridge.resolvers.resolution import Resolution, Rung
from bridge.resolvers.shortcut import Shortcut

RUNGS = ("mapping", "framework", "native", "php")
_EVALUATING = ("framework", "native")
MAX_SHORTCUTS = 1024  # all are forgotten then


class Ladder:
    """`only`: the names of the rungs that may answer; all by default. `prepare`: gets the events that come
    next, to read what they have in common; without any, forgets what was read. `shortcut`: the short
    way of events like one that the native rung has broadcast, raises Refused for none. `on_close`: what
    `close` ends.
    """

    def __init__(
        self,
        rungs: Sequence[Rung],
        decrypt: Decrypt,
        *,
        version: Version | None = None,
        derives: Callable[[str], bool | None] = lambda _: False,
        only: Collection[str] = RUNGS,
        prepare: Callable[[Sequence[BroadcastEvent]], None] = lambda _: None,
        shortcut: Callable[[BroadcastEvent, Fit], Shortcut] | None = None,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        unknown = [name for name in only if name not in RUNGS]
        if unknown:
            raise ConfigurationError(
                "only", f"names no rung: {unknown[0]}", mend=f"choose from {', '.join(RUNGS)}"
            )
        self._rungs = [rung for rung in rungs if rung.name in only]
        self._decrypt = decrypt
        self._version = version
        self._derives = derives
        self._shapes = Shapes()
        self._prepare = prepare
        self._shortcut = shortcut
        self._shortcuts: dict[Shape, Shortcut | None] = {}
        self._elsewhere: set[str] = set()  # classes whose last event was not evaluated: nothing to prepare
        self.close = on_close

    def resolve(self, payload: Payload) -> Resolution:
        """What Laravel would broadcast for the job. Raises only ServiceUnavailable."""
        return self._decide(self._read(payload))

    def batch(self, documents: Sequence[Mapping[str, object]]) -> Iterator[Callable[[], Resolution]]:
        """For each job a call that resolves it, to be made before the next is taken; what the jobs have in
        common is read once for all. The call raises as `read_document` and `resolve` do."""
        jobs = [self._job(document) for document in documents]
        found = (job.found for job in jobs if isinstance(job, _Job))
        events = (event for event in found if isinstance(event, BroadcastEvent))
        ours = (event for event in events if not event.only_php and not event.foreign)
        self._prepare([event for event in ours if event.class_name not in self._elsewhere])
        try:
            for job in jobs:
                yield partial(self._decide, job)
        finally:
            self._prepare(())

    def _job(self, document: Mapping[str, object]) -> _Job | Unreadable:
        try:
            return self._read(read_document(document))
        except Unreadable as problem:
            return problem

    def _read(self, payload: Payload) -> _Job:
        fit = self._shapes.fit(payload.command) if payload.handler == HANDLER else None
        known = fit is not None and not foreign(payload.document)
        shortcut = self._shortcuts.get(fit.shape) if fit is not None and known else None
        return _Job(payload, fit, shortcut or self._found(payload, fit))

    def _found(self, payload: Payload, fit: Fit | None) -> BroadcastEvent | Resolution:
        """The event, or what becomes of a job that holds none."""
        label = payload.display_name or payload.command_name or (payload.handler or "")
        try:
            return self.event(payload, fit)
        except NotABroadcast as other:
            return Resolution(outcome="other", event=label, why=str(other))
        except WouldFail as failure:
            return Resolution(outcome="failed", event=label, why=str(failure))
        except Refused as refusal:
            return Resolution(outcome="refused", event=label, why=str(refusal))

    def _decide(self, job: _Job | Unreadable) -> Resolution:
        if isinstance(job, Unreadable):
            raise job
        event = job.found
        if isinstance(event, Shortcut):
            short = event.resolve(job.fit.groups) if job.fit is not None else None
            if short is not None:
                return short
            event = self._found(job.payload, job.fit)
        if isinstance(event, Resolution):
            return event
        resolution = self._climb(event)
        if job.fit is not None:
            self._learn(event, job.fit, resolution)
        if resolution.by in _EVALUATING:
            self._elsewhere.discard(event.class_name)
        else:
            self._elsewhere.add(event.class_name)
        if event.oldest != event.version and resolution.by not in (None, "php"):
            # Read anew: evaluation leaves its traces in the event's objects.
            older = self._climb(replace(self.event(event.payload), version=event.oldest))
            if (older.outcome, older.broadcasts) != (resolution.outcome, resolution.broadcasts):
                why = (
                    f"Laravel {_text(event.oldest)} and {_text(event.version)} would not do the same: say "
                    "which it is with BRIDGE_LARAVEL_VERSION"
                )
                return Resolution(outcome="refused", event=event.class_name, why=why)
        return resolution

    def _learn(self, event: BroadcastEvent, fit: Fit, resolution: Resolution) -> None:
        """The next event of this shape takes the short way, if that leads to the same for this one."""
        native = resolution.by == "native" and resolution.outcome == "broadcast"
        if self._shortcut is None or not native or event.oldest != event.version:
            return
        if self._shortcuts.get(fit.shape, self) is None:
            return
        if len(self._shortcuts) >= MAX_SHORTCUTS:
            self._shortcuts.clear()
        self._shortcuts[fit.shape] = None
        with contextlib.suppress(Refused, WouldFail):
            made = self._shortcut(event, fit)
            if made.resolve(fit.groups) == resolution:
                self._shortcuts[fit.shape] = made

    def event(self, payload: Payload, fit: Fit | None = None) -> BroadcastEvent:
        """The event that the job carries, `fit` of its command if known; raises as `broadcast_event` does."""
        return broadcast_event(
            payload,
            self._decrypt,
            version=self._version,
            derives=self._derives,
            read=self._shapes.unserialize if fit is None else fit.read,
        )

    def _climb(self, event: BroadcastEvent) -> Resolution:
        reasons: list[str] = []
        for rung in self._rungs:
            if event.only_php and rung.name != "php":
                reasons.append(f"{rung.name}: the job has {event.only_php}")
                continue
            if event.foreign and rung.name in _EVALUATING:
                reasons.append(f"{rung.name}: the payload has {event.foreign}, which Laravel does not write")
                continue
            if rung.name == "php":
                self._prepare(())  # it takes its time, and may write
            try:
                answer = rung.resolve(event)
            except Refused as refusal:
                reasons.append(f"{rung.name}: {refusal}")
                continue
            except WouldFail as failure:
                return Resolution(outcome="failed", event=event.class_name, by=rung.name, why=str(failure))
            if answer is None:
                continue
            why = "" if answer.calls else answer.why or "no channel or no connection that sends"
            return Resolution(
                outcome="broadcast" if answer.calls else "nothing",
                event=event.class_name,
                by=rung.name,
                broadcasts=tuple(answer.calls),
                why=why,
                keeps_lock=answer.keeps_lock or rung.name == "php",
            )
        why = "; ".join(reasons) or f"no rung knows {event.class_name}"
        return Resolution(outcome="refused", event=event.class_name, why=why)


@dataclass(frozen=True, slots=True)
class _Job:
    """A job, how its command was read where the shape is known, and what was found in it."""

    payload: Payload
    fit: Fit | None
    found: BroadcastEvent | Resolution | Shortcut


def _text(version: Version) -> str:
    return ".".join(map(str, version))
