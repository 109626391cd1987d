"""The steps of a cluster in any order, on a real Redis: what each page has seen is compared to a plain model.

Nodes come, die, are taken for dead and lose their links; Redis loses everything, or single keys, or
something else writes over them; users come, go, stay for `presence_grace`, are on several nodes at once,
and find no room; events are published at any time. When all is quiet, every page knows exactly who is
there, nobody was told of anybody twice, nor that somebody left who never did, every event came once, in
order, unless a gap was announced, and the channel is counted and listed as it is. Where no node died and
Redis lost nothing, observers were told once on all nodes of each who came and went.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bridge.broadcast import Broadcast
from bridge.errors import ServiceUnavailable
from bridge.sockets.cluster import counts, times
from bridge.sockets.cluster.bus import Bus
from bridge.sockets.cluster.cluster import Cluster
from bridge.sockets.cluster.names import LIST
from bridge.sockets.cluster.registrations import Registrations
from bridge.sockets.pusher import messages
from bridge.sockets.pusher.app import App, Limits
from bridge.sockets.pusher.channels import kind_of
from bridge.sockets.pusher.hub import Member
from bridge.sockets.pusher.hub_events import HubEvent, MemberAdded, MemberRemoved, Occupied, Vacated
from bridge.sockets.pusher.outcome import Answered, Delivery, Outcome
from bridge.sockets.pusher.shared_channel import SharedChannel
from bridge.sockets.pusher.shared_hub import SharedHub
from tests.services import Redis, redis_server
from tests.sockets.cluster.nodes import PREFIX, address
from tests.sockets.server.running import APP

CHANNEL = "presence-r"
LIMIT = 60.0  # seconds in which all must become quiet: only a hang is longer


class Page:
    """What a client has seen of the channel."""

    def __init__(self, name: str, user: str, world: Nodes) -> None:
        self.world = world
        self.confirmed_after = 0  # events that were out then, or on their way
        self.name = name
        self.user = user
        self.is_in = self.is_refused = False
        self.members: set[str] = set()
        self.removals: Counter[str] = Counter()
        self.events: list[int] = []
        self.gaps = 0

    def take(self, text: str) -> None:
        message = json.loads(text)
        data: Any = message["data"]
        data = data if isinstance(data, dict) else json.loads(data)
        match message["event"]:
            case "pusher_internal:subscription_succeeded":
                assert not self.is_in, "confirmed twice"
                self.is_in, self.members = True, set(data["presence"]["ids"])
                self.confirmed_after = self.world.published
            case "pusher_internal:member_added":
                assert self.is_in
                assert data["user_id"] not in self.members, f"{self.name} is told of {data} twice"
                self.members.add(data["user_id"])
            case "pusher_internal:member_removed":
                assert data["user_id"] in self.members, f"{self.name} is told that {data} went twice"
                assert data["user_id"] != self.user
                self.members.remove(data["user_id"])
                self.removals[data["user_id"]] += 1
                assert self.removals[data["user_id"]] <= self.world.departures[data["user_id"]], (
                    f"{self.name} is told that {data} went, who never did"
                )
            case "pusher:subscription_error":
                assert data["status"] in self.world.refusals
                self.is_refused = True
            case "bridge:gap":
                self.gaps += 1
            case "event":
                assert self.is_in, "an event before the confirmation"
                assert not self.events or data > self.events[-1], f"{self.name}: {data} after {self.events}"
                self.events.append(data)
            case other:
                raise AssertionError(other)


class Home:
    """A node without sockets: frames go to pages by their names."""

    def __init__(self, redis: Redis, app: App) -> None:
        self.cluster: Cluster[str] = Cluster(address(redis), prefix=PREFIX)
        self.hub: SharedHub[str] = self.cluster.hub(app)
        self.hubs = {APP.id: self.hub}
        self.pages: dict[str, Page] = {}
        self.told: list[HubEvent] = []
        self.faults: list[AssertionError] = []
        self.task: asyncio.Task[None] | None = None

    def settle(self) -> None:
        pass

    def tell(self, event: HubEvent) -> None:
        self.told.append(event)

    def terminate(self, hub: SharedHub[str], user_id: str, at: float = math.inf) -> None:
        raise NotImplementedError

    def answered(self, hub: SharedHub[str], answered: Answered[str]) -> None:
        assert not answered.closes
        self._deliver(answered)
        for name, _ in answered.dropped:
            assert self.pages[name].is_refused
            del self.pages[name], hub.sockets[name]
        self.cluster.ask(hub, answered.asks)

    def send(self, deliveries: Sequence[Delivery[str]]) -> None:
        self._deliver(Answered(tuple(deliveries)))

    def done(self, page: Page, outcome: Outcome[str]) -> None:
        for text in outcome.replies:
            self._take(page.name, text)
        self._deliver(outcome)
        self.cluster.ask(self.hub, outcome.asks)

    def _deliver(self, outcome: Outcome[str] | Answered[str]) -> None:
        for delivery in outcome.deliveries:
            for name in tuple(delivery.sockets):
                if name != delivery.excluded:
                    self._take(name, delivery.text)

    def _take(self, name: str, text: str) -> None:
        try:
            self.pages[name].take(text)
        except AssertionError as fault:
            self.faults.append(fault)

    def cut(self) -> None:
        if self.cluster.bus.link is not None:
            self.cluster.bus.link.end("cut")


class Nodes(RuleBasedStateMachine):
    redis: Redis
    patience = LIMIT

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        with self.redis.client() as client:
            client.flushall()
        self.homes: list[Home] = []
        self.dead: list[Home] = []
        self.published = self.made = 0
        self.app = APP
        self.trouble = ""
        self.was_emptied = self.has_lost_nodes = False
        self.spoiled = ""  # kind of the key
        self.refusals: set[int] = set()
        self.departures: Counter[str] = Counter()  # of users, or what may look like one

    def wait(self, what: Awaitable[Any]) -> Any:
        async def limited() -> Any:
            async with asyncio.timeout(LIMIT):
                return await what

        return self.loop.run_until_complete(limited())

    @initialize(
        trouble=st.sampled_from(["", "", "emptied", "evicts", "spoils"]),
        members=st.sampled_from([100, 100, 2]),
        grace=st.sampled_from([0.0, 0.0, 0.05]),
    )
    def begin(self, trouble: str = "", members: int = 100, grace: float = 0.0) -> None:
        """`trouble`: one kind, since each mends much, and hides as much."""
        self.trouble = trouble
        self.app = replace(APP, limits=Limits(members=members), presence_grace=grace)
        if members < 100:
            self.refusals.add(403)
        if trouble == "spoils":
            self.refusals.add(503)
        self.new_node()
        self.new_node()

    # What may happen --------------------------------------------------------------------------------------

    def new_node(self) -> None:
        home = Home(self.redis, self.app)

        async def start() -> None:
            await home.cluster.start(home)
            home.task = asyncio.create_task(home.cluster.run())

        self.wait(start())
        self.homes.append(home)

    @rule(at=st.integers(0, 2), user=st.sampled_from(["1", "2", "3"]))
    def connect(self, at: int, user: str) -> None:
        home = self.homes[at % len(self.homes)]
        self.made += 1
        page = home.pages[f"page-{self.made}"] = Page(f"page-{self.made}", user, self)
        member = Member(user_id=user, info=None)
        home.hub.sockets[page.name] = page.name
        now = self.loop.time()
        home.done(page, home.hub.subscribe(page.name, page.name, CHANNEL, kind_of(CHANNEL), member, now))

    @rule(pick=st.integers(0, 99))
    def leave(self, pick: int) -> None:
        pages = [(home, page) for home in self.homes for page in home.pages.values()]
        if pages:
            self.leave_page(*pages[pick % len(pages)])

    def leave_page(self, home: Home, page: Page) -> None:
        outcome = home.hub.disconnect(page.name, page.name, [CHANNEL], None, [], 1000, self.loop.time())
        del home.pages[page.name]
        if page.user not in self.present():
            self.departures[page.user] += 1
        home.done(page, outcome)

    def present(self) -> set[str]:
        return {page.user for home in self.homes for page in home.pages.values()}

    @rule()
    def remove_absent(self) -> None:
        for home in self.homes:
            home.cluster.ask(home.hub, home.hub.remove_absent(self.loop.time()).asks)

    @rule(at=st.integers(0, 2))
    def publish(self, at: int) -> None:
        home = self.homes[at % len(self.homes)]
        if not home.cluster.is_publishing or self.spoiled in ("c", "l"):
            return
        self.published += 1
        one = Broadcast(
            app_id=APP.id,
            channels=(CHANNEL,),
            name="event",
            data=str(self.published),
            job=f"job-{self.published}",
        )

        async def until_out() -> None:  # as the queue does: again, until it is out
            while True:
                try:
                    await home.cluster.publish([one], "queue")
                    return
                except ServiceUnavailable:
                    await asyncio.sleep(0.01)

        self.wait(until_out())

    @rule(turns=st.integers(0, 20))
    def pause(self, turns: int) -> None:
        async def some() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.sleep(0.001 * turns)

        self.wait(some())

    @rule(at=st.integers(0, 2))
    def cut(self, at: int) -> None:
        self.homes[at % len(self.homes)].cut()

    @rule(at=st.integers(0, 2), by=st.integers(0, 2))
    def take_for_dead(self, at: int, by: int) -> None:
        home, other = self.homes[at % len(self.homes)], self.homes[by % len(self.homes)]
        if home is not other:
            self.has_lost_nodes = True
            self.departures.update(page.user for page in home.pages.values())
            other.cluster.nodes.reap(home.cluster.node)

    @precondition(lambda self: len(self.homes) > 1 and self.trouble != "evicts")
    @rule(at=st.integers(0, 2))
    def die(self, at: int) -> None:
        home = self.homes.pop(at % len(self.homes))
        self.has_lost_nodes = True
        self.departures.update(page.user for page in home.pages.values())
        assert home.task is not None
        home.task.cancel()
        home.cluster.bus.is_leaving = True
        home.cut()
        self.dead.append(home)

    @precondition(lambda self: len(self.homes) < 3)
    @rule()
    def come(self) -> None:
        self.new_node()

    @precondition(lambda self: self.trouble == "evicts")
    @rule(kind=st.sampled_from(["c", "m", "g", "i", "l", "n", "h", "nodes", "duty"]), at=st.integers(0, 2))
    def evict(self, kind: str, at: int) -> None:
        self.was_emptied = True
        with self.redis.client() as client:
            client.delete(self.key(kind, self.homes[at % len(self.homes)].cluster.node))

    @precondition(lambda self: self.trouble == "spoils" and not self.spoiled)
    @rule(kind=st.sampled_from(["c", "m", "g", "i", "l"]))
    def spoil(self, kind: str) -> None:
        """Something else writes over it."""
        self.was_emptied, self.spoiled = True, kind
        with self.redis.client() as client:
            client.set(self.key(kind), "no collection")

    @precondition(lambda self: self.spoiled)
    @rule()
    def mend(self) -> None:
        with self.redis.client() as client:
            client.delete(self.key(self.spoiled))
        self.spoiled = ""

    def key(self, kind: str, node: str = "") -> str:
        rest = {"i": ":app-id", "n": f":{node}", "h": f":{node}", "nodes": "", "duty": ""}
        return f"{PREFIX}bridge:1:{kind}{rest.get(kind, f':app-id:{CHANNEL}')}"

    @precondition(lambda self: self.trouble == "emptied")
    @rule(is_restarted=st.booleans())
    def empty(self, is_restarted: bool) -> None:
        """Redis is started again, and empty; or emptied while all links stand."""
        self.was_emptied = True
        with self.redis.client() as client:
            client.flushall()
        for home in self.homes if is_restarted else ():
            home.cut()

    # What must hold -----------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self.wait(self.quiet())
        finally:
            self.wait(self._end())
            self.loop.close()

    async def quiet(self) -> None:
        """Every node is linked, everybody dead is taken out, who seemed to be away was looked at again."""
        if self.spoiled:
            self.mend()
        while not all(home.cluster.is_publishing for home in self.homes):  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.02)
        for home in self.dead:
            self.homes[0].cluster.nodes.reap(home.cluster.node)
        deadline = self.loop.time() + self.patience
        while True:
            self.remove_absent()
            for home in self.homes:
                await self._answered(home)
            await asyncio.sleep(2.5 * times.SETTLE)
            for home in (*self.homes, *self.dead):
                assert not home.faults, home.faults
            try:
                self._check()
                return
            except AssertionError:
                if self.loop.time() > deadline:
                    raise

    async def _answered(self, home: Home) -> None:
        while True:
            try:
                assert home.cluster.bus.link is not None
                await home.cluster.bus.link.ask("PING")
                return
            except (ServiceUnavailable, AssertionError):
                await asyncio.sleep(0.02)

    async def _end(self) -> None:
        for home in (*self.homes, *self.dead):
            assert home.task is not None
            home.task.cancel()
            await asyncio.gather(home.task, return_exceptions=True)
            home.cut()
        await asyncio.sleep(0)

    def _check(self) -> None:
        real = self.present()
        pages = sum(len(home.pages) for home in self.homes)
        with self.redis.client() as client:
            held = {user.decode() for user in client.hkeys(self.key("m"))}
            subscriptions = int(client.hget(self.key("c"), "z") or 0)
            listed = client.hgetall(self.key("i"))
        assert held == real
        assert subscriptions == pages
        listed.pop(LIST.encode(), None)
        assert listed == ({CHANNEL.encode(): b"%d" % pages} if pages else {})
        if not self.has_lost_nodes and not self.was_emptied:
            self._check_told(real)
        for home in self.homes:
            for page in home.pages.values():
                assert page.is_in, page.name
                assert page.members == real, (page.name, page.members, real)
                if page.gaps:
                    assert self.was_emptied, "nothing was lost that could not be had again"
                    continue
                first = page.events[0] if page.events else self.published + 1
                assert first <= page.confirmed_after + 1, (page.name, page.confirmed_after, page.events)
                assert page.events == list(range(first, self.published + 1)), (page.name, page.events)

    def _check_told(self, real: set[str]) -> None:
        told = [event for home in self.homes for event in home.told]
        change = {MemberAdded: 1, MemberRemoved: -1, Occupied: 1, Vacated: -1}
        sums: Counter[str | None] = Counter()
        for event in told:
            sums[getattr(event, "user_id", None)] += change.get(type(event), 0)
        there: list[str | None] = [*real, None] if real else []
        assert sums == Counter(there), told


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    with redis_server() as server:
        yield server


def speed_up(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {"SETTLE": 0.05, "TICK": 0.02, "BEAT": 0.03, "FIRST_PAUSE": 0.005, "LONGEST_PAUSE": 0.05}
    quick |= {"AWAY": 0.05, "COMPARE": 0.1}
    for name, value in quick.items():
        monkeypatch.setattr(times, name, value)
    monkeypatch.setattr(counts, "INTERVAL", 0.02)
    monkeypatch.setattr(Nodes, "redis", redis, raising=False)


def try_steps(redis: Redis, monkeypatch: pytest.MonkeyPatch, *, examples: int) -> None:
    speed_up(redis, monkeypatch)
    run_state_machine_as_test(
        Nodes,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_pages_see_what_a_plain_model_says(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    try_steps(redis, monkeypatch, examples=20)


def publish_behind(nodes: Nodes) -> None:
    nodes.publish(0)
    nodes.cut(0)
    nodes.publish(1)


def leave_behind(nodes: Nodes) -> None:
    nodes.cut(0)
    nodes.leave_page(nodes.homes[0], nodes.homes[0].pages["page-1"])


MISTAKES: dict[str, tuple[Any, type[Any], str, Any]] = {
    "missed events are not fetched": (publish_behind, Registrations, "_new_messages", lambda *_: []),
    "who left during a cut stays": (leave_behind, Registrations, "leave", lambda *_, **__: None),
    "who was taken for dead does not notice": (
        lambda nodes: nodes.take_for_dead(0, 1),
        Bus,
        "is_fenced",
        lambda _, node, answer: answer == b"FENCED",
    ),
    "who is here is believed to have left": (
        lambda nodes: nodes.take_for_dead(0, 1),
        SharedChannel,
        "member_went",
        None,
    ),
    "what is known is told again": (lambda nodes: nodes.cut(0), SharedChannel, "member_came", None),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_caught(redis: Redis, monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    happens, owner, name, instead = MISTAKES[mistake]
    speed_up(redis, monkeypatch)
    run_through(happens)
    monkeypatch.setattr(owner, name, instead or globals()[name])
    monkeypatch.setattr(Nodes, "patience", 1.0)
    for _ in range(100):  # it takes the right moment, which most runs have, on a busy machine fewer
        try:
            run_through(happens)
        except AssertionError:
            return
    pytest.fail("the mistake was not noticed")


def run_through(happens: Callable[[Nodes], None]) -> None:
    nodes = Nodes()
    try:
        nodes.begin()
        for at, user in ((0, "1"), (0, "2"), (1, "3")):
            nodes.connect(at, user)
        nodes.wait(nodes.quiet())
        happens(nodes)
    finally:
        nodes.teardown()


def member_came(channel: Any, user_id: str, info: str | None) -> list[Delivery[str]]:
    channel.change_roster(user_id, info, is_in=True)
    text = messages.member_added(channel.name, user_id, info)
    return [Delivery(text=text, sockets=channel.sockets)]


def member_went(channel: Any, user_id: str) -> list[Delivery[str]]:
    channel.change_roster(user_id, None, is_in=False)
    return [Delivery(text=messages.member_removed(channel.name, user_id), sockets=channel.sockets)]
