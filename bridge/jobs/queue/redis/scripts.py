"""The Lua scripts beside this file, each of which Redis runs at once: see the comments at their top."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeVar

import redis
from redis.exceptions import NoScriptError

Result = TypeVar("Result")
# As `head` gives it; of one that is too large to be read its length and its first bytes.
Entry = bytes | list[Any]


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    sha1: str


def _read_script(name: str) -> Script:
    text = resources.files(__package__).joinpath(f"{name}.lua").read_text()
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


SCRIPTS = {
    name: _read_script(name)
    for name in (
        "claim",
        "give_back",
        "head",
        "listing",
        "migrate",
        "release",
        "return_token",
        "samples",
        "take_back",
    )
}


def with_scripts(client: redis.Redis, work: Callable[[], Result]) -> Result:
    """What `work` returns; a Redis that has not seen our scripts is given them first."""
    try:
        return work()
    except NoScriptError:
        for script in SCRIPTS.values():
            client.script_load(script.text)
        return work()


def run_script(
    client: redis.Redis, name: str, keys: Sequence[bytes], arguments: Iterable[object] = ()
) -> Any:
    """What the script answers."""
    rest: tuple[Any, ...] = (*keys, *arguments)
    return with_scripts(client, lambda: client.evalsha(SCRIPTS[name].sha1, len(keys), *rest))
