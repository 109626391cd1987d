"""`bridge serve --processes`: real processes, real Redis, real pusher-js. One Redis for the whole file."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.certificates import self_signed
from tests.end_to_end.bridge import COMMAND, Bridge, bridge_serve, children
from tests.end_to_end.laravel import APP_KEY, APP_SECRET, ROOT, Laravel
from tests.end_to_end.processes import environment, wait_until
from tests.end_to_end.stores import NOTHING, Store, open_store
from tests.end_to_end.swarm import swarm
from tests.end_to_end.test_restarts import knocking
from tests.end_to_end.wire import WireClient, wire_client

EVENT = "App\\Events\\LineSaid"
PATIENCE = 240  # seconds for several processes to start on a loaded machine
NAMES = ["jobs", "sockets-1", "sockets-2"]


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The queue in Redis; the bus is the same Redis."""
    folder = tmp_path / f"store-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    with open_store("redis", folder, request.getfixturevalue) as store:
        yield store


@pytest.fixture
def app(store: Store, tmp_path: Path) -> Laravel:
    settings = {
        "BRIDGE_BUS": "default",
        "BRIDGE_PROCESSES": "2",
        "BRIDGE_NATIVE_TRUST": "proven",
        "BRIDGE_DRAIN_SPREAD": "1",
        "BRIDGE_DASHBOARD_PASSWORD": "sesame",
    }
    return Laravel.create(tmp_path / "app", {**store.settings, **settings})


@pytest.fixture
def bridge(app: Laravel) -> Iterator[Bridge]:
    with bridge_serve(app, patience=PATIENCE) as bridge:
        yield bridge


def ready(port: int) -> dict[str, object]:
    answer = httpx.get(f"http://127.0.0.1:{port}/ready", timeout=60)
    return {**answer.json(), "status": answer.status_code}


def whole_metrics(port: int) -> str:
    """What `/metrics` says once each process has told its own in time."""

    def told() -> str:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
        return text if len(re.findall(r"^bridge_process_up\{.+\} 1\.0$", text, re.M)) == len(NAMES) else ""

    return wait_until("all processes tell their metrics", told)


def connections(metrics: str) -> dict[str, int]:
    """Clients of each process that takes any."""
    found = re.findall(r'^bridge_connections\{app="[^"]+",process="(sockets-\d)"\} (\d+)\.0$', metrics, re.M)
    return {name: int(count) for name, count in found}


def counted_clients(app: Laravel) -> list[tuple[int, int]]:
    """Connections and subscriptions, as they outlive the process."""
    files = app.path.glob("storage/framework/bridge-clients-*")
    return [(it["connections"], it["subscriptions"]) for it in (json.loads(one.read_text()) for one in files)]


def reload(app: Laravel) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "reload", "--app", str(app.path)]
    return subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=180, check=False
    )


def test_children_share_one_port_and_answer_for_the_whole(
    app: Laravel, store: Store, bridge: Bridge, tag: str
) -> None:
    assert sorted(children(bridge)) == NAMES
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(wire_client(bridge.port, "lines")) for _ in range(9)]
        clients.append(stack.enter_context(wire_client(bridge.port, "lines", "private-a")))
        app.dispatch("line", tag=tag, count=50)
        wait_until("all have all", lambda: all(len(client.events()) >= 50 for client in clients))
        assert all(
            [it.data for it in client.events()] == [it.data for it in clients[0].events()]
            for client in clients
        )
        expected = {"status": 200, "processes": dict.fromkeys(NAMES, True), "draining": False}
        wait_until("all are known to be ready", lambda: expected.items() <= ready(bridge.port).items())
        delivered = 'bridge_jobs_total{process="jobs",step="delivered"} 50.0'
        wait_until("all are counted", lambda: delivered in whole_metrics(bridge.port))
        metrics = whole_metrics(bridge.port)
        assert sum(connections(metrics).values()) == 10
        assert metrics.count("bridge_process_up{") == 3
        assert len(re.findall(r"^# TYPE bridge_connections gauge$", metrics, re.M)) == 1
        wait_until("a restart would wait for them", lambda: counted_clients(app) == [(10, 11)])
        page = f"http://127.0.0.1:{bridge.port}/laravel-websockets"
        with httpx.Client(timeout=60) as browser:
            assert browser.post(f"{page}/login", data={"password": "sesame"}).status_code < 400
        for _ in range(4):  # whichever process is asked, the session is known
            with httpx.Client(cookies=browser.cookies, timeout=60) as again:
                assert again.get(f"{page}/api/session").status_code == 200
        assert httpx.get(f"{page}/api/session", timeout=60).status_code == 401
        with httpx.Client(cookies=browser.cookies, timeout=PATIENCE) as again:
            _uses_the_page_of_all(again, page, clients, Counter(connections(metrics)))
        assert bridge.terminate() == 0
        for client in clients:
            client.join()
            assert client.close_code == 4100
    assert store.left() == NOTHING
    log = bridge.log.read_text()
    assert "Traceback" not in log
    assert {'process="jobs"', 'process="sockets-1"', 'process="parent"'} <= set(
        re.findall(r'process="[\w-]+"', log)
    )
    assert log.count("listening on ") == 1


