"""What a model's class says about it, worked out once a class, or why it cannot be known.

`ModelFacts.of` reads the whole chain: the app's classes and traits down to Laravel's Model. Whatever could
change how rows become models or arrays, and is not one of the ways written in this room, is refused.
Sources: Database/Eloquent/Model.php and Concerns/*, 8.83 to 13.26.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from bridge.errors import Refused
from bridge.phpeval.laravel.eloquent.boot_methods import BOOTS, global_scope
from bridge.phpeval.laravel.framework_classes import MODEL, TRAIT_METHODS
from bridge.phpeval.laravel.inflection import snake
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.class_table import BoundMethod, ClassTable
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.values import Value

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
    "getmorphclass", "newrelatedinstance", "load", "loadmissing", "getqualifiedkeyname",
    "getdeletedatcolumn", "hascast", "hasgetmutator", "hasattributemutator", "isclasscastable",
    "setrawattributes",
    "__isset", "__callstatic", "__wakeup", "offsetget", "offsetexists", "initializetraits",
    "bootifnotbooted", "boottraits", "firemodelevent", "firecustommodelevent", "getconnection",
    "setconnection", "resolveconnection", "qualifycolumn", "registerglobalscopes", "getglobalscopes",
    "addglobalscope", "adddateattributestoarray", "addmutatedattributestoarray", "addcastattributestoarray",
    "cachemutatedattributes", "getmutatormethods", "getattributemarkedmutatormethods", "mergecasts",
    "hasanygetmutator", "hasattributegetmutator", "mergeattributesfromcachedcasts", "astimestamp",
    "mergeattributesfromclasscasts", "mergeattributesfromattributecasts", "fromdatetime", "isdateattribute",
    "isdatecastable", "isdatecastablewithcustomformat", "iscustomdatetimecast", "isstandarddateformat",
    "isimmutablecustomdatetimecast", "isjsoncastable", "isencryptedcastable", "isenumcastable",
    "isclassserializable", "isdecimalcast", "resolvecasterclass", "parsecasterclass",
    "serializeclasscastableattribute", "getclasscastableattributevalue",
    "getenumcastableattributevalue", "syncoriginal", "getrelations",
    "setrelation", "setrelations", "newbelongsto", "newhasone", "newhasmany", "newmorphone", "newmorphmany",
    "newmorphto", "newbelongstomany", "newhasonethrough", "newhasmanythrough",
    "getactualclassnameformorph", "joiningtablesegment", "getmorphs",
    "getdirty", "haschanges", "uniqueids",
    "hasnamedscope", "callnamedscope", "isscopemethodwithattribute",
    "relationresolver", "newcollectionfromattribute", "resolvecollectionfromattribute",
}  # fmt: skip

# Of these, one that gives a literal is a setting like any other.
_SAID = ("getincrementing", "getkeyname", "getkeytype", "gettable", "uniqueids")

_BOOT_MARKS = {"Boot", "Initialize"}  # attributes of methods, from Laravel 12 on
# Static properties by which a class chooses its query builder or collection.
_CHOICES = {"builder", "collectionClass"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """accessors   attribute → (method, whether it returns an Attribute object)
    scope       why relations to this model cannot be read (a global scope), or None
    stated      what methods of _SAID give that the class has of its own
    trait_methods  of Laravel's own traits, in lower case: no attributes, whatever a row has
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
    trait_methods: frozenset[str]
    stated: dict[str, Value]

    @classmethod
    def of(cls, class_name: str, php: Interpreter, version: Version, *, snaked: bool = True) -> ModelFacts:
        """The facts of a model class; Refused where its chain holds something that is not understood.

        `snaked`: `Model::$snakeAttributes`, which counts where the class has none of its own."""
        classes = php.classes
        parts = classes.whole(class_name)
        own = [part for part in parts if part.file]
        if not any(part.name == MODEL for part in parts):
            raise Refused(f"{class_name} is no Eloquent model")
        said: dict[str, Value] = {}
        for name in sorted(_OVERRIDES):  # also under the alias of a trait's method
            bound = classes.method(class_name, name)
            if bound is not None:
                if name in _SAID and (given := _literal(bound, classes)) is not None:
                    said[name] = php.constant_expression(given, bound.owner, bound.method.file)
                    continue
                if name == "__construct" and _only_calls_parent(bound, classes):
                    continue
                method = bound.method
                known = method.name if method.name.lower() == name else name
                raise Refused(f"{bound.owner} overrides {known}()", file=method.file, line=method.line)
        traits = {_short(part): part for part in parts if part.kind == "trait"}
        for part in own:
            _refuse_what_runs_at_boot(part, traits)
        scope = global_scope(own, classes, traits)
        names = {part.name for part in parts}

        def constant(name: str, default: str) -> str:
            found = classes.constant(class_name, name)
            if found is None:
                return default
            value = php.constant_expression(found[0], found[1], classes.require(found[1]).file)
            return php.text(value).decode() if value is not None else ""

        snake_attributes = _snake_attributes(class_name, php, default=snaked)
        return cls(
            class_name=class_name,
            created_at=constant("CREATED_AT", "created_at"),
            updated_at=constant("UPDATED_AT", "updated_at"),
            soft_deletes=SOFT_DELETES in names,
            deleted_at=constant("DELETED_AT", "deleted_at"),
            unique_ids=bool(names & _UNIQUE_IDS),
            snake_attributes=snake_attributes,
            accessors=dict(_accessors(own, class_name, php, snake_attributes, version)),
            overrides_to_array=classes.method(class_name, "toArray") is not None,
            overrides_serialize_date=classes.method(class_name, "serializeDate") is not None,
            scope=scope,
            stated=said,
            trait_methods=frozenset().union(*(TRAIT_METHODS.get(name, ()) for name in names)),
        )


