"""`bridge resolve`: says how each job would be broadcast, and sends nothing."""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.cli.arguments import Commands, add_app, add_laravel
from bridge.cli.plain import json_line
from bridge.errors import Released, ServiceUnavailable, Unreadable, UsageError
from bridge.jobs.resolve.ladder import Ladder
from bridge.jobs.resolve.resolution import Resolution
from bridge.laravel.payload import read_payload
from bridge.phpeval.laravel.version import parse_version

if TYPE_CHECKING:
    from bridge.settings.load import Settings


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "resolve",
        help="says how each job would be broadcast, and sends nothing",
        description="Reads JSON Lines with `payload` (the text in the queue) or `payload_base64`, and `id`; "
        "writes a line for each. `bridge failed show ID --json` gives such a line.",
    )
    add_app(parser)
    add_laravel(parser)
    parser.add_argument("--only", metavar="RUNGS", help="rungs allowed: mapping,framework,native,php")
    parser.add_argument(
        "--compare", action="store_true", help="beside what PHP says; exit 1 if any job differs"
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="JSON Lines; standard input by default")
    parser.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    """0 also when jobs are refused; with --compare 1 if any differs. Raises ServiceUnavailable after the last
    line where something that a job needs could not be reached."""
    from bridge.jobs.resolve.ladder import RUNGS
    from bridge.serve.wiring.ladder import build_ladder, event_mappings, php_rung
    from bridge.serve.wiring.trust import earned_trust
    from bridge.settings.load import load_settings

    if given.compare and given.only:
        raise UsageError("--compare asks every rung: leave out --only")
    flags = {"laravel_version": given.laravel}
    settings = load_settings(flags, os.environ, given.app, given.config)
    if given.compare:
        return _compare(settings, given)
    only = [name.strip() for name in given.only.split(",")] if given.only else RUNGS
    for name in only:
        if name not in RUNGS:
            raise UsageError(f"--only names no rung: {name}; choose from {', '.join(RUNGS)}")
    version = parse_version(given.laravel) if given.laravel else None
    with php_rung(settings, fatal=1) as php:
        ladder = build_ladder(
            settings.laravel,
            event_mappings(settings),
            version=version,
            only=only,
            php=php,
            report=php.report if php is not None else None,
            trust=earned_trust(settings, php, keeps=False) if "php" in only else None,
        )
        with contextlib.closing(ladder):
            return _resolve_lines(ladder, given.file)


def _resolve_lines(ladder: Ladder, file: str | None) -> int:
    """0, or 69 where a job's database or PHP could not be reached."""
    unavailable = ""
    for row, payload in _rows(file):
        resolution = _resolved(ladder, payload)
        if isinstance(resolution, _Unavailable):
            unavailable = resolution.why
        _print_json({"id": row.get("id"), **_report(resolution)})
    if unavailable:
        raise ServiceUnavailable(unavailable)
    return 0


def _compare(settings: Settings, given: argparse.Namespace) -> int:
    """Each job without PHP and by PHP; 1 if any is not the same."""
    from bridge.jobs.resolve.comparison import combined_answer, compare
    from bridge.serve.wiring.ladder import compared_ladders

    counts = Counter[str]()
    with compared_ladders(settings, parse_version(given.laravel) if given.laravel else None) as (native, php):
        for row, payload in _rows(given.file):
            both = compare(partial(_resolved, native, payload), partial(_resolved, php, payload))
            sides: dict[str, object] = {
                "native": _report(both.native),
                "php": _report(both.php),
                "same": both.same,
            }
            if both.same is None:
                sides["why"] = both.why
            elif not both.same:
                sides["differences"] = both.differences
            report = _report(combined_answer(both.native, both.php))
            _print_json({"id": row.get("id"), **report, "compare": sides})
            counts[_VERDICTS[both.same]] += 1
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _VERDICTS.values())
    print(f"bridge: {counts.total()} jobs compared: {told}", file=sys.stderr)
    return 1 if counts[_VERDICTS[False]] else 0


_VERDICTS = {True: "same", False: "different", None: "not to be compared"}


def _resolved(ladder: Ladder, payload: bytes) -> Resolution:
    """What becomes of one job. Whatever keeps it from being resolved now stands in its answer."""
    try:
        read = read_payload(payload)
    except Unreadable as problem:
        return Resolution(outcome="failed", event="", why=str(problem))
    try:
        return ladder.resolve(read)
    except Released as problem:
        why = f"{problem}: what it comes to depends on the next try"
        return Resolution(outcome="refused", event=read.display_name, by="php", why=why)
    except ServiceUnavailable as problem:
        return _Unavailable(outcome="refused", event=read.display_name, why=f"{problem}: try it again")


class _Unavailable(Resolution):
    """Nobody could tell, for a reason that may pass."""


def _print_json(line: Mapping[str, object]) -> None:
    print(json_line(line), flush=True)


def _rows(file: str | None) -> Iterable[tuple[dict[str, object], bytes]]:
    for number, line in enumerate(_lines(file), 1):
        if line.strip():
            yield _row(line, number)


def _lines(file: str | None) -> Iterable[str]:
    try:
        if file is None or file == "-":
            yield from sys.stdin
            return
        with Path(file).open(encoding="utf-8") as stream:
            yield from stream
    except UnicodeDecodeError:
        raise UsageError(
            f"{file or 'the input'} is not UTF-8: give other payloads as payload_base64"
        ) from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read, {error.strerror}: give a file of JSON Lines") from None


def _row(line: str, number: int) -> tuple[dict[str, object], bytes]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError(f"line {number} is not JSON: give JSON Lines, one object a line") from None
    payload = row.get("payload") if isinstance(row, dict) else None
    encoded = row.get("payload_base64") if isinstance(row, dict) else None
    if isinstance(payload, str):
        return row, payload.encode("utf-8", "surrogatepass")
    if isinstance(encoded, str):
        try:
            return row, base64.b64decode(encoded, validate=True)
        except ValueError:
            raise UsageError(f"payload_base64 of line {number} is not base64") from None
    raise UsageError(f"line {number} has no payload: give `payload` or `payload_base64` as text")


def _report(resolution: Resolution) -> dict[str, object]:
    report: dict[str, object] = {
        "event": resolution.event,
        "outcome": resolution.outcome,
        "by": resolution.by,
        "broadcasts": [
            {
                "connection": call.connection,
                "channels": list(call.channels),
                "name": call.name,
                "data": call.data,
                "socket": call.socket,
            }
            for call in resolution.broadcasts
        ],
    }
    if resolution.outcome != "broadcast":
        report["why"] = resolution.why
    return report
