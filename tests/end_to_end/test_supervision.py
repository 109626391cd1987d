"""The files under docker/ and systemd/ do what they say, as far as this machine has the programs."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bridge.sockets.server.binding import BACKLOG
from tests.end_to_end.laravel import ROOT, Laravel
from tests.end_to_end.processes import environment, listens, running, wait_until
from tests.end_to_end.stores import Store
from tests.end_to_end.wire import wire_client


def replaced(text: str, changes: dict[str, str]) -> str:
    """Every key is in the text and has given way to its value."""
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in the file any more"
        text = text.replace(old, new)
    return text


class Supervisor:
    """supervisord with the program file of docker/, its paths those of this machine."""

    def __init__(self, configuration: Path) -> None:
        self._configuration = configuration

    def ctl(self, *arguments: str) -> str:
        command = ["supervisorctl", "-c", str(self._configuration), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=180).stdout

    def pid(self) -> int:
        """The running program's process id; 0 when it is in any other state."""
        found = re.search(r"RUNNING\s+pid (\d+)", self.ctl("status", "bridge"))
        return int(found[1]) if found else 0


def answers(port: int) -> bool:
    """Whether bridge itself does, and not only the kernel for it."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/up", timeout=60).is_success
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def supervised(app: Laravel, folder: Path, *, startsecs: int = 3) -> Iterator[Supervisor]:
    """`startsecs`: a machine that is slow takes longer than the file's until a start has failed."""
    (folder / "log").mkdir()
    keeper = Path(tempfile.mkdtemp()) / "listen.sock"  # a Unix socket's path must be short
    program = replaced(
        (ROOT / "docker/supervisor.conf").read_text(),
        {
            "/opt/bridge/bin/bridge": f"{sys.executable} -m bridge",
            "--app": f"--host 127.0.0.1 --port {app.port} --app",
            "/var/www/app/storage/framework/bridge-listen.sock": str(keeper),
            "/var/www/app": str(app.path),
            "user=www-data\n": "",
            "environment=": f"environment=PYTHONPATH={ROOT},",
            "/var/log/supervisor": str(folder / "log"),
            "startsecs=3": f"startsecs={startsecs}",
        },
    )
    configuration = folder / "supervisord.conf"
    configuration.write_text(
        f"[supervisord]\nlogfile={folder}/supervisord.log\npidfile={folder}/supervisord.pid\n"
        f"[unix_http_server]\nfile={folder}/supervisor.sock\n"
        f"[supervisorctl]\nserverurl=unix://{folder}/supervisor.sock\n"
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n" + program
    )
    command = ["supervisord", "--nodaemon", "-c", str(configuration)]
    supervisor = Supervisor(configuration)
    with running(command, cwd=folder, log=folder / "log/supervisord.txt", env=environment()) as process:
        yield supervisor
        supervisor.ctl("shutdown")
        process.wait(timeout=70)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_supervisor_starts_bridge_again_after_a_crash_and_stops_it_cleanly(
    app: Laravel, store: Store, tmp_path: Path, tag: str
) -> None:
    folder = tmp_path / "supervisor"
    folder.mkdir()
    with supervised(app, folder) as supervisor:
        first = wait_until("supervisor says RUNNING", supervisor.pid)
        wait_until("bridge listens", lambda: listens(app.port))
        os.kill(first, signal.SIGKILL)
        assert listens(app.port)
        wait_until("another bridge runs", lambda: supervisor.pid() not in {0, first})
        wait_until("it answers", lambda: answers(app.port))
        with wire_client(app.port, "lines") as client:
            app.dispatch("line", tag=tag)
            wait_until("it delivers", client.events)
            assert "bridge: stopped" in supervisor.ctl("stop", "bridge")
            client.join()
        assert "STOPPED" in supervisor.ctl("status", "bridge")
        assert listens(app.port), "bridge-listen keeps the port"
        supervisor.ctl("stop", "bridge-listen")
        assert not listens(app.port)
        told = (folder / "supervisord.log").read_text()
    assert "stopped: bridge (exit status 0)" in told


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("cause", ["a mistake", "a taken port"])
def test_supervisor_tries_again_until_the_cause_of_a_failed_start_is_gone(
    app: Laravel, store: Store, tmp_path: Path, cause: str
) -> None:
    folder = tmp_path / "supervisor"
    folder.mkdir()
    mistake, code = app.path / "bridge.toml", 78
    with contextlib.ExitStack() as stack:
        if cause == "a mistake":
            mistake.write_text("zzz = 1")
        else:
            code = 69
            stack.enter_context(socket.create_server(("127.0.0.1", app.port)))
        with supervised(app, folder, startsecs=20) as supervisor:
            log = folder / "log/supervisord.txt"  # as its own log, and there from the start
            ended = f"exit status {code}; not expected"
            wait_until("it has been tried more often than thrice", lambda: log.read_text().count(ended) > 3)
            assert "FATAL" not in log.read_text()
            stack.close()
            mistake.write_text("")
            wait_until("it runs", supervisor.pid)
            wait_until("it answers", lambda: answers(app.port))


