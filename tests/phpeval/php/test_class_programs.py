"""Small programs with classes, in our evaluator and in PHP, each in a process of its own."""

from __future__ import annotations

import pytest

from bridge.errors import Refused
from tests.phpeval.php.class_programs import PROGRAMS, REFUSED, STRICT
from tests.phpeval.php.oracle import Oracle, Outcome
from tests.phpeval.php.ours import evaluator, outcome_of


def parts(row: str) -> tuple[str, str]:
    classes, _, body = row.partition("---")
    return classes, body


def ours(row: str, head: str = "") -> Outcome:
    classes, body = parts(row)
    php = evaluator(f"{head} class Caller {{ public static function run() {{ {body} }} }} {classes}")
    return outcome_of(lambda: php.call_static("Caller", "run"))


def theirs(php: Oracle, row: str, head: str = "") -> Outcome:
    classes, body = parts(row)
    return php.program(f"{head} {classes} return (function () {{ {body} }})();")


@pytest.mark.parametrize("row", PROGRAMS)
def test_same_as_php(php: Oracle, row: str) -> None:
    mine, real = ours(row), theirs(php, row)
    assert (mine.value, mine.thrown) == (real.value, real.thrown)


@pytest.mark.parametrize("row", STRICT)
def test_strict_types_count_where_the_call_stands(php: Oracle, row: str) -> None:
    head = "declare(strict_types=1);"
    mine, real = ours(row, head), theirs(php, row, head)
    assert (mine.value, mine.thrown) == (real.value, real.thrown)


@pytest.mark.parametrize("row", REFUSED)
def test_what_only_php_knows_is_refused_with_its_place(row: str) -> None:
    with pytest.raises(Refused) as caught:
        ours(row)
    assert caught.value.file
    assert caught.value.line
