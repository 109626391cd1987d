"""The public methods of Laravel's Model that native evaluation knows: one entry of `METHODS` each.

Sources: Model.php, Concerns/HasAttributes.php, Concerns/HidesAttributes.php, 8.83 to 13.26.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.errors import MissingModel
from bridge.phpeval.laravel import object_conversions
from bridge.phpeval.laravel.eloquent import cast_classes, properties
from bridge.phpeval.laravel.eloquent.attributes import borne
from bridge.phpeval.laravel.eloquent.model import Method, ModelClass
from bridge.phpeval.laravel.eloquent.model_settings import PIVOT
from bridge.phpeval.laravel.support.arr import ITEMS
from bridge.phpeval.laravel.support.collection_items import ELOQUENT
from bridge.phpeval.laravel.support.resource_class import is_class, marked_class, resource_names
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import Thrown, identical, to_bool
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value, array_key
from bridge.phpeval.php.serialization.json_encode import json_encode


def _get(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    """`getAttribute`."""
    name = php.text(arguments[0]).decode("utf-8", "surrogateescape")
    return models.attribute(models.view(model, php), name, php)


def _only(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    return PhpArray((name, _get(models, php, model, (name,))) for name in properties.names_in(arguments))


def _load(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    models.load([model], [name.decode() for name in properties.names_in(arguments)], php)
    return model


def _fresh(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    """The model as the database has it now, without global scopes; null where it is gone."""
    if model.get("exists") is not True:
        return None
    key = models.key(model, php)
    if not isinstance(key, int | bytes) or php.classes.is_a(model.class_name, PIVOT):
        php.refuse(f"{model.class_name}::fresh()")
    identifier: dict[int | bytes, Value] = {
        b"class": model.class_name.encode(),
        b"id": key,
        b"relations": PhpArray.of(properties.names_in(arguments)),
        b"connection": models.view(model, php).connection.encode(),
    }
    try:
        return models.restore(PhpObject(object_conversions.MODEL_IDENTIFIER, identifier), php, at_once=True)
    except MissingModel:
        return None


def _load_missing(
    models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]
) -> Value:
    models.load_missing([model], models.names(arguments), php)
    return model


def _load_count(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    models.count(model, properties.names_in(arguments), php)
    return model


def _set_relation(
    models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]
) -> Value:
    name, value = arguments
    key = php.key(name)
    if isinstance(key, int):
        php.refuse(f"a relation whose name is a number: {key}")
    held = properties.array(model, "relations").copy()
    held[key] = value
    properties.put(model, "relations", held)
    return model


def _unset_relation(
    models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]
) -> Value:
    held = properties.array(model, "relations").copy()
    held.pop(php.key(arguments[0]), None)
    properties.put(model, "relations", held)
    return model


def _without_relations(
    models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]
) -> Value:
    if arguments or php.classes.method(model.class_name, "__clone") is not None:
        php.refuse(f"{model.class_name}::withoutRelations()")
    bare = PhpObject(model.class_name, dict(model.properties))
    properties.put(bare, "relations", PhpArray())
    return bare


def _set_names(setting: str) -> Method:
    """`setHidden`, `setVisible`, `setAppends`."""

    def act(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
        (names,) = arguments
        if not isinstance(names, PhpArray):
            php.refuse(f"${setting} of a model that is no array")
        properties.put(model, setting, PhpArray.of(properties.names_in((names,))))
        return model

    return act


def _original(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    """`getOriginal('name')` of a model that was read again, which has nothing that was changed unless objects
    that it keeps are written back."""
    name = php.text(arguments[0]) if len(arguments) == 1 else b""
    if isinstance(array_key(name), int):
        php.refuse("getOriginal() of an attribute whose name is a number")
    missing = name not in properties.array(model, "attributes")
    setup = models.view(model, php).setup
    if (
        not name
        or b"." in name
        or properties.array(model, "original")
        or cast_classes.keeps(model)
        or (missing and (name in setup.casts or setup.accessor(name.decode("utf-8", "replace"))))
    ):
        php.refuse(f"{model.class_name}::getOriginal()")
    bare = PhpObject(model.class_name, dict(model.properties))
    properties.put(bare, "relations", PhpArray())
    return None if missing else _get(models, php, bare, (name,))


def _json(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    if arguments or properties.get(model, "escapeWhenCastingToString"):
        php.refuse(f"the JSON of a {model.class_name}")
    shown = php.call_method(model, "toArray")
    return json_encode(shown, lambda held: object_conversions.jsonable(held, php)).encode()


def _hide(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    properties.put(
        model, "hidden", PhpArray.of([*properties.names(model, "hidden"), *properties.names_in(arguments)])
    )
    return model


def _show(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    names = properties.names_in(arguments)
    properties.put(
        model, "hidden", PhpArray.of([n for n in properties.names(model, "hidden") if n not in names])
    )
    visible = properties.names(model, "visible")
    if visible:
        properties.put(model, "visible", PhpArray.of([*visible, *names]))
    return model


def _append(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    appends = dict.fromkeys([*properties.names(model, "appends"), *properties.names_in(arguments)])
    properties.put(model, "appends", PhpArray.of(appends))
    return model


def _route_key(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    return _get(models, php, model, (php.call_method(model, "getRouteKeyName"),))


def _route_key_name(
    models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]
) -> Value:
    marked = borne(model.class_name, "RouteKey", php.classes, models.options.version)
    return models.view(model, php).setup.key if marked is None else marked.text(php, "key")


def _channel(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    return model.class_name.replace("\\", ".").encode() + b"." + php.text(models.key(model, php))


def _trashed(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    view = models.view(model, php)
    if not view.facts.soft_deletes:
        php.refuse(f"{model.class_name}::trashed()")
    return models.attribute(view, view.facts.deleted_at, php) is not None


def _is(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    (other,) = arguments
    if not isinstance(other, PhpObject):
        return False
    mine, theirs = models.view(model, php), models.view(other, php)
    same = models.key_text(models.key(model, php)) == models.key_text(models.key(other, php))
    return same and mine.setup.table == theirs.setup.table and mine.connection == theirs.connection


def _dirty(model: PhpObject, php: Interpreter) -> PhpArray:
    """What was changed and not saved: nothing in a model that was read again, unless objects that it keeps
    are written back."""
    if cast_classes.keeps(model):
        php.refuse(f"what is dirty in a {model.class_name} that keeps objects of its casts")
    original = properties.array(model, "original")
    if model.get("exists") is True and not original:
        return PhpArray()
    attributes = properties.array(model, "attributes")
    for key, value in attributes.items():
        if key not in original or not identical(value, original[key]):
            php.refuse(f"what is dirty in a {model.class_name} that was serialized whole")
    return PhpArray()


def _to_resource(models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]) -> Value:
    """`toResource()`; where it names no class, that of #[UseResource], else of the model's own name."""
    if arguments and arguments[0] is not None:
        if models.options.version < (12, 7) or not isinstance(arguments[0], bytes):
            php.refuse("toResource()")
        return php.call_static(arguments[0].decode("utf-8", "replace").lstrip("\\"), "make", (model,))
    if models.options.version < (12, 29):
        php.refuse("toResource() without a class before Laravel 12.29")
    for name in (marked_class(model.class_name, "UseResource", php), *resource_names(model, php)):
        if name is not None and is_class(name, php):
            return php.call_static(name, "make", (model,))
    raise Thrown("LogicException", f"Failed to find resource class for model [{model.class_name}].")


