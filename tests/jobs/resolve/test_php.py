"""The PHP rung against what Laravel recorded of itself, and against events that end their process."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import logging
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest
from pymysql.constants import CLIENT

import bridge.jobs.php_process.circuit_breaker
import bridge.jobs.resolve.rungs.php
from bridge.errors import Judged, NotTried, Refused, ServiceUnavailable, WouldFail
from bridge.jobs.resolve.ladder import Ladder
from bridge.jobs.resolve.rungs.php import Full, PhpPool, PhpRung, Slow, Try
from bridge.laravel.payload import BroadcastEvent
from tests.jobs.resolve import recorded_app
from tests.jobs.resolve.recorded_app import behaving
from tests.services import MariaDB, wait_until
from tests.threads import repeatedly
from tests.versions import php_release, recorded

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_app.create(tmp_path_factory.mktemp("app") / "app")


@pytest.fixture
def own_app(tmp_path: Path) -> Path:
    """An app that the test may change."""
    return recorded_app.create(tmp_path / "app")


@pytest.fixture
def rung(app: Path) -> Iterator[PhpRung]:
    with contextlib.closing(PhpRung(app)) as rung:
        yield rung


@pytest.fixture
def make(own_app: Path) -> Iterator[Callable[..., PhpRung]]:
    """Makes a rung of `own_app`, closed after the test."""
    rungs: list[PhpRung] = []

    def made(**options: object) -> PhpRung:
        of_pool = {name: options.pop(name) for name in ("size", "jobs", "memory") if name in options}
        rungs.append(PhpRung(own_app, pool=PhpPool(**of_pool), **options))  # type: ignore[arg-type]
        return rungs[-1]

    yield made
    for rung in rungs:
        rung.close()


@pytest.fixture
def long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause that outlasts a machine which stands still for some seconds; `end_pause` ends it."""
    monkeypatch.setattr(bridge.jobs.php_process.circuit_breaker, "FIRST_PAUSE", 60.0)


def end_pause(rung: PhpRung) -> None:
    assert rung.down is not None
    rung._processes.breaker._until = time.monotonic()
    assert rung.down is None


def answer(rung: PhpRung, event: BroadcastEvent) -> str:
    """The `data` of the one call."""
    (call,) = rung.resolve(event).calls
    return call.data


def pid(rung: PhpRung, how: str = "pid") -> int:
    """The process that answers."""
    data = json.loads(answer(rung, behaving(how)))
    return int(data[how])


def is_gone(process: int) -> bool:
    """Neither running nor a zombie."""
    return not Path(f"/proc/{process}").exists()


# ---- what Laravel recorded ------------------------------------------------------------------------


def assert_as_recorded(rung: PhpRung, database: str) -> int:
    """How many rows there were; each as its oracle says, whatever bridge's own reader makes of them."""
    wrong, seen = [], 0
    sent: tuple[recorded_app.Sent, ...]
    for row in recorded_app.rows(recorded()):
        if row.database != database or not (row.is_broadcast or row.result == "broadcast"):
            continue
        seen += 1
        why, sent = "", ()
        try:
            calls = rung.resolve(recorded_app.unread(row.payload)).calls
        except WouldFail as failure:
            outcome, why = "exception", str(failure)
        else:
            outcome = "broadcast" if calls else "nothing_sent"
            sent = tuple((c.connection, c.channels, c.name, c.data, c.socket) for c in calls)
        recorded_on_older_php = row.name.startswith("bad-property#3 ") and php_release() >= (8, 3)
        expected = (
            ("exception", ()) if recorded_on_older_php else (row.result, row.sent)
        )  # 8.3 and later warn
        if (outcome, sent) != expected:
            wrong.append((row.name, row.result, outcome, why))
    assert wrong == []
    return seen


def test_a_job_that_the_reader_passes_to_the_ladder_is_answered_by_php(rung: PhpRung) -> None:
    ladder = Ladder([rung], lambda text: text, only=["php"])
    resolution = ladder.resolve(behaving("pid").payload)
    assert (resolution.outcome, resolution.by) == ("broadcast", "php")


def test_every_recorded_broadcast_is_as_laravel_made_it_on_sqlite(rung: PhpRung) -> None:
    assert assert_as_recorded(rung, "sqlite") > 150


def test_every_recorded_broadcast_is_as_laravel_made_it_on_mariadb(mariadb: MariaDB, tmp_path: Path) -> None:
    with mariadb.database() as database:
        name = database.url.database or ""
        load(mariadb, name)
        app = recorded_app.create(tmp_path / "app", **database.env)
        with contextlib.closing(PhpRung(app)) as rung:
            assert assert_as_recorded(rung, "mysql") > 300


