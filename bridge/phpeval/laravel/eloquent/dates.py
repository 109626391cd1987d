"""Dates of a model: from what the database holds to Carbon objects. Source: HasAttributes::asDateTime."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from bridge.errors import Refused
from bridge.phpeval.laravel.support import json_forms
from bridge.phpeval.php.runtime.operators import is_numeric, to_float
from bridge.phpeval.php.runtime.values import PhpObject, Value

CARBON = "Illuminate\\Support\\Carbon"
IMMUTABLE = "Carbon\\CarbonImmutable"
DEFAULT_FORMAT = "Y-m-d H:i:s"

_STANDARD = re.compile(rb"(\d{4})-(\d{1,2})-(\d{1,2})\Z")
_DATABASE = re.compile(rb"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?\Z")
_ISO = re.compile(rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d:\d\d)\Z")


_SECOND_TEXT, _DAY_TEXT = b"%sT%s.000000Z", b"%sT00:00:00.000000Z"
_MIDNIGHT = time()
_MIDNIGHT_PARTS = (b"0", b"0", b"0", None)


def carbon(moment: datetime, zone: tuple[int, str], *, immutable: bool = False) -> PhpObject:
    """A Carbon object; `zone` as PHP stores it: (3, "Europe/Berlin"), (1, "+02:00"), (2, "Z")."""
    kind, name = zone
    return PhpObject(
        IMMUTABLE if immutable else CARBON,
        {
            b"date": moment.isoformat(" ", "microseconds").encode(),
            b"timezone_type": kind,
            b"timezone": name.encode(),
        },
    )


def as_date_time(
    value: Value, zone: ZoneInfo, date_format: str | None, date_class: str = CARBON
) -> PhpObject:
    """What Eloquent makes of a stored value, an object of `date_class`; Refused for forms that only PHP's own
    parser may read."""
    made = _as_date_time(value, zone, date_format)
    if date_class != CARBON and made.class_name in json_forms.CARBONS:
        return PhpObject(date_class, made.properties)
    return made


def _as_date_time(value: Value, zone: ZoneInfo, date_format: str | None) -> PhpObject:
    if isinstance(value, PhpObject):
        return PhpObject(value.class_name, dict(value.properties))
    own = (3, zone.key)
    usual = date_format in (None, DEFAULT_FORMAT)
    match = _DATABASE.match(value) if usual and isinstance(value, bytes) else None
    if match:
        return carbon(_local(_naive(match.groups()), zone), own)
    if isinstance(value, int | float) or (isinstance(value, bytes) and is_numeric(value)):
        written = value.lower() if isinstance(value, bytes) else b"%r" % value
        if b"e" in written:
            raise Refused("a timestamp with an exponent, whose parts Carbon adds up,")
        return carbon(_in_zone(_timestamp(to_float(value)), zone), own)
    if not isinstance(value, bytes):
        raise Refused("a date that is neither text nor number")
    match = _STANDARD.match(value)
    if match:
        return carbon(_local(_naive((*match.groups(), *_MIDNIGHT_PARTS)), zone), own)
    if not usual:
        raise Refused(f"the date format {date_format} of a model")
    match = _ISO.match(value)
    if match:
        *parts, offset = match.groups()
        naive = _naive(parts)
        if offset == b"Z":
            return carbon(naive, (2, "Z"))
        return carbon(naive, (1, offset.decode()))
    raise Refused("a date in a form that only PHP can read")


def json_text(value: Value, zone: ZoneInfo, date_format: str | None, *, day: bool = False) -> bytes | None:
    """What JSON shows of a stored value of a usual form, as `iso_json` of `as_date_time`, with `day` of its
    `start_of_day`; None for other forms."""
    if not isinstance(value, bytes):
        return None
    match = _DATABASE.match(value) if date_format in (None, DEFAULT_FORMAT) else None
    if match is not None and len(value) == 19:
        second = _second(value)
        if zone.key == "UTC":
            return (_DAY_TEXT if day else _SECOND_TEXT) % ((value[:10],) if day else (value[:10], value[11:]))
        local_time = _local(second, zone)
    elif match is not None:
        local_time = _local(_naive(match.groups()), zone)
    else:
        match = _STANDARD.match(value)
        if match is None:
            return None
        local_time = _local(_naive((*match.groups(), *_MIDNIGHT_PARTS)), zone)
    if day:
        local_time = _local(datetime.combine(local_time, _MIDNIGHT), zone)
    offset = None if zone.key == "UTC" else local_time.replace(tzinfo=zone).utcoffset()
    try:
        instant = local_time - offset if offset else local_time
    except OverflowError:
        return None
    return instant.isoformat("T", "microseconds").encode() + b"Z"


def start_of_day(value: PhpObject) -> PhpObject:
    """`->startOfDay()` of what `as_date_time` gives."""
    at = json_forms.moment(value)
    started = datetime.combine(at, _MIDNIGHT)
    if isinstance(at.tzinfo, ZoneInfo):
        started = _local(started, at.tzinfo)
    date = started.isoformat(" ", "microseconds").encode()
    return PhpObject(value.class_name, {**value.properties, b"date": date})


def timestamp(value: PhpObject, moment: datetime) -> int:
    """`->getTimestamp()`: whole seconds, rounded down."""
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1))


def _naive(parts: list[bytes | None] | tuple[bytes | None, ...]) -> datetime:
    *whole, fraction = (part or b"0" for part in parts)
    try:
        return datetime(*map(int, whole), int(fraction.ljust(6, b"0")))  # type: ignore[call-arg,arg-type]
    except ValueError as error:
        raise Refused("a date that is not in the calendar") from error


def _second(value: bytes) -> datetime:
    """`_naive` of `2024-01-31 12:34:56`."""
    try:
        return datetime.fromisoformat(value.decode())
    except ValueError as error:
        raise Refused("a date that is not in the calendar") from error


def _local(naive: datetime, zone: ZoneInfo) -> datetime:
    """The wall clock of the zone; a time that a clock change skips is moved past it, as PHP does.

    Which of the two is meant in an hour that comes twice, releases of PHP and Carbon see differently.
    """
    if zone.key == "UTC":
        return naive
    first, second = (naive.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    if first == second:
        return naive
    if first is not None and second is not None and first > second:
        raise Refused("a time of the hour that a clock change repeats")
    return naive.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None)


def _timestamp(seconds: float) -> datetime:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError as error:
        raise Refused("a timestamp outside of the calendar") from error


def _in_zone(moment: datetime, zone: ZoneInfo | timezone) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)
