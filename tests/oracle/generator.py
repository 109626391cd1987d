"""Programs made at random from the grammar; the same seed gives the same program."""

from __future__ import annotations

import random
import re
from collections.abc import Collection

from tests.oracle.grammar import GRAMMAR, KIT, VARIABLES
from tests.oracle.programs import Declaration, Method, Program

_TEMPLATES = (*GRAMMAR.values(), *(variants for _, members in KIT.values() for variants in members))
KINDS = frozenset(
    found[1]
    for templates in _TEMPLATES
    for template in templates
    if (found := re.match(r"(\w+): ", template))
)
# Kinds in which programs still differ from PHP; `make oracle` runs them too. This list only gets shorter.
NOT_YET: frozenset[str] = frozenset()
DEPTH = 3
AT_ONCE = 3  # kinds of one program: more of them, and it says less of each

_HOLE = re.compile("«(\\w+)»")
_KIND = re.compile(r"(\w+): (.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$[a-z]\b")
_HELPERS = (
    "private function change(&$x) { $x = is_int($x) ? $x + 1 : 'changed'; }",
    "private function pick($x) { $this->seen[] = 'pick'; return $x; }",
)


def program(seed: int, *, without: Collection[str] = ()) -> Program:
    """`without`: kinds that are left out."""
    chance = random.Random(seed)
    kinds = sorted(KINDS - frozenset(without))
    return _Made(chance, frozenset(chance.sample(kinds, min(AT_ONCE, len(kinds))))).program()


class _Made:
    def __init__(self, chance: random.Random, among: frozenset[str]) -> None:
        self._chance = chance
        self._among = among
        self._kinds: set[str] = set()

    def program(self) -> Program:
        methods = tuple(self._method(f"m{number}") for number in range(self._chance.choice((1, 1, 1, 2))))
        text = " ".join(method.source() for method in methods)
        declarations: dict[str, Declaration] = {}
        waiting = [text]
        while waiting:
            mentioned = waiting.pop()
            for name in KIT:
                if name not in declarations and re.search(rf"\b{name}\b", mentioned):
                    declarations[name] = self._declaration(name)
                    waiting.append(declarations[name].source(""))
        helpers = tuple(one for one in _HELPERS if f"this->{one.split('(')[0].split()[-1]}(" in text)
        return Program(
            tuple(declarations.values()),
            methods,
            strict=self._chance.random() < 0.15,
            helpers=helpers,
            kinds=frozenset(self._kinds),
        )

    def _declaration(self, name: str) -> Declaration:
        heads, members = KIT[name]
        allowed = ([one for one in variants if self._allowed(one)] for variants in members)
        chosen = (self._filled(self._chance.choice(variants), 1) if variants else "" for variants in allowed)
        strict = self._chance.random() < 0.15
        return Declaration(
            name, self._chance.choice(heads), tuple(member for member in chosen if member), strict
        )

    def _method(self, name: str) -> Method:
        body = [self._one("statement", DEPTH) for _ in range(self._chance.choice((0, 1, 1, 2, 2, 3)))]
        shown = [self._one("any", DEPTH) for _ in range(self._chance.choice((1, 1, 2)))]
        used = sorted(set(_VARIABLE.findall(" ".join((*body, *shown)))) & VARIABLES.keys())
        first: dict[str, str] = {}
        while used:
            variable = used.pop(0)
            value = self._filled(VARIABLES[variable], 1)
            first[variable] = value
            used += [one for one in _VARIABLE.findall(value) if one in VARIABLES and one not in first]
        statements = (*(f"{variable} = {first[variable]};" for variable in reversed(first)), *body)
        state = [
            variable
            for variable in VARIABLES
            if re.search(rf"\{variable}\b", " ".join((*statements, *shown))) and variable not in ("$f", "$n")
        ]
        return Method(
            name, statements, f"[{', '.join((*shown, *state))}]", caught=self._chance.random() < 0.7
        )

    def _one(self, name: str, depth: int) -> str:
        templates = [one for one in GRAMMAR[name] if self._allowed(one)]
        wanted = [one for one in templates if _KIND.match(one)]
        if wanted and self._chance.random() < 0.5:
            templates = wanted
        if depth <= 0:
            templates = [one for one in templates if "«" not in one] or templates
        return self._filled(self._chance.choice(templates), depth)

    def _allowed(self, template: str) -> bool:
        kind = _KIND.match(template)
        return kind is None or kind[1] not in KINDS or kind[1] in self._among

    def _filled(self, template: str, depth: int) -> str:
        kind = _KIND.match(template)
        if kind is not None and kind[1] in KINDS:
            self._kinds.add(kind[1])
            template = kind[2]
        whole = _HOLE.fullmatch(template) is None

        def fill(hole: re.Match[str]) -> str:
            inner = self._one(hole[1], depth - 1)
            compound = whole and hole[1] in ("int", "text", "bool", "array", "any", "closure", "item")
            return f"({inner})" if compound and not re.fullmatch(r"[\w$'-]+", inner) else inner

        return _HOLE.sub(fill, template)
