"""The dashboard behind the proxies of `docker/proxies`, on a port of its own: what a browser does there."""

from __future__ import annotations

import json
import os
import ssl
from pathlib import Path

import httpx
import pytest

from tests import services
from tests.certificates import self_signed
from tests.end_to_end.processes import listens, running, wait_until
from tests.monitoring.dashboard.serving import BASE, PASSWORD, PATIENCE, serving
from tests.sockets.server.test_behind_proxies import PROXIES, Command


@pytest.mark.parametrize("command", PROXIES, ids=lambda command: command.__name__)
def test_a_person_logs_in_looks_and_sends_through_the_proxy(command: Command, tmp_path: Path) -> None:
    chain, key = self_signed(tmp_path)
    port = services.free_port()
    with serving(tmp_path, trusted_proxies="127.0.0.1") as served:
        behind = httpx.URL(served.address).port or 0
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        started = command(tmp_path, port, behind, chain, key)
        with running(started, cwd=tmp_path, log=tmp_path / "proxy.txt", env=environ):
            wait_until("the proxy listens", lambda: listens(port))
            origin = f"https://localhost:{port}"
            context = ssl.create_default_context(cafile=chain)
            with httpx.Client(
                base_url=origin, verify=context, headers={"Origin": origin}, trust_env=False, timeout=PATIENCE
            ) as person:
                assert "Password of the dashboard" in person.get(BASE).text
                answer = person.post(f"{BASE}/login", json={"password": PASSWORD})
                assert answer.status_code == 200, answer.text
                assert "secure" in answer.headers["set-cookie"].lower()
                assert "Overview" in person.get(BASE).text
                person.headers["X-CSRF-Token"] = person.get(f"{BASE}/api/session").json()["csrf"]
                fields = {"appId": "demo", "channel": "c", "event": "e", "data": "{}"}
                assert person.post(f"{BASE}/event", json=fields).json() == {"receivers": 0}
                with person.stream("GET", f"{BASE}/api/feed") as feed:  # it is not held back
                    first = next(line for line in feed.iter_lines() if line.startswith("data: "))
                assert {"rows", "summary"} <= set(json.loads(first[6:]))
                evil = person.post(f"{BASE}/event", json=fields, headers={"Origin": "https://localhost"})
                assert evil.status_code == 403
                assert person.get("/metrics").status_code in (403, 404)
                # a link that leads to the page must stay on this port
                assert person.get(f"{BASE}/", follow_redirects=False).status_code == 200
