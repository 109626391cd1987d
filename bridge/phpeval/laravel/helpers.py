"""Laravel's global functions, and the facades Config and Log, for evaluated code. One entry a function.

Log lines that an event would write are left out: they have no effect on the broadcast.

Sources: helpers.php of Illuminate/Support, Illuminate/Collections and Illuminate/Foundation,
Illuminate/Support/Optional.php, 8.83 to 13.26.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bridge.errors import Refused
from bridge.phpeval.laravel.support import arr
from bridge.phpeval.laravel.support.carbon import CARBON, Clock, carbon_classes
from bridge.phpeval.laravel.support.collection import COLLECTION_CLASSES
from bridge.phpeval.laravel.support.collection_items import COLLECTION, arrayable, collection, release
from bridge.phpeval.laravel.support.date_time import MOMENTS
from bridge.phpeval.laravel.support.json_forms import ARRAY_OBJECT
from bridge.phpeval.laravel.support.native_class import Act, NativeClass, array, run, text
from bridge.phpeval.laravel.support.releases import FUNCTIONS as FUNCTION_RELEASES
from bridge.phpeval.laravel.support.releases import require
from bridge.phpeval.laravel.support.resource import REQUEST
from bridge.phpeval.laravel.support.str import STR_CLASSES, STRINGABLE, stringable
from bridge.phpeval.laravel.support.translations import TRANSLATION_CLASSES, TRANSLATION_FUNCTIONS
from bridge.phpeval.laravel.support.urls import url_functions
from bridge.phpeval.php.runtime.interpreter import Function, Interpreter, Native, PhpClosure
from bridge.phpeval.php.runtime.object_model import name_of_class
from bridge.phpeval.php.runtime.operators import Thrown, to_bool
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value

OPTIONAL = "Illuminate\\Support\\Optional"
LOGGER = "Illuminate\\Log\\Logger"
_FACADES = "Illuminate\\Support\\Facades\\"

_HELD = b"\0*\0value"


# ---- configuration ------------------------------------------------------------------------------------


class AppConfig(Protocol):
    """The app's configuration, as evaluated code may ask for it."""

    def php_value(self, key: str) -> Value:
        """The value at the dotted key. KeyError where there is none, Refused where only PHP could tell."""
        ...


def _configured(php: Interpreter, config: AppConfig, key: Value) -> Value:
    """The value at `key`. Raises KeyError where there is none."""
    try:
        return config.php_value(text(php, key).decode("utf-8", "replace"))
    except Refused as problem:
        php.refuse(f"{problem.reason},")


def _config_get(config: AppConfig) -> Act:
    def get(php: Interpreter, name: str, key: Value, default: Value = None) -> Value:
        try:
            return _configured(php, config, key)
        except KeyError:
            return arr.value_of(php, default)

    return get


def _config_has(config: AppConfig) -> Act:
    def has(php: Interpreter, name: str, key: Value) -> bool:
        try:
            _configured(php, config, key)
        except KeyError:
            return False
        return True

    return has


# ---- functions ----------------------------------------------------------------------------------------


def _blank(php: Interpreter, name: str, value: Value) -> bool:
    match value:
        case None:
            return True
        case bytes():
            return not value.strip(b" \n\r\t\v\0")
        case bool() | int() | float() | EnumCase():
            return False
        case PhpArray():
            return not value
        case PhpObject():
            if arr.is_items(value):
                return not arr.items_of(php, value)
            if value.class_name in MOMENTS or value.class_name == "stdClass":
                return False
            if value.class_name == STRINGABLE or php.is_a(value, "Countable"):
                php.refuse("blank() of this object")
            return False
    php.refuse("blank() of this value")


def _class_basename(php: Interpreter, name: str, subject: Value) -> bytes:
    if isinstance(subject, PhpObject | EnumCase):
        subject = name_of_class(php, subject.class_name)
    return text(php, subject).replace(b"\\", b"/").rstrip(b"/").rpartition(b"/")[2]


def _e(php: Interpreter, name: str, value: Value, double: Value = True) -> bytes:
    if (isinstance(value, PhpObject) and value.class_name != STRINGABLE) or double is not True:
        php.refuse("e() of this value")
    given = b"" if value is None else php.text(value)
    try:
        given.decode()
    except UnicodeDecodeError:
        php.refuse("e() of bytes that are not UTF-8")
    for sign, entity in (
        (b"&", b"&amp;"),
        (b"<", b"&lt;"),
        (b">", b"&gt;"),
        (b'"', b"&quot;"),
        (b"'", b"&#039;"),
    ):
        given = given.replace(sign, entity)
    return given


