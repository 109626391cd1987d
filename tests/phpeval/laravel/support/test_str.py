"""Str, Stringable and the English plurals by bridge and by Laravel 8 under PHP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.phpeval.laravel import inflection
from bridge.phpeval.laravel.support.collection import COLLECTION_CLASSES
from bridge.phpeval.laravel.support.str import FLUENT, METHODS, STATICS, STR_CLASSES
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
        natives={**COLLECTION_CLASSES, **STR_CLASSES}, functions=FUNCTIONS, constants=CONSTANTS
    )


SUBJECTS = (
    "",
    "Hello World",
    "fooBarBaz",
    "foo_bar-baz  qux",
    "Ünïcödé straße",
    "a/b/c/b",
    "App\\Models\\OrderItem",
    "  padded\ttext ",
    "user@example.com",
    "ABC",
    "0",
    "12 apples & 3 pears!",
    "日本語テキスト",
    "child",
    "Person",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "..dots..",
    "a,b,,c",
    "aaab",
)

# method → arguments besides the subject, which is $s
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "after": ("'o'", "''", "'b/'"),
    "afterLast": ("'o'", "'b'", "''"),
    "before": ("'o'", "''"),
    "beforeLast": ("'o'", "'b'"),
    "between": ("'a', 'b'", "'o', 'o'", "'', 'a'"),
    "contains": ("'o'", "['zz', 'a']", "''"),
    "containsAll": ("['a', 'b']",),
    "startsWith": ("'H'", "['x', 'a']", "''"),
    "endsWith": ("'c'", "['x', 'd']", "''"),
    "finish": ("'b'", "'/'", "''"),
    "start": ("'a'", "'.'", "'/'"),
    "is": ("'*o*'", "'ABC'", "['x', 'a*b']", "'*'", "'a/*'"),
    "kebab": ("",),
    "snake": ("", "'-'"),
    "length": ("",),
    "limit": ("", "5", "5, ' …'", "3, ''", "0"),
    "words": ("", "1", "2, '>'"),
    "mask": ("'*', 2", "'*', -3", "'x', 1, 2", "'', 1", "'é', 0, 1", "'*', -99, 3"),
    "padBoth": ("14, '-'", "3"),
    "padLeft": ("14", "14, 'ab'"),
    "padRight": ("14, '.'",),
    "plural": ("", "1", "0"),
    "pluralStudly": ("",),
    "repeat": ("2",),
    "substr": ("1", "-3, 2", "0, 4"),
    "substrCount": ("'b'",),
    "slug": ("", "'_'"),
    "remove": ("'o'", "['a', 'b']"),
    "replace": ("'b', 'X'", "['a', 'b'], ['1', '2']", "['a', 'b'], 'z'"),
    "replaceArray": ("'a', ['1', '2']",),
    "replaceFirst": ("'b', 'X'", "'', 'X'"),
    "replaceLast": ("'b', 'X'",),
    "swap": ("['a' => 'x', 'b' => 'a']",),
    "append": ("'x', 'y'",),
    "prepend": ("'x', 'y'",),
    "exactly": ("'ABC'",),
    "explode": ("','", "' ', 2"),
    "trim": ("", "'. '"),
    "ltrim": ("", "'.'"),
    "rtrim": ("", "'.'"),
    "basename": ("",),
    "stripTags": ("",),
}
NEWER = {
    "betweenFirst": "Str::before(Str::after($s, 'a'), 'b')",
    "squish": "trim(preg_replace('/\\s+/', ' ', $s))",
}


@pytest.mark.parametrize("name", sorted(METHODS.keys() - NEWER))
def test_every_static_method_gives_what_laravel_gives(name: str, peer: Php) -> None:
    answered = 0
    for subject in SUBJECTS:
        for arguments in ARGUMENTS.get(name, ("",)):
            given = ["$s"]
            position = METHODS[name].position
            if position:
                parts = eval(f"[{_quoted(arguments)}]")  # noqa: S307 - the arguments above, taken apart
                given = [*parts[:position], "$s", *parts[position:]]
            elif arguments:
                given.append(arguments)
            code = f"return Str::{name}({', '.join(given)});"
            mine = natively(environment(), code, {"s": subject})
            if mine.kind != "refused":
                assert mine == really(peer, code, {"s": subject}), (code, subject)
                answered += 1
    assert answered, name


def _quoted(arguments: str) -> str:
    """PHP arguments as Python strings of PHP: split at the commas outside of brackets."""
    depth, parts = 0, [""]
    for sign in arguments:
        depth += (sign == "[") - (sign == "]")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return ", ".join(repr(part.strip()) for part in parts)


@pytest.mark.parametrize("name", sorted(FLUENT.keys() - NEWER - {"toString", "value"}))
def test_every_fluent_method_gives_what_laravel_gives(name: str, peer: Php) -> None:
    answered = 0
    for subject in SUBJECTS:
        for arguments in ARGUMENTS.get(name, ("",)):
            code = f"return Str::of($s)->{name}({arguments});"
            mine = natively(environment(), code, {"s": subject})
            if mine.kind != "refused":
                assert mine == really(peer, code, {"s": subject}), (code, subject)
                answered += 1
    assert answered, name


@pytest.mark.parametrize("name", sorted(NEWER))
def test_methods_of_newer_releases_follow_their_parts(name: str, peer: Php) -> None:
    for subject in SUBJECTS:
        arguments = ", 'a', 'b'" if name == "betweenFirst" else ""
        newer = replace(environment(), version=(9, 13))
        mine = natively(newer, f"return Str::{name}($s{arguments});", {"s": subject})
        if mine.kind != "refused":
            assert mine == really(peer, f"return {NEWER[name]};", {"s": subject}), subject


def test_a_stringable_gives_its_text() -> None:
    newer = replace(environment(), version=(9, 0))
    for name in ("toString", "value"):
        assert natively(newer, f"return Str::of('a')->append('b')->{name}();").content == ["bytes", b"ab"]
    assert natively(environment(), "return 'x' . Str::of('a');").content == ["bytes", b"xa"]


def test_random_texts_are_refused() -> None:
    for name in ("random", "uuid", "orderedUuid", "ulid", "password"):
        assert name not in STATICS
        assert natively(environment(), f"return Str::{name}();").kind == "refused"


texts = st.text(st.sampled_from("abBC xyzé_-/.,@1209\tß日Ñ"), max_size=14)
CALLS = tuple(
    f"{name}({arguments})"
    for name in sorted(FLUENT.keys() - NEWER - {"toString", "value", "jsonSerialize"})
    for arguments in ARGUMENTS.get(name, ("",))
)


@settings(max_examples=400, deadline=None)
@given(subject=texts, first=st.sampled_from(CALLS), then=st.sampled_from(CALLS))
def test_any_two_methods_on_any_text(peer: Php, subject: str, first: str, then: str) -> None:
    code = (
        f"$r = Str::of($s)->{first}; return is_object($r) && method_exists($r, 'append') ? $r->{then} : $r;"
    )
    mine = natively(
        environment(),
        code.replace("is_object($r) && method_exists($r, 'append')", "$r instanceof \\Stringable"),
        {"s": subject},
    )
    if mine.kind != "refused":
        assert mine == really(peer, code, {"s": subject})


WORDS = st.one_of(
    st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), min_size=1, max_size=9),
    st.builds(
        lambda stem, end: stem + end,
        st.sampled_from(["", "a", "st", "m", "qu", "b", "ar", "over"]),
        st.sampled_from(
            [many.decode() for pair in inflection._SWAPS.split() for many in pair.split(b":")]
            + [word for word in inflection._KEPT.split() if word.isalpha()]
            + [
                "y",
                "ies",
                "sis",
                "ses",
                "us",
                "i",
                "ix",
                "ices",
                "fe",
                "lf",
                "ves",
                "ouse",
                "ice",
                "um",
                "a",
                "xes",
            ]
            + [
                "matrix",
                "index",
                "quiz",
                "quizzes",
                "status",
                "statuses",
                "campus",
                "alias",
                "ox",
                "menus",
                "movies",
            ]
        ),
    ),
)


@settings(max_examples=400, deadline=None)
@given(word=WORDS, case=st.sampled_from([str.lower, str.title, str.upper, lambda word: "Big" + word.title()]))
def test_plurals_and_names_are_those_of_laravel(peer: Php, word: str, case: object) -> None:
    subject = case(word)  # type: ignore[operator]
    for name in ("plural", "singular", "pluralStudly", "snake", "studly", "camel"):
        code = f"return Str::{name}($s);"
        mine = natively(environment(), code, {"s": subject})
        if mine.kind != "refused":
            assert mine == really(peer, code, {"s": subject}), name


@pytest.mark.parametrize(
    ("class_name", "table"),
    [
        ("App\\Models\\User", b"users"),
        ("App\\Models\\OrderItem", b"order_items"),
        ("Category", b"categories"),
        ("App\\UserFeedback", b"user_feedback"),
        ("App\\Person", b"people"),
        ("App\\Models\\MediaStatus", b"media_statuses"),
        ("App\\Models\\ProductSku2", b"product_sku2s"),
    ],
)
def test_a_model_names_its_table(class_name: str, table: bytes, peer: Php) -> None:
    assert inflection.table_name(class_name) == table
    theirs = really(peer, "return Str::snake(Str::pluralStudly(class_basename($c)));", {"c": class_name})
    assert theirs.content == ["bytes", table]


@pytest.mark.parametrize(
    ("code", "version", "content"),
    [
        ("Str::of('Hi')->exactly(Str::of('Hi'))", (8, 83), False),
        ("Str::of('Hi')->exactly(Str::of('Hi'))", (9, 8), True),
        ("Str::of('Hi')->exactly('Hi')", (8, 83), True),
        ("Str::replace(new Collection(['a', 'b']), new Collection(['x', 'y']), 'aabb')", (9, 29), b"xxyy"),
        ("Str::replace(new Collection(['a', 'b']), 'x', 'aabb')", (8, 83), None),
        ("Str::remove(new Collection(['a', 'b']), 'aabbc')", (13, 7), b"c"),
        ("Str::remove(new Collection(['a', 'b']), 'aabbc')", (12, 0), None),
    ],
)
def test_objects_among_the_arguments_count_by_release(
    code: str, version: tuple[int, int], content: object
) -> None:
    outcome = natively(replace(environment(), version=version), f"return {code};")
    if content is None:
        assert outcome.kind == "refused"
    else:
        assert outcome == ("value", [type(content).__name__, content])


def test_stringables_are_the_same_as_laravel_says(peer: Php) -> None:
    code = "return [Str::of('Hi')->exactly(Str::of('Hi')), Str::of('Hi')->exactly('Hi')];"
    assert natively(environment(), code) == really(peer, code)