def _uses_the_page_of_all(
    browser: httpx.Client, page: str, clients: list[WireClient], by_process: Counter[str]
) -> None:
    """What happens in all processes is told; connections are listed, found and ended, whichever has them."""
    told: Counter[str] = Counter()
    shown = 0
    with browser.stream("GET", f"{page}/api/feed", timeout=PATIENCE) as feed:
        for line in feed.iter_lines():
            frame = json.loads(line.removeprefix("data: ") or "{}")
            told.update(row.get("process", "") for row in frame.get("rows", ()) if row["text"] == "connected")
            shown = max([shown, *(point["connections"] for point in frame.get("points", ()))])
            if told == by_process and shown == 10:
                break

    def get(path: str, **asked: str) -> Any:
        """The answer, once no process is missing: one that takes more than two seconds counts as silent."""

        def whole() -> Any:
            answer = browser.get(f"{page}/api/{path}", params=asked).json()
            return [answer] if not answer["missing"] else []

        return wait_until("all processes answer", whole)[0]

    listed = get("connections")
    assert listed["total"] == 10
    assert Counter(row["process"] for row in listed["rows"]) == by_process
    [lines, _] = browser.get(f"{page}/api/channels").json()["rows"]
    assert (lines["name"], lines["subscribers"]) == ("lines", 10)
    where = f"{page}/api/channels/{lines['app']}/lines"
    expected = 10, sorted(row["id"] for row in listed["rows"])

    def has_all() -> bool:
        lines = browser.get(where).json()
        return (lines["subscribers"], sorted(lines["sockets"])) == expected

    wait_until("all processes tell who is in the channel", has_all)
    one = listed["rows"][-1]
    found = get("connections", search=one["id"])
    assert [(row["id"], row["process"]) for row in found["rows"]] == [(one["id"], one["process"])]
    headers = {"X-CSRF-Token": browser.get(f"{page}/api/session").json()["csrf"]}
    asked = {"appId": one["app"], "socket": one["id"]}
    told_so = browser.post(f"{page}/api/disconnect", json=asked, headers=headers)
    # 404 where its process has taken more than two seconds to say so
    assert told_so.status_code == 404 or told_so.json() == {"ended": 1}
    [ended] = wait_until("its client is closed", lambda: [it for it in clients if it.close_code == 4009])
    assert browser.post(f"{page}/api/disconnect", json=asked, headers=headers).status_code == 404
    wait_until("it is gone", lambda: get("connections")["total"] == 9)
    clients.remove(ended)


