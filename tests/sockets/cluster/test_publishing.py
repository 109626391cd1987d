"""What becomes of events that Redis refuses, or has without an answer that says so."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from bridge.errors import JobError, ServiceUnavailable
from bridge.sockets.cluster import times
from bridge.sockets.cluster.link import READ, is_of_a_key
from bridge.sockets.cluster.outgoing import MOST
from bridge.sockets.pusher.hub_events import Published
from tests.services import Redis
from tests.sockets.cluster.nodes import Member, member
from tests.sockets.cluster.test_cluster import post
from tests.sockets.server.running import APP, Client, broadcast, until

RESUMING = replace(APP, resume_seconds=30.0)


def key(kind: str, channel: str = "c") -> bytes:
    return b"laravel_database_bridge:1:" + f"{kind}:{APP.id}:{channel}".encode()


async def publish(at: Member, data: str, channel: str = "c") -> int:
    return await at.server.node.publish_to_all([broadcast(channel, data=data)], origin="api")


async def leave_the_bus(one: Member) -> None:
    one.task.cancel()
    one.cut()


async def come_back(one: Member) -> None:
    one.task = asyncio.create_task(one.cluster.run())
    await one.back()
    await one.cluster.bus.asking().ask("PING")


async def publish_unanswered(redis: Redis, one: Member, data: str) -> None:
    """Redis has the event, but the link breaks before it can say so."""
    link = one.cluster.bus.link
    assert link is not None
    link._take = lambda item: None  # type: ignore[method-assign]
    with redis.client() as client:
        last = client.hget(key("c"), "t")
        one.cluster.publish_soon([broadcast("c", data=data)], "api", lambda receivers: None)
        await until(lambda: client.hget(key("c"), "t") != last)
    await leave_the_bus(one)


async def events(client: Client) -> list[str]:
    """What comes until all that was published has come."""
    found = []
    while (message := await client.get())["data"] != "last":
        if message["event"] != "pusher:ping":
            found.append(message["data"] if message["event"] == "event" else message["event"])
    return found


@pytest.mark.anyio
@pytest.mark.parametrize("is_last", [False, True])
async def test_an_event_whose_answer_was_lost_hides_no_other(redis: Redis, is_last: bool) -> None:
    async with AsyncExitStack() as stack:
        one, other, third = [await stack.enter_async_context(member(redis)) for _ in range(3)]
        page = await stack.enter_async_context(other.server.client("c"))
        await publish_unanswered(redis, one, "A")
        assert (await page.get("event"))["data"] == "A"
        await leave_the_bus(other)
        if not is_last:
            await publish(third, "C")
        await come_back(one)
        await come_back(other)
        await publish(third, "last")
        assert await events(page) == ([] if is_last else ["C"])


@pytest.mark.anyio
async def test_an_event_whose_answer_was_lost_hides_no_other_from_a_page_that_resumes(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        one, other, third = [await stack.enter_async_context(member(redis, RESUMING)) for _ in range(3)]
        await stack.enter_async_context(other.server.client("c"))
        await publish_unanswered(redis, one, "A")
        with redis.client() as client:
            tag = client.hget(key("c"), "t")
        await publish(third, "C")
        await come_back(one)
        await publish(third, "D")
        gap, found = await third.cluster.bus.asking().ask_script(READ, [key("c"), key("l")], tag, 1_000_000)
        assert not gap
        assert [entry.count(b'"data":"C"') - entry.count(b'"data":"D"') for entry in found] == [1, -1]


@pytest.mark.anyio
@pytest.mark.parametrize("was_sent", [False, True])
async def test_an_event_without_an_answer_that_a_log_may_have_dropped_ends_in_a_gap_not_in_silence(
    redis: Redis, was_sent: bool
) -> None:
    async with AsyncExitStack() as stack:
        one, other, third = [await stack.enter_async_context(member(redis)) for _ in range(3)]
        page = await stack.enter_async_context(other.server.client("c"))
        await publish(third, "0")
        assert (await page.get("event"))["data"] == "0"
        if was_sent:
            await publish_unanswered(redis, one, "A")
            assert (await page.get("event"))["data"] == "A"
        else:
            one.cluster.publish_soon([broadcast("c", data="A")], "api", lambda receivers: None)
            await leave_the_bus(one)
        await leave_the_bus(other)
        await publish(third, "C")
        with redis.client() as client:
            client.delete(key("l"))  # as its time has passed
        for item in one.cluster._publishing._spool.items:
            item.at -= 61
        await come_back(one)
        await come_back(other)
        await publish(third, "last")
        assert "bridge:gap" in await events(page)


@pytest.mark.anyio
async def test_a_job_whose_event_redis_did_not_keep_is_not_taken_for_published(redis: Redis) -> None:
    job = replace(broadcast("c", data="1"), job="uuid-1")
    async with member(redis) as one, one.server.client("c") as page:
        with redis.client() as client:
            client.set(key("l"), "no list")
            with pytest.raises(JobError, match="WRONGTYPE"):
                await one.server.node.publish_to_all([job], origin="queue")
            client.delete(key("l"))
        assert await one.server.node.publish_to_all([job], origin="queue") == 1
        assert await one.server.node.publish_to_all([job], origin="queue") == 0
        assert (await page.get("event"))["data"] == "1"
        await page.silence()


@pytest.mark.anyio
async def test_a_channel_whose_record_has_lost_its_count_is_published_to(redis: Redis) -> None:
    async with member(redis) as one, one.server.client("c") as page:
        with redis.client() as client:
            client.hdel(key("c"), "z")
        assert await publish(one, "1") == 0
        assert (await page.get("event"))["data"] == "1"


@pytest.mark.anyio
async def test_an_event_that_redis_refuses_fails_for_its_sender_and_ends_no_link(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async with member(redis) as one, one.server.client("c", "d") as page:
        link, node = one.cluster.bus.link, one.server.node
        with redis.client() as client:
            client.set(key("l"), "no list")
            for _ in range(2):
                with pytest.raises(ServiceUnavailable, match="Redis refuses"):
                    await publish(one, "1")
                with pytest.raises(JobError, match=r"WRONGTYPE.*app-id:c"):
                    await node.publish_to_all([broadcast("d"), broadcast("c")], origin="queue")
            reader, writer = await asyncio.open_connection("127.0.0.1", one.server.port)
            writer.write(post(1))
            assert (await reader.readline()).split()[1] == b"503"
            writer.close()
            client.delete(key("l"))
            client.hset(key("c"), "o", "no number")
            with pytest.raises(ServiceUnavailable, match="Redis refuses"):
                await publish(one, "2")
        await page.silence()
        assert one.cluster.bus.link is link
        assert sum(record.message == "Redis refuses an event" for record in caplog.records) == 1


def state(redis: Redis) -> dict[bytes, object]:
    """All that Redis holds of channels, their logs and last events."""
    with redis.client() as client:
        found: dict[bytes, object] = {}
        for name in sorted(client.keys("*bridge:1:[clkj]:*")):
            kind = client.type(name)
            if kind == b"hash":
                found[name] = client.hgetall(name)
            elif kind == b"list":
                found[name] = (client.lrange(name, 0, -1), client.ttl(name) > 0)
            elif kind == b"set":
                found[name] = client.smembers(name)
            else:
                found[name] = client.get(name)
        return found


@pytest.mark.anyio
@pytest.mark.parametrize("spoiled", ["c:app-id:bad", "l:app-id:bad", "o of c:app-id:bad"])
@pytest.mark.parametrize("has_log", [False, True])
@pytest.mark.parametrize("mark", ["none", "some"])
async def test_what_is_published_together_goes_out_whole_or_not_at_all(
    redis: Redis, spoiled: str, has_log: bool, mark: str
) -> None:
    names = ("a", "cache-b", "a", "bad", "nobody", "cache-nobody", "a")
    async with member(redis) as one, one.server.client("a", "bad", "cache-b") as page:
        await page.get("pusher:cache_miss")
        node = one.server.node
        if has_log:
            for channel in ("a", "cache-b"):
                await node.publish_to_all([broadcast(channel, data="before")], origin="api")
                await page.get("event")
        with redis.client() as client:
            if spoiled.startswith("o of"):
                record = client.dump(key("c", "bad"))
                client.hset(key("c", "bad"), "o", "no number")
            else:
                record = client.dump(key(spoiled[0], "bad"))
                client.set(key(spoiled[0], "bad"), "text")
            before = state(redis)
            together = [broadcast(name, data=str(number)) for number, name in enumerate(names)]
            if mark == "some":
                together[1] = replace(together[1], job="uuid-1")
                with pytest.raises(JobError):
                    await node.publish_to_all(together, origin="queue")
            else:
                with pytest.raises(ServiceUnavailable, match="Redis refuses"):
                    await node.publish_to_all(together, origin="api")
                many = tuple(f"n-{number}" for number in range(MOST + 30))
                with pytest.raises(ServiceUnavailable, match="Redis refuses"):
                    await node.publish_to_all([broadcast("a", *many, "bad")], origin="api")
            assert state(redis) == before
            name = key("c" if spoiled.startswith("o of") else spoiled[0], "bad")
            client.delete(name)
            if record is not None:
                client.restore(name, 0, record)
        await node.publish_to_all(together, origin="queue" if mark == "some" else "api")
        got = [(await page.get("event"))["data"] for _ in range(5)]
        assert got == ["0", "1", "2", "3", "6"]
        await page.silence()


@pytest.mark.anyio
async def test_what_was_published_with_a_question_is_not_published_again(redis: Redis) -> None:
    async with member(redis) as one, one.server.client("c") as page:
        body = {"name": "event", "channels": ["c"], "data": "1", "info": "subscription_count"}
        told = one.server.node.observers

        def cut(event: object) -> None:
            if type(event) is Published:
                one.cut()

        one.server.node.observers = (*told, cut)
        answer = await one.server.request("POST", "/apps/app-id/events", body)
        assert (answer.status_code, answer.json()) == (200, {"channels": {"c": {}}})
        one.server.node.observers = told
        await one.back()
        answer = await one.server.request("POST", "/apps/app-id/events", {**body, "info": 7})
        assert answer.status_code == 400
        assert (await page.get("event"))["data"] == "1"
        await page.silence()


@pytest.mark.anyio
async def test_an_event_without_an_answer_that_a_full_log_has_dropped_ends_in_a_gap_not_in_silence(
    redis: Redis,
) -> None:
    async with AsyncExitStack() as stack:
        one, other, third = [await stack.enter_async_context(member(redis, RESUMING)) for _ in range(3)]
        page = await stack.enter_async_context(other.server.client("c"))
        await publish_unanswered(redis, one, "A")
        assert (await page.get("event"))["data"] == "A"
        with redis.client() as client:
            tag = client.hget(key("c"), "t")
        await leave_the_bus(other)
        for _ in range(11):
            await third.server.node.publish_to_all([broadcast("c")] * 100, origin="queue")
        await come_back(one)
        gap, _ = await third.cluster.bus.asking().ask_script(READ, [key("c"), key("l")], tag, 1_000_000)
        assert gap
        await come_back(other)
        await publish(third, "last")
        assert await events(page) == ["bridge:gap"]


@pytest.mark.anyio
async def test_an_event_that_has_waited_and_that_redis_refuses_is_dropped_and_counted(redis: Redis) -> None:
    async with member(redis) as one, one.server.client("c", "d") as page:
        await leave_the_bus(one)
        with redis.client() as client:
            client.set(key("l"), "no list")
            for channel in "cd":
                await one.server.node.publish_to_all([broadcast(channel)], origin="api")
                assert (await page.get("event"))["channel"] == channel
            one.task = asyncio.create_task(one.cluster.run())
            await one.back()
            link = one.cluster.bus.link
            await until(lambda: one.cluster.gaps == 1)
            assert client.llen(key("l", "d")) == 1
            assert one.cluster.bus.link is link
            client.delete(key("l"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            "WRONGTYPE Operation against a key holding the wrong kind of value script: 1, on @user_script:4.",
            True,
        ),
        ("user_script:24: attempt to concatenate local 'last' (a boolean value)", True),
        ("ERR hash value is not an integer", True),
        ("OOM command not allowed when used memory > 'maxmemory'.", False),
        ("@user_script: 18: -OOM command not allowed when used memory > 'maxmemory'.", False),
        *(  # as Redis before 7 says it
            (f"ERR Error running script (call to f_0a1b2c): @user_script:5: {error}", expected)
            for error, expected in (
                ("@user_script: 5: -OOM command not allowed when used memory > 'maxmemory'.", False),
                ("@user_script: 5: -READONLY You can't write against a read only replica.", False),
                ("@user_script: 5: -MISCONF Redis is configured to save RDB snapshots", False),
                ("@user_script: 5: WRONGTYPE Operation against a key holding the wrong kind of value", True),
                ("user_script:5: attempt to compare number with nil", True),
            )
        ),
        ("READONLY You can't write against a read only replica.", False),
        ("MISCONF Redis is configured to save RDB snapshots", False),
        ("NOPERM User u has no permissions to access the 't' channel", False),
        ("@user_script: 18: The user executing the script can't run this command or subcommand", False),
        ("NOREPLICAS Not enough good replicas to write.", False),
        ("ERR unknown command 'EVALSHA', with args beginning with: ", False),
        ("ERR Unknown Redis command called from script script: 1, on @user_script:4.", False),
    ],
)
def test_what_redis_has_against_a_key_is_told_from_not_now(error: str, expected: bool) -> None:
    assert is_of_a_key(error) == expected


@pytest.mark.anyio
async def test_a_fault_of_who_published_is_no_harm_to_others(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(*_: object) -> None:
        raise RuntimeError("stumbled")

    async with member(redis) as one:
        link, told = one.cluster.bus.link, list[object]()
        for breaks in (False, True):
            for then in (stumble, told.append):
                one.cluster.publish_soon([broadcast("c")], "api", then)
                one.cluster.once_back(stumble)
            one.cluster.once_back(lambda: told.append("back"))
            if breaks:
                one.cut()
            await until(lambda: len(told) == 2)
            assert sorted(told, key=str) == [0, "back"]
            assert (one.cluster.bus.link is link) != breaks
            told.clear()
        assert sum("fault of bridge's own" in record.message for record in caplog.records) == 6


@pytest.mark.anyio
async def test_more_events_that_have_waited_than_tags_are_known_come_once_and_before_later_ones(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "SEEN", 100)
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(member(redis)) for _ in range(2)]
        pages = [await stack.enter_async_context(each.server.client("c")) for each in (one, other)]
        await leave_the_bus(one)
        for number in range(250):
            await publish(one, str(number))
        one.task = asyncio.create_task(one.cluster.run())
        await until(lambda: one.cluster.is_up)
        assert not one.cluster.is_publishing
        job = asyncio.create_task(
            one.server.node.publish_to_all([broadcast("c", data="job")], origin="queue")
        )
        await publish(one, "250")
        await job
        for page in pages:
            found = [(await page.get("event"))["data"] for _ in range(252)]
            assert found == [*map(str, range(251)), "job"]
            await page.silence()


@pytest.mark.anyio
@pytest.mark.parametrize("reached", [False, True])
async def test_what_was_under_way_when_the_link_broke_comes_here_before_what_is_published_next(
    redis: Redis, reached: bool
) -> None:
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(member(redis)) for _ in range(2)]
        pages = [await stack.enter_async_context(each.server.client("c")) for each in (one, other)]
        if reached:
            await publish_unanswered(redis, one, "A")
        else:
            one.cluster.publish_soon([broadcast("c", data="A")], "api", lambda receivers: None)
            await leave_the_bus(one)
        await publish(one, "B")
        await come_back(one)
        await publish(one, "last")
        for page in pages:
            assert await events(page) == ["A", "B"]


@pytest.mark.anyio
async def test_clients_events_under_way_when_the_link_broke_come_here_before_the_next(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(member(redis)) for _ in range(2)]
        sender = await stack.enter_async_context(one.server.client("private-c"))
        pages = [await stack.enter_async_context(each.server.client("private-c")) for each in (one, other)]
        one.task.cancel()  # else the link might be given up before the second is under way
        link = one.cluster.bus.link
        assert link is not None
        link._flush = lambda: None  # type: ignore[method-assign]  # what is sent does not arrive
        for number in range(2):
            await sender.send("client-x", {"n": number}, channel="private-c")
            await until(lambda number=number: len(link._out) > number)  # type: ignore[misc]
        await leave_the_bus(one)
        await sender.send("client-x", {"n": 2}, channel="private-c")
        await come_back(one)
        await publish(one, "last", "private-c")
        for page in pages:
            found = []
            while (message := await page.get())["event"] != "event":
                found.append(message["data"])
            assert found == [{"n": number} for number in range(3)]


@pytest.mark.anyio
async def test_an_order_that_was_under_way_when_the_link_broke_is_carried_out_here_at_once(
    redis: Redis,
) -> None:
    async with member(redis) as one:
        hub, ended = one.server.node.hubs[APP.id], list[str]()
        one.server.node.terminate = lambda hub, user_id, made_by: ended.append(user_id)  # type: ignore[method-assign,assignment,misc]
        link = one.cluster.bus.link
        assert link is not None
        link._flush = lambda: None  # type: ignore[method-assign]  # what is sent does not arrive
        one.cluster.terminate(hub, "u")  # type: ignore[arg-type]
        assert not ended
        await leave_the_bus(one)
        assert ended == ["u"]
        await come_back(one)
        assert ended == ["u"]


@pytest.mark.anyio
async def test_what_was_under_way_for_an_app_whose_secret_has_changed_holds_nothing_up(redis: Redis) -> None:
    async with member(redis) as one:
        told: list[object] = []
        one.server.node.terminate = lambda hub, user_id, made_by: None  # type: ignore[method-assign,assignment,misc]
        one.cluster.terminate(one.server.node.hubs[APP.id], "u")  # type: ignore[arg-type]
        for _ in range(2):
            one.cluster.publish_soon([broadcast("c")], "api", told.append)
        one.server.node.serve([replace(APP, secret="another")])
        one.cut()
        assert told == [0, 0]
        await one.back()
