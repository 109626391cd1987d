"""The live line of `bridge serve`: on a terminal, beneath whole log lines, and nowhere else."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pty
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from bridge.cli.live import ERASE, LiveLine, live_line
from bridge.monitoring.timeseries import Sample
from tests import services
from tests.end_to_end.bridge import COMMAND
from tests.end_to_end.processes import environment, wait_until

APP = "PUSHER_APP_ID=1\nPUSHER_APP_KEY=key\nPUSHER_APP_SECRET=secret\nBROADCAST_DRIVER=pusher\n"
POINT = Sample(
    at=0.0, connections=1, received=0, sent=1234.4, broadcasts=0, calls=0, jobs=56, failed=0, depth=7,
    median=None, slow=None,
)  # fmt: skip
TEXT = "7 waiting · 56 jobs/s · 1,234 deliveries/s · 1 connection"


def screen(written: str) -> list[str]:
    """What a terminal shows: the lines, as `\\r` and erasing leave them."""
    lines = []
    for row in written.replace("\r\n", "\n").split("\n"):
        kept = row.rpartition("\x1b[2K")[2]
        lines.append(re.sub(r"\x1b\[\d*m", "", kept).rpartition("\r")[2])
    return lines


def line(*, colour: bool = False, width: int = 200) -> tuple[LiveLine, io.StringIO]:
    terminal = io.StringIO()
    return LiveLine(terminal, colour=colour, width=lambda: width), terminal


def test_the_line_tells_depth_rates_and_connections() -> None:
    live, terminal = line()
    live.show(POINT)
    assert screen(terminal.getvalue()) == [TEXT]


def test_it_tells_anything_that_is_said_in_words() -> None:
    live, terminal = line()
    live.say(["3 same", "0 different"])
    assert screen(terminal.getvalue()) == ["3 same · 0 different"]


def test_a_new_moment_takes_the_place_of_the_old() -> None:
    live, terminal = line()
    for _ in range(3):
        live.show(POINT)
    assert screen(terminal.getvalue()) == [TEXT]


def test_log_lines_stand_whole_above_it() -> None:
    live, terminal = line()
    live.write("before\n")
    live.show(POINT)
    live.write("first\n")
    live.write("second\nand its trace\n")
    assert screen(terminal.getvalue()) == ["before", "first", "second", "and its trace", TEXT]
    live.end()
    live.write("after\n")
    assert screen(terminal.getvalue()) == ["before", "first", "second", "and its trace", "after", ""]


def test_threads_that_log_never_break_a_line() -> None:
    live, terminal = line()

    def log(name: str) -> None:
        for number in range(200):
            live.write(f"{name} {number}\n")

    threads = [threading.Thread(target=log, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for _ in range(200):
        live.show(POINT)
    for thread in threads:
        thread.join()
    *logged, last = screen(terminal.getvalue())
    assert sorted(logged) == sorted(f"{name} {number}" for name in ("one", "two") for number in range(200))
    assert last == TEXT


def test_it_is_no_wider_than_the_terminal() -> None:
    live, terminal = line(width=20)
    live.show(POINT)
    assert screen(terminal.getvalue()) == [TEXT[:19]]


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_honoured(environ: dict[str, str], coloured: bool) -> None:
    with terminal() as (read, stream):
        live = live_line(stream, {"TERM": "xterm", **environ})
        assert live is not None
        live.show(POINT)
        assert ("\x1b[2m" in os.read(read, 1000).decode()) is coloured


@pytest.mark.parametrize("term", [{"TERM": "dumb"}, {}])
def test_a_terminal_that_cannot_erase_gets_none(term: dict[str, str]) -> None:
    with terminal() as (_, stream):
        assert live_line(stream, term) is None


def test_a_file_gets_none(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        assert live_line(file, {"TERM": "xterm"}) is None


def test_the_logs_own_handlers_write_above_it() -> None:
    root = logging.getLogger()
    with terminal() as (read, stream):
        handler = logging.StreamHandler(stream)
        root.addHandler(handler)
        try:
            live = live_line(stream, {"TERM": "xterm", "NO_COLOR": "1"})
            assert live is not None
            live.show(POINT)
            logging.getLogger("bridge.test").error("told")
            live.end()
            written = b""
            while not written.endswith(f"{TEXT}{ERASE}".encode()):  # a terminal gives it in pieces
                written += os.read(read, 1000)
            assert screen(written.decode().removesuffix(ERASE)) == ["told", TEXT]
        finally:
            root.removeHandler(handler)


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """The end to read from, and a stream that is a terminal 120 columns wide."""
    read, write = pty.openpty()
    try:
        with os.fdopen(write, "w", encoding="utf-8") as stream:
            subprocess.run(["stty", "cols", "120"], stdin=stream.fileno(), check=True)
            yield read, stream
    finally:
        os.close(read)


def test_bridge_serve_shows_it_on_a_terminal_and_leaves_the_log_whole(tmp_path: Path) -> None:
    port = services.free_port()
    written = bytearray()
    with services.sqlite(tmp_path) as database:
        env = APP + "QUEUE_CONNECTION=database\nCACHE_DRIVER=file\n"
        (tmp_path / ".env").write_text(env + "".join(f"{k}={v}\n" for k, v in database.env.items()))
        read, write = pty.openpty()
        subprocess.run(["stty", "cols", "120"], stdin=write, check=True)
        command = [*COMMAND, "serve", "--app", str(tmp_path), "--host", "127.0.0.1", "--port", str(port)]
        given = environment(TERM="xterm", NO_COLOR="1")
        process = subprocess.Popen(
            command, stdin=write, stdout=write, stderr=write, env=given, start_new_session=True
        )
        os.close(write)

        def reading() -> None:
            with contextlib.suppress(OSError):  # the other side has closed
                while some := os.read(read, 4096):
                    written.extend(some)

        reader = threading.Thread(target=reading)
        reader.start()
        try:

            def shown() -> list[str]:
                assert process.poll() is None, written.decode()
                return screen(written.decode(errors="replace"))

            wait_until("the line is there", lambda: "0 connections" in shown()[-1], 60)
            wait_until("it says where", lambda: f"listening on http://127.0.0.1:{port}" in shown(), 60)
            url = f"ws://127.0.0.1:{port}/app/key?protocol=7"
            with connect(url, open_timeout=60, ping_interval=None):
                wait_until("the connection is counted", lambda: "· 1 connection" in shown()[-1], 60)
            wait_until("the queue is counted", lambda: "0 waiting · 0 jobs/s" in shown()[-1], 60)
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
            reader.join(60)
            os.close(read)
    *lines, last = screen(written.decode())
    assert last == ""
    assert not any("waiting" in text for text in lines)
    stamped = [text for text in lines if "stopping" in text]
    assert len(stamped) == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d info stopping", stamped[0])
