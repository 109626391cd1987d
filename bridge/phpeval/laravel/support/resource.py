"""API resources: JsonResource, collections of them, and what stands in their arrays until these are filtered.

`ResourceClass` is the Native of every resource class. An app's own methods are evaluated by `php`; what
stands here is what Laravel's base classes do around them. The request that `toArray` is given is that of the
worker's process, which only PHP has: all that it holds is refused.

Sources: Illuminate/Http/Resources/*, Illuminate/Http/Resources/Json/{JsonResource,ResourceCollection,
AnonymousResourceCollection}.php, 8.83 to 13.26.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.errors import Refused
from bridge.phpeval.laravel import object_conversions
from bridge.phpeval.laravel.inflection import snake
from bridge.phpeval.laravel.support import releases
from bridge.phpeval.laravel.support.arr import ARR, callback, items_of, public_call, value_of
from bridge.phpeval.laravel.support.collection_items import collection, release
from bridge.phpeval.laravel.support.json_forms import COLLECTIONS, MERGE, MISSING
from bridge.phpeval.laravel.support.native_class import Act, NativeClass, array, run, text
from bridge.phpeval.laravel.support.releases import require
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.runtime.interpreter import Frame, Interpreter, Native
from bridge.phpeval.php.runtime.object_model import construct
from bridge.phpeval.php.runtime.operators import Thrown, add, is_numeric, to_bool
from bridge.phpeval.php.runtime.properties import has_property, slot
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value

RESOURCE = "Illuminate\\Http\\Resources\\Json\\JsonResource"
RESOURCE_COLLECTION = "Illuminate\\Http\\Resources\\Json\\ResourceCollection"
ANONYMOUS = "Illuminate\\Http\\Resources\\Json\\AnonymousResourceCollection"
REQUEST = "Illuminate\\Http\\Request"
_POTENTIALLY_MISSING = "Illuminate\\Http\\Resources\\PotentiallyMissing"

_ABSENT = PhpObject(MISSING)  # what a `when…` gives where the caller names no other default
_NOTHING = PhpObject("")  # an argument that was not given, where null is another matter


# ---- what a resource is --------------------------------------------------------------------------------


def is_resource(php: Interpreter, value: Value) -> bool:
    """Whether it is an object of JsonResource's family."""
    return isinstance(value, PhpObject) and isinstance(
        php.environment.native(value.class_name), ResourceClass
    )


def _collects_others(php: Interpreter, subject: PhpObject) -> bool:
    return bool(php.classes.is_a(subject.class_name, RESOURCE_COLLECTION))


def _held(php: Interpreter, subject: PhpObject, act: Callable[[Value], Value]) -> Value:
    """`act` on `$this->resource` as JsonResource sees it: only public members can be reached."""
    held = subject.properties.get(b"resource")
    frame = Frame(php.frame.file, {}, subject, RESOURCE, subject.class_name)
    return php.inside(frame, lambda _: act(held))


def _forward(php: Interpreter, subject: PhpObject, method: str, arguments: Sequence[Value] = ()) -> Value:
    """`$this->resource->method(…)`."""

    def call(held: Value) -> Value:
        if held is None or isinstance(held, bool | int | float | bytes | PhpArray):
            raise Thrown("Error", f"Call to a member function {method}() on what is no object")
        if not isinstance(held, PhpObject):
            php.refuse(f"{method}() of what a resource holds")
        return public_call(php, held, method, arguments)

    return _held(php, subject, call)


def _read(php: Interpreter, subject: PhpObject, name: str) -> Value:
    """`$this->resource->name`."""
    return _held(php, subject, lambda held: php.read(held, name))


# ---- what stands in the array until it is filtered -----------------------------------------------------


def _merge_value(php: Interpreter, data: Value) -> PhpObject:
    """`new MergeValue($data)`."""
    if isinstance(data, PhpObject):
        if data.class_name in COLLECTIONS:
            data = items_of(php, data)
        elif php.is_a(data, "JsonSerializable"):
            data = php.call_method(data, "jsonSerialize")
    return PhpObject(MERGE, {b"data": data})


def _given(php: Interpreter, value: Value, *arguments: Value) -> Value:
    """`value($value, …)`."""
    return callback(php, value)(*arguments) if _is_closure(value) else value


