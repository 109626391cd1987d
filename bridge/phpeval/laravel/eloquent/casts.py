"""Casts: the table name → what reading the attribute gives. One entry a cast.

Source: Database/Eloquent/Concerns/HasAttributes.php castAttribute, Casts/*; by release where they differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bridge.errors import Refused
from bridge.phpeval.laravel.eloquent import dates
from bridge.phpeval.laravel.eloquent.connection import float_of
from bridge.phpeval.laravel.object_conversions import jsonable
from bridge.phpeval.laravel.support.json_forms import ARRAY_OBJECT, moment
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.runtime.class_table import ClassTable
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import Thrown, identical, is_numeric, to_bool, to_float, to_int
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.serialization.json_decode import decode_json
from bridge.phpeval.php.serialization.json_encode import json_encode

_CASTS = "Illuminate\\Database\\Eloquent\\Casts\\"
COLLECTION = "Illuminate\\Support\\Collection"
HTML_STRING = "Illuminate\\Support\\HtmlString"
FLUENT = "Illuminate\\Support\\Fluent"
_KNOWN_CASES = 256  # stored values of one enum whose cases are remembered
# Casts whose values are scalars, arrays or stdClass: what they give stands in arrays as it is.
_PLAIN = frozenset(
    {
        "int", "integer", "real", "float", "double", "decimal", "string", "bool", "boolean", "object",
        "array", "json", "timestamp",
    }
)  # fmt: skip
_DATES = {"date", "datetime", "immutable_date", "immutable_datetime"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EloquentOptions:
    """What models need besides their class: the app's time zone and key, its Laravel, and the class of dates
    that its `Date` facade makes.

    Reasons to refuse, where a provider calls for another behaviour of every model, else None:
    lazy     lazy loading for a model that was read among others is an error, or loads for all of them
    missing  reading an attribute that is not there is an error
    morphs   types in morph columns are not class names
    snake    `Model::$snakeAttributes`, by which names in arrays are spelled, is set
    models   models may be read in another way altogether
    hooks    by model class: what changes the reading of it, and of classes that extend it
    scopes   by model class: a global scope that it gets from outside
    queries  why no local scope can be told: the app adds methods to queries
    snake_attributes  what it is known to be, where a class says nothing else
    """

    zone: ZoneInfo
    decrypt: Callable[[bytes], bytes]
    version: Version
    date_class: str = dates.CARBON
    lazy: Refused | None = None
    missing: Refused | None = None
    morphs: Refused | None = None
    snake: Refused | None = None
    models: Refused | None = None
    hooks: Mapping[str, Refused] = field(default_factory=dict)
    scopes: Mapping[str, Refused] = field(default_factory=dict)
    queries: Refused | None = None
    snake_attributes: bool = True


class Casting(NamedTuple):
    """One value on its way: `argument` is what follows the colon in the cast."""

    php: Interpreter
    options: EloquentOptions
    date_format: str | None
    argument: str


Cast = Callable[[Value, Casting], Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCast:
    """A cast as a model names it: `decimal:2` → name `decimal`, argument `2`; class names stay."""

    name: str
    argument: str
    whole: str

    @property
    def is_moment(self) -> bool:
        """A date or time that JSON shows in its own form."""
        return self.whole in _DATES

    @property
    def is_day(self) -> bool:
        """A date whose time of day is midnight; with a format it keeps its time."""
        return self.whole in ("date", "immutable_date")

    @property
    def date_text(self) -> str | None:
        """The format of `datetime:FORMAT` and its kin."""
        return self.argument if self.name in _DATES and self.argument else None

    @property
    def primitive(self) -> str | None:
        """The name in lower case, if it is one of `PRIMITIVE`. Laravel looks at an argument only where the
        name is written exactly so, and at dates in capitals not in all places."""
        name = self.name.strip().lower()
        takes_argument = _DATES | {"decimal", "encrypted"}
        if name not in PRIMITIVE or (name in _DATES and self.name.strip() != name):
            return None
        bare = self.whole == self.name
        return name if bare or (self.argument and self.name in takes_argument) else None


@lru_cache(maxsize=1024)
def named_cast(cast: str) -> NamedCast:
    """A cast from its text."""
    name, _, argument = cast.partition(":")
    return NamedCast(name=name, argument=argument, whole=cast)


def plain(cast: NamedCast, classes: ClassTable) -> Cast | None:
    """Makes of a value that is not null what an array shows, for a cast of simple kind: as `cast_value`. None
    for any other cast."""
    name = cast.primitive
    if name not in _PLAIN or classes.find(cast.name) is not None or classes.find(cast.whole) is not None:
        return None
    return PRIMITIVE[name]


def is_steady(cast: NamedCast, classes: ClassTable) -> bool:
    """Whether arrays show the same of the same stored value each time, and nothing that can be changed."""
    declared = classes.find(cast.whole)
    if declared is not None:
        return declared.kind == "enum"
    if classes.find(cast.name) is not None:
        return False
    return cast.name in _DATES or (cast.name != "object" and plain(cast, classes) is not None)


def cast_value(cast: NamedCast, value: Value, casting: Casting) -> Value:
    """What the attribute is in PHP. Refused for a cast that has no entry; classes are the caller's."""
    if cast.primitive is not None:
        if casting.options.version < SINCE.get(cast.primitive, (0, 0)):
            raise Refused(f"the cast {cast.whole} in a Laravel that does not have it")
        return None if value is None else PRIMITIVE[cast.primitive](value, casting)
    known = KNOWN_CLASSES.get(cast.name)
    if known is None:
        raise Refused(f"the cast {cast.whole}")
    if cast.argument and cast.name not in _TAKES_ARGUMENT:
        raise Refused(f"the cast {cast.whole} with an argument")
    if casting.options.version < SINCE.get(cast.name, (0, 0)):
        raise Refused(f"the cast {cast.whole} in a Laravel that does not have it")
    return None if value is None else known(value, casting)