def _refuse_what_runs_at_boot(part: n.ClassDeclaration, traits: Collection[str]) -> None:
    """Refused where a model's own code runs when it is booted or made, or when it is read."""
    for name, method in part.methods.items():
        marks = {attribute.rsplit("\\", 1)[-1] for attribute in method.attributes} & _BOOT_MARKS
        if marks:
            raise Refused(
                f"{part.name}::{method.name}() has #[{min(marks)}]", file=part.file, line=method.line
            )
        if name.startswith("initialize") and (part.kind == "trait" or name[10:] in traits):
            raise Refused(f"{part.name} has {method.name}()", file=part.file, line=method.line)
    for alias in _aliases(part):
        if alias.lower() in BOOTS or alias.lower().startswith(("boot", "initialize")):
            raise Refused(f"{part.name} has {alias}()", file=part.file, line=part.line)
    for name, declared in part.properties.items():
        if name in _CHOICES and declared.static:
            raise Refused(f"{part.name} has ${name}", file=part.file, line=declared.line)
        if name == "dispatchesEvents" and _dispatches_when_read(declared.default):
            raise Refused(f"{part.name} has $dispatchesEvents", file=part.file, line=declared.line)


def _body(bound: BoundMethod, classes: ClassTable) -> tuple[n.Statement, ...]:
    """The method's code; empty where it is not understood."""
    try:
        return tuple(classes.body(bound.method))
    except Refused:
        return ()


def _literal(bound: BoundMethod, classes: ClassTable) -> n.Expression | None:
    """What the method gives, if it is a literal."""
    match _body(bound, classes):
        case (n.Return(value=n.Literal() as given),):
            return given
        case (n.Return(value=n.ArrayLiteral(entries=entries) as listed),) if all(
            isinstance(entry.value, n.Literal) and entry.key is None for entry in entries
        ):
            return listed
    return None


def _only_calls_parent(constructor: BoundMethod, classes: ClassTable) -> bool:
    """Whether the constructor hands on what it is given, and does nothing else."""
    match _body(constructor, classes):
        case (n.Evaluate(expression=n.StaticCall(class_name="parent", name=str(name), arguments=given)),):
            return name.lower() == "__construct" and all(isinstance(one.value, n.Variable) for one in given)
    return False


def _short(part: n.ClassDeclaration) -> str:
    return part.name.rsplit("\\", 1)[-1].lower()


def _aliases(part: n.ClassDeclaration) -> Iterable[str]:
    """New names that a class gives to methods of its traits."""
    return (alias for use in part.traits for *_, alias in use.aliases if alias is not None)


def _dispatches_when_read(events: n.Expression | None) -> bool:
    """Whether `$dispatchesEvents` has `retrieved`, or something that cannot be told; other events come with
    writes."""
    if not isinstance(events, n.ArrayLiteral):
        return True
    keys = [entry.key.value if isinstance(entry.key, n.Literal) else None for entry in events.entries]
    return any(not isinstance(key, bytes) or key == b"retrieved" for key in keys)


def _snake_attributes(class_name: str, php: Interpreter, *, default: bool) -> bool:
    bound = php.classes.properties(class_name).get("snakeAttributes")
    if bound is None or bound.declaration.default is None or not bound.declaration.static:
        return default
    return php.constant_expression(bound.declaration.default, bound.owner, "") is not False


def _accessors(
    parts: list[n.ClassDeclaration], class_name: str, php: Interpreter, snaked: bool, version: Version
) -> Iterable[tuple[str, tuple[str, bool]]]:
    """Old style `getNameAttribute`, then methods that return an Attribute (8.77 and later)."""
    methods: dict[str, BoundMethod] = {}
    for part in parts:
        for name in (*(method.name for method in part.methods.values()), *_aliases(part)):
            bound = php.classes.method(class_name, name)
            if bound is not None:
                methods[name] = bound
    for name, bound in methods.items():
        match = re.fullmatch(r"get(.+)Attribute", name)
        if match:
            _require_reachable(bound)
            yield _key(match[1], snaked), (name, False)
    for name, bound in methods.items():
        if gives_attribute(bound) and version >= (8, 77):
            _require_reachable(bound)
            yield _key(name, snaked), (name, True)


def _require_reachable(accessor: BoundMethod) -> None:
    method = accessor.method
    if method.visibility == "private":  # Model itself calls it
        raise Refused(f"{accessor.owner}::{method.name}() is private", file=method.file, line=method.line)


def gives_attribute(bound: BoundMethod) -> bool:
    """Whether the method declares that it returns an Attribute, null allowed: only then Laravel asks it."""
    returns = bound.method.returns
    return returns is not None and set(returns.names or ()) - {"null"} == {ATTRIBUTE}


def _key(name: str, snaked: bool) -> str:
    text = snake(name.encode()).decode() if snaked else name
    return text[:1].lower() + text[1:]
