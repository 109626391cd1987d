"""The files under docker/ and systemd/ do what they say, as far as this machine has the programs."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@contextlib.contextmanager
def supervised(app: Laravel, folder: Path) -> Iterator[Supervisor]:
    (folder / "log").mkdir()
    bridge = f"{sys.executable} -m bridge serve --host 127.0.0.1 --port {app.port}"
    program = replaced(
        (ROOT / "docker/supervisor.conf").read_text(),
        {
            "/opt/bridge/bin/bridge serve": bridge,
            "/var/www/app": str(app.path),
            "user=www-data": f"environment=PYTHONPATH={ROOT}",
            "/var/log/supervisor": str(folder / "log"),
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
        wait_until("another bridge runs", lambda: supervisor.pid() not in {0, first})
        wait_until("it listens", lambda: listens(app.port))
        with wire_client(app.port, "lines") as client:
            app.dispatch("line", tag=tag)
            wait_until("it delivers", client.events)
            assert "bridge: stopped" in supervisor.ctl("stop", "bridge")
            client.join()
        assert "STOPPED" in supervisor.ctl("status", "bridge")
        assert not listens(app.port)
        told = (folder / "supervisord.log").read_text()
    assert "stopped: bridge (exit status 0)" in told


def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "bridge.service"
    text = (ROOT / "systemd/bridge.service").read_text()
    unit.write_text(replaced(text, {"/opt/bridge/bin/bridge": sys.executable}))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
