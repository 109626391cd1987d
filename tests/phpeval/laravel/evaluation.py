"""The same PHP code by bridge and by real PHP with Laravel 8: a value, an exception, or a refusal of bridge.

Code is the body of a function whose parameters are the given variables (scalars and arrays of JSON).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from bridge.errors import Refused
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.parse import declarations
from bridge.phpeval.php.runtime.class_table import ClassTable
from bridge.phpeval.php.runtime.interpreter import Function, Native, ReferenceFunction
from bridge.phpeval.php.runtime.operators import Thrown
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.serialization.unserialize import unserialize
from tests.phpeval.laravel.php import Php, php
from tests.versions import php_release, release

NOW = datetime(2024, 5, 17, 12, 34, 56, 789012, tzinfo=UTC)

# What only bridge or only this release of Laravel keeps in an object.
_IGNORED = frozenset({b"\0*\0escapeWhenCastingToString"})

_USES = """
use Carbon\\Carbon; use Carbon\\CarbonImmutable; use Illuminate\\Support\\Collection;
use Illuminate\\Support\\Str; use Illuminate\\Support\\Arr;
"""

_BODY = (
    r"""
    date_default_timezone_set($question['zone'] ?? 'UTC');
    \Carbon\Carbon::setTestNow('2024-05-17T12:34:56.789012+00:00');
    \Carbon\CarbonImmutable::setTestNow('2024-05-17T12:34:56.789012+00:00');
    set_error_handler(function ($level, $message) {
        if (!($level & (E_DEPRECATED | E_USER_DEPRECATED))) throw new ErrorException($message);
        return true;
    });
    static $known = [];
    $key = md5($question['code'] . implode(',', array_keys($question['variables'])));
    if (!isset($known[$key])) {
        $names = implode(', ', array_map(fn ($name) => '$' . $name, array_keys($question['variables'])));
        $known[$key] = eval('"""
    + _USES.replace("\n", " ").replace("\\", "\\\\")
    + r"""return function (' . $names . ') { ' . $question['code'] . ' };');
    }
    return base64_encode(serialize($known[$key](...array_values($question['variables']))));
"""
)


class Outcome(NamedTuple):
    """`kind` is value, thrown or refused."""

    kind: str
    content: object


@dataclass
class TestEnvironment:
    """A `bridge.phpeval.php.runtime.interpreter.Environment` of natives and functions only."""

    __test__ = False

    natives: Mapping[str, Native]
    functions: Mapping[str, Function | ReferenceFunction]
    constants: Mapping[str, Value]
    version: Version | None = field(default_factory=release)
    sets_locale: bool = False
    time_zones: Set[str] | None = None
    php_version: tuple[int, int] | None = field(default_factory=php_release)
    classes: ClassTable = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.classes = ClassTable(lambda name: None)

    def native(self, class_name: str) -> Native | None:
        return self.natives.get(class_name)


def natively(
    environment: TestEnvironment, code: str, variables: Mapping[str, object] | None = None
) -> Outcome:
    """What bridge makes of the code."""
    variables = variables or {}
    names = ", ".join("$" + name for name in variables)
    source = f"<?php {_USES} class T {{ static function run({names}) {{ {code} }} }}"
    environment.classes = ClassTable(declarations.declarations(source.encode(), "t.php").get)
    try:
        value = new_evaluator(environment).call_static("T", "run", [_value(v) for v in variables.values()])
    except Refused as refused:
        return Outcome("refused", refused.reason)
    except Thrown as thrown:
        return Outcome("thrown", thrown.exception.class_name)
    return Outcome("value", _plain(value))


def really(
    peer: Php, code: str, variables: Mapping[str, object] | None = None, *, zone: str = "UTC"
) -> Outcome:
    """What PHP makes of it."""
    answer = peer.ask({"code": code, "variables": variables or {}, "zone": zone})
    if "error" in answer:
        return Outcome("thrown", answer["error"])
    return Outcome("value", _plain(unserialize(base64.b64decode(str(answer["ok"])))))


@contextmanager
def laravel() -> Iterator[Php]:
    with php(_BODY) as peer:
        yield peer


def _value(value: object) -> Value:
    match value:
        case str():
            return value.encode()
        case list():
            return PhpArray.of(_value(item) for item in value)
        case dict():
            return PhpArray((_key(key), _value(item)) for key, item in value.items())
        case None | bool() | int() | float():
            return value
    raise TypeError(value)


def _key(key: str) -> int | bytes:
    return int(key) if key.isdigit() and str(int(key)) == key else key.encode()


def _plain(value: Value) -> object:
    """Comparable by ==, types and order included."""
    match value:
        case PhpArray():
            return ["array", [(key, _plain(item)) for key, item in value.items()]]
        case EnumCase():
            return ["case", value.class_name, value.case]
        case PhpObject():
            held = {key: _plain(item) for key, item in value.properties.items() if key not in _IGNORED}
            return ["object", value.class_name, held]
        case float():
            return ["float", repr(value)]
    return [type(value).__name__, value]
