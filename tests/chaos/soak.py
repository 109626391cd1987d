"""An hour with all parts of bridge at work, and nothing going wrong: nothing is lost, and nothing grows."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
from websockets.sync.client import ClientConnection, connect

from bridge.monitoring.dashboard.failures import LOOKED_AT
from tests.chaos.ground import Ground
from tests.chaos.rig import MIXTURE, Figures, Kind
from tests.end_to_end.laravel import APP_ID, APP_KEY, APP_SECRET
from tests.end_to_end.processes import wait_until
from tests.sockets.webhooks.receiver import Receiver, receiving
from tests.threads import repeatedly

FLOW = 20  # events a second
OTHERS = 2  # jobs a second that are no broadcasts
FAILING = 0.2  # events a second that throw
VISITS = 2  # clients a second that come and go
LOOKS = 0.2  # a second, at each page of the dashboard
THROWS: Kind = "throws"
FAILED = (THROWS,) * LOOKED_AT
MINUTE = 60.0
WARM = 10  # minutes until nothing may grow any more
GROWTH = 1.0  # MiB an hour, at most
BASE = "/laravel-websockets"
PASSWORD = "let me in"


def soak(ground: Ground) -> Figures:
    """So many minutes as there are trials, on top of a thousand failed jobs: native and PHP events, failing
    ones, other jobs, clients that come and go, webhooks, the dashboard and its stream."""
    with receiving() as receiver, ground.rig(settings={"BRIDGE_DASHBOARD_PASSWORD": f'"{PASSWORD}"'}) as rig:
        (rig.app.path / "bridge.toml").write_text(f'[[webhooks]]\nurl = "{receiver.url}"\n')
        rig.know(*MIXTURE, "throws")
        rig.know_others()
        with rig.bridge() as bridge, rig.watched(number=2):
            rig.there()
            # as many as are looked at and remembered: what is bounded by them has its size from the start
            rig.push(*FAILED, tries=1, fails=True)
            rig.drained()
            visitors = Visitors(bridge.port)
            with (
                rig.flow(FLOW),
                repeatedly(rig.push_other, 1 / OTHERS),
                repeatedly(lambda: rig.push("throws", tries=1, fails=True), 1 / FAILING),
                repeatedly(visitors.visit, 1 / VISITS),
                watching(bridge.port),
            ):
                sizes = measured(bridge.process.pid, ground.trials * MINUTE)
            rig.drained()
            descriptors = len(os.listdir(f"/proc/{bridge.process.pid}/fd"))
            wait_until("the last room is vacated", lambda: visitors.told_by(receiver))
            rig.must(bridge.terminate() == 0, "the stop did not end with 0")
        for sentence in visitors.amiss(receiver):
            rig.must(False, sentence)
        others = rig.others_amiss()
        rig.must(not others, f"other jobs that did not run once: {others}")
        late = [(at, size) for at, size in sizes if at >= WARM * MINUTE]
        note = f"{len(visitors.rooms)} visits; RSS {sizes[0][1]:.1f} to {sizes[-1][1]:.1f} MiB"
        if len(late) > WARM:
            growth = statistics.linear_regression(*zip(*late, strict=True)).slope * 60 * MINUTE
            note += f", {growth:+.2f} MiB an hour after the first {WARM} minutes ({late[0][1]:.1f} then)"
            rig.must(growth <= GROWTH, f"it grows by {growth:.2f} MiB an hour")
        return rig.figures(ground.trials, note=f"minutes; {note}; {descriptors} descriptors")


class Visitors:
    """Clients that come, join a room that nobody else has, and one that all have, and go."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.rooms: list[str] = []

    def visit(self) -> None:
        number = len(self.rooms) + 1
        room = f"presence-room-{number}"
        address = f"ws://127.0.0.1:{self._port}/app/{APP_KEY}?protocol=7&client=soak&version=1.0"
        with connect(address, ping_interval=None) as connection:
            socket_id = json.loads(json.loads(connection.recv(timeout=MINUTE))["data"])["socket_id"]
            self.rooms.append(room)
            for channel in (room, "lines", "private-orders.7", "presence-all"):
                _join(connection, socket_id, channel, str(number))
            waiting = {room, "lines", "private-orders.7", "presence-all"}
            while waiting:
                message = json.loads(connection.recv(timeout=MINUTE))
                if message["event"] == "pusher_internal:subscription_succeeded":
                    waiting.discard(message["channel"])
            connection.send(json.dumps({"event": "client-hello", "channel": room, "data": {"a": 1}}))

    def told_by(self, receiver: Receiver) -> bool:
        return not self.rooms or f"channel_vacated {self.rooms[-1]}" in receiver.names()

    def amiss(self, receiver: Receiver) -> list[str]:
        """Webhooks of rooms that did not come once, a sentence for each kind."""
        told = Counter(receiver.names())
        kinds = ("channel_occupied", "channel_vacated")
        wrong = {kind: [it for it in self.rooms if told[f"{kind} {it}"] != 1] for kind in kinds}
        return [f"{kind} did not come once: {rooms[:5]}" for kind, rooms in wrong.items() if rooms]


def _join(connection: ClientConnection, socket_id: str, channel: str, user: str) -> None:
    data = {"channel": channel, "auth": ""}
    text = f"{socket_id}:{channel}"
    if channel.startswith("presence-"):
        data["channel_data"] = json.dumps({"user_id": user})
        text += f":{data['channel_data']}"
    if channel.startswith(("private-", "presence-")):
        signature = hmac.new(APP_SECRET.encode(), text.encode(), hashlib.sha256)
        data["auth"] = f"{APP_KEY}:{signature.hexdigest()}"
    connection.send(json.dumps({"event": "pusher:subscribe", "data": data}))


@contextlib.contextmanager
def watching(port: int) -> Iterator[None]:
    """Somebody has the dashboard open, reads its stream and looks at its pages; Prometheus asks."""
    address = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=address, trust_env=False, timeout=MINUTE) as client:
        answer = client.post(f"{BASE}/login", json={"password": PASSWORD})
        assert answer.status_code == 200, answer.text
        over = threading.Event()

        def read() -> None:
            with client.stream("GET", f"{BASE}/api/feed") as stream:
                for _ in stream.iter_bytes():
                    if over.is_set():
                        return

        def look() -> None:
            pages = ("session", "ways", "channels", "connections", "failed", f"channels/{APP_ID}/lines")
            for path in (*(f"{BASE}/api/{page}" for page in pages), "/metrics", "/ready", "/up"):
                answer = client.get(path)
                assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:200]}"

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        with repeatedly(look, 1 / LOOKS):
            yield
        assert reader.is_alive(), "the dashboard's stream has ended"
        over.set()
        reader.join(timeout=MINUTE)


def measured(process: int, seconds: float) -> list[tuple[float, float]]:
    """Seconds since the start, and MiB that the process has in memory, every ten."""
    began = time.monotonic()
    found: list[tuple[float, float]] = []
    while (now := time.monotonic() - began) < seconds:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        found.append((now, pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)))
        if keep := os.environ.get("CHAOS_KEEP"):
            (Path(keep) / "sizes.json").write_text(json.dumps(found))
        time.sleep(10)  # the soak itself
    return found
