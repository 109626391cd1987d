"""What a service manager hears, on a socket of ours."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.serve.notify import ServiceManager


class Manager:
    """`heard`: the next message, as its variables."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.settimeout(60)

    def heard(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().split("\n"))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["a file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify") if request.param == "a file" else f"@bridge-{os.getpid()}")
    yield made
    made.close()


def test_every_state_is_told_as_systemd_reads_it(manager: Manager) -> None:
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}
    told = ServiceManager.of(environ)
    assert environ == {}  # programs that are started from here shall not speak for us
    assert told.watchdog == 3
    told.ready()
    assert manager.heard() == {"READY": "1", "MAINPID": str(os.getpid())}
    told.reloading()
    heard = manager.heard()
    assert heard.pop("RELOADING") == "1"
    assert int(heard.pop("MONOTONIC_USEC")) > 0
    assert heard == {}
    told.alive()
    assert manager.heard() == {"WATCHDOG": "1"}
    told.extend(2.5)
    assert manager.heard() == {"EXTEND_TIMEOUT_USEC": "2500000"}
    told.stopping()
    assert manager.heard()["STOPPING"] == "1"
    again = ServiceManager.of(dict(told.environ()))
    assert again.watchdog == 3
    again.status("x=1")
    assert manager.heard() == {"STATUS": "x=1"}


def test_nobody_is_told_where_nobody_listens(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "nowhere")}, {"NOTIFY_SOCKET": ""}):
        ServiceManager.of(environ).ready()


@pytest.mark.parametrize(
    "environ",
    [
        {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "٣"},
    ],
)
def test_a_watchdog_of_another_or_of_no_number_is_none(environ: dict[str, str]) -> None:
    assert ServiceManager.of(environ).watchdog is None


def test_a_manager_that_does_not_read_holds_up_nothing(manager: Manager) -> None:
    told = ServiceManager.of({"NOTIFY_SOCKET": manager.address})
    for _ in range(2_000):  # more than its socket takes
        told.status("y" * 200)
