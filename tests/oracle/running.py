"""The same programs in our evaluator and in fresh PHP: a value, an exception, a refusal, a crash."""

from __future__ import annotations

import base64
import functools
import json
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from bridge.errors import Refused
from bridge.jobs.resolve.app_environment import AppEnvironment
from bridge.laravel.application import load
from bridge.laravel.boot_source import report_from_source
from bridge.phpeval.laravel.app_source import AppSource
from bridge.phpeval.laravel.version import Version, parse_version
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.runtime.operators import Thrown
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.serve.wiring.environment import shared_environment
from tests.jobs.resolve.recorded_app import FIXTURES
from tests.oracle.programs import Program

SCRIPT = Path(__file__).with_name("batch.php")
COLLECTION = "Illuminate\\Support\\Collection"
SECONDS = 1_500  # that PHP may take over a batch, on a machine that is busy


class Outcome(NamedTuple):
    """`kind` is value, thrown, refused, crashed (our own fault) or invalid (PHP cannot compile it)."""

    kind: str
    content: object

    def __str__(self) -> str:
        return f"{self.kind} {shown(self.content)}"


@dataclass(frozen=True, slots=True)
class Compared:
    program: Program
    ours: Outcome
    theirs: Outcome

    @property
    def differs(self) -> bool:
        if self.theirs.kind == "invalid" or self.ours.kind == "refused":
            return False
        return self.ours != self.theirs


def unordered(content: Any) -> Any:
    """A dump of PHP's whose objects have their properties in the order in which ours are compared."""
    match content:
        case ["object", str(name), list(entries)] if name != COLLECTION:
            named = ([_property(key), unordered(value)] for key, value in entries)
            return ["object", name, sorted(named, key=str)]
        case [("array" | "object") as kind, *middle, list(entries)]:
            return [kind, *middle, [[key, unordered(value)] for key, value in entries]]
    return content


def _property(key: int | str) -> str:
    """A property's name; PHP's cast to an array makes integers of some."""
    return key if isinstance(key, str) else base64.b64encode(str(key).encode()).decode()


class Peer(NamedTuple):
    """The PHP that is asked, and the Laravel that it has."""

    binary: str
    php: tuple[int, int]
    laravel: Version


@functools.cache
def peer(binary: str = "") -> Peer:
    """`binary`: of the environment's PHP, else the one in PATH."""
    binary = binary or os.environ.get("PHP") or "php"
    code = (
        "require 'Illuminate/autoload.php'; echo PHP_MAJOR_VERSION, ' ', PHP_MINOR_VERSION, ' ', "
        "Illuminate\\Foundation\\Application::VERSION;"
    )
    told = subprocess.run([binary, "-r", code], check=True, capture_output=True, text=True).stdout
    major, minor, laravel = told.split()
    version = parse_version(laravel)
    assert version is not None, laravel
    return Peer(binary, (int(major), int(minor)), version)


def compare(programs: Sequence[Program], asked: Peer) -> list[Compared]:
    """Each program by both, all of them in one PHP process."""
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder)
        shutil.copytree(FIXTURES / "payloads/config", app / "config")
        shutil.copy(FIXTURES / "payloads/.env", app / ".env")
        for number, program in enumerate(programs):
            place = app / f"app/P{number}"
            place.mkdir(parents=True)
            for name, source in program.sources(f"App\\P{number}").items():
                (place / f"{name}.php").write_text(source)
        theirs = _by_php(app, len(programs), asked)
        ours = list(_by_us(app, len(programs), asked))
    return [
        Compared(program, mine, theirs[number])
        for number, (program, mine) in enumerate(zip(programs, ours, strict=True))
    ]


def _by_php(app: Path, count: int, asked: Peer) -> Mapping[int, Outcome]:
    outcomes: dict[int, Outcome] = {}
    while len(outcomes) < count:
        waiting = [number for number in range(count) if number not in outcomes]
        command = [asked.binary, str(SCRIPT), str(app), *map(str, waiting)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        lines = done.stdout.splitlines()
        for line in lines:
            if line != "end":
                number, kind, *content = json.loads(line)
                outcomes[number] = Outcome(kind, unordered(content[0]))
        lost = [number for number in waiting if number not in outcomes]
        for number in lost if "end" in lines else lost[:1]:
            outcomes[number] = Outcome("invalid", done.stderr.strip()[-500:])
    return outcomes


def _by_us(app: Path, count: int, asked: Peer) -> Iterator[Outcome]:
    source, known = AppSource(app), shared_environment(load(app, {}, ".".join(map(str, asked.laravel))))
    report = replace(report_from_source(source), php=asked.php)
    environment = AppEnvironment(source, asked.laravel, known, report)
    for number in range(count):
        yield _run(environment, f"App\\P{number}\\Sent")


def _run(environment: AppEnvironment, name: str) -> Outcome:
    try:
        value = new_evaluator(environment).call_method(PhpObject(name, _defaults(name)), "broadcastWith")
        return Outcome("value", dump(value))
    except Refused as refused:
        return Outcome("refused", refused.reason)
    except Thrown as thrown:
        return Outcome("thrown", thrown.exception.class_name)
    except Exception as fault:
        return Outcome("crashed", repr(fault)[:300])


def _defaults(name: str) -> dict[int | bytes, Value]:
    return {b"seen": PhpArray()}


def dump(value: Value, depth: int = 0) -> Any:
    """As batch.php dumps it."""
    if depth > 8:
        return ["deep"]
    match value:
        case bytes():
            return ["string", base64.b64encode(value).decode()]
        case bool():
            return ["boolean", value]
        case int():
            return ["integer", value]
        case float():
            return ["float", struct.pack(">d", value).hex()]
        case None:
            return ["NULL", None]
        case PhpArray():
            return ["array", _entries(value, depth)]
        case EnumCase():
            return ["case", value.class_name, value.case]
        case PhpObject():
            if value.class_name == COLLECTION:
                items = value.properties.get(b"\0*\0items")
                return [
                    "object",
                    value.class_name,
                    _entries(items if isinstance(items, PhpArray) else {}, depth),
                ]
            own = value.class_name.startswith("App\\") and b"\0*\0message" not in value.properties
            if own or value.class_name == "stdClass":
                return ["object", value.class_name, sorted(_entries(value.properties, depth), key=str)]
            return ["object", value.class_name, None]
    return ["object", "Closure", None]


def _entries(values: Mapping[int | bytes, Value], depth: int) -> list[Any]:
    return [
        [key if isinstance(key, int) else base64.b64encode(key).decode(), dump(value, depth + 1)]
        for key, value in values.items()
    ]


def shown(content: object) -> str:
    """A dump for people to read."""
    match content:
        case ["string", str(text)]:
            return repr(base64.b64decode(text))[1:]
        case ["float", str(text)]:
            return repr(struct.unpack(">d", bytes.fromhex(text))[0])
        case ["array", list(entries)]:
            return f"[{_shown(entries)}]"
        case ["object", str(name), list(entries)]:
            return f"{name}{{{_shown(entries)}}}"
        case ["case", str(name), str(case)]:
            return f"{name}::{case}"
        case ["boolean" | "integer" | "NULL", value]:
            return json.dumps(value)
    return str(content)


def _shown(entries: Sequence[tuple[int | str, object]]) -> str:
    named = (
        (key if isinstance(key, int) else base64.b64decode(key).decode("utf-8", "replace"), value)
        for key, value in entries
    )
    return ", ".join(f"{key!r}: {shown(value)}" for key, value in named)
