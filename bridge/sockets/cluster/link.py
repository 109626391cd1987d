"""Link: one RESP3 connection for commands, answers and what is published, all in Redis' own order.

That order is the point: what a script published comes before the script's answer, and everything after a
SUBSCRIBE comes after it. redis-py keeps commands and subscriptions on connections of their own, where no
order holds between them, and costs three times as much. Here are the protocol's framing (hiredis) and the
order of answers, nothing else: commands go out once per turn of the loop, answers come in their order.

Redis ends a link with subscriptions once so many bytes wait for it. So a command with a large answer says how
large, and waits, with all behind it, while too many of these are due.

In RESP3 a SUBSCRIBE has no answer but one push for each name, and a refused one has a single error answer; so
it has its place among those who wait, and leaves it with the last name's push, or with the error.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import re
import socket
import ssl
import struct
import termios
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hiredis

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.sockets.cluster import times

CONNECT_TIMEOUT = 5.0  # seconds, for the connection and its greeting each
CLUSTER_SINCE = 7  # the first release of Redis in which topics belong to a slot
ANSWER_TIMEOUT = 5.0  # seconds of silence, where an answer is due, after which the link is taken for dead

Then = Callable[[Any], None]
Lost = Callable[[str], None]
Refused = Callable[[str], None]
Word = bytes | str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where Redis is, and with what it lets us in; `tls`: None where the connection is plain; `is_sharded`:
    it is a node of a Redis Cluster, where topics belong to a slot, as keys do."""

    host: str = "127.0.0.1"
    port: int = 6379
    unix_socket: str | None = None
    tls: ssl.SSLContext | None = field(default=None, compare=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    is_sharded: bool = False

    @property
    def place(self) -> str:
        return self.unix_socket or f"{self.host}:{self.port}"


Find = Callable[[], Awaitable[Address]]
"""Asks where the primary is now. May raise ServiceUnavailable."""


class Script:
    """One file of `scripts/`, behind those whose functions it calls. `sharded_…`: the same for a node of a
    Redis Cluster, where PUBLISH would send a message to all nodes."""

    def __init__(self, name: str, *before: str) -> None:
        folder = Path(__file__).parent / "scripts"
        self.name = name
        self.text = b"".join((folder / f"{one}.lua").read_bytes() for one in (*before, name))
        self.sha = _sha(self.text)
        self.sharded_text = self.text.replace(b"'PUBLISH'", b"'SPUBLISH'")
        self.sharded_sha = _sha(self.sharded_text)


def _sha(text: bytes) -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


JOIN = Script("join", "log", "note")
LEAVE = Script("leave", "common", "note")
REAP = Script("reap", "common", "note")
GONE = Script("gone", "note")
MISS = Script("miss", "note")
PUBLISH, COUNT, BEAT, TAKE = Script("publish"), Script("count"), Script("beat"), Script("take")
COMPARE = Script("compare")
LOAD, KEEP, READ = Script("load"), Script("keep"), Script("read", "log")
MORE = 2  # as join.lua and read.lua have it
SCRIPTS = (JOIN, LEAVE, REAP, PUBLISH, COUNT, BEAT, GONE, MISS, TAKE, COMPARE, LOAD, KEEP, READ)


@dataclass(slots=True)
class _Waits:
    """For the answer to a command (`then`, or `refused`, or `lost` where none comes any more) of about so
    many bytes, 0 where these are few; or for the pushes of so many names. `is_optional`: the link goes on
    whatever Redis has against it."""

    command: bytes
    then: Then | None
    lost: Lost | None = None
    refused: Refused | None = None
    names: int = 0
    size: int = 0
    is_optional: bool = False


class Link(asyncio.Protocol):
    """`pushed` gets topic and message; `refused` each command that Redis refuses because of what its keys
    hold, and why; `lost` is called once, with the reason, and nothing is afterwards.

    To be made on the loop that it lives on."""

    def __init__(
        self,
        pushed: Callable[[bytes, bytes], None],
        lost: Callable[[str], None],
        refused: Callable[[bytes, str], None],
    ) -> None:
        self._pushed = pushed
        self._lost = lost
        self._refused = refused
        self._is_open = self._is_sharded = False
        self._message = b"message"
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Waits] = deque()
        self._out: list[bytes] = []
        self._held: deque[_Waits] = deque()  # behind `_out`: those whose answers are too much at once
        self._due = 0  # bytes of the answers to all others
        self._gathered: Callable[[], None] | None = None  # puts what comes before anything else
        self._will_flush = False
        self._asked_at = 0.0  # when an answer came to be due
        self._heard_at = 0.0  # when one came, or a part of it
        self._is_over = False
        self._transport: asyncio.Transport | None = None
        self._reader: Any = hiredis.Reader(notEnoughData=_NOTHING)

    async def open(self, address: Address, name: str, begin: Callable[[Link], None] | None = None) -> None:
        """Authenticates the connection and loads the scripts. `begin` sends what is to come before all else.
        Raises ServiceUnavailable, also where this is a replica."""
        self._is_sharded = address.is_sharded
        if self._is_sharded:
            self._message = b"smessage"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                if address.unix_socket:
                    await self._loop.create_unix_connection(lambda: self, address.unix_socket)
                else:
                    context = address.tls
                    await self._loop.create_connection(lambda: self, address.host, address.port, ssl=context)
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._greet(address, name, begin)
            self._is_open = True
        except (OSError, TimeoutError, ServiceUnavailable) as problem:
            self.end(str(problem) or type(problem).__name__)
            raise ServiceUnavailable(f"Redis at {address.place}: {problem or 'does not answer'}") from None
        except BaseException:  # a stop in the middle leaves no connection open
            self.end("bridge ends")
            raise

    async def _greet(self, address: Address, name: str, begin: Callable[[Link], None] | None) -> None:
        hello: list[Word] = ["HELLO", 3]
        if address.password is not None:
            hello += ["AUTH", address.username or "default", address.password]
        asked = [self.ask(*hello, "SETNAME", name)]
        if begin is not None:
            begin(self)
        if address.database:
            asked.append(self.ask("SELECT", address.database))
        for script in SCRIPTS:
            asked.append(self.ask("SCRIPT", "LOAD", script.sharded_text if self._is_sharded else script.text))
        greeting, *_ = await asyncio.gather(*asked)
        version = greeting.get(b"version", b"").decode()
        if self._is_sharded and int(version.partition(".")[0] or 0) < CLUSTER_SINCE:
            raise ConfigurationError(
                f"Redis at {address.place}",
                f"is {version}, and in a Redis Cluster the bus needs {CLUSTER_SINCE}.0 or newer",
                remedy="upgrade it, or name another connection as bus",
            )
        if greeting.get(b"role") == b"replica":  # whoever named it does not know yet of a failover
            raise ServiceUnavailable("it is a replica")

    # Commands -------------------------------------------------------------------------------------------

    def send(
        self,
        *words: Word,
        then: Then | None = None,
        lost: Lost | None = None,
        refused: Refused | None = None,
        size: int = 0,
    ) -> None:
        """`then` gets the answer, or `lost` the reason why none comes: the link is lost, or ends since Redis
        says no; or `refused` what Redis has against this command alone, where one of its keys is not what it
        should be. `size`: of the answer, in bytes, where it may be large."""
        self._send(_Waits(packed(*words), then, lost, refused, size=size))

    def try_to(self, *words: Word, then: Callable[[Any | None], None]) -> None:
        """`send`, of what Redis may refuse: then `then` gets None."""
        self._send(_Waits(packed(*words), then, refused=lambda _: then(None), is_optional=True))

    def put(
        self, command: bytes, then: Then | None, lost: Lost | None, refused: Refused | None = None
    ) -> None:
        """`send`, of a command that is packed."""
        self._send(_Waits(command, then, lost, refused))

    def _send(self, waits: _Waits) -> None:
        if self._is_over and waits.lost is not None:
            waits.lost("it has ended")
        self._put(waits)

    def gather(self, close: Callable[[], None]) -> None:
        """`close` is called to put a command that was not complete yet: before another is put, or else at the
        end of this turn of the loop."""
        self._gathered = close
        if self._is_over:
            self._close_gathered()
        else:
            self._flush_soon()

    def ask(self, *words: Word) -> asyncio.Future[Any]:
        """The answer. Raises ServiceUnavailable where none comes."""
        future: asyncio.Future[Any] = self._loop.create_future()

        def then(answer: Any) -> None:
            if not future.done():
                future.set_result(answer)

        def lost(why: str) -> None:
            if not future.done():
                future.set_exception(ServiceUnavailable(f"Redis does not answer: {why}"))
                future.exception()  # whoever asked may be gone

        self.send(*words, then=then, lost=lost, refused=lost)
        return future

    def run(
        self,
        script: Script,
        keys: Sequence[Word],
        *words: Word,
        then: Then | None = None,
        lost: Lost | None = None,
        refused: Refused | None = None,
        size: int = 0,
    ) -> None:
        command = ("EVALSHA", self.sha(script), len(keys), *keys, *words)
        self.send(*command, then=then, lost=lost, refused=refused, size=size)

    def ask_script(self, script: Script, keys: Sequence[Word], *words: Word) -> asyncio.Future[Any]:
        return self.ask("EVALSHA", self.sha(script), len(keys), *keys, *words)

    def sha(self, script: Script) -> bytes:
        """The name by which this Redis knows the script."""
        return script.sharded_sha if self._is_sharded else script.sha

    def publish(self, topic: bytes, message: bytes, lost: Lost) -> None:
        self.send("SPUBLISH" if self._is_sharded else "PUBLISH", topic, message, lost=lost)

    def subscribe(self, topics: Sequence[bytes]) -> None:
        if topics:
            self._put(
                _Waits(
                    packed("SSUBSCRIBE" if self._is_sharded else "SUBSCRIBE", *topics),
                    None,
                    names=len(topics),
                )
            )

    def unsubscribe(self, topics: Sequence[bytes]) -> None:
        if topics:
            self._put(
                _Waits(
                    packed("SUNSUBSCRIBE" if self._is_sharded else "UNSUBSCRIBE", *topics),
                    None,
                    names=len(topics),
                )
            )

    def check(self, now: float) -> None:
        """To be called every second or so: a link that owes an answer and brings none for too long is lost.
        However much was sent at once: each that comes shows that Redis is at work. Messages do not show that
        Redis hears us. But answers come after messages, so what has not been read may hold one."""
        is_late = self._waiting and now - max(self._asked_at, self._heard_at) > ANSWER_TIMEOUT
        if is_late and not self._has_unread():
            self.end("Redis does not answer")

    def end(self, why: str, *, in_order: bool = False) -> None:
        """Nothing goes or comes any more. Where it ends `in_order`, what was sent may still reach Redis: the
        kernel tries for minutes to bring it there. Else only what is beyond our end may (`FormerLinks`)."""
        if self._is_over:
            return
        self._is_over = True
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            if sock is not None and not in_order:
                with contextlib.suppress(OSError):  # it is closed already
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        self._out.clear()
        self._held.clear()
        self._lost(why)
        for waits in waiting:
            if waits.lost is not None:
                waits.lost(why)
        self._close_gathered()

    def refuse(self, error: str) -> None:
        """Redis has answered with this error. The link ends: READONLY, LOADING, NOPERM, OOM, NOSCRIPT, … mean
        not now, or not here."""
        self.end(without_place(error))

    # Called by the transport ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.end("Redis has closed the connection" if exc is None else str(exc))

    def data_received(self, data: bytes) -> None:
        now = self._loop.time()
        try:
            self._reader.feed(data)
            gets = self._reader.gets
            item = gets()
            if item is _NOTHING:  # a part of something large
                self._heard_at = now
            while not self._is_over and item is not _NOTHING:
                if type(item) is hiredis.PushNotification and item[0] == self._message:
                    self._pushed(item[1], item[2])
                else:
                    self._heard_at = now
                    self._take(item)
                item = gets()
        except hiredis.ProtocolError:
            self.end("what comes is not Redis' protocol")

    # Parts ----------------------------------------------------------------------------------------------

    def _has_unread(self) -> bool:
        """Whether the kernel holds what the loop has not had the time to read."""
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return False
        size = fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(struct.calcsize("i")))
        return size != bytes(len(size))

    def _put(self, waits: _Waits) -> None:
        if self._is_over:
            return
        self._close_gathered()
        self._flush_soon()
        if not self._waiting:
            self._asked_at = self._loop.time()
        self._waiting.append(waits)
        if self._held or waits.size:
            self._held.append(waits)
            self._release()
        else:
            self._out.append(waits.command)

    def _release(self) -> None:
        """What need not be held any more goes out. One answer at least is always due, however large it is."""
        while self._held and (not self._due or self._due + self._held[0].size <= times.ANSWER_BYTES):
            waits = self._held.popleft()
            self._due += waits.size
            self._out.append(waits.command)
            self._flush_soon()

    def _first(self) -> _Waits:
        """Who has waited for longest, and does not any more."""
        waits = self._waiting.popleft()
        if waits.size:
            self._due -= waits.size
            self._release()
        return waits

    def _close_gathered(self) -> None:
        if self._gathered is not None:
            close, self._gathered = self._gathered, None
            close()

    def _flush_soon(self) -> None:
        if not self._will_flush:
            self._will_flush = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._close_gathered()
        self._will_flush = False
        if self._transport is not None and self._out:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _take(self, item: Any) -> None:
        what = type(item)
        if what is hiredis.PushNotification:
            if item[0] in _CONFIRMS:
                self._confirm()
            return
        if not self._waiting:
            self.end("Redis answers what was not asked")
            return
        if what is hiredis.ReplyError:
            self._take_error(str(item))
            return
        waits = self._first()
        if waits.then is not None:
            waits.then(item)

    def _confirm(self) -> None:
        """One name of a subscription. A node of a Cluster that loses the slot ends all of them unasked."""
        first = self._waiting[0] if self._waiting else None
        if first is None or not first.names:
            self.end("the slot of the bus has moved")
            return
        first.names -= 1
        if first.names == 0:
            self._waiting.popleft()

    def _take_error(self, error: str) -> None:
        first, why = self._waiting[0], without_place(error)
        if not first.is_optional:
            if not self._is_open or first.names or not is_of_a_key(error):
                self.refuse(error)
                return
            self._refused(first.command, why)
        waits = self._first()
        if waits.refused is not None:
            waits.refused(why)


