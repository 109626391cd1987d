"""Listening sockets from elsewhere: what systemd passes, and what `bridge listen` keeps."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.sockets.server import binding
from bridge.sockets.server.binding import Listening, bind, inherited, keep, keeper_at, taken

TELL = """
import os, socket, sys
from bridge.errors import BridgeError
from bridge.sockets.server.binding import inherited
environ = dict(os.environ)
if "LISTEN_PID" not in environ:
    environ["LISTEN_PID"] = str(os.getpid())
try:
    found = inherited(environ)
except BridgeError as problem:
    print(problem)
else:
    print([sock.getsockname() for sock in found], [os.get_inheritable(sock.fileno()) for sock in found],
          sorted(name for name in environ if name.startswith("LISTEN")))
"""


def told(descriptors: Sequence[int], **environ: str) -> str:
    """What a process finds that is started with these descriptors, the first of them as 3."""
    moved = "import os, sys\nfor at, fd in enumerate(map(int, sys.argv[1:]), 3): os.dup2(os.dup(fd), at)\n"
    # from above, so that none is overwritten before it is moved
    high = [os.dup(fd) for fd in descriptors]
    try:
        done = subprocess.run(
            [sys.executable, "-c", moved + TELL, *map(str, high)],
            pass_fds=high, capture_output=True, text=True, timeout=60, check=True,
            env={**os.environ, **environ},
        )  # fmt: skip
    finally:
        for fd in high:
            os.close(fd)
    return done.stdout.strip()


def test_sockets_of_the_service_manager_are_taken_and_passed_to_nobody() -> None:
    with closing(bind("127.0.0.1", 0)) as one, closing(bind("127.0.0.1", 0)) as other:
        names = [one.getsockname(), other.getsockname()]
        sockets = [one.fileno(), other.fileno()]
        assert told(sockets, LISTEN_FDS="2", LISTEN_FDNAMES="a:b") == f"{names} [False, False] []"
        assert told(sockets[:1], LISTEN_FDS="1") == f"{names[:1]} [False] []"


def test_a_unix_socket_is_one_too(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "bridge.sock"))
        sock.listen()
        assert told([sock.fileno()], LISTEN_FDS="1") == f"[{str(tmp_path / 'bridge.sock')!r}] [False] []"
        assert Listening([sock]).address() == f"http+unix://{tmp_path}/bridge.sock"
        assert Listening([sock]).port == 0


def test_what_is_meant_for_another_process_is_left_alone() -> None:
    assert inherited({}) == []
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid() + 1)}
    assert inherited(environ) == []
    assert environ["LISTEN_FDS"] == "1"


@pytest.mark.parametrize("count", ["2", "99", "-1", "x", "", "٣", "9" * 5_000])
def test_a_wrong_promise_is_a_configuration_error(count: str) -> None:
    with closing(bind("127.0.0.1", 0)) as sock:
        answer = told([sock.fileno()], LISTEN_FDS=count)
        assert answer.startswith("LISTEN_FDS")
        assert "bridge.socket" in answer


def test_only_a_listening_stream_socket_will_do(tmp_path: Path) -> None:
    with socket.socket() as idle, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        file = os.open(tmp_path / "file", os.O_CREAT)
        for descriptor in (idle.fileno(), datagrams.fileno(), file):
            assert told([descriptor], LISTEN_FDS="1").startswith("LISTEN_FDS")
        os.close(file)


# bridge listen


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a keeper of a listening socket, which ends with the test run."""
    monkeypatch.setattr(binding, "KEEPER_TIMEOUT", 60.0)
    path, ready = str(tmp_path / "keeper"), threading.Event()

    def run() -> None:
        with bind("127.0.0.1", 0) as sock, keeper_at(path) as keeper:
            ready.set()
            keep(sock, keeper)

    threading.Thread(target=run, daemon=True).start()
    assert ready.wait(60)
    return path


def test_everybody_gets_the_same_socket_and_who_connects_between_waits(kept: str) -> None:
    first = taken(kept)
    address = first.getsockname()
    assert not os.get_inheritable(first.fileno())
    first.close()
    with socket.create_connection(address) as client:
        client.sendall(b"hello")
        with closing(taken(kept)) as second:
            accepted, _ = second.accept()
            with accepted:
                assert accepted.recv(5) == b"hello"


def test_the_keeper_is_for_its_own_user_only(kept: str) -> None:
    assert os.stat(kept).st_mode & 0o777 == 0o600


STRANGER = """
import os, socket, sys
keeper, sock = socket.socket(socket.AF_UNIX), socket.create_server(("127.0.0.1", 0))
keeper.bind(sys.argv[1])
if os.getuid() == 0:
    os.setuid(4711)
keeper.listen()
print("ready", flush=True)
while True:
    client, _ = keeper.accept()
    try:
        socket.send_fds(client, [b"x"], [sock.fileno()])
    except OSError:
        pass
    client.close()
"""


def test_a_socket_that_a_stranger_gives_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "KEEPER_TIMEOUT", 5.0)
    path, user = str(tmp_path / "keeper"), os.geteuid()
    with subprocess.Popen([sys.executable, "-c", STRANGER, path], stdout=subprocess.PIPE) as stranger:
        try:
            assert stranger.stdout is not None
            assert stranger.stdout.readline() == b"ready\n"
            monkeypatch.setattr(os, "geteuid", lambda: user + 1)
            with pytest.raises(ServiceUnavailable, match="not the one of this process"):
                taken(path)
        finally:
            stranger.kill()


def test_a_second_keeper_is_refused_and_a_dead_ones_file_is_replaced(kept: str, tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailable, match="one bridge listen is enough"), keeper_at(kept):
        pass
    stale = str(tmp_path / "stale")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(stale)
    with keeper_at(stale) as keeper:
        assert keeper.getsockname() == stale
    assert not os.path.exists(stale)


def test_a_file_of_somebody_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ConfigurationError, match="listen_from"), keeper_at(str(file)):
        pass
    assert file.read_text() == "mine"
    with pytest.raises(ConfigurationError), keeper_at(str(tmp_path / "no folder" / "keeper")):
        pass
    with pytest.raises(ConfigurationError, match="too long"), keeper_at("x" * 200):
        pass


def test_without_a_keeper_it_is_a_service_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "KEEPER_TIMEOUT", 0.2)
    with pytest.raises(ServiceUnavailable, match="start bridge listen"):
        taken(str(tmp_path / "nobody"))
    with pytest.raises(ServiceUnavailable, match="start bridge listen"):
        taken("x" * 200)