def test_a_stop_of_all_processes_at_once_ends_the_jobs_before_the_clients(
    app: Laravel, store: Store, bridge: Bridge, tag: str
) -> None:
    """As service managers do that signal a whole group."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(wire_client(bridge.port, "lines")) for _ in range(4)]
        app.dispatch("line", tag=tag, count=300)
        wait_until("jobs are under way", lambda: len(clients[0].events()) >= 20)
        for process in (pid for pids in children(bridge).values() for pid in pids):
            os.kill(process, signal.SIGTERM)
        assert bridge.terminate() == 0
        for client in clients:
            client.join()
        left = store.left()
        assert left.reserved == 0
        assert [len(client.events()) for client in clients] == [300 - left.waiting] * 4


def test_a_reload_refuses_nobody_moves_each_client_once_and_loses_no_job(
    app: Laravel, store: Store, bridge: Bridge, tag: str, tmp_path: Path
) -> None:
    clients = 40
    before = children(bridge)
    with swarm(bridge.port, clients, tmp_path / "swarm.txt", channel="lines", event=EVENT) as pages:
        wait_until("everybody is subscribed", lambda: pages.subscribed(1))
        with wire_client(bridge.port, "lines") as stays, knocking(bridge.port) as refused:
            app.dispatch("line", tag=tag, count=30)
            done = reload(app)
            app.dispatch("line", tag=tag, count=30)
            wait_until("the client knows", lambda: not stays.is_open)
        assert (done.returncode, done.stdout) == (
            0,
            "bridge: 3 processes are replaced, and no client was refused\n",
        )
        assert refused == []
        assert stays.close_code == 4200
        wait_until("everybody is back", lambda: pages.subscribed(2))
        wait_until("the queue is empty", lambda: store.left() == NOTHING)
        assert pages.subscriptions == [2] * clients
        assert all("unavailable" not in states and "failed" not in states for states in pages.states)
        after = children(bridge)
        assert sorted(after) == NAMES
        assert not {pid for pids in before.values() for pid in pids} & {
            pid for pids in after.values() for pid in pids
        }
        assert bridge.process.poll() is None
        assert store.failed() == 0
        assert bridge.terminate() == 0


def test_a_reload_with_a_wrong_configuration_changes_nothing(
    app: Laravel, store: Store, bridge: Bridge
) -> None:
    before = children(bridge)
    (app.path / "bridge.toml").write_text("zzz = 1\n")
    done = reload(app)
    assert done.returncode == 78
    assert "zzz" in done.stderr
    (app.path / "bridge.toml").write_text(
        "[[apps]]\nid = '1'\nkey = 'x'\nsecret = 'y'\nmax_connections = -1\n"
    )
    done = reload(app)
    assert done.returncode == 78, done.stderr
    assert children(bridge) == before
    with wire_client(bridge.port, "lines"):
        assert bridge.terminate() == 0


def test_a_process_that_is_killed_is_started_again_and_nothing_is_lost(
    app: Laravel, store: Store, bridge: Bridge, tag: str
) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(wire_client(bridge.port, "lines")) for _ in range(2)]
        # who has fewer takes the next; where that one is slow to, the other does
        while min((spread := connections(whole_metrics(bridge.port))).values()) < 4:
            assert len(clients) < 100, spread
            clients.append(stack.enter_context(wire_client(bridge.port, "lines")))
        there = spread["sockets-1"]
        [victim] = children(bridge)["sockets-1"]
        app.dispatch("line", tag=tag, count=100)
        os.kill(victim, signal.SIGKILL)
        wait_until("its clients know", lambda: sum(not client.is_open for client in clients) == there)
        left = [client for client in clients if client.is_open]
        wait_until("another is there", lambda: children(bridge).get("sockets-1", [victim]) != [victim])
        back = [stack.enter_context(wire_client(bridge.port, "lines")) for _ in range(4)]
        app.dispatch("line", tag=f"{tag}-2", count=100)
        wait_until("those who stayed have all", lambda: all(len(client.events()) >= 200 for client in left))
        wait_until("those who came have theirs", lambda: all(len(client.events()) >= 100 for client in back))
        for client in left:
            heard = [event.data for event in client.events()]
            assert len(heard) == len(set(heard)) == 200
        [jobs] = children(bridge)["jobs"]
        os.kill(jobs, signal.SIGKILL)
        wait_until("jobs are taken again", lambda: children(bridge).get("jobs", [jobs]) != [jobs])
        app.dispatch("line", tag=tag, count=10)
        wait_until("they go out", lambda: all(len(client.events()) >= 210 for client in left))
        assert bridge.terminate() == 0
    log = bridge.log.read_text()
    assert log.count("a process has ended and is started again") == 2


def test_without_a_bus_it_does_not_start_and_says_why(app: Laravel, store: Store) -> None:
    text = (app.path / ".env").read_text()
    (app.path / ".env").write_text(text.replace("BRIDGE_BUS=default\n", ""))
    with (
        pytest.raises(AssertionError, match=r"bridge ended with 78.*over a bus, which is not set.*set bus"),
        bridge_serve(app),
    ):
        pass
    assert reload(app).returncode == 69


def test_a_redis_that_is_away_ends_the_start_with_69(app: Laravel, store: Store) -> None:
    text = (app.path / ".env").read_text()
    (app.path / ".env").write_text(re.sub(r"REDIS_PORT=\d+", "REDIS_PORT=1", text))
    with pytest.raises(AssertionError, match="bridge ended with 69"), bridge_serve(app, patience=PATIENCE):
        pass


class Told(threading.Thread):
    """What a service manager has heard, in order."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.messages: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def run(self) -> None:
        while text := self._socket.recv(4096).decode():
            self.messages.append(dict(line.split("=", 1) for line in text.split("\n")))

    def words(self) -> list[str]:
        """Without what comes again and again."""
        own = ("READY", "RELOADING", "STOPPING")
        return [name for message in list(self.messages) for name in own if name in message]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_service_manager_hears_of_every_step(app: Laravel, store: Store, processes: int) -> None:
    path = Path(tempfile.mkdtemp()) / "notify"  # a Unix socket's path must be short
    told = Told(path)
    told.start()
    env = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000"}
    flags = ("--processes", str(processes))
    with bridge_serve(app, *flags, patience=PATIENCE, env=env) as bridge:
        wait_until("it is ready", lambda: told.words() == ["READY"])
        wait_until("it is alive", lambda: sum("WATCHDOG" in message for message in told.messages) >= 2)
        bridge.process.send_signal(signal.SIGHUP)
        wait_until("it has read anew", lambda: told.words() == ["READY", "RELOADING", "READY"])
        assert reload(app).returncode == 0
        wait_until("it is ready again", lambda: told.words() == ["READY", *["RELOADING", "READY"] * 2])
        seen = len(told.messages)
        wait_until("it is alive", lambda: any("WATCHDOG" in message for message in told.messages[seen:]))
        assert {message["MAINPID"] for message in told.messages if "MAINPID" in message} == {
            str(bridge.process.pid)
        }
        assert all("MONOTONIC_USEC" in message for message in told.messages if "RELOADING" in message)
        assert bridge.terminate() == 0
    wait_until("it has stopped", lambda: told.words()[-1] == "STOPPING")
    if processes == 2:
        assert any("EXTEND_TIMEOUT_USEC" in message for message in told.messages)


