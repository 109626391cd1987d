"""The switch between machines passes packets on, or loses and delays them, as it is told."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator

import pytest

from tests.chaos.network import CUT, GOOD, Line, Switch

ONE, TWO, THREE = "10.0.0.1", "10.0.0.2", "10.0.0.3"
LIMIT = 60.0  # seconds for what comes


class Machines:
    """The ends of three machines."""

    def __init__(self, ends: dict[str, socket.socket], switch: Switch) -> None:
        self.ends, self.switch = ends, switch

    def send(self, source: str, target: str, text: bytes) -> None:
        addresses = bytes(map(int, f"{source}.{target}".split(".")))
        self.ends[source].send(b"\x45" + bytes(11) + addresses + text)

    def read(self, target: str) -> bytes:
        ready, _, _ = select.select([self.ends[target]], [], [], LIMIT)
        assert ready, "nothing comes"
        return self.ends[target].recv(1 << 16)[20:]


@pytest.fixture
def machines() -> Iterator[Machines]:
    with contextlib.ExitStack() as stack:
        pairs = {it: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for it in (ONE, TWO, THREE)}
        for pair in pairs.values():
            for end in pair:
                stack.enter_context(end)
        switch = Switch({address: far.fileno() for address, (_, far) in pairs.items()}, seed=1)
        stack.callback(switch.close)
        yield Machines({address: near for address, (near, _) in pairs.items()}, switch)


def test_a_packet_comes_to_whom_it_is_for_and_to_nobody_where_there_is_none(machines: Machines) -> None:
    machines.send(ONE, "10.0.0.7", b"nobody")
    machines.ends[ONE].send(b"\x60 is of another kind, and long enough to have addresses")
    machines.send(ONE, TWO, b"two")
    machines.send(ONE, THREE, b"three")
    assert (machines.read(TWO), machines.read(THREE)) == (b"two", b"three")


def test_a_cut_is_one_way_and_of_two_machines(machines: Machines) -> None:
    machines.switch.set((ONE, TWO), CUT)
    machines.send(ONE, TWO, b"lost")
    machines.send(ONE, THREE, b"another")
    machines.send(TWO, ONE, b"back")
    assert (machines.read(THREE), machines.read(ONE)) == (b"another", b"back")
    machines.switch.set((ONE, TWO), GOOD)
    machines.send(ONE, TWO, b"whole")
    assert machines.read(TWO) == b"whole"


def test_what_is_late_comes_in_order_and_after_what_is_not(machines: Machines) -> None:
    machines.switch.set((ONE, TWO), Line(delay=0.05, jitter=0.04))
    for number in range(20):
        machines.send(ONE, TWO, b"%d" % number)
    machines.send(ONE, THREE, b"at once")
    assert machines.read(THREE) == b"at once"
    assert [machines.read(TWO) for _ in range(20)] == [b"%d" % number for number in range(20)]


def test_a_share_is_lost(machines: Machines) -> None:
    machines.switch.set((ONE, TWO), Line(loss=0.5))
    got = 0
    for _ in range(200):
        machines.send(ONE, TWO, b"packet")
        machines.send(ONE, THREE, b"another")
        machines.read(THREE)  # so no more wait than the switch can take
    machines.switch.set((ONE, TWO), GOOD)
    machines.send(ONE, TWO, b"last")
    while machines.read(TWO) != b"last":
        got += 1
    assert 50 < got < 150
