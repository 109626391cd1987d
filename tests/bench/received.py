"""From push to client, beside jobs of others: `python -m tests.bench.received [--only mariadb,redis]`.

A real bridge that leaves other jobs alone, a real client; one native event every 50 to 150 ms. Measured with
an empty queue, with 50,000 delayed broadcasts in it, and with 50,000 waiting jobs that are none besides. Then
the median as a multiple of that of the empty queue: to be 2 at most.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import tempfile
import time
import uuid
from pathlib import Path

import sqlalchemy as sa

from tests import services
from tests.bench.workers import as_laravel
from tests.chaos.rig import Rig, rig
from tests.end_to_end.processes import wait_until
from tests.end_to_end.stores import STORES

BESIDE = 50_000
EVENTS = 300
DAY = 86_400
FOREIGN = {
    "displayName": "App\\Jobs\\WriteLine",
    "data": {"commandName": "App\\Jobs\\WriteLine", "command": 'O:18:"App\\Jobs\\WriteLine":0:{}'},
}


def fill(rig: Rig, count: int, *, delayed: bool) -> None:
    """So many are in the queue that are not to be had: broadcasts for tomorrow, or jobs that are none."""
    document = json.loads(rig.payload("line")) | ({} if delayed else FOREIGN)
    for at in range(0, count, 1000):
        numbers = range(at, min(count, at + 1000))
        payloads = [as_laravel({**document, "uuid": str(uuid.uuid4()), "id": f"{it}"}) for it in numbers]
        rig.store.push(payloads) if not delayed else for_tomorrow(rig, payloads)


def for_tomorrow(rig: Rig, payloads: list[str]) -> None:
    due = int(time.time()) + DAY
    if isinstance(rig.server, services.Redis):
        key = f"{rig.store.settings['REDIS_PREFIX']}queues:default:delayed"
        with contextlib.closing(rig.server.client()) as client:
            client.zadd(key, dict.fromkeys(payloads, due))
        return
    insert = sa.text(
        "insert into jobs (queue, payload, attempts, available_at, created_at)"
        " values ('default', :payload, 0, :due, :due)"
    )
    with rig.store.engine.begin() as connection:
        connection.execute(insert, [{"payload": payload, "due": due} for payload in payloads])


def measured(rig: Rig, events: int, what: str) -> float:
    """The median in ms from before a push until its event is at the client."""
    since = rig.jobs
    for _ in range(events):
        time.sleep(random.uniform(0.05, 0.15))
        [last] = rig.push("line")
    messages = rig.clients[0].sockets[0].messages
    wait_until("the last one has come", lambda: bool(messages) and messages[-1].job == last)
    history = rig.history(since=since)
    pushed = {it.job: it.at for it in history.pushed}
    took = [(it.at - pushed[it.job]) * 1000 for it in history.sockets[0].messages]
    assert len(took) == events, f"{len(took)} of {events} events came"
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    print(f"{rig.store.name:9} p50 {cuts[49]:6.1f} ms   p99 {cuts[98]:6.1f} ms   {what}", flush=True)
    return cuts[49]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a fifth of the work")
    parser.add_argument("--only", default=",".join(STORES), help="stores, with commas")
    chosen = parser.parse_args()
    events, count = (EVENTS // 5, BESIDE // 5) if chosen.quick else (EVENTS, BESIDE)
    for name in STORES:
        if name not in chosen.only.split(","):
            continue
        with tempfile.TemporaryDirectory() as folder, rig(name, Path(folder)) as one:
            one.know("line")
            with one.bridge("--other-jobs=leave"), one.watched():
                one.there()
                measured(one, events // 5, "to warm up")
                alone = measured(one, events, "empty")
                for delayed in (True, False):
                    fill(one, count, delayed=delayed)
                    what = "delayed" if delayed else "waiting besides"
                    found = measured(one, events, f"{count:,} {what}")
                    print(f"{name:9} {found / alone:.1f} times the median of an empty queue", flush=True)


if __name__ == "__main__":
    main()
