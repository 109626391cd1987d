"""Earned trust: native answers go out where PHP has been seen to give the same.

What native answers are made of is told apart by `Record`: one for each class, form of the job, classes of its
models and outcome. While a record is not earned, PHP resolves its jobs too, and PHP's answer goes out; a few
answers in a row that are alike earn it. Each branch of the app's code that evaluation takes has to earn its
own: a job that takes another one is PHP's, whatever its record has earned. From then on native's go out, and
one in CHECKED_EVERY, and one in CHECKED_WITHIN seconds at least, is checked beside (`checks.py`). Where the
two differ for good, the whole class is PHP's until the app changes.

All that holds for one state of the app, whose hash is the `basis`: its source, configuration, release and
PHP, and this bridge. With another basis everything is earned anew.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Protocol

from bridge.errors import Refused
from bridge.jobs.resolve.comparison import Verdict
from bridge.laravel.payload import BroadcastEvent
from bridge.phpeval.laravel.object_conversions import MODEL_IDENTIFIER
from bridge.phpeval.php.runtime.values import PhpObject
from bridge.phpeval.php.serialization.templates import Template, TemplateMatch

JOBS = 5  # alike in a row, until native answers by itself
CHECKED_EVERY = 1000  # jobs
CHECKED_WITHIN = 3600.0  # seconds
TWICE = 2  # differences in a row that count; one may be a row that changed in between
CHANGE_PERIOD = 3.0  # seconds after a change of the app in which PHP may still run what was there before
MOST = 4096  # records looked up by form; all are looked up anew then

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """What is kept of a record.

    agreed      jobs for which both gave the same, since the last difference
    checked_at  unix seconds of the last comparison; 0: never
    branches    that have been earned: numbers of `Interpreter.path`
    """

    class_name: str
    agreed: int = 0
    checked_at: float = 0.0
    branches: Set[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All that is known for one basis: key of the record → what it has earned, and class → the paths at which
    native and PHP differed."""

    earned: Mapping[str, Earned] = field(default_factory=dict)
    differing: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTrust:
    """All records of a class together; `differing` as in `Standing`."""

    agreed: int = 0
    checked_at: float = 0.0
    differing: Sequence[str] = ()


def by_class(standing: Standing) -> dict[str, ClassTrust]:
    """What is known of each class."""
    found: dict[str, ClassTrust] = {}
    for one in standing.earned.values():
        so_far = found.get(one.class_name, ClassTrust())
        found[one.class_name] = ClassTrust(
            agreed=so_far.agreed + one.agreed, checked_at=max(so_far.checked_at, one.checked_at)
        )
    for name, paths in standing.differing.items():
        found[name] = replace(found.get(name, ClassTrust()), differing=tuple(paths))
    return found


class Store(Protocol):
    """Where a standing outlives the process."""

    def load(self, basis: str) -> Standing:
        """What is kept for this basis; nothing where there is none, or none that can be read."""
        ...

    def merge(self, basis: str, standing: Standing) -> Standing:
        """`standing` joined with what other processes have kept meanwhile, which is kept now."""
        ...


@dataclass(slots=True, eq=False)
class Record:
    """See above. For `Trust` to change; `earned` and `branches` are all that others look at."""

    key: str
    class_name: str
    agreed: int = 0
    checked_at: float = 0.0
    branches: Set[int] = frozenset()
    counted: dict[int, int] = field(default_factory=dict)  # branch that is not earned yet → jobs alike
    differences: int = 0  # in a row
    earned: bool = False
    left: int = CHECKED_EVERY  # jobs until the next check
    due_at: float = 0.0  # monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """Native evaluation and PHP differ for a class; `paths` in its broadcasts, never values."""

    class_name: str
    paths: tuple[str, ...]


def subject(event: BroadcastEvent) -> str:
    """The class of the app whose code the event is made by: of Laravel's own events, what they hold."""
    if event.class_name.startswith("Illuminate\\"):
        for name in ("notification", "model"):
            held = event.event.get(name)
            if isinstance(held, PhpObject):
                of_model = held.get("class") if held.class_name == MODEL_IDENTIFIER else None
                return of_model.decode("utf-8", "replace") if isinstance(of_model, bytes) else held.class_name
    return event.class_name


