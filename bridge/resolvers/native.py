"""The rung that evaluates the app's own PHP source, free of side effects.

The whole class chain of the event must be known, every construct that is met must be, and every object in
the payload: else it refuses, with file and line, and the next rung decides.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.errors import Refused, WouldFail
from bridge.laravel import objects
from bridge.laravel.broadcasting import Connections, MissingModel, handle
from bridge.laravel.payload import UNIQUE_BROADCAST_EVENT, BroadcastEvent
from bridge.laravel.version import Version
from bridge.php.evaluate import Evaluator
from bridge.php.operators import to_bool
from bridge.php.values import EnumCase, PhpArray, PhpObject, Value
from bridge.resolvers.resolution import Answer
from bridge.resolvers.world import AppWorld

INTERACTS_WITH_BROADCASTING = "Illuminate\\Broadcasting\\InteractsWithBroadcasting"
_NO_CONNECTION = PhpArray.of([None])


class NativeRung:
    """`world_of` gives the world of a release, made anew after a deploy."""

    name = "native"

    def __init__(
        self,
        world_of: Callable[[Version], AppWorld],
        connections: Connections,
    ) -> None:
        self._world_of = world_of
        self._connections = connections

    def resolve(self, event: BroadcastEvent) -> Answer:
        world = self._world_of(event.version)
        if world.classes.find(event.class_name) is None:
            raise Refused(f"the class {event.class_name} is not among the app's sources")
        world.require_plain_app()
        if event.command.class_name == UNIQUE_BROADCAST_EVENT:
            raise Refused("a unique event's lock is released by Laravel only")
        php = Evaluator(world)
        try:
            objects.restore(event.objects[1:], php, world.restore_model)
        except MissingModel as missing:
            return without_model(event, php, missing)
        subject = EvaluatedEvent(event.event, php, event.version)
        if event.version >= (11, 42) and subject.has("middleware"):
            raise Refused(f"{event.class_name} has middleware()")
        return Answer(calls=handle(subject, event.version, self._connections))


def without_model(event: BroadcastEvent, php: Evaluator, missing: MissingModel) -> Answer:
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
    return Answer(calls=(), why=f"{missing}, and the job is dropped then")


class EvaluatedEvent:
    """A `bridge.laravel.broadcasting.Subject`: the event's own methods, evaluated."""

    def __init__(self, event: PhpObject, php: Evaluator, version: Version) -> None:
        self._event = event
        self._php = php
        self._version = version

    def has(self, method: str) -> bool:
        """`method_exists`."""
        return self._php.classes.method(self._event.class_name, method) is not None

    def call(self, method: str) -> Value:
        """The method's value; an Error where it is not public, as handle() calls it from outside."""
        bound = self._php.classes.method(self._event.class_name, method)
        if bound is not None and bound.method.visibility != "public":
            raise WouldFail(f"{self._event.class_name}::{method}() is {bound.method.visibility}")
        return self._php.call_method(self._event, method)

    def name(self) -> Value:
        return self.call("broadcastAs") if self.has("broadcastAs") else self._event.class_name.encode()

    def channels(self) -> Value:
        if not self.has("broadcastOn"):
            raise Refused(f"{self._event.class_name} has no broadcastOn()")
        return self.call("broadcastOn")

    def connections(self) -> PhpArray:
        if self._version < (8, 52):
            return _NO_CONNECTION
        if self.has("broadcastConnections"):
            named = self.call("broadcastConnections")
        elif objects.uses_trait(self._php.classes, self._event.class_name, INTERACTS_WITH_BROADCASTING):
            named = self._event.get("broadcastConnection")
        else:
            return _NO_CONNECTION
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
        payload = PhpArray()
        for name, bound in self._php.classes.properties(self._event.class_name).items():
            declaration = bound.declaration
            if declaration.visibility != "public" or name == "broadcastQueue":
                continue
            file = self._php.classes.require(bound.owner).file
            if declaration.static:
                raise Refused(
                    f"the static property ${name} is part of the payload", file=file, line=declaration.line
                )
            if declaration.hooked:
                raise Refused(f"the property hook of ${name}", file=file, line=declaration.line)
            if bound.mangled not in self._event.properties:
                raise WouldFail(f"the typed property ${name} of {self._event.class_name} was never set")
            value = self._event.properties[bound.mangled]
            if isinstance(value, PhpObject):
                array = objects.to_array(value, self._php)
                value = value if array is None else array
            payload[name.encode()] = value
        return payload

    def text(self, value: Value) -> bytes:
        return self._php.text(value)

    def jsonable(self, value: PhpObject | EnumCase) -> Value:
        return objects.jsonable(value, self._php)

    def enum_value(self, case: EnumCase) -> Value:
        backing = self._php.backing_value(case)
        return case.case.encode() if backing is None else backing
