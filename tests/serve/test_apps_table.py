"""Apps out of a table: laravel-websockets', soketi's, or one's own."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.serve.apps_table import entry
from bridge.serve.reload import ServedApps, read_apps
from bridge.settings.load import Settings, load_settings
from bridge.sockets.pusher.app import App, Limits
from bridge.sockets.webhooks.events import Webhook
from tests import services

WEBSOCKETS_APPS = (
    "create table websockets_apps (id varchar(255), {key} varchar(255), secret varchar(255), "
    "name varchar(255), host varchar(255), path varchar(255), enable_client_messages {flag}, "
    "enable_statistics {flag}, capacity integer, allowed_origins text)"
)


def settings(folder: Path, database: services.Database, toml: str, own_app: bool = True) -> Settings:
    env = "".join(f"{name}={value}\n" for name, value in database.env.items())
    if own_app:
        env += "PUSHER_APP_ID=1\nPUSHER_APP_KEY=k\nPUSHER_APP_SECRET=s\nBROADCAST_CONNECTION=pusher\n"
    (folder / ".env").write_text(env)
    (folder / "bridge.toml").write_text(toml)
    return load_settings({}, {}, folder, folder / "bridge.toml")


def apps(served: ServedApps) -> Mapping[str, App]:
    return {app.id: app for app, _ in served}


@contextmanager
def websockets_apps(database: services.Database) -> Iterator[sa.Connection]:
    """laravel-websockets' own table, empty."""
    engine = database.engine()
    key, flag = ("`key`", "tinyint(1)") if database.driver in ("mysql", "mariadb") else ("key", "boolean")
    with engine.connect() as connection:
        connection.exec_driver_sql(WEBSOCKETS_APPS.format(key=key, flag=flag))
        connection.commit()
        yield connection
    engine.dispose()


def insert(connection: sa.Connection, **row: Any) -> None:
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in row]
    connection.execute(sa.insert(sa.table("websockets_apps", *columns)).values(**row))
    connection.commit()


def test_the_rows_of_laravel_websockets_are_apps_beside_the_configured_ones(
    database: services.Database, tmp_path: Path
) -> None:
    with websockets_apps(database) as connection:
        insert(connection, id="2", key="k2", secret="s2", name="second", enable_client_messages=False,
               enable_statistics=True, capacity=5, allowed_origins="a.example,b.example")  # fmt: skip
        insert(connection, id="3", key="k3", secret="s3", name="third", enable_client_messages=True)
        served = read_apps(settings(tmp_path, database, "[apps_table]\n"))
    assert list(apps(served)) == ["1", "2", "3"]
    second, third = apps(served)["2"], apps(served)["3"]
    assert (second.key, second.secret, second.name) == ("k2", "s2", "second")
    assert (second.client_events, second.max_connections) == (False, 5)
    assert second.allowed_origins == ("a.example", "b.example")
    assert (third.client_events, third.max_connections, third.allowed_origins) == (True, None, ())


