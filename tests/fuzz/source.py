"""PHP source → classes → the value of `Subject::run()`: a value, an exception of the code, or a refusal."""

from __future__ import annotations

import contextlib
import random
import re
import tempfile

from bridge.errors import JobError
from bridge.jobs.resolve.app_environment import native_classes
from bridge.laravel.application import load
from bridge.phpeval.laravel.framework_classes import framework_class
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.functions import FUNCTIONS
from bridge.phpeval.php.parse.declarations import declarations
from bridge.phpeval.php.runtime.class_table import ClassTable
from bridge.phpeval.php.runtime.interpreter import Native
from bridge.phpeval.php.runtime.operators import Thrown
from bridge.serve.wiring.environment import shared_environment
from tests.conformance.corpus import APP
from tests.phpeval.php.programs import BODIES, CLASSES

USES = """use Carbon\\Carbon; use Carbon\\CarbonImmutable; use Illuminate\\Support\\Collection;
use Illuminate\\Support\\Str; use Illuminate\\Support\\Arr; use Illuminate\\Broadcasting\\PrivateChannel;
"""
RELEASE: Version = (8, 83)
STEPS = 20_000

LARAVEL = [
    "return collect([3, 1, 2])->sort()->map(fn ($v) => $v * 2)->values()->all();",
    "return collect([['a' => 1], ['a' => 2]])->pluck('a')->sum();",
    "return collect(['x' => 1])->merge(['y' => 2])->filter()->keys()->implode(',');",
    "return Str::of('Some Text')->snake()->upper()->limit(4)->toString();",
    "return [Str::slug('A b c'), Str::plural('child'), Str::title('a b')];",
    "return Arr::get(['a' => ['b' => 1]], 'a.b', fn () => 2);",
    "return Carbon::parse('2024-02-29 10:11:12')->addMonth()->toIso8601String();",
    "return now()->subDays(3)->diffForHumans();",
    "return [new PrivateChannel('a.' . config('app.name'))];",
    "return sprintf('%05.2f|%-5s|%x', 1.5, 'ab', 255) . number_format(1234.5, 2) . str_pad('a', 5, '-');",
    "return json_encode(['a' => [1, 2.0, null, \"é\"]], JSON_PRETTY_PRINT);",
    "return preg_replace('/(a)(b)?/', '$2-$1', 'abac') . str_repeat('ab', 3);",
    "return date('Y-m-d', 0) . round(2.5) . intdiv(7, 2) . implode(',', range(1, 5)) . md5('a');",
]


def _source(body: str) -> bytes:
    return f"{USES}class Subject {{ public static function run() {{ {body} }} }}".encode()


SEEDS = [_source(body) for body in [*BODIES, *LARAVEL]]
SEEDS += [
    seed + CLASSES.encode() for seed in SEEDS if b"new " in seed or b"::" in seed.partition(b"class")[2]
]
SEEDS += [path.read_bytes().removeprefix(b"<?php") for path in sorted((APP / "app").rglob("*.php"))]
_WORDS = """
$a $b = ?? ?-> -> :: => ... [ ] { } ( ) ; && || ! === <=> ** ++ .= ??= (int) (array) (object) '' $this
return if else foreach as switch case default: match fn function use static new clone throw try catch finally
while for break continue unset isset empty list instanceof class trait enum const true null self parent []
PHP_INT_MAX 9223372036854775807 0x7FFFFFFFFFFFFFFF 1e308 str_repeat( range( array_fill(
collect( ->map( ->filter( ->all() Str::of( Carbon::parse( now()
"""
WORDS = [*(f"{name}(".encode() for name in FUNCTIONS), *_WORDS.encode().split()]


_TOKEN = re.compile(
    rb"(\$\w+)|(\b\d[\w.]*)|([a-zA-Z_]\w*)|('[^']*'|\"[^\"]*\")|([-+*/%.=<>!&|?:]+)|(\s+)|(.)", re.DOTALL
)


def _tokens(code: bytes) -> list[tuple[int, bytes]]:
    """The kind (variable, number, name, text, operator, space, other) and text of each."""
    return [(token.lastindex or 0, token[0]) for token in _TOKEN.finditer(code)]


def _group(tokens: list[tuple[int, bytes]], begin: int) -> int:
    """The end of the group of brackets that begins there, or of the token."""
    depth = 0
    for place in range(begin, len(tokens)):
        depth += (tokens[place][1] in b"([{") - (tokens[place][1] in b")]}")
        if depth <= 0:
            return place + 1
    return len(tokens)


_KINDS: dict[int, list[bytes]] = {}
_GROUPS: list[list[tuple[int, bytes]]] = []
for _seed in SEEDS:
    _all = _tokens(_seed)
    for _place, (_kind, _text) in enumerate(_all):
        _KINDS.setdefault(_kind, []).append(_text)
        if _text in (b"(", b"[", b"{"):
            _GROUPS.append(_all[_place : _group(_all, _place)])


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """The code with a few tokens or bracketed groups changed for others of their kind, so that most of it is
    still PHP."""
    chance = random.Random(seed)
    tokens = _tokens(data) or [(7, b";")]
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(tokens))
        kind, text = tokens[at]
        if text in (b"(", b"[", b"{"):
            fitting = [group for group in chance.choices(_GROUPS, k=40) if group[0][1] == text]
            tokens[at : _group(tokens, at)] = fitting[0] if fitting else []
        elif chance.random() < 0.05:
            tokens.insert(at, (7, b" " + chance.choice(WORDS) + b" "))
        elif chance.random() < 0.05:
            del tokens[at]
        else:
            tokens[at] = (kind, chance.choice(_KINDS.get(kind, [text])))
    return b"".join(text for _, text in tokens)[:max_size]


class Environment:
    """A `bridge.phpeval.php.runtime.interpreter.Environment` of one source text in a real app."""

    def __init__(self, source: bytes) -> None:
        found = declarations(b"<?php " + source, "app/Subject.php")
        self.classes = ClassTable(lambda name: found.get(name) or framework_class(name, RELEASE))
        self.functions, self.constants = _known.functions, _known.constants
        self.version, self.sets_locale, self.php_version = RELEASE, False, (8, 2)

    def native(self, class_name: str) -> Native | None:
        return _natives.get(class_name)


_known = shared_environment(load(APP, {"DB_CONNECTION": "sqlite", "DB_DATABASE": tempfile.mkdtemp()}, "8.83"))
_natives = {**native_classes(RELEASE), **_known.native_classes}


def one(data: bytes) -> None:
    with contextlib.suppress(JobError, Thrown):
        new_evaluator(Environment(data), max_steps=STEPS).call_static("Subject", "run")
