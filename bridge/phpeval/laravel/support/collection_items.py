"""The items of a collection, and what its methods share: ways to take, make and identify them."""

from __future__ import annotations

from collections.abc import Callable

from bridge.phpeval.laravel.framework_classes import MODEL
from bridge.phpeval.laravel.support.arr import (
    ITEMS,
    array_function,
    callback,
    data_get,
    is_items,
    items_of,
    result_key,
)
from bridge.phpeval.laravel.support.native_class import Act
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.runtime.interpreter import Interpreter, PhpClosure
from bridge.phpeval.php.runtime.operators import identical
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value

COLLECTION = "Illuminate\\Support\\Collection"
ELOQUENT = "Illuminate\\Database\\Eloquent\\Collection"


def collection(items: PhpArray, class_name: str = COLLECTION) -> PhpObject:
    return PhpObject(class_name, {ITEMS: items})


def arrayable(php: Interpreter, value: Value) -> PhpArray:
    """What `new Collection($value)` and the like take for items; objects but collections are refused."""
    if value is None:
        return PhpArray()
    if is_items(value):
        return items_of(php, value)
    if isinstance(value, bool | int | float | bytes):
        return PhpArray.of([value])
    if is_model(php, value):
        shown = php.call_method(value, "toArray")  # type: ignore[arg-type]  # a model is an object
        if isinstance(shown, PhpArray):
            return shown
    php.refuse("a collection made of this object")


def release(php: Interpreter) -> Version:
    """Laravel's release; refused where it is not known."""
    version: Version | None = getattr(php.environment, "version", None)
    if version is None:
        php.refuse("what differs between Laravel's releases")
    return version


def held_items(php: Interpreter, subject: PhpObject) -> PhpArray:
    return items_of(php, subject)


def like(subject: PhpObject, items: PhpArray) -> PhpObject:
    """`new static($items)`."""
    return collection(items, subject.class_name)


def listed(subject: PhpObject, values: object) -> PhpObject:
    return like(subject, PhpArray.of(values))


def retriever(php: Interpreter, by: Value) -> Callable[..., Value]:
    """`valueRetriever`: a closure, or what `data_get` finds."""
    if isinstance(by, PhpClosure):
        return callback(php, by)
    if isinstance(by, PhpObject | PhpArray):
        php.refuse("this way to get a value of an item")
    return lambda item, *rest: data_get(php, item, by)


def by_function(name: str, *more: Value) -> Act:
    """A method that gives a PHP function of the items."""
    return lambda php, subject: like(subject, array_function(php, name, held_items(php, subject), *more))


def with_items(name: str) -> Act:
    """A method that gives a PHP function of the items and other items."""
    return lambda php, subject, other: like(
        subject, array_function(php, name, held_items(php, subject), arrayable(php, other))
    )


def base_of(subject: PhpObject) -> str:
    return COLLECTION if subject.class_name == ELOQUENT else subject.class_name


# ---- models -----------------------------------------------------------------------------------------


def is_model(php: Interpreter, item: Value) -> bool:
    return isinstance(item, PhpObject) and php.declared(item) and php.is_a(item, MODEL)


def model_key(php: Interpreter, item: Value) -> Value:
    if not isinstance(item, PhpObject):
        php.refuse("a method by model key with what is not a model")
    key = php.call_method(item, "getKey")
    if key is None:
        php.refuse("a method by model key with a model that has none")
    return key


def same_model(php: Interpreter, one: Value, other: PhpObject) -> bool:
    """`$one->is($other)`; refused for models of different classes, which may share a table."""
    if not isinstance(one, PhpObject) or one.class_name != other.class_name:
        php.refuse("a comparison of models of different classes")
    return identical(model_key(php, one), model_key(php, other))


def by_model_key(php: Interpreter, items: PhpArray) -> PhpArray:
    return PhpArray((result_key(php, model_key(php, item)), item) for item in items.values())
