# ruff: noqa: E501
"""unserialize reads what PHP reads, and never another value."""

from __future__ import annotations

import time

import phpserialize
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Refused, Unreadable
from bridge.phpeval.php.runtime.values import CustomSerialized, EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.serialization.unserialize import unserialize
from tests.phpeval.php.oracle import Oracle, serialize
from tests.phpeval.php.serialization.test_json_encode import values

WELL_FORMED = [
    b'O:8:"stdClass":3:{s:1:"a";N;s:1:"b";N;s:1:"c";N;}', b'O:8:"stdClass":4:{s:1:"a";N;s:1:"b";N;s:1:"a";N;s:1:"c";i:1;}',
    b"N;", b"b:0;", b"b:1;", b"i:0;", b"i:-5;", b"i:+5;", b"i:9223372036854775807;", b"i:-9223372036854775808;",
    b"d:0.1;", b"d:1;", b"d:-0;", b"d:1.0E+25;", b"d:1e3;", b"d:.5;", b"d:5.;", b"d:INF;", b"d:-INF;", b"d:NAN;", b"d:1e999;",
    b's:0:"";', b's:3:"a"b";', b's:1:"\0";', b's:5:"";N;x";', b'S:1:"\\41";', b'S:3:"a\\00b";',
    b"a:0:{}", b"a:1:{i:0;N;}", b'a:2:{s:1:"a";i:1;i:5;i:2;}', b'a:1:{s:1:"5";N;}', b'a:1:{s:2:"05";N;}',
    b"a:2:{i:0;N;i:0;b:1;}", b'a:1:{s:19:"9223372036854775807";N;}', b'a:1:{s:19:"9223372036854775808";N;}',
    b'a:1:{s:20:"-9223372036854775808";N;}', b'a:1:{s:2:"-0";N;}', b'a:1:{S:1:"\\41";N;}',
    b'O:8:"stdClass":0:{}', b'O:8:"stdClass":1:{s:1:"a";i:1;}',
    b'a:2:{i:0;O:8:"stdClass":0:{}i:1;r:2;}', b"a:2:{i:0;i:5;i:1;R:2;}",
    b'O:8:"stdClass":1:{s:4:"self";r:1;}',
]  # fmt: skip

MALFORMED = [
    b"", b"N", b"n;", b"b:2;", b"b:;", b"i:;", b"i:1", b"i:1.5;", b"i: 1;", b"d:;", b"d:1,5;", b"d:e5;", b"d:+INF;",
    b's:2:"a";', b's:1:"ab";', b's:1:"a"', b's:-1:"";', b's:99999999999999999999:"";', b's:1:a;', b's:1:"a";'[:-1],
    b"a:1:{}", b"a:1:{i:0;}", b"a:0:{i:0;N;}", b"a:-1:{}", b"a:1:{N;N;}", b"a:1:{d:1;N;}", b"a:1:{b:1;N;}", b"a:1:{a:0:{}N;}",
    b"a:999999999:{}", b"a:1{i:0;N;}", b"a:1:i:0;N;", b"a:1:{r:1;N;}",
    b'O:8:"stdClass":1:{}', b'O:7:"stdClass":0:{}', b'O:0:"":0:{}', b'O:1:" ":0:{}', b'O:8:"stdClass":999999999:{}', b'O:8:"stdClass"',
    b"r:0;", b"r:1;", b"R:1;", b"a:1:{i:0;r:2;}", b"a:1:{i:0;R:3;}", b"a:2:{i:0;i:5;i:1;r:2;}", b"a:1:{i:0;r:9;}",
    b'E:1:"A";', b'E:2:"A:";', b'C:8:"stdClass":5:{}', b'C:1:"A":0:{', b'S:1:"\\4";', b'S:1:"\\zz";', b'S:2:"a";',
    b'x:1;', b"\0", b"\xff" * 10,
    b'O:8:"stdClass":2:{s:1:"a";N;s:2:"b";N;}', b'O:8:"stdClass":1:{s:1:"a";N;s:1:"b";N;}',
    b'O:8:"stdClass":3:{s:1:"a";N;s:1:"b";N;}',
]  # fmt: skip