def _enum_value(php: Interpreter, name: str, value: Value, default: Value = None) -> Value:
    if isinstance(value, EnumCase):
        backing = php.backing_value(value)
        return value.case.encode() if backing is None else backing
    return arr.value_of(php, default) if value is None else value


def _date_class(php: Interpreter) -> str:
    """The class of dates that the app's `Date` facade makes."""
    date_class: str = getattr(php.environment, "date_class", CARBON)
    return date_class


def _edge(*, last: bool) -> Act:
    def act(php: Interpreter, name: str, values: Value) -> Value:
        given = array(php, values)
        if not given:
            if release(php) >= (11, 0):
                php.refuse(f"{name}() of an empty array")
            return False
        return next(reversed(given.values()) if last else iter(given.values()))

    return act


def _optional(php: Interpreter, name: str, value: Value = None, act: Value = None) -> Value:
    if act is None:
        return PhpObject(OPTIONAL, {_HELD: value})
    return None if value is None else arr.callback(php, act)(value)


def _str(php: Interpreter, name: str, value: Value) -> Value:
    return stringable(text(php, value))


def _tap(php: Interpreter, name: str, value: Value, act: Value) -> Value:
    arr.callback(php, act)(value)
    return value


def _with(php: Interpreter, name: str, value: Value, act: Value = None) -> Value:
    return value if act is None else arr.callback(php, act)(value)


def _transform(php: Interpreter, name: str, value: Value, act: Value, default: Value = None) -> Value:
    if not _blank(php, name, value):
        return arr.callback(php, act)(value)
    if default is None or isinstance(default, bool | int | float):
        return default
    return arr.callback(php, default)(value)


def _throw(*, when: bool) -> Act:
    def act(php: Interpreter, name: str, condition: Value, exception: Value = None, *more: Value) -> Value:
        if to_bool(condition) is not when:
            return condition
        if not isinstance(exception, PhpObject) or php.classes.find(exception.class_name) is None:
            php.refuse(f"{name}() with what is not an exception object")
        message = exception.get("message", b"")
        shown = message.decode("utf-8", "replace") if isinstance(message, bytes) else ""
        raise Thrown(exception.class_name, shown, exception)

    return act


def _value(php: Interpreter, name: str, value: Value, *arguments: Value) -> Value:
    return php.call(value, arguments) if isinstance(value, PhpClosure) else value


def _logger(php: Interpreter, name: str, message: Value = None, context: Value = None) -> Value:
    return PhpObject(LOGGER) if message is None else None


FUNCTIONS: dict[str, Act] = {
    "blank": _blank,
    "class_basename": _class_basename,
    "collect": lambda php, name, value=None: collection(arrayable(php, value), COLLECTION),
    "data_get": lambda php, name, target, key, default=None: arr.data_get(php, target, key, default),
    "e": _e,
    "illuminate\\support\\enum_value": _enum_value,
    "filled": lambda php, name, value: not _blank(php, name, value),
    "head": _edge(last=False),
    "info": lambda php, name, message, context=None: None,
    "last": _edge(last=True),
    "logger": _logger,
    "now": lambda php, name, zone=None: php.call_static(_date_class(php), "now", (zone,)),
    "optional": _optional,
    "request": lambda php, name: PhpObject(REQUEST),
    "str": _str,
    "tap": _tap,
    "throw_if": _throw(when=True),
    "throw_unless": _throw(when=False),
    "today": lambda php, name, zone=None: php.call_static(_date_class(php), "today", (zone,)),
    "transform": _transform,
    "value": _value,
    "with": _with,
    **TRANSLATION_FUNCTIONS,
}


def laravel_functions(config: AppConfig, env: Act) -> dict[str, Function]:
    """Laravel's helpers by lower-case name. `env` answers the app's `env()`."""

    def setting(php: Interpreter, key: bytes) -> Value:
        try:
            return _configured(php, config, key)
        except KeyError:
            return None

    acts = {**FUNCTIONS, **url_functions(setting), "config": _config_get(config), "env": env}
    return {name: _entry(name, act) for name, act in acts.items()}


def _entry(name: str, act: Act) -> Function:
    def call(php: Interpreter, arguments: Sequence[Value]) -> Value:
        require(php, FUNCTION_RELEASES, name, len(arguments), f"{name}()")
        return run(php, act, f"{name}()", name, arguments)

    return call