def _is_closure(value: Value) -> bool:
    return isinstance(value, PhpObject) and value.class_name == "Closure"


def _when(
    php: Interpreter, subject: PhpObject, condition: Value, value: Value, default: Value = _ABSENT
) -> Value:
    return value_of(php, value if to_bool(condition) else default)


def _unless(
    php: Interpreter, subject: PhpObject, condition: Value, value: Value, default: Value = _ABSENT
) -> Value:
    return _when(php, subject, not to_bool(condition), value, default)


def _merge_when(
    php: Interpreter, subject: PhpObject, condition: Value, value: Value, default: Value = _ABSENT
) -> Value:
    if to_bool(condition):
        return _merge_value(php, value_of(php, value))
    if default is _ABSENT or release(php) < (10, 20):
        return _ABSENT
    return _merge_value(php, value_of(php, default))


def _merge_unless(
    php: Interpreter, subject: PhpObject, condition: Value, value: Value, default: Value = _ABSENT
) -> Value:
    return _merge_when(php, subject, not to_bool(condition), value, default)


def _attributes(php: Interpreter, subject: PhpObject, names: Value) -> Value:
    whole = _forward(php, subject, "toArray")
    return _merge_value(php, php.call_static(ARR, "only", (whole, names)))


def _when_has(
    php: Interpreter, subject: PhpObject, name: Value, value: Value = _NOTHING, default: Value = _ABSENT
) -> Value:
    key = text(php, name)
    if key not in array(php, _forward(php, subject, "getAttributes")):
        return value_of(php, default)
    found = _read(php, subject, key.decode("utf-8", "surrogateescape"))
    return found if value is _NOTHING else _given(php, value, found)


def _when_null(
    php: Interpreter, subject: PhpObject, value: Value, default: Value = _ABSENT, *, wanted: bool = True
) -> Value:
    return value_of(php, value if (value is None) is wanted else default)


def _when_appended(
    php: Interpreter, subject: PhpObject, name: Value, value: Value = _NOTHING, default: Value = _ABSENT
) -> Value:
    if not to_bool(_forward(php, subject, "hasAppended", (name,))):
        return value_of(php, default)
    if value is _NOTHING:
        return _read(php, subject, text(php, name).decode("utf-8", "surrogateescape"))
    return value_of(php, value)


def _when_loaded(
    php: Interpreter, subject: PhpObject, name: Value, value: Value = _NOTHING, default: Value = _ABSENT
) -> Value:
    if not to_bool(_forward(php, subject, "relationLoaded", (name,))):
        return value_of(php, default)
    loaded = _read(php, subject, text(php, name).decode("utf-8", "surrogateescape"))
    return loaded if value is _NOTHING else _of_loaded(php, value, loaded, gets_it=(10, 46))


def _of_loaded(php: Interpreter, value: Value, loaded: Value, *, gets_it: Version) -> Value:
    """What a `when…` makes of a value that is there; closures are given it from that release on."""
    if loaded is None:
        return None
    if value is None and release(php) >= (11, 20):
        return loaded
    return _given(php, value, loaded) if release(php) >= gets_it else value_of(php, value)


def _when_counted(
    php: Interpreter, subject: PhpObject, name: Value, value: Value = _NOTHING, default: Value = _ABSENT
) -> Value:
    counted = snake(text(php, name))
    key = counted if counted.endswith(b"_count") else counted + b"_count"
    attributes = array(php, _forward(php, subject, "getAttributes"))
    if key not in attributes:
        return value_of(php, default)
    if attributes[key] is None:
        php.refuse("whenCounted() of null, in which releases differ,")
    found = _read(php, subject, key.decode("utf-8", "surrogateescape"))
    return found if value is _NOTHING else _of_loaded(php, value, found, gets_it=(9, 21))


def _when_pivot(
    php: Interpreter, subject: PhpObject, table: Value, value: Value, default: Value = _ABSENT
) -> Value:
    return _when_pivot_as(php, subject, b"pivot", table, value, default)


