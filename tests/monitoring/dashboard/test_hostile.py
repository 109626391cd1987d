"""What clients, jobs and answers can name reaches the page as text: markup in all of it, in real Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from bridge.sockets.pusher.signatures import sign, subscription_text
from tests.end_to_end.laravel import BROWSER
from tests.monitoring.dashboard.serving import PASSWORD, PATIENCE, Served, serving, until
from tests.sockets.webhooks.receiver import receiving

PATIENT: dict[str, Any] = {"open_timeout": PATIENCE, "ping_interval": None}
MARKUP = "<img src=x onerror=ran=1><script>ran=2</script>\"'><svg/onload=ran=3>"


@pytest.mark.timeout(600)
def test_markup_is_text_in_every_panel(tmp_path: Path) -> None:
    with (
        receiving() as receiver,
        serving(tmp_path, webhooks=json.dumps([{"url": receiver.url}])) as served,
        connect(served.address.replace("http", "ws") + f"/app/{served.app.key}", **PATIENT) as client,
        connect(served.address.replace("http", "ws") + f"/app/{served.app.key}", **PATIENT) as other,
    ):
        for one in (client, other):
            _enter(served, one)
        client.send(json.dumps({"event": f"client-{MARKUP}", "channel": "presence-hostile", "data": MARKUP}))
        served.queue_refused(f"App\\Events\\{MARKUP}")
        until("it has failed", lambda: served.rows("select 1 from failed_jobs"))
        served.queue(
            json.dumps(
                {
                    "uuid": str(uuid.uuid4()),
                    "displayName": MARKUP,
                    "job": MARKUP,
                    "tags": [MARKUP],
                    "data": {"commandName": MARKUP, "command": MARKUP},
                }
            )
        )
        until("a webhook came", lambda: receiver.bodies)
        executable = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
        script = Path(__file__).with_name("hostile.mjs")
        ran = subprocess.run(
            ["node", str(script), served.address, executable, PASSWORD],
            cwd=BROWSER,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    seen: dict[str, Any] = json.loads(ran.stdout)
    assert (seen["ran"], seen["elements"], seen["complaints"], seen["foreign"]) == (None, 0, [], [])
    for panel in ("jobs", "live", "channels", "connections", "failed"):
        assert "onerror=ran=1" in seen["texts"][panel], panel


def _enter(served: Served, client: ClientConnection) -> None:
    socket_id = json.loads(json.loads(client.recv())["data"])["socket_id"]
    shown = json.dumps({"user_id": f"{MARKUP} {socket_id}", "user_info": {"name": MARKUP}})
    text = subscription_text(socket_id, "presence-hostile", shown)
    auth = f"{served.app.key}:{sign(served.app.secret.reveal(), text)}"
    data = {"channel": "presence-hostile", "auth": auth, "channel_data": shown}
    client.send(json.dumps({"event": "pusher:subscribe", "data": data}))
    until("it is in", lambda: "subscription_succeeded" in client.recv())
