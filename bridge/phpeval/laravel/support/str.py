"""`Str` and its fluent twin `Stringable`. One row a method: what it does with the subject, and where the
subject stands among the arguments of the static form.

What only PHP's own functions decide is left to those of the Environment. Refused where releases differ.

Sources: Illuminate/Support/{Str,Stringable}.php, 8.83 to 13.26.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bridge.phpeval.laravel import inflection
from bridge.phpeval.laravel.support import releases
from bridge.phpeval.laravel.support.arr import is_items, items_of
from bridge.phpeval.laravel.support.collection_items import collection, release
from bridge.phpeval.laravel.support.native_class import Act, NativeClass, array, flag, run, text, whole
from bridge.phpeval.php.runtime.interpreter import Interpreter, Native, ReferenceFunction
from bridge.phpeval.php.runtime.operators import is_numeric
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value

STR = "Illuminate\\Support\\Str"
STRINGABLE = "Illuminate\\Support\\Stringable"

_VALUE = b"\0*\0value"
_ASCII_SPACE = b" \t\n\v\f\r"
_TRIMMED = b" \n\r\t\v\0"


class Method(NamedTuple):
    """`act(php, subject, *arguments)`; `position` of the subject in `Str::name(…)`."""

    act: Act
    position: int = 0


def _function(php: Interpreter, name: str, *arguments: Value) -> Value:
    function = php.environment.functions.get(name)
    if function is None:
        php.refuse(f"the function {name}()")
    if isinstance(function, ReferenceFunction):
        return function.act(php, arguments)[0]
    return function(php, arguments)


def _by_function(name: str) -> Act:
    """A method that is a PHP function of the subject."""
    return lambda php, subject: _function(php, name, subject)


def _length(php: Interpreter, subject: bytes, *encoding: Value) -> Value:
    return _function(php, "mb_strlen", subject, *encoding[:1])


def _substr(php: Interpreter, subject: bytes, start: Value, length: Value = None, *encoding: Value) -> Value:
    return _function(php, "mb_substr", subject, start, length, *encoding[:1])


def _substr_count(
    php: Interpreter, subject: bytes, needle: Value, offset: Value = 0, length: Value = None
) -> Value:
    return _function(php, "substr_count", subject, needle, offset, length)


def _ascii(php: Interpreter, subject: bytes) -> bytes:
    if not subject.isascii():
        php.refuse("the spelling of this text in ASCII")
    return subject


def _in_ascii(php: Interpreter, subject: bytes) -> bytes:
    """The text in ASCII; refused for letters whose transliteration differs between Laravel's releases."""
    if subject.isascii() and subject.decode().isprintable():
        return subject
    return "".join(_spelled(php, sign) for sign in inflection.decode(subject)).encode()


def _spelled(php: Interpreter, sign: str) -> str:
    if " " <= sign <= "~":
        return sign
    if sign in _LATIN:
        return _LATIN[sign]
    base = unicodedata.normalize("NFD", sign)[0]
    if not ("\u00c0" <= sign <= "\u017f" and base < "\x80" and base.isalpha()):
        php.refuse("the spelling of this text in ASCII")
    return base


# Letters that do not come apart into a base and marks; alike in all releases of voku/portable-ascii.
_LATIN = {
    "Æ": "AE", "Ð": "D", "Ø": "O", "Þ": "TH", "ß": "ss", "æ": "ae", "ð": "d", "ø": "o", "þ": "th",
    "Đ": "D", "đ": "d", "Ł": "L", "ł": "l", "Œ": "OE", "œ": "oe", "ı": "i",
}  # fmt: skip


def _texts(php: Interpreter, value: Value) -> list[bytes]:
    """One string or an array of them."""
    return [text(php, one) for one in (value.values() if isinstance(value, PhpArray) else (value,))]


# ---- tests -------------------------------------------------------------------------------------------


def _contains(php: Interpreter, subject: bytes, needles: Value, ignore_case: Value = False) -> bool:
    inflection.decode(subject)
    wanted = _texts(php, needles)
    if flag(php, ignore_case):
        subject, wanted = inflection.lower(subject), [inflection.lower(one) for one in wanted]
    return any(one and one in subject for one in wanted)


