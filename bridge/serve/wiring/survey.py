"""The survey of an app: every class that broadcasts, and its rung."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.jobs.resolve.app_environment import AppEnvironment
from bridge.jobs.resolve.survey.survey import EventReport, survey
from bridge.laravel.app_report import AppReport
from bridge.phpeval.laravel.app_source import AppSource
from bridge.phpeval.laravel.version import NEWEST, parse_version
from bridge.serve.wiring.environment import app_report, shared_environment
from bridge.serve.wiring.ladder import event_mappings, php_rung
from bridge.settings.load import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The classes of an app that broadcast, and how the app is set up."""

    findings: Sequence[EventReport]
    report: AppReport


def survey_app(settings: Settings) -> Survey | None:
    """Every class of the app that broadcasts, and its rung. None where there is no PHP source.

    Where PHP is there, the app is booted once, to say how it is set up."""
    laravel = settings.laravel
    source = AppSource(laravel.path)
    if not source.has_code:
        return None
    with php_rung(settings) as php:
        said = app_report(laravel, None if php is None else php.report)(True)
    reported = parse_version(said.laravel) if said is not None and said.laravel else None
    environment = AppEnvironment(
        source, laravel.release or reported or NEWEST, shared_environment(laravel), said
    )
    findings = survey(source, environment, mapped=event_mappings(settings), php=php is not None)
    return Survey(findings=findings, report=environment.report)
