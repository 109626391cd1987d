"""Collections and Arr by bridge and by Laravel 8 under PHP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.phpeval.laravel.support.arr import ARR_CLASSES, STATICS, data_get
from bridge.phpeval.laravel.support.collection import COLLECTION_CLASSES, METHODS, PROXIES
from bridge.phpeval.laravel.support.collection import STATICS as COLLECTION_STATICS
from bridge.phpeval.php.functions import CONSTANTS, FUNCTIONS
from tests.phpeval.laravel.evaluation import TestEnvironment, laravel, natively, really
from tests.phpeval.laravel.php import Php


@pytest.fixture(scope="module")
def peer() -> Iterator[Php]:
    with laravel() as running:
        yield running


@cache
def environment() -> TestEnvironment:
    return TestEnvironment(
        natives={**COLLECTION_CLASSES, **ARR_CLASSES}, functions=FUNCTIONS, constants=CONSTANTS
    )


ROWS = [
    {"id": 3, "name": "Ada", "age": 36, "tag": {"k": "x"}, "on": True},
    {"id": 1, "name": "bob", "age": None, "tag": {"k": "y"}, "on": False},
    {"id": 2, "name": "Cid", "age": 36, "tag": {"k": "x"}, "on": True},
    {"id": 7, "name": "Ada", "age": 7, "tag": [], "on": False},
]
SCALARS: tuple[object, ...] = (
    [3, 1, 2, 1],
    ["b", "a", "c"],
    [],
    {"x": 1, "y": None, "z": 3},
    [0, "", None, False, "0", 5],
)
NESTED: tuple[object, ...] = ([[1, 2], [3, [4, 5]]], {"a": {"b": {"c": 1}}, "d": 2})
ALL = (ROWS, *SCALARS, *NESTED)
IS_BIG = "fn ($v, $k = null) => is_int($v) ? $v > 1 : is_array($v)"
COLUMNS = ("'name'", "'age'", "'tag.k'", "'missing'", "fn ($v) => is_array($v) ? ($v['id'] ?? 0) : $v")
WHERES = (
    "'age', 36",
    "'age', '>', 10",
    "'on'",
    "'age', '!=', null",
    "'tag.k', 'x'",
    "'name', '===', 'Ada'",
    "'id', '<=', 2",
    "'name', '<>', 'Ada'",
    "'age', '==', '36'",
    "'id', '>=', 2",
    "'id', '<', 3",
    "'id', '!==', 3",
)

# method → arguments to try on every array
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "first": ("", IS_BIG, "fn () => false, 'd'", "null, fn () => 9"),
    "last": ("", IS_BIG, "fn () => false, fn () => 9"),
    "get": ("'x'", "0", "'nope'", "'nope', 5", "9, fn () => 6", "'1'"),
    "has": ("'x'", "0", "'x', 'y'", "['x', 'z']", "9"),
    "hasAny": ("'x', 'q'", "[0, 99]", "'q'"),
    "offsetExists": ("'x'", "'y'", "0"),
    "offsetGet": ("'x'", "0", "'1'"),
    "sum": ("", "'id'", "fn ($v) => is_array($v) ? 2 : 1"),
    "avg": ("", "'age'"),
    "average": ("'id'",),
    "min": ("", "'age'", "'id'"),
    "max": ("", "'age'", "'id'"),
    "reduce": ("fn ($c, $v, $k) => $c . $k . '|'", "fn ($c, $v) => $c + 1, 10"),
    "implode": ("','", "'name', '-'", "'id'"),
    "join": ("', '", "', ', ' and '"),
    "filter": ("", IS_BIG),
    "skipUntil": ("1", "'a'", IS_BIG, "null"),
    "skipWhile": ("3", "'b'", IS_BIG),
    "takeUntil": ("2", "'c'", IS_BIG, "99"),
    "takeWhile": ("3", "'zz'", IS_BIG),
    "reject": ("", IS_BIG, "1"),
    "where": WHERES,
    "firstWhere": WHERES,
    "every": (*WHERES, IS_BIG, "'on'"),
    "partition": (*WHERES, IS_BIG),
    "contains": (*WHERES[:2], IS_BIG, "1", "'a'", "null"),
    "some": ("1", IS_BIG),
    "doesntContain": ("1", IS_BIG),
    "containsStrict": ("1", "'1'"),
    "whereStrict": ("'age', 36", "'age', '36'"),
    "whereNull": ("'age'", ""),
    "whereNotNull": ("'age'", ""),
    "whereIn": ("'id', [1, '2']", "'id', [1, '2'], true"),
    "whereInStrict": ("'id', [1, '2']",),
    "whereNotIn": ("'id', [1, '2']",),
    "whereNotInStrict": ("'id', [1, '2']",),
    "whereBetween": ("'id', [2, 3]",),
    "search": ("1", "'1', true", IS_BIG),
    "map": ("fn ($v, $k) => [$k, $v]",),
    "mapWithKeys": ("fn ($v, $k) => ['k' . $k => $v, 5 => $k]",),
    "mapToGroups": ("fn ($v, $k) => [is_array($v) ? 'a' : 's' => $k]",),
    "flatMap": ("fn ($v) => [$v, 'n' => $v]",),
    "pluck": ("'name'", "'name', 'id'", "'tag.k', 'name'", "'tag.*'", "'id', 'missing'"),
    "keyBy": COLUMNS[:1] + COLUMNS[3:],
    "groupBy": (*COLUMNS, "'on'", "'name', true", "fn ($v) => ['a', is_array($v)]"),
    "unique": ("", "'name'", "'age', true", *COLUMNS[2:]),
    "merge": ("[9, 'x' => 8]", "collect([1])", "null"),
    "concat": ("[9, 'x' => 8]", "collect([1])"),
    "union": ("[9, 8, 7, 6, 5, 4]",),
    "combine": ("[1, 2, 3]",),
    "replace": ("[1 => 'r']",),
    "diff": ("[1, 'a']",),
    "diffKeys": ("[1 => 0, 'x' => 0]",),
    "diffAssoc": ("['b', 'x' => 1]",),
    "intersect": ("[1, 'a']",),
    "intersectByKeys": ("[1 => 0, 'x' => 0]",),
    "only": ("'x', 'y'", "[0, 2]", "collect(['x'])", "null"),
    "except": ("'x', 'y'", "[0, 2]", "'a.b'", "'0'"),
    "slice": ("1", "1, 1", "-2", "0, -1"),
    "take": ("2", "-2", "0"),
    "skip": ("1", "9"),
    "forPage": ("2, 2", "1, 2"),
    "chunk": ("2", "0", "9"),
    "nth": ("2", "2, 1"),
    "flatten": ("", "1", "2"),
    "zip": ("[1, 2]", "[1], [2, 3, 4, 5, 6]"),
    "sort": ("", "fn ($a, $b) => is_array($a) ? $a['id'] <=> $b['id'] : $a <=> $b"),
    "sortDesc": ("",),
    "sortBy": (
        "'id'",
        "'name'",
        "'age'",
        "fn ($v, $k) => -$k",
        "[['name', 'desc'], ['id', 'asc']]",
        "['name', 'id']",
    ),
    "sortByDesc": ("'id'", "'name'"),
    "sortKeys": ("",),
    "sortKeysDesc": ("",),
    "each": ("fn ($v, $k) => $k < 1",),
    "tap": ("fn ($c) => $c->push(1)",),
    "pipe": ("fn ($c) => $c->count()",),
    "when": (
        "true, fn ($c, $v) => [$c->count(), $v]",
        "0, fn ($c) => 1",
        "0, fn ($c) => 1, fn ($c, $v) => $v",
    ),
    "unless": (
        "true, fn ($c) => 1",
        "0, fn ($c, $v) => [$v, $c->count()]",
        "3, fn ($c) => 1, fn ($c, $v) => $v",
    ),
    "whenEmpty": ("fn ($c) => 'e'", "fn ($c) => 'e', fn ($c) => 'f'"),
    "whenNotEmpty": ("fn ($c) => 'n'",),
    "push": ("5, 6",),
    "add": ("5",),
    "put": ("'x', 9", "null, 9", "'0', 9"),
    "prepend": ("0",),
    "transform": ("fn ($v, $k) => $k",),
    "forget": ("'x'", "[0, 1]"),
    "offsetSet": ("'x', 9", "null, 9", "7, 9"),
    "offsetUnset": ("'x'", "0", "'nope'"),
    "pull": ("'x'", "0", "'nope', 5", "9, fn () => 6"),
    "pad": ("5, 'p'", "-4, null", "1, 0"),
    "split": ("2", "3", "9"),
    "median": ("", "'id'", "'age'"),
    "firstOrFail": ("", IS_BIG, "fn () => false", "'id', 2", "'id', '>', 2"),
    "mapInto": ("Collection::class", "'Illuminate\\\\Support\\\\Collection'"),
    "mapSpread": ("fn (...$v) => count($v)",),
}
ONLY_MODELS = {  # tried in the tests of models and resources
    "modelKeys", "find", "append", "load", "loadMissing", "makeHidden", "makeVisible", "toResourceCollection",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(METHODS.keys() - ONLY_MODELS))
def test_every_method_gives_what_laravel_gives(name: str, peer: Php) -> None:
    answered = 0
    for items in ALL:
        for arguments in ARGUMENTS.get(name, ("",)):
            arguments = arguments.replace("collect(", "Collection::make(")
            code = f"$c = new Collection($i); return [$c->{name}({arguments}), $c];"
            mine = natively(environment(), code, {"i": items})
            if mine.kind != "refused":
                assert mine == really(peer, code, {"i": items}), (code, items)
                answered += mine.kind == "value"
    assert answered, name


@pytest.mark.parametrize("name", sorted(PROXIES))
def test_every_proxy_gives_what_laravel_gives(name: str, peer: Php) -> None:
    answered = 0
    for column in ("id", "on", "tag", "name"):
        for shape in ("->{0}->{1}", "->map(fn ($v) => new Collection($v))->{0}->count()"):
            code = f"return (new Collection($i)){shape.format(name, column)};"
            mine = natively(environment(), code, {"i": ROWS})
            if mine.kind != "refused":
                assert mine == really(peer, code, {"i": ROWS}), code
                answered += 1
    assert answered, name


@pytest.mark.parametrize(
    "code",
    [
        "return Collection::make($i);",
        "return Collection::make('a');",
        "return Collection::make(null);",
        "return Collection::wrap($i);",
        "return Collection::wrap('a');",
        "return Collection::wrap(null);",
        "return Collection::wrap(false);",
        "return (new Collection([['n' => 1], ['n' => 3], ['n' => 2]]))->sortByDesc([['n', 'asc']]);",
        "return Collection::unwrap(new Collection($i));",
        "return Collection::times(3, fn ($n) => $n * 2);",
        "return Collection::range(1, 4);",
        "return Collection::empty();",
        "$c = new Collection($i); $n = 0; foreach ($c as $k => $v) { $n += $k; } return $n;",
        "return (new Collection($i))[1]['name'];",
        "return isset((new Collection($i))[9]);",
        "return (new Collection($i))->nope;",
        "return (string) new Collection($i);",
        "return (new Collection($i))->sortBy('name')->values()->map(fn ($r) => $r['name'])->implode(', ');",
    ],
)
def test_collections_are_made_and_used_as_in_laravel(code: str, peer: Php) -> None:
    if "empty()" in code:  # since Laravel 8 as a static method of LazyCollection only
        assert natively(environment(), code) == really(peer, "return new Collection([]);")
        return
    assert natively(environment(), code, {"i": ROWS}) == really(peer, code, {"i": ROWS})


def test_every_static_method_has_a_case() -> None:
    assert COLLECTION_STATICS.keys() == {"make", "empty", "wrap", "unwrap", "times", "range"}


ARR: dict[str, tuple[str, ...]] = {
    "accessible": ("$i", "'a'", "new Collection([])"),
    "add": ("$i, 'q.r', 1", "$i, 'x', 2", "$i, 'd', 2"),
    "collapse": ("[$i, [1], 2, new Collection([3])]",),
    "divide": ("$i",),
    "dot": ("$i",),
    "except": ("$i, 'x'", "$i, ['a.b.c', 'd']", "$i, [0, 1]"),
    "exists": ("$i, 'x'", "$i, 0"),
    "first": ("$i", f"$i, {IS_BIG}", "$i, fn () => false, 7"),
    "last": ("$i", f"$i, {IS_BIG}, 7"),
    "flatten": ("$i", "$i, 1"),
    "get": (
        "$i, 'a.b.c'",
        "$i, 'a.b'",
        "$i, 'a.q', 5",
        "$i, null",
        "$i, 0",
        "$i, 'x.y', fn () => 3",
        "null, 'a', 1",
        "$i, '0.name'",
    ),
    "has": ("$i, 'a.b'", "$i, ['a', 'd']", "$i, 'x'", "$i, []"),
    "hasAny": ("$i, ['q', 'a.b']", "$i, 'x'", "$i, null"),
    "isAssoc": ("$i",),
    "isList": ("$i",),
    "only": ("$i, 'x'", "$i, ['a', 0]"),
    "pluck": ("$i, 'name'", "$i, 'name', 'id'"),
    "prepend": ("$i, 5",),
    "where": (f"$i, {IS_BIG}",),
    "whereNotNull": ("$i",),
    "wrap": ("$i", "null", "'a'"),
}
NEWER = {"join", "map"}  # of Laravel 9; here beside the collection's own


@pytest.mark.parametrize("name", sorted(STATICS.keys() - NEWER))
def test_every_function_of_arr_gives_what_laravel_gives(name: str, peer: Php) -> None:
    answered = 0
    for items in ALL:
        for arguments in ARR[name]:
            code = f"return Arr::{name}({arguments});"
            mine = natively(environment(), code, {"i": items})
            if mine.kind != "refused":
                assert mine == really(peer, code, {"i": items}), (code, items)
                answered += 1
    assert answered, name


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("Arr::join($i, ', ', ' and ')", "(new Collection($i))->join(', ', ' and ')"),
        ("Arr::join($i, ', ')", "(new Collection($i))->join(', ')"),
        ("Arr::map($i, fn ($v, $k) => $k . $v)", "(new Collection($i))->map(fn ($v, $k) => $k . $v)->all()"),
    ],
)
def test_newer_functions_of_arr_are_those_of_collections(mine: str, theirs: str, peer: Php) -> None:
    for items in SCALARS:
        here = natively(replace(environment(), version=(9, 13)), f"return {mine};", {"i": items})
        assert here == really(peer, f"return {theirs};", {"i": items})


scalars = st.one_of(
    st.integers(-9, 9),
    st.sampled_from(["", "a", "b", "B", "10", "9", "1e1", "é", "a b"]),
    st.none(),
    st.booleans(),
)
shapes = st.one_of(
    st.lists(scalars, max_size=8),
    st.lists(st.integers(-9, 9), max_size=12),
    st.lists(st.sampled_from(["x", "y", "Zed", "10", "9a", ""]), max_size=9),
    st.dictionaries(st.sampled_from(["a", "b", "1", "07", "k"]), scalars, max_size=5),
)
CALLS = tuple(
    f"{name}({arguments})"
    for name in sorted(METHODS.keys() - ONLY_MODELS)
    for arguments in ARGUMENTS.get(name, ("",))
    if "collect(" not in arguments
)


@settings(max_examples=400, deadline=None)
@given(items=shapes, first=st.sampled_from(CALLS), then=st.sampled_from(CALLS))
def test_any_two_methods_on_any_scalars(peer: Php, items: object, first: str, then: str) -> None:
    code = f"$c = (new Collection($i))->{first}; $c = $c instanceof Collection ? $c->{then} : $c; return $c;"
    mine = natively(environment(), code, {"i": items})
    if mine.kind != "refused":
        assert mine == really(peer, code, {"i": items})


@pytest.mark.parametrize(
    ("code", "version", "content"),
    [
        ("return (new Collection([5, 6, 7]))->forget(new Collection([0, 2]))->count();", (10, 15), 1),
        ("return (new Collection([5, 6, 7]))->forget(new Collection([0, 2]))->count();", (8, 83), None),
        ("return (new Collection(['a']))->doesntContain->x;", (9, 52), None),
        ("return (new Collection(['a']))->when;", (12, 0), None),
        (r"return data_get(['s' => ['{first}' => 1, 'k' => 2]], 's.\\{first}');", (13, 0), None),
        (r"return data_get(['s' => [1]], 's.{last}');", (13, 0), None),
    ],
)
def test_what_differs_by_release_is_right_or_refused(
    code: str, version: tuple[int, int], content: int | None
) -> None:
    functions = {**FUNCTIONS, "data_get": lambda php, given: data_get(php, *given)}
    released = replace(environment(), functions=functions, version=version)
    outcome = natively(released, code)
    if content is None:
        assert outcome.kind == "refused"
    else:
        assert outcome == ("value", ["int", content])
