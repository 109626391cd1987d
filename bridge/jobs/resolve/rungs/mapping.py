"""The rung of the user's own word: `[events."App\\Events\\OrderShipped"]` in bridge.toml.

Texts hold places like `{order.id}`: a property of the event, then keys or properties inside it. `id` of a
model is its key, taken from the payload without a query. A place that stands alone keeps the value's type;
inside a longer text it is put in as PHP would print it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bridge.errors import Refused
from bridge.jobs.resolve.resolution import Answer
from bridge.laravel.broadcast_handler import Connections, handle
from bridge.laravel.payload import BroadcastEvent
from bridge.laravel.unique_locks import UniqueLocks
from bridge.phpeval.laravel.object_conversions import MODEL_IDENTIFIER
from bridge.phpeval.laravel.support.json_forms import JSON_FORMS
from bridge.phpeval.php.runtime.operators import to_string
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value, array_key
from bridge.phpeval.php.serialization.json_encode import json_encode

Template: TypeAlias = "str | int | float | bool | list[Template] | Mapping[str, Template] | None"

_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMapping:
    """channels  wire names with prefixes
    name      None for the class name
    payload   None for the public properties that stand in the payload
    """

    channels: tuple[str, ...]
    name: str | None = None
    payload: Mapping[str, Template] | None = None


class MappingRung:
    """`events`: class name → its mapping; `locks` are to be released later."""

    name = "mapping"

    def __init__(
        self, events: Mapping[str, EventMapping], connections: Connections, locks: UniqueLocks
    ) -> None:
        self._events = events
        self._connections = connections
        self._locks = locks

    def resolve(self, event: BroadcastEvent) -> Answer | None:
        mapping = self._events.get(event.class_name)
        if mapping is None:
            return None
        self._locks.of(event)  # refused where it could not be released
        subject = MappedEvent(event.event, mapping)
        return Answer(calls=handle(subject, event.version, self._connections))


class MappedEvent:
    """A `bridge.laravel.broadcast_handler.Subject`."""

    def __init__(self, event: PhpObject, mapping: EventMapping) -> None:
        self._event = event
        self._mapping = mapping

    def name(self) -> Value:
        if self._mapping.name is None:
            return self._event.class_name.encode()
        return self._filled(self._mapping.name)

    def channels(self) -> Value:
        return PhpArray.of(to_string(self._filled(channel)) for channel in self._mapping.channels)

    def connections(self) -> PhpArray:
        return PhpArray.of([None])

    def payload(self) -> PhpArray:
        if self._mapping.payload is None:
            payload = PhpArray(
                (key, value)
                for key, value in self._event.properties.items()
                if isinstance(key, bytes) and key[:1] != b"\0" and key != b"broadcastQueue"
            )
        else:
            payload = PhpArray(
                (array_key(k.encode()), self._filled(v)) for k, v in self._mapping.payload.items()
            )
        payload[b"socket"] = self._event.properties.get(b"socket")
        return payload

    def text(self, value: Value) -> bytes:
        return to_string(value)

    def json(self, payload: PhpArray) -> str:
        return json_encode(payload, self._jsonable)

    def _jsonable(self, value: PhpObject | EnumCase) -> Value:
        if isinstance(value, PhpObject):
            if value.class_name == MODEL_IDENTIFIER:
                raise Refused(
                    f"the mapping of {self._event.class_name} sends a whole model: say in `with` what of it"
                )
            form = JSON_FORMS.get(value.class_name)
            if form is not None:
                return form(value)
        raise Refused(f"the mapping of {self._event.class_name} sends an object of {value.class_name}")

    def enum_value(self, case: EnumCase) -> Value:
        raise Refused(f"the mapping of {self._event.class_name} uses the enum {case.class_name}")

    def _filled(self, template: Template) -> Value:
        match template:
            case str():
                alone = _PLACE.fullmatch(template)
                if alone is not None:
                    return self._value(alone[1])
                return _PLACE.sub(lambda place: self._printed(place[1]), template).encode(
                    "utf-8", "surrogateescape"
                )
            case list():
                return PhpArray.of([self._filled(item) for item in template])
            case Mapping():
                return PhpArray((array_key(k.encode()), self._filled(v)) for k, v in template.items())
        return template

    def _printed(self, path: str) -> str:
        value = self._value(path)
        if isinstance(value, PhpArray | PhpObject | EnumCase):
            raise Refused(f"the mapping of {self._event.class_name} prints {{{path}}}, which is no text")
        return to_string(value).decode("utf-8", "surrogateescape")

    def _value(self, path: str) -> Value:
        value: Value = self._event
        for step in path.split("."):
            value = self._step(value, step, path)
        return value

    def _step(self, value: Value, step: str, path: str) -> Value:
        if isinstance(value, PhpArray):
            key = array_key(step.encode())
            if key in value:
                return value[key]
        elif isinstance(value, PhpObject):
            if value.class_name == MODEL_IDENTIFIER and step not in ("id", "class"):
                raise Refused(
                    f"the mapping of {self._event.class_name} asks {{{path}}}, but of a model only the id"
                )
            if value.has(step):
                return value.get(step)
        raise Refused(
            f"the mapping of {self._event.class_name} asks {{{path}}}, which the event does not hold"
        )
