"""Failed jobs, job history, queues: what the page asks of the jobs half."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bridge.errors import BridgeError, ServiceUnavailable
from bridge.monitoring.dashboard import job_rows
from bridge.monitoring.dashboard.backend import DashboardBackend
from bridge.monitoring.dashboard.failures import LOOKED_AT, page_of
from bridge.monitoring.dashboard.requests import (
    JOB_RANGES,
    app_of,
    channel_of,
    data_of,
    fields_of,
    in_thread,
    name_of,
    range_of,
)
from bridge.monitoring.dashboard.session import (
    audit,
)
from bridge.sockets.server.node import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEndpoints:
    """`queues`: the names of those that bridge works on."""

    node: Node
    backend: DashboardBackend
    queues: Sequence[str]

    async def failed(self, request: Request) -> Any:
        asked = request.query_params
        number = asked.get("page", "")
        rows, is_all = await in_thread(self.backend.failed)
        return page_of(
            rows,
            is_all=is_all,
            search=asked.get("search", ""),
            group=asked.get("group", ""),
            page=int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else 1,
        )

    async def retry(self, request: Request) -> Any:
        return await self._each(request, self.backend.retry, "failed job retried")

    async def delete(self, request: Request) -> Any:
        return await self._each(request, self.backend.delete, "failed job deleted")

    async def payload(self, request: Request) -> Any:
        """Of the one failed job `id`. A POST, since it leaves a line in the log."""
        id = (await fields_of(request)).get("id")
        if not isinstance(id, str):
            raise HTTPException(422, "id is missing")
        text = await in_thread(self.backend.payload, id)
        audit(request, "payload of a failed job shown", job=id)
        return {"payload": text}

    async def _each(self, request: Request, work: Callable[[str], None], what: str) -> Any:
        """`work` with each failed job of the list `ids`: how many that did, and why others did not.

        The first that finds its store away ends it. HTTPException 409 where none could be done."""
        ids = (await fields_of(request)).get("ids")
        if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
            raise HTTPException(422, "ids is no list of failed jobs' ids")
        if not 0 < len(ids) <= LOOKED_AT:
            raise HTTPException(422, f"1 to {LOOKED_AT:,} failed jobs may be named at once")
        done, problem = 0, ""
        for id in dict.fromkeys(ids):
            try:
                await asyncio.to_thread(work, id)
            except ServiceUnavailable as fault:
                problem = str(fault)
                break
            except BridgeError as fault:
                problem = problem or str(fault)
            else:
                done += 1
                audit(request, what, job=id)
        if not done:
            raise HTTPException(409, problem)
        return {"done": done, "problem": problem}

    async def job_history(self, request: Request) -> Any:
        """Of the `range`: as `shown` says. `event` and `queue`: the spans are of this class only."""
        asked = request.query_params
        seconds, width = range_of(request, JOB_RANGES, "1h")
        event, queue = asked.get("event", ""), asked.get("queue", "")
        try:
            jobs, keeps = await asyncio.to_thread(self.backend.jobs, seconds, width, event, queue)
        except BridgeError as problem:
            return {"spans": [], "rows": [], "keeps": True, "problem": str(problem)}
        return {**job_rows.shown(jobs), "keeps": keeps, "problem": ""}

    async def queued(self, request: Request) -> Any:
        """Of what lies in the queues: `total` that hold `search` in class, uuid, queue or tag, and `rows`."""
        asked = request.query_params
        jobs = await in_thread(self.backend.queued)
        try:
            paused, problem = sorted(await asyncio.to_thread(self.backend.paused)), ""
        except BridgeError as fault:
            paused, problem = [], str(fault)
        found = job_rows.listed(jobs, len(self.queues), asked.get("search", ""), asked.get("state", ""))
        return {**found, "paused": paused, "queues": self.queues, "problem": problem}

    async def pause(self, request: Request) -> Any:
        return await self._of_a_queue(request, self.backend.pause, "queue paused")

    async def resume(self, request: Request) -> Any:
        return await self._of_a_queue(request, self.backend.resume, "queue continued")

    async def _of_a_queue(self, request: Request, work: Callable[[str], None], what: str) -> Any:
        queue = (await fields_of(request)).get("queue")
        if not isinstance(queue, str):
            raise HTTPException(422, "queue is missing")
        await in_thread(work, queue)
        audit(request, what, queue=queue)
        return {"queue": queue}

    async def push(self, request: Request) -> Any:
        """A job in the app's queue that broadcasts this."""
        fields = await fields_of(request)
        app = app_of(self.node, fields)
        channel, name = channel_of(app, fields), name_of(app, fields)
        value = data_of(app, fields)[1]
        try:
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except ValueError:  # "\ud800", 1e400
            raise HTTPException(422, "the data hold what PHP cannot hold: half a character, 1e400") from None
        job = await in_thread(self.backend.push, app.id, [channel], name, value)
        audit(request, "job sent", app=app.id, channel=channel, event=name, job=job)
        return {"job": job}
