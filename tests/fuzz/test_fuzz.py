"""The targets without their engine: the seeds, some mutations, and what was found on the way."""

from __future__ import annotations

import random

import pytest

from bridge.errors import Refused
from tests.fuzz import reader, source
from tests.phpeval.php.ours import run

MUTATIONS = 1500


def test_the_reader_takes_every_seed_and_its_neighbours() -> None:
    chance = random.Random(1)
    for seed in reader.SEEDS:
        reader.one(seed)
    for _ in range(MUTATIONS):
        data = bytearray(chance.choice(reader.SEEDS))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 3)] = chance.choice(reader.WORDS)
        reader.one(bytes(data))


def test_the_evaluator_takes_every_seed_and_its_neighbours() -> None:
    chance = random.Random(1)
    for seed in source.SEEDS:
        source.one(seed)
    for _ in range(MUTATIONS):
        source.one(source.mutate(chance.choice(source.SEEDS), 8192, chance.getrandbits(30)))


@pytest.mark.parametrize(
    "body",
    [
        "foreach ([1] as $v) { break $v; }",
        "foreach ([1] as $v) { continue 0; }",
        "foreach ([1] as $v) { break " + "9" * 5000 + "; }",
        "return empty();",
        "return isset();",
        "return empty(1, 2);",
    ],
)
def test_what_php_does_not_compile_is_refused(body: str) -> None:
    with pytest.raises(Refused):
        run(body)


def test_a_whole_number_past_every_float_is_infinite() -> None:
    assert run("return " + "9" * 400 + ";").value == b"d:INF;"
