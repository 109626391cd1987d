"""Laravel's own classes, as far as app code builds on them: what they declare, by release.

Used where the framework's source is not at hand, and for speed. Only declarations stand here (interfaces,
traits with their properties, base classes); behaviour in Python is in `support`. One row a
class: a new one is one entry. Facts: laravel/framework 8.83 to 13.26, each named file's declarations.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.values import PhpArray, Value

BROADCAST = "Illuminate\\Contracts\\Broadcasting\\"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Property:
    name: str
    default: Value = None
    visibility: str = "public"
    since: Version = (5, 0)
    before: Version = (99, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Class:
    kind: str = "class"
    parent: str | None = None
    interfaces: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    properties: tuple[_Property, ...] = ()
    before: Version = (99, 0)  # not there from this release on


# In the order of 11.x and later; 10.x and earlier declare the chain's settings before the delay.
_QUEUEABLE = (
    _Property(name="connection"),
    _Property(name="queue"),
    _Property(name="chainConnection", before=(11, 0)),
    _Property(name="chainQueue", before=(11, 0)),
    _Property(name="chainCatchCallbacks", since=(8, 0), before=(11, 0)),
    _Property(name="messageGroup", since=(12, 28)),
    _Property(name="deduplicator", since=(12, 32)),
    _Property(name="debounceOwner", default=b"", since=(13, 6)),
    _Property(name="uniqueLockOwner", default=b"", since=(13, 24)),
    _Property(name="delay"),
    _Property(name="afterCommit", since=(8, 19)),
    _Property(name="middleware", default=PhpArray()),
    _Property(name="chained", default=PhpArray()),
    _Property(name="chainConnection", since=(11, 0)),
    _Property(name="chainQueue", since=(11, 0)),
    _Property(name="chainCatchCallbacks", since=(11, 0)),
)

# Properties of Model and its concerns that say how a model is read; `casts()` and traits add to them.
_MODEL = (
    *(_Property(name=name, visibility="protected") for name in ("connection", "table", "dateFormat")),
    _Property(name="primaryKey", default=b"id", visibility="protected"),
    _Property(name="keyType", default=b"int", visibility="protected"),
    *(
        _Property(name=name, default=PhpArray(), visibility="protected")
        for name in (
            "with", "withCount", "attributes", "original", "changes", "previous", "casts", "classCastCache",
            "attributeCastCache", "dates", "appends", "dispatchesEvents", "observables", "relations",
            "touches", "hidden", "visible", "fillable",
        )
    ),
    _Property(name="guarded", default=PhpArray.of([b"*"]), visibility="protected"),
    _Property(name="perPage", default=15, visibility="protected"),
    _Property(name="relationAutoloadCallback", visibility="protected"),
    _Property(name="relationAutoloadContext", visibility="protected"),
    _Property(name="escapeWhenCastingToString", default=False, visibility="protected"),
    _Property(name="incrementing", default=True),
    _Property(name="preventsLazyLoading", default=False),
    _Property(name="exists", default=False),
    _Property(name="wasRecentlyCreated", default=False),
    _Property(name="timestamps", default=True),
    _Property(name="usesUniqueIds", default=False),
)  # fmt: skip

MODEL = "Illuminate\\Database\\Eloquent\\Model"
_HTTP = "Illuminate\\Http\\"
_ELOQUENT = "Illuminate\\Database\\Eloquent\\"

_TABLE: dict[str, _Class] = {
    BROADCAST + "ShouldBroadcast": _Class(kind="interface"),
    BROADCAST + "ShouldBroadcastNow": _Class(kind="interface", interfaces=(BROADCAST + "ShouldBroadcast",)),
    BROADCAST + "ShouldBeUnique": _Class(kind="interface"),
    BROADCAST + "ShouldRescue": _Class(kind="interface"),
    BROADCAST + "HasBroadcastChannel": _Class(kind="interface"),
    "Illuminate\\Contracts\\Queue\\ShouldQueue": _Class(kind="interface"),
    "Illuminate\\Contracts\\Queue\\ShouldBeUnique": _Class(kind="interface"),
    "Illuminate\\Contracts\\Queue\\ShouldBeUniqueUntilProcessing": _Class(kind="interface"),
    "Illuminate\\Contracts\\Queue\\ShouldBeEncrypted": _Class(kind="interface"),
    "Illuminate\\Contracts\\Queue\\ShouldQueueAfterCommit": _Class(kind="interface"),
    "Illuminate\\Contracts\\Events\\ShouldDispatchAfterCommit": _Class(kind="interface"),
    "Illuminate\\Contracts\\Events\\ShouldHandleEventsAfterCommit": _Class(kind="interface"),
    "Illuminate\\Contracts\\Support\\Arrayable": _Class(kind="interface"),
    "Illuminate\\Contracts\\Support\\Jsonable": _Class(kind="interface"),
    "Illuminate\\Contracts\\Support\\Htmlable": _Class(kind="interface"),
    "JsonSerializable": _Class(kind="interface"),
    "Stringable": _Class(kind="interface"),
    "Countable": _Class(kind="interface"),
    "Traversable": _Class(kind="interface"),
    "Iterator": _Class(kind="interface", interfaces=("Traversable",)),
    "IteratorAggregate": _Class(kind="interface", interfaces=("Traversable",)),
    "ArrayAccess": _Class(kind="interface"),
    "Serializable": _Class(kind="interface"),
    "UnitEnum": _Class(kind="interface"),
    "BackedEnum": _Class(kind="interface", interfaces=("UnitEnum",)),
    "Throwable": _Class(kind="interface", interfaces=("Stringable",)),
    "stdClass": _Class(),
    "DateTimeInterface": _Class(kind="interface"),
    "DateTime": _Class(interfaces=("DateTimeInterface",)),
    "DateTimeImmutable": _Class(interfaces=("DateTimeInterface",)),
    "Carbon\\CarbonInterface": _Class(
        kind="interface", interfaces=("DateTimeInterface", "JsonSerializable", "Stringable")
    ),
    "Carbon\\Carbon": _Class(parent="DateTime", interfaces=("Carbon\\CarbonInterface",)),
    "Carbon\\CarbonImmutable": _Class(parent="DateTimeImmutable", interfaces=("Carbon\\CarbonInterface",)),
    "Illuminate\\Support\\Carbon": _Class(parent="Carbon\\Carbon"),
    "Illuminate\\Foundation\\Events\\Dispatchable": _Class(kind="trait"),
    "Illuminate\\Foundation\\Bus\\Dispatchable": _Class(kind="trait"),
    "Illuminate\\Broadcasting\\InteractsWithSockets": _Class(
        kind="trait", properties=(_Property(name="socket"),)
    ),
    "Illuminate\\Broadcasting\\InteractsWithBroadcasting": _Class(
        kind="trait",
        properties=(
            _Property(name="broadcastConnection", default=PhpArray.of([None]), visibility="protected"),
        ),
    ),
    "Illuminate\\Queue\\SerializesModels": _Class(kind="trait"),
    "Illuminate\\Queue\\InteractsWithQueue": _Class(
        kind="trait", properties=(_Property(name="job", visibility="protected"),), before=(8, 0)
    ),
    "Illuminate\\Bus\\Queueable": _Class(kind="trait", properties=_QUEUEABLE),
    "Illuminate\\Notifications\\Notification": _Class(
        traits=("Illuminate\\Queue\\SerializesModels",),
        properties=(_Property(name="id"), _Property(name="locale")),
    ),
    "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated": _Class(
        traits=("Illuminate\\Bus\\Queueable", "Illuminate\\Queue\\SerializesModels"),
        properties=(
            _Property(name="notifiable"),
            _Property(name="notification"),
            _Property(name="data", default=PhpArray()),
        ),
    ),
    "Illuminate\\Database\\Eloquent\\BroadcastableModelEventOccurred": _Class(
        traits=(
            "Illuminate\\Broadcasting\\InteractsWithSockets",
            "Illuminate\\Queue\\SerializesModels",
        ),
        properties=(
            _Property(name="model"),
            _Property(name="event", visibility="protected"),
            _Property(name="channels", default=PhpArray(), visibility="protected"),
            _Property(name="connection"),
            _Property(name="queue"),
            _Property(name="afterCommit", since=(9, 45)),
        ),
    ),
    "Illuminate\\Broadcasting\\AnonymousEvent": _Class(
        traits=(
            "Illuminate\\Foundation\\Events\\Dispatchable",
            "Illuminate\\Broadcasting\\InteractsWithBroadcasting",
            "Illuminate\\Broadcasting\\InteractsWithSockets",
        ),
        properties=(
            _Property(name="connection", visibility="protected"),
            _Property(name="name", visibility="protected"),
            _Property(name="payload", default=PhpArray(), visibility="protected"),
            _Property(name="includeCurrentUser", default=True, visibility="protected"),
            _Property(name="shouldBroadcastNow", default=False, visibility="protected"),
            _Property(name="channels", default=PhpArray(), visibility="protected"),
        ),
    ),
    "Illuminate\\Broadcasting\\BroadcastEvent": _Class(
        interfaces=("Illuminate\\Contracts\\Queue\\ShouldQueue",),
        traits=("Illuminate\\Bus\\Queueable",),
        properties=(_Property(name="event"), _Property(name="tries"), _Property(name="timeout")),
    ),
    _ELOQUENT + "Model": _Class(
        interfaces=(
            BROADCAST + "HasBroadcastChannel",
            "Illuminate\\Contracts\\Support\\Arrayable",
            "Illuminate\\Contracts\\Support\\Jsonable",
            "ArrayAccess",
            "JsonSerializable",
        ),
        properties=_MODEL,
    ),
    "Illuminate\\Foundation\\Auth\\User": _Class(parent=_ELOQUENT + "Model"),
    _ELOQUENT + "Relations\\Pivot": _Class(
        parent=_ELOQUENT + "Model",
        properties=(
            _Property(name="incrementing", default=False),
            _Property(name="guarded", default=PhpArray(), visibility="protected"),
            _Property(name="pivotParent"),
            _Property(name="pivotRelated"),
            _Property(name="foreignKey", visibility="protected"),
            _Property(name="relatedKey", visibility="protected"),
        ),
    ),
    # Traits without effect on how a model is read, or with one that `phpeval.laravel.eloquent.facts` knows
    **dict.fromkeys(
        (
            _ELOQUENT + "SoftDeletes",
            _ELOQUENT + "BroadcastsEvents",
            _ELOQUENT + "BroadcastsEventsAfterCommit",
            _ELOQUENT + "Factories\\HasFactory",
            _ELOQUENT + "Prunable",
            _ELOQUENT + "MassPrunable",
            _ELOQUENT + "Concerns\\HasUuids",
            _ELOQUENT + "Concerns\\HasUlids",
            _ELOQUENT + "Concerns\\HasVersion4Uuids",
            "Illuminate\\Notifications\\Notifiable",
            "Illuminate\\Auth\\Authenticatable",
            "Illuminate\\Auth\\MustVerifyEmail",
            "Illuminate\\Auth\\Passwords\\CanResetPassword",
            "Illuminate\\Foundation\\Auth\\Access\\Authorizable",
            "Laravel\\Sanctum\\HasApiTokens",
            "Laravel\\Passport\\HasApiTokens",
            "Laravel\\Fortify\\TwoFactorAuthenticatable",
        ),
        _Class(kind="trait"),
    ),
    # An unread parent, as an interface: what else it is, is not known
    _HTTP + "Request": _Class(interfaces=("Symfony\\Component\\HttpFoundation\\Request",)),
    "Illuminate\\Contracts\\Support\\Responsable": _Class(kind="interface"),
    "Illuminate\\Contracts\\Routing\\UrlRoutable": _Class(kind="interface"),
    **dict.fromkeys(
        (
            "Illuminate\\Contracts\\Database\\Eloquent\\" + name
            for name in (
                "Castable",
                "CastsAttributes",
                "CastsInboundAttributes",
                "ComparesCastableAttributes",
                "DeviatesCastableAttributes",
                "SerializesCastableAttributes",
            )
        ),
        _Class(kind="interface"),
    ),
    _HTTP + "Resources\\PotentiallyMissing": _Class(kind="interface"),
    _HTTP + "Resources\\MissingValue": _Class(interfaces=(_HTTP + "Resources\\PotentiallyMissing",)),
    _HTTP + "Resources\\MergeValue": _Class(properties=(_Property(name="data"),)),
    _HTTP + "Resources\\Json\\JsonResource": _Class(
        interfaces=(
            "ArrayAccess",
            "JsonSerializable",
            "Illuminate\\Contracts\\Support\\Responsable",
            "Illuminate\\Contracts\\Routing\\UrlRoutable",
        ),
        properties=(
            _Property(name="resource"),
            _Property(name="with", default=PhpArray()),
            _Property(name="additional", default=PhpArray()),
        ),
    ),
    _HTTP + "Resources\\Json\\ResourceCollection": _Class(
        parent=_HTTP + "Resources\\Json\\JsonResource",
        interfaces=("Countable", "IteratorAggregate"),
        properties=(
            _Property(name="collects"),
            _Property(name="collection"),
            _Property(name="preserveAllQueryParameters", default=False, visibility="protected"),
            _Property(name="queryParameters", visibility="protected"),
        ),
    ),
    _HTTP + "Resources\\Json\\AnonymousResourceCollection": _Class(
        parent=_HTTP + "Resources\\Json\\ResourceCollection",
        properties=(_Property(name="preserveKeys", default=False, since=(9, 45)),),
    ),
    "Illuminate\\Broadcasting\\Channel": _Class(properties=(_Property(name="name"),)),
    "Illuminate\\Broadcasting\\PrivateChannel": _Class(parent="Illuminate\\Broadcasting\\Channel"),
    "Illuminate\\Broadcasting\\PresenceChannel": _Class(parent="Illuminate\\Broadcasting\\Channel"),
    "Illuminate\\Broadcasting\\EncryptedPrivateChannel": _Class(parent="Illuminate\\Broadcasting\\Channel"),
}

EXCEPTIONS = {
    "Exception": None, "Error": None, "ErrorException": "Exception", "TypeError": "Error",
    "ValueError": "Error",
    "ArithmeticError": "Error", "DivisionByZeroError": "ArithmeticError", "ArgumentCountError": "TypeError",
    "UnhandledMatchError": "Error", "LogicException": "Exception", "RuntimeException": "Exception",
    "InvalidArgumentException": "LogicException", "DomainException": "LogicException",
    "LengthException": "LogicException", "OutOfRangeException": "LogicException",
    "BadFunctionCallException": "LogicException", "BadMethodCallException": "BadFunctionCallException",
    "OutOfBoundsException": "RuntimeException", "OverflowException": "RuntimeException",
    "RangeException": "RuntimeException", "UnderflowException": "RuntimeException",
    "UnexpectedValueException": "RuntimeException", "JsonException": "Exception",
}  # fmt: skip
for _name, _parent in EXCEPTIONS.items():
    _TABLE[_name] = _Class(
        parent=_parent,
        interfaces=() if _parent else ("Throwable",),
        properties=()
        if _parent
        else (
            _Property(name="message", default=b"", visibility="protected"),
            _Property(name="code", default=0, visibility="protected"),
            _Property(name="previous", visibility="private"),
        ),
    )

# Constants of those classes, as `Class::NAME`.
MODEL_CONSTANTS: dict[str, Value] = {
    f"{MODEL}::CREATED_AT": b"created_at",
    f"{MODEL}::UPDATED_AT": b"updated_at",
}

# Traits whose serialization the resolver knows: it restores models as they do.
SERIALIZES_MODELS = "Illuminate\\Queue\\SerializesModels"


# Methods of these traits, in lower case: read as a property of a model, one gives a relation or is an error.
TRAIT_METHODS: dict[str, frozenset[str]] = {
    "Illuminate\\Notifications\\Notifiable": frozenset(
        {"notifications", "readnotifications", "unreadnotifications", "notify", "notifynow"}
        | {"routenotificationfor"}
    ),
    _ELOQUENT + "SoftDeletes": frozenset(
        {"forcedelete", "forcedeletequietly", "forcedestroy", "restore", "restorequietly", "trashed"}
        | {"isforcedeleting", "performdeleteonmodel", "runsoftdelete"}
    ),
    _ELOQUENT + "BroadcastsEvents": frozenset({"broadcastcreated", "broadcastupdated", "broadcastdeleted"}),
    _ELOQUENT + "Prunable": frozenset({"prunable", "pruneall", "prune", "pruning"}),
    _ELOQUENT + "MassPrunable": frozenset({"prunable", "pruneall"}),
    _ELOQUENT + "Factories\\HasFactory": frozenset({"factory", "newfactory"}),
    "Illuminate\\Foundation\\Auth\\Access\\Authorizable": frozenset({"can", "canany", "cant", "cannot"}),
    "Laravel\\Sanctum\\HasApiTokens": frozenset(
        {"tokens", "tokencan", "tokencant", "createtoken", "currentaccesstoken", "withaccesstoken"}
    ),
    "Laravel\\Passport\\HasApiTokens": frozenset(
        {"clients", "oauthapps", "tokens", "token", "tokencan", "tokencant", "createtoken"}
        | {"currentaccesstoken", "withaccesstoken"}
    ),
    "Laravel\\Fortify\\TwoFactorAuthenticatable": frozenset(
        {"recoverycodes", "replacerecoverycode", "twofactorqrcodesvg", "twofactorqrcodeurl"}
        | {"hasenabledtwofactorauthentication"}
    ),
}


def is_known(class_name: str) -> bool:
    """Whether the table has the class in some release."""
    return class_name in _TABLE


def framework_class(class_name: str, version: Version) -> n.ClassDeclaration | None:
    """The declaration of one of Laravel's (or PHP's) own classes in that release, None if it has no row."""
    row = _TABLE.get(class_name)
    if row is None or version >= row.before:
        return None
    return n.ClassDeclaration(
        name=class_name,
        kind=row.kind,
        file="",
        parent=row.parent,
        interfaces=row.interfaces,
        traits=tuple(n.TraitUse(names=(trait,)) for trait in row.traits),
        constants={},
        cases={},
        properties={
            p.name: n.PropertyDeclaration(
                name=p.name, visibility=p.visibility, default=n.Literal(value=p.default)
            )
            for p in row.properties
            if p.since <= version < p.before
        },
        methods={},
    )