def _contains_all(php: Interpreter, subject: bytes, needles: Value, ignore_case: Value = False) -> bool:
    wanted = array(php, needles)
    if not wanted:
        php.refuse("containsAll() of nothing")
    return all(_contains(php, subject, one, ignore_case) for one in wanted.values())


def _starts_with(php: Interpreter, subject: bytes, needles: Value) -> bool:
    return any(one and subject.startswith(one) for one in _texts(php, needles))


def _ends_with(php: Interpreter, subject: bytes, needles: Value) -> bool:
    return any(one and subject.endswith(one) for one in _texts(php, needles))


def _is(php: Interpreter, subject: bytes, patterns: Value) -> bool:
    for pattern in _texts(php, patterns):
        if pattern == subject:
            return True
        if is_numeric(pattern) and is_numeric(subject):
            php.refuse("Str::is() of two numbers")
        if b"\n" in subject and b"*" in pattern:
            php.refuse("Str::is() of several lines")
        parts = [re.escape(part) for part in inflection.decode(pattern).split("*")]
        if re.fullmatch(".*".join(parts), inflection.decode(subject)):
            return True
    return False


_UUID = re.compile(rb"[\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}")


# ---- parts -------------------------------------------------------------------------------------------


def _after(php: Interpreter, subject: bytes, search: Value) -> bytes:
    wanted = text(php, search)
    return subject.partition(wanted)[2] if wanted and wanted in subject else subject


def _after_last(php: Interpreter, subject: bytes, search: Value) -> bytes:
    wanted = text(php, search)
    inflection.decode(subject)
    return subject.rpartition(wanted)[2] if wanted and wanted in subject else subject


def _before(php: Interpreter, subject: bytes, search: Value) -> bytes:
    wanted = text(php, search)
    return subject.partition(wanted)[0] if wanted else subject


def _before_last(php: Interpreter, subject: bytes, search: Value) -> bytes:
    wanted = text(php, search)
    inflection.decode(subject)
    return subject.rpartition(wanted)[0] if wanted and wanted in subject else subject


def _between(php: Interpreter, subject: bytes, start: Value, end: Value) -> bytes:
    if not text(php, start) or not text(php, end):
        return subject
    return _before_last(php, _after(php, subject, start), end)


def _between_first(php: Interpreter, subject: bytes, start: Value, end: Value) -> bytes:
    if not text(php, start) or not text(php, end):
        return subject
    return _before(php, _after(php, subject, start), end)


def _limit(php: Interpreter, subject: bytes, limit: Value = 100, end: Value = b"...") -> bytes:
    width = whole(php, limit)
    # More characters than columns are too wide, whatever the width of each.
    wide = len(inflection.decode(subject)) > width
    if not wide and whole(php, _function(php, "mb_strwidth", subject, b"UTF-8")) <= width:
        return subject
    if width < 0:
        php.refuse("Str::limit() with a negative limit")
    cut = text(php, _function(php, "mb_strimwidth", subject, 0, width, b"", b"UTF-8"))
    return cut.rstrip(_TRIMMED) + text(php, end)


def _words(php: Interpreter, subject: bytes, count: Value = 100, end: Value = b"...") -> bytes:
    most = whole(php, count)
    if not 0 < most < 65536:
        php.refuse("Str::words() with this number")
    white = inflection.WHITE
    subject_text = inflection.decode(subject)
    match = re.match(rf"[{white}]*+(?:[^{white}]++[{white}]*+){{1,{most}}}", subject_text)
    if match is None or len(match[0]) == len(subject_text):
        return subject
    return match[0].encode().rstrip(_TRIMMED) + text(php, end)


def _mask(php: Interpreter, subject: bytes, character: Value, index: Value, length: Value = None) -> bytes:
    sign = inflection.decode(text(php, character))[:1]
    if not sign:
        return subject
    start = whole(php, index)
    whole_text = inflection.decode(subject)
    segment = text(php, _function(php, "mb_substr", subject, start, length, b"UTF-8")).decode()
    if not segment:
        return subject
    begin = max(len(whole_text) + start, 0) if start < 0 else start
    if whole_text.find(segment) != begin and release(php) < (9, 12):
        php.refuse("Str::mask() of what stands twice in the text, before Laravel 9.12")
    return (whole_text[:begin] + sign * len(segment) + whole_text[begin + len(segment) :]).encode()


