"""Carbon and DateTime: reading, formatting, moving and comparing. One entry a method, format letter or unit.

A moment is a PhpObject with PHP's own three properties (`date`, `timezone_type`, `timezone`), as unserialize
gives it. Clock, time zone and locale are arguments. Wall clock arithmetic that would touch a change of the
clocks is refused, since PHP releases treat it differently; so is what differs between Carbon 2 and 3, unless
the Laravel release says which one there is.

Sources: nesbot/carbon 2.65 and 3.9, src/Carbon/Traits; ext/date/php_date.c date_format.
"""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bridge.errors import Refused
from bridge.laravel.classes import values
from bridge.laravel.classes.family import Act, Family, flag, text, whole
from bridge.laravel.version import Version
from bridge.php.evaluate import Evaluator, Native
from bridge.php.values import PhpObject, Value

CARBON = "Illuminate\\Support\\Carbon"
MUTABLE = frozenset({"Carbon\\Carbon", CARBON, "DateTime"})
MOMENTS = values.CARBONS | values.DATE_TIMES

Clock = Callable[[], datetime]
_Format = Callable[["Moment"], str]


@dataclass(frozen=True, slots=True)
class Zone:
    """A PHP time zone: `kind` as `timezone_type`, and its name."""

    kind: int
    name: str

    def at(self, instant: datetime) -> datetime:
        return instant.astimezone(values.time_zone(self.kind, self.name))

    def wall(self, php: Evaluator, naive: datetime) -> datetime:
        """That wall clock time; refused where the clocks are changed."""
        zone = values.time_zone(self.kind, self.name)
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
    def wall(self) -> datetime:
        return self.at.replace(tzinfo=None)

    @property
    def instant(self) -> datetime:
        """In UTC, to compare: Python compares two times of one zone by the clock on the wall."""
        return self.at.astimezone(UTC)


def read_moment(value: Value) -> Moment:
    """A DateTime or Carbon as unserialized or made here. Refused for anything else."""
    if not isinstance(value, PhpObject) or value.class_name not in MOMENTS:
        raise Refused("a date is expected here")
    instant = values.moment(value)
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


def zone_of(php: Evaluator, value: Value) -> Zone:
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
    if name_text != "UTC" and ("/" not in name_text or name_text.startswith(("posix/", "right/"))):
        php.refuse(f"the time zone {name_text}")
    values.time_zone(3, name_text)
    return Zone(3, name_text)


_OFFSET = re.compile(r"[+-](?:0\d|1[0-4]):[0-5]\d")


# ---- format -------------------------------------------------------------------------------------

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def _offset_seconds(moment: Moment) -> int:
    return int((moment.at.utcoffset() or timedelta()).total_seconds())


def _offset(moment: Moment, colon: str) -> str:
    seconds = _offset_seconds(moment)
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02d}{colon}{minutes % 60:02d}"


def _abbreviation(moment: Moment) -> str:
    if moment.zone.kind == 1:
        return _offset(moment, ":")
    if moment.zone.kind == 2:
        return moment.zone.name.upper()
    return moment.at.tzname() or ""


def _zone_name(moment: Moment) -> str:
    return _offset(moment, ":") if moment.zone.kind == 1 else moment.zone.name


def _suffix(moment: Moment) -> str:
    day = moment.at.day
    return "th" if 10 <= day <= 19 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _timestamp(moment: Moment) -> int:
    return (moment.instant - _EPOCH) // timedelta(seconds=1)


