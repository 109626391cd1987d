"""Bytes of PHP's serialize() → values. Total on hostile input: a value, `Unreadable` or `Refused`.

The grammar (php-src ext/standard/var_unserializer.re, PHP 8.2, decided every doubtful point):

    N;  b:0;  i:-5;  d:0.1;  s:LEN:"bytes";  S:LEN:"\\xx…";  a:N:{key value …}
    O:LEN:"Class":N:{key value …}  E:LEN:"Class:Case";  C:LEN:"Class":LEN:{…}  r:SLOT;  R:SLOT;

Slots count every value in reading order from 1 (array keys do not count, an `r` does, an `R` does not).
Read with an explicit stack, so nesting costs no Python frames; every length and count is compared with
the bytes that are left before it is used; time is linear in the input.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NoReturn

from bridge.errors import Refused, Unreadable
from bridge.phpeval.php.runtime.values import (
    INT_MAX,
    INT_MIN,
    CustomSerialized,
    EnumCase,
    PhpArray,
    PhpObject,
    Value,
    array_key,
)

MAX_DEPTH = 4096  # php.ini unserialize_max_depth

# One alternative a tag; `lastindex` of the match tells which.
_TOKEN = re.compile(
    rb's:(\d{1,19}):"'  # 1
    rb"|i:([+-]?\d{1,20});"  # 2
    rb"|(N);"  # 3
    rb"|b:([01]);"  # 4
    rb"|a:(\d{1,19}):\{"  # 5
    rb'|O:(\d{1,19}):"'  # 6
    rb"|d:([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|-?INF|NAN);"  # 7
    rb"|r:(\d{1,19});"  # 8
    rb"|R:(\d{1,19});"  # 9
    rb'|E:(\d{1,19}):"'  # 10
    rb'|C:(\d{1,19}):"'  # 11
    rb'|S:(\d{1,19}):"'  # 12
)
_STRING, _INT, _NULL, _BOOL, _ARRAY, _OBJECT, _FLOAT, _SAME, _REFERENCE, _ENUM, _CUSTOM, _ESCAPED = range(
    1, 13
)

# Most entries whole: a key and a scalar, no quote inside; lengths are checked by the caller.
_ENTRY = re.compile(
    rb'(?:s:(\d{1,9}):"([^"]*)";|i:(-?\d{1,18});)'
    rb'(?:s:(\d{1,9}):"([^"]*)";|i:(-?\d{1,18});|(N);|b:([01]);)'
)
# A job object is mostly nulls: such a run is looked up as one, since its text is the same in every job.
_NULLS = re.compile(rb'(?:s:\d{1,2}:"[^"]{1,99}";N;){2,32}')
_COUNT = re.compile(rb'":(\d{1,19}):\{')
_CLASS_NAME = re.compile(rb"[a-zA-Z0-9_\\\x80-\xff]+\Z")
_SPECIAL_FLOATS = {b"INF": float("inf"), b"-INF": float("-inf"), b"NAN": float("nan")}
_SMALLEST_ENTRY = len(b"i:0;N;")  # an array or object entry cannot be shorter


def unserialize(data: bytes, *, max_depth: int = MAX_DEPTH, objects: list[PhpObject] | None = None) -> Value:
    """The one value that `data` holds. Every object met is appended to `objects`, outermost first.

    `r:` gives the same Python object again, `R:` the same value. Raises Unreadable where PHP would give
    false, and Refused where the answer depends on the class (`C:` followed by a reference) or on PHP's
    version (bytes after the end: ignored before 8.3, a warning and so a failed job from then on).
    """
    value, end = _read(data, max_depth, objects)
    if end != len(data):
        raise Refused(f"the serialized command has bytes after its end at byte {end}")
    return value


def _fail(problem: str, position: int) -> NoReturn:
    raise Unreadable(f"the serialized command {problem} at byte {position}")


# One long function: it is the reader's inner loop, whose state stands in local variables.
def _read(data: bytes, max_depth: int, objects: list[PhpObject] | None) -> tuple[Value, int]:
    token, entry, nulls = _TOKEN.match, _ENTRY.match, _NULLS.match
    size = len(data)
    slots: list[Value] = [None]
    opaque = False  # a C: or a key twice was met: slots are not known from there on
    position = 0

    # The open container: its entries, how many are to come, whether its keys are those of an array.
    # `entries is None` is the level above the outermost value.
    entries: dict[int | bytes, Value] | None = None
    left = 1
    is_array = False
    stack: list[tuple[dict[int | bytes, Value] | None, int, bool]] = []
    key: int | bytes = 0
    value: Value

    while True:
        while left == 0:
            if data[position : position + 1] != b"}":
                _fail("has more entries than announced", position)
            position += 1
            entries, left, is_array = stack.pop()
            if entries is None:
                return slots[1], position

        if entries is not None:
            match = None if is_array else nulls(data, position)
            if match is not None:
                names = _names_of_nulls(match[0])
                if 0 < len(names) <= left and entries.keys().isdisjoint(names):
                    entries.update(names)
                    slots += names.values()
                    position = match.end()
                    left -= len(names)
                    continue
            match = entry(data, position)
            if match is not None:
                name_length, name, index, length, text, number, null, _ = match.groups()
                if (name is None or len(name) == int(name_length)) and (
                    text is None or len(text) == int(length)
                ):
                    if text is not None:
                        value = text
                    elif number is not None:
                        value = int(number)
                    else:
                        value = None if null is not None else match[8] == b"1"
                    if name is None:
                        name = int(index)
                    elif is_array:
                        name = array_key(name)
                    key = name
                    if key in entries:
                        opaque = True  # as below
                    entries[key] = value
                    slots.append(value)
                    position = match.end()
                    left -= 1
                    continue
            match = token(data, position)
            if match is None:
                _fail("has a bad key", position)
            kind = match.lastindex
            if kind == _STRING:
                start = match.end()
                end = start + int(match[1])
                if data[end : end + 2] != b'";':
                    _fail("has a wrong length", position)
                key = data[start:end]
                if is_array:
                    key = array_key(key)
                position = end + 2
            elif kind == _INT:
                key = _integer(match[2], position)
                position = match.end()
            elif kind == _ESCAPED:
                key, position = _escaped(data, match.end(), int(match[12]), position)
                if is_array:
                    key = array_key(key)
            else:
                _fail("has a key that is neither integer nor string", position)
            left -= 1

        match = token(data, position)
        if match is None:
            _fail("is damaged", position)
        kind = match.lastindex
        opened: dict[int | bytes, Value] | None = None
        count = 0

        if kind == _STRING:
            start = match.end()
            end = start + int(match[1])
            if data[end : end + 2] != b'";':
                _fail("has a wrong length", position)
            value = data[start:end]
            position = end + 2
            slots.append(value)
        elif kind == _INT:
            value = _integer(match[2], position)
            position = match.end()
            slots.append(value)
        elif kind == _NULL:
            value = None
            position = match.end()
            slots.append(value)
        elif kind == _BOOL:
            value = match[4] == b"1"
            position = match.end()
            slots.append(value)
        elif kind == _ARRAY:
            count = int(match[5])
            value = opened = PhpArray()
            position = match.end()
            slots.append(value)
        elif kind == _OBJECT:
            name, after = _class_name(data, match.end(), int(match[6]), position)
            counted = _COUNT.match(data, after)
            if counted is None:
                _fail("has an object without a count", after)
            count = int(counted[1])
            value = PhpObject(name)
            opened = value.properties
            if objects is not None:
                objects.append(value)
            position = counted.end()
            slots.append(value)
        elif kind == _FLOAT:
            text = match[7]
            special = _SPECIAL_FLOATS.get(text)
            value = float(text) if special is None else special
            position = match.end()
            slots.append(value)
        elif kind in (_SAME, _REFERENCE):
            if opaque or (entries is not None and key in entries):
                raise Refused(
                    "a reference after a repeated key or a class with its own format cannot be followed"
                )
            number = int(match[kind])
            if not 0 < number < len(slots):
                _fail("refers to a value that is not there", position)
            value = slots[number]
            if kind == _SAME:
                if not isinstance(value, PhpObject | EnumCase):
                    _fail("refers to a value that is no object", position)
                slots.append(value)
            position = match.end()
        elif kind == _ENUM:
            start = match.end()
            end = start + int(match[10])
            class_name, colon, case = data[start:end].partition(b":")
            if data[end : end + 2] != b'";' or not colon or not _CLASS_NAME.match(class_name) or not case:
                _fail("has a malformed enum case", position)
            value = EnumCase(_text(class_name, position), _text(case, position))
            position = end + 2
            slots.append(value)
        elif kind == _CUSTOM:
            name, after = _class_name(data, match.end(), int(match[11]), position)
            counted = _COUNT.match(data, after)
            if counted is None:
                _fail("has an object without a length", after)
            start = counted.end()
            end = start + int(counted[1])
            if end >= size or data[end : end + 1] != b"}":
                _fail("has a wrong length", after)
            value = CustomSerialized(name, data[start:end])
            opaque = True
            position = end + 1
            slots.append(value)
        else:
            value, position = _escaped(data, match.end(), int(match[12]), position)
            slots.append(value)

        if entries is None:
            if opened is None:
                return value, position
        else:
            if key in entries:
                opaque = True  # PHP drops the value that was there, and may free the slot
            entries[key] = value

        if opened is not None:
            if count * _SMALLEST_ENTRY > size - position:
                _fail("announces more entries than it has bytes for", position)
            if len(stack) >= max_depth:
                _fail("is nested too deep", position)
            stack.append((entries, left, is_array))
            entries, left, is_array = opened, count, kind == _ARRAY


@lru_cache(maxsize=256)
def _names_of_nulls(run: bytes) -> dict[int | bytes, Value]:
    """The entries of a run of nulls; none where a length is wrong or a name comes twice."""
    names: dict[int | bytes, Value] = {}
    pieces = run.split(b'"')
    for length, name in zip(pieces[::2], pieces[1::2], strict=False):
        if int(length.rpartition(b"s:")[2][:-1]) != len(name) or name in names:
            return {}
        names[name] = None
    return names


def _integer(digits: bytes, position: int) -> int:
    number = int(digits)
    if not INT_MIN <= number <= INT_MAX:
        _fail("has an integer of more than 64 bits", position)
    return number


def _text(name: bytes, position: int) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        _fail("has a class name that is not UTF-8", position)


def _class_name(data: bytes, start: int, length: int, position: int) -> tuple[str, int]:
    """The name of `length` bytes at `start`, and the place of the quote that ends it."""
    end = start + length
    name = data[start:end]
    if data[end : end + 1] != b'"' or not _CLASS_NAME.match(name):
        _fail("has a malformed class name", position)
    return _text(name, position), end


def _escaped(data: bytes, start: int, length: int, position: int) -> tuple[bytes, int]:
    """`S:`: `length` bytes after decoding, each either itself or a backslash and two hex digits."""
    if length > len(data) - start:
        _fail("has a wrong length", position)
    decoded = bytearray()
    cursor = start
    while len(decoded) < length:
        if data[cursor : cursor + 1] == b"\\":
            pair = data[cursor + 1 : cursor + 3]
            if not re.fullmatch(rb"[0-9a-fA-F]{2}", pair):
                _fail("has a bad escape", cursor)
            decoded.append(int(pair, 16))
            cursor += 3
        elif cursor < len(data):
            decoded.append(data[cursor])
            cursor += 1
        else:
            _fail("has a wrong length", position)
    if data[cursor : cursor + 2] != b'";':
        _fail("has a wrong length", position)
    return bytes(decoded), cursor + 2
