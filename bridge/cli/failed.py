"""`bridge failed`: the jobs that failed, listed, shown, tried again, forgotten, without PHP."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bridge.cli.arguments import Commands, add_app
from bridge.cli.plain import json_line, plain
from bridge.errors import ConfigurationError, JobError, UsageError
from bridge.jobs.queue.failed_jobs import FailedJobs, KeptJob
from bridge.jobs.queue.push import Push
from bridge.jobs.queue.requeue import retry
from bridge.laravel.payload import json_object

if TYPE_CHECKING:
    from bridge.settings.load import Settings

_RANGE = re.compile(r"(\d+)-(\d+)\Z", re.ASCII)
_CLASS = re.compile(r'"([^"]+)"')


def add(commands: Commands) -> None:
    whole = commands.add_parser(
        "failed",
        help="the jobs that failed: list, show, retry, forget, flush",
        description="What queue:failed, queue:retry, queue:forget and queue:flush do, without PHP.",
    )
    actions = whole.add_subparsers(metavar="ACTION", required=True)

    listing = actions.add_parser("list", help="every failed job, the newest first")
    listing.add_argument("--queue", metavar="NAME", help="of this queue only")
    listing.add_argument("--json", action="store_true", help="JSON Lines")
    listing.set_defaults(command=_list)

    show = actions.add_parser("show", help="one of them, with the whole reason")
    show.add_argument("id", metavar="ID")
    show.add_argument(
        "--json", action="store_true", help="one line of JSON, payload included: for bridge resolve"
    )
    show.set_defaults(command=_show)

    again = actions.add_parser("retry", help="back into their queue")
    again.add_argument("ids", nargs="*", metavar="ID", help="ids, or all")
    again.add_argument("--queue", metavar="NAME", help="all of this queue")
    again.add_argument(
        "--range", action="append", default=[], metavar="A-B", help="ids from A to B, where they are numbers"
    )
    again.set_defaults(command=_retry)

    forget = actions.add_parser("forget", help="delete one of them")
    forget.add_argument("id", metavar="ID")
    forget.set_defaults(command=_forget)

    flush = actions.add_parser("flush", help="delete all of them")
    flush.add_argument("--hours", type=int, metavar="N", help="only what failed more than N hours ago")
    flush.set_defaults(command=_flush)

    for action in (listing, show, again, forget, flush):
        add_app(action)


def _list(given: argparse.Namespace) -> int:
    with _opened(given) as (_, failed):
        jobs = (job for job in failed.kept() if given.queue in (None, job.queue))
        for line in _lines(jobs) if given.json else _table(list(jobs)):
            print(plain(line))
    return 0


def _show(given: argparse.Namespace) -> int:
    with _opened(given) as (_, failed):
        job = failed.find(given.id)
    if job is None:
        return _unknown(given.id)
    if given.json:
        more = {"exception": job.exception, "payload": job.payload.decode(errors="replace")}
        print(json_line(_summary(job) | more))
        return 0
    for name, value in _summary(job).items():
        if name != "reason":
            print(plain(f"{name:<10}  {value}"))
    print(plain(f"\n{job.exception.rstrip()}", lines=True))
    return 0


def _retry(given: argparse.Namespace) -> int:
    """1 if any of them could not go back."""
    from bridge.serve.wiring.queue import build_push, refresher

    ends = 0
    with _opened(given) as (settings, failed), contextlib.ExitStack() as stack:
        refresh = refresher(settings.laravel)
        queues: dict[str, Push] = {}
        for id in _chosen(given, failed):
            job = failed.find(id)
            if job is None:
                ends = _unknown(id)
                continue
            try:
                queue = queues.get(job.connection_name)
                if queue is None:
                    queue = build_push(settings, job.connection_name)
                    stack.callback(queue.close)
                    queues[job.connection_name] = queue
                retry(job, failed, queue, refresh)
                print(plain(f"{id} is back in the queue {job.queue}"))
            except (ConfigurationError, JobError) as problem:
                print(plain(f"bridge: {id} stays where it is: {problem}"), file=sys.stderr)
                ends = 1
    return ends


def _forget(given: argparse.Namespace) -> int:
    with _opened(given) as (_, failed):
        if not failed.forget(given.id):
            return _unknown(given.id)
    print(f"{given.id} is deleted")
    return 0


def _flush(given: argparse.Namespace) -> int:
    before = None if given.hours is None else datetime.now(UTC) - timedelta(hours=given.hours)
    with _opened(given) as (_, failed):
        failed.flush(before)
    print("deleted" + ("" if given.hours is None else f" what failed more than {given.hours} hours ago"))
    return 0


@contextlib.contextmanager
def _opened(given: argparse.Namespace) -> Iterator[tuple[Settings, FailedJobs]]:
    from bridge.serve.wiring.failed_jobs import failed_jobs
    from bridge.settings.load import load_settings

    settings = load_settings({}, os.environ, given.app, given.config)
    with contextlib.closing(failed_jobs(settings.laravel)) as failed:
        failed.check()
        yield settings, failed


def _chosen(given: argparse.Namespace, failed: FailedJobs) -> list[str]:
    """The ids as `queue:retry` understands its arguments: `all` alone, else a queue, else ids and ranges."""
    if given.ids == ["all"]:
        return [job.id for job in failed.kept()]
    if given.queue:
        return [job.id for job in failed.kept() if job.queue == given.queue]
    ids = list(given.ids)
    for text in given.range:
        if not (ends := _RANGE.match(text)):
            raise UsageError(f"--range is no range: {text}; write it like 1-5")
        ids += map(str, range(int(ends[1]), int(ends[2]) + 1))
    if not ids:
        raise UsageError("nothing to retry is named: give ids, `all`, --queue or --range")
    return list(dict.fromkeys(ids))


def _unknown(id: str) -> int:
    print(plain(f"bridge: no failed job has the id {id}: see bridge failed list"), file=sys.stderr)
    return 1


def _summary(job: KeptJob) -> dict[str, str]:
    return {
        "id": job.id,
        "connection": job.connection_name,
        "queue": job.queue,
        "class": job_name(job.payload),
        "failed_at": job.failed_at,
        "reason": job.exception.strip().partition("\n")[0].rstrip(),
    }


def job_name(payload: bytes) -> str:
    """What `queue:failed` shows of newer releases: the display name, for other jobs their handler."""
    document = json_object(payload)
    if document is None:
        return ""
    data = document.get("data")
    command = data.get("command") if isinstance(data, dict) else None
    shown = document.get("displayName") if isinstance(command, str) else None
    if not shown and isinstance(command, str) and (found := _CLASS.search(command)):
        shown = found[1]
    return str(shown or document.get("job") or "")


def _lines(jobs: Iterable[KeptJob]) -> Iterator[str]:
    for job in jobs:
        yield json_line(_summary(job))


def _table(jobs: list[KeptJob]) -> Iterator[str]:
    """A line a job, and its reason below."""
    if not jobs:
        yield "no failed jobs"
    for one in map(_summary, jobs):
        yield f"{one['failed_at']}  {one['id']}  {one['connection']}@{one['queue']}  {one['class']}"
        yield f"    {one['reason']}"
