"""TLS handshakes, which count as plain HTTP connections do: one that hangs makes room for others.

The event loop's own TLS server tells of a connection only after its handshake, so that nobody could end the
oldest of too many.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl

from bridge.sockets.server.http_protocol import HttpServer

logger = logging.getLogger(__name__)

RETRY = 0.5  # seconds until the next look when the system cannot give a connection, for want of descriptors


class TlsAcceptor:
    """Takes the connections of a listening socket; `timeout` in seconds, of a handshake."""

    def __init__(
        self, server: HttpServer, sock: socket.socket, context: ssl.SSLContext, timeout: float
    ) -> None:
        self._server = server
        self._sock = sock
        self._context = context
        self._timeout = timeout
        sock.setblocking(False)
        self._task = server.loop.create_task(self._run())

    def close(self) -> None:
        """No connection is taken any more."""
        self._task.cancel()

    async def _run(self) -> None:
        is_short = False
        with self._sock:
            while True:
                try:
                    accepted, _ = await self._server.loop.sock_accept(self._sock)
                except ConnectionAbortedError:  # gone before we looked
                    continue
                except OSError as problem:
                    if not is_short:
                        why = problem.strerror or type(problem).__name__
                        logger.error("no TLS connection is taken", extra={"action": "http", "why": why})
                    is_short = True
                    await asyncio.sleep(RETRY)
                    continue
                is_short = False
                TlsHandshake(self._server, accepted, self._context, self._timeout)


class TlsHandshake:
    """A new TCP connection, until its TLS handshake is over; then HTTP is spoken on it."""

    def __init__(
        self, server: HttpServer, accepted: socket.socket, context: ssl.SSLContext, timeout: float
    ) -> None:
        self._server = server
        self._timeout = timeout
        server.add(self)
        server.await_client(self, 2 * timeout)  # the event loop itself ends it before
        self._task = server.loop.create_task(self._run(accepted, context))
        server.tasks.add(self._task)
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

    async def _run(self, accepted: socket.socket, context: ssl.SSLContext) -> None:
        try:
            await self._server.loop.connect_accepted_socket(
                self._server.connection, accepted, ssl=context, ssl_handshake_timeout=self._timeout
            )
        except OSError:  # no TLS, none that we speak, too slow, or gone
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._server.tasks.discard(task)
        self._server.remove(self)
