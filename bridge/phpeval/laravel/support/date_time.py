"""A moment as PHP's DateTime holds it: an instant in a time zone; its text forms.

A moment is a PhpObject with PHP's own three properties (`date`, `timezone_type`, `timezone`), as unserialize
gives it; here it is read, written, parsed and formatted. One entry a format letter.

Source: ext/date/php_date.c date_format; letters compared with PHP 8.2.
"""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from collections.abc import Callable, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bridge.errors import Refused
from bridge.phpeval.laravel.support import json_forms
from bridge.phpeval.laravel.support.native_class import text
from bridge.phpeval.laravel.support.time_zones import takes
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.values import PhpObject, Value

MOMENTS = json_forms.CARBONS | json_forms.DATE_TIMES

_Format = Callable[["Moment"], str]


@dataclass(frozen=True, slots=True)
class Zone:
    """A PHP time zone: `kind` as `timezone_type`, and its name."""

    kind: int
    name: str

    def at(self, instant: datetime) -> datetime:
        return instant.astimezone(json_forms.time_zone(self.kind, self.name))

    def local_time(self, php: Interpreter, naive: datetime) -> datetime:
        """That wall clock time; refused where the clocks are changed."""
        zone = json_forms.time_zone(self.kind, self.name)
        first, second = naive.replace(tzinfo=zone, fold=0), naive.replace(tzinfo=zone, fold=1)
        if first.utcoffset() != second.utcoffset():
            php.refuse("a time of day at which the clocks are changed")
        return first


@dataclass(frozen=True, slots=True)
class Moment:
    class_name: str
    at: datetime  # in its zone
    zone: Zone

    @property
    def local_time(self) -> datetime:
        return self.at.replace(tzinfo=None)

    @property
    def instant(self) -> datetime:
        """In UTC, to compare: Python compares two times of one zone by the clock on the wall."""
        return self.at.astimezone(UTC)


def read_moment(value: Value) -> Moment:
    """A DateTime or Carbon as unserialized or made here. Refused for anything else."""
    if not isinstance(value, PhpObject) or value.class_name not in MOMENTS:
        raise Refused("a date is expected here")
    instant = json_forms.moment(value)
    kind, name = value.get("timezone_type"), value.get("timezone")
    if not isinstance(kind, int) or not isinstance(name, bytes):
        raise Refused("a date without its time zone")
    zone = Zone(kind, name.decode("ascii"))
    try:
        return Moment(value.class_name, zone.at(instant.astimezone(UTC)), zone)
    except OverflowError:
        raise Refused("a date outside of the years 1 to 9999") from None


def write_moment(moment: Moment) -> PhpObject:
    """The object; refused in the second pass of an hour that comes twice: three properties cannot say it."""
    at = moment.at
    if at.fold and at.replace(fold=0).utcoffset() != at.utcoffset():
        raise Refused("a time in the hour that the clocks repeat")
    return PhpObject(
        moment.class_name,
        {
            b"date": at.replace(tzinfo=None).isoformat(" ", "microseconds").encode(),
            b"timezone_type": moment.zone.kind,
            b"timezone": moment.zone.name.encode(),
        },
    )


def zone_of(php: Interpreter, value: Value) -> Zone:
    """The zone that a string or DateTimeZone means."""
    if isinstance(value, PhpObject):
        if value.class_name == "DateTimeZone":
            kind, name = value.get("timezone_type"), value.get("timezone")
            if isinstance(kind, int) and isinstance(name, bytes):
                return Zone(kind, name.decode("ascii", "replace"))
        return read_moment(value).zone
    name_text = text(php, value).decode("ascii", "replace")
    if _OFFSET.fullmatch(name_text) and name_text != "-00:00":
        return Zone(1, name_text)
    known: Set[str] | None = getattr(php.environment, "time_zones", None)
    if not takes(name_text, known) or (name_text != "UTC" and "/" not in name_text):  # may be abbreviations
        php.refuse(f"the time zone {name_text}")
    json_forms.time_zone(3, name_text)
    return Zone(3, name_text)


_OFFSET = re.compile(r"[+-](?:0\d|1[0-4]):[0-5]\d", re.ASCII)


# ---- format -------------------------------------------------------------------------------------

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def offset_seconds(moment: Moment) -> int:
    return int((moment.at.utcoffset() or timedelta()).total_seconds())


def _offset(moment: Moment, colon: str) -> str:
    seconds = offset_seconds(moment)
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02d}{colon}{minutes % 60:02d}"


def _abbreviation(moment: Moment) -> str:
    if moment.zone.kind == 1:  # `+05:30`, or `GMT+0530` in a PHP with the system's time zones
        raise Refused("the letter T of a date format for an offset, which depends on how PHP was built,")
    if moment.zone.kind == 2:
        return moment.zone.name.upper()
    return moment.at.tzname() or ""


