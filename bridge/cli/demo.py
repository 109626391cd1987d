"""`bridge demo`: the main job on a queue of its own."""

from __future__ import annotations

import argparse

from bridge.cli.arguments import Commands
from bridge.cli.logs import start_logging


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "demo",
        help="the main job on an embedded SQLite queue with sample events",
        description="Needs no app: a queue in a temporary folder, a sample event every second, and a page to "
        "see them arrive, on this machine only; until Ctrl-C.",
    )
    parser.add_argument("--port", help="port of the page (6001)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    """Until Ctrl-C."""
    from bridge.demo import run as run_demo

    start_logging("warning")
    return run_demo(port=given.port, browser=not given.no_browser)
