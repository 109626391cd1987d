"""The ladder and its rungs, built from the app and the settings."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from bridge.errors import ConfigurationError, Refused, WouldFail
from bridge.jobs.php_process.agreement import Agreement
from bridge.jobs.resolve.app_environment import EnvironmentCache
from bridge.jobs.resolve.fast_path import FastPath
from bridge.jobs.resolve.ladder import RUNGS, Ladder, LadderParts
from bridge.jobs.resolve.resolution import Resolution, Rung
from bridge.jobs.resolve.rungs.framework import FrameworkRung
from bridge.jobs.resolve.rungs.mapping import EventMapping, MappingRung
from bridge.jobs.resolve.rungs.native import NativeRung
from bridge.jobs.resolve.rungs.php import Origin, PhpPool, PhpRung
from bridge.jobs.resolve.trust import Record, Trust
from bridge.laravel.application import LaravelApp
from bridge.laravel.broadcast_handler import Connections
from bridge.laravel.cache import cache_store
from bridge.laravel.payload import Decrypt, Payload
from bridge.laravel.redis_connections import RedisConnection
from bridge.laravel.unique_locks import UniqueLocks
from bridge.phpeval.laravel.app_source import AppSource
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.serialization.unserialize import unserialize
from bridge.serve.wiring.environment import AskReport, app_report, encrypter, shared_environment
from bridge.settings.load import Settings


def build_ladder(
    laravel: LaravelApp,
    events: Mapping[str, EventMapping],
    *,
    version: Version | None = None,
    only: Collection[str] = RUNGS,
    php: Rung | None = None,
    report: AskReport | None = None,
    locks: UniqueLocks | None = None,
    trust: MakeTrust | None = None,
    check: Callable[[Record, Payload, Resolution], object] = lambda record, payload, sent: None,
    elsewhere: Mapping[str, str] = MappingProxyType({}),
    clock: Callable[[], float] = time.monotonic,
) -> Ladder:
    """The ladder for the app; nothing is connected, evaluated or started yet.

    `php` stays the caller's; the ladder's own connections end with its `close`. `report`: how the booted app
    says that it is set up, `PhpRung.report`; not asked where `only` leaves out `php`. `trust`: see
    `earned_trust`; without it native evaluation stands on its own proof. `check` gets what is to be checked.
    `elsewhere`: as `Settings.elsewhere`, where such events are left to PHP as a whole. `clock`: seconds; the
    app's files are looked at once a second.
    """
    connections = replace(broadcast_connections(laravel), elsewhere=elsewhere)
    locks = locks or unique_locks(laravel)
    source = AppSource(laravel.path)
    known = shared_environment(laravel)
    asked = report if "php" in only else None
    environments = EnvironmentCache(source, known, clock, app_report(laravel, asked))
    return Ladder(
        [  # `RUNGS` is their order
            MappingRung(events, connections, locks),
            FrameworkRung(environments.of, connections),
            NativeRung(environments.of, connections, locks),
            *([php] if php is not None else []),
        ],
        decrypter(laravel),
        parts=LadderParts(
            version=version or laravel.release,
            derives=partial(derives_from_broadcast_event, source),
            prepare=environments.prepare,
            fast_path=partial(FastPath, environment_of=environments.of, connections=connections),
            trust=None if trust is None else trust(source, lambda: environments.generation),
            check=check,
            on_close=known.records.close,
        ),
        only=only,
    )


MakeTrust = Callable[[AppSource, Callable[[], int]], Trust]


@contextlib.contextmanager
def php_rung(
    settings: Settings, *, fatal: int = 2, patience: float | None = None
) -> Iterator[PhpRung | None]:
    """The rung that asks the app's own PHP, where there is one to boot; its processes end with the block."""
    if not settings.php_binary or not (settings.laravel.path / "bootstrap/app.php").is_file():
        yield None
        return
    try:
        connection, queue = settings.queue_connection().name, settings.queue_names()[0]
    except ConfigurationError:  # `bridge resolve` needs no queue
        connection, queue = "database", "default"
    rung = PhpRung(
        settings.laravel.link,
        pool=PhpPool(php=settings.php_binary, size=settings.php_processes),
        origin=Origin(connection_name=connection, queue=queue),
        fatal=fatal,
        patience=patience,
    )
    try:
        yield rung
    finally:
        rung.close()


def agreement(laravel: LaravelApp) -> Agreement:
    """How PHP must have set up broadcasting, to answer for this reading of the app."""
    broadcasting = laravel.broadcasting()
    read = {
        "default": broadcasting.default,
        "connections": {
            name: [one.driver, one.app_id, one.key]
            for name, one in broadcasting.connections.items()
            if one.driver in ("pusher", "reverb")
        },
    }
    files = [
        ".env",
        f".env.{laravel.env.get('APP_ENV')}",
        "bootstrap/cache/config.php",
        "config/broadcasting.php",
    ]
    return Agreement(read, [laravel.link / file for file in files])


@contextlib.contextmanager
def compared_ladders(settings: Settings, version: Version | None) -> Iterator[tuple[Ladder, Ladder]]:
    """The ladder without PHP and PHP alone; their connections and processes end with the block."""
    with php_rung(settings, fatal=1) as php, contextlib.ExitStack() as stack:
        if php is None:
            raise ConfigurationError(
                "php_binary",
                "cannot be asked, so there is nothing to compare with",
                remedy="set it to PHP's program, and --app to an app with bootstrap/app.php",
            )
        native, real = (
            build_ladder(settings.laravel, event_mappings(settings), version=version, only=only, php=php)
            for only in (RUNGS[:-1], RUNGS[-1:])
        )
        stack.callback(native.close)
        stack.callback(real.close)
        yield native, real


def unique_locks(laravel: LaravelApp, redis: Callable[[str], RedisConnection] | None = None) -> UniqueLocks:
    """The locks of the app's unique events; `redis` gives connections in place of the app."""
    try:
        return UniqueLocks(cache_store(laravel, redis_connection=redis))
    except ConfigurationError as problem:
        return UniqueLocks(problem)


def broadcast_connections(laravel: LaravelApp) -> Connections:
    """Names and drivers of config/broadcasting.php."""
    broadcasting = laravel.broadcasting()
    drivers = {name: one.driver for name, one in broadcasting.connections.items()}
    return Connections(drivers=drivers, default=broadcasting.default)


def decrypter(laravel: LaravelApp) -> Decrypt:
    """Opens the command of a ShouldBeEncrypted job; without a key it refuses."""
    decrypt_text = encrypter(laravel)

    def decrypt(text: bytes) -> bytes:
        plain = unserialize(decrypt_text(text))
        if not isinstance(plain, bytes):
            raise WouldFail("the encrypted command holds no text")
        return plain

    return decrypt


def derives_from_broadcast_event(source: AppSource, class_name: str) -> bool | None:
    """Whether an app class is a BroadcastEvent with no code of its own; None if its source is not known."""
    try:
        declared = source.load(class_name)
    except Refused:
        return None
    if declared is None:
        return None
    plain = not declared.methods and not declared.traits and not declared.properties
    return plain and declared.parent == "Illuminate\\Broadcasting\\BroadcastEvent"


def event_mappings(settings: Settings) -> dict[str, EventMapping]:
    """`[events."…"]` as the mapping rung takes it."""
    return {
        name: EventMapping(channels=one.channels, name=one.name, payload=one.data)  # type: ignore[arg-type]
        for name, one in settings.events.items()
    }
