"""Native evaluation against real Laravel on events, models and rows that hypothesis writes.

The installed PHP and Laravel are the oracle, asked through the PHP rung. `BRIDGE_FUZZ=10000` sets the number
of cases.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bridge.errors import ServiceUnavailable
from bridge.jobs.resolve.resolution import Resolution
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.laravel.application import load
from bridge.laravel.payload import read_payload
from bridge.serve.wiring.ladder import build_ladder
from tests.conformance.generated import COLUMNS, POSTGRES_TYPES, Case, cases
from tests.jobs.resolve import recorded_app
from tests.services import Database, wait_until
from tests.versions import laravel_version

CASES = int(os.environ.get("BRIDGE_FUZZ", "150"))
BATCH = 25  # what hypothesis can hold of one draw
TRIES = 3  # a machine that stands still may cost PHP its time; a difference comes each time
PROVIDER = (  # nothing that changes every event
    "<?php namespace App\\Providers; "
    "class TestServiceProvider extends \\Illuminate\\Support\\ServiceProvider {}"
)
PGSQL = (
    "'pgsql' => ['driver' => 'pgsql', 'host' => env('DB_HOST'), 'port' => env('DB_PORT'), "
    "'database' => env('DB_DATABASE'), 'username' => env('DB_USERNAME'), 'password' => env('DB_PASSWORD'), "
    "'charset' => 'utf8', 'prefix' => ''],"
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York")


class Batch(list[Case]):
    """Cases whose repr is short: what differs is shown by the test itself."""

    def __repr__(self) -> str:
        return f"{len(self)} cases"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the models lie: `.env` for the app, the URL for us; None for the app's own SQLite file."""

    env: Mapping[str, str] = field(default_factory=dict)
    url: sa.URL | None = None

    @property
    def connection(self) -> str:
        return self.env.get("DB_CONNECTION", "sqlite")


def compare(folder: Path, batch: Sequence[Case], zone: str, place: Place) -> tuple[list[str], Counter[str]]:
    """Descriptions of every case that differs, and how many went which way."""
    app = recorded_app.create(folder, APP_TIMEZONE=zone, **place.env)
    config = app / "config/database.php"
    config.write_text(config.read_text().replace("'connections' => [", "'connections' => [" + PGSQL, 1))
    (app / "app/Providers/TestServiceProvider.php").write_text(PROVIDER)
    _fill(app, batch, place)
    laravel = load(app, {}, laravel_version())
    rung = PhpRung(app)
    ours = build_ladder(laravel, {}, only=("native",))
    theirs = build_ladder(laravel, {}, only=("php",), php=rung)
    differences, counts = [], Counter[str]()
    try:
        for number, case in enumerate(batch, 1):
            payload = read_payload(case.payload(f"Made{number}", number, place.connection))
            for _ in range(TRIES):
                with suppress(ServiceUnavailable):  # it would be tried again in the queue too
                    native = [ours.resolve(payload) for _ in range(3)][
                        -1
                    ]  # by the short way, if there is one
                    if native.outcome == "refused":
                        break
                    php = theirs.resolve(payload)
                    if _told(native) == _told(php):
                        break
                wait_until(lambda: rung.down is None, "PHP may be started again")
            counts[native.outcome] += 1
            if native.outcome != "refused" and _told(native) != _told(php):
                differences.append(
                    f"native: {native}\nphp: {php}\n{case.event}\n{case.model}\n{case.more}\n"
                    f"{case.row}\n{case.values}"
                )
    finally:
        rung.close()
        ours.close()
        theirs.close()
    return differences, counts


def _fill(app: Path, batch: Sequence[Case], place: Place) -> None:
    engine = sa.create_engine(place.url or f"sqlite:///{app}/app.sqlite")
    postgres = engine.dialect.name == "postgresql"
    kinds = {
        name: POSTGRES_TYPES.get(kind, kind) if postgres else kind for name, (kind, _) in COLUMNS.items()
    }
    kinds |= dict.fromkeys(("created_at", "updated_at"), "timestamp" if postgres else "datetime")
    columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    with engine.begin() as connection:
        connection.execute(sa.text("drop table if exists generated"))
        connection.execute(sa.text(f"create table generated (id integer primary key, {columns})"))
        for number, case in enumerate(batch, 1):
            (app / f"app/Models/Made{number}.php").write_text(case.model_source(f"Made{number}"))
            (app / f"app/Events/Made{number}.php").write_text(case.event_source(f"Made{number}"))
            for name, source in case.more_sources(f"Made{number}").items():
                (app / f"app/Models/{name}.php").write_text(source)
            row = dict(case.row)
            if postgres and row["flag"] is not None:
                row["flag"] = bool(row["flag"])
            names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(
                sa.text(f"insert into generated (id, {names}) values (:id, {places})"), {"id": number, **row}
            )
    engine.dispose()


def _told(resolution: Resolution) -> object:
    return resolution.outcome, resolution.broadcasts


@pytest.fixture(params=["sqlite", "mysql", "pgsql"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "sqlite":
        return Place()
    fixture = {"mysql": "mariadb_database", "pgsql": "postgres_database"}[request.param]
    database: Database = request.getfixturevalue(fixture)
    return Place(env=database.env, url=database.url)


@pytest.mark.timeout(3600)
def test_what_is_resolved_natively_is_what_laravel_sends(tmp_path: Path, place: Place) -> None:
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
        differences, counts = compare(folder, batch, zone, place)
        total.update(counts)
        shutil.rmtree(folder)
        assert not differences, f"{len(differences)} of {len(batch)} differ:\n" + "\n\n".join(differences[:3])

    differ()
    assert total["broadcast"] > 0.3 * sum(total.values()), total
