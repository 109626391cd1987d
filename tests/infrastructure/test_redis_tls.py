"""Redis with TLS, as the clients of Laravel are told of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.jobs.queue.redis.driver import RedisQueue
from bridge.laravel.application import load
from bridge.laravel.redis_client import cluster_client, redis_client
from bridge.laravel.redis_connections import RedisConnection
from tests import services
from tests.infrastructure.conftest import MakeApp
from tests.infrastructure.servers import SERVICE, Certificates, tls_cluster, tls_redis, tls_sentinel


@pytest.fixture(scope="module")
def server(certificates: Certificates) -> Iterator[tuple[services.Redis, int]]:
    with tls_redis(certificates, clients="optional") as started:
        yield started


@pytest.fixture(scope="module")
def strict(certificates: Certificates) -> Iterator[tuple[services.Redis, int]]:
    with tls_redis(certificates, clients="yes") as started:
        yield started


@pytest.fixture(scope="module")
def cluster(certificates: Certificates) -> Iterator[int]:
    with tls_cluster(certificates) as port:
        yield port


def _database(port: int, options: str, client: str = "phpredis", shared: str = "") -> str:
    return (
        f"['redis' => ['client' => '{client}', 'options' => [{shared}], 'default' => ['host' => '127.0.0.1',"
        f" 'port' => {port}, 'password' => '{services.PASSWORD}', {options}]]]"
    )


def _ping(facts: RedisConnection) -> bool:
    with redis_client(facts) as client:
        return cast(bool, client.ping())


def _check(facts: RedisConnection, timeout: float = 8) -> None:
    with (
        redis_client(facts, socket_timeout=timeout) as client,
        contextlib.closing(RedisQueue(client, prefix=facts.prefix)) as queue,
    ):
        queue.check()


@pytest.mark.parametrize(
    ("client", "options", "shared"),
    [
        ("phpredis", "'scheme' => 'tls', 'context' => ['stream' => ['cafile' => 'CA']]", ""),
        ("phpredis", "'scheme' => 'tls', 'context' => ['ssl' => ['cafile' => 'CA']]", ""),
        ("phpredis", "'host' => 'tls://127.0.0.1', 'context' => ['cafile' => 'CA']", ""),
        ("phpredis", "", "'scheme' => 'tls', 'context' => ['stream' => ['cafile' => 'CA']]"),
        ("phpredis", "'options' => ['scheme' => 'tls', 'context' => ['stream' => ['cafile' => 'CA']]]", ""),
        ("predis", "'scheme' => 'tls', 'ssl' => ['cafile' => 'CA']", ""),
        (
            "predis",
            "'scheme' => 'rediss', 'ssl' => ['verify_peer' => false]",
            "",
        ),
        ("predis", "", "'parameters' => ['scheme' => 'tls', 'ssl' => ['cafile' => 'CA']]"),
        ("phpredis", "'scheme' => 'tls', 'context' => ['verify_peer' => false]", ""),
        (
            "phpredis",
            "'host' => 'tls://0.0.0.0', 'context' => ['cafile' => 'CA', 'verify_peer_name' => 0]",
            "",
        ),
        ("phpredis", "'host' => 'tls://localhost', 'context' => ['stream' => ['cafile' => 'CA']]", ""),
    ],
)
def test_every_form_of_the_options_reaches_it(
    app: MakeApp,
    server: tuple[services.Redis, int],
    certificates: Certificates,
    client: str,
    options: str,
    shared: str,
) -> None:
    database = _database(server[1], options, client, shared).replace("CA'", f"{certificates.chain}'")
    assert _ping(app(database).redis())


GUARDED = """'scheme' => 'tls',
    'context' => extension_loaded('redis') && env('REDIS_CLIENT') === 'phpredis' ? ['stream' => array_filter([
        'verify_peer' => env('REDIS_VERIFY_PEER', true), 'cafile' => env('REDIS_CAFILE'),
    ])] : []"""


def test_options_that_count_where_the_extension_is_loaded_reach_it(
    app: MakeApp, server: tuple[services.Redis, int], certificates: Certificates, tmp_path: Path
) -> None:
    """An app whose client is phpredis has it; of another, only PHP knows."""
    database = _database(server[1], GUARDED)
    with pytest.raises(ConfigurationError, match="extension"):
        app(database).redis()
    env = {"REDIS_CLIENT": "phpredis", "REDIS_CAFILE": certificates.chain}
    assert _ping(load(tmp_path / "app", env, "12.30").redis())


@pytest.mark.parametrize(
    "nodes",
    [
        "['host' => '127.0.0.1', 'port' => PORT]",
        "['host' => '127.0.0.1', 'port' => PORT, 'scheme' => 'tls']",
        "'tls://127.0.0.1:PORT'",
    ],
)
def test_a_cluster_is_reached_by_what_predis_parameters_say_of_every_node(
    app: MakeApp, certificates: Certificates, cluster: int, nodes: str
) -> None:
    parameters = f"'scheme' => 'tls', 'password' => '{services.PASSWORD}', 'ssl' => ['cafile' => 'CA']"
    database = (
        "['redis' => ['client' => 'predis', 'options' => ['cluster' => 'redis',"
        f" 'parameters' => [{parameters}]], 'clusters' => ['default' => [{nodes}]]]]"
    )
    database = database.replace("PORT", str(cluster)).replace("'CA'", f"'{certificates.chain}'")
    facts = app(database).redis()
    with redis_client(facts, key="a") as client:
        assert client.ping()
    with contextlib.closing(cluster_client(facts)) as whole:
        assert whole.set("x", "y")


def test_sentinels_are_asked_over_tls_where_predis_parameters_say_so(
    app: MakeApp, certificates: Certificates
) -> None:
    with tls_sentinel(certificates) as port:
        database = f"""['redis' => ['client' => 'predis', 'default' => [
            ['host' => '127.0.0.1', 'port' => {port}],
            'options' => ['replication' => 'sentinel', 'service' => '{SERVICE}', 'parameters' => [
                'password' => '{services.PASSWORD}', 'scheme' => 'tls',
                'ssl' => ['cafile' => '{certificates.chain}']]]]]]"""
        assert _ping(app(database).redis())


def test_a_self_signed_certificate_is_trusted_where_it_is_named(
    app: MakeApp, server: tuple[services.Redis, int], certificates: Certificates
) -> None:
    lenient = "'scheme' => 'tls', 'context' => ['allow_self_signed' => true"
    with pytest.raises(ConfigurationError, match=r"not trusted.*cafile, allow_self_signed does not count"):
        _check(app(_database(server[1], f"{lenient}]")).redis())
    assert _ping(app(_database(server[1], f"{lenient}, 'cafile' => '{certificates.chain}']")).redis())


def test_a_client_certificate_is_shown_where_the_app_has_one(
    app: MakeApp, strict: tuple[services.Redis, int], certificates: Certificates
) -> None:
    ours = f"'local_cert' => '{certificates.chain}', 'local_pk' => '{certificates.key}'"
    for client, option in (("phpredis", "context"), ("predis", "ssl")):
        shown = f"'scheme' => 'tls', '{option}' => ['cafile' => '{certificates.chain}', {ours}]"
        assert _ping(app(_database(strict[1], shown, client)).redis())
        hidden = f"'scheme' => 'tls', '{option}' => ['cafile' => '{certificates.chain}']"
        with pytest.raises((ServiceUnavailable, ConfigurationError), match="certificate") as caught:
            _check(app(_database(strict[1], hidden, client)).redis())
        assert "REDIS_HOST" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("'scheme' => 'tls'", "not trusted"),
        ("'scheme' => 'tls', 'context' => ['cafile' => 'STRANGER']", "not trusted"),
        ("'host' => 'tls://0.0.0.0', 'context' => ['cafile' => 'CA']", "not trusted"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_named_as_the_cause(
    app: MakeApp, server: tuple[services.Redis, int], certificates: Certificates, options: str, said: str
) -> None:
    options = options.replace("STRANGER", certificates.stranger).replace("CA'", f"{certificates.chain}'")
    facts = app(_database(server[1], options)).redis()
    with pytest.raises(ConfigurationError, match=f"{said}.*context") as caught:
        _check(facts)
    assert "REDIS_HOST" not in str(caught.value)


def test_tls_to_a_port_without_it_is_named_as_the_cause(
    app: MakeApp, server: tuple[services.Redis, int]
) -> None:
    """Redis waits for more of what it takes for a command."""
    facts = app(_database(server[0].port, "'scheme' => 'tls'")).redis()
    with pytest.raises(ServiceUnavailable, match=r"Timeout.*scheme where one of both speaks TLS"):
        _check(facts, timeout=0.2)


def test_a_plain_connection_to_a_port_of_tls_says_so(
    app: MakeApp, server: tuple[services.Redis, int]
) -> None:
    with pytest.raises(ServiceUnavailable, match=r"closed|reset.*scheme where one of both speaks TLS"):
        _check(app(_database(server[1], "'scheme' => 'tcp'")).redis())


def test_a_file_that_is_missing_is_named(app: MakeApp, server: tuple[services.Redis, int]) -> None:
    facts = app(_database(server[1], "'scheme' => 'tls', 'context' => ['cafile' => '/none.pem']")).redis()
    with pytest.raises(ConfigurationError, match=r"context .*No such file.*/none\.pem"):
        redis_client(facts)


@pytest.mark.parametrize("option", ["'peer_name' => 'redis.example'", "'peer_fingerprint' => 'ab'"])
def test_a_check_that_cannot_be_made_is_refused_with_its_remedy(app: MakeApp, option: str) -> None:
    laravel = app(_database(1, f"'scheme' => 'tls', 'context' => ['stream' => [{option}]]"))
    with pytest.raises(ConfigurationError, match="cafile"):
        laravel.redis()


def test_no_serializer_is_no_packing(app: MakeApp) -> None:
    options = (
        "'options' => ['serializer' => Redis::SERIALIZER_NONE, 'compression' => \\Redis::COMPRESSION_NONE]"
    )
    assert not app(_database(1, options)).redis().packed
    assert app(_database(1, "'options' => ['serializer' => Redis::SERIALIZER_JSON]")).redis().packed