def _when_pivot_as(
    php: Interpreter,
    subject: PhpObject,
    accessor: Value,
    table: Value,
    value: Value,
    default: Value = _ABSENT,
) -> Value:
    name = text(php, accessor)
    if not to_bool(_forward(php, subject, "relationLoaded", (name,))):
        if name in array(php, _forward(php, subject, "getAttributes")):
            php.refuse("whenPivotLoaded() of what is no relation")
        return value_of(php, default)
    pivot = _read(php, subject, name.decode())
    loaded = isinstance(pivot, PhpObject) and (
        bool(php.classes.is_a(pivot.class_name, text(php, table).decode().lstrip("\\")))
        or php.call_method(pivot, "getTable") == table
    )
    return value_of(php, value if loaded else default)


def _transform(
    php: Interpreter, subject: PhpObject, value: Value, act: Value, default: Value = _ABSENT
) -> Value:
    if not to_bool(php.call_function("blank", (value,))):
        return callback(php, act)(value)
    if isinstance(default, bytes | PhpArray):  # which may be callable
        php.refuse("this default of transform()")
    return _given(php, default, value)


# ---- from a resource to its array ----------------------------------------------------------------------


def _to_array(php: Interpreter, subject: PhpObject, request: Value) -> Value:
    """Laravel's own `toArray($request)`."""
    if not _collects_others(php, subject):
        held = subject.properties.get(b"resource")
        if held is None:
            return PhpArray()
        return held if isinstance(held, PhpArray) else _forward(php, subject, "toArray")
    items = items_of(php, subject.properties.get(b"collection"))
    first = next(iter(items.values()), None)
    method = "resolve" if release(php) >= (12, 45) and is_resource(php, first) else "toArray"
    result = PhpArray()
    for key, item in items.items():
        if not isinstance(item, PhpObject):
            raise Thrown("Error", f"Call to a member function {method}() on what is no object")
        result[key] = php.call_method(item, method, (request,))
    return result


def _resolve(php: Interpreter, subject: PhpObject, request: Value = None) -> PhpArray:
    given = request if request is not None else PhpObject(REQUEST)
    data = php.call_method(subject, "toArray", (given,))
    if isinstance(data, PhpObject):
        as_array = object_conversions.to_array(data, php)
        if as_array is not None:
            data = as_array
        elif data.class_name != "stdClass" and php.is_a(data, "JsonSerializable"):
            data = php.call_method(data, "jsonSerialize")
    return _filter(php, subject, php.to_array(data))


def _filter(php: Interpreter, subject: PhpObject, given: PhpArray) -> PhpArray:
    """`filter`: merged values in their places, missing ones taken out."""
    php.charge(len(given))
    data = given.copy()
    for index, (key, value) in enumerate(given.items()):
        if isinstance(value, PhpArray):
            data[key] = _filter(php, subject, value)
        elif isinstance(value, PhpObject) and value.class_name == MERGE and _is_number(key):
            return _merged(php, subject, data, index, array(php, value.properties.get(b"data")))
        elif is_resource(php, value) and value.properties.get(b"resource") is None:  # type: ignore[union-attr]
            data[key] = None
    return _without_missing(php, subject, data)


def _merged(php: Interpreter, subject: PhpObject, data: PhpArray, index: int, merge: PhpArray) -> PhpArray:
    """`mergeData`: what comes before, the merged entries, what comes after."""
    inner = _filter(php, subject, merge)
    entries = list(data.items())
    before, after = PhpArray(entries[:index]), PhpArray(entries[index + 1 :])
    if not merge.is_list:
        return _without_missing(
            php, subject, array(php, add(add(before, inner), _filter(php, subject, after)))
        )
    result = PhpArray()
    for part in (before, inner, _filter(php, subject, PhpArray.of(after.values()))):
        for key, value in part.items():  # as array_merge
            if isinstance(key, int):
                result.append(value)
            else:
                result[key] = value
    return _without_missing(php, subject, result)


def _without_missing(php: Interpreter, subject: PhpObject, data: PhpArray) -> PhpArray:
    kept = PhpArray((key, value) for key, value in data.items() if not _is_missing(php, value))
    if _is_marked(php, subject.class_name, "PreserveKeys") or _own_flag(php, subject, "preserveKeys"):
        return kept
    return PhpArray.of(kept.values()) if all(_is_number(key) for key in kept) else kept


