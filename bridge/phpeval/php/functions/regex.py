# ruff: noqa: E501 (a signature is one line, as in the manual)
"""The preg_ functions, for the patterns that `patterns` lets through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from bridge.phpeval.php.functions.patterns import NotSupported, Pattern, compiled
from bridge.phpeval.php.functions.signature import check_entries, check_length, table
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import to_int
from bridge.phpeval.php.runtime.values import PhpArray, Value

if TYPE_CHECKING:
    from pcre2 import Match

PATTERN_ORDER, SET_ORDER = 1, 2
NO_EMPTY, DELIM_CAPTURE = 1, 2

_REFERENCE = re.compile(rb"\\\\|[\\$](\d{1,2})|\$\{(\d{1,2})\}")


def _pattern(php: Interpreter, pattern: bytes) -> Pattern:
    try:
        return compiled(pattern)
    except NotSupported as problem:
        php.refuse(str(problem))


def _matches(php: Interpreter, pattern: Pattern, subject: bytes) -> Iterator[Match]:
    php.charge(len(subject) // 64)
    try:
        yield from pattern.matches(subject)
    except NotSupported as problem:
        php.refuse(str(problem))


def _groups(pattern: Pattern, match: Match) -> PhpArray:
    """The match and its groups: unmatched ones empty, those at the end left out."""
    result = PhpArray()
    for number in range(_last(pattern, match) + 1):
        value = match[number] or b""
        if number in pattern.names:
            result[pattern.names[number].encode()] = value
        result[number] = value
    return result


def _last(pattern: Pattern, match: Match) -> int:
    """The last group that took part in the match."""
    last = pattern.groups
    while last and match.start(last) < 0:
        last -= 1
    return last


def _preg_match(
    php: Interpreter, pattern: bytes, subject: bytes, matches: Value = None, flags: int = 0, offset: int = 0
) -> tuple[Value, dict[int, Value]]:
    if flags or offset:
        php.refuse("preg_match() with flags or an offset")
    made = _pattern(php, pattern)
    match = next(_matches(php, made, subject), None)
    if match is None:
        return 0, {2: PhpArray()}
    return 1, {2: _groups(made, match)}


def _preg_match_all(
    php: Interpreter, pattern: bytes, subject: bytes, matches: Value = None, flags: int = 0, offset: int = 0
) -> tuple[Value, dict[int, Value]]:
    if flags not in (0, PATTERN_ORDER, SET_ORDER) or offset:
        php.refuse("preg_match_all() with these flags or an offset")
    made = _pattern(php, pattern)
    found = list(_matches(php, made, subject))
    check_entries(php, len(found) * (made.groups + 1))
    if flags == SET_ORDER:
        return len(found), {2: PhpArray.of(_groups(made, match) for match in found)}
    result = PhpArray()
    for number in range(made.groups + 1):
        column = PhpArray.of(match[number] or b"" for match in found)
        if number in made.names:
            result[made.names[number].encode()] = column
        result[number] = column.copy()
    return len(found), {2: result}


def _replaced(
    php: Interpreter, pattern: Pattern, subject: bytes, limit: int, replacement: Callable[[Match], bytes]
) -> tuple[bytes, int]:
    parts: list[bytes] = []
    position = count = size = 0
    for match in islice(_matches(php, pattern, subject), limit if limit >= 0 else None):
        start, end = match.span()
        parts += [subject[position:start], replacement(match)]
        size += len(parts[-1]) + len(parts[-2])
        check_length(php, size)
        position = end
        count += 1
    return b"".join([*parts, subject[position:]]), count


def _references(pattern: Pattern, template: bytes) -> Callable[[Match], bytes]:
    """What `$1`, `\\1` and `${1}` of a replacement stand for."""

    def replace(match: Match) -> bytes:
        def group(reference: re.Match[bytes]) -> bytes:
            digits = reference[1] or reference[2]
            if digits is None:
                return b"\\"
            number = int(digits)
            return (match[number] or b"") if number <= pattern.groups else b""

        return _REFERENCE.sub(group, template)

    return replace


def _over_subjects(
    php: Interpreter, subject: Value, act: Callable[[bytes], tuple[bytes, int]]
) -> tuple[Value, int]:
    if isinstance(subject, bytes):
        return act(subject)
    assert isinstance(subject, PhpArray)  # noqa: S101
    result, total = PhpArray(), 0
    for key, item in subject.items():
        result[key], count = act(php.text(item))
        total += count
    return result, total


def _preg_replace(
    php: Interpreter, pattern: Value, replacement: Value, subject: Value, limit: int = -1, count: Value = None
) -> tuple[Value, dict[int, Value]]:
    if isinstance(replacement, PhpArray) and not isinstance(pattern, PhpArray):
        php.refuse("preg_replace() of one pattern by several replacements")
    if limit == 0:
        php.refuse("preg_replace() with the limit 0")
    patterns = pattern.values() if isinstance(pattern, PhpArray) else [pattern]
    replacements = iter(replacement.values()) if isinstance(replacement, PhpArray) else None
    steps = []
    for one in patterns:
        made = _pattern(php, php.text(one))
        template = php.text(next(replacements, b"") if replacements is not None else replacement)
        steps.append((made, _references(made, template)))

    def act(text: bytes) -> tuple[bytes, int]:
        total = 0
        for one, replace in steps:
            text, count = _replaced(php, one, text, limit, replace)
            total += count
        return text, total

    result, total = _over_subjects(php, subject, act)
    return result, {4: total}


def _preg_replace_callback(
    php: Interpreter,
    pattern: Value,
    callback: Value,
    subject: Value,
    limit: int = -1,
    count: Value = None,
    flags: int = 0,
) -> tuple[Value, dict[int, Value]]:
    if not isinstance(pattern, bytes) or flags or limit == 0:
        php.refuse("this form of preg_replace_callback()")
    made = _pattern(php, pattern)

    def replace(match: Match) -> bytes:
        return php.text(php.call(callback, (_groups(made, match),)))

    result, total = _over_subjects(php, subject, lambda text: _replaced(php, made, text, limit, replace))
    return result, {4: total}


def _preg_split(
    php: Interpreter, pattern: bytes, subject: bytes, limit: int | None = -1, flags: int = 0
) -> PhpArray:
    """Source: php-src php_pcre_split_impl."""
    if flags & ~(NO_EMPTY | DELIM_CAPTURE):
        php.refuse("these flags of preg_split()")
    made = _pattern(php, pattern)
    left = to_int(limit) if limit else -1
    pieces: list[bytes] = []
    position = 0
    for match in _matches(php, made, subject):
        if left == 1:
            break
        start, end = match.span()
        if start > position or not flags & NO_EMPTY:
            pieces.append(subject[position:start])
            left -= left > 0
        if flags & DELIM_CAPTURE:
            groups = (match[number] or b"" for number in range(1, _last(made, match) + 1))
            pieces += [group for group in groups if group or not flags & NO_EMPTY]
        position = end
    if position < len(subject) or not flags & NO_EMPTY:
        pieces.append(subject[position:])
    check_entries(php, len(pieces))
    return PhpArray.of(pieces)


def _preg_quote(string: bytes, delimiter: bytes | None = None) -> bytes:
    special = b".\\+*?[^]$(){}=!<>|:-#" + (delimiter[:1] if delimiter else b"")
    result = bytearray()
    for byte in string:
        if byte == 0:
            result += b"\\000"
        else:
            if byte in special:
                result.append(92)
            result.append(byte)
    return bytes(result)


FUNCTIONS = table({
    "preg_match(string $pattern, string $subject, mixed &$matches = null, int $flags = 0, int $offset = 0)": _preg_match,
    "preg_match_all(string $pattern, string $subject, mixed &$matches = null, int $flags = 0, int $offset = 0)": _preg_match_all,
    "preg_replace(array|string $pattern, array|string $replacement, array|string $subject, int $limit = -1, mixed &$count = null)": _preg_replace,
    "preg_replace_callback(array|string $pattern, callable $callback, array|string $subject, int $limit = -1, mixed &$count = null, int $flags = 0)": _preg_replace_callback,
    "preg_split(string $pattern, string $subject, ?int $limit = -1, int $flags = 0)": _preg_split,
    "preg_quote(string $str, ?string $delimiter = null)": _preg_quote,
})  # fmt: skip
