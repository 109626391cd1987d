"""PHP's inheritance as the table of classes tells it."""

from __future__ import annotations

import pytest

from bridge.errors import Refused
from bridge.phpeval.php.parse.declarations import declarations, lower_body
from bridge.phpeval.php.runtime.class_table import ClassTable

TRAITS = "trait A { function f() { } } trait B { function f() { } } "


def table(source: str) -> ClassTable:
    return ClassTable(declarations(f"<?php {source}".encode(), "t.php").get)


@pytest.mark.parametrize(
    ("source", "owner", "visibility"),
    [
        ("class P { function f() { } } class C extends P { }", "P", "public"),
        ("class P { function f() { } } class C extends P { function F() { } }", "C", "public"),
        (TRAITS + "class P { function f() { } } class C extends P { use A; }", "C", "public"),
        (TRAITS + "class C { use A { f as protected; } }", "C", "protected"),
        (TRAITS + "class C { use A { A::F as private; } }", "C", "private"),
        (TRAITS + "class C { use A, B { A::f insteadof B; } }", "C", "public"),
        ("trait A { function g() { } } class C { use A { g as protected f; } }", "C", "protected"),
    ],
)
def test_a_method_is_the_nearest_one(source: str, owner: str, visibility: str) -> None:
    bound = table(source).method("C", "f")
    assert bound is not None
    assert (bound.owner, bound.method.visibility) == (owner, visibility)


def test_an_alias_leaves_the_first_name_as_it_was() -> None:
    classes = table("trait A { function f() { } } class C { use A { f as protected g; } }")
    f, g = classes.method("C", "f"), classes.method("C", "g")
    assert f is not None
    assert g is not None
    assert (f.method.visibility, g.method.visibility) == ("public", "protected")


def test_a_method_of_two_traits_is_refused() -> None:
    with pytest.raises(Refused, match="comes from two traits"):
        table(TRAITS + "class C { use A, B; }").method("C", "f")


@pytest.mark.parametrize("source", ["class C extends Gone { }", "class C { use Gone; }"])
def test_a_chain_with_a_gap_is_refused(source: str) -> None:
    with pytest.raises(Refused, match="the source of Gone is not known"):
        table(source).whole("C")


def test_a_class_that_is_its_own_parent_is_refused() -> None:
    with pytest.raises(Refused, match="its own parent"):
        table("class C extends D { } class D extends C { }").chain("C")


def test_private_properties_of_a_parent_are_stored_and_not_reflected() -> None:
    classes = table("class P { public $a; private $b; } class C extends P { public $c; }")
    assert list(classes.properties("C")) == ["c", "a"]
    assert [bound.mangled for bound in classes.instance_properties("C")] == [b"a", b"\0P\0b", b"c"]


@pytest.mark.parametrize(("ancestor", "answer"), [("I", True), ("P", True), ("X", None)])
def test_whether_a_class_is_another_may_be_unknown(ancestor: str, answer: bool | None) -> None:
    classes = table("interface I { } class P implements I, Gone { } class C extends P { }")
    assert classes.is_a("C", ancestor) is answer


@pytest.mark.parametrize("expression", ["$Nfn($y) ?? $ y+ .", "$x + .", "0b2", "0x", "09"])
def test_what_is_no_number_is_refused(expression: str) -> None:
    source = f"<?php class A {{ function f($y) {{ return {expression}; }} }}".encode()
    with pytest.raises(Refused):
        lower_body(declarations(source, "A.php")["A"].methods["f"])
