# ruff: noqa: E501 (a signature is one line, as in the manual)
"""PHP's functions on byte strings. Case is ASCII only (PHP 8); a search that fails gives false."""

from __future__ import annotations

import re
from collections.abc import Callable

from bridge.phpeval.php.functions.signature import check_entries, check_length, table, value_error
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import Thrown, to_string
from bridge.phpeval.php.runtime.values import PhpArray, Value

WHITE = b" \n\r\t\v\0"


# ---- parts ----------------------------------------------------------------------------------


def substring(text: bytes, offset: int, length: int | None = None) -> bytes:
    """`substr`: negative numbers count from the end; what lies outside is cut off."""
    size = len(text)
    start = max(size + offset, 0) if offset < 0 else min(offset, size)
    if length is None:
        return text[start:]
    end = max(size + length, start) if length < 0 else min(start + length, size)
    return text[start:end]


def _substr_replace(
    php: Interpreter, string: Value, replace: Value, offset: Value, length: Value = None
) -> bytes:
    if not isinstance(string, bytes) or not isinstance(replace, bytes):
        php.refuse("substr_replace() with arrays")
    if not isinstance(offset, int) or not isinstance(length, int | None):
        php.refuse("substr_replace() with arrays")
    size = len(string)
    start = max(size + offset, 0) if offset < 0 else min(offset, size)
    end = size if length is None else max(size + length, start) if length < 0 else min(start + length, size)
    return string[:start] + replace + string[end:]


def _explode(php: Interpreter, separator: bytes, string: bytes, limit: int = 1 << 62) -> PhpArray:
    if not separator:
        value_error("explode", 1, "separator", "cannot be empty")
    check_entries(php, string.count(separator) + 1)
    if limit >= 0:
        return PhpArray.of(string.split(separator, max(limit - 1, 0)))
    return PhpArray.of(string.split(separator)[:limit])


def _implode(php: Interpreter, separator: Value, array: Value = None) -> bytes:
    if array is None:
        if not isinstance(separator, PhpArray):
            from_type = "implode(): Argument #1 ($array) must be of type array, string given"
            raise _type_error(from_type)
        glue, pieces = b"", separator
    elif isinstance(array, PhpArray) and isinstance(separator, bytes):
        glue, pieces = separator, array
    else:
        php.refuse("implode() with the array first")
    texts = [php.text(piece) for piece in pieces.values()]
    check_length(php, sum(map(len, texts)) + len(glue) * max(len(texts) - 1, 0))
    return glue.join(texts)


