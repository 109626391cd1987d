"""Pages on several nodes: they see numbered events and who else is present, come back by themselves, and know
what they may not see."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from tests.chaos.clients import TAG
from tests.chaos.history import Fault
from tests.end_to_end.laravel import APP_KEY, APP_SECRET, BROWSER
from tests.end_to_end.processes import environment, running

LINES, ROOM, FILLER = CHANNELS = ("lines", "presence-room", "filler")
GAP = "bridge:gap"
CONFIRMED = "pusher_internal:subscription_succeeded"
BACK = 0.1  # seconds until a page tries again
TURN = 20.0  # seconds in which a connection must be made


@dataclass(slots=True, kw_only=True)
class Visit:
    """One connection of a page.

    heard  numbers of events in order, and None for a gap
    amiss  what it was told of members who were there, or gone, already
    """

    code: int = 0
    port: int
    opened: float
    closed: float | None = None
    heard: list[int | None] = field(default_factory=list)
    members: set[str] = field(default_factory=set)
    removed: list[tuple[float, str]] = field(default_factory=list)
    confirmed: set[str] = field(default_factory=set)
    amiss: list[str] = field(default_factory=list)


class Visitor:
    """What a page has seen, which resumes or does not."""

    def __init__(self, user: str, *, resumes: bool) -> None:
        self.user = user
        self.resumes = resumes
        self.visits: list[Visit] = []

    @property
    def is_there(self) -> bool:
        last = self.visits[-1] if self.visits else None
        return last is not None and last.closed is None and len(last.confirmed) == len(CHANNELS)

    @property
    def members(self) -> set[str]:
        return set(self.visits[-1].members) if self.is_there else set()


class Page(Visitor):
    """A client that comes back, to the first of the ports where it can."""

    def __init__(self, number: int, ports: Sequence[int], *, resumes: bool) -> None:
        super().__init__(f"u{number}", resumes=resumes)
        self._number, self._ports = number, ports
        self._tries = 0  # since it was last there
        self._paused = threading.Event()

    def pause(self) -> None:
        """Once it has lost its connection it stays away until `resume`."""
        self._paused.set()

    def resume(self) -> None:
        self._paused.clear()

    def is_at(self, port: int) -> bool:
        return self.is_there and self.visits[-1].port == port

    async def run(self) -> None:
        while True:
            await asyncio.sleep(BACK)
            if self._paused.is_set():
                continue
            with contextlib.suppress(
                OSError, EOFError, InvalidHandshake, InvalidMessage, ConnectionClosed, TimeoutError
            ):
                await self._visit()

    async def _visit(self) -> None:
        path = f"/app/r/chaos-page-{self._number:08d}.{len(self.visits)}" if self.resumes else ""
        port = self._ports[self._tries % len(self._ports)]
        self._tries += 1
        url = f"ws://127.0.0.1:{port}{path}/app/{APP_KEY}?protocol=7&client=chaos&version=1.0"
        async with connect(url, max_queue=None, ping_interval=None, open_timeout=TURN) as connection:
            first = json.loads(await asyncio.wait_for(connection.recv(), TURN))
            if first["event"] != "pusher:connection_established":
                return
            visit = Visit(port=port, opened=time.monotonic())
            self.visits.append(visit)
            self._tries = 0
            try:
                socket_id = json.loads(first["data"])["socket_id"]
                for message in (_public(LINES), _public(FILLER), _presence(socket_id, self.user)):
                    await connection.send(message)
                async for text in connection:
                    message = json.loads(text)
                    if message["event"] == "pusher:ping":
                        await connection.send('{"event":"pusher:pong","data":{}}')
                    else:
                        _take(visit, message)
            finally:
                visit.closed, visit.code = time.monotonic(), connection.close_code or 0


def _take(visit: Visit, message: dict[str, str]) -> None:
    event, channel = message["event"], message.get("channel", "")
    if event == CONFIRMED:
        visit.confirmed.add(channel)
        if channel == ROOM:
            visit.members = set(json.loads(message["data"])["presence"]["ids"])
    elif event == "pusher_internal:member_added":
        user = json.loads(message["data"])["user_id"]
        if user in visit.members:
            visit.amiss.append(f"{user} came")
        visit.members.add(user)
    elif event == "pusher_internal:member_removed":
        user = json.loads(message["data"])["user_id"]
        if user not in visit.members:
            visit.amiss.append(f"{user} left")
        visit.members.discard(user)
        visit.removed.append((time.monotonic(), user))
    elif event == GAP and channel == LINES:
        visit.heard.append(None)
    elif not event.startswith(("pusher", "bridge:")) and (found := TAG.search(message["data"])):
        visit.heard.append(int(found[0].removeprefix("job-"), 16))


@contextlib.contextmanager
def pusher_js(ports: Sequence[int], number: int, log: Path) -> Iterator[list[Visitor]]:
    """So many pages of real pusher-js, over TLS, by turns at each port, and one after the other resumes; they
    are there, or on their way back, while the block runs."""
    made = [Visitor(f"u{at}", resumes=at // len(ports) % 2 == 0) for at in range(number)]
    options = [
        {
            "user": one.user,
            "port": ports[at % len(ports)],
            "resume": f"chaos-page-{at:08d}" if one.resumes else None,
        }
        for at, one in enumerate(made)
    ]
    given = {"key": APP_KEY, "secret": APP_SECRET, "channels": CHANNELS, "pages": options}
    with running(
        ["node", "pages.mjs", json.dumps(given)],
        cwd=BROWSER, log=log, env=environment(NODE_TLS_REJECT_UNAUTHORIZED="0", NODE_NO_WARNINGS="1"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        reader = threading.Thread(target=_see, args=(process.stdout, made, ports), daemon=True)
        reader.start()
        yield made


def _see(lines: IO[str], made: Sequence[Visitor], ports: Sequence[int]) -> None:
    for line in lines:
        told = json.loads(line)
        visits = made[told["page"]].visits
        if "message" in told:
            _take(visits[-1], told["message"])
            continue
        if visits and visits[-1].closed is None:
            visits[-1].closed = time.monotonic()
        if told["state"] == "connected":
            visits.append(Visit(port=ports[told["page"] % len(ports)], opened=time.monotonic()))


def _public(channel: str) -> str:
    return json.dumps({"event": "pusher:subscribe", "data": {"channel": channel}})


def _presence(socket_id: str, user: str) -> str:
    data = json.dumps({"user_id": user})
    text = f"{socket_id}:{ROOM}:{data}".encode()
    signature = hmac.new(APP_SECRET.encode(), text, hashlib.sha256).hexdigest()
    joins = {"channel": ROOM, "auth": f"{APP_KEY}:{signature}", "channel_data": data}
    return json.dumps({"event": "pusher:subscribe", "data": joins})


@contextlib.contextmanager
def pages(made: Sequence[Page]) -> Iterator[Sequence[Page]]:
    """They are there, or on their way back, on a loop of a thread of their own while the block runs."""
    loop = asyncio.new_event_loop()

    async def all_of_them() -> None:
        await asyncio.gather(*(page.run() for page in made))

    task = loop.create_task(all_of_them())

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(timeout=60)
        loop.close()


def faults_of(page: Visitor, last: int) -> Iterator[Fault]:
    """What the page may not have seen or missed, of the events up to number `last`."""
    known: list[int | None] = []
    for visit in page.visits:
        yield from _faults_of(visit)
        known += visit.heard
    if page.resumes:  # over all connections nothing is missing that no gap tells of
        yield from _missing(known, last)
    elif page.visits:
        yield from _missing(page.visits[-1].heard, last)


def _faults_of(visit: Visit) -> Iterator[Fault]:
    heard = [number for number in visit.heard if number is not None]
    for number, times in Counter(heard).items():
        if times > 1:
            yield Fault("twice", f"job-{number:012x}")
    for told in visit.amiss:
        yield Fault("twice", told)
    highest = 0
    for number in heard:
        if number < highest:
            yield Fault("out of order", f"job-{number:012x}", f"after {highest}")
        highest = max(highest, number)
    if visit.closed is not None:  # what was on its way when it ended is not known
        yield from _missing(visit.heard, highest - 1)


def _missing(heard: Sequence[int | None], last: int) -> Iterator[Fault]:
    """Numbers between the first and `last` that neither came nor are covered by a gap before the next one."""
    there = {number for number in heard if number is not None}
    expected: int | None = None
    after_gap = False
    for number in heard:
        if number is None:
            after_gap = True
            continue
        if expected is not None and number >= expected:
            if not after_gap:
                for missed in range(expected, number):
                    if missed not in there:
                        yield Fault("hole", f"job-{missed:012x}", f"before {number}")
            after_gap = False
        expected = max(expected or 0, number + 1)
    if expected is not None and not after_gap:
        for missed in range(expected, last + 1):
            if missed not in there:
                yield Fault("lost", f"job-{missed:012x}", "and nothing came after it")
