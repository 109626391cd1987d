"""Which jobs are run besides broadcasts, and the lanes that run them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from bridge.jobs.other.php_lane import WORKER, LaneOptions, PhpWorkerLane
from bridge.jobs.php_process.app_processes import AppProcesses
from bridge.jobs.queue.redis.tokens import TokenUse
from bridge.jobs.queue.selection import Selection, others
from bridge.jobs.queue.sql.write_lock import SqliteWriteLock
from bridge.jobs.worker.progress import RunListener
from bridge.jobs.worker.quota import Quota
from bridge.jobs.worker.retry_policy import RetryPolicy
from bridge.serve.wiring.failed_jobs import build_failed_jobs
from bridge.serve.wiring.queue import build_queue
from bridge.settings.load import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherJobs:
    """Which jobs are run besides broadcasts.

    selection  what the lanes take; None: nothing is run, for the reason `why`
    tokens  what becomes of Redis' tokens in the broadcasts' driver, and in the lanes'
    """

    selection: Selection | None
    why: str = ""
    tokens: tuple[TokenUse, TokenUse] = ("share", "share")


def other_jobs(settings: Settings) -> OtherJobs:
    """What `other_jobs` comes to here."""
    policy = settings.other_jobs
    if policy == ("leave",):
        return OtherJobs(selection=None, why="other_jobs says so")
    if not settings.php_binary or shutil.which(settings.php_binary) is None:
        return OtherJobs(
            selection=None, why=f"there is no PHP program `{settings.php_binary}`: see php_binary"
        )
    if not (settings.laravel.path / "bootstrap/app.php").is_file():
        return OtherJobs(selection=None, why=f"{settings.laravel.path} has no bootstrap/app.php")
    if policy == ("run",):
        return OtherJobs(selection=others(), tokens=("all", "none"))
    names = frozenset(policy)

    def wanted(queue: str, document: Mapping[str, object]) -> bool:
        return queue in names or document.get("displayName") in names

    return OtherJobs(selection=others(wanted))


def build_lanes(
    settings: Settings,
    jobs: OtherJobs,
    *,
    paused: Callable[[], Collection[str] | None],
    quota: Quota,
    on_run: RunListener,
    write_lock: SqliteWriteLock | None,
) -> list[PhpWorkerLane]:
    """The lanes that run other jobs; no process is started yet."""
    if jobs.selection is None:
        return []
    tries = 1 if settings.tries is None else settings.tries
    backoff = settings.backoff or (0,)
    options = {
        "name": settings.name,
        "tries": tries,
        "backoff": ",".join(map(str, backoff)),
        "timeout": settings.timeout,
        "memory": settings.memory,
        "rest": settings.rest,
        "sleep": 0,  # it waits for us
        "force": True,  # we look whether the app is down
    }
    facts = {
        "connection": settings.queue_connection().name,
        "queue": ",".join(settings.queue_names()),
        "options": options,
        "watch": settings.watch_code,
        "lock": "" if write_lock is None else write_lock.path,
    }
    return [
        PhpWorkerLane(
            build_queue(
                settings,
                selection=jobs.selection,
                tokens=jobs.tokens[1],
                interval=settings.sleep,
                write_lock=write_lock,
            ),
            AppProcesses(
                settings.laravel.link, WORKER, php=settings.php_binary, arguments=[json.dumps(facts)]
            ),
            build_failed_jobs(settings.laravel),
            retries=RetryPolicy(tries, backoff),
            options=LaneOptions(
                timeout=settings.timeout, paused=paused, on_run=on_run, name=f"jobs-{number}"
            ),
            quota=quota,
        )
        for number in range(1, settings.workers + 1)
    ]