def _is_missing(php: Interpreter, value: Value) -> bool:
    if is_resource(php, value):
        value = value.properties.get(b"resource")  # type: ignore[union-attr]
    if not isinstance(value, PhpObject) or value.class_name == MISSING:
        return isinstance(value, PhpObject)
    if php.declared(value) and php.classes.is_a(value.class_name, _POTENTIALLY_MISSING):
        php.refuse(f"{value.class_name}, which may be missing,")
    return False


def _is_number(key: int | bytes) -> bool:
    return isinstance(key, int) or is_numeric(key)


def _own_flag(php: Interpreter, subject: PhpObject, name: str) -> bool:
    """Whether a property of the resource itself is true."""
    bound = php.classes.properties(subject.class_name).get(name)
    if bound is not None and bound.declaration.visibility == "private":
        php.refuse(f"the private property ${name} of {subject.class_name}")
    place = name.encode() if bound is None else bound.mangled
    return subject.properties.get(place) is True


# ---- making --------------------------------------------------------------------------------------------


def _begin(php: Interpreter, subject: PhpObject, resource: Value, *more: Value) -> None:
    """Runs Laravel's own constructors."""
    subject.properties[b"resource"] = resource
    if not _collects_others(php, subject):
        return None
    if php.classes.is_a(subject.class_name, ANONYMOUS):
        if not more:
            raise Thrown("ArgumentCountError", "Too few arguments")
        subject.properties[b"collects"] = more[0]
    if isinstance(resource, PhpObject) and resource.class_name == MISSING:
        return None
    if resource is None:
        raise Thrown("Error", "Call to a member function first() on null")
    if isinstance(resource, PhpObject) and resource.class_name not in COLLECTIONS:
        php.refuse(f"a collection of resources from a {resource.class_name}")
    items = items_of(php, resource)
    php.charge(len(items))
    collects = _collects(php, subject)
    first = next(iter(items.values()), None)
    if collects and not (isinstance(first, PhpObject) and php.declared(first) and php.is_a(first, collects)):
        items = PhpArray((key, php.make(collects, (item, key))) for key, item in items.items())
    subject.properties[b"collection"] = subject.properties[b"resource"] = collection(items)
    return None


def _collects(php: Interpreter, subject: PhpObject) -> str | None:
    """The class of a collection's resources: `$collects`, else the class whose name it bears."""
    named = subject.properties.get(b"collects")
    if _is_marked(php, subject.class_name, "Collects"):
        named = _marked_class(php, subject.class_name)
    if isinstance(named, bytes) and named:
        name: str | None = named.decode("utf-8", "replace").lstrip("\\")
    elif named:
        php.refuse(f"$collects of {subject.class_name}")
    elif not subject.class_name.endswith("Collection"):
        return None
    else:
        stem = subject.class_name.removesuffix("Collection")
        found = (php.classes.find(one) for one in (stem, stem + "Resource") if not one.endswith("\\"))
        name = next((one.name for one in found if one is not None and one.kind == "class"), None)
    if name is not None and release(php) >= (9, 0):
        fits = php.classes.is_a(name, RESOURCE)
        if fits is None:
            php.refuse(f"a collection of {name}")
        if not fits:
            raise Thrown("LogicException", "Resource collections must collect instances of JsonResource")
    return name


_ATTRIBUTES = "Illuminate\\Http\\Resources\\Attributes\\"


def _is_marked(php: Interpreter, class_name: str, short: str) -> bool:
    """Whether the very class bears the attribute, from Laravel 13 on."""
    declared = php.classes.find(class_name)
    return declared is not None and _ATTRIBUTES + short in declared.attributes and release(php) >= (13, 0)


def _marked_class(php: Interpreter, class_name: str) -> Value:
    """What #[Collects] names."""
    declared = php.classes.require(class_name)
    given = declared.attribute_arguments.get(_ATTRIBUTES + "Collects", ())
    if len(given) != 1 or given[0].spread:
        php.refuse(f"#[Collects] of {class_name}")
    return php.constant_expression(given[0].value, class_name, declared.file)


def collected_by(php: Interpreter, class_name: str) -> str | None:
    """The class that a collection class makes its resources of; None for any other class."""
    if not php.classes.is_a(class_name, RESOURCE_COLLECTION) or class_name == ANONYMOUS:
        return None
    return _collects(php, php.instantiate(class_name))