def is_of_a_key(error: str) -> bool:
    """Whether Redis refuses this command alone: a key is of another type, or holds what the script stumbles
    over. All else (OOM, READONLY, NOPERM, MISCONF, …) says not now, or not here. Redis 6 names the place in
    the script first."""
    if _NEVER.search(error):
        return False
    found = _CODE.match(_WRAPPED.sub("", error))
    return found is None or found[1] in ("ERR", "WRONGTYPE")


def without_place(error: str) -> str:
    """What Redis says, without the place in the script. No payload is there."""
    return _WRAPPED.sub("", error).partition(" script:")[0].strip()[:200]


_WRAPPED = re.compile(r"^ERR Error running script \(call to \w+\): ")  # before Redis 7
_CODE = re.compile(r"(?:@?user_script: ?\d+: )*-?([A-Z]{2,})\b")
_NEVER = re.compile(  # NOPERM in older releases; and in a Cluster a slot that moves, or that nobody serves
    r"The user executing the script|[Uu]nknown (?:Redis )?command|Script attempted to "
)


def packed(*words: Word) -> bytes:
    """The command as it goes over the wire."""
    command: Any = words
    together: bytes = hiredis.pack_command(command)
    return together


def keys_of(command: bytes) -> tuple[bytes, list[bytes]]:
    """Of a packed command: its name, or its script's hash, and its keys."""
    reader = hiredis.Reader()
    reader.feed(command)
    what, *rest = reader.gets()
    if what == b"EVALSHA":
        return rest[0], rest[2 : 2 + int(rest[1])]
    return what, rest[:1]


def words(*some: Word) -> bytes:
    """The same for some of a command's words."""
    return packed(*some).partition(b"\r\n")[2]


_CONFIRMS = (b"subscribe", b"unsubscribe", b"ssubscribe", b"sunsubscribe")
_NOTHING = object()
_RESET = struct.pack("ii", 1, 0)  # lingers for 0 s
