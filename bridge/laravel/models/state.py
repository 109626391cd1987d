"""The state of one model object: the properties of Laravel's Model, under PHP's own names.

A model that was read from the database and one that was serialized whole look the same here.
"""

from __future__ import annotations

from bridge.errors import Refused
from bridge.php.values import PhpArray, PhpObject, Value


def get(model: PhpObject, name: str) -> Value:
    """A property of Model, protected or public."""
    return model.get(name)


def put(model: PhpObject, name: str, value: Value) -> None:
    """Sets a protected property of Model."""
    plain = name.encode()
    model.properties[plain if plain in model.properties else b"\0*\0" + plain] = value


def array(model: PhpObject, name: str) -> PhpArray:
    """A property that holds an array; null counts as empty."""
    value = model.get(name)
    if value is None:
        return PhpArray()
    if not isinstance(value, PhpArray):
        raise Refused(f"the property ${name} of {model.class_name} is no array")
    return value


def names(model: PhpObject, name: str) -> list[bytes]:
    """A property that holds a list of names."""
    found = []
    for value in array(model, name).values():
        if not isinstance(value, bytes):
            raise Refused(f"the property ${name} of {model.class_name} holds more than names")
        found.append(value)
    return found


def text(model: PhpObject, name: str) -> str | None:
    """A property that holds a text or null."""
    value = model.get(name)
    if value is None:
        return None
    if not isinstance(value, bytes):
        raise Refused(f"the property ${name} of {model.class_name} is no text")
    return value.decode("utf-8", "replace")