def _ucsplit(php: Interpreter, subject: bytes) -> PhpArray:
    result: list[str] = []
    for character in inflection.decode(subject):
        if result and not _is_capital(character):
            result[-1] += character
        else:
            result.append(character)
    return PhpArray.of(part.encode() for part in result)


def _is_capital(character: str) -> bool:
    return unicodedata.category(character) == "Lu"


# ---- changes -----------------------------------------------------------------------------------------


def _headline(php: Interpreter, subject: bytes) -> bytes:
    if release(php) < (8, 81):
        php.refuse("Str::headline() before Laravel 8.81")
    if subject.strip(_ASCII_SPACE) != subject or re.search(rb"[\t\n\v\f\r]", subject):
        php.refuse("Str::headline() with blanks other than single spaces")
    _ascii(php, subject)
    parts = subject.split(b" ")
    if len(parts) == 1:
        parts = [text(php, part) for part in _ucsplit(php, subject).values()]
    titled = b"_".join(_title(php, part) for part in parts)
    words = re.sub(rb"[-_ ]", b"_", titled).split(b"_")
    return b" ".join(word for word in words if word not in (b"", b"0"))


def _title(php: Interpreter, subject: bytes) -> bytes:
    return text(php, _function(php, "mb_convert_case", subject, 2, b"UTF-8"))


def _slug(php: Interpreter, subject: bytes, separator: Value = b"-") -> bytes:
    sign = text(php, separator)
    if sign not in (b"-", b"_", b"."):
        php.refuse("Str::slug() with this separator")
    flip = b"_" if sign == b"-" else b"-"
    title = re.sub(re.escape(flip) + b"+", sign, _in_ascii(php, subject)).replace(b"@", sign + b"at" + sign)
    title = re.sub(rb"[^%ba-z0-9\s]+" % re.escape(sign), b"", title.lower())
    return re.sub(rb"[%b\s]+" % re.escape(sign), sign, title).strip(sign)


def _finish(php: Interpreter, subject: bytes, cap: Value) -> bytes:
    end = text(php, cap)
    if subject.endswith(b"\n"):
        php.refuse("Str::finish() of a text that ends a line")
    inflection.decode(subject)
    while end and subject.endswith(end):
        subject = subject[: -len(end)]
    return subject + end


def _start(php: Interpreter, subject: bytes, prefix: Value) -> bytes:
    begin = text(php, prefix)
    inflection.decode(subject)
    while begin and subject.startswith(begin):
        subject = subject[len(begin) :]
    return begin + subject


def _replace(php: Interpreter, subject: bytes, search: Value, replacement: Value) -> Value:
    return _function(php, "str_replace", _several(php, search), _several(php, replacement), subject)


def _remove(php: Interpreter, subject: bytes, search: Value) -> Value:
    if isinstance(search, PhpObject) and release(php) < (13, 7):
        php.refuse("Str::remove() of an object")
    return _function(php, "str_replace", _several(php, search), b"", subject)


def _several(php: Interpreter, value: Value) -> Value:
    """Texts that may come as a collection from 9.29 on."""
    if isinstance(value, PhpObject) and value.class_name != STRINGABLE:
        if not is_items(value) or release(php) < (9, 29):
            php.refuse("Str::replace() with this object")
        return items_of(php, value)
    return value


def _replace_first(php: Interpreter, subject: bytes, search: Value, replacement: Value) -> bytes:
    wanted = text(php, search)
    return subject.replace(wanted, text(php, replacement), 1) if wanted else subject


def _replace_last(php: Interpreter, subject: bytes, search: Value, replacement: Value) -> bytes:
    wanted = text(php, search)
    if not wanted or wanted not in subject:
        return subject
    head, _, tail = subject.rpartition(wanted)
    return head + text(php, replacement) + tail


def _replace_array(php: Interpreter, subject: bytes, search: Value, replacements: Value) -> bytes:
    wanted = text(php, search)
    if not wanted:
        php.refuse("Str::replaceArray() of nothing")
    given = [text(php, one) for one in array(php, replacements).values()]
    head, *segments = subject.split(wanted)
    spare = given + [wanted] * len(segments)
    return head + b"".join(one + segment for one, segment in zip(spare, segments, strict=False))


