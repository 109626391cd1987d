"""The stream to the pages: one frame for all, made when it is due, whole for whoever comes late."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from bridge.monitoring.counters import Counters
from bridge.monitoring.dashboard.event_stream import FIRST_ROWS, KEPT, MOST_ROWS, EventStream
from bridge.monitoring.journal import Journal
from bridge.monitoring.timeseries import TimeSeries
from bridge.sockets.pusher.hub_events import HubEvent, Published, SubscriptionRefused

PATIENCE = 60.0


class Shown:
    """A feed, what happens on it, and what it is asked for."""

    def __init__(self) -> None:
        self.journal, tally = Journal(), Counters(["app"])
        self.chart = TimeSeries(tally)
        self.summaries = 0
        self.is_over = False
        self.feed = EventStream(self.journal, self.chart, self._summary, is_over=lambda: self.is_over)

    def _summary(self) -> dict[str, int]:
        self.summaries += 1
        return {"connections": 7}

    def publish(self, count: int) -> None:
        for at in range(count):
            self.observe(
                Published(
                    app_id="app",
                    channels=(f"channel-{at}",),
                    name="Event",
                    data="{}",
                    socket_id=None,
                    origin="queue",
                    receivers=1,
                )
            )

    def observe(self, event: HubEvent) -> None:
        self.journal.observe(event)

    def page(self) -> aclosing[AsyncGenerator[bytes, None]]:
        return aclosing(self.feed.frames())


async def sent(page: AsyncIterator[bytes]) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await anext(page)


def told(data: bytes) -> list[dict[str, Any]]:
    frames = data.decode().split("\n\n")
    assert frames.pop() == ""
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def numbers(*frames: dict[str, Any]) -> list[int]:
    return [row["n"] for frame in frames for row in frame.get("rows", ())]


def test_a_page_begins_with_what_is_known_and_then_gets_what_is_new() -> None:
    async def look() -> None:
        shown = Shown()
        shown.publish(3)
        shown.chart.sample()
        async with shown.page() as page:
            [first] = told(await sent(page))
            assert numbers(first) == [1, 2, 3]
            assert (len(first["points"]), first["summary"]) == (1, {"connections": 7})
            shown.publish(2)
            [second] = told(await sent(page))
            assert numbers(second) == [4, 5]
            assert second.keys() == {"rows"}
            shown.chart.sample()
            [third] = told(await sent(page))
            assert third.keys() == {"points", "summary"}
        assert shown.feed.watchers == 0

    asyncio.run(look())


def test_all_pages_get_the_same_bytes_which_were_made_once() -> None:
    async def look() -> None:
        shown = Shown()
        async with shown.page() as one, shown.page() as other:
            await sent(one)
            await sent(other)
            shown.publish(2)
            shown.chart.sample()
            before = shown.summaries
            mine, theirs = await asyncio.gather(sent(one), sent(other))
            assert mine == theirs
            assert numbers(*told(mine)) == [1, 2]
            assert shown.summaries == before + 1

    asyncio.run(look())


def test_a_page_that_comes_later_neither_takes_rows_from_the_others_nor_gets_them_twice() -> None:
    async def look() -> None:
        shown = Shown()
        async with shown.page() as one:
            await sent(one)
            shown.publish(2)
            async with shown.page() as other:
                assert numbers(*told(await sent(other))) == [1, 2]
                shown.publish(1)
                mine, theirs = await asyncio.gather(sent(one), sent(other))
                got = told(mine)
                while numbers(*got) != [1, 2, 3]:
                    got += told(await sent(one))
                assert numbers(*told(theirs)) == [3]

    asyncio.run(look())


def test_a_page_that_was_away_for_long_begins_anew() -> None:
    async def look() -> None:
        shown = Shown()
        async with shown.page() as slow, shown.page() as other:
            await sent(slow)
            await sent(other)
            for _ in range(KEPT + 1):
                shown.publish(1)
                await sent(other)
            [frame] = told(await sent(slow))
            assert "since" in frame
            assert numbers(frame) == list(range(1, KEPT + 2))

    asyncio.run(look())


def test_what_nobody_could_read_is_left_out_but_not_the_refusals() -> None:
    async def look() -> None:
        shown = Shown()
        async with shown.page() as page:
            await sent(page)
            shown.publish(10)
            shown.observe(
                SubscriptionRefused(
                    app_id="app", socket_id="1.1", channel="private-x", status=403, reason="no"
                )
            )
            shown.publish(10 * MOST_ROWS)
            [frame] = told(await sent(page))
            assert len(frame["rows"]) == MOST_ROWS
            assert frame["missed"] == 10 + 1 + 10 * MOST_ROWS - MOST_ROWS
            assert 11 in numbers(frame)
            assert numbers(frame)[-1] == 11 + 10 * MOST_ROWS
        shown.publish(5)
        async with shown.page() as page:  # after nobody has looked
            [first] = told(await sent(page))
            assert len(first["rows"]) == FIRST_ROWS
            shown.publish(1)
            [frame] = told(await sent(page))
            assert "missed" not in frame
            assert len(frame["rows"]) == 1

    asyncio.run(look())


def test_it_ends_when_the_server_does() -> None:
    async def look() -> None:
        shown = Shown()
        async with shown.page() as page:
            await sent(page)
            shown.is_over = True
            async with asyncio.timeout(PATIENCE):
                assert [frame async for frame in page] == []

    asyncio.run(look())
