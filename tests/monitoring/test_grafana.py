"""docker/grafana.json asks for what `/metrics` has, by labels that are there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bridge.jobs.queue.queue import Depth
from bridge.monitoring.metrics import ScrapeState, TallyCollector
from tests.monitoring.test_counters import Clock, busy

FILE = Path(__file__).parents[2] / "docker/grafana.json"


def served() -> dict[str, set[str]]:
    """Metric → its labels, of a bridge to which everything has happened."""
    depth = Depth(pending=1, delayed=1, reserved=1, oldest_at=1.0)
    now = ScrapeState(
        channels={"1": 1},
        depths={"default": depth},
        looked_at=0.0,
        slow=0,
        answers=True,
        helpers={"living": 1},
    )
    registry = CollectorRegistry()
    registry.register(TallyCollector(busy(Clock()), lambda: now, lambda: 0))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def asked() -> list[str]:
    board = json.loads(FILE.read_text(encoding="utf-8"))
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]


def test_every_query_is_of_a_metric_that_is_served() -> None:
    names = {name for query in asked() for name in re.findall(r"\bbridge_\w+", query)}
    assert len(names) > 20
    assert names - set(served()) == set()


def test_every_label_of_a_query_is_one_of_the_metric_or_of_prometheus() -> None:
    metrics = served()
    for query in asked():
        for name, selectors in re.findall(r"\b(bridge_\w+)\{([^}]*)\}", query):
            labels = set(re.findall(r"(\w+)=", selectors)) | set(
                re.findall(r"\w+", "".join(re.findall(r"by \(([^)]*)\)", query)))
            )
            assert labels - {"instance", "job"} <= metrics[name], query


def test_every_metric_of_ours_is_on_the_board() -> None:
    names = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in served()}
    shown = " ".join(asked())
    assert sorted(name for name in names if name not in shown) == [
        "bridge_api_messages_total",
        "bridge_broadcasts_total",
        "bridge_connections_opened_total",
        "bridge_info",
    ]
