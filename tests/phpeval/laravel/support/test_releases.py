"""What native evaluation offers is in the Laravel that is installed, as the table of releases says.

Runs on each Laravel that `make test-all` has (8.83, 10.48, 13.31).
"""

from __future__ import annotations

import functools
import json
import subprocess
from dataclasses import replace

import pytest

from bridge.phpeval.laravel import helpers
from bridge.phpeval.laravel.eloquent import model_methods
from bridge.phpeval.laravel.support import arr, collection, releases, resource
from bridge.phpeval.laravel.support import str as texts
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.functions import CONSTANTS, FUNCTIONS
from tests.oracle.running import peer
from tests.phpeval.laravel.evaluation import TestEnvironment, natively

ASK = r"""
require 'Illuminate/autoload.php';
$found = [];
foreach (json_decode($argv[1], true) as $family => $names) {
    $found[$family] = [];
    foreach ($names as $name) {
        if (function_exists($name)) {
            $found[$family][strtolower($name)] = parameters(new ReflectionFunction($name));
        }
        if (class_exists($name) || trait_exists($name)) {
            foreach ((new ReflectionClass($name))->getMethods(~ReflectionMethod::IS_PRIVATE) as $method) {
                $found[$family][$method->name] = parameters($method);
            }
        }
    }
}
function parameters($function) {
    return $function->isVariadic() ? 99 : $function->getNumberOfParameters();
}
echo json_encode($found);
"""
_JSON = "Illuminate\\Http\\Resources\\Json\\"
_ELOQUENT = "Illuminate\\Database\\Eloquent\\"
# family → what it offers by name, its rows, and where Laravel has them
FAMILIES: dict[str, tuple[set[str], releases.Rows, tuple[str, ...]]] = {
    "Str": (set(texts.STATICS), releases.STR, (texts.STR,)),
    "Stringable": (set(texts.FLUENT), releases.STRINGABLE, (texts.STRINGABLE,)),
    "Arr": (set(arr.STATICS), releases.ARR, (arr.ARR,)),
    "Collection": (
        {*collection.METHODS, *collection.STATICS},
        releases.COLLECTION,
        ("Illuminate\\Support\\Collection", _ELOQUENT + "Collection"),
    ),
    "JsonResource": (
        {*resource.METHODS, *resource.PROTECTED, *resource.STATICS},
        releases.RESOURCE,
        (_JSON + "JsonResource", _JSON + "ResourceCollection"),
    ),
    "Model": (set(model_methods.METHODS), releases.MODEL, (_ELOQUENT + "Model", _ELOQUENT + "SoftDeletes")),
    "functions": (
        set(helpers.FUNCTIONS),
        releases.FUNCTIONS,
        tuple(name.replace("illuminate\\support", "Illuminate\\Support") for name in helpers.FUNCTIONS),
    ),
}


@functools.cache
def installed() -> dict[str, dict[str, int]]:
    """Family → what Laravel has → number of its parameters (99: any)."""
    wanted = json.dumps({family: names for family, (_, _, names) in FAMILIES.items()})
    done = subprocess.run(
        [peer().binary, "-r", ASK, wanted], check=True, capture_output=True, text=True, timeout=60
    )
    found: dict[str, dict[str, int]] = json.loads(done.stdout)
    found["Model"] = {name.lower(): count for name, count in found["Model"].items()}
    return found


def _offered(rows: releases.Rows, name: str, version: Version) -> bool:
    return all(count or since <= version for count, since in rows.get(name, ()))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_offered_is_there(family: str) -> None:
    offers, rows, _ = FAMILIES[family]
    there = installed()[family]
    offered = {name for name in offers if _offered(rows, name, peer().laravel)}
    assert offered <= there.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_newer_is_not_there(family: str) -> None:
    _, rows, _ = FAMILIES[family]
    there, version = installed()[family], peer().laravel
    for name, steps in rows.items():
        for count, since in steps:
            if count:
                assert (there.get(name, 0) >= count) is (since <= version), (name, count)
            else:
                assert (name in there) is (since <= version), name


def test_rows_name_only_what_is_offered() -> None:
    for offers, rows, _ in FAMILIES.values():
        assert rows.keys() <= offers


def _environment(version: Version) -> TestEnvironment:
    natives = {**collection.COLLECTION_CLASSES, **arr.ARR_CLASSES, **texts.STR_CLASSES}
    return TestEnvironment(natives=natives, functions=FUNCTIONS, constants=CONSTANTS, version=version)


@pytest.mark.parametrize(
    ("code", "since"),
    [
        ("return Arr::join(['a', 'b'], ', ', ' and ');", (9, 11)),
        ("return Str::squish(' a  b ');", (9, 8)),
        ("return Str::contains('AB', 'a', true);", (9, 0)),
        ("return Str::of('AB')->contains('a', true);", (9, 33)),
        ("return (new Collection([1]))->containsOneItem();", (8, 30)),
        ("return (new Collection([1, 2]))->sum(fn ($v, $k) => $v * $k);", (13, 2)),
        ("return (new Collection([['a' => 1]]))->sortBy([['a', 'asc']])->all();", (8, 78)),
        ("return (new Collection(['a']))->implode(fn ($v) => $v . '!', ',');", (9, 5)),
    ],
)
def test_an_older_release_refuses(code: str, since: Version) -> None:
    before = (since[0], since[1] - 1) if since[1] else (since[0] - 1, 99)
    assert natively(_environment(before), code).kind in ("refused", "thrown")
    assert natively(_environment(since), code).kind == "value"


@pytest.mark.parametrize(
    "code",
    ["return Str::upper('a');", "return Arr::first([1]);", "return (new Collection([1]))->count();"],
)
def test_before_laravel_8_nothing_is_offered(code: str) -> None:
    assert natively(replace(_environment((7, 30))), code).kind == "refused"


def test_sort_by_descending_has_no_direction() -> None:
    code = "return (new Collection([1, 3]))->sortByDesc(fn ($v) => $v, SORT_REGULAR, false)->first();"
    assert natively(_environment((13, 26)), code).content == ["int", 3]
