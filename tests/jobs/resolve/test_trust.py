"""Native answers are earned beside real PHP: what goes out, what is compared, what outlives the process."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.errors import NotTried
from bridge.jobs.php_process import circuit_breaker
from bridge.jobs.resolve.ladder import Ladder
from bridge.jobs.resolve.resolution import Resolution
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.jobs.resolve.trust import Disagreement, Earned, Record, Standing, Trust
from bridge.jobs.resolve.trust_file import TrustFile
from bridge.laravel.payload import BroadcastEvent, Payload, read_payload
from bridge.phpeval.php.functions import FUNCTIONS
from bridge.phpeval.php.runtime.values import Value
from bridge.phpeval.php.serialization.templates import TemplateMatch
from bridge.serve.wiring.ladder import build_ladder
from bridge.serve.wiring.trust import build_checks, earned_trust, trust_file
from bridge.settings.load import Settings, load_settings
from tests.phpeval.laravel.eloquent.app import App, Case, app
from tests.services import wait_until

UPPER = "public $a; public function broadcastWith() { return ['it' => strtoupper($this->a)]; }"


@pytest.fixture(scope="module")
def module_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app(tmp_path_factory.mktemp("trust") / "app") as made:
        yield made


@pytest.fixture(scope="module")
def module_php(module_app: App) -> Iterator[PhpRung]:
    with closing(PhpRung(module_app.path)) as php:
        yield php


@pytest.fixture
def case(module_app: App) -> Case:
    (module_app.path / "storage/framework").mkdir(parents=True, exist_ok=True)
    return Case(module_app)


class Bridge:
    """One bridge beside the app: its ladder, what it would check, and the differences that it told."""

    def __init__(self, case: Case, php: PhpRung, **flags: object) -> None:
        self.case, self.php = case, php
        self.settings: Settings = load_settings({"laravel_version": "8.83", **flags}, {}, case.app.path)
        self.told: list[Disagreement] = []
        self.due: list[tuple[Record, Payload, Resolution]] = []
        self.ladder: Ladder = build_ladder(
            self.settings.laravel,
            {},
            php=php,
            trust=earned_trust(self.settings, php, self.told.append),
            check=lambda *check: self.due.append(check),
        )

    def send(self, times: int = 1, **held: Value) -> list[str]:
        """Who resolved so many such events."""
        return [str(self.resolve(**held).by) for _ in range(times)]

    def resolve(self, **held: Value) -> Resolution:
        return self.ladder.resolve(read_payload(self.case.payload(**(held or {"a": b"x"}))))

    @property
    def trust(self) -> Trust:
        assert self.ladder.trust is not None
        return self.ladder.trust

    def stop(self) -> None:
        self.trust.save()
        self.ladder.close()


@pytest.fixture
def bridge(case: Case, module_php: PhpRung) -> Iterator[Bridge]:
    case.event(UPPER)
    made = Bridge(case, module_php)
    yield made
    made.ladder.close()


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Native's strtoupper() is wrong once something is in the list."""
    broken: list[bool] = []
    right = FUNCTIONS["strtoupper"]

    def strtoupper(php: object, arguments: Sequence[Value]) -> Value:
        return b"WRONG" if broken else right(php, arguments)  # type: ignore[operator, arg-type]

    monkeypatch.setitem(FUNCTIONS, "strtoupper", strtoupper)
    return broken


def data(resolution: Resolution) -> object:
    (call,) = resolution.broadcasts
    return json.loads(call.data)


# ---- how it is earned ------------------------------------------------------------------------------


def test_php_answers_five_times_and_native_from_then_on(bridge: Bridge) -> None:
    assert bridge.send(8) == ["php"] * 5 + ["native"] * 3
    assert data(bridge.resolve(a=b"x")) == {"it": "X"}
    assert not bridge.told


def test_an_event_of_public_properties_is_native_after_five_too(case: Case, module_php: PhpRung) -> None:
    case.event("public $a; public $b;")
    bridge = Bridge(case, module_php)
    assert bridge.send(9, a=b"x", b=1) == ["php"] * 5 + ["native"] * 4
    bridge.ladder.close()


def test_each_form_of_a_job_earns_its_own(bridge: Bridge) -> None:
    bridge.send(6)
    assert bridge.send(6, a=None) == ["php"] * 5 + ["native"]
    assert bridge.send(6, a=7) == ["php"] * 5 + ["native"]
    assert bridge.send(1) == ["native"]


