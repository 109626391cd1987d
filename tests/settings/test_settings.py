from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.secret import Secret
from bridge.settings.load import Settings, load_settings
from bridge.settings.table import SETTINGS, settings_table
from bridge.sockets.pusher.app import Limits

PUSHER = "PUSHER_APP_ID=1\nPUSHER_APP_KEY=key\nPUSHER_APP_SECRET=secret\n"
REVERB = "REVERB_APP_ID=2\nREVERB_APP_KEY=rkey\nREVERB_APP_SECRET=rsecret\n"

Load = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Settings of an app with this `.env` and bridge.toml, in an environment of nothing but `environ`."""
    monkeypatch.chdir(tmp_path)

    def read(
        env: str = PUSHER, toml: str = "", *, environ: dict[str, str] | None = None, **flags: object
    ) -> Settings:
        app = tmp_path / "app"
        app.mkdir(exist_ok=True)
        (app / ".env").write_text(env)
        (app / "bridge.toml").write_text(toml)
        return load_settings(flags, environ or {}, app)

    return read


def test_a_value_comes_from_the_first_place_that_has_it(read: Load) -> None:
    env, toml, environ = "LARAVEL_WEBSOCKETS_PORT=1\n", "port = 3", {"BRIDGE_PORT": "4"}
    assert read("").port == 6001
    assert read(env).port == 1
    assert read(env + "BRIDGE_PORT=2").port == 2
    assert read(env + "BRIDGE_PORT=2", toml).port == 3
    assert read(env, toml, environ=environ).port == 4
    assert read(env, toml, environ=environ, port="5").port == 5
    assert read(env, toml, environ=environ, port=None).port == 4
    assert read(env, toml, environ={"BRIDGE_PORT": ""}).port == 3
    assert read("", environ={"LARAVEL_WEBSOCKETS_PORT": "6"}).port == 6


def test_the_file_is_the_apps_or_the_named_one_never_that_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stranger := tmp_path / "tmp").mkdir()
    (app := tmp_path / "app").mkdir()
    (app / ".env").write_text(PUSHER)
    (stranger / "bridge.toml").write_text("port = 1")
    monkeypatch.chdir(stranger)
    assert (load_settings({}, {}, app).port, load_settings({}, {}, app).file) == (6001, None)
    (app / "bridge.toml").write_text("port = 2")
    assert (load_settings({}, {}, app).port, load_settings({}, {}, app).file) == (2, app / "bridge.toml")
    assert load_settings({}, {}, app, "bridge.toml").port == 1
    assert load_settings({}, {"BRIDGE_CONFIG": "bridge.toml"}, app).port == 1
    monkeypatch.chdir(app)
    assert load_settings({}, {}).port == 2


@pytest.mark.parametrize("alone", ["ssl_cert", "ssl_key"])
def test_half_of_what_tls_needs_is_no_plain_http(read: Load, alone: str) -> None:
    assert read().certificate() is None
    assert read("", "ssl_cert = 'a'\nssl_key = 'b'").certificate() == ("a", "b")
    with pytest.raises(ConfigurationError, match=f"is missing beside {alone}"):
        read("", f"{alone} = 'a'").certificate()


def test_the_origin_of_a_value_is_known(read: Load) -> None:
    origins = read("BRIDGE_TRIES=2", "port = 3", host="::1").origins
    assert origins["tries"] == "BRIDGE_TRIES in .env"
    assert origins["port"].endswith("bridge.toml")
    assert origins["host"] == "--host"
    assert "backoff" not in origins


def test_the_apps_own_configuration_of_websockets_counts(read: Load, tmp_path: Path) -> None:
    (tmp_path / "app/config").mkdir(parents=True)
    (tmp_path / "app/config/websockets.php").write_text(
        "<?php return ['dashboard' => ['port' => env('LARAVEL_WEBSOCKETS_PORT', 6009)], 'path' => 'ws', "
        "'ssl' => ['local_cert' => null, 'local_pk' => '/key.pem']];"
    )
    settings = read()
    assert (settings.port, settings.dashboard_path) == (6009, "ws")
    assert (settings.ssl_cert, settings.ssl_key) == (None, "/key.pem")


def test_every_setting_may_stand_in_each_of_the_places(read: Load) -> None:
    samples = {
        "port": 7000, "queue": ["high", "default"], "client_events": False, "force": True,
        "shadow": True, "shadow_show_data": True, "shadow_to": "http://127.0.0.1:6002",
        "log_level": "debug",
        "backoff": [1, 5], "timezone": "Europe/Berlin", "laravel_version": "11.38", "stall_timeout": 2.5,
        "drain_seconds": 0.5, "allowed_origins": ["a.example", "b.example"], "max_backlog": 4096,
        "trusted_proxies": ["10.0.0.0/8", "::1/128"], "enable_statistics": False,
        "create_statistics_table": True, "metrics_addresses": ["10.0.0.1"], "log_format": "json",
        "dashboard_origins": ["https://a.example"], "other_jobs": ["mails", "App\\Jobs\\Tidy"],
        "sleep": 0.5, "rest": 0.5, "max_time": 1.5, "once": True, "stop_when_empty": True,
        "watch_code": False, "path_prefix": "/ws", "native_trust": "proven", "legacy_dashboard": "2",
        "proxy_protocol": True, "dashboard_payloads": True, "dashboard_gate": "https://a.example/bridge",
        "alert_to": ["slack:https://a.example/x", "mailto:ops@a.example"], "alert_disagreements": False,
    }  # fmt: skip
    texts = ("host", "ssl_cert", "ssl_key", "dashboard_path", "connection", "redis_prefix", "php_binary",
             "dashboard_password", "dashboard_link_secret", "metrics_token", "name",
             "state_path", "listen_from", "bus")  # fmt: skip
    for setting in SETTINGS:
        sample = samples.get(setting.name, "text" if setting.name in texts else 7)
        text = ",".join(map(str, sample)) if isinstance(sample, list) else json.dumps(sample).strip('"')

        def value(settings: Settings, name: str = setting.name) -> object:
            limit = name.removeprefix("limit_")
            return settings.limits[limit] if limit != name else getattr(settings, name)

        expected = tuple(sample) if isinstance(sample, list) else sample
        if setting.name in ("dashboard_password", "dashboard_link_secret", "metrics_token"):
            expected = Secret(text)
        if setting.name == "alert_to":
            expected = tuple(map(Secret, text.split(",")))
        assert value(read("", f"{setting.name} = {json.dumps(sample)}")) == expected
        assert value(read("", environ={setting.variable: text})) == expected
        assert value(read(f"{setting.variable}={text}")) == expected
        assert value(read("", **{setting.name: text})) == expected


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("port", "65536"), ("port", "-1"), ("port", "http"), ("port", "6001.0"), ("client_events", "maybe"),
     ("tries", "-1"), ("tries", "²"), ("backoff", "-1"), ("backoff", "nan"), ("log_level", "loud"),
     ("queue", "a,,b"), ("timezone", "Europe"), ("timezone", "Mars/Base"), ("laravel_version", "new"),
     ("batch_size", "1001"), ("backoff", "inf"), ("trusted_proxies", "10.0.0.1/8"),
     ("trusted_proxies", "proxy.example"), ("path_prefix", "ws?x"), ("path_prefix", "/a//b"),
     ("allowed_origins", "https://example.com/page"), ("allowed_origins", "a.example,^b"),
     ("allowed_origins", "http:/a.example"), ("dashboard_path", "../x"), ("dashboard_path", "/app"),
     ("dashboard_path", "a//b"), ("dashboard_path", "a?b"), ("dashboard_gate", "/bridge"),
     ("dashboard_gate", "javascript:x"), ("dashboard_gate", "https://a.example@b.example"),
     ("alert_to", "ops@a.example"), ("alert_to", "https://a.example,slack:ops"), ("alert_wait", "-1")],
)  # fmt: skip
def test_a_wrong_value_names_the_setting_its_place_and_the_remedy(read: Load, name: str, wrong: str) -> None:
    variable = f"BRIDGE_{name.upper()}"
    place = rf"\({variable} in the environment\)"
    with pytest.raises(ConfigurationError, match=rf"^{name} {place} is wrong: write "):
        read("", environ={variable: wrong})
    with pytest.raises(ConfigurationError, match=rf"^{name} \(--{name.replace('_', '-')}\) is wrong"):
        read("", **{name: wrong})


@pytest.mark.parametrize(
    "toml", ["port = true", "port = '8'\nport2 = 1", "tries = 1.5", "queue = 3", "client_events = 2"]
)
def test_toml_values_are_of_their_own_types(read: Load, toml: str) -> None:
    with pytest.raises(ConfigurationError, match=r"bridge\.toml"):
        read("", toml)


@pytest.mark.parametrize(
    ("toml", "environ", "message"),
    [
        ("prot = 1", {}, r"^prot \(.*bridge\.toml\) is no setting of bridge: did you mean port\?"),
        ("", {"BRIDGE_PROT": "1"}, r"^BRIDGE_PROT \(the environment\).*did you mean BRIDGE_PORT\?"),
        ("[event.X]", {}, r"did you mean events\?"),
        ("xyzzy = 1", {}, r": take it out; docs/settings\.md has all that are known$"),
        ("", {"BRIDGE_XYZZY": "1"}, r": take it out; docs/settings\.md has all that are known$"),
        ("[apps_table]\nxyzzy = 1", {}, r": take it out; known are connection, url, table, \w+, \w+$"),
        ("[events.X]\nchanels = []", {}, r'^events\."X"\.chanels .*did you mean channels\?'),
        (
            "[[apps]]\nid = '1'\nkey = 'k'\nsecert = 'canary'",
            {},
            r"^apps\[0\]\.secert .*did you mean secret\?",
        ),
        ("port = \nx", {}, r"is not TOML, at line 1"),
        ("port = " + "[" * 100_000, {}, r"is not TOML, it is nested too deep"),
        ("", {"BRIDGE_EVENTS": "{"}, r"^events \(BRIDGE_EVENTS in the environment\) is not JSON"),
    ],
)
def test_what_bridge_does_not_know_is_told_with_the_nearest_it_knows(
    read: Load, toml: str, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read("", toml, environ=environ)


def test_foreign_names_in_the_apps_file_are_none_of_our_business(read: Load) -> None:
    assert read("BRIDGE_TO_NOWHERE=1").port == 6001


def test_the_config_file_may_be_named_and_lie_anywhere(read: Load, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("port = 2")
    assert read("", "port = 3").port == 3
    app = tmp_path / "app"
    assert load_settings({}, {"BRIDGE_CONFIG": str(tmp_path / "other.toml")}, app).port == 2
    assert load_settings({}, {"BRIDGE_APP": str(app)}, None, tmp_path / "other.toml").port == 2
    with pytest.raises(ConfigurationError, match=r"--config names no file: nowhere\.toml"):
        load_settings({}, {}, app, "nowhere.toml")


def test_apps_are_those_of_the_pusher_and_reverb_connections(read: Load) -> None:
    apps = {app.id: app for app in read(PUSHER + REVERB, client_events="no").apps()}
    assert {app.id: (app.key, app.connections) for app in apps.values()} == {
        "1": ("key", ("pusher",)),
        "2": ("rkey", ("reverb",)),
    }
    assert apps["1"].secret == Secret("secret")
    assert not apps["1"].client_events


def test_apps_of_the_file_join_those_of_the_app(read: Load) -> None:
    toml = """
        allowed_origins = ["a.example"]
        [[apps]]
        id = 7
        key = "k7"
        secret = "s7"
        previous_secrets = ["old"]
        [[apps]]
        id = "1"
        key = "key"
        secret = "secret"
        client_events = false
        max_connections = 5
        allowed_origins = []
    """
    one, seven = sorted(read(PUSHER, toml).apps(), key=lambda app: app.id)
    assert (seven.id, seven.connections, seven.client_events) == ("7", (), True)
    assert seven.previous_secrets == (Secret("old"),)
    assert seven.allowed_origins == ("a.example",)
    assert (one.connections, one.client_events, one.max_connections) == (("pusher",), False, 5)
    assert one.allowed_origins == ()


def test_connections_with_one_app_are_one_app(read: Load, tmp_path: Path) -> None:
    (tmp_path / "app/config").mkdir(parents=True)
    (tmp_path / "app/config/broadcasting.php").write_text(
        "<?php $app = ['driver' => 'pusher', 'app_id' => 1, 'key' => 'k', 'secret' => env('S', 's')];"
        "return ['connections' => ['a' => $app, 'b' => ['driver' => 'reverb', 'app_id' => '1', 'key' => 'k', "
        "'secret' => 's']]];"
    )
    (app,) = read("BROADCAST_DRIVER=a").apps()
    assert app.connections == ("a", "b")
    with pytest.raises(
        ConfigurationError, match=r"broadcasting\.connections\.b has the id or key of another app, 1"
    ):
        read("BROADCAST_DRIVER=a\nS=other").apps()


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("", r"PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET.*\[\[apps\]\]"),
        ("PUSHER_APP_KEY=k", r"^broadcasting\.connections .* has no pusher or reverb"),
        ("BROADCAST_CONNECTION=pusher\nPUSHER_APP_KEY=k",
         r"pusher\.app_id .*set PUSHER_APP_ID and PUSHER_APP_SECRET$"),
        ("BROADCAST_CONNECTION=reverb\n" + PUSHER,
         r"set REVERB_APP_ID and REVERB_APP_KEY and REVERB_APP_SECRET$"),
    ],
)  # fmt: skip
def test_without_a_complete_app_there_is_nothing_to_serve(read: Load, env: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(env).apps()


def test_queue_facts_follow_the_settings(read: Load) -> None:
    settings = read("QUEUE_CONNECTION=database\nDB_QUEUE=mail")
    assert (settings.queue_connection().name, settings.queue_names()) == ("database", ("mail",))
    settings = read("QUEUE_CONNECTION=sync", "connection = 'redis'\nretry_after = 5", queue="high, default")
    assert (settings.queue_connection().driver, settings.queue_connection().retry_after) == ("redis", 5)
    assert settings.queue_names() == ("high", "default")
    assert read("QUEUE_CONNECTION=sync").port == 6001
    with pytest.raises(ConfigurationError, match="BRIDGE_CONNECTION"):
        read("QUEUE_CONNECTION=sync").queue_connection()


def test_what_the_app_says_can_be_corrected(read: Load) -> None:
    toml = 'redis_prefix = ""\ntimezone = "Asia/Tokyo"\n[app_config]\n"app.name" = "Mine"\nchat.prefix = "c"'
    settings = read("APP_NAME=Theirs", toml)
    assert settings.redis("default").prefix == ""
    assert read("APP_NAME=Theirs").redis("default").prefix == "theirs_database_"
    assert settings.laravel.name == "Mine"
    assert settings.laravel.timezone.key == "Asia/Tokyo"
    assert settings.laravel.config.get("chat.prefix") == "c"
    environ = {"BRIDGE_APP_CONFIG": '{"app.name": "From outside"}'}
    assert read("APP_NAME=Theirs", environ=environ).laravel.name == "From outside"


def test_events_are_mapped_by_class(read: Load) -> None:
    toml = r"""
        [events."\\App\\Events\\OrderShipped"]
        channels = ["private-orders.{order.id}", "orders"]
        as = "order.shipped"
        with = {id = "{order.id}", deep = {n = 1, list = [1, "x"]}}
        [events."App\\Events\\Plain"]
        channels = ["plain"]
    """
    events = read("", toml).events
    shipped = events["App\\Events\\OrderShipped"]
    assert shipped.channels == ("private-orders.{order.id}", "orders")
    assert shipped.name == "order.shipped"
    assert shipped.data == {"id": "{order.id}", "deep": {"n": 1, "list": [1, "x"]}}
    plain = events["App\\Events\\Plain"]
    assert (plain.name, plain.data) == (None, None)


@pytest.mark.parametrize(
    "entry", ["channels = []", "channels = 'a'", "channels = ['']", "channels = [1]", "as = 'x'",
              "channels = ['a']\nas = ''", "channels = ['a']\nas = 3", "channels = ['a']\nwith = 'x'"],
)  # fmt: skip
def test_a_wrong_mapping_names_the_event(read: Load, entry: str) -> None:
    with pytest.raises(ConfigurationError, match=r'^events\."A\\B"\.'):
        read("", f'[events."A\\\\B"]\n{entry}')


def test_the_limits_are_named_and_valued_as_the_protocols_own(read: Load) -> None:
    limits = read("").limits
    assert dataclasses.asdict(Limits(**limits)) == dataclasses.asdict(Limits())  # type: ignore[arg-type]


def test_the_table_names_every_setting_and_every_field_is_in_it() -> None:
    table = settings_table()
    for setting in SETTINGS:
        assert f"| `{setting.name}` | `{setting.variable}` |" in table
    plain = {setting.name for setting in SETTINGS if not setting.name.startswith("limit_")}
    fields = {field.name for field in dataclasses.fields(Settings)}
    assert fields - plain == {
        "laravel",
        "limits",
        "events",
        "toml_apps",
        "apps_table",
        "webhooks",
        "origins",
        "file",
    }
    assert plain <= fields


def test_no_secret_shows_in_any_repr_or_error(read: Load, tmp_path: Path) -> None:
    canaries = [
        "canary-key-canary-key-canary-key",
        "canary-db",
        "canary-redis",
        "canary-app",
        "canary-own",
        "canary-url",
    ]
    env = (
        f"APP_KEY={canaries[0]}\nAPP_PREVIOUS_KEYS={canaries[0]}\nDB_CONNECTION=mysql\nDB_PASSWORD={canaries[1]}\n"
        f"REDIS_PASSWORD={canaries[2]}\nPUSHER_APP_ID=1\nPUSHER_APP_KEY=k\nPUSHER_APP_SECRET={canaries[3]}\n"
        "QUEUE_CONNECTION=redis\n"
    )
    toml = f'[[apps]]\nid = "2"\nkey = "k2"\nsecret = "{canaries[4]}"\n[app_config]\n"a.x" = "canary-given"'
    settings = read(env, toml)
    laravel = settings.laravel
    shown: list[object] = [
        settings, laravel, laravel.keys, laravel.config, settings.apps(), settings.queue_connection(),
        laravel.failed(), laravel.broadcasting(), laravel.database(), settings.redis("default"),
        settings.origins, settings.toml_apps,
    ]  # fmt: skip
    text = " ".join(f"{one!r} {one}" for one in shown)
    broken = [
        (env + "BROKEN='canary", ""),
        (env + "X=canary canary", ""),
        (env, toml + '\n[app_config.y]\nz = ["canary"]'),
        (env, f'[[apps]]\nid = "1"\nkey = "k"\nsecret = "{canaries[4]}"'),
        (env, '[[apps]]\nid = "1"\nkey = "canary"\nsecret = ["canary"]'),
        (env + "DB_URL=mysql://u:canary-url@h:canary/db", ""),
        (env + "BRIDGE_PORT=canary", ""),
        (env, 'secret = "canary'),
        (env + "DB_PORT=canary", ""),
    ]
    for wrong_env, wrong_toml in broken:
        with pytest.raises(ConfigurationError) as caught:
            _read_all(read, wrong_env, wrong_toml)
        error: BaseException | None = caught.value
        while error is not None:
            text += f" {error} {error!r}"
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert "canary" not in text


def _read_all(read: Load, env: str, toml: str) -> None:
    settings = read(env, toml)
    settings.apps()
    settings.laravel.database()


def test_a_secret_is_only_revealed_on_purpose() -> None:
    secret = Secret("canary")
    assert secret.reveal() == "canary"
    assert [str(secret), repr(secret), f"{secret}", f"{secret:>9}", "%s" % secret] == ["***"] * 5  # noqa: UP031
    assert secret == Secret("canary")
    assert secret != Secret("other")
    assert secret != "canary"
    assert not Secret("")
    assert len({secret, Secret("canary")}) == 1


def test_a_text_of_bridge_toml_may_stand_in_the_apps_file_or_configuration(read: Load) -> None:
    toml = """
        dashboard_path = "${DEBUG_PATH}"
        [[apps]]
        id = "2"
        key = "${app.name}"
        secret = "${SECOND_SECRET}"
        previous_secrets = ["old", "${OLD}"]
        [events.X]
        channels = ["${PRICE}"]
        with = { price = "${NOWHERE}" }
    """
    settings = read("APP_NAME=Shop\nSECOND_SECRET=inside\nDEBUG_PATH=ws\nOLD=older\n", toml)
    [app] = settings.toml_apps
    assert (settings.dashboard_path, app.key, app.secret) == ("ws", "Shop", Secret("inside"))
    assert app.previous_secrets == (Secret("old"), Secret("older"))
    assert settings.events["X"].channels == ("${PRICE}",)
    assert read("", toml, environ={"SECOND_SECRET": "o", "DEBUG_PATH": "x", "OLD": "p"}).dashboard_path == "x"


@pytest.mark.parametrize(
    ("reference", "named"),
    [("${NOWHERE}", r"^apps\[0\]\.secret .*bridge\.toml.*is not set: set NOWHERE"),
     ("${app.nowhere}", r"^app\.nowhere ")],
)  # fmt: skip
def test_a_reference_to_nothing_is_named(read: Load, reference: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        read("", f'[[apps]]\nid = "2"\nkey = "k"\nsecret = "{reference}"')
