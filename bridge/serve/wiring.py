"""The jobs half, built from the settings: each part gets the few values that it needs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import sqlalchemy as sa

from bridge import __version__
from bridge.errors import (
    ConfigurationError,
    Refused,
    WouldFail,
)
from bridge.jobs.other.php_lane import WORKER, LaneOptions, PhpWorkerLane
from bridge.jobs.php_process.agreement import Agreement
from bridge.jobs.php_process.app_processes import AppProcesses
from bridge.jobs.queue.failed_jobs import DatabaseFailedJobs, FailedJob, FailedJobs, KeptJob, NoFailedJobs
from bridge.jobs.queue.failed_jobs_file import FileFailedJobs
from bridge.jobs.queue.inspect import DatabaseInspector, Looks, QueueInspector, RedisInspector
from bridge.jobs.queue.listing import DatabaseListing, Listings, QueueListing, RedisListing
from bridge.jobs.queue.push import DatabasePush, Push, RedisPush
from bridge.jobs.queue.queue import Queue, QueueOptions
from bridge.jobs.queue.redis.cluster import ClusterQueue
from bridge.jobs.queue.redis.driver import RedisQueue, TokenUse
from bridge.jobs.queue.redis.horizon import Horizon, HorizonFailedJobs, HorizonQueue, Trim
from bridge.jobs.queue.redis.keys import Keys, has_hash_tag
from bridge.jobs.queue.requeue import RecomputeFields
from bridge.jobs.queue.selection import BROADCASTS, Selection, others
from bridge.jobs.queue.sql.driver import DatabaseQueue
from bridge.jobs.queue.sql.write_lock import SqliteWriteLock
from bridge.jobs.resolve.app_environment import AppEnvironment, EnvironmentCache, SharedEnvironment
from bridge.jobs.resolve.checks import Checks
from bridge.jobs.resolve.fast_path import FastPath
from bridge.jobs.resolve.ladder import RUNGS, Ladder, LadderParts
from bridge.jobs.resolve.resolution import Resolution, Rung
from bridge.jobs.resolve.retry_until import refreshed
from bridge.jobs.resolve.rungs.framework import FrameworkRung
from bridge.jobs.resolve.rungs.mapping import EventMapping, MappingRung
from bridge.jobs.resolve.rungs.native import NativeRung
from bridge.jobs.resolve.rungs.php import Origin, PhpPool, PhpRung
from bridge.jobs.resolve.survey.survey import EventReport, survey
from bridge.jobs.resolve.trust import CheckRate, ClassTrust, Disagreement, Record, Trust, by_class
from bridge.jobs.resolve.trust_file import TrustFile, TrustReader
from bridge.jobs.worker.progress import TellRun
from bridge.jobs.worker.quota import Quota
from bridge.jobs.worker.retry_policy import RetryPolicy
from bridge.laravel.app_report import AppReport, told_by_php
from bridge.laravel.application import LaravelApp
from bridge.laravel.broadcast_handler import Connections
from bridge.laravel.cache import FileStore, cache_store
from bridge.laravel.config import Config
from bridge.laravel.config_file import env
from bridge.laravel.config_values import Unknowable
from bridge.laravel.database import QUEUE_TIMEOUT, engine
from bridge.laravel.encryption import Encrypter
from bridge.laravel.language_files import FOLDERS
from bridge.laravel.operator_signals import Pauses
from bridge.laravel.payload import Decrypt, Payload
from bridge.laravel.redis_client import redis_client
from bridge.laravel.redis_connections import RedisConnection
from bridge.laravel.unique_locks import UniqueLocks
from bridge.monitoring.job_history import JobHistoryTable
from bridge.monitoring.statistics import StatisticsTable
from bridge.phpeval.laravel.app_source import AppSource
from bridge.phpeval.laravel.eloquent.reader import Records
from bridge.phpeval.laravel.files import NoFile, read_file
from bridge.phpeval.laravel.framework_classes import MODEL_CONSTANTS
from bridge.phpeval.laravel.helpers import laravel_classes, laravel_functions
from bridge.phpeval.laravel.support.carbon import constants as carbon_constants
from bridge.phpeval.laravel.support.date_functions import date_functions
from bridge.phpeval.laravel.version import NEWEST, Version, parse_version
from bridge.phpeval.php.functions import CONSTANTS, FUNCTIONS
from bridge.phpeval.php.runtime.interpreter import Function, Native, ReferenceFunction
from bridge.phpeval.php.serialization.unserialize import unserialize
from bridge.settings.load import Settings
from bridge.settings.state import state_file

AskReport = Callable[[bool], Mapping[str, object] | None]

HORIZON_TIMEOUT = 2.0  # seconds in which its Redis must answer

log = logging.getLogger(__name__)
InRedis = TypeVar("InRedis")
InDatabase = TypeVar("InDatabase")

_CHANGES_ROWS = {8, 11, 17}  # PDO::ATTR_CASE, ATTR_ORACLE_NULLS, ATTR_STRINGIFY_FETCHES


def build_ladder(
    laravel: LaravelApp,
    events: Mapping[str, EventMapping],
    *,
    version: Version | None = None,
    only: Collection[str] = RUNGS,
    php: Rung | None = None,
    report: AskReport | None = None,
    locks: UniqueLocks | None = None,
    trust: MakeTrust | None = None,
    check: Callable[[Record, Payload, Resolution], object] = lambda record, payload, sent: None,
    elsewhere: Mapping[str, str] = MappingProxyType({}),
) -> Ladder:
    """The ladder for the app; nothing is connected, evaluated or started yet.

    `php` stays the caller's; the ladder's own connections end with its `close`. `report`: how the booted app
    says that it is set up, `PhpRung.report`; not asked where `only` leaves out `php`. `trust`: see
    `earned_trust`; without it native evaluation stands on its own proof. `check` gets what is to be checked.
    `elsewhere`: as `Settings.elsewhere`, where such events are left to PHP as a whole.
    """
    connections = replace(broadcast_connections(laravel), elsewhere=elsewhere)
    locks = locks or unique_locks(laravel)
    source = AppSource(laravel.path)
    known = shared_environment(laravel)
    asked = report if "php" in only else None
    environments = EnvironmentCache(source, known, time.monotonic, app_report(laravel, asked))
    return Ladder(
        [
            MappingRung(events, connections, locks),
            FrameworkRung(environments.of, connections),
            NativeRung(environments.of, connections, locks),
            *([php] if php is not None else []),
        ],
        decrypter(laravel),
        parts=LadderParts(
            version=version or laravel.release,
            derives=partial(derives_from_broadcast_event, source),
            prepare=environments.prepare,
            fast_path=partial(FastPath, environment_of=environments.of, connections=connections),
            trust=None if trust is None else trust(source, lambda: environments.generation),
            check=check,
            on_close=known.records.close,
        ),
        only=only,
    )


def app_report(laravel: LaravelApp, ask: AskReport | None) -> Callable[[bool], AppReport | None]:
    """What the booted app says of itself, None where it cannot: for `EnvironmentCache`."""
    known: tuple[Mapping[str, object], AppReport] | None = None

    def report(anew: bool) -> AppReport | None:
        nonlocal known
        said = None if ask is None else ask(anew)
        if said is None:
            return None
        if known is None or known[0] is not said:
            known = (said, told_by_php(said, laravel.config))
        return known[1]

    return report


MakeTrust = Callable[[AppSource, Callable[[], int]], Trust]


def earned_trust(
    settings: Settings,
    php: PhpRung | None,
    on_disagree: Callable[[Disagreement], object] = lambda found: None,
    *,
    keeps: bool = True,
) -> MakeTrust | None:
    """What native evaluation has to earn beside `php`; None where it stands on its own proof.

    Gets the app's source, and a number that changes with it. `keeps`: what is earned here outlives us."""
    if php is None or not _is_to_be_earned(settings):
        return None

    def make(source: AppSource, generation: Callable[[], int]) -> Trust:
        return Trust(
            trust_file(settings) if keeps else TrustReader(trust_file(settings)),
            partial(trust_basis, settings, source),
            generation,
            rate=CheckRate(jobs=settings.native_trust_jobs),
            php_is_down=lambda: php.down,
            on_disagree=on_disagree,
        )

    return make


