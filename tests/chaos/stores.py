"""Rows in which the store, or the way to it, fails under a steady flow."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import redis

from tests import services
from tests.chaos.ground import Ground
from tests.chaos.rig import MIXTURE, Figures, Rig
from tests.end_to_end.bridge import Bridge
from tests.end_to_end.processes import wait_until

FLOW = 40  # jobs a second


@contextlib.contextmanager
def working(rig: Rig, *, flowing: bool = True) -> Iterator[Bridge]:
    """A bridge works on a steady flow while the block runs; after it, all is done. It must neither end nor
    let go of a client meanwhile."""
    rig.know(*MIXTURE)
    with rig.bridge() as bridge, rig.watched(number=2):
        rig.there()
        before = sum(len(one.sockets) for one in rig.clients)
        with rig.flow(FLOW) if flowing else contextlib.nullcontext():
            yield bridge
        rig.drained()
        rig.must(bridge.process.poll() is None, f"bridge ended with {bridge.process.poll()}")
        rig.must(sum(len(one.sockets) for one in rig.clients) == before, "clients were let go of")
        rig.must(bridge.terminate() == 0, "the stop did not end with 0")


def trials(ground: Ground, rig: Rig, *faults: Callable[[], object], apart: float = 0.5) -> Figures:
    """One of the faults at a random moment, in turn."""
    with working(rig):
        for number in range(ground.trials):
            time.sleep(rig.chance.uniform(0, apart))  # the moment is random, nothing is waited for
            faults[number % len(faults)]()
        time.sleep(apart)
    return rig.figures(ground.trials)


def cut(ground: Ground) -> Figures:
    """Connections to the store are closed, reset, and killed by the server itself."""
    with ground.rig(proxied=True, retry_after=5) as rig:
        assert rig.between is not None
        return trials(ground, rig, rig.between.cut, rig.between.reset, lambda: kill_connections(rig))


def kill_connections(rig: Rig) -> None:
    """The server ends every connection of bridge's: KILL, pg_terminate_backend, CLIENT KILL."""
    assert rig.between is not None
    ports = rig.between.ports
    if isinstance(rig.server, services.Redis):
        with contextlib.closing(rig.server.client()) as client:
            for port in ports:
                with contextlib.suppress(redis.ResponseError):  # it has ended meanwhile
                    client.client_kill(f"127.0.0.1:{port}")
        return
    with rig.store.engine.connect() as connection:
        if rig.store.name == "postgres":
            for port in ports:
                connection.exec_driver_sql(
                    f"select pg_terminate_backend(pid) from pg_stat_activity where client_port = {port}"
                )
            return
        rows = connection.exec_driver_sql("select id, host from information_schema.processlist").all()
        for number, host in rows:
            if int(host.rpartition(":")[2] or 0) in ports:
                with contextlib.suppress(Exception):  # it has ended meanwhile
                    connection.exec_driver_sql(f"kill {number}")


def reply_lost(ground: Ground) -> Figures:
    """The server has done what it was told, and the reply is lost with its connection."""
    with ground.rig(proxied=True, retry_after=3) as rig:
        assert rig.between is not None
        return trials(ground, rig, rig.between.lose_reply)


def stalled(ground: Ground) -> Figures:
    """Nothing comes through for up to two seconds, or little; the server itself is stopped meanwhile."""
    with ground.rig(proxied=True, retry_after=30) as rig:
        between, server = rig.between, rig.server
        assert between is not None
        assert server is not None

        def stall() -> None:
            between.stall()
            time.sleep(rig.chance.uniform(0.2, 2))
            between.resume()

        def slow() -> None:
            between.slow(20_000)
            time.sleep(rig.chance.uniform(0.2, 2))
            between.slow(0)

        def stop() -> None:
            with rig.still():
                server.pause()
                time.sleep(rig.chance.uniform(0.2, 2))
                server.resume()

        return trials(ground, rig, stall, slow, stop)


NOTICED = 10.0  # seconds in which a silent connection is noticed


def half_open(ground: Ground) -> Figures:
    """The connections of the moment fall silent for ever, new ones work: noticed within 10 s."""
    waits: list[float] = []
    with ground.rig(proxied=True) as rig:
        assert rig.between is not None
        with working(rig, flowing=False):
            for number in range(ground.trials):
                rig.push(*MIXTURE)
                rig.drained()
                rig.between.silence()
                rig.push(*MIXTURE)
                began = time.monotonic()
                rig.drained()
                waits.append(time.monotonic() - began)
                rig.must(waits[-1] < NOTICED + 2, f"trial {number}: noticed after {waits[-1]:.1f} s")
        return rig.figures(ground.trials, note=f"noticed after {max(waits):.1f} s at most")


BACK = 6.0  # seconds from the store's return to the first event


