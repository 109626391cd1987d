"""Builds every room from the settings, joins the two houses, starts, drains and stops.

The worker thread resolves a batch of jobs and hands all their broadcasts to the node in one crossing; a job
is deleted only after the node has them. Order of a start: the address is bound, the node takes connections,
the queue must answer, then jobs are reserved. Order of a stop: no job is reserved any more, those at hand
are finished, sockets are flushed and closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from starlette.routing import BaseRoute

from bridge.broadcast import Broadcast
from bridge.errors import (
    BridgeError,
    ConfigurationError,
    JobError,
    Refused,
    ServiceUnavailable,
    WouldFail,
)
from bridge.laravel.application import LaravelApp
from bridge.laravel.broadcasting import Call, Connections
from bridge.laravel.cache import cache_store
from bridge.laravel.connections import RedisConnection
from bridge.laravel.database import engine, redis_client
from bridge.laravel.encryption import Encrypter, master_key, seal
from bridge.laravel.helpers import laravel_classes, laravel_functions
from bridge.laravel.models.records import Records
from bridge.laravel.payload import UNIQUE_BROADCAST_EVENT, Decrypt, NotABroadcast, read_document
from bridge.laravel.signals import Signals
from bridge.laravel.source import AppSource
from bridge.laravel.unique import UniqueLocks
from bridge.laravel.version import NEWEST, Version
from bridge.php.functions import CONSTANTS, FUNCTIONS
from bridge.php.unserialize import unserialize
from bridge.pusher.app import App, Limits
from bridge.queues.database import DatabaseQueue
from bridge.queues.failed import DatabaseFailedJobs, FailedJob, FailedJobs, FileFailedJobs, NoFailedJobs
from bridge.queues.queue import Job, Queue
from bridge.queues.redis import RedisQueue
from bridge.queues.worker import Delivered, Failed, Nothing, Result, Retry, Worker
from bridge.resolvers.framework import FrameworkRung
from bridge.resolvers.helper import HelperRung
from bridge.resolvers.ladder import RUNGS, Ladder
from bridge.resolvers.mapping import EventMapping, MappingRung
from bridge.resolvers.native import NativeRung
from bridge.resolvers.resolution import Resolution
from bridge.resolvers.survey import Finding, survey
from bridge.resolvers.world import AppWorld, Known, Worlds
from bridge.server.listener import Listener, bind, new_event_loop
from bridge.server.node import Node
from bridge.settings import AppSettings, Settings

START_PATIENCE = 5.0  # seconds in which the queue's store must answer for the first time
SWITCH_INTERVAL = 0.0005  # seconds: the worker's computing shall not hold up the sockets

log = logging.getLogger(__name__)


# ---- the house of jobs --------------------------------------------------------------------------


def build_ladder(
    laravel: LaravelApp,
    events: Mapping[str, EventMapping],
    *,
    version: Version | None = None,
    only: Collection[str] = RUNGS,
    php: HelperRung | None = None,
    locks: UniqueLocks | None = None,
) -> Ladder:
    """The ladder for the app; nothing is connected, evaluated or started yet.

    `php` stays the caller's; the ladder's own connections end with its `close`.
    """
    connections = broadcast_connections(laravel)
    locks = locks or unique_locks(laravel)
    source = AppSource(laravel.path)
    known = known_to(laravel)
    worlds = Worlds(source, known, time.monotonic)
    return Ladder(
        [
            MappingRung(events, connections, locks),
            FrameworkRung(worlds.of, connections),
            NativeRung(worlds.of, connections, locks),
            *([php] if php is not None else []),
        ],
        decrypter(laravel),
        version=version or laravel.release,
        derives=partial(derives_from_broadcast_event, source),
        only=only,
        on_close=known.records.close,
    )


def known_to(laravel: LaravelApp) -> Known:
    """What surrounds the app's code, the same for every release."""
    return Known(
        functions={**FUNCTIONS, **laravel_functions(laravel.config, laravel.env)},
        constants=CONSTANTS,
        natives=laravel_classes(
            lambda: datetime.now(UTC),
            laravel.timezone.key,
            _known_text(laravel, "app.locale"),
            laravel.config,
        ),
        records=Records(partial(_database, laravel)),
        connection=_known_text(laravel, "database.default"),
        zone=laravel.timezone,
        decrypt=_encrypter(laravel),
    )


