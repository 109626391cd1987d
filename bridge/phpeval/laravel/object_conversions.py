"""Objects of a payload: restored as PHP's unserialize would, and as JSON.

An object that comes out of a payload holds only what was written: defaults of its class are missing, and
models stand as identifiers. `restore` mends that, in place, for every object at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.errors import Refused, WouldFail
from bridge.phpeval.laravel.framework_classes import MODEL, SERIALIZES_MODELS, is_known
from bridge.phpeval.laravel.support.json_forms import JSON_FORMS, WRAPPERS
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.class_table import ClassTable
from bridge.phpeval.php.runtime.interpreter import Interpreter, PhpClosure
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value, plain_name

MODEL_IDENTIFIER = "Illuminate\\Contracts\\Database\\ModelIdentifier"
_ARRAYABLE = "Illuminate\\Contracts\\Support\\Arrayable"
_JSONABLE = "Illuminate\\Contracts\\Support\\Jsonable"
_AWAKENING = ("__wakeup", "__unserialize")
# Methods of SerializesModels by which it restores models; a class may have its own.
_RESTORING = ("getRestoredPropertyValue", "restoreModel", "restoreCollection", "getQueryForModelRestoration")

RestoreModel = Callable[[PhpObject, Interpreter], Value]  # ModelIdentifier → model or collection


def restore(objects: Sequence[PhpObject], php: Interpreter, restore_model: RestoreModel) -> None:
    """Gives every object all the properties that PHP would, and loads the models of identifiers.

    `objects`: all that the payload holds. Refused where a class could do more than that when it is
    unserialized, or where a property's type does not fit its value.
    """
    for value in objects:
        name = value.class_name
        if name == "stdClass" or name == MODEL_IDENTIFIER or is_native(name):
            continue
        declared = php.classes.find(name)
        if declared is None:
            raise Refused(f"the class {name} of an object in the payload is not known")
        if php.classes.is_a(name, MODEL):
            _restore_model(value, php)
            continue
        if is_known(name) and not uses_trait(php.classes, name, SERIALIZES_MODELS):
            continue
        _restore_one(value, php, restore_model)


def is_native(class_name: str) -> bool:
    """Whether the properties of the class are read here in Python."""
    return class_name in JSON_FORMS or class_name in WRAPPERS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """What an object of a class is before its own properties are read."""

    types: dict[int | bytes, n.Type | None]
    names: frozenset[str]
    serializes_models: bool

    @classmethod
    def of(cls, name: str, classes: ClassTable) -> _Layout:
        for method in _AWAKENING:
            if classes.method(name, method) is not None:
                raise Refused(f"{name} has {method}(), which only PHP can run")
        serializes_models = uses_trait(classes, name, SERIALIZES_MODELS)
        for method in _RESTORING if serializes_models else ():
            own_way = classes.method(name, method)
            if own_way is not None:
                where = own_way.method
                raise Refused(f"{name} has its own {where.name}()", file=where.file, line=where.line)
        own = classes.instance_properties(name)
        return cls(
            types={bound.mangled: bound.declaration.type for bound in own},
            names=frozenset(bound.declaration.name for bound in own),
            serializes_models=serializes_models,
        )


def _restore_one(value: PhpObject, php: Interpreter, restore_model: RestoreModel) -> None:
    name = value.class_name
    layout = php.classes.remember("layout", name, lambda: _Layout.of(name, php.classes))
    serializes_models = layout.serializes_models
    complete = php.defaults(name)
    types = layout.types
    for key, written in value.properties.items():
        if key not in types:
            if plain_name(key) in layout.names:
                raise Refused(f"the property {plain_name(key)} of {name} has changed its visibility")
            if not serializes_models:
                complete[key] = written
            continue
        declared = types[key]
        if serializes_models and type(written) is PhpObject and written.class_name == MODEL_IDENTIFIER:
            written = restore_model(written, php)
        elif declared is not None and not php.accepts(written, declared, name):
            raise Refused(f"the property {plain_name(key)} of {name} has changed its type")
        complete[key] = written
    value.properties.clear()
    value.properties.update(complete)


def _restore_model(value: PhpObject, php: Interpreter) -> None:
    """A model that was serialized whole: its state is that of the dispatch, no query is made."""
    complete = php.defaults(value.class_name)
    complete.update(value.properties)
    value.properties.clear()
    value.properties.update(complete)


def uses_trait(classes: ClassTable, class_name: str, trait: str) -> bool:
    """Whether the class, a parent or one of their traits uses the trait."""
    return trait in classes.remember(
        "parts", class_name, lambda: {part.name for part in classes.whole(class_name)}
    )


def public_properties(value: PhpObject, classes: ClassTable) -> dict[int | bytes, Value]:
    """What json_encode sees of an object without JsonSerializable: parents' properties first."""
    visible: dict[int | bytes, Value] = {}
    declared = set()
    for bound in classes.instance_properties(value.class_name):
        declared.add(bound.mangled)
        if bound.declaration.hooked:
            raise Refused(f"the property hook of ${bound.declaration.name} of {value.class_name}")
        if bound.declaration.visibility == "public" and bound.mangled in value.properties:
            visible[bound.mangled] = value.properties[bound.mangled]
    for key, held in value.properties.items():
        if key not in declared and not (isinstance(key, bytes) and key[:1] == b"\0"):
            visible[key] = held
    return visible


