# ruff: noqa: E501
"""PHP's functions in ours and in PHP: tables of cases for every one, properties for the pure ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import Refused
from bridge.phpeval.php.functions import CONSTANTS, FUNCTIONS
from bridge.phpeval.php.runtime.interpreter import ReferenceFunction
from bridge.phpeval.php.runtime.values import PhpArray, Value
from tests.phpeval.php.function_cases import CASES, CLASSES, REFUSED
from tests.phpeval.php.oracle import Oracle, Outcome, serialize
from tests.phpeval.php.ours import Environment, evaluator, outcome_of, run
from tests.phpeval.php.serialization.test_json_encode import values
from tests.versions import php_release

_TABLE = [(name, case) for name, cases in CASES.items() for case in cases]


@pytest.fixture(scope="module", autouse=True)
def classes(php: Oracle) -> None:
    php.evaluate(CLASSES)


def test_every_function_has_cases() -> None:
    assert CASES.keys() | NEWER.keys() == set(FUNCTIONS)
    assert all(CASES.values())


@pytest.mark.parametrize(("name", "case"), _TABLE, ids=[case for _, case in _TABLE])
def test_same_as_php(php: Oracle, name: str, case: str) -> None:
    body = case if "return " in case or case.endswith(";") else f"return {case};"
    assert run(body, classes=CLASSES) == php.evaluate(body)


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    with pytest.raises(Refused):
        run(case if "return " in case else f"return {case};", classes=CLASSES)


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_are_phps(php: Oracle, name: str) -> None:
    assert Outcome(value=serialize(CONSTANTS[name])) == php.evaluate(f"return {name};")


def test_conversions_of_scalars_end_with_strict_types(php: Oracle) -> None:
    source = "declare(strict_types=1); class Strict { public static function run() { %s } }"
    for body in ("return strlen(5);", "return round('1');", "return strlen(null);", "return sqrt(4);",
                 "return array_map('strlen', [5]);", "return number_format(5);"):  # fmt: skip
        ours = evaluator(source % body)
        theirs = php.evaluate(f"declare(strict_types=1); {body}")
        assert outcome_of(lambda ours=ours: ours.call_static("Strict", "run")) == theirs, body


# ---- properties ---------------------------------------------------------------------------------

texts = st.one_of(
    st.text(alphabet="abAB01 -_,.äß", max_size=12).map(str.encode),
    st.binary(max_size=6),
    st.sampled_from([b"", b"0", b"10", b"1e1", b" 5", b"abc", b"a,b,,c", b"\0"]),
)
small = st.one_of(st.integers(-8, 8), st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]))
floats = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1e6, 1e6),
    st.integers(-10_000_000, 10_000_000).map(lambda n: n / 1000),
)
scalars = st.one_of(st.none(), st.booleans(), small, floats, texts)
keys = st.one_of(st.integers(-3, 6), st.sampled_from([b"a", b"b", b"c", b"A", b""]))
arrays = st.one_of(
    st.lists(st.one_of(small, texts), max_size=6).map(PhpArray.of),
    st.lists(scalars, max_size=6).map(PhpArray.of),
    st.dictionaries(keys, scalars, max_size=5).map(PhpArray),
)
anything = st.one_of(scalars, arrays)

_KINDS: dict[str, st.SearchStrategy[Value]] = {
    "t": texts,
    "i": small,
    "f": floats,
    "s": scalars,
    "a": arrays,
    "b": st.booleans(),
    "m": anything,
    "r": st.one_of(
        st.integers(-8, 8),
        st.integers(-20, 20).map(lambda n: n / 4),
        st.sampled_from([b"a", b"f", b"3", b"Z", b"-2", b"1.5"]),
    ),
}

# function: the kinds of its arguments, `?` before those that may be missing
PROPERTIES: dict[str, str] = {
    "strlen": "s", "strtolower": "t", "strtoupper": "t", "ucfirst": "t", "lcfirst": "t", "ucwords": "t?t", "strrev": "t",
    "trim": "t", "ltrim": "t", "rtrim": "t", "substr": "ti?i", "substr_count": "tt?i?i", "explode": "tt?i",
    "implode": "ta", "str_split": "ti", "chunk_split": "ti?t", "strpos": "tt?i", "stripos": "tt?i", "strrpos": "tt?i",
    "strripos": "tt?i", "strstr": "tt?b", "stristr": "tt", "strrchr": "tt", "strpbrk": "tt", "strspn": "tt?i?i",
    "strcspn": "tt?i?i", "str_contains": "tt", "str_starts_with": "tt", "str_ends_with": "tt", "str_repeat": "ti",
    "str_pad": "ti?t", "str_replace": "ttt", "str_ireplace": "ttt", "strtr": "ttt", "wordwrap": "tit?b", "nl2br": "t",
    "addslashes": "t", "strcmp": "tt", "strcasecmp": "tt", "strncmp": "tti", "strncasecmp": "tti", "stripslashes": "t", "similar_text": "tt", "levenshtein": "tt", "ord": "t", "chr": "i", "str_word_count": "t",
    "ctype_digit": "t", "ctype_alpha": "t", "ctype_alnum": "t", "ctype_punct": "t", "ctype_space": "t",
    "substr_replace": "tti?i", "md5": "t", "crc32": "t", "bin2hex": "t", "hex2bin": "t", "base64_encode": "t",
    "base64_decode": "t", "urlencode": "t", "rawurlencode": "t", "urldecode": "t", "rawurldecode": "t",
    "htmlspecialchars": "t", "htmlspecialchars_decode": "t", "http_build_query": "a",
    "mb_strlen": "t", "mb_substr": "ti?i", "mb_strtolower": "t", "mb_strtoupper": "t", "mb_str_split": "ti",
    "mb_strpos": "tt?i", "mb_substr_count": "tt", "mb_check_encoding": "t",
    "abs": "s", "floor": "s", "ceil": "s", "round": "f?i", "number_format": "f?i", "intdiv": "ii", "fmod": "ff",
    "fdiv": "ff", "sqrt": "f", "pow": "ff", "max": "mm", "min": "mm", "dechex": "i", "checkdate": "iii",
    "deg2rad": "f", "rad2deg": "f",
    "is_numeric": "m", "intval": "m", "floatval": "m", "boolval": "m", "strval": "m", "gettype": "m",
    "get_debug_type": "m", "is_scalar": "m", "count": "m",
    "in_array": "sa?b", "array_search": "sa?b", "array_keys": "a?s?b", "array_values": "a", "array_key_exists": "sa",
    "array_key_first": "a", "array_key_last": "a", "array_is_list": "a", "array_fill": "irs", "array_fill_keys": "as",
    "array_combine": "aa", "range": "rr?r", "array_pad": "ais", "array_slice": "ai?i?b", "array_splice": "ai?i",
    "array_chunk": "ai?b", "array_merge": "aa", "array_merge_recursive": "aa", "array_replace": "aa",
    "array_push": "ass", "array_unshift": "as", "array_pop": "a", "array_shift": "a", "array_flip": "a",
    "array_reverse": "a?b", "array_change_key_case": "a?i", "array_count_values": "a", "array_unique": "a?i",
    "array_diff": "aa", "array_diff_key": "aa", "array_diff_assoc": "aa", "array_intersect": "aa",
    "array_intersect_key": "aa", "array_intersect_assoc": "aa", "array_sum": "a", "array_product": "a",
    "array_filter": "a", "sort": "a", "rsort": "a", "asort": "a", "arsort": "a", "ksort": "a", "krsort": "a",
    "preg_quote": "t",
}  # fmt: skip


def _arguments(kinds: str) -> st.SearchStrategy[list[Value]]:
    needed: list[st.SearchStrategy[Value]] = []
    optional: list[st.SearchStrategy[Value]] = []
    maybe = False
    for kind in kinds:
        if kind == "?":
            maybe = True
        else:
            (optional if maybe else needed).append(_KINDS[kind])
    return st.integers(0, len(optional)).flatmap(lambda more: st.tuples(*needed, *optional[:more]).map(list))


@pytest.mark.parametrize("function", PROPERTIES)
def test_any_arguments_give_what_php_gives_or_are_refused(php: Oracle, function: str) -> None:
    @settings(max_examples=settings().max_examples // 4)
    @given(_arguments(PROPERTIES[function]))
    def check(arguments: list[Value]) -> None:
        compare_call(php, function, arguments)

    check()


def compare_call(php: Oracle, function: str, arguments: list[Value]) -> None:
    """Fails where ours gives another result, other arguments afterwards or another error than PHP."""
    act = FUNCTIONS[function]

    def call() -> Value:
        ours = evaluator()
        if isinstance(act, ReferenceFunction):
            own = [given.copy() if isinstance(given, PhpArray) else given for given in arguments]
            result, changed = act.act(ours, own)
            after = [changed.get(index, argument) for index, argument in enumerate(arguments)]
            return PhpArray.of((result, PhpArray.of(after)))
        return PhpArray.of((act(ours, arguments), PhpArray.of(arguments)))

    try:
        ours = outcome_of(call)
    except Refused:
        return
    theirs = php.call(function, arguments)
    assert ours == theirs, f"{function}({', '.join(map(repr, arguments))})"


@given(values, st.sampled_from([0, 64, 128, 256, 320, 448, 15, 143]))
def test_json_encode_with_flags_is_phps(php: Oracle, value: Value, flags: int) -> None:
    try:
        ours = outcome_of(lambda: FUNCTIONS["json_encode"](evaluator(), [value, flags]))  # type: ignore[operator]
    except Refused:
        return
    assert ours.value == serialize(php.json_encode(value, flags))


@given(st.text(alphabet='[]{}",:1-0.eE truefalsn\\u/dc8 \t', max_size=20), st.booleans())
def test_json_decode_of_any_text_is_phps(php: Oracle, text: str, associative: bool) -> None:
    compare_call(php, "json_decode", [text.encode(), associative])


@given(values, st.booleans())
def test_json_decode_reads_what_php_wrote(php: Oracle, value: Value, associative: bool) -> None:
    text = php.json_encode(value)
    if isinstance(text, bytes):
        compare_call(php, "json_decode", [text, associative])


_ATOMS = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "[ab]",
        "[^a]",
        r"\d",
        r"\w",
        r"\s",
        "-",
        "^",
        "$",
        "(a|b)",
        "(?:ab)",
        "(a)",
        r"\b",
        "[a-c]",
        r"\.",
        "|",
        "(?=b)",
        "(b)?",
        "ä",
        r"\x61",
        "(?<n>a)",
        "[[:digit:]]",
        "[]a]",
        "[a-]",
        r"\1",
        "(?>a|ab)",
        "(?<=a)",
        "(?<!\\d)",
        r"\pL",
        r"\p{Lu}",
        r"\PN",
        r"[\pL-]",
        "(?i)",
        "(?i:b)",
        "(?s:.)",
        r"\R",
        r"\h",
        "[à-ü]",
        "(?'m'b)",
        " ",
        "#",
        r"\x{e4}",
        "(?<=a|bc)",
        "(?<=a(b|c))",
        "(?>(a))",
        r"\Z",
        "{,2}",
        "{1, 2}",
        r"\p{Greek}",
        "(?R)",
        "(*FAIL)",
        r"\K",
        "(?#b)",
    ]
)
_QUANTIFIERS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "+?", "*+", "{2}+"])
_PATTERNS = st.tuples(
    st.lists(st.tuples(_ATOMS, _QUANTIFIERS).map("".join), min_size=1, max_size=5).map("".join),
    st.sampled_from(["", "i", "m", "s", "u", "D", "im", "iu", "x", "U", "uxD"]),
).map(lambda pattern: f"/{pattern[0]}/{pattern[1]}".encode())
_SUBJECTS = st.text(alphabet="aabbcAB01 -.\nääÄßẞσΣςжЖ日😀\u0301ſ", max_size=10).map(str.encode)


@given(_PATTERNS, _SUBJECTS, st.sampled_from([b"-", b"<$0>", b"$1", b"\\1$2"]))
def test_any_pattern_matches_as_in_php_or_is_refused(
    php: Oracle, pattern: bytes, subject: bytes, replacement: bytes
) -> None:
    compare_call(php, "preg_match", [pattern, subject, None])
    compare_call(php, "preg_match_all", [pattern, subject, None])
    compare_call(php, "preg_replace", [pattern, replacement, subject])
    for flags in range(4):
        compare_call(php, "preg_split", [pattern, subject, -1, flags])


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [
        (r"/[^\pL\d]+/u", "Ça va — très bien, 12 €"), (r"/(?<!^)[A-Z]/", "someCamelCase"),
        (r"/(.)(?=[A-Z])/u", "ÄpfelUndBirnen"), (r"/\b(\w)(\w*)\b/u", "élan vital"), (r"/(\d)(?=(\d{3})+$)/", "1234567"),
        (r"/^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.|$)){4}/", "192.168.1.20"), (r"/(['\"])(.*?)\1/", "say 'a' or \"b\""),
        (r"/@(\w+)/u", "hi @ann and @Жора"), (r"/\s{2,}/u", "a  b\u00a0\u00a0c"), (r"~<(\w+)[^>]*>.*?</\1>~si", "<B x>1</b>"),
        (r"/(?>\s+)$/", "trailing   "), (r"/^\p{Lu}\p{Ll}++$/u", "Émile"), (r"/(a+)+$/", "a" * 25 + "a"),
    ],
)  # fmt: skip
def test_patterns_of_every_day_are_answered(php: Oracle, pattern: str, subject: str) -> None:
    for body in ("preg_match_all({}, {}, $m); return $m;", "return preg_split({}, {}, -1, 3);"):
        source = body.format(_quoted(pattern), _quoted(subject))
        assert run(source) == php.evaluate(source)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


@pytest.mark.parametrize(
    "pattern",
    [r"/(a+)+$/", r"/^(\w+\s?)*$/", r"/(?:a|aa)+$/", r"/^(([a-z])+.)+[A-Z]([a-z])+$/"],
)
def test_a_search_without_end_is_refused_soon(pattern: str) -> None:
    with pytest.raises(Refused, match="might give up"):
        run(f"return preg_match('{pattern}', str_repeat('a', 5000) . '!');")


@given(
    st.text(alphabet="%$'-+0 12.5lsdfeuxXobcE*q", max_size=10).map(lambda text: f"%{text}".encode()),
    st.lists(scalars, max_size=3),
)
def test_any_format_gives_what_php_gives_or_is_refused(
    php: Oracle, format: bytes, given_: list[Value]
) -> None:
    compare_call(php, "sprintf", [format, *given_])


_PIECES = st.sampled_from(
    [
        "http",
        "https",
        "redis",
        "://",
        "//",
        "/",
        "a",
        "user",
        "@",
        ":",
        "h.org",
        "80",
        "65536",
        "0",
        "?",
        "#",
        "x=1",
        "&",
        ".",
        "-",
        "%",
        "ü",
        "[",
        "::1",
        "]",
    ]
)


@given(st.lists(_PIECES, min_size=1, max_size=9).map("".join))
def test_any_url_comes_apart_as_in_php_or_is_refused(php: Oracle, url: str) -> None:
    body = f"return [parse_url('{url}'), dirname('{url}')];"
    try:
        ours = run(body)
    except Refused:
        return
    assert ours == php.evaluate(body)


@given(floats, st.integers(-5, 12))
def test_rounding_is_phps_or_refused(php: Oracle, number: float, places: int) -> None:
    compare_call(php, "round", [number, places])
    compare_call(php, "number_format", [number, places])


def test_case_of_every_letter_is_phps_or_refused(php: Oracle) -> None:
    for function in ("mb_strtolower", "mb_strtoupper"):
        for start in range(0x80, 0x3000, 64):
            letters = [chr(code).encode() for code in range(start, start + 64)]
            known = []
            for letter in letters:
                try:
                    FUNCTIONS[function](evaluator(), [letter])  # type: ignore[operator]
                except Refused:
                    continue
                known.append(letter)
            compare_call(php, function, [b"|".join(known)])


# ---- newer releases ---------------------------------------------------------------------------------

# As PHP 8.4 gives it.
NEWER: dict[str, dict[str, Value]] = {
    "json_validate": {
        "json_validate('{\"a\": [1, null]}')": True,
        "json_validate('[1,]')": False,
        "json_validate('')": False,
        "json_validate('\"x')": False,
        "json_validate(' 1 ')": True,
    },
    "array_find": {
        "array_find(['a' => 1, 'b' => 2, 'c' => 3], fn ($v) => $v > 1)": 2,
        "array_find([1, 2], fn ($v, $k) => $k === 5)": None,
        "array_find([], fn ($v) => true)": None,
    },
    "array_find_key": {
        "array_find_key(['a' => 1, 'b' => 2], fn ($v, $k) => $k === 'b')": b"b",
        "array_find_key([5], fn ($v) => $v === 6)": None,
    },
    "array_any": {"array_any([1, 2], fn ($v) => $v > 1)": True, "array_any([], fn ($v) => true)": False},
    "array_all": {"array_all([1, 2], fn ($v) => $v > 1)": False, "array_all([], fn ($v) => false)": True},
    "mb_trim": {
        'mb_trim("\\u{00A0} ü \\u{3000}\\n")': "ü".encode(),
        "mb_trim('xyüyx', 'yx')": "ü".encode(),
        "mb_trim('a..c', '.c')": b"a",
    },
    "mb_ltrim": {'mb_ltrim("\\u{2003}a ")': b"a "},
    "mb_rtrim": {'mb_rtrim(" a\\u{2003}")': b" a"},
    "mb_ucfirst": {
        "mb_ucfirst('über alles')": "Über alles".encode(),
        "mb_ucfirst('')": b"",
        "mb_ucfirst('1a')": b"1a",
    },
    "mb_lcfirst": {"mb_lcfirst('ÜBER')": "üBER".encode()},
}
_NEWER = [(case, value) for cases in NEWER.values() for case, value in cases.items()]


@pytest.mark.parametrize(("case", "value"), _NEWER, ids=[case for case, _ in _NEWER])
def test_what_newer_php_has_is_given_there_and_refused_before(
    php: Oracle, case: str, value: Value, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refused, match="which PHP has from 8"):
        run(f"return {case};")
    monkeypatch.setattr(Environment, "PHP", (8, 4))
    assert run(f"return {case};") == Outcome(value=serialize(value))
    if php_release() >= (8, 4):
        assert php.evaluate(f"return {case};") == Outcome(value=serialize(value))
