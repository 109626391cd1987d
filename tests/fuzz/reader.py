"""The reader of serialize(): a value or `Unreadable` or `Refused`, and the same from its memory of shapes."""

from __future__ import annotations

import math

from bridge.errors import JobError
from bridge.laravel.payload import read_payload
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from bridge.phpeval.php.serialization.templates import Templates
from bridge.phpeval.php.serialization.unserialize import unserialize
from tests.conformance.corpus import RELEASES, rows


def _command(payload: bytes) -> bytes:
    try:
        return read_payload(payload).command
    except JobError:
        return b""


_ROWS = [row for release in RELEASES for row in rows(release)]
SEEDS = [
    *{command for row in _ROWS if (command := _command(row.payload))},
    b'a:2:{i:0;d:0.1;s:1:"k";O:8:"stdClass":1:{s:1:"a";r:1;}}',
    b"a:2:{i:0;a:1:{i:0;i:1;}i:1;R:2;}",
    b'E:11:"Suit:Hearts";',
    b'C:3:"Foo":2:{ab}',
    b'S:2:"\\41b";',
    b"d:-INF;",
]
WORDS = [
    b's:1:"a";',
    b"i:0;",
    b"N;",
    b"b:1;",
    b"a:1:{",
    b'O:8:"stdClass":0:{}',
    b"d:1.5;",
    b"r:1;",
    b"R:2;",
    b"}",
]
REMEMBERED = 500  # inputs

_shapes = Templates()
_asked = 0


def one(data: bytes) -> None:
    global _asked, _shapes
    _asked += 1
    if _asked % REMEMBERED == 0:
        _shapes = Templates()
    plain = _read(data)
    # Twice: the second time it may know the template.
    assert _read(data, shapes=True) == _read(data, shapes=True) == plain


def _read(data: bytes, *, shapes: bool = False) -> object:
    objects: list[PhpObject] = []
    try:
        value = (_shapes.unserialize if shapes else unserialize)(data, objects=objects)
    except JobError as problem:
        return type(problem)
    return _told(value, {}), [thing.class_name for thing in objects]


def _told(root: Value, seen: dict[int, int]) -> list[object]:
    """The value as a flat list in which a container stands a second time by its number only."""
    told: list[object] = []
    left: list[object] = [root]
    while left:
        value = left.pop()
        told.append(type(value).__name__)
        if isinstance(value, PhpArray | PhpObject):
            is_new = id(value) not in seen
            told.append(seen.setdefault(id(value), len(seen)))
            if is_new:
                entries = value if isinstance(value, PhpArray) else value.properties
                told.append([value.class_name] if isinstance(value, PhpObject) else len(entries))
                for key, item in entries.items():
                    told.append(key)
                    left.append(item)
        else:
            told.append("NAN" if isinstance(value, float) and math.isnan(value) else repr(value))
    return told
