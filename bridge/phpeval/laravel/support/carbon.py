"""Carbon and DateTime: formatting, moving and comparing. One entry a method or unit.

Clock, time zone and locale are arguments. Wall clock arithmetic that would touch a change of the clocks is
refused, since PHP releases treat it differently; so is what differs between Carbon 2 and 3, unless the
Laravel release says which one there is.

Source: nesbot/carbon 2.65 and 3.9, src/Carbon/Traits.
"""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bridge.phpeval.laravel.support import json_forms, releases
from bridge.phpeval.laravel.support.date_time import (
    DAYS,
    EPOCH,
    MOMENTS,
    MONTHS,
    Moment,
    Zone,
    format_moment,
    formatted,
    in_utc,
    offset_seconds,
    parse,
    read_moment,
    timestamp,
    write_moment,
    zone_name,
    zone_of,
)
from bridge.phpeval.laravel.support.native_class import Act, NativeClass, flag, text, whole
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.functions.constants import DATE_CONSTANTS
from bridge.phpeval.php.runtime.interpreter import Interpreter, Native
from bridge.phpeval.php.runtime.values import PhpObject, Value

CARBON = "Illuminate\\Support\\Carbon"
MUTABLE = frozenset({"Carbon\\Carbon", CARBON, "DateTime"})

Clock = Callable[[], datetime]

# ---- text ---------------------------------------------------------------------------------------


def _in_form(form: str) -> Act:
    return lambda php, subject: formatted(read_moment(subject), form).encode()


def _to_iso_string(php: Interpreter, subject: PhpObject, keep_offset: Value = False) -> bytes:
    moment = read_moment(subject)
    if flag(php, keep_offset):
        return formatted(moment, r"Y-m-d\TH:i:s.uP").encode()
    return formatted(in_utc(moment), r"Y-m-d\TH:i:s.u\Z").encode()


def _to_zulu(php: Interpreter, subject: PhpObject) -> bytes:
    return formatted(in_utc(read_moment(subject)), r"Y-m-d\TH:i:s\Z").encode()


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


def _at_wall(php: Interpreter, moment: Moment, local_time: datetime) -> Moment:
    return replace(moment, at=moment.zone.local_time(php, local_time))


