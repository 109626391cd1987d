"""json_encode byte for byte as PHP writes it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.errors import Refused, WouldFail
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.serialization.json_encode import json_encode
from tests.phpeval.php.oracle import Oracle

texts = st.one_of(
    st.text(max_size=8).map(lambda text: text.encode("utf-8", "ignore")),
    st.text(alphabet="/\"'\\<>&\b\f\n\r\t\x00\x1f\x7f\u2028\u2029\ud7ff\ue000😀{}[]:,", max_size=6).map(
        str.encode
    ),
    st.binary(max_size=4),
)
floats = st.one_of(
    st.floats(),
    st.sampled_from(
        [0.0, -0.0, 1.0, 0.1, 1e15, 1e16, 1e17, 1e-4, 1e-5, 123456789012345678.0, 5e-324, 1.5e300]
    ),
)
integers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-3, 3))
scalars = st.one_of(st.none(), st.booleans(), integers, floats, texts)
keys = st.one_of(st.integers(-2, 4), texts.filter(lambda t: not t.lstrip(b"-").isdigit()))
property_names = texts.filter(lambda name: name[:1] != b"\0")


def _containers(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    return st.one_of(
        st.lists(inner, max_size=4).map(PhpArray.of),
        st.dictionaries(keys, inner, max_size=4).map(PhpArray),
        st.dictionaries(property_names, inner, max_size=3).map(
            lambda properties: PhpObject("stdClass", {name: value for name, value in properties.items()})
        ),
    )


values: st.SearchStrategy[Value] = st.recursive(scalars, _containers, max_leaves=8)


@given(values)
@example(PhpArray({0: 1, 1: 2}))
@example(PhpArray({1: 1, 0: 2}))
@example(PhpObject("stdClass", {b"5": 1, b"": 2}))
@example(
    PhpArray(
        {
            b"\\u007f/": b"\\u007f",
            b"\x7f": b"\x7f\\\x7f\\\\u007f\\\\\x7fu007f",
            3: "\u2028/\U0001f600\x7f".encode(),
        }
    )
)
def test_every_value_is_written_as_php_writes_it(php: Oracle, value: Value) -> None:
    theirs = php.json_encode(value)
    try:
        ours: Value = json_encode(value).encode()
    except WouldFail:
        ours = False
    assert ours == theirs


def _nested(depth: int) -> Value:
    value: Value = 1
    for _ in range(depth):
        value = PhpArray.of([value])
    return value


@pytest.mark.parametrize("depth", [1, 511, 512, 513])
def test_nesting_ends_where_phps_ends(php: Oracle, depth: int) -> None:
    body = f"$v = 1; for ($i = 0; $i < {depth}; $i++) {{ $v = [$v]; }} return json_encode($v) === false;"
    if php.evaluate(body).value == b"b:1;":
        with pytest.raises(WouldFail):
            json_encode(_nested(depth))
    else:
        assert json_encode(_nested(depth)).count("[") == depth


def test_an_array_in_itself_fails() -> None:
    ring = PhpObject("stdClass")
    ring.properties[b"self"] = ring
    with pytest.raises(WouldFail):
        json_encode(ring)


@pytest.mark.parametrize("value", [PhpObject("App\\Order"), EnumCase("App\\State", "On")])
def test_objects_and_cases_are_asked_for(value: PhpObject | EnumCase) -> None:
    with pytest.raises(Refused):
        json_encode(value)
    assert json_encode(PhpArray.of([value]), lambda asked: b"x" if asked is value else None) == '["x"]'