def _new_collection(
    models: ModelClass, php: Interpreter, model: PhpObject, arguments: Sequence[Value]
) -> Value:
    given = arguments[0] if arguments else PhpArray()
    if not isinstance(given, PhpArray):
        php.refuse("newCollection() of what is no array")
    return PhpObject(ELOQUENT, {ITEMS: given})


def _touches(names: Sequence[bytes], changes: PhpArray) -> bool:
    """`hasChanges`: any of the names, or anything at all."""
    return any(name in changes for name in names) if names else bool(changes)


METHODS: dict[str, Method] = {
    "getkey": lambda m, php, model, _: m.key(model, php),
    "getkeyname": lambda m, php, model, _: m.view(model, php).setup.key,
    "getroutekey": _route_key,
    "getroutekeyname": _route_key_name,
    "gettable": lambda m, php, model, _: m.view(model, php).setup.table.encode(),
    "getmorphclass": lambda m, php, model, _: m.morph_class(model.class_name).encode(),
    "getattribute": _get,
    "offsetget": _get,
    "offsetexists": lambda m, php, model, a: _get(m, php, model, a) is not None,
    "getattributes": lambda m, php, model, _: m.attributes(m.view(model, php), php).copy(),
    "newcollection": _new_collection,
    "toresource": _to_resource,
    "toarray": lambda m, php, model, _: m.to_array(model, php),
    "jsonserialize": lambda m, php, model, _: php.call_method(model, "toArray"),
    "attributestoarray": lambda m, php, model, _: m.attributes_to_array(m.view(model, php), php),
    "relationstoarray": lambda m, php, model, _: m.relations_to_array(m.view(model, php), php),
    "only": _only,
    "load": _load,
    "fresh": _fresh,
    "loadcount": _load_count,
    "setrelation": _set_relation,
    "unsetrelation": _unset_relation,
    "withoutrelations": _without_relations,
    "getrelations": lambda m, php, model, _: properties.array(model, "relations").copy(),
    "sethidden": _set_names("hidden"),
    "setvisible": _set_names("visible"),
    "setappends": _set_names("appends"),
    "getoriginal": _original,
    "tojson": _json,
    "__tostring": _json,
    "loadmissing": _load_missing,
    "relationloaded": lambda m, php, model, a: a[0] in properties.array(model, "relations"),
    "makehidden": _hide,
    "makevisible": _show,
    "append": _append,
    "hasappended": lambda m, php, model, a: a[0] in properties.names(model, "appends"),
    "broadcastchannel": _channel,
    "trashed": _trashed,
    "is": _is,
    "isnot": lambda m, php, model, a: not to_bool(_is(m, php, model, a)),
    "waschanged": lambda m, php, model, a: _touches(
        properties.names_in(a), properties.array(model, "changes")
    ),
    "isdirty": lambda m, php, model, a: _touches(properties.names_in(a), _dirty(model, php)),
    "isclean": lambda m, php, model, a: not _touches(properties.names_in(a), _dirty(model, php)),
    "getchanges": lambda m, php, model, _: properties.array(model, "changes").copy(),
    "getdirty": lambda m, php, model, _: _dirty(model, php),
}
