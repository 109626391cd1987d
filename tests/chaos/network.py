"""Machines on a network of their own: each is a network namespace, and every packet between two of them
passes through this process, which loses or delays it where it is told to, one way or both.

Namespaces need root and /dev/net/tun, and are gone with the processes in them.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import selectors
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.services import program

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
PACKET = 1 << 16  # bytes
TURN = 0.1  # seconds after which a switch looks whether it is over
Way = tuple[str, str]  # addresses: from whom, to whom


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What becomes of packets: the share that is lost; seconds that they take, by `jitter` more or less."""

    loss: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0


GOOD, CUT = Line(), Line(loss=1.0)


class Switch:
    """Passes IPv4 packets on, in a thread, until `close`. `ends`: address → a machine's device."""

    def __init__(self, ends: Mapping[str, int], seed: int) -> None:
        self._ends = {_packed(address): end for address, end in ends.items()}
        self._lines: dict[tuple[bytes, bytes], Line] = {}
        self._chance = random.Random(seed)
        self._waiting: list[tuple[float, int, int, bytes]] = []  # when due, number, end, packet
        self._latest: dict[tuple[bytes, bytes], float] = {}  # when the last packet of this way is due
        self._numbers = itertools.count()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def set(self, way: Way, line: Line) -> None:
        """From now on packets that go this way fare so."""
        self._lines[_packed(way[0]), _packed(way[1])] = line

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for end in self._ends.values():
                os.set_blocking(end, False)
                selector.register(end, selectors.EVENT_READ)
            while not self._is_over.is_set():
                due = self._waiting[0][0] - time.monotonic() if self._waiting else TURN
                for key, _ in selector.select(max(0.0, min(due, TURN))):
                    with contextlib.suppress(BlockingIOError):
                        self._take(os.read(key.fd, PACKET))
                while self._waiting and self._waiting[0][0] <= time.monotonic():
                    _, _, end, packet = heapq.heappop(self._waiting)
                    _write(end, packet)

    def _take(self, packet: bytes) -> None:
        way = packet[12:16], packet[16:20]
        end = self._ends.get(way[1])
        if packet[0] >> 4 != 4 or end is None:
            return
        line = self._lines.get(way, GOOD)
        if line is GOOD:
            _write(end, packet)
        elif self._chance.random() >= line.loss:
            due = time.monotonic() + line.delay + self._chance.uniform(-line.jitter, line.jitter)
            due = self._latest[way] = max(due, self._latest.get(way, 0.0))  # none overtakes another
            heapq.heappush(self._waiting, (due, next(self._numbers), end, packet))


def _packed(address: str) -> bytes:
    return bytes(map(int, address.split(".")))


def _write(end: int, packet: bytes) -> None:
    with contextlib.suppress(OSError):  # as a network does, it loses what a machine cannot take
        os.write(end, packet)


class Network:
    """`addresses`: name of a machine → its address."""

    def __init__(self, addresses: Mapping[str, str], namespaces: Mapping[str, int], switch: Switch) -> None:
        self.addresses, self._namespaces, self._switch = addresses, namespaces, switch

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """This thread, and what it starts and opens, is on that machine while the block runs."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _enter(self._namespaces[name])
            yield
        finally:
            _enter(own)
            os.close(own)

    def one_way(self, source: str, target: str, line: Line) -> None:
        self._switch.set((self.addresses[source], self.addresses[target]), line)

    def both_ways(self, one: str, other: str, line: Line) -> None:
        self.one_way(one, other, line)
        self.one_way(other, one, line)

    def around(self, name: str, line: Line) -> None:
        """Both ways between this machine and every other."""
        for other in self.addresses:
            if other != name:
                self.both_ways(name, other, line)


@contextlib.contextmanager
def network(addresses: Mapping[str, str], seed: int) -> Iterator[Network]:
    """Machines with these addresses, all in one /24. SystemExit where the system gives no namespaces."""
    with contextlib.ExitStack() as stack:
        namespaces, ends = {}, {}
        for name, address in addresses.items():
            try:
                namespaces[name], end = _in_a_thread(lambda address=address: _machine(address))  # type: ignore[misc]
            except OSError as problem:
                raise SystemExit(
                    f"this row needs root, network namespaces and /dev/net/tun: {problem}"
                ) from problem
            ends[address] = end
            stack.callback(os.close, namespaces[name])
            stack.callback(os.close, end)
        switch = Switch(ends, seed)
        stack.callback(switch.close)
        yield Network(addresses, namespaces, switch)


def _machine(address: str) -> tuple[int, int]:
    """A new namespace, which the thread enters, and the end of its network device."""
    _checked(_libc.unshare(CLONE_NEWNET))
    end = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", b"net", IFF_TUN | IFF_NO_PI))
    ip = program("ip", "iproute2")
    for words in (f"address add {address}/24 dev net", "link set net up", "link set lo up"):
        subprocess.run([ip, *words.split()], check=True)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY), end


def _in_a_thread(work: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """What it returns or raises, in a thread of its own: no other is in the namespace that it enters."""
    made: list[tuple[int, int]] = []
    problems: list[OSError] = []

    def run() -> None:
        try:
            made.append(work())
        except OSError as problem:
            problems.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
    return made[0]


_libc = ctypes.CDLL(None, use_errno=True)  # Python 3.11 has neither setns nor unshare


def _enter(namespace: int) -> None:
    _checked(_libc.setns(namespace, CLONE_NEWNET))


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
