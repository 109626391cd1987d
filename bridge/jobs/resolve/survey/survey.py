"""Every class of an app that broadcasts, and the rung that will serve it: what `bridge events` shows.

Read from the source alone: nothing is run, no database is asked. Which files are parsed follows from what
they mention, and from the broadcasting classes found so far.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial

from bridge.errors import Refused
from bridge.jobs.resolve.app_environment import AppEnvironment
from bridge.jobs.resolve.survey.refusals import RefusalFinder
from bridge.phpeval.laravel.app_source import AppSource
from bridge.phpeval.laravel.framework_classes import BROADCAST
from bridge.phpeval.laravel.object_conversions import uses_trait
from bridge.phpeval.laravel.support.channel import CHANNELS
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.parse.declarations import source_of
from bridge.phpeval.php.runtime.class_table import ClassTable

_ELOQUENT = "Illuminate\\Database\\Eloquent\\"
_MODEL_TRAITS = (_ELOQUENT + "BroadcastsEvents", _ELOQUENT + "BroadcastsEventsAfterCommit")
_NOTIFICATION = "Illuminate\\Notifications\\Notification"
_NAMES_BROADCAST = re.compile(rb"""['"]broadcast['"]|\bBroadcastChannel\b""")
_MARKS = frozenset(
    {b"ShouldBroadcast", b"ShouldBroadcastNow", b"BroadcastsEvents", b"BroadcastsEventsAfterCommit"}
    | {b"toBroadcast", b"BroadcastChannel", b"'broadcast'", b'"broadcast"'}
)
_HEADER = re.compile(  # of a class in a file that the parser does not understand
    rb"(?:^(?:<\?php\s+)?|[\]};])[ \t]*((?:(?:abstract|final|readonly)\s+)*)(class|interface|trait)\s+(\w+)"
    rb"(?:\s+extends\s+([\w\\,\s]+?))?(?:\s+implements\s+([\w\\,\s]+?))?\s*\{",
    re.MULTILINE,
)
_USES = re.compile(rb"^\s+use\s+([\w\\,\s]+)[;{]", re.MULTILINE)
_TO_BROADCAST = re.compile(rb"\bfunction\s+toBroadcast\s*\(", re.IGNORECASE)
_KINDS = {  # by the last part of what a class extends, implements or uses
    "BroadcastsEvents": "model",
    "BroadcastsEventsAfterCommit": "model",
    "ShouldBroadcastNow": "event-now",
    "ShouldBroadcast": "event",
}
_NAMESPACE = re.compile(rb"^[ \t]*(?:<\?php\s+)?namespace\s+([\w\\]+)", re.MULTILINE)
_AT_DISPATCH = "Laravel resolves it when it is dispatched and posts it to the HTTP API"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventReport:
    """One class.

    kind      `event`, `event-now`, `notification` or `model`
    queued    whether its broadcast passes through the queue
    rung      `mapping`, `framework`, `native`, `php`, `refused`; `http` where Laravel posts it itself
    why       one sentence where the rung is not the native one; empty else
    reasons   all that keeps it from being native
    channels  wire names, and the event's name, as far as they are known: `private-orders.{order.id}`
    """

    class_name: str
    kind: str
    queued: bool
    rung: str
    why: str
    reasons: tuple[str, ...]
    channels: tuple[str, ...]
    name: str
    file: str
    line: int


def survey(
    source: AppSource, environment: AppEnvironment, *, mapped: Collection[str] = (), php: bool
) -> list[EventReport]:
    """The findings, by class name. `mapped`: classes of bridge.toml; `php`: whether there is a PHP rung."""
    found = []
    for one in _Search(source, environment.classes).broadcasting():
        reasons: tuple[str, ...] = () if one.problem is None else (str(one.problem),)
        if one.is_read:
            plan = RefusalFinder(environment)
            judge = {"notification": plan.notification, "model": plan.model}.get(one.kind, plan.event)
            reasons = tuple(str(problem) for problem in judge(one.name)) or reasons
        rung, why = _rung(one.name, one.kind, reasons, mapped, php)
        found.append(
            EventReport(
                class_name=one.name,
                kind=one.kind,
                queued=one.kind != "event-now",
                rung=rung,
                why=why,
                reasons=reasons,
                channels=tuple(_channels(one.name, environment.classes)) if one.is_read else (),
                name=_name(one.name, one.kind, environment.classes) if one.is_read else one.name,
                file=one.file,
                line=one.line,
            )
        )
    return sorted(found, key=lambda finding: finding.class_name)