@contextlib.asynccontextmanager
async def member(port: int, context: ssl.SSLContext, user: str) -> AsyncIterator[ClientConnection]:
    """A connection that is in the presence channel; what it hears of members is read from it.

    Not websockets' client with threads: two of them in one TLS connection hang once in some hundred times.
    """
    url = f"wss://127.0.0.1:{port}/app/{APP_KEY}?protocol=7&client=t&version=1"
    async with connect(url, ssl=context, open_timeout=60) as connection:
        socket_id = (await heard_of(connection, "pusher:connection_established"))["socket_id"]
        data = json.dumps({"user_id": user})
        text = f"{socket_id}:presence-room:{data}"
        signature = hmac.new(APP_SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        joins = {"channel": "presence-room", "auth": f"{APP_KEY}:{signature}", "channel_data": data}
        await connection.send(json.dumps({"event": "pusher:subscribe", "data": joins}))
        yield connection


async def heard_of(connection: ClientConnection, event: str) -> dict[str, Any]:
    """The data of the next message of this kind."""
    async with asyncio.timeout(60):
        while (message := json.loads(await connection.recv()))["event"] != event:
            pass
    return dict(json.loads(message["data"]))


def test_presence_is_one_over_all_processes_with_tls(app: Laravel, store: Store, tmp_path: Path) -> None:
    chain, key = self_signed(tmp_path)
    with (app.path / ".env").open("a") as env:
        env.write(f"BRIDGE_SSL_CERT={chain}\nBRIDGE_SSL_KEY={key}\n")
    context = ssl.create_default_context(cafile=chain)
    with bridge_serve(app, scheme="https", patience=PATIENCE) as bridge:
        asyncio.run(members_come_and_go(bridge.port, context))
        assert bridge.terminate() == 0


async def members_come_and_go(port: int, context: ssl.SSLContext) -> None:
    async with contextlib.AsyncExitStack() as stack:
        members: list[ClientConnection] = []
        for number in range(6):  # by turns, here and there
            joined = await stack.enter_async_context(member(port, context, f"u{number}"))
            roster = (await heard_of(joined, "pusher_internal:subscription_succeeded"))["presence"]
            assert sorted(roster["ids"]) == [f"u{one}" for one in range(number + 1)]
            for before in members:
                assert (await heard_of(before, "pusher_internal:member_added"))["user_id"] == f"u{number}"
            members.append(joined)
        twice = await stack.enter_async_context(member(port, context, "u0"))
        await heard_of(twice, "pusher_internal:subscription_succeeded")
        await members[0].close()  # u0 is still there
        await members[1].close()
        for left in members[2:]:
            assert (await heard_of(left, "pusher_internal:member_removed"))["user_id"] == "u1"
        await twice.close()
        assert (await heard_of(members[2], "pusher_internal:member_removed"))["user_id"] == "u0"
