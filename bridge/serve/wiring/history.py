"""The app's tables of statistics and of job history."""

from __future__ import annotations

from bridge.errors import ConfigurationError
from bridge.laravel.database import engine
from bridge.monitoring.job_history import JobHistoryTable
from bridge.monitoring.statistics import StatisticsTable
from bridge.settings.load import Settings


def build_statistics(settings: Settings) -> StatisticsTable | None:
    """Where the app's statistics go; None where it has no database."""
    try:
        facts = settings.laravel.database(None)
        return StatisticsTable(
            engine(facts),
            prefix=facts.prefix,
            timezone=settings.laravel.timezone,
            may_create=settings.create_statistics_table,
        )
    except ConfigurationError:
        return None


def build_job_history(settings: Settings) -> JobHistoryTable | None:
    """Where the history of jobs goes; None where the app has no database."""
    try:
        facts = settings.laravel.database(None)
        return JobHistoryTable(engine(facts), prefix=facts.prefix)
    except ConfigurationError:
        return None
