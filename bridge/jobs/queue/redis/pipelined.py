"""A connection to Redis on which a command is sent now and its answer read later."""

from __future__ import annotations

from typing import Any

import redis
from redis.exceptions import ConnectionError, RedisError


class PipelinedConnection:
    """One connection of a client's pool, for one thread. Every call may raise RedisError.

    It goes past most of what the client does around a command, which takes longer than the command."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._connection: Any = None

    def send(self, *command: bytes | str | int) -> None:
        """Sends the command; `receive` is to be called before the next."""
        if self._connection is None:
            self._connection = self._pool.get_connection()
        elif self._is_stale():
            self._connection.disconnect()  # connects again when it sends
        self._connection.send_command(*command)

    def receive(self) -> Any:
        """What Redis answered. ConnectionError where the connection was closed since `send`."""
        if self._connection is None:
            raise ConnectionError("the connection was closed before the answer was read")
        return self._connection.read_response()

    def close(self) -> None:
        """Closes the connection; a later command opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._pool.release(connection)

    def _is_stale(self) -> bool:
        """Whether the server has closed it, or an answer was never read."""
        try:
            return bool(self._connection.can_read())
        except RedisError:
            return True
