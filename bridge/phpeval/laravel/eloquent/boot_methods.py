"""What a model's class does when Laravel boots it: does that change how models are read, or anything else?

Listening to writes changes nothing. Whatever could change more, or is not understood, is refused.
Source: Database/Eloquent/Model.php (boot, bootTraits), Concerns/HasEvents.php, 8.83 to 13.31.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from bridge.errors import Refused
from bridge.phpeval.laravel.eloquent.attributes import HARMLESS, SETTING
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.functions import FUNCTIONS
from bridge.phpeval.php.runtime.class_table import ClassTable

BOOTS = {"boot", "booted", "booting"}

# What a class may do when it boots without any effect on reading: listening to writes.
_HARMLESS_BOOT = {
    "creating", "created", "updating", "updated", "saving", "saved", "deleting", "deleted", "restoring",
    "restored", "forcedeleting", "forcedeleted", "replicating", "trashed", "booting", "booted", "boot",
}  # fmt: skip
# What changes the reading of a model, whatever it is called on.
_HOOKS = {
    "retrieved", "observe", "addglobalscope", "addglobalscopes", "resolverelationusing", "listen",
    "registermodelevent", "call_user_func", "call_user_func_array", "forward_static_call",
    "forward_static_call_array",
}  # fmt: skip
# Functions, beside those of PHP that are known, that it may ask there; and what it may ask of what they give.
_ASKING = {
    "app", "auth", "class_exists", "class_uses_recursive", "config", "env", "get_called_class",
    "method_exists", "request",
}  # fmt: skip
_ASKED = {
    "bound", "check", "environment", "expectsjson", "filled", "get", "guest", "has", "hasuser", "id", "input",
    "is", "isproduction", "islocal", "routeis", "runninginconsole", "runningunittests", "user", "wantsjson",
}  # fmt: skip
_FACADES = {"App", "Auth", "Config", "Request"}
# Functions that call what they are given, or methods of it.
_TAKE_CALLABLES = {
    "array_diff_uassoc", "array_diff_ukey", "array_filter", "array_map", "array_reduce", "array_udiff",
    "array_udiff_assoc", "array_udiff_uassoc", "array_uintersect", "array_uintersect_assoc",
    "array_uintersect_uassoc", "array_intersect_uassoc", "array_intersect_ukey", "array_walk",
    "array_walk_recursive", "call_user_func", "call_user_func_array", "collect", "iterator_apply",
    "json_encode", "preg_replace_callback", "preg_replace_callback_array", "rescue", "retry", "tap",
    "transform", "uasort", "uksort", "usort", "value", "when", "with",
}  # fmt: skip


def global_scope(
    parts: list[n.ClassDeclaration], classes: ClassTable, traits: dict[str, n.ClassDeclaration]
) -> Refused | None:
    """Refused (raised) for hooks on reading, returned for global scopes, which only relations obey."""
    scope: Refused | None = None
    for part in parts:
        for attribute in part.attributes:
            short = attribute.rsplit("\\", 1)[-1]
            if short in ("ScopedBy",):
                scope = scope or Refused(f"{part.name} has a global scope", file=part.file, line=part.line)
            elif short == "ObservedBy" and _hears_no_reading(
                part.attribute_arguments.get(attribute), classes
            ):
                continue
            elif attribute.startswith("Illuminate\\") and attribute not in (*HARMLESS, *SETTING):
                raise Refused(f"{part.name} has the attribute {short}", file=part.file, line=part.line)
        for name, method in part.methods.items():
            of_trait = traits.get(name[4:]) if name.startswith("boot") else None
            is_run = name in BOOTS or of_trait or (part.kind == "trait" and name.startswith("boot"))
            if not is_run or method.abstract:
                continue
            if of_trait is not None and not of_trait.file:
                raise Refused(f"{part.name} overrides {method.name}()", file=part.file, line=method.line)
            own = {one.name for one in parts}
            effect = _effect(method, classes, own)
            if effect is not None:
                raise Refused(
                    f"{part.name}::{method.name}() does more than listen: {effect}",
                    file=part.file,
                    line=method.line,
                )
            for call, arguments in _calls(classes.body(method), own):
                called = call.lower()
                if called == "addglobalscope":
                    where = {"file": part.file, "line": method.line}
                    scope = scope or Refused(f"{part.name} has a global scope", **where)  # type: ignore[arg-type]
                elif called == "observe" and _hears_no_reading(arguments, classes):
                    continue
                elif called not in _HARMLESS_BOOT:
                    raise Refused(
                        f"{part.name}::{method.name}() calls {call}()", file=part.file, line=method.line
                    )
    return scope


def _calls(part: object, own: set[str]) -> Iterator[tuple[str, tuple[n.Argument, ...]]]:
    """Static calls that code makes of its own class (`own`: all its names), and hooks on reading by any other
    way, without those in listeners to writes."""
    if isinstance(part, tuple):
        for inner in part:
            yield from _calls(inner, own)
        return
    if not isinstance(part, n.Node):
        return
    listens = False
    if isinstance(part, n.StaticCall):
        name = part.name if isinstance(part.name, str) else "(a computed name)"
        mine = not isinstance(part.class_name, str) or part.class_name in ("self", "static", "parent", *own)
        listens = mine and name.lower() in _HARMLESS_BOOT
        if mine or name.lower() in _HOOKS:
            yield name, part.arguments
    elif isinstance(part, n.MethodCall | n.Call):
        called = part.name if isinstance(part, n.MethodCall) else part.function
        if isinstance(called, str) and called.lower() in _HOOKS:
            yield called, part.arguments
    for one in fields(part):
        inner = getattr(part, one.name)
        if listens and one.name == "arguments":
            inner = tuple(a for a in inner if not isinstance(a.value, n.Closure))
        yield from _calls(inner, own)


def _effect(method: n.Method, classes: ClassTable, own: set[str]) -> str | None:
    """What a boot method does, outside of its listeners, that may change more than this class."""
    try:
        return next(_effects(classes.body(method), own), None)
    except Refused:
        return "code that is not understood"


def _effects(part: object, own: set[str]) -> Iterator[str]:
    if isinstance(part, tuple):
        for inner in part:
            yield from _effects(inner, own)
    if not isinstance(part, n.Node) or isinstance(part, n.Closure):
        return
    match part:
        case n.StaticCall(class_name=str(name)) if name in ("self", "static", "parent", *own):
            # see `_calls`; what is made for them is theirs
            yield from _effects(tuple(a.value for a in part.arguments if not isinstance(a.value, n.New)), own)
            return
        case n.Call() | n.StaticCall() | n.MethodCall() if not _asks(part):
            called = part.function if isinstance(part, n.Call) else part.name
            yield f"{called}()" if isinstance(called, str) else "a computed name"
        case n.New():
            yield "new"
        case n.Assign(target=target) | n.AssignOperation(target=target) if _is_elsewhere(target):
            yield "an assignment"
        case n.Unset(targets=targets) if any(map(_is_elsewhere, targets)):
            yield "unset()"
        case n.Foreach() if any(_is_elsewhere(one) for one in (part.key, part.value) if one is not None):
            yield "foreach"
    for one in fields(part):
        yield from _effects(getattr(part, one.name), own)


def _asks(call: n.Call | n.StaticCall | n.MethodCall) -> bool:
    """Whether a call only asks something of PHP, the request, the user, the app or its configuration."""
    given = [argument.value for argument in call.arguments]
    match call:
        case n.Call(function="app"):
            return not given
        case n.Call(function="config"):
            return bool(given) and all(isinstance(one, n.Literal) for one in given)
        case n.Call(function=name):
            return name not in _TAKE_CALLABLES and (name in _ASKING or name in FUNCTIONS)
        case n.StaticCall(class_name=str(name), name=str(asked)):
            return name.rpartition("\\")[2] in _FACADES and asked.lower() in _ASKED
        case n.MethodCall(object=holder, name=str(asked)) if asked.lower() in _ASKED:
            while isinstance(holder, n.MethodCall | n.Property):
                holder = holder.object
            return isinstance(holder, n.Call | n.StaticCall) and _asks(holder)
    return False


def _is_elsewhere(target: n.Expression) -> bool:
    """Whether a write goes to anything but a variable or a static property: a variable may hold an object."""
    while isinstance(target, n.Index) and not isinstance(target.base, n.Variable):
        target = target.base
    return not isinstance(target, n.Variable | n.StaticProperty)


def _hears_no_reading(arguments: tuple[n.Argument, ...] | None, classes: ClassTable) -> bool:
    """Whether observers, named by their classes, do nothing when a model is read."""
    if arguments is None or len(arguments) != 1:
        return False
    given = arguments[0].value
    listed = [entry.value for entry in given.entries] if isinstance(given, n.ArrayLiteral) else [given]
    for one in listed:
        if isinstance(one, n.New) and isinstance(one.class_name, str):
            name = one.class_name
        elif isinstance(one, n.Literal) and isinstance(one.value, bytes):
            name = one.value.decode("utf-8", "replace").lstrip("\\")
        else:
            return False
        if classes.find(name) is None or classes.method(name, "retrieved") is not None:
            return False
    return True
