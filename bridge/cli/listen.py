"""`bridge listen`: keeps the port open while `bridge serve` restarts, where no systemd does."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
from types import FrameType

from bridge.cli.arguments import Commands, add_app
from bridge.errors import ConfigurationError
from bridge.settings.listening import ListenAddress, listen_address
from bridge.sockets.server.binding import Listening, bind, keep, keeper_at


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "listen",
        help="keeps the port open while bridge serve restarts, where no systemd does",
        description="Binds the address and gives it to every `bridge serve` that starts with the same "
        "listen_from. What connects while none runs waits. Takes no connection itself; until SIGTERM.",
    )
    add_app(parser)
    parser.add_argument("--host", help="address to listen on (0.0.0.0)")
    parser.add_argument("--port", help="port for WebSocket and HTTP (6001)")
    parser.add_argument(
        "--listen-from", metavar="PATH", help="Unix socket to give it by (BRIDGE_LISTEN_FROM)"
    )
    parser.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    """Until SIGTERM. Raises as `bind` and `keeper_at` do."""
    address = _address(given)
    if address.listen_from is None:
        raise ConfigurationError(
            "listen_from",
            "is not set",
            remedy="name a Unix socket that bridge serve may open too, such as"
            " /var/www/app/storage/framework/bridge-listen.sock",
        )
    with contextlib.suppress(_Ended), contextlib.ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)
        sock = stack.enter_context(bind(address.host, address.port))
        keeper = stack.enter_context(keeper_at(address.listen_from))
        print(f"keeping {Listening([sock]).address()} at {address.listen_from}", flush=True)
        keep(sock, keeper)
    return 0


class _Ended(Exception):
    """SIGTERM or SIGINT."""


def _end(number: int, frame: FrameType | None) -> None:
    raise _Ended


def _address(given: argparse.Namespace) -> ListenAddress:
    address = listen_address(vars(given), os.environ, given.app, given.config)
    if address is None:
        from bridge.settings.load import load_settings

        settings = load_settings(vars(given), os.environ, given.app, given.config)
        address = ListenAddress(settings.host, settings.port, settings.listen_from)
    return address
