"""The ladder: mapping, framework, native, php; in this order (`RUNGS`), with the reason of each step.

The first rung that knows decides. A rung that refuses passes to the next; where all refuse, so does the
ladder, and the job ends in failed_jobs with all their reasons. Where the release of Laravel is not known,
the oldest and the newest that fit the payload must agree.
"""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath
from typing import NamedTuple

from bridge.errors import (
    BridgeError,
    CheckFailed,
    ConfigurationError,
    JobError,
    Judged,
    NotTried,
    Refused,
    ServiceUnavailable,
    SourceChanging,
    Unreadable,
    WouldFail,
)
from bridge.jobs.resolve.comparison import verdict
from bridge.jobs.resolve.fast_path import FastPath
from bridge.jobs.resolve.resolution import Answer, Resolution, Rung
from bridge.jobs.resolve.rungs.native import NativeRung
from bridge.jobs.resolve.trust import Record, Trust
from bridge.laravel.payload import (
    HANDLER,
    UNIQUE_BROADCAST_EVENT,
    BroadcastEvent,
    Decrypt,
    NotABroadcast,
    Payload,
    broadcast_event,
    foreign,
    read_document,
)
from bridge.phpeval.laravel.object_conversions import MODEL_IDENTIFIER
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.runtime.operators import Thrown
from bridge.phpeval.php.runtime.values import PhpObject
from bridge.phpeval.php.serialization.templates import Template, TemplateMatch, Templates

RUNGS = ("mapping", "framework", "native", "php")  # in the order in which they are asked
_EVALUATING = ("framework", "native")
PROOF_PAUSE = 15.0  # seconds that a job waits for PHP to be back
MAX_FAST_PATHS = 1024  # all are forgotten then

log = logging.getLogger(__name__)

Models = tuple[Version, Sequence[PhpObject]]  # the identifiers in one event, and its release


@dataclass(frozen=True, kw_only=True)
class LadderParts:
    """
    version    of the app's Laravel
    derives    whether a class derives from Laravel's event; None: not known
    prepare    gets the models of each event that comes next, to read what they have in common; without any,
               forgets it
    fast_path  the short way of events like one that the native rung has broadcast; raises Refused for none
    trust      what evaluation has to earn beside PHP, None for nothing
    check      gets the answers that are to be checked
    on_close   what `close` ends
    """

    version: Version | None = None
    derives: Callable[[str], bool | None] = lambda _: False
    prepare: Callable[[Sequence[Models]], None] = lambda _: None
    fast_path: Callable[[BroadcastEvent, TemplateMatch], FastPath] | None = None
    trust: Trust | None = None
    check: Callable[[Record, Payload, Resolution], object] = lambda record, payload, sent: None
    on_close: Callable[[], None] = lambda: None


