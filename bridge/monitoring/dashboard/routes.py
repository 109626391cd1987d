"""Every address below `/{path}`, in one list; the five of laravel-websockets' dashboard among them.

Everything but the log-in and the page's own files needs a session; whatever changes something, its token
too. No key, secret or password is ever sent to the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from bridge import __version__
from bridge.broadcast import Broadcast
from bridge.errors import BridgeError, ServiceUnavailable
from bridge.jobs.queue.listing import QueuedJob
from bridge.monitoring.dashboard import job_rows, processes, tables
from bridge.monitoring.dashboard.event_stream import WATCHERS, EventStream, ways
from bridge.monitoring.dashboard.failures import LOOKED_AT, FailedRow, page_of
from bridge.monitoring.dashboard.responses import WritableJson
from bridge.monitoring.dashboard.session import (
    BROWSER_COOKIE,
    BROWSER_LIFE,
    COOKIE,
    LIFE,
    SessionGuard,
    audit,
)
from bridge.monitoring.job_history import Jobs
from bridge.monitoring.journal import Journal
from bridge.monitoring.statistics import Counts, History
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.channels import is_publishable, is_valid, kind_of
from bridge.sockets.pusher.hub import Hub
from bridge.sockets.pusher.signatures import sign, subscription_text
from bridge.sockets.server.api import SOCKET_ID
from bridge.sockets.server.node import Node
from bridge.sockets.server.socket import Socket
from bridge.sockets.webhooks.attempts import WebhookAttempt

FOLDER = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
STATIC = frozenset(file.name for file in FOLDER.iterdir() if file.suffix in TYPES)
RANGES = {  # of the history, in seconds: all of it, and one bar
    "1h": (3_600, 120),
    "6h": (21_600, 600),
    "24h": (86_400, 1_800),
    "7d": (604_800, 10_800),
    "30d": (2_592_000, 43_200),
}
JOB_RANGES = {  # the same for jobs, of which there are minutes for a day and hours for a month
    "1h": (3_600, 60),
    "6h": (21_600, 600),
    "24h": (86_400, 1_800),
    "7d": (604_800, 10_800),
    "30d": (2_592_000, 43_200),
}
LARGEST_REQUEST = 300_000  # bytes
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

Fields = Mapping[str, Any]


class DashboardBackend(Protocol):
    """What the jobs half does for the dashboard. Blocks, so never on the loop; raises BridgeError."""

    @property
    def shows_payloads(self) -> bool:
        """Whether `payload` answers. Does not block."""
        ...

    def failed(self) -> tuple[Sequence[FailedRow], bool]:
        """The newest failed jobs, LOOKED_AT at most, and whether these are all."""
        ...

    def retry(self, id: str) -> None:
        """Puts the job back in its queue. Raises JobError where there is none of this id."""
        ...

    def delete(self, id: str) -> None:
        """Deletes the failed job. Raises JobError where there is none of this id."""
        ...

    def payload(self, id: str) -> str:
        """Its payload as text. Raises JobError where there is none of this id, or payloads are not shown."""
        ...

    def jobs(self, seconds: int, width: int, event: str, queue: str) -> tuple[Jobs, bool]:
        """As `JobRecorder.jobs`, and whether it outlives a restart."""
        ...

    def queued(self) -> Sequence[QueuedJob]:
        """What lies in the queues, as far as `QueueListing` lists it."""
        ...

    def paused(self) -> Collection[str]:
        """Those of the queues that are paused one by one."""
        ...

    def pause(self, queue: str) -> None:
        """Nobody takes jobs from it. Raises JobError where bridge does not work on it."""
        ...

    def resume(self, queue: str) -> None:
        """Takes its jobs again. Raises JobError where bridge does not work on it."""
        ...

    def push(self, app_id: str, channels: Sequence[str], event: str, data: Any) -> str:
        """Pushes a broadcast job to the app's queue; its uuid."""
        ...

    def entries(self, app_id: str) -> Mapping[str, Mapping[str, Sequence[Any]]]:
        """The last statistics as laravel-websockets answers them: counter → x (times) and y."""
        ...

    def history(self, app_id: str, seconds: int, width: int) -> History:
        """As `StatisticsTable.history`; spans are at least two intervals of the statistics wide."""
        ...

    def add_entry(self, app_id: str, counts: Counts) -> None:
        """One more row of statistics."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """`path` without slashes around it. `about` is shown in the page: version of the app, queues.

    `attempts`: the last requests to webhooks, the newest last. `others`: the other processes of this bridge,
    if it has several."""

    path: str
    node: Node
    access: SessionGuard
    feed: EventStream
    journal: Journal
    backend: DashboardBackend
    about: Mapping[str, Any]
    attempts: Collection[WebhookAttempt] = ()
    others: processes.Others | None = None

    def routes(self) -> list[Route]:
        """For the listener."""
        base = f"/{self.path}"
        return [
            Route(base, self.page),
            Route(f"{base}/", self.page),
            Route(f"{base}/static/{{name}}", self.static),
            Route(f"{base}/login", self.log_in, methods=["POST"]),
            Route(f"{base}/logout", self._changing(self.log_out, does=False), methods=["POST"]),
            Route(f"{base}/api/session", self._looking(self.session)),
            Route(f"{base}/api/feed", self.stream),
            Route(f"{base}/api/ways", self._looking(self.ways)),
            Route(f"{base}/api/channels", self._looking(self.channels)),
            Route(f"{base}/api/channels/{{app_id}}/{{name}}", self._looking(self.channel)),
            Route(f"{base}/api/connections", self._looking(self.connections)),
            Route(f"{base}/api/history", self._looking(self.history)),
            Route(f"{base}/api/webhooks", self._looking(self.webhooks)),
            Route(f"{base}/api/disconnect", self._changing(self.disconnect), methods=["POST"]),
            Route(f"{base}/api/failed", self._looking(self.failed)),
            Route(f"{base}/api/failed/retry", self._changing(self.retry), methods=["POST"]),
            Route(f"{base}/api/failed/delete", self._changing(self.delete), methods=["POST"]),
            Route(f"{base}/api/failed/payload", self._changing(self.payload), methods=["POST"]),
            Route(f"{base}/api/job-history", self._looking(self.job_history)),
            Route(f"{base}/api/queued", self._looking(self.queued)),
            Route(f"{base}/api/queues/pause", self._changing(self.pause), methods=["POST"]),
            Route(f"{base}/api/queues/continue", self._changing(self.resume), methods=["POST"]),
            Route(f"{base}/api/jobs", self._changing(self.push), methods=["POST"]),
            # laravel-websockets' own
            Route(f"{base}/api/{{app_id}}/statistics", self._looking(self.statistics)),
            Route(f"{base}/auth", self._changing(self.auth), methods=["POST"]),
            Route(f"{base}/event", self._changing(self.event), methods=["POST"]),
            Route(f"{base}/statistics", self.add_statistics, methods=["POST"]),
        ]

    # ---- the page ---------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        token = request.query_params.get("token")
        if token is not None and request.method == "GET":  # a HEAD request uses no link up
            session = self.access.follow_link(request, token)
            if session is not None:
                answer: Response = RedirectResponse(f"/{self.path}", status_code=303, headers=HEADERS)
                self._set_cookie(answer, request, COOKIE, session, LIFE)
                return answer
        allowed = self.access.session(request) is not None
        gate = self.access.gate
        if gate is not None and not allowed and not request.query_params.keys() & {"token", "password"}:
            return RedirectResponse(gate, status_code=303, headers=HEADERS)
        name = "page.html" if allowed else "login.html" if self.access.has_password else "closed.html"
        text = (FOLDER / name).read_text(encoding="utf-8").replace("{{ base }}", f"/{self.path}")
        status = 403 if name == "closed.html" else 200
        return Response(text, status, media_type="text/html", headers=HEADERS)

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            raise HTTPException(404)
        file = FOLDER / name
        headers = {**HEADERS, "Cache-Control": "no-cache"}
        return Response(file.read_bytes(), media_type=TYPES[file.suffix], headers=headers)

    async def log_in(self, request: Request) -> Response:
        fields = await _fields(request)
        session, browser = self.access.log_in(request, str(fields.get("password", "")))
        answer = JSONResponse({}, headers=HEADERS)
        self._set_cookie(answer, request, COOKIE, session, LIFE)
        self._set_cookie(answer, request, BROWSER_COOKIE, browser, BROWSER_LIFE)
        return answer

    async def log_out(self, request: Request) -> Response:
        self.access.log_out(request)
        answer = JSONResponse({}, headers=HEADERS)
        answer.delete_cookie(COOKIE, path=f"/{self.path}")
        return answer

    # ---- looking ----------------------------------------------------------------------------------

    async def session(self, request: Request) -> Any:
        hubs = self.node.hubs.values()
        session = self.access.require(request)
        return {
            "csrf": session.csrf,
            "may_do": session.may_do,
            "apps": [{"id": hub.app.id, "name": hub.app.name} for hub in hubs],
            "version": __version__,
            "can_log_out": session.opened != "demo",
            "shows_payloads": self.backend.shows_payloads and session.may_do,
            **self.about,
        }

    async def stream(self, request: Request) -> Response:
        self.access.require(request)
        if self.feed.watchers >= WATCHERS:
            raise HTTPException(429, f"{WATCHERS} pages look already")
        headers = {**HEADERS, "X-Accel-Buffering": "no"}
        return StreamingResponse(self._frames(request), media_type="text/event-stream", headers=headers)

    async def _frames(self, request: Request) -> AsyncIterator[bytes]:
        """The stream, which ends with the session."""
        async with contextlib.aclosing(self.feed.frames()) as frames:
            async for frame in frames:
                if self.access.session(request) is None:
                    return
                yield frame

    async def ways(self, request: Request) -> Any:
        return ways(self.journal, *_filters(request))

    async def channels(self, request: Request) -> Any:
        try:
            return await tables.channels(self.node, *_filters(request))
        except ServiceUnavailable as problem:
            raise HTTPException(503, str(problem)) from None

    async def channel(self, request: Request) -> Any:
        hub = self._hub(request.path_params["app_id"])
        try:
            found = await processes.channel(self.node, hub, request.path_params["name"], self.others)
        except ServiceUnavailable as problem:
            raise HTTPException(503, str(problem)) from None
        if found is None:
            raise HTTPException(404, "nobody is subscribed to it any more")
        return found

    async def connections(self, request: Request) -> Any:
        return await self._of_all("connections", tables.connections(self.node, *_filters(request)), request)

    async def webhooks(self, request: Request) -> Any:
        return await self._of_all("webhooks", tables.webhooks(self.attempts, *_filters(request)), request)

    async def _of_all(self, what: str, own: tables.List, request: Request) -> tables.List:
        others = {} if self.others is None else await self.others.lists(what, *_filters(request))
        return processes.joined(own, others)

    async def failed(self, request: Request) -> Any:
        asked = request.query_params
        number = asked.get("page", "")
        rows, is_all = await _in_thread(self.backend.failed)
        return page_of(
            rows,
            is_all=is_all,
            search=asked.get("search", ""),
            group=asked.get("group", ""),
            page=int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else 1,
        )

    async def history(self, request: Request) -> Any:
        """`spans`: from unix seconds, highest number of connections, messages of clients, API messages.

        `problem` is why there are none, empty where nothing is wrong."""
        hub = self._hub(request.query_params.get("app", ""))
        seconds, width = RANGES.get(request.query_params.get("range", ""), RANGES["24h"])
        try:
            found = await asyncio.to_thread(self.backend.history, hub.app.id, seconds, width)
        except BridgeError as problem:
            return {"spans": [], "problem": str(problem)}
        return {
            "start": found.start,
            "end": found.end,
            "width": found.width,
            "spans": [
                [span.at, span.counts.peak, span.counts.websocket, span.counts.api] for span in found.spans
            ],
            "problem": "" if hub.app.keeps_statistics else "enable_statistics is off: no rows are added",
        }

    async def job_history(self, request: Request) -> Any:
        """Of the `range`: as `shown` says. `event` and `queue`: the spans are of this class only."""
        asked = request.query_params
        seconds, width = JOB_RANGES.get(asked.get("range", ""), JOB_RANGES["1h"])
        event, queue = asked.get("event", ""), asked.get("queue", "")
        try:
            jobs, keeps = await asyncio.to_thread(self.backend.jobs, seconds, width, event, queue)
        except BridgeError as problem:
            return {"spans": [], "rows": [], "keeps": True, "problem": str(problem)}
        return {**job_rows.shown(jobs), "keeps": keeps, "problem": ""}

    async def queued(self, request: Request) -> Any:
        """Of what lies in the queues: `total` that hold `search` in class, uuid, queue or tag, and `rows`."""
        asked = request.query_params
        jobs = await _in_thread(self.backend.queued)
        try:
            paused, problem = sorted(await asyncio.to_thread(self.backend.paused)), ""
        except BridgeError as fault:
            paused, problem = [], str(fault)
        found = job_rows.listed(
            jobs, len(self.about["queues"]), asked.get("search", ""), asked.get("state", "")
        )
        return {**found, "paused": paused, "queues": self.about["queues"], "problem": problem}

    async def statistics(self, request: Request) -> Any:
        app = self._hub(request.path_params["app_id"]).app
        _require_statistics(app)
        return await _in_thread(self.backend.entries, app.id)

    # ---- doing ------------------------------------------------------------------------------------

    async def disconnect(self, request: Request) -> Any:
        """One `socket` of the app `appId`, or all of a `user`, on all nodes; how many ended, or None: not
        known, since other nodes end theirs without a word.

        They are closed as the HTTP API closes a user's, with 4009, so that clients do not come back."""
        fields = await _fields(request)
        hub = self._hub(str(fields.get("appId", "")))
        id, user = fields.get("socket"), fields.get("user")
        if isinstance(user, str) and user and id is None:
            ended = len(hub.sockets_of(user))
            if not ended and self.node.peers is None:
                raise HTTPException(404, "the user has no connection any more")
            self.node.terminate_everywhere(hub, user)
            audit(request, "user disconnected", app=hub.app.id, user=user, connections=ended)
            return {"ended": ended if self.node.peers is None else None}
        if not isinstance(id, str) or user is not None:
            raise HTTPException(422, "name a socket or a user")
        ended_here = processes.disconnect(self.node, hub.app.id, id)
        if not ended_here and (self.others is None or not await self.others.disconnect(hub.app.id, id)):
            raise HTTPException(404, "the socket is not connected any more")
        audit(request, "socket disconnected", app=hub.app.id, socket=id)
        return {"ended": 1}

    async def retry(self, request: Request) -> Any:
        return await self._each(request, self.backend.retry, "failed job retried")

    async def delete(self, request: Request) -> Any:
        return await self._each(request, self.backend.delete, "failed job deleted")

    async def payload(self, request: Request) -> Any:
        """Of the one failed job `id`. A POST, since it leaves a line in the log."""
        id = (await _fields(request)).get("id")
        if not isinstance(id, str):
            raise HTTPException(422, "id is missing")
        text = await _in_thread(self.backend.payload, id)
        audit(request, "payload of a failed job shown", job=id)
        return {"payload": text}

    async def _each(self, request: Request, work: Callable[[str], None], what: str) -> Any:
        """`work` with each failed job of the list `ids`: how many that did, and why others did not.

        The first that finds its store away ends it. HTTPException 409 where none could be done."""
        ids = (await _fields(request)).get("ids")
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

    async def pause(self, request: Request) -> Any:
        return await self._of_a_queue(request, self.backend.pause, "queue paused")

    async def resume(self, request: Request) -> Any:
        return await self._of_a_queue(request, self.backend.resume, "queue continued")

    async def _of_a_queue(self, request: Request, work: Callable[[str], None], what: str) -> Any:
        queue = (await _fields(request)).get("queue")
        if not isinstance(queue, str):
            raise HTTPException(422, "queue is missing")
        await _in_thread(work, queue)
        audit(request, what, queue=queue)
        return {"queue": queue}

    async def push(self, request: Request) -> Any:
        """A job in the app's queue that broadcasts this."""
        fields = await _fields(request)
        app = self._app(fields)
        channel, name = _channel(app, fields), _name(app, fields)
        value = _data(app, fields)[1]
        try:
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except ValueError:  # "\ud800", 1e400
            raise HTTPException(422, "the data hold what PHP cannot hold: half a character, 1e400") from None
        job = await _in_thread(self.backend.push, app.id, [channel], name, value)
        audit(request, "job sent", app=app.id, channel=channel, event=name, job=job)
        return {"job": job}

    async def event(self, request: Request) -> Any:
        """An event straight to the channel's subscribers; `appId`, `channel`, `event`, `data` (JSON text)."""
        fields = await _fields(request)
        app = self._app(fields)
        channel = _channel(app, fields)
        if kind_of(channel).is_encrypted:
            raise HTTPException(
                422, "an encrypted channel's events are sealed by the app: send a job instead"
            )
        broadcast = Broadcast(
            app_id=app.id, channels=(channel,), name=_name(app, fields), data=_data(app, fields)[0]
        )
        audit(request, "event sent", app=app.id, channel=channel, event=broadcast.name)
        try:
            return {"receivers": await self.node.publish_to_all([broadcast], origin="dashboard")}
        except BridgeError as problem:
            raise HTTPException(503, str(problem)) from None

    async def auth(self, request: Request) -> Any:
        """A subscription's signature, for the app in the header `X-App-ID`; any channel."""
        app = self._hub(request.headers.get("x-app-id", "")).app
        fields = await _fields(request)
        socket_id, channel = fields.get("socket_id"), fields.get("channel_name")
        if not isinstance(socket_id, str) or not isinstance(channel, str):
            raise HTTPException(422, "socket_id or channel_name is missing")
        # the same secret signs links, sign-ins and requests to the API: nothing but subscriptions here
        if not SOCKET_ID.fullmatch(socket_id) or not is_valid(channel, app.limits.channel_name_length):
            raise HTTPException(422, "socket_id or channel_name has another form")
        answer = {}
        if kind_of(channel).has_members:
            answer["channel_data"] = json.dumps({"user_id": "dashboard", "user_info": {}})
        text = subscription_text(socket_id, channel, answer.get("channel_data"))
        audit(request, "subscription signed", app=app.id, channel=channel)
        return {"auth": f"{app.key}:{sign(app.secret, text)}", **answer}

    async def add_statistics(self, request: Request) -> Response:
        """A row from another process, as laravel-websockets 1.x posts it to itself; `secret` is the app's."""
        fields = await _fields(request)
        app = self._hub(str(fields.get("app_id", ""))).app
        if not hmac.compare_digest(str(fields.get("secret", "")).encode(), app.secret.encode()):
            raise HTTPException(403, "the secret is not this app's")
        _require_statistics(app)
        try:
            counts = Counts(
                peak=int(fields["peak_connection_count"]),
                websocket=int(fields["websocket_message_count"]),
                api=int(fields["api_message_count"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            raise HTTPException(422, "a counter is missing or no number") from None
        await _in_thread(self.backend.add_entry, app.id, counts)
        return Response("ok", headers=HEADERS)

    # ---- around them ------------------------------------------------------------------------------

    def _looking(
        self, answer: Callable[[Request], Awaitable[Any]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            self.access.require(request)
            return _json(await answer(request))

        return serve

    def _changing(
        self, answer: Callable[[Request], Awaitable[Any]], *, does: bool = True
    ) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            self.access.require_change(request, does=does)
            return _json(await answer(request))

        return serve

    def _set_cookie(self, answer: Response, request: Request, name: str, value: str, life: int) -> None:
        """Out of reach for scripts and other sites; `life` in seconds."""
        is_secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
        answer.set_cookie(
            name, value, max_age=life, path=f"/{self.path}", httponly=True, samesite="lax", secure=is_secure
        )

    def _hub(self, app_id: str) -> Hub[Socket]:
        hub = self.node.hubs.get(app_id)
        if hub is None:
            raise HTTPException(404, "no app has this id")
        return hub

    def _app(self, fields: Fields) -> App:
        return self._hub(str(fields.get("appId", ""))).app


def _filters(request: Request) -> tuple[str, str]:
    """The text that is looked for, and the app's id; empty where everything is wanted."""
    return request.query_params.get("search", ""), request.query_params.get("app", "")


def _json(answer: Any) -> Response:
    return answer if isinstance(answer, Response) else WritableJson(answer, headers=HEADERS)


async def _in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return await asyncio.to_thread(work, *arguments)
    except BridgeError as problem:
        raise HTTPException(409, str(problem)) from None


async def _fields(request: Request) -> Fields:
    """The body: a JSON object, or a form's fields."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > LARGEST_REQUEST:
        raise HTTPException(413, f"the request is larger than {LARGEST_REQUEST} bytes, or does not say")
    try:
        body = await request.body()
    except ClientDisconnect:
        raise HTTPException(400, "the request ended before its body was whole") from None
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        fields = json.loads(body)
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # JSON can say "\ud800", UTF-8 cannot
        raise HTTPException(400, "the request holds half of a character (a lone surrogate)") from None
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise HTTPException(400, "the request is no JSON object")
    return fields


def _channel(app: App, fields: Fields) -> str:
    channel = fields.get("channel")
    if not isinstance(channel, str) or not is_publishable(channel, app.limits.channel_name_length):
        raise HTTPException(422, "the channel's name is not valid: letters, digits and _ - = @ , . ;")
    return channel


def _name(app: App, fields: Fields) -> str:
    name = fields.get("event")
    if not isinstance(name, str) or not 0 < len(name) <= app.limits.event_name_length:
        raise HTTPException(422, f"the event needs a name of 1 to {app.limits.event_name_length} characters")
    return name


def _data(app: App, fields: Fields) -> tuple[str, Any]:
    """The text as it was written, and its value."""
    text = fields.get("data")
    try:
        value = json.loads(text, parse_constant=_refuse) if isinstance(text, str) else None
    except RecursionError:
        raise HTTPException(422, "the data are nested too deep") from None
    except ValueError as problem:
        raise HTTPException(422, f"the data are no JSON: {problem}") from None
    if not isinstance(text, str):
        raise HTTPException(422, "the data are missing: give JSON")
    if len(text.encode()) > app.limits.event_bytes:
        raise HTTPException(413, f"the data are larger than {app.limits.event_bytes} bytes")
    return text, value


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is none")


def _require_statistics(app: App) -> None:
    if not app.keeps_statistics:
        remedy = "switch it on with BRIDGE_ENABLE_STATISTICS=true, or for this app"
        raise HTTPException(409, f"enable_statistics is off: {remedy}")
