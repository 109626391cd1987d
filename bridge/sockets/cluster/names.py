"""Names: what everything of the bus is called in Redis. `{pfx}` is the connection's prefix and `bridge:1:`.

| key | type | holds | goes |
|---|---|---|---|
| `{pfx}c:<app>:<channel>` | hash | `o` number and `t` tag of the last event, `v` version of the roster, `u` its members, `z` subscriptions in all, `<node>` → its own; `x`: its cache miss is told, until an event comes; `p`, `q`: the count that was told last, and when; `e`: seconds after which it goes, where that is not 120 | 120 s after vacated, or twice `resume_seconds` if that is longer |
| `{pfx}m:<app>:<channel>` | hash | roster: user → `<nodes that have him>:<sealed info>` | with the last member |
| `{pfx}l:<app>:<channel>` | list | the last events, as published | 60 s after the last |
| `{pfx}k:<app>:<channel>` | string | last event of a cache channel | `limit_cache_seconds` |
| `{pfx}g:<app>:<channel>` | hash | who went lately (user, or nothing for the channel) → when | when all are told; an hour after the last |
| `{pfx}n:<node>` | set | what the node has told: `<app>:<channel>`, and `<app>:<channel> <user>` | when it left or died |
| `{pfx}h:<node>` | list | what calls of the node have brought about and it may not know yet | with its next beat |
| `{pfx}i:<app>` | hash | occupied channels → subscriptions; `#`: a number below 0, by which a new list is known | – |
| `{pfx}r:<app>:<session>` | hash | a page that resumes: `w` its present socket_id, `s` that and those before, `n` the number of its connection, `p<channel>` → tag of the last event that it has | twice `resume_seconds` after it left |
| `{pfx}o:<app>` | list | orders to all nodes, such as to end the connections of a user, as published | an hour after the last |
| `{pfx}j:<window>:<0..15>` | set | marks of the jobs whose broadcasts went out | after two windows |
| `{pfx}s:<app>` | hash | messages that were counted for the statistics and not written yet | when written |
| `{pfx}dead:<node>` | string | the node was taken for dead | a day |
| `{pfx}nodes` | hash | node → what it tells of itself with each beat | when it left or died |
| `{pfx}duty`, `{pfx}born` | string | the leader, which does what is done once; which memory of Redis this is | 5 s, never |

In a Redis Cluster all lies in one slot: where the connection's prefix has no hash tag, `{pfx}` ends with one.
Topics are not part of a database, so theirs hold its number: `{pfx}d<db>:<app>:<channel>`.
"""  # noqa: E501

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, unquote

from bridge.sockets.pusher.channels import USER_CHANNEL

CONTROL_CHANNEL = "#app"
"""No client can subscribe to it: what nodes tell each other about an app."""

TYPES = {
    **dict.fromkeys(("c", "m", "g", "i", "r", "s", "nodes"), "hash"),
    **dict.fromkeys(("l", "o", "h"), "list"),
    **dict.fromkeys(("n", "j"), "set"),
    **dict.fromkeys(("k", "dead", "duty", "born"), "string"),
}
"""As in the table above."""

WITNESS = b":#"
"""In the set of what a node has told, unless Redis has evicted that: then the next beat tells."""

LIST = "#"
"""In the list of an app's channels: no channel's name."""

_SAFE = "-_=@,.;"
_needs_no_quotes = re.compile(rf"[A-Za-z0-9~{re.escape(_SAFE)}]*").fullmatch  # quicker than `quote` sees that


class Names:
    """`prefix` is that of the Redis connection, `database` its number; `is_sharded`: in a Redis Cluster."""

    def __init__(self, prefix: str, database: int, *, is_sharded: bool = False) -> None:
        tag = ""
        if is_sharded and not has_hash_tag(prefix):  # other apps have other slots
            tag = "{%s}" % (prefix.replace("{", "").replace("}", "") or "bridge")
        self.prefix = f"{prefix}bridge:1:{tag}".encode()
        self.topics = self.prefix + b"d%d:" % database
        self.nodes = self.prefix + b"nodes"
        self.leader = self.prefix + b"duty"
        self.born = self.prefix + b"born"
        # ready, for a client that opens a channel needs some sixteen keys; the last kind is bridge doctor's
        self._heads = {kind: self.prefix + kind.encode() + b":" for kind in (*TYPES, "doctor")}

    def key(self, kind: str, rest: bytes) -> bytes:
        return self._heads[kind] + rest

    def type_of(self, key: bytes) -> str | None:
        """Of what type this key is, None where it is not the bus's."""
        kind = key.removeprefix(self.prefix).partition(b":")[0] if key.startswith(self.prefix) else b""
        return TYPES.get(kind.decode(errors="replace"))

    def topic(self, place: bytes) -> bytes:
        return self.topics + place


def has_hash_tag(prefix: str) -> bool:
    """Whether a Redis Cluster keeps all keys with this prefix in one slot."""
    _, _, behind = prefix.partition("{")
    return behind.find("}") > 0


def place_of(app_id: str, channel: str) -> bytes:
    """The channel of the app, as keys and topics name it: no space, no brace, and one colon."""
    if channel.startswith(USER_CHANNEL):
        encoded = USER_CHANNEL + user_word(channel.removeprefix(USER_CHANNEL)).decode()
    elif channel == CONTROL_CHANNEL or _needs_no_quotes(channel):
        encoded = channel
    else:
        encoded = quote(channel, safe=_SAFE)
    return f"{_quoted_id(app_id)}:{encoded}".encode()


@lru_cache
def _quoted_id(app_id: str) -> str:
    return quote(app_id, safe="")


def split_place(place: bytes) -> tuple[str, str]:
    """App id and channel of a place."""
    app_id, _, channel = place.decode().partition(":")
    try:
        return unquote(app_id), unquote(channel, errors="surrogatepass")
    except UnicodeDecodeError:  # nothing of ours is called that
        return unquote(app_id), unquote(channel)


def user_word(user_id: str) -> bytes:
    return quote(user_id, safe="", errors="surrogatepass").encode()


def word_user(word: bytes) -> str:
    return unquote(word.decode("ascii"), errors="surrogatepass")
