"""docker/grafana.json and docker/prometheus-rules.yml ask for what `/metrics` has, by its labels."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bridge.jobs.queue.queue import Depth
from bridge.monitoring.alerts import AlertRules
from bridge.monitoring.metrics import ScrapeState
from bridge.monitoring.prometheus import BridgeCollector
from bridge.settings.table import SETTINGS
from tests.monitoring.test_counters import Clock, busy

RULES = Path(__file__).parents[2] / "docker/prometheus-rules.yml"
FILE = Path(__file__).parents[2] / "docker/grafana.json"


def served_text() -> str:
    """What `/metrics` says of a bridge to which everything has happened."""
    depth = Depth(pending=1, delayed=1, reserved=1, oldest_at=1.0)
    now = ScrapeState(
        channels={"1": 1},
        depths={"default": depth},
        looked_at=0.0,
        slow=0,
        answers=True,
        php_processes={"living": 1},
    )
    registry = CollectorRegistry()
    registry.register(BridgeCollector(busy(Clock()), lambda: now, lambda: 0))
    return generate_latest(registry).decode()


def served() -> dict[str, set[str]]:
    """Metric → its labels."""
    families = text_string_to_metric_families(served_text())
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


# ---- rules -----------------------------------------------------------------------------------------


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


BUS = {"bridge_bus_up": set[str]()}  # only where there is one


def test_every_rule_asks_for_a_metric_that_is_served_by_labels_that_it_has() -> None:
    metrics = served() | BUS
    for rule in rules():
        names = re.findall(r"\bbridge_\w+", rule["expr"])
        assert names, rule["alert"]
        for name in names:
            assert name in metrics, rule["alert"]
        labels = set(re.findall(r"(\w+)=\"", rule["expr"]))
        labels |= set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", rule["expr"]))))
        assert labels - {"instance"} <= set().union(*(metrics[name] for name in names)), rule["alert"]


def test_every_value_of_a_label_in_a_rule_is_one_that_is_served() -> None:
    text = served_text()
    for rule in rules():
        for label, value in re.findall(r"(\w+)=\"(\w+)\"", rule["expr"]):
            assert f'{label}="{value}"' in text, rule["alert"]


def test_prometheus_has_a_rule_for_each_of_bridges_own_alerts() -> None:
    own = {field.name for field in fields(AlertRules)}
    metric = {
        "wait": "bridge_queue_oldest_seconds",
        "failures": "bridge_jobs_total",
        "cut_clients": "bridge_slow_clients_cut_total",
        "php_down": "bridge_php_down",
        "disagreements": "bridge_native_disagreements_total",
    }
    assert set(metric) == own
    asked_for = " ".join(rule["expr"] for rule in rules())
    assert [name for name in metric.values() if name not in asked_for] == []
    defaults = {setting.name: setting.default for setting in SETTINGS}
    for name in ("wait", "failures", "cut_clients"):
        number = f"{defaults[f'alert_{name}']:g}"
        [one] = [rule for rule in rules() if metric[name] in rule["expr"]]
        assert re.search(rf"[>=] {number}$", one["expr"]), name


def test_every_rule_says_what_is_wrong_and_what_to_do() -> None:
    for rule in rules():
        assert rule["annotations"].keys() == {"summary", "remedy"}, rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical")
