"""`bridge serve`: the worker and the server, or their shadow."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.cli.arguments import Commands, add_app, add_serving, add_settings
from bridge.cli.live import LiveLine, live_line
from bridge.cli.logs import start_logging
from bridge.errors import BridgeError, ConfigurationError, UsageError
from bridge.serve.inheritance import PARENT_STATE, Inheritance
from bridge.settings.listening import listen_address
from bridge.sockets.server.binding import Listening, listen

if TYPE_CHECKING:
    from bridge.serve.child import Child
    from bridge.serve.notify import ServiceManager
    from bridge.serve.plan import Plan
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
    parser.add_argument("--child", help=argparse.SUPPRESS)  # its name, for whoever looks at processes
    parser.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    """Until SIGTERM."""
    with contextlib.ExitStack() as stack:
        return _serve(given, stack)


def _serve(given: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    """`stack` ends after everything else."""
    # What is imported stays: a tenth of the start went into looking whether it does.
    gc.disable()
    stack.callback(gc.enable)
    adopted = os.environ.pop(PARENT_STATE, None)
    if adopted is not None:
        return _adopted(given, adopted)
    inherited = Inheritance.of(os.environ)
    child = None if inherited is None else _as_child(inherited)
    listening = listen_early(given) if child is None else child.listening

    # From here on it takes its time.
    from bridge.settings.load import load_settings

    settings = load_settings(vars(given), os.environ, given.app, given.config)
    gc.collect()  # what reading them has left: the imports that follow take its place
    if listening is None:
        listening = listen(os.environ, settings.host, settings.port, settings.listen_from)
    stack.callback(listening.close)
    name = child.name if child else "parent" if settings.processes > 1 else ""
    start_logging(settings.log_level, settings.log_format, name)
    if not settings.shadow and (settings.shadow_to or settings.shadow_show_data):
        raise UsageError("--shadow-to and --shadow-show-data need --shadow")

    def reread() -> Settings:
        return load_settings(vars(given), os.environ, given.app, given.config)

    if child is not None:
        return _child(settings, reread, child)
    if settings.processes > 1:
        return _parent(settings, given, listening)
    from bridge.cli.banner import Banner
    from bridge.serve.daemon import Daemon
    from bridge.serve.notify import ServiceManager

    banner = Banner(settings)
    live = live_line(sys.stderr, os.environ) if settings.log_format == "text" else None
    try:
        if settings.shadow:
            return _shadow(settings, reread, live, listening)

        def announce(address: str) -> None:
            banner.show(address)
            _announce(address)

        show = live.show if live else None
        _collect_from_now_on()
        return Daemon(
            settings,
            announce=announce,
            reread=reread,
            show=show,
            listening=listening,
            manager=ServiceManager.of(os.environ),
        ).run()
    finally:
        if live:
            live.end()


def _as_child(inherited: Inheritance) -> Child:
    from bridge.serve.child import Child

    return Child(inherited)


def _child(settings: Settings, reread: Callable[[], Settings], child: Child) -> int:
    """One process of several."""
    from bridge.cli.banner import Banner
    from bridge.serve.daemon import Daemon

    banner = None if child.address is None else Banner(settings)
    announce = (lambda address: None) if banner is None else banner.show
    _collect_from_now_on()
    return Daemon(settings, announce=announce, reread=reread, listening=child.listening, child=child).run()


def _parent(settings: Settings, given: argparse.Namespace, listening: Listening) -> int:
    """Several processes. Raises ConfigurationError where they cannot meet."""
    from bridge.serve.notify import ServiceManager

    return _run_parent(plan_of(settings, listening), listening, given, ServiceManager.of(os.environ))


def _adopted(given: argparse.Namespace, state: str) -> int:
    from bridge.serve.handover import adopted_listening
    from bridge.serve.notify import ServiceManager

    plan, listening = adopted_listening(state)
    start_logging(plan.log_level, plan.log_format, "parent")
    return _run_parent(plan, listening, given, ServiceManager.of(os.environ), state)


def _run_parent(
    plan: Plan,
    listening: Listening,
    given: argparse.Namespace,
    manager: ServiceManager,
    adopted: str | None = None,
) -> int:
    from bridge.serve.parent import Parent, own_command
    from bridge.settings.load import load_settings

    def reread() -> Plan:
        return plan_of(load_settings(vars(given), os.environ, given.app, given.config), listening)

    parent = Parent(
        plan, listening, command=own_command(), reread=reread, announce=_announce, manager=manager
    )
    _collect_from_now_on()
    with contextlib.closing(listening):
        return parent.run(adopted)


def plan_of(settings: Settings, listening: Listening) -> Plan:
    """What a parent needs to know. Raises ConfigurationError where several processes cannot work."""
    from bridge.serve.plan import Plan
    from bridge.settings.state import state_file

    where = settings.origins.get("processes", "")
    if settings.bus is None:
        raise ConfigurationError(
            "processes",
            f"is {settings.processes}, and they meet over a bus, which is not set",
            where=where,
            remedy="set bus (BRIDGE_BUS) to a Redis connection of the app, such as default, or one process",
        )
    settings.redis(settings.bus)
    if settings.shadow:
        raise ConfigurationError(
            "processes", "is for serving, and a shadow only compares", where=where, remedy="set it to 1"
        )
    ends_by_itself = settings.once or settings.stop_when_empty
    file = state_file(settings, f"serving-{listening.port or 'unix'}")
    return Plan(
        processes=settings.processes,
        address=listening.address(tls=settings.certificate() is not None),
        is_kept=listening.is_kept,
        ends_by_itself=ends_by_itself,
        drain=settings.drain_seconds,
        drain_jobs=settings.drain_jobs_seconds,
        spread=settings.drain_spread,
        log_level=settings.log_level,
        log_format=settings.log_format,
        running_file=None if ends_by_itself else str(file),
    )


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

    _collect_from_now_on()
    return Shadow(
        settings=settings,
        announce=_announce,
        reread=reread,
        to=settings.shadow_to,
        show_data=settings.shadow_show_data,
        show=live.say if live else None,
        listening=listening,
    ).run()


def _collect_from_now_on() -> None:
    """What is there by now is left out: it stays, and would make each collection longer."""
    gc.freeze()
    gc.enable()


def _announce(address: str) -> None:
    # The line end in the same write: threads already log to what may be the same file.
    print(f"listening on {address}\n", end="", flush=True)
