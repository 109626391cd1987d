"""Redis behind Sentinels, in the forms of predis and of the packages for phpredis."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.jobs.queue.queue import Job, QueueOptions
from bridge.jobs.queue.redis.driver import RedisQueue
from bridge.laravel.application import load
from bridge.laravel.redis_client import redis_client
from tests.infrastructure.conftest import MakeApp
from tests.infrastructure.servers import SERVICE, Watched, watched_redis
from tests.jobs.queue.stores import broadcast, uuid_of
from tests.services import PASSWORD, free_port, wait_until


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with watched_redis() as servers:
        yield servers


def _predis(watched: Watched) -> str:
    """The first of two Sentinels is not there."""
    port = watched.sentinel.port
    return f"""['redis' => ['client' => 'predis', 'options' => ['prefix' => 'app:'], 'default' => [
        'tcp://127.0.0.1:{free_port()}?timeout=0.1',
        ['host' => '127.0.0.1', 'port' => {port}, 'password' => '{PASSWORD}'],
        'options' => ['replication' => 'sentinel', 'service' => '{SERVICE}',
            'parameters' => ['password' => '{PASSWORD}', 'database' => 2]],
    ]]]""".replace("?timeout=0.1", "?password=" + PASSWORD.replace(" ", "%20").replace("&", "%26"))


def _namoshek(watched: Watched) -> str:
    return f"""['redis' => ['client' => 'phpredis-sentinel', 'options' => ['prefix' => 'app:'], 'default' => [
        'sentinel_host' => '127.0.0.1', 'sentinel_port' => {watched.sentinel.port},
        'sentinel_service' => '{SERVICE}', 'sentinel_password' => '{PASSWORD}', 'sentinel_timeout' => 0,
        'password' => '{PASSWORD}', 'database' => 2, 'host' => 'ignored.example',
    ]]]"""


def _goopil(watched: Watched) -> str:
    return f"""['redis' => ['client' => 'phpredis-sentinel', 'default' => [
        'sentinels' => [['host' => '127.0.0.1', 'port' => {watched.sentinel.port}]],
        'sentinel' => ['service' => '{SERVICE}', 'password' => '{PASSWORD}'],
        'password' => '{PASSWORD}', 'database' => 2, 'options' => ['prefix' => 'app:'],
    ]]]"""


def _namoshek_list(watched: Watched) -> str:
    """Its newer form; the first of two is not there."""
    return f"""['redis' => ['client' => 'phpredis-sentinel', 'options' => ['prefix' => 'app:'], 'default' => [
        'sentinel_hosts' => [['host' => '127.0.0.1', 'port' => {free_port()}],
            ['host' => '127.0.0.1', 'port' => {watched.sentinel.port}]],
        'sentinel_service' => '{SERVICE}', 'sentinel_password' => '{PASSWORD}',
        'password' => '{PASSWORD}', 'database' => 2,
    ]]]"""


def _text(watched: Watched) -> str:
    """One text, as forks of it take it from `.env`."""
    return f"""['redis' => ['client' => 'phpredis-sentinel', 'options' => ['prefix' => 'app:'], 'default' => [
        'sentinel_hosts' => '127.0.0.1:{free_port()}, 127.0.0.1:{watched.sentinel.port}',
        'sentinel_service' => '{SERVICE}', 'sentinel_password' => '{PASSWORD}',
        'password' => '{PASSWORD}', 'database' => 2,
    ]]]"""


def _goopil_own(watched: Watched) -> str:
    """Only this connection has the client; the app's is another."""
    return f"""['redis' => ['client' => 'phpredis', 'default' => ['client' => 'phpredis-sentinel',
        'sentinel' => ['host' => '127.0.0.1', 'port' => {watched.sentinel.port}, 'service' => '{SERVICE}',
            'password' => '{PASSWORD}'],
        'password' => '{PASSWORD}', 'database' => 2, 'options' => ['prefix' => 'app:'],
    ]]]"""


def _predis_shared(watched: Watched) -> str:
    """Spread from a list in `.env`, with the options of all connections."""
    ports = f"{free_port()},{watched.sentinel.port}"
    return f"""['redis' => ['client' => 'predis', 'options' => [
        'prefix' => 'app:', 'replication' => 'sentinel',
        'service' => env('REDIS_SENTINEL_SERVICE', '{SERVICE}'),
        'parameters' => ['password' => '{PASSWORD}', 'database' => 2]],
        'default' => [...array_map(fn ($port) => ['host' => '127.0.0.1', 'port' => $port,
            'password' => '{PASSWORD}'], explode(',', env('PORTS', '{ports}')))],
    ]]"""


FORMS = {
    "predis": _predis,
    "predis, shared": _predis_shared,
    "namoshek": _namoshek,
    "namoshek, list": _namoshek_list,
    "text": _text,
    "goopil": _goopil,
    "goopil, own client": _goopil_own,
}


@pytest.mark.parametrize("form", FORMS)
def test_the_primary_is_found(app: MakeApp, watched: Watched, form: str) -> None:
    facts = app(FORMS[form](watched)).redis()
    assert (facts.prefix, facts.database) == ("app:", 2)
    with redis_client(facts) as client:
        client.set("found", form)
    with watched.first.client(db=2) as direct:
        assert direct.get("found") == form.encode()


