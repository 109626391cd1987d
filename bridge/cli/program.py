"""The program: the table of commands, and the exit code that an error ends with."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

from bridge import __version__
from bridge.cli import demo, doctor, events, failed, init, resolve, serve, statistics
from bridge.cli.plain import plain
from bridge.errors import BridgeError, ConfigurationError, ServiceUnavailable, UsageError

COMMANDS = (serve, demo, init, doctor, events, resolve, failed, statistics)

EXIT_CODES: tuple[tuple[type[BridgeError], int], ...] = (
    (UsageError, 2),
    (ServiceUnavailable, 69),
    (ConfigurationError, 78),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code."""
    given = parser().parse_args(arguments)
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


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
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
    for command in COMMANDS:
        command.add(commands)
    return whole
