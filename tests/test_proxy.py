"""The proxy does to connections what it says, and nothing to the others."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from tests.proxy import Proxy, proxy

LIMIT = 60.0  # seconds for what comes
RESET = b"reset"
NEVER = 0.3  # seconds in which what must not come does not


@pytest.fixture
def between() -> Iterator[Proxy]:
    """Before a server that says everything back, but resets the connection where it is told to."""
    listening = socket.create_server(("127.0.0.1", 0))

    def echo(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(1 << 16):
                if data == RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                connection.sendall(data)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=echo, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with proxy(listening.getsockname()[1]) as made:
        yield made
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(LIMIT)


@contextlib.contextmanager
def connected(between: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", between.port), timeout=LIMIT) as connection:
        assert said_back(connection, b"hello") == b"hello"
        yield connection


def said_back(connection: socket.socket, text: bytes) -> bytes:
    connection.sendall(text)
    return read(connection, len(text))


def read(connection: socket.socket, number: int) -> bytes:
    found = b""
    while len(found) < number and (data := connection.recv(number - len(found))):
        found += data
    return found


def is_silent(connection: socket.socket) -> bool:
    """Nothing comes, and no end either."""
    connection.settimeout(NEVER)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(LIMIT)
    return False


def test_what_is_said_comes_through_whole_both_ways(between: Proxy) -> None:
    text = bytes(range(256)) * 4096
    with connected(between) as connection:
        threading.Thread(target=connection.sendall, args=(text,), daemon=True).start()
        assert read(connection, len(text)) == text


def test_an_end_comes_through(between: Proxy) -> None:
    with connected(between) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_a_reset_by_the_server_comes_through(between: Proxy) -> None:
    with connected(between) as connection:
        connection.sendall(RESET)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_cut_connection_ends_and_a_new_one_is_whole(between: Proxy) -> None:
    with connected(between) as connection:
        between.cut()
        assert connection.recv(1) == b""
    with connected(between):
        pass


def test_a_connection_is_reset(between: Proxy) -> None:
    with connected(between) as connection:
        between.reset()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_silenced_connection_neither_passes_anything_nor_ends_and_a_new_one_is_whole(
    between: Proxy,
) -> None:
    with connected(between) as connection:
        between.silence()
        connection.sendall(b"anybody?")
        assert is_silent(connection)
        with connected(between):
            pass
        assert is_silent(connection)


def test_a_reply_is_lost_after_the_server_has_heard_the_request(between: Proxy) -> None:
    with connected(between) as connection:
        between.lose_reply()
        connection.sendall(b"do it")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with connected(between):
        pass


def test_what_is_stalled_comes_later_and_whole(between: Proxy) -> None:
    with connected(between) as connection:
        between.stall()
        connection.sendall(b"later")
        assert is_silent(connection)
        between.resume()
        assert read(connection, 5) == b"later"


def test_a_slow_connection_takes_its_time(between: Proxy) -> None:
    with connected(between) as connection:
        between.slow(10_000)
        began = time.monotonic()
        assert said_back(connection, b"x" * 5_000) == b"x" * 5_000
        assert time.monotonic() - began > 0.35  # the last part may come at once
        between.slow(0)
        assert said_back(connection, b"y" * 5_000) == b"y" * 5_000


def test_where_it_refuses_nobody_listens_until_it_accepts_again_on_the_same_port(between: Proxy) -> None:
    with connected(between) as connection:
        between.refuse()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", between.port), timeout=LIMIT).close()
    between.accept()
    with connected(between):
        pass


def test_it_may_be_led_to_another_server(between: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        between.server = other.getsockname()[1]
        with socket.create_connection(("127.0.0.1", between.port), timeout=LIMIT) as connection:
            accepted, _ = other.accept()
            with accepted:
                accepted.sendall(b"another")
                assert read(connection, 7) == b"another"


def test_where_no_server_is_the_connection_ends(between: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        between.server = gone.getsockname()[1]
    with (
        socket.create_connection(("127.0.0.1", between.port), timeout=LIMIT) as connection,
        contextlib.suppress(ConnectionResetError),
    ):
        assert connection.recv(1) == b""
