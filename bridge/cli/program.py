"""The program: the table of commands, and the exit code that an error ends with."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from bridge import __version__
from bridge.cli import demo, doctor, events, failed, init, resolve, serve, statistics
from bridge.errors import BridgeError, ConfigurationError, ServiceUnavailable, UsageError

COMMANDS = (serve, demo, resolve, events, doctor, init, failed, statistics)

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
        print(f"bridge: {problem}", file=sys.stderr)
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
        description="Delivers a Laravel app's queued broadcasts to its Echo clients.",
        epilog="Every setting has the form BRIDGE_NAME too; the README lists them.",
    )
    whole.add_argument("--version", action="version", version=f"bridge {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return whole