def test_a_row_for_a_configured_app_says_what_it_may(
    sqlite_database: services.Database, tmp_path: Path
) -> None:
    with websockets_apps(sqlite_database) as connection:
        insert(connection, id="1", key="k", secret="s", capacity=7)
        served = read_apps(settings(tmp_path, sqlite_database, "[apps_table]\n"))
    assert apps(served)["1"].max_connections == 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "1", "key": "k", "secret": "other"},
        {"id": "2", "key": "k", "secret": "s"},
        {"id": "2", "key": None, "secret": "s"},
        {"id": "2", "key": "k2", "secret": ""},
        {"id": "2", "key": "k2", "secret": "s2", "max_connections": "unlimited"},
        {"id": "2", "key": "k2", "secret": "s2", "capacity": "many"},
        {"id": "2", "key": b"\xff", "secret": "s2"},
        {"id": "2", "key": "k2", "secret": "s2", "allowed_origins": "[not json"},
        {"id": "2", "key": "k2", "secret": "s2", "enable_client_messages": "perhaps"},
        *(
            {"id": "2", "key": "k2", "secret": "s2", "webhooks": text}
            for text in (
                "not json",
                "5",
                "{}",
                '["x"]',
                '[{"url": 5}]',
                '[{"url": "http://a", "filter": 5}]',
                "[" * 99_999,
                '[{"url": "http://a", "filter": {"channel_name_starts_with": ["x"]}}]',
                '[{"url": "http://[::1"}]',
            )
        ),
    ],
    ids=lambda row: str(row)[-60:],
)
def test_a_wrong_row_is_left_out_and_said_to_be_and_the_others_are_served(
    sqlite_database: services.Database,
    tmp_path: Path,
    wrong: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with websockets_apps(sqlite_database) as connection:
        for column in ("webhooks text", "max_connections text"):
            connection.exec_driver_sql(f"alter table websockets_apps add column {column}")
        insert(connection, **wrong)
        insert(connection, id="3", key="k3", secret="s3")
        served = read_apps(settings(tmp_path, sqlite_database, "[apps_table]\n"))
    assert list(apps(served)) == ["1", "3"]
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert f"app {wrong['id']}" in vars(record)["why"]


def test_a_table_alone_will_do_and_may_be_anywhere(
    sqlite_database: services.Database, tmp_path: Path
) -> None:
    with websockets_apps(sqlite_database) as connection:
        insert(connection, id="2", key="k2", secret="s2")
        url = f"sqlite:///{sqlite_database.url.database}"
        for toml in (f"[apps_table]\nurl = '{url}'\n", "[apps_table]\nconnection = 'sqlite'\n"):
            served = read_apps(settings(tmp_path, sqlite_database, toml, own_app=False))
            assert list(apps(served)) == ["2"]


def test_a_table_that_is_not_there_is_named(database: services.Database, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_apps(settings(tmp_path, database, "[apps_table]\ntable = 'my_apps'\n"))
    assert (raised.value.key, raised.value.where) == ("apps_table.table", str(tmp_path / "bridge.toml"))
    assert "my_apps" in raised.value.problem


@pytest.mark.parametrize(
    ("toml", "key", "problem"),
    [
        ("url = 'oracle://u:pw@h/x'", "apps_table.url", "is no database that bridge can use"),
        ("url = 'sqlite:///{folder}/none.sqlite'", "apps_table.url", "names no file: {folder}/none.sqlite"),
        (
            "connection = 'none'",
            "apps_table.connection",
            "is none, which cannot be used: database.connections.none.driver is missing",
        ),
    ],
)
def test_what_leads_to_no_database_is_named_as_it_stands_in_the_file(
    sqlite_database: services.Database, tmp_path: Path, toml: str, key: str, problem: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_apps(settings(tmp_path, sqlite_database, "[apps_table]\n" + toml.format(folder=tmp_path)))
    said = raised.value
    assert (said.key, said.problem) == (key, problem.format(folder=tmp_path))
    assert said.where == str(tmp_path / "bridge.toml")
    assert "DB_DATABASE" not in said.remedy
    assert "bridge_apps" not in str(said)


def test_a_database_that_does_not_answer_is_said_to_be_that_of_the_table(
    sqlite_database: services.Database, tmp_path: Path
) -> None:
    with pytest.raises(ServiceUnavailable, match=r"^\[apps_table\] cannot be read: the connection"):
        read_apps(settings(tmp_path, sqlite_database, "[apps_table]\nurl = 'mysql://u:pw@127.0.0.1:1/x'\n"))


def test_webhooks_of_rows_reach_public_addresses_and_those_that_are_allowed(
    sqlite_database: services.Database, tmp_path: Path
) -> None:
    with websockets_apps(sqlite_database) as connection:
        connection.exec_driver_sql("alter table websockets_apps add column webhooks text")
        insert(connection, id="2", key=b"k2", secret="s2", webhooks='[{"url": "http://a.example/"}]')
        toml = "[[webhooks]]\nurl = 'http://127.0.0.1/own'\n[apps_table]\n"
        for more, within in (("", ()), ("webhook_networks = ['10.0.0.0/8']\n", ("10.0.0.0/8",))):
            served = read_apps(settings(tmp_path, sqlite_database, toml + more))
            [theirs, own] = next(webhooks for app, webhooks in served if app.id == "2")
            assert (theirs.within, own.within) == (within, None)
    assert apps(served)["2"].key == "k2"


def test_sokets_columns_and_webhooks_mean_the_same() -> None:
    hooks = [
        {
            "url": "http://127.0.0.1/hook",
            "event_types": ["channel_occupied"],
            "filter": {"channel_name_starts_with": "private-"},
            "headers": {"X-Key": "1"},
        }
    ]
    row = {
        "id": "1", "key": "k", "secret": "s", "max_connections": -1, "enable_client_messages": 1,
        "enabled": 0,
        "max_backend_events_per_sec": 10, "max_client_events_per_sec": -1, "max_read_req_per_sec": "20",
        "webhooks": json.dumps(hooks), "max_presence_member_size_in_kb": 2, "created_at": None,
    }  # fmt: skip
    assert entry(row) == {
        "id": "1", "key": "k", "secret": "s", "client_events": "1", "enabled": "0",
        "limit_api_requests_per_second": 10, "limit_api_reads_per_second": "20",
        "webhooks": [{"url": "http://127.0.0.1/hook", "events": ["channel_occupied"],
                      "headers": {"X-Key": "1"}, "prefixes": ["private-"]}],
    }  # fmt: skip


@pytest.mark.parametrize("webhooks", ["", "[]", None])
def test_no_webhooks_are_no_webhooks(webhooks: str | None) -> None:
    assert entry({"id": 1, "webhooks": webhooks, "allowed_origins": "[]"}) == {"id": 1}


def test_an_app_of_bridge_toml_may_say_everything(sqlite_database: services.Database, tmp_path: Path) -> None:
    toml = """
limit_members = 50

[[webhooks]]
url = "http://127.0.0.1:1/every"

[[apps]]
id = "2"
key = "k2"
secret = "new"
previous_secrets = ["old", "older"]
enabled = false
tls_only = true
activity_timeout = 30
subscription_count = true
limit_event_bytes = 100000
limit_connections_per_address = 3

[[apps.webhooks]]
url = "https://example.com/hook"
events = ["client_event"]
prefixes = ["private-"]
headers = { Authorization = "Bearer x" }
"""
    served = read_apps(settings(tmp_path, sqlite_database, toml))
    every = Webhook(url="http://127.0.0.1:1/every")
    (first, first_hooks), (second, second_hooks) = served
    assert first_hooks == (every,)
    assert first.limits == Limits(members=50)
    assert second.previous_secrets == ("old", "older")
    assert (second.enabled, second.tls_only, second.subscription_count) == (False, True, True)
    assert (first.activity_timeout, second.activity_timeout) == (120, 30)
    assert second.limits == Limits(members=50, event_bytes=100_000, connections_per_address=3)
    own = Webhook(
        url="https://example.com/hook",
        events=frozenset({"client_event"}),
        prefixes=("private-",),
        headers=(("Authorization", "Bearer x"),),
    )
    assert second_hooks == (own, every)
    assert "Bearer" not in repr(second_hooks)


@pytest.mark.parametrize(
    ("toml", "key"),
    [
        ("[[webhooks]]\nevents = ['cache_miss']\n", "webhooks[0].url"),
        ("[[webhooks]]\nurl = 'ftp://example.com'\n", "webhooks[0].url"),
        ("[[webhooks]]\nurl = 'example.com/hook'\n", "webhooks[0].url"),
        ("[[webhooks]]\nurl = 'http://a'\nevents = ['channel_created']\n", "webhooks[0].events"),
        ("[[webhooks]]\nurl = 'http://a'\nheaders = { A = \"x\\ny\" }\n", "webhooks[0].headers"),
        ("[[webhooks]]\nurl = 'http://a'\nevent = ['cache_miss']\n", "webhooks[0].event"),
        ("[webhooks]\nurl = 'http://a'\n", "webhooks"),
        ("[[apps_table]]\n", "apps_table"),
        ("[apps_table]\nurl = 'sqlite:///x'\nconnection = 'y'\n", "apps_table"),
        ("[apps_table]\nintervall = 3\n", "apps_table.intervall"),
        ("[[apps]]\nid='2'\nkey='k'\nsecret='s'\nlimit_members = 0\n", "apps[0].limit_members"),
        ("[[apps]]\nid='2'\nkey='k'\nsecret='s'\n[[apps.webhooks]]\nurl=3\n", "apps[0].webhooks[0].url"),
    ],
)
def test_a_wrong_entry_names_its_key(
    sqlite_database: services.Database, tmp_path: Path, toml: str, key: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, sqlite_database, toml)
    assert caught.value.key == key
