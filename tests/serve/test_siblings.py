"""Metrics of several processes as those of one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bridge.serve.counts import SharedCounts
from bridge.serve.siblings import joined


def text(number: int) -> bytes:
    registry = CollectorRegistry()
    Gauge("bridge_connections", "Connections now.", ["app"], registry=registry).labels('a"\\\n').set(number)
    Counter("bridge_jobs", "Steps.", ["step"], registry=registry).labels("delivered").inc(number)
    Histogram("bridge_job_seconds", "Time.", registry=registry).observe(number)
    return generate_latest(registry)


def test_every_sample_is_there_once_with_its_process_and_those_that_are_silent_are_told() -> None:
    whole = joined({"sockets-1": text(1), "sockets-2": text(2), "jobs": None}).decode()
    families = {family.name: family for family in text_string_to_metric_families(whole)}
    assert whole.count("# TYPE bridge_connections gauge\n") == 1
    found = {sample.labels["process"]: sample.value for sample in families["bridge_connections"].samples}
    assert found == {"sockets-1": 1, "sockets-2": 2}
    assert {sample.labels["app"] for sample in families["bridge_connections"].samples} == {'a"\\\n'}
    assert (
        sum(sample.value for sample in families["bridge_jobs"].samples if sample.name.endswith("_total")) == 3
    )
    counts = [one for one in families["bridge_job_seconds"].samples if one.name.endswith("_count")]
    assert [one.value for one in counts] == [1, 1]
    up = {sample.labels["process"]: sample.value for sample in families["bridge_process_up"].samples}
    assert up == {"sockets-1": 1, "sockets-2": 1, "jobs": 0}
    samples = [
        (one.name, *sorted(one.labels.items())) for family in families.values() for one in family.samples
    ]
    assert len(samples) == len(set(samples))


def test_whoever_has_more_clients_than_another_lets_it_go_first() -> None:
    one = SharedCounts.new()
    other = SharedCounts(one.descriptor)  # as another process sees it
    assert not one.has_fewer(0, 10)  # it is alone
    other.set(1, 3)
    assert one.has_fewer(0, 4)
    assert not one.has_fewer(0, 3)
    one.set(0, 4)
    assert one.beside(0) == 3
    assert other.beside(1) == 4
    other.set(1, None)  # it takes nobody any more
    assert not one.has_fewer(0, 4)
    assert one.beside(0) == 0
