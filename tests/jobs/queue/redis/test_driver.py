"""What only the Redis driver does: exact bytes, tokens, migration, long backlogs, faults of the server."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.jobs.queue.queue import QueueOptions
from bridge.jobs.queue.redis.driver import RedisQueue
from bridge.jobs.queue.selection import broadcast_document, is_damaged_broadcast, others
from tests import services
from tests.jobs.queue.stores import (
    PREFIX,
    RETRY_AFTER,
    RedisStore,
    broadcast,
    drain,
    entry_bytes,
    foreign,
    keys,
    push,
    recorded,
    uuid_of,
    uuids,
)


def test_a_reserved_job_stands_where_laravel_looks_for_it(redis_store: RedisStore) -> None:
    redis_store.push(broadcast())
    (entry,) = redis_store.waiting()
    redis_store.queue().reserve(1)
    assert redis_store.waiting() == []
    assert redis_store.tokens() == 0
    assert redis_store.reserved() == {
        entry.replace(b'"attempts":0', b'"attempts":1'): redis_store.clock.now + RETRY_AFTER
    }


def test_every_recorded_entry_is_reserved_and_deleted_or_stays_as_it_is(redis_store: RedisStore) -> None:
    left, taken = [], 0
    for row, entry in recorded("redis"):
        held = row["redis"]
        queue_name = held["key"].removeprefix(held["prefix"] + "queues:").removesuffix(":delayed")
        score = held.get("score")
        redis_store.push_entry(entry, queue_name, int(score - redis_store.clock.now) if score else 0)
        document = broadcast_document(entry)
        queue = redis_store.queue(queue_name)
        redis_store.clock.now += 10 * 365 * 86400
        jobs = queue.reserve(10)
        redis_store.clock.now -= 10 * 365 * 86400
        readable = document is not None and isinstance(document.get("attempts"), int)
        if not readable and not is_damaged_broadcast(entry):
            assert not jobs
            left.append(entry)
        else:
            assert [job.payload for job in jobs] == [entry]
            assert queue.delete(jobs) == 1
            taken += 1
        queue.close()
        assert not redis_store.reserved(queue_name)
    assert taken > 800
    assert sorted(redis_store.payloads()) == sorted(left)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=4,
    )
)
def test_any_payload_is_released_and_deleted_by_its_exact_bytes(
    redis_store: RedisStore, extra: dict[str, Any]
) -> None:
    document = {**extra, **json.loads(broadcast()), "attempts": 0}
    for entry in (json.dumps(document).encode(), json.dumps(document, ensure_ascii=False).encode()):
        redis_store.push_entry(entry)
        queue = redis_store.queue()
        jobs = queue.reserve(10)
        queue.release(jobs[0], 0)
        (again,) = queue.reserve(10)
        assert again.attempts == 2
        assert queue.delete([again]) == 1
        queue.close()
    assert redis_store.payloads() == []


def test_a_twin_of_a_reserved_entry_waits_until_that_is_done(redis_store: RedisStore) -> None:
    redis_store.push(broadcast())
    (entry,) = redis_store.waiting()
    redis_store.push_entry(entry)
    queue = redis_store.queue()
    first = queue.reserve(10)
    assert (len(first), redis_store.waiting()) == (1, [entry])
    assert queue.delete(first) == 1
    assert len(queue.reserve(10)) == 1


def test_due_jobs_of_others_are_migrated_with_their_tokens(redis_store: RedisStore) -> None:
    others = [foreign() for _ in range(250)]
    for payload in others:
        redis_store.push(payload, delay=5)
    expired = foreign(attempts=1)
    redis_store.client.zadd(keys().reserved, {expired: redis_store.clock.now + 5})
    redis_store.clock.now += 5
    queue = redis_store.queue()
    for _ in range(3):
        assert not queue.reserve(10)
        queue.wait(0.01)
    assert sorted(map(uuid_of, redis_store.waiting())) == sorted(map(uuid_of, others))
    assert redis_store.tokens() == 250
    assert not redis_store.delayed()
    assert list(redis_store.reserved()) == [expired]  # perhaps somebody is at work on it


def test_a_token_that_woke_us_for_another_job_is_there_again(redis_store: RedisStore) -> None:
    queue = redis_store.queue()
    queue.reserve(10)
    queue.wait(0)  # takes note of the state
    pusher = threading.Timer(0.2, redis_store.push, (foreign(),))
    pusher.start()
    queue.wait(60)
    pusher.join()
    assert not queue.reserve(10)
    assert redis_store.tokens() == 1
    token: Any = redis_store.client.blpop([keys().notify], timeout=1)
    assert token is not None


def test_a_token_that_woke_us_counts_for_the_job_it_announced(redis_store: RedisStore) -> None:
    redis_store.push_entry(b"{}")  # somebody else's, its token was taken before
    redis_store.client.delete(keys().notify)
    queue = redis_store.queue()
    queue.reserve(10)
    queue.wait(0)
    pusher = threading.Timer(0.2, redis_store.push, (broadcast(),))
    pusher.start()
    queue.wait(60)
    pusher.join()
    redis_store.push(foreign())
    assert len(queue.reserve(10)) == 1
    assert redis_store.tokens() == 1


def calls(store: RedisStore, command: str) -> int:
    """How often the server has run this command."""
    told: Any = store.client.info("commandstats")
    return int(told.get(f"cmdstat_{command}", {"calls": 0})["calls"])


def test_a_wait_after_a_look_that_found_nothing_blocks_at_once(redis_store: RedisStore) -> None:
    queue = redis_store.queue()
    assert not queue.reserve(1)
    looked, blocked = calls(redis_store, "llen"), calls(redis_store, "blpop")
    queue.wait(1)
    assert calls(redis_store, "llen") == looked + 2  # of the look that is sent along
    assert calls(redis_store, "blpop") == blocked + 1


def test_the_wait_for_a_token_brings_the_look_along(redis_store: RedisStore) -> None:
    queue = redis_store.queue()
    assert not queue.reserve(2)
    pushed = [broadcast(), broadcast()]
    for payload in pushed:
        redis_store.push(payload)
    queue.wait(1)
    looked, ran = calls(redis_store, "llen"), calls(redis_store, "evalsha")
    assert uuids(queue.reserve(2)) == list(map(uuid_of, pushed))
    assert calls(redis_store, "llen") == looked
    assert calls(redis_store, "evalsha") == ran + 1  # they are claimed, and no more
    assert redis_store.tokens() == 0


def test_a_look_that_came_along_counts_for_the_next_reservation_only(redis_store: RedisStore) -> None:
    queue = redis_store.queue("high", "low")
    assert not queue.reserve(1)
    redis_store.push(broadcast(), "low")
    redis_store.push(high := broadcast(), "high")
    queue.wait(1)
    assert uuids(queue.reserve(1)) == [uuid_of(high)]  # the other queue is not asked
    redis_store.client.lpop(keys("low").list)
    redis_store.push(low := broadcast(), "low")
    assert uuids(queue.reserve(1)) == [uuid_of(low)]


def test_a_look_that_came_along_is_of_no_use_to_a_queue_that_pauses(redis_store: RedisStore) -> None:
    queue = redis_store.queue("high", "low")
    assert not queue.reserve(1)
    redis_store.push(broadcast(), "high")
    redis_store.push(low := broadcast(), "low")
    queue.wait(1)
    queue.pause({"high"})
    assert uuids(queue.reserve(2)) == [uuid_of(low)]
    assert len(redis_store.waiting("high")) == 1


def test_a_look_that_came_along_takes_back_what_has_expired(redis_store: RedisStore) -> None:
    queue = redis_store.queue()
    assert not queue.reserve(1)
    expired = broadcast(attempts=1)
    redis_store.client.zadd(keys().reserved, {expired: redis_store.clock.now - 1})
    redis_store.push(payload := broadcast())
    queue.wait(1)
    jobs = [job for _ in range(2) for job in queue.reserve(1)]
    assert uuids(jobs) == [uuid_of(payload), uuid_of(expired)]


def test_a_server_that_forgets_the_scripts_while_we_wait_is_asked_anew(redis_store: RedisStore) -> None:
    queue = redis_store.queue()
    assert not queue.reserve(1)
    redis_store.client.script_flush()
    redis_store.push(payload := broadcast())
    queue.wait(1)
    assert redis_store.tokens() == 0
    assert uuids(queue.reserve(1)) == [uuid_of(payload)]


def test_a_push_between_a_look_and_a_wait_ends_the_wait(redis_store: RedisStore) -> None:
    queue = redis_store.queue()
    assert not queue.reserve(1)
    redis_store.push(payload := broadcast())
    queue.wait(1)
    assert redis_store.tokens() == 0  # it is what has ended it
    assert uuids(queue.reserve(1)) == [uuid_of(payload)]
    assert redis_store.tokens() == 0


def test_a_push_ends_a_wait_while_tokens_of_others_lie_about(redis_store: RedisStore) -> None:
    redis_store.push(foreign())
    queue = redis_store.queue()
    assert not queue.reserve(10)
    pusher = threading.Timer(0.2, redis_store.push, (broadcast(),))
    started = time.monotonic()
    pusher.start()
    queue.wait(60)
    assert 0.15 < time.monotonic() - started < 50
    pusher.join()
    assert len(queue.reserve(10)) == 1


def test_a_job_without_a_token_is_found_within_two_seconds(redis_store: RedisStore) -> None:
    queue = redis_store.queue()
    queue.reserve(10)
    redis_store.push(broadcast())
    redis_store.client.delete(keys().notify)
    deadline = time.monotonic() + 60
    while not (jobs := queue.reserve(10)) and time.monotonic() < deadline:
        queue.wait(60)
    assert jobs


@pytest.mark.parametrize("looks", [True, False])
def test_who_uses_up_all_tokens_is_woken_once_for_what_was_pushed_together(
    redis_store: RedisStore, looks: bool
) -> None:
    queue = RedisQueue(
        redis_store.client,
        prefix=PREFIX,
        options=QueueOptions(retry_after=RETRY_AFTER, clock=redis_store.clock),
        tokens="all",
    )
    queue.reserve(10)
    for _ in range(3):
        redis_store.push(foreign())
    queue.wait(60)  # the list has changed
    queue.wait(60)  # a token, and the others go with the look
    if looks:
        assert not queue.reserve(10)
    else:
        queue.wait(60)
    assert redis_store.tokens() == 0
    queue.close()


def test_a_search_behind_others_goes_on_when_the_head_is_popped(redis_store: RedisStore) -> None:
    pipeline = redis_store.client.pipeline()
    for number in range(3000):
        pipeline.rpush(keys().list, foreign(attempts=0, id=str(number)))
    pipeline.execute()
    redis_store.push(broadcast())
    mine = uuid_of(redis_store.waiting()[-1])
    queue = redis_store.queue()
    jobs: list[Any] = []
    rounds = 0
    while not jobs and rounds < 20:
        rounds += 1
        redis_store.client.lpop(keys().list, 40)
        jobs += queue.reserve(10)
    assert uuids(jobs) == [mine]
    assert rounds > 3  # in bounded pieces


def test_a_lane_reads_each_entry_of_a_backlog_once_however_quickly_the_head_is_popped(
    redis_store: RedisStore,
) -> None:
    """The broadcasts before it are worked off meanwhile, by more than a window between two looks."""
    pipeline = redis_store.client.pipeline()
    for number in range(6_000):
        pipeline.rpush(keys().list, broadcast() + b" " * (number % 7))
    pipeline.execute()
    redis_store.push(foreign())
    read: list[bytes] = []
    selection = others()

    def document(queue: str, entry: bytes) -> Any:
        read.append(entry)
        return selection.document(queue, entry)

    lane = RedisQueue(
        redis_store.client,
        prefix=PREFIX,
        options=QueueOptions(
            retry_after=RETRY_AFTER, selection=replace(selection, document=document), clock=redis_store.clock
        ),
        tokens="none",
    )
    jobs: list[Any] = []
    looks = 0
    while not jobs:
        jobs += lane.reserve(4)
        looks += 1
        if looks in (4, 6, 7):
            redis_store.client.lpop(keys().list, 650)
        if looks == 5:
            behind: Any = redis_store.waiting()[-2]
            redis_store.client.lrem(keys().list, -1, behind)  # taken behind the place
            redis_store.push(broadcast())
        assert looks < 40
    lane.close()
    assert len(jobs) == 1
    assert len(read) <= 6_002 + 5 * looks  # each once, and the head at each look


def test_an_entry_that_is_no_json_stays_at_the_head_and_stops_nobody(redis_store: RedisStore) -> None:
    for entry in (b"not json", b"{}", b"\xff\xfe", broadcast()):  # the last has no attempts
        redis_store.push_entry(entry)
    redis_store.push(broadcast())
    before = redis_store.waiting()
    jobs = redis_store.queue().reserve(10)
    assert [bool(job.document) for job in jobs] == [False, True]  # one that is to fail
    assert redis_store.waiting() == before[:3]


def test_scripts_forgotten_by_the_server_are_given_again(redis_store: RedisStore) -> None:
    queue = redis_store.queue()
    for _ in range(2):
        redis_store.push(broadcast())
        redis_store.client.script_flush()
        (job,) = queue.reserve(1)
        redis_store.client.script_flush()
        queue.release(job, 0)
    assert len(drain(queue)) == 2


def test_a_key_of_the_wrong_type_is_a_wrong_setting(redis_store: RedisStore) -> None:
    redis_store.client.set(keys().delayed, "x")
    with pytest.raises(ConfigurationError, match="REDIS_PREFIX"):
        redis_store.queue().check()


def test_a_wrong_password_is_a_wrong_setting_and_not_told(redis_server: services.Redis) -> None:
    client = redis.Redis(host="127.0.0.1", port=redis_server.port, password="hunter2")
    queue = RedisQueue(client)
    with pytest.raises(ConfigurationError) as caught:
        queue.check()
    assert "hunter2" not in str(caught.value)
    client.close()


def test_a_packed_member_is_reported(redis_store: RedisStore, caplog: pytest.LogCaptureFixture) -> None:
    redis_store.client.zadd(keys().delayed, {b's:3:"x";': 9e9})
    redis_store.queue().check()
    assert [record.__dict__["action"] for record in caplog.records] == ["queue_check"]


def test_a_replica_is_unavailable_until_it_is_primary_again(redis_store: RedisStore) -> None:
    redis_store.push(broadcast())
    queue = redis_store.queue()
    redis_store.client.replicaof("127.0.0.1", services.free_port())
    try:
        for call in (queue.check, lambda: queue.reserve(1)):
            with pytest.raises(ServiceUnavailable):
                call()
    finally:
        redis_store.client.replicaof("NO", "ONE")
    assert len(queue.reserve(1)) == 1


def test_a_cut_connection_is_replaced(redis_store: RedisStore) -> None:
    queue = redis_store.queue()
    queue.reserve(1)
    cutter = threading.Timer(
        0.2, redis_store.client.client_kill_filter, kwargs={"_type": "normal", "skipme": False}
    )
    cutter.start()
    with contextlib.suppress(ServiceUnavailable):
        queue.wait(60)
    cutter.join()
    redis_store.push(broadcast())
    deadline = time.monotonic() + 60
    jobs: list[Any] = []
    while not jobs and time.monotonic() < deadline:
        with contextlib.suppress(ServiceUnavailable):
            jobs += queue.reserve(1)
    assert len(jobs) == 1


def test_a_server_that_crashes_and_returns_loses_nothing() -> None:
    with services.redis_server(persistent=True) as server:
        store = RedisStore(server)
        for _ in range(4):
            store.push(broadcast())
        pushed = list(map(uuid_of, store.waiting()))
        client = server.client(retry=Retry(NoBackoff(), 0))
        queue = RedisQueue(client, prefix=PREFIX, options=QueueOptions(clock=store.clock))
        first = queue.reserve(2)
        server.stop(signal.SIGKILL)
        for call in (lambda: queue.delete(first), lambda: queue.wait(1), queue.depth, queue.check):
            with pytest.raises(ServiceUnavailable):
                call()
        server.start()
        assert queue.delete(first) == 2
        assert uuids(queue.reserve(10)) == pushed[2:]
        queue.close()
        client.close()
        store.close()


def test_entries_keep_their_bytes(redis_store: RedisStore) -> None:
    row, entry = next((row, entry) for row, entry in recorded("redis") if row["id"] == "scalar-seed")
    redis_store.push_entry(entry)
    (job,) = redis_store.queue().reserve(1)
    assert job.payload == entry == entry_bytes(row["redis"])


def test_a_lane_leaves_expired_broadcasts_to_who_takes_them(redis_store: RedisStore) -> None:
    """Who holds them may still be at work on them, in another thread of the same process."""
    push(redis_store, 3)
    worker, lane = (
        redis_store.queue(),
        RedisQueue(
            redis_store.client,
            prefix=PREFIX,
            options=QueueOptions(retry_after=RETRY_AFTER, selection=others(), clock=redis_store.clock),
        ),
    )
    jobs = worker.reserve(10)
    redis_store.push(foreign())
    (theirs,) = lane.delete_and_reserve([], 10)()[1]
    redis_store.clock.now += RETRY_AFTER + 1
    assert uuids(lane.delete_and_reserve([], 10)()[1]) == [theirs.uuid]
    assert worker.delete(jobs) == 3
    lane.close()


def test_more_expired_reservations_of_others_than_a_page_hide_none_of_ours(redis_store: RedisStore) -> None:
    redis_store.client.zadd(keys().reserved, {foreign(attempts=1): 1 for _ in range(350)})
    push(redis_store, 1)
    (job,) = redis_store.queue().reserve(1)
    redis_store.clock.now += RETRY_AFTER
    assert uuids(redis_store.queue().reserve(1)) == [job.uuid]


def test_another_process_knows_what_was_sent(redis_store: RedisStore) -> None:
    push(redis_store, 2)
    one, other = redis_store.queue(), redis_store.queue()
    first, second = one.reserve(2)
    one.mark_sent([first])
    assert [other.was_sent(first), other.was_sent(second)] == [True, False]
    (mark,) = redis_store.client.keys("*bridge_sent*")
    assert 500 < redis_store.client.ttl(mark) <= 600


def test_where_marks_are_not_allowed_the_queue_goes_on(redis_store: RedisStore) -> None:
    push(redis_store, 1)
    redis_store.client.execute_command(  # type: ignore[no-untyped-call]
        "ACL", "SETUSER", "plain", "on", ">secret", "~*", "+@all", "-set", "-exists"
    )
    client = redis.Redis(
        host=redis_store.server.host, port=redis_store.server.port, username="plain", password="secret"
    )
    queue = RedisQueue(client, prefix=PREFIX, options=QueueOptions(clock=redis_store.clock))
    jobs = queue.reserve(1)
    queue.mark_sent(jobs)
    assert not queue.was_sent(jobs[0])
    assert queue.delete(jobs) == 1
    queue.close()
    client.close()


def test_an_answer_awaited_on_a_closed_connection_is_a_store_that_does_not_answer(
    redis_store: RedisStore,
) -> None:
    push(redis_store, 2)
    queue = redis_store.queue()
    outcome = queue.delete_and_reserve([], 1)
    queue.close()
    with pytest.raises(ServiceUnavailable):
        outcome()
    assert len(queue.delete_and_reserve([], 2)()[1]) >= 1


def test_a_look_at_the_depth_from_another_thread_closes_nothing(redis_store: RedisStore) -> None:
    push(redis_store, 2)
    queue = redis_store.queue()
    outcome = queue.delete_and_reserve([], 1)
    redis_store.client.rename(keys().list, "elsewhere")
    redis_store.client.set(keys().list, "no list")
    with pytest.raises(ServiceUnavailable):
        queue.depth()
    assert len(outcome()[1]) == 1


def test_entries_that_python_cannot_read_do_not_stop_the_depth(redis_store: RedisStore) -> None:
    redis_store.push_entry(b'{"a":' * 100_000)
    assert redis_store.queue().depth()["default"].oldest_at is None
