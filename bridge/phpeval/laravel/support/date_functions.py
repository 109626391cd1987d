"""PHP's functions that read the clock or the time zone, as an app of Laravel has them: `app.timezone` counts.

Source: ext/date/php_date.c; Foundation/Bootstrap/LoadConfiguration.php, which sets the time zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from bridge.phpeval.laravel.support.carbon import Calendar, Clock
from bridge.phpeval.laravel.support.date_time import EPOCH, Moment, Zone, format_moment, timestamp
from bridge.phpeval.php.functions.signature import table
from bridge.phpeval.php.runtime.interpreter import Function, Interpreter, ReferenceFunction
from bridge.phpeval.php.runtime.values import Value

_UTC = Zone(3, "UTC")


def date_functions(clock: Clock, timezone: str) -> Mapping[str, Function | ReferenceFunction]:
    """By name. `clock` gives an aware datetime, `timezone` is the app's."""
    calendar = Calendar(clock, timezone, "")

    def shown(php: Interpreter, format: bytes, seconds: int | None, zone: Zone) -> bytes:
        try:
            at = clock() if seconds is None else EPOCH + timedelta(seconds=seconds)
            moment = Moment("DateTime", zone.at(at).replace(microsecond=0), zone)
        except OverflowError:
            php.refuse("a date outside of the years 1 to 9999")
        return format_moment(moment, format)

    def date(php: Interpreter, format: bytes, timestamp: int | None = None) -> bytes:
        return shown(php, format, timestamp, calendar.zone)

    def gmdate(php: Interpreter, format: bytes, timestamp: int | None = None) -> bytes:
        if b"T" in format or b"e" in format:
            php.refuse("the name of the time zone in gmdate()")
        return shown(php, format, timestamp, _UTC)

    def microtime(php: Interpreter, as_float: bool = False) -> Value:
        if not as_float:
            php.refuse("microtime() as a text")
        return clock().timestamp()

    def strtotime(php: Interpreter, datetime: bytes, baseTimestamp: int | None = None) -> int:
        if baseTimestamp is not None or not datetime:
            php.refuse("strtotime() of this")
        return timestamp(calendar.made(php, "DateTime", datetime))

    return table(
        {
            "date(string $format, ?int $timestamp = null)": date,
            "gmdate(string $format, ?int $timestamp = null)": gmdate,
            "time()": lambda: int(clock().timestamp()),
            "microtime(bool $as_float = false)": microtime,
            "strtotime(string $datetime, ?int $baseTimestamp = null)": strtotime,
        }
    )