def away(ground: Ground) -> Figures:
    """The store is killed, stopped, and refuses connections for up to two seconds; then it is there again,
    and so are events within six."""
    waits: list[float] = []
    with ground.rig(proxied=True, durable=True, retry_after=10) as rig:
        between, server = rig.between, rig.server
        assert between is not None
        assert server is not None

        def back() -> None:
            began = time.monotonic()
            [tag] = rig.push("line")
            one = rig.clients[0]
            wait_until(
                "an event comes through",
                lambda: any(it.job == tag for socket in one.sockets for it in list(socket.messages)),
            )
            waits.append(time.monotonic() - began)
            rig.must(waits[-1] <= BACK, f"the first event came after {waits[-1]:.1f} s")

        def restart(how: signal.Signals) -> None:
            with rig.still():
                server.stop(how)
                time.sleep(rig.chance.uniform(0.2, 2))
                server.start()
                rig.store.engine.dispose()
                back()

        def refuse() -> None:
            between.refuse()
            time.sleep(rig.chance.uniform(0.2, 2))
            between.accept()
            back()

        figures = trials(
            ground, rig, lambda: restart(signal.SIGKILL), lambda: restart(signal.SIGTERM), refuse
        )
    note = f"first event after {sorted(waits)[len(waits) // 2]:.1f} s, {max(waits):.1f} s at most"
    return Figures(
        trials=figures.trials, jobs=figures.jobs, found=figures.found, broken=figures.broken, note=note
    )


def locked(ground: Ground) -> Figures:
    """Somebody else locks the table, or the rows of it, for up to two seconds."""
    with ground.rig(retry_after=10) as rig:
        whole = (
            "lock tables jobs write" if rig.store.name == "mariadb" else "lock table jobs in exclusive mode"
        )

        def lock(sql: str) -> None:
            with rig.still(), rig.store.engine.connect() as connection:
                connection.exec_driver_sql(sql)
                time.sleep(rig.chance.uniform(0.2, 2))
                if rig.store.name == "mariadb":
                    connection.exec_driver_sql("unlock tables")

        return trials(
            ground, rig, lambda: lock(whole), lambda: lock("select id from jobs order by id for update")
        )


def sqlite_locked(ground: Ground) -> Figures:
    """BEGIN EXCLUSIVE elsewhere, for up to three seconds."""
    with ground.rig(retry_after=30) as rig:

        def lock() -> None:
            with rig.still(), contextlib.closing(_sqlite(rig)) as other:
                other.execute("begin exclusive")
                time.sleep(rig.chance.uniform(0.5, 3))
                other.rollback()

        return trials(ground, rig, lock)


def _sqlite(rig: Rig) -> sqlite3.Connection:
    return sqlite3.connect(rig.store.settings["DB_DATABASE"], isolation_level=None, timeout=60)


def disk_full(ground: Ground) -> Figures:
    """SQLite's file system is full for up to two seconds; needs root, for a small file system."""
    place = ground.folder / "store"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(place)], check=True)
    try:
        with ground.rig(retry_after=30) as rig:

            def fill() -> None:
                with rig.still():
                    ballast = place / "ballast"
                    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                        while True:
                            file.write(b"x" * 1024)
                    time.sleep(rig.chance.uniform(0.2, 2))
                    ballast.unlink()

            figures = trials(ground, rig, fill)
            with contextlib.closing(_sqlite(rig)) as connection:
                whole = connection.execute("pragma integrity_check").fetchone()
            assert whole == ("ok",), whole
            return figures
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def redis_hardships(ground: Ground) -> Figures:
    """CLIENT PAUSE, a script that does not end, no memory, no scripts, READONLY; for up to two seconds."""
    with ground.rig(proxied=True, durable=True, retry_after=30) as rig:
        server = rig.server
        assert isinstance(server, services.Redis)

        def ask(*command: str) -> None:
            with contextlib.closing(server.client(socket_timeout=60)) as client:
                client.execute_command(*command)  # type: ignore[no-untyped-call]

        def for_a_while(begin: Callable[[], object], end: Callable[[], object]) -> None:
            with rig.still():
                begin()
                time.sleep(rig.chance.uniform(0.2, 2))
                end()

        def busy() -> None:
            def loop() -> None:
                with contextlib.suppress(redis.RedisError):
                    ask("EVAL", "while true do end", "0")

            thread = threading.Thread(target=loop, daemon=True)
            ask("CONFIG", "SET", "busy-reply-threshold", "50")
            for_a_while(thread.start, lambda: ask("SCRIPT", "KILL"))
            thread.join(timeout=60)

        def pause() -> None:
            with rig.still():
                ask("CLIENT", "PAUSE", "1500", "ALL")
                ask("PING")

        return trials(
            ground,
            rig,
            pause,
            busy,
            lambda: for_a_while(
                lambda: ask("CONFIG", "SET", "maxmemory", "1"), lambda: ask("CONFIG", "SET", "maxmemory", "0")
            ),
            lambda: ask("SCRIPT", "FLUSH"),
            lambda: for_a_while(
                lambda: ask("REPLICAOF", "127.0.0.1", "1"), lambda: ask("REPLICAOF", "NO", "ONE")
            ),
        )