@pytest.mark.parametrize("data", WELL_FORMED)
def test_well_formed_texts_are_read_as_php_reads_them(php: Oracle, data: bytes) -> None:
    theirs = php.unserialize(data)
    assert theirs is not None
    if b"r:" in data or b"R:" in data:
        assert unserialize(data) is not None
    else:
        assert serialize(unserialize(data)) == theirs.value


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed_texts_are_unreadable(php: Oracle, data: bytes) -> None:
    with pytest.raises((Unreadable, Refused)):
        unserialize(data)
    if data[:2] not in (b"R:", b"r:", b"E:", b"C:") and b"R:" not in data:
        assert php.unserialize(data) is None


@given(values)
def test_what_php_wrote_is_read_back(php: Oracle, value: Value) -> None:
    theirs = php.unserialize(serialize(value))
    assert theirs is not None
    assert theirs.value is not None
    assert serialize(unserialize(theirs.value)) == theirs.value


@given(
    st.sampled_from([b'a:2:{i:0;a:1:{s:1:"k";i:5;}i:1;s:3:"abc";}', b'O:8:"stdClass":2:{s:1:"a";d:0.5;s:1:"b";r:1;}',
                     b'a:2:{i:0;O:8:"stdClass":0:{}i:1;r:2;}', b'a:3:{i:0;i:1;i:1;R:2;i:2;b:0;}', b's:5:"12345";', b"i:-12;",
                     b'a:2:{s:1:"a";N;S:1:"b";d:1.5E+3;}']),
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(list(b'0123456789:;{}"aisNbdOrRS-+.eE\\')), st.sampled_from("irx")), min_size=1, max_size=3),
)  # fmt: skip
def test_mutated_texts_never_give_another_value_than_php(
    php: Oracle, data: bytes, mutations: list[tuple[int, int, str]]
) -> None:
    text = bytearray(data)
    for at, byte, kind in mutations:
        at %= len(text) or 1
        if kind == "i":
            text.insert(at, byte)
        elif kind == "x" and text:
            del text[at]
        elif text:
            text[at] = byte
    try:
        ours = unserialize(bytes(text))
    except (Unreadable, Refused):
        return
    theirs = php.unserialize(bytes(text))
    assert theirs is not None, bytes(text)
    if b"r:" not in theirs.value and b"R:" not in theirs.value and b"__PHP_Incomplete" not in theirs.value:  # type: ignore[operator]
        assert serialize(ours) == theirs.value, bytes(text)


REFERENCES = [
    "$o = new stdClass; return [1, $o, 'x', $o];",
    "$o = new stdClass; $o->self = $o; return [$o, $o];",
    "$x = 5; return [&$x, &$x, 7];",
    "$x = [1, 2]; $o = new stdClass; return [&$x, &$x, $o, $o];",
    "$o = new stdClass; $p = new stdClass; $o->p = $p; $p->o = $o; return [$o, $p, $o, [$p, [$o]]];",
    "$o = new stdClass; return [$o, $o, $o, new stdClass, $o];",
    "$x = new stdClass; $y = 1; return ['a' => &$x, 'b' => $x, 'c' => &$y, 'd' => [&$y], 'e' => &$x];",
    "$o = new stdClass; $o->list = [$o, null, 1.5, 'a']; $o->again = $o; return [$o->list, $o];",
]


@pytest.mark.parametrize("body", REFERENCES)
def test_references_point_at_what_php_means(php: Oracle, body: str) -> None:
    """Each object gets a number; PHP lists the number at every path, and ours must agree."""
    walk = """
        $ids = []; $seen = [];
        $walk = function ($value, $path) use (&$walk, &$ids, &$seen) {
            if (is_object($value)) {
                $known = in_array($value, $seen, true);
                if (!$known) { $seen[] = $value; }
                $ids[] = $path . '=' . array_search($value, $seen, true);
                if (!$known) { foreach (get_object_vars($value) as $k => $v) { $walk($v, "$path.$k"); } }
            } elseif (is_array($value)) {
                foreach ($value as $k => $v) { $walk($v, "$path.$k"); }
            } else { $ids[] = $path . '=' . var_export($value, true); }
        };
        $text = serialize((function () { %s })());
        $walk(unserialize($text), '');
        return [$text, $ids];
    """
    outcome = php.evaluate(walk % body)
    assert outcome.value is not None, outcome
    answer = unserialize(outcome.value)
    assert isinstance(answer, PhpArray)
    text, theirs = answer[0], answer[1]
    assert isinstance(text, bytes)
    assert isinstance(theirs, PhpArray)
    assert _paths(unserialize(text)) == [item.decode() for item in theirs.values() if isinstance(item, bytes)]