def _is_to_be_earned(settings: Settings) -> bool:
    has_php = bool(settings.php_binary) and shutil.which(settings.php_binary) is not None
    is_app = (settings.laravel.path / "bootstrap/app.php").is_file()
    return has_php and is_app and settings.native_trust == "earned"


def earned_by_class(settings: Settings) -> dict[str, ClassTrust] | None:
    """What each class has earned so far; None where nothing has to be."""
    if not _is_to_be_earned(settings):
        return None
    try:
        basis = trust_basis(settings, AppSource(settings.laravel.path))
    except OSError:
        return {}
    return by_class(trust_file(settings).load(basis))


def build_checks(settings: Settings, php: PhpRung, trust: Trust) -> Checks:
    """What has gone out natively, checked beside; the thread is not started yet."""
    mapped = event_mappings(settings)
    native = build_ladder(settings.laravel, mapped, report=php.report)
    real = build_ladder(settings.laravel, mapped, only=RUNGS[-1:], php=php)

    def is_idle() -> bool:
        counts = php.processes()
        return php.down is None and counts["busy"] < counts["most"]

    return Checks(native, real, trust, is_idle)


def trust_file(settings: Settings) -> TrustFile:
    return TrustFile(state_file(settings, "native-trust"))


_BASIS_FILES = (  # without what PHP makes of them at its first boot: services.php and packages.php
    ".env", "bootstrap/app.php", "bootstrap/providers.php", "bootstrap/cache/config.php", "composer.json",
    "composer.lock", "vendor/composer/installed.json",
)  # fmt: skip
_ENV_NAME = re.compile(rb"""\benv\(\s*['"](\w+)""")


