"""Jobs as the page gets them: by class and queue, in spans of time, and one by one as they lie in queues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bridge.jobs.queue.listing import MOST, QueuedJob
from bridge.monitoring.job_counts import JobRow, quantile
from bridge.monitoring.job_history import Jobs

LISTED = 100  # jobs of a queue that are shown at once
MOST_ROWS = 200  # classes
STATES = ("reserved", "waiting", "delayed")


def shown(jobs: Jobs) -> dict[str, Any]:
    """start, end, width   unix seconds, and seconds
    spans                begin, done, failed, wait (95 % in seconds), run (95 %); none where no job ended
    rows                 a class and queue each, the busiest first: done, nothing, failed, released, rungs
                         (name → jobs), wait and run (seconds that half of the jobs, and 95 %, took at most)
    """
    rows: dict[tuple[str, str], tuple[JobRow, Counter[str]]] = {}
    for key, row in jobs.rows.items():
        whole, rungs = rows.setdefault((key.event, key.queue), (JobRow(), Counter()))
        whole.add(row)
        rungs[key.rung or "none"] += _ended(row)
    busiest = sorted(rows.items(), key=lambda item: (-_ended(item[1][0]), item[0]))
    return {
        "start": jobs.start,
        "end": jobs.end,
        "width": jobs.width,
        "spans": [
            [at, row.done + row.nothing, row.failed, quantile(row.waits, 0.95), quantile(row.runs, 0.95)]
            for at, row in jobs.spans.items()
        ],
        "total": len(rows),
        "rows": [
            {
                "event": event,
                "queue": queue,
                "done": row.done,
                "nothing": row.nothing,
                "failed": row.failed,
                "released": row.released,
                "rungs": dict(rungs.most_common()),
                "wait": [quantile(row.waits, share) for share in (0.5, 0.95)],
                "run": [quantile(row.runs, share) for share in (0.5, 0.95)],
            }
            for (event, queue), (row, rungs) in busiest[:MOST_ROWS]
        ],
    }


def listed(jobs: Sequence[QueuedJob], queues: int, search: str, state: str) -> dict[str, Any]:
    """`states`: how many were looked at; `rows`: the oldest of those that hold the text; `is_all`: whether
    there can be no others."""
    wanted = search.strip().lower()
    found = [job for job in jobs if state in ("", job.state) and (not wanted or _matches(job, wanted))]
    return {
        "states": {name: sum(job.state == name for job in jobs) for name in STATES},
        "total": len(found),
        "is_all": len(jobs) < MOST // max(1, queues),
        "rows": [
            {
                "name": job.name,
                "uuid": job.uuid,
                "queue": job.queue,
                "state": job.state,
                "attempts": job.attempts,
                "due_at": job.due_at,
                "queued_at": job.queued_at,
                "tags": job.tags,
            }
            for job in found[:LISTED]
        ],
    }


def _matches(job: QueuedJob, text: str) -> bool:
    return any(text in part.lower() for part in (job.name, job.uuid, job.queue, *job.tags))


def _ended(row: JobRow) -> int:
    return row.done + row.nothing + row.failed + row.released