def survey_app(settings: Settings) -> list[Finding] | None:
    """Every class of the app that broadcasts, and its rung. None where there is no PHP source."""
    laravel = settings.laravel
    source = AppSource(laravel.path)
    if not source.has_code:
        return None
    world = AppWorld(source, laravel.release or NEWEST, known_to(laravel))
    php = bool(settings.php) and (laravel.path / "bootstrap/app.php").is_file()
    return survey(source, world, mapped=event_mappings(settings), php=php)


@contextlib.contextmanager
def php_rung(settings: Settings, *, fatal: int = 2) -> Iterator[HelperRung | None]:
    """The rung that asks the app's own PHP, where there is one to boot; its processes end with the block."""
    if not settings.php or not (settings.laravel.path / "bootstrap/app.php").is_file():
        yield None
        return
    try:
        connection, queue = settings.queue_connection().name, settings.queue_names()[0]
    except ConfigurationError:  # `bridge resolve` needs no queue
        connection, queue = "database", "default"
    rung = HelperRung(
        settings.laravel.path,
        php=settings.php,
        size=settings.php_processes,
        connection_name=connection,
        queue=queue,
        fatal=fatal,
    )
    try:
        yield rung
    finally:
        rung.close()


def unique_locks(laravel: LaravelApp, redis: Callable[[str], RedisConnection] | None = None) -> UniqueLocks:
    """The locks of the app's unique events; `redis` gives connections in place of the app."""
    try:
        return UniqueLocks(cache_store(laravel, redis_facts=redis))
    except ConfigurationError as problem:
        return UniqueLocks(problem)


def _known_text(laravel: LaravelApp, key: str) -> str:
    """A text of the configuration; empty where it is missing or only PHP could tell."""
    value = laravel.config.get(key)
    return value if isinstance(value, str) else ""


def _database(laravel: LaravelApp, connection: str) -> tuple[sa.Engine, str]:
    """Engine and table prefix of a Laravel connection. Refused where it is not usable."""
    try:
        facts = laravel.database(connection or None)
        return engine(facts), facts.prefix
    except ConfigurationError as problem:
        raise Refused(str(problem)) from None


def broadcast_connections(laravel: LaravelApp) -> Connections:
    """Names and drivers of config/broadcasting.php."""
    broadcasting = laravel.broadcasting()
    drivers = {name: one.driver for name, one in broadcasting.connections.items()}
    return Connections(drivers=drivers, default=broadcasting.default)


def decrypter(laravel: LaravelApp) -> Decrypt:
    """Opens the command of a ShouldBeEncrypted job; without a key it refuses."""
    decrypt_text = _encrypter(laravel)

    def decrypt(text: bytes) -> bytes:
        plain = unserialize(decrypt_text(text))
        if not isinstance(plain, bytes):
            raise WouldFail("the encrypted command holds no text")
        return plain

    return decrypt


def _encrypter(laravel: LaravelApp) -> Callable[[bytes], bytes]:
    try:
        return Encrypter(laravel.keys, laravel.cipher).decrypt
    except ConfigurationError as problem:
        reason = f"something is encrypted, and {problem}"

        def refuse(_: bytes) -> bytes:
            raise Refused(reason)

        return refuse


def derives_from_broadcast_event(source: AppSource, class_name: str) -> bool | None:
    """Whether an app class is a BroadcastEvent with no code of its own; None if its source is not known."""
    try:
        declared = source.load(class_name)
    except Refused:
        return None
    if declared is None:
        return None
    plain = not declared.methods and not declared.traits and not declared.properties
    return plain and declared.parent == "Illuminate\\Broadcasting\\BroadcastEvent"


