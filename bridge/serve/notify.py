"""Messages to the service manager: systemd's notify protocol (sd_notify(3)).

One datagram for each message, to the Unix socket that NOTIFY_SOCKET names; a name that begins with `@` is an
abstract one. Without the variable nothing is sent. A manager that does not listen is no reason to fail.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping, MutableMapping

STATUS_INTERVAL = 10.0  # seconds between two lines of status
EXTENSION = 10.0  # seconds that a stop asks for, again and again while it makes progress


class ServiceManager:
    """`watchdog`: seconds within which it wants a sign of life; None: it wants none."""

    def __init__(self, address: str = "", watchdog: float | None = None) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog = watchdog

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> ServiceManager:
        """As the environment says, which does not say it to programs that are started from here."""
        address = environ.pop("NOTIFY_SOCKET", "")
        process = environ.pop("WATCHDOG_PID", "")
        wanted = environ.pop("WATCHDOG_USEC", "")
        is_ours = process in ("", str(os.getpid()))
        watchdog = int(wanted) / 1e6 if is_ours and wanted.isascii() and wanted.isdecimal() else 0.0
        return cls(address, watchdog or None)

    def environ(self) -> Mapping[str, str]:
        """What `of` would read, for this process when it has replaced its program."""
        address = f"@{self._address[1:]}" if self._address.startswith("\0") else self._address
        found = {"NOTIFY_SOCKET": address} if address else {}
        return found | ({"WATCHDOG_USEC": str(int(self.watchdog * 1e6))} if self.watchdog else {})

    def ready(self, status: str = "") -> None:
        """Reports that the start or a reload is over."""
        self._send("READY=1", f"MAINPID={os.getpid()}", *([f"STATUS={status}"] if status else []))

    def reloading(self) -> None:
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1", "STATUS=stopping: what is in hand is finished")

    def status(self, text: str) -> None:
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Says that we are alive. Call it at least twice in `watchdog` seconds."""
        if self.watchdog is not None:
            self._send("WATCHDOG=1")

    def extend(self, seconds: float = EXTENSION) -> None:
        """Asks for so many more seconds for a start or stop."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), self._address)
