"""`bridge serve` after a change of its apps, webhooks and certificate: SIGHUP, or the table's interval."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx
import pytest
import sqlalchemy as sa
from websockets.sync.client import connect

import tests.sockets.server.running
from bridge.errors import ConfigurationError
from bridge.serve.reload import Reloader, read_apps
from bridge.settings.load import Settings, load_settings
from bridge.sockets.webhooks.webhooks import Webhooks
from tests import services
from tests.certificates import self_signed
from tests.end_to_end.processes import environment, running, wait_until
from tests.sockets.webhooks.receiver import receiving

PATIENCE = 60.0
APP = 'id = "{0}"\nkey = "key-{0}"\nsecret = "secret-{0}"\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    process: Popen[str]
    port: int
    log: Path
    config: Path
    scheme: str

    def greeting(self, key: str) -> str:
        """The first event that a client of the key gets."""
        return asyncio.run(self._greeting(f"{self.scheme}://127.0.0.1:{self.port}/app/{key}"))

    async def _greeting(self, url: str) -> str:
        # not the client with threads: over TLS, Python 3.11 loses bytes when two of them write and read
        context = None
        if self.scheme == "wss":
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        async with tests.sockets.server.running.connect(url, ssl=context, proxy=None) as client:
            message = json.loads(await asyncio.wait_for(client.recv(), PATIENCE))
            return str(message["data"]["code"] if message["event"] == "pusher:error" else message["event"])

    def welcomes(self, key: str) -> bool:
        return self.greeting(key) == "pusher:connection_established"

    def hang_up(self) -> str:
        """SIGHUP; when it has been obeyed, the line that says how."""
        before = len(self._obeyed())
        self.process.send_signal(signal.SIGHUP)
        return wait_until("it reads anew", lambda: self._obeyed()[before:], PATIENCE)[-1]

    def _obeyed(self) -> list[str]:
        return [line for line in self.log.read_text().splitlines(keepends=True) if "SIGHUP:" in line]


@contextmanager
def serving(folder: Path, toml: str, *, scheme: str = "ws") -> Iterator[Serving]:
    app = folder / "app"
    app.mkdir()
    config = app / "bridge.toml"
    config.write_text(toml)
    with services.sqlite(folder) as database:
        env = "".join(f"{name}={value}\n" for name, value in database.env.items())
        (app / ".env").write_text(env + "QUEUE_CONNECTION=database\n")
        port, log = services.free_port(), folder / "log"
        command = [sys.executable, "-m", "bridge", "serve", "--app", str(app), "--host", "127.0.0.1"]
        with running([*command, "--port", str(port)], cwd=app, log=log, env=environment()) as process:

            def listens() -> bool:
                assert process.poll() is None, log.read_text()
                return "listening on" in log.read_text()

            wait_until("it listens", listens, PATIENCE)
            yield Serving(process=process, port=port, log=log, config=config, scheme=scheme)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=PATIENCE) == 0, log.read_text()
            assert "Traceback" not in log.read_text(), log.read_text()


def test_sighup_brings_new_apps_takes_old_ones_and_starts_webhooks(tmp_path: Path) -> None:
    with receiving() as receiver, serving(tmp_path, "[[apps]]\n" + APP.format("a")) as bridge:
        assert bridge.welcomes("key-a")
        assert bridge.greeting("key-b") == "4001"
        hook = f'[[webhooks]]\nurl = "{receiver.url}"\nevents = ["channel_occupied"]\n'
        bridge.config.write_text("[[apps]]\n" + APP.format("b") + hook)
        bridge.hang_up()
        assert bridge.greeting("key-a") == "4001"
        url = f"ws://127.0.0.1:{bridge.port}/app/key-b"
        with connect(url, proxy=None, open_timeout=PATIENCE) as client:
            client.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": "news"}}))
            wait_until("the webhook comes", lambda: receiver.names() == ["channel_occupied news"], PATIENCE)
        assert receiver.headers[0]["x-pusher-key"] == "key-b"


@pytest.mark.anyio
async def test_clients_of_an_app_that_is_missing_for_a_moment_stay(tmp_path: Path) -> None:
    """A file may be cut off where it makes sense, while somebody writes it; a table may be filled anew."""
    config = tmp_path / "bridge.toml"
    cut = "[[apps]]\n" + APP.format("a")
    whole = f"{cut}[[apps]]\n{APP.format('b')}"
    read = iter([whole, cut, whole, cut, whole, cut, cut])
    (tmp_path / ".env").write_text("QUEUE_CONNECTION=database\n")

    def reread() -> Settings:
        config.write_text(next(read))
        return load_settings({}, {}, tmp_path)

    done: asyncio.Queue[bool] = asyncio.Queue()
    settings, hang_up = reread(), asyncio.Event()
    apps = [app for app, _ in read_apps(settings)]
    async with tests.sockets.server.running.running(apps[0], apps=apps[1:]) as server:
        reloader = Reloader(
            settings,
            server.node,
            Webhooks(),
            None,
            reread=reread,
            reload_jobs=lambda: True,
            renewed=lambda settings: None,
            done=done.put_nowait,
        )
        task = asyncio.create_task(reloader.run(hang_up))
        hang_up.set()
        assert await asyncio.wait_for(done.get(), PATIENCE)
        assert server.node.hubs.keys() == {"a", "b"}  # jobs of b need it, too
        async with tests.sockets.server.running.connect(server.url("key-b"), proxy=None) as client:
            await client.recv()
            hang_up.set()
            assert await asyncio.wait_for(done.get(), PATIENCE)
            await client.send(json.dumps({"event": "pusher:ping"}))
            assert json.loads(await asyncio.wait_for(client.recv(), PATIENCE))["event"] == "pusher:pong"
            hang_up.set()
            assert await asyncio.wait_for(done.get(), PATIENCE)
            await asyncio.wait_for(client.wait_closed(), PATIENCE)
            assert client.close_code == 4001
        task.cancel()


@pytest.mark.anyio
async def test_a_webhook_that_no_client_can_be_made_for_leaves_all_apps_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("QUEUE_CONNECTION=database\n")
    config = tmp_path / "bridge.toml"
    config.write_text("[[apps]]\n" + APP.format("a"))
    settings = load_settings({}, {}, tmp_path)
    [(app, _)] = read_apps(settings)
    async with tests.sockets.server.running.running(app) as server:
        webhooks = Webhooks()
        reloader = Reloader(
            settings,
            server.node,
            webhooks,
            None,
            reread=None,
            reload_jobs=lambda: True,
            renewed=lambda settings: None,
        )
        monkeypatch.setenv("ALL_PROXY", "nonsense://127.0.0.1")
        hook = "[[webhooks]]\nurl = 'http://127.0.0.1:9'\nevents = ['channel_occupied']\n"
        config.write_text("[[apps]]\n" + APP.format("b") + hook)
        with pytest.raises(ConfigurationError, match="PROXY"):
            reloader.use(read_apps(load_settings({}, {}, tmp_path)))
        assert server.node.hubs.keys() == {"a"}


def test_sighup_with_a_wrong_configuration_leaves_everything_as_it_was_and_says_why(tmp_path: Path) -> None:
    with serving(tmp_path, "[[apps]]\n" + APP.format("a")) as bridge:
        bridge.config.write_text("[[apps]]\nid = 'b'\n")
        last = bridge.hang_up()
        assert bridge.welcomes("key-a")
        assert "apps[0].key" in bridge.log.read_text()
        assert " error SIGHUP: failed" in last
        bridge.config.unlink()
        bridge.config.mkdir()
        assert "SIGHUP: failed" in bridge.hang_up()
        assert bridge.welcomes("key-a")


def test_sighup_shows_the_new_certificate_and_keeps_the_old_one_when_it_is_broken(tmp_path: Path) -> None:
    chain, key = self_signed(tmp_path, "old")
    toml = f"ssl_cert = '{chain}'\nssl_key = '{key}'\n[[apps]]\n" + APP.format("a")
    with serving(tmp_path, toml, scheme="wss") as bridge:

        def shown() -> str:
            return ssl.get_server_certificate(("127.0.0.1", bridge.port), timeout=PATIENCE)

        old = shown()
        self_signed(tmp_path, "new")
        bridge.hang_up()
        new = shown()
        assert new != old
        Path(chain).write_text("nonsense")
        bridge.hang_up()
        assert shown() == new
        assert "the old certificate stays" in bridge.log.read_text()
        assert bridge.welcomes("key-a")


def test_apps_that_sighup_brings_get_statistics_like_all_others(tmp_path: Path) -> None:
    toml = "statistics_interval = 1\ncreate_statistics_table = true\n[[apps]]\n" + APP.format("a")
    with serving(tmp_path, toml) as bridge:
        wait_until("a has a row", lambda: counted(tmp_path) >= {"a"}, PATIENCE)
        more = "[[apps]]\n" + APP.format("b") + "[[apps]]\nenable_statistics = false\n" + APP.format("c")
        bridge.config.write_text(toml + more)
        bridge.hang_up()
        assert bridge.welcomes("key-c")
        wait_until("b has a row", lambda: counted(tmp_path) >= {"b"}, PATIENCE)
        assert counted(tmp_path) == {"a", "b"}


def counted(folder: Path) -> set[str]:
    """The apps that have statistics."""
    engine = sa.create_engine(f"sqlite:///{next(folder.glob('*.sqlite'))}")
    try:
        with engine.connect() as connection:
            found = connection.exec_driver_sql("select app_id from websockets_statistics_entries")
            return set(found.scalars())
    except sa.exc.OperationalError:  # there is no such table yet
        return set()
    finally:
        engine.dispose()


def test_sighup_says_what_counts_from_the_next_start_on_only(tmp_path: Path) -> None:
    toml = "[[apps]]\n" + APP.format("a")
    with serving(tmp_path, toml) as bridge:
        bridge.hang_up()
        assert "next start" not in bridge.log.read_text()
        bridge.config.write_text("queue = ['other']\nhost = '127.0.0.9'\nclient_events = false\n" + toml)
        bridge.hang_up()
        [line] = [line for line in bridge.log.read_text().splitlines() if "next start" in line]
        assert line.endswith('changed="queue"')  # the address was given on the command line
        bridge.config.write_text("max_connections = 7\n" + toml)
        env = bridge.config.with_name(".env")
        env.write_text(env.read_text() + "DB_DATABASE=/elsewhere.sqlite\n")
        bridge.hang_up()
        *_, line = [line for line in bridge.log.read_text().splitlines() if "next start" in line]
        assert line.endswith('changed="max_connections, the queue connection"')
        assert bridge.welcomes("key-a")


def test_sighup_changes_who_may_see_the_dashboard(tmp_path: Path) -> None:
    toml = "[[apps]]\n" + APP.format("a")
    with serving(tmp_path, toml) as bridge:
        page = f"http://127.0.0.1:{bridge.port}/laravel-websockets"
        with httpx.Client(trust_env=False, timeout=PATIENCE) as person:

            def enters(password: str) -> bool:
                return person.post(f"{page}/login", json={"password": password}).status_code == 200

            assert person.get(page).status_code == 403
            for new, old in (("first", "none"), ("second", "first")):
                bridge.config.write_text(f"dashboard_password = '{new}'\n" + toml)
                bridge.hang_up()
                assert person.get(f"{page}/api/session").status_code == 401
                assert not enters(old)
                assert enters(new)
                assert person.get(f"{page}/api/session").status_code == 200


def test_a_table_is_looked_at_again_by_itself(tmp_path: Path) -> None:
    url = sa.URL.create("sqlite", database=str(tmp_path / "apps.sqlite"))
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table my_apps (id text, key text, secret text)")
        connection.exec_driver_sql("insert into my_apps values ('a', 'key-a', 'secret-a')")
    toml = f"[apps_table]\nurl = 'sqlite:///{tmp_path}/apps.sqlite'\ntable = 'my_apps'\ninterval = 1\n"
    with serving(tmp_path, toml) as bridge:
        assert bridge.welcomes("key-a")
        with engine.begin() as connection:
            connection.exec_driver_sql("insert into my_apps values ('b', 'key-b', 'secret-b')")
        wait_until("the new app is served", lambda: bridge.welcomes("key-b"), PATIENCE)
        with engine.begin() as connection:
            for column in ("webhooks text", "max_connections text"):
                connection.exec_driver_sql(f"alter table my_apps add column {column}")
            connection.exec_driver_sql("insert into my_apps values ('c', 'key-c', 's', 'not json', '')")
            connection.exec_driver_sql("insert into my_apps values ('d', 'key-d', 's', '', 'unlimited')")
            connection.exec_driver_sql("insert into my_apps values ('e', 'key-e', 's', '', '')")
        wait_until("the rest of the new apps", lambda: bridge.welcomes("key-e"), PATIENCE)
        assert bridge.greeting("key-c") == "4001"
        left_out = "an app of the table is left out"
        wait_until("it is told", lambda: left_out in bridge.log.read_text(), PATIENCE)
        (tmp_path / "apps.sqlite").rename(tmp_path / "away.sqlite")
        wait_until("the outage is told", lambda: "the old apps stay" in bridge.log.read_text(), PATIENCE)
        assert bridge.welcomes("key-b")
        (tmp_path / "away.sqlite").rename(tmp_path / "apps.sqlite")
    engine.dispose()


def test_a_table_that_cannot_be_read_ends_the_start(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match=r"apps\.sqlite"),
        serving(tmp_path, f"[apps_table]\nurl = 'sqlite:///{tmp_path}/apps.sqlite'\n"),
    ):
        pass


def test_sighup_fails_as_a_whole_when_jobs_cannot_follow(tmp_path: Path) -> None:
    """A mapping that is wrong concerns jobs alone, which are resolved as before."""
    toml = "[[apps]]\n" + APP.format("a")
    with serving(tmp_path, toml) as bridge:
        bridge.config.write_text(toml + "[events.X]\nchannels = 5\n")
        assert "SIGHUP: failed" in bridge.hang_up()
        bridge.config.write_text(toml)
        assert "SIGHUP: apps" in bridge.hang_up()