def load(server: MariaDB, database: str) -> None:
    sql = (recorded_app.FIXTURES / "payloads" / "app.mysql.sql").read_text(encoding="utf-8")
    with (
        pymysql.connect(
            host=server.host,
            port=server.port,
            user=server.user,
            password=server.password,
            charset="utf8mb4",
            client_flag=CLIENT.MULTI_STATEMENTS,
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"DROP DATABASE {database}")
        cursor.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        cursor.execute(f"USE {database}")
        cursor.execute(sql)
        while cursor.nextset():
            pass
        connection.commit()


# ---- what an event does to its process --------------------------------------------------------------


def test_one_process_serves_all_jobs(rung: PhpRung) -> None:
    assert len({pid(rung) for _ in range(20)}) == 1


@pytest.mark.parametrize("how", ["echo", "flood"])
def test_what_the_app_prints_does_not_disturb_and_is_logged_up_to_64_kib(
    rung: PhpRung, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    before = pid(rung)
    with caplog.at_level(logging.WARNING):
        assert pid(rung, how) == before == pid(rung)
    (record,) = (record for record in caplog.records if record.__dict__["action"] == "helper_output")
    output, printed = record.__dict__["output"], record.__dict__["printed_bytes"]
    if how == "flood":
        assert (len(output), printed) == (64 * 1024, 2 * 1024 * 1024)
    else:
        assert "garbage" in output
        assert "to stderr" in output
        assert output.endswith("buffered")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("exit now", "called exit"),
        ("dump", "called exit"),
        ("killed", "SIGKILL"),
        ("out of memory", "Allowed memory size"),
        ("hang", "did not answer within 1 s"),
    ],
)
def test_a_job_that_ends_its_process_is_tried_again_once_and_harms_no_other(
    rung: PhpRung, how: str, why: str
) -> None:
    limit = 1 if how == "hang" else None
    before = pid(rung)
    started = time.monotonic()
    with pytest.raises(ServiceUnavailable, match=why):
        rung.resolve(behaving(how, timeout=limit))
    assert time.monotonic() - started < 50
    assert is_gone(before)
    after = pid(rung)
    assert after != before
    with pytest.raises(WouldFail, match=why):
        rung.resolve(behaving(how, timeout=limit))
    assert pid(rung) != after


def test_a_late_process_is_killed_with_what_it_started(rung: PhpRung, app: Path) -> None:
    with pytest.raises(ServiceUnavailable):
        rung.resolve(behaving("child then hang", timeout=5))
    child = int((app / "child").read_text())
    wait_until(lambda: is_gone(child) or _is_zombie(child), "the child is gone")


def test_what_takes_long_goes_on_beside_and_is_given_to_who_asks_again(
    own_app: Path, make: Callable[..., PhpRung]
) -> None:
    rung, hanging = make(), own_app / "hanging"
    slow_event = behaving("hang", timeout=600, token="slow")
    with pytest.raises(Slow) as slow:
        rung.resolve(slow_event, patience=0.01)
    assert pid(rung)  # a second process, although one is all there may be
    assert rung.processes()["most"] == 2
    with pytest.raises(Slow) as again:
        rung.resolve(slow_event, patience=0.01)
    assert again.value.answer is slow.value.answer
    wait_until(lambda: hanging.exists() and hanging.read_text() != "", "it hangs")
    os.kill(int(hanging.read_text()), signal.SIGKILL)
    assert isinstance(slow.value.answer.exception(60), ServiceUnavailable)
    with pytest.raises(ServiceUnavailable):
        rung.resolve(slow_event, patience=60)
    wait_until(lambda: rung.processes()["most"] == 1, "one process is all there may be again", 60)
    assert pid(rung)
    wait_until(lambda: rung.processes()["living"] <= 1, "the second is gone", 60)


def test_only_so_many_go_on_beside(make: Callable[..., PhpRung], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge.jobs.resolve.rungs.php, "MOST_SLOW", 1)
    rung = make()
    assert pid(rung)  # the app has booted, so that no question is held up by that
    with pytest.raises(Slow):
        rung.resolve(behaving("hang", timeout=30, token="1"), patience=0.01)
    with pytest.raises(Slow):
        rung.resolve(behaving("hang", timeout=30, token="2"), patience=0.01)
    with pytest.raises(Full):  # nothing is asked: the answer to come would be kept for nobody
        rung.resolve(behaving("pid", token="3"), patience=60)
    assert rung.processes()["living"] <= 2


