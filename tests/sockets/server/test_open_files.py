"""A server that runs out of open files says so in its log, with the limit and what to do."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bridge.sockets.server import node as node_module
from tests.sockets.server.running import LIMIT, UPGRADE, Raw, running

pytestmark = pytest.mark.anyio

FILES = 200
CLIENTS = (FILES - FILES // 4 - 64) * 4 // 5  # plain HTTP's, the files, who closes

SERVER = f"""
import asyncio, json, logging, os, resource, sys

resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))

from bridge.sockets.server.listener import new_event_loop
from tests.sockets.server.running import running

class Told(logging.Handler):
    def emit(self, record):
        if record.levelno >= logging.WARNING:
            print(json.dumps([record.getMessage(), getattr(record, "why", "")]), flush=True)

async def main():
    taken = []
    async with running() as server:
        print(server.port, flush=True)
        loop = asyncio.get_running_loop()
        while (order := (await loop.run_in_executor(None, sys.stdin.readline)).strip()):
            if order == "take":
                try:
                    while True:
                        taken.append(os.open("/", os.O_RDONLY))
                except OSError:
                    pass
            else:
                for one in taken:
                    os.close(one)
                taken.clear()
            print(order, flush=True)

logging.getLogger().addHandler(Told())
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""


class Child:
    """A server in a process of its own, which may have FILES open."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), LIMIT)
        assert line, "the server has ended"
        return line.decode().strip()

    async def do(self, order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{order}\n".encode())
        await self.process.stdin.drain()

    async def told(self) -> list[str]:
        """What it logs next."""
        while not (line := await self.line()).startswith("["):
            pass
        found: list[str] = json.loads(line)
        return found


@asynccontextmanager
async def child() -> AsyncIterator[tuple[Child, int]]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, stdin=pipe, stdout=pipe)
    server = Child(process)
    try:
        yield server, int(await server.line())
    finally:
        process.kill()
        await process.wait()


async def arrive(port: int) -> tuple[Raw, str]:
    """A client, and what it is told first; nothing where its connection is closed at once."""
    raw = Raw(*await asyncio.open_connection("127.0.0.1", port))
    raw.send(UPGRADE)
    try:
        await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), LIMIT)
        return raw, str((await raw.message())["event"])
    except (asyncio.IncompleteReadError, ConnectionError):
        return raw, ""


async def test_clients_for_whom_there_are_no_files_are_refused_and_the_log_says_so() -> None:
    async with child() as (server, port):
        clients = []
        for _ in range(CLIENTS):
            raw, told = await arrive(port)
            assert told == "pusher:connection_established"
            clients.append(raw)
        refused, told = await arrive(port)
        assert told == "pusher:error"
        message, why = await server.told()
        assert message == "clients are refused"
        assert f"{CLIENTS} clients" in why
        assert f"{FILES} open files" in why
        assert "LimitNOFILE" in why
        for raw in (*clients, refused):
            await raw.aclose()


async def test_a_server_without_any_file_left_says_so_and_serves_once_there_are_some() -> None:
    async with child() as (server, port):
        await server.do("take")
        message, why = await server.told()
        assert message == "clients are refused"
        assert f"all {FILES} open files" in why
        assert "LimitNOFILE" in why
        raw, told = await arrive(port)
        assert told == ""
        await raw.aclose()
        await server.do("give")
        while await server.line() != "give":
            pass
        raw, told = await arrive(port)
        assert told == "pusher:connection_established"
        await raw.aclose()


def refusals(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record for record in caplog.records if record.message == "clients are refused"]


async def test_the_files_of_one_process_do_not_limit_the_clients_of_others() -> None:
    async with running(beside=lambda: 10**9) as server, server.client():
        assert server.node.connections == 1


async def test_that_clients_are_refused_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    async with running(max_connections=1) as server:
        passed = 0.0
        server.node.now = lambda: passed
        raws = [(await arrive(server.port))[0] for _ in range(5)]
        assert [record.why for record in refusals(caplog)] == ["max_connections is 1"]
        passed = node_module.FULL_INTERVAL
        raws.append((await arrive(server.port))[0])
        assert len(refusals(caplog)) == 2
        for raw in raws:
            await raw.aclose()