def _collection(php: Interpreter, class_name: str, resource: Value) -> PhpObject:
    """`static::collection($resource)`."""
    made = php.instantiate(ANONYMOUS)
    _begin(php, made, resource, class_name.encode())
    declared = php.classes.properties(class_name).get("preserveKeys")
    if _is_marked(php, class_name, "PreserveKeys"):
        made.properties[b"preserveKeys"] = True
    elif declared is not None:
        if declared.declaration.visibility == "private" or declared.declaration.static:
            php.refuse(f"$preserveKeys of {class_name}")
        blank = php.make(class_name, (PhpArray(),))
        keeps = isinstance(blank, PhpObject) and _own_flag(php, blank, "preserveKeys")
        made.properties[b"preserveKeys"] = keeps
    return made


def _additional(php: Interpreter, subject: PhpObject, data: Value) -> PhpObject:
    """Read by HTTP responses only."""
    subject.properties[b"additional"] = array(php, data)
    return subject


def _offset_get(php: Interpreter, subject: PhpObject, key: Value) -> Value:
    return _held(php, subject, lambda held: php.offset(held, key))


def _offset_exists(php: Interpreter, subject: PhpObject, key: Value) -> Value:
    return _held(php, subject, lambda held: php.offset(held, key, silent=True) is not None)


METHODS: dict[str, Act] = {
    "toArray": _to_array,
    "resolve": _resolve,
    "jsonSerialize": lambda php, subject: _resolve(php, subject),
    "additional": _additional,
    "offsetGet": _offset_get,
    "offsetExists": _offset_exists,
    "unless": _unless,
    "whenHas": _when_has,
    "whenCounted": _when_counted,
}
PROTECTED: dict[str, Act] = {
    "when": _when,
    "merge": lambda php, subject, value: _merge_when(php, subject, True, value),
    "mergeWhen": _merge_when,
    "mergeUnless": _merge_unless,
    "attributes": _attributes,
    "whenNull": _when_null,
    "whenNotNull": lambda php, subject, value, default=_ABSENT: _when_null(
        php, subject, value, default, wanted=False
    ),
    "whenAppended": _when_appended,
    "whenLoaded": _when_loaded,
    "whenPivotLoaded": _when_pivot,
    "whenPivotLoadedAs": _when_pivot_as,
    "transform": _transform,
}
STATICS: dict[str, Act] = {
    "make": lambda php, class_name, *arguments: php.make(class_name, arguments),
    "collection": _collection,
}
# Methods of Laravel's own that are not known here: they are not those of what the resource holds.
_OTHERS = {
    "response", "toresponse", "tojson", "toprettyjson", "withresponse", "with", "jsonoptions",
    "getroutekeyname", "resolveroutebinding", "resolvechildroutebinding", "offsetset", "offsetunset",
    "__isset", "__unset",
    "__get", "__call", "__callstatic", "filter", "mergedata", "removemissingvalues", "toattributes",
    "resolveresourcedata", "resolverequestfromcontainer", "newcollection", "wrap", "withoutwrapping",
    "flushstate", "macro", "mixin", "hasmacro", "flushmacros", "macrocall", "forwardcallto",
    "forwarddecoratedcallto", "throwbadmethodcallexception", "collectresource", "collects", "getiterator",
    "preservequery", "withquery", "preparepaginatedresponse", "haspivotloaded", "haspivotloadedas",
    "preservekeys", "whenaggregated", "whenexistsloaded", "__set",
}  # fmt: skip
_KNOWN = {name.lower() for name in (*METHODS, *PROTECTED, *STATICS)}
# What an app's class may have of its own: the rest of Laravel's methods is as it is written here.
_EVALUATED = {"toarray", "make", "collection", "additional", "with", "withresponse", "jsonoptions"}


