"""Carbon by bridge and by Carbon 2 under PHP: every table entry, and random moments in many zones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.phpeval.laravel.support import carbon
from bridge.phpeval.laravel.support.carbon import carbon_classes
from bridge.phpeval.laravel.support.date_time import LETTERS
from bridge.phpeval.laravel.support.native_class import NativeClass
from tests.phpeval.laravel.evaluation import NOW, TestEnvironment, laravel, natively, really
from tests.phpeval.laravel.php import Php
from tests.versions import release

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
)


@pytest.fixture(scope="module")
def peer() -> Iterator[Php]:
    with laravel() as running:
        yield running


def environment(zone: str = "UTC") -> TestEnvironment:
    natives = carbon_classes(lambda: NOW, zone, "en")
    newest = max(release(), (10, 0))  # what the Carbon has that is installed here
    return TestEnvironment(natives=natives, functions={}, constants={}, version=newest)


# method → arguments to try; "" is none
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "format": (
        "'Y-m-d H:i:s'",
        r"'D, d M Y \a\t H:i'",
        "'jS F y, N w z W t L o n g G h a A B u v e I O P T Z c r U'",
    ),
    "rawFormat": ("'l'",),
    "setTimezone": ("'America/New_York'", "'+05:30'", "'UTC'"),
    "timezone": ("'Asia/Tokyo'",),
    "tz": ("'Europe/London'",),
    "setTime": ("1, 2", "23, 59, 59", "1, 2, 3, 4"),
    "setDate": ("2023, 2, 28",),
    "between": ("Carbon::parse('2020-01-01'), Carbon::parse('2030-01-01')", "$d, $d", "$d, $d, false"),
    "isBetween": ("Carbon::parse('2030-01-01'), Carbon::parse('2020-01-01')",),
    "toISOString": ("", "true"),
    "isoFormat": (
        "'MMMM YYYY'",
        "'dddd, MMMM Do YYYY, h:mm:ss a'",
        "'L LT'",
        "'LL'",
        "'LLL'",
        "'LLLL'",
        "'LTS'",
        "'[on] ddd D MMM YY [at] HH:mm, H:m:s hh A Q E'",
        "'Z ZZ X M MM DD'",
        "''",
        "'ünï'",
    ),
    "diffForHumans": ("", "Carbon::parse('2024-01-01')"),
}
OTHERS = ("Carbon::parse('2024-03-01 10:00:00')", "$d", "Carbon::parse('2030-01-01')")
for _names in carbon._COMPARISONS:
    ARGUMENTS.update(dict.fromkeys(_names, OTHERS))
for _name in ("isSameDay", "isSameMonth", "isSameYear"):
    ARGUMENTS[_name] = ("", "Carbon::parse('2024-05-01')")
for _name in carbon._DIFFERENCES:
    ARGUMENTS[_name] = ("", *OTHERS, OTHERS[0] + ", false")
for _name in carbon._moves():
    ARGUMENTS[_name] = ("", "3", "0", "-2")

MOMENTS = ("2024-05-17 12:34:56.789012", "2023-01-31 00:00:00", "2024-12-31 23:59:59.999999", "2024-05-17")


def carbon_family() -> NativeClass:
    family = carbon_classes(lambda: NOW, "UTC", "en")["Carbon\\Carbon"]
    assert isinstance(family, NativeClass)
    return family


@pytest.mark.parametrize("name", sorted(carbon_family().methods))
def test_every_method_gives_what_carbon_gives(name: str, peer: Php) -> None:
    answered = 0
    for class_name in ("Carbon", "CarbonImmutable"):
        for moment in MOMENTS:
            for arguments in ARGUMENTS.get(name, ("",)):
                code = f"$d = {class_name}::parse('{moment}'); return [$d->{name}({arguments}), $d];"
                mine, theirs = natively(environment(), code), really(peer, code)
                if mine.kind != "refused":
                    assert mine == theirs, code
                    answered += 1
    assert answered, name


@pytest.mark.parametrize("name", sorted(carbon_family().properties))
def test_every_property_gives_what_carbon_gives(name: str, peer: Php) -> None:
    for zone in ZONES:
        for moment in MOMENTS:
            code = f"return Carbon::parse('{moment}')->{name};"
            assert natively(environment(zone), code) == really(peer, code, zone=zone), code


STATICS = {
    "now": ("", "'Europe/Berlin'"),
    "today": ("", "'Asia/Tokyo'"),
    "tomorrow": ("",),
    "yesterday": ("",),
    "parse": (
        "'now'",
        "'2024-01-02T03:04:05Z'",
        "'2024-01-02 03:04:05.12'",
        "'2024-01-02T03:04:05+02:00'",
        "'2024-01-02 03:04', 'Asia/Tokyo'",
        "'today'",
        "'tomorrow'",
        "'yesterday'",
        "''",
        "Carbon::parse('2020-01-01')",
    ),
    "instance": ("Carbon::parse('2020-01-01')", "new \\DateTime('2020-01-01')"),
    "createFromTimestamp": ("0", "1700000000", "-5", "1700000000, 'Asia/Tokyo'"),
}


@pytest.mark.parametrize("name", sorted(carbon_family().statics))
def test_every_static_method_gives_what_carbon_gives(name: str, peer: Php) -> None:
    for zone in ZONES:
        for class_name in ("Carbon", "CarbonImmutable", "\\Illuminate\\Support\\Carbon"):
            for arguments in STATICS[name]:
                code = f"return {class_name}::{name}({arguments});"
                assert natively(environment(zone), code) == really(peer, code, zone=zone), code


@pytest.mark.parametrize("letter", sorted(LETTERS))
def test_every_format_letter_gives_what_php_gives(letter: str, peer: Php) -> None:
    for zone in ZONES:
        for moment in MOMENTS:
            code = f"return (new \\DateTime('{moment}'))->format('{letter}');"
            assert natively(environment(zone), code) == really(peer, code, zone=zone), code


moments = st.datetimes(
    min_value=NOW.replace(year=1975, tzinfo=None), max_value=NOW.replace(year=2035, tzinfo=None)
)
CHAINS = (
    "return [$d->toISOString(), $d->format('c T e I Z U N W o z'), $d];",
    "return [$d->addMonths($n), $d->toIso8601String()];",
    "return [$d->subMonthsNoOverflow($n)->toJSON(), $d];",
    "return $d->addDays($n)->startOfDay()->toAtomString();",
    "return $d->subHours($n)->addMinutes($n)->setTimezone('America/New_York')->toDateTimeString();",
    "return $d->endOfMonth()->addWeeks($n)->utc()->toIso8601ZuluString();",
    "return [$d->diffForHumans(), $d->isPast(), $d->isToday(), $d->timestamp];",
    "return $d->diffForHumans($d->copy()->addDays($n)->addSeconds(7 * $n));",
    "$e = $d->copy()->addHours($n); return [$d->diffInDays($e), $d->diffInHours($e, false), $e];",
)


@settings(max_examples=300, deadline=None)
@given(
    moment=moments,
    zone=st.sampled_from(ZONES),
    count=st.integers(-40, 40),
    code=st.sampled_from(CHAINS),
    class_name=st.sampled_from(("Carbon", "CarbonImmutable")),
)
def test_any_moment_in_any_zone(
    peer: Php, moment: object, zone: str, count: int, code: str, class_name: str
) -> None:
    code = f"$d = {class_name}::parse($m); " + code
    variables = {"m": str(moment), "n": count}
    mine = natively(environment(zone), code, variables)
    if mine.kind != "refused":
        assert mine == really(peer, code, variables, zone=zone)


HUMAN = "return Carbon::parse('2024-01-01')->diffForHumans();"


def test_words_for_people_are_english_only() -> None:
    def answer(locale: str, *, sets_locale: bool = False) -> str:
        natives = carbon_classes(lambda: NOW, "UTC", locale)
        return natively(
            TestEnvironment(natives=natives, functions={}, constants={}, sets_locale=sets_locale), HUMAN
        ).kind

    assert answer("en") == "value"
    assert answer("de") == "refused"
    assert answer("en", sets_locale=True) == "refused"


@pytest.mark.parametrize(
    ("version", "outcome"),
    [
        ((10, 48), ["int", 4]),
        ((11, 0), None),
        (None, None),
        ((12, 0), ["float", "-4.524268391076389"]),
    ],
)
def test_differences_are_those_of_the_carbon_that_the_release_needs(
    version: tuple[int, int] | None, outcome: object
) -> None:
    natives = carbon_classes(lambda: NOW, "UTC", "en")
    there = TestEnvironment(natives=natives, functions={}, constants={}, version=version)
    answer = natively(there, "return Carbon::parse('2024-05-22 01:09:53.578001')->diffInDays();")
    assert (answer.content if answer.kind == "value" else None) == outcome


@pytest.mark.parametrize(
    (
        "zone",
        "first",
        "last",
        "days",
    ),  # by Carbon 3; None: it divides by a day of 23 or 25 hours
    [
        ("Europe/Berlin", "2024-03-01 10:00", "2024-10-27 05:00", None),
        ("Europe/Berlin", "2024-07-01 10:00", "2025-03-30 05:00", None),
        ("Europe/Berlin", "2024-07-01 10:00", "2024-10-26 05:00", None),
        ("UTC", "2024-03-01 10:00", "2024-10-27 05:00", "239.79166666666666"),
        ("Europe/Berlin", "2024-01-22 10:00", "9999-12-31 23:59:59", "2913152.5833217595"),
        ("UTC", "0001-01-01 00:00", "2024-05-22 10:00", "739027.4166666666"),
    ],
)
def test_days_are_those_of_carbon_or_refused(zone: str, first: str, last: str, days: str | None) -> None:
    natives = carbon_classes(lambda: NOW, zone, "en")
    there = TestEnvironment(natives=natives, functions={}, constants={}, version=(13, 0))
    for one, other, sign in ((first, last, ""), (last, first, "-")):
        answer = natively(there, f"return Carbon::parse('{one}')->diffInDays(Carbon::parse('{other}'));")
        if days is None:
            assert answer.kind == "refused"
        else:
            assert answer == ("value", ["float", sign + days])