HANGS = "<?php while (is_file(__DIR__.'/hangs')) { usleep(20000); clearstatcache(); }"


def test_while_the_boot_hangs_one_question_waits_for_it(own_app: Path, make: Callable[..., PhpRung]) -> None:
    (own_app / "boot.php").write_text(HANGS)
    (own_app / "hangs").touch()
    rung = make()
    with pytest.raises(Slow) as slow:
        rung.resolve(behaving("pid", token="1"), patience=0.01)
    wait_until(lambda: rung._processes.hangs(0.01), "the boot takes longer than that", 60)
    with pytest.raises(Full):
        rung.resolve(behaving("pid", token="2"), patience=0.01)
    assert rung.processes()["living"] == 1
    (own_app / "hangs").unlink()
    assert slow.value.answer.result(60)
    assert pid(rung)


def test_who_wants_the_report_waits_for_a_boot_that_hangs_once(
    own_app: Path, make: Callable[..., PhpRung]
) -> None:
    (own_app / "boot.php").write_text(HANGS)
    (own_app / "hangs").touch()
    rung = make(patience=0.2)
    assert rung.report() is None
    started = time.monotonic()
    for _ in range(300):
        assert rung.report() is None
    assert time.monotonic() - started < 300 * 0.2
    assert rung.processes()["living"] == 1
    (own_app / "hangs").unlink()
    wait_until(lambda: rung.report() is not None, "it has booted", 60)
    first = rung.report()
    assert rung.report() is first


def test_at_the_end_nobody_waits_for_what_takes_long(make: Callable[..., PhpRung]) -> None:
    rung = make()
    with pytest.raises(Slow) as slow:
        rung.resolve(behaving("hang"), patience=0.01)
    rung.close()
    assert isinstance(slow.value.answer.exception(60), NotTried)


def _is_zombie(process: int) -> bool:
    """An orphan that this machine's init has not yet reaped."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # it has been reaped now
        return True


def test_a_process_killed_between_jobs_costs_no_job(rung: PhpRung) -> None:
    before = pid(rung)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: is_gone(before) or _is_zombie(before), "it is dead")
    assert pid(rung) != before
    assert is_gone(before)


def test_processes_killed_at_random_lose_no_job_and_mix_none_up(make: Callable[..., PhpRung]) -> None:
    rung = make(fatal=1000)
    current = [pid(rung)]

    def strike() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(current[0], signal.SIGKILL)

    with repeatedly(strike, 0.05):
        for number in range(60):
            for tried in range(2):  # the process of the second is not known to the striker
                try:
                    data = json.loads(answer(rung, behaving("pid", token=str(number))))
                except ServiceUnavailable:
                    assert not tried
                    rung._processes.breaker.close()  # the pause after many crashes has a test of its own
                    continue
                assert data["token"] == str(number)
                current[0] = data["pid"]
                break


def test_after_five_crashes_in_a_row_there_is_a_pause_before_the_next_start(
    make: Callable[..., PhpRung], long_pause: None
) -> None:
    rung = make()
    for number in range(5):
        assert rung.down is None
        with pytest.raises(ServiceUnavailable):
            rung.resolve(behaving("killed", token=str(number)))
    assert "SIGKILL" in str(rung.down)
    with pytest.raises(ServiceUnavailable, match="SIGKILL"):
        rung.resolve(behaving("pid"))
    end_pause(rung)
    assert pid(rung)


def test_two_processes_work_side_by_side(make: Callable[..., PhpRung]) -> None:
    rung = make(size=2)

    def working() -> int:
        pids: list[int] = []
        threads = [threading.Thread(target=lambda: pids.append(pid(rung, "nap"))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(pids) == 4
        return len(set(pids))

    wait_until(lambda: working() == 2, "two work at the same time")  # threads may begin one after another


def test_a_stop_of_the_whole_service_does_not_end_the_process(rung: PhpRung) -> None:
    process = pid(rung)
    os.kill(process, signal.SIGTERM)
    os.kill(process, signal.SIGINT)
    assert pid(rung) == process


# Stands where PHP stands: says that it is ready, then answers the first question with these bytes.
PRETENDER = r"""
import json, os, socket, struct, sys
own = socket.socket(fileno=int(sys.argv[-1]))
def say(frame):
    own.sendall(struct.pack(">I", len(frame)) + frame)
