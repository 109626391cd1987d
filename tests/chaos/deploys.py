"""Rows in which the app is in the middle of a deploy under a steady flow."""

from __future__ import annotations

import time

from tests.chaos.ground import Ground
from tests.chaos.rig import Figures
from tests.chaos.stores import trials

AWAY = 1.5  # seconds, at most


def amid_a_deploy(ground: Ground) -> Figures:
    """For a second: `.env` away; a class gone, empty, half written; an app that does not boot; PHP killed."""
    with ground.rig() as rig:
        event = rig.app.path / "app/Events/Behaves.php"
        boot = rig.app.path / "bootstrap/app.php"
        dotenv = rig.app.path / ".env"
        whole = {path: path.read_text() for path in (event, boot, dotenv)}

        def for_a_while() -> None:
            time.sleep(rig.chance.uniform(0.2, AWAY))

        def away() -> None:
            hidden = dotenv.with_name("env-away")
            dotenv.rename(hidden)
            for_a_while()
            hidden.rename(dotenv)

        def gone() -> None:
            event.unlink()
            for_a_while()
            event.write_text(whole[event])

        def half() -> None:
            event.write_text(whole[event][: len(whole[event]) // 2])
            for_a_while()
            event.write_text(whole[event])

        def empty() -> None:
            event.write_text("")
            for_a_while()
            event.write_text(whole[event])

        def broken() -> None:
            boot.write_text("<?php throw new RuntimeException('amid a deploy');")
            for_a_while()
            boot.write_text(whole[boot])

        return trials(ground, rig, away, gone, half, empty, broken, rig.kill_php, apart=1.5)
