"""PHP's own exceptions and errors, and the app's that build on them: made, thrown, caught, asked for their
message."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.object_model import construct
from bridge.phpeval.php.runtime.operators import RaisedByPhp, Thrown
from bridge.phpeval.php.runtime.properties import locate
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value

_GETTERS = {"getmessage": b"\0*\0message", "getcode": b"\0*\0code"}
_ELSEWHERE = ("file", "line", "trace", "string")  # only PHP knows these


class ExceptionClass:
    """A `bridge.phpeval.php.runtime.interpreter.Native` for every class that is a Throwable."""

    parameters = {"__construct": ("message", "code", "previous")}  # noqa: RUF012
    assignable = True  # properties that the app declares

    def construct(self, php: Interpreter, class_name: str, arguments: Sequence[Value]) -> Value:
        if class_name == "ErrorException" and len(arguments) > 2:
            php.refuse(f"new {class_name} with so many arguments")
        if php.classes.find(class_name) is not None and php.classes.require(class_name).abstract:
            raise Thrown("Error", f"Cannot instantiate abstract class {class_name}")
        made = php.instantiate(class_name)
        own = php.classes.method(class_name, "__construct")
        if own is not None:
            construct(php, own, made, arguments, {})
        else:
            self._begin(php, made, arguments)
        return made

    def static(self, php: Interpreter, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        php.refuse(f"{class_name}::{method}()")

    def call(self, php: Interpreter, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value:
        name = method.lower()
        if name == "__construct":
            self._begin(php, subject, arguments)
            return None
        if name == "getprevious":
            return subject.properties.get(self._previous(php, subject))
        if name not in _GETTERS:
            php.refuse(f"{method}() of an exception")
        if isinstance(subject, RaisedByPhp):
            php.refuse("the text of an error that PHP itself or Laravel raises")
        return subject.properties.get(_GETTERS[name])

    def read(self, php: Interpreter, subject: PhpObject, name: str) -> Value:
        mangled, bound, hidden = locate(php, subject, name)
        if hidden:
            raise Thrown("Error", f"Cannot access {hidden} property {subject.class_name}::${name}")
        if bound is None or name in _ELSEWHERE or isinstance(subject, RaisedByPhp):
            php.refuse(f"the property ${name} of an exception")
        if mangled not in subject.properties:
            raise Thrown("Error", f"{subject.class_name}::${name} must not be accessed before initialization")
        return subject.properties[mangled]

    def has(self, php: Interpreter, subject: PhpObject, name: str) -> bool:
        mangled, bound, hidden = locate(php, subject, name)
        if (bound is None and not hidden) or name in _ELSEWHERE:
            php.refuse(f"the property ${name} of an exception")
        return not hidden and subject.properties.get(mangled) is not None

    @classmethod
    def _begin(cls, php: Interpreter, subject: PhpObject, arguments: Sequence[Value]) -> None:
        """Runs `Exception::__construct`: what is not given keeps the default of the class."""
        if len(arguments) > 3:
            php.refuse(f"new {subject.class_name} with so many arguments")
        if arguments:
            message = arguments[0]
            if isinstance(message, PhpArray | EnumCase):
                problem = "Argument #1 ($message) must be of type string"
                raise Thrown("TypeError", f"{subject.class_name}::__construct(): {problem}")
            if isinstance(message, PhpObject) or (php.frame.strict and not isinstance(message, bytes)):
                php.refuse("a message that is no string")
            subject.properties[b"\0*\0message"] = php.text(message)
        if len(arguments) > 1:
            if type(arguments[1]) is not int:
                php.refuse("a code of an exception that is no integer")
            subject.properties[b"\0*\0code"] = arguments[1]
        if len(arguments) > 2:
            subject.properties[cls._previous(php, subject)] = arguments[2]

    @staticmethod
    def _previous(php: Interpreter, subject: PhpObject) -> bytes:
        base = "Error" if php.classes.is_a(subject.class_name, "Error") else "Exception"
        return b"\0%s\0previous" % base.encode()
