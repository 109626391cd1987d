"""`bridge init`: a bridge.toml from what the app has."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bridge.cli.arguments import Commands
from bridge.errors import ConfigurationError, UsageError


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "init",
        help="writes a bridge.toml from config/websockets.php or config/reverb.php",
        description="Writes bridge.toml into the app's folder: what laravel-websockets or Reverb were told, "
        "and where nothing was told the defaults in comments. Secrets stay in .env.",
    )
    parser.add_argument("--app", metavar="DIR", help="the Laravel app (BRIDGE_APP, else this folder)")
    parser.add_argument("--force", action="store_true", help="write over a bridge.toml that is there")
    parser.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    """0 once the file is there; what remains to be done is said."""
    from bridge.laravel.application import load
    from bridge.settings import draft
    from bridge.settings.load import load_settings

    laravel = load(Path(given.app or os.environ.get("BRIDGE_APP") or "."), os.environ)
    file = laravel.path / "bridge.toml"
    if file.exists() and not given.force:
        raise UsageError(f"{file} is there already: take it away, or use --force")
    made = draft.draft(laravel)
    try:
        file.write_text(draft.text(made), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written, {error.strerror}: see its owner") from None
    print(f"written: {file}" + "".join(f"\n  from {source}" for source in made.sources))
    for line in made.left:
        print(f"  not carried over: {line}")
    try:
        settings = load_settings({}, os.environ, laravel.path, file)
        settings.apps()
        settings.queue_connection()
    except ConfigurationError as problem:
        print(f"bridge: still to do: {problem}", file=sys.stderr)
    print("next: bridge doctor, then bridge serve")
    return 0
