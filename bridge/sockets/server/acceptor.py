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
from functools import partial

from bridge.sockets.server import proxy_protocol
from bridge.sockets.server.http_protocol import HttpServer
from bridge.sockets.server.proxy_protocol import Malformed, Origin
from bridge.sockets.server.trusted_proxies import Proxies

logger = logging.getLogger(__name__)

RETRY = 0.5  # seconds until the next look when the system cannot give a connection, for want of descriptors


class Acceptor:
    """Takes the connections of a listening socket.

    context  for TLS; None: plain
    proxies  those that begin with a header of the PROXY protocol, and no others; None: nobody does
    timeout  seconds for a handshake
    """

    def __init__(
        self,
        server: HttpServer,
        sock: socket.socket,
        context: ssl.SSLContext | None,
        timeout: float,
        proxies: Proxies | None = None,
    ) -> None:
        self.server = server
        self.context = context
        self.timeout = timeout
        self.proxies = proxies
        self._sock = sock
        self._warned = False
        sock.setblocking(False)
        self._task = server.loop.create_task(self._run())

    def close(self) -> None:
        """No connection is taken any more."""
        self._task.cancel()

    def malformed(self, problem: Malformed) -> None:
        """A proxy did not begin as it should; said once."""
        if not self._warned:
            self._warned = True
            why = f"proxy_protocol is on, and a connection of trusted_proxies is not as it says: {problem}"
            logger.warning("connection refused", extra={"action": "proxy_protocol", "why": why})

    async def _run(self) -> None:
        is_short = False
        with self._sock:
            while True:
                try:
                    accepted, peer = await self.server.loop.sock_accept(self._sock)
                except ConnectionAbortedError:  # gone before we looked
                    continue
                except OSError as problem:
                    if not is_short:
                        why = problem.strerror or type(problem).__name__
                        logger.error("no connection is taken", extra={"action": "http", "why": why})
                    is_short = True
                    await asyncio.sleep(RETRY)
                    continue
                is_short = False
                Arriving(self, accepted, str(peer[0]) if isinstance(peer, tuple) else "")


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
        """The server stops."""
        self._task.cancel()

    def expire(self) -> None:
        """The client has had its time."""
        self._task.cancel()

    def abort(self) -> None:
        """The connection ends at once."""
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