def _squish(php: Interpreter, subject: bytes) -> bytes:
    if b"\0" in subject or release(php) < (9, 8):
        php.refuse("Str::squish() of a text with NUL, or before Laravel 9.8,")
    return re.sub(rb"[ \t\n\v\f\r]+", b" ", _ascii(php, subject).strip(_ASCII_SPACE))


def _padded(side: int) -> Act:
    def act(php: Interpreter, subject: bytes, length: Value, pad: Value = b" ") -> Value:
        more = len(subject) - len(inflection.decode(subject))
        if more and release(php) < (9, 8):
            php.refuse("a text padded that is not ASCII, before Laravel 9.8,")
        with_sign = _ascii(php, text(php, pad))
        if not with_sign:
            php.refuse("a text padded with nothing, in which Laravel's releases differ,")
        return _function(php, "str_pad", subject, whole(php, length) + more, with_sign, side)

    return act


def _plural(php: Interpreter, subject: bytes, count: Value = 2) -> bytes:
    return inflection.plural(subject, len(count) if isinstance(count, PhpArray) else whole(php, count))


def _plural_studly(php: Interpreter, subject: bytes, count: Value = 2) -> bytes:
    number = len(count) if isinstance(count, PhpArray) else whole(php, count)
    return inflection.plural_studly(subject, number)


def _plain(change: Callable[[bytes], bytes]) -> Act:
    return lambda php, subject: change(subject)


def _is_uuid(php: Interpreter, subject: bytes) -> bool:
    if release(php) == (10, 23):
        php.refuse("Str::isUuid() of Laravel 10.23, which is stricter than others,")
    return _UUID.fullmatch(subject) is not None


def _studly(change: Callable[[bytes], bytes]) -> Act:
    def act(php: Interpreter, subject: bytes) -> bytes:
        if not subject.isascii() and release(php) < (8, 81):
            php.refuse("Str::studly() of letters outside of ASCII before Laravel 8.81")
        return change(subject)

    return act


METHODS: dict[str, Method] = {
    "after": Method(_after),
    "afterLast": Method(_after_last),
    "ascii": Method(_in_ascii),
    "before": Method(_before),
    "beforeLast": Method(_before_last),
    "between": Method(_between),
    "betweenFirst": Method(_between_first),
    "camel": Method(_studly(inflection.camel)),
    "contains": Method(_contains),
    "containsAll": Method(_contains_all),
    "endsWith": Method(_ends_with),
    "finish": Method(_finish),
    "headline": Method(_headline),
    "is": Method(_is, 1),
    "isAscii": Method(lambda php, subject: subject.isascii()),
    "isUuid": Method(_is_uuid),
    "kebab": Method(lambda php, subject: inflection.snake(subject, b"-")),
    "length": Method(_length),
    "limit": Method(_limit),
    "lower": Method(_by_function("mb_strtolower")),
    "mask": Method(_mask),
    "padBoth": Method(_padded(2)),
    "padLeft": Method(_padded(0)),
    "padRight": Method(_padded(1)),
    "plural": Method(_plural),
    "pluralStudly": Method(_plural_studly),
    "remove": Method(_remove, 1),
    "repeat": Method(lambda php, subject, times: _function(php, "str_repeat", subject, times)),
    "replace": Method(_replace, 2),
    "replaceArray": Method(_replace_array, 2),
    "replaceFirst": Method(_replace_first, 2),
    "replaceLast": Method(_replace_last, 2),
    "reverse": Method(lambda php, subject: inflection.decode(subject)[::-1].encode()),
    "singular": Method(_plain(inflection.singular)),
    "slug": Method(_slug),
    "snake": Method(lambda php, subject, delimiter=b"_": inflection.snake(subject, text(php, delimiter))),
    "squish": Method(_squish),
    "start": Method(_start),
    "startsWith": Method(_starts_with),
    "studly": Method(_studly(inflection.studly)),
    "substr": Method(_substr),
    "substrCount": Method(_substr_count),
    "swap": Method(lambda php, subject, pairs: _function(php, "strtr", subject, array(php, pairs)), 1),
    "title": Method(_title),
    "ucfirst": Method(_plain(inflection.ucfirst)),
    "ucsplit": Method(_ucsplit),
    "upper": Method(_by_function("mb_strtoupper")),
    "wordCount": Method(lambda php, subject: _function(php, "str_word_count", subject)),
    "words": Method(_words),
}


