"""The short way of events whose template was met before.

The jobs of one event class differ in a few scalars (`templates`). Once the native rung has broadcast
one of them, much of what it looked at is the same for every other: the job is a plain broadcast, the class
and its chain are known, the properties fit their types. A fast path keeps that; what depends on the values is
evaluated as ever. Where the payload is the event's public properties, its JSON is a text with a place for
every scalar, and for every model that the event holds: these are read and shown as ever.

It is made only where the source shows that it leads where the general way leads, and must do so, to the byte,
for the event that it was made from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence, Set
from dataclasses import dataclass, fields, replace
from typing import Any

from bridge.errors import Refused, WouldFail
from bridge.jobs.resolve.app_environment import AppEnvironment
from bridge.jobs.resolve.resolution import Resolution
from bridge.jobs.resolve.rungs.native import NO_CONNECTION, EvaluatedEvent
from bridge.laravel.broadcast_handler import Call, Connections, handle, socket_id
from bridge.laravel.payload import BROADCAST_EVENT, ONLY_PHP, BroadcastEvent, only_php
from bridge.phpeval.laravel import object_conversions
from bridge.phpeval.laravel.framework_classes import SERIALIZES_MODELS
from bridge.phpeval.laravel.object_conversions import MODEL_IDENTIFIER
from bridge.phpeval.laravel.support.channel import CHANNELS
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.runtime.class_table import ClassTable
from bridge.phpeval.php.runtime.interpreter import Interpreter, ReferenceFunction
from bridge.phpeval.php.runtime.type_declarations import is_plain
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.serialization.json_encode import float_json, json_encode, text_json
from bridge.phpeval.php.serialization.templates import TemplateMatch

Groups = tuple[bytes, ...]  # of `TemplateMatch`

# How the text of a group stands in JSON, by the type of the scalar.
_WRITERS: dict[type, Callable[[Any], str]] = {
    bytes: text_json,
    int: lambda text: str(int(text)),
    bool: {b"0": "false", b"1": "true"}.__getitem__,
    float: lambda text: float_json(float(text)),
    PhpObject: str,  # of a model the JSON is given
}
_NO_PATH: Set[int] = frozenset()
_MARKED = re.compile(r'"\\u0000(\d+)\\u0000"')

# What can be in a method that gives the same for every event of its class, and in one that changes nothing.
_CONSTANT = (
    n.Return, n.ArrayLiteral, n.Entry, n.Argument, n.Literal, n.ClassConstant, n.Binary, n.Interpolated,
    n.New,
)  # fmt: skip
_READING = (*_CONSTANT, n.Property, n.Index, n.Call, n.Cast, n.Unary, n.Ternary)


@dataclass(frozen=True, slots=True)
class _Placeholder(EnumCase):
    """Stands for a scalar of that type while a text is made; of type PhpObject for a model, whose number
    comes after those of all groups."""

    group: int
    kind: type

    @classmethod
    def of(cls, group: int, kind: type) -> _Placeholder:
        return cls("", "", group, kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class _HeldModel:
    """A model that the event holds as an identifier, of which only the key differs from job to job.

    property  that holds it
    entries   of the identifier
    key       the group of the key, and what reads it
    same      the other groups of the identifier, with their texts
    """

    property: bytes
    entries: dict[int | bytes, Value]
    key: tuple[int, Callable[[bytes], Value]]
    same: tuple[tuple[int, bytes], ...]

    @classmethod
    def of(cls, fit: TemplateMatch, place: int, identifier: PhpObject) -> _HeldModel:
        """The one in that container of the template. Refused for a collection."""
        template, groups = fit.template, fit.groups
        containers = template.containers
        scalars: list[tuple[int, int | bytes, int, Callable[[bytes], Value]]]
        scalars = [(one, key, group, bytes) for one, key, group in template.texts]
        scalars += [(one, key, group, read) for one, key, group, _, read in template.scalars]
        keys = [(group, read) for one, key, group, read in scalars if (one, key) == (place, b"id")]
        name = containers[place].key
        if len(keys) != 1 or not isinstance(name, bytes):
            raise Refused("an identifier without a single key")
        within = {place}
        for at in range(place + 1, len(containers)):  # parents come first
            if containers[at].parent in within:
                within.add(at)
        same = [group for one, _, group, _ in scalars if one in within and group != keys[0][0]]
        return cls(
            property=name,
            entries=identifier.properties,
            key=keys[0],
            same=tuple((group, groups[group]) for group in same),
        )

    def identifier(self, groups: Groups) -> PhpObject | None:
        """That of the event with these scalars; None where more than the key differs."""
        for group, text in self.same:
            if groups[group] != text:
                return None
        at, read = self.key
        return PhpObject(MODEL_IDENTIFIER, {**self.entries, b"id": read(groups[at])})


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
        self.environment = environment = environment_of(event.version)
        self.class_name = event.class_name
        self.version = event.version
        self._template = fit.template
        self._connections = connections
        own, self._models = _event_and_models(fit)
        self._same = _same_of_job(fit)
        held = {model.property for model in self._models}
        names = [*own.properties]
        object_conversions.restore([own], new_evaluator(environment), environment.restore_model)
        _require_types(own.class_name, names, held, environment.classes)
        self._kept = [name for name in names if name in own.properties]
        self._blank = {name: None if name in held else value for name, value in own.properties.items()}
        self.known = _Known()
        subject = self._subject(fit.groups, self.identifiers(fit.groups) or (), new_evaluator(environment))
        if _are_made_of(_CONSTANT, own, environment):
            self.known = _Known(to=(subject.name(), subject.channels()))
        self.known = replace(self.known, text=self._learned_text(fit.groups))
        self._calls: Sequence[Call] = ()
        if self.known.to is not None and self.known.text is not None:
            self._calls = self._evaluated(fit.groups, self.identifiers(fit.groups) or ())[0]

    def is_current(self) -> bool:
        """Whether the app is still the one that it was made for."""
        return self._environment_of(self.version) is self.environment

    def identifiers(self, groups: Groups) -> Sequence[PhpObject] | None:
        """Of the models that the event with these scalars holds, to be given to `resolve`; None where the
        rungs have to resolve it."""
        for group, text in self._same:
            if groups[group] != text:
                return None
        found = []
        for model in self._models:
            identifier = model.identifier(groups)
            if identifier is None:
                return None
            found.append(identifier)
        return found

    def resolve(self, groups: Groups, identifiers: Sequence[PhpObject]) -> Resolution | None:
        """What is sent for the event with these scalars; None where the rungs have to resolve it.

        Raises ServiceUnavailable as that does."""
        if not self.is_current():
            return None
        try:
            calls, path = self._sent(groups, identifiers)
        except (Refused, WouldFail, UnicodeDecodeError):
            return None
        if not calls:
            return None
        return Resolution(
            outcome="broadcast", event=self.class_name, by="native", broadcasts=tuple(calls), path=path
        )

    def _sent(self, groups: Groups, identifiers: Sequence[PhpObject]) -> tuple[Sequence[Call], Set[int]]:
        """The calls, and the branches that were evaluated for them."""
        text = self.known.text
        if not self._calls or text is None:
            return self._evaluated(groups, identifiers)
        socket, path = text.socket_id(groups), _NO_PATH
        if identifiers:
            php = new_evaluator(self.environment)
            shown = text.shown(self._restored(identifiers, php), php)
            data, path = text.of((*groups, *_json(shown, php))), php.path
        else:
            data = text.of(groups)
        return [
            Call(connection=one.connection, channels=one.channels, name=one.name, data=data, socket=socket)
            for one in self._calls
        ], path

    def _evaluated(self, groups: Groups, identifiers: Sequence[PhpObject]) -> tuple[Sequence[Call], Set[int]]:
        subject = self._subject(groups, identifiers, new_evaluator(self.environment))
        return handle(subject, self.version, self._connections), subject.path

    def _restored(self, identifiers: Sequence[PhpObject], php: Interpreter) -> Sequence[Value]:
        """The models. Raises as `restore_model`."""
        return [self.environment.restore_model(one, php) for one in identifiers]

    def _subject(self, groups: Groups, identifiers: Sequence[PhpObject], php: Interpreter) -> EvaluatedEvent:
        models = self._restored(identifiers, php)
        event = self._completed(self._template.objects(groups)[1], models)
        return _KnownEvent(event, php, self, groups, models)

    def _completed(self, event: PhpObject, models: Sequence[Value]) -> PhpObject:
        """As `objects.restore` leaves it."""
        held, event.properties = event.properties, self._blank.copy()
        for name in self._kept:
            event.properties[name] = held[name]
        for model, value in zip(self._models, models, strict=True):
            event.properties[model.property] = value
        return event

    def _learned_text(self, groups: Groups) -> _Text | None:
        """The JSON of every such event; None where it is not made of public properties as they are."""
        environment = self.environment
        marks = [_Placeholder.of(len(groups) + at, PhpObject) for at in range(len(self._models))]
        event = self._completed(self._template.marked(_Placeholder.of)[1], marks)
        subject = EvaluatedEvent(event, new_evaluator(environment), self.version, environment.keeps_default)
        if subject.has("broadcastWith") or not _are_made_of(_READING, event, environment):
            return None
        if subject.connections() is not NO_CONNECTION:
            return None
        try:
            return _Text.of_payload(subject.payload(), len(groups))
        except Refused:
            return None


@dataclass(frozen=True, slots=True)
class _Text:
    """`form` has a `%s` for each of `places`: a group, and what writes it. After the groups come the JSON of
    `models`, numbers in the order of the payload. `left_out`: the socket's group."""

    form: str
    places: tuple[tuple[int, Callable[[Any], str]], ...]
    models: tuple[int, ...]
    left_out: int | None

    @classmethod
    def of_payload(cls, payload: PhpArray, groups: int) -> _Text:
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
        found = [int(group) for group in literals[1::2]]
        if sorted(found) != sorted(types):
            raise Refused("a text that looks like a mark")
        literals[1::2] = ["%s"] * len(found)
        literals[::2] = [literal.replace("%", "%%") for literal in literals[::2]]
        models = [number for number in found if number >= groups]
        places = tuple(
            (groups + models.index(number) if number in models else number, _WRITERS[types[number]])
            for number in found
        )
        left_out = None if socket is None else socket.group
        return cls("".join(literals), places, tuple(number - groups for number in models), left_out)

    def of(self, values: tuple[bytes | str, ...]) -> str:
        """`values`: the groups, and the JSON of `shown`. Raises WouldFail or UnicodeDecodeError where
        json_encode fails."""
        return self.form % tuple([write(values[at]) for at, write in self.places])

    def shown(self, models: Sequence[Value], php: Interpreter) -> list[Value]:
        """What the payload shows of the models."""
        return [_shown(models[at], php) for at in self.models]

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
    """An event of which some is known; the rest is evaluated. `models` that it holds, restored."""

    def __init__(
        self, event: PhpObject, php: Interpreter, path: FastPath, groups: Groups, models: Sequence[Value]
    ) -> None:
        super().__init__(event, php, path.version, path.environment.keeps_default)
        self._known = path.known
        self._groups = groups
        self._models = models
        self._shown: Sequence[Value] = ()

    def name(self) -> Value:
        return super().name() if self._known.to is None else self._known.to[0]

    def channels(self) -> Value:
        return super().channels() if self._known.to is None else self._known.to[1]

    def payload(self) -> PhpArray:
        text = self._known.text
        if text is None:
            return super().payload()
        self._shown = text.shown(self._models, self._php)
        return PhpArray({b"socket": text.socket(self._groups)})

    def json(self, payload: PhpArray) -> str:
        text = self._known.text
        if text is None:
            return super().json(payload)
        return text.of((*self._groups, *_json(self._shown, self._php)))


