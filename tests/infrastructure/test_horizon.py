"""Laravel Horizon's Redis, as its own workers would leave it. The keys are those of its repositories."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bridge.jobs.queue.failed_jobs import FailedJob, NoFailedJobs
from bridge.jobs.queue.redis.horizon import Horizon, HorizonFailedJobs, HorizonQueue, Trim
from bridge.laravel.application import load
from bridge.serve.wiring.queue import build_horizon, build_queue
from bridge.settings.load import load_settings
from tests import services
from tests.infrastructure.conftest import MakeApp
from tests.jobs.queue.stores import RedisStore, broadcast

AT = "app_horizon:"


@pytest.fixture
def store(redis_server: services.Redis) -> Iterator[RedisStore]:
    made = RedisStore(redis_server)
    yield made
    made.close()


@pytest.fixture
def horizon(store: RedisStore) -> Iterator[Horizon]:
    made = Horizon(store.server.client(), prefix=AT, trim=Trim(completed=5))
    yield made
    made.close()


def _push(store: RedisStore, id: str, **more: object) -> bytes:
    """As Horizon's own queue does it."""
    known = {"uuid": id, "id": id, "attempts": 0, "type": "broadcast", "pushedAt": "1700000000.5"}
    payload = broadcast(**{**known, "tags": ["App\\Models\\Order:1", "red"], "silenced": False, **more})
    store.push_entry(payload)
    for name in ("recent_jobs", "pending_jobs"):
        store.client.zadd(AT + name, {id: -store.clock()})
    noted: dict[Any, Any] = {
        "id": id,
        "status": "pending",
        "payload": payload,
        "queue": "default",
        "connection": "redis",
    }
    store.client.hset(AT + id, mapping=noted)
    store.client.expire(AT + id, 3600)
    return payload


def _hash(store: RedisStore, id: str) -> dict[str, str]:
    found: Any = store.client.hgetall(AT + id)
    return {key.decode(): value.decode() for key, value in found.items()}


def _members(store: RedisStore, name: str) -> list[str]:
    found: Any = store.client.zrange(AT + name, 0, -1)
    return [member.decode() for member in found]


def test_a_job_is_reserved_and_then_completed_with_its_metrics(store: RedisStore, horizon: Horizon) -> None:
    payload = _push(store, "one")
    queue = HorizonQueue(store.queue(), horizon)
    (job,) = queue.reserve(10)
    known = _hash(store, "one")
    assert known["status"] == "reserved"
    assert float(known["reserved_at"]) == pytest.approx(time.time(), abs=600)
    assert json.loads(known["payload"])["attempts"] == 1
    assert queue.delete([job]) == 1
    assert _hash(store, "one")["status"] == "completed"
    assert store.client.ttl(AT + "one") <= 5 * 60
    assert [_members(store, name) for name in ("pending_jobs", "completed_jobs")] == [[], ["one"]]
    assert _members(store, "monitored_jobs") == []
    name = json.loads(payload)["displayName"]
    for metrics, index in ((f"job:{name}", "measured_jobs"), ("queue:default", "measured_queues")):
        found: Any = store.client.hgetall(AT + metrics)
        assert found[b"throughput"] == b"1"
        assert float(found[b"runtime"]) >= 0
        assert store.client.smembers(AT + index) == {(AT + metrics).encode()}


def test_the_mean_of_the_runtimes_is_kept(store: RedisStore, horizon: Horizon) -> None:
    queue = store.queue()
    for id in ("one", "two"):
        _push(store, id)
    first, second = queue.reserve(10)
    horizon.done([(first, 10.0), (second, 20.0)], "redis")
    assert store.client.hmget(AT + "queue:default", "throughput", "runtime") == [b"2", b"15"]


