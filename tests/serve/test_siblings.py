"""Metrics, lists and rows of several processes as those of one."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from bridge.monitoring.counters import Counters
from bridge.monitoring.dashboard.processes import joined as joined_lists
from bridge.monitoring.dashboard.processes import routes_for_others
from bridge.monitoring.journal import Journal
from bridge.monitoring.prometheus import joined
from bridge.serve import siblings as siblings_module
from bridge.serve.counts import SharedCounts
from bridge.serve.siblings import Siblings, forwarding_routes, numbers_route
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.hub_events import Connected, HubEvent, SlowClientClosed, SubscriptionRefused
from bridge.sockets.server.listener import Listener, Sharing
from bridge.sockets.server.node import Node


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
    other.set(1, 1000)
    assert not one.has_fewer(0, 1066)  # a few of many
    assert one.has_fewer(0, 1067)
    other.set(1, 3)
    one.set(0, 4)
    assert one.beside(0) == 3
    assert other.beside(1) == 4
    other.set(1, None)  # it takes nobody any more
    assert not one.has_fewer(0, 4)
    assert one.beside(0) == 0


# ---- what has happened in the others -------------------------------------------------------------------


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who answers late does not count as silent: the machine may be slow."""
    monkeypatch.setattr(siblings_module, "PATIENCE", 60.0)


class Told:
    """A process that answers on a private socket; anew where it is made again."""

    def __init__(self, folder: Path, name: str) -> None:
        self.journal, self.tally = Journal(), Counters(["1"])
        self.node = Node([App(id="1", key="key", secret="secret")])
        self.path = folder / f"{name}.sock"

    def happens(self, event: HubEvent) -> None:
        self.journal.observe(event)
        self.tally.observe(event)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        with socket.socket(socket.AF_UNIX) as private:
            private.bind(str(self.path))
            private.listen()
            routes = [numbers_route(self.journal, self.tally, self.node), *routes_for_others(self.node, ())]
            listener = Listener(self.node, [], sharing=Sharing(private=([private], Starlette(routes=routes))))
            task = asyncio.create_task(listener.run())
            await listener.listening.wait()
            try:
                yield
            finally:
                self.path.unlink()
                await listener.stop()
                await task


@pytest.mark.anyio
async def test_what_happens_in_others_is_told_once_and_counted_over_restarts(tmp_path: Path) -> None:
    siblings = Siblings(tmp_path, "jobs")
    one, two = Told(tmp_path, "sockets-1"), Told(tmp_path, "sockets-2")
    cut = SlowClientClosed(app_id="1", socket_id="1.1", reason="slow")
    for _ in range(5):
        one.happens(cut)  # before anybody asked: no alert is about it
    async with two.serving():
        async with one.serving():
            assert len(await siblings.listen(50)) == 5
            assert siblings.beside.cut == 0
            one.happens(cut)
            two.happens(Connected(app_id="1", socket_id="2.1"))
            heard = await siblings.listen(50)
            assert [(it.process, it.row["text"]) for it in heard] == [
                ("sockets-1", "slow client cut"),
                ("sockets-2", "connected"),
            ]
            half = SubscriptionRefused(
                app_id="1", channel="\ud800", socket_id="1.1", status=400, reason="a name"
            )
            one.happens(half)
            [row] = await siblings.listen(50)
            assert row.row["channel"] == "?"
            assert await siblings.listen(50) == []
            assert (siblings.beside.cut, siblings.beside.connections) == (1, 1)
        assert await siblings.listen(50) == []  # it is gone
        assert (siblings.beside.cut, siblings.beside.connections) == (1, 1)
        again = Told(tmp_path, "sockets-1")
        async with again.serving():
            await siblings.listen(0)
            again.happens(cut)
            assert await siblings.listen(0) == []  # nobody looks: it is counted only
            assert siblings.beside.cut == 2
            assert len(await siblings.listen(50)) == 1


@pytest.mark.anyio
async def test_a_process_that_does_not_answer_is_named_and_the_others_are_listed(tmp_path: Path) -> None:
    siblings = Siblings(tmp_path, "jobs")
    (tmp_path / "sockets-2.sock").touch()
    async with Told(tmp_path, "sockets-1").serving():
        lists = await siblings.lists("connections", "", "")
        assert lists == {"sockets-1": {"total": 0, "rows": []}, "sockets-2": None}
        assert joined_lists({"total": 0, "rows": []}, lists) == {
            "total": 0,
            "rows": [],
            "missing": ["sockets-2"],
        }
        assert not await siblings.disconnect("1", "1.1")
        assert not await siblings.disconnect("another app", "1.1")


@pytest.mark.anyio
async def test_no_certificate_is_read_to_ask_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading them takes 20 ms, and anybody may ask for the dashboard's page."""

    def read(*_: object, **__: object) -> None:
        raise AssertionError("certificates are read")

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", read)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", read)
    (tmp_path / "jobs.sock").touch()
    forward = httpx.ASGITransport(Starlette(routes=forwarding_routes("dashboard", tmp_path)))
    async with httpx.AsyncClient(transport=forward, verify=False) as browser:  # noqa: S501 (no TLS)
        assert (await browser.get("http://bridge/dashboard")).status_code == 503  # `jobs` is away
    async with Told(tmp_path, "sockets-1").serving():
        lists = await Siblings(tmp_path, "jobs").lists("connections", "", "")
        assert lists == {"sockets-1": {"total": 0, "rows": []}}


def test_rows_of_all_come_in_turn_or_by_time_and_are_never_too_many() -> None:
    own = {"total": 1, "rows": [{"id": "a"}]}
    many = {"total": 500, "rows": [{"id": f"b{number}"} for number in range(200)]}
    found = joined_lists(own, {"sockets-1": many, "sockets-2": {"total": 1, "rows": [{"id": "c"}]}})
    assert [row["id"] for row in found["rows"][:4]] == ["a", "b0", "c", "b1"]
    assert (found["total"], len(found["rows"]), found["rows"][1]["process"]) == (502, 200, "sockets-1")
    early, late = {"total": 1, "rows": [{"at": 1.0}]}, {"total": 1, "rows": [{"at": 2.0}]}
    assert [row["at"] for row in joined_lists(early, {"sockets-1": late})["rows"]] == [2.0, 1.0]
