"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TypeAlias

from bridge.settings.table import SETTINGS

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # where a command adds itself

# Settings that have a flag of their own, named as those of `queue:work`.
WORKER = (
    "other_jobs", "workers", "tries", "backoff", "timeout", "memory", "sleep", "rest", "name", "force",
    "once", "stop_when_empty", "max_jobs", "max_time",
)  # fmt: skip


def add_app(parser: argparse.ArgumentParser) -> None:
    """Adds `--app` and `--config`."""
    parser.add_argument("--app", metavar="DIR", help="the Laravel app (BRIDGE_APP, else this folder)")
    parser.add_argument("--config", metavar="FILE", help="bridge.toml (BRIDGE_CONFIG)")


def add_laravel(parser: argparse.ArgumentParser) -> None:
    """Adds `--laravel`."""
    parser.add_argument("--laravel", metavar="VERSION", help="Laravel's version, where it cannot be read")


def add_serving(parser: argparse.ArgumentParser) -> None:
    """Adds where `bridge serve` listens, and how it works on which queues."""
    parser.add_argument("--host", help="address to listen on (0.0.0.0)")
    parser.add_argument("--port", help="port for WebSocket and HTTP (6001)")
    parser.add_argument("--queue", metavar="NAMES", help="queues, first in priority first: high,default")
    parser.add_argument("--processes", metavar="N", help="processes that serve clients (1)")
    add_settings(parser, "as queue:work", WORKER)


def add_settings(parser: argparse.ArgumentParser, title: str, names: Sequence[str]) -> None:
    """Adds the flags of these settings, as a group of their own."""
    group = parser.add_argument_group(title)
    for name in names:
        [setting] = (row for row in SETTINGS if row.name == name)
        if setting.default is False:
            group.add_argument(setting.flag, action="store_true", default=None, help=setting.help)
        else:
            group.add_argument(setting.flag, metavar="VALUE", help=setting.help)