class Ladder:
    """`rungs` may come in any order, and are asked in that of `RUNGS`.

    only  the names of the rungs that may answer; all by default
    """

    def __init__(
        self,
        rungs: Sequence[Rung],
        decrypt: Decrypt,
        *,
        only: Collection[str] = RUNGS,
        parts: LadderParts = LadderParts(),
    ) -> None:
        unknown = [name for name in only if name not in RUNGS]
        if unknown:
            raise ConfigurationError(
                "only", f"names no rung: {unknown[0]}", remedy=f"choose from {', '.join(RUNGS)}"
            )
        allowed = sorted(
            (rung for rung in rungs if rung.name in only), key=lambda rung: RUNGS.index(rung.name)
        )
        self._rungs = [rung for rung in allowed if rung.name != "php"]
        self._php = next((rung for rung in allowed if rung.name == "php"), None)
        self._decrypt = decrypt
        self._version = parts.version
        self._derives = parts.derives
        self._templates = Templates()
        self._prepare = parts.prepare
        self._fast_path = parts.fast_path
        self._fast_paths: dict[Template, FastPath | None] = {}
        self.trust = self._trust = parts.trust if self._php is not None else None
        self._check = parts.check
        self._records: dict[Template, Record] = {}  # of the answers of fast paths
        self._not_evaluated: set[str] = (
            set()
        )  # classes whose last event was not evaluated: nothing to prepare
        self.close = parts.on_close

    def resolve(self, payload: Payload) -> Resolution:
        """What Laravel would broadcast for the job. Raises only ServiceUnavailable."""
        return self._decide(self._read(payload))

    def batch(self, documents: Sequence[Mapping[str, object]]) -> Iterator[Callable[[], Resolution]]:
        """For each job a call that resolves it, to be made before the next is taken; what the jobs have in
        common is read once for all. The call raises as `read_document` and `resolve` do."""
        jobs = [self._job(document) for document in documents]
        self._ready([models for job in jobs if isinstance(job, _Job) and (models := self._models(job))])
        try:
            for job in jobs:
                yield partial(self._decide, job)
        finally:
            self._ready(())

    def lacks(self, event: BroadcastEvent) -> bool:
        """Whether the event's class is to be among the app's sources, and is not. Raises as `resolve`."""
        native = self._native()
        return native is not None and native.lacks(event)

    def _native(self) -> NativeRung | None:
        return next((rung for rung in self._rungs if isinstance(rung, NativeRung)), None)

    def channels(self, document: Mapping[str, object]) -> frozenset[str] | None:
        """Where the job's event goes, as far as evaluation of `broadcastOn()` alone shows."""
        native = self._native()
        if native is None:
            return None
        try:
            event = self.event(read_document(document))
            return None if event.only_php or event.foreign else native.channels(event)
        except Exception:  # whatever it is, it is said where the event itself is resolved
            return None

    def _models(self, job: _Job) -> Models | None:
        """Of an event that will be evaluated."""
        event = job.content
        if isinstance(event, FastPath):
            return (event.version, job.identifiers) if job.identifiers else None
        if isinstance(event, Resolution) or event.only_php or event.foreign:
            return None
        if event.class_name in self._not_evaluated:
            return None
        return event.version, [one for one in event.objects if one.class_name == MODEL_IDENTIFIER]

    def _ready(self, models: Sequence[Models]) -> None:
        with contextlib.suppress(Exception):  # each event will meet it by itself
            self._prepare(models)

    def _job(self, document: Mapping[str, object]) -> _Job | BridgeError:
        try:
            return self._read(read_document(document))
        except (Unreadable, ServiceUnavailable) as problem:
            return problem

    def _read(self, payload: Payload) -> _Job:
        fit = self._templates.fit(payload.command) if payload.document.get("job") == HANDLER else None
        known = fit is not None and not foreign(payload.document)
        fast_path = self._fast_paths.get(fit.template) if fit is not None and known else None
        identifiers = None if fast_path is None or fit is None else fast_path.identifiers(fit.groups)
        if fast_path is None or identifiers is None:
            return _Job(payload, fit, self._event_of(payload, fit))
        return _Job(payload, fit, fast_path, identifiers)

    def _event_of(self, payload: Payload, fit: TemplateMatch | None) -> BroadcastEvent | Resolution:
        """The event, or what becomes of a job that holds none. Raises ServiceUnavailable."""
        label = payload.display_name or payload.command_name or (payload.handler or "")
        try:
            with _faults(label):
                return self.event(payload, fit)
        except NotABroadcast as other:
            return Resolution(outcome="other", event=label, why=str(other))
        except WouldFail as failure:
            return Resolution(outcome="failed", event=label, why=str(failure))
        except Refused as refusal:
            return Resolution(outcome="refused", event=label, why=str(refusal))

    def _decide(self, job: _Job | BridgeError) -> Resolution:
        if isinstance(job, BridgeError):
            raise job
        event = job.content
        if isinstance(event, FastPath):
            short = self._shortened(event, job)
            if short is not None:
                return short
            event = self._event_of(job.payload, job.fit)
        if isinstance(event, Resolution):
            return event
        resolution = self._resolve_event(event, job)
        if job.fit is not None:
            self._learn(event, job.fit, resolution)
        if resolution.by in _EVALUATING:
            self._not_evaluated.discard(event.class_name)
        else:
            self._not_evaluated.add(event.class_name)
        return resolution

    def _shortened(self, fast_path: FastPath, job: _Job) -> Resolution | None:
        """Resolves by the fast path; None where the rungs have to."""
        if job.fit is None:
            return None
        try:
            resolution = fast_path.resolve(job.fit.groups, job.identifiers)
        except (ServiceUnavailable, MemoryError):
            raise
        except Exception:  # the general way meets it too, or does better
            return None
        if resolution is None or self._trust is None:
            return resolution
        record = self._records.get(job.fit.template)
        if record is None or not record.earned:  # a fast path itself sees that the app has changed
            self._fast_paths.clear()
            self._records.clear()
            return None
        if not resolution.path <= record.branches:
            return None
        if self._trust.is_due(record):
            self._check(record, job.payload, resolution)
        return resolution

    def _learn(self, event: BroadcastEvent, fit: TemplateMatch, resolution: Resolution) -> None:
        """Lets the next event of this template take the fast path, if that leads to the same for this one."""
        native = resolution.by == "native" and resolution.outcome == "broadcast"
        if self._fast_path is None or not native or event.oldest != event.version:
            return
        known = self._fast_paths.get(fit.template, self)
        if known is None or (isinstance(known, FastPath) and known.is_current()):
            return  # there is none, or that one is of other classes of models
        if self._trust is not None:
            self._records[fit.template] = self._trust.record(event, fit, "broadcast")
        if len(self._fast_paths) >= MAX_FAST_PATHS:
            self._fast_paths.clear()
        self._fast_paths[fit.template] = None
        with contextlib.suppress(Exception):  # the answer is there already
            made = self._fast_path(event, fit)
            if made.resolve(fit.groups, made.identifiers(fit.groups) or ()) == resolution:
                self._fast_paths[fit.template] = made

    def event(self, payload: Payload, fit: TemplateMatch | None = None) -> BroadcastEvent:
        """The event that the job carries, `fit` of its command if known; raises as `broadcast_event` does."""
        return broadcast_event(
            payload,
            self._decrypt,
            version=self._version,
            derives=self._derives,
            read=self._templates.unserialize if fit is None else fit.read,
        )

    def _resolve_event(self, event: BroadcastEvent, job: _Job) -> Resolution:
        """What the first rung says that knows. Raises ServiceUnavailable."""
        began = time.monotonic()
        resolution = self._without_php(event)
        if resolution.by in _EVALUATING and self._trust is not None and self._php is not None:
            return self._trusted(event, job, resolution, began, self._trust, self._php)
        if resolution.outcome != "refused":
            return resolution
        if self._php is None:
            return replace(resolution, why=resolution.why or f"no rung knows {event.class_name}")
        self._ready(())  # PHP takes its time, and may write
        by_php = self._ask_rungs([self._php], event)
        if by_php.outcome != "refused":
            return by_php
        return replace(by_php, why="; ".join(filter(None, (resolution.why, by_php.why))))

    def _trusted(
        self, event: BroadcastEvent, job: _Job, native: Resolution, began: float, trust: Trust, php: Rung
    ) -> Resolution:
        """What evaluation says, where it has earned it; else what PHP says, and both are compared."""
        trust.is_current()
        # A template is known from the second reading of its first job on.
        fit = job.fit or self._templates.fit(job.payload.command)
        record = trust.record(event, fit, native.outcome)
        if record.earned and native.path <= record.branches:
            if not trust.is_due(record):
                return native
            if (
                event.command.class_name != UNIQUE_BROADCAST_EVENT
            ):  # PHP cannot run it beside: see `checks.py`
                self._check(record, job.payload, native)
                return native
        self._ready(())
        try:
            by_php = self._ask_rungs([php], event)
        except ServiceUnavailable as problem:
            self._require_php(event, str(problem))
            raise
        if by_php.outcome == "refused":
            self._require_php(event, by_php.why)
        found, paths = verdict(native, by_php, lambda: self._evaluated_anew(event), time.monotonic() - began)
        trust.learn(record, found, paths, native.path)
        return by_php

    def _require_php(self, event: BroadcastEvent, why: str) -> None:
        """Raises NotTried where PHP is down: what is not proven waits."""
        if self._trust is not None and self._trust.php_is_down() is not None:
            message = f"{event.class_name} waits for PHP to prove what native evaluation says: {why}"
            raise NotTried(message, PROOF_PAUSE)

    def _evaluated_anew(self, event: BroadcastEvent) -> Resolution:
        """Evaluation leaves its traces in the event's objects, so that they are read anew."""
        try:
            return self._without_php(self.event(event.payload))
        except (JobError, ServiceUnavailable) as problem:
            return Resolution(outcome="refused", event=event.class_name, why=str(problem))

    def _without_php(self, event: BroadcastEvent) -> Resolution:
        rungs = self._rungs
        if self._trust is not None and self._trust.distrusts(event):
            rungs = [rung for rung in rungs if rung.name not in _EVALUATING]
        resolution = self._ask_rungs(rungs, event)
        if event.oldest == event.version or resolution.by is None:
            return resolution
        # Read anew: evaluation leaves its traces in the event's objects.
        older = self._ask_rungs(rungs, replace(self.event(event.payload), version=event.oldest))
        if (older.outcome, older.broadcasts) == (resolution.outcome, resolution.broadcasts):
            return resolution
        why = (
            f"Laravel {_text(event.oldest)} and {_text(event.version)} would not do the same: say "
            "which it is with BRIDGE_LARAVEL_VERSION"
        )
        return Resolution(outcome="refused", event=event.class_name, why=why)

    def _ask_rungs(self, rungs: Sequence[Rung], event: BroadcastEvent) -> Resolution:
        """What the first of these rungs says that knows; refused where none does, with the reasons of those
        that had a say."""
        reasons: list[str] = []
        own = False  # the event is Laravel's own: not in the app's sources, so nothing for `native`
        for rung in rungs:
            if own and rung.name == "native":
                continue
            if event.only_php and rung is not self._php:
                reasons.append(f"{rung.name}: the job has {event.only_php}")
                continue
            if event.foreign and rung.name in _EVALUATING:
                reasons.append(f"{rung.name}: the payload has {event.foreign}, which Laravel does not write")
                continue
            try:
                answer = self._ask_rung(rung, event)
            except Refused as refusal:
                reasons.append(f"{rung.name}: {refusal}")
                own = own or rung.name == "framework"
                continue
            except WouldFail as failure:
                return Resolution(
                    outcome="failed",
                    event=event.class_name,
                    by=rung.name,
                    why=str(failure),
                    keeps_lock=isinstance(failure, Judged),
                    retry_in=failure.delay if isinstance(failure, Judged) else None,
                )
            if answer is None:
                continue
            why = "" if answer.calls else answer.why or "no channel or no connection that sends"
            return Resolution(
                outcome="broadcast" if answer.calls else "nothing",
                event=event.class_name,
                by=rung.name,
                broadcasts=tuple(answer.calls),
                why=why,
                keeps_lock=answer.keeps_lock or rung is self._php,
                path=answer.path,
            )
        return Resolution(outcome="refused", event=event.class_name, why="; ".join(reasons))

    def _ask_rung(self, rung: Rung, event: BroadcastEvent) -> Answer | None:
        """The rung's answer. Raises Refused, WouldFail and ServiceUnavailable, and nothing else.

        Whether an event fails is PHP's to say: where evaluation ends with anything but an answer, it may be
        the evaluation that is wrong. Without PHP only a failed check of Laravel's own is certain enough."""
        try:
            with _faults(event.class_name):
                return rung.resolve(event)
        except SourceChanging as change:
            raise NotTried(str(change)) from change
        except WouldFail as failure:
            judged = isinstance(failure, CheckFailed) and self._php is None
            if rung.name not in _EVALUATING or judged:
                raise
            file, line = (failure.file, failure.line) if isinstance(failure, Thrown) else ("", 0)
            raise Refused(f"Laravel would throw, it seems: {failure}", file=file, line=line) from failure


class _Job(NamedTuple):
    """A job, how its command was read where the template is known, and what was found in it; with a fast path
    also `identifiers` of the models."""

    payload: Payload
    fit: TemplateMatch | None
    content: BroadcastEvent | Resolution | FastPath
    identifiers: Sequence[PhpObject] = ()


@contextlib.contextmanager
def _faults(label: str) -> Iterator[None]:
    """A fault of bridge's own within is Refused; one of the machine's, which may pass, NotTried."""
    try:
        yield
    except (BridgeError, NotABroadcast, MemoryError):
        raise
    except OSError as error:
        raise NotTried.because_of(error) from error
    except RecursionError as fault:
        raise Refused("models or values hold each other in a circle, or are nested too deep") from fault
    except Exception as fault:
        frame = traceback.extract_tb(fault.__traceback__)[-1]
        where = f"{PurePath(frame.filename).name}:{frame.lineno}"
        about = {
            "event_class": label,
            "error": type(fault).__name__,
            "at": where,
        }  # its message may quote data
        log.error("an event met a fault of bridge's own", extra={"action": "resolve_fault", **about})
        raise Refused(f"bridge failed with {about['error']} at {where}: please report it") from fault


def _text(version: Version) -> str:
    return ".".join(map(str, version))