def _models(event: BroadcastEvent) -> list[str]:
    """The classes of its models."""
    return sorted({str(one.get("class")) for one in event.objects if one.class_name == MODEL_IDENTIFIER})


def _model_groups(template: Template) -> tuple[int, ...]:
    """Which groups of a template name the class of a model."""
    identifiers = {at for at, one in enumerate(template.containers) if one.class_name == MODEL_IDENTIFIER}
    return tuple(group for place, key, group in template.texts if place in identifiers and key == b"class")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRate:
    """How much is compared with PHP: `jobs` (see JOBS), then one of `every`, and one `within` seconds."""

    jobs: int = JOBS
    every: int = CHECKED_EVERY
    within: float = CHECKED_WITHIN


class Trust:
    """For the thread of a ladder, and that of its checks.

    basis        the hash, computed when it is asked for
    generation   a number that is another one once the source may have changed
    rate         how much is compared with PHP
    php_is_down  why PHP cannot be asked at present; None if it can
    on_disagree  gets every confirmed difference
    """

    def __init__(
        self,
        store: Store,
        basis: Callable[[], str],
        generation: Callable[[], int] = lambda: 0,
        *,
        rate: CheckRate = CheckRate(),
        php_is_down: Callable[[], str | None] = lambda: None,
        on_disagree: Callable[[Disagreement], object] = lambda found: None,
    ) -> None:
        self._store = store
        self._compute = basis
        self._of_source = generation
        self._jobs = rate.jobs
        self.php_is_down = php_is_down
        self._on_disagree = on_disagree
        self._every = rate.every
        self._within = rate.within
        self._lock = threading.Lock()
        self._basis = ""
        self._generation = -1
        self._changing_until = 0.0  # monotonic
        self._records: dict[str, Record] = {}
        self._by_form: dict[tuple[object, ...], Record] = {}
        self._places: dict[Template, tuple[int, ...]] = {}
        self._kept: dict[str, Earned] = {}
        self._differing: dict[str, Sequence[str]] = {}
        self._renew()

    def is_current(self) -> bool:
        """Whether the app is as it was; if not, what was earned is forgotten, and its records with it."""
        if self._generation == self._of_source():
            return True
        with self._lock:
            before = self._basis
            self._renew()
            if self._basis != before:
                self._changing_until = time.monotonic() + CHANGE_PERIOD
            return self._basis == before

    def _renew(self) -> None:
        generation = self._of_source()
        try:
            basis = self._compute()
        except (OSError, Refused) as problem:  # nothing can be earned for what cannot be read
            basis = ""
            log.warning("the app's source cannot be read", extra={"action": "trust", "why": str(problem)})
        self._generation = generation
        if basis and basis == self._basis:
            return
        self._basis, self._records, self._by_form = basis, {}, {}
        standing = self._store.load(basis) if basis else Standing()
        self._kept = dict(standing.earned)
        self._differing = dict(standing.differing)

    def distrusts(self, event: BroadcastEvent) -> bool:
        """Whether native has differed from PHP for the event's class, so that PHP alone is asked."""
        return bool(self._differing) and subject(event) in self._differing

    def record(self, event: BroadcastEvent, fit: TemplateMatch | None, outcome: str) -> Record:
        """The record of such answers to such jobs; `fit`: None where the command has no template."""
        if fit is None:
            form: tuple[object, ...] = (event.class_name, subject(event), outcome, *_models(event))
        else:
            places = self._places.get(fit.template)
            if places is None:
                places = self._places[fit.template] = _model_groups(fit.template)
            form = (fit.template, outcome, *[fit.groups[place] for place in places])
        record = self._by_form.get(form)
        if record is None:
            name, template = subject(event), "" if fit is None else fit.template.name
            text = "\0".join([name, event.class_name, template, *_models(event), outcome])
            key = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
            with self._lock:
                if len(self._by_form) >= MOST:
                    self._by_form.clear()
                    self._places.clear()
                record = self._by_form[form] = self._known(key, name)
        return record

    def _known(self, key: str, name: str) -> Record:
        record = self._records.get(key)
        if record is None:
            kept = self._kept.get(key) or Earned(class_name=name)
            record = Record(key, name, kept.agreed, kept.checked_at, kept.branches)
            self._records[key] = record
            self._judge(record)
        return record

    def is_due(self, record: Record) -> bool:
        """Whether this job is one to be checked; the next one is not."""
        record.left -= 1
        if record.left > 0 and time.monotonic() < record.due_at:
            return False
        self._rearm(record)
        return True

    def learn(
        self, record: Record, verdict: Verdict, paths: Sequence[str], branches: Set[int] = frozenset()
    ) -> None:
        """Counts a job of this record that both resolved, as compared; `branches` that evaluation took."""
        if verdict == "unclear" or time.monotonic() < self._changing_until:
            return
        if verdict == "different" and self._has_changed():  # PHP has seen it before us
            return
        disagree = False
        with self._lock:
            if self._records.get(record.key) is not record:  # of the app as it was
                return
            record.checked_at = time.time()
            if verdict == "different":
                record.differences += 1
                record.agreed = 0
                record.branches -= branches
                record.counted.clear()
            else:
                record.differences = 0
                record.agreed += 1
                self._count(record, branches)
            disagree = record.differences >= TWICE and record.class_name not in self._differing
            if disagree:
                self._differing[record.class_name] = tuple(paths)
            was_earned = record.earned
            self._judge(record)
            if disagree or record.earned or was_earned:
                self._save()
        if disagree:
            about = {"action": "native_disagrees", "event_class": record.class_name, "paths": list(paths)}
            log.error(
                "native evaluation and PHP differ: the class is PHP's until the next deploy", extra=about
            )
            self._on_disagree(Disagreement(class_name=record.class_name, paths=tuple(paths)))

    def _count(self, record: Record, branches: Set[int]) -> None:
        new = branches - record.branches
        record.counted.update((branch, record.counted.get(branch, 0) + 1) for branch in new)
        record.branches |= {branch for branch in new if record.counted[branch] >= self._jobs}

    def _has_changed(self) -> bool:
        try:
            return self._compute() != self._basis
        except (OSError, Refused):
            return True

    def save(self) -> None:
        """Saves what was earned so far."""
        with self._lock:
            self._save()

    def _judge(self, record: Record) -> None:
        record.earned = record.agreed >= self._jobs and record.class_name not in self._differing
        if record.class_name in self._differing:
            for other in self._records.values():
                other.earned = other.earned and other.class_name != record.class_name
        self._rearm(record)

    def _rearm(self, record: Record) -> None:
        record.left = self._every
        since = max(0.0, time.time() - record.checked_at)
        record.due_at = time.monotonic() + max(self._within - since, min(60.0, self._within))

    def _save(self) -> None:
        if not self._basis:
            return
        own = {
            key: Earned(
                class_name=one.class_name,
                agreed=one.agreed,
                checked_at=one.checked_at,
                branches=one.branches,
            )
            for key, one in self._records.items()
        }
        joined = self._store.merge(
            self._basis, Standing(earned={**self._kept, **own}, differing=self._differing)
        )
        self._kept = dict(joined.earned)
        for name in joined.differing.keys() - self._differing.keys():  # found by another process
            self._differing[name] = joined.differing[name]
            for record in self._records.values():
                record.earned = record.earned and record.class_name != name


def joined(one: Standing, other: Standing) -> Standing:
    """What two processes know together: the later comparison of a record counts, and every difference."""
    earned = dict(one.earned)
    for key, theirs in other.earned.items():
        ours = earned.get(key)
        if ours is None or theirs.checked_at > ours.checked_at:
            earned[key] = theirs
        if ours is not None:
            earned[key] = replace(earned[key], branches=ours.branches | theirs.branches)
    return Standing(earned=earned, differing={**other.differing, **one.differing})
