"""Tries a row of the table, or several, and keeps what they came to in docs/chaos.json and docs/chaos.md.

    python -m tests.chaos F-06 [F-07 …] [--store redis] [--trials 20] [--seed N] [--kit] [--add]

`--kit` leaves the ordinary tests of a row out; `--add` adds to the row's last figures.
Exit code 1 if anything did not hold.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree as ElementTree
from datetime import date
from pathlib import Path

from tests.chaos.figures import keep, last
from tests.chaos.ground import Ground
from tests.chaos.rig import Figures
from tests.chaos.table import ROWS, Row, rows
from tests.end_to_end.stores import STORES, StoreName


def on_store(row: Row, store: StoreName, *, trials: int, seed: int) -> Figures:
    """What the row comes to; a row that cannot go on is broken."""
    assert row.run is not None
    with tempfile.TemporaryDirectory(prefix="bridge-chaos-", ignore_cleanup_errors=True) as folder:
        ground = Ground(store=store, folder=Path(folder), trials=trials, seed=seed)
        try:
            return row.run(ground)
        except AssertionError as problem:
            traceback.print_exc()
            return Figures(trials=trials, jobs=0, broken=(str(problem).partition("\n")[0],))


def ordinary(row: Row) -> Figures:
    """The row's tests of the suite."""
    with tempfile.TemporaryDirectory(prefix="bridge-chaos-") as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", f"--junitxml={report}", *row.tests]
        done = subprocess.run(command, capture_output=True, text=True)
        if not report.exists():
            return Figures(trials=0, jobs=0, broken=(done.stdout[-500:],))
        found = [it.attrib for it in ElementTree.parse(report).iter("testsuite")]  # noqa: S314 - pytest's own
    tests, wrong = (
        sum(int(it[what]) for it in found for what in names) for names in (["tests"], ["failures", "errors"])
    )
    if wrong:
        print(done.stdout[-5000:], file=sys.stderr)
    return Figures(trials=tests, jobs=0, broken=("a test fails",) * wrong)


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a row has started ends with it
    parser = argparse.ArgumentParser(
        prog="make chaos ROW=…", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("row", nargs="*", help="none: list them")
    parser.add_argument("--store", choices=STORES, help="only this one")
    parser.add_argument("--trials", type=int, help="another number than the row's own")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--kit", action="store_true", help="without ordinary tests")
    parser.add_argument("--add", action="store_true", help="to the row's last figures, not in their place")
    given = parser.parse_args()
    if not given.row:
        for row in ROWS:
            print(f"{row.id:5} {row.tier}  {row.does}{f', {row.takes}' if row.takes else ''}")
        return 0
    held = True
    for id in given.row:
        try:
            found = rows(id)
        except LookupError as unknown:
            parser.error(str(unknown))
        for row in found:
            stores: list[StoreName | None] = [None] if row.tests and not given.kit and not given.store else []
            if row.run is not None:
                stores += [store for store in row.stores if given.store in (None, store)]
            for store in stores:
                began = time.monotonic()
                if store is None:
                    figures = ordinary(row)
                else:
                    figures = on_store(row, store, trials=given.trials or row.trials, seed=given.seed)
                keep(last(row, store or "", date.today().isoformat(), figures), add=given.add)
                held = held and figures.holds
                print(
                    f"{row.id} {row.does}, {store or 'tests'}: {figures.trials} trials, {figures.jobs} jobs,"
                    f" {'holds' if figures.holds else 'BREAKS'} ({time.monotonic() - began:.0f} s,"
                    f" seed {given.seed}) {figures.note}",
                    flush=True,
                )
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
