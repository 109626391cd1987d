# ruff: noqa: E501
"""The same PHP source in our evaluator and in PHP: every construct by hand, then programs made at random."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Refused
from tests.phpeval.php.oracle import Oracle
from tests.phpeval.php.ours import FILE, evaluator, refused, run
from tests.phpeval.php.programs import BODIES, CLASSES


@pytest.fixture(scope="module", autouse=True)
def classes(php: Oracle) -> None:
    outcome = php.evaluate(CLASSES)
    assert outcome.value is not None, outcome


@pytest.mark.parametrize("body", BODIES)
def test_same_as_php(php: Oracle, body: str) -> None:
    ours, theirs = run(body, classes=CLASSES), php.evaluate(body)
    assert (ours.value, ours.thrown) == (theirs.value, theirs.thrown)


def test_what_is_refused_again_and_again_keeps_nothing_of_the_times_before() -> None:
    php = evaluator("class Subject { const A = `ls`; public static function run() { return self::A; } }")
    depths = []
    for _ in range(3):
        with pytest.raises(Refused) as refusal:
            php.call_static("Subject", "run")
        met, depth = refusal.value.__traceback__, 0
        while met is not None:
            met, depth = met.tb_next, depth + 1
        depths.append(depth)
    assert depths[0] == depths[1] == depths[2]


def test_a_readonly_property_cannot_be_written_again(php: Oracle) -> None:
    body = "$s = new Square; $s->tag = 'x'; return $s->tag;"
    assert run(body, classes=CLASSES).thrown == php.evaluate(body).thrown == "Error"


REFUSED = [
    "$a = [1]; $y = &$a[0];", "$a = [1]; foreach ($a as &$x) {} foreach ($a as $x) {}",
    "foreach ([1] as &$x) { $x = 2; }", "[&$a] = [1];", "$a = [1]; $b = [&$a];", "$f = function &() {};",
    "static $x = 1;", "global $x;", "echo 'x';", "print 'x';", "include 'x.php';", "eval('return 1;');", "exit(1);",
    "goto end; end:", "return `ls`;", "$$x = 1;", "return $$x;",
    "return @file('x');", "return Square::$count;", "Square::$count = 1;", "return $GLOBALS;",
    "return -2 ** 2;", "return shell_exec('ls');", "return rand();", "return time();", "function inner() {} return inner();", "declare(ticks=1);",
    "return new Missing;", "return Missing::call();", "return Missing::CONSTANT;", "return MISSING;", "return missing();",
    "return extract([]);",
    "$s = 'abc'; $s['1x'] = 'x';", "$a = (array) new Square;", "return new Doomed;",
    "while (true) {}", "$f = fn ($f) => $f($f); return $f($f);", "$s = 'x'; while (true) { $s .= $s; }",
    "$s = 'x'; while (true) { $s = $s . $s; }", "$s = 'x'; while (true) { $s = \"$s$s\"; }",
    "$a = [1]; while (true) { $a = array_merge($a, $a); }", "return str_repeat(str_repeat('x', 8000000), 100);",
]  # fmt: skip


@pytest.mark.parametrize("body", REFUSED)
def test_what_is_not_known_is_refused_with_its_place(body: str) -> None:
    refusal = refused(f"\n\n{body}", classes=CLASSES)
    assert refusal is not None
    assert refusal.file == FILE
    assert refusal.line >= 3


@pytest.mark.parametrize("depth", [100, 150, 200, 250, 300, 400, 500, 2000])
@pytest.mark.parametrize(
    ("before", "after"), [("1 + ", ""), ("'a' . ", ""), ("(", ")"), ("[", "]"), ("fn () => ", "")]
)
def test_expressions_nested_deep_are_evaluated_or_refused(before: str, after: str, depth: int) -> None:
    body = f"$x = 1; return {before * depth}$x{after * depth};"
    refusal = refused(body, classes="")
    assert refusal is None or refusal.file == FILE


def test_a_file_that_cannot_be_parsed_is_refused_with_its_line() -> None:
    with pytest.raises(Refused) as caught:
        run("\n return 1 +;")
    assert caught.value.line >= 2


# ---- random programs ------------------------------------------------------------------------------

_VARIABLES = st.sampled_from(["$a", "$b", "$c"])
_LEAVES = st.one_of(
    _VARIABLES,
    st.sampled_from(["0", "1", "-1", "2", "7", "1.5", "0.1", "'a'", "'10'", "'1e1'", "''", "'0'", "'5x'", "null", "true",
                     "false", "[]", "[1, 2]", "['k' => 1, 'x']", "PHP_INT_MAX", "1e15"]),
)  # fmt: skip
_BINARY = [
    "+",
    "-",
    "*",
    "/",
    "%",
    ".",
    "==",
    "===",
    "!=",
    "!==",
    "<",
    "<=",
    ">",
    ">=",
    "<=>",
    "&&",
    "||",
    "??",
    "**",
    "&",
    "|",
    "^",
    "xor",
]
_CALLS = ["strlen(%s)", "count(%s)", "strtoupper(%s)", "trim(%s)", "is_numeric(%s)", "intval(%s)", "array_values(%s)",
          "implode(',', %s)", "array_reverse(%s)", "json_encode(%s)", "md5(%s)", "array_sum(%s)", "ucfirst(%s)", "abs(%s)",
          "round(%s, 2)", "array_keys(%s)", "is_null(%s)", "strval(%s)", "array_unique(%s)", "substr(%s, 1)", "max(%s, 1)",
          "explode('1', %s)", "in_array(1, %s)", "str_replace('1', 'z', %s)", "number_format(%s, 1)", "gettype(%s)"]  # fmt: skip


def _expressions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from(_BINARY), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(_CALLS), inner).map(lambda t: t[0] % t[1]),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} ? {t[1]} : {t[2]})"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]} ?: {t[1]})"),
        st.tuples(
            st.sampled_from(["!", "-", "(int) ", "(string) ", "(bool) ", "(float) ", "(array) "]), inner
        ).map(lambda t: f"({t[0]}{t[1]})"),
        st.tuples(inner, inner).map(lambda t: f"[{t[0]}, 'k' => {t[1]}]"),
        st.tuples(_VARIABLES, inner).map(lambda t: f"({t[0]}[{t[1]}] ?? 'none')"),
        st.tuples(_VARIABLES, inner).map(lambda t: f"{t[0]}[{t[1]}]"),
        st.tuples(inner, inner).map(lambda t: f"match ({t[0]}) {{ {t[1]} => 'm', default => 'd' }}"),
        inner.map(lambda e: f"(fn ($x) => $x . '!')({e})"),
        inner.map(lambda e: f"isset($a[{e}])"),
        _VARIABLES.map(lambda v: f'"<{v}>"'),
    )


_EXPRESSION = st.recursive(_LEAVES, _expressions, max_leaves=6)


def _statements(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    blocks = st.lists(inner, min_size=1, max_size=3).map(" ".join)
    return st.one_of(
        st.tuples(_EXPRESSION, blocks, blocks).map(lambda t: f"if ({t[0]}) {{ {t[1]} }} else {{ {t[2]} }}"),
        st.tuples(_EXPRESSION, blocks).map(
            lambda t: f"foreach ((array) {t[0]} as $k => $v) {{ {t[1]} $a = $v; }}"
        ),
        st.tuples(st.sampled_from("ijn"), blocks).map(
            lambda t: f"for (${t[0]} = 0; ${t[0]} < 3; ${t[0]}++) {{ {t[1]} }}"
        ),
        st.tuples(blocks, blocks).map(lambda t: f"try {{ {t[0]} }} catch (Throwable $e) {{ {t[1]} }}"),
        st.tuples(_EXPRESSION, _EXPRESSION, blocks).map(
            lambda t: f"switch ({t[0]}) {{ case {t[1]}: {t[2]} break; default: $b = 'd'; }}"
        ),
    )


_SIMPLE = st.one_of(
    st.tuples(_VARIABLES, st.sampled_from(["=", "=", "=", "+=", ".=", "??=", "*=", "-="]), _EXPRESSION).map(
        lambda t: f"{t[0]} {t[1]} {t[2]};"
    ),
    st.tuples(_VARIABLES, _EXPRESSION).map(lambda t: f"{t[0]}[] = {t[1]};"),
    st.tuples(_VARIABLES, _EXPRESSION, _EXPRESSION).map(lambda t: f"{t[0]}[{t[1]}] = {t[2]};"),
    st.tuples(_VARIABLES, _EXPRESSION).map(lambda t: f"unset({t[0]}[{t[1]}]);"),
    _VARIABLES.map(lambda v: f"{v}++;"),
    _VARIABLES.map(lambda v: f"array_push({v}, 1);"),
    _VARIABLES.map(lambda v: f"array_pop({v});"),
    _VARIABLES.map(lambda v: f"sort({v});"),
    _EXPRESSION.map(lambda e: f"[$a, $b] = [{e}, $a];"),
)
_STATEMENT = st.recursive(_SIMPLE, _statements, max_leaves=5)
_PROGRAM = st.tuples(
    _LEAVES.filter(lambda leaf: "$" not in leaf),
    _LEAVES.filter(lambda leaf: "$" not in leaf),
    st.lists(_STATEMENT, min_size=1, max_size=5),
).map(lambda t: f"$a = {t[0]}; $b = {t[1]}; $c = [1, 'k' => 'v']; {' '.join(t[2])} return [$a, $b, $c];")


@given(_PROGRAM)
def test_any_program_gives_what_php_gives_or_is_refused(php: Oracle, body: str) -> None:
    try:
        ours = run(body)
    except Refused:
        return
    theirs = php.evaluate(f"set_time_limit(5); {body}")
    assert (ours.value, ours.thrown) == (theirs.value, theirs.thrown), body


@given(_EXPRESSION)
def test_any_expression_gives_what_php_gives_or_is_refused(php: Oracle, expression: str) -> None:
    body = f"$a = [1, 'k' => '2']; $b = '10'; $c = 1.5; return {expression};"
    try:
        ours = run(body)
    except Refused:
        return
    theirs = php.evaluate(body)
    assert (ours.value, ours.thrown) == (theirs.value, theirs.thrown), body
