"""A queue entry's JSON → Payload → BroadcastEvent.

What Laravel runs is decided by the class inside `data.command` (CallQueuedHandler::getCommand);
`data.commandName` is only a label.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bridge.errors import Refused, Unreadable
from bridge.phpeval.laravel.version import Version, fitting_versions
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from bridge.phpeval.php.serialization.unserialize import unserialize

HANDLER = "Illuminate\\Queue\\CallQueuedHandler@call"
BROADCAST_EVENT = "Illuminate\\Broadcasting\\BroadcastEvent"
UNIQUE_BROADCAST_EVENT = "Illuminate\\Broadcasting\\UniqueBroadcastEvent"

# Properties of the job that are empty for a plain broadcast.
ONLY_PHP = (("middleware", "job middleware"), ("chained", "a chain"), ("debounceOwner", "debouncing"))
_EMPTY = (None, b"", PhpArray())
# What stands in the payload of a broadcast, by whom: Laravel 8 to 13 (Queue::createPayload, the drivers,
# Log/Context), Horizon's JobPayload, Telescope, and tracers, which put the job among what caused it.
_KEYS = frozenset(
    {
        "uuid", "displayName", "job", "maxTries", "maxExceptions", "failOnTimeout", "backoff", "delay",
        "timeout", "timeoutAt", "retryUntil", "data", "createdAt", "deleteWhenMissingModels", "id",
        "attempts", "illuminate:log:context",
        "type", "tags", "silenced", "pushedAt", "retry_of",
        "telescope_uuid",
        "sentry_trace_parent_data", "sentry_baggage_data", "sentry_publish_time",
        "traceparent", "tracestate", "clockwork_id", "clockwork_parent_id",
    }
)  # fmt: skip
_DATA = frozenset({"commandName", "command", "batchId"})
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_LONG_NUMBER = 640  # digits; Python may be told to refuse any number that is longer

Decrypt = Callable[[bytes], bytes]  # the text of data.command → the serialized command inside


class Read(Protocol):
    """`bridge.phpeval.php.serialization.unserialize.unserialize`, or what does the same."""

    def __call__(self, data: bytes, *, objects: list[PhpObject]) -> Value: ...


@dataclass(slots=True, kw_only=True)  # not frozen: as `Broadcast`
class Payload:
    """The JSON of one job, read once. Not to be changed.

    document  all of it
    command   `data.command`: serialized (`O:…`) or encrypted text

    The rest are names for logs, tables and pages, without half characters and NUL; most jobs are done before
    anybody asks for one.
    """

    document: Mapping[str, object]
    command: bytes

    @property
    def uuid(self) -> str | None:
        """None before Laravel 7."""
        uuid = self.document.get("uuid")
        return writable(uuid) if isinstance(uuid, str) else None

    @property
    def display_name(self) -> str:
        """For a broadcast the event's class."""
        name = self.document.get("displayName")
        return writable(name) if isinstance(name, str) else ""

    @property
    def command_name(self) -> str:
        """`data.commandName`, "" where it is missing."""
        data = self.document.get("data")
        name = data.get("commandName") if isinstance(data, dict) else None
        return writable(name) if isinstance(name, str) else ""

    @property
    def handler(self) -> str | None:
        """`job`: who runs it; None where it is missing."""
        handler = self.document.get("job")
        return writable(handler) if isinstance(handler, str) and handler else None


@dataclass(slots=True, kw_only=True)  # not frozen: as `Broadcast`
class BroadcastEvent:
    """The job object of a broadcast and the event inside it, as they lie in the payload. Not to be changed.

    objects  all objects in it, the command first
    version  of the app's Laravel; where it is not known, the newest that fits
    oldest   where it is not known, the oldest that fits; else the same
    only_php what it has that only Laravel itself can run; empty for nothing
    foreign  what the app or a package has put into the payload, which may change what Laravel reads; likewise
    """

    payload: Payload
    command: PhpObject
    event: PhpObject
    objects: Sequence[PhpObject]
    version: Version
    oldest: Version
    only_php: str = ""
    foreign: str = ""

    @property
    def class_name(self) -> str:
        return self.event.class_name


class NotABroadcast(Exception):
    """The job is none of ours; its message says what it is."""


