"""Whether a queue can be used in Redis as it is: who may do what there, and what lies at its keys."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import redis
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError

from bridge.errors import ConfigurationError
from bridge.jobs.queue.redis.errors import PASSING, TLS_REMEDY, reason, unavailable
from bridge.jobs.queue.redis.keys import Keys
from bridge.jobs.queue.redis.rights import KEYS, missing_rights
from bridge.jobs.queue.redis.scripts import run_script
from bridge.laravel.tls import explain_tls_error

log = logging.getLogger(__name__)


def check_keys(client: redis.Redis, queues: Mapping[str, Keys]) -> None:
    """Raises ServiceUnavailable (Redis cannot be reached) or ConfigurationError (reached, but wrong)."""
    try:
        for name, keys in queues.items():
            _check_rights(client, keys)
            for source in (keys.delayed, keys.reserved):
                run_script(client, "migrate", (source, keys.list, keys.notify), (0, 1))
            samples: list[bytes] = run_script(client, "samples", (keys.list, keys.delayed), (1,))
            if any(sample and not sample.startswith(b"{") for sample in samples):
                log.warning(
                    "entries are no JSON: a phpredis serializer or compression does not suit queues",
                    extra={"action": "queue_check", "queue": name},
                )
    except (AuthenticationError, AuthorizationError) as error:
        raise ConfigurationError(
            "REDIS_USERNAME or REDIS_PASSWORD",
            f"is not accepted by Redis: {error}",
            remedy="see the app's .env",
        ) from error
    except ResponseError as error:
        if isinstance(error, PASSING) or str(error).startswith("BUSY"):
            raise unavailable(error) from error
        raise ConfigurationError(
            "the queue's Redis keys",
            f"cannot be used: {reason(error)}",
            remedy="check REDIS_DB and REDIS_PREFIX",
        ) from error
    except RedisError as error:
        is_tls = issubclass(client.connection_pool.connection_class, redis.SSLConnection)
        if fault := explain_tls_error(str(error), is_tls=is_tls):
            problem = f"fails, {fault}: {reason(error)}"
            raise ConfigurationError("TLS to Redis", problem, remedy=TLS_REMEDY) from error
        raise unavailable(error) from error


def _check_rights(client: redis.Redis, keys: Keys) -> None:
    missing = missing_rights(client, list_key=keys.list, set_key=keys.reserved)
    if not missing:
        return
    user = client.connection_pool.connection_kwargs.get("username") or "default"
    grants = " ".join(f"~{keys.list.decode()}*" if right == KEYS else f"+{right}" for right in missing)
    raise ConfigurationError(
        f"the Redis user {user}",
        f"lacks rights that a queue needs: {', '.join(missing)}",
        remedy=f"ACL SETUSER {user} {grants}",
    )
