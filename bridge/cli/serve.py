"""`bridge serve`: the worker and the server, or their shadow."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from bridge.cli.arguments import Commands, add_app
from bridge.cli.live import live_line
from bridge.cli.logs import start_logging
from bridge.errors import UsageError
from bridge.settings.table import SETTINGS

if TYPE_CHECKING:
    from bridge.settings import Settings

# Settings that have a flag of their own, named as those of `queue:work`.
WORKER = (
    "other_jobs", "workers", "tries", "backoff", "timeout", "memory", "sleep", "rest", "name", "force",
    "once", "stop_when_empty", "max_jobs", "max_time",
)  # fmt: skip
SHADOW = ("shadow", "shadow_to", "shadow_show_data")


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "serve",
        help="the worker and the Pusher server, until SIGTERM",
        description="Takes jobs off the app's queue, delivers its broadcasts, serves Echo; until SIGTERM.",
    )
    add_app(parser)
    parser.add_argument("--host", help="address to listen on (0.0.0.0)")
    parser.add_argument("--port", help="port for WebSocket and HTTP (6001)")
    parser.add_argument("--queue", metavar="NAMES", help="queues, first in priority first: high,default")
    for title, names in (("as queue:work", WORKER), ("beside the present worker and server", SHADOW)):
        group = parser.add_argument_group(title)
        for name in names:
            [setting] = (row for row in SETTINGS if row.name == name)
            if setting.default is False:
                group.add_argument(setting.flag, action="store_true", default=None, help=setting.help)
            else:
                group.add_argument(setting.flag, metavar="VALUE", help=setting.help)
    parser.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    """Until SIGTERM."""
    from bridge.daemon import Daemon  # the other commands start faster without the server
    from bridge.settings import load_settings

    settings = load_settings(vars(given), os.environ, given.app, given.config)
    start_logging(settings.log_level, settings.log_format)
    if settings.shadow:
        return _shadow(settings)
    if settings.shadow_to or settings.shadow_show_data:
        raise UsageError("--shadow-to and --shadow-show-data need --shadow")
    live = live_line(sys.stderr, os.environ) if settings.log_format == "text" else None
    try:
        return Daemon(
            settings,
            announce=_announce,
            reread=lambda: load_settings(vars(given), os.environ, given.app, given.config),
            show=live.show if live else None,
        ).run()
    finally:
        if live:
            live.end()


def _shadow(settings: Settings) -> int:
    from bridge.shadow import Shadow

    to, show_data = settings.shadow_to, settings.shadow_show_data
    return Shadow(settings=settings, announce=_announce, to=to, show_data=show_data).run()


def _announce(address: str) -> None:
    print(f"listening on {address}", flush=True)
