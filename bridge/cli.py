"""The command line: what a person types, and what is printed. Only this, `demo` and `doctor` print.

Exit codes: 0 done, 1 a check found something, 2 wrong usage, 69 a service cannot be reached, 78 wrong
configuration.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import __version__
from bridge.errors import BridgeError, ConfigurationError, ServiceUnavailable, Unreadable, UsageError
from bridge.laravel.payload import read_payload
from bridge.laravel.version import parse_version
from bridge.resolvers.ladder import Ladder
from bridge.resolvers.resolution import Resolution
from bridge.resolvers.survey import Finding

if TYPE_CHECKING:
    from bridge.settings import Settings

EXIT_CODES: tuple[tuple[type[BridgeError], int], ...] = (
    (UsageError, 2),
    (ServiceUnavailable, 69),
    (ConfigurationError, 78),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = given.command
    try:
        return command(given)
    except BridgeError as problem:
        print(f"bridge: {problem}", file=sys.stderr)
        return next((code for kind, code in EXIT_CODES if isinstance(problem, kind)), 1)
    except BrokenPipeError:  # `bridge resolve … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bridge",
        description="Delivers a Laravel app's queued broadcasts to its Echo clients.",
        epilog="Every setting has the form BRIDGE_NAME too; the README lists them.",
    )
    parser.add_argument("--version", action="version", version=f"bridge {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    serve = commands.add_parser("serve", help="the worker and the Pusher server, until SIGTERM")
    _app_arguments(serve)
    serve.add_argument("--host", help="address to listen on (0.0.0.0)")
    serve.add_argument("--port", help="port for WebSocket and HTTP (6001)")
    serve.add_argument("--queue", metavar="NAMES", help="queues, first in priority first: high,default")
    serve.add_argument(
        "--shadow",
        action="store_true",
        help="beside the present worker and server: compares, takes no job, sends nothing to clients",
    )
    serve.add_argument("--shadow-to", metavar="URL", help="the present server, which gets what Laravel posts")
    serve.add_argument(
        "--shadow-show-data", action="store_true", help="event data in the log where they differ"
    )
    serve.set_defaults(command=_serve)

    demo = commands.add_parser("demo", help="the main job on an embedded SQLite queue with sample events")
    demo.add_argument("--port", help="port of the page (6001)")
    demo.add_argument("--no-browser", action="store_true", help="do not open a browser")
    demo.set_defaults(command=_demo)

    resolve = commands.add_parser(
        "resolve",
        help="how each job would be broadcast, sending nothing",
        description="Reads JSON Lines with `payload` or `payload_base64`, and `id`; writes a line for each.",
    )
    _app_arguments(resolve)
    resolve.add_argument("--laravel", metavar="VERSION", help="Laravel's version, where it cannot be read")
    resolve.add_argument("--only", metavar="RUNGS", help="rungs allowed: mapping,framework,native,php")
    resolve.add_argument(
        "--compare", action="store_true", help="beside what PHP says; exit 1 if any job differs"
    )
    resolve.add_argument("file", nargs="?", metavar="FILE", help="JSON Lines; standard input by default")
    resolve.set_defaults(command=_resolve)

    events = commands.add_parser(
        "events",
        help="every class of the app that broadcasts, and the rung that serves it",
        description="Rungs: mapping, framework, native, php, refused; http is posted by Laravel itself.",
    )
    _app_arguments(events)
    events.add_argument("--laravel", metavar="VERSION", help="Laravel's version, where it cannot be read")
    events.add_argument("--json", action="store_true", help="JSON Lines")
    events.set_defaults(command=_events)
    return parser


def _app_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--app", metavar="DIR", help="the Laravel app (BRIDGE_APP, else this folder)")
    parser.add_argument("--config", metavar="FILE", help="bridge.toml (BRIDGE_CONFIG)")


# ---- serve and demo -----------------------------------------------------------------------------


def _serve(given: argparse.Namespace) -> int:
    from bridge.daemon import Daemon  # the other commands start faster without the server
    from bridge.settings import load_settings

    settings = load_settings(vars(given), os.environ, given.app, given.config)
    start_logging(settings.log_level)
    if given.shadow:
        return _shadow(settings, given)
    if given.shadow_to or given.shadow_show_data:
        raise UsageError("--shadow-to and --shadow-show-data need --shadow")
    return Daemon(
        settings,
        announce=_announce,
        reread=lambda: load_settings(vars(given), os.environ, given.app, given.config),
    ).run()


def _shadow(settings: Settings, given: argparse.Namespace) -> int:
    from bridge.shadow import Shadow

    if given.shadow_to and not re.match(r"https?://[^/?#]+(/[^?#]*)?\Z", given.shadow_to):
        raise UsageError("--shadow-to is no URL: give the server's, such as http://127.0.0.1:6002")
    return Shadow(
        settings=settings, announce=_announce, to=given.shadow_to, show_data=given.shadow_show_data
    ).run()


def _announce(address: str) -> None:
    print(f"listening on {address}", flush=True)


def _demo(given: argparse.Namespace) -> int:
    from bridge.demo import run

    start_logging("warning")
    return run(port=given.port, browser=not given.no_browser)


# ---- resolve ------------------------------------------------------------------------------------


def _resolve(given: argparse.Namespace) -> int:
    from bridge.resolvers.ladder import RUNGS
    from bridge.rooms import build_ladder, event_mappings, php_rung
    from bridge.settings import load_settings

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
        ladder = build_ladder(settings.laravel, event_mappings(settings), version=version, only=only, php=php)
        with contextlib.closing(ladder):
            _resolve_lines(ladder, given.file)
    return 0


def _resolve_lines(ladder: Ladder, file: str | None) -> None:
    for row, payload in _rows(file):
        _print_json({"id": row.get("id"), **_report(_resolved(ladder, payload))})


def _compare(settings: Settings, given: argparse.Namespace) -> int:
    """Each job without PHP and by PHP; 1 if any is not the same."""
    from bridge.resolvers.comparison import compare, preferred
    from bridge.rooms import compared_ladders

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
            report = _report(preferred(both.native, both.php))
            _print_json({"id": row.get("id"), **report, "compare": sides})
            counts[_VERDICTS[both.same]] += 1
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _VERDICTS.values())
    print(f"bridge: {counts.total()} jobs compared: {told}", file=sys.stderr)
    return 1 if counts[_VERDICTS[False]] else 0


_VERDICTS = {True: "same", False: "different", None: "not to be compared"}


def _resolved(ladder: Ladder, payload: bytes) -> Resolution:
    try:
        return ladder.resolve(read_payload(payload))
    except Unreadable as problem:
        return Resolution(outcome="failed", event="", why=str(problem))


def _print_json(line: Mapping[str, object]) -> None:
    print(json.dumps(line, ensure_ascii=False), flush=True)


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
    except ValueError:
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


# ---- events -------------------------------------------------------------------------------------


def _events(given: argparse.Namespace) -> int:
    from bridge.rooms import survey_app
    from bridge.settings import load_settings

    settings = load_settings({"laravel_version": given.laravel}, os.environ, given.app, given.config)
    findings = survey_app(settings)
    if findings is None:
        print(
            f"bridge: {settings.laravel.path} has no PHP source: its events are resolved by mapping and by "
            "Laravel's own rules",
            file=sys.stderr,
        )
        return 0
    for line in (_event_json if given.json else _event_table)(findings):
        print(line)
    return 0


def _event_json(findings: Sequence[Finding]) -> Iterable[str]:
    for one in findings:
        report = {
            "class": one.class_name,
            "kind": one.kind,
            "rung": one.rung,
            "why": one.why,
            "queued": one.queued,
            "channels": list(one.channels),
            "name": one.name,
            "file": one.file,
            "line": one.line,
            "reasons": list(one.reasons),
        }
        yield json.dumps(report, ensure_ascii=False)


def _event_table(findings: Sequence[Finding]) -> Iterable[str]:
    """Two or three lines a class: what serves it, where it goes, and why it is not native."""
    width = max((len(one.class_name) for one in findings), default=0)
    for one in findings:
        yield f"{one.class_name:<{width}}  {one.kind:<12}  {one.rung}"
        name = "" if one.name == one.class_name else f"  as {one.name}"
        yield f"    {', '.join(one.channels) or '(channels not told by the source)'}{name}"
        if one.why:
            yield f"    {one.why}"
    counts = Counter(one.rung for one in findings)
    yield f"{len(findings)} classes: " + ", ".join(f"{count} {rung}" for rung, count in counts.most_common())


# ---- logging ------------------------------------------------------------------------------------

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "action", "taskName"}


class _Line(logging.Formatter):
    """`2026-01-31 12:00:00 warning job failed uuid=… why="…"`: the message, then what varies."""

    def format(self, record: logging.LogRecord) -> str:
        moment = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        extra = [
            f"{key}={json.dumps(value, ensure_ascii=False) if isinstance(value, str) else value}"
            for key, value in vars(record).items()
            if key not in _STANDARD
        ]
        line = " ".join([moment, record.levelname.lower(), record.getMessage(), *extra])
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def start_logging(level: str) -> None:
    """Lines for people on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Line())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for noisy in ("uvicorn", "asyncio", "apscheduler", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
