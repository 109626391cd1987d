"""`bridge serve`: the worker and the server, or their shadow."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.cli.arguments import Commands, add_app, add_serving, add_settings
from bridge.cli.live import LiveLine, live_line
from bridge.cli.logs import start_logging
from bridge.errors import BridgeError, UsageError
from bridge.settings.listening import listen_address
from bridge.sockets.server.binding import Listening, listen

if TYPE_CHECKING:
    from bridge.settings.load import Settings

SHADOW = ("shadow", "shadow_to", "shadow_show_data")


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "serve",
        help="the worker and the Pusher server, until SIGTERM",
        description="Runs the queue's jobs, delivers broadcasts and serves Echo, until SIGTERM.",
    )
    add_app(parser)
    add_serving(parser)
    add_settings(parser, "beside the present worker and server", SHADOW)
    parser.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    """Until SIGTERM."""
    with contextlib.ExitStack() as stack:
        return _serve(given, stack)


def _serve(given: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    """`stack` ends after everything else."""
    listening = listen_early(given)

    # From here on it takes its time.
    from bridge.settings.load import load_settings

    settings = load_settings(vars(given), os.environ, given.app, given.config)
    if listening is None:
        listening = listen(os.environ, settings.host, settings.port, settings.listen_from)
    stack.callback(listening.close)
    from bridge.cli.banner import Banner
    from bridge.serve.daemon import Daemon

    start_logging(settings.log_level, settings.log_format)
    if not settings.shadow and (settings.shadow_to or settings.shadow_show_data):
        raise UsageError("--shadow-to and --shadow-show-data need --shadow")

    def reread() -> Settings:
        return load_settings(vars(given), os.environ, given.app, given.config)

    banner = Banner(settings)
    live = live_line(sys.stderr, os.environ) if settings.log_format == "text" else None
    try:
        if settings.shadow:
            return _shadow(settings, reread, live, listening)

        def announce(address: str) -> None:
            banner.tell(address)
            _announce(address)

        show = live.show if live else None
        return Daemon(settings, announce=announce, reread=reread, show=show, listening=listening).run()
    finally:
        if live:
            live.end()


def listen_early(given: argparse.Namespace) -> Listening | None:
    """The port listens before anything heavy is read or imported.

    None where that takes the whole settings, or something is wrong: whoever reads them says what."""
    with contextlib.suppress(BridgeError):
        address = listen_address(vars(given), os.environ, given.app, given.config)
        if address is not None:
            return listen(os.environ, address.host, address.port, address.listen_from)
    return None


def _shadow(
    settings: Settings, reread: Callable[[], Settings], live: LiveLine | None, listening: Listening
) -> int:
    from bridge.serve.shadow import Shadow

    return Shadow(
        settings=settings,
        announce=_announce,
        reread=reread,
        to=settings.shadow_to,
        show_data=settings.shadow_show_data,
        show=live.say if live else None,
        listening=listening,
    ).run()


def _announce(address: str) -> None:
    # The line end in the same write: threads already log to what may be the same file.
    print(f"listening on {address}\n", end="", flush=True)
