"""A deploy under way costs no event and no try: what is away for a moment is waited for."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.bridge import Bridge, bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import wait_until
from tests.end_to_end.stores import NOTHING, Store
from tests.end_to_end.wire import WireClient, wire_client

EVENTS = 80  # of 0.2 s each: they last until the fault is there, though the test stands still for a while

pytestmark = pytest.mark.parametrize("store", ["sqlite", "redis"], indirect=True)


@contextlib.contextmanager
def amid(app: Laravel, store: Store, tag: str) -> Iterator[Bridge]:
    """Events that only PHP can tell are being sent; after the block each of them has gone out once."""
    with bridge_serve(app) as bridge, wire_client(bridge.port, "lines") as client:
        app.dispatch("naps", tag=tag, count=EVENTS)
        wait_until("the first have come", lambda: len(client.events()) > 2)
        yield bridge
        wait_until("the queue is empty", lambda: store.left() == NOTHING, timeout=180)
        wait_until("as many have come", lambda: len(client.events()) >= EVENTS)
        assert numbers(client) == Counter(range(1, EVENTS + 1))
        assert bridge.terminate() == 0
    assert store.failed() == 0


def numbers(client: WireClient) -> Counter[int]:
    return Counter(json.loads(it.data)["number"] for it in client.events())


def outages(bridge: Bridge, at_least: int) -> None:
    wait_until(
        "PHP is down", lambda: bridge.log.read_text().count("PHP processes are down") >= at_least, timeout=180
    )


def test_events_wait_while_env_is_away(app: Laravel, store: Store, tag: str, tmp_path: Path) -> None:
    with amid(app, store, tag) as bridge:
        (app.path / ".env").rename(tmp_path / "env")
        outages(bridge, 2)
        wait_until(
            "it is told why", lambda: "set up broadcasting otherwise" in bridge.log.read_text(), timeout=180
        )
        (tmp_path / "env").rename(app.path / ".env")


def test_events_wait_while_the_app_does_not_boot(
    app: Laravel, store: Store, tag: str, tmp_path: Path
) -> None:
    with amid(app, store, tag) as bridge:
        boot = app.path / "bootstrap/app.php"
        whole = boot.read_text()
        boot.write_text("<?php throw new Exception('half a release');")
        outages(bridge, 3)
        boot.write_text(whole)


def test_events_wait_for_a_class_that_a_deploy_is_about_to_bring(
    app: Laravel, store: Store, tag: str, tmp_path: Path
) -> None:
    """bridge has never seen it; the event was queued by the release that has it."""
    app.dispatch("line", tag=tag)
    event = app.path / "app/Events/LineSaid.php"
    event.rename(tmp_path / "LineSaid.php")
    with bridge_serve(app) as bridge, wire_client(bridge.port, "lines") as client:
        wait_until("it is missed", lambda: "a deploy may be about to bring it" in bridge.log.read_text())
        (tmp_path / "LineSaid.php").rename(event)
        wait_until("it has come", client.events)
        wait_until("the queue is empty", lambda: store.left() == NOTHING)
        assert bridge.terminate() == 0
    assert len(client.events()) == 1
    assert store.failed() == 0


def test_an_event_whose_class_nobody_brings_fails_in_the_end(app: Laravel, store: Store, tag: str) -> None:
    app.dispatch("line", tag=tag)
    (app.path / "app/Events/LineSaid.php").unlink()
    with bridge_serve(app) as bridge:
        wait_until("it has failed", lambda: store.failed() == 1)
        wait_until("it is deleted", lambda: store.left() == NOTHING)
        assert bridge.terminate() == 0


def test_php_uses_the_release_that_the_link_leads_to(
    app: Laravel, store: Store, tag: str, tmp_path: Path
) -> None:
    link, second = tmp_path / "current", tmp_path / "second"
    shutil.copytree(app.path, second)
    shutil.rmtree(second / "storage")
    (second / "storage").symlink_to(app.path / "storage")
    event = second / "app/Events/Behaves.php"
    event.write_text(event.read_text().replace("['number'", "['release' => 2, 'number'"))
    link.symlink_to(app.path)
    with (
        bridge_serve(Laravel(path=link, port=app.port)) as bridge,
        wire_client(bridge.port, "lines") as client,
    ):
        app.dispatch("quick", tag=tag)
        wait_until("it comes from the first release", client.events)
        link.unlink()
        link.symlink_to(second)
        bridge.process.send_signal(signal.SIGHUP)
        wait_until("all is read anew", lambda: "are read anew" in bridge.log.read_text())
        shutil.rmtree(app.path / "app")
        shutil.rmtree(app.path / "bootstrap")
        Laravel(path=link, port=app.port).dispatch("quick", tag=tag)
        wait_until("it comes from the second release", lambda: len(client.events()) == 2)
        assert "release" not in json.loads(client.events()[0].data)
        assert json.loads(client.events()[1].data)["release"] == 2
        assert bridge.process.poll() is None
    assert store.failed() == 0


def test_the_app_says_how_it_is_set_up_before_the_first_event(app: Laravel, store: Store) -> None:
    said = "the app has said how it is set up"
    with bridge_serve(app) as bridge:
        wait_until("it has been asked", lambda: bridge.log.read_text().count(said) >= 1)
        config = app.path / "config/app.php"
        config.write_text(config.read_text().replace("return [", "return ['told' => 'anew',", 1))
        bridge.process.send_signal(signal.SIGHUP)
        wait_until("it has been asked again", lambda: bridge.log.read_text().count(said) >= 2)
        assert bridge.terminate() == 0
    assert "cannot say how it is set up" not in bridge.log.read_text()
