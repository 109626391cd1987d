"""The table of checks of `bridge doctor`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

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
from bridge.doctor.round import Check, go_through
from bridge.doctor.subject import ExaminedApp, Finding

CHECKS: Mapping[str, Check] = {
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


def examine(subject: ExaminedApp, checks: Collection[str] = CHECKS) -> Iterator[Finding]:
    """Runs the checks of these names, and returns what they find, in the table's order."""
    yield from go_through({name: check for name, check in CHECKS.items() if name in checks}, subject)
