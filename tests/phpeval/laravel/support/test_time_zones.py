"""Names of time zones: taken as PHP takes them, or refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.errors import Refused
from bridge.phpeval.laravel.support import json_forms
from bridge.phpeval.laravel.support.carbon import carbon_classes
from bridge.phpeval.laravel.support.time_zones import zone_info
from bridge.phpeval.php.runtime.values import PhpObject, Value, plain_name
from tests.phpeval.laravel.evaluation import NOW, TestEnvironment, laravel, natively, really
from tests.phpeval.laravel.php import Php, php

_UNSERIALIZED = r"""
    [$kind, $name] = $question;
    $text = sprintf('O:8:"DateTime":3:{s:4:"date";s:26:"2024-05-17 00:00:00.000000";'
        . 's:13:"timezone_type";i:%d;s:8:"timezone";s:%d:"%s";}', $kind, strlen($name), $name);
    return json_decode(json_encode(unserialize($text)), true);
"""
NAMES = (
    [(3, name) for name in ("UTC", "Europe/Berlin", "Etc/GMT+5", "GMT", "localtime", "posixrules", "Factory")]
    + [(3, name) for name in ("posix/Europe/Berlin", "europe/berlin", "utc", "Z", "Europe", "Europe/", "")]
    + [(3, name) for name in ("Europe/Berlin ", "../zoneinfo/UTC", "zone.tab", "leapseconds", "+02:00")]
    + [(1, name) for name in ("+02:00", "-05:30", "+00:00", "-00:00", "+0200", "+25:00", "+02:00:30", "2")]
    + [(2, name) for name in ("Z", "z", "GMT", "gmt", "UTC", "utc", "CEST", "Europe/Berlin")]
)
CERTAIN = {(3, "UTC"), (3, "Europe/Berlin"), (3, "Etc/GMT+5"), (3, "GMT"), (1, "+02:00"), (1, "-05:30")}


@pytest.fixture(scope="module")
def unserialized() -> Iterator[Php]:
    with php(_UNSERIALIZED) as running:
        yield running


@pytest.fixture(scope="module")
def peer() -> Iterator[Php]:
    with laravel() as running:
        yield running


def _text(value: Value) -> object:
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_a_serialized_date_is_shown_in_phps_spelling_or_refused(
    unserialized: Php, kind: int, name: str
) -> None:
    held: dict[int | bytes, Value] = {
        b"date": b"2024-05-17 00:00:00.000000",
        b"timezone_type": kind,
        b"timezone": name.encode(),
    }
    try:
        shown = json_forms.JSON_FORMS["DateTime"](PhpObject("DateTime", held))
    except Refused:
        assert (kind, name) not in CERTAIN
        return
    assert isinstance(shown, PhpObject)
    mine = {plain_name(key): _text(value) for key, value in shown.properties.items()}
    theirs = unserialized.ask([kind, name])["ok"]
    assert {
        key: str(value, "ascii") if isinstance(value, bytes) else value for key, value in mine.items()
    } == (theirs)


@pytest.mark.parametrize("name", ["localtime", "posixrules", "Factory"])
def test_files_of_the_database_that_depend_on_the_machine_are_no_zones(name: str) -> None:
    with pytest.raises(Refused):
        zone_info(name)


CODE = "return Carbon::parse('2024-05-17 10:00')->setTimezone('%s')->toIso8601String();"


@pytest.mark.parametrize(
    ("name", "certain"),
    [
        ("Europe/Berlin", True),
        ("UTC", True),
        ("US/Eastern", False),
        ("Asia/Calcutta", False),
        ("Europe/Kyiv", False),
        ("posix/Europe/Berlin", False),
        ("Europe/berlin", False),
        ("CET", False),
    ],
)
def test_a_zone_in_a_text_is_one_that_every_php_has_or_that_phps_own_list_names(
    peer: Php, name: str, certain: bool
) -> None:
    def outcome(zones: frozenset[str] | None) -> str:
        there = TestEnvironment(natives=carbon_classes(lambda: NOW, "UTC", "en"), functions={}, constants={})
        there.time_zones = zones
        answer = natively(there, CODE % name)
        assert answer.kind == "refused" or answer == really(peer, CODE % name)
        return answer.kind

    assert outcome(None) == ("value" if certain else "refused")
    assert outcome(frozenset()) == "refused"
    listed = name in ("Europe/Berlin", "UTC", "US/Eastern", "Asia/Calcutta", "Europe/Kyiv")
    assert outcome(frozenset({name})) == ("value" if listed else "refused")
