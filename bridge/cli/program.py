"""The program: the table of commands, and the exit code that an error ends with."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module

from bridge import __version__
from bridge.cli.plain import plain
from bridge.errors import BridgeError, ConfigurationError, ServiceUnavailable, UsageError

COMMANDS = (
    "serve",
    "reload",
    "listen",
    "demo",
    "init",
    "doctor",
    "events",
    "resolve",
    "failed",
    "statistics",
)
"""Each is a file here, with `add(commands)`; it is imported only when it is needed."""

EXIT_CODES: tuple[tuple[type[BridgeError], int], ...] = (
    (UsageError, 2),
    (ServiceUnavailable, 69),
    (ConfigurationError, 78),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    given = parser(words[0] if words else "").parse_args(words)
    command: Callable[[argparse.Namespace], int] = given.command
    try:
        return command(given)
    except BridgeError as problem:
        print(plain(f"bridge: {problem}"), file=sys.stderr)
        return next((code for kind, code in EXIT_CODES if isinstance(problem, kind)), 1)
    except BrokenPipeError:  # `bridge resolve … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def parser(first: str = "") -> argparse.ArgumentParser:
    """The command line. It begins with the word `first`: where that is a command, the others are left out."""
    whole = argparse.ArgumentParser(
        prog="bridge",
        description="Runs the jobs of a Laravel app's queue and delivers its broadcasts to Echo: queue "
        "worker and Pusher server in one.",
        epilog="Begin with `bridge doctor --app DIR`, then `bridge serve --app DIR`; `bridge COMMAND --help` "
        "has more. Every setting has the form BRIDGE_NAME too; docs/settings.md lists them.",
        formatter_class=partial(argparse.HelpFormatter, max_help_position=20),
    )
    whole.add_argument("--version", action="version", version=f"bridge {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)
    if first == "--version":  # without all of them
        return whole
    for command in [first] if first in COMMANDS else COMMANDS:
        import_module(f"bridge.cli.{command}").add(commands)
    return whole
