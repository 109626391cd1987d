"""The table of checks, and the round through it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from bridge.doctor import (
    broadcasting,
    bus,
    environment,
    events,
    listening,
    machine,
    pages,
    php,
    secrets,
    stores,
    watching,
)
from bridge.doctor.subject import ExaminedApp, Finding, Found, found
from bridge.errors import BridgeError

CHECKS: Mapping[str, Callable[[ExaminedApp], Found]] = {
    "environment": environment.file,
    "names": environment.names,
    "keys": environment.keys,
    "cached configuration": environment.cached,
    "release": environment.release,
    "secrets": secrets.secrets,
    "broadcasting": broadcasting.connection,
    "apps table": broadcasting.apps_table,
    "posts": broadcasting.posts,
    "routes": broadcasting.routes,
    "origins": broadcasting.origins,
    "queue": stores.queue,
    "other queues": stores.other_queues,
    "failed jobs": stores.failed,
    "versions": stores.versions,
    "retry_after": stores.retry_after,
    "clock": stores.clock,
    "redis": stores.redis_server,
    "bus": bus.bus,
    "cache": stores.cache,
    "maintenance": stores.maintenance,
    "user": machine.user,
    "php": php.program,
    "boot": php.boot,
    "port": listening.port,
    "certificate": listening.certificate,
    "files": listening.descriptors,
    "accept queue": listening.accept_queue,
    "processes": machine.processes,
    "units": machine.units,
    "alerts": watching.alerts,
    "gate": watching.gate,
    "echo": pages.echo,
    "app report": events.setup,
    "events": events.rungs,
    "mappings": events.mappings,
}
STARTUP = frozenset({"cached configuration", "secrets", "broadcasting", "user"})  # cost next to nothing
BLOCKING = frozenset({"environment"})  # with a fault here nothing else can be looked at
_SECRET_NAMES = ("KEY", "SECRET", "PASSWORD", "TOKEN", "URL", "DSN")
_SHORTEST = 4  # characters of what is worth hiding


def examine(subject: ExaminedApp, checks: Collection[str] = CHECKS) -> Iterator[Finding]:
    """The findings, check by check, each told once. No secret of the app's environment stands in them."""
    secrets = _secrets(subject)
    told: set[str] = set()
    for name, check in CHECKS.items():
        if name not in checks:
            continue
        for finding in _made(check, subject):
            if finding.what in told:
                continue
            told.add(finding.what)
            yield replace(
                finding,
                check=name,
                what=_without(secrets, finding.what),
                where=_without(secrets, finding.where),
                remedy=_without(secrets, finding.remedy),
            )
        if told and name in BLOCKING:
            return


def _made(check: Callable[[ExaminedApp], Found], subject: ExaminedApp) -> Found:
    try:
        yield from check(subject)
    except BridgeError as problem:
        yield found(problem)


def _secrets(subject: ExaminedApp) -> list[str]:
    env = {**subject.laravel.dotenv, **subject.laravel.env}
    public = {env.get(name) for name in env if name.startswith(("MIX_", "VITE_")) or name == "APP_URL"}
    texts = {
        value
        for name, value in env.items()
        if name.upper().endswith(_SECRET_NAMES) and len(value) >= _SHORTEST and value not in public
    }
    return sorted(texts, key=len, reverse=True)


def _without(secrets: list[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
