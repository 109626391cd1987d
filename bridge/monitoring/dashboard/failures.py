"""Failed jobs for the page: found, put into groups of equal failures, and cut into pages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

LOOKED_AT = 1_000  # the newest failed jobs: what the page counts, groups and searches
PAGE = 25  # rows of a page
MOST_GROUPS = 20

# What differs between failures that have the same cause: uuids, hexadecimal digests and numbers.
_VARYING = re.compile(r"\b(?:[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,})\b|[0-9]+", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRow:
    """A failed job. `reason` is the first line of the exception, `whole` more of it.

    id     by which it is retried; `uuid` the job's, which is another one with the driver `database`
    event  the job's class, empty where the payload does not tell it
    """

    id: str
    uuid: str
    event: str
    queue: str
    connection: str
    failed_at: str
    reason: str
    whole: str


def page_of(
    rows: Sequence[FailedRow], *, is_all: bool, search: str = "", group: str = "", page: int = 1
) -> dict[str, Any]:
    """One page of what is looked for, of `rows` with the newest first.

    total    jobs that hold the text `search`, whatever its case, and are of the group, if one is named
    page     the number of this page, from 1 to `pages`
    rows     its jobs
    ids      of all `total` jobs
    groups   two or more jobs that failed alike, of those that hold the text: the largest first
    is_all   whether the `looked_at` jobs of `rows` are all failed jobs there are
    """
    text = search.strip().lower()
    found = [row for row in rows if not text or _matches(row, text)]
    alike: dict[str, list[FailedRow]] = {}
    for row in found:
        alike.setdefault(group_of(row), []).append(row)
    largest = sorted((one for one in alike.values() if len(one) > 1), key=len, reverse=True)
    shown = alike.get(group, []) if group else found
    pages = max(1, -(-len(shown) // PAGE))
    page = min(max(page, 1), pages)
    return {
        "total": len(shown),
        "page": page,
        "pages": pages,
        "rows": [asdict(row) for row in shown[(page - 1) * PAGE : page * PAGE]],
        "ids": [row.id for row in shown],
        "groups": [_group(one) for one in largest[:MOST_GROUPS]],
        "is_all": is_all,
        "looked_at": len(rows),
    }


def group_of(row: FailedRow) -> str:
    """Equal for failures of one class, on one queue, with one reason but for its numbers and ids."""
    cause = row.whole.partition("\n")[0] or row.reason
    alike = (row.event, row.connection, row.queue, _VARYING.sub("#", cause))
    return hashlib.sha256("\0".join(alike).encode()).hexdigest()[:16]


def _group(rows: Sequence[FailedRow]) -> dict[str, Any]:
    newest, oldest = rows[0], rows[-1]
    return {
        "key": group_of(newest),
        "event": newest.event,
        "queue": newest.queue,
        "reason": newest.reason,
        "first_at": oldest.failed_at,
        "last_at": newest.failed_at,
        "ids": [row.id for row in rows],
    }


def _matches(row: FailedRow, text: str) -> bool:
    texts = (row.id, row.uuid, row.event, row.queue, row.connection, row.failed_at, row.whole)
    return any(text in one.lower() for one in texts)
