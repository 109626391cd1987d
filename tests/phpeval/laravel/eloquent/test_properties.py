"""The properties of Laravel's Model in one object, protected or made public."""

from __future__ import annotations

import pytest

from bridge.errors import Refused
from bridge.phpeval.laravel.eloquent import properties
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value


def model(**protected: Value) -> PhpObject:
    return PhpObject(
        "App\\Models\\Post", {f"\0*\0{name}".encode(): value for name, value in protected.items()}
    )


def test_a_property_is_found_protected_or_public() -> None:
    assert properties.get(model(table=b"a"), "table") == b"a"
    assert properties.get(PhpObject("P", {b"table": b"b"}), "table") == b"b"
    assert properties.get(PhpObject("P"), "table") is None


def test_a_protected_property_comes_before_a_public_one_even_where_it_is_null() -> None:
    assert properties.get(PhpObject("P", {b"\0*\0table": None, b"table": b"b"}), "table") is None


def test_a_property_is_put_where_it_was() -> None:
    public = PhpObject("P", {b"hidden": PhpArray()})
    properties.put(public, "hidden", PhpArray.of([b"secret"]))
    assert public.properties == {b"hidden": PhpArray.of([b"secret"])}
    other = model()
    properties.put(other, "hidden", PhpArray.of([b"secret"]))
    assert other.properties == {b"\0*\0hidden": PhpArray.of([b"secret"])}


def test_null_is_an_empty_array() -> None:
    assert properties.array(model(casts=None), "casts") == PhpArray()
    assert properties.names(model(), "hidden") == []


@pytest.mark.parametrize("value", [b"secret", 1, True, PhpObject("stdClass")])
def test_what_is_no_array_is_refused(value: Value) -> None:
    with pytest.raises(Refused, match=r"\$hidden of App.Models.Post is no array"):
        properties.names(model(hidden=value), "hidden")


def test_names_are_texts() -> None:
    assert properties.names(model(hidden=PhpArray({5: b"a", b"k": b"b"})), "hidden") == [b"a", b"b"]
    with pytest.raises(Refused, match="more than names"):
        properties.names(model(hidden=PhpArray.of([b"a", 1])), "hidden")


def test_a_text_may_be_missing_and_is_nothing_else() -> None:
    assert properties.text(model(table=b"posts"), "table") == "posts"
    assert properties.text(model(), "table") is None
    with pytest.raises(Refused, match="no text"):
        properties.text(model(table=5), "table")
