# ruff: noqa: E501 - each thing that is done stands in one line
"""What is not there, read and changed by PHP and natively: what is thrown, what came before it, and what all
that is around holds then. PHP goes on with null after a warning, although the handler has thrown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.oracle.programs import Program, Written
from tests.oracle.running import compare, peer

REFUSED_SHARE = 0.3  # at most; it falls as more is evaluated natively

_CLASSES = {
    "Plain": "class Plain { public $x; public int $t; public int $set = 3; public ?array $list = null; "
    "private $hidden = 3; public readonly int $once; public function m(...$v) { return count($v); } "
    "public function back(): int { return $none; } }",
    "Asked": "class Asked { public $log = []; function __get($n) { $this->log[] = $n; return null; } "
    "function __set($n, $v) { $this->log[] = [$n, $v]; } }",
    "Offsets": "class Offsets implements \\ArrayAccess { public $d = ['list' => []]; public $log = []; "
    "function offsetExists($o): bool { $this->log[] = ['e', $o]; return isset($this->d[$o]); } "
    "function offsetGet($o): mixed { $this->log[] = ['g', $o]; return $this->d[$o]; } "
    "function offsetSet($o, $v): void { $this->log[] = ['s', $o]; $this->d[$o] = $v; } "
    "function offsetUnset($o): void { $this->log[] = ['u', $o]; } }",
}
_AROUND = (
    "$o = new Plain; $z = new Asked; $b = new Offsets; $a = ['n' => null]; $s = 'abc'; $n = null; $i = 5;"
)
_VARIABLES = ("u", "w", "a", "s", "n", "i", "o", "z", "b")

_PLACES = (
    "$u", "$o->gone", "$o->t", "$o->set", "$o->hidden", "$o->gone->k", '$o->gone["k"]', "$o->list[$w]", "$z->k",
    '$z->k["l"]', '$a["k"]', '$a["n"]', '$a["k"]["l"]', '$a["k"]->l', "$a[$w]", '$u["k"]', "$u->k", '$b["k"]',
    "$b[$w]", "$s[9]", "$n->k", "$i", "$a[]", "$u[]", "$b[]",
)  # fmt: skip
_CHANGES = (
    "%s += 1",
    "%s .= 'x'",
    "%s %%= 0",
    "%s <<= -1",
    "%s += []",
    "%s *= $w",
    "%s = $w",
    "%s = 5",
    "%s++",
    "--%s",
)
_READ = ("%s", "%s ?? 7", "isset(%s)", "%s ??= $w")
_OPERANDS = (
    ("$u", "$w"),
    ("$u", "0"),
    ("1", "$w"),
    ("'abc'", "$w"),
    ("$u", "-1"),
    ("$u", "(1 % 0)"),
    ("$o->gone", "$w"),
)
_OPERATORS = ("+", "/", "%", "<<", "**", ".", "===", "<", "&&", "??")
_EXPRESSIONS = (
    "[$u, 1 % 0]", "[$u => 1 % 0]", "$o->m($u, 1 % 0)", "strlen($u)", "~$u", "~$n", "~true", "-$u", "clone $u",
    "$u instanceof Plain", "$u->m(1 % 0)", "$u?->p", "$u[1 % 0]", "$u[$w]", "$o[$w]", "match ($u) { 1 % 0 => 2 }",
    "match ($u) { default => 2 }", "match (1) { $u => 2 }", '"$u {$o->hidden}"', "$a[$w] ?? 3", "$n[$w] ?? 3",
    "isset($a[$w])", "$o->back()", "[...$u]", "[...$n]", "[...$o]", "[...$i]", "$o->m(...$u)", "$o->m(...$n)",
    "$o->m(...$o)", "[$i, $n] = $w", "[$i, $n] = [1]", "$o->{$u} = 1", "$i = $o->gone", "@(1 % $u)", "$i = $n = $w",
    "match ($u) { $u = $i = $i + 1 => 'one', default => 'other' }",
)  # fmt: skip
_STATEMENTS = (
    "unset($u[$w]);", "unset($a[$w]);", "unset($n[$w]);", "unset($i[$w]);", "unset($s[$w]);", "unset($b[$w]);",
    "unset($o->gone['k']);", "unset($u['k']['l']);", "unset($a['k']['l']);", "foreach ($u as $r) {}",
    "switch ($u) { case 1 % 0: $r = 1; }", "switch ($u) { default: $r = 1; }", "foreach ([1, 2] as $r) { $i = $u; }",
    "try { $i %= $u; } catch (\\ErrorException $r) { $i = 8; }", "try { $r = 1 / $u; } finally { $i = 9; }",
    "$r = 'none'; switch ($u) { case $u = $i = $i + 1: $r = 'one'; }",
)  # fmt: skip


def _done() -> Iterator[str]:
    for place in _PLACES:
        yield from (f"$r = ({change % place});" for change in _CHANGES)
        if not place.endswith("[]"):
            yield from (f"$r = ({read % place});" for read in _READ)
    for left, right in _OPERANDS:
        yield from (f"$r = ({left} {operator} {right});" for operator in _OPERATORS)
    yield from (f"$r = ({expression});" for expression in _EXPRESSIONS)
    yield from _STATEMENTS


def _program(done: str) -> Program:
    held = " ".join(
        f"try {{ $q = [${name}]; $all['{name}'] = $q[0]; }} catch (\\Throwable $t) {{ $all['{name}'] = 'undefined'; }}"
        for name in _VARIABLES
    )
    body = (
        f"{_AROUND} try {{ {done} $out = ['value', $r ?? null]; }} catch (\\Throwable $t) {{ $p = $t->getPrevious(); "
        f"$out = [get_class($t), $p === null ? null : get_class($p)]; }} $all = []; {held} return [$out, $all];"
    )
    sent = f"class Sent {{ public function broadcastWith() {{ {body} }} }}"
    return Program(tuple(Written(name, text) for name, text in {**_CLASSES, "Sent": sent}.items()))


@pytest.mark.timeout(1_800)
def test_what_is_not_there_is_read_and_changed_as_php_does_or_refused() -> None:
    all_done = list(_done())
    compared = compare([_program(done) for done in all_done], peer())
    wrong = [
        f"{done}\nPHP:    {one.theirs}\nbridge: {one.ours}"
        for done, one in zip(all_done, compared, strict=True)
        if one.differs
    ]
    assert not wrong, f"{len(wrong)} differ:\n" + "\n".join(wrong[:5])
    refused = [done for done, one in zip(all_done, compared, strict=True) if one.ours.kind == "refused"]
    assert len(refused) <= REFUSED_SHARE * len(all_done), refused


@pytest.mark.parametrize(
    "done",
    [
        '$a["k"] = $w',
        "$a[] = $w",
        "$u[] = $w",
        '$u["k"] ??= $w',
        "$o->gone = $w",
        "$o->t = $w",
        "$o->hidden = $w",
        '$b["k"] = $w',
        "$s[9] = $w",
        "$n->k = $w",
    ],
)
def test_an_undefined_variable_is_written_into_a_place_natively(done: str) -> None:
    (compared,) = compare([_program(f"$r = ({done});")], peer())
    assert compared.ours == compared.theirs
