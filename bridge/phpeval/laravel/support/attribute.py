"""`Casts\\Attribute`, what an accessor of the new style returns. Source: Eloquent/Casts/Attribute.php."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.values import PhpObject, Value

ATTRIBUTE = "Illuminate\\Database\\Eloquent\\Casts\\Attribute"
MAKE = (9, 3)  # `Attribute::make()` came with 9.2, or the release after it
# Whether a model keeps what the getter gave, and gives it again
_SETTINGS = {"shouldcache": (b"withCaching", True), "withoutobjectcaching": (b"withObjectCaching", False)}


class AttributeClass:
    """A `bridge.phpeval.php.runtime.interpreter.Native` for one release."""

    parameters = {"__construct": ("get", "set"), "make": ("get", "set"), "get": ("get",), "set": ("set",)}  # noqa: RUF012

    def __init__(self, version: Version) -> None:
        self._version = version

    def construct(self, php: Interpreter, class_name: str, arguments: Sequence[Value]) -> Value:
        getter, setter = (*arguments, None, None)[:2]
        settings: dict[int | bytes, Value] = {b"withCaching": False, b"withObjectCaching": True}
        return PhpObject(class_name, {b"get": getter, b"set": setter, **settings})

    def static(self, php: Interpreter, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        match method.lower():
            case "make" if self._version >= MAKE:
                return self.construct(php, class_name, arguments)
            case "get":
                return self.construct(php, class_name, arguments[:1])
            case "set":
                return self.construct(php, class_name, (None, *arguments[:1]))
        php.refuse(f"Attribute::{method}()")

    def call(self, php: Interpreter, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value:
        setting = _SETTINGS.get(method.lower())
        if setting is None:
            php.refuse(f"{method}() of an Attribute")
        subject.properties[setting[0]] = setting[1]
        return subject

    def read(self, php: Interpreter, subject: PhpObject, name: str) -> Value:
        return subject.get(name)

    def has(self, php: Interpreter, subject: PhpObject, name: str) -> bool:
        return subject.get(name) is not None