def test_each_model_class_earns_its_own(case: Case, module_php: PhpRung) -> None:
    case.post()
    case.add(
        "Other", "class Other extends Post { protected $table = 'posts'; protected $hidden = ['secret']; }"
    )
    case.event("public $a;")
    bridge = Bridge(case, module_php)
    assert bridge.send(6, a=case.model()) == ["php"] * 5 + ["native"]
    assert bridge.send(6, a=case.model("Other")) == ["php"] * 5 + ["native"]
    bridge.ladder.close()


def test_so_many_jobs_as_the_setting_says(case: Case, module_php: PhpRung) -> None:
    case.event(UPPER)
    bridge = Bridge(case, module_php, native_trust_jobs=2)
    assert bridge.send(4) == ["php"] * 2 + ["native"] * 2
    bridge.ladder.close()


def test_where_native_stands_on_its_own_proof_nothing_is_earned(case: Case, module_php: PhpRung) -> None:
    case.event(UPPER)
    bridge = Bridge(case, module_php, native_trust="proven")
    assert bridge.ladder.trust is None
    assert bridge.send(2) == ["native"] * 2
    assert earned_trust(bridge.settings, None) is None
    settings = load_settings({"php_binary": "php-of-old"}, {}, case.app.path)
    assert earned_trust(settings, module_php) is None
    bridge.ladder.close()


def test_what_native_refuses_is_php_s_alone_and_compared_never(case: Case, module_php: PhpRung) -> None:
    case.event(
        "public $a; public function broadcastWith() {"
        " file_put_contents(base_path('ran'), 'x', FILE_APPEND); return ['a' => $this->a]; }"
    )
    bridge = Bridge(case, module_php)
    assert bridge.send(7) == ["php"] * 7
    assert (case.app.path / "ran").read_text() == "x" * 7
    assert not bridge.due
    bridge.ladder.close()


@pytest.mark.parametrize(
    "moment",
    [
        "now()->toJSON()",
        "now()->timestamp",
        "now()->format('Y-m-d H:i:s.u')",
        "now()->toIso8601String()",
        "now()",
        "time()",
        "microtime(true)",
        "date('Y-m-d H:i:s')",
        "strtotime('now')",
    ],
)
def test_the_clock_is_no_difference(case: Case, module_php: PhpRung, moment: str) -> None:
    case.event(
        f"public $a; public function broadcastWith() {{ return ['at' => {moment}, 'a' => $this->a]; }}"
    )
    bridge = Bridge(case, module_php)
    assert bridge.send(6) == ["php"] * 5 + ["native"]
    assert not bridge.told
    bridge.ladder.close()


BRANCHES = {
    "if": "if ($this->a > 9) { return ['it' => strtoupper($this->b)]; } return ['it' => 'no'];",
    "after if": "if ($this->a < 9) { return ['it' => 'no']; } return ['it' => strtoupper($this->b)];",
    "?:": "return ['it' => $this->a > 9 ? strtoupper($this->b) : 'no'];",
    "??": "$m = [8 => 'no']; return ['it' => $m[$this->a] ?? strtoupper($this->b)];",
    "match": "return ['it' => match (true) { $this->a > 9 => strtoupper($this->b), default => 'no' }];",
    "switch": "switch ($this->a) { case 10: return [strtoupper($this->b)]; default: return ['no']; }",
    "&&": "return ['it' => $this->a > 9 && strtoupper($this->b)];",
    "?->": "$m = $this->a > 9 ? $this : null; return ['it' => $m?->up()];",
    "foreach": "$all = []; foreach (range(8, $this->a) as $at) { if ($at > 9) { $all[] = strtoupper('x'); } }"
    " return $all;",
    "closure": "$up = fn () => strtoupper($this->b); return ['it' => collect([$this->a])"
    "->when($this->a > 9, fn ($all) => $all->push($up()))->all()];",
    "catch": "try { return ['it' => intdiv(1, 10 - $this->a)]; }"
    " catch (\\DivisionByZeroError $e) { return [strtoupper($this->b)]; }",
}


@pytest.mark.parametrize("body", BRANCHES.values(), ids=BRANCHES)
def test_a_branch_that_was_never_compared_earns_its_own(
    case: Case, module_php: PhpRung, fault: list[bool], body: str
) -> None:
    fault.append(True)
    case.event(
        "public $a; public $b; public function up() { return strtoupper($this->b); }"
        f" public function broadcastWith() {{ {body} }}"
    )
    with closing(Bridge(case, module_php).ladder) as ladder:

        def send(a: int) -> str | None:
            return ladder.resolve(read_payload(case.payload(a=a, b=b"x"))).by

        assert [send(8) for _ in range(7)] == ["php"] * 5 + ["native"] * 2
        assert send(10) == "php"  # native would be wrong


