"""A short run of `make chaos ROW=kill`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos.kill import run
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.stores import open_store

KILLS = 10


def test_no_job_is_lost_to_kills_and_none_runs_twice_for_nothing(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    with open_store("sqlite", folder, request.getfixturevalue) as store:
        app = Laravel.create(tmp_path / "app", store.settings)
        report = run(app, store, kills=KILLS, seed=random.randrange(10**6))
    assert sum(report.kills.values()) == KILLS
