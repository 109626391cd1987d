"""Texts of a known template are read as `unserialize` reads them, and never as another value."""

from __future__ import annotations

import contextlib
import random

import phpserialize
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Refused, Unreadable, WouldFail
from bridge.laravel.payload import read_payload
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.serialization.templates import MAX_HEADS, MAX_TEMPLATES, Templates
from bridge.phpeval.php.serialization.unserialize import unserialize
from tests.conformance.corpus import RELEASES, rows

HEAD = b'O:3:"Job":2:{s:5:"event";O:4:"Made":%d:{%s}s:4:"tail";N;}'


def job(*entries: bytes) -> bytes:
    return HEAD % (len(entries), b"".join(entries))


def text(value: bytes) -> bytes:
    return b's:%d:"%s";' % (len(value), value)


def seen(value: Value, above: tuple[Value, ...] = ()) -> object:
    """The value with the types and classes of all that is in it, to be compared."""
    if isinstance(value, PhpArray | PhpObject):
        if any(value is one for one in above):
            return "itself"
        held = value if isinstance(value, PhpArray) else value.properties
        name = "array" if isinstance(value, PhpArray) else value.class_name
        return (name, [(key, seen(inner, (*above, value))) for key, inner in held.items()])
    return (type(value), repr(value))


def outcome(read: object, data: bytes) -> object:
    objects: list[PhpObject] = []
    try:
        value = read(data, objects=objects)  # type: ignore[operator]
    except (Refused, WouldFail) as error:
        return str(error)
    return seen(value), [one.class_name for one in objects]


def alike(shapes: Templates, *texts: bytes) -> bool:
    return all(outcome(shapes.unserialize, data) == outcome(unserialize, data) for data in texts)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.binary(max_size=8),
    st.sampled_from([b'a"b', b'";N;', b"5", b"}", "ß".encode()]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.binary(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=2, max_size=6))
def test_jobs_of_one_class_are_read_as_ever(jobs: list[tuple[object, ...]]) -> None:
    shapes = Templates()
    for values in jobs:
        entries = [text(b"p%d" % at) + phpserialize.dumps(value) for at, value in enumerate(values)]
        assert alike(shapes, job(*entries), job(*entries))


@pytest.mark.parametrize("release", RELEASES)
def test_recorded_commands_are_read_as_ever_a_second_time(release: str) -> None:
    shapes = Templates()
    for row in rows(release):
        with contextlib.suppress(Unreadable):
            command = read_payload(row.payload).command
            assert alike(shapes, command, command)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_text_is_read_or_refused_as_ever(seed: int) -> None:
    dice = random.Random(seed)
    whole = job(
        text(b"a") + b"i:7;", text(b"b") + text(b"xyz"), text(b"c") + b"b:1;", text(b"d") + b"d:1.5;",
        text(b"e") + b"a:2:{i:0;i:1;i:1;" + text(b"q") + b"}", text(b"f") + b'E:3:"S:A";',
    )  # fmt: skip
    shapes = Templates()
    shapes.unserialize(whole, objects=[])
    for _ in range(1500):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 3)):
            damaged[dice.randrange(len(damaged))] = dice.choice(b'0123456789abisOdNrR:;"{}E\\-.x')
        assert alike(shapes, bytes(damaged))


@pytest.mark.parametrize(
    "other",
    [
        b"i:+5;", b"i:007;", b"i:9223372036854775808;", b"i:-9223372036854775808;",
        b"i:99999999999999999999;", b's:2:"x";', b's:01:"x";', b's:3:"a"b";', b's:5:"";N;x";', b'S:1:"\\41";',
        b"d:1;", b"r:2;", b"R:3;",
        b"a:1:{i:0;N;}", b"N;", b"b:2;", b'E:3:"S:B";', b'C:1:"X":1:{y}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("known", [b"i:1;", b's:1:"y";', b"N;", b"b:0;", b'E:3:"S:A";', b"a:0:{}"])
def test_another_kind_in_the_place_of_a_known_one_is_read_as_ever(known: bytes, other: bytes) -> None:
    shapes = Templates()
    assert alike(shapes, job(text(b"p") + known), job(text(b"p") + other), job(text(b"p") + known))


def test_references_and_repeated_keys_are_never_taken_for_a_shape() -> None:
    shared = job(text(b"a") + b'O:8:"stdClass":0:{}', text(b"b") + b"r:3;")
    twice = job(text(b"a") + b"i:1;", text(b"a") + b"i:2;")
    for data in (shared, twice):
        shapes = Templates()
        for _ in range(2):
            value = shapes.unserialize(data, objects=[])
            assert seen(value) == seen(unserialize(data))
    shapes = Templates()
    for _ in range(2):
        value = shapes.unserialize(shared, objects=[])
        assert isinstance(value, PhpObject)
        event = value.get("event")
        assert isinstance(event, PhpObject)
        assert event.get("a") is event.get("b")


def test_values_that_hold_themselves_many_times_cost_no_time() -> None:
    entries = [text(b"p%d" % at) + b"r:2;" for at in range(50)]
    arrays = [text(b"q0") + b"a:0:{}"]
    for at in range(3, 40):
        arrays.append(text(b"q%d" % at) + b"a:2:{i:0;R:%d;i:1;R:%d;}" % (at, at))
    for data in (job(*entries), job(*arrays)):
        shapes = Templates()
        for _ in range(2):
            assert isinstance(shapes.unserialize(data, objects=[]), PhpObject)


def test_what_is_done_to_one_job_does_not_show_in_the_next() -> None:
    shapes = Templates()
    data = job(text(b"list") + b"a:1:{i:0;a:0:{}}", text(b"case") + b'E:3:"S:A";')
    for _ in range(3):
        value = shapes.unserialize(data, objects=[])
        assert isinstance(value, PhpObject)
        event = value.get("event")
        assert isinstance(event, PhpObject)
        held = event.get("list")
        assert isinstance(held, PhpArray)
        assert held == PhpArray.of([PhpArray()])
        assert held.next_key() == 1
        assert event.get("case") == EnumCase("S", "A")
        held.append(b"more")
        event.properties.clear()


def test_shapes_kept_are_few() -> None:
    shapes = Templates()
    for number in range(MAX_TEMPLATES + 5):
        assert alike(shapes, job(text(b"p") + b"a:1:{i:%d;N;}" % number))
    for number in range(2 * MAX_HEADS):
        assert alike(shapes, b'O:1:"A":1:{s:1:"a";O:6:"B%05d":0:{}}' % number)
    assert len(shapes._known) <= MAX_HEADS
    assert all(len(kept) <= MAX_TEMPLATES for kept in shapes._known.values())


def test_a_long_text_that_nearly_fits_costs_linear_time() -> None:
    shapes = Templates()
    entries = [text(b"p%d" % at) + text(b"x") for at in range(40)]
    shapes.unserialize(job(*entries), objects=[])
    nearly = [text(b"p%d" % at) + text(b"y" * 20_000) for at in range(40)]
    assert alike(shapes, job(*nearly)[:-6] + b"i:1;}")