def _str_split(php: Interpreter, string: bytes, length: int = 1) -> PhpArray:
    if length < 1:
        value_error("str_split", 2, "length", "must be greater than 0")
    if not string:
        php.refuse("str_split() of an empty string (8.2 changed it)")
    check_entries(php, len(string) // length + 1)
    return PhpArray.of(string[at : at + length] for at in range(0, len(string), length))


def _chunk_split(php: Interpreter, string: bytes, length: int = 76, separator: bytes = b"\r\n") -> bytes:
    if length < 1:
        value_error("chunk_split", 2, "length", "must be greater than 0")
    check_length(php, len(string) + (len(string) // length + 1) * len(separator))
    if not string:
        return separator
    return b"".join(string[at : at + length] + separator for at in range(0, len(string), length))


def _str_word_count(php: Interpreter, string: bytes, format: int = 0, characters: Value = None) -> Value:
    if characters is not None or format not in (0, 1):
        php.refuse("this form of str_word_count()")
    words: list[bytes] = []
    word = bytearray()
    # a hyphen neither begins nor ends the text's words, an apostrophe does not begin them
    stripped = string
    if stripped[:1] in (b"'", b"-"):
        stripped = stripped[1:]
    if stripped[-1:] == b"-":
        stripped = stripped[:-1]
    for byte in stripped:
        if (chr(byte).isascii() and chr(byte).isalpha()) or byte in b"'-":
            word.append(byte)
        elif word:
            words.append(bytes(word))
            word.clear()
    if word:
        words.append(bytes(word))
    return PhpArray.of(words) if format else len(words)


# ---- search -----------------------------------------------------------------------------------


def _start(function: str, haystack: bytes, offset: int) -> int:
    start = offset + len(haystack) if offset < 0 else offset
    if not 0 <= start <= len(haystack):
        value_error(function, 3, "offset", "must be contained in argument #1 ($haystack)")
    return start


def _found(position: int) -> int | bool:
    return position if position >= 0 else False


def _position(function: str, fold: Callable[[bytes], bytes]) -> Callable[..., Value]:
    def find(haystack: bytes, needle: bytes, offset: int = 0) -> Value:
        return _found(fold(haystack).find(fold(needle), _start(function, haystack, offset)))

    return find


def _last_position(function: str, fold: Callable[[bytes], bytes]) -> Callable[..., Value]:
    def find(haystack: bytes, needle: bytes, offset: int = 0) -> Value:
        start = _start(function, haystack, offset)
        if offset >= 0:
            return _found(fold(haystack).rfind(fold(needle), start))
        # a negative offset ends the search: the match may not begin after it
        end = len(haystack) if -offset < len(needle) else len(haystack) + offset + len(needle)
        return _found(fold(haystack).rfind(fold(needle), 0, end))

    return find


def _same(text: bytes) -> bytes:
    return text


def _strstr(fold: Callable[[bytes], bytes]) -> Callable[..., Value]:
    def cut(haystack: bytes, needle: bytes, before_needle: bool = False) -> Value:
        at = fold(haystack).find(fold(needle))
        if at < 0:
            return False
        return haystack[:at] if before_needle else haystack[at:]

    return cut


def _strrchr(haystack: bytes, needle: bytes) -> Value:
    at = haystack.rfind(needle[:1] or b"\0")
    return haystack[at:] if at >= 0 else False


def _substr_count(haystack: bytes, needle: bytes, offset: int = 0, length: int | None = None) -> int:
    if not needle:
        value_error("substr_count", 2, "needle", "cannot be empty")
    start = offset + len(haystack) if offset < 0 else offset
    if not 0 <= start <= len(haystack):
        value_error("substr_count", 3, "offset", "must be contained in argument #1 ($haystack)")
    rest = len(haystack) - start
    if length is None:
        length = rest
    elif length < 0:
        length += rest
    if not 0 <= length <= rest:
        value_error("substr_count", 4, "length", "must be contained in argument #1 ($haystack)")
    return haystack.count(needle, start, start + length)


def _strpbrk(string: bytes, characters: bytes) -> Value:
    if not characters:
        value_error("strpbrk", 2, "characters", "must be a non-empty string")
    at = next((index for index, byte in enumerate(string) if byte in characters), -1)
    return string[at:] if at >= 0 else False


def _span(wanted: bool) -> Callable[..., int]:
    def span(string: bytes, characters: bytes, offset: int = 0, length: int | None = None) -> int:
        part = substring(string, offset, length)
        return next((i for i, byte in enumerate(part) if (byte in characters) is not wanted), len(part))

    return span


# ---- compare ----------------------------------------------------------------------------------


def _strncmp(function: str, fold: Callable[[bytes], bytes]) -> Callable[..., int]:
    def compare(php: Interpreter, string1: bytes, string2: bytes, length: int) -> int:
        if length < 0:
            value_error(function, 3, "length", "must be greater than or equal to 0")
        return _sign(php, fold(string1[:length]), fold(string2[:length]))

    return compare


def _sign(php: Interpreter, left: bytes, right: bytes) -> int:
    """0 for equal strings: else PHP promises the sign only, and the number differs between its releases."""
    if left != right:
        php.refuse("a comparison of different strings as a number")
    return 0


def _strcasecmp(php: Interpreter, string1: bytes, string2: bytes) -> int:
    return _sign(php, string1.lower(), string2.lower())


# ---- change -------------------------------------------------------------------------------------


def _characters(php: Interpreter, characters: bytes) -> bytes:
    """`a..z` in a list of characters, expanded."""
    if b".." not in characters:
        return characters
    result = bytearray()
    index = 0
    while index < len(characters):
        if characters[index + 1 : index + 3] == b".." and index + 3 < len(characters):
            first, last = characters[index], characters[index + 3]
            if last < first:
                php.refuse("this range of characters")
            result.extend(range(first, last + 1))
            index += 4
        elif characters[index : index + 2] == b"..":
            php.refuse("this range of characters")
        else:
            result.append(characters[index])
            index += 1
    return bytes(result)


def _trim(strip: Callable[[bytes, bytes], bytes]) -> Callable[..., bytes]:
    def trim(php: Interpreter, string: bytes, characters: bytes = WHITE) -> bytes:
        return strip(string, _characters(php, characters)) if characters else string

    return trim


def _ucwords(string: bytes, separators: bytes = b" \t\r\n\f\v") -> bytes:
    result = bytearray(string)
    first = True
    for index, byte in enumerate(string):
        if first and 97 <= byte <= 122:
            result[index] = byte - 32
        first = byte in separators
    return bytes(result)


def _str_repeat(php: Interpreter, string: bytes, times: int) -> bytes:
    if times < 0:
        value_error("str_repeat", 2, "times", "must be greater than or equal to 0")
    check_length(php, len(string) * times)
    return string * times


def _str_pad(
    php: Interpreter, string: bytes, length: int, pad_string: bytes = b" ", pad_type: int = 1
) -> bytes:
    missing = length - len(string)
    if length < 0 or missing <= 0:
        return string
    if not pad_string:
        value_error("str_pad", 3, "pad_string", "must be a non-empty string")
    if pad_type not in (0, 1, 2):
        value_error("str_pad", 4, "pad_type", "must be STR_PAD_LEFT, STR_PAD_RIGHT, or STR_PAD_BOTH")
    check_length(php, length)
    left = missing if pad_type == 0 else missing // 2 if pad_type == 2 else 0
    return _fill(pad_string, left) + string + _fill(pad_string, missing - left)


def _fill(pad: bytes, length: int) -> bytes:
    return (pad * (length // len(pad) + 1))[:length]


def _replace(fold: Callable[[bytes], bytes], name: str) -> Callable[..., tuple[Value, dict[int, Value]]]:
    def one(php: Interpreter, text: bytes, search: bytes, replacement: bytes) -> tuple[bytes, int]:
        if not search or not text:
            return text, 0
        folded, wanted = fold(text), fold(search)
        count = folded.count(wanted)
        if not count:
            return text, 0
        check_length(php, len(text) + count * (len(replacement) - len(search)))
        if fold is _same:
            return text.replace(search, replacement), count
        parts = []
        start = 0
        while (at := folded.find(wanted, start)) >= 0:
            parts += [text[start:at], replacement]
            start = at + len(wanted)
        return b"".join([*parts, text[start:]]), count

    def all_of(php: Interpreter, text: bytes, search: Value, replace: Value) -> tuple[bytes, int]:
        if not isinstance(search, PhpArray):
            return one(php, text, php.text(search), php.text(replace))
        total = 0
        replacements = iter(replace.values()) if isinstance(replace, PhpArray) else None
        for wanted in search.values():
            # an empty search takes no replacement's place away: each search uses up one
            replacement: Value = next(replacements, b"") if replacements is not None else replace
            text, count = one(php, text, php.text(wanted), php.text(replacement))
            total += count
        return text, total

    def replace_in(
        php: Interpreter, search: Value, replace: Value, subject: Value, count: Value = None
    ) -> tuple[Value, dict[int, Value]]:
        if isinstance(replace, PhpArray) and not isinstance(search, PhpArray):
            raise _type_error(
                f"{name}(): Argument #2 ($replace) must be of type string when argument #1 ($search) is a string"
            )
        if isinstance(subject, bytes):
            text, total = all_of(php, subject, search, replace)
            return text, {3: total}
        assert isinstance(subject, PhpArray)  # noqa: S101
        result, total = PhpArray(), 0
        for key, item in subject.items():
            if isinstance(item, PhpArray) or not isinstance(item, bytes | int | float | bool | None):
                php.refuse(f"{name}() with nested arrays or objects")
            result[key], count_here = all_of(php, to_string(item), search, replace)
            total += count_here
        return result, {3: total}

    return replace_in


def _strtr(php: Interpreter, string: bytes, from_: Value, to: Value = None) -> Value:
    if isinstance(from_, bytes):
        if not isinstance(to, bytes):
            raise _type_error("strtr(): Argument #2 ($from) must be of type array, string given")
        length = min(len(from_), len(to))
        return string.translate(bytes(_mapping(from_[:length], to[:length])))
    if to is not None or not isinstance(from_, PhpArray):
        raise _type_error("strtr(): Argument #2 ($from) must be of type string, array given")
    pairs = {to_string(key): php.text(value) for key, value in from_.items()}
    if b"" in pairs:
        php.refuse("strtr() with an empty key")
    lengths = sorted({len(key) for key in pairs}, reverse=True)
    php.charge(len(string) * len(lengths) // 16)
    result: list[bytes] = []
    at = size = 0
    while at < len(string):
        for length in lengths:
            replacement = pairs.get(string[at : at + length])
            if replacement is not None and at + length <= len(string):
                result.append(replacement)
                at += length
                break
        else:
            result.append(string[at : at + 1])
            at += 1
        size += len(result[-1])
        check_length(php, size) if size > 1 << 20 else None
    return b"".join(result)


def _mapping(source: bytes, target: bytes) -> list[int]:
    mapping = list(range(256))
    for old, new in zip(source, target, strict=True):
        mapping[old] = new
    return mapping


def _wordwrap(
    php: Interpreter, string: bytes, width: int = 75, break_: bytes = b"\n", cut_long_words: bool = False
) -> bytes:
    """Source: php-src ext/standard/string.c, PHP_FUNCTION(wordwrap), the general algorithm."""
    if not string:
        return b""
    if not break_:
        value_error("wordwrap", 3, "break", "cannot be empty")
    if width == 0 and cut_long_words:
        value_error("wordwrap", 4, "cut_long_words", "cannot be true when argument #2 ($width) is 0")
    if width < 0:
        php.refuse("wordwrap() with a negative width")
    check_length(php, len(string) * (1 + len(break_)))
    result: list[bytes] = []
    line = space = current = 0
    size, broken = len(string), len(break_)
    while current < size:
        if string.startswith(break_, current) and current + broken < size:
            result.append(string[line : current + broken])
            current += broken - 1
            line = space = current + 1
        elif string[current] == 32:
            if current - line >= width:
                result += [string[line:current], break_]
                line = current + 1
            space = current
        elif current - line >= width and cut_long_words and line >= space:
            result += [string[line:current], break_]
            line = space = current
        elif current - line >= width and line < space:
            result += [string[line:space], break_]
            line = space = space + 1
        current += 1
    return b"".join([*result, string[line:]])


def _similar(first: bytes, second: bytes) -> int:
    """Source: php-src php_similar_char: the longest common part, then the same left and right of it."""
    total = 0
    stack = [(first, second)]
    while stack:
        a, b = stack.pop()
        best = at_a = at_b = 0
        for i in range(len(a)):
            if len(a) - i <= best:
                break
            for j in range(len(b)):
                if len(b) - j <= best:
                    break
                length = 0
                while i + length < len(a) and j + length < len(b) and a[i + length] == b[j + length]:
                    length += 1
                if length > best:
                    best, at_a, at_b = length, i, j
        if best:
            total += best
            stack += [(a[:at_a], b[:at_b]), (a[at_a + best :], b[at_b + best :])]
    return total


def _similar_text(
    php: Interpreter, string1: bytes, string2: bytes, percent: Value = None
) -> tuple[Value, dict[int, Value]]:
    if len(string1) * len(string2) > 40_000:
        php.refuse("similar_text() of long texts")
    php.charge(len(string1) * len(string2) // 8)
    same = _similar(string1, string2)
    both = len(string1) + len(string2)
    return same, {2: same * 2.0 * 100.0 / both if both else 0.0}


def _levenshtein(php: Interpreter, string1: bytes, string2: bytes) -> int:
    if len(string1) * len(string2) > 200_000:
        php.refuse("levenshtein() of long texts")
    php.charge(len(string1) * len(string2) // 8)
    row = list(range(len(string2) + 1))
    for i, a in enumerate(string1, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(string2, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


def _addslashes(string: bytes) -> bytes:
    return string.replace(b"\\", b"\\\\").replace(b"'", b"\\'").replace(b'"', b'\\"').replace(b"\0", b"\\0")


def _stripslashes(string: bytes) -> bytes:
    result = bytearray()
    index = 0
    while index < len(string):
        byte = string[index]
        if byte == 92:
            index += 1
            if index == len(string):
                break
            byte = 0 if string[index] == 48 else string[index]
        result.append(byte)
        index += 1
    return bytes(result)


def _nl2br(string: bytes, use_xhtml: bool = True) -> bytes:
    mark = b"<br />" if use_xhtml else b"<br>"
    result = bytearray()
    index = 0
    while index < len(string):
        pair = string[index : index + 2]
        if pair in (b"\r\n", b"\n\r"):
            result += mark + pair
            index += 2
        else:
            if pair[:1] in (b"\r", b"\n"):
                result += mark
            result += pair[:1]
            index += 1
    return bytes(result)


_TAG = re.compile(rb"""</?[A-Za-z](?:[^<>"'\0]|"[^"\0]*"|'[^'\0]*')*>""")


def _strip_tags(php: Interpreter, string: bytes, allowed_tags: Value = None) -> bytes:
    """Of what are surely whole tags; comments, declarations and tags without an end are refused."""
    if allowed_tags is not None:
        php.refuse("strip_tags() that keeps some")
    bare: bytes = _TAG.sub(b"", string)
    if b"<" in bare or b"\0" in bare:
        php.refuse("strip_tags() of this text")
    return bare


def _ctype(characters: bytes) -> Callable[..., bool]:
    def check(php: Interpreter, text: Value) -> bool:
        if isinstance(text, int) and not isinstance(text, bool):
            php.refuse("a ctype function with an integer")
        return isinstance(text, bytes) and bool(text) and not text.strip(characters)

    return check


def _type_error(message: str) -> Exception:
    return Thrown("TypeError", message)


_DIGITS = b"0123456789"
_UPPER = bytes(range(65, 91))
_LOWER = bytes(range(97, 123))
_GRAPHIC = bytes(range(33, 127))
_LETTERS = _UPPER + _LOWER

FUNCTIONS = table({
    "strlen(string $string)": lambda string: len(string),
    "strtolower(string $string)": lambda string: string.lower(),
    "strtoupper(string $string)": lambda string: string.upper(),
    "ucfirst(string $string)": lambda string: string[:1].upper() + string[1:],
    "lcfirst(string $string)": lambda string: string[:1].lower() + string[1:],
    "ucwords(string $string, string $separators = ' ')": _ucwords,
    "strrev(string $string)": lambda string: string[::-1],
    "trim(string $string, string $characters = '')": _trim(bytes.strip),
    "ltrim(string $string, string $characters = '')": _trim(bytes.lstrip),
    "rtrim(string $string, string $characters = '')": _trim(bytes.rstrip),
    "chop(string $string, string $characters = '')": _trim(bytes.rstrip),
    "substr(string $string, int $offset, ?int $length = null)": substring,
    "substr_replace(array|string $string, array|string $replace, array|int $offset, array|int|null $length = null)": _substr_replace,
    "substr_count(string $haystack, string $needle, int $offset = 0, ?int $length = null)": _substr_count,
    "explode(string $separator, string $string, int $limit = PHP_INT_MAX)": _explode,
    "implode(array|string $separator, ?array $array = null)": _implode,
    "join(array|string $separator, ?array $array = null)": _implode,
    "str_split(string $string, int $length = 1)": _str_split,
    "chunk_split(string $string, int $length = 76, string $separator = '')": _chunk_split,
    "strip_tags(string $string, array|string|null $allowed_tags = null)": _strip_tags,
    "str_word_count(string $string, int $format = 0, ?string $characters = null)": _str_word_count,
    "strpos(string $haystack, string $needle, int $offset = 0)": _position("strpos", _same),
    "stripos(string $haystack, string $needle, int $offset = 0)": _position("stripos", bytes.lower),
    "strrpos(string $haystack, string $needle, int $offset = 0)": _last_position("strrpos", _same),
    "strripos(string $haystack, string $needle, int $offset = 0)": _last_position("strripos", bytes.lower),
    "strstr(string $haystack, string $needle, bool $before_needle = false)": _strstr(_same),
    "stristr(string $haystack, string $needle, bool $before_needle = false)": _strstr(bytes.lower),
    "strrchr(string $haystack, string $needle)": _strrchr,
    "strpbrk(string $string, string $characters)": _strpbrk,
    "strspn(string $string, string $characters, int $offset = 0, ?int $length = null)": _span(True),
    "strcspn(string $string, string $characters, int $offset = 0, ?int $length = null)": _span(False),
    "str_contains(string $haystack, string $needle)": lambda haystack, needle: needle in haystack,
    "str_starts_with(string $haystack, string $needle)": lambda text, needle: text.startswith(needle),
    "str_ends_with(string $haystack, string $needle)": lambda text, needle: text.endswith(needle),
    "str_repeat(string $string, int $times)": _str_repeat,
    "str_pad(string $string, int $length, string $pad_string = ' ', int $pad_type = 1)": _str_pad,
    "str_replace(array|string $search, array|string $replace, string|array $subject, mixed &$count = null)": _replace(_same, "str_replace"),
    "str_ireplace(array|string $search, array|string $replace, string|array $subject, mixed &$count = null)": _replace(bytes.lower, "str_ireplace"),
    "strtr(string $string, string|array $from, ?string $to = null)": _strtr,
    "wordwrap(string $string, int $width = 75, string $break = '', bool $cut_long_words = false)": _wordwrap,
    "nl2br(string $string, bool $use_xhtml = true)": _nl2br,
    "addslashes(string $string)": _addslashes,
    "stripslashes(string $string)": _stripslashes,
    "similar_text(string $string1, string $string2, mixed &$percent = null)": _similar_text,
    "levenshtein(string $string1, string $string2)": _levenshtein,
    "strcmp(string $string1, string $string2)": lambda php, a, b: _sign(php, a, b),
    "strcasecmp(string $string1, string $string2)": _strcasecmp,
    "strncmp(string $string1, string $string2, int $length)": _strncmp("strncmp", _same),
    "strncasecmp(string $string1, string $string2, int $length)": _strncmp("strncasecmp", bytes.lower),
    "ord(string $character)": lambda character: character[0] if character else 0,
    "chr(int $codepoint)": lambda codepoint: bytes([codepoint % 256]),
    "ctype_digit(mixed $text)": _ctype(_DIGITS),
    "ctype_alpha(mixed $text)": _ctype(_LETTERS),
    "ctype_alnum(mixed $text)": _ctype(_LETTERS + _DIGITS),
    "ctype_upper(mixed $text)": _ctype(_UPPER),
    "ctype_lower(mixed $text)": _ctype(_LOWER),
    "ctype_xdigit(mixed $text)": _ctype(_DIGITS + b"abcdefABCDEF"),
    "ctype_space(mixed $text)": _ctype(b" \t\n\r\v\f"),
    "ctype_punct(mixed $text)": _ctype(bytes(b for b in _GRAPHIC if b not in _LETTERS + _DIGITS)),
})  # fmt: skip