def zone_name(moment: Moment) -> str:
    return _offset(moment, ":") if moment.zone.kind == 1 else moment.zone.name


def _suffix(moment: Moment) -> str:
    day = moment.at.day
    return "th" if 10 <= day <= 19 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def timestamp(moment: Moment) -> int:
    return (moment.instant - EPOCH) // timedelta(seconds=1)


def _swatch(moment: Moment) -> str:
    seconds = (timestamp(moment) + 3600) % 86400
    return f"{seconds * 10 // 864:03d}"


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LETTERS: dict[str, _Format] = {
    "d": lambda m: f"{m.at.day:02d}",
    "D": lambda m: DAYS[m.at.weekday()][:3],
    "j": lambda m: str(m.at.day),
    "l": lambda m: DAYS[m.at.weekday()],
    "N": lambda m: str(m.at.isoweekday()),
    "S": _suffix,
    "w": lambda m: str(m.at.isoweekday() % 7),
    "z": lambda m: str(m.at.timetuple().tm_yday - 1),
    "W": lambda m: f"{m.at.isocalendar().week:02d}",
    "F": lambda m: MONTHS[m.at.month - 1],
    "m": lambda m: f"{m.at.month:02d}",
    "M": lambda m: MONTHS[m.at.month - 1][:3],
    "n": lambda m: str(m.at.month),
    "t": lambda m: str(monthrange(m.at.year, m.at.month)[1]),
    "L": lambda m: str(int(isleap(m.at.year))),
    "o": lambda m: str(m.at.isocalendar().year),
    "Y": lambda m: f"{m.at.year:04d}",
    "y": lambda m: f"{m.at.year % 100:02d}",
    "a": lambda m: "am" if m.at.hour < 12 else "pm",
    "A": lambda m: "AM" if m.at.hour < 12 else "PM",
    "B": _swatch,
    "g": lambda m: str((m.at.hour - 1) % 12 + 1),
    "G": lambda m: str(m.at.hour),
    "h": lambda m: f"{(m.at.hour - 1) % 12 + 1:02d}",
    "H": lambda m: f"{m.at.hour:02d}",
    "i": lambda m: f"{m.at.minute:02d}",
    "s": lambda m: f"{m.at.second:02d}",
    "u": lambda m: f"{m.at.microsecond:06d}",
    "v": lambda m: f"{m.at.microsecond // 1000:03d}",
    "e": zone_name,
    "I": lambda m: str(int(bool(m.at.dst()))) if m.zone.kind == 3 else "0",
    "O": lambda m: _offset(m, ""),
    "P": lambda m: _offset(m, ":"),
    "T": _abbreviation,
    "Z": lambda m: str(offset_seconds(m)),
    "c": lambda m: formatted(m, r"Y-m-d\TH:i:sP"),
    "r": lambda m: formatted(m, "D, d M Y H:i:s O"),
    "U": lambda m: str(timestamp(m)),
}
_NEWER_LETTERS = "pXx"  # letters since PHP 8.0 and 8.2, else printed as they are


def formatted(moment: Moment, form: str) -> str:
    out: list[str] = []
    letters = iter(form)
    for letter in letters:
        if letter == "\\":
            out.append(next(letters, "\\"))
        elif letter in _NEWER_LETTERS:
            raise Refused(f"the letter {letter} of a date format, which depends on the PHP release,")
        else:
            known = LETTERS.get(letter)
            out.append(letter if known is None else known(moment))
    return "".join(out)


def format_moment(moment: Moment, form: bytes) -> bytes:
    """PHP's `date` format; bytes that are no letters pass through."""
    return formatted(moment, form.decode("latin-1")).encode("latin-1")


def in_utc(moment: Moment) -> Moment:
    return Moment(moment.class_name, moment.instant, Zone(3, "UTC"))


# ---- parse -------------------------------------------------------------------------------------

_TEXT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d:\d\d)?)?"
)


def parse(php: Interpreter, given: bytes, class_name: str, default: Zone) -> Moment:
    """A moment from ISO or SQL text; refused for every other form."""
    match = _TEXT.fullmatch(given.decode("ascii", "replace"))
    if match is None:
        php.refuse("a date in this form")
    *numbers, fraction, zone_text = match.groups()
    zone = default
    if zone_text == "Z":
        zone = Zone(2, "Z")
    elif zone_text:
        zone = zone_of(php, zone_text.encode())
    try:
        year, month, day, hour, minute, second = (int(number or 0) for number in numbers)
        local_time = datetime(year, month, day, hour, minute, second, int((fraction or "").ljust(6, "0")))
    except ValueError:
        php.refuse("a date outside of the calendar")
    return Moment(class_name, zone.local_time(php, local_time), zone)