say(b'{"id": 0, "ready": "8.83"}')
size, = struct.unpack(">I", own.recv(4, socket.MSG_WAITALL))
own.recv(size, socket.MSG_WAITALL)
own.sendall(ANSWER)
own.recv(1)
"""
CALL = '{"connection": "pusher", "channels": ["a"], "name": "n", "data": "[]", "socket": null}'


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ('{"id": 1, "memory": 1, "calls": [%s], "elsewhere": []}', None),
        ('{"id": 2, "memory": 1, "calls": [%s], "elsewhere": []}', "not asked"),
        ('{"id": 1, "memory": 1, "calls": [%s, {}], "elsewhere": []}', "a call that is none"),
        ('{"id": 1, "memory": 1}', "no answer"),
        ('{"id": 1, "memory": 1, "calls": [%s]}', "no answer"),
        ('{"id": 1, "calls": [%s], "elsewhere": []}', "no answer"),
        ('["id", 1]', "no frame"),
        ("garbage", "no frame"),
        ('{"id": 1, "memory": 1, "calls": [%s], "elsewhere": []}more', "no frame"),
        (b"\xff\xff\xff\xff", "longer than 16 MiB"),
        (b"\x00\x00\x00\x20{", "did not answer within 1 s"),
    ],
)
def test_a_process_that_answers_amiss_is_ended_and_its_job_tried_again(
    own_app: Path, tmp_path: Path, answer: str | bytes, why: str | None
) -> None:
    if isinstance(answer, str):
        text = answer.replace("%s", CALL).encode()
        answer = struct.pack(">I", len(text) - 4 * text.endswith(b"more")) + text
    php = tmp_path / "php"
    php.write_text(f"#!{sys.executable}\n{PRETENDER.replace('ANSWER', repr(answer))}")
    php.chmod(0o755)
    with contextlib.closing(PhpRung(own_app, pool=PhpPool(php=str(php)))) as rung:
        if why is None:
            assert len(rung.resolve(behaving("pid")).calls) == 1
            return
        with pytest.raises(ServiceUnavailable, match=why):
            rung.resolve(behaving("pid", timeout=1 if "within 1 s" in why else None))


# ---- recycling -------------------------------------------------------------------------------------


def test_a_process_is_replaced_after_its_share_of_jobs(make: Callable[..., PhpRung]) -> None:
    rung = make(jobs=3)
    pids = [pid(rung) for _ in range(6)]
    assert len(set(pids[:3])) == len(set(pids[3:])) == 1
    assert pids[0] != pids[3]


def test_a_process_that_leaks_is_replaced_between_jobs(make: Callable[..., PhpRung]) -> None:
    rung = make(memory=64 << 20)
    pids = [pid(rung, "leak") for _ in range(120)]
    changes = sum(a != b for a, b in itertools.pairwise(pids))
    assert 1 <= changes <= 4


@pytest.mark.parametrize(("set_to", "is_"), [("64M", "268435456"), ("1G", "1G"), ("-1", "-1")])
def test_php_may_use_more_memory_than_a_process_is_replaced_at(
    app: Path, tmp_path: Path, set_to: str, is_: str
) -> None:
    php = tmp_path / "php"
    php.write_text(f'#!/bin/sh\nexec php -d memory_limit={set_to} "$@"\n')
    php.chmod(0o755)
    with contextlib.closing(PhpRung(app, pool=PhpPool(php=str(php)))) as rung:
        assert json.loads(answer(rung, behaving("memory limit")))["memory limit"] == is_


def test_recycle_replaces_the_process_before_its_next_job(rung: PhpRung) -> None:
    before = pid(rung)
    rung.recycle()
    assert pid(rung) != before


@pytest.mark.parametrize("changed", ["app/Events/Behaving.php", ".env", "config/chat.php", "boot.php"])
def test_a_change_of_the_apps_files_is_seen_without_losing_a_job(
    own_app: Path, make: Callable[..., PhpRung], changed: str
) -> None:
    (own_app / "boot.php").write_text("<?php\n")
    rung = make()
    before = pid(rung)
    with (own_app / changed).open("a") as file:
        file.write("\n")

    def is_new() -> bool:
        return pid(rung) != before

    wait_until(is_new, "the change is seen")


def test_a_deploy_by_symbolic_link_is_seen(own_app: Path, tmp_path: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(own_app)
    with contextlib.closing(PhpRung(link)) as rung:
        before = pid(rung)
        shutil.copytree(own_app, tmp_path / "next")
        link.unlink()
        link.symlink_to(tmp_path / "next")
        wait_until(lambda: pid(rung) != before, "the new release is seen")


# ---- where there is no app to ask ---------------------------------------------------------------------


def test_without_php_the_refusal_names_the_remedy(own_app: Path) -> None:
    with pytest.raises(Refused, match="no PHP program `php-of-old`: install php-cli"):
        PhpRung(own_app, pool=PhpPool(php="php-of-old")).resolve(behaving("pid"))


def test_a_folder_without_an_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"bootstrap/app\.php is missing"):
        PhpRung(tmp_path).resolve(behaving("pid"))


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("throw new RuntimeException('no luck today');", r"RuntimeException: no luck today \(boot\.php:3\)"),
        ("exit(1);", "called exit"),
        ("this is no PHP", "ParseError"),
        ("posix_kill(getmypid(), SIGSEGV);", "SIGSEGV"),
        ("class A implements Iterator {}", "abstract method"),
    ],
)
def test_an_app_that_does_not_boot_is_refused_and_not_booted_for_each_job(
    own_app: Path, make: Callable[..., PhpRung], long_pause: None, code: str, why: str
) -> None:
    boot, boots = own_app / "boot.php", own_app / "boots"
    boot.write_text(f"<?php file_put_contents({str(boots)!r}, 'x', FILE_APPEND);\n\nif (true) {{ {code} }}\n")
    if why == "ParseError":  # nothing of such a file runs
        boots.write_text("x")
    rung = make()
    for _ in range(3):
        with pytest.raises(Refused, match=f"does not boot.*{why}"):
            rung.resolve(behaving("pid"))
    assert boots.read_text() == "x"
    boot.write_text("<?php\n")
    end_pause(rung)
    assert pid(rung)


def test_an_app_that_breaks_amid_a_deploy_keeps_its_jobs(
    own_app: Path, make: Callable[..., PhpRung], long_pause: None
) -> None:
    rung = make()
    assert pid(rung)
    (own_app / "boot.php").write_text("<?php throw new RuntimeException('half a deploy');")
    rung.recycle()
    for _ in range(2):
        with pytest.raises(ServiceUnavailable, match="half a deploy"):
            rung.resolve(behaving("pid"))
    (own_app / "boot.php").unlink()
    end_pause(rung)
    assert pid(rung)


@pytest.mark.parametrize("text", ["<?php namespace App\\Events; class Behaving {", "", None])
def test_a_class_that_is_half_written_empty_or_away_keeps_its_jobs(
    own_app: Path, make: Callable[..., PhpRung], text: str | None
) -> None:
    file = own_app / "app/Events/Behaving.php"
    whole = file.read_text()
    rung = make()
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    touched = file.parent if text is None else file

    def touch() -> None:
        soon = time.time() + 1.5  # however slow the machine, it is at most 2 s from now
        os.utime(touched, (soon, soon))

    with repeatedly(touch, 0.1):
        for tried in (None, Try(number=1, queue="default", tries=1, backoff="0")):
            with pytest.raises(NotTried, match="being written"):
                rung.resolve(behaving("pid"), tried)
    long_ago = time.time() - 60
    os.utime(touched, (long_ago, long_ago))
    with pytest.raises(WouldFail):
        rung.resolve(behaving("pid"))
    file.write_text(whole)
    assert pid(rung)


def test_an_app_that_composer_installed_is_booted_with_its_autoloader(
    own_app: Path, make: Callable[..., PhpRung]
) -> None:
    (own_app / "vendor").mkdir()
    (own_app / "bootstrap/autoload.php").rename(own_app / "vendor/autoload.php")
    assert pid(make())


def test_a_relative_path_of_the_app_is_taken_from_where_bridge_was_started(
    own_app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own_app.parent)
    with contextlib.closing(PhpRung(Path("app"))) as rung:
        assert pid(rung)


# ---- the app's own services -----------------------------------------------------------------------------


def test_every_job_starts_with_a_clean_container(rung: PhpRung) -> None:
    for token in "ab":
        assert json.loads(answer(rung, behaving("scoped", token=token)))["scoped"] == 1
        assert json.loads(answer(rung, behaving("transaction", token=token)))["transaction"] == 0


def test_listeners_of_the_app_see_the_job(rung: PhpRung) -> None:
    seen = json.loads(answer(rung, behaving("seen")))["seen"]
    assert seen == "database/default/App\\Events\\Behaving"


def test_between_two_jobs_the_app_hears_of_the_loop_as_under_laravels_worker(rung: PhpRung) -> None:
    """Packages write down then what they heard of the job before: Pulse keeps it in memory until then."""
    heard = [json.loads(answer(rung, behaving("loops")))["loops"] for _ in range(3)]
    assert heard == [[], ["database/default"], ["database/default"] * 2]


def test_what_an_event_broadcasts_itself_is_captured_in_order(rung: PhpRung) -> None:
    inner, outer = rung.resolve(behaving("manager")).calls
    assert (inner.connection, inner.channels, inner.name) == ("reverb", ("other",), "Inner")
    assert (inner.data, inner.socket) == ('{"a":1}', "1.2")
    assert json.loads(outer.data)["manager"] is True


def test_a_driver_that_is_no_pusher_server_is_refused_and_never_made(rung: PhpRung) -> None:
    with pytest.raises(Refused, match="connection own has the driver own"):
        rung.resolve(behaving("own driver"))


OTHERS_BOOT = r"""<?php
namespace {
    config(['broadcasting.connections.mobile' => ['driver' => 'pusher', 'key' => 'k', 'secret' => 's',
        'app_id' => '2', 'options' => ['host' => 'push.example']]]);
    \Illuminate\Support\Facades\Broadcast::extend('own', function () {
        return new class extends \Illuminate\Broadcasting\Broadcasters\NullBroadcaster {
            public function broadcast(array $channels, $event, array $payload = []) {
                file_put_contents(base_path('sent'), "own {$event}\n", FILE_APPEND);
            }
        };
    });
}
namespace GuzzleHttp { if (! class_exists(Client::class)) { class Client {} } }
namespace Pusher {  // the package is not installed beside this Laravel
    class Pusher {
        public function __construct(...$given) {}
        public function setLogger($logger) {}
        public function trigger($channels, $event, $data, $more = []) {
            if (is_file(base_path('down'))) {
                throw new \RuntimeException('push.example does not answer');
            }
            $line = json_encode([$channels, $event, $data, $more])."\n";
            file_put_contents(base_path('sent'), $line, FILE_APPEND);
            return true;
        }
    }
}
"""
OTHERS_EVENT = r"""<?php
namespace App\Events;
class Everywhere implements \Illuminate\Contracts\Broadcasting\ShouldBroadcast {
    public $to = ['reverb', 'mobile', 'own'];
    public function broadcastOn() { return [new \Illuminate\Broadcasting\PrivateChannel('here')]; }
    public function broadcastAs() { return 'everywhere'; }
    public function broadcastWith() { return ['a' => 1]; }
    public function broadcastConnections() { return $this->to; }
}
"""


@pytest.fixture
def others(own_app: Path) -> Callable[..., BroadcastEvent]:
    """Makes events that go over these connections; the app has two that are not of bridge."""
    (own_app / "boot.php").write_text(OTHERS_BOOT)
    (own_app / "app/Events/Everywhere.php").write_text(OTHERS_EVENT)
    return lambda *to: recorded_app.job_of("App\\Events\\Everywhere", to=list(to))


def test_the_app_itself_sends_what_goes_to_other_servers_and_only_in_an_attempt(
    own_app: Path, make: Callable[..., PhpRung], others: Callable[..., BroadcastEvent]
) -> None:
    rung, sent = make(), own_app / "sent"
    attempt = Try(number=1, queue="default", tries=2, backoff="3", elsewhere=("mobile",))
    (ours,) = rung.resolve(others("reverb", "mobile", "own"), attempt).calls
    assert (ours.connection, ours.channels, ours.data) == ("reverb", ("private-here",), '{"a":1}')
    first, second = sent.read_text().splitlines()
    assert json.loads(first)[:3] == [["private-here"], "everywhere", {"a": 1}]
    assert second == "own everywhere"
    answer = rung.resolve(others("mobile"), attempt)
    assert (answer.calls, answer.why) == ([], "the app itself has sent it, over mobile")
    sent.unlink()
    with pytest.raises(Refused, match="own has the driver own"):  # who only asks sends nothing
        rung.resolve(others("reverb", "mobile", "own"))
    assert not sent.exists()


def test_an_event_may_ask_its_pusher_server_through_laravels_broadcaster_and_only_in_an_attempt(
    own_app: Path, make: Callable[..., PhpRung], others: Callable[..., BroadcastEvent]
) -> None:
    event = own_app / "app/Events/Everywhere.php"
    asks = "app('Illuminate\\Broadcasting\\BroadcastManager')->getPusher()->get('/channels/here')"
    event.write_text(event.read_text().replace("['a' => 1]", f"['a' => {asks}]"))
    (own_app / "boot.php").write_text(
        OTHERS_BOOT.replace(
            "public function trigger(",
            "public function get($path) { return $path; } public function trigger(",
        )
    )
    rung = make()
    attempt = Try(number=1, queue="default", tries=2, backoff="3", elsewhere=("mobile",))
    (call,) = rung.resolve(others("reverb"), attempt).calls
    assert call.data == '{"a":"\\/channels\\/here"}'
    asked = r"the app calls getPusher\(\) of the broadcast connection pusher"
    with pytest.raises(Refused, match=asked):
        rung.resolve(others("reverb"))
    caught = f"(function () {{ try {{ return {asks}; }} catch (\\Exception $e) {{ return 0; }} }})()"
    event.write_text(event.read_text().replace(asks, caught))
    with pytest.raises(Refused, match=asked):  # it counts all the same
        make().resolve(others("reverb"))


def test_where_another_server_does_not_answer_nothing_is_sent_and_laravel_says_what_follows(
    own_app: Path, make: Callable[..., PhpRung], others: Callable[..., BroadcastEvent]
) -> None:
    rung = make()
    (own_app / "down").touch()
    attempt = Try(number=1, queue="default", tries=2, backoff="3", elsewhere=("mobile",))
    with pytest.raises(Judged, match="does not answer") as verdict:
        rung.resolve(others("reverb", "mobile", "own"), attempt)
    assert verdict.value.delay == 3
    assert not (own_app / "sent").exists()


def test_an_exception_is_told_with_its_place_but_without_the_values_of_a_query(rung: PhpRung) -> None:
    with pytest.raises(WouldFail) as failure:
        rung.resolve(behaving("query"))
    assert "QueryException: SQLSTATE[HY000]: General error: 1 no such table: nowhere" in str(failure.value)
    assert "hunter2" not in str(failure.value)


def failing(
    rung: PhpRung, number: int, *, tries: int = 1, document: dict[str, object] | None = None
) -> Judged:
    """What becomes of an event that throws, at that try."""
    event = behaving("query")
    payload = dataclasses.replace(event.payload, document={**event.payload.document, **(document or {})})
    attempt = Try(number=number, queue="high", tries=tries, backoff="7,9")
    with pytest.raises(Judged) as verdict:
        rung.resolve(dataclasses.replace(event, payload=payload), attempt)
    assert "no such table" in str(verdict.value)
    return verdict.value


def told(app: Path) -> list[str]:
    """What the app's listeners have heard since the last time."""
    heard = app / "heard"
    lines = heard.read_text().splitlines() if heard.exists() else []
    heard.unlink(missing_ok=True)
    return lines


