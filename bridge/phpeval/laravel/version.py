"""Which Laravel wrote a payload: known from the app, or from the payload."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from bridge.errors import UsageError
from bridge.phpeval.php.runtime.values import PhpObject

Version: TypeAlias = tuple[int, int]

# Properties of the job object by the release that added them, newest first (spec: BroadcastEvent, section 2).
_MARKS: tuple[tuple[str, Version], ...] = (
    ("uniqueLockOwner", (13, 24)),
    ("debounceOwner", (13, 6)),
    ("deleteWhenMissingModels", (12, 38)),
    ("deduplicator", (12, 32)),
    ("messageGroup", (12, 28)),
    ("maxExceptions", (10, 8)),
    ("backoff", (9, 18)),
    ("afterCommit", (8, 19)),
)
OLDEST: Version = (6, 0)
NEWEST: Version = (13, 99)


def parse_version(text: str) -> Version:
    """`v11.38.2`, `11.38` or `11` → (11, 38); a bare major means its newest release."""
    match = re.match(r"\s*v?(\d+)(?:\.(\d+|x))?", text)
    if match is None:
        raise UsageError(f"{text!r} is not a Laravel version: write it like 11.38")
    minor = match[2]
    return int(match[1]), int(minor) if minor and minor != "x" else 99


def fitting_versions(command: PhpObject, document: Mapping[str, object]) -> tuple[Version, Version]:
    """The oldest and the newest release whose jobs look like this one."""
    newest = NEWEST
    for name, since in _MARKS:
        if command.has(name):
            return since, newest
        newest = _before(since)
        if since == (12, 28) and "createdAt" not in document:
            newest = (12, 10)
    return OLDEST, newest


def _before(version: Version) -> Version:
    major, minor = version
    return (major, minor - 1) if minor else (major - 1, 99)
