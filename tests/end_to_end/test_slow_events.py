"""An event that PHP takes long over holds up its own channel only, on every store."""

from __future__ import annotations

import json
import os
import signal
import time

from tests.end_to_end.bridge import bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import family, wait_until
from tests.end_to_end.stores import NOTHING, Left, Store
from tests.end_to_end.test_reservations import RETRY_AFTER, failures, set_up
from tests.end_to_end.wire import WireClient, wire_client


def numbered(client: WireClient) -> list[int]:
    return [json.loads(it.data)["number"] for it in client.events() if it.channel == "lines"]


def test_a_slow_event_holds_up_its_own_channel_only(app: Laravel, store: Store, tag: str) -> None:
    set_up(app, QUEUE_RETRY_AFTER=str(RETRY_AFTER), BRIDGE_OTHER_JOBS="leave")
    with bridge_serve(app) as bridge, wire_client(bridge.port, "lines", "ChatChannel") as client:
        app.dispatch("lingers", "quick", "line", "public", tag=tag)
        # PHP is asked about the first event of a kind too, so it needs a second process
        wait_until(
            "another channel's event has come",
            lambda: [it.channel for it in client.events()] == ["ChatChannel"],
        )
        began = time.monotonic()
        wait_until("its reservation would have ended", lambda: time.monotonic() > began + RETRY_AFTER + 2)
        assert numbered(client) == []
        wait_until("the others wait for it", lambda: store.left() == Left(waiting=2, reserved=1))
        (app.path / "storage/app/go").touch()
        wait_until("all have come", lambda: len(client.events()) >= 4)
        wait_until("the queue is empty", lambda: store.left() == NOTHING)
        assert bridge.terminate() == 0
    names = [it.event.rpartition("\\")[2] for it in client.events()]
    assert names == ["ChatEvent", "Behaves", "Behaves", "LineSaid"]
    assert failures(store) == []
    assert "helper_died" not in bridge.log.read_text()


def test_an_app_that_hangs_while_it_boots_holds_up_what_needs_php_only(
    app: Laravel, store: Store, tag: str
) -> None:
    set_up(app, BRIDGE_OTHER_JOBS="leave")
    hangs, boot = app.path / "storage/app/hangs", app.path / "bootstrap/app.php"
    asked = "basename(get_included_files()[0]) === 'php.php'"
    wait = f"while ({asked} && file_exists('{hangs}')) {{ usleep(20000); }}"
    boot.write_text(boot.read_text().replace("<?php", f"<?php {wait}", 1))
    with bridge_serve(app) as bridge, wire_client(bridge.port, "lines", "ChatChannel") as client:
        app.dispatch("public", tag=tag, count=10)
        wait_until("native has earned it", lambda: len(client.events()) == 10)
        wait_until("the queue is empty", lambda: store.left() == NOTHING)
        hangs.touch()
        for process in family(bridge.process.pid)[1:]:
            os.kill(process, signal.SIGKILL)
        # each has a channel of its own, and PHP is asked about the first event of a kind
        app.dispatch("quick", "private", "presence", "encrypted", "notification", tag=tag)
        app.dispatch("public", tag=tag, count=5)
        wait_until("what needs no PHP has come", lambda: len(client.events()) == 15)
        assert numbered(client) == []
        wait_until("PHP is started", lambda: len(family(bridge.process.pid)) > 1)
        assert len(family(bridge.process.pid)[1:]) <= 2
        hangs.unlink()
        wait_until("all have come", lambda: len(client.events()) == 16)
        wait_until("the queue is empty", lambda: store.left() == NOTHING)
        assert bridge.terminate() == 0
    assert numbered(client) == [1]
    assert failures(store) == []
