"""Jobs of small apps that real Laravel wrote and worked off: without PHP right or refused, with it right."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.jobs.resolve.resolution import Resolution
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.laravel.application import load
from bridge.laravel.payload import read_payload
from bridge.serve.wiring.ladder import build_ladder
from tests.jobs.resolve import recorded_app

APPS = recorded_app.FIXTURES / "small_apps"
NAMES = sorted(folder.name for folder in APPS.iterdir() if (folder / "jobs.jsonl").is_file())
BOOTED = "8.83"  # the release that the tests can run
PROVIDER = """<?php namespace App\\Providers;
class TestServiceProvider extends \\Illuminate\\Support\\ServiceProvider {
    public function register() {
        foreach (require base_path('bootstrap/providers.php') as $provider) $this->app->register($provider);
    }
}
"""


@dataclass(frozen=True, slots=True)
class Job:
    """One line of jobs.jsonl."""

    id: str
    laravel: str
    payload: str
    fails: bool
    broadcasts: list[list[object]]
    native: bool = False

    def difference(self, got: Resolution) -> str | None:
        """What bridge says otherwise than Laravel did."""
        sent = [[b.connection, list(b.channels), b.name, b.data, b.socket] for b in got.broadcasts]
        outcome = "failed" if self.fails else "broadcast" if self.broadcasts else "nothing"
        if (got.outcome, sent) == (outcome, self.broadcasts):
            return None
        return f"{self.id} ({self.laravel}): {got.outcome} {sent} {got.why}, Laravel: {self.broadcasts}"


def jobs(name: str) -> list[Job]:
    return [Job(**json.loads(line)) for line in (APPS / name / "jobs.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module", params=NAMES)
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Its name and a folder with the app, ready to be booted."""
    name, folder = request.param, tmp_path_factory.mktemp("small") / "app"
    recorded_app.create(folder)
    shutil.rmtree(folder / "app")
    shutil.copytree(recorded_app.FIXTURES / "recorded_app/app/Console", folder / "app/Console")
    for part in ("base", name):
        shutil.copytree(
            APPS / part, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.jsonl", "*.sql")
        )
    providers = folder / "bootstrap/providers.php"
    if not providers.is_file():
        providers.write_text("<?php return [];\n")
    (folder / "app/Providers").mkdir(exist_ok=True)
    (folder / "app/Providers/TestServiceProvider.php").write_text(PROVIDER)
    (folder / "app.sqlite").unlink()
    with closing(sqlite3.connect(folder / "app.sqlite")) as database:
        for part in ("base", name):
            script = APPS / part / "rows.sql"
            database.executescript(script.read_text("utf-8") if script.is_file() else "")
    return name, folder


def test_without_php_each_job_is_right_or_refused(app: tuple[str, Path]) -> None:
    name, folder = app
    differences = []
    for job in jobs(name):
        with closing(
            build_ladder(load(folder, {}, job.laravel), {}, only=("mapping", "framework", "native"))
        ) as ladder:
            got = ladder.resolve(read_payload(job.payload.encode()))
        if job.native or got.outcome != "refused":
            differences.append(job.difference(got))
    assert [one for one in differences if one] == []


def test_with_php_behind_each_job_is_right(app: tuple[str, Path]) -> None:
    name, folder = app
    php = PhpRung(folder)
    differences = []
    with (
        closing(php),
        closing(build_ladder(load(folder, {}, BOOTED), {}, php=php, report=php.report)) as ladder,
    ):
        for job in jobs(name):
            if job.laravel == BOOTED:
                differences.append(job.difference(ladder.resolve(read_payload(job.payload.encode()))))
    assert [one for one in differences if one] == []
