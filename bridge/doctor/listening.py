"""Checks of the port, its certificate, and how many clients the machine allows."""

from __future__ import annotations

import resource
import ssl
from datetime import UTC, datetime
from pathlib import Path

from bridge.doctor.machine import Process, listener
from bridge.doctor.subject import ExaminedApp, Finding, Found
from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.sockets.server.binding import BACKLOG, bind
from bridge.sockets.server.listener import SPARE_DESCRIPTORS
from bridge.sockets.server.open_files import REMEDY

ENDING = 14  # days before its end at which a certificate is spoken of
FEW_FILES = 4096  # open files that are little for a server of clients
USUAL_QUEUE = 4096  # net.core.somaxconn of Linux since 5.4

# What else may sit on such a port: words of its command line → its name, and how it is stopped.
SERVERS = (
    (("websockets:serve",), "laravel-websockets"),
    (("reverb:start",), "Reverb"),
    (("soketi",), "soketi"),
    (("laravel-echo-server",), "laravel-echo-server"),
)


def port(subject: ExaminedApp) -> Found:
    """Checks that the address is free, or that bridge itself has it."""
    settings = subject.settings
    if settings.port == 0:
        return
    try:
        bind(settings.host, settings.port).close()
        return
    except (ConfigurationError, ServiceUnavailable) as problem:
        owner = listener(subject.root, settings.port)
        if owner is not None and (_is_bridge(owner) or _keeps_sockets(owner)):
            return
        yield Finding(
            what=f"port {settings.port} is taken by {_named(owner)}"
            if owner
            else str(problem).rsplit(":", 1)[0],
            where=settings.origins.get("port", "the default"),
            remedy="stop it, or give bridge another port (BRIDGE_PORT, and the same in Echo)",
        )


def _is_bridge(process: Process) -> bool:
    is_command = "serve" in process.command or "listen" in process.command
    return is_command and any("bridge" in word for word in process.command)


def _keeps_sockets(process: Process) -> bool:
    """It is systemd, which holds the port for `bridge.socket`."""
    return process.id == 1 and Path(process.command[0]).name in ("systemd", "init")


def _named(process: Process) -> str:
    for words, name in SERVERS:
        if any(word in part for word in words for part in process.command):
            return f"{name} (process {process.id})"
    return f"{Path(process.command[0]).name if process.command else 'a process'} (process {process.id})"


def certificate(subject: ExaminedApp) -> Found:
    """Checks that both files exist, belong together, and are valid today."""
    settings = subject.settings
    files = {"ssl_cert": settings.ssl_cert, "ssl_key": settings.ssl_key}
    given = {name: path for name, path in files.items() if path}
    if not given:
        return
    for name in files.keys() - given.keys():
        yield Finding(
            what=f"{name} is missing beside {next(iter(given))}: the port speaks no TLS",
            where=settings.origins.get(next(iter(given)), ""),
            remedy="give both, or neither",
        )
    unread = [(name, path) for name, path in given.items() if not _readable(path)]
    for name, path in unread:
        yield Finding(
            what=f"{name} cannot be read: {path}",
            where=settings.origins.get(name, ""),
            remedy="correct the path, or let this user read the file",
        )
    if unread or settings.ssl_cert is None or settings.ssl_key is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            settings.ssl_cert, settings.ssl_key, password=lambda: ""
        )
    except (ssl.SSLError, ValueError):
        yield Finding(
            what="ssl_cert and ssl_key do not belong together, or are no PEM files",
            where=f"{settings.ssl_cert}, {settings.ssl_key}",
            remedy="give the chain and the private key it was made for, without a passphrase",
        )
        return
    yield from _dates(Path(settings.ssl_cert), datetime.fromtimestamp(subject.clock(), UTC))


def _dates(file: Path, now: datetime) -> Found:
    from cryptography import x509  # where there is a certificate

    own = x509.load_pem_x509_certificates(file.read_bytes())[0]
    begins, ends = own.not_valid_before_utc, own.not_valid_after_utc
    if now < begins:
        yield Finding(
            what=f"the certificate counts only from {begins:%Y-%m-%d} on",
            where=str(file),
            remedy="set the clock, or take another certificate",
        )
    elif (days := (ends - now).days) < ENDING:
        when = f"ended on {ends:%Y-%m-%d}" if now > ends else f"ends in {days} days"
        yield Finding(
            what=f"the certificate {when}", where=str(file), remedy="renew it, then send bridge SIGHUP"
        )


def _readable(path: str) -> bool:
    try:
        with Path(path).open("rb"):
            return True
    except OSError:
        return False


def descriptors(subject: ExaminedApp) -> Found:
    """Checks that this process may open a file for each client."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = subject.settings.max_connections
    if limit == resource.RLIM_INFINITY:
        return
    if most is not None and most + SPARE_DESCRIPTORS > limit:
        yield Finding(
            what=f"max_connections is {most}, and the system allows {limit} open files",
            where=subject.settings.origins.get("max_connections", ""),
            remedy=REMEDY,
        )
    elif most is None and limit < FEW_FILES:
        yield Finding(
            what=f"the system allows {limit} open files, so as many clients less {SPARE_DESCRIPTORS}",
            where="ulimit -Hn",
            remedy=REMEDY,
            hint=True,
        )


def accept_queue(subject: ExaminedApp) -> Found:
    """Checks that the kernel queues as many clients as may come back at once after a restart."""
    try:
        most = int((subject.root / "proc/sys/net/core/somaxconn").read_text())
    except (OSError, ValueError):
        return
    wanted = min(BACKLOG, subject.settings.max_connections or USUAL_QUEUE)
    if most < wanted:
        yield Finding(
            what=f"the kernel keeps {most} clients waiting, and {wanted} may come back at once",
            where="net.core.somaxconn",
            remedy=f"with as many clients: sysctl net.core.somaxconn={BACKLOG}",
            hint=True,
        )
