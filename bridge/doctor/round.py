"""A round through checks: each finding is reported once, and none shows a secret.

Here are also the checks that `bridge serve` makes when it starts. It imports this file only: all of
`bridge doctor` would take 2 MB of a process that runs for months.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

from bridge.doctor import broadcasting, environment, machine, secrets
from bridge.doctor.subject import ExaminedApp, Finding, Found, found
from bridge.errors import BridgeError

Check: TypeAlias = Callable[[ExaminedApp], Found]

AT_START: Mapping[str, Check] = {  # cost next to nothing
    "cached configuration": environment.cached,
    "secrets": secrets.secrets,
    "broadcasting": broadcasting.connection,
    "user": machine.user,
}
BLOCKING = frozenset({"environment"})  # with a fault here nothing else can be looked at
_SECRET_NAMES = ("KEY", "SECRET", "PASSWORD", "TOKEN", "URL", "DSN")
_SHORTEST = 4  # characters of what is worth hiding


def go_through(checks: Mapping[str, Check], subject: ExaminedApp) -> Iterator[Finding]:
    """Returns the findings, check by check, each once. No secret of the app's environment stands in them."""
    hidden = _secrets(subject)
    reported: set[str] = set()
    for name, check in checks.items():
        for finding in _made(check, subject):
            if finding.what in reported:
                continue
            reported.add(finding.what)
            yield replace(
                finding,
                check=name,
                what=_without(hidden, finding.what),
                where=_without(hidden, finding.where),
                remedy=_without(hidden, finding.remedy),
            )
        if reported and name in BLOCKING:
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
