"""Rows with several nodes on one bus: each has a way to Redis of its own, which can be cut."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bridge.sockets.pusher import signatures
from tests import services
from tests.chaos.ground import Ground
from tests.chaos.history import Fault, told
from tests.chaos.pages import FILLER, Page, Visitor, faults_of, pages
from tests.chaos.rig import PATIENCE, Figures, Rig
from tests.end_to_end.bridge import Bridge, bridge_serve
from tests.end_to_end.laravel import APP_ID, APP_KEY, APP_SECRET, ROOT
from tests.end_to_end.processes import environment, wait_until
from tests.end_to_end.stores import NOTHING
from tests.proxy import Proxy, proxy

RESUME = 60  # seconds
PRESENCE = 15.0  # seconds after which presence is right again, whatever happened
HURTS = ("node", "link", "link", "jobs", "away", "silent", "redis", "redis empty", "redis paused")
BUFFER = 10 << 20  # bytes that Redis holds back for a node; its own setting is 32 MiB
KEPT = 1_000  # events of a channel that Redis keeps


@dataclass(eq=False)
class Node:
    """A `bridge serve` on a port that stays the same; `way` leads to Redis."""

    name: str
    port: int
    way: Proxy
    queue: str
    bridge: Bridge | None = None
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)


class Nodes:
    """So many nodes with clients, and one that takes the jobs, all on the bus `redis`."""

    def __init__(self, rig: Rig, redis: services.Redis, stack: contextlib.ExitStack, number: int) -> None:
        self.rig, self.redis = rig, redis
        self.all: list[Node] = []
        for at in range(number + 1):
            name = "jobs" if at == number else f"node-{at + 1}"
            way = stack.enter_context(proxy(redis.port))
            queue = "default" if at == number else "unused"
            self.all.append(Node(name, services.free_port(), way, queue))
        for node in self.all:
            stack.callback(self.stop, node)
            self.start(node)

    @property
    def nodes(self) -> list[Node]:
        return self.all[:-1]

    @property
    def jobs(self) -> Node:
        return self.all[-1]

    def start(self, node: Node, source: Path = ROOT) -> None:
        """`source`: the tree of the version that it runs."""
        env = {"PYTHONPATH": str(source)} | {
            "REDIS_PORT": str(node.way.port),
            "BRIDGE_STATE_PATH": str(self.rig.app.path / node.name),
        }
        (self.rig.app.path / node.name).mkdir(exist_ok=True)
        node.bridge = node.stack.enter_context(
            bridge_serve(
                self.rig.app,
                "--queue",
                node.queue,
                port=node.port,
                name=node.name,
                env=env,
                patience=PATIENCE,
            )
        )

    def kill(self, node: Node) -> None:
        assert node.bridge is not None
        node.bridge.process.kill()
        node.bridge.process.wait()
        node.bridge = None
        node.stack.close()

    def stop(self, node: Node) -> None:
        node.bridge = None
        node.stack.close()

    def clients(self, number: int) -> list[Page]:
        """By turns on each node, where they come back to if they can, and one after the other resumes."""
        ports = [node.port for node in self.nodes]
        return [
            Page(
                at, [*ports[at % len(ports) :], *ports[: at % len(ports)]], resumes=at // len(ports) % 2 == 0
            )
            for at in range(number)
        ]


@contextlib.contextmanager
def cluster(ground: Ground, number: int) -> Iterator[tuple[Rig, Nodes]]:
    """The queue is the ground's store, the bus a Redis of its own whose data outlive a kill."""
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(services.redis_server(persistent=True))
        settings = {
            **redis.env,
            "BRIDGE_BUS": "default",
            "BRIDGE_NATIVE_TRUST": "proven",
            "BRIDGE_RESUME_SECONDS": str(RESUME),
            "BRIDGE_RECONNECT_GATE": "0",
        }
        rig = stack.enter_context(ground.rig(retry_after=10, settings=settings))
        rig.know("line")
        yield rig, Nodes(rig, redis, stack, number)


def all_there(clients: Sequence[Visitor]) -> None:
    wait_until("everybody is there", lambda: all(page.is_there for page in clients), timeout=PATIENCE)


