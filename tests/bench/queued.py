"""What a queued event costs: bridge, and the PHP that it replaces, on the same queue with the same jobs.

Events of two scalars or of a model go to one client, who listens: by `bridge serve`, or by Laravel's
`queue:work`, which posts them to Reverb (the CPU of both counts). Events of a model with its relations are
compared with `queue:work` alone, which has the `null` broadcaster and sends nothing. CPU-µs a job, of all
processes that do the work; never that of the store. Starting up and the first jobs are left out.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests import services
from tests.bench import gil, queue_work, resolve
from tests.bench.servers import QUEUE_WORK_AND_REVERB, Servers
from tests.bench.workers import as_laravel, cpu_seconds, wait_until_idle
from tests.end_to_end.bridge import bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import wait_until
from tests.end_to_end.stores import Store, open_store
from tests.end_to_end.wire import wire_client
from tests.services import free_port
from tests.versions import laravel_version

StoreName = Literal["redis", "mariadb"]
RELATIONS = "model-relations"  # the recorded job
Relations = tuple[Path, list[bytes], resolve.Queue]  # the app, jobs with a model each, its queue


@dataclass(frozen=True, slots=True, kw_only=True)
class OfProcess:
    """What `queue_work.run` reads of a store's server, of any process: Reverb's."""

    pid: int

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """Apps and stores are made when they are first needed, below `folder`; `stack` ends them."""

    servers: Servers
    stack: contextlib.ExitStack
    folder: Path
    _apps: dict[str, tuple[Laravel, Store]] = field(default_factory=dict)
    _recorded: dict[str, Relations] = field(default_factory=dict)
    _models: list[Iterator[str]] = field(default_factory=list)  # one, once it is made

    def cost(self, server: str, store: StoreName, kind: queue_work.Kind, jobs: int) -> float:
        """CPU-µs for each of so many events with one listener."""
        app, opened = self._app(store)
        if server == QUEUE_WORK_AND_REVERB:
            return self._by_php(app, opened, kind, jobs)
        with (
            bridge_serve(app, name=server, entry=self.servers.command(server)) as bridge,
            wire_client(bridge.port, "lines"),
        ):
            pid = bridge.process.pid
            return queue_work.run(pid, app, opened, OfProcess(pid=pid), jobs, kind).worker

    def waiting(self, server: str, env: Mapping[str, str], seconds: float) -> float:
        """Percent of its waking time that the loop of a process with sockets waits for Python's lock, while
        `gil.RATE` events of a model come each second from Redis."""
        app, opened = self._app("redis")
        if not self._models:
            self._models.append(gil.numbered(gil.payloads(app, opened)))
        entry = self.servers.command(server)
        return gil.waiting(app, opened, self._models[0], seconds=seconds, entry=entry, env=env).sockets

    def _by_php(self, app: Laravel, store: Store, kind: queue_work.Kind, jobs: int) -> float:
        with (
            self.servers.serving("Reverb") as (reverb, port),
            wire_client(port, "lines") as client,
            app.queue_work("--sleep=0.02", env={"PUSHER_PORT": str(port)}) as worker,
        ):
            found = queue_work.run(worker.pid, app, store, OfProcess(pid=reverb), jobs, kind)
            wait_until("all have come", lambda: len(client.events()) == queue_work.WARM + jobs)
            return found.worker + found.store

    def _app(self, name: StoreName) -> tuple[Laravel, Store]:
        if name not in self._apps:
            folder = self.folder / name
            folder.mkdir()

            def server(_: str) -> services.Server:
                return self.servers.redis if name == "redis" else self.stack.enter_context(services.mariadb())

            store = self.stack.enter_context(open_store(name, folder, server))
            app = Laravel.create(folder / "app", store.settings, port=free_port())
            for path, text in queue_work.FILES.items():
                (app.path / path).write_text(text)
            queue_work.add_users(store)
            self._apps[name] = app, store
        return self._apps[name]

    def relations(self, server: str, jobs: int) -> float:
        """CPU-µs for each of so many recorded events that hold a model and read its relations, from Redis."""
        app, texts, queue = self._relations(server)
        if server == "queue:work":
            with resolve.queue_work(app, queue, texts[0]) as work:
                return work(jobs)
        following = itertools.cycle(texts)

        def give(count: int) -> None:
            """In one step, each with an id of its own; the queue is empty again afterwards."""
            own = ({"uuid": f"{number}", "id": f"{number}", "attempts": 0} for number in range(count))
            queue.push([as_laravel(json.loads(next(following)) | ids) for ids in own])
            wait_until("the queue is empty", queue.is_empty, timeout=300)

        entry = self.servers.command(server)
        with bridge_serve(Laravel(path=app, port=free_port()), name=server, entry=entry) as bridge:
            give(resolve.WARM)
            wait_until_idle(bridge.process.pid)
            began = cpu_seconds(bridge.process.pid)
            give(jobs)
            assert "job failed" not in bridge.log.read_text()
            return (cpu_seconds(bridge.process.pid) - began) / jobs * 1e6

    def _relations(self, server: str) -> Relations:
        if server not in self._recorded:
            prefix = f"relations_{len(self._recorded)}_"
            client = self.stack.enter_context(contextlib.closing(self.servers.redis.client()))
            driver = "null" if server == "queue:work" else "pusher"
            app = resolve.create_app(
                self.folder / prefix,
                **self.servers.redis.env,
                QUEUE_CONNECTION="redis",
                REDIS_PREFIX=prefix,
                BROADCAST_CONNECTION=driver,
            )
            lock = {"packages": [{"name": "laravel/framework", "version": f"v{laravel_version()}"}]}
            (app / "composer.lock").write_text(json.dumps(lock))
            texts = resolve.with_other_models(resolve.recorded(RELATIONS), app)
            self._recorded[server] = app, texts, resolve.redis_queue(client, prefix)
        return self._recorded[server]
