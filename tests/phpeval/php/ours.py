"""The same source in our evaluator: an environment of PHP's functions and the classes of one text."""

from __future__ import annotations

from bridge.errors import Refused
from bridge.phpeval.laravel.framework_classes import framework_class
from bridge.phpeval.laravel.support.exception import ExceptionClass
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.functions import CONSTANTS, FUNCTIONS
from bridge.phpeval.php.parse.declarations import declarations
from bridge.phpeval.php.runtime.class_table import ClassTable
from bridge.phpeval.php.runtime.interpreter import Interpreter, Native
from bridge.phpeval.php.runtime.operators import Thrown
from bridge.phpeval.php.runtime.values import Value
from tests.phpeval.php.oracle import Outcome, serialize

FILE = "app/Subject.php"


class Environment:
    """A `bridge.phpeval.php.runtime.interpreter.Environment` of one source text."""

    PHP = (8, 2)

    def __init__(self, source: str = "") -> None:
        found = declarations(f"<?php {source}".encode(), FILE)
        self.classes = ClassTable(lambda name: found.get(name) or framework_class(name, (11, 0)))
        self.functions = FUNCTIONS
        self.constants = CONSTANTS
        self.php_version = self.PHP

    def native(self, class_name: str) -> Native | None:
        is_exception = self.classes.find(class_name) and self.classes.is_a(class_name, "Throwable")
        return EXCEPTION if is_exception else None


EXCEPTION = ExceptionClass()


def evaluator(source: str = "") -> Interpreter:
    return new_evaluator(Environment(source))


def run(body: str, *, classes: str = "") -> Outcome:
    """What the statements of a static method give. Raises Refused."""
    php = evaluator(f"class Subject {{ public static function run() {{ {body} }} }} {classes}")
    return outcome_of(lambda: php.call_static("Subject", "run"))


def outcome_of(act) -> Outcome:  # type: ignore[no-untyped-def]
    try:
        value: Value = act()
    except Thrown as thrown:
        message = thrown.exception.get("message", b"")
        assert isinstance(message, bytes)
        return Outcome(thrown=thrown.exception.class_name, message=message.decode("utf-8", "replace"))
    return Outcome(value=serialize(value))


def refused(body: str, *, classes: str = "") -> Refused | None:
    """The refusal of the statements, if they are refused."""
    try:
        run(body, classes=classes)
    except Refused as refusal:
        return refusal
    return None