def test_released_jobs_are_pending_again(store: RedisStore, horizon: Horizon) -> None:
    queue = HorizonQueue(store.queue(), horizon)
    for id in ("one", "two"):
        _push(store, id)
    first, second = queue.reserve(10)
    queue.release(first, 0)
    queue.give_back([second])
    assert [_hash(store, id)["status"] for id in ("one", "two")] == ["pending"] * 2
    assert len(_members(store, "pending_jobs")) == 2
    deleted, again = queue.delete_and_reserve([], 1)()
    assert deleted == 0
    assert [_hash(store, job.uuid)["status"] for job in again] == ["reserved"]
    assert queue.delete_and_reserve(again, 1)()[0] == 1
    assert [_hash(store, job.uuid)["status"] for job in again] == ["completed"]


def test_a_failed_job_stands_among_the_failed_with_its_tags_and_stays_failed(
    store: RedisStore, horizon: Horizon
) -> None:
    payload = _push(store, "one", retry_of="parent")
    retries = [{"id": "zero", "status": "failed"}, {"id": "one", "status": "pending"}]
    store.client.hset(AT + "parent", "retried_by", json.dumps(retries))
    queue = HorizonQueue(store.queue(), horizon)
    failed = HorizonFailedJobs(NoFailedJobs(), horizon)
    (job,) = queue.reserve(1)
    failed.record(
        FailedJob(
            connection_name="redis", queue="default", payload=payload, exception="Refused: not known",
            uuid="one", failed_at=datetime.now(UTC),
        )
    )  # fmt: skip
    queue.delete([job])
    known = _hash(store, "one")
    assert (known["status"], known["exception"]) == ("failed", "Refused: not known")
    for name in ("failed_jobs", "recent_failed_jobs", "failed:red", "failed:App\\Models\\Order:1"):
        assert _members(store, name) == ["one"]
    for name in ("pending_jobs", "completed_jobs"):
        assert _members(store, name) == []
    assert store.client.exists(AT + "queue:default") == 0
    told: Any = store.client.hget(AT + "parent", "retried_by")
    assert [retry["status"] for retry in json.loads(told)] == ["failed", "failed"]


@pytest.mark.parametrize("kept", ["[1]", "{}", '"x"', "[null]", "7", "[" * 100_000, "{"])
def test_a_parent_whose_retries_are_damaged_stops_no_job(
    store: RedisStore, horizon: Horizon, kept: str
) -> None:
    store.client.hset(AT + "parent", "retried_by", kept)
    _push(store, "one", retry_of="parent")
    queue = HorizonQueue(store.queue(), horizon)
    assert queue.delete(queue.reserve(1)) == 1
    assert _hash(store, "one")["status"] == "completed"


