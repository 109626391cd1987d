"""The failed jobs of the driver `file` (Laravel 10.10.1 and later): a JSON list, the newest first.

Laravel takes a lock of its file cache before it reads and writes the list (`FileFailedJobProvider::lock`).
So does bridge, and another on the folder, which holds back other bridges where the app has no such cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.jobs.queue.failed_jobs import FailedJob, KeptJob, local_time, not_copied, storable

LIMIT = 100  # entries; `queue.failed.limit`

_Entry = dict[str, Any]


class FileFailedJobs:
    """`lock` is Laravel's own; entered for each change of the file, it may raise ServiceUnavailable."""

    def __init__(
        self,
        path: Path,
        *,
        timezone: ZoneInfo,
        limit: int = LIMIT,
        lock: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._path = path
        self._timezone = timezone
        self._limit = limit
        self._lock = lock

    def check(self) -> None:
        existing = self._path if self._path.exists() else self._path.parent
        if not os.access(existing, os.W_OK) or not os.access(self._path.parent, os.W_OK):
            raise ConfigurationError(
                "queue.failed.path", f"cannot be written: {self._path}", remedy="see its owner"
            )

    def record(self, job: FailedJob) -> None:
        if job.unread is not None:
            raise not_copied(job.unread, "failed jobs are kept in a file")
        entry = {
            "id": job.uuid,
            "connection": job.connection_name,
            "queue": job.queue,
            "payload": job.payload.decode(errors="replace"),
            "exception": storable(job.exception),
            "failed_at": local_time(job.failed_at, self._timezone),
            "failed_at_timestamp": int(job.failed_at.timestamp()),
            "number": time.time_ns(),
        }

        def added(entries: list[_Entry]) -> list[_Entry]:
            return [entry, *(one for one in entries if one["id"] != job.uuid)][: self._limit]

        self._change(added)

    def kept(self) -> Iterator[KeptJob]:
        with self._readable():
            return iter([_kept(entry) for entry in self._read()])

    def find(self, id: str) -> KeptJob | None:
        return next((job for job in self.kept() if job.id == id), None)

    def forget(self, id: str) -> bool:
        return self._change(lambda entries: [entry for entry in entries if entry["id"] != id]) > 0

    def forget_retried(self, job: KeptJob) -> None:
        read = (job.id, job.number)
        self._change(lambda entries: [one for one in entries if (one["id"], one.get("number", 0)) != read])

    def flush(self, before: datetime | None) -> None:
        moment = float("inf") if before is None else int(before.timestamp())
        self._change(lambda entries: [one for one in entries if one["failed_at_timestamp"] > moment])

    def close(self) -> None:
        pass

    def _change(self, change: Callable[[list[_Entry]], list[_Entry]]) -> int:
        """How many entries fewer there are; the file is only written where something changed."""
        with self._readable(), _locked(self._path.parent), self._lock():
            before = self._read()
            after = change(before)
            if after != before:
                _replace(self._path, json.dumps(after, indent=4))
        return len(before) - len(after)

    def _read(self) -> list[_Entry]:
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        entries = json.loads(text) if text.strip() else []
        if not isinstance(entries, list):
            raise TypeError("no list")
        return entries

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ServiceUnavailable(
                f"the failed jobs in {self._path} cannot be read or written, {type(error).__name__}: "
                "see its owner and its content"
            ) from error


def _kept(entry: _Entry) -> KeptJob:
    return KeptJob(
        id=str(entry["id"]),
        connection_name=entry["connection"],
        queue=entry["queue"],
        payload=entry["payload"].encode(),
        exception=entry["exception"],
        failed_at=entry["failed_at"],
        number=entry.get("number", 0),
    )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(path: Path, text: str) -> None:
    """Replaces the file's content in one step; its rights stay."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    if path.exists():
        shutil.copymode(path, new)
        owner = path.stat()
        with contextlib.suppress(PermissionError):
            os.chown(new, owner.st_uid, owner.st_gid)
    new.replace(path)