def is_cast(cast: NamedCast) -> bool:
    """Whether `cast_value` has an entry for it."""
    known = cast.name in KNOWN_CLASSES and (cast.name in _TAKES_ARGUMENT or not cast.argument)
    return known or cast.primitive is not None


def enum_in_array(class_name: str, value: Value, php: Interpreter, version: Version) -> Value:
    """What an array shows of the case for a stored value."""
    known: dict[tuple[type, Value], Value] = php.classes.remember("shown cases", class_name, dict)
    asked = (type(value), value)
    if isinstance(value, int | bytes) and asked in known:
        return known[asked]
    case = cast_enum(class_name, value, php)
    if not isinstance(case, EnumCase):
        return case
    backing = php.backing_value(case)
    if backing is None and version < (11, 0):
        raise Refused(f"the pure enum {class_name} as a cast before Laravel 11")
    shown = case.case.encode() if backing is None else backing
    if isinstance(value, int | bytes) and len(known) < _KNOWN_CASES:
        known[asked] = shown
    return shown


def cast_enum(class_name: str, value: Value, php: Interpreter) -> Value:
    """The case of the enum for a stored value; null stays null."""
    if value is None or (isinstance(value, EnumCase) and value.class_name == class_name):
        return value
    for case, backing in php.classes.remember("cases", class_name, lambda: _cases(class_name, php)):
        if backing is None:
            if isinstance(value, bytes) and value == case.case.encode():
                return case
            continue
        wanted = to_int(value) if isinstance(backing, int) and _integer(value) else value
        if isinstance(backing, bytes) and isinstance(wanted, int):
            wanted = str(wanted).encode()
        if identical(backing, wanted):
            return case
    raise Thrown("ValueError", f"a stored value is no case of {class_name}")


def _cases(class_name: str, php: Interpreter) -> list[tuple[EnumCase, int | bytes | None]]:
    cases = (EnumCase(class_name, name) for name in php.classes.require(class_name).cases)
    return [(case, php.backing_value(case)) for case in cases]


def _integer(value: Value) -> bool:
    return isinstance(value, bytes) and is_numeric(value) and value.strip().lstrip(b"-").isdigit()


_FLOATS = ("real", "float", "double")


def is_float(cast: NamedCast | None) -> bool:
    """Whether the cast reads a float, whatever the database gives."""
    return cast is not None and cast.whole.strip().lower() in _FLOATS


def _float(value: Value, casting: Casting) -> Value:
    value = float_of(value)
    special = {b"Infinity": float("inf"), b"-Infinity": float("-inf"), b"NaN": float("nan")}
    return special[value] if isinstance(value, bytes) and value in special else to_float(value)


_DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_LARGEST, _HALF, _NEAR = Decimal(10) ** 15, Decimal("0.5"), Decimal("0.000001")