def _swatch(moment: Moment) -> str:
    seconds = (_timestamp(moment) + 3600) % 86400
    return f"{seconds * 10 // 864:03d}"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LETTERS: dict[str, _Format] = {
    "d": lambda m: f"{m.at.day:02d}",
    "D": lambda m: _DAYS[m.at.weekday()][:3],
    "j": lambda m: str(m.at.day),
    "l": lambda m: _DAYS[m.at.weekday()],
    "N": lambda m: str(m.at.isoweekday()),
    "S": _suffix,
    "w": lambda m: str(m.at.isoweekday() % 7),
    "z": lambda m: str(m.at.timetuple().tm_yday - 1),
    "W": lambda m: f"{m.at.isocalendar().week:02d}",
    "F": lambda m: _MONTHS[m.at.month - 1],
    "m": lambda m: f"{m.at.month:02d}",
    "M": lambda m: _MONTHS[m.at.month - 1][:3],
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
    "e": _zone_name,
    "I": lambda m: str(int(bool(m.at.dst()))) if m.zone.kind == 3 else "0",
    "O": lambda m: _offset(m, ""),
    "P": lambda m: _offset(m, ":"),
    "T": _abbreviation,
    "Z": lambda m: str(_offset_seconds(m)),
    "c": lambda m: _formatted(m, r"Y-m-d\TH:i:sP"),
    "r": lambda m: _formatted(m, "D, d M Y H:i:s O"),
    "U": lambda m: str(_timestamp(m)),
}
_NEWER_LETTERS = "pXx"  # letters since PHP 8.0 and 8.2, else printed as they are


def _formatted(moment: Moment, form: str) -> str:
    out: list[str] = []
    letters = iter(form)
    for letter in letters:
        if letter == "\\":
            out.append(next(letters, "\\"))
        elif letter in _NEWER_LETTERS:
            raise Refused(f"the letter {letter} of a date format, which depends on the PHP release,")
        else:
            known = _LETTERS.get(letter)
            out.append(letter if known is None else known(moment))
    return "".join(out)


def format_moment(moment: Moment, form: bytes) -> bytes:
    """PHP's `date` format; bytes that are no letters pass through."""
    return _formatted(moment, form.decode("latin-1")).encode("latin-1")


def _in_form(form: str) -> Act:
    return lambda php, subject: _formatted(read_moment(subject), form).encode()


def _in_utc(moment: Moment) -> Moment:
    return Moment(moment.class_name, moment.instant, Zone(3, "UTC"))


def _to_iso_string(php: Evaluator, subject: PhpObject, keep_offset: Value = False) -> bytes:
    moment = read_moment(subject)
    if flag(php, keep_offset):
        return _formatted(moment, r"Y-m-d\TH:i:s.uP").encode()
    return _formatted(_in_utc(moment), r"Y-m-d\TH:i:s.u\Z").encode()


def _to_zulu(php: Evaluator, subject: PhpObject) -> bytes:
    return _formatted(_in_utc(read_moment(subject)), r"Y-m-d\TH:i:s\Z").encode()


_FORMS = {
    "__toString": "Y-m-d H:i:s",
    "toDateTimeString": "Y-m-d H:i:s",
    "toDateString": "Y-m-d",
    "toTimeString": "H:i:s",
    "toDateTimeLocalString": r"Y-m-d\TH:i:s",
    "toFormattedDateString": "M j, Y",
    "toFormattedDayDateString": "D, M j, Y",
    "toDayDateTimeString": "D, M j, Y g:i A",
    "toIso8601String": r"Y-m-d\TH:i:sP",
    "toAtomString": r"Y-m-d\TH:i:sP",
    "toW3cString": r"Y-m-d\TH:i:sP",
    "toRfc3339String": r"Y-m-d\TH:i:sP",
    "toRssString": "D, d M Y H:i:s O",
    "toRfc822String": "D, d M y H:i:s O",
    "toRfc1036String": "D, d M y H:i:s O",
    "toRfc1123String": "D, d M Y H:i:s O",
    "toRfc2822String": "D, d M Y H:i:s O",
    "toRfc850String": "l, d-M-y H:i:s T",
    "toCookieString": "l, d-M-Y H:i:s T",
}


# ---- moves --------------------------------------------------------------------------------------

_SPANS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "millisecond": timedelta(milliseconds=1),
    "microsecond": timedelta(microseconds=1),
}
_DAY_UNITS = {"day": 1, "week": 7}
_MONTH_UNITS = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200}
_PLURALS = {"century": "centuries"}


def _result(subject: PhpObject, moment: Moment) -> PhpObject:
    """The moved moment: the object itself where its class is mutable."""
    made = write_moment(moment)
    if subject.class_name not in MUTABLE:
        return made
    subject.properties.update(made.properties)
    return subject


