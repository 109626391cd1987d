"""The reconnect gate alone: how long jobs wait, and what outlives the process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from pathlib import Path

import pytest

from bridge.serve import reconnect_gate
from bridge.serve.reconnect_gate import Present, ReconnectGate

pytestmark = pytest.mark.anyio

FOR_EVER = 3_600.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clients:
    def __init__(self, connections: int = 0, subscriptions: int = 0) -> None:
        self.now = Present(connections, subscriptions)

    def __call__(self) -> Present:
        return self.now


def left(tmp_path: Path, connections: int, subscriptions: int, *, is_clean: bool = True) -> Path:
    file = tmp_path / "clients.json"
    file.write_text(
        json.dumps({"connections": connections, "subscriptions": subscriptions, "is_clean": is_clean})
    )
    return file


async def test_nobody_is_waited_for_at_the_first_start(tmp_path: Path) -> None:
    for file in (None, tmp_path / "clients.json", left(tmp_path, 0, 0, is_clean=False)):
        gate = ReconnectGate(file, Clients(), FOR_EVER)
        assert not gate.is_shut
        await gate.wait()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"connections": 5}', '{"connections": -1, "subscriptions": 0, "is_clean": true}',
     '{"connections": "5", "subscriptions": 5, "is_clean": true}',
     '{"connections": true, "subscriptions": 1, "is_clean": true}', "\x00", '{"connections": 1e999}',
     "[" * 4_000, " " * 5_000_000],
)  # fmt: skip
async def test_a_file_that_cannot_be_read_means_nobody(tmp_path: Path, text: str) -> None:
    file = tmp_path / "clients.json"
    file.write_text(text)
    assert not ReconnectGate(file, Clients()).is_shut
    file.write_bytes(b"\xff\xfe")
    assert not ReconnectGate(file, Clients()).is_shut
    assert not ReconnectGate(tmp_path, Clients()).is_shut


async def test_a_pipe_or_a_link_in_its_place_means_nobody_and_holds_nobody_up(tmp_path: Path) -> None:
    file = tmp_path / "clients.json"
    os.mkfifo(file)
    assert not ReconnectGate(file, Clients()).is_shut
    file.unlink()
    file.symlink_to(left(tmp_path / "..", 5, 5).rename(tmp_path / "elsewhere.json"))
    assert not ReconnectGate(file, Clients()).is_shut


async def test_a_link_that_somebody_prepared_is_not_written_through(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")
    file = tmp_path / "clients.json"
    for name in (file.name, f"{file.name}.{os.getpid()}"):
        (tmp_path / name).symlink_to(mine)
    await ReconnectGate(file, Clients(3, 3)).close()
    assert mine.read_text() == "precious"
    assert json.loads(file.read_text())["connections"] == 3


async def waiting(gate: ReconnectGate) -> asyncio.Task[None]:
    task = asyncio.create_task(gate.wait())
    await asyncio.sleep(4 * reconnect_gate.TICK)
    return task


async def test_jobs_wait_until_connections_and_subscriptions_are_back(tmp_path: Path) -> None:
    clients = Clients()
    gate = ReconnectGate(left(tmp_path, 100, 200), clients, FOR_EVER)
    task = await waiting(gate)
    for connections, subscriptions in ((94, 200), (100, 189), (94, 189)):
        clients.now = Present(connections, subscriptions)
        await asyncio.sleep(4 * reconnect_gate.TICK)
        assert not task.done()
        assert gate.is_shut
    clients.now = Present(95, 190)  # some pages have been closed
    await task
    assert not gate.is_shut


async def test_whoever_is_just_coming_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = Clients()
    monkeypatch.setattr(reconnect_gate, "TICK", 0.0)
    counted: list[int] = []

    def one_more() -> Present:
        counted.append(min(95 + len(counted), 100))
        return Present(counted[-1], counted[-1])

    gate = ReconnectGate(left(tmp_path, 100, 100), one_more, FOR_EVER)
    await gate.wait()
    assert max(counted) == 100
    assert clients.now == Present()


@pytest.mark.parametrize(("is_clean", "seconds"), [(True, 2.0), (False, 17.0)])
async def test_time_is_up_sooner_after_a_stop_than_after_a_crash(
    tmp_path: Path, is_clean: bool, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0

    async def sleep(pause: float) -> None:
        nonlocal now
        now += pause

    monkeypatch.setattr("bridge.serve.reconnect_gate.asyncio.sleep", sleep)
    monkeypatch.setattr("bridge.serve.reconnect_gate.time.monotonic", lambda: now)
    await ReconnectGate(left(tmp_path, 5, 5, is_clean=is_clean), Clients(1, 1)).wait()
    assert now - 1_000 == pytest.approx(seconds, abs=reconnect_gate.TICK)


async def test_the_numbers_outlive_a_crash_and_a_stop(tmp_path: Path) -> None:
    file, clients = tmp_path / "clients.json", Clients(3, 4)
    gate = ReconnectGate(file, clients)
    task = asyncio.create_task(gate.keep())
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert json.loads(file.read_text()) == {"connections": 3, "subscriptions": 4, "is_clean": False}
    assert ReconnectGate(file, Clients()).is_shut
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    clients.now = Present(5, 6)
    await gate.close()
    assert json.loads(file.read_text()) == {"connections": 5, "subscriptions": 6, "is_clean": True}
    assert os.listdir(tmp_path) == ["clients.json"]


async def test_a_stop_while_jobs_wait_forgets_nobody(tmp_path: Path) -> None:
    file = left(tmp_path, 100, 100, is_clean=False)
    gate = ReconnectGate(file, Clients(1, 1), FOR_EVER)
    task = await waiting(gate)
    task.cancel()
    await asyncio.wait([task])
    await gate.close()
    assert json.loads(file.read_text()) == {"connections": 100, "subscriptions": 100, "is_clean": True}


async def test_a_folder_that_cannot_be_written_hurts_nobody(tmp_path: Path) -> None:
    gate = ReconnectGate(tmp_path / "not there" / "clients.json", Clients(3, 4))
    await gate.wait()
    await gate.close()


@pytest.mark.parametrize(("come", "of", "ticks"), [(20, 20, 20), (12, 20, 13), (9_000, 9_000, 68)])
async def test_whoever_comes_in_a_long_row_is_waited_for_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, come: int, of: int, ticks: int
) -> None:
    """One in each tick, `come` of them `of` those that were here."""
    passed = 0

    async def sleep(pause: float) -> None:
        nonlocal passed
        passed += 1

    def count() -> Present:
        return Present(min(passed, come), min(passed, come))

    monkeypatch.setattr("bridge.serve.reconnect_gate.asyncio.sleep", sleep)
    monkeypatch.setattr("bridge.serve.reconnect_gate.time.monotonic", lambda: passed * reconnect_gate.TICK)
    await ReconnectGate(left(tmp_path, of, of), count).wait()
    assert passed == ticks
