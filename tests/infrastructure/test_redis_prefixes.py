"""Which prefix stands before a Redis connection's keys, by client and release of Laravel."""

from __future__ import annotations

import pytest

from bridge.errors import ConfigurationError
from tests.infrastructure.conftest import MakeApp

SHARED, OWN = "'prefix' => 'shared:'", "'prefix' => 'own:'"


@pytest.mark.parametrize(
    ("client", "version", "prefix"),
    [
        ("phpredis", "8.83.29", "shared:"),
        ("phpredis", "9.11.0", "shared:"),
        ("phpredis", "9.12.0", "own:"),
        ("phpredis", "13.26.1", "own:"),
        ("predis", "8.76.0", "shared:"),
        ("predis", "8.77.0", "own:"),
        ("predis", "13.26.1", "own:"),
    ],
)
def test_a_connections_own_prefix_counts_from_some_release_on(
    app: MakeApp, client: str, version: str, prefix: str
) -> None:
    database = (
        f"['redis' => ['client' => '{client}', 'options' => [{SHARED}], 'default' => ['host' => 'h', {OWN}]]]"
    )
    assert app(database, version=version).redis().prefix == prefix


@pytest.mark.parametrize(
    ("client", "version", "prefix"),
    [
        ("phpredis", "8.83.29", "inner:"),
        ("phpredis", "12.30", "own:"),
        ("predis", "8.76.0", "inner:"),
        ("predis", "12.30", "own:"),
    ],
)
def test_the_options_of_a_connection_come_before_the_shared_ones(
    app: MakeApp, client: str, version: str, prefix: str
) -> None:
    inner = "'options' => ['prefix' => 'inner:']"
    database = (
        f"['redis' => ['client' => '{client}', 'options' => [{SHARED}],"
        f" 'default' => ['host' => 'h', {OWN}, {inner}], 'plain' => ['host' => 'h', {inner}]]]"
    )
    laravel = app(database, version=version)
    assert (laravel.redis().prefix, laravel.redis("plain").prefix) == (prefix, "inner:")


def test_without_a_shared_prefix_phpredis_has_always_taken_the_connections_own(app: MakeApp) -> None:
    database = f"['redis' => ['client' => '%s', 'options' => [], 'default' => ['host' => 'h', {OWN}]]]"
    assert app(database % "phpredis", version="8.83.29").redis().prefix == "own:"
    assert app(database % "predis", version="8.76.0").redis().prefix == ""


@pytest.mark.parametrize(("client", "prefix"), [("phpredis", "clusters:"), ("predis", "clusters:")])
def test_a_cluster_takes_its_own_options_before_the_shared_ones(
    app: MakeApp, client: str, prefix: str
) -> None:
    database = (
        f"['redis' => ['client' => '{client}', 'options' => ['cluster' => 'redis', {SHARED}], 'clusters' =>"
        " ['options' => ['prefix' => 'clusters:'], 'default' => [['host' => 'a'], 'tcp://b:7001']]]]"
    )
    facts = app(database).redis()
    assert (facts.prefix, facts.cluster) == (prefix, (("a", 6379), ("b", 7001)))


def test_sharding_by_predis_is_refused_with_its_remedy(app: MakeApp) -> None:
    sharded = "'default' => ['tcp://a:6379', 'tcp://b:6379']"
    laravel = app(f"['redis' => ['client' => 'predis', 'options' => ['cluster' => 'predis'], {sharded}]]")
    with pytest.raises(ConfigurationError, match=r"spread .*predis.*options\.cluster to redis"):
        laravel.redis()
    laravel = app(f"['redis' => ['client' => 'predis', 'options' => ['cluster' => 'redis'], {sharded}]]")
    assert laravel.redis().cluster == (("a", 6379), ("b", 6379))
