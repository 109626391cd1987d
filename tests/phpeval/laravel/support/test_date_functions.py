"""PHP's date functions by bridge and by PHP itself, in the time zone of an app; operators between dates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.phpeval.laravel.support.carbon import carbon_classes
from bridge.phpeval.laravel.support.date_functions import date_functions
from bridge.phpeval.php import functions
from tests.phpeval.laravel.evaluation import NOW, TestEnvironment, laravel, natively, really
from tests.phpeval.laravel.php import Php

ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata")


@pytest.fixture(scope="module")
def peer() -> Iterator[Php]:
    with laravel() as running:
        yield running


def environment(zone: str = "UTC") -> TestEnvironment:
    return TestEnvironment(
        natives=carbon_classes(lambda: NOW, zone, "en"),
        functions={**functions.FUNCTIONS, **date_functions(lambda: NOW, zone)},
        constants=functions.CONSTANTS,
    )


GIVEN = [
    r"date('D, d M Y H:i:s \o\n N jS z t L B g G h A O P e T c r U u v y n W o', 1715949296)",
    "date('Y-m-d', 0)",
    "date('', 5)",
    "date('Y', -86400 * 366)",
    "date('d/m/Y', strtotime('2024-05-17 12:34:56'))",
    "date('H:i', '1715949296')",
    "date('H:i', 1715949296.0)",
    "gmdate('D, d M Y H:i:s', 1715949296)",
    "gmdate('c', 1715949296)",
    "strtotime('2024-05-17')",
    "strtotime('2024-05-17T12:34:56Z')",
    "strtotime('2024-05-17 12:34:56.789+02:00')",
    "date('Y', 'x')",
    "date()",
    "time(1)",
]
OPERATORS = [
    f"{one} {operator} {other}"
    for one in ("Carbon::parse('2024-01-01')", "CarbonImmutable::parse('2024-01-01 02:00', 'Europe/Berlin')")
    for operator in ("<", ">", "<=", ">=", "==", "!=", "<=>")
    for other in ("Carbon::parse('2024-01-01 01:00')", "CarbonImmutable::parse('2024-01-01')")
]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("code", GIVEN)
def test_a_moment_that_is_given_is_as_php_shows_it(peer: Php, code: str, zone: str) -> None:
    assert natively(environment(zone), f"return {code};") == really(peer, f"return {code};", zone=zone)


@pytest.mark.parametrize("code", OPERATORS)
def test_dates_are_compared_by_their_moment(peer: Php, code: str) -> None:
    assert natively(environment(), f"return {code};") == really(peer, f"return {code};")


@pytest.mark.parametrize(
    ("code", "now"),
    [
        ("time()", 1715949296),
        ("microtime(true)", "1715949296.789012"),
        ("date('Y-m-d H:i:s.u')", b"2024-05-17 18:04:56.000000"),
        ("strtotime('now')", 1715949296),
        ("date('Y-m-d H:i', strtotime('tomorrow'))", b"2024-05-18 00:00"),
    ],
)
def test_now_is_the_clock_s(code: str, now: object) -> None:
    assert natively(environment("Asia/Kolkata"), f"return {code};").content[-1] == now  # type: ignore[index]


@pytest.mark.parametrize(
    "code",
    [
        "strtotime('next friday')",
        "strtotime('+1 day', 5)",
        "strtotime('')",
        "strtotime('x')",
        "microtime()",
        "date('p')",
        "gmdate('T', 5)",
        "date('Y', PHP_INT_MAX)",
    ],
)
def test_other_forms_are_refused(code: str) -> None:
    assert natively(environment(), f"return {code};").kind == "refused"


@pytest.mark.parametrize(
    "form", ["'gggg-WW'", "'DDDD'", "'l'", "'T'", "'dd'", "'[a'", "'SSS'", "'W'", r"'\\M'"]
)
def test_letters_of_iso_format_that_few_use_are_refused(form: str) -> None:
    said = natively(environment(), f"return Carbon::parse('2024-05-17')->isoFormat({form});")
    assert said.kind == "refused"