def present(clients: Sequence[Visitor]) -> bool:
    """Whether every page sees just those who are there."""
    users = {page.user for page in clients}
    return all(page.is_there and page.members == users for page in clients)


def until_right(rig: Rig, clients: Sequence[Visitor]) -> float:
    """All has been done and presence is right; seconds until it was."""
    began = time.monotonic()
    all_there(clients)
    wait_until("presence is right", lambda: present(clients), timeout=PATIENCE)
    took = time.monotonic() - began
    wait_until("the queue is empty", lambda: rig.store.left() == NOTHING, timeout=PATIENCE)
    rig.push("line")
    wait_until(
        "everybody has the last", lambda: all(_has(page, rig.jobs) for page in clients), timeout=PATIENCE
    )
    return took


def _has(page: Visitor, number: int) -> bool:
    return bool(page.visits) and number in page.visits[-1].heard[-50:]


def figures(
    rig: Rig, clients: Sequence[Visitor], trials: int, *, note: str = "", may_be_gone: bool = False
) -> Figures:
    """`may_be_gone`: nodes were away for so long that others took them for dead."""
    found: list[Fault] = []
    for page in clients:
        found += faults_of(page, rig.jobs)
    found += [Fault("wrongly failed", payload[:60]) for payload in rig.store.failed_payloads()]
    if not may_be_gone:
        _false_removals(rig, clients)
    if found:
        print(told(found))
    gaps = gaps_of(clients)
    note = "; ".join(filter(None, [note, f"{gaps} gaps announced to {len(clients)} clients"]))
    return Figures(trials=trials, jobs=rig.jobs, found=tuple(found), broken=tuple(rig.broken), note=note)


def _false_removals(rig: Rig, clients: Sequence[Visitor]) -> None:
    """Nobody who had one connection all the time was said to be gone."""
    steady = {page.user for page in clients if len(page.visits) == 1}
    wrong = {user for page in clients for visit in page.visits for _, user in visit.removed if user in steady}
    rig.must(not wrong, f"said to be gone, but there all the time: {', '.join(sorted(wrong))}")


def random_kills(ground: Ground) -> Figures:
    """Nodes, links and Redis are killed at random while 200 events a second flow to three nodes."""
    longest = 0.0
    with cluster(ground, 3) as (rig, nodes):
        clients = nodes.clients(12)
        with pages(clients):
            all_there(clients)
            for trial in range(ground.trials):
                with rig.flow(200, kinds=("line",)):
                    for _ in range(3):
                        time.sleep(rig.chance.uniform(0, 1))  # the moment is random
                        _hurt(rig, nodes)
                took = until_right(rig, clients)
                longest = max(longest, took)
                rig.must(took <= PRESENCE, f"trial {trial}: presence was wrong for {took:.1f} s")
            note = f"presence right after {longest:.1f} s at most"
            return figures(rig, clients, ground.trials, note=note)


def _hurt(rig: Rig, nodes: Nodes) -> None:
    node = rig.chance.choice(nodes.nodes)
    match rig.chance.choice(HURTS):
        case "node":
            nodes.kill(node)
            time.sleep(rig.chance.uniform(0, 1))
            nodes.start(node)
        case "link":
            node.way.reset()
        case "jobs":
            nodes.jobs.way.reset()
        case "away":
            node.way.refuse()
            time.sleep(rig.chance.uniform(0, 2))
            node.way.accept()
        case "silent":
            node.way.silence()
        case "redis" | "redis empty" as how:
            nodes.redis.stop(signal.SIGKILL)
            if how == "redis empty":
                shutil.rmtree(nodes.redis.folder / "appendonlydir")
            time.sleep(rig.chance.uniform(0, 1))
            nodes.redis.start()
        case "redis paused":
            nodes.redis.pause()
            time.sleep(rig.chance.uniform(0, 3))
            nodes.redis.resume()


# One fault each