UNITS = sorted((ROOT / "systemd").glob("*.service"))


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.stem)
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path, file: Path) -> None:
    unit = tmp_path / file.name
    unit.write_text(replaced(file.read_text(), {"/opt/bridge/bin/bridge": sys.executable}))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["bridge", "bridge-broadcasts"])
def test_systemd_keeps_the_port_open_with_the_socket_that_belongs_to_the_unit(
    tmp_path: Path, name: str
) -> None:
    shutil.copy(ROOT / "systemd/bridge.socket", tmp_path / f"{name}.socket")
    text = (ROOT / f"systemd/{name}.service").read_text()
    (tmp_path / f"{name}.service").write_text(replaced(text, {"/opt/bridge/bin/bridge": sys.executable}))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.iterdir())],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    unit = settings_of(ROOT / f"systemd/{name}.service")
    assert f"{name}.socket" in dict(unit)["Wants"].split()
    assert f"{name}.socket" in dict(unit)["After"].split()
    pause = re.fullmatch(r"(\d+)ms", dict(unit)["RestartSec"])
    assert pause is not None
    assert int(pause[1]) <= 500  # bridge must listen within the second after which a browser tries once
    socket_unit = dict(settings_of(ROOT / "systemd/bridge.socket"))
    assert socket_unit["Backlog"] == str(BACKLOG)
    assert socket_unit["ListenStream"] == "6001"
    assert "Accept" not in socket_unit


# What jobs of real apps do; each is killed with SIGSYS by a filter that is too narrow and kills.
JOB = """
file_put_contents("$argv[1]/a", "x");
echo @rename("$argv[1]/a", "$argv[2]/a") ? "renamed " : "not renamed ", is_file("$argv[2]/a") ? "there " : "";
@chmod("$argv[2]/a", 0640);
@chown("$argv[2]/a", 65534);
@pcntl_setpriority(5);
file_put_contents("$argv[1]/b", "old");
exec("sed -i s/old/new/ $argv[1]/b", $out, $sed);
exec("nice -n 5 true", $out, $nice);
exec("ulimit -c 0; true", $out, $limit);
echo file_get_contents("$argv[1]/b"), " $sed $nice $limit done";
"""


def settings_of(unit: Path) -> list[tuple[str, str]]:
    lines = (line.strip() for line in unit.read_text().splitlines())
    return [(name, value) for name, is_set, value in (line.partition("=") for line in lines) if is_set]


def allowed_calls(unit: Path) -> tuple[set[str], str]:
    """The system calls that the unit lets through, and what becomes of the others."""
    found: set[str] = set()
    for name, value in settings_of(unit):
        if name == "SystemCallFilter":
            assert not value.startswith("~"), "what is taken away again would have to be known here"
            found |= calls_of(value)
    return found, dict(settings_of(unit)).get("SystemCallErrorNumber", "SIGSYS")


def calls_of(group: str) -> set[str]:
    command = ["systemd-analyze", "syscall-filter", "--no-pager", group]
    lines = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True
    ).stdout.splitlines()
    names = {line.strip() for line in lines if line.startswith("    ") and not line.strip().startswith("#")}
    inner = {name for name in names if name.startswith("@")}
    return (names - inner).union(*(calls_of(name) for name in inner))


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.stem)
def test_a_job_of_the_app_survives_the_filter_of_the_unit(file: Path, tmp_path: Path) -> None:
    calls, otherwise = allowed_calls(file)
    assert len(calls) > 250
    assert otherwise == "EPERM"
    (tmp_path / "job.php").write_text(f"<?php {JOB}")
    elsewhere = tempfile.mkdtemp(dir="/dev/shm")  # another file system
    command = ["php", str(tmp_path / "job.php"), str(tmp_path), elsewhere]
    script = Path(__file__).with_name("seccomp.py")
    try:
        done = subprocess.run(
            [sys.executable, str(script), *command],
            input="\n".join(sorted(calls)), capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert (done.returncode, done.stdout.replace("not renamed", "renamed")) == (
            0, "renamed there new 0 0 0 done",
        ), done.stderr  # fmt: skip
    finally:
        shutil.rmtree(elsewhere)


def test_jobs_write_what_the_web_server_can_read_where_it_can_read_it() -> None:
    unit = dict(settings_of(ROOT / "systemd/bridge.service"))
    assert unit["UMask"] == "0022"
    assert unit["ProtectSystem"] == "full"
    assert not {"PrivateTmp", "ProtectHome", "RestrictNamespaces", "RestrictSUIDSGID"} & unit.keys()
    for file in UNITS:
        found = dict(settings_of(file))
        assert found["RestartPreventExitStatus"] == "2 78"
        assert found["StartLimitIntervalSec"] == "0", "a taken port, 69, is tried again for ever"