def build_queue(settings: Settings) -> Queue:
    """The driver of the queue connection; nothing is connected yet."""
    facts = settings.queue_connection()
    names = settings.queue_names()
    if facts.driver == "redis":
        redis = settings.redis(facts.connection)
        if redis.packed:
            raise ConfigurationError(
                f"database.redis.{redis.name}",
                "packs its values (serializer or compression), which loses jobs in Laravel itself",
                mend="give the queue a Redis connection without these options",
            )
        return RedisQueue(
            redis_client(redis),
            queues=names,
            prefix=redis.prefix,
            retry_after=facts.retry_after,
            connection_name=facts.name,
        )
    database = settings.laravel.database(facts.connection)
    return DatabaseQueue(
        engine(database),
        queues=names,
        table=database.prefix + facts.table,
        retry_after=facts.retry_after,
        connection_name=facts.name,
    )


def build_failed_jobs(laravel: LaravelApp) -> FailedJobs:
    """Where the app keeps its failed jobs; if that cannot be used, they stay in the queue."""
    try:
        return _failed_jobs(laravel)
    except ConfigurationError as problem:
        return KeptInQueue(problem)


class KeptInQueue:
    """A `queues.failed.FailedJobs` that takes none, for the reason given: the worker releases the job."""

    def __init__(self, problem: ConfigurationError) -> None:
        self._problem = problem

    def check(self) -> None:
        raise self._problem

    def bury(self, job: FailedJob) -> None:
        raise self._problem

    def close(self) -> None:
        pass


def _failed_jobs(laravel: LaravelApp) -> FailedJobs:
    facts = laravel.failed()
    match facts.driver:
        case "database" | "database-uuids":
            database = laravel.database(facts.connection)
            return DatabaseFailedJobs(
                engine(database),
                timezone=laravel.timezone,
                table=database.prefix + facts.table,
                with_uuid=facts.driver == "database-uuids",
            )
        case "file":
            return FileFailedJobs(Path(facts.path), timezone=laravel.timezone, limit=facts.limit)
        case "null":
            return NoFailedJobs()
    raise ConfigurationError(
        "queue.failed.driver",
        f"is {facts.driver}, which bridge cannot write",
        mend="set QUEUE_FAILED_DRIVER to database-uuids, database, file or null",
    )


def event_mappings(settings: Settings) -> dict[str, EventMapping]:
    """`[events."…"]` as the mapping rung takes it."""
    return {
        name: EventMapping(channels=one.channels, name=one.name, payload=one.data)  # type: ignore[arg-type]
        for name, one in settings.events.items()
    }


# ---- the door -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The Pusher app of a broadcast connection, and the key for its encrypted channels."""

    app_id: str
    master_key: bytes | None
    event_bytes: int


def destinations(settings: Settings) -> dict[str, Destination]:
    """Broadcast connection → where its broadcasts go."""
    keys = settings.laravel.broadcasting().connections
    limits = Limits(**settings.limits)  # type: ignore[arg-type]
    found = {}
    for app in settings.apps():
        for name in app.connections:
            secret = keys[name].master_key
            found[name] = Destination(
                app_id=app.id,
                master_key=master_key(secret) if secret is not None else None,
                event_bytes=limits.event_bytes,
            )
    return found


def addressed(call: Call, destinations: Mapping[str, Destination]) -> Broadcast:
    """What a call of Laravel's broadcaster comes to here. Raises WouldFail where Pusher would refuse it."""
    to = destinations.get(call.connection)
    if to is None:
        raise WouldFail(
            f"the broadcast connection {call.connection} has no app: set its app_id, key and secret"
        )
    if len(call.data) > to.event_bytes and len(call.data.encode()) > to.event_bytes:
        raise WouldFail(
            f"the event's data has more than {to.event_bytes} bytes, Pusher's limit: send less, or raise "
            "BRIDGE_LIMIT_EVENT_BYTES"
        )
    data = call.data
    if call.channels[0].startswith("private-encrypted-"):
        if to.master_key is None:
            raise WouldFail(
                f"{call.channels[0]} is encrypted: set options.encryption_master_key_base64 of the broadcast "
                f"connection {call.connection}"
            )
        data = seal(call.channels[0], data, to.master_key)
    return Broadcast(
        app_id=to.app_id, channels=call.channels, name=call.name, data=data, socket_id=call.socket
    )


