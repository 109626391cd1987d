"""What comes out where PHP goes on after a warning.

Laravel's handler throws, yet the operation under way still runs, with null for what was not there. What that
throws comes instead, with the warning as its previous exception. PHP raises no TypeError of an operator or of
a declared type while an exception is under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from bridge.phpeval.php.runtime.interpreter import ExprCode, Interpreter
from bridge.phpeval.php.runtime.operators import Thrown, warn
from bridge.phpeval.php.runtime.values import Value

_RAISED_ALL_THE_SAME = frozenset({"Error", "ArithmeticError", "DivisionByZeroError"})


def is_missing(php: Interpreter, name: str | None) -> bool:
    """Whether the name is that of a variable which is not defined."""
    return name is not None and name not in php.frame.variables


def value_or_null(php: Interpreter, name: str | None, code: ExprCode) -> Value:
    """What `code` gives, which reads that variable if there is a name; null where it is not defined."""
    return None if is_missing(php, name) else code(php)


def undefined(name: str | None) -> Thrown:
    return warn(f"Undefined variable ${name}")


def go_on(warning: Thrown, act: Callable[[], object]) -> NoReturn:
    """Raises what comes out of an operation that goes on after the warning."""
    try:
        act()
    except Thrown as thrown:
        if thrown.exception.class_name in _RAISED_ALL_THE_SAME:
            after(thrown, warning)
    raise warning


def after(thrown: Thrown, earlier: Thrown) -> NoReturn:
    """Raises an exception that PHP threw while another one was under way."""
    thrown.exception.properties[b"\0Error\0previous"] = earlier.exception
    raise thrown
