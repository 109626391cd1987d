"""`bridge doctor`: what is wrong around an app, and what to do about it."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bridge.cli.arguments import Commands, add_app, add_laravel, add_serving
from bridge.cli.plain import json_line, plain
from bridge.errors import BridgeError, ConfigurationError

if TYPE_CHECKING:
    from bridge.doctor.subject import Finding

_OF_THE_COMMAND = ("--app", "--config")  # errors of these are wrong usage of this command, not findings


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "doctor",
        help="checks everything around the app; exit 1 with findings",
        description="Looks at .env, stores, PHP, port, certificate, Echo's settings and every event; "
        "changes nothing. Hints may be fine as they are and do not count. Give it the options that "
        "`bridge serve` gets.",
    )
    add_app(parser)
    add_laravel(parser)
    add_serving(parser)
    parser.add_argument("--json", action="store_true", help="JSON Lines")
    parser.set_defaults(command=run)


def run(given: argparse.Namespace) -> int:
    """0 healthy, 1 with findings."""
    faults = 0
    report: list[str] = []
    for finding in _findings(given, report):
        faults += not finding.hint
        for line in [_json(finding)] if given.json else _text(finding):
            print(plain(line), flush=True)
    if not given.json:
        for line in report[:1]:
            print(plain(line))
        found = "1 fault was found" if faults == 1 else f"{faults} faults were found"
        print(found if faults else "healthy: no fault was found")
    return 1 if faults else 0


def _findings(given: argparse.Namespace, report: list[str]) -> Iterable[Finding]:
    """The findings; afterwards `report` holds how the app is set up, in a few lines, if there is source."""
    from bridge.doctor.examine import examine
    from bridge.doctor.subject import ExaminedApp, Finding
    from bridge.settings.load import load_settings

    try:
        settings = load_settings(
            {**vars(given), "laravel_version": given.laravel}, os.environ, given.app, given.config
        )
    except ConfigurationError as problem:
        if problem.key in _OF_THE_COMMAND:
            raise
        yield Finding(
            what=f"{problem.key} {problem.problem}; the rest cannot be looked at before",
            where=problem.where,
            remedy=problem.remedy,
            check="settings",
        )
        return
    subject = ExaminedApp(settings=settings)
    yield from examine(subject)
    with contextlib.suppress(BridgeError):
        if subject.survey is not None:
            report += subject.survey.report.summary()


def _json(finding: Finding) -> str:
    level = "hint" if finding.hint else "fault"
    report = {
        "check": finding.check,
        "level": level,
        "what": finding.what,
        "where": finding.where,
        "mend": finding.remedy,
    }
    return json_line(report)


def _text(finding: Finding) -> Iterator[str]:
    yield f"{'hint ' if finding.hint else 'fault'}  {finding.check}: {finding.what}"
    if finding.where:
        yield f"       in  {finding.where}"
    if finding.remedy:
        yield f"       do  {finding.remedy}"
