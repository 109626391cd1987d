"""What every row needs: an app on a store, jobs pushed into it, bridges that are started and hurt, clients.

A `Rig` keeps the history of all of it. Jobs are Laravel's own payloads with another uuid and tag, so that
thousands can be pushed without PHP; what their events must look like is what Laravel itself sends.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from tests import services
from tests.chaos.clients import CHANNELS, TAG, Client, client
from tests.chaos.history import Done, Fault, History, Pushed, faults, told, unattended
from tests.end_to_end.bridge import Bridge, bridge_serve
from tests.end_to_end.laravel import ROOT, Laravel, Sent
from tests.end_to_end.processes import environment, family, running, wait_until
from tests.end_to_end.stores import NOTHING, Store, StoreName, open_store
from tests.proxy import Proxy, proxy
from tests.threads import repeatedly

ENTRY = (sys.executable, "-m", "tests.chaos.entry")
PATIENCE = 300.0  # seconds
BACKLOG = 500  # jobs that wait, beyond which a flow brings no more
TEMPLATE = "job-ffffffffffff"
OTHER = "other-"  # begins the tags of jobs that are no broadcasts

# line, private: native; quick, naps (0.2 s), hangs, kills (its worker), throws: only PHP can tell
Kind = Literal["line", "private", "quick", "naps", "hangs", "kills", "throws"]
MIXTURE: tuple[Kind, ...] = ("line", "line", "line", "private", "quick")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a row came to on a store.

    jobs    that were pushed
    found   what the history's checker has found
    broken  what else did not hold, a sentence each
    note    what was measured
    """

    trials: int
    jobs: int
    found: tuple[Fault, ...] = ()
    broken: tuple[str, ...] = ()
    note: str = ""

    @property
    def holds(self) -> bool:
        return not self.found and not self.broken

    def number(self, *kinds: str) -> int:
        """Faults of these kinds."""
        return sum(fault.kind in kinds for fault in self.found)


