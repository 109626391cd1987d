from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import ConfigurationError
from bridge.laravel.dotenv import convert, parse
from tests.phpeval.laravel.php import Php, php

ENVIRON = {"OUTSIDE": "from outside", "PHP_EMPTY": "", "WINS": "environment"}

_READ = r"""
    foreach (array_keys($_SERVER + $_ENV) as $name) { unset($_SERVER[$name], $_ENV[$name]); }
    foreach ($question['environ'] as $name => $value) { $_SERVER[$name] = $value; }
    $repository = Dotenv\Repository\RepositoryBuilder::createWithDefaultAdapters()->immutable()->make();
    $entries = (new Dotenv\Parser\Parser)->parse($question['text']);
    $found = (new Dotenv\Loader\Loader)->load($repository, $entries);
    return (object) array_filter($found, 'is_string');
"""

_ENV = r"""
    unset($_SERVER['X']); $_SERVER['X'] = $question; putenv('X');
    return Illuminate\Support\Env::get('X');
"""

FILES = [
    "A=1\nB=two words",
    'A=plain\nB=\'single $A ${A} # \\n\'\nC="double ${A} # \\n\\t\\\\ \\" \\$A"',
    "A=\nB=''\nC=\"\"\nD= \nE=#x\nF=a#b\nG=a #b\nH='a'#b\nI='a' # b",
    "export A=1\nexport\tB=2\nexport C = 3\nexportD=4\nexport=5",
    "'A'=1\n\"B\"=2\n'C=3",
    "A = spaced\n  B  =  x  \n\tC=y\t",
    "  # comment\n#A=1\nB=2 # c\n\n   \n",
    "A=1\r\nB=2\rC=3\n",
    'A="line one\nline two\n${OUTSIDE}"\nB=after',
    'A="open\nB=1\n\nC=2',
    'A="\nx\n"\nB=2',
    'A="a\\"\nb"\nB=1',
    'A="\\\\"\nB=1',
    'A="a\\\\"\nB=1',
    'A=x="y\nB=1"',
    "A=1\nA=2\nB=${A}\nA=3\nC=${A}",
    "A=1\nA\nB=${A}",
    "WINS=file\nB=${WINS}\nC=${PHP_EMPTY}|${MISSING}|$OUTSIDE|${ OUTSIDE}|${OUTSIDE",
    "A=B\nB=x\nC=${${A}}\nD=${A}${B}\nE=\\${A}\nF='${A}'\nG=\"\\${A}\"\nH=$${A}",
    "AB=x\nN=B\nC=${A${N}}",
    'A="bad \\q"',
    'A="bad \\nx \\rx \\f \\v"',
    "A='x' y",
    "A=x y",
    'A="unterminated',
    "A='unterminated",
    'A="ends with \\',
    "=x",
    "A B=x",
    "A-B=x",
    "A.B_1=x",
    "ALONE",
    " ALONE",
    'A=ünï ${OUTSIDE} ☃\nB="☃${A}☃${A}"',
    "A=a'b\"c\\d`e",
    "A=(x)\nB=a&b|c;d!e*f?g",
    "A=1=2=3",
    "A='it''s'",
    'A="x""y"',
    "A='a\nb'",
    "APP_KEY=base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    'DB_PASSWORD="s3cret # not a comment"',
    "A=x\x0b\nB=\x0cy\nC=\x00z",
    "A=\u00a0x\u00a0\nB=x\u2028y",
    'A="\\u0041"',
    "A=${}\nB=${A.B}\nC=${-}",
]


@pytest.fixture(scope="module")
def phpdotenv() -> Iterator[Php]:
    with php("require_once 'Dotenv/autoload.php';" + _READ) as process:
        yield process


@pytest.fixture(scope="module")
def laravel_env() -> Iterator[Php]:
    with php(_ENV) as process:
        yield process


def ours(text: str) -> dict[str, object]:
    try:
        return {"ok": parse(text, ENVIRON)}
    except ConfigurationError:
        return {"error": "Dotenv\\Exception\\InvalidFileException"}


@pytest.mark.parametrize("text", FILES)
def test_a_file_is_read_as_phpdotenv_reads_it(phpdotenv: Php, text: str) -> None:
    assert ours(text) == phpdotenv.ask({"text": text, "environ": ENVIRON})


_BITS = st.sampled_from(
    [
        "A",
        "B",
        "=",
        '"',
        "'",
        "#",
        " ",
        "\n",
        "\\",
        "$",
        "{",
        "}",
        "${A}",
        "\\n",
        "export ",
        "\t",
        "x",
        "ü",
        "\r\n",
        '="',
    ]
)


@settings(max_examples=400, deadline=None)
@given(bits=st.lists(_BITS, max_size=14))
def test_any_lines_are_read_as_phpdotenv_reads_them(phpdotenv: Php, bits: list[str]) -> None:
    text = "A=1\nB=" + "".join(bits)
    assert ours(text) == phpdotenv.ask({"text": text, "environ": ENVIRON})


@pytest.mark.parametrize(
    "value",
    ["true", "TRUE", "(true)", "(False)", "false", "null", "(NULL)", "empty", "(empty)", "", "'x'", '"x"',
     "\"x'", "''", "'", "0", "1", " true", "true ", "(true", "()", "'true'", '"a"b"', "'a\nb'"],
)  # fmt: skip
def test_env_converts_as_laravel_does(laravel_env: Php, value: str) -> None:
    assert {"ok": convert(value)} == laravel_env.ask(value)


def test_the_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert parse("\ufeffA=1", {}) == {"A": "1"}


@pytest.mark.parametrize(
    "text", ["X=1\n\nPASSWORD='canary", "X=1\n\nPASSWORD=canary canary", 'A="\n"\nPASSWORD="\\canary"']
)
def test_an_error_names_file_and_line_and_shows_no_value(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, {}, file="/app/.env")
    assert "/app/.env:3" in str(caught.value)
    assert "PASSWORD" in str(caught.value)
    assert "canary" not in str(caught.value)
