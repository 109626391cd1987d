"""Summary: what the last minute came to, for the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bridge.jobs.worker.progress import OtherJobRun
from bridge.monitoring.counters import Counters

SUMMARY_INTERVAL = 60.0  # seconds


class Summary:
    """`ran` in any thread, `take` on the loop."""

    def __init__(self, tally: Counters) -> None:
        self._counters = tally
        self._runs: Counter[str] = Counter()
        self._before = self._totals()

    def ran(self, run: OtherJobRun) -> None:
        self._runs[run.ended] += 1

    def take(self) -> Mapping[str, int] | None:
        """What was counted since the last call, and the connections of now. None where nothing happened."""
        totals, before = self._totals(), self._before
        self._before = totals
        counted = {name: total - before[name] for name, total in totals.items()}
        if not any(counted.values()):
            return None
        return counted | {"connections": self._counters.total("connections")}

    def _totals(self) -> dict[str, int]:
        tally, runs = self._counters, self._runs
        return {
            "delivered": tally.steps["delivered"],
            "nothing": tally.steps["nothing"],
            "failed": tally.steps["failed"] + runs["failed"],
            "released": tally.steps["released"] + runs["released"],
            "other_jobs": runs["done"],
            "broadcasts": tally.total("broadcasts"),
            "sent": tally.total("sent"),
            "opened": tally.total("opened"),
            "refused": sum(sum(app.refused.values()) for app in list(tally.apps.values())),
        }
