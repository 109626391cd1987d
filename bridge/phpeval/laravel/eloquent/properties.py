"""The state of one model object: the properties of Laravel's Model, under PHP's own names.

A model that was read from the database and one that was serialized whole look the same here.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.errors import Refused
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value


class _Keys(dict[str, tuple[bytes, bytes]]):
    """Name → its keys as a protected and as a public property."""

    def __missing__(self, name: str) -> tuple[bytes, bytes]:
        self[name] = keys = b"\0*\0" + name.encode(), name.encode()
        return keys


KEYS = _Keys()


def get(model: PhpObject, name: str) -> Value:
    """A protected property of Model (which an app's class may have made public)."""
    protected, public = KEYS[name]
    properties = model.properties
    return properties[protected] if protected in properties else properties.get(public)


def put(model: PhpObject, name: str, value: Value) -> None:
    """Sets a protected property of Model."""
    protected, public = KEYS[name]
    model.properties[public if public in model.properties else protected] = value


def array(model: PhpObject, name: str) -> PhpArray:
    """A property that holds an array; null counts as empty. Not to be written to."""
    protected, public = KEYS[name]
    properties = model.properties
    value = properties[protected] if protected in properties else properties.get(public)
    if type(value) is PhpArray:
        return value
    if value is not None:
        raise Refused(f"the property ${name} of {model.class_name} is no array")
    return PhpArray()


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
    value = get(model, name)
    if value is None:
        return None
    if not isinstance(value, bytes):
        raise Refused(f"the property ${name} of {model.class_name} is no text")
    return value.decode("utf-8", "replace")


def names_in(arguments: Sequence[Value]) -> list[bytes]:
    """Names given one by one or as an array."""
    found: list[bytes] = []
    for argument in arguments:
        for value in argument.values() if isinstance(argument, PhpArray) else [argument]:
            if not isinstance(value, bytes):
                raise Refused("a name that is no text")
            found.append(value)
    return found
