"""A TCP proxy that does to connections what networks do: cut, reset, half-open, stalled, slow, reply lost.

Before a store or before bridge: whoever should meet the fault connects to `Proxy.port` instead. It runs on an
event loop of its own thread; every method may be called from any other thread and has taken effect when it
returns. A TCP proxy of that kind is in no Debian package; the part of one that is needed here is small.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeVar

CHUNK = 1 << 16  # bytes

T = TypeVar("T")


@dataclass(eq=False)
class _Link:
    """A client's connection and the one to the server that it is handed on to."""

    streams: tuple[
        tuple[asyncio.StreamReader, asyncio.StreamWriter], tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ]
    silent: frozenset[bool] = frozenset()  # of what nothing comes through: True for replies
    loses_reply: bool = False
    held: bytearray | None = None
    passing: list[asyncio.Task[None]] = field(default_factory=list)

    def end(self, *, reset: bool) -> None:
        for task in self.passing:
            task.cancel()
        for _, writer in self.streams:
            if reset:
                sock = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                writer.close()


class Proxy:
    """Takes connections on `port` of 127.0.0.1 and hands them on to `server`, a port of 127.0.0.1 too."""

    def __init__(self, server: int) -> None:
        self.server = server
        self._links: set[_Link] = set()
        self._flowing = asyncio.Event()
        self._rate = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listening: asyncio.Server | None = None
        self.port = 0
        self.accept()
        self.resume()

    @property
    def ports(self) -> set[int]:
        """By which the server knows the connections of this moment."""
        found: set[int] = set()

        def look() -> None:
            for link in self._links:
                found.add(link.streams[1][1].get_extra_info("sockname")[1])

        self._on_loop(look)
        return found

    # What is done to the connections of this moment; new ones are whole.

    def cut(self) -> None:
        """Every connection is closed in order (FIN)."""
        self._on_loop(lambda: self._end(reset=False))

    def reset(self) -> None:
        """Every connection is reset (RST); what was under way is lost."""
        self._on_loop(lambda: self._end(reset=True))

    def silence(self, only: Literal["requests", "replies", ""] = "") -> None:
        """Half-open: nothing comes through any more, one way or either, and none of them ends."""
        silent = frozenset({only == "replies"} if only else {True, False})

        def silence() -> None:
            for link in self._links:
                link.silent = silent

        self._on_loop(silence)

    def lose_reply(self) -> None:
        """The next reply of the server on each is lost and the connection reset: the client cannot know
        whether its request was fulfilled."""

        def lose() -> None:
            for link in self._links:
                link.loses_reply = True

        self._on_loop(lose)

    def hold(self) -> None:
        """What a client sends is kept, also when the client is gone, until `release`; it gets no reply."""

        def hold() -> None:
            for link in self._links:
                link.held = bytearray()

        self._on_loop(hold)

    @property
    def held(self) -> int:
        """Bytes that are kept."""
        found = 0

        def look() -> None:
            nonlocal found
            found = sum(len(link.held or b"") for link in self._links)

        self._on_loop(look)
        return found

    def release(self) -> None:
        """The server gets what was kept, as far as it still listens, and then the end of the connection."""

        def release() -> None:
            for link in list(self._links):
                if link.held is not None:
                    link.streams[1][1].write(bytes(link.held))
                    self._links.discard(link)
                    link.end(reset=False)

        self._on_loop(release)

    # What is done to all connections until further notice.

    def stall(self) -> None:
        """Nothing comes through until `resume`, and nothing is lost."""
        self._on_loop(self._flowing.clear)

    def resume(self) -> None:
        self._on_loop(self._flowing.set)

    def slow(self, bytes_a_second: float) -> None:
        """No connection passes more than that, either way; 0: no limit."""

        def limit() -> None:
            self._rate = bytes_a_second

        self._on_loop(limit)

    def refuse(self) -> None:
        """Nobody listens on `port`, and what is open is reset."""

        async def refuse() -> None:
            if self._listening is not None:
                self._listening.close()
                self._listening = None
            self._end(reset=True)

        self._await(refuse)

    def accept(self) -> None:
        """Connections are taken again, on the same port."""

        async def accept() -> None:
            if self._listening is None:
                self._listening = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
                self.port = int(self._listening.sockets[0].getsockname()[1])

        self._await(accept)

    def close(self) -> None:
        """Everything has ended; not to be used again."""
        self.refuse()
        self._await(self._ended)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _ended(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _end(self, *, reset: bool) -> None:
        for link in list(self._links):
            link.end(reset=reset)
        self._links.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection("127.0.0.1", self.server)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(((reader, writer), server))
        self._links.add(link)
        link.passing = [
            asyncio.create_task(self._pass(link, reader, server[1], is_reply=False)),
            asyncio.create_task(self._pass(link, server[0], writer, is_reply=True)),
        ]
        await asyncio.wait(link.passing)
        if not link.silent and link.held is None:
            self._links.discard(link)
            link.end(reset=False)

    async def _pass(
        self, link: _Link, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_reply: bool
    ) -> None:
        try:
            while data := await source.read(CHUNK):
                await self._flowing.wait()
                if is_reply in link.silent:
                    continue
                if link.held is not None:
                    if not is_reply:
                        link.held += data
                    continue
                if is_reply and link.loses_reply:
                    self._links.discard(link)
                    link.end(reset=True)
                    return
                await self._send(target, data)
            if not link.silent and link.held is None and target.can_write_eof():
                target.write_eof()
        except OSError:  # one side was reset, and the other hears of it
            if not link.silent and link.held is None:
                self._links.discard(link)
                link.end(reset=True)

    async def _send(self, target: asyncio.StreamWriter, data: bytes) -> None:
        while data:
            part = data[: max(1, int(self._rate / 10))] if self._rate else data
            data = data[len(part) :]
            target.write(part)
            await target.drain()
            if self._rate:
                await asyncio.sleep(len(part) / self._rate)

    def _on_loop(self, action: Callable[[], None]) -> None:
        async def act() -> None:
            action()

        asyncio.run_coroutine_threadsafe(act(), self._loop).result(timeout=60)

    def _await(self, action: Callable[[], object]) -> None:
        asyncio.run_coroutine_threadsafe(action(), self._loop).result(timeout=60)  # type: ignore[arg-type]


@contextlib.contextmanager
def proxy(server: int) -> Iterator[Proxy]:
    """Before the server on that port."""
    made = Proxy(server)
    try:
        yield made
    finally:
        made.close()
