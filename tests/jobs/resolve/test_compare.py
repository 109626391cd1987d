"""`bridge resolve --compare` on recorded jobs of the installed Laravel: native and PHP side by side."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.jobs.resolve.comparison import compare, data_differences
from bridge.jobs.resolve.resolution import Resolution
from bridge.laravel.broadcast_handler import Call
from bridge.phpeval.php.runtime.values import PhpObject
from tests.conformance.corpus import rows
from tests.end_to_end.processes import environment
from tests.jobs.resolve import recorded_app
from tests.phpeval.laravel.eloquent.app import job
from tests.versions import laravel_version, recorded

PROVIDER = r"""<?php namespace App\Providers;
class TestServiceProvider extends \Illuminate\Support\ServiceProvider
{
    public function boot()  // nothing that stops the clock
    {
        // Of such a listener the source must not tell: then nothing is answered without PHP.
        $this->app['events']->listen('Illuminate\Queue\Events\Job'.'Processing', function ($event) {
            $event->job->resolveName() === 'App\Events\HeldBack' && $event->job->release(10);
        });
    }
}
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = recorded_app.create(tmp_path_factory.mktemp("app") / "app", BROADCAST_CONNECTION="pusher")
    (folder / "app/Providers/TestServiceProvider.php").write_text(PROVIDER)
    return folder


def line(id: str, number: int = 0, **more: object) -> str:
    [payload] = {
        row.payload for row in rows(recorded()) if (row.id, row.n, row.app_db) == (id, number, "sqlite")
        and b'"attempts"' not in row.payload
    }  # fmt: skip
    return json.dumps({"id": id, "payload": payload.decode(), **more})


