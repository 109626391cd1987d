"""The smallest program that still differs: members, methods and statements are taken away while it does."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace

from tests.oracle.programs import Program, Written
from tests.oracle.running import Compared, Peer, compare

SECONDS = 20  # what a program is worth
_THROWN = re.compile(r'"dGhyb3du", \["string", "([^"]*)"')  # 'thrown' => class, in a dump


def reduced(found: Compared, asked: Peer) -> Compared:
    """Of the same kind of difference: a thrown class stays a thrown class, a value a value."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        smaller = list(_smaller(found.program))
        if not smaller:
            break
        same = [one for one in compare(smaller, asked) if one.differs and _kind(one) == _kind(found)]
        if not same:
            break
        found = min(same, key=lambda one: len(one.program.text()))
    return found


def _kind(one: Compared) -> object:
    """How both end, and which classes each caught: a program that lacks what it needs throws others."""
    return [
        (outcome.kind, sorted(set(_THROWN.findall(json.dumps(outcome.content)))))
        if outcome.kind == "value"
        else outcome
        for outcome in (one.ours, one.theirs)
    ]


def _smaller(program: Program) -> Iterator[Program]:
    if len(program.methods) > 1:
        for method in program.methods:
            yield replace(program, methods=(method,))
    for at, method in enumerate(program.methods):
        for gone in range(len(method.statements)):
            kept = method.statements[:gone] + method.statements[gone + 1 :]
            yield _with_method(program, at, statements=kept)
        parts = entries(method.result)
        if len(parts) > 1:
            for gone in range(len(parts)):
                shown = ", ".join(parts[:gone] + parts[gone + 1 :])
                yield _with_method(program, at, result=f"[{shown}]")
        if method.caught:
            yield _with_method(program, at, caught=False)
    if program.strict:
        yield replace(program, strict=False)
    for at, declaration in enumerate(program.declarations):
        if isinstance(declaration, Written):
            continue
        rest = program.declarations
        yield replace(program, declarations=rest[:at] + rest[at + 1 :])
        for gone in range(len(declaration.members)):
            members = declaration.members[:gone] + declaration.members[gone + 1 :]
            less = replace(declaration, members=members)
            yield replace(program, declarations=(*rest[:at], less, *rest[at + 1 :]))
        if declaration.strict:
            plain = replace(declaration, strict=False)
            yield replace(program, declarations=(*rest[:at], plain, *rest[at + 1 :]))
    for at in range(len(program.helpers)):
        yield replace(program, helpers=program.helpers[:at] + program.helpers[at + 1 :])


def _with_method(program: Program, at: int, **changes: object) -> Program:
    method = replace(program.methods[at], **changes)  # type: ignore[arg-type]
    return replace(program, methods=(*program.methods[:at], method, *program.methods[at + 1 :]))


def entries(result: str) -> list[str]:
    """The entries of `[a, b]`, split at commas outside of brackets and quotes."""
    parts, depth, quote, start = [], 0, "", 1
    for at, letter in enumerate(result[1:-1], 1):
        if quote:
            quote = "" if letter == quote and result[at - 1] != "\\" else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and not depth:
            parts.append(result[start:at].strip())
            start = at + 1
    return [*parts, result[start:-1].strip()]
