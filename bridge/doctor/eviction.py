"""Eviction: what a Redis may throw away when its memory is full, be it that of the queue or of the bus."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.doctor.subject import Finding, Found


def eviction(info: Mapping[str, object], where: str, *, user: str, lasting: str, expiring: str) -> Found:
    """Checks Redis' policy, by its INFO memory.

    user      whose Redis it is, such as `the bus`
    lasting   what `allkeys-…` may throw away
    expiring  what `volatile-…` may throw away, and what follows from that
    """
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if not info.get("maxmemory") or policy == "noeviction":
        return
    takes_all = policy.startswith("allkeys")
    yield Finding(
        what=f"when its memory is full, Redis (maxmemory-policy {policy}) may throw away "
        + (lasting if takes_all else expiring),
        where=where,
        remedy=f"set maxmemory-policy to noeviction, or give {user} a Redis of its own",
        hint=not takes_all,
    )


def unseen_eviction(where: str) -> Finding:
    return Finding(
        what="whether Redis throws data away when its memory is full cannot be seen: this user may not INFO",
        where=where,
        remedy="give it +info, or look yourself: CONFIG GET maxmemory-policy must say noeviction",
        hint=True,
    )