def resolve(app: Path, lines: Sequence[str], *arguments: str) -> tuple[int, list[Mapping[str, Any]], str]:
    """Exit code, lines of standard output, standard error."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "bridge",
            "resolve",
            "--app",
            str(app),
            "--laravel",
            laravel_version(),
            *arguments,
        ],
        input="\n".join(lines),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, [json.loads(one) for one in done.stdout.splitlines()], done.stderr


def test_what_both_know_is_the_same_and_stands_beside_what_is_used(app: Path) -> None:
    ids = ["scalar-seed", "shape-with-literal", "model-relations", "channel-none"]
    code, found, told = resolve(app, [line(id) for id in ids], "--compare")
    assert [one["id"] for one in found] == ids
    assert [one["compare"]["same"] for one in found] == [True] * 4
    assert [one["outcome"] for one in found] == ["broadcast"] * 3 + ["nothing"]
    assert {one["by"] for one in found} == {"native"}
    for one in found:
        assert one["compare"]["native"]["broadcasts"] == one["compare"]["php"]["broadcasts"]
        assert one["compare"]["php"]["by"] == "php"
    assert told == "bridge: 4 jobs compared: 4 same, 0 different, 0 not to be compared\n"
    assert code == 0


def test_whether_an_event_fails_is_php_s_to_say(app: Path) -> None:
    _, [found], _ = resolve(app, [line("object-uninitialized")], "--compare")
    assert "Laravel would throw" in found["compare"]["native"]["why"]
    assert (found["by"], found["outcome"]) == ("php", "failed")


def test_a_job_that_native_refuses_says_why_and_is_php_s(app: Path) -> None:
    code, [found], told = resolve(app, [line("object-sleep")], "--compare")
    assert found["compare"]["same"] is None
    assert found["compare"]["why"].startswith("native: ")
    assert (found["by"], found["outcome"]) == ("php", "broadcast")
    assert "0 different, 1 not to be compared" in told
    assert code == 0


def test_a_mapping_that_says_something_else_than_laravel_is_different(app: Path, tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text(
        '[events."App\\\\Events\\\\ChatEvent"]\nchannels = ["Chat"]\nwith = { number = "{string}" }\n'
    )
    code, [same, found], told = resolve(
        app, [line("scalar-seed-with"), line("scalar-seed")], "--compare", "--config", str(config)
    )
    assert same["compare"]["same"] is True
    assert found["compare"]["same"] is False
    assert {"broadcasts[0].channels", "broadcasts[0].data.number"} < set(found["compare"]["differences"])
    assert "1 same, 1 different" in told
    assert code == 1


def test_what_only_the_clock_tells_apart_is_the_same(app: Path) -> None:
    event = app / "app/Events/ChatEvent.php"
    source = event.read_text()
    method = "public function broadcastWith() { return ['at' => now()->format('u'), 'n' => 1]; }"
    event.write_text(source[: source.rindex("}")] + method + "}\n")
    try:
        code, [found], _ = resolve(app, [line("scalar-seed")], "--compare")
    finally:
        event.write_text(source)
    sides = [found["compare"][who]["broadcasts"][0]["data"] for who in ("native", "php")]
    assert found["compare"]["same"] is True
    assert sides[0] != sides[1]
    assert code == 0


def test_rows_of_failed_jobs_are_taken_as_they_are(app: Path) -> None:
    row = line("scalar-seed", connection="database", queue="default", exception="x", failed_at="2024-05-17")
    code, [found], _ = resolve(app, [row], "--compare")
    assert (code, found["compare"]["same"]) == (0, True)


def test_without_php_there_is_nothing_to_compare_with(app: Path, tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text('php_binary = ""\n')
    code, found, told = resolve(app, [line("scalar-seed")], "--compare", "--config", str(config))
    assert (code, found) == (78, [])
    assert "nothing to compare with" in told


def test_compare_and_only_exclude_each_other(app: Path) -> None:
    code, _, told = resolve(app, [], "--compare", "--only", "native")
    assert code == 2
    assert "--only" in told


@pytest.mark.parametrize(
    ("one", "other", "paths"),
    [
        ('{"a":1,"b":[1,2]}', '{"a":1,"b":[1,3]}', ["data.b[1]"]),
        ('{"a":1}', '{"b":1}', ["data.a", "data.b"]),
        ('{"a":1}', '{"a":1.0}', ["data.a"]),
        ('{"a":1}', '{"a":"1"}', ["data.a"]),
        ('{"a":true}', '{"a":1}', ["data.a"]),
        ('{"a":1,"b":2}', '{"b":2,"a":1}', ["data"]),
        ('{"a":"/"}', '{"a":"\\/"}', ["data"]),
        ('{"a":[]}', '{"a":{}}', ["data.a"]),
        ("{", "[", ["data"]),
        ("[]", "[]", []),
    ],
)
def test_differences_of_data_are_paths(one: str, other: str, paths: list[str]) -> None:
    assert list(data_differences(one, other)) == paths


def test_a_second_look_excuses_only_what_it_sees_change() -> None:
    def said(data: str) -> Resolution:
        call = Call(connection="pusher", channels=("a",), name="E", data=data, socket=None)
        return Resolution(outcome="broadcast", event="E", by="native", broadcasts=(call,))

    looks = iter([said('{"at":1,"n":1}'), said('{"at":3,"n":1}')])
    found = compare(lambda: next(looks), lambda: said('{"at":2,"n":2}'))
    assert found.same is False
    assert found.differences == ("broadcasts[0].data.n",)


HELD_BACK = r"""<?php namespace App\Events;
class HeldBack implements \Illuminate\Contracts\Broadcasting\ShouldBroadcast
{
    public function broadcastOn() { return new \Illuminate\Broadcasting\Channel('x'); }
}
"""


@pytest.mark.parametrize("flags", [["--compare"], ["--only", "php"]])
def test_a_job_that_the_app_puts_back_is_a_row_that_says_so(app: Path, flags: list[str]) -> None:
    (app / "app/Events/HeldBack.php").write_text(HELD_BACK)
    payload = job(PhpObject("App\\Events\\HeldBack", {}))
    rows = [json.dumps({"id": 1, "payload": payload.decode()}), line("scalar-seed")]
    code, lines, _ = resolve(app, rows, *flags)
    assert (code, [one["id"] for one in lines]) == (0, [1, "scalar-seed"])
    side = lines[0]["compare"]["php"] if "compare" in lines[0] else lines[0]
    assert (side["outcome"], side["event"], side["by"]) == ("refused", "App\\Events\\HeldBack", "php")
    assert "put the job back" in side["why"]
    assert lines[1]["outcome"] == "broadcast"