def trust_basis(settings: Settings, source: AppSource) -> str:
    """The hash of all that native answers are made of. Raises OSError where a file cannot be read."""
    laravel = settings.laravel
    digest = hashlib.sha256(f"{__version__} {laravel.version} {settings.native_trust_jobs}".encode())
    php = shutil.which(settings.php_binary)
    if php is not None:
        found = os.stat(php)  # of what a link leads to
        digest.update(f"{os.path.realpath(php)} {found.st_size} {found.st_mtime_ns}".encode())
    configs = sorted(str(file.relative_to(laravel.path)) for file in laravel.path.glob("config/**/*.php"))
    lines = [str(file.relative_to(laravel.path)) for file in _language_files(laravel.path)]
    names: set[bytes] = set()
    for relative in dict.fromkeys([*_BASIS_FILES, *configs, *sorted(lines), *source.files()]):
        try:
            text = read_file(laravel.path / relative)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, NoFile):
            continue
        digest.update(b"\0".join((b"", relative.encode("utf-8", "replace"), hashlib.sha256(text).digest())))
        if relative in configs:
            names.update(_ENV_NAME.findall(text))
    for name in sorted(names):
        digest.update(name + b"=" + (laravel.env.get(name.decode()) or "").encode("utf-8", "replace"))
    return digest.hexdigest()


