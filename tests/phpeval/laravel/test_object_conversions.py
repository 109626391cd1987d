"""Objects of a payload, held against real Laravel: what they are when they come out, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from tests.phpeval.laravel.eloquent.app import App, Case, app


@pytest.fixture(scope="module")
def module_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app(tmp_path_factory.mktemp("objects") / "app") as made:
        made.serve_cases()
        yield made


ARRAYABLE = "implements \\Illuminate\\Contracts\\Support\\Arrayable"
TO_ARRAY = "public function toArray() { return ['array' => $this->a]; }"
TO_JSON = "public function toJson($options = 0) { return '\"json\"'; }"
SERIALIZE = "#[\\ReturnTypeWillChange] public function jsonSerialize() { return ['serialized' => $this->a]; }"


@pytest.fixture
def case(module_app: App) -> Iterator[Case]:
    made = Case(module_app)
    made.event("public $held; public $list;")
    yield made
    made.remove()


def held(case: Case, source: str, **properties: Value) -> PhpObject:
    """An object of the class Own."""
    case.add("Own", f"class Own {source}")
    return PhpObject(case.name("Own"), {name.encode(): value for name, value in properties.items()})


@pytest.mark.parametrize(
    "source",
    [
        "{ public $a; }",
        "{ public $a; protected $b = 2; private $c = 3; public $d = [1]; }",
        f"{ARRAYABLE} {{ public $a; {TO_ARRAY} }}",
        f"implements \\JsonSerializable {{ public $a; {SERIALIZE} }}",
        f"{ARRAYABLE}, \\JsonSerializable {{ public $a; {TO_ARRAY} {SERIALIZE} }}",
        f"implements \\Illuminate\\Contracts\\Support\\Jsonable {{ public $a; {TO_JSON} }}",
        f"{{ public $a; {TO_ARRAY} {TO_JSON} }}",
        "implements \\Stringable { public $a; public function __toString(): string { return 'text'; } }",
        "{ public $a; public ?int $never; }",
        "implements \\Countable { public $a; public function count(): int { return 2; } }",
    ],
)
@pytest.mark.parametrize("place", ["alone", "in an array", "in a collection", "in a stdClass"])
def test_an_object_becomes_json_as_laravel_has_it(case: Case, source: str, place: str) -> None:
    own = held(case, source, a=5)
    around: dict[str, Value] = {
        "alone": own,
        "in an array": PhpArray.of([own]),
        "in a collection": PhpObject("Illuminate\\Support\\Collection", {b"\0*\0items": PhpArray.of([own])}),
        "in a stdClass": PhpObject("stdClass", {b"x": own}),
    }
    case.data(held=around[place], list=None)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{ public $a; public function __wakeup() { $this->a = 1; } }", "has __wakeup()"),
        ("{ public $a; public function __unserialize(array $d): void { } }", "has __unserialize()"),
        ("{ private $a; }", "has changed its visibility"),
        ("{ public string $a; }", "has changed its type"),
        ("extends \\Nobody\\Base { public $a; }", "the source of Nobody\\Base is not known"),
        ("extends \\ArrayIterator { public $a; }", "the source of ArrayIterator is not known"),
    ],
)
def test_an_object_that_php_alone_can_wake_is_refused(case: Case, source: str, reason: str) -> None:
    assert reason in case.refused(held=held(case, source, a=5))


def test_an_object_of_an_unknown_class_is_refused(case: Case) -> None:
    assert "Nobody\\Thing" in case.refused(held=PhpObject("Nobody\\Thing"))


def test_defaults_of_a_class_that_were_not_written_are_there_again(case: Case) -> None:
    own = held(case, "{ public $a; public $new = 'default'; }", a=5)
    data = case.data(held=own)
    assert isinstance(data, dict)
    assert data["held"] == {"a": 5, "new": "default"}


def test_an_enum_is_its_value_and_one_without_values_fails(case: Case) -> None:
    case.add("Suit", "enum Suit: string { case Hearts = 'h'; }")
    case.add("Pure", "enum Pure { case One; }")
    data = case.data(held=EnumCase(case.name("Suit"), "Hearts"))
    assert isinstance(data, dict)
    assert data["held"] == "h"
    assert case.both(held=EnumCase(case.name("Pure"), "One")).outcome == "failed"