def jsonable(value: PhpObject | EnumCase, php: Interpreter) -> Value:
    """What stands for the object in JSON."""
    if isinstance(value, EnumCase):
        if php.is_a(value, "JsonSerializable"):
            return php.call(PhpArray.of((value, b"jsonSerialize")), ())
        backing = php.backing_value(value)
        if backing is None:
            raise WouldFail(f"the enum {value.class_name} has no backing values, so it has no JSON form")
        return backing
    if isinstance(value, PhpClosure):
        raise Refused("a closure in the payload")
    form = JSON_FORMS.get(value.class_name)
    if form is not None:
        return form(value)
    wrapped = WRAPPERS.get(value.class_name)
    if wrapped is not None:
        return _wrapped_json(value, wrapped, php)
    native = php.environment.native(value.class_name)
    if native is not None:
        return native.call(php, value, "jsonSerialize", ())
    classes = php.classes
    classes.require(value.class_name)
    if php.is_a(value, "JsonSerializable"):
        return php.call_method(value, "jsonSerialize")
    return PhpObject("stdClass", public_properties(value, classes))


def to_array(value: PhpObject, php: Interpreter) -> Value:
    """`$value->toArray()` of an Arrayable; None for anything else (an Arrayable always gives an array)."""
    wrapped = WRAPPERS.get(value.class_name)
    if wrapped == "attributes":
        return _items(value, wrapped)
    if wrapped is not None:
        items = _items(value, wrapped)
        converted = PhpArray()
        for key, item in items.items():
            _refuse_enum(item, php)
            inner = to_array(item, php) if isinstance(item, PhpObject) else None
            converted[key] = item if inner is None else inner
        return converted
    if value.class_name in JSON_FORMS or value.class_name == "stdClass":
        return None
    if not php.is_a(value, _ARRAYABLE):
        return None
    return php.call_method(value, "toArray")


def _wrapped_json(value: PhpObject, name: str, php: Interpreter) -> Value:
    """As Collection::jsonSerialize: Arrayable items that are not JsonSerializable become arrays."""
    items = _items(value, name)
    if name == "attributes":
        return items
    converted = PhpArray()
    for key, item in items.items():
        _refuse_enum(item, php)
        converted[key] = _item(item, php) if isinstance(item, PhpObject) else item
    return converted


def _refuse_enum(item: Value, php: Interpreter) -> None:
    """An enum case that a collection would convert like any other object."""
    if isinstance(item, EnumCase) and (php.is_a(item, _ARRAYABLE) or php.is_a(item, _JSONABLE)):
        raise Refused(f"the enum {item.class_name}, an Arrayable or Jsonable, inside a collection")


def _item(item: PhpObject, php: Interpreter) -> Value:
    """An item that json_encode handles by itself, or what Collection makes of it."""
    known = item.class_name == "stdClass" or is_native(item.class_name)
    if known or php.environment.native(item.class_name) is not None or php.is_a(item, "JsonSerializable"):
        return item
    if php.is_a(item, _JSONABLE):
        raise Refused(f"a Jsonable {item.class_name} inside a collection")
    return php.call_method(item, "toArray") if php.is_a(item, _ARRAYABLE) else item


def _items(value: PhpObject, name: str) -> PhpArray:
    items = value.get(name)
    if not isinstance(items, PhpArray):
        raise Refused(f"a {value.class_name} without its {name}")
    return items
