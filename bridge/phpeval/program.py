"""PHP source without an app around it: a few texts, their classes, and what Laravel has that needs no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from bridge.errors import Refused
from bridge.phpeval.laravel import object_conversions
from bridge.phpeval.laravel.framework_classes import framework_class
from bridge.phpeval.laravel.helpers import laravel_classes, laravel_functions
from bridge.phpeval.laravel.support.exception import ExceptionClass
from bridge.phpeval.laravel.version import NEWEST, Version
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.functions import CONSTANTS, FUNCTIONS
from bridge.phpeval.php.parse.declarations import declarations
from bridge.phpeval.php.runtime.class_table import ClassTable
from bridge.phpeval.php.runtime.interpreter import Function, Interpreter, Native, ReferenceFunction
from bridge.phpeval.php.runtime.values import PhpObject, Value
from bridge.phpeval.php.serialization.json_encode import json_encode

_EXCEPTION = ExceptionClass()


class Program:
    """The classes of PHP source texts, to call their methods; nothing is run when one is made.

    laravel    the release whose helpers, Str, Arr, Carbon and collections the source may use
    php        major and minor of the PHP that is imitated
    clock      gives the time, aware, to `now()` and Carbon; None: source that asks is refused
    timezone   where `now()` is

    Raises Refused for source that cannot be read, as each call does for what is not known or has side
    effects: configuration, `env()`, models, the container, files, randomness.
    """

    def __init__(
        self,
        *sources: str,
        laravel: Version = NEWEST,
        php: tuple[int, int] = (8, 4),
        clock: Callable[[], datetime] | None = None,
        timezone: str = "UTC",
    ) -> None:
        found: dict[str, n.ClassDeclaration] = {}
        for number, source in enumerate(sources, 1):
            found |= declarations(source.encode(), f"source {number}")
        self.version = laravel
        self.php_version = php
        self.classes = ClassTable(lambda name: found.get(name) or framework_class(name, laravel))
        self.constants: Mapping[str, Value] = CONSTANTS
        self.functions: Mapping[str, Function | ReferenceFunction] = {
            **FUNCTIONS,
            **laravel_functions(_NO_CONFIG, _no_env),
        }
        self._natives = laravel_classes(clock or _no_clock, timezone, "en", _NO_CONFIG)

    def call(self, subject: PhpObject, method: str, *arguments: Value) -> Value:
        """What `$subject->method(…)` returns; objects come from `new` or `unserialize`."""
        return new_evaluator(self).call_method(subject, method, arguments)

    def call_static(self, class_name: str, method: str, *arguments: Value) -> Value:
        """What `Class::method(…)` returns."""
        return new_evaluator(self).call_static(class_name, method, arguments)

    def json(self, value: Value) -> str:
        """`json_encode($value)`, the JsonSerializable, Arrayable and Jsonable among its objects included."""
        return json_encode(value, lambda held: object_conversions.jsonable(held, new_evaluator(self)))

    def native(self, class_name: str) -> Native | None:
        """See `bridge.phpeval.php.runtime.interpreter.Environment`."""
        is_exception = self.classes.find(class_name) and self.classes.is_a(class_name, "Throwable")
        return self._natives.get(class_name) or (_EXCEPTION if is_exception else None)


class _NoConfig:
    def php_value(self, key: str) -> Value:
        raise Refused(f"the configuration {key}")


_NO_CONFIG = _NoConfig()


def _no_clock() -> datetime:
    raise Refused("the time")


def _no_env(php: Interpreter, name: str, *arguments: Value) -> Value:
    php.refuse("env()")