class Attempt:
    """`queues.worker.Attempt`: resolves a batch of jobs and publishes all their broadcasts at once."""

    def __init__(
        self,
        resolve: Callable[[Mapping[str, object]], Resolution],
        destinations: Mapping[str, Destination],
        publish: Callable[[Sequence[Broadcast]], object],
    ) -> None:
        self._resolve = resolve
        self._destinations = destinations
        self._publish = publish

    def __call__(self, jobs: Sequence[Job]) -> Sequence[Result]:
        results: list[Result] = []
        batch: list[Broadcast] = []
        for job in jobs:
            result, broadcasts = self._one(job)
            results.append(result)
            batch += broadcasts
        if batch:
            try:
                self._publish(batch)
            except ServiceUnavailable as problem:
                return [Retry(problem) if isinstance(one, Delivered) else one for one in results]
        return results

    def _one(self, job: Job) -> tuple[Result, Sequence[Broadcast]]:
        try:
            resolution = self._resolve(job.document)
            if resolution.outcome == "broadcast":
                broadcasts = [addressed(call, self._destinations) for call in resolution.broadcasts]
                return Delivered(resolution.keeps_lock), broadcasts
        except ServiceUnavailable as problem:
            return Retry(problem), ()
        except BridgeError as problem:
            return Failed(problem), ()
        match resolution.outcome:
            case "nothing":
                return Nothing(resolution.why, resolution.keeps_lock), ()
            case "failed":
                return Failed(WouldFail(resolution.why)), ()
        return Failed(Refused(resolution.why)), ()


class Deployed:
    """What a deploy changes: made anew after `queue:restart`, in the worker's thread, between two batches.

    `reread` gives the settings as they are now; None: what was read at the start counts for ever.
    """

    def __init__(
        self,
        settings: Settings,
        publish: Callable[[Sequence[Broadcast]], object],
        *,
        php: HelperRung | None,
        reread: Callable[[], Settings] | None,
    ) -> None:
        self._publish = publish
        self._php = php
        self._reread = reread
        self._use(settings)
        self._signals = Signals(
            settings.laravel,
            partial(cache_store, settings.laravel, redis_facts=settings.redis),
            connection=settings.queue_connection().name,
            queues=settings.queue_names(),
            force=settings.force,
            restart=self._renew,
        )

    def attempt(self, jobs: Sequence[Job]) -> Sequence[Result]:
        return self._attempt(jobs)

    def paused(self) -> Collection[str]:
        """The queues from which nothing may be taken now."""
        self._locks.retry()
        return self._signals.paused()

    def unlock(self, jobs: Sequence[Job]) -> None:
        """The locks of unique events are free."""
        for job in jobs:
            with contextlib.suppress(JobError, NotABroadcast):  # an unreadable job tells of no lock
                payload = read_document(job.document)
                if payload.command_name == UNIQUE_BROADCAST_EVENT:
                    self._locks.release(self._ladder.event(payload))

    def close(self) -> None:
        self._signals.close()
        self._locks.close()

    def _use(self, settings: Settings) -> None:
        """All of it, or nothing: raises ConfigurationError where the new configuration is wrong."""
        to = destinations(settings)
        locks = unique_locks(settings.laravel, settings.redis)
        ladder = build_ladder(settings.laravel, event_mappings(settings), php=self._php, locks=locks)
        self._attempt = Attempt(lambda document: ladder.resolve(read_document(document)), to, self._publish)
        self._ladder, self._locks = ladder, locks

    def _renew(self) -> None:
        if self._reread is None:
            return
        old = self._locks
        try:
            self._use(self._reread())
        except BridgeError as problem:
            about = {"action": "restart_signal", "why": str(problem)}
            log.warning("queue:restart: the app cannot be read anew, the old state stays", extra=about)
            return
        old.close()
        if self._php is not None:
            self._php.recycle()
        log.info("queue:restart: source and configuration are read anew", extra={"action": "restart_signal"})


# ---- the house of sockets -----------------------------------------------------------------------