LISTENERS = """<?php
foreach (['JobExceptionOccurred', 'JobFailed'] as $name) {
    app('events')->listen('Illuminate\\\\Queue\\\\Events\\\\'.$name, function ($event) use ($name) {
        $job = "{$event->job->getQueue()} {$event->job->attempts()}";
        file_put_contents(base_path('heard'), "{$name} {$job}\\n", FILE_APPEND);
    });
}
"""


def test_what_follows_an_exception_is_laravels_to_say_by_tries_and_backoff(
    own_app: Path, make: Callable[..., PhpRung]
) -> None:
    (own_app / "boot.php").write_text(LISTENERS)
    rung = make()
    assert failing(rung, 1).delay is None
    assert told(own_app) == ["JobFailed high 1", "JobExceptionOccurred high 1"]
    assert failing(rung, 1, tries=3).delay == 7
    assert failing(rung, 2, tries=3).delay == 9
    assert told(own_app) == ["JobExceptionOccurred high 1", "JobExceptionOccurred high 2"]
    assert failing(rung, 3, tries=3).delay is None
    assert failing(rung, 4, tries=3).delay is None  # once more than it may be, after a crash
    assert failing(rung, 9, tries=0).delay == 9
    assert failing(rung, 1, document={"maxTries": 5, "backoff": "30,60"}).delay == 30
    assert failing(rung, 5, tries=9, document={"maxTries": 5}).delay is None