def _rung(
    name: str, kind: str, reasons: tuple[str, ...], mapped: Collection[str], php: bool
) -> tuple[str, str]:
    if kind == "event-now":
        return "http", _AT_DISPATCH
    if name in mapped:
        return "mapping", "bridge.toml says how"
    if reasons:
        return "php" if php else "refused", reasons[0]
    return ("native", "") if kind == "event" else ("framework", "")


# ---- which classes ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Broadcasting:
    """A class that broadcasts.

    problem  why its file is not understood, or that of a class that it builds on
    is_read  whether its own file is
    """

    name: str
    kind: str
    file: str
    line: int
    problem: Refused | None = None
    is_read: bool = True


class _Search:
    """For the classes that broadcast; files are read again for each new base class found."""

    def __init__(self, source: AppSource, classes: ClassTable) -> None:
        self._source = source
        self._classes = classes
        self._marks: set[bytes] = set(_MARKS)
        self._marked: set[str] = set()
        # The kind of each class found, and why it is not understood: what builds on it is of the same kind.
        self._kinds: dict[str, tuple[str, Refused | None]] = {}

    def broadcasting(self) -> Iterator[_Broadcasting]:
        files, known = list(self._source.files()), set()
        while self._marks:
            pattern = re.compile(rb"|".join(_whole(mark) for mark in sorted(self._marks)))
            self._marks = set()
            for file in [file for file in files if pattern.search(_text_of(self._source, file))]:
                for one in self._in(file):
                    if one.name not in known:
                        known.add(one.name)
                        yield one

    def _in(self, file: str) -> Iterator[_Broadcasting]:
        try:
            declared = list(self._source.parse(file).values())
        except Refused as unread:
            yield from self._sketch(file, unread)
            return
        for one in declared:
            kind = _kind(one, self._classes)
            found = self._built_on(one) if kind is None else (kind, None)
            if found is not None:
                self._kinds[one.name] = found
                if one.kind == "class" and not one.abstract:
                    kind, problem = found
                    yield _Broadcasting(
                        name=one.name, kind=kind, file=one.file, line=one.line, problem=problem
                    )
            if found is not None or one.kind in ("interface", "trait"):
                self._mark(one.name, one.kind)

    def _built_on(self, declared: n.ClassDeclaration) -> tuple[str, Refused | None] | None:
        """The kind by what it builds on, where the chain is not known in whole or via() asks the parent."""
        used = (name for use in declared.traits for name in use.names)
        bases = (declared.parent, *declared.interfaces, *used)
        found = next((self._kinds[name] for name in bases if name in self._kinds), None)
        if found is None or found[0] != "notification":
            return found
        via = _method(declared, "via", self._classes)
        return found if via is None or b"parent::" in source_of(via) else None

    def _sketch(self, file: str, problem: Refused) -> Iterator[_Broadcasting]:
        """What the text says of classes that the parser does not understand."""
        text = _text_of(self._source, file)
        space = _NAMESPACE.search(text)
        headers = list(_HEADER.finditer(text))
        for header, after in itertools.zip_longest(headers, headers[1:]):
            before, what, short, extends, implements = header.groups(b"")
            body = text[header.end() : after.start() if after is not None else len(text)]
            name = b"\\".join(part for part in (space and space[1], short) if part).decode("utf-8", "replace")
            kind = self._kind_of_class(extends + b"," + implements, body)
            if kind is not None:
                self._kinds[name] = (kind, problem)
                self._mark(name, what.decode())
            if kind is not None and what == b"class" and b"abstract" not in before:
                line = text.count(b"\n", 0, header.start(3)) + 1
                yield _Broadcasting(
                    name=name, kind=kind, file=file, line=line, problem=problem, is_read=False
                )

    def _kind_of_class(self, built_on: bytes, body: bytes) -> str | None:
        """The kind of a class by what it extends and implements, and by its body."""
        used = b",".join(use[1] for use in _USES.finditer(body))
        names = [
            part.rpartition("\\")[2]
            for part in re.findall(r"[\w\\]+", (built_on + b"," + used).decode("utf-8", "replace"))
        ]
        if _TO_BROADCAST.search(body) or ("Notification" in names and _NAMES_BROADCAST.search(body)):
            return "notification"
        bases = {name.rpartition("\\")[2]: kind for name, (kind, _) in self._kinds.items()}
        return next((kind for short, kind in {**bases, **_KINDS}.items() if short in names), None)

    def _mark(self, name: str, kind: str) -> None:
        """Files that name this class are looked at, also those that were before it was found."""
        if name in self._marked:
            return
        self._marked.add(name)
        short = name.rpartition("\\")[2].encode()
        self._marks.add(b"extends " + short)
        if kind != "class":
            self._marks.add(short)


def _text_of(source: AppSource, file: str) -> bytes:
    try:
        return source.text(file)
    except Refused:
        return b""