@pytest.mark.parametrize(
    "more",
    [
        {"displayName": "\ud800"},
        {"displayName": ["a"]},
        {"tags": ["\ud800", None, 1, {"a": 1}]},
        {"tags": {"a": "b"}},
        {"uuid": "completed_jobs"},
        {"uuid": "masters"},
        {"uuid": "\ud800"},
        {"retry_of": "pending_jobs"},
        {"retry_of": 7},
    ],
    ids=ascii,
)
def test_a_hostile_job_keeps_no_other_from_horizon(
    store: RedisStore, horizon: Horizon, more: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    whole = json.loads(broadcast(uuid="bad", id="bad", attempts=0, pushedAt="1.5", tags=[])) | more
    payload = json.dumps(whole, separators=(",", ":")).encode()
    store.push_entry(payload)
    _push(store, "one")
    queue = HorizonQueue(store.queue(), horizon)
    jobs = queue.reserve(10)
    HorizonFailedJobs(NoFailedJobs(), horizon).record(
        FailedJob(
            connection_name="redis", queue="default", payload=payload, exception="Refused",
            uuid="bad", failed_at=datetime.now(UTC),
        )
    )  # fmt: skip
    assert queue.delete(jobs) == 2
    assert _hash(store, "one")["status"] == "completed"
    assert _members(store, "completed_jobs") == ["one"]
    assert not caplog.records


def test_silenced_and_monitored_jobs_go_where_horizon_looks_for_them(
    store: RedisStore, horizon: Horizon
) -> None:
    store.client.sadd(AT + "monitoring", "red")
    _push(store, "one", silenced=True, tags=[])
    _push(store, "two")
    queue = HorizonQueue(store.queue(), horizon)
    queue.delete(queue.reserve(10))
    assert [_members(store, name) for name in ("silenced_jobs", "completed_jobs")] == [["one"], ["two"]]
    assert _members(store, "monitored_jobs") == ["two"]
    assert _hash(store, "two")["name"]


def test_jobs_that_horizon_does_not_know_leave_no_trace_there(store: RedisStore, horizon: Horizon) -> None:
    store.push(broadcast())
    queue = HorizonQueue(store.queue(), horizon)
    queue.delete(queue.reserve(10))
    assert store.client.keys(AT + "*") == []


def test_where_horizon_cannot_be_told_the_job_goes_its_way_and_one_line_says_so(
    store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    nowhere = redis.Redis(port=services.free_port(), retry=Retry(NoBackoff(), 0))
    with contextlib.closing(HorizonQueue(store.queue(), Horizon(nowhere, prefix=AT))) as queue:
        for id in ("one", "two"):
            _push(store, id)
        jobs = queue.reserve(10)
        assert queue.delete(jobs) == 2
    assert [record.__dict__["action"] for record in caplog.records] == ["horizon"]


DATABASE = """['redis' => ['client' => 'phpredis', 'options' => ['prefix' => 'app_'],
    'default' => ['host' => 'h', 'prefix' => 'mine:'], 'jobs' => ['host' => 'j', 'database' => 3]]]"""
INSTALLED = {"packages": [{"name": "laravel/horizon", "version": "v5.29.1"}]}


@pytest.mark.parametrize(
    ("version", "published", "prefix"),
    [
        ("12.30", None, "mine:"),
        ("12.30", "'use' => 'jobs', 'prefix' => 'own:', 'trim' => ['completed' => 7]", "own:"),
        ("8.83", None, "my_shop_horizon:"),
    ],
)
def test_its_connection_and_prefix_come_from_its_configuration_or_its_package(
    app: MakeApp, version: str, published: str | None, prefix: str
) -> None:
    laravel = app(DATABASE, version=version)
    assert laravel.horizon() is None
    assert build_horizon(laravel) is None
    package = laravel.path / "vendor/laravel/horizon/config/horizon.php"
    package.parent.mkdir(parents=True)
    package.write_text(
        "<?php use Illuminate\\Support\\Str; return ['use' => 'default', 'prefix' => env('HORIZON_PREFIX',"
        " Str::slug(env('APP_NAME', 'laravel'), '_').'_horizon:'), 'trim' => ['completed' => 60]];"
    )
    (laravel.path / "vendor/composer").mkdir()
    (laravel.path / "vendor/composer/installed.json").write_text(json.dumps(INSTALLED))
    (laravel.path / ".env").write_text("APP_NAME='My Shop'")
    if published is not None:
        (laravel.path / "config/horizon.php").write_text(f"<?php return [{published}];")
    facts = load(laravel.path, {}, version).horizon()
    assert facts is not None
    assert (facts.redis.prefix, facts.redis.host) == (prefix, "j" if published else "h")
    assert facts.trim["completed"] == (7 if published else 60)


def test_the_queue_of_an_app_with_horizon_tells_it(app: MakeApp) -> None:
    laravel = app(DATABASE)
    _installed(laravel.path)
    queue = build_queue(load_settings({}, {"BRIDGE_LARAVEL_VERSION": "12.30"}, laravel.path))
    assert isinstance(queue, HorizonQueue)
    queue.close()


def _installed(path: Path) -> None:
    (path / "vendor/composer").mkdir(parents=True)
    (path / "vendor/composer/installed.json").write_text(json.dumps(INSTALLED))
