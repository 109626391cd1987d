"""A connection to Redis on which commands are sent together, now, and their answers read later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hiredis
import redis
from redis.exceptions import ConnectionError, NoScriptError, RedisError, ResponseError

from bridge.jobs.queue.redis.scripts import SCRIPTS

Command = tuple[bytes | str | int, ...]

_packed: Any = hiredis.pack_command


class Line:
    """One connection of a client's pool, for one thread. Every call may raise RedisError.

    It goes past most of what the client does around a command, which takes longer than the command."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._connection: Any = None

    def ask(self, *commands: Command) -> list[Any]:
        """The answers to these commands, in one trip. An error is raised once all are read. A Redis
        that has not seen our scripts is given them first; a connection that was cut is replaced once."""
        try:
            return self._asked(commands)
        except NoScriptError:
            self._asked([("SCRIPT", "LOAD", script.text) for script in SCRIPTS.values()])
        except ConnectionError:  # as the client's own Retry
            self.close()
        return self._asked(commands)

    def run(self, command: Command) -> Any:
        """The answer to one command, as `ask`."""
        return self.ask(command)[0]

    def send(self, *commands: Command) -> None:
        """Sends the commands; `receive` is to be called for each before the next."""
        if self._connection is None:
            self._connection = self._pool.get_connection()
        elif self._is_stale():
            self._connection.disconnect()  # connects again when it sends
        self._connection.send_packed_command([b"".join(map(_packed, commands))])

    def receive(self) -> Any:
        """What Redis answered. ConnectionError where the connection was closed since `send`."""
        if self._connection is None:
            raise ConnectionError("the connection was closed before the answer was read")
        return self._connection.read_response()

    def receive_each(self, count: int) -> list[Any]:
        """What Redis answered to so many commands; a refusal is among the answers, not raised."""
        answers: list[Any] = []
        for _ in range(count):
            try:
                answers.append(self.receive())
            except ResponseError as refusal:
                answers.append(refusal)
        return answers

    def close(self) -> None:
        """Closes the connection; a later command opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._pool.release(connection)

    def _asked(self, commands: Sequence[Command]) -> list[Any]:
        self.send(*commands)
        answers = self.receive_each(len(commands))
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
        return answers

    def _is_stale(self) -> bool:
        """Whether the server has closed it, or an answer was never read."""
        try:
            return bool(self._connection.can_read())
        except RedisError:
            return True


def script(name: str, keys: Sequence[bytes], *arguments: bytes | str | int) -> Command:
    """The command that runs one of our scripts."""
    return ("EVALSHA", SCRIPTS[name].sha1, len(keys), *keys, *arguments)
