"""Native evaluation against real Laravel on events, models and rows that hypothesis writes.

Debian's PHP with Laravel 8 is the oracle, asked through the PHP rung. `BRIDGE_FUZZ=10000` sets the number of
cases.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bridge.daemon import build_ladder
from bridge.laravel.application import load
from bridge.laravel.payload import read_payload
from bridge.resolvers.helper import HelperRung
from bridge.resolvers.resolution import Resolution
from tests.conformance.generated import COLUMNS, Case, cases
from tests.resolvers import helper_app

CASES = int(os.environ.get("BRIDGE_FUZZ", "300"))
BATCH = 50
PROVIDER = (  # nothing that changes every event
    "<?php namespace App\\Providers; "
    "class TestServiceProvider extends \\Illuminate\\Support\\ServiceProvider {}"
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York")


class Batch(list[Case]):
    """Cases whose repr is short: what differs is shown by the test itself."""

    def __repr__(self) -> str:
        return f"{len(self)} cases"


def compare(folder: Path, batch: Sequence[Case], zone: str) -> tuple[list[str], Counter[str]]:
    """Descriptions of every case that differs, and how many went which way."""
    app = helper_app.create(folder, APP_TIMEZONE=zone)
    (app / "app/Providers/TestServiceProvider.php").write_text(PROVIDER)
    database = sqlite3.connect(app / "app.sqlite")
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in COLUMNS.items())
    database.execute(
        f"create table generated (id integer primary key, {columns},"
        " created_at datetime, updated_at datetime)"
    )
    for number, case in enumerate(batch, 1):
        (app / f"app/Models/Made{number}.php").write_text(case.model_source(f"Made{number}"))
        (app / f"app/Events/Made{number}.php").write_text(case.event_source(f"Made{number}"))
        names = ", ".join(case.row)
        places = ", ".join("?" for _ in case.row)
        database.execute(
            f"insert into generated (id, {names}) values (?, {places})", (number, *case.row.values())
        )
    database.commit()
    database.close()
    laravel = load(app, {}, "8.83")
    rung = HelperRung(app)
    ours = build_ladder(laravel, {}, only=("native",))
    theirs = build_ladder(laravel, {}, only=("php",), php=rung)
    differences, counts = [], Counter[str]()
    try:
        for number, case in enumerate(batch, 1):
            payload = read_payload(case.payload(f"Made{number}", number))
            native = ours.resolve(payload)
            counts[native.outcome] += 1
            if native.outcome == "refused":
                continue
            php = theirs.resolve(payload)
            if _told(native) != _told(php):
                differences.append(
                    f"native: {native}\nphp: {php}\n{case.event}\n{case.model}\n{case.row}\n{case.values}"
                )
    finally:
        rung.close()
    return differences, counts


def _told(resolution: Resolution) -> object:
    return resolution.outcome, resolution.broadcasts


@pytest.mark.timeout(3600)
def test_what_is_resolved_natively_is_what_laravel_sends(tmp_path: Path) -> None:
    total = Counter[str]()
    run = 0

    @settings(
        max_examples=max(1, CASES // BATCH),
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(cases(), min_size=BATCH, max_size=BATCH).map(Batch), st.sampled_from(ZONES))
    def differ(batch: Batch, zone: str) -> None:
        nonlocal run
        run += 1
        folder = tmp_path / f"app{run}"
        differences, counts = compare(folder, batch, zone)
        total.update(counts)
        shutil.rmtree(folder)
        assert not differences, f"{len(differences)} of {len(batch)} differ:\n" + "\n\n".join(differences[:3])

    differ()
    print(dict(total))
    assert total["broadcast"] > 0.3 * sum(total.values()), total
