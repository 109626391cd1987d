"""PHP's own exceptions and errors: made, thrown, caught and asked for their message."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.php.evaluate import Evaluator
from bridge.php.operators import to_int
from bridge.php.values import PhpObject, Value

_GETTERS = {"getmessage": "message", "getcode": "code"}


class ExceptionClass:
    """A `bridge.php.evaluate.Native` for the classes of the framework table that are a Throwable."""

    parameters = {"__construct": ("message", "code", "previous")}  # noqa: RUF012

    def construct(self, php: Evaluator, class_name: str, arguments: Sequence[Value]) -> Value:
        if class_name == "ErrorException" and len(arguments) > 2:
            php.refuse(f"new {class_name} with so many arguments")
        defaults: tuple[Value, ...] = (b"", 0, None)
        message, code, previous = (*arguments, *defaults[len(arguments) :])
        return PhpObject(
            class_name,
            {
                b"\0*\0message": php.text(message),
                b"\0*\0code": to_int(code),
                b"\0Exception\0previous": previous,
            },
        )

    def static(self, php: Evaluator, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        php.refuse(f"{class_name}::{method}()")

    def call(self, php: Evaluator, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value:
        name = _GETTERS.get(method.lower())
        if name is None:
            php.refuse(f"{method}() of an exception")
        return subject.get(name)

    def read(self, php: Evaluator, subject: PhpObject, name: str) -> Value:
        php.refuse(f"the property ${name} of an exception")

    def has(self, php: Evaluator, subject: PhpObject, name: str) -> bool:
        php.refuse(f"the property ${name} of an exception")