class Rig:
    """One app, one store; `between` is the proxy before the store, if it is a server."""

    def __init__(
        self,
        app: Laravel,
        store: Store,
        *,
        retry_after: int,
        seed: int,
        server: services.Server | None = None,
        between: Proxy | None = None,
    ) -> None:
        self.app, self.store, self.server, self.between = app, store, server, between
        self.retry_after = retry_after
        self.chance = random.Random(seed)
        self.clients: list[Client] = []
        self.serving = ""  # name of the bridge that was started last
        self._record = app.path / "storage/logs/record.jsonl"
        self._pushed: list[Pushed] = []
        self._templates: dict[Kind, tuple[str, Sent]] = {}
        self._other = ""  # payload of a job that is no broadcast
        self._others = 0
        self._starts = 0
        self._pushing = threading.RLock()
        self.broken: list[str] = []

    # ---- jobs

    def know(self, *kinds: Kind) -> None:
        """The payloads of these are known; while nothing is in the queue and nobody takes from it."""
        for kind in kinds:
            if kind not in self._templates:
                self.app.dispatch(kind, tag=TEMPLATE)
                [payload] = self.store.payloads()
                self.store.clear()
                # not all of them end well, and what they would send is the same
                asked = "quick" if kind in ("naps", "hangs", "kills", "throws") else kind
                [sent] = self.app.oracle(asked, tag=TEMPLATE)
                self._templates[kind] = payload, sent

    def payload(self, kind: Kind) -> str:
        """Laravel's own."""
        return self._templates[kind][0]

    def push(self, *kinds: Kind, tries: int | None = None, fails: bool = False) -> list[str]:
        """A job of each is in the queue, in this order; their tags."""
        payloads: list[str] = []
        tags: list[str] = []
        with self._pushing:
            now = time.monotonic()
            for kind in kinds:
                number = len(self._pushed) + 1
                tag = f"job-{number:012x}"
                payload, sent = self._templates[kind]
                document = json.loads(payload)
                document["uuid"] = str(uuid.UUID(int=number))
                if "id" in document:
                    document["id"] = f"{number:032x}"
                if tries is not None:
                    document["maxTries"] = tries
                payloads.append(json.dumps(document).replace(TEMPLATE, tag))
                tags.append(tag)
                self._pushed.append(
                    Pushed(
                        job=tag,
                        at=now,
                        channel=sent.channels[0],
                        name=sent.name,
                        data=sent.data.replace(TEMPLATE, tag),
                        fails=fails,
                    )
                )
            self.store.push(payloads)
        return tags

    def know_others(self) -> None:
        """The payload of a job that is no broadcast is known; as `know`."""
        self.app.dispatch("plain", tag=TEMPLATE)
        [self._other] = self.store.payloads()
        self.store.clear()

    def push_other(self) -> None:
        """A job that is no broadcast is in the queue: it writes a line when it runs."""
        with self._pushing:
            self._others += 1
            document = json.loads(self._other)
            document["uuid"] = str(uuid.UUID(int=self._others << 64))
            if "id" in document:
                document["id"] = f"{self._others << 64:032x}"
            tag = f"{OTHER}{self._others:0{len(TEMPLATE) - len(OTHER)}x}"
            self.store.push([json.dumps(document).replace(TEMPLATE, tag)])

    def others_amiss(self) -> list[str]:
        """The jobs that are no broadcasts and did not run just once, each with how often."""
        runs = Counter(line.split()[0] for line in self.app.lines())
        tags = [f"{OTHER}{n:0{len(TEMPLATE) - len(OTHER)}x}" for n in range(1, self._others + 1)]
        return [f"{tag} ran {runs[tag]} times" for tag in tags if runs[tag] != 1]

    @contextlib.contextmanager
    def flow(self, rate: float, *, kinds: tuple[Kind, ...] = MIXTURE) -> Iterator[None]:
        """So many jobs a second are pushed while the block runs, a third of them with one try; fewer where
        bridge does not keep up, so that all are done soon after it."""
        chance = random.Random(self.chance.random())

        def push() -> None:
            with self._pushing:
                if self.store.left().waiting > BACKLOG:
                    return
            tries = 1 if chance.random() < 0.35 else None
            self.push(*chance.choices(kinds, k=max(1, int(rate / 10))), tries=tries)

        with repeatedly(push, 0.1):
            yield

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """Nothing is being pushed while the block runs: what a store that is killed has taken is known."""
        with self._pushing:
            yield

    def recorded(self) -> int:
        """Bytes of what all bridges have done until now."""
        return self._record.stat().st_size if self._record.exists() else 0

    @property
    def jobs(self) -> int:
        return len(self._pushed)

    # ---- bridges and clients

    @contextlib.contextmanager
    def bridge(self, *flags: str, crash_at: str = "", port: int | None = None) -> Iterator[Bridge]:
        """As `bridge serve`, with `tests.chaos.entry`; it listens when the block begins."""
        env = self._next(crash_at)
        with bridge_serve(self.app, *flags, port=port, name=self.serving, entry=ENTRY, env=env) as bridge:
            yield bridge

    def stopped_at_start(self, after: float) -> int:
        """A bridge gets SIGTERM so many seconds after its start; its exit code."""
        env = environment(**self._next(""))
        command = [*ENTRY, "serve", "--app", str(self.app.path), "--host", "127.0.0.1"]
        command += ["--port", str(self.app.port)]
        log = self.app.path / "storage/logs" / f"{self.serving}.txt"
        with running(command, cwd=self.app.path, log=log, env=env) as process:
            time.sleep(after)  # the moment is random, nothing is waited for
            process.terminate()
            return process.wait(timeout=90)

    def _next(self, crash_at: str) -> dict[str, str]:
        self._starts += 1
        self.serving = f"bridge-{self._starts}"
        return {
            "CHAOS_RECORD": str(self._record),
            "CHAOS_NAME": self.serving,
            "CHAOS_CRASH_AT": crash_at,
            "PYTHONPATH": str(ROOT),
        }

    def crash(self, point: str) -> bool:
        """A bridge is started that kills itself at the point; whether it came there before all was done."""
        try:
            with self.bridge(crash_at=point) as bridge:
                wait_until(
                    "it crashes, or has done everything",
                    lambda: bridge.process.poll() is not None or self.store.left() == NOTHING,
                    timeout=PATIENCE,
                )
                code = bridge.process.poll()
                if code is None:  # or it is about to crash, having done everything
                    code = bridge.terminate()
                assert code in (0, -signal.SIGKILL), f"bridge ended with {code}: see {bridge.log}"
                return code != 0
        except AssertionError as ended:  # it may crash before it says that it listens
            if "bridge ended with -9" not in str(ended):
                raise
        return True

    @contextlib.contextmanager
    def watched(
        self, *, number: int = 1, port: int | None = None, only: str = "", pause: float = 0.0
    ) -> Iterator[list[Client]]:
        """So many clients are there, or on their way back, while the block runs; of the bridge that was
        started last, or `only` of that name."""
        with contextlib.ExitStack() as stack:
            made = [
                stack.enter_context(client(port or self.app.port, lambda: only or self.serving, pause=pause))
                for _ in range(number)
            ]
            self.clients += made
            yield made

    def there(self) -> None:
        """Every client is subscribed."""
        for one in self.clients:
            wait_until("the client is there", lambda one=one: one.is_there)  # type: ignore[misc]

    def attended(self) -> None:
        """A bridge was here, and has kept how many clients there are when it was killed: from now on each
        event of the bridge at this port has somebody to see it, whatever becomes of the process."""
        with self.bridge() as bridge:
            self._counted()
            bridge.process.kill()
            bridge.process.wait()

    def _counted(self) -> None:
        self.there()
        place = self.app.path / "storage/framework"
        known = {"connections": len(self.clients), "subscriptions": len(self.clients) * len(CHANNELS)}

        def is_kept() -> bool:
            kept = [json.loads(it.read_text()) for it in place.glob(f"*clients-{self.app.port}*.json")]
            return [{name: it[name] for name in known} for it in kept] == [known]

        wait_until("the number of clients is kept", is_kept)

    def drained(self) -> None:
        """Nothing is left in the queue, and every client that is there has read what was sent to it."""
        wait_until("the queue is empty", lambda: self.store.left() == NOTHING, timeout=PATIENCE)
        for one in self.clients:
            if not one._over.is_set():
                one.catch_up()

    def kill_php(self) -> None:
        """kill -9 of every PHP process that bridge has for the app at this moment."""
        for process in family(os.getpid())[1:]:
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{process}/cmdline").read_text().split("\0")
                at = os.readlink(f"/proc/{process}/cwd")
                if Path(words[0]).name.startswith("php") and at.startswith(str(self.app.path)):
                    os.kill(process, signal.SIGKILL)

    # ---- what came of it

    def history(
        self, *, since: int = 0, beside: bool = False, ordered: bool = True, attended: bool = True
    ) -> History:
        """Of everything so far, but for the first `since` jobs."""
        tags = {number: it.job for number, it in enumerate(self._pushed, 1) if number > since}
        before = {it.job for it in self._pushed[:since]}
        done = []
        lines = self._record.read_text().splitlines() if self._record.exists() else []
        for line in lines:
            if not line.endswith("]"):
                continue  # empty, or torn off by a kill: then it is as if that had come a moment sooner
            at, bridge, deed, name, attempts, begun = json.loads(line)
            if tag := tags.get(uuid.UUID(name).int):
                done.append(Done(job=tag, at=at, bridge=bridge, deed=deed, attempts=attempts, since=begun))
        return History(
            retry_after=self.retry_after,
            beside=beside,
            ordered=ordered,
            attended=attended,
            pushed=self._pushed[since:],
            done=done,
            sockets=[
                replace(socket, messages=[it for it in socket.messages if it.job not in before])
                for one in self.clients
                for socket in one.sockets
            ],
            left=[tag for tag in _tags(self.store.payloads()) if tag not in before],
            failed=[tag for tag in _tags(self.store.failed_payloads()) if tag not in before],
        )

    def figures(self, trials: int, *, note: str = "", **how: bool) -> Figures:
        """Of everything so far. The faults are in it, and on stderr."""
        history = self.history(**how)
        found = faults(history)
        if keep := os.environ.get("CHAOS_KEEP"):
            (Path(keep) / "history.json").write_text(json.dumps(asdict(history)))
        if found:
            print(told(found), file=sys.stderr)
        if not history.attended and (nobody := unattended(history)):
            note = f"{note + '; ' if note else ''}{len(nobody)} sent before a client was back"
        return Figures(
            trials=trials, jobs=self.jobs, found=tuple(found), broken=tuple(self.broken), note=note
        )

    def must(self, holds: bool, otherwise: str) -> None:
        """A promise that is not about single jobs; the row goes on without it."""
        if not holds:
            self.broken.append(otherwise)
            print(otherwise, file=sys.stderr)