def test_what_follows_an_exception_is_laravels_to_say_by_time_and_exceptions(rung: PhpRung) -> None:
    assert failing(rung, 50, document={"retryUntil": 4_000_000_000}).delay == 9
    assert failing(rung, 1, document={"retryUntil": 1_600_000_000}).delay is None
    shares: dict[str, object] = {"uuid": "b0c1", "maxExceptions": 2, "maxTries": 9}
    assert failing(rung, 1, document=shares).delay == 7
    assert failing(rung, 2, document=shares).delay is None


def test_who_only_asks_how_an_event_is_sent_lets_nobody_hear_that_it_failed(
    own_app: Path, make: Callable[..., PhpRung]
) -> None:
    (own_app / "boot.php").write_text(LISTENERS)
    with pytest.raises(WouldFail) as failure:
        make().resolve(behaving("query"))
    assert not isinstance(failure.value, Judged)
    assert told(own_app) == ["JobExceptionOccurred default 1"]


def test_an_attempt_that_succeeds_says_the_same(rung: PhpRung) -> None:
    attempt = Try(number=1, queue="default", tries=1, backoff="3")
    assert rung.resolve(behaving("memory limit"), attempt) == rung.resolve(behaving("memory limit"))


def test_a_lost_database_connection_is_made_anew_and_a_lost_server_is_unavailable(
    mariadb: MariaDB, tmp_path: Path
) -> None:
    with mariadb.database() as database:
        app = recorded_app.create(tmp_path / "app", **database.env)
        with contextlib.closing(PhpRung(app)) as rung:
            first = json.loads(answer(rung, behaving("connection")))["connection"]
            engine = database.engine()
            with engine.connect() as connection:
                connection.exec_driver_sql(f"KILL {first}")
            engine.dispose()
            assert json.loads(answer(rung, behaving("connection")))["connection"] != first
            process = pid(rung)
            mariadb.stop()
            try:
                with pytest.raises(ServiceUnavailable, match="SQLSTATE"):
                    rung.resolve(behaving("connection"))
            finally:
                mariadb.start()
            assert json.loads(answer(rung, behaving("connection")))["connection"]
            assert pid(rung) == process


