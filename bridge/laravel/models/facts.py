"""What a model's class says about it, worked out once a class, or why it cannot be known.

`ModelFacts.of` reads the whole chain: the app's classes and traits down to Laravel's Model. Whatever could
change how rows become models or arrays, and is not one of the ways written in this room, is refused.
Sources: Database/Eloquent/Model.php and Concerns/*, 8.83 to 13.26.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields

from bridge.errors import Refused
from bridge.laravel.framework import MODEL
from bridge.laravel.inflection import snake
from bridge.laravel.version import Version
from bridge.php import nodes as n
from bridge.php.classes import BoundMethod, ClassTable
from bridge.php.evaluate import Evaluator
from bridge.php.syntax import source_of

SOFT_DELETES = "Illuminate\\Database\\Eloquent\\SoftDeletes"
ATTRIBUTE = "Illuminate\\Database\\Eloquent\\Casts\\Attribute"
_UNIQUE_IDS = {
    "Illuminate\\Database\\Eloquent\\Concerns\\HasUuids",
    "Illuminate\\Database\\Eloquent\\Concerns\\HasUlids",
    "Illuminate\\Database\\Eloquent\\Concerns\\HasVersion4Uuids",
}

# Methods of Model that an app may override and that change what comes out; `toArray` and `serializeDate`
# are evaluated instead.
_OVERRIDES = {
    "__get", "__call", "__construct", "getattribute", "getattributes", "getattributevalue",
    "getattributefromarray", "attributestoarray", "relationstoarray", "getarrayableattributes",
    "getarrayableitems", "getarrayableappends", "getarrayablerelations", "gethidden", "getvisible",
    "getappends", "getcasts", "getcasttype", "castattribute", "getdates", "getdateformat", "asdatetime",
    "asdate", "asdecimal", "fromjson", "fromfloat", "fromencryptedstring", "mutateattribute",
    "mutateattributeforarray", "mutateattributemarkedattribute", "transformmodelvalue",
    "getmutatedattributes",
    "gettable", "getkeyname", "getkeytype", "getincrementing", "getkey", "getconnectionname", "newquery",
    "neweloquentbuilder", "newbasequerybuilder", "newquerywithoutscopes", "newqueryforrestoration",
    "newmodelquery", "newfrombuilder", "newinstance", "newcollection", "newpivot", "getrelationvalue",
    "getrelationshipfrommethod", "getrelation", "isrelation", "relationloaded", "jsonserialize", "tojson",
    "usestimestamps", "getcreatedatcolumn", "getupdatedatcolumn", "getforeignkey", "joiningtable",
    "getmorphclass", "newrelatedinstance", "broadcastchannel", "load", "loadmissing", "getqualifiedkeyname",
    "getdeletedatcolumn", "hascast", "hasgetmutator", "hasattributemutator", "isclasscastable",
    "setrawattributes",
}  # fmt: skip

# What a class may do when it boots without any effect on reading: listening to writes.
_HARMLESS_BOOT = {
    "creating", "created", "updating", "updated", "saving", "saved", "deleting", "deleted", "restoring",
    "restored", "forcedeleting", "forcedeleted", "replicating", "trashed", "booting", "booted", "boot",
}  # fmt: skip
_STATIC_CALL = re.compile(rb"\b(?:static|self|parent)\s*::\s*(\w+)\s*\(")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """accessors   attribute → (method, whether it returns an Attribute object)
    scope       why relations to this model cannot be read (a global scope), or None
    """

    class_name: str
    created_at: str
    updated_at: str
    soft_deletes: bool
    deleted_at: str
    unique_ids: bool
    snake_attributes: bool
    accessors: dict[str, tuple[str, bool]]
    overrides_to_array: bool
    overrides_serialize_date: bool
    scope: Refused | None

    @classmethod
    def of(cls, class_name: str, php: Evaluator, version: Version) -> ModelFacts:
        """The facts of a model class; Refused where its chain holds something that is not understood."""
        classes = php.classes
        parts = classes.whole(class_name)
        own = [part for part in parts if part.file]
        if not any(part.name == MODEL for part in parts):
            raise Refused(f"{class_name} is no Eloquent model")
        for part in own:
            for name, method in part.methods.items():
                if name in _OVERRIDES:
                    raise Refused(f"{part.name} overrides {method.name}()", file=part.file, line=method.line)
                if name.startswith("initialize") and part.kind == "trait":
                    raise Refused(f"{part.name} has {method.name}()", file=part.file, line=method.line)
            for name, declared in part.properties.items():
                if name == "dispatchesEvents" and _dispatches_when_read(declared.default):
                    raise Refused(f"{part.name} has $dispatchesEvents", file=part.file, line=declared.line)
        scope = _boot(own, classes)
        names = {part.name for part in parts}

        def constant(name: str, default: str) -> str:
            found = classes.constant(class_name, name)
            if found is None:
                return default
            value = php.constant_expression(found[0], found[1], classes.require(found[1]).file)
            return php.text(value).decode() if value is not None else ""

        snake_attributes = _snake_attributes(class_name, php)
        return cls(
            class_name=class_name,
            created_at=constant("CREATED_AT", "created_at"),
            updated_at=constant("UPDATED_AT", "updated_at"),
            soft_deletes=SOFT_DELETES in names,
            deleted_at=constant("DELETED_AT", "deleted_at"),
            unique_ids=bool(names & _UNIQUE_IDS),
            snake_attributes=snake_attributes,
            accessors=dict(_accessors(own, class_name, php, snake_attributes, version)),
            overrides_to_array=any("toarray" in part.methods for part in own),
            overrides_serialize_date=any("serializedate" in part.methods for part in own),
            scope=scope,
        )


def _dispatches_when_read(events: n.Expression | None) -> bool:
    """Whether `$dispatchesEvents` has `retrieved`, or something that cannot be told; other events come with
    writes."""
    if not isinstance(events, n.ArrayLiteral):
        return True
    keys = [entry.key.value if isinstance(entry.key, n.Literal) else None for entry in events.entries]
    return any(not isinstance(key, bytes) or key == b"retrieved" for key in keys)


def _snake_attributes(class_name: str, php: Evaluator) -> bool:
    bound = php.classes.properties(class_name).get("snakeAttributes")
    if bound is None or bound.declaration.default is None or not bound.declaration.static:
        return True
    default = php.constant_expression(bound.declaration.default, bound.owner, "")
    return default is not False


def _boot(parts: list[n.ClassDeclaration], classes: ClassTable) -> Refused | None:
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
            elif short not in ("UseFactory", "UsePolicy", "AllowDynamicProperties"):
                raise Refused(f"{part.name} has the attribute {short}", file=part.file, line=part.line)
        for name, method in part.methods.items():
            boots = name in ("boot", "booted", "booting") or (
                part.kind == "trait" and name.startswith("boot")
            )
            if not boots or method.abstract:
                continue
            for call, arguments in _boot_calls(method, classes):
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


def _boot_calls(method: n.Method, classes: ClassTable) -> Iterable[tuple[str, tuple[n.Argument, ...] | None]]:
    """Static calls that a boot method makes of its own class, without those in listeners to writes; where
    its code is not understood, everything that looks like one, without arguments."""
    try:
        body = classes.body(method)
    except Refused:
        return [(call.decode(), None) for call in _STATIC_CALL.findall(source_of(method))]
    return list(_calls(body))


def _calls(part: object) -> Iterable[tuple[str, tuple[n.Argument, ...]]]:
    if isinstance(part, tuple):
        for inner in part:
            yield from _calls(inner)
    elif isinstance(part, n.StaticCall) and part.class_name in ("self", "static", "parent"):
        yield part.name, part.arguments
        listens = part.name.lower() in _HARMLESS_BOOT
        for argument in part.arguments:
            if not (listens and isinstance(argument.value, n.Closure)):
                yield from _calls(argument)
    elif isinstance(part, n.Node):
        for one in fields(part):
            yield from _calls(getattr(part, one.name))


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


def _accessors(
    parts: list[n.ClassDeclaration], class_name: str, php: Evaluator, snaked: bool, version: Version
) -> Iterable[tuple[str, tuple[str, bool]]]:
    """Old style `getNameAttribute`, then methods that return an Attribute (8.77 and later)."""
    methods: dict[str, BoundMethod] = {}
    for part in parts:
        for name in part.methods:
            bound = php.classes.method(class_name, name)
            if bound is not None:
                methods[name] = bound
    for bound in methods.values():
        match = re.fullmatch(r"get(.+)Attribute", bound.method.name)
        if match:
            yield _key(match[1], snaked), (bound.method.name, False)
    for bound in methods.values():
        returns = bound.method.returns
        if returns is not None and returns.names == (ATTRIBUTE,) and version >= (8, 77):
            yield _key(bound.method.name, snaked), (bound.method.name, True)


def _key(name: str, snaked: bool) -> str:
    text = snake(name.encode()).decode() if snaked else name
    return text[:1].lower() + text[1:]