def _moved(php: Interpreter, moment: Moment, unit: str, count: int, *, overflow: bool = True) -> Moment:
    try:
        if unit in _SPANS:
            after = moment.zone.at(moment.instant + _SPANS[unit] * count)
            if after.utcoffset() != moment.at.utcoffset():
                php.refuse("hours across a change of the clocks")
            return replace(moment, at=after)
        if unit in _DAY_UNITS:
            return _at_wall(php, moment, moment.local_time + timedelta(days=_DAY_UNITS[unit] * count))
        local_time = moment.local_time
        months = local_time.year * 12 + local_time.month - 1 + _MONTH_UNITS[unit] * count
        first = local_time.replace(year=months // 12, month=months % 12 + 1, day=1)
        last = monthrange(first.year, first.month)[1]
        days = local_time.day if overflow else min(local_time.day, last)
        return _at_wall(php, moment, first + timedelta(days=days - 1))
    except (OverflowError, ValueError):
        php.refuse("a date outside of the years 1 to 9999")


def _move(unit: str, sign: int, *, overflow: bool = True) -> Act:
    def act(php: Interpreter, subject: PhpObject, count: Value = 1) -> PhpObject:
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


def _day_start(local_time: datetime) -> datetime:
    return local_time.replace(hour=0, minute=0, second=0, microsecond=0)


_STARTS: dict[str, Callable[[datetime], datetime]] = {
    "second": lambda local_time: local_time.replace(microsecond=0),
    "minute": lambda local_time: local_time.replace(second=0, microsecond=0),
    "hour": lambda local_time: local_time.replace(minute=0, second=0, microsecond=0),
    "day": _day_start,
    "month": lambda local_time: _day_start(local_time).replace(day=1),
    "quarter": lambda local_time: _day_start(local_time).replace(
        month=(local_time.month - 1) // 3 * 3 + 1, day=1
    ),
    "year": lambda local_time: _day_start(local_time).replace(month=1, day=1),
    "decade": lambda local_time: _day_start(local_time).replace(
        year=local_time.year - local_time.year % 10, month=1, day=1
    ),
}
_LAST = timedelta(microseconds=1)


def _start(unit: str) -> Act:
    def act(php: Interpreter, subject: PhpObject) -> PhpObject:
        moment = read_moment(subject)
        return _result(subject, _at_wall(php, moment, _STARTS[unit](moment.local_time)))

    return act


def _end(unit: str) -> Act:
    def act(php: Interpreter, subject: PhpObject) -> PhpObject:
        moment = read_moment(subject)
        begin = _STARTS[unit](moment.local_time)
        if unit in _SPANS:
            after = begin + _SPANS[unit]
        elif unit == "day":
            after = begin + timedelta(days=1)
        else:
            after = _moved(php, replace(moment, at=begin.replace(tzinfo=UTC), zone=_UTC), unit, 1).local_time
        return _result(subject, _at_wall(php, moment, after - _LAST))

    return act


def _set_time(
    php: Interpreter, subject: PhpObject, hour: Value, minute: Value, second: Value = 0, micro: Value = 0
) -> PhpObject:
    moment = read_moment(subject)
    try:
        local_time = moment.local_time.replace(
            hour=whole(php, hour),
            minute=whole(php, minute),
            second=whole(php, second),
            microsecond=whole(php, micro),
        )
    except ValueError:
        php.refuse("a time of day outside of the day")
    return _result(subject, _at_wall(php, moment, local_time))


def _set_date(php: Interpreter, subject: PhpObject, year: Value, month: Value, day: Value) -> PhpObject:
    moment = read_moment(subject)
    try:
        local_time = moment.local_time.replace(
            year=whole(php, year), month=whole(php, month), day=whole(php, day)
        )
    except ValueError:
        php.refuse("a day outside of the month")
    return _result(subject, _at_wall(php, moment, local_time))


def _set_zone(php: Interpreter, subject: PhpObject, zone: Value) -> PhpObject:
    moment, to = read_moment(subject), zone_of(php, zone)
    return _result(subject, Moment(moment.class_name, to.at(moment.at), to))


def _utc(php: Interpreter, subject: PhpObject) -> PhpObject:
    return _result(subject, in_utc(read_moment(subject)))


def _copy(php: Interpreter, subject: PhpObject) -> PhpObject:
    return write_moment(read_moment(subject))


def _as(class_name: str) -> Act:
    return lambda php, subject: write_moment(replace(read_moment(subject), class_name=class_name))


_UTC = Zone(3, "UTC")


# ---- comparison -----------------------------------------------------------------------------------


def _compare(holds: Callable[[datetime, datetime], bool]) -> Act:
    return lambda php, subject, other: holds(read_moment(subject).instant, read_moment(other).instant)


def _between(php: Interpreter, subject: PhpObject, one: Value, two: Value, equal: Value = True) -> bool:
    at = read_moment(subject).instant
    low, high = sorted((read_moment(one).instant, read_moment(two).instant))
    return low <= at <= high if flag(php, equal) else low < at < high


def _on_weekday(day: int) -> Act:
    return lambda php, subject: read_moment(subject).at.isoweekday() % 7 == day


def _elapsed(unit: timedelta) -> Callable[[Interpreter, Moment, Moment, int], int | float]:
    """Carbon 2 counts whole units towards zero, Carbon 3 divides."""

    def act(php: Interpreter, one: Moment, other: Moment, carbon: int) -> int | float:
        if one.at.utcoffset() != other.at.utcoffset():
            php.refuse("a difference across a change of the clocks or of zones")
        span = other.instant - one.instant
        if carbon == 2:
            count = abs(span) // unit
            return -count if span < timedelta() else count
        if unit == timedelta(days=1):
            _require_whole_days(php, one, other)
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


def _require_whole_days(php: Interpreter, one: Moment, other: Moment) -> None:
    """Raises Refused where a day around is not of 24 hours: a part of a day is one of that day."""
    first, last = sorted((one.instant, other.instant))
    about, offsets = timedelta(hours=26), set()
    for at, away in ((first, -about), (first, timedelta()), (last, -about), (last, about)):
        with suppress(OverflowError):  # at an end of the calendar
            offsets.add(one.zone.at(at + away).utcoffset())
    if len(offsets) > 1:
        php.refuse("a difference in days around a change of the clocks")


_DIFFERENCES = {
    "diffInSeconds": _elapsed(timedelta(seconds=1)),
    "diffInMinutes": _elapsed(timedelta(minutes=1)),
    "diffInHours": _elapsed(timedelta(hours=1)),
    "diffInDays": _elapsed(timedelta(days=1)),
}


def carbon_major(php: Interpreter) -> int:
    """2 up to Laravel 10, 3 from 12 on; 11 allows both: refused."""
    version: Version | None = getattr(php.environment, "version", None)
    if version is None or version[0] == 11:
        php.refuse("what differs between Carbon 2 and 3")
    return 2 if version[0] < 11 else 3


# ---- for people ---------------------------------------------------------------------------------

_HUMAN = (("year", 0), ("month", 1), ("week", 2), ("day", 3), ("hour", 4), ("minute", 5), ("second", 6))


def _human_parts(php: Interpreter, one: Moment, other: Moment) -> tuple[int, ...]:
    """Years, months, weeks, days, hours, minutes, seconds from the earlier to the later moment."""
    early, late = sorted((one.local_time, other.local_time))
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


def _human(php: Interpreter, one: Moment, other: Moment, past: str, future: str) -> bytes:
    span = _human_span(php, one, other)
    if one.at.utcoffset() != other.at.utcoffset() and span != _human_span(php, in_utc(one), in_utc(other)):
        php.refuse("a difference for people across a change of the clocks")
    return f"{span} {future if one.instant > other.instant else past}".encode()


def _human_span(php: Interpreter, one: Moment, other: Moment) -> str:
    parts = _human_parts(php, one, other)
    unit, count = next(((name, parts[index]) for name, index in _HUMAN if parts[index]), ("second", 0))
    if not count:
        if carbon_major(php) != 2:
            php.refuse("a difference of less than a second for people")
        count = 1
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


# ---- making -------------------------------------------------------------------------------------


_ISO_LONG = {
    "LTS": "h:mm:ss A",
    "LT": "h:mm A",
    "LLLL": "dddd, MMMM D, YYYY h:mm A",
    "LLL": "MMMM D, YYYY h:mm A",
    "LL": "MMMM D, YYYY",
    "L": "MM/DD/YYYY",
}
_ISO_LETTERS = {  # each as a format of PHP's own
    "YYYY": "Y", "YY": "y", "MMMM": "F", "MMM": "M", "MM": "m", "M": "n", "DD": "d", "D": "j", "Do": "jS",
    "dddd": "l", "ddd": "D", "HH": "H", "H": "G", "hh": "h", "h": "g", "mm": "i", "ss": "s", "A": "A",
    "a": "a", "ZZ": "O", "Z": "P", "X": "U", "E": "N",
}  # fmt: skip
_ISO_TOKEN = re.compile(
    r"\[([^\[\]]*)\]|(LTS|LT|L{1,4})(?![LT])|(Do|([A-Za-z])\4*)|([^A-Za-z\[\]\\]+)|(.)", re.DOTALL
)


def _iso_formatted(php: Interpreter, moment: Moment, form: str) -> bytes:
    """Carbon's `isoFormat` in English; refused for letters that few apps use."""
    out: list[str] = []
    for found in _ISO_TOKEN.finditer(form):
        escaped, long, letters, _, plain, other = found.groups()
        if other is not None or (letters is not None and letters not in (*_ISO_LETTERS, "m", "s", "Q")):
            php.refuse("this form of isoFormat()")
        if long is not None:
            out.append(_iso_formatted(php, moment, _ISO_LONG[long]).decode("utf-8", "surrogateescape"))
        elif letters is not None:
            plain_numbers = {"m": moment.at.minute, "s": moment.at.second, "Q": (moment.at.month + 2) // 3}
            number = plain_numbers.get(letters)
            out.append(str(number) if number is not None else formatted(moment, _ISO_LETTERS[letters]))
        else:
            out.append(escaped if escaped is not None else plain)
    return "".join(out).encode("utf-8", "surrogateescape")


def _order(php: Interpreter, one: PhpObject, other: PhpObject) -> int | None:
    """`<=>` of two dates, whatever their classes and zones."""
    if one.class_name not in MOMENTS or other.class_name not in MOMENTS:
        return None
    left, right = read_moment(one).instant, read_moment(other).instant
    return (left > right) - (left < right)


class Calendar:
    """What the moments of one app share: the clock, its time zone and its locale."""

    def __init__(self, clock: Clock, timezone: str, locale: str) -> None:
        self.clock = clock
        self.zone = Zone(3, timezone)
        self.locale = locale

    def now(self, class_name: str = CARBON, zone: Zone | None = None) -> Moment:
        where = zone or self.zone
        return Moment(class_name, where.at(self.clock()), where)

    def made(self, php: Interpreter, class_name: str, given: Value = None, zone: Value = None) -> Moment:
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
            day = _day_start(self.now(class_name, where).local_time) + timedelta(days=_RELATIVE_DAYS[words])
            return Moment(class_name, where.local_time(php, day), where)
        return parse(php, text(php, given), class_name, where)

    def other(self, php: Interpreter, subject: Moment, value: Value) -> Moment:
        """The date that a method compares with: a moment, text, or now."""
        if value is None:
            return self.now(subject.class_name, subject.zone)
        return (
            read_moment(value) if isinstance(value, PhpObject) else self.made(php, subject.class_name, value)
        )


_RELATIVE_DAYS = {b"today": 0, b"midnight": 0, b"tomorrow": 1, b"yesterday": -1}


# Longer than others: one table of methods, whose closures share the calendar.
def _clocked_methods(calendar: Calendar) -> dict[str, Act]:
    def now_beside(moment: Moment) -> Moment:
        return calendar.now(moment.class_name, moment.zone)

    def on_day(days: int) -> Act:
        def act(php: Interpreter, subject: PhpObject) -> bool:
            moment = read_moment(subject)
            return moment.at.date() == now_beside(moment).at.date() + timedelta(days=days)

        return act

    def beside_now(holds: Callable[[datetime, datetime], bool]) -> Act:
        def act(php: Interpreter, subject: PhpObject) -> bool:
            moment = read_moment(subject)
            return holds(moment.instant, now_beside(moment).instant)

        return act

    def same(form: str) -> Act:
        def act(php: Interpreter, subject: PhpObject, other: Value = None) -> bool:
            if other is None and carbon_major(php) != 2:
                php.refuse("a comparison with now, which Carbon 3 does not make,")
            one = read_moment(subject)
            two = calendar.other(php, one, other)
            if one.zone != two.zone:
                php.refuse("the same day in two time zones")
            return formatted(one, form) == formatted(two, form)

        return act

    def difference(count: Callable[[Interpreter, Moment, Moment, int], int | float]) -> Act:
        def act(php: Interpreter, subject: PhpObject, other: Value = None, absolute: Value = None) -> Value:
            carbon = carbon_major(php)
            one = read_moment(subject)
            result = count(php, one, calendar.other(php, one, other), carbon)
            positive = carbon == 2 if absolute is None else flag(php, absolute)
            return abs(result) if positive else result

        return act

    # The survey knows these two by their names.
    def for_humans(php: Interpreter, subject: PhpObject, other: Value = None) -> bytes:
        if calendar.locale != "en" or getattr(php.environment, "sets_locale", False):
            php.refuse("diffForHumans() in a language that may not be English")
        one = read_moment(subject)
        if other is None:
            return _human(php, one, now_beside(one), "ago", "from now")
        return _human(php, one, read_moment(other), "before", "after")

    def iso_format(php: Interpreter, subject: PhpObject, form: Value) -> bytes:
        if calendar.locale != "en" or getattr(php.environment, "sets_locale", False):
            php.refuse("isoFormat() in a language that may not be English")
        return _iso_formatted(php, read_moment(subject), text(php, form).decode("utf-8", "surrogateescape"))

    return {
        "isoFormat": iso_format,
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
    "getTimestamp": lambda php, subject: timestamp(read_moment(subject)),
    "getOffset": lambda php, subject: offset_seconds(read_moment(subject)),
    "setTimezone": _set_zone,
}

_METHODS: dict[str, Act] = {
    **_DATE_TIME_METHODS,
    **{name: _in_form(form) for name, form in _FORMS.items()},
    **_moves(),
    **{"startOf" + unit.capitalize(): _start(unit) for unit in _STARTS},
    **{"endOf" + unit.capitalize(): _end(unit) for unit in _STARTS},
    **{name: _compare(holds) for names, holds in _COMPARISONS.items() for name in names},
    **{f"is{name}": _on_weekday((index + 1) % 7) for index, name in enumerate(DAYS)},
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
        "timestamp": timestamp,
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
        "englishDayOfWeek": lambda m: DAYS[m.at.weekday()].encode(),
        "shortEnglishDayOfWeek": lambda m: DAYS[m.at.weekday()][:3].encode(),
        "englishMonth": lambda m: MONTHS[m.at.month - 1].encode(),
        "shortEnglishMonth": lambda m: MONTHS[m.at.month - 1][:3].encode(),
        "timezoneName": lambda m: zone_name(m).encode(),
        "tzName": lambda m: zone_name(m).encode(),
        "offset": offset_seconds,
    }.items()
}


def _statics(calendar: Calendar) -> dict[str, Act]:
    def made(given: Value) -> Act:
        return lambda php, class_name, zone=None: write_moment(calendar.made(php, class_name, given, zone))

    def parsed(php: Interpreter, class_name: str, given: Value, zone: Value = None) -> PhpObject:
        return write_moment(calendar.made(php, class_name, given, zone))

    def instance(php: Interpreter, class_name: str, given: Value) -> PhpObject:
        return write_moment(replace(read_moment(given), class_name=class_name))

    def from_timestamp(php: Interpreter, class_name: str, seconds: Value, zone: Value = None) -> PhpObject:
        if zone is not None:
            where = zone_of(php, zone)
        else:
            where = calendar.zone if carbon_major(php) == 2 else Zone(1, "+00:00")
        try:
            at = where.at(EPOCH + timedelta(seconds=whole(php, seconds)))
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

    def make(php: Interpreter, class_name: str, given: Value = None, zone: Value = None) -> PhpObject:
        return write_moment(calendar.made(php, class_name, given, zone))

    carbon = NativeClass(
        methods={**_METHODS, **_clocked_methods(calendar)},
        statics=_statics(calendar),
        properties=_PROPERTIES,
        make=make,
        releases=releases.CARBON,
        compare=_order,
    )
    plain = NativeClass(methods=_DATE_TIME_METHODS, make=make, compare=_order)
    return {**dict.fromkeys(json_forms.CARBONS, carbon), **dict.fromkeys(json_forms.DATE_TIMES, plain)}


_NUMBERS = {
    "SUNDAY": 0, "MONDAY": 1, "TUESDAY": 2, "WEDNESDAY": 3, "THURSDAY": 4, "FRIDAY": 5, "SATURDAY": 6,
    "YEARS_PER_CENTURY": 100, "YEARS_PER_DECADE": 10, "MONTHS_PER_YEAR": 12, "MONTHS_PER_QUARTER": 3,
    "WEEKS_PER_YEAR": 52, "WEEKS_PER_MONTH": 4, "DAYS_PER_WEEK": 7, "HOURS_PER_DAY": 24,
    "MINUTES_PER_HOUR": 60, "SECONDS_PER_MINUTE": 60,
}  # fmt: skip


def constants() -> dict[str, Value]:
    """Those of Carbon's classes as `Class::NAME`."""
    inherited = {name.partition("::")[2]: value for name, value in DATE_CONSTANTS.items()}
    return {
        f"{carbon}::{name}": v for carbon in json_forms.CARBONS for name, v in (inherited | _NUMBERS).items()
    }
