"""What looks on ends with the daemon, whatever it is waiting for."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from bridge.demo.app import write_app
from bridge.serve.monitors import MonitoredParts, Monitors
from bridge.settings.load import load_settings
from bridge.sockets.server.node import Node
from tests.sockets.server.running import APP, LIMIT

pytestmark = pytest.mark.anyio


class SlowStore:
    """A queue whose store takes its time to tell the depth."""

    def __init__(self) -> None:
        self.asked, self.answers = threading.Event(), threading.Event()

    def depth(self) -> dict[str, Any]:
        self.asked.set()
        self.answers.wait(LIMIT)
        return {}


async def test_a_stop_while_the_store_is_asked_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load_settings({}, {"BRIDGE_ENABLE_STATISTICS": "false"}, write_app(tmp_path).path)
    store, instruments = SlowStore(), Monitors(settings)
    node = Node([APP])
    watched = MonitoredParts(node=node, worker=cast(Any, None), queue=cast(Any, store), php_processes=dict)
    instruments.start(watched)
    await asyncio.to_thread(store.asked.wait, LIMIT)
    await instruments.stop(watched)
    store.answers.set()
    await asyncio.get_running_loop().shutdown_default_executor()  # what it answers has been heard
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