def test_a_service_that_no_sentinel_knows_is_unavailable_and_names_the_sentinels(
    app: MakeApp, watched: Watched
) -> None:
    facts = app(_namoshek(watched).replace(SERVICE, "other")).redis()
    assert str(watched.sentinel.port) in facts.place
    assert "other" in facts.place
    with redis_client(facts) as client, pytest.raises(ServiceUnavailable, match="other"):
        RedisQueue(client).check()


def test_a_client_whose_form_is_not_known_is_refused_and_never_read_as_localhost(app: MakeApp) -> None:
    laravel = app("['redis' => ['client' => 'predis-sentinel', 'default' => ['host' => 'x']]]")
    with pytest.raises(ConfigurationError, match=r"predis-sentinel.*sentinel_host"):
        laravel.redis()
    laravel = app(
        "['redis' => ['client' => 'predis', 'default' => ['tcp://a', 'tcp://b',"
        " 'options' => ['replication' => 'predis']]]]"
    )
    with pytest.raises(ConfigurationError, match="replication"):
        laravel.redis()


def test_sentinels_that_plain_phpredis_does_not_read_are_refused_until_the_user_says_which(
    app: MakeApp, tmp_path: Path
) -> None:
    """Some package follows them, and Laravel alone goes to 127.0.0.1."""
    database = """['redis' => ['default' => ['host' => '127.0.0.1', 'sentinel_hosts' => 's1:26379,s2']]]"""
    with pytest.raises(ConfigurationError, match=r'"database.redis.client" = "phpredis-sentinel"') as caught:
        app(database).redis()
    said = str(caught.value)
    assert '"database.redis.default.sentinel_hosts" = ""' in said
    followed = load(tmp_path / "app", {}, "12.30", {"database.redis.client": "phpredis-sentinel"}).redis()
    assert followed.sentinels
    assert followed.sentinels.servers == (("s1", 26379), ("s2", 26379))
    plain = load(tmp_path / "app", {}, "12.30", {"database.redis.default.sentinel_hosts": ""}).redis()
    assert (plain.sentinels, plain.host) == (None, "127.0.0.1")


@pytest.mark.parametrize("address", ["s1:port", "[::1:26379", "s1:99999"])
def test_what_is_no_address_of_a_sentinel_is_refused(app: MakeApp, address: str) -> None:
    laravel = app(
        f"['redis' => ['client' => 'phpredis-sentinel', 'default' => ['sentinel_hosts' => '{address}']]]"
    )
    with pytest.raises(ConfigurationError, match="host:port"):
        laravel.redis()


def test_the_driver_of_queues_of_goopils_package_is_that_of_redis(app: MakeApp, watched: Watched) -> None:
    laravel = app(_goopil_own(watched), driver="phpredis-sentinel")
    assert laravel.queue().driver == "redis"


@pytest.mark.parametrize("where", ["database.redis.driver", "queue"])
def test_monospices_package_is_refused_and_never_read_as_localhost(app: MakeApp, where: str) -> None:
    own = "'driver' => 'redis-sentinel', " if where == "database.redis.driver" else ""
    database = (
        f"['redis' => [{own}'client' => 'predis', 'default' => ['host' => '127.0.0.1']],"
        " 'redis-sentinel' => ['default' => [['host' => 'a', 'port' => 26379]]]]"
    )
    laravel = app(database, driver="redis-sentinel" if where == "queue" else "redis")
    with pytest.raises(ConfigurationError, match=r"redis-sentinel.*replication => sentinel"):
        laravel.queue() if where == "queue" else laravel.redis()


def _is_replicated(primary: redis.Redis) -> bool:
    info: Any = primary.info("replication")
    return bool(info["slave0"]["offset"] >= info["master_repl_offset"])


def test_a_failover_is_followed_and_no_job_is_lost(app: MakeApp, watched: Watched) -> None:
    facts = app(_predis(watched)).redis()
    with redis_client(facts, socket_timeout=60) as client:
        queue = RedisQueue(client, prefix="app:", options=QueueOptions(retry_after=1))
        queue.check()
        payloads = [broadcast(id=str(number), attempts=0) for number in range(3)]
        for payload in payloads:
            client.rpush("app:queues:default", payload)
        first = queue.reserve(1)
        with watched.first.client() as direct:
            wait_until(lambda: _is_replicated(direct), "the replica has them")
        watched.first.stop(signal.SIGKILL)
        watched.notices_soon()
        found: list[Job] = [*first]

        def all_found() -> bool:
            with contextlib.suppress(ServiceUnavailable):
                found.extend(queue.reserve(3))
            return len({job.uuid for job in found}) == 3

        # a Sentinel that stood still for two seconds does nothing for 30
        wait_until(all_found, "the queue is served by the other server", 240)
        assert {job.uuid for job in found} == {uuid_of(payload) for payload in payloads}
        assert queue.delete(found[-1:]) == 1
        queue.close()
