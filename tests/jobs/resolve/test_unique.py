"""Which rung may serve a unique event, and who releases its lock: recorded events, an app for each."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bridge.jobs.resolve.ladder import Ladder, LadderParts
from bridge.jobs.resolve.resolution import Answer, Resolution
from bridge.jobs.resolve.rungs.mapping import EventMapping
from bridge.laravel.application import load
from bridge.laravel.broadcast_handler import Call
from bridge.laravel.payload import BroadcastEvent, read_payload
from bridge.serve.wiring.ladder import build_ladder
from tests.conformance import corpus

EVENT = "App\\Events\\UniqueBroadcast"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app/Events").mkdir(parents=True)
    for part in ("config", ".env", "composer.json"):
        copy = shutil.copytree if (corpus.APP / part).is_dir() else shutil.copy
        copy(corpus.APP / part, tmp_path / part)
    shutil.copy(corpus.APP / "app/Events/UniqueBroadcast.php", tmp_path / "app/Events")
    return tmp_path


def resolved(app: Path, release: str = "11.56", mapping: EventMapping | None = None) -> Resolution:
    row = next(row for row in corpus.rows(release) if row.id == "framework-unique")
    ladder = build_ladder(load(app, {}, release), {} if mapping is None else {EVENT: mapping})
    return ladder.resolve(read_payload(row.payload))


@pytest.mark.parametrize("release", ["9.52", "10.50", "11.56", "12.67", "13.31"])
def test_a_unique_event_is_resolved_natively_and_its_lock_is_ours_to_release(app: Path, release: str) -> None:
    resolution = resolved(app, release)
    assert (resolution.outcome, resolution.by, resolution.keeps_lock) == ("broadcast", "native", False)


def test_a_unique_event_may_be_mapped(app: Path) -> None:
    resolution = resolved(app, mapping=EventMapping(channels=("mapped",)))
    assert (resolution.by, resolution.keeps_lock) == ("mapping", False)


def test_a_unique_event_that_chooses_its_store_itself_is_refused(app: Path) -> None:
    file = app / "app/Events/UniqueBroadcast.php"
    text = file.read_text()
    end = text.rindex("}")
    file.write_text(text[:end] + "public function uniqueVia() { return cache()->store('locks'); }\n}")
    resolution = resolved(app)
    assert resolution.outcome == "refused"
    assert "uniqueVia()" in resolution.why


def test_a_unique_event_is_refused_by_every_rung_where_only_php_reaches_the_store(app: Path) -> None:
    (app / "config/cache.php").write_text(
        "<?php return ['default' => 'm', 'stores' => ['m' => ['driver' => 'memcached']]];"
    )
    resolution = resolved(app, mapping=EventMapping(channels=("mapped",)))
    assert resolution.outcome == "refused"
    assert resolution.why.count("memcached") == 2  # mapping, native


class PhpRung:
    """Stands for the PHP rung, whose Laravel 8 knows no unique events: there, PHP releases the lock."""

    name = "php"

    def resolve(self, event: BroadcastEvent) -> Answer:
        call = Call(connection="pusher", channels=("unique",), name=event.class_name, data="{}", socket=None)
        return Answer(calls=[call])


def test_what_php_resolved_is_not_unlocked_again() -> None:
    row = next(row for row in corpus.rows("11.56") if row.id == "framework-unique")
    resolution = Ladder([PhpRung()], lambda text: text, parts=LadderParts(version=(11, 56))).resolve(
        read_payload(row.payload)
    )
    assert (resolution.outcome, resolution.keeps_lock) == ("broadcast", True)