# ---- the end ----------------------------------------------------------------------------------------------


def test_close_leaves_no_process_and_may_be_called_twice(app: Path) -> None:
    rung = PhpRung(app)
    process = pid(rung)
    rung.close()
    rung.close()
    assert is_gone(process)
    with pytest.raises(ServiceUnavailable, match="closed"):
        rung.resolve(behaving("pid"))


def test_close_ends_a_job_at_work(own_app: Path) -> None:
    rung = PhpRung(own_app)
    ended: list[BaseException] = []

    def work() -> None:
        try:
            rung.resolve(behaving("hang"))
        except ServiceUnavailable as error:
            ended.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    wait_until(lambda: (own_app / "hanging").exists() and (own_app / "hanging").read_text() != "", "it hangs")
    rung.close()
    worker.join(60)
    assert len(ended) == 1
    assert is_gone(int((own_app / "hanging").read_text()))


@pytest.mark.parametrize("patience", [None, 3.0])
def test_what_is_asked_after_close_was_not_tried(own_app: Path, patience: float | None) -> None:
    rung = PhpRung(own_app)
    rung.close()
    with pytest.raises(NotTried, match="was closed"):
        rung.resolve(behaving("hang"), patience=patience)


def test_close_ends_a_process_that_still_boots(own_app: Path) -> None:
    (own_app / "boot.php").write_text(
        "<?php file_put_contents(base_path('booting'), getmypid()); sleep(999);"
    )
    rung = PhpRung(own_app)
    ended: list[BaseException] = []

    def work() -> None:
        try:
            rung.resolve(behaving("pid"))
        except ServiceUnavailable as error:
            ended.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    booting = own_app / "booting"
    wait_until(lambda: booting.exists() and booting.read_text() != "", "it boots")
    rung.close()
    worker.join(60)
    assert len(ended) == 1
    assert is_gone(int(booting.read_text()))


@pytest.mark.parametrize("how", ["pid", "hang"])
def test_nothing_outlives_a_parent_that_is_killed(own_app: Path, how: str) -> None:
    script = (
        "import sys; from pathlib import Path; from bridge.jobs.resolve.rungs.php import PhpRung;"
        "from tests.jobs.resolve.recorded_app import behaving; rung = PhpRung(Path(sys.argv[1]));"
        "print(rung.resolve(behaving('pid')).calls[0].data, flush=True);"
        f"rung.resolve(behaving({how!r}, timeout=1)) if {how == 'hang'} else None; sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(own_app)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        process = int(json.loads(parent.stdout.readline())["pid"])
        if how == "hang":
            wait_until((own_app / "hanging").exists, "it hangs")
        parent.kill()
    wait_until(lambda: is_gone(process) or _is_zombie(process), "the PHP process is gone")
