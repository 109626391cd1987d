"""Dates of models in a zone that is not UTC, held against real Laravel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.errors import Refused
from bridge.phpeval.laravel.eloquent import dates
from bridge.phpeval.laravel.support import json_forms
from bridge.phpeval.laravel.support.json_forms import iso_json
from tests.phpeval.laravel.eloquent.app import App, Case, app


@pytest.fixture(scope="module")
def berlin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app(tmp_path_factory.mktemp("berlin") / "app", APP_TIMEZONE="Europe/Berlin") as made:
        yield made


@pytest.fixture
def local(berlin: App) -> Case:
    return Case(berlin)


WHEN = "2024-07-01 00:30:00"


@pytest.mark.parametrize(
    "stored",
    [WHEN, "2024-03-31 02:30:00", "2024-10-27 03:00:00", "2024-01-15", "1700000000", 1700000000, None],
)
@pytest.mark.parametrize(
    "cast", ["datetime", "date", "immutable_datetime", "datetime:d.m.Y H:i", "timestamp"]
)
def test_a_date_cast_is_read_in_the_apps_zone(local: Case, cast: str, stored: object) -> None:
    local.post(f"protected $casts = ['it' => '{cast}'];", columns="it", it=stored)
    local.sends("[$this->post->it, $this->post]")
    local.data()


def test_created_at_is_sent_in_utc_and_formatted_in_the_apps_zone(local: Case) -> None:
    local.post(created_at=WHEN)
    local.sends("[$this->post->created_at, $this->post->created_at->format('H:i'), $this->post->toArray()]")
    data = local.data()
    assert isinstance(data, dict)
    assert data["it"][:2] == ["2024-06-30T22:30:00.000000Z", "00:30"]
    assert data["it"][2]["created_at"] == "2024-06-30T22:30:00.000000Z"


@pytest.mark.parametrize(
    "body",
    [
        "protected function serializeDate(\\DateTimeInterface $date) { return $date->format('d.m.Y H:i'); }",
        "public $timestamps = false;",
        "const CREATED_AT = 'updated_at'; const UPDATED_AT = null;",
        "protected $dates = ['it'];",
        "protected $dates = ['it']; protected $hidden = ['it'];",
        "public function getCreatedAtAttribute($value) { return 'got ' . $value; }",
    ],
)
def test_what_a_class_says_of_its_dates_counts(local: Case, body: str) -> None:
    local.post(body, columns="it", it=WHEN, created_at=WHEN)
    local.sends("$this->post")
    local.data()


def test_dates_as_a_property_are_no_more_from_laravel_10_on(local: Case) -> None:
    local.post("protected $dates = ['it'];", columns="it", it=WHEN)
    local.sends("$this->post->it")
    assert local.native(version="10.0").broadcasts[0].data == f'{{"it":"{WHEN}"}}'


@pytest.mark.parametrize("format", ["d/m/Y", "Y-m-d"])
def test_a_date_format_of_a_model_that_its_column_needs_is_refused(local: Case, format: str) -> None:
    local.post(f"protected $dateFormat = '{format}';", created_at="01/07/2024 10:00")
    local.sends("$this->post")
    assert local.refused()


@pytest.mark.parametrize("stored", ["yesterday", "1 July 2024", "2024-13-01", "10:00"])
def test_a_date_that_only_php_reads_is_refused(local: Case, stored: str) -> None:
    local.post(created_at=stored)
    local.sends("$this->post")
    assert local.refused()


def test_the_hour_that_comes_twice_is_refused(local: Case) -> None:
    local.post(created_at="2024-10-27 02:30:00")
    local.sends("$this->post")
    assert "the hour that a clock change repeats" in local.refused()


def test_a_midnight_that_a_clock_change_repeats_is_refused(tmp_path: Path) -> None:
    with app(tmp_path / "app", APP_TIMEZONE="America/Havana") as havana:
        case = Case(havana)
        case.post("protected $casts = ['it' => 'date'];", columns="it", it="2024-11-03 12:00:00")
        for sent in ("$this->post", "$this->post->it"):
            case.sends(sent)
            assert "a clock change repeats" in case.refused()
        havana.sql("update posts set it = '2024-03-10 12:00:00'")  # its midnight is skipped
        case.sends("[$this->post, $this->post->it, $this->post->it->format('c')]")
        case.data()


def test_a_date_that_is_not_sent_does_no_harm(local: Case) -> None:
    local.post(created_at="yesterday")
    local.sends("$this->post->title")
    assert local.data() == {"it": "Title"}


@settings(max_examples=500, deadline=None)
@given(
    moment=st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)),
    fraction=st.integers(0, 6),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "America/Havana", "Pacific/Apia"]),
    form=st.sampled_from(["%s", "%.10s", "%sZ", " %s", "%s\n"]),
    day=st.booleans(),
)
@example(moment=datetime(2024, 11, 3, 12), fraction=0, zone="America/Havana", form="%s", day=True)
@example(moment=datetime(2024, 3, 10, 12), fraction=0, zone="America/Havana", form="%s", day=True)
def test_the_text_of_a_stored_date_is_that_of_its_carbon_object(
    moment: datetime, fraction: int, zone: str, form: str, day: bool
) -> None:
    text = moment.isoformat(" ", "microseconds")
    stored = (form % (text[: 20 + fraction] if fraction else text[:19])).encode()

    def by_object() -> bytes:
        made = dates.as_date_time(stored, ZoneInfo(zone), None)
        return iso_json(json_forms.moment(dates.start_of_day(made) if day else made))

    def told(make: Callable[[], bytes | None]) -> bytes | str | None:
        try:
            return make()
        except Refused as refusal:
            return str(refusal)

    short = told(lambda: dates.json_text(stored, ZoneInfo(zone), None, day=day))
    assert short is None or short == told(by_object)


# ---- dates that are immutable ------------------------------------------------------------------

IMMUTABLE = """
    namespace App\\Providers;
    use Carbon\\CarbonImmutable;
    use Illuminate\\Support\\Facades\\{};
    class TestServiceProvider extends \\Illuminate\\Support\\ServiceProvider {{
        public function boot(): void {{ $this->configureDefaults(); }}
        protected function configureDefaults(): void {{ Date::use(CarbonImmutable::class); }}
    }}
