"""What a user of Redis must be allowed to do, where the server's ACL does not allow everything.

Each command is run once in a form that changes nothing, since a user who may do little may not ask what.
"""

from __future__ import annotations

import re
from typing import Any

import redis
from redis.exceptions import NoPermissionError

# In the ACL's words; `client|id` is a subcommand.
RIGHTS = (
    "ping", "select", "evalsha", "script|load", "client|id", "client|unblock", "blpop", "del", "lindex",
    "linsert", "llen", "lpop", "lpush", "lrange", "lrem", "rpush", "zadd", "zcard", "zrangebyscore", "zrem",
    "zremrangebyrank", "zscore", "set", "exists",
)  # fmt: skip
KEYS = "keys"  # stands for them in the answer: the user may not touch a queue's keys

_DENIED = re.compile(r"run the '([^']+)' command")
_NO_SCRIPT = "0" * 40


def missing_rights(client: redis.Redis, *, list_key: bytes, set_key: bytes) -> list[str]:
    """The rights that are lacking on a queue's keys, in the order above. May raise RedisError otherwise.

    Beside the list, a list of that name and `:bridge_check` exists for a moment."""
    beside = list_key + b":bridge_check"
    pipeline: Any = client.pipeline(transaction=False)
    for words in (
        ("PING",),
        ("SELECT", client.connection_pool.connection_kwargs.get("db", 0)),
        ("SCRIPT", "LOAD", "return 0"),
        ("EVALSHA", _NO_SCRIPT, 0),
        ("CLIENT", "ID"),
        ("CLIENT", "UNBLOCK", 0),
        ("LINDEX", list_key, 1 << 53),  # none: an entry may be large
        ("LRANGE", list_key, 1, 0),
        ("LLEN", list_key),
        ("LREM", list_key, 1, ""),
        ("RPUSH", beside, "1"),
        ("LPUSH", beside, "1"),
        ("LINSERT", beside, "AFTER", "1", "1"),
        ("LPOP", beside),
        ("BLPOP", beside, 1),
        ("DEL", beside),
        ("ZADD", set_key, "XX", 0, ""),
        ("ZCARD", set_key),
        ("ZRANGEBYSCORE", set_key, 1, 0),
        ("ZREM", set_key, ""),
        ("ZREMRANGEBYRANK", set_key, 1, 0),
        ("ZSCORE", set_key, ""),
        ("EXISTS", beside),
        ("SET", beside, "1", "PX", 1),
    ):
        pipeline.execute_command(*words)
    missing: set[str] = set()
    for answer in pipeline.execute(raise_on_error=False):
        if isinstance(answer, NoPermissionError):
            named = _DENIED.search(str(answer))
            missing.add(named[1].lower() if named else KEYS)
        elif isinstance(answer, Exception) and not isinstance(answer, redis.exceptions.NoScriptError):
            raise answer
    return [right for right in (*RIGHTS, KEYS) if right in missing]


def is_denial(error: Exception) -> bool:
    """Whether a right is lacking, also within a script, where Redis uses other words."""
    said = str(error)
    return isinstance(error, NoPermissionError) or "can't run this command" in said or "ACL failure" in said
