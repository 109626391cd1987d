"""pusher-js's own integration specs, as its package ships them: plain, and by the TLS of nginx."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.sockets.server.running import APP
from tests.sockets.server.sdks import BROWSER
from tests.sockets.server.test_behind_proxies import behind, nginx

pytestmark = pytest.mark.anyio

# the keys that stand in the specs
MAIN = replace(APP, id="1", key="c49a449b916bb4246729", secret="one")
CLUSTER = replace(APP, id="2", key="cb7d5e50f5669e5c9ae6", secret="two")
SPECS = 84  # those of both ways to connect


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


async def test_all_its_specs_pass(tmp_path: Path) -> None:
    async with behind(nginx, tmp_path, app=MAIN, apps=[CLUSTER]) as (server, port, _):
        apps = (MAIN, CLUSTER)
        given = {
            "port": server.port,
            "tlsPort": port,
            "apps": {app.key: app.secret for app in apps},
            "appIds": {app.key: app.id for app in apps},
        }
        process = await asyncio.create_subprocess_exec(
            *("node", "suite.mjs", json.dumps(given)),
            cwd=BROWSER,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "NODE_EXTRA_CA_CERTS": str(tmp_path / "chain.pem")},
        )
        out, problems = await asyncio.wait_for(process.communicate(), 500)
    assert out, problems.decode()
    told = json.loads(out.splitlines()[-1])
    assert told["failed"] == [], "\n".join(told["failed"])
    assert told["passed"] == SPECS
