"""Real PHP, kept running: what a function, an operator or a piece of source gives there.

Warnings are ErrorExceptions and deprecations pass, as under Laravel.
"""

from __future__ import annotations

import base64
import json
import math
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value, float_text
from bridge.phpeval.php.serialization.unserialize import unserialize

_SCRIPT = Path(__file__).with_name("oracle.php")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A value as serialize() writes it, or the class (and message) of what was thrown."""

    value: bytes | None = None
    thrown: str = ""
    message: str = ""

    def __str__(self) -> str:
        return repr(self.value) if self.value is not None else f"{self.thrown}: {self.message}"


def serialize(value: Value) -> bytes:
    """As PHP's serialize() writes it."""
    parts: list[bytes] = []
    _write(value, parts)
    return b"".join(parts)


def _write(value: Value, parts: list[bytes]) -> None:
    match value:
        case None:
            parts.append(b"N;")
        case bool():
            parts.append(b"b:%d;" % value)
        case int():
            parts.append(b"i:%d;" % value)
        case float():
            if math.isfinite(value):
                parts.append(b"d:%s;" % float_text(value).encode())
            else:
                parts.append(b"d:NAN;" if math.isnan(value) else b"d:INF;" if value > 0 else b"d:-INF;")
        case bytes():
            parts.append(b's:%d:"%s";' % (len(value), value))
        case PhpArray():
            parts.append(b"a:%d:{" % len(value))
            _write_entries(value, parts)
        case PhpObject():
            name = value.class_name.encode()
            parts.append(b'O:%d:"%s":%d:{' % (len(name), name, len(value.properties)))
            _write_entries(value.properties, parts)
        case EnumCase():
            name = f"{value.class_name}:{value.case}".encode()
            parts.append(b'E:%d:"%s";' % (len(name), name))
        case _:
            raise TypeError(value)


def _write_entries(entries: dict[int | bytes, Value], parts: list[bytes]) -> None:
    for key, value in entries.items():
        _write(key, parts)
        _write(value, parts)
    parts.append(b"}")


class Oracle:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def unserialize(self, data: bytes) -> Outcome | None:
        """What PHP reads, serialized again; None where it gives false or a warning."""
        answer = self._ask({"ask": "unserialize", "data": _text(data)})
        return _outcome(answer) if "value" in answer else None

    def call(self, function: str, arguments: Sequence[Value]) -> Outcome:
        """The list of the function's result and of its arguments afterwards."""
        given = _text(serialize(PhpArray.of(arguments)))
        return _outcome(self._ask({"ask": "call", "function": function, "arguments": given}))

    def operate(self, operator: str, left: Value, right: Value) -> Outcome:
        given = _text(serialize(PhpArray.of((left, right))))
        return _outcome(self._ask({"ask": "operate", "operator": operator, "arguments": given}))

    def json_encode(self, value: Value, flags: int = 0) -> Value:
        """The text, or False."""
        outcome = _outcome(self._ask({"ask": "encode", "data": _text(serialize(value)), "flags": flags}))
        assert outcome.value is not None, outcome
        return unserialize(outcome.value)

    def evaluate(self, source: str) -> Outcome:
        """What PHP statements (without `<?php`) return."""
        return _outcome(self._ask({"ask": "evaluate", "source": _text(source.encode())}))

    def program(self, source: str) -> Outcome:
        """As `evaluate`, of source that declares classes."""
        return _outcome(self._ask({"ask": "program", "source": _text(source.encode())}))

    def _ask(self, question: dict[str, object]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"PHP ended at {str(question)[:300]}"
        answer: dict[str, Any] = json.loads(line)
        return answer


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _outcome(answer: dict[str, Any]) -> Outcome:
    if "value" in answer:
        return Outcome(value=base64.b64decode(answer["value"]))
    message = base64.b64decode(answer["message"]).decode("utf-8", "replace")
    return Outcome(thrown=answer["class"], message=message)


@contextmanager
def oracle() -> Iterator[Oracle]:
    command = [
        "php",
        "-n",
        "-d",
        "extension=mbstring",
        "-d",
        "extension=ctype",
        "-d",
        "memory_limit=256M",
        str(_SCRIPT),
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        try:
            yield Oracle(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=60)