class ResourceClass:
    """A `bridge.phpeval.php.runtime.interpreter.Native` for all resources."""

    assignable = True  # properties that the app declares

    def construct(self, php: Interpreter, class_name: str, arguments: Sequence[Value]) -> Value:
        self.require_plain(php, class_name)
        if php.classes.require(class_name).abstract:
            raise Thrown("Error", f"Cannot instantiate abstract class {class_name}")
        made = php.instantiate(class_name)
        own = php.classes.method(class_name, "__construct")
        if own is not None:
            construct(php, own, made, arguments, {})
        else:
            self._begin(php, made, arguments)
        return made

    def call(self, php: Interpreter, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value:
        self.require_plain(php, subject.class_name)
        if method == "__construct":
            self._begin(php, subject, arguments)
            return None
        if method in STATICS:
            return self.static(php, subject.class_name, method, arguments)
        inside = php.runs_inside(subject)
        act = METHODS.get(method) or (PROTECTED.get(method) if inside else None)
        if act is not None:
            require(php, releases.RESOURCE, method, len(arguments), f"{subject.class_name}::{method}()")
            return run(php, act, f"{subject.class_name}::{method}()", subject, arguments)
        # `all` is also how a loop asks for entries, and a loop over a resource goes through its properties
        loops = method == "all" and not _collects_others(php, subject)
        if loops or method.lower() in _OTHERS | _KNOWN:
            php.refuse(f"the method {subject.class_name}::{method}()")
        return _forward(php, subject, method, arguments)

    def static(self, php: Interpreter, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        self.require_plain(php, class_name)
        act = STATICS.get(method)
        if act is None:
            php.refuse(f"the static method {class_name}::{method}()")
        return run(php, act, f"{class_name}::{method}()", class_name, arguments)

    @staticmethod
    def knows(method: str) -> bool:
        """Whether `call` may have an answer: its own, or that of what the resource holds."""
        return method.lower() not in _OTHERS

    def read(self, php: Interpreter, subject: PhpObject, name: str) -> Value:
        own = self._own(php, subject, name)
        return own[0] if own is not None else _read(php, subject, name)

    def has(self, php: Interpreter, subject: PhpObject, name: str) -> bool:
        """`isset($resource->name)`, and its `__isset`."""
        own = self._own(php, subject, name)
        if own is not None:
            return own[0] is not None

        def is_set(held: Value) -> Value:
            return isinstance(held, PhpObject | EnumCase) and has_property(php, held, name)

        return _held(php, subject, is_set) is True

    @staticmethod
    def _own(php: Interpreter, subject: PhpObject, name: str) -> tuple[Value] | None:
        """A property of the resource itself."""
        try:
            place = slot(php, subject, name)
        except Thrown:  # then PHP asks __get
            php.refuse(f"a property ${name} that the code may not reach")
        if place is None:
            return None
        if place not in subject.properties:
            php.refuse(f"the property ${name}, which was never set,")
        return (subject.properties[place],)

    @staticmethod
    def _begin(php: Interpreter, subject: PhpObject, arguments: Sequence[Value]) -> None:
        if not arguments:
            raise Thrown("ArgumentCountError", "Too few arguments to JsonResource::__construct()")
        _begin(php, subject, *arguments)

    @staticmethod
    def require_plain(php: Interpreter, class_name: str) -> None:
        """Raises Refused where the app's class has one of Laravel's methods of its own, which others call."""
        problem = php.classes.remember("resource", class_name, lambda: _unusual(php, class_name))
        if problem is not None:
            raise problem


def _unusual(php: Interpreter, class_name: str) -> Refused | None:
    for name in sorted((_OTHERS | _KNOWN) - _EVALUATED):
        bound = php.classes.method(class_name, name)
        if bound is not None:
            method = bound.method
            return Refused(f"{bound.owner} overrides {method.name}()", file=method.file, line=method.line)
    for part in php.classes.whole(class_name):
        if part.file and "attributes" in part.properties and release(php) >= (12, 45):
            line = part.properties["attributes"].line
            return Refused(f"{part.name} has $attributes", file=part.file, line=line)
    return None


RESOURCE_CLASSES: dict[str, Native] = {
    **dict.fromkeys((RESOURCE, RESOURCE_COLLECTION, ANONYMOUS), ResourceClass()),
    MISSING: NativeClass(methods={}, make=lambda php, name: PhpObject(MISSING)),
    MERGE: NativeClass(methods={}, make=lambda php, name, data: _merge_value(php, data)),
    REQUEST: NativeClass(methods={}, make=lambda php, name: PhpObject(REQUEST)),
}