def json_object(payload: bytes) -> dict[str, Any] | None:
    """The object that PHP's json_decode reads in this text; None where it is no JSON or no object."""
    try:
        text = payload.decode()
        try:
            document = _loads(text)
        except ValueError as error:
            if isinstance(error, json.JSONDecodeError):
                return None
            document = json.loads(text, parse_int=_number)  # Python refuses long numbers, PHP rounds them
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _loads(text: str) -> Any:
    """As `json.loads`, past what that does around the reading: a tenth of it."""
    try:
        value, end = _scan(text, 0)
    except StopIteration:  # white space is first, or no JSON
        return json.loads(text)
    return value if end == len(text) else json.loads(text)


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONG_NUMBER else float(digits)


def read_document(document: Mapping[str, object]) -> Payload:
    """The Payload of a decoded JSON object. Raises Unreadable where Laravel's worker would throw."""
    data = document.get("data")
    command = data.get("command") if isinstance(data, dict) else None
    if document.get("job") == HANDLER and not isinstance(command, str):
        raise Unreadable("the payload has no data.command")
    return Payload(
        document=document,
        command=command.encode("utf-8", "surrogatepass") if isinstance(command, str) else b"",
    )


def writable(text: str) -> str:
    """With `?` for what JSON can say and stores and pages cannot take: half a character, NUL. No class and no
    uuid of Laravel's has any of these."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode(errors="replace").decode().replace("\0", "?")


def read_payload(raw: bytes) -> Payload:
    """The Payload of the raw text. Raises Unreadable."""
    document = json_object(raw)
    if document is None:
        raise Unreadable("the payload is not a JSON object")
    if "job" not in document:
        raise Unreadable("the payload is not a job: it has no field `job`")
    return read_document(document)


def broadcast_event(
    payload: Payload,
    decrypt: Decrypt,
    *,
    version: Version | None = None,
    derives: Callable[[str], bool | None] = lambda _: False,
    read: Read = unserialize,
) -> BroadcastEvent:
    """The event that the job carries.

    `version` of the app's Laravel, None for the newest that fits. `derives` says of an app class whether it
    is a BroadcastEvent with no code of its own (None: not known). `read` unserializes. Raises NotABroadcast
    for other jobs, Unreadable where Laravel would throw, Refused where only PHP can know.
    """
    if payload.handler is None:
        raise Unreadable("the payload names no handler in `job`")
    if payload.handler != HANDLER:
        if payload.command_name in (BROADCAST_EVENT, UNIQUE_BROADCAST_EVENT):
            raise Refused(f"the job is a broadcast with the handler {payload.handler}, not Laravel's own")
        raise NotABroadcast(f"a job for {payload.handler}")
    text = payload.command
    if not text:
        raise Unreadable("the job's command is empty: data.command holds no event")
    if not text.startswith(b"O:"):
        text = decrypt(text)
    objects: list[PhpObject] = []
    command = read(text, objects=objects)
    if not isinstance(command, PhpObject):
        raise Unreadable("the serialized command is no object")
    if command.class_name not in (BROADCAST_EVENT, UNIQUE_BROADCAST_EVENT):
        derived = derives(command.class_name)
        if not derived:
            if payload.command_name in (BROADCAST_EVENT, UNIQUE_BROADCAST_EVENT):
                raise Refused(
                    f"the job calls itself a broadcast, but holds an object of {command.class_name}"
                )
            if derived is None:
                raise NotABroadcast(f"a job of {command.class_name}, whose source is not known")
            raise NotABroadcast(f"a job of {command.class_name}")
    event = command.get("event")
    if not isinstance(event, PhpObject):
        raise Unreadable("the broadcast job holds no event")
    oldest, newest = (version, version) if version else fitting_versions(command, payload.document)
    return BroadcastEvent(
        payload=payload,
        command=command,
        event=event,
        objects=objects,
        version=newest,
        oldest=oldest,
        only_php=only_php(command),
        foreign=foreign(payload.document),
    )


def only_php(command: PhpObject) -> str:
    """What the job has that only Laravel itself can run; empty for nothing."""
    return ", ".join([what for name, what in ONLY_PHP if command.get(name) not in _EMPTY])


def foreign(document: Mapping[str, object]) -> str:
    """The keys of a payload that Laravel does not write, such as `tenant_id`; empty for none.

    Who puts them there may read them before the job runs, and change the database that it reads."""
    data = document.get("data")
    if _KEYS.issuperset(document) and (not isinstance(data, dict) or _DATA.issuperset(data)):
        return ""
    found = [*(document.keys() - _KEYS)]
    if isinstance(data, dict):
        found += [f"data.{key}" for key in data.keys() - _DATA]
    return ", ".join(sorted(found))