@contextlib.contextmanager
def two_nodes(ground: Ground) -> Iterator[tuple[Rig, Nodes, list[Page]]]:
    """Clients on both, half of which resume; everybody is there."""
    with cluster(ground, 2) as (rig, nodes):
        clients = nodes.clients(8)
        with pages(clients):
            all_there(clients)
            yield rig, nodes, clients


@contextlib.contextmanager
def _steady(rig: Rig, rate: int = 20) -> Iterator[None]:
    with rig.flow(rate, kinds=("line",)):
        yield


CUTS = (1.0, 5.0, 30.0, 59.0)  # seconds


def bus_cut(ground: Ground) -> Figures:
    """The bus of one node is away for a while: what was published meanwhile comes, once and in order."""
    with two_nodes(ground) as (rig, nodes, clients):
        for trial in range(ground.trials):
            node, seconds = nodes.nodes[trial % 2], CUTS[trial % len(CUTS)]
            before = _closed(clients)
            with _steady(rig, 10):
                node.way.refuse()
                time.sleep(seconds)
                node.way.accept()
            until_right(rig, clients)
            gaps = gaps_of(clients)
            rig.must(not gaps, f"{gaps} gaps where the bus was away for {seconds:g} s")
            rig.must(_closed(clients) == before, "clients were closed")
        return figures(
            rig, clients, ground.trials, note=f"away for {_list(CUTS)} s by turns", may_be_gone=True
        )


def bus_cut_for_long(ground: Ground) -> Figures:
    """The bus of one node is away for longer than Redis keeps events: its clients are told of a gap, the
    others notice nothing."""
    with two_nodes(ground) as (rig, nodes, clients):
        for trial in range(ground.trials):
            node = nodes.nodes[trial % 2]
            with rig.flow(200, kinds=("line",)):
                node.way.refuse()
                since = rig.jobs
                wait_until(
                    "more is published than Redis keeps",
                    lambda since=since: rig.jobs - since > 2 * KEPT and rig.store.left().waiting < KEPT / 4,  # type: ignore[misc]
                    timeout=PATIENCE,
                )
                time.sleep(5.0)  # and for longer than a moment
                node.way.accept()
            until_right(rig, clients)
        gaps = gaps_of(clients)
        least = ground.trials * len(clients) // 2
        rig.must(gaps >= least, f"{gaps} gaps announced, {least} were due")
        return figures(
            rig, clients, ground.trials, note=f"more than {2 * KEPT} events missed", may_be_gone=True
        )


def cut_for_slowness(ground: Ground) -> Figures:
    """Redis closes the link of a node that does not read in time: what it has missed comes again."""
    with two_nodes(ground) as (rig, nodes, clients), nodes.redis.client() as redis:
        redis.config_set("client-output-buffer-limit", f"pubsub {BUFFER} {BUFFER} 60")

        log = nodes.redis.folder / "server.log"

        def closed() -> int:
            return log.read_text().count("output buffer limits")

        for trial in range(ground.trials):
            slow, other = nodes.nodes[trial % 2], nodes.nodes[1 - trial % 2]
            until = closed() + 1
            with _steady(rig):
                slow.way.stall()
                while closed() < until:
                    _post_large(other)
                slow.way.resume()
            until_right(rig, clients)
        rig.must(not gaps_of(clients), f"{gaps_of(clients)} gaps")
        return figures(
            rig, clients, ground.trials, note=f"after {BUFFER >> 20} MiB that were not read", may_be_gone=True
        )


def _post_large(node: Node) -> None:
    """Ten events more for everybody."""
    one = {"name": "filler", "channel": FILLER, "data": "x" * 9_000}
    body = json.dumps({"batch": [one] * 10}).encode()
    path = f"/apps/{APP_ID}/batch_events"
    query = {
        "auth_key": APP_KEY,
        "auth_timestamp": str(int(time.time())),
        "auth_version": "1.0",
        "body_md5": hashlib.md5(body).hexdigest(),
    }
    query["auth_signature"] = signatures.sign(APP_SECRET, signatures.api_text("POST", path, query.items()))
    answer = httpx.post(f"http://127.0.0.1:{node.port}{path}", params=query, content=body, timeout=60)
    assert answer.status_code == 200, answer.text