def _decimal(value: Value, casting: Casting) -> Value:
    """Half up on decimal text from 9.48 on; number_format of a float before: refused near a tie."""
    try:
        digits = int(casting.argument)
        text = casting.php.text(value).decode("ascii")
    except ValueError as error:
        raise Refused("a decimal cast of what is no number") from error
    if not _DECIMAL.fullmatch(text):
        raise Refused("a decimal cast of what is no number")
    number = Decimal(text)
    if not 0 <= digits <= 20 or abs(number) > _LARGEST:
        raise Refused("a decimal cast of a number this large")
    exponent = Decimal(1).scaleb(-digits)
    if casting.options.version < (9, 48):
        tie = (abs(number) / exponent) % 1
        if abs(tie - _HALF) < _NEAR:
            raise Refused("a decimal cast that rounds a tie, before Laravel 9.48")
    rounded = number.quantize(exponent, rounding=ROUND_HALF_UP)
    if rounded == 0 and number < 0 and casting.options.version < (9, 48) and casting.php.before(8, 0):
        raise Refused("a decimal cast that rounds to -0, before PHP 8")
    return f"{abs(rounded) if rounded == 0 else rounded:f}".encode()


def _json(*, objects: bool) -> Cast:
    def decode(value: Value, casting: Casting) -> Value:
        return decode_json(casting.php.text(value), objects=objects)

    return decode


def collection(value: Value) -> PhpObject:
    """`new Collection($value)`."""
    items = value if isinstance(value, PhpArray) else PhpArray() if value is None else PhpArray.of([value])
    return PhpObject(COLLECTION, {b"\0*\0items": items})


def _collection(value: Value, casting: Casting) -> Value:
    return collection(_json(objects=False)(value, casting))


def _date_time(value: Value, casting: Casting) -> PhpObject:
    options = casting.options
    return dates.as_date_time(value, options.zone, casting.date_format, options.date_class)


def _date(value: Value, casting: Casting) -> PhpObject:
    read = _date_time(value, casting)
    return read if casting.argument else dates.start_of_day(read)  # with a format it is `custom_datetime`


def immutable(value: PhpObject) -> PhpObject:
    """`->toImmutable()`."""
    return PhpObject(dates.IMMUTABLE, dict(value.properties))


def _timestamp(value: Value, casting: Casting) -> Value:
    read = _date_time(value, casting)
    return dates.timestamp(read, moment(read))


def _encrypted(value: Value, casting: Casting) -> Value:
    plain = casting.options.decrypt(casting.php.text(value))
    match casting.argument.lower():
        case "":
            return plain
        case "array" | "json":
            return decode_json(plain, objects=False)
        case "object":
            return decode_json(plain, objects=True)
        case "collection":
            return collection(decode_json(plain, objects=False))
    raise Refused(f"the cast encrypted:{casting.argument}")


PRIMITIVE: dict[str, Cast] = {
    "int": lambda value, _: to_int(value),
    "integer": lambda value, _: to_int(value),
    "real": _float,
    "float": _float,
    "double": _float,
    "decimal": _decimal,
    "string": lambda value, casting: casting.php.text(value),
    "bool": lambda value, _: to_bool(value),
    "boolean": lambda value, _: to_bool(value),
    "object": _json(objects=True),
    "array": _json(objects=False),
    "json": _json(objects=False),
    "collection": _collection,
    "date": _date,
    "datetime": _date_time,
    "immutable_date": lambda value, casting: immutable(_date(value, casting)),
    "immutable_datetime": lambda value, casting: immutable(_date_time(value, casting)),
    "timestamp": _timestamp,
    "encrypted": _encrypted,
    "hashed": lambda value, _: value,
}


def _as_collection(value: Value, casting: Casting) -> Value:
    decoded = _json(objects=False)(value, casting)
    if isinstance(decoded, PhpArray) or casting.options.version < (9, 0):
        return collection(decoded)
    if casting.options.version < (11, 0):
        raise Refused("the cast AsCollection of what is no array, which releases read differently")
    return None


def _as_stringable(value: Value, casting: Casting) -> Value:
    return PhpObject("Illuminate\\Support\\Stringable", {b"\0*\0value": casting.php.text(value)})


def _as_array_object(value: Value, casting: Casting) -> Value:
    decoded = decode_json(casting.php.text(value), objects=False)
    if isinstance(decoded, PhpArray):
        return PhpObject(ARRAY_OBJECT, {1: decoded})
    if casting.options.version < (9, 7):
        raise Refused("the cast AsArrayObject of what is no array")
    return None


def _decrypted(value: Value, casting: Casting) -> PhpArray:
    decoded = decode_json(casting.options.decrypt(casting.php.text(value)), objects=False)
    if not isinstance(decoded, PhpArray):
        raise Refused("an encrypted cast of what is no array")
    return decoded


