"""Every class of an app that broadcasts, and the rung that will serve it: what `bridge events` shows.

Read from the source alone: nothing is run, no database is asked. Which files are parsed follows from what
they mention, and from the broadcasting classes found so far.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

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
_SAYS_SO = re.compile(
    rb"^[ \t]*(?:(?:final|readonly)\s+)*class\s+(\w+)[^{;]*\bimplements\b[^{;]*\bShouldBroadcast(Now)?\b",
    re.MULTILINE,
)
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
    channels  wire names, and the event's name, as far as they can be told: `private-orders.{order.id}`
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
    source: AppSource, world: AppEnvironment, *, mapped: Collection[str] = (), php: bool
) -> list[EventReport]:
    """The findings, by class name. `mapped`: classes of bridge.toml; `php`: whether there is a PHP rung."""
    found = []
    for declared, kind in _broadcasting(source, world.classes):
        plan = RefusalFinder(world)
        judge = {"notification": plan.notification, "model": plan.model}.get(kind, plan.event)
        reasons = tuple(str(problem) for problem in judge(declared.name))
        rung, why = _rung(declared.name, kind, reasons, mapped, php)
        found.append(
            EventReport(
                class_name=declared.name,
                kind=kind,
                queued=kind != "event-now",
                rung=rung,
                why=why,
                reasons=reasons,
                channels=tuple(_channels(declared.name, world.classes)),
                name=_name(declared.name, kind, world.classes),
                file=declared.file,
                line=declared.line,
            )
        )
    found += _unreadable(source, php)
    return sorted(found, key=lambda finding: finding.class_name)


def _unreadable(source: AppSource, php: bool) -> Iterator[EventReport]:
    """Classes that say that they broadcast, in files that the parser does not understand."""
    for file in dict.fromkeys(source.files()):
        text = source.text(file)
        declared = _SAYS_SO.search(text)
        if declared is None:
            continue
        try:
            source.parse(file)
        except Refused as problem:
            space = _NAMESPACE.search(text)
            name = b"\\".join(part for part in (space and space[1], declared[1]) if part).decode(
                "utf-8", "replace"
            )
            kind = "event-now" if declared[2] == b"Now" else "event"
            rung, why = _rung(name, kind, (str(problem),), (), php)
            yield EventReport(
                class_name=name,
                kind=kind,
                queued=kind != "event-now",
                rung=rung,
                why=why,
                reasons=(str(problem),),
                channels=(),
                name=name,
                file=file,
                line=text.count(b"\n", 0, declared.start()) + 1,
            )


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


def _broadcasting(source: AppSource, classes: ClassTable) -> Iterator[tuple[n.ClassDeclaration, str]]:
    """The classes that broadcast, with their kind; files are read again for each new base class found."""
    waiting = dict.fromkeys(source.files())
    marks, known = set(_MARKS), set()
    while marks:
        pattern = re.compile(rb"|".join(_whole(mark) for mark in sorted(marks)))
        marks = set()
        for file in [file for file in waiting if pattern.search(_text_of(source, file))]:
            del waiting[file]
            for declared in _declared(source, file):
                kind = _kind(declared, classes)
                base = declared.kind in ("interface", "trait") or declared.abstract
                if kind is not None and not base and declared.name not in known:
                    known.add(declared.name)
                    yield declared, kind
                if kind is not None or declared.kind in ("interface", "trait"):
                    marks.add(b"extends " + declared.name.rsplit("\\", 1)[-1].encode())
                    if declared.kind != "class":
                        marks.add(declared.name.rsplit("\\", 1)[-1].encode())


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


def _declared(source: AppSource, file: str) -> list[n.ClassDeclaration]:
    try:
        return list(source.parse(file).values())
    except Refused:
        return []


def _kind(declared: n.ClassDeclaration, classes: ClassTable) -> str | None:
    name = declared.name
    if _known(lambda: classes.is_a(name, _NOTIFICATION)) or _is_broadcast_notification(declared, classes):
        return "notification" if _is_broadcast_notification(declared, classes) else None
    if _known(lambda: any(uses_trait(classes, name, trait) for trait in _MODEL_TRAITS)) or any(
        used in _MODEL_TRAITS for use in declared.traits for used in use.names
    ):
        return "model"
    if _known(lambda: classes.is_a(name, BROADCAST + "ShouldBroadcastNow")):
        return "event-now"
    return "event" if _known(lambda: classes.is_a(name, BROADCAST + "ShouldBroadcast")) else None


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
    """The value as a template; what cannot be told is `{…}`."""
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
