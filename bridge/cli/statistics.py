"""`bridge statistics clean`: old rows of `websockets_statistics_entries` go, as with `websockets:clean`.

`bridge statistics create`: the tables of statistics and of the history of jobs are there.
"""

from __future__ import annotations

import argparse
import contextlib
import os

from bridge.cli.arguments import Commands, add_app
from bridge.errors import ConfigurationError, UsageError

DAYS = 60  # laravel-websockets' own


def add(commands: Commands) -> None:
    whole = commands.add_parser("statistics", help="the app's statistics: create, clean")
    actions = whole.add_subparsers(metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make the tables of statistics and of the history of jobs")
    add_app(create)
    create.set_defaults(command=_create)
    clean = actions.add_parser("clean", help="delete old rows, as websockets:clean does")
    clean.add_argument("app_id", nargs="?", metavar="APP_ID", help="of this Pusher app only")
    clean.add_argument(
        "--days",
        type=int,
        metavar="N",
        help=f"rows older than this ({DAYS}, or the app's own)",
    )
    add_app(clean)
    clean.set_defaults(command=_clean)


def _create(given: argparse.Namespace) -> int:
    from bridge.serve.wiring.history import build_job_history, build_statistics
    from bridge.settings.load import load_settings

    settings = load_settings({}, os.environ, given.app, given.config)
    for table in (build_statistics(settings), build_job_history(settings)):
        if table is None:
            raise _no_place()
        with contextlib.closing(table):
            print(f"{table.name} {'is made' if table.create() else 'was there already'}")
    return 0


def _no_place() -> ConfigurationError:
    return ConfigurationError(
        "statistics", "have no place: the app has no database", remedy="see DB_* in the app's .env"
    )


def _clean(given: argparse.Namespace) -> int:
    from bridge.serve.wiring.history import build_statistics
    from bridge.settings.load import load_settings

    settings = load_settings({}, os.environ, given.app, given.config)
    known = settings.laravel.config.get("websockets.statistics.delete_statistics_older_than_days")
    days = given.days if given.days is not None else known if isinstance(known, int) else DAYS
    if days < 0:
        raise UsageError(f"--days is negative: {days}")
    table = build_statistics(settings)
    if table is None:
        raise _no_place()
    with contextlib.closing(table):
        count = table.clean(days, given.app_id)
    print(f"{count} rows older than {days} days are deleted")
    return 0
