"""Periods and limits of a cluster, in seconds unless another unit is named. What only Redis counts is in the
scripts: `common.lua`, `count.lua`, `reap.lua`."""

from __future__ import annotations

TICK = 0.5  # between looks at everything below
BEAT = 2.0  # between signs of life
DEAD = 8.0  # without one, of our own unbroken link, after which a node is dead
DEAD_FOR_ALL = 11.0  # when also those take it for dead who are not the leader
GRACE = 5.0  # for which a node that has stopped counts as there, for its clients to come back
LEASE = 5_000  # ms that a node remains the leader after a beat
AWAY = 3.0  # that somebody may be away unnoticed, as for Pusher's webhooks
COMPARE = 30.0  # between comparisons of each channel's last event with Redis
COMPARED = 500  # channels in one tick
LOST_WRITES = 10.0  # before a link was lost, of which Redis may have lost the last
SETTLE = 10.0  # after a fault in which every node has registered its clients again
AWAITED = 5.0  # that an emptied Redis gets no event, for all nodes to register again: well within `JOBS_WAIT`
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # between tries to reach Redis
LOG_EVENTS, LOG_SECONDS = 1_000, 60
KNOWN = 120  # that Redis knows a channel after it was vacated, as common.lua has it
JOBS_WAIT = 8.0  # for jobs to go out, with all links that are lost; the worker waits for ten
LOOK = 0.05  # between looks for a link
SPOOL_SECONDS, SPOOL_BYTES = 60.0, 64 * 1024 * 1024
PORTION_BYTES = 1024 * 1024  # of what has waited, on its way at once
ANSWER_BYTES = 8 * 1024 * 1024  # of answers on their way at once: Redis ends a link that 32 MiB wait for
MISSED_BYTES = 4 * 1024 * 1024  # of what was missed in one channel: more than that is a gap
FEW_BYTES = 64 * 1024  # of it, where many channels are asked for together
ORDERS, ORDER_SECONDS = 1_000, 3_600  # kept for nodes whose link is away
SEEN = 50_000  # tags that are remembered, twice
REAPED = 200  # entries of a dead node in one step
