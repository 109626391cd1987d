"""What comes before HTTP on a new connection: a header of the PROXY protocol, a TLS handshake.

Connections that are in it count as plain HTTP connections do: one that hangs makes room for others. The event
loop's own TLS server tells of a connection only after its handshake, so that nobody could end the oldest of
too many.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial

from bridge.sockets.server import proxy_protocol
from bridge.sockets.server.http_server import HttpServer
from bridge.sockets.server.open_files import lack
from bridge.sockets.server.proxy_protocol import Malformed, Origin
from bridge.sockets.server.trusted_proxies import Proxies

logger = logging.getLogger(__name__)

DEFERENCE = 0.005  # seconds that another process has for a connection that it should take
AT_ONCE = 8  # connections in one turn of the loop
RETRY = 0.5  # seconds until the next look when the system cannot give a connection, for want of descriptors


class Acceptor:
    """Takes the connections of a listening socket.

    context  for TLS; None: plain
    proxies  those that begin with a header of the PROXY protocol, and no others; None: nobody does
    timeout  seconds for a handshake
    yields   whether another process should have the next connection; it has DEFERENCE seconds to take it
    warn     says why no connection is taken
    """

    def __init__(
        self,
        server: HttpServer,
        sock: socket.socket,
        context: ssl.SSLContext | None,
        timeout: float,
        proxies: Proxies | None = None,
        yields: Callable[[], bool] = lambda: False,
        warn: Callable[[str], None] = lambda why: None,
    ) -> None:
        self.server = server
        self.context = context
        self.timeout = timeout
        self.proxies = proxies
        self._yields = yields
        self._warn = warn
        self._sock = sock
        self._warned = self._has_yielded = False
        self._retry: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        server.loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Takes no further connection; those that were taken go on."""
        if self._retry is not None:
            self._retry.cancel()
        else:
            self.server.loop.remove_reader(self._sock)
        self._sock.close()

    def malformed(self, problem: Malformed) -> None:
        """Warns, once, that a proxy did not begin as it should."""
        if not self._warned:
            self._warned = True
            why = f"proxy_protocol is on, and a connection of trusted_proxies is not as it says: {problem}"
            logger.warning("connection refused", extra={"action": "proxy_protocol", "why": why})

    def _accept(self) -> None:
        """Accepts a few connections in each turn of the loop, so that other processes get some of a rush."""
        if not self._has_yielded and self._yields():
            self._has_yielded = True
            self._pause(DEFERENCE)
            return
        self._has_yielded = False
        for _ in range(AT_ONCE):
            if not self._take():
                return

    def _take(self) -> bool:
        """One connection, if there is any."""
        try:
            accepted, peer = self._sock.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another process was faster, or it is gone
            return False
        except OSError as problem:
            self._warn(lack(problem) or problem.strerror or type(problem).__name__)
            self._pause(RETRY)
            return False
        accepted.setblocking(False)
        if self.context is not None or self.proxies is not None:
            Arriving(self, accepted, str(peer[0]) if isinstance(peer, tuple) else "")
        else:
            task = self.server.loop.create_task(self._serve(accepted))
            self.server.tasks.add(task)
            task.add_done_callback(self.server.tasks.discard)
        return True

    async def _serve(self, accepted: socket.socket) -> None:
        """Nothing comes before HTTP: the connection counts from the next turn of the loop."""
        try:
            await self.server.loop.connect_accepted_socket(self.server.connection, accepted)
        except OSError:  # it is gone
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise

    def _pause(self, seconds: float) -> None:
        self.server.loop.remove_reader(self._sock)
        self._retry = self.server.loop.call_later(seconds, self._listen_again)

    def _listen_again(self) -> None:
        self._retry = None
        self.server.loop.add_reader(self._sock, self._accept)


class Arriving:
    """A new TCP connection, until HTTP is spoken on it."""

    def __init__(self, acceptor: Acceptor, accepted: socket.socket, peer: str) -> None:
        self._acceptor = acceptor
        self._server = acceptor.server
        self._server.add(self)
        # the event loop itself ends a TLS handshake before
        self._server.await_client(self, 2 * acceptor.timeout)
        self._task = self._server.loop.create_task(self._run(accepted, peer))
        self._server.tasks.add(self._task)
        self._task.add_done_callback(self._ended)

    def finish(self) -> None:
        """Ends it, for the server stops."""
        self._task.cancel()

    def expire(self) -> None:
        """Ends it, for the client has had its time."""
        self._task.cancel()

    def abort(self) -> None:
        """Ends the connection at once."""
        self._task.cancel()

    async def _run(self, accepted: socket.socket, peer: str) -> None:
        acceptor = self._acceptor
        try:
            origin: Origin | None = None
            if acceptor.proxies is not None and acceptor.proxies.trusts(peer):
                origin = await proxy_protocol.receive(partial(self._read, accepted))
            handshake = None if acceptor.context is None else acceptor.timeout
            await self._server.loop.connect_accepted_socket(
                partial(self._server.connection, origin),
                accepted,
                ssl=acceptor.context,
                ssl_handshake_timeout=handshake,
            )
        except Malformed as problem:
            acceptor.malformed(problem)
            accepted.close()
        except (OSError, EOFError):  # no TLS, none that we speak, too slow, or gone
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise

    async def _read(self, accepted: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = await self._server.loop.sock_recv(accepted, size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._server.tasks.discard(task)
        self._server.remove(self)
