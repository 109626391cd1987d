"""A queue entry's JSON, as far as a driver must know it: is it a broadcast job or another, and who is it.

What Laravel runs is decided by the class inside `data.command` (`CallQueuedHandler::getCommand`);
`data.commandName` is only a label, and counts where the class cannot be read because the command is
encrypted or damaged. A subclass of the app's own may do anything, and is not ours.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bridge.laravel.payload import json_object, writable

HANDLER = "Illuminate\\Queue\\CallQueuedHandler@call"
COMMANDS = frozenset(
    {"Illuminate\\Broadcasting\\BroadcastEvent", "Illuminate\\Broadcasting\\UniqueBroadcastEvent"}
)


def like(patterns: Sequence[str]) -> Callable[[bytes], bool]:
    """Whether a text is like any of these SQL patterns, which begin and end with `%`."""
    # Each part is looked for behind the one before: Python finds the beginning of a pattern much sooner than
    # it gets over what `.*?` stands for.
    looks = [
        [
            re.compile(re.escape(part).replace("_", ".").encode(), re.DOTALL).search
            for part in pattern.strip("%").split("%")
        ]
        for pattern in patterns
    ]

    def is_like(text: bytes) -> bool:
        for look in looks:
            at = 0
            for search in look:
                found = search(text, at)
                if found is None:
                    break
                at = found.end()
            else:
                return True
        return False

    return is_like


MARK = b"BroadcastEvent"  # stands in every broadcast payload; json_encode never escapes letters
# How nearly every broadcast reads in the queue, as SQL patterns; each `_` is a character of JSON's escaping.
CERTAIN = tuple(
    f'%"job":"Illuminate__Queue__CallQueuedHandler@call"%"command":"O:__:_"Illuminate__Broadcasting__{name}_":%'
    for name in ("BroadcastEvent", "UniqueBroadcastEvent")
)
_is_certain = like(CERTAIN)
_SERIALIZED_CLASS = re.compile(r'O:\d+:"([^"]+)":')
_TEXT = r'"((?:[^"\\]|\\.){0,1000})"'
_NAME = re.compile(rf'"displayName":\s*{_TEXT}')
_UUID = re.compile(rf'"uuid":\s*{_TEXT}')
_KEY = b'"attempts"'
_ATTEMPTS = re.compile(_KEY + rb"\s*:\s*(\d+)(?=\s*[,}])")


def broadcast_document(payload: bytes) -> Mapping[str, object] | None:
    """The decoded payload if this is a broadcast job, None if it is anything else, also no JSON at all."""
    if MARK not in payload:
        return None
    document = json_object(payload)
    if document is None or document.get("job") != HANDLER:
        return None
    data = document.get("data")
    if not isinstance(data, dict) or not isinstance(command := data.get("command"), str):
        return None
    stated = _SERIALIZED_CLASS.match(command)
    name = stated.group(1) if stated else data.get("commandName")
    return document if isinstance(name, str) and name in COMMANDS else None


def is_damaged_broadcast(payload: bytes) -> bool:
    """Whether it was once a broadcast job's JSON, and PHP's json_decode gives null for it now."""
    return payload.startswith(b"{") and _is_certain(payload) and json_object(payload) is None


def other_document(payload: bytes) -> Mapping[str, object] | None:
    """The decoded payload if this is a job and no broadcast; empty for text that is no job at all, which
    Laravel's worker would drop without a word. None for what is left: broadcasts, and bytes that are no text.
    """
    if _is_certain(payload):
        return None
    document = json_object(payload)
    if document is None or "job" not in document:
        return {} if _is_text(payload) else None
    return document if broadcast_document(payload) is None else None


def _is_text(payload: bytes) -> bool:
    try:
        return bool(payload) and "\0" not in payload.decode()
    except UnicodeDecodeError:  # what a serializer or a compression wrote, perhaps
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which jobs of a queue a driver takes; all others stay where and as they are.

    document  gets a queue's name and an entry; the decoded payload if it is to be taken
    like      an SQL pattern that every one of them matches; None: there is none
    unlike    SQL patterns that none of them matches
    certain   SQL patterns of which each job that matches one is to be taken
    """

    document: Callable[[str, bytes], Mapping[str, object] | None]
    like: str | None = None
    unlike: tuple[str, ...] = ()
    certain: tuple[str, ...] = ()

    def may_take(self, start: bytes) -> bool:
        """Whether a job whose payload begins so may be one of them."""
        return (self.like is None or like([self.like])(start)) and not like(self.unlike)(start)


def _broadcast(queue: str, payload: bytes) -> Mapping[str, object] | None:
    """A damaged broadcast is taken too, with nothing in its document: it ends in `failed_jobs`."""
    document = broadcast_document(payload)
    if document is None and is_damaged_broadcast(payload):
        return {}
    return document


BROADCASTS = Selection(
    document=_broadcast,
    like="%Illuminate%BroadcastEvent%",  # escaping differs, letters do not
    certain=CERTAIN,
)


def others(wanted: Callable[[str, Mapping[str, object]], bool] = lambda queue, document: True) -> Selection:
    """Every job that is no broadcast, as far as it is `wanted`."""

    def document(queue: str, payload: bytes) -> Mapping[str, object] | None:
        found = other_document(payload)
        return found if found is not None and wanted(queue, found) else None

    return Selection(document=document, unlike=CERTAIN)


def with_attempts(payload: bytes, document: Mapping[str, object], attempts: int) -> bytes:
    """The payload with another `attempts`, every other byte unchanged.

    Where the text leaves doubt which number is meant, the whole is encoded anew, as Laravel's script always
    does.
    """
    at = max(payload.find(_KEY), 0)  # much quicker than the pattern, most of a payload comes before
    found = _ATTEMPTS.search(payload, at)
    if found and int(found[1]) == document["attempts"] and not _ATTEMPTS.search(payload, found.end()):
        start, end = found.span(1)
        return payload[:start] + b"%d" % attempts + payload[end:]
    return json.dumps({**document, "attempts": attempts}).encode()


def job_uuid(document: Mapping[str, object]) -> str:
    """`uuid`, or a hash of everything but the attempt counter where it is none that can be written."""
    uuid = document.get("uuid")
    if isinstance(uuid, str) and uuid and uuid == writable(uuid):
        return uuid
    rest = {key: value for key, value in document.items() if key != "attempts"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def name_and_uuid(start: bytes) -> tuple[str, str]:
    """`displayName` and `uuid` as the beginning of a payload tells them; empty where it does not."""
    text = start.decode(errors="replace")
    return _text_after(_NAME, text), _text_after(_UUID, text)


def _text_after(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    try:
        return writable(json.loads(f'"{found[1]}"')) if found else ""
    except ValueError:
        return ""


def whole_number(document: Mapping[str, object], key: str) -> int | None:
    """The value of `key` where it is a whole number (PHP and Lua may write 3 as 3.0), else None."""
    number = document.get(key)
    if number is None or type(number) is int:
        return number
    return int(number) if isinstance(number, float) and number.is_integer() else None


def queued_at(document: Mapping[str, object]) -> float | None:
    """Unix seconds: `pushedAt` is Horizon's, to the microsecond; `createdAt` is Laravel's, to the second."""
    pushed = document.get("pushedAt")
    if isinstance(pushed, str):
        try:
            return float(pushed)
        except ValueError:
            pass
    return whole_number(document, "createdAt")
