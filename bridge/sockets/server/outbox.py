"""Outbox: what waits to be written, and the flush that writes it, two turns of the loop later, or up to DELAY
seconds after that where it waits for more (`_waits`).

A frame is made once and the same bytes go to every socket. All frames that a socket gets until the flush are
written together, in order: with a backlog of events that is several times cheaper than a write each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

SLICE = 1_000
"""Sockets written before the loop may do something else: some 5 to 8 ms."""

DELAY = 0.05
"""Seconds that members who come and go wait for others, see `Outbox.put_delayed`."""

WORTH_WAITING = 0.001
"""Seconds that a flush must have taken, for the next to wait for what is on its way."""

SHARE = 0.2
"""Of the time that the last flush took: how long the next waits for those who publish at the same time."""

PING_FRAME = b"\x89\x00"


def numbered_ping(number: int) -> bytes:
    """A ping frame whose answer tells that everything before it has arrived."""
    return b"\x89\x08" + number.to_bytes(8, "big")


def text_frame(text: str) -> bytes:
    """A whole unmasked text message (RFC 6455, 5.2). `text` is ASCII, or at least encodable."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class Receiver(Protocol):
    """What an outbox needs of a socket.

    out      its slot: None, one frame, or a list of them
    send     as `socket.send`; raises OSError where nothing can be sent now
    write    all of the bytes, in time
    backlog  None while it keeps up; else `write` may cut it
    """

    out: bytes | list[bytes] | None
    send: Callable[[bytes], int]

    @property
    def backlog(self) -> object: ...

    def write(self, data: bytes) -> None: ...