def _event_and_models(fit: TemplateMatch) -> tuple[PhpObject, tuple[_HeldModel, ...]]:
    """The event of a plain broadcast job, and the models in its properties. Refused for other objects."""
    template = fit.template
    found = template.objects(fit.groups)
    containers = template.containers
    places = [at for at, container in enumerate(containers) if container.class_name is not None]
    event = containers[places[1]] if len(places) > 1 else None
    if event is None or (event.parent, event.key) != (0, b"event"):
        raise Refused("more than a job with an event")
    if found[0].class_name != BROADCAST_EVENT or only_php(found[0]):
        raise Refused("more than a plain job")
    for place in places[2:]:
        container = containers[place]
        if container.class_name != MODEL_IDENTIFIER or container.parent != places[1]:
            raise Refused("another object than a model")
    pairs = zip(places[2:], found[2:], strict=True)
    return found[1], tuple(_HeldModel.of(fit, place, identifier) for place, identifier in pairs)


def _same_of_job(fit: TemplateMatch) -> tuple[tuple[int, bytes], ...]:
    """The groups, with their texts, that say that there is nothing which Laravel alone runs."""
    names = {name.encode() for name, _ in ONLY_PHP}
    texts = [(place, key, group) for place, key, group in fit.template.texts]
    texts += [(place, key, group) for place, key, group, _, _ in fit.template.scalars]
    return tuple((group, fit.groups[group]) for place, key, group in texts if place == 0 and key in names)


def _require_types(event: str, names: Collection[int | bytes], held: Set[bytes], classes: ClassTable) -> None:
    """Refused where a property's type is to be looked at for each event, or a model is not restored."""
    if held and not object_conversions.uses_trait(classes, event, SERIALIZES_MODELS):
        raise Refused("an event that does not restore its models")
    declared = {bound.mangled: bound.declaration for bound in classes.instance_properties(event)}
    if not held <= declared.keys():
        raise Refused("a model in a property that is not declared")
    for name in declared.keys() & names:
        if name not in held and not is_plain(declared[name].type):
            raise Refused(f"the type of ${declared[name].name} asks for more than a kind of value")


def _json(shown: Sequence[Value], php: Interpreter) -> list[str]:
    """The JSON of values in a payload."""
    return [json_encode(one, lambda held: object_conversions.jsonable(held, php), within=1) for one in shown]


def _shown(model: Value, php: Interpreter) -> Value:
    """What a payload of public properties shows of the model."""
    array = object_conversions.to_array(model, php) if isinstance(model, PhpObject) else None
    return model if array is None else array


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
