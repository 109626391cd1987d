"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # where a command adds itself


def add_app(parser: argparse.ArgumentParser) -> None:
    """`--app` and `--config`."""
    parser.add_argument("--app", metavar="DIR", help="the Laravel app (BRIDGE_APP, else this folder)")
    parser.add_argument("--config", metavar="FILE", help="bridge.toml (BRIDGE_CONFIG)")


def add_laravel(parser: argparse.ArgumentParser) -> None:
    """`--laravel`."""
    parser.add_argument("--laravel", metavar="VERSION", help="Laravel's version, where it cannot be read")
