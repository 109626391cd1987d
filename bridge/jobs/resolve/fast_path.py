"""The short way of events whose template was met before.

The jobs of one event class differ in a few scalars (`templates`). Once the native rung has broadcast
one of them, much of what it looked at is the same for every other: the job is a plain broadcast, the class
and its chain are known, the properties fit their types. A fast path keeps that; what depends on the values is
evaluated as ever. Where the payload is the event's public properties, its JSON is a text with a place for
every scalar.

It is made only where the source shows that it leads where the general way leads, and must do so, to the byte,
for the event that it was made from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, fields, replace

from bridge.errors import Refused, WouldFail
from bridge.jobs.resolve.app_environment import AppEnvironment
from bridge.jobs.resolve.resolution import Resolution
from bridge.jobs.resolve.rungs.native import NO_CONNECTION, EvaluatedEvent
from bridge.laravel.broadcast_handler import Call, Connections, handle, socket_id
from bridge.laravel.payload import BROADCAST_EVENT, BroadcastEvent, only_php
from bridge.phpeval.laravel import object_conversions
from bridge.phpeval.laravel.support.channel import CHANNELS
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.runtime.interpreter import ReferenceFunction
from bridge.phpeval.php.runtime.type_declarations import is_plain
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.serialization.json_encode import float_json, json_encode, text_json
from bridge.phpeval.php.serialization.templates import TemplateMatch

Groups = tuple[bytes, ...]  # of `TemplateMatch`

# How the text of a group stands in JSON, by the type of the scalar.
_WRITERS: dict[type, Callable[[bytes], str]] = {
    bytes: text_json,
    int: lambda text: str(int(text)),
    bool: {b"0": "false", b"1": "true"}.__getitem__,
    float: lambda text: float_json(float(text)),
}
_MARKED = re.compile(r'"\\u0000(\d+)\\u0000"')

# What can be in a method that gives the same for every event of its class, and in one that changes nothing.
_CONSTANT = (
    n.Return, n.ArrayLiteral, n.Entry, n.Argument, n.Literal, n.ClassConstant, n.Binary, n.Interpolated,
    n.New,
)  # fmt: skip
_READING = (*_CONSTANT, n.Property, n.Index, n.Call, n.Cast, n.Unary, n.Ternary)


@dataclass(frozen=True, slots=True)
class _Placeholder(EnumCase):
    """Stands for a scalar of that type while a text is made."""

    group: int
    kind: type

    @classmethod
    def of(cls, group: int, kind: type) -> _Placeholder:
        return cls("", "", group, kind)


class FastPath:
    """Made from an event that the native rung has broadcast. Raises Refused where there is none.

    `fit` of its job's command; `environment_of` gives the environment of a release, made anew after a deploy.
    """

    def __init__(
        self,
        event: BroadcastEvent,
        fit: TemplateMatch,
        environment_of: Callable[[Version], AppEnvironment],
        connections: Connections,
    ) -> None:
        self._environment_of = environment_of
        self._environment = environment = environment_of(event.version)
        self.class_name = event.class_name
        self._template = fit.template
        self._version = event.version
        self._connections = connections
        own = _event_alone(fit)
        names = [*own.properties]
        object_conversions.restore([own], new_evaluator(environment), environment.restore_model)
        self._blank = own.properties
        self._kept = [name for name in names if name in own.properties]
        for bound in environment.classes.instance_properties(event.class_name):
            if bound.mangled in names and not is_plain(bound.declaration.type):
                raise Refused(f"the type of ${bound.declaration.name} asks for more than a kind of value")
        self._known = _Known()
        subject = self._subject(fit.groups)
        if _are_made_of(_CONSTANT, own, environment):
            self._known = _Known(to=(subject.name(), subject.channels()))
        self._known = replace(self._known, text=self._learned_text())
        self._calls: Sequence[Call] = ()
        if self._known.to is not None and self._known.text is not None:
            self._calls = handle(self._subject(fit.groups), self._version, connections)

    def resolve(self, groups: Groups) -> Resolution | None:
        """What is sent for the event with these scalars; None where the rungs have to resolve it.

        Raises ServiceUnavailable as that does."""
        if self._environment_of(self._version) is not self._environment:
            return None
        try:
            calls, path = self._sent(groups)
        except (Refused, WouldFail, UnicodeDecodeError):
            return None
        if not calls:
            return None
        return Resolution(
            outcome="broadcast", event=self.class_name, by="native", broadcasts=tuple(calls), path=path
        )

    def _sent(self, groups: Groups) -> tuple[Sequence[Call], Set[int]]:
        """The calls, and the branches that were evaluated for them."""
        text = self._known.text
        if not self._calls or text is None:
            subject = self._subject(groups)
            return handle(subject, self._version, self._connections), subject.path
        data, socket = text.of(groups), text.socket_id(groups)
        return [
            Call(connection=one.connection, channels=one.channels, name=one.name, data=data, socket=socket)
            for one in self._calls
        ], frozenset()

    def _subject(self, groups: Groups) -> EvaluatedEvent:
        event = self._restored(self._template.objects(groups)[1])
        return _KnownEvent(event, self._environment, self._version, self._known, groups)

    def _restored(self, event: PhpObject) -> PhpObject:
        """As `objects.restore` leaves it."""
        held, event.properties = event.properties, self._blank.copy()
        for name in self._kept:
            event.properties[name] = held[name]
        return event

    def _learned_text(self) -> _Text | None:
        """The JSON of every such event; None where it is not made of public properties as they are."""
        environment = self._environment
        event = self._restored(self._template.marked(_Placeholder.of)[1])
        subject = EvaluatedEvent(event, new_evaluator(environment), self._version, environment.keeps_default)
        if subject.has("broadcastWith") or not _are_made_of(_READING, event, environment):
            return None
        if subject.connections() is not NO_CONNECTION:
            return None
        try:
            return _Text.of_payload(subject.payload())
        except Refused:
            return None


@dataclass(frozen=True, slots=True)
class _Text:
    """`form` has a `%s` for each of `places`: a group, and what writes it. `left_out`: the socket's group."""

    form: str
    places: tuple[tuple[int, Callable[[bytes], str]], ...]
    left_out: int | None

    @classmethod
    def of_payload(cls, payload: PhpArray) -> _Text:
        """The text of a payload with marks. Refused where other objects are in it."""
        socket = payload.pop(b"socket", None)
        if socket is not None and not (isinstance(socket, _Placeholder) and socket.kind is bytes):
            raise Refused("a socket that is no text")
        types: dict[int, type] = {}

        def mark(value: PhpObject | EnumCase) -> Value:
            if not isinstance(value, _Placeholder):
                raise Refused("an object in a payload")
            types[value.group] = value.kind
            return b"\0%d\0" % value.group

        literals = _MARKED.split(json_encode(payload, mark))
        groups = [int(group) for group in literals[1::2]]
        if sorted(groups) != sorted(types):
            raise Refused("a text that looks like a mark")
        literals[1::2] = ["%s"] * len(groups)
        literals[::2] = [literal.replace("%", "%%") for literal in literals[::2]]
        places = tuple((group, _WRITERS[types[group]]) for group in groups)
        return cls("".join(literals), places, None if socket is None else socket.group)

    def of(self, groups: Groups) -> str:
        """Raises WouldFail or UnicodeDecodeError where json_encode fails."""
        return self.form % tuple([write(groups[at]) for at, write in self.places])

    def socket(self, groups: Groups) -> bytes | None:
        return None if self.left_out is None else groups[self.left_out]

    def socket_id(self, groups: Groups) -> str | None:
        """Raises WouldFail."""
        return socket_id(self.socket(groups))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is the same for all events of a template: name and channels, and the JSON but for its scalars."""

    to: tuple[Value, Value] | None = None
    text: _Text | None = None


class _KnownEvent(EvaluatedEvent):
    """An event of which some is known; the rest is evaluated."""

    def __init__(
        self, event: PhpObject, environment: AppEnvironment, version: Version, known: _Known, groups: Groups
    ) -> None:
        super().__init__(event, new_evaluator(environment), version, environment.keeps_default)
        self._known = known
        self._groups = groups

    def name(self) -> Value:
        return super().name() if self._known.to is None else self._known.to[0]

    def channels(self) -> Value:
        return super().channels() if self._known.to is None else self._known.to[1]

    def payload(self) -> PhpArray:
        text = self._known.text
        return super().payload() if text is None else PhpArray({b"socket": text.socket(self._groups)})

    def json(self, payload: PhpArray) -> str:
        text = self._known.text
        return super().json(payload) if text is None else text.of(self._groups)


def _event_alone(fit: TemplateMatch) -> PhpObject:
    """The event of a plain broadcast job with no other object in it, else Refused."""
    found = fit.template.objects(fit.groups)
    job = fit.template.marked(_Placeholder.of)[
        0
    ]  # what Laravel alone would run must be absent from all such jobs
    if len(found) != 2 or job.class_name != BROADCAST_EVENT or only_php(job):
        raise Refused("more than a job with a plain event")
    return found[1]


def _are_made_of(kinds: tuple[type[n.Node], ...], event: PhpObject, environment: AppEnvironment) -> bool:
    """Whether the methods that give channels and name have nothing else in them."""
    for name in ("broadcastOn", "broadcastAs"):
        bound = environment.classes.method(event.class_name, name)
        if bound is not None and not _is_made_of(kinds, environment.classes.body(bound.method), environment):
            return False
    return True


def _is_made_of(kinds: tuple[type[n.Node], ...], part: object, environment: AppEnvironment) -> bool:
    """`$this` may only be read from."""
    if isinstance(part, tuple):
        return all(_is_made_of(kinds, one, environment) for one in part)
    if not isinstance(part, n.Node):
        return True
    match part:
        case n.New(class_name=name) if name not in CHANNELS:
            return False
        case n.Call(function=name) if not isinstance(name, str) or _may_write(name, environment):
            return False
        case n.Property(object=n.Variable(name="this"), name=str()):
            return n.Property in kinds
    return isinstance(part, kinds) and all(
        _is_made_of(kinds, getattr(part, one.name), environment) for one in fields(part)
    )


def _may_write(function: str, environment: AppEnvironment) -> bool:
    return isinstance(environment.functions.get(function.lower()), ReferenceFunction | None)
