"""The properties of Laravel's Model in one object, protected or made public."""

from __future__ import annotations

import pytest

from bridge.errors import Refused
from bridge.laravel.models import state
from bridge.php.values import PhpArray, PhpObject, Value


def model(**protected: Value) -> PhpObject:
    return PhpObject(
        "App\\Models\\Post", {f"\0*\0{name}".encode(): value for name, value in protected.items()}
    )


def test_a_property_is_found_protected_or_public() -> None:
    assert state.get(model(table=b"a"), "table") == b"a"
    assert state.get(PhpObject("P", {b"table": b"b"}), "table") == b"b"
    assert state.get(PhpObject("P"), "table") is None


def test_a_protected_property_comes_before_a_public_one_even_where_it_is_null() -> None:
    assert state.get(PhpObject("P", {b"\0*\0table": None, b"table": b"b"}), "table") is None


def test_a_property_is_put_where_it_was() -> None:
    public = PhpObject("P", {b"hidden": PhpArray()})
    state.put(public, "hidden", PhpArray.of([b"secret"]))
    assert public.properties == {b"hidden": PhpArray.of([b"secret"])}
    other = model()
    state.put(other, "hidden", PhpArray.of([b"secret"]))
    assert other.properties == {b"\0*\0hidden": PhpArray.of([b"secret"])}


def test_null_is_an_empty_array() -> None:
    assert state.array(model(casts=None), "casts") == PhpArray()
    assert state.names(model(), "hidden") == []


@pytest.mark.parametrize("value", [b"secret", 1, True, PhpObject("stdClass")])
def test_what_is_no_array_is_refused(value: Value) -> None:
    with pytest.raises(Refused, match=r"\$hidden of App.Models.Post is no array"):
        state.names(model(hidden=value), "hidden")


def test_names_are_texts() -> None:
    assert state.names(model(hidden=PhpArray({5: b"a", b"k": b"b"})), "hidden") == [b"a", b"b"]
    with pytest.raises(Refused, match="more than names"):
        state.names(model(hidden=PhpArray.of([b"a", 1])), "hidden")


def test_a_text_may_be_missing_and_is_nothing_else() -> None:
    assert state.text(model(table=b"posts"), "table") == "posts"
    assert state.text(model(), "table") is None
    with pytest.raises(Refused, match="no text"):
        state.text(model(table=5), "table")
