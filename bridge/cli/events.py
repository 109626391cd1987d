"""`bridge events`: every class that broadcasts, and the rung that serves it."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from bridge.cli.arguments import Commands, add_app, add_laravel
from bridge.cli.plain import json_line, plain
from bridge.errors import UsageError
from bridge.jobs.resolve.survey.survey import EventReport
from bridge.jobs.resolve.trust import ClassTrust
from bridge.laravel.app_report import AppReport

_ROOT = ("artisan", "composer.json", "bootstrap/app.php")


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "events",
        help="every class of the app that broadcasts, and the rung that serves it",
        description="Rungs: mapping, framework, native, php, refused; http is posted by Laravel itself.",
    )
    add_app(parser)
    add_laravel(parser)
    parser.add_argument("--json", action="store_true", help="JSON Lines")
    parser.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    """0, whatever is found. Raises UsageError where `--app` is no Laravel app with source."""
    from bridge.serve.wiring.survey import survey_app
    from bridge.serve.wiring.trust import earned_by_class
    from bridge.settings.load import load_settings

    settings = load_settings({"laravel_version": given.laravel}, os.environ, given.app, given.config)
    path = settings.laravel.path
    found = survey_app(settings)
    if found is None:
        print(
            f"bridge: {path} has no PHP source: its events are resolved by mapping and by "
            "Laravel's own rules",
            file=sys.stderr,
        )
        return 0
    if not found.findings and not any((path / name).is_file() for name in _ROOT):
        raise UsageError(f"--app {path} is not the root of a Laravel app: give the folder with artisan")
    earned = earned_by_class(settings)
    findings = [_trusted(one, earned or {}) for one in found.findings]
    lines = _event_json(findings, earned) if given.json else _event_table(findings, found.report, earned)
    for line in lines:
        print(plain(line))
    if not found.findings:
        print(f"bridge: no class in {path} broadcasts", file=sys.stderr)
    return 0


def _trusted(finding: EventReport, earned: Mapping[str, ClassTrust]) -> EventReport:
    """A class for which native evaluation was found to differ is PHP's."""
    trust = earned.get(finding.class_name)
    if trust is None or not trust.differing or finding.rung not in ("native", "framework"):
        return finding
    why = f"native evaluation and PHP differ at {', '.join(trust.differing)}: PHP's until the next deploy"
    return replace(finding, rung="php", why=why)


def _event_json(findings: Sequence[EventReport], earned: Mapping[str, ClassTrust] | None) -> Iterable[str]:
    for one in findings:
        trust = None if earned is None else earned.get(one.class_name, ClassTrust())
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
            "agreed": None if trust is None else trust.agreed,
            "checked_at": None if trust is None or not trust.checked_at else round(trust.checked_at),
        }
        yield json_line(report)


def _event_table(
    findings: Sequence[EventReport], report: AppReport, earned: Mapping[str, ClassTrust] | None
) -> Iterable[str]:
    """How the app is set up, then two or three lines a class: what serves it, where it goes, and why it is
    not native, or how far it has earned that. A reason that concerns many classes stands once, at the top."""
    yield from report.summary()
    yield ""
    common = {str(reason) for reason in (*report.everything, *report.models)}
    width = max((len(one.class_name) for one in findings), default=0)
    for one in findings:
        yield f"{one.class_name:<{width}}  {one.kind:<12}  {one.rung}"
        name = "" if one.name == one.class_name else f"  as {one.name}"
        yield f"    {', '.join(one.channels) or '(channels not told by the source)'}{name}"
        own = [reason for reason in one.reasons if reason not in common]
        if one.why and one.why not in common:
            yield f"    {one.why}"
        elif own and one.rung in ("php", "refused"):
            yield f"    {own[0]}"
        if earned is not None and one.rung in ("native", "framework"):
            yield f"    {_earned(earned.get(one.class_name, ClassTrust()))}"
    counts = Counter(one.rung for one in findings)
    told = ", ".join(f"{count} {rung}" for rung, count in counts.most_common())
    yield f"{len(findings)} classes: {told}" if findings else "0 classes"


def _earned(trust: ClassTrust) -> str:
    if not trust.agreed:
        return "not yet compared with PHP: its first jobs are PHP's"
    at = datetime.fromtimestamp(trust.checked_at).astimezone().isoformat(" ", "minutes")
    return f"{trust.agreed} jobs agreed with PHP, the last at {at}"
