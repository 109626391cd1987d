"""Alerts: rules over what is counted, and when somebody is told. Pure: facts and time come in.

A rule that begins to hold is told once, again after `REMIND` while it holds, and once more when it has not
held for `CALM`. Two classes that native evaluation and PHP see differently are two events, told one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

WINDOW = 300.0  # seconds in which failures and cut clients are counted
REMIND = 3_600.0
CALM = 60.0

State = Literal["firing", "over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """From where on a rule holds; 0: never.

    wait           seconds that the oldest job has been due
    failures       jobs that failed within WINDOW
    cut_clients    clients that were disconnected within WINDOW because they did not read
    php_down       seconds for which no PHP process can be started
    disagreements  whether to tell that native evaluation and PHP differ
    """

    wait: float
    failures: int
    cut_clients: int
    php_down: float
    disagreements: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known at a moment. `oldest`: seconds, None where nothing waits or another bridge tells;
    `failed`, `cut`, `disagreements`: since the start."""

    oldest: float | None
    failed: int
    cut: int
    disagreements: int
    php_is_down: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """`rule`: long_wait, failures, cut_clients, php_down or disagreement; `text`: one sentence, without
    payloads, users and secrets."""

    rule: str
    state: State
    text: str


@dataclass(slots=True)
class _Held:
    """A rule that was told."""

    told_at: float
    held_at: float  # the last time that it held


class Alerts:
    """`check` about every quarter of a minute. `now` never goes back."""

    def __init__(self, rules: AlertRules) -> None:
        self.rules = rules
        self._seen: deque[tuple[float, int, int]] = deque()  # when, failed, cut
        self._held: dict[str, _Held] = {}
        self._disagreements: int | None = None
        self._down_since: float | None = None

    def check(self, facts: Facts, now: float) -> list[Alert]:
        """What is to be told now."""
        holds = dict(self._holding(facts, now))
        told: list[Alert] = []
        for rule, text in holds.items():
            held = self._held.get(rule)
            if held is None or now - held.told_at >= REMIND:
                self._held[rule] = held = _Held(now, now)
                told.append(Alert(rule=rule, state="firing", text=text))
            held.held_at = now
        for rule, held in list(self._held.items()):
            if rule not in holds and now - held.held_at >= CALM:
                del self._held[rule]
                told.append(Alert(rule=rule, state="over", text=_OVER[rule]))
        told.extend(self._new_disagreements(facts))
        return told

    def _holding(self, facts: Facts, now: float) -> Iterator[tuple[str, str]]:
        rules = self.rules
        if rules.wait and facts.oldest is not None and facts.oldest >= rules.wait:
            yield "long_wait", f"The oldest job in the queue has waited for {facts.oldest:,.0f} s."
        failed, cut = self._within(facts, now)
        if rules.failures and failed >= rules.failures:
            yield "failures", f"{failed:,} jobs failed within {WINDOW / 60:.0f} minutes."
        if rules.cut_clients and cut >= rules.cut_clients:
            yield (
                "cut_clients",
                f"{cut:,} clients were cut within {WINDOW / 60:.0f} minutes: they did not read.",
            )
        if not facts.php_is_down:
            self._down_since = None
        elif self._down_since is None:
            self._down_since = now
        if rules.php_down and self._down_since is not None and now - self._down_since >= rules.php_down:
            yield "php_down", "No PHP process can be started: see the log. Jobs that need PHP wait."

    def _within(self, facts: Facts, now: float) -> tuple[int, int]:
        if not self._seen:
            self._seen.append((now, 0, 0))
        self._seen.append((now, facts.failed, facts.cut))
        while self._seen[1][0] <= now - WINDOW:
            self._seen.popleft()
        _, failed, cut = self._seen[0]
        return facts.failed - failed, facts.cut - cut

    def _new_disagreements(self, facts: Facts) -> Iterator[Alert]:
        before, self._disagreements = self._disagreements or 0, facts.disagreements
        new = facts.disagreements - before
        if new > 0 and self.rules.disagreements:
            many = "a class" if new == 1 else f"{new:,} classes"
            yield Alert(
                rule="disagreement",
                state="firing",
                text=f"Native evaluation and PHP differ for {many}: the log names it. PHP's answers count.",
            )


_OVER: Mapping[str, str] = {
    "long_wait": "Jobs do not wait for long any more.",
    "failures": "No more jobs fail than usual.",
    "cut_clients": "No more clients are cut than usual.",
    "php_down": "PHP processes start again.",
}