class Outbox:
    """Three ways to the sockets, the cheapest that keeps each socket's order.

    A *run* gathers the frames that come for the same audience until the flush: they are joined once. It holds
    the hub's own collection of sockets, so `settle` must be called before the hub changes. A run that is
    alone is written straight to its sockets. Otherwise frames wait in each socket's *slot*, `Socket.out`:
    None, one frame, or a list; mostly one frame, and no list. All that waits for a socket is in its slot once
    receivers are assigned, in order, so that a slot may be written at any moment.
    """

    __slots__ = (
        "_audience",
        "_delayed",
        "_dirty",
        "_ended",
        "_has_waited",
        "_is_scheduled",
        "_joined",
        "_loop",
        "_once_back",
        "_patience",
        "_rest",
        "_run",
        "_spent",
        "_took",
        "_waiting",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        once_back: Callable[[Callable[[], None]], bool] = lambda _: False,
    ) -> None:
        """`once_back`: whether something that was published here is on its way to this outbox; then the call
        is made once it is there, or is not to come any more."""
        self._loop = loop
        self._once_back = once_back
        self._took = self._spent = 0.0  # seconds of the last flush, and of this one so far
        self._ended = 0.0  # the last flush, by the loop's clock
        self._has_waited = False  # this flush
        self._patience: asyncio.TimerHandle | None = None  # while it does
        self._run: list[bytes] = []
        self._audience: Collection[Receiver] = ()
        self._joined = b""  # the run that is being written,
        self._rest: list[Receiver] = []  # and who has yet to get it
        self._dirty: list[Receiver] = []  # sockets with something in their slots, or that had: to be written,
        self._delayed: list[Receiver] = []  # or only when DELAY is over
        self._is_scheduled = False
        self._waiting: list[tuple[int, Callable[[], object]]] = []  # flushes to come before each is called

    def put(self, frame: bytes, sockets: Collection[Receiver], excluded: Receiver | None = None) -> None:
        """Queues the frame as the next that each of the sockets gets."""
        if excluded is not None or sockets is not self._audience:
            self.settle()
        if excluded is not None:
            self._distribute(frame, sockets, excluded, self._dirty)
        else:
            self._audience = sockets
            self._run.append(frame)
        self._schedule()

    def put_delayed(
        self, frame: bytes, sockets: Collection[Receiver], excluded: Receiver | None = None
    ) -> None:
        """As `put`, but it may wait up to DELAY seconds for others like it: who joins a large channel brings
        a frame for each of its members, and they are written together."""
        self.settle()
        was_delayed = bool(self._delayed)
        self._distribute(frame, sockets, excluded, self._delayed)
        if self._delayed and not was_delayed:
            self._loop.call_later(DELAY, self._release)

    def reply(self, frame: bytes, socket: Receiver) -> None:
        """As `put`, written at once with all that waits for this socket: an answer does not queue behind a
        fan-out to thousands. One that may cut a slow client is left to the flush: a cut changes the hub."""
        self.settle()
        if socket.backlog is not None:
            self._distribute(frame, (socket,), None, self._dirty)
            self._schedule()
            return
        out, socket.out = socket.out, None
        if type(out) is list:
            socket.write(b"".join((*out, frame)))
        else:
            socket.write(frame if out is None else out + frame)  # type: ignore[operator]

    def once_written(self, call: Callable[[], object]) -> None:
        """Calls `call` once the kernel has all that was put so far, but for sockets that are slow."""
        if not self._is_scheduled:
            call()
            return
        ahead = len(self._dirty) + len(self._rest) + len(self._audience)
        self._waiting.append((1 + ahead // SLICE, call))

    def settle(self) -> None:
        """Puts what came so far into the sockets' slots, so that it does not depend on the hub any more."""
        if self._rest:
            rest, self._rest = self._rest, []
            self._distribute(self._joined, rest, None, self._dirty)
        if self._run:
            run, audience = self._run, self._audience
            self._run, self._audience = [], ()
            self._distribute(b"".join(run), audience, None, self._dirty)

    def _distribute(
        self, frame: bytes, sockets: Collection[Receiver], excluded: Receiver | None, waiting: list[Receiver]
    ) -> None:
        is_due = waiting is self._dirty and bool(self._delayed)  # a delayed slot is to be written after all
        for socket in sockets:
            if socket is not excluded:
                out = socket.out
                if out is None:
                    socket.out = frame
                    waiting.append(socket)
                    continue
                if type(out) is list:
                    out.append(frame)
                else:
                    socket.out = [out, frame]  # type: ignore[list-item]
                if is_due:
                    waiting.append(socket)

    def _schedule(self) -> None:
        """One more turn of the loop comes before the flush: what lies in the sockets' buffers is read in it,
        and joins the same write."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._loop.call_soon, self._flush)

    def _release(self) -> None:
        self.settle()
        self._dirty += self._delayed
        self._delayed = []
        self._schedule()

    def _waits(self) -> bool:
        """Whether the flush waits for more to write together. Either something that was published here is on
        its way: then at most for as long as the last flush took. Or several events came during the last
        flush, so their publishers are about to send the next ones: then for SHARE of that time."""
        if self._has_waited or self._spent or self._took < WORTH_WAITING:
            return False
        if self._once_back(self._arrived):
            longest = self._took
        elif len(self._run) > 1 and self._loop.time() - self._ended < self._took:
            longest = self._took * SHARE
        else:
            return False
        self._has_waited = True
        self._patience = self._loop.call_later(min(longest, DELAY), self._arrived)
        return True

    def _arrived(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._waits():
            return
        began = self._loop.time()
        self._write()
        self._spent += self._loop.time() - began
        self._is_scheduled = bool(self._dirty or self._rest or self._run)
        if self._is_scheduled:
            self._loop.call_soon(self._flush)
        else:
            self._took, self._spent, self._has_waited = self._spent, 0.0, False
            self._ended = self._loop.time()
        if self._waiting:
            self._call_those_written()

    def _write(self) -> None:
        if self._dirty or self._delayed:
            self.settle()
            self._write_slots()
        else:
            if self._run:
                self._joined, self._rest = b"".join(self._run), list(self._audience)
                self._run, self._audience = [], ()
            batch, self._rest = self._rest[:SLICE], self._rest[SLICE:]
            self._write_run(batch)

    def _call_those_written(self) -> None:
        waiting, self._waiting = self._waiting, []
        for flushes, call in waiting:
            if flushes <= 1 or not self._is_scheduled:
                call()
            else:
                self._waiting.append((flushes - 1, call))

    def _write_run(self, batch: list[Receiver]) -> None:
        data, size = self._joined, len(self._joined)
        for socket in batch:  # `Socket.write`, written out: this is where a fan-out spends its time
            try:
                sent = socket.send(data)
            except OSError:
                sent = 0
            if sent != size:
                socket.write(data[sent:])

    def _write_slots(self) -> None:
        batch, self._dirty = self._dirty[:SLICE], self._dirty[SLICE:]
        previous: list[bytes] | None = None
        joined = b""
        for socket in batch:
            out = socket.out
            if out is None:  # written already, or closed
                continue
            socket.out = None
            if type(out) is list:
                if out != previous:  # neighbours mostly wait for the same frames
                    previous, joined = out, b"".join(out)
                socket.write(joined)
            else:
                socket.write(out)  # type: ignore[arg-type]
