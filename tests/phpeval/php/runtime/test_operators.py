# ruff: noqa: E501
"""Every operator and conversion on every pair of nasty values, in ours and in PHP."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Refused
from bridge.phpeval.php.runtime.operators import BINARY, is_numeric, to_bool, to_float, to_int, to_string
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from tests.phpeval.php.oracle import Oracle
from tests.phpeval.php.ours import outcome_of
from tests.phpeval.php.serialization.test_json_encode import scalars

NASTY: list[Value] = [
    None, True, False, 0, 1, -1, 2, 7, 63, 64, 65, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 10**15,
    0.0, -0.0, 0.1, 0.5, -1.5, 2.0, 7.9, 1e3, 1e14, 1e15, 1e16, 1e17, 1e20, -1e20, 9007199254740993.0, 9.223372036854776e18,
    float("inf"), float("-inf"), float("nan"),
    b"", b"0", b"1", b"-1", b"00", b"0.0", b"1.0", b"1e1", b"10", b" 10", b"10 ", b"10\n", b"10x", b"x10", b"abc", b"ABC",
    b"abd", b"a", b".5", b"5.", b".", b"-", b"+1", b"0x1A", b"1e1000", b"-1e1000", b"9223372036854775807",
    b"9223372036854775808", b"9223372036854775809", b"99999999999999999999", b"1e", b"null", b"\0", b"\xff", b"INF", b"NAN", b"0.1",
    PhpArray(), PhpArray.of([0]), PhpArray.of([1, 2]), PhpArray.of([1, b"2"]), PhpArray({b"a": 1}), PhpArray({1: 2, 0: 1}),
    PhpArray.of([1, 2, 3]), PhpArray.of([PhpArray()]), PhpArray.of([None]), PhpArray.of([float("nan")]), PhpArray({b"b": 1}),
]  # fmt: skip


def check(php: Oracle, operator: str, left: Value, right: Value) -> None:
    try:
        ours = outcome_of(lambda: BINARY[operator](left, right))
    except Refused:
        return
    theirs = php.operate(operator, left, right)
    assert ours == theirs, f"{left!r} {operator} {right!r}: {ours} {theirs}"


@pytest.mark.parametrize("operator", BINARY)
def test_every_pair_gives_what_php_gives(php: Oracle, operator: str) -> None:
    differences = []
    for left, right in itertools.product(NASTY, NASTY):
        try:
            check(php, operator, left, right)
        except AssertionError as difference:
            differences.append(str(difference).split("\nassert")[0])
    assert not differences, f"{len(differences)}: {differences[:8]}"


@given(scalars, scalars, st.sampled_from(sorted(BINARY)))
def test_any_scalars_give_what_php_gives(php: Oracle, left: Value, right: Value, operator: str) -> None:
    check(php, operator, left, right)


_CONVERSIONS = {"boolval": to_bool, "intval": to_int, "floatval": to_float, "strval": to_string}


@pytest.mark.parametrize("function", _CONVERSIONS)
def test_conversions_are_phps(php: Oracle, function: str) -> None:
    for value in NASTY:
        ours = outcome_of(
            lambda value=value: PhpArray.of([_CONVERSIONS[function](value), PhpArray.of([value])])
        )
        assert ours == php.call(function, [value]), value


@given(scalars)
def test_conversions_of_any_scalar_are_phps(php: Oracle, value: Value) -> None:
    for function, convert in _CONVERSIONS.items():
        ours = outcome_of(lambda convert=convert: PhpArray.of([convert(value), PhpArray.of([value])]))
        assert ours == php.call(function, [value])


@given(st.text(alphabet="0123456789+-.eE x\t\n", max_size=8).map(str.encode))
def test_numeric_strings_are_phps(php: Oracle, text: bytes) -> None:
    ours = outcome_of(lambda: PhpArray.of([is_numeric(text), PhpArray.of([text])]))
    assert ours == php.call("is_numeric", [text])


def test_objects_are_equal_to_themselves_only_by_identity() -> None:
    one, other = PhpObject("stdClass"), PhpObject("stdClass")
    assert BINARY["=="](one, one) is True
    assert BINARY["==="](one, other) is False
    with pytest.raises(Refused):
        BINARY["=="](one, other)