def deaf(ground: Ground) -> Figures:
    """One node hears nothing of the bus, which hears it; or the other way round."""
    longest = 0.0
    with two_nodes(ground) as (rig, nodes, clients):
        for trial in range(ground.trials):
            node = nodes.nodes[trial % 2]
            with _steady(rig):
                node.way.silence(only="replies" if trial % 4 < 2 else "requests")
                time.sleep(rig.chance.uniform(0, 12))
                node.way.reset()
            longest = max(longest, until_right(rig, clients))
            rig.must(longest <= PRESENCE, f"presence was wrong for {longest:.1f} s")
        return figures(rig, clients, ground.trials, note=f"presence right after {longest:.1f} s at most")


def node_dies(ground: Ground) -> Figures:
    """kill -9 of a node whose clients do not come back: the others hear of each once, in time."""
    slowest = 0.0
    with two_nodes(ground) as (rig, nodes, clients):
        for trial in range(ground.trials):
            node = nodes.nodes[trial % 2]
            lost = [page for page in clients if page.is_at(node.port)]
            stays = [page for page in clients if page not in lost]
            rig.must(bool(lost and stays), "all clients were on one node")
            for page in lost:
                page.pause()
            seen = {page.user: len(page.visits[-1].removed) for page in stays}
            killed = time.monotonic()
            nodes.kill(node)
            wait_until(
                "the members are gone",
                lambda stays=stays: all(page.members == {one.user for one in stays} for page in stays),  # type: ignore[misc]
                timeout=PATIENCE,
            )
            slowest = max(slowest, time.monotonic() - killed)
            time.sleep(1.0)  # nobody is told a second time
            for page in stays:
                told = sorted(user for _, user in page.visits[-1].removed[seen[page.user] :])
                rig.must(told == sorted(one.user for one in lost), f"{page.user} was told of {told}")
            nodes.start(node)
            for page in lost:
                page.resume()
            until_right(rig, clients)
        rig.must(slowest <= PRESENCE, f"members were gone after {slowest:.1f} s")
        return figures(rig, clients, ground.trials, note=f"members gone after {slowest:.1f} s at most")


def upgrade(ground: Ground) -> Figures:
    """Nodes of the last release and of this version share a bus: one after the other becomes new, then old
    again, while events flow."""
    with tempfile.TemporaryDirectory(prefix="bridge-release-") as folder:
        version = _released(Path(folder))
        with two_nodes(ground) as (rig, nodes, clients):
            for _ in range(ground.trials):
                for source in (Path(folder), ROOT):
                    for node in nodes.all:
                        with _steady(rig):
                            nodes.stop(node)
                            nodes.start(node, source)
                            all_there(clients)
                        until_right(rig, clients)
            rig.must(not gaps_of(clients), f"{gaps_of(clients)} gaps")
            return figures(rig, clients, ground.trials, note=f"with {version}")


def _released(folder: Path) -> str:
    """The tree of the last release is in the folder; what it is called."""
    pattern = r"^[0-9]+\.[0-9]+\.[0-9]+:"
    git = ["git", "-C", str(ROOT)]
    found = subprocess.run(
        [*git, "log", "-E", "--grep", pattern, "-n", "1", "--format=%H %s"], capture_output=True, text=True
    ).stdout
    commit, _, subject = found.partition(" ")
    assert commit, "the history has no release"
    tree = subprocess.run([*git, "archive", commit, "bridge"], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=tree, check=True)
    env = environment(PYTHONPATH=str(folder))
    where = [sys.executable, "-c", "import bridge; print(bridge.__file__)"]
    ran = subprocess.run(where, cwd=folder, env=env, capture_output=True, text=True, check=True).stdout
    assert ran.startswith(str(folder)), f"it would run {ran}"
    return subject.partition(":")[0]


def gaps_of(clients: Sequence[Visitor]) -> int:
    return sum(number is None for page in clients for visit in page.visits for number in visit.heard)


def _closed(clients: list[Page]) -> int:
    return sum(visit.closed is not None for page in clients for visit in page.visits)


def _list(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