def test_a_branch_is_native_once_it_is_earned_and_after_a_restart(case: Case, module_php: PhpRung) -> None:
    case.event(f"public $a; public $b; public function broadcastWith() {{ {BRANCHES['match']} }}")
    bridge = Bridge(case, module_php)
    assert bridge.send(6, a=8, b=b"x") == ["php"] * 5 + ["native"]
    assert bridge.send(7, a=10, b=b"x") == ["php"] * 5 + ["native"] * 2
    assert bridge.send(1, a=8, b=b"x") == ["native"]
    bridge.stop()
    bridge = Bridge(case, module_php)
    assert bridge.send(1, a=10, b=b"x") + bridge.send(1, a=8, b=b"x") == ["native"] * 2
    bridge.ladder.close()


# ---- faults ---------------------------------------------------------------------------------------------


def test_a_fault_that_is_there_from_the_start_reaches_nobody(
    case: Case, module_php: PhpRung, fault: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    fault.append(True)
    case.event(UPPER)
    bridge = Bridge(case, module_php)
    found = [bridge.resolve(a=b"secret") for _ in range(8)]
    assert {one.by for one in found} == {"php"}
    assert [data(one) for one in found] == [{"it": "SECRET"}] * 8
    assert bridge.told == [Disagreement(class_name=case.name("Sent"), paths=("broadcasts[0].data.it",))]
    (record,) = (one for one in caplog.records if one.__dict__.get("action") == "native_disagrees")
    assert record.__dict__["event_class"] == case.name("Sent")
    assert record.__dict__["paths"] == ["broadcasts[0].data.it"]
    assert "secret" not in str(record.__dict__).lower()
    bridge.ladder.close()


def test_a_fault_that_comes_later_is_found_by_a_check(bridge: Bridge, fault: list[bool]) -> None:
    bridge.ladder.close()
    bridge = Bridge(bridge.case, bridge.php)
    assert bridge.send(6)[-1] == "native"
    fault.append(True)
    record = bridge.trust.record(_event(bridge), _fit(bridge), "broadcast")
    record.left = 1
    assert bridge.send(2) == ["native"] * 2
    (check,) = bridge.due
    checks = build_checks(bridge.settings, bridge.php, bridge.trust)
    checks.start()
    checks.add([check])
    wait_until(lambda: bool(bridge.told), "the difference is told")
    assert bridge.send(3) == ["php"] * 3
    assert data(bridge.resolve(a=b"x")) == {"it": "X"}
    checks.close()
    bridge.ladder.close()


def _event(bridge: Bridge) -> BroadcastEvent:
    return bridge.ladder.event(read_payload(bridge.case.payload(a=b"x")))


def _fit(bridge: Bridge) -> TemplateMatch:
    fit = bridge.ladder._templates.fit(read_payload(bridge.case.payload(a=b"x")).command)
    assert fit is not None
    return fit


def test_a_shortcut_is_checked_and_given_up_as_well(case: Case, module_php: PhpRung) -> None:
    case.event("public $a; public $b;")
    bridge = Bridge(case, module_php)
    bridge.send(8, a=b"x", b=1)
    assert any(bridge.ladder._fast_paths.values())
    (record,) = bridge.trust._records.values()
    record.left = 1
    assert bridge.send(1, a=b"x", b=2) == ["native"]
    ((checked, payload, sent),) = bridge.due
    assert checked is record
    checks = build_checks(bridge.settings, module_php, bridge.trust)
    checks.check(checked, payload, sent)
    assert (record.agreed, bridge.told) == (6, [])
    for _ in range(2):
        bridge.trust.learn(record, "different", ("broadcasts[0].name",))
    assert bridge.send(2, a=b"x", b=2) == ["php"] * 2
    bridge.ladder.close()


def test_a_row_that_changes_in_between_is_no_difference(case: Case, module_php: PhpRung) -> None:
    case.post()
    case.event("public $a;")
    bridge = Bridge(case, module_php)
    bridge.send(6, a=case.model())
    sent = bridge.resolve(a=case.model())
    with closing(sqlite3.connect(case.app.path / "app.sqlite")) as database, database:
        database.execute("update posts set title = 'Changed'")
    (record,) = bridge.trust._records.values()
    checks = build_checks(bridge.settings, module_php, bridge.trust)
    checks.check(record, read_payload(case.payload(a=case.model())), sent)
    assert record.earned
    assert not bridge.told
    bridge.ladder.close()


def test_one_in_a_thousand_and_one_an_hour_is_checked(
    monkeypatch: pytest.MonkeyPatch, bridge: Bridge
) -> None:
    bridge.send(5)
    (record,) = bridge.trust._records.values()
    assert [bridge.trust.is_due(record) for _ in range(2000)].count(True) == 2
    now = time.monotonic()
    monkeypatch.setattr("bridge.jobs.resolve.trust.time.monotonic", lambda: now + 3700)
    assert bridge.trust.is_due(record)
    assert not bridge.trust.is_due(record)


# ---- restart, deploy, the file --------------------------------------------------------------------------


def test_what_is_earned_survives_a_restart(bridge: Bridge) -> None:
    bridge.send(6)
    bridge.stop()
    again = Bridge(bridge.case, bridge.php)
    assert again.send(2) == ["native"] * 2
    again.ladder.close()


def test_a_difference_survives_a_restart_and_ends_with_a_deploy(
    case: Case, module_php: PhpRung, fault: list[bool]
) -> None:
    fault.append(True)
    case.event(UPPER)
    bridge = Bridge(case, module_php)
    bridge.send(3)
    assert bridge.told
    bridge.stop()
    fault.clear()
    again = Bridge(case, module_php)
    assert again.send(7) == ["php"] * 7
    again.stop()
    case.event(UPPER + " public $deployed;")
    deployed = Bridge(case, module_php)
    assert deployed.send(6) == ["php"] * 5 + ["native"]
    deployed.ladder.close()


def test_a_deploy_while_it_runs_has_to_be_earned_anew(bridge: Bridge) -> None:
    bridge.send(6)
    bridge.case.event(UPPER.replace("'it'", "'that'"))
    wait_until(lambda: bridge.send(1) == ["php"], "the change is seen")
    wait_until(lambda: bridge.send(1) == ["native"], "it is earned anew")
    assert not bridge.told
    assert data(bridge.resolve(a=b"x")) == {"that": "X"}


@pytest.mark.parametrize("name", [".env", "config/app.php"])
def test_another_configuration_has_to_be_earned_anew(bridge: Bridge, name: str) -> None:
    bridge.send(6)
    bridge.stop()
    with (bridge.case.app.path / name).open("a") as file:
        file.write("\n")
    again = Bridge(bridge.case, bridge.php)
    assert again.send(1) == ["php"]
    again.ladder.close()


def kept(
    *, agreed: int, format: int = 1, basis: str = "B", differing: dict[str, object] | None = None
) -> bytes:
    """A file of one record."""
    record = {"class": "C", "agreed": agreed, "checked_at": 0}
    document = {"format": format, "basis": basis, "earned": {"k": record}, "differing": differing or {}}
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{",
        b"[" * 100_000,
        kept(agreed=-1),
        kept(agreed=True),
        kept(agreed=9, differing={"C": "path"}),
        kept(agreed=9, format=2),
        kept(agreed=9, basis="other"),
    ],
)
def test_a_damaged_or_foreign_file_is_no_file_and_is_replaced(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "trust.json"
    path.write_bytes(text)
    file = TrustFile(path)
    assert file.load("B") == Standing()
    own = Standing(earned={"k": Earned(class_name="C", agreed=5, checked_at=1.5)}, differing={"D": ("p",)})
    assert file.merge("B", own) == own
    assert TrustFile(path).load("B") == own


def test_a_pipe_in_its_place_holds_nobody_up_and_a_link_is_not_followed(tmp_path: Path) -> None:
    path, own = tmp_path / "trust.json", Standing(differing={"D": ("p",)})
    os.mkfifo(path)
    assert TrustFile(path).load("B") == Standing()
    path.unlink()
    TrustFile(tmp_path / "other.json").merge("B", own)
    path.symlink_to(tmp_path / "other.json")
    assert TrustFile(path).load("B") == Standing()
    assert TrustFile(path).merge("B", own) == own
    assert not path.is_symlink()


def test_a_damaged_file_has_to_be_earned_anew(bridge: Bridge) -> None:
    bridge.send(6)
    bridge.stop()
    file = trust_file(bridge.settings)._path
    file.write_bytes(file.read_bytes()[:-20])
    again = Bridge(bridge.case, bridge.php)
    assert again.send(1) == ["php"]
    again.ladder.close()


def test_where_no_file_can_be_written_it_goes_on_and_says_so_once(
    case: Case, module_php: PhpRung, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case.event(UPPER)
    bridge = Bridge(case, module_php, state_path=str(tmp_path / "away" / "state"))
    assert bridge.send(6) == ["php"] * 5 + ["native"]
    bridge.trust.save()
    told = [one for one in caplog.records if one.__dict__.get("action") == "trust_file"]
    assert len(told) == 1
    bridge.ladder.close()


def test_two_processes_join_what_they_know(tmp_path: Path) -> None:
    one, other = TrustFile(tmp_path / "trust.json"), TrustFile(tmp_path / "trust.json")
    one.merge("B", Standing(earned={"a": Earned(class_name="A", agreed=5, checked_at=1)}))
    other.merge("B", Standing(earned={"b": Earned(class_name="B", agreed=6, checked_at=2)}))
    found = one.merge("B", Standing(differing={"C": ("p",)}))
    assert set(found.earned) == {"a", "b"}
    assert other.load("B") == found
    assert sorted(os.listdir(tmp_path)) == ["trust.json", "trust.lock"]


def test_what_another_process_has_found_to_differ_is_differing_here_too(bridge: Bridge) -> None:
    bridge.send(6)
    other = Bridge(bridge.case, bridge.php)
    assert other.send(1) == ["native"]
    (record,) = other.trust._records.values()
    for _ in range(2):
        other.trust.learn(record, "different", ("broadcasts[0].name",))
    bridge.trust.save()
    assert bridge.send(2) == ["php"] * 2
    other.ladder.close()


# ---- PHP down ----------------------------------------------------------------------------------------------


def test_while_php_is_down_what_is_not_earned_waits_and_what_is_goes_on(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "FIRST_PAUSE", 600.0)  # it is down until the end of the test
    case.event(UPPER)
    boot = case.app.path / "bootstrap/app.php"
    text = boot.read_text()
    with closing(PhpRung(case.app.path)) as php:
        bridge = Bridge(case, php)
        bridge.send(6)
        bridge.stop()
        boot.write_text("<?php throw new RuntimeException('no luck');")
    try:
        with closing(PhpRung(case.app.path)) as php:
            waiting = Bridge(case, php)
            with pytest.raises(NotTried, match=r"waits for PHP.*no luck") as wait:
                waiting.resolve(a=b"x")
            assert wait.value.pause > 1
            waiting.ladder.close()
            boot.write_text(text)
            earned = Bridge(case, php)
            assert php.down is not None
            assert earned.send(2) == ["native"] * 2
            with pytest.raises(NotTried):
                earned.resolve(a=7)
            earned.ladder.close()
    finally:
        boot.write_text(text)


def test_a_unique_event_is_not_run_a_second_time(bridge: Bridge) -> None:
    checks = build_checks(bridge.settings, bridge.php, bridge.trust)
    payload = read_payload(bridge.case.payload(a=b"x").replace(b"BroadcastEvent", b"UniqueBroadcastEvent"))
    record = Record("k", "C")
    checks.add([(record, payload, Resolution(outcome="nothing", event="C"))])
    assert checks._waiting.empty()


# ---- what `bridge events` and `bridge resolve` say ------------------------------------------


def test_events_and_resolve_know_what_is_earned_and_earn_nothing(
    bridge: Bridge, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    flags = ["--app", str(bridge.case.app.path), "--laravel", "8.83"]
    (tmp_path / "jobs").write_text(json.dumps({"payload": bridge.case.payload(a=b"x").decode()}) + "\n")
    name = bridge.case.name("Sent")

    def found() -> dict[str, object]:
        assert main(["events", "--json", *flags]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        (line,) = (line for line in lines if line["class"] == name)
        return {key: line[key] for key in ("rung", "agreed")}

    def resolved() -> str:
        assert main(["resolve", *flags, str(tmp_path / "jobs")]) == 0
        return str(json.loads(capsys.readouterr().out)["by"])

    assert found() == {"rung": "native", "agreed": 0}
    assert [resolved() for _ in range(6)] == ["php"] * 6
    bridge.send(6)
    bridge.stop()
    assert found() == {"rung": "native", "agreed": 5}
    assert resolved() == "native"
    other = Bridge(bridge.case, bridge.php)
    other.send()
    (record,) = other.trust._records.values()
    for _ in range(2):
        other.trust.learn(record, "different", ("broadcasts[0].name",))
    other.ladder.close()
    assert found() == {"rung": "php", "agreed": 0}
    assert main(["events", *flags]) == 0
    assert "differ at broadcasts[0].name: PHP's until the next deploy" in capsys.readouterr().out
    assert resolved() == "php"