def _paths(root: Value) -> list[str]:
    ids: list[str] = []
    seen: list[PhpObject] = []

    def name(key: int | bytes) -> str:
        return key.decode() if isinstance(key, bytes) else str(key)

    def walk(value: Value, path: str) -> None:
        if isinstance(value, PhpObject):
            known = value in seen
            if not known:
                seen.append(value)
            ids.append(f"{path}={seen.index(value)}")
            if not known:
                for key, item in value.properties.items():
                    walk(item, f"{path}.{name(key)}")
        elif isinstance(value, PhpArray):
            for key, item in value.items():
                walk(item, f"{path}.{name(key)}")
        else:
            shown = (
                "NULL" if value is None else f"'{value.decode()}'" if isinstance(value, bytes) else str(value)
            )
            ids.append(f"{path}={shown}")

    walk(root, "")
    return ids


def test_visibility_enums_and_custom_formats_are_kept() -> None:
    value = unserialize(b'O:3:"A\\B":3:{s:1:"a";i:1;s:4:"\0*\0b";i:2;s:6:"\0A\\B\0c";E:7:"App\\S:X";}')
    assert isinstance(value, PhpObject)
    assert value.class_name == "A\\B"
    assert (value.get("a"), value.get("b"), value.get("c")) == (1, 2, EnumCase("App\\S", "X"))
    custom = unserialize(b'C:3:"Old":5:{x;"}y}')
    assert isinstance(custom, CustomSerialized)
    assert (custom.class_name, custom.text) == ("Old", b'x;"}y')


@pytest.mark.parametrize(
    "data",
    [
        b'a:2:{i:1;O:8:"stdClass":0:{}i:1;r:2;}',
        b'a:3:{i:0;i:7;i:0;s:1:"x";i:1;R:2;}',
        b'O:8:"stdClass":3:{s:1:"a";N;s:1:"a";N;s:1:"b";R:2;}',
        b'O:8:"stdClass":4:{s:1:"a";i:1;s:1:"b";N;s:1:"a";N;s:1:"c";R:2;}',
        b"N;N;",
        b"i:1;\n",
        b'a:2:{i:0;C:1:"A":0:{}i:1;r:1;}',
    ],
)
def test_what_depends_on_the_release_or_the_class_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        unserialize(data)


def test_depth_ends_where_phps_ends(php: Oracle) -> None:
    for depth in (4095, 4096, 4097):
        data = b"a:1:{i:0;" * depth + b"N;" + b"}" * depth
        body = f"return unserialize(str_repeat('a:1:{{i:0;', {depth}) . 'N;' . str_repeat('}}', {depth})) !== false;"
        if php.evaluate(body).value == b"b:1;":
            assert isinstance(unserialize(data), PhpArray)
        else:
            with pytest.raises(Unreadable):
                unserialize(data)


@pytest.mark.parametrize(
    "data",
    [b"a:1:{i:0;" * 100_000, b"a:100000:{" + b"i:0;N;" * 50_000, b's:1000000:"' + b"x" * 999_999, b"N;" * 100_000,
     b"a:2:{i:0;N;i:1;" * 50_000, b"a:50000:{" + b"i:0;r:1;" * 50_000 + b"}", b'S:300000:"' + b"\\41" * 100_000],
    ids=["depth", "missing entries", "short string", "trailing", "wide and deep", "self", "escapes"],
)  # fmt: skip
def test_hostile_texts_end_soon(data: bytes) -> None:
    started = time.thread_time()
    with pytest.raises((Unreadable, Refused)):
        unserialize(data)
    assert time.thread_time() - started < 5


def test_time_is_linear() -> None:
    def seconds(entries: int) -> float:
        data = b"a:%d:{" % entries + b"".join(b'i:%d;s:3:"abc";' % i for i in range(entries)) + b"}"
        best = 9.0
        for _ in range(3):
            started = time.thread_time()
            unserialize(data)
            best = min(best, time.thread_time() - started)
        return best

    assert seconds(80_000) < 12 * seconds(20_000)


_PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=6)),
    lambda inner: st.lists(inner, max_size=4).map(lambda items: dict(enumerate(items))),
    max_leaves=10,
)


@given(_PLAIN)
def test_another_reader_agrees(value: object) -> None:
    data = phpserialize.dumps(value)
    assert _plain(unserialize(data)) == phpserialize.loads(data) == value


def _plain(value: Value) -> object:
    if isinstance(value, PhpArray):
        return {key: _plain(item) for key, item in value.items()}
    return value
