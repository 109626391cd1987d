"""The rung that evaluates the app's own PHP source, free of side effects.

The whole class chain of the event must be known, every construct that is met must be, and every object in
the payload: else it refuses, with file and line, and the next rung decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bridge.errors import MissingModel, Refused, WouldFail
from bridge.jobs.resolve.app_environment import AppEnvironment
from bridge.jobs.resolve.resolution import Answer
from bridge.laravel.broadcast_handler import Connections, handle
from bridge.laravel.payload import BroadcastEvent
from bridge.laravel.unique_locks import UniqueLocks
from bridge.phpeval.laravel import object_conversions
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.runtime.class_table import BoundProperty
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import to_bool
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.serialization.json_encode import json_encode

INTERACTS_WITH_BROADCASTING = "Illuminate\\Broadcasting\\InteractsWithBroadcasting"
NO_CONNECTION = PhpArray.of([None])


class NativeRung:
    """`environment_of` gives that of a release, as it is after a deploy; `locks` are to be released later."""

    name = "native"

    def __init__(
        self,
        environment_of: Callable[[Version], AppEnvironment],
        connections: Connections,
        locks: UniqueLocks,
    ) -> None:
        self._environment_of = environment_of
        self._connections = connections
        self._locks = locks

    def resolve(self, event: BroadcastEvent) -> Answer:
        environment = self._environment_of(event.version)
        if environment.classes.find(event.class_name) is None:
            raise Refused(f"the class {event.class_name} is not among the app's sources")
        environment.require_unmodified_framework()
        if self._locks.of(event) is not None and environment.classes.method(event.class_name, "uniqueVia"):
            raise Refused(f"{event.class_name} has uniqueVia(): its lock may be anywhere")
        php = new_evaluator(environment)
        try:
            object_conversions.restore(event.objects[1:], php, environment.restore_model)
        except MissingModel as missing:
            return on_missing_model(event, php, missing)
        subject = EvaluatedEvent(event.event, php, event.version, environment.keeps_default)
        if event.version >= (11, 42) and subject.has("middleware"):
            raise Refused(f"{event.class_name} has middleware()")
        return Answer(calls=handle(subject, event.version, self._connections), path=php.path)

    def lacks(self, event: BroadcastEvent) -> bool:
        """Whether the event's class is to be among the app's sources, and is not."""
        return self._environment_of(event.version).lacks(event.class_name)

    def channels(self, event: BroadcastEvent) -> frozenset[str] | None:
        """Where the event goes, if its `broadcastOn()` can be evaluated, whatever becomes of the rest.

        Raises as `resolve` does."""
        environment = self._environment_of(event.version)
        if environment.classes.find(event.class_name) is None:
            return None
        environment.require_unmodified_framework()
        php = new_evaluator(environment)
        object_conversions.restore(event.objects[1:], php, environment.restore_model)
        found = EvaluatedEvent(event.event, php, event.version, environment.keeps_default).channels()
        return frozenset(_texts(found, php))


def _texts(value: Value, php: Interpreter) -> Iterator[str]:
    """Of every channel, also where an array has some for each connection."""
    if isinstance(value, PhpArray):
        for one in value.values():
            yield from _texts(one, php)
    elif value is not None:
        yield php.text(value).decode("utf-8", "replace")


def on_missing_model(event: BroadcastEvent, php: Interpreter, missing: MissingModel) -> Answer:
    """What becomes of an event one of whose models is gone: dropped, or failed (raises), by release.

    Source: CallQueuedHandler::handleModelNotFound of each release; spec laravel-queue, section 4.5.
    """
    version, document = event.version, event.payload.document
    if version >= (13, 0):
        drops = document.get("deleteWhenMissingModels", True) is not False
    elif version >= (12, 38):
        drops = True  # a property of BroadcastEvent itself, and its default counts
    elif version >= (12, 0):
        drops = False
    else:
        name = event.payload.display_name
        if version >= (11, 3) and any(
            "DeleteWhenMissingModels" in a for a in php.classes.require(name).attributes
        ):
            drops = True
        else:
            drops = to_bool(php.defaults(name).get(b"deleteWhenMissingModels"))
    if not drops:
        raise missing
    return Answer(calls=(), why=f"{missing}, and the job is dropped then", keeps_lock=True)


@dataclass(frozen=True, slots=True)
class _Static:
    """The value of a public static property that nothing in the app changes."""

    value: Value


class EvaluatedEvent:
    """A `bridge.laravel.broadcast_handler.Subject`: the event's own methods, evaluated."""

    def __init__(
        self, event: PhpObject, php: Interpreter, version: Version, keeps_default: Callable[[str], bool]
    ) -> None:
        self._event = event
        self._keeps_default = keeps_default
        self._php = php
        self.path = php.path
        self._version = version

    def has(self, method: str) -> bool:
        """`method_exists`."""
        return self._php.classes.method(self._event.class_name, method) is not None

    def call(self, method: str) -> Value:
        """The method's value; an Error where it is not public, as handle() calls it from outside."""
        class_name = self._event.class_name
        bound = self._php.classes.method(class_name, method)
        if bound is None:
            return self._php.call_method(self._event, method)
        if bound.method.visibility != "public":
            raise WouldFail(f"{class_name}::{method}() is {bound.method.visibility}")
        return self._php.run(bound, self._event, class_name, (), {})

    def name(self) -> Value:
        return self.call("broadcastAs") if self.has("broadcastAs") else self._event.class_name.encode()

    def channels(self) -> Value:
        if not self.has("broadcastOn"):
            raise Refused(f"{self._event.class_name} has no broadcastOn()")
        return self.call("broadcastOn")

    def connections(self) -> PhpArray:
        if self._version < (8, 52):
            return NO_CONNECTION
        if self.has("broadcastConnections"):
            named = self.call("broadcastConnections")
        elif object_conversions.uses_trait(
            self._php.classes, self._event.class_name, INTERACTS_WITH_BROADCASTING
        ):
            named = self._event.get("broadcastConnection")
        else:
            return NO_CONNECTION
        return self._php.iterable(named)

    def payload(self) -> PhpArray:
        if self.has("broadcastWith"):
            given = self.call("broadcastWith")
            if given is not None or self._version < (8, 52):
                if not isinstance(given, PhpArray):
                    raise WouldFail(f"{self._event.class_name}::broadcastWith() gives no array")
                return self._merged(given)
        return self._properties()

    def _merged(self, given: PhpArray) -> PhpArray:
        """`array_merge($given, ['socket' => …])`: integer keys are numbered anew."""
        if {*map(type, given)} == {bytes}:
            merged = PhpArray(given)
        else:
            merged = PhpArray()
            for key, value in given.items():
                if isinstance(key, int):
                    merged.append(value)
                else:
                    merged[key] = value
        socket = self._php.classes.properties(self._event.class_name).get("socket")
        public = socket is not None and socket.declaration.visibility == "public"
        merged[b"socket"] = self._event.properties.get(b"socket") if public or socket is None else None
        return merged

    def _properties(self) -> PhpArray:
        """Every public property in the order of PHP's reflection."""
        payload: dict[int | bytes, Value] = {}
        class_name, held = self._event.class_name, self._event.properties
        for name, static in self._php.classes.remember("public", class_name, self._public).items():
            if static is not None:
                value = static.value
            elif name not in held:
                raise WouldFail(f"the typed property ${name.decode()} of {class_name} was never set")
            else:
                value = held[name]
            if isinstance(value, PhpObject):
                array = object_conversions.to_array(value, self._php)
                value = value if array is None else array
            payload[name] = value
        return PhpArray(payload)

    def _public(self) -> dict[bytes, _Static | None]:
        """Names in order; PHP's reflection counts static properties too."""
        names: dict[bytes, _Static | None] = {}
        for name, bound in self._php.classes.properties(self._event.class_name).items():
            declaration = bound.declaration
            if declaration.visibility != "public" or name == "broadcastQueue":
                continue
            file = self._php.classes.require(bound.owner).file
            if declaration.static:
                names[name.encode()] = self._static(bound, file)
                continue
            if declaration.hooked:
                raise Refused(f"the property hook of ${name}", file=file, line=declaration.line)
            names[bound.mangled] = None
        return names

    def _static(self, bound: BoundProperty, file: str) -> _Static:
        name, default = bound.declaration.name, bound.declaration.default
        if not self._keeps_default(name) or (default is None and bound.declaration.type is not None):
            raise Refused(
                f"the static property ${name} is part of the payload", file=file, line=bound.declaration.line
            )
        if default is None:
            return _Static(None)
        return _Static(self._php.constant_expression(default, bound.owner, file))

    def text(self, value: Value) -> bytes:
        return self._php.text(value)

    def json(self, payload: PhpArray) -> str:
        return json_encode(payload, lambda value: object_conversions.jsonable(value, self._php))

    def enum_value(self, case: EnumCase) -> Value:
        backing = self._php.backing_value(case)
        return case.case.encode() if backing is None else backing
