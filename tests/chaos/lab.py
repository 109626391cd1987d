"""Rows in which an operator's machines fail: `one` and `two` serve the clients, `redis` has Redis and takes
the jobs, `front` has nginx and HAProxy from `docker/proxies`, the pages behind them, and takes webhooks.

The machines are namespaces of the network (`tests.chaos.network`), which takes root.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests import services
from tests.certificates import self_signed
from tests.chaos.ground import Ground
from tests.chaos.network import CUT, GOOD, Line, Network, network
from tests.chaos.nodes import PRESENCE, all_there, figures, gaps_of, until_right
from tests.chaos.pages import ROOM, Visitor, pusher_js
from tests.chaos.rig import PATIENCE, Figures, Rig
from tests.end_to_end.bridge import COMMAND, Bridge, bridge_serve
from tests.end_to_end.laravel import ROOT
from tests.end_to_end.processes import environment, family, listens, running, wait_until
from tests.sockets.server.test_behind_proxies import haproxy, nginx
from tests.sockets.webhooks.receiver import Receiver, receiving

ONE, TWO, REDIS, FRONT = "one", "two", "redis", "front"
ADDRESSES = {
    ONE: "10.0.0.1",
    TWO: "10.0.0.2",
    REDIS: "10.0.0.3",
    FRONT: "10.0.0.9",
}  # as in docs/processes.md
PROCESSES = {ONE: "2", TWO: "1", REDIS: "1"}
PORT = 6001
CLIENTS = 8
RATE = 10  # events a second
RESUME = 120  # seconds; longer than a proxy waits for a machine that says nothing
KEPT = 5_000  # events; more than come in the longest cut
SLOW = Line(loss=0.01, delay=0.05, jitter=0.02)
NAMES = ("member_added", "member_removed")  # webhooks of a member, by turns
SETTLED = 5.0  # seconds after which no webhook comes any more: they wait for three


class Lab:
    """All machines at work, and everybody is there."""

    def __init__(
        self, rig: Rig, net: Network, redis: services.Redis, webhooks: Receiver, stack: contextlib.ExitStack
    ) -> None:
        self.rig, self.network, self.redis, self.webhooks = rig, net, redis, webhooks
        self.clients: list[Visitor] = []
        self._bridges: dict[str, Bridge] = {}
        self._stacks = {name: stack.enter_context(contextlib.ExitStack()) for name in PROCESSES}

    def start(self, name: str) -> None:
        with self.network.inside(name):
            self._bridges[name] = self._stacks[name].enter_context(
                bridge_serve(
                    self.rig.app,
                    "--queue",
                    "default" if name == REDIS else "unused",
                    host=ADDRESSES[name],
                    port=PORT,
                    name=name,
                    env=self._env(name),
                    patience=PATIENCE,
                )
            )

    def kill(self, name: str) -> None:
        """All processes of this machine's bridge, at once."""
        process = self._bridges[name].process
        for pid in family(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        self._stacks[name].close()

    @contextlib.contextmanager
    def reloading(self, name: str) -> Iterator[None]:
        """`bridge reload` of this machine begins before the block, and is over after it."""
        command = [*COMMAND, "reload", "--app", str(self.rig.app.path), "--port", str(PORT)]
        log = self.rig.app.path / "storage/logs/reload.txt"
        with (
            self.network.inside(name),
            running(command, cwd=ROOT, log=log, env=environment(**self._env(name))) as process,
        ):
            yield
            code = process.wait(timeout=PATIENCE)
        self.rig.must(code == 0, f"the reload ended with {code}: {log.read_text()[-300:]}")

    def _env(self, name: str) -> dict[str, str]:
        state = self.rig.app.path / name
        state.mkdir(exist_ok=True)
        members = {"url": self.webhooks.url, "events": NAMES}
        return {
            "BRIDGE_STATE_PATH": str(state),
            "BRIDGE_PROCESSES": PROCESSES[name],
            "BRIDGE_WEBHOOKS": json.dumps([members]),
        }

    def busier(self) -> str:
        """The machine with more clients than the other."""
        return max((ONE, TWO), key=self.connections)

    def connections(self, name: str) -> int:
        """Of pages to this machine; the least of a few looks, since HAProxy connects to check, too."""
        return min(self._connections(name) for _ in range(5))

    def _connections(self, name: str) -> int:
        time.sleep(0.05)
        with self.network.inside(name):
            lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
        local, established = f":{PORT:04X}", "01"
        return sum(words[1].endswith(local) and words[3] == established for words in map(str.split, lines))

    def settled(self) -> float:
        """Everybody is there, has all that was pushed, and sees just the others; webhooks have told so, too.
        Seconds until presence was right, once everybody was there."""
        all_there(self.clients)
        took = until_right(self.rig, self.clients)
        self.rig.must(took <= PRESENCE, f"presence was wrong for {took:.1f} s, {_load()}")
        self.webhooks_settled()
        return took

    def webhooks_settled(self) -> None:
        """The last of each member tells that it is there, and no more comes."""

        def last() -> set[str]:
            told = self._told()
            return {told.get(page.user, [""])[-1] for page in self.clients}

        try:
            wait_until("webhooks tell of everybody", lambda: last() == {"member_added"}, timeout=PATIENCE)
        except AssertionError as problem:
            self.rig.must(False, f"{problem}: {self._told()}")
        time.sleep(SETTLED)

    def _told(self) -> dict[str, list[str]]:
        """User → names of the webhooks about it, in order."""
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for body in map(json.loads, list(self.webhooks.bodies)):
            for event in body["events"]:
                if event["channel"] == ROOM:
                    found[event["user_id"]].append((body["time_ms"], event["name"]))
        return {user: [name for _, name in sorted(those)] for user, those in found.items()}

    def figures(self, ground: Ground, note: str, *, may_be_gone: bool, gaps: bool = False) -> Figures:
        """`gaps`: Redis had lost events, of which pages had to be told."""
        if not gaps:
            self.rig.must(not gaps_of(self.clients), f"{gaps_of(self.clients)} gaps")
        for user, names in self._told().items():
            by_turns = all(name == NAMES[at % 2] for at, name in enumerate(names))
            self.rig.must(by_turns, f"webhooks of {user}: {', '.join(names)}")
        note = "; ".join(filter(None, [note, f"{len(self.webhooks.bodies)} webhooks", _load()]))
        return figures(self.rig, self.clients, ground.trials, note=note, may_be_gone=may_be_gone)


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


@contextlib.contextmanager
def lab(ground: Ground) -> Iterator[Lab]:
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(network(ADDRESSES, ground.seed))
        with net.inside(REDIS):
            bind = f"127.0.0.1 {ADDRESSES[REDIS]}"
            redis = stack.enter_context(services.redis_server(persistent=True, bind=bind))
        with net.inside(FRONT):
            webhooks = stack.enter_context(receiving(ADDRESSES[FRONT]))
        settings = {
            **redis.env,
            "REDIS_HOST": ADDRESSES[REDIS],
            "BRIDGE_BUS": "default",
            "BRIDGE_NATIVE_TRUST": "proven",
            "BRIDGE_RESUME_SECONDS": str(RESUME),
            "BRIDGE_LIMIT_RESUME_EVENTS": str(KEPT),
            "BRIDGE_RECONNECT_GATE": "0",
            "BRIDGE_TRUSTED_PROXIES": ADDRESSES[FRONT],
        }
        rig = stack.enter_context(ground.rig(retry_after=10, settings=settings))
        rig.know("line")
        made = Lab(rig, net, redis, webhooks, stack)
        for name in PROCESSES:
            made.start(name)
        with net.inside(FRONT):
            ports = list(_proxies(stack, ground.folder))
            log = rig.app.path / "storage/logs/pages.txt"
            made.clients = stack.enter_context(pusher_js(ports, CLIENTS, log))
        all_there(made.clients)
        made.webhooks_settled()
        yield made


# Of each proxy: how to run it, its file, and the part of it that docs/processes.md has for two machines.
PROXIES = (
    (nginx, "nginx.conf", re.compile(r"^upstream bridge \{\n(?: .*\n)+\}\n", re.MULTILINE)),
    (haproxy, "haproxy.cfg", re.compile(r"^backend bridge\n(?: .*\n)+", re.MULTILINE)),
)


def _proxies(stack: contextlib.ExitStack, folder: Path) -> Iterator[int]:
    """All proxies before both machines; their ports."""
    page = (ROOT / "docs/processes.md").read_text()
    for command, name, part in PROXIES:
        place, port = folder / command.__name__, services.free_port()
        place.mkdir()
        words = command(place, port, PORT, *self_signed(place))
        several = part.search(page)
        assert several is not None
        text, times = part.subn(lambda _, text=several[0]: text, (place / name).read_text())  # type: ignore[misc]
        assert times == 1, f"{name} has {times} parts like that of docs/processes.md"
        (place / name).write_text(text)
        stack.enter_context(running(words, cwd=place, log=place / "log.txt", env=environment()))
        wait_until(f"{command.__name__} listens", lambda port=port: listens(port), timeout=PATIENCE)  # type: ignore[misc]
        yield port


@contextlib.contextmanager
def _steady(made: Lab) -> Iterator[None]:
    with made.rig.flow(RATE, kinds=("line",)):
        yield


# One fault each


def _cut(ground: Ground, seconds: float) -> Figures:
    longest = 0.0
    with lab(ground) as made:
        for trial in range(ground.trials):
            name = (ONE, TWO)[trial % 2]
            with _steady(made):
                if trial % 3 != 2:
                    made.network.one_way(name, REDIS, CUT)
                if trial % 3 != 1:
                    made.network.one_way(REDIS, name, CUT)
                time.sleep(seconds)
                made.network.both_ways(name, REDIS, GOOD)
            longest = max(longest, made.settled())
        return made.figures(ground, f"presence right after {longest:.1f} s at most", may_be_gone=True)


def cut_for_a_moment(ground: Ground) -> Figures:
    """Nothing passes between a machine and Redis: both ways, then nothing to Redis, then nothing from it."""
    return _cut(ground, 10.0)


def cut_for_long(ground: Ground) -> Figures:
    """The same for longer than the kernel waits for answers."""
    return _cut(ground, 130.0)


def power(ground: Ground) -> Figures:
    """A machine is gone without a word and comes back: its processes were killed, or have gone on unheard."""
    with lab(ground) as made:
        for trial in range(ground.trials):
            name = made.busier()
            gone = made.connections(name)
            before = [len(page.visits) for page in made.clients]

            def are_back(gone: int = gone, before: list[int] = before) -> bool:
                after = [len(page.visits) for page in made.clients]
                return sum(more > less for more, less in zip(after, before, strict=True)) >= gone

            with _steady(made):
                made.network.around(name, CUT)
                if trial % 2 == 0:
                    made.kill(name)
                wait_until("the proxies have noticed", are_back, timeout=PATIENCE)
                all_there(made.clients)
                made.network.around(name, GOOD)
                if trial % 2 == 0:
                    made.start(name)
            made.settled()
        return made.figures(ground, "", may_be_gone=True)


def slow_way(ground: Ground) -> Figures:
    """Packets between the machines and Redis take 30 to 70 ms, and one of a hundred is lost."""
    with lab(ground) as made:
        for name in (ONE, TWO):
            made.network.both_ways(name, REDIS, SLOW)
        for _ in range(ground.trials):
            with _steady(made):
                time.sleep(60.0)
            made.settled()
        return made.figures(ground, "", may_be_gone=False)


def kill_in_a_reload(ground: Ground) -> Figures:
    """One machine is killed while the other reloads."""
    with lab(ground) as made:
        for _ in range(ground.trials):
            with _steady(made):
                with made.reloading(ONE):
                    time.sleep(made.rig.chance.uniform(0, 8))  # the moment is random
                    made.kill(TWO)
                made.start(TWO)
            made.settled()
        return made.figures(ground, "", may_be_gone=True)


def redis_stands_still(ground: Ground) -> Figures:
    """Redis is stopped for longer than links wait for it, and goes on as if nothing had been."""
    with lab(ground) as made:
        for _ in range(ground.trials):
            with _steady(made):
                made.redis.pause()
                time.sleep(20.0)
                made.redis.resume()
            made.settled()
        return made.figures(ground, "", may_be_gone=False)


def redis_is_empty(ground: Ground) -> Figures:
    """Redis is killed and comes back without its data, or is emptied while it runs."""
    with lab(ground) as made:
        for trial in range(ground.trials):
            with _steady(made):
                time.sleep(made.rig.chance.uniform(1, 3))
                if trial % 2 == 0:
                    made.redis.stop(signal.SIGKILL)
                    shutil.rmtree(made.redis.folder / "appendonlydir")
                    with made.network.inside(REDIS):
                        made.redis.start()
                else:
                    with made.network.inside(REDIS), made.redis.client() as client:
                        client.flushall()
                time.sleep(5.0)
            made.settled()
        return made.figures(ground, "", may_be_gone=False, gaps=True)
