"""Translations: `__()`, `trans()`, `trans_choice()` and the facade Lang, from the app's language files.

Packages' lines (`package::key`) are refused, and so is everything where the app changes how lines are found.
Sources: Translation/{Translator,MessageSelector,FileLoader}.php, Support/NamespacedItemResolver.php, 8.70 to
13.31; what changed between is asked of the release.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol

from bridge.errors import Refused
from bridge.phpeval.laravel.support import arr
from bridge.phpeval.laravel.support.arr import is_items, items_of
from bridge.phpeval.laravel.support.collection_items import release
from bridge.phpeval.laravel.support.native_class import Act, NativeClass, array, text
from bridge.phpeval.laravel.support.str import STR
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.values import PhpArray, Value, array_key

_LANG = ("Illuminate\\Support\\Facades\\Lang", "Lang")
_SINCE = (8, 70)  # older releases find the folder, and put values in, in another way
# The framework has English lines of its own for these, beneath the app's.
_OF_FRAMEWORK = (b"auth", b"pagination", b"passwords", b"validation")
_EMPTY = (None, b"", b"0")
_NO_VALUES = PhpArray()


class Lines(Protocol):
    """The app's language files. Both methods give an empty array where there is no file.

    An object in an array stands for what only PHP could tell."""

    locale: bytes
    fallback: bytes | None

    def json(self, locale: bytes) -> PhpArray: ...

    def group(self, locale: bytes, group: bytes) -> PhpArray: ...


def _lines(php: Interpreter) -> Lines:
    if release(php) < _SINCE:
        php.refuse(f"a translation before Laravel {'.'.join(map(str, _SINCE))}")
    found: Lines | Refused | None = getattr(php.environment, "lines", None)
    if isinstance(found, Refused):
        raise found.anew()
    if found is None:
        php.refuse("a translation")
    return found


def _spoken(php: Interpreter, lines: Lines, locale: Value) -> bytes:
    spoken = lines.locale if locale in _EMPTY else text(php, locale)
    if re.search(rb"[/\\\0]|\.\.", spoken) or spoken in _EMPTY:
        php.refuse("a translation into this language")
    return spoken


# ---- finding a line -------------------------------------------------------------------------------


def _get(
    php: Interpreter,
    name: str,
    key: Value,
    replace: Value = _NO_VALUES,
    locale: Value = None,
    fallback: Value = True,
) -> Value:
    """`Translator::get`."""
    lines, wanted = _lines(php), text(php, key)
    values = array(php, replace)
    spoken = _spoken(php, lines, locale)
    line = lines.json(spoken).get(array_key(wanted))
    if line is None:
        found = _in_groups(php, lines, wanted, values, spoken, fallback)
        if found is not None:
            return found
    elif not isinstance(line, bytes):
        php.refuse("a translation that is no text")
    return _replaced(php, wanted if line in _EMPTY else line, values)


def _in_groups(
    php: Interpreter, lines: Lines, key: bytes, values: PhpArray, spoken: bytes, fallback: Value
) -> Value:
    """The line of `group.item`, in the language or in the one that the app falls back to."""
    if b"::" in key:
        php.refuse("a translation of a package")
    group, dot, rest = key.partition(b".")
    item = rest if dot else None
    if group == b"*" or re.search(rb"\0|\.\.|//|\A/|(\A|/)\./", group):
        php.refuse("a translation by this key")
    if fallback is not True and fallback is not False:
        php.refuse("a translation with this argument")
    languages = [spoken, lines.fallback] if fallback and lines.fallback not in _EMPTY else [spoken]
    for language in languages:
        line = _line(php, lines, language or b"", group, item)
        if isinstance(line, bytes):
            return _replaced(php, line, values)
        if isinstance(line, PhpArray) and line:
            return _each_replaced(php, line, values)
    return None


def _line(php: Interpreter, lines: Lines, language: bytes, group: bytes, item: bytes | None) -> Value:
    held = lines.group(_spoken(php, lines, language), group)
    line = arr.get(php, held, item)
    beneath = language == b"en" and group in _OF_FRAMEWORK and release(php) >= (10, 0)
    if beneath and not isinstance(line, bytes):
        php.refuse("a translation that is Laravel's own")
    if any(not isinstance(one, bytes | bool | int | float | None) for one in _leaves(line)):
        php.refuse("a translation that only PHP could tell")
    return line


def _leaves(line: Value) -> Iterator[Value]:
    if isinstance(line, PhpArray):
        for one in line.values():
            yield from _leaves(one)
    else:
        yield line


# ---- putting values in ----------------------------------------------------------------------------


def _replaced(php: Interpreter, line: bytes, values: PhpArray) -> bytes:
    """`Translator::makeReplacements`."""
    if not values:
        return line
    pairs = PhpArray()
    for key, value in values.items():
        if not isinstance(value, bytes | bool | int | float | None):
            php.refuse("a translation with this value")
        name, shown = php.text(key), php.text(value)
        for change in ("ucfirst", "upper"):
            changed = [text(php, php.call_static(STR, change, (one,))) for one in (name, shown)]
            pairs[b":" + changed[0]] = changed[1]
        pairs[b":" + name] = shown
    strtr = php.environment.functions["strtr"]
    return text(php, strtr(php, (line, pairs)))  # type: ignore[operator]  # it changes no argument


def _each_replaced(php: Interpreter, line: PhpArray, values: PhpArray) -> PhpArray:
    if not values:
        return line
    deep = any(isinstance(one, PhpArray) for one in line.values())
    if (deep and release(php) < (9, 9)) or any(not isinstance(one, bytes) for one in _leaves(line)):
        php.refuse("values in a translation of several lines")
    result = PhpArray()
    for key, one in line.items():
        if isinstance(one, PhpArray):
            result[key] = _each_replaced(php, one, values)
        else:
            result[key] = _replaced(php, text(php, one), values)
    return result


# ---- by number ------------------------------------------------------------------------------------


def _choice(
    php: Interpreter, name: str, key: Value, number: Value, replace: Value = _NO_VALUES, locale: Value = None
) -> Value:
    """`Translator::choice`."""
    lines = _lines(php)
    values = array(php, replace)
    count = len(items_of(php, number)) if is_items(number) else number
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        php.refuse("a translation by this number")
    spoken = _spoken(php, lines, locale)
    newer = release(php)
    if newer >= (11, 20) and not _has(php, name, key, spoken, False):
        if lines.fallback in _EMPTY:
            php.refuse("a translation without a language to fall back to")
        spoken = lines.fallback or b""
    line = text(php, _get(php, name, key, _NO_VALUES if newer >= (11, 30) else values, spoken))
    if newer < (11, 32) or values.get(b"count") is None:
        values = values.copy()
        values[b"count"] = count
    return _replaced(php, _chosen(php, line, count, spoken), values)


_CONDITION = re.compile(rb"[{\[]([^\[\]{}]*)[}\]](.*)", re.DOTALL)
_NUMERIC_CONDITION = re.compile(rb"[{\[]([-?\d|*,.]*)[}\]](.*)", re.DOTALL)
_RANGE = re.compile(rb"(-?\d{1,18}|\*),(-?\d{1,18}|\*)")


def _chosen(php: Interpreter, line: bytes, number: int, locale: bytes) -> bytes:
    """`MessageSelector::choose`."""
    segments = line.split(b"|")
    newer = release(php)
    if (12, 48) <= newer < (12, 51) and any(one[:1] in (b"{", b"[") for one in segments):
        php.refuse("a translation by number with conditions in Laravel 12.48 to 12.50")
    condition = _NUMERIC_CONDITION if newer >= (12, 51) else _CONDITION
    for segment in segments:
        found = condition.match(segment)
        if found is not None and _holds(php, found[1], number):
            return found[2].strip(b" \n\r\t\v\0")
    segments = [found[2] if (found := condition.match(one)) else one for one in segments]
    if len(segments) == 1:
        return segments[0]
    at = _plural(php, locale, number)
    return segments[at] if at < len(segments) else segments[0]


def _holds(php: Interpreter, condition: bytes, number: int) -> bool:
    if re.fullmatch(rb"-?\d{1,18}", condition):
        return int(condition) == number
    found = _RANGE.fullmatch(condition)
    if found is None or condition == b"*,*":
        php.refuse("a translation with this condition")
    low, high = found[1], found[2]
    return (low == b"*" or int(low) <= number) and (high == b"*" or number <= int(high))


def _slavic(number: int) -> int:
    if number % 10 == 1 and number % 100 != 11:
        return 0
    return 1 if 2 <= number % 10 <= 4 and not 10 <= number % 100 < 20 else 2


def _polish(number: int) -> int:
    if number == 1:
        return 0
    return 1 if 2 <= number % 10 <= 4 and not 12 <= number % 100 <= 14 else 2


def _lithuanian(number: int) -> int:
    if number % 10 == 1 and number % 100 != 11:
        return 0
    return 1 if number % 10 >= 2 and not 10 <= number % 100 < 20 else 2


def _latvian(number: int) -> int:
    if number == 0:
        return 0
    return 1 if number % 10 == 1 and number % 100 != 11 else 2


def _slovenian(number: int) -> int:
    return {1: 0, 2: 1, 3: 2, 4: 2}.get(number % 100, 3)


def _romanian(number: int) -> int:
    if number == 1:
        return 0
    return 1 if number == 0 or 0 < number % 100 < 20 else 2


def _arabic(number: int) -> int:
    if number < 3:
        return number
    return 3 if 3 <= number % 100 <= 10 else 4 if number % 100 >= 11 else 5


# Languages and, after a colon, the regions that Laravel lists; others have no rule here.
_RULES: tuple[tuple[Callable[[int], int], str], ...] = (
    (
        lambda number: 0,
        "az bo dz id:ID ja:JP jv ka km kn ko:KR ms:MY th:TH tr:TR vi:VN zh:CN,HK,SG,TW",
    ),
    (
        lambda number: int(number != 1),
        "af bn bg:BG ca:ES da:DK de:AT,BE,CH,DE,LI,LU el:GR en:AU,CA,GB,HK,IE,IN,NZ,PH,SG,US,ZA eo "
        "es:AR,BO,CL,CO,CR,CU,DO,EC,ES,GT,HN,MX,NI,PA,PE,PR,PY,SV,US,UY,VE et:EE eu fa:IR fi:FI fo fur fy "
        "gl gu ha he:IL hu:HU is:IS it:CH,IT ku lb:LU ml mn:MN mr nah nb:NO ne:NP nl:BE,NL nn:NO no om or pa "
        "pap ps pt:BR,PT so sq sv:FI,SE sw ta te tk ur:PK zu",
    ),
    (
        lambda number: int(number > 1),
        "am bh fil:PH fr:BE,CA,CH,FR,LU gun hi:IN hy:AM ln mg nso ti wa xbr",
    ),
    (_slavic, "be:BY bs:BA hr:HR ru:RU,UA sr:ME,RS uk:UA"),
    (lambda number: 0 if number == 1 else 1 if 2 <= number <= 4 else 2, "cs:CZ sk:SK"),
    (lambda number: number - 1 if number in (1, 2) else 2, "ga:IE"),
    (_lithuanian, "lt:LT"),
    (_slovenian, "sl:SI"),
    (_latvian, "lv:LV"),
    (_polish, "pl:PL"),
    (_romanian, "ro:RO"),
    (_arabic, "ar:AE,BH,DZ,EG,IQ,JO,KW,LB,LY,MA,OM,QA,SA,SD,SY,TN,YE"),
)


def _names(languages: str) -> Iterator[bytes]:
    for one in languages.split():
        language, _, regions = one.partition(":")
        yield language.encode()
        for region in filter(None, regions.split(",")):
            yield f"{language}_{region}".encode()


_PLURALS = {name: rule for rule, languages in _RULES for name in _names(languages)}


def _plural(php: Interpreter, locale: bytes, number: int) -> int:
    """`MessageSelector::getPluralIndex`."""
    rule = _PLURALS.get(locale)
    if rule is None:
        php.refuse(f"the plural of {locale.decode('utf-8', 'replace')}")
    return rule(number)


# ---- what an event calls --------------------------------------------------------------------------


def _has(php: Interpreter, name: str, key: Value, locale: Value = None, fallback: Value = True) -> bool:
    """`Translator::has`."""
    lines = _lines(php)
    line = _get(php, name, key, _NO_VALUES, locale, fallback)
    in_json = lines.json(_spoken(php, lines, locale)).get(array_key(text(php, key))) is not None
    if in_json and line == key and release(php) < (10, 14):
        php.refuse("whether there is a translation that is like its key")
    return in_json or line != key


def _translated(
    php: Interpreter, name: str, key: Value = None, replace: Value = _NO_VALUES, locale: Value = None
) -> Value:
    """`__()` and `trans()`."""
    if key is None and name == "__":
        return None
    return _get(php, name, key, replace, locale)


TRANSLATION_FUNCTIONS: dict[str, Act] = {"__": _translated, "trans": _translated, "trans_choice": _choice}
TRANSLATION_CLASSES = dict.fromkeys(
    _LANG,
    NativeClass(
        methods={},
        statics={
            "get": _get,
            "choice": _choice,
            "has": _has,
            "hasForLocale": lambda php, name, key, locale=None: _has(php, name, key, locale, False),
            "getLocale": lambda php, name: _lines(php).locale,
            "locale": lambda php, name: _lines(php).locale,
        },
    ),
)
