"""Rows in which something beside bridge upsets it: a migration, a failover that goes back in time, a PHP
process that stands still, a full disk where bridge keeps its own files."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from tests import services
from tests.chaos.ground import Ground
from tests.chaos.rig import MIXTURE, Figures, Kind
from tests.chaos.stores import kill_connections, trials, working
from tests.end_to_end.processes import family, wait_until

ASKING: tuple[Kind, ...] = ("quick",) * 5


def table_renamed(ground: Ground) -> Figures:
    """A migration renames the jobs table, and back within two seconds."""
    with ground.rig(retry_after=30) as rig:

        def rename() -> None:
            with rig.still():
                for old, new in (("jobs", "jobs_before"), ("jobs_before", "jobs")):
                    with rig.store.engine.begin() as connection:
                        connection.exec_driver_sql(f"alter table {old} rename to {new}")
                    time.sleep(rig.chance.uniform(0.2, 2) if new != "jobs" else 0)

        return trials(ground, rig, rename)


def read_only(ground: Ground) -> Figures:
    """The server that is reached is a standby, or read-only, for up to two seconds."""
    with ground.rig(proxied=True, retry_after=30) as rig:
        name = rig.store.settings["DB_DATABASE"].strip('"')

        def turn(what: str) -> None:
            with rig.store.engine.begin() as connection:
                connection.exec_driver_sql("set transaction read write")
                connection.exec_driver_sql(f'alter database "{name}" {what}')
            kill_connections(rig)
            rig.store.engine.dispose()

        def standby() -> None:
            with rig.still():
                turn("set default_transaction_read_only = on")
                time.sleep(rig.chance.uniform(0.2, 2))
                turn("reset default_transaction_read_only")

        return trials(ground, rig, standby)


def back_in_time(ground: Ground) -> Figures:
    """A failover loses the last deletes: reservations that were over are there again."""
    with ground.rig(retry_after=3) as rig:
        rig.know("naps")
        assert isinstance(rig.server, services.Redis)
        key = f"{rig.store.settings['REDIS_PREFIX']}queues:default:reserved"
        with contextlib.closing(rig.server.client()) as client, working(rig, flowing=False):
            for number in range(ground.trials):
                rig.push("naps", *MIXTURE)
                wait_until("some are reserved", lambda: rig.store.left().reserved)
                replica = client.dump(key)
                rig.drained()
                rig.must(replica is not None, f"trial {number}: nothing was reserved")
                if replica is not None:
                    client.restore(key, 0, replica, replace=True)
                rig.drained()
        figures = rig.figures(ground.trials)
        # there were two reservations of each, and both had to be deleted
        return replace(figures, found=tuple(it for it in figures.found if it.kind != "deleted twice"))


def php_stands_still(ground: Ground) -> Figures:
    """SIGSTOP for PHP processes, for good: they are killed when their time is up, and others go on."""
    with ground.rig(settings={"BRIDGE_TIMEOUT": "4"}) as rig:
        with working(rig, flowing=False) as bridge:
            for number in range(ground.trials):
                rig.push(*ASKING)
                rig.drained()
                stopped = [it for it in family(bridge.process.pid)[1:] if _is_php(it)]
                rig.must(bool(stopped), f"trial {number}: no PHP process is there")
                for process in stopped:
                    os.kill(process, signal.SIGSTOP)
                rig.push(*MIXTURE)
                rig.drained()
        return rig.figures(ground.trials)


def _is_php(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(os.readlink(f"/proc/{process}/exe")).name.startswith("php")
    return False


def no_room_for_state(ground: Ground) -> Figures:
    """The disk with bridge's own files is full; needs root, for a small file system."""
    place = ground.folder / "state"
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(place)], check=True)
    try:
        with contextlib.suppress(OSError), (place / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 1024)
        with ground.rig(settings={"BRIDGE_STATE_PATH": str(place)}) as rig:
            for _ in range(ground.trials):
                with working(rig):
                    time.sleep(1)
            return rig.figures(ground.trials)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def short_retry_after(ground: Ground) -> Figures:
    """Reservations last a second, shorter than a busy machine's pauses."""
    with ground.rig(retry_after=1) as rig:
        with working(rig):
            time.sleep(ground.trials)
        return rig.figures(ground.trials)