# ---- classes ------------------------------------------------------------------------------------------


class _LogClass:
    """Facade and logger: nothing is written, and what gives a logger gives one that writes nothing."""

    _LOGGERS = frozenset({"channel", "stack", "driver", "build", "withContext", "withoutContext"})

    def construct(self, php: Interpreter, class_name: str, arguments: Sequence[Value]) -> Value:
        php.refuse(f"new {class_name}")

    def call(self, php: Interpreter, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value:
        return self.static(php, subject.class_name, method, arguments)

    def static(self, php: Interpreter, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        if method in self._LOGGERS:
            return PhpObject(LOGGER)
        if method not in _LEVELS:
            php.refuse(f"the method {class_name}::{method}()")
        return None

    def read(self, php: Interpreter, subject: PhpObject, name: str) -> Value:
        php.refuse(f"the property {subject.class_name}::${name}")

    def has(self, php: Interpreter, subject: PhpObject, name: str) -> bool:
        php.refuse(f"the property {subject.class_name}::${name}")


_LEVELS = frozenset(
    {"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug", "log", "write"}
)


# What JSON, a loop or a conversion of the object itself asks for: of Optional it is none of what it holds.
_NOT_FORWARDED = {"jsonSerialize", "all", "toArray", "toJson", "__toString", "count"}


class _OptionalClass:
    """What `optional()` gives: the object's own members, or null for everything."""

    def construct(self, php: Interpreter, class_name: str, arguments: Sequence[Value]) -> Value:
        return _optional(php, class_name, *arguments[:1])

    def call(self, php: Interpreter, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value:
        held = subject.properties.get(_HELD)
        if method in _NOT_FORWARDED:
            php.refuse(f"{method}() of what optional() gives")
        if method == "offsetGet" and len(arguments) == 1:
            return arr.get(php, held, arguments[0])
        if method == "offsetExists" and len(arguments) == 1:
            return arr.get(php, held, arguments[0]) is not None
        if isinstance(held, EnumCase):
            php.refuse("a method of an enum case through optional()")
        return arr.public_call(php, held, method, arguments) if isinstance(held, PhpObject) else None

    def static(self, php: Interpreter, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        php.refuse(f"the static method {class_name}::{method}()")

    def read(self, php: Interpreter, subject: PhpObject, name: str) -> Value:
        held = subject.properties.get(_HELD)
        return (
            arr.public_read(php, held, name, silent=True) if isinstance(held, PhpObject | EnumCase) else None
        )

    def has(self, php: Interpreter, subject: PhpObject, name: str) -> bool:
        held = subject.properties.get(_HELD)
        if isinstance(held, PhpArray):
            php.refuse("isset of a property of optional() of an array")
        return isinstance(held, PhpObject | EnumCase) and arr.public_has(php, held, name)


def _storage(php: Interpreter, subject: PhpObject) -> PhpArray:
    return array(php, subject.properties.get(1))


_ARRAY_OBJECT: dict[str, Act] = {
    "offsetGet": lambda php, subject, key: php.offset(_storage(php, subject), key),
    "offsetExists": lambda php, subject, key: _storage(php, subject).get(php.key(key)) is not None,
    "toArray": _storage,
    "getArrayCopy": _storage,
    "count": lambda php, subject: len(_storage(php, subject)),
    "collect": lambda php, subject: collection(_storage(php, subject), COLLECTION),
}


def laravel_classes(clock: Clock, timezone: str, locale: str, config: AppConfig) -> dict[str, Native]:
    """Laravel's own classes by name, but for channels and models: dates, collections, texts, facades.

    `clock` gives the time, aware; `timezone` and `locale` are the app's.
    """
    facade = NativeClass(methods={}, statics={"get": _config_get(config), "has": _config_has(config)})
    log = _LogClass()
    return {
        **carbon_classes(clock, timezone, locale),
        **COLLECTION_CLASSES,
        **arr.ARR_CLASSES,
        **STR_CLASSES,
        **TRANSLATION_CLASSES,
        **dict.fromkeys((_FACADES + "Config", "Config"), facade),
        **dict.fromkeys((_FACADES + "Log", "Log", LOGGER), log),
        OPTIONAL: _OptionalClass(),
        ARRAY_OBJECT: NativeClass(methods=_ARRAY_OBJECT),
    }