def pusher_app(app: AppSettings, settings: Settings) -> App:
    """The app as the Pusher rooms know it."""
    return App(
        id=app.id,
        key=app.key,
        secret=app.secret.reveal(),
        previous_secrets=tuple(secret.reveal() for secret in app.previous_secrets),
        name=app.name,
        client_events=app.client_events,
        allowed_origins=app.allowed_origins,
        max_connections=app.max_connections,
        activity_timeout=settings.activity_timeout,
        limits=Limits(**settings.limits),  # type: ignore[arg-type]
    )


# ---- the whole ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Daemon:
    """One `bridge serve`. `announce` is called with the address once connections and jobs are taken.

    `reread` gives the settings as they are after a deploy."""

    settings: Settings
    announce: Callable[[str], None]
    reread: Callable[[], Settings] | None = None
    routes: Sequence[BaseRoute] = ()

    def run(self) -> int:
        """Serves until SIGTERM or SIGINT; the exit code. Raises ConfigurationError or ServiceUnavailable."""
        settings = self.settings
        listening = bind(settings.host, settings.port)
        with contextlib.closing(listening), php_rung(settings) as php:
            return self._run(listening, php)

    def _run(self, listening: socket.socket, php: HelperRung | None) -> int:
        settings = self.settings
        try:
            node = Node(
                [pusher_app(app, settings) for app in settings.apps()],
                max_connections=settings.max_connections,
                max_backlog=settings.max_backlog,
                stall_timeout=settings.stall_timeout,
            )
            queue, failed = build_queue(settings), build_failed_jobs(settings.laravel)
            deployed = Deployed(settings, node.publish_from_thread, php=php, reread=self.reread)
            worker = Worker(
                queue,
                failed,
                deployed.attempt,
                batch=settings.batch_size,
                tries=settings.tries,
                backoff=(round(settings.backoff),),
                paused=deployed.paused,
                unlock=deployed.unlock,
            )
            sys.setswitchinterval(SWITCH_INTERVAL)
            with (
                contextlib.closing(deployed),
                asyncio.Runner(loop_factory=new_event_loop) as runner,
            ):
                runner.run(self._serve(listening, node, worker, queue, failed))
            return 0
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def _serve(
        self, listening: socket.socket, node: Node, worker: Worker, queue: Queue, failed: FailedJobs
    ) -> None:
        stopping = _stop_signal()
        certificate = None
        if self.settings.ssl_cert and self.settings.ssl_key:
            certificate = (self.settings.ssl_cert, self.settings.ssl_key)
        listener = Listener(
            node,
            [listening],
            routes=self.routes,
            ready=lambda: {"ready": worker.store_answers.is_set(), "queue": worker.store_answers.is_set()},
            certificate=certificate,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listener.run())
            try:
                await listener.listening.wait()
                await asyncio.to_thread(_wait_for_store, queue)
                await asyncio.to_thread(_look_at_failed_jobs, failed)
                worker.start()
                self.announce(_address(listening, tls=certificate is not None))
                await stopping.wait()
                log.info("stopping", extra={"action": "drain"})
                await asyncio.to_thread(worker.stop, self.settings.drain_seconds)
            finally:
                await listener.stop()
        await asyncio.to_thread(_close, worker, queue, failed)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended the start; its companions only followed it."""
    ours = group.subgroup(BridgeError)
    first: BaseException = ours or group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def _stop_signal() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second ends the process as if there were no handler."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopping


def _wait_for_store(queue: Queue) -> None:
    """Returns once the queue has answered. Raises ServiceUnavailable if it does not within START_PATIENCE."""
    deadline = time.monotonic() + START_PATIENCE
    while True:
        try:
            return queue.check()
        except ServiceUnavailable:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.25)


def _look_at_failed_jobs(failed: FailedJobs) -> None:
    """A job that cannot be kept would be released for ever: say so at the start, and go on."""
    try:
        failed.check()
    except BridgeError as problem:
        log.warning(
            "jobs that fail cannot be kept, they will stay in the queue",
            extra={"action": "failed_jobs", "why": str(problem)},
        )


def _close(worker: Worker, queue: Queue, failed: FailedJobs) -> None:
    if not worker.is_alive:
        queue.close()
        failed.close()


def _address(listening: socket.socket, *, tls: bool) -> str:
    host, port = listening.getsockname()[:2]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
