"""Casts on what is sent, held against real Laravel; others are refused."""

from __future__ import annotations

import pytest

from tests.phpeval.laravel.eloquent.app import Case

CASTS = "\\Illuminate\\Database\\Eloquent\\Casts\\"


def casting(case: Case, cast: str, value: object, expression: str = "[$this->post->it, $this->post]") -> None:
    """The column `it` holds the value and has the cast."""
    case.post(f"protected $casts = ['it' => {cast}];", columns="it", it=value)
    case.sends(expression)


@pytest.mark.parametrize("value", [None, 0, 1, "0", "", "1", "7.5", "abc", 3.0, 3.75])
@pytest.mark.parametrize("cast", ["int", "float", "string", "bool", "boolean", "real"])
def test_a_scalar_cast_gives_what_laravel_gives(case: Case, cast: str, value: object) -> None:
    casting(case, f"'{cast}'", value)
    case.data()


@pytest.mark.parametrize("value", [None, "", "[]", "{}", '{"a":{"b":1.0}}', '[1,"x"]', "no json", "5", '"t"'])
@pytest.mark.parametrize(
    "cast", ["'array'", "'json'", "'object'", "'collection'", f"{CASTS}AsCollection::class"]
)
def test_a_json_cast_gives_what_laravel_gives(case: Case, cast: str, value: str | None) -> None:
    casting(case, cast, value)
    case.both()


@pytest.mark.parametrize(("value", "text"), [("1.5", "1.50"), ("-2", "-2.00"), ("1234567", "1234567.00")])
def test_a_decimal_cast_is_text(case: Case, value: str, text: str) -> None:
    casting(case, "'decimal:2'", value, "$this->post->it")
    assert case.data() == {"it": text}


@pytest.mark.parametrize("value", ["-0.0001", "-1e-7", "-0", -0.001, "+2", "2.0E3"])
def test_a_decimal_cast_has_no_negative_zero(case: Case, value: object) -> None:
    casting(case, "'decimal:2'", value)
    case.data()


@pytest.mark.parametrize("value", ["  7", "7  ", "1_000", "1.", ".5", "NaN", "Infinity", ""])
def test_a_decimal_cast_of_other_text_is_refused(case: Case, value: str) -> None:
    casting(case, "'decimal:2'", value)
    assert "no number" in case.refused()


@pytest.mark.parametrize(
    "cast",
    [
        "date:d.m.Y",
        "date:H:i",
        "immutable_date:Y H",
        "datetime:H",
        "immutable_datetime:H",
        "date",
        "immutable_date",
    ],
)
@pytest.mark.parametrize("value", ["2024-02-29 10:20:30", "2024-02-29", None])
def test_a_date_with_a_format_keeps_its_time(case: Case, cast: str, value: str | None) -> None:
    casting(
        case,
        f"'{cast}'",
        value,
        "[$this->post->it, $this->post->it?->format('c'), $this->post->only('it'), $this->post]",
    )
    case.data()


@pytest.mark.parametrize(
    "cast",
    [
        "int:5",
        "json:unicode",
        "array:x",
        "string:",
        "DECIMAL:2",
        "Date:Y",
        "DATE",
        "DateTime",
        "bool:1",
        "date:",
    ],
)
@pytest.mark.parametrize("expression", ["$this->post->it", "$this->post"])
def test_a_cast_whose_argument_or_capitals_laravel_reads_otherwise_is_refused(
    case: Case, cast: str, expression: str
) -> None:
    casting(case, f"'{cast}'", "5", expression)
    assert "the cast " in case.refused()


@pytest.mark.parametrize("expression", ["$this->post->it", "$this->post"])
def test_a_hashed_cast_is_refused_before_laravel_has_it(case: Case, expression: str) -> None:
    casting(case, "'hashed'", "text", expression)
    assert "does not have it" in case.refused(version="8.83")
    assert case.native(version="13.31").outcome == "broadcast"


def test_a_decimal_cast_that_rounds_a_tie_is_refused_where_it_would_be_a_guess(case: Case) -> None:
    casting(case, "'decimal:2'", "1.005")
    assert "rounds a tie" in case.refused()


@pytest.mark.parametrize("cast", ["'wibble'", "'App\\\\Nowhere'", f"{CASTS}AsArrayObject::class"])
def test_a_cast_that_is_not_known_is_refused(case: Case, cast: str) -> None:
    casting(case, cast, "text")
    assert "cast" in case.refused()


def test_a_cast_on_a_column_that_is_not_sent_does_no_harm(case: Case) -> None:
    casting(case, "'wibble'", "text", "$this->post->title")
    assert case.data() == {"it": "Title"}


def test_a_cast_that_is_hidden_does_no_harm(case: Case) -> None:
    case.post("protected $casts = ['secret' => 'wibble']; protected $hidden = ['secret'];")
    case.sends("$this->post")
    case.data()


@pytest.mark.parametrize("value", ["hearts", "wrong", None])
def test_an_enum_cast_sends_its_value_or_fails(case: Case, value: str | None) -> None:
    case.add("Suit", "enum Suit: string { case Hearts = 'hearts'; }")
    casting(case, "Suit::class", value)
    assert case.both().outcome == ("failed" if value == "wrong" else "broadcast")


def test_a_pure_enum_as_a_cast_is_refused_before_it_is_known_to_laravel(case: Case) -> None:
    case.add("Suit", "enum Suit { case Hearts; }")
    casting(case, "Suit::class", "Hearts", "$this->post")
    assert case.refused()


def test_a_cast_class_that_chooses_another_is_refused(case: Case) -> None:
    case.add(
        "Own",
        "class Own implements \\Illuminate\\Contracts\\Database\\Eloquent\\Castable {"
        " static function castUsing(array $a) { } function get(...$a) { return 1; } }",
    )
    casting(case, "Own::class", "text")
    assert "the cast class" in case.refused()


def test_a_collection_that_was_changed_stays_changed_in_the_model(case: Case) -> None:
    casting(case, f"{CASTS}AsCollection::class", "[1,2]", "[$this->post->it->push(5), $this->post]")
    data = case.data()
    assert isinstance(data, dict)
    assert data["it"][1]["it"] == [1, 2, 5]


def test_a_primitive_collection_is_made_anew_at_each_read(case: Case) -> None:
    casting(case, "'collection'", "[1,2]", "[$this->post->it->push(5), $this->post]")
    data = case.data()
    assert isinstance(data, dict)
    assert data["it"][1]["it"] == [1, 2]


def test_the_key_is_an_integer_while_it_increments(case: Case) -> None:
    case.post("public $incrementing = false; protected $keyType = 'string'; protected $primaryKey = 'title';")
    case.sends("[$this->post->getKey(), $this->post]")
    case.data(post=case.model(key=b"Title"))


def test_casts_as_a_method_count_from_laravel_11_on(case: Case) -> None:
    case.post("protected function casts(): array { return ['user_id' => 'string']; }")
    case.sends("$this->post->user_id")
    assert case.native(version="11.0").broadcasts[0].data == '{"it":"7"}'
    assert case.data() == {"it": 7}
