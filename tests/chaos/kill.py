"""kill -9 of bridge and of its PHP processes at random moments: no job is lost, none runs twice for nothing.

    python -m tests.chaos.kill [--kills 200] [--store sqlite] [--seed N]

Jobs are queued all the while, each of which writes a line when it begins and one when it ends. Half of the
kills hit bridge, which is started again, half a PHP process. In the end every job must have run to its end.
What a killed PHP process had at work is released by bridge, and begins again soon; what a killed bridge had
is reserved, and begins again after `retry_after`. No more jobs may have begun again than were at work then.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.jobs.other.prefetch import MOST
from tests import services
from tests.end_to_end.bridge import Bridge, bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import family, wait_until
from tests.end_to_end.stores import NOTHING, Store, StoreName, open_store

RETRY_AFTER = 20  # seconds; twice as much as a machine may stand still between a reservation and its job
PATIENCE = 300.0  # seconds
LONGEST = 0.6  # seconds between two kills, at most
WAVE = 40  # jobs queued at once
LANES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run came to: jobs, kills by whom they hit, and how many jobs began again: soon, having been
    released, and after `retry_after`."""

    jobs: int
    kills: dict[str, int]
    again_soon: int
    again_late: int


def workers(bridge: Bridge) -> list[int]:
    """The PHP processes of this bridge."""
    return family(bridge.process.pid)[1:]


def kill(process: int) -> bool:
    """Whether it was there to be killed."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
        return True
    return False


def run(app: Laravel, store: Store, *, kills: int, seed: int) -> Report:
    """AssertionError if a job is lost, or ran again without a kill."""
    chance = random.Random(seed)
    with (app.path / ".env").open("a") as env:
        env.write(f"QUEUE_RETRY_AFTER={RETRY_AFTER}\n")
    hits: Counter[str] = Counter()
    waves = 0
    while hits.total() < kills:
        with bridge_serve(app, f"--workers={LANES}", "--tries=0", name=f"bridge-{hits['bridge']}") as bridge:
            app.artisan("dispatch:numbered", str(waves * WAVE), str(WAVE))
            waves += 1
            while hits.total() < kills:
                time.sleep(chance.uniform(0, LONGEST))  # the moment is what is random, nothing is waited for
                if chance.random() < 0.5:
                    hits["bridge"] += kill(bridge.process.pid)
                    bridge.process.wait()
                    break
                there = workers(bridge)
                if there:
                    hits["PHP"] += kill(chance.choice(there))
    with bridge_serve(app, f"--workers={LANES}", "--tries=0", name="last") as bridge:
        wait_until("the queue is empty", lambda: store.left() == NOTHING, timeout=PATIENCE)
        assert bridge.terminate() == 0
    return examined(app, store, waves * WAVE, hits)


def examined(app: Laravel, store: Store, jobs: int, hits: Counter[str]) -> Report:
    begun: dict[int, list[float]] = {}
    done: set[int] = set()
    for line in app.lines():
        what, number, at = line.split()
        if what == "begin":
            begun.setdefault(int(number), []).append(float(at))
        else:
            done.add(int(number))
    lost = set(range(jobs)) - done
    assert not lost, f"{len(lost)} of {jobs} jobs never ran to their end: {sorted(lost)[:10]}"
    assert store.failed() == 0
    pauses = [
        later - sooner for times in begun.values() for sooner, later in itertools.pairwise(sorted(times))
    ]
    soon = sum(pause < RETRY_AFTER / 2 for pause in pauses)
    late = len(pauses) - soon
    assert soon <= hits["PHP"], f"{soon} jobs began again soon: {pauses}"
    # in each lane one job at work, and those that had ended and were not yet deleted; a slow machine may
    # also bring late what was released
    met = LANES * (1 + MOST) * hits["bridge"] + hits["PHP"]
    assert late <= met, f"{late} jobs began again after kills that met {met} at most: {pauses}"
    return Report(jobs=jobs, kills=dict(hits), again_soon=soon, again_late=late)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--store", default="sqlite", choices=["sqlite", "mariadb", "postgres", "redis"])
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-chaos-")))
        store = stack.enter_context(opened(given.store, folder))
        app = Laravel.create(folder / "app", store.settings)
        began = time.monotonic()
        report = run(app, store, kills=given.kills, seed=given.seed)
        print(f"{report.jobs} jobs, kills {report.kills}, none lost; began again: {report.again_soon} soon,")
        print(f"released as an attempt of a killed PHP process, and {report.again_late} after retry_after,")
        print(f"at work in a killed bridge; in {time.monotonic() - began:.0f} s on {given.store}")


@contextlib.contextmanager
def opened(name: StoreName, folder: Path) -> Iterator[Store]:
    makers: dict[str, Callable[[], contextlib.AbstractContextManager[services.Server]]] = {
        "redis_server": services.redis_server,
        "mariadb": services.mariadb,
        "postgres": services.postgres,
    }
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(
            open_store(name, folder, lambda server: stack.enter_context(makers[server]()))
        )


if __name__ == "__main__":
    main()