def _whole(mark: bytes) -> bytes:
    if mark.startswith(b"extends "):
        return rb"\bextends\s+[\w\\]*\b" + re.escape(mark[8:]) + rb"\b"
    quoted = mark[:1] in (b"'", b'"')
    return re.escape(mark) if quoted else rb"\b" + re.escape(mark) + rb"\b"


def _kind(declared: n.ClassDeclaration, classes: ClassTable) -> str | None:
    name = declared.name
    if _known(lambda: classes.is_a(name, _NOTIFICATION)) or _is_broadcast_notification(declared, classes):
        return "notification" if _is_broadcast_notification(declared, classes) else None
    if _known(lambda: any(uses_trait(classes, name, trait) for trait in _MODEL_TRAITS)) or any(
        used in _MODEL_TRAITS for use in declared.traits for used in use.names
    ):
        return "model"
    for interface, kind in (("ShouldBroadcastNow", "event-now"), ("ShouldBroadcast", "event")):
        whole = BROADCAST + interface
        if whole in declared.interfaces or _known(partial(classes.is_a, name, whole)):
            return kind
    return None


def _is_broadcast_notification(declared: n.ClassDeclaration, classes: ClassTable) -> bool:
    if _method(declared, "toBroadcast", classes) is not None:
        return True
    via = _method(declared, "via", classes)
    return via is not None and _NAMES_BROADCAST.search(source_of(via)) is not None


def _method(declared: n.ClassDeclaration, method: str, classes: ClassTable) -> n.Method | None:
    """The method, also of a class whose chain is not known in whole."""
    try:
        bound = classes.method(declared.name, method)
    except Refused:
        return declared.methods.get(method.lower())
    return bound.method if bound is not None else None


def _known(ask: Callable[[], bool | None]) -> bool:
    try:
        return bool(ask())
    except Refused:
        return False


# ---- channels and names -----------------------------------------------------------------------------


def _channels(name: str, classes: ClassTable) -> Iterator[str]:
    seen = set()
    for expression in _returned(name, "broadcastOn", classes):
        entries = (
            [entry.value for entry in expression.entries]
            if isinstance(expression, n.ArrayLiteral)
            else [expression]
        )
        for entry in entries:
            text = _text(entry)
            if text not in seen:
                seen.add(text)
                yield text


def _name(name: str, kind: str, classes: ClassTable) -> str:
    named = [_text(expression) for expression in _returned(name, "broadcastAs", classes)]
    if named:
        return named[0]
    if kind == "notification":
        return "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated"
    return name if kind != "model" else name.rsplit("\\", 1)[-1] + "{event}"


def _returned(name: str, method: str, classes: ClassTable) -> Iterator[n.Expression]:
    try:
        bound = classes.method(name, method)
        body = classes.body(bound.method) if bound is not None else ()
    except Refused:
        return
    yield from _returns(body)


def _returns(body: tuple[n.Statement, ...]) -> Iterator[n.Expression]:
    for statement in body:
        match statement:
            case n.Return(value=n.Expression() as value):
                yield value
            case n.If(then=then, otherwise=otherwise):
                yield from _returns(then)
                yield from _returns(otherwise)
            case n.Foreach(body=inner) | n.Loop(body=inner) | n.Try(body=inner):
                yield from _returns(inner)


def _text(node: n.Expression) -> str:
    """The value as a template; what is not known is `{…}`."""
    match node:
        case n.Literal(value=bytes() as value):
            return value.decode("utf-8", "replace")
        case n.Literal(value=int() as value):
            return str(value)
        case n.Interpolated(parts=parts):
            return "".join(_text(part) for part in parts)
        case n.Binary(operator=".", left=left, right=right):
            return _text(left) + _text(right)
        case n.New(class_name=str() as name, arguments=(first, *_)) if name in CHANNELS:
            return CHANNELS[name][0].decode() + _text(first.value)
        case n.ClassConstant(class_name=str() as name, name="class"):
            return name
        case n.Cast(operand=operand):
            return _text(operand)
    path = _path(node)
    return "{" + path + "}" if path else "{…}"


def _path(node: n.Expression) -> str:
    """`$this->order->id` as `order.id`; empty for anything else."""
    match node:
        case n.Property(object=n.Variable(name="this"), name=str() as name):
            return name
        case n.Property(object=holder, name=str() as name):
            before = _path(holder)
            return f"{before}.{name}" if before else ""
        case n.MethodCall(object=holder, name="getKey" | "getRouteKey"):
            before = _path(holder)
            return f"{before}.id" if before else ""
        case n.Variable(name=name) if name != "this":
            return name
    return ""