def _tags(payloads: list[str]) -> list[str]:
    return [found[0] for payload in payloads if (found := re.search(TAG, payload))]


@contextlib.contextmanager
def rig(
    name: StoreName,
    folder: Path,
    *,
    retry_after: int = 90,
    seed: int = 0,
    proxied: bool = False,
    durable: bool = False,
    server: Callable[[str], object] | None = None,
    settings: dict[str, str] | None = None,
) -> Iterator[Rig]:
    """On an empty store of that name. `server` gives a running server by the name of its fixture; without
    it, and where it is to be killed (`durable`: what it has committed outlives that), one of its own."""
    with contextlib.ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        made: list[services.Server] = []

        def serving(kind: str) -> object:
            it = stack.enter_context(_own(kind)) if server is None or durable else server(kind)
            assert isinstance(it, services.Server)
            made.append(it)
            return it

        (folder / "store").mkdir(exist_ok=True)
        store = stack.enter_context(open_store(name, folder / "store", serving))
        env = {**store.settings, "QUEUE_RETRY_AFTER": str(retry_after), **(settings or {})}
        between = None
        if proxied:
            between = stack.enter_context(proxy(made[0].port))
            env["REDIS_PORT" if name == "redis" else "DB_PORT"] = str(between.port)
        app = Laravel.create(folder / "app", env)
        (app.path / "storage/logs").mkdir(parents=True, exist_ok=True)
        keep = os.environ.get("CHAOS_KEEP")  # a folder for what is needed to look into it
        if keep:
            Path(keep).mkdir(parents=True, exist_ok=True)
        try:
            at = made[0] if made else None
            yield Rig(app, store, retry_after=retry_after, seed=seed, server=at, between=between)
        finally:
            if keep:
                shutil.copytree(app.path / "storage/logs", Path(keep), dirs_exist_ok=True)


def _own(kind: str) -> contextlib.AbstractContextManager[services.Server]:
    """A server that keeps what it has committed when it is killed."""
    match kind:
        case "mariadb":
            return services.mariadb("--innodb-flush-log-at-trx-commit=2")
        case "postgres":
            return services.postgres("-c", "synchronous_commit=on")
        case _:
            return services.redis_server(persistent=True)