def _subject(php: Interpreter, value: Value) -> bytes:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value).encode()
    if isinstance(value, PhpObject) and value.class_name == STRINGABLE:
        return text(php, value.properties.get(_VALUE))
    return text(php, value)


def _static(name: str, method: Method) -> Act:
    def act(php: Interpreter, class_name: str, *arguments: Value) -> Value:
        position = method.position
        if len(arguments) <= position:
            php.refuse(f"Str::{name}() with {len(arguments)} arguments")
        rest = [*arguments[:position], *arguments[position + 1 :]]
        return run(php, method.act, f"Str::{name}()", _subject(php, arguments[position]), rest)

    return act


# ---- Stringable ----------------------------------------------------------------------------------------


def stringable(value: bytes) -> PhpObject:
    return PhpObject(STRINGABLE, {_VALUE: value})


def _fluent(name: str, act: Act) -> Act:
    """The method on a Stringable: a text it gives is one too, an array a collection."""

    def call(php: Interpreter, subject: PhpObject, *arguments: Value) -> Value:
        value = run(php, act, f"Stringable::{name}()", _subject(php, subject), arguments)
        if isinstance(value, PhpArray):
            return collection(value)
        return stringable(value) if isinstance(value, bytes) else value

    return call


def _trim(strip: Callable[[bytes, bytes], bytes]) -> Act:
    def act(php: Interpreter, subject: bytes, characters: Value = _TRIMMED) -> bytes:
        if characters is _TRIMMED and (b"\f" in subject or not subject.isascii()):
            php.refuse("trim() of a text with blanks that releases treat differently")
        signs = text(php, characters)
        if b".." in signs or not signs.isascii():
            php.refuse("trim() of these characters")
        return strip(subject, signs)

    return act


def _joined(php: Interpreter, values: Sequence[Value]) -> bytes:
    return b"".join(_subject(php, one) for one in values)


def _base_name(path: bytes) -> bytes:
    return path.rstrip(b"/").rpartition(b"/")[2]


def _exactly(php: Interpreter, subject: bytes, value: Value) -> bool:
    """A Stringable is never the same as a text before 9.8, which does not look into it."""
    if isinstance(value, PhpObject) and value.class_name == STRINGABLE:
        return release(php) >= (9, 8) and subject == _subject(php, value)
    return subject == value


def _explode(php: Interpreter, subject: bytes, delimiter: Value, *limit: Value) -> Value:
    return _function(php, "explode", delimiter, subject, *limit)


_FLUENT_ONLY: dict[str, Act] = {
    "append": lambda php, subject, *values: subject + _joined(php, values),
    "prepend": lambda php, subject, *values: _joined(php, values) + subject,
    "basename": lambda php, subject: _base_name(subject),
    "classBasename": lambda php, subject: _base_name(subject.replace(b"\\", b"/")),
    "exactly": _exactly,
    "explode": _explode,
    "isEmpty": lambda php, subject: not subject,
    "isNotEmpty": lambda php, subject: bool(subject),
    "ltrim": _trim(bytes.lstrip),
    "stripTags": lambda php, subject: _function(php, "strip_tags", subject),
    "rtrim": _trim(bytes.rstrip),
    "trim": _trim(bytes.strip),
}

FLUENT: dict[str, Act] = {
    **{name: _fluent(name, method.act) for name, method in METHODS.items()},
    **{name: _fluent(name, act) for name, act in _FLUENT_ONLY.items()},
    **dict.fromkeys(
        ("__toString", "toString", "value", "jsonSerialize"), lambda php, subject: _subject(php, subject)
    ),
}

STATICS: dict[str, Act] = {
    **{name: _static(name, method) for name, method in METHODS.items()},
    "of": lambda php, class_name, value: stringable(_subject(php, value)),
}


def _made(php: Interpreter, class_name: str, value: Value = b"") -> PhpObject:
    return stringable(_subject(php, value))


_STR = NativeClass(methods={}, statics=STATICS, releases=releases.STR)
STR_CLASSES: dict[str, Native] = {
    STR: _STR,
    "Str": _STR,
    STRINGABLE: NativeClass(
        methods=FLUENT,
        make=_made,
        releases=releases.STRINGABLE,
    ),
}
