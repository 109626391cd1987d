"""The errors of Redis as bridge's own."""

from __future__ import annotations

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)

from bridge.errors import ServiceUnavailable
from bridge.jobs.queue.redis.rights import is_denial
from bridge.laravel.tls import SELF_SIGNED, explain_tls_error

ELSEWHERE = (ReadOnlyError, AskError)  # another server has become the primary, or serves the keys' slot
# What passes by itself: a failover, a cluster that moves slots, too much load.
PASSING = (*ELSEWHERE, MasterDownError, ClusterDownError, TryAgainError, OutOfMemoryError)


def unavailable(error: RedisError) -> ServiceUnavailable:
    """The error as ours, without what the command held."""
    remedy = _RIGHTS if is_denial(error) else TLS_REMEDY if explain_tls_error(str(error)) else _ADDRESS
    return ServiceUnavailable(f"Redis cannot serve: {reason(error)}: {remedy}")


_ADDRESS = "start it, or correct REDIS_HOST and REDIS_PORT in .env, and scheme where one of both speaks TLS"
_RIGHTS = "give the user the rights that a queue needs (ACL SETUSER)"
TLS_REMEDY = (
    "correct scheme (tls or tcp) and context (ssl for predis) of the connection in config/database.php;"
    f" {SELF_SIGNED}"
)


def reason(error: RedisError) -> str:
    """One line without the arguments of the command, which hold payloads."""
    return f"{type(error).__name__} {str(error).partition(', with args')[0].rstrip('.')}"[:200]
