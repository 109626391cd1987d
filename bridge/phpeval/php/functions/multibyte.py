# ruff: noqa: E501 (a signature is one line, as in the manual)
"""The mb_ functions on UTF-8. Refused: other encodings, bytes that are not UTF-8, and letters whose case
depends on the Unicode version or on their neighbours."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from bridge.phpeval.php.functions.signature import check_entries, require_php, table, value_error
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.values import PhpArray, Value

MB_CASE_UPPER, MB_CASE_LOWER, MB_CASE_TITLE = 0, 1, 2

# Letters of one meaning in every release: Latin, Greek, Cyrillic; not the dotted I, the n with apostrophe,
# sigma (which is another letter at a word's end) and those whose capital is two letters.
_CASED = [range(0x00, 0x180), range(0x384, 0x3D0), range(0x400, 0x530), range(0x1E00, 0x1E96)]
_UNSTEADY = set(map(ord, "İıŉſΣσςΐΰßµ"))


def _text(php: Interpreter, string: bytes, encoding: bytes | None) -> str:
    if encoding is not None and encoding.lower() not in (b"utf-8", b"utf8"):
        php.refuse("an encoding that is not UTF-8")
    try:
        return string.decode()
    except UnicodeDecodeError:
        php.refuse("a text that is not UTF-8")


def _check_case(php: Interpreter, text: str) -> None:
    for character in text:
        code = ord(character)
        if code < 0x80:
            continue
        changes = character.lower() != character or character.upper() != character
        steady = any(code in letters for letters in _CASED) and code not in _UNSTEADY
        if (changes and not steady) or code in _UNSTEADY or unicodedata.category(character) == "Cn":
            php.refuse(f"the case of U+{code:04X}")


def _lower(php: Interpreter, string: bytes, encoding: bytes | None = None) -> bytes:
    text = _text(php, string, encoding)
    _check_case(php, text)
    return text.lower().encode()


def _upper(php: Interpreter, string: bytes, encoding: bytes | None = None) -> bytes:
    text = _text(php, string, encoding)
    _check_case(php, text)
    return text.upper().encode()


def _convert_case(php: Interpreter, string: bytes, mode: int, encoding: bytes | None = None) -> bytes:
    if mode == MB_CASE_UPPER:
        return _upper(php, string, encoding)
    if mode == MB_CASE_LOWER:
        return _lower(php, string, encoding)
    if mode != MB_CASE_TITLE:
        php.refuse("this mode of mb_convert_case()")
    text = _text(php, string, encoding)
    _check_case(php, text)
    result = []
    inside = False
    for character in text:
        if character.isalpha() and character.lower() != character.upper():
            result.append(character.lower() if inside else character.upper())
            inside = True
        elif character.isascii() and character not in "'.:^`":
            result.append(character)
            inside = False
        else:  # apostrophes and marks may stand within a word, and releases differ in that
            php.refuse(f"a title with U+{ord(character):04X}")
    return "".join(result).encode()


def _cut(text: str, start: int, length: int | None) -> str:
    size = len(text)
    begin = max(size + start, 0) if start < 0 else min(start, size)
    if length is None:
        return text[begin:]
    end = max(size + length, begin) if length < 0 else min(begin + length, size)
    return text[begin:end]


def _substr(
    php: Interpreter, string: bytes, start: int, length: int | None = None, encoding: bytes | None = None
) -> bytes:
    return _cut(_text(php, string, encoding), start, length).encode()


def _strlen(php: Interpreter, string: bytes, encoding: bytes | None = None) -> int:
    return len(_text(php, string, encoding))


def _strpos(
    php: Interpreter, haystack: bytes, needle: bytes, offset: int = 0, encoding: bytes | None = None
) -> Value:
    text, wanted = _text(php, haystack, encoding), _text(php, needle, encoding)
    start = offset + len(text) if offset < 0 else offset
    if not 0 <= start <= len(text):
        value_error("mb_strpos", 3, "offset", "must be contained in argument #1 ($haystack)")
    at = text.find(wanted, start)
    return at if at >= 0 else False


def _strrpos(
    php: Interpreter, haystack: bytes, needle: bytes, offset: int = 0, encoding: bytes | None = None
) -> Value:
    if offset:
        php.refuse("mb_strrpos() with an offset")
    at = _text(php, haystack, encoding).rfind(_text(php, needle, encoding))
    return at if at >= 0 else False


def _stripos(
    php: Interpreter, haystack: bytes, needle: bytes, offset: int = 0, encoding: bytes | None = None
) -> Value:
    return _strpos(php, _lower(php, haystack, encoding), _lower(php, needle, encoding), offset)


def _str_split(php: Interpreter, string: bytes, length: int = 1, encoding: bytes | None = None) -> PhpArray:
    if length < 1:
        value_error("mb_str_split", 2, "length", "must be greater than 0")
    text = _text(php, string, encoding)
    check_entries(php, len(text) // length + 1)
    return PhpArray.of(text[at : at + length].encode() for at in range(0, len(text), length))


def _substr_count(php: Interpreter, haystack: bytes, needle: bytes, encoding: bytes | None = None) -> int:
    if not needle:
        value_error("mb_substr_count", 2, "needle", "must not be empty")
    return _text(php, haystack, encoding).count(_text(php, needle, encoding))


def _check_encoding(php: Interpreter, value: bytes, encoding: bytes | None = None) -> bool:
    if encoding is not None and encoding.lower() not in (b"utf-8", b"utf8"):
        php.refuse("an encoding that is not UTF-8")
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _strwidth(php: Interpreter, string: bytes, encoding: bytes | None = None) -> int:
    text = _text(php, string, encoding)
    # below the first wide block every release agrees
    if any(ord(character) >= 0x1100 for character in text):
        php.refuse("the width of this text")
    return len(text)


def _strimwidth(
    php: Interpreter,
    string: bytes,
    start: int,
    width: int,
    trim_marker: bytes = b"",
    encoding: bytes | None = None,
) -> bytes:
    text, marker = _text(php, string, encoding), _text(php, trim_marker, encoding)
    if start < 0 or width < 0 or start > len(text):
        php.refuse("mb_strimwidth() with such a start or width")
    rest = text[start:]
    # no character is narrower than one column: what stands behind these cannot matter
    if any(ord(character) >= 0x1100 for character in rest[: width + 1] + marker):
        php.refuse("mb_strimwidth() of this text")
    if len(rest) <= width:
        return rest.encode()
    if len(marker) > width:
        php.refuse("mb_strimwidth() with a marker that does not fit")
    return (rest[: width - len(marker)] + marker).encode()


# What mb_trim takes away if nothing else is named: ext/mbstring/mbstring.c of PHP 8.4.
_BLANKS = " \f\n\r\t\v\0\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
_BLANKS += "\u2028\u2029\u202f\u205f\u3000\u0085\u180e"


def _trim(name: str, strip: Callable[[str, str], str]) -> Callable[..., bytes]:
    def act(
        php: Interpreter, string: bytes, characters: bytes | None = None, encoding: bytes | None = None
    ) -> bytes:
        require_php(php, 8, 4, name)
        given = _text(php, string, encoding)
        return strip(given, _BLANKS if characters is None else _text(php, characters, encoding)).encode()

    return act


def _first(name: str, change: Callable[[str], str]) -> Callable[..., bytes]:
    def act(php: Interpreter, string: bytes, encoding: bytes | None = None) -> bytes:
        require_php(php, 8, 4, name)
        given = _text(php, string, encoding)
        changed = change(given[:1])
        if len(changed) > 1 or (not given[:1].isascii() and not given[:1].isalpha()):
            php.refuse(f"{name}() of this letter")
        return (changed + given[1:]).encode()

    return act


FUNCTIONS = table({
    "mb_trim(string $string, ?string $characters = null, ?string $encoding = null)": _trim("mb_trim", str.strip),
    "mb_ltrim(string $string, ?string $characters = null, ?string $encoding = null)": _trim("mb_ltrim", str.lstrip),
    "mb_rtrim(string $string, ?string $characters = null, ?string $encoding = null)": _trim("mb_rtrim", str.rstrip),
    "mb_ucfirst(string $string, ?string $encoding = null)": _first("mb_ucfirst", str.title),
    "mb_lcfirst(string $string, ?string $encoding = null)": _first("mb_lcfirst", str.lower),
    "mb_strlen(string $string, ?string $encoding = null)": _strlen,
    "mb_strtolower(string $string, ?string $encoding = null)": _lower,
    "mb_strtoupper(string $string, ?string $encoding = null)": _upper,
    "mb_convert_case(string $string, int $mode, ?string $encoding = null)": _convert_case,
    "mb_substr(string $string, int $start, ?int $length = null, ?string $encoding = null)": _substr,
    "mb_strpos(string $haystack, string $needle, int $offset = 0, ?string $encoding = null)": _strpos,
    "mb_stripos(string $haystack, string $needle, int $offset = 0, ?string $encoding = null)": _stripos,
    "mb_strrpos(string $haystack, string $needle, int $offset = 0, ?string $encoding = null)": _strrpos,
    "mb_str_split(string $string, int $length = 1, ?string $encoding = null)": _str_split,
    "mb_substr_count(string $haystack, string $needle, ?string $encoding = null)": _substr_count,
    "mb_check_encoding(string $value, ?string $encoding = null)": _check_encoding,
    "mb_strwidth(string $string, ?string $encoding = null)": _strwidth,
    "mb_strimwidth(string $string, int $start, int $width, string $trim_marker = '', ?string $encoding = null)": _strimwidth,
})  # fmt: skip
