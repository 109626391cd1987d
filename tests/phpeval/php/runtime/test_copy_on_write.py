"""What a write to an array costs: a copy only where something else holds the array. That no write shows
elsewhere is compared with PHP in test_class_programs."""

from __future__ import annotations

import pytest

from bridge.phpeval.php.runtime import copy_on_write
from bridge.phpeval.php.runtime.copy_on_write import own_item, own_value
from bridge.phpeval.php.runtime.frame import Reference
from bridge.phpeval.php.runtime.values import PhpArray
from tests.phpeval.php.ours import evaluator

APPENDS = 500


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the arrays that were copied."""
    sizes: list[int] = []
    copy = PhpArray.copy

    def counted(array: PhpArray) -> PhpArray:
        sizes.append(len(array))
        return copy(array)

    monkeypatch.setattr(PhpArray, "copy", counted)
    return sizes


@pytest.mark.parametrize(
    "append",
    [
        "$a[] = $i;", "$a[$i] = $i;", "$a['in']['most'][] = $i;", "$o->l[] = $i;", "$o->l['in'][] = $i;",
        "array_push($a, $i);", "$a[] = $i; array_pop($a); $a[] = $i;", "$a[] = $i; unset($a[$i - 1]);",
        "$a[] = count($a);", "$r[] = $i;", "$this->own[] = $i;", "$this->typed[] = $i;", "$f($i);",
        "foreach ([1] as $x) { $a[] = $x; } if ($a[0] === 1 && isset($a[1])) { $a['n'] = $i; }",
    ],
)  # fmt: skip
def test_an_append_copies_nothing_that_is_not_shared(append: str, copies: list[int]) -> None:
    source = f"""class S {{
        public $own = []; public array $typed = [];
        public function run() {{
            $a = []; $o = new stdClass; $o->l = []; $r = &$s; $r = [];
            $f = function ($x) use (&$s) {{ $s[] = $x; }};
            for ($i = 0; $i < {APPENDS}; $i++) {{ {append} }}
        }} }}"""
    php = evaluator(source)
    php.call_method(php.instantiate("S"), "run")
    assert sum(copies) <= 2


def test_a_shared_array_is_copied_once_and_the_copy_is_its_own(copies: list[int]) -> None:
    body = f"$a = [1, 2, 3]; $b = $a; for ($i = 0; $i < {APPENDS}; $i++) {{ $b[] = $i; }} return [$a, $b];"
    evaluator(f"class S {{ public static function run() {{ {body} }} }}").call_static("S", "run")
    assert copies == [3]


def test_whatever_holds_an_array_makes_it_shared() -> None:
    places = {"a": PhpArray.of([1])}
    alone = own_item(places, "a")
    assert own_item(places, "a") is not alone  # `alone` holds it
    reference = Reference(PhpArray())
    held = own_value(reference)
    assert own_value(reference) is not held


def test_python_tells_how_many_hold_an_array() -> None:
    assert copy_on_write.ALONE_AS_ITEM > 0
    assert copy_on_write.ALONE_IN_CELL > 0


def test_where_python_does_not_tell_each_write_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_on_write, "ALONE_AS_ITEM", 0)
    places = {"a": PhpArray.of([1])}
    before = id(places["a"])
    own_item(places, "a").append(2)
    assert places["a"] == {0: 1, 1: 2}
    assert id(places["a"]) != before