def _language_files(path: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (path / folder).glob("**/*")


def _now() -> datetime:
    return datetime.now(UTC)


def shared_environment(laravel: LaravelApp) -> SharedEnvironment:
    """What surrounds the app's code, the same for every release."""
    locale = _known_text(laravel, "app.locale")

    def surrounding(
        config: Config, zone: str
    ) -> tuple[Mapping[str, Function | ReferenceFunction], Mapping[str, Native]]:
        classes = laravel_classes(_now, zone, locale, config)
        return {**laravel_functions(config, env(laravel.env)), **date_functions(_now, zone)}, classes

    functions, native_classes = surrounding(laravel.config, laravel.timezone.key)
    return SharedEnvironment(
        functions={**FUNCTIONS, **functions},
        constants={**CONSTANTS, **carbon_constants(), **MODEL_CONSTANTS},
        native_classes=native_classes,
        records=Records(partial(_database, laravel)),
        connection=_known_text(laravel, "database.default"),
        zone=laravel.timezone,
        decrypt=_encrypter(laravel),
        language=_language(laravel),
        booted=lambda items, zone: surrounding(
            replace(laravel.config, items=items, defaults=frozenset()), zone
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The classes of an app that broadcast, and how the app is set up."""

    findings: Sequence[EventReport]
    report: AppReport


def survey_app(settings: Settings) -> Survey | None:
    """Every class of the app that broadcasts, and its rung. None where there is no PHP source.

    Where PHP is there, the app is booted once, to say how it is set up."""
    laravel = settings.laravel
    source = AppSource(laravel.path)
    if not source.has_code:
        return None
    with php_rung(settings) as php:
        said = app_report(laravel, None if php is None else php.report)(True)
    told = parse_version(said.laravel) if said is not None and said.laravel else None
    environment = AppEnvironment(source, laravel.release or told or NEWEST, shared_environment(laravel), said)
    findings = survey(source, environment, mapped=event_mappings(settings), php=php is not None)
    return Survey(findings=findings, report=environment.report)


@contextlib.contextmanager
def php_rung(
    settings: Settings, *, fatal: int = 2, patience: float | None = None
) -> Iterator[PhpRung | None]:
    """The rung that asks the app's own PHP, where there is one to boot; its processes end with the block."""
    if not settings.php_binary or not (settings.laravel.path / "bootstrap/app.php").is_file():
        yield None
        return
    try:
        connection, queue = settings.queue_connection().name, settings.queue_names()[0]
    except ConfigurationError:  # `bridge resolve` needs no queue
        connection, queue = "database", "default"
    rung = PhpRung(
        settings.laravel.link,
        pool=PhpPool(php=settings.php_binary, size=settings.php_processes),
        origin=Origin(connection_name=connection, queue=queue),
        fatal=fatal,
        patience=patience,
    )
    try:
        yield rung
    finally:
        rung.close()


def agreement(laravel: LaravelApp) -> Agreement:
    """How PHP must have set up broadcasting, to answer for this reading of the app."""
    broadcasting = laravel.broadcasting()
    read = {
        "default": broadcasting.default,
        "connections": {
            name: [one.driver, one.app_id, one.key]
            for name, one in broadcasting.connections.items()
            if one.driver in ("pusher", "reverb")
        },
    }
    files = [
        ".env",
        f".env.{laravel.env.get('APP_ENV')}",
        "bootstrap/cache/config.php",
        "config/broadcasting.php",
    ]
    return Agreement(read, [laravel.link / file for file in files])


@contextlib.contextmanager
def compared_ladders(settings: Settings, version: Version | None) -> Iterator[tuple[Ladder, Ladder]]:
    """The ladder without PHP and PHP alone; their connections and processes end with the block."""
    with php_rung(settings, fatal=1) as php, contextlib.ExitStack() as stack:
        if php is None:
            raise ConfigurationError(
                "php_binary",
                "cannot be asked, so there is nothing to compare with",
                remedy="set it to PHP's program, and --app to an app with bootstrap/app.php",
            )
        native, real = (
            build_ladder(settings.laravel, event_mappings(settings), version=version, only=only, php=php)
            for only in (RUNGS[:-1], RUNGS[-1:])
        )
        stack.callback(native.close)
        stack.callback(real.close)
        yield native, real


def unique_locks(laravel: LaravelApp, redis: Callable[[str], RedisConnection] | None = None) -> UniqueLocks:
    """The locks of the app's unique events; `redis` gives connections in place of the app."""
    try:
        return UniqueLocks(cache_store(laravel, redis_connection=redis))
    except ConfigurationError as problem:
        return UniqueLocks(problem)


def _known_text(laravel: LaravelApp, key: str) -> str:
    """A text of the configuration; empty where it is missing or only PHP could tell."""
    value = laravel.config.get(key)
    return value if isinstance(value, str) else ""


def _language(laravel: LaravelApp) -> tuple[str, str] | None:
    """The app's language and the one that it falls back to, empty for none; None where they are not known."""
    locale, fallback = (laravel.config.get(f"app.{name}") for name in ("locale", "fallback_locale"))
    if not isinstance(locale, str) or not isinstance(fallback, str | None):
        return None
    return locale, fallback or ""


def _database(laravel: LaravelApp, connection: str) -> tuple[sa.Engine, str]:
    """Engine and table prefix of a Laravel connection. Refused where it is not usable."""
    try:
        facts = laravel.database(connection or None)
        if not facts.database:
            raise Refused(f"{facts.name} has no database before the app runs, perhaps one for each tenant")
        made = engine(facts)
    except ConfigurationError as problem:
        raise Refused(str(problem)) from None
    options = laravel.config.get(f"database.connections.{facts.name}.options")
    if isinstance(options, Unknowable) or (isinstance(options, dict) and _CHANGES_ROWS & options.keys()):
        raise Refused(f"options of the database connection {facts.name} change what is read, or may")
    return made, facts.prefix


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


def build_queue(
    settings: Settings,
    *,
    selection: Selection = BROADCASTS,
    tokens: TokenUse = "share",
    interval: float | None = None,
    write_lock: SqliteWriteLock | None = None,
) -> Queue:
    """The driver of the queue connection for some of its jobs; nothing is connected yet.

    `tokens` is for Redis, `write_lock` for SQLite. `interval`: seconds between looks; None: the driver's."""
    facts = settings.queue_connection()
    names = settings.queue_names()
    if facts.driver == "redis":
        redis = _queue_redis(settings, facts.connection)

        def on_one_server(queues: Sequence[str]) -> RedisQueue:
            return RedisQueue(
                redis_client(redis, key=queue_key(redis, queues[0])),
                options=QueueOptions(
                    queues=queues,
                    retry_after=facts.retry_after,
                    connection_name=facts.name,
                    selection=selection,
                    interval=interval,
                ),
                prefix=redis.prefix,
                tagged=redis.tags_queues,
                tokens=tokens,
            )

        queue: Queue = (
            on_one_server(names)
            if not redis.cluster
            else ClusterQueue({name: on_one_server([name]) for name in names})
        )
        horizon = build_horizon(settings.laravel)
        return queue if horizon is None else HorizonQueue(queue, horizon)
    database = settings.laravel.database(facts.connection)
    return DatabaseQueue(
        engine(database, timeout=QUEUE_TIMEOUT),
        options=QueueOptions(
            queues=names,
            retry_after=facts.retry_after,
            connection_name=facts.name,
            selection=selection,
            interval=interval,
        ),
        table=database.prefix + facts.table,
        write_lock=write_lock,
    )


def build_horizon(laravel: LaravelApp) -> Horizon | None:
    """What Laravel Horizon knows of jobs, where the app has it; nothing is connected yet."""
    try:
        facts = laravel.horizon()
        if facts is None or facts.redis.cluster:
            return None
        client = redis_client(facts.redis, socket_timeout=HORIZON_TIMEOUT)
    except ConfigurationError as problem:
        log.warning("Horizon is not told of jobs", extra={"action": "horizon", "why": str(problem)})
        return None
    return Horizon(client, prefix=facts.redis.prefix, trim=Trim(**facts.trim))


def build_write_lock(settings: Settings) -> SqliteWriteLock | None:
    """What transactions of jobs and our own writes take turns by; None but on SQLite."""
    facts = settings.queue_connection()
    if facts.driver == "redis":
        return None
    database = settings.laravel.database(facts.connection)
    return SqliteWriteLock(beside=Path(database.database).parent) if database.driver == "sqlite" else None


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
    tell: TellRun,
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
            options=LaneOptions(timeout=settings.timeout, paused=paused, tell=tell, name=f"jobs-{number}"),
            quota=quota,
        )
        for number in range(1, settings.workers + 1)
    ]


def build_inspector(settings: Settings) -> QueueInspector:
    """The same queue, for looking only; nothing is connected yet."""
    looks = _of_each_place(settings, RedisInspector, DatabaseInspector)
    return looks[0] if len(looks) == 1 else Looks(looks)


def build_listing(settings: Settings) -> QueueListing:
    """What lies in the queues, for people; nothing is connected yet."""
    listings = _of_each_place(settings, RedisListing, DatabaseListing)
    return listings[0] if len(listings) == 1 else Listings(listings)


def _of_each_place(
    settings: Settings, in_redis: Callable[..., InRedis], in_database: Callable[..., InDatabase]
) -> Sequence[InRedis] | Sequence[InDatabase]:
    """One for each place where the queues lie: in a Redis cluster every queue has its own."""
    facts = settings.queue_connection()
    names = settings.queue_names()
    if facts.driver == "redis":
        redis = _queue_redis(settings, facts.connection)
        apart = [[name] for name in names] if redis.cluster else [names]
        return [
            in_redis(
                redis_client(redis, key=queue_key(redis, some[0])),
                queues=some,
                prefix=redis.prefix,
                tagged=redis.tags_queues,
            )
            for some in apart
        ]
    database = settings.laravel.database(facts.connection)
    jobs = engine(database, timeout=QUEUE_TIMEOUT)
    return [in_database(jobs, queues=names, table=database.prefix + facts.table)]


def build_pauses(settings: Settings) -> Pauses:
    """Pauses of the queues that bridge works on, where Laravel keeps them; nothing is connected yet."""
    store = partial(cache_store, settings.laravel, redis_connection=settings.redis)
    return Pauses(settings.laravel, store, settings.queue_connection().name)


def build_push(settings: Settings, connection: str) -> Push:
    """For writing into the queue connection of this name; nothing is connected yet."""
    facts = settings.laravel.queue(connection)
    if facts.driver == "redis":
        redis = _queue_redis(settings, facts.connection)
        return RedisPush(
            lambda queue: redis_client(redis, key=queue_key(redis, queue)),
            prefix=redis.prefix,
            tagged=redis.tags_queues,
        )
    database = settings.laravel.database(facts.connection)
    return DatabasePush(engine(database, timeout=QUEUE_TIMEOUT), table=database.prefix + facts.table)


def refresher(laravel: LaravelApp) -> RecomputeFields:
    """What a job's payload must be told anew when it goes back into its queue."""
    environment = AppEnvironment(
        AppSource(laravel.path), laravel.release or NEWEST, shared_environment(laravel)
    )
    decrypt = _encrypter(laravel)
    return lambda command: refreshed(command, decrypt, environment)


def queue_key(redis: RedisConnection, queue: str) -> str:
    """One of the queue's keys: in a cluster it tells the node. ConfigurationError where they lie apart."""
    if redis.cluster and not redis.tags_queues and not has_hash_tag(f"{redis.prefix}queues:{queue}"):
        raise ConfigurationError(
            f"the queue {queue}",
            "has no hash tag, without which its keys lie on several nodes of the Redis Cluster",
            remedy=f"call it {{{queue}}} in the app (REDIS_QUEUE) and in BRIDGE_QUEUE, as Laravel itself "
            "needs"
            " before 13.5",
        )
    return Keys.of(redis.prefix, queue, tagged=redis.tags_queues).list.decode()


def _queue_redis(settings: Settings, connection: str) -> RedisConnection:
    redis = settings.redis(connection)
    if redis.packed:
        raise ConfigurationError(
            f"database.redis.{redis.name}",
            "packs its values (serializer or compression), which loses jobs in Laravel itself",
            remedy="give the queue a Redis connection without these options",
        )
    return redis


def build_failed_jobs(laravel: LaravelApp) -> FailedJobs:
    """Where the app keeps its failed jobs; if that cannot be used, they stay in the queue."""
    try:
        kept = failed_jobs(laravel)
    except ConfigurationError as problem:
        return KeptInQueue(problem)
    horizon = build_horizon(laravel)
    return kept if horizon is None else HorizonFailedJobs(kept, horizon)


class KeptInQueue:
    """A `failed_jobs.FailedJobs` that takes none, for the reason given: the worker releases the job."""

    def __init__(self, problem: ConfigurationError) -> None:
        self._problem = problem

    def check(self) -> None:
        raise self._problem

    def record(self, job: FailedJob) -> None:
        raise self._problem

    def kept(self) -> Iterator[KeptJob]:
        raise self._problem

    def find(self, id: str) -> KeptJob | None:
        raise self._problem

    def forget(self, id: str) -> bool:
        raise self._problem

    def forget_retried(self, job: KeptJob) -> None:
        raise self._problem

    def flush(self, before: datetime | None) -> None:
        raise self._problem

    def close(self) -> None:
        pass


def failed_jobs(laravel: LaravelApp) -> FailedJobs:
    """Where the app keeps its failed jobs. ConfigurationError where bridge cannot."""
    facts = laravel.failed()
    match facts.driver:
        case "database" | "database-uuids":
            database = laravel.database(facts.connection)
            return DatabaseFailedJobs(
                engine(database, timeout=QUEUE_TIMEOUT),
                timezone=laravel.timezone,
                table=database.prefix + facts.table,
                with_uuid=facts.driver == "database-uuids",
            )
        case "file":
            return FileFailedJobs(
                Path(facts.path), timezone=laravel.timezone, limit=facts.limit, lock=_file_lock(laravel)
            )
        case "null":
            return NoFailedJobs()
    raise ConfigurationError(
        "queue.failed.driver",
        f"is {facts.driver}, which bridge cannot write",
        remedy="set QUEUE_FAILED_DRIVER to database-uuids, database, file or null",
    )


def _file_lock(laravel: LaravelApp) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """The lock under which Laravel changes its file of failed jobs; none where it has no such cache."""
    try:
        store = cache_store(laravel, "file")
    except ConfigurationError:
        return contextlib.nullcontext
    if not isinstance(store, FileStore):
        return contextlib.nullcontext
    return partial(store.hold, "laravel-failed-jobs", laravel.release or NEWEST, seconds=5, patience=10)


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


def event_mappings(settings: Settings) -> dict[str, EventMapping]:
    """`[events."…"]` as the mapping rung takes it."""
    return {
        name: EventMapping(channels=one.channels, name=one.name, payload=one.data)  # type: ignore[arg-type]
        for name, one in settings.events.items()
    }
