"""`bridge demo` as a person runs it: the command, its page in Chromium, a bare client, the end."""

from __future__ import annotations

import contextlib
import gzip
import html
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import phpserialize
import pytest
from websockets.sync.client import ClientConnection, connect

from bridge.demo import feed
from bridge.demo.app import SOURCE
from tests.end_to_end.laravel import BROWSER
from tests.end_to_end.processes import environment, running, wait_until

FIXTURES = Path(__file__).parents[1] / "fixtures"
CHANNELS = {
    "ChatChannel": "App\\Events\\ChatEvent",
    "private-room.17": "App\\Events\\PrivateConcat",
    "presence-room.5.red": "App\\Events\\PresenceInterpolated",
    "releases": "server.created",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A running demo; `temporary` is where its folder lies."""

    process: subprocess.Popen[str]
    address: str
    temporary: Path
    log: Path

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.address + path, headers=headers, trust_env=False, timeout=60)

    def post(self, path: str, fields: object, **headers: str) -> httpx.Response:
        return httpx.post(self.address + path, json=fields, headers=headers, trust_env=False, timeout=60)

    def meta(self, name: str) -> str:
        found = re.search(rf'<meta name="demo-{name}" content="([^"]+)">', self.get("/").text)
        assert found is not None
        return html.unescape(found[1])

    def post_as_page(self, path: str, fields: object) -> httpx.Response:
        return self.post(path, fields, **{"X-Demo-Token": self.meta("token")})


@contextlib.contextmanager
def bridge_demo(folder: Path, *arguments: str) -> Iterator[Demo]:
    temporary, log = folder / "temporary", folder / "demo.txt"
    temporary.mkdir()
    command = [sys.executable, "-m", "bridge", "demo", "--no-browser", *arguments]
    with running(command, cwd=folder, log=log, env=environment(TMPDIR=str(temporary))) as process:

        def address() -> str:
            written = log.read_text()
            assert process.poll() is None, f"the demo ended with {process.returncode}: {written}"
            found = re.search(r"^  (http://127\.0\.0\.1:\d+)/$", written, re.MULTILINE)
            return found[1] if found and "Ctrl-C" in written else ""

        yield Demo(
            process=process,
            address=wait_until("the demo prints its address", address),
            temporary=temporary,
            log=log,
        )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with bridge_demo(tmp_path_factory.mktemp("demo"), "--port", "0") as demo:
        yield demo


@contextlib.contextmanager
def subscribed(demo: Demo, *channels: str) -> Iterator[ClientConnection]:
    """A bare client, which the server has confirmed on every channel."""
    url = f"{demo.address.replace('http', 'ws')}/app/{demo.meta('key')}?protocol=7&client=bare&version=1.0"
    with connect(url, open_timeout=60, ping_interval=None) as client:
        socket_id = json.loads(json.loads(client.recv(timeout=60))["data"])["socket_id"]
        for channel in channels:
            who = {"socket_id": socket_id, "channel_name": channel, "user_id": "7", "name": "Zoë"}
            signed = demo.post_as_page("/demo/auth", who).json()
            data = {"channel": channel, **signed}
            client.send(json.dumps({"event": "pusher:subscribe", "data": data}))
        waiting = set(channels)
        while waiting:
            message = json.loads(client.recv(timeout=60))
            assert not message["event"].endswith("error"), message
            if message["event"] == "pusher_internal:subscription_succeeded":
                waiting.remove(message["channel"])
        yield client


def receive(client: ClientConnection, seconds: float) -> Iterator[dict[str, Any]]:
    """What arrives in the next seconds; AssertionError when they are over."""
    deadline = time.monotonic() + seconds
    while (rest := deadline - time.monotonic()) > 0:
        yield json.loads(client.recv(timeout=rest))
    raise AssertionError(f"did not arrive within {seconds:g} s")


def test_an_event_of_each_kind_arrives(demo: Demo) -> None:
    arrived: dict[str, str] = {}
    with subscribed(demo, *CHANNELS) as client:
        for message in receive(client, 60):
            arrived[message["channel"]] = message["event"]
            assert abs(time.time() * 1000 - _pushed_at(json.loads(message["data"]))) < 60_000
            if len(arrived) == len(CHANNELS):
                break
    assert arrived == CHANNELS


def _pushed_at(data: Any) -> int:
    if isinstance(data, dict):
        return max((_pushed_at(inner) for inner in data.values()), default=0) or int(data.get("pushed_at", 0))
    return data if isinstance(data, int) and data > 1_000_000_000_000 else 0


def test_a_text_becomes_an_event_with_exactly_that_text(demo: Demo) -> None:
    text = 'naïve "ы" \\ / <b> 👩‍👩‍👧 O:8:"stdClass":0:{}'
    with subscribed(demo, "ChatChannel") as client:
        assert demo.post_as_page("/demo/push", {"text": text, "name": "Zoë"}).status_code == 202
        message = next(m for m in receive(client, 90) if m["event"] == "App\\Events\\ChatMessage")
    data = json.loads(message["data"])
    assert (data["text"], data["from"]) == (text, "Zoë")


def test_the_page_and_its_parts_are_served_and_nothing_is_loaded_from_elsewhere(demo: Demo) -> None:
    page = demo.get("/")
    assert page.headers["content-type"].startswith("text/html")
    parts = re.findall(r'(?:src|href)="(/demo/[^"]+)"', page.text)
    assert sorted(parts) == ["/demo/page.css", "/demo/page.js"]
    for part in [*parts, "/demo/pusher.js"]:
        answer = demo.get(part)
        assert answer.status_code == 200
        assert not re.search(r"https?://|url\(", answer.text)
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert demo.get("/demo/app.py").status_code == 404


def test_other_sites_can_neither_read_the_page_nor_push(demo: Demo) -> None:
    assert demo.get("/", Host="rebound.example").status_code == 403
    for path in ("/demo/push", "/demo/auth"):
        assert demo.post(path, {"text": "hi"}).status_code == 403
        assert demo.post(path, {"text": "hi"}, **{"X-Demo-Token": "x"}).status_code == 403


@pytest.mark.parametrize("text", ["", "   ", "x" * 501])
def test_a_text_that_is_empty_or_too_long_is_not_pushed(demo: Demo, text: str) -> None:
    assert demo.post_as_page("/demo/push", {"text": text}).status_code == 422


def test_a_request_that_is_no_object_of_texts_is_refused(demo: Demo) -> None:
    assert demo.post_as_page("/demo/push", {"text": 7}).status_code == 400
    assert demo.post_as_page("/demo/push", ["text"]).status_code == 400
    assert demo.post_as_page("/demo/push", {"text": "x" * 5000}).status_code == 413


def test_two_windows_in_chromium_see_events_each_other_and_whispers(demo: Demo) -> None:
    assert (BROWSER / "node_modules").is_dir(), "run `npm ci` in fixtures/browser first (make test does)"
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
    run = subprocess.run(
        ["node", str(Path(__file__).with_name("demo.mjs")), demo.address, executable],
        cwd=BROWSER,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert (seen["complaints"], seen["foreign"]) == ([], [])
    assert seen["members"] == [f"{seen['name']} (you)", seen["other"]]
    assert seen["whisper"] == f"Whisper from {seen['name']}"
    assert seen["own"]["data"]["text"] == 'naïve "ы" <b>text</b>'
    assert seen["own"]["data"]["from"] == seen["other"]
    assert re.fullmatch(r"\d+ ms", seen["own"]["latency"])
    assert seen["paused"]
    assert seen["title"] == "Overview · bridge"
    assert seen["width"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_nothing_left(tmp_path: Path, number: signal.Signals) -> None:
    with bridge_demo(tmp_path, "--port", "0") as demo, subscribed(demo, "ChatChannel") as client:
        assert next(receive(client, 90))["channel"] == "ChatChannel"
        assert list(demo.temporary.glob("bridge-demo-*/database.sqlite"))
        demo.process.send_signal(number)
        assert demo.process.wait(timeout=60) == 0
        assert list(demo.temporary.iterdir()) == []
        assert "Traceback" not in demo.log.read_text()


def test_a_free_port_is_taken_where_the_usual_one_is_not_free(tmp_path: Path) -> None:
    with _held(6001), bridge_demo(tmp_path) as demo:
        assert "Port 6001 is taken" in demo.log.read_text()
        assert not demo.address.endswith(":6001")
        assert demo.get("/up").status_code == 200


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path) -> None:
    with _held(0) as port:
        run = subprocess.run(
            [sys.executable, "-m", "bridge", "demo", "--no-browser", "--port", str(port)],
            env=environment(TMPDIR=str(tmp_path)),
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
    assert run.returncode == 69
    assert f"127.0.0.1:{port} cannot be listened on" in run.stderr
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def _held(port: int) -> Iterator[int]:
    """The port is taken, by us unless by somebody else already."""
    with socket.socket() as holder:

        def is_ours() -> bool:
            with contextlib.suppress(OSError):
                holder.bind(("127.0.0.1", port))
                holder.listen()
                return True
            return False

        with contextlib.suppress(AssertionError):  # whoever has it may have it for good, or give it up soon
            wait_until("the port is free", is_ours, 20)
            port = holder.getsockname()[1]
        yield port


def test_the_sample_events_are_recorded_ones_of_real_laravel() -> None:
    with gzip.open(FIXTURES / "payloads/laravel-12.67.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    real = {(row["id"], row["row"]["queue"], row["row"]["payload"]) for row in rows if _is_plain(row)}
    samples = feed.recorded()
    assert set(samples) == {sample.case for sample in feed.SAMPLES} | {feed.OWN_CASE}
    for case, sample in samples.items():
        assert (case, sample.queue, sample.payload) in real
    for source in SOURCE.rglob("*.php"):
        assert source.read_bytes() == (FIXTURES / "payloads/app" / source.relative_to(SOURCE)).read_bytes()


def _is_plain(row: dict[str, Any]) -> bool:
    return "payload" in (row.get("row") or {})


@pytest.mark.parametrize("case", feed.recorded())
def test_a_payload_with_its_own_values_is_written_byte_for_byte_as_laravel_did(case: str) -> None:
    payload = feed.recorded()[case].payload
    document = json.loads(payload)
    command = phpserialize.loads(
        document["data"]["command"].encode(), object_hook=phpserialize.phpobject
    ).__php_vars__
    member, value = next(iter(command[b"event"].__php_vars__.items()))
    again = feed.with_values(payload, member, value, created_at=document["createdAt"])
    uuid = json.loads(again)["uuid"]
    assert uuid != document["uuid"]
    assert again.replace(uuid, document["uuid"]) == payload
