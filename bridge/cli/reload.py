"""`bridge reload`: asks a bridge that runs to reload (SIGUSR2), and waits until it has.

What happens then is in `serve/parent.py` if it has several processes, else in `serve/reload.py`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from bridge.cli.arguments import Commands, add_app
from bridge.errors import ServiceUnavailable, UsageError
from bridge.serve.running import Running, read
from bridge.settings.load import Settings, load_settings
from bridge.settings.state import state_file

LOOK = 0.1  # seconds between two looks at what has become of it


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "reload",
        help="replaces the processes of a bridge that runs, with no client refused",
        description="Finds the `bridge serve` of this app, has it start new processes beside the old ones "
        "(see --processes) and end the old ones, and waits until that is done. A bridge of one process reads "
        "apps, webhooks, certificate and the app's code anew. Ends with 0 when all of it is done, with 69 "
        "where no bridge runs, with 78 where the new configuration is wrong, else with 1; then the old "
        "processes go on.",
    )
    add_app(parser)
    parser.add_argument("--port", help="port of the bridge that is meant, where several serve the app")
    parser.add_argument("--wait", type=float, default=300.0, metavar="SECONDS", help="how long to wait (300)")
    parser.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    """The exit code of the reload. Raises ServiceUnavailable where no bridge runs, or it takes too long."""
    settings = load_settings({"port": given.port}, os.environ, given.app, given.config)
    path = _found(settings, given_port=given.port is not None)
    before = read(path)
    if before is None or not before.is_alive:
        raise ServiceUnavailable(f"no bridge serves {settings.laravel.path}: start bridge serve")
    os.kill(before.pid, signal.SIGUSR2)
    after = _over(path, before, time.monotonic() + given.wait)
    print(f"bridge: {after.outcome}", file=sys.stderr if after.code else sys.stdout)
    return after.code


def _found(settings: Settings, *, given_port: bool) -> Path:
    """The file of the bridge that is meant. Raises UsageError where it cannot be told."""
    own = state_file(settings, f"serving-{settings.port}")
    pattern = state_file(settings, "serving-*")
    running = [path for path in sorted(own.parent.glob(pattern.name)) if _is_alive(path)]
    if own in running or given_port or not running:
        return own
    if len(running) > 1:
        ports = ", ".join(path.name.split("serving-")[1].split("-")[0].split(".")[0] for path in running)
        raise UsageError(f"several bridges serve this app, on {ports}: say which one with --port")
    return running[0]


def _is_alive(path: Path) -> bool:
    known = read(path)
    return known is not None and known.is_alive


def _over(path: Path, before: Running, deadline: float) -> Running:
    """What became of our reload; of one that was under way before, what it began with may be old."""
    ours = before.reloads + (2 if before.is_reloading else 1)
    while time.monotonic() < deadline:
        time.sleep(LOOK)
        now = read(path)
        if now is not None and now.reloads >= ours and not now.is_reloading:
            return now
        if not before.is_alive:
            raise ServiceUnavailable("the bridge has ended: see its log")
    raise ServiceUnavailable("the reload takes longer than --wait: see bridge's log")