def _as_encrypted_object(value: Value, casting: Casting) -> Value:
    return PhpObject(ARRAY_OBJECT, {1: _decrypted(value, casting)})


def _as_fluent(value: Value, casting: Casting) -> Value:
    decoded = decode_json(casting.php.text(value), objects=False)
    if not isinstance(decoded, PhpArray):
        raise Refused("the cast AsFluent of what is no array")
    return PhpObject(FLUENT, {b"\0*\0attributes": decoded})


def _as_html_string(value: Value, casting: Casting) -> Value:
    return PhpObject(HTML_STRING, {b"\0*\0html": value})


def _enums(value: Value, casting: Casting) -> PhpArray | None:
    decoded = decode_json(casting.php.text(value), objects=False)
    if not isinstance(decoded, PhpArray):
        return None
    name, php = casting.argument.lstrip("\\"), casting.php
    if not php.is_enum(name) or any(case is None for case in php.classes.require(name).cases.values()):
        raise Refused(f"a cast to many of {name}, which is no enum with values that is known here,")
    return PhpArray((key, php.call_static(name, "from", (one,))) for key, one in decoded.items())


def _as_enum_collection(value: Value, casting: Casting) -> Value:
    cases = _enums(value, casting)
    return None if cases is None else collection(cases)


def _as_enum_array(value: Value, casting: Casting) -> Value:
    cases = _enums(value, casting)
    return None if cases is None else PhpObject(ARRAY_OBJECT, {1: cases})


KNOWN_CLASSES: dict[str, Cast] = {
    _CASTS + "AsCollection": _as_collection,
    _CASTS + "AsStringable": _as_stringable,
    _CASTS + "AsArrayObject": _as_array_object,
    _CASTS + "AsEncryptedCollection": lambda value, casting: collection(_decrypted(value, casting)),
    _CASTS + "AsEncryptedArrayObject": _as_encrypted_object,
    _CASTS + "AsEnumCollection": _as_enum_collection,
    _CASTS + "AsEnumArrayObject": _as_enum_array,
    _CASTS + "AsFluent": _as_fluent,
    _CASTS + "AsHtmlString": _as_html_string,
}
SINCE: dict[str, Version] = {
    "encrypted": (8, 12),
    "hashed": (10, 10),
    _CASTS + "AsEnumCollection": (9, 49),
    _CASTS + "AsEnumArrayObject": (9, 49),
    _CASTS + "AsFluent": (12, 19),
    _CASTS + "AsHtmlString": (12, 4),
}
_TAKES_ARGUMENT = {_CASTS + "AsEnumCollection", _CASTS + "AsEnumArrayObject"}


def _copied(value: Value, php: Interpreter) -> Value:
    """`getArrayCopy()`."""
    return value.properties[1] if isinstance(value, PhpObject) else value


def _enum_values(value: Value, php: Interpreter) -> Value:
    if not isinstance(value, PhpObject):
        return value
    items = value.properties[1] if value.class_name == ARRAY_OBJECT else value.get("items")
    if not isinstance(items, PhpArray):
        return value
    return PhpArray((k, php.backing_value(v) if isinstance(v, EnumCase) else v) for k, v in items.items())


# What becomes of their values in toArray(), where it is not what becomes of any such object: `serialize()`
FOR_ARRAY: dict[str, Callable[[Value, Interpreter], Value]] = {
    _CASTS + "AsArrayObject": _copied,
    _CASTS + "AsEncryptedArrayObject": _copied,
    _CASTS + "AsEnumCollection": _enum_values,
    _CASTS + "AsEnumArrayObject": _enum_values,
}


def written(cast: NamedCast, value: Value, raw: Value, php: Interpreter) -> Value:
    """What the `set` of one of Laravel's own cast classes makes of a value that it gave; `raw` is what the
    column held."""
    if "Encrypted" in cast.name:
        return raw  # another ciphertext each time, of the same
    if cast.name == _CASTS + "AsStringable":
        return php.text(value)
    if cast.name == _CASTS + "AsHtmlString":
        return raw
    shown = FOR_ARRAY[cast.name](value, php) if cast.name in FOR_ARRAY else value
    if cast.name == _CASTS + "AsEnumArrayObject" and isinstance(shown, PhpArray):
        shown = PhpArray.of(shown.values())  # keys are not kept
    return json_encode(shown, lambda held: jsonable(held, php)).encode()