"""


@pytest.fixture(scope="module")
def immutable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app(tmp_path_factory.mktemp("immutable") / "app", IMMUTABLE.format("Date")) as made:
        yield made


@pytest.mark.parametrize(
    "expression",
    [
        "1",
        "[$this->post, $this->post->created_at, $this->post->day]",
        "[get_class($this->post->created_at), get_class($this->post->day), get_class(today())]",
        "get_class(now())",
        "[$this->post->created_at->addDay(), $this->post->created_at]",
        "[$this->post->created_at instanceof \\DateTimeImmutable, now() instanceof \\DateTime]",
        "get_class(\\Illuminate\\Support\\Carbon::parse('2024-01-01'))",
        "$this->post->created_at->format('d.m.Y')",
    ],
)
def test_dates_are_of_the_class_that_the_app_uses(immutable: App, expression: str) -> None:
    case = Case(immutable)
    case.post("protected $casts = ['day' => 'date'];", columns="day", day="2024-01-15", created_at=WHEN)
    case.sends(expression)
    case.data()


@pytest.mark.parametrize(
    "provider",
    [
        IMMUTABLE.format("Date").replace("Date::use(", "Date::useClass("),
        IMMUTABLE.format("Date").replace("Date::use(", "\\Illuminate\\Support\\DateFactory::useClass("),
    ],
)
def test_dates_are_of_the_class_however_the_app_says_it(
    tmp_path_factory: pytest.TempPathFactory, provider: str
) -> None:
    with app(tmp_path_factory.mktemp("other") / "app", provider) as made:
        case = Case(made)
        case.post(created_at=WHEN)
        case.sends("get_class($this->post->created_at)")
        assert case.data() == {"it": "Carbon\\CarbonImmutable"}


@pytest.mark.parametrize(
    "provider",
    [
        IMMUTABLE.format("Date").replace("Carbon\\CarbonImmutable;", "App\\Support\\CarbonImmutable;"),
        IMMUTABLE.format("Date").replace("CarbonImmutable::class", "fn ($date) => $date"),
        IMMUTABLE.format("Date").replace("Date::use(", "if (now()->isFriday()) Date::use("),
    ],
)
def test_dates_that_the_app_makes_in_another_way_are_refused(
    tmp_path_factory: pytest.TempPathFactory, provider: str
) -> None:
    with app(tmp_path_factory.mktemp("other") / "app", provider) as made:
        case = Case(made)
        case.post(created_at=WHEN)
        case.sends("$this->post")
        assert case.refused()


@pytest.mark.parametrize("cast", ["datetime", "date", "datetime:H:i:s", "immutable_datetime", "timestamp"])
@pytest.mark.parametrize("value", ["1e3", "1.5E3", "1e-3", "12.25", " 9", 1.5e3, 0.00001])
def test_a_timestamp_as_text_is_read_as_carbon_reads_it(case: Case, cast: str, value: str | float) -> None:
    case.post(f"protected $casts = ['v' => '{cast}'];", columns="v", v=value)
    case.sends("[$this->post->v, $this->post]")
    if "e" in str(value).lower():
        assert "exponent" in case.refused()
    else:
        case.data()