def _at_wall(php: Evaluator, moment: Moment, wall: datetime) -> Moment:
    return replace(moment, at=moment.zone.wall(php, wall))


def _moved(php: Evaluator, moment: Moment, unit: str, count: int, *, overflow: bool = True) -> Moment:
    try:
        if unit in _SPANS:
            after = moment.zone.at(moment.instant + _SPANS[unit] * count)
            if after.utcoffset() != moment.at.utcoffset():
                php.refuse("hours across a change of the clocks")
            return replace(moment, at=after)
        if unit in _DAY_UNITS:
            return _at_wall(php, moment, moment.wall + timedelta(days=_DAY_UNITS[unit] * count))
        wall = moment.wall
        months = wall.year * 12 + wall.month - 1 + _MONTH_UNITS[unit] * count
        first = wall.replace(year=months // 12, month=months % 12 + 1, day=1)
        last = monthrange(first.year, first.month)[1]
        days = wall.day if overflow else min(wall.day, last)
        return _at_wall(php, moment, first + timedelta(days=days - 1))
    except (OverflowError, ValueError):
        php.refuse("a date outside of the years 1 to 9999")


def _move(unit: str, sign: int, *, overflow: bool = True) -> Act:
    def act(php: Evaluator, subject: PhpObject, count: Value = 1) -> PhpObject:
        moment = read_moment(subject)
        steps = whole(php, count)
        if not steps:
            return _result(subject, moment)
        return _result(subject, _moved(php, moment, unit, sign * steps, overflow=overflow))

    return act


def _moves() -> dict[str, Act]:
    table: dict[str, Act] = {}
    for unit in (*_SPANS, *_DAY_UNITS, *_MONTH_UNITS):
        for name in (unit, _PLURALS.get(unit, unit + "s")):
            for verb, sign in (("add", 1), ("sub", -1)):
                full = verb + name.capitalize()
                table[full] = _move(unit, sign)
                if unit in _MONTH_UNITS:
                    table[full + "NoOverflow"] = _move(unit, sign, overflow=False)
                    table[full + "WithOverflow"] = _move(unit, sign)
    return table


def _week_start(wall: datetime) -> datetime:
    return _day_start(wall) - timedelta(days=wall.weekday())


def _day_start(wall: datetime) -> datetime:
    return wall.replace(hour=0, minute=0, second=0, microsecond=0)


_STARTS: dict[str, Callable[[datetime], datetime]] = {
    "second": lambda wall: wall.replace(microsecond=0),
    "minute": lambda wall: wall.replace(second=0, microsecond=0),
    "hour": lambda wall: wall.replace(minute=0, second=0, microsecond=0),
    "day": _day_start,
    "month": lambda wall: _day_start(wall).replace(day=1),
    "quarter": lambda wall: _day_start(wall).replace(month=(wall.month - 1) // 3 * 3 + 1, day=1),
    "year": lambda wall: _day_start(wall).replace(month=1, day=1),
    "decade": lambda wall: _day_start(wall).replace(year=wall.year - wall.year % 10, month=1, day=1),
}
_LAST = timedelta(microseconds=1)


def _start(unit: str) -> Act:
    def act(php: Evaluator, subject: PhpObject) -> PhpObject:
        moment = read_moment(subject)
        return _result(subject, _at_wall(php, moment, _STARTS[unit](moment.wall)))

    return act


def _end(unit: str) -> Act:
    def act(php: Evaluator, subject: PhpObject) -> PhpObject:
        moment = read_moment(subject)
        begin = _STARTS[unit](moment.wall)
        if unit in _SPANS:
            after = begin + _SPANS[unit]
        elif unit == "day":
            after = begin + timedelta(days=1)
        else:
            after = _moved(php, replace(moment, at=begin.replace(tzinfo=UTC), zone=_UTC), unit, 1).wall
        return _result(subject, _at_wall(php, moment, after - _LAST))

    return act


def _set_time(
    php: Evaluator, subject: PhpObject, hour: Value, minute: Value, second: Value = 0, micro: Value = 0
) -> PhpObject:
    moment = read_moment(subject)
    try:
        wall = moment.wall.replace(
            hour=whole(php, hour),
            minute=whole(php, minute),
            second=whole(php, second),
            microsecond=whole(php, micro),
        )
    except ValueError:
        php.refuse("a time of day outside of the day")
    return _result(subject, _at_wall(php, moment, wall))


def _set_date(php: Evaluator, subject: PhpObject, year: Value, month: Value, day: Value) -> PhpObject:
    moment = read_moment(subject)
    try:
        wall = moment.wall.replace(year=whole(php, year), month=whole(php, month), day=whole(php, day))
    except ValueError:
        php.refuse("a day outside of the month")
    return _result(subject, _at_wall(php, moment, wall))


def _set_zone(php: Evaluator, subject: PhpObject, zone: Value) -> PhpObject:
    moment, to = read_moment(subject), zone_of(php, zone)
    return _result(subject, Moment(moment.class_name, to.at(moment.at), to))


def _utc(php: Evaluator, subject: PhpObject) -> PhpObject:
    return _result(subject, _in_utc(read_moment(subject)))


def _copy(php: Evaluator, subject: PhpObject) -> PhpObject:
    return write_moment(read_moment(subject))


def _as(class_name: str) -> Act:
    return lambda php, subject: write_moment(replace(read_moment(subject), class_name=class_name))


_UTC = Zone(3, "UTC")


# ---- comparison -----------------------------------------------------------------------------------


def _compare(holds: Callable[[datetime, datetime], bool]) -> Act:
    return lambda php, subject, other: holds(read_moment(subject).instant, read_moment(other).instant)


def _between(php: Evaluator, subject: PhpObject, one: Value, two: Value, equal: Value = True) -> bool:
    at = read_moment(subject).instant
    low, high = sorted((read_moment(one).instant, read_moment(two).instant))
    return low <= at <= high if flag(php, equal) else low < at < high


def _on_weekday(day: int) -> Act:
    return lambda php, subject: read_moment(subject).at.isoweekday() % 7 == day


def _elapsed(unit: timedelta) -> Callable[[Evaluator, Moment, Moment, int], int | float]:
    """Carbon 2 counts whole units towards zero, Carbon 3 divides."""

    def act(php: Evaluator, one: Moment, other: Moment, carbon: int) -> int | float:
        if one.at.utcoffset() != other.at.utcoffset():
            php.refuse("a difference across a change of the clocks or of zones")
        span = other.instant - one.instant
        if carbon == 2:
            count = abs(span) // unit
            return -count if span < timedelta() else count
        if unit == timedelta(days=1):
            days, rest = divmod(abs(span), unit)
            whole_day, micro = float(unit / _LAST), float(rest / _LAST)
            sign = -1 if span < timedelta() else 1
            return sign * (days * (whole_day - micro) + (days + 1) * micro) / whole_day
        result = float(span // _LAST) / 1000 / 1000
        for step, factor in ((timedelta(minutes=1), 60), (timedelta(hours=1), 60)):
            if unit >= step:
                result /= factor
        return result

    return act


_DIFFERENCES = {
    "diffInSeconds": _elapsed(timedelta(seconds=1)),
    "diffInMinutes": _elapsed(timedelta(minutes=1)),
    "diffInHours": _elapsed(timedelta(hours=1)),
    "diffInDays": _elapsed(timedelta(days=1)),
}


def carbon_major(php: Evaluator) -> int:
    """2 up to Laravel 10, 3 from 12 on; 11 allows both: refused."""
    version: Version | None = getattr(php.world, "version", None)
    if version is None or version[0] == 11:
        php.refuse("what differs between Carbon 2 and 3")
    return 2 if version[0] < 11 else 3


# ---- for people ---------------------------------------------------------------------------------

_HUMAN = (("year", 0), ("month", 1), ("week", 2), ("day", 3), ("hour", 4), ("minute", 5), ("second", 6))


def _human_parts(php: Evaluator, one: Moment, other: Moment) -> tuple[int, ...]:
    """Years, months, weeks, days, hours, minutes, seconds from the earlier to the later moment."""
    early, late = sorted((one.wall, other.wall))
    months = (late.year - early.year) * 12 + late.month - early.month
    if (late.day, late.time()) < (early.day, early.time()):
        months -= 1
    if early.day > 28 and (late - early).days >= 28:
        php.refuse("months from the last days of a month")
    index = early.year * 12 + early.month - 1 + months
    start = early.replace(year=index // 12, month=index % 12 + 1, day=1) + timedelta(days=early.day - 1)
    rest = late - start
    seconds = rest.seconds
    return (
        months // 12, months % 12, rest.days // 7, rest.days % 7,
        seconds // 3600, seconds // 60 % 60, seconds % 60,
    )  # fmt: skip


def _human(php: Evaluator, one: Moment, other: Moment, past: str, future: str) -> bytes:
    span = _human_span(php, one, other)
    if one.at.utcoffset() != other.at.utcoffset() and span != _human_span(php, _in_utc(one), _in_utc(other)):
        php.refuse("a difference for people across a change of the clocks")
    return f"{span} {future if one.instant > other.instant else past}".encode()


def _human_span(php: Evaluator, one: Moment, other: Moment) -> str:
    parts = _human_parts(php, one, other)
    unit, count = next(((name, parts[index]) for name, index in _HUMAN if parts[index]), ("second", 0))
    if not count:
        if carbon_major(php) != 2:
            php.refuse("a difference of less than a second for people")
        count = 1
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


# ---- making -------------------------------------------------------------------------------------

_TEXT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d:\d\d)?)?"
)


def parse(php: Evaluator, given: bytes, class_name: str, default: Zone) -> Moment:
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
        wall = datetime(year, month, day, hour, minute, second, int((fraction or "").ljust(6, "0")))
    except ValueError:
        php.refuse("a date outside of the calendar")
    return Moment(class_name, zone.wall(php, wall), zone)


class Calendar:
    """What the moments of one app share: the clock, its time zone and its locale."""

    def __init__(self, clock: Clock, timezone: str, locale: str) -> None:
        self.clock = clock
        self.zone = Zone(3, timezone)
        self.locale = locale

    def now(self, class_name: str = CARBON, zone: Zone | None = None) -> Moment:
        where = zone or self.zone
        return Moment(class_name, where.at(self.clock()), where)

    def made(self, php: Evaluator, class_name: str, given: Value = None, zone: Value = None) -> Moment:
        """As `parse` and `new` take text, a date, `now`, `today`, `tomorrow`, `yesterday` or nothing."""
        where = self.zone if zone is None else zone_of(php, zone)
        if isinstance(given, PhpObject):
            if zone is not None:
                php.refuse("a date made of a date and a time zone")
            return replace(read_moment(given), class_name=class_name)
        words = b"now" if given is None else text(php, given).lower() or b"now"
        if words == b"now":
            return self.now(class_name, where)
        if words in _RELATIVE_DAYS:
            day = _day_start(self.now(class_name, where).wall) + timedelta(days=_RELATIVE_DAYS[words])
            return Moment(class_name, where.wall(php, day), where)
        return parse(php, text(php, given), class_name, where)

    def other(self, php: Evaluator, subject: Moment, value: Value) -> Moment:
        """The date that a method compares with: a moment, text, or now."""
        if value is None:
            return self.now(subject.class_name, subject.zone)
        return (
            read_moment(value) if isinstance(value, PhpObject) else self.made(php, subject.class_name, value)
        )


_RELATIVE_DAYS = {b"today": 0, b"midnight": 0, b"tomorrow": 1, b"yesterday": -1}


def _clocked_methods(calendar: Calendar) -> dict[str, Act]:
    def now_beside(moment: Moment) -> Moment:
        return calendar.now(moment.class_name, moment.zone)

    def on_day(days: int) -> Act:
        def act(php: Evaluator, subject: PhpObject) -> bool:
            moment = read_moment(subject)
            return moment.at.date() == now_beside(moment).at.date() + timedelta(days=days)

        return act

    def beside_now(holds: Callable[[datetime, datetime], bool]) -> Act:
        def act(php: Evaluator, subject: PhpObject) -> bool:
            moment = read_moment(subject)
            return holds(moment.instant, now_beside(moment).instant)

        return act

    def same(form: str) -> Act:
        def act(php: Evaluator, subject: PhpObject, other: Value = None) -> bool:
            one = read_moment(subject)
            two = calendar.other(php, one, other)
            if one.zone != two.zone:
                php.refuse("the same day in two time zones")
            return _formatted(one, form) == _formatted(two, form)

        return act

    def difference(count: Callable[[Evaluator, Moment, Moment, int], int | float]) -> Act:
        def act(php: Evaluator, subject: PhpObject, other: Value = None, absolute: Value = None) -> Value:
            carbon = carbon_major(php)
            one = read_moment(subject)
            result = count(php, one, calendar.other(php, one, other), carbon)
            positive = carbon == 2 if absolute is None else flag(php, absolute)
            return abs(result) if positive else result

        return act

    def for_humans(php: Evaluator, subject: PhpObject, other: Value = None) -> bytes:
        if calendar.locale != "en":
            php.refuse(f"diffForHumans() in the language {calendar.locale}")
        one = read_moment(subject)
        if other is None:
            return _human(php, one, now_beside(one), "ago", "from now")
        return _human(php, one, read_moment(other), "before", "after")

    return {
        "isPast": beside_now(lambda at, now: at < now),
        "isFuture": beside_now(lambda at, now: at > now),
        "isToday": on_day(0),
        "isTomorrow": on_day(1),
        "isYesterday": on_day(-1),
        "isSameDay": same("Y-m-d"),
        "isSameMonth": same("Y-m"),
        "isSameYear": same("Y"),
        "diffForHumans": for_humans,
        **{name: difference(count) for name, count in _DIFFERENCES.items()},
    }


_COMPARISONS: dict[tuple[str, ...], Callable[[datetime, datetime], bool]] = {
    ("eq", "equalTo"): lambda a, b: a == b,
    ("ne", "notEqualTo"): lambda a, b: a != b,
    ("gt", "greaterThan", "isAfter"): lambda a, b: a > b,
    ("gte", "greaterThanOrEqualTo"): lambda a, b: a >= b,
    ("lt", "lessThan", "isBefore"): lambda a, b: a < b,
    ("lte", "lessThanOrEqualTo"): lambda a, b: a <= b,
}

_DATE_TIME_METHODS: dict[str, Act] = {
    "format": lambda php, subject, form: format_moment(read_moment(subject), text(php, form)),
    "getTimestamp": lambda php, subject: _timestamp(read_moment(subject)),
    "getOffset": lambda php, subject: _offset_seconds(read_moment(subject)),
    "setTimezone": _set_zone,
}

_METHODS: dict[str, Act] = {
    **_DATE_TIME_METHODS,
    **{name: _in_form(form) for name, form in _FORMS.items()},
    **_moves(),
    **{"startOf" + unit.capitalize(): _start(unit) for unit in _STARTS},
    **{"endOf" + unit.capitalize(): _end(unit) for unit in _STARTS},
    **{name: _compare(holds) for names, holds in _COMPARISONS.items() for name in names},
    **{f"is{name}": _on_weekday((index + 1) % 7) for index, name in enumerate(_DAYS)},
    "rawFormat": _DATE_TIME_METHODS["format"],
    "toISOString": _to_iso_string,
    "toJSON": lambda php, subject: _to_iso_string(php, subject),
    "jsonSerialize": lambda php, subject: _to_iso_string(php, subject),
    "toIso8601ZuluString": _to_zulu,
    "copy": _copy,
    "clone": _copy,
    "avoidMutation": _copy,
    "toMutable": _as("Carbon\\Carbon"),
    "toImmutable": _as("Carbon\\CarbonImmutable"),
    "setTime": _set_time,
    "setDate": _set_date,
    "timezone": _set_zone,
    "tz": _set_zone,
    "utc": _utc,
    "between": _between,
    "isBetween": _between,
    "isWeekend": lambda php, subject: read_moment(subject).at.weekday() >= 5,
    "isWeekday": lambda php, subject: read_moment(subject).at.weekday() < 5,
    "isLeapYear": lambda php, subject: isleap(read_moment(subject).at.year),
    "isUtc": lambda php, subject: read_moment(subject).at.utcoffset() == timedelta(),
}


def _field(read: Callable[[Moment], Value]) -> Act:
    return lambda php, subject: read(read_moment(subject))


_PROPERTIES: dict[str, Act] = {
    name: _field(read)
    for name, read in {
        "timestamp": _timestamp,
        "year": lambda m: m.at.year,
        "month": lambda m: m.at.month,
        "day": lambda m: m.at.day,
        "hour": lambda m: m.at.hour,
        "minute": lambda m: m.at.minute,
        "second": lambda m: m.at.second,
        "micro": lambda m: m.at.microsecond,
        "microsecond": lambda m: m.at.microsecond,
        "milli": lambda m: m.at.microsecond // 1000,
        "dayOfWeek": lambda m: m.at.isoweekday() % 7,
        "dayOfWeekIso": lambda m: m.at.isoweekday(),
        "dayOfYear": lambda m: m.at.timetuple().tm_yday,
        "daysInMonth": lambda m: monthrange(m.at.year, m.at.month)[1],
        "quarter": lambda m: (m.at.month - 1) // 3 + 1,
        "englishDayOfWeek": lambda m: _DAYS[m.at.weekday()].encode(),
        "shortEnglishDayOfWeek": lambda m: _DAYS[m.at.weekday()][:3].encode(),
        "englishMonth": lambda m: _MONTHS[m.at.month - 1].encode(),
        "shortEnglishMonth": lambda m: _MONTHS[m.at.month - 1][:3].encode(),
        "timezoneName": lambda m: _zone_name(m).encode(),
        "tzName": lambda m: _zone_name(m).encode(),
        "offset": _offset_seconds,
    }.items()
}


def _statics(calendar: Calendar) -> dict[str, Act]:
    def made(given: Value) -> Act:
        return lambda php, class_name, zone=None: write_moment(calendar.made(php, class_name, given, zone))

    def parsed(php: Evaluator, class_name: str, given: Value = None, zone: Value = None) -> PhpObject:
        return write_moment(calendar.made(php, class_name, given, zone))

    def instance(php: Evaluator, class_name: str, given: Value) -> PhpObject:
        return write_moment(replace(read_moment(given), class_name=class_name))

    def from_timestamp(php: Evaluator, class_name: str, seconds: Value, zone: Value = None) -> PhpObject:
        if zone is not None:
            where = zone_of(php, zone)
        elif calendar.zone.name == "UTC" or carbon_major(php) == 2:
            where = calendar.zone
        else:
            php.refuse("createFromTimestamp() without a time zone")
        try:
            at = where.at(_EPOCH + timedelta(seconds=whole(php, seconds)))
        except OverflowError:
            php.refuse("a date outside of the years 1 to 9999")
        return write_moment(Moment(class_name, at, where))

    return {
        "now": made(None),
        "today": made(b"today"),
        "tomorrow": made(b"tomorrow"),
        "yesterday": made(b"yesterday"),
        "parse": parsed,
        "instance": instance,
        "createFromTimestamp": from_timestamp,
    }


def carbon_classes(clock: Clock, timezone: str, locale: str) -> Mapping[str, Native]:
    """Class name → Native. `clock` gives an aware datetime, `timezone` and `locale` are the app's."""
    calendar = Calendar(clock, timezone, locale)

    def make(php: Evaluator, class_name: str, given: Value = None, zone: Value = None) -> PhpObject:
        return write_moment(calendar.made(php, class_name, given, zone))

    carbon = Family(
        methods={**_METHODS, **_clocked_methods(calendar)},
        statics=_statics(calendar),
        properties=_PROPERTIES,
        make=make,
    )
    plain = Family(methods=_DATE_TIME_METHODS, make=make)
    return {**dict.fromkeys(values.CARBONS, carbon), **dict.fromkeys(values.DATE_TIMES, plain)}
