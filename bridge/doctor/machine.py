"""Checks of what else the machine runs: processes by /proc, units of supervisor and systemd."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.doctor.subject import ExaminedApp, Finding, Found

UNITS = (
    "etc/supervisor/conf.d/*.conf",
    "etc/supervisord.d/*.ini",
    "etc/systemd/system/*.service",
    "usr/lib/systemd/system/*.service",
)
# artisan command → what bridge does in its place
REPLACED = {
    "websockets:serve": "its own server",
    "reverb:start": "its own server",
    "queue:work": "the jobs of the queue",
    "queue:listen": "the jobs of the queue",
    "horizon": "the jobs of the queue",
}
_STOP_WAIT = re.compile(r"^\s*(?:stopwaitsecs|TimeoutStopSec)\s*=\s*(\d+)\s*s?\s*$", re.MULTILINE)
_SERVES = re.compile(r"\bbridge\s+serve\b")
_LISTENS = "0A"  # state in /proc/net/tcp


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """folder is empty where it may not be seen."""

    id: int
    command: tuple[str, ...]
    folder: str


def processes(subject: ExaminedApp) -> Found:
    """Reports other workers and servers of this app: they may be meant."""
    for process in _processes(subject.root):
        command = next((word for word in process.command if word in REPLACED), None)
        if command is None or not _is_of(process, subject.path):
            continue
        yield Finding(
            what=f"{command} runs beside (process {process.id}); bridge does {REPLACED[command]} itself",
            where=" ".join(process.command[:4]),
            remedy="stop it when you switch over; what it takes itself it posts to PUSHER_HOST and "
            "PUSHER_PORT",
            hint=True,
        )


def units(subject: ExaminedApp) -> Found:
    """Checks that this app's units give bridge the time to drain, and start no other server beside it."""
    longest = subject.settings.longest_stop
    for file in sorted(file for pattern in UNITS for file in subject.root.glob(pattern)):
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if str(subject.path) not in text:
            continue
        if _SERVES.search(text):
            wait = _STOP_WAIT.search(text)
            if wait and int(wait[1]) < longest:
                yield Finding(
                    what=f"bridge is killed after {wait[1]} s, and a stop may take {longest:g} s",
                    where=str(file),
                    remedy=f"set stopwaitsecs (systemd: TimeoutStopSec) to {longest:g} or more",
                )
            continue
        for command in ("websockets:serve", "reverb:start"):
            if command in text:
                yield Finding(
                    what=f"a unit starts {command}, which bridge replaces",
                    where=str(file),
                    remedy="disable it when you switch over: both want clients, and often the same port",
                    hint=True,
                )


def user(subject: ExaminedApp) -> Found:
    """Checks that bridge runs as the app's user: what root writes, the app's PHP cannot write."""
    storage = subject.path / "storage"
    try:
        owner = storage.stat().st_uid
    except OSError:
        return
    if subject.user() == 0 and owner != 0:
        yield Finding(
            what="this runs as root: the app's own PHP cannot write what root made, such as laravel.log",
            where=str(storage),
            remedy=f"run bridge as the app's user: user or User in its unit, or sudo -u '#{owner}' bridge",
            hint=True,
        )


def listener(root: Path, port: int) -> Process | None:
    """Who listens on the TCP port; None where nobody does, or it may not be seen."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (root / "proc/net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for process in _processes(root):
        if inodes & set(_links(root / f"proc/{process.id}/fd")):
            return process
    return None


def _processes(root: Path) -> Iterator[Process]:
    for folder in root.glob("proc/[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
        except OSError:  # it ended meanwhile
            continue
        try:
            at = os.readlink(folder / "cwd")
        except OSError:
            at = ""
        yield Process(id=int(folder.name), command=tuple(command), folder=at)


def _is_of(process: Process, app: Path) -> bool:
    inside = process.folder and Path(process.folder).is_relative_to(app)
    return bool(inside) or any(word.startswith(f"{app}/") for word in process.command)


def _links(folder: Path) -> Iterator[str]:
    try:
        for link in folder.iterdir():
            yield os.readlink(link)
    except OSError:
        return
