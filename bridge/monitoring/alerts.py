"""Alerts: rules over what is counted, and when they are sent. Pure: facts and time are arguments.

An alert is sent when its rule begins to fire, again after `REMIND` while it fires, and once more when it has
not fired for `CALM`. Each class for which native evaluation and PHP differ is an alert of its own.
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
    """The threshold from which each rule fires; 0: never.

    wait           seconds that the oldest job has been due
    failures       jobs that failed within WINDOW
    cut_clients    clients that were disconnected within WINDOW because they did not read
    php_down       seconds for which no PHP process can be started
    disagreements  whether to send that native evaluation and PHP differ
    """

    wait: float
    failures: int
    cut_clients: int
    php_down: float
    disagreements: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known at a moment. `oldest`: seconds, None where nothing waits or another bridge sends it;
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
class _Firing:
    """A rule for which an alert was sent. Times: monotonic seconds."""

    sent_at: float
    fired_at: float  # the last time that it fired


class Alerts:
    """Decides which alerts are sent. `now`: monotonic seconds."""

    def __init__(self, rules: AlertRules) -> None:
        self.rules = rules
        self._seen: deque[tuple[float, int, int]] = deque()  # when, failed, cut
        self._firing: dict[str, _Firing] = {}
        self._disagreements: int | None = None
        self._down_since: float | None = None

    def check(self, facts: Facts, now: float) -> list[Alert]:
        """Returns the alerts to send now. Call it about every quarter of a minute."""
        now_firing = dict(self._rules_that_fire(facts, now))
        alerts: list[Alert] = []
        for rule, text in now_firing.items():
            firing = self._firing.get(rule)
            if firing is None or now - firing.sent_at >= REMIND:
                self._firing[rule] = firing = _Firing(now, now)
                alerts.append(Alert(rule=rule, state="firing", text=text))
            firing.fired_at = now
        for rule, firing in list(self._firing.items()):
            if rule not in now_firing and now - firing.fired_at >= CALM:
                del self._firing[rule]
                alerts.append(Alert(rule=rule, state="over", text=_OVER[rule]))
        alerts.extend(self._new_disagreements(facts))
        return alerts

    def _rules_that_fire(self, facts: Facts, now: float) -> Iterator[tuple[str, str]]:
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
