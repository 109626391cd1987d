"""Value objects of PHP and Laravel as JSON: dates, collections, strings. One entry a class.

Each entry turns the object's unserialized properties into what json_encode writes for it.
Sources: spec BroadcastEvent section 7; Carbon src/Carbon/Traits/Serialization.php (toJSON: UTC, six digits).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

from bridge.errors import Refused
from bridge.phpeval.laravel.support.time_zones import zone_info
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value

_OFFSET = re.compile(r"(?!-00:00)([+-])([01]\d|2[0-3]):([0-5]\d)\Z", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\Z", re.ASCII)
_ABBREVIATIONS = {"Z", "GMT"}  # PHP makes an identifier of `UTC`

DATE_TIMES = frozenset({"DateTime", "DateTimeImmutable"})
CARBONS = frozenset({"Carbon\\Carbon", "Carbon\\CarbonImmutable", "Illuminate\\Support\\Carbon"})
# What stands in the array of an API resource until it is filtered, or for good where it never is
MISSING = "Illuminate\\Http\\Resources\\MissingValue"
MERGE = "Illuminate\\Http\\Resources\\MergeValue"
ARRAY_OBJECT = "Illuminate\\Database\\Eloquent\\Casts\\ArrayObject"
COLLECTIONS = frozenset({"Illuminate\\Support\\Collection", "Illuminate\\Database\\Eloquent\\Collection"})


def moment(value: PhpObject) -> datetime:
    """The instant of a serialized DateTime or Carbon, aware. Raises Refused outside of years 1 to 9999."""
    at = _first_reading(value)
    if at.utcoffset() != at.replace(fold=1).utcoffset():
        raise Refused("a time of day at which the clocks are changed")  # PHP takes either, zone by zone
    return at


def _first_reading(value: PhpObject) -> datetime:
    """As `moment`, the first of two where the clocks are changed."""
    held = value.properties
    date, kind, zone = held.get(b"date"), held.get(b"timezone_type"), held.get(b"timezone")
    text = date.decode("ascii", "replace") if isinstance(date, bytes) else ""
    if not _MOMENT.match(text) or not isinstance(zone, bytes) or not isinstance(kind, int):
        raise Refused(f"a {value.class_name} with a date that is not of the usual form")
    try:
        naive = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"a {value.class_name} with a date outside of the calendar") from error
    return naive.replace(tzinfo=time_zone(kind, zone.decode("ascii", "replace")))


@lru_cache(maxsize=1024)
def time_zone(kind: int, name: str) -> timezone | ZoneInfo:
    """`timezone_type` 1 offset, 2 abbreviation, 3 identifier; in PHP's own spelling, else Refused."""
    if kind == 1 and (match := _OFFSET.match(name)):
        sign, hours, minutes = match.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-offset if sign == "-" else offset)
    if kind == 2 and name in _ABBREVIATIONS:
        return UTC
    if kind == 3:
        return zone_info(name)
    raise Refused(f"the time zone {name}")


def iso_json(instant: datetime) -> bytes:
    """As Carbon's toJSON: `2024-05-17T12:34:56.789012Z`."""
    try:
        instant = instant.astimezone(UTC)
    except OverflowError as error:
        raise Refused("a date outside of the years 1 to 9999") from error
    return instant.replace(tzinfo=None).isoformat("T", "microseconds").encode() + b"Z"


def _carbon(value: PhpObject) -> Value:
    return iso_json(moment(value))


def _as_stored(value: PhpObject) -> Value:
    return PhpObject("stdClass", dict(value.properties))


def _date_time(value: PhpObject) -> Value:
    at = _first_reading(value)  # only the usual form comes out as it went in
    first, second = (at.replace(fold=fold).utcoffset() for fold in (0, 1))
    if first is not None and second is not None and first < second:
        raise Refused("a time of day that a change of the clocks skips")  # PHP moves it past the change
    return PhpObject(
        "stdClass", {key: value.get(key.decode()) for key in (b"date", b"timezone_type", b"timezone")}
    )


def _array_object(value: PhpObject) -> Value:
    storage = value.properties.get(1)
    if not isinstance(storage, PhpArray):
        raise Refused("an ArrayObject over another object")
    return PhpObject(
        "stdClass", {str(k).encode() if isinstance(k, int) else k: v for k, v in storage.items()}
    )


# What an interval says of itself; PHP before 8.2 has more, in another order.
_INTERVAL = (b"y", b"m", b"d", b"h", b"i", b"s", b"f", b"invert", b"days", b"from_string")


def _interval(value: PhpObject) -> Value:
    shown: dict[int | bytes, Value] = {
        key: held for key, held in value.properties.items() if isinstance(key, bytes) and key[:1] != b"\0"
    }
    if tuple(shown) != _INTERVAL:
        raise Refused(f"a {value.class_name} of a PHP before 8.2, or made from a text")
    return PhpObject("stdClass", shown)


def _fixed_array(value: PhpObject) -> Value:
    if list(value.properties) != list(range(len(value.properties))):
        raise Refused("a SplFixedArray with properties")
    return PhpArray.of(value.properties.values())


def _text(name: str) -> Callable[[PhpObject], Value]:
    def read(value: PhpObject) -> Value:
        text = value.get(name)
        if not isinstance(text, bytes):
            raise Refused(f"a {value.class_name} without its text")
        return text

    return read


JSON_FORMS: dict[str, Callable[[PhpObject], Value]] = {
    **dict.fromkeys(DATE_TIMES, _date_time),
    **dict.fromkeys(CARBONS, _carbon),
    "DateTimeZone": _as_stored,
    "Illuminate\\Support\\Stringable": _text("value"),
    "Illuminate\\Support\\HtmlString": lambda value: PhpObject("stdClass"),
    "Illuminate\\Support\\Optional": lambda value: PhpObject("stdClass"),
    MISSING: lambda value: PhpObject("stdClass"),
    MERGE: _as_stored,
    **dict.fromkeys(("ArrayObject", "ArrayIterator"), _array_object),
    **dict.fromkeys(("DateInterval", "Carbon\\CarbonInterval"), _interval),
    "SplFixedArray": _fixed_array,
    ARRAY_OBJECT: lambda value: value.properties.get(1),  # jsonSerialize() gives the array
    "Ramsey\\Uuid\\Lazy\\LazyUuidFromString": _text("string"),
}

# Items of these are converted one by one, as Laravel does.
WRAPPERS: dict[str, str] = {
    **dict.fromkeys(COLLECTIONS, "items"),
    "Illuminate\\Support\\Fluent": "attributes",
}
