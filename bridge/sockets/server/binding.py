"""The listening sockets: bound here, inherited from a service manager, or taken from `bridge listen`.

Imports next to nothing, so that the port listens while the rest is still being imported: who connects
meanwhile waits in the accept queue. A browser that is refused comes back only after 15 seconds
(pusher-js 8.6: one try after a second, the next one then), so a kept socket is worth having.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import time
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from bridge.errors import ConfigurationError, ServiceUnavailable

BACKLOG = 16_384  # connections the kernel holds, net.core.somaxconn allowing
KEEPER_TIMEOUT = 5.0  # seconds in which `bridge listen` must be there, and answer
_FIRST_DESCRIPTOR = 3  # of those that a service manager passes: sd_listen_fds(3)
_ACTIVATION = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


@dataclass(frozen=True, slots=True)
class Listening:
    """Sockets that listen. `is_kept`: another process keeps them open when this one ends."""

    sockets: Sequence[socket.socket]
    is_kept: bool = False

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()

    @property
    def port(self) -> int:
        """Of the first of them; 0 for a Unix socket."""
        name = self.sockets[0].getsockname()
        return int(name[1]) if isinstance(name, tuple) else 0

    def address(self, *, tls: bool = False) -> str:
        """Of the first of them, as a URL."""
        sock = self.sockets[0]
        scheme = "https" if tls else "http"
        if sock.family == socket.AF_UNIX:
            return f"{scheme}+unix://{sock.getsockname()}"
        host, port = sock.getsockname()[:2]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def listen(environ: MutableMapping[str, str], host: str, port: int, keeper: str | None = None) -> Listening:
    """From the service manager, else from the `bridge listen` at the Unix socket `keeper`, else bound anew.

    Raises as `inherited`, `taken` and `bind` do.
    """
    passed = inherited(environ)
    if passed:
        return Listening(passed, is_kept=True)
    if keeper is not None:
        return Listening([taken(keeper)], is_kept=True)
    return Listening([bind(host, port)])


def bind(host: str, port: int) -> socket.socket:
    """A listening TCP socket, before anything slow happens; clients wait in its backlog.

    `::` takes IPv4 as well, where the system can. Port 0 takes a free one. Raises ServiceUnavailable where
    another holds the address, ConfigurationError where it can never be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        both = address[0] == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as problem:
        where, fault = f"address {host}:{port}", f"cannot be listened on ({_reason(problem)})"
        if isinstance(problem, PermissionError | socket.gaierror):
            remedy = "choose another with --host and --port"
            raise ConfigurationError(where, fault, remedy=remedy) from None
        raise ServiceUnavailable(
            f"{where} {fault}: stop the process that holds it, or choose another with --host and --port"
        ) from None


def _reason(problem: OSError) -> str:
    """In the system's words; Python puts the address into them, which stands there already."""
    is_ours = problem.errno is not None and not isinstance(problem, socket.gaierror)
    return os.strerror(problem.errno or 0) if is_ours else str(problem.strerror or problem)


def inherited(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """The sockets that a service manager has opened for this process; none where it has not.

    `environ` says so (systemd's LISTEN_FDS and LISTEN_PID) and does not afterwards: processes started from
    here get none of them. Raises ConfigurationError for anything that is no listening stream socket.
    """
    count, process = environ.get("LISTEN_FDS"), environ.get("LISTEN_PID")
    if count is None or process != str(os.getpid()):
        return []
    for name in _ACTIVATION:
        environ.pop(name, None)
    if not count.isascii() or not count.isdecimal() or len(count) > 4:
        raise ConfigurationError("LISTEN_FDS", "is no number", where="the environment", remedy=_UNIT)
    return [_adopted(_FIRST_DESCRIPTOR + n, "LISTEN_FDS") for n in range(int(count))]


_UNIT = "see systemd/bridge.socket"


def _adopted(descriptor: int, where: str) -> socket.socket:
    try:
        is_socket = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        is_socket = False
    if not is_socket:
        raise ConfigurationError(where, f"promises a socket as descriptor {descriptor}", remedy=_UNIT)
    os.set_inheritable(descriptor, False)
    sock = socket.socket(fileno=descriptor)
    listens = sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if not listens:
        sock.close()
        raise ConfigurationError(where, "passes a socket that does not listen for streams", remedy=_UNIT)
    return sock


# ---- bridge listen ------------------------------------------------------------------------------


def taken(path: str) -> socket.socket:
    """The socket that the `bridge listen` at this Unix socket keeps.

    Raises ServiceUnavailable where there is none within KEEPER_TIMEOUT: both may be starting.
    """
    deadline = time.monotonic() + KEEPER_TIMEOUT
    fault = "it was closed"
    while time.monotonic() < deadline:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as keeper:
                keeper.settimeout(KEEPER_TIMEOUT)
                keeper.connect(path)
                _check_owner(keeper)
                _, descriptors, _, _ = socket.recv_fds(keeper, 1, 1)
            if descriptors:
                return _adopted(descriptors[0], "listen_from")
        except OSError as problem:
            fault = _reason(problem)
        time.sleep(0.05)
    raise ServiceUnavailable(
        f"listen_from {path} gives no socket ({fault}): start bridge listen for this app"
    )


def _check_owner(keeper: socket.socket) -> None:
    """Raises OSError where the other side is a stranger's, who would hear our clients on the same socket."""
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", keeper.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if user not in (0, os.geteuid()):
        raise PermissionError(f"user {user} made it, not the one of this process")


@contextlib.contextmanager
def keeper_at(path: str) -> Iterator[socket.socket]:
    """The Unix socket of a `bridge listen`, for its own user only; its file is gone after the block.

    Raises ServiceUnavailable where another one is there, ConfigurationError where it cannot be.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        try:
            _remove_stale(path)
            mask = os.umask(0o177)
            try:
                server.bind(path)
            finally:
                os.umask(mask)
        except OSError as problem:
            fault, remedy = (
                f"{path} cannot be made ({_reason(problem)})",
                "name a file where this user may write",
            )
            raise ConfigurationError("listen_from", fault, remedy=remedy) from None
        server.listen()
        try:
            yield server
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return  # `bind` refuses: it is somebody's file
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        try:
            other.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # of one that was killed
        else:
            raise ServiceUnavailable(f"listen_from {path} is served already: one bridge listen is enough")


def keep(sock: socket.socket, keeper: socket.socket) -> NoReturn:
    """Gives `sock` to everybody who connects to `keeper`, until the handler of a signal raises."""
    while True:
        with contextlib.suppress(OSError):  # whoever asked is gone already
            client, _ = keeper.accept()
            with client:
                client.settimeout(1.0)
                socket.send_fds(client, [b"\n"], [sock.fileno()])
