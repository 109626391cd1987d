"""The ladder: who is asked in which order, and what becomes of their answers."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from bridge.errors import (
    CheckFailed,
    ConfigurationError,
    Judged,
    MissingModel,
    NotTried,
    Refused,
    ServiceUnavailable,
    WouldFail,
)
from bridge.jobs.resolve.ladder import Ladder, LadderParts, Models
from bridge.jobs.resolve.resolution import Answer, Resolution
from bridge.laravel.broadcast_handler import Call
from bridge.laravel.payload import BroadcastEvent, read_payload
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.runtime.operators import Thrown
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject
from tests.phpeval.laravel.eloquent.app import job

EVENT = PhpObject("App\\Events\\Shipped", {b"id": 7})
CALL = Call(connection="pusher", channels=("c",), name="n", data="{}", socket=None)


@dataclass
class Step:
    """A rung that says the same to every event, or an answer by release."""

    name: str
    says: Answer | Exception | None
    asked: list[Version] = field(default_factory=list)
    older: Answer | None = None

    def resolve(self, event: BroadcastEvent) -> Answer | None:
        self.asked.append(event.version)
        if self.older is not None and event.version == event.oldest:
            return self.older
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


def climb(*rungs: Step, version: Version | None = (11, 0), payload: bytes | None = None) -> Resolution:
    return Ladder(rungs, lambda text: text, parts=LadderParts(version=version)).resolve(
        read_payload(payload or job(EVENT))
    )


def test_the_first_rung_that_knows_decides_and_no_other_is_asked() -> None:
    later = Step("native", Answer(calls=()))
    found = climb(Step("mapping", None), Step("framework", Answer(calls=(CALL,))), later)
    assert (found.outcome, found.by, found.broadcasts, later.asked) == ("broadcast", "framework", (CALL,), [])


def test_they_are_asked_in_the_order_of_the_ladder_however_they_are_given() -> None:
    php, native = Step("php", Refused("that")), Step("native", Refused("this"))
    found = climb(php, native, Step("mapping", None))
    assert found.why == "native: this; php: that"
    first = Step("mapping", Answer(calls=(CALL,)))
    assert climb(Step("native", Answer(calls=())), first).by == "mapping"


def test_where_all_refuse_all_reasons_are_told() -> None:
    found = climb(Step("native", Refused("this")), Step("php", Refused("that", file="a.php", line=3)))
    assert (found.outcome, found.by) == ("refused", None)
    assert found.why == "native: this; php: that (a.php:3)"


def test_what_is_laravels_own_is_not_looked_for_among_the_apps_sources() -> None:
    native = Step("native", Refused("no broadcastOn()"))
    found = climb(Step("framework", Refused("auth()")), native, Step("php", Refused("that")))
    assert (found.why, native.asked) == ("framework: auth(); php: that", [])


@pytest.mark.parametrize(
    "end",
    [
        Thrown("DomainException", "sold out"),
        WouldFail("a typed property was never set"),
        CheckFailed("bad channel"),
        MissingModel("no query results"),
        RecursionError("maximum depth"),
        KeyError("a secret"),
    ],
)
def test_what_ends_evaluation_but_an_answer_is_php_s_to_judge(end: Exception) -> None:
    found = climb(Step("native", end), Step("php", Answer(calls=(CALL,))))
    assert (found.outcome, found.by) == ("broadcast", "php")
    found = climb(Step("native", end), Step("php", Judged("sold out", 30)))
    assert (found.outcome, found.by, found.why, found.retry_in) == ("failed", "php", "sold out", 30)
    assert climb(Step("native", end), Step("php", Refused("it does not boot"))).outcome == "refused"


def test_without_php_an_exception_is_refused_with_its_place() -> None:
    thrown = Thrown("DomainException", "sold out")
    thrown.leaves("app/Events/Shipped.php", 12)
    found = climb(Step("native", thrown))
    assert (found.outcome, found.by) == ("refused", None)
    assert "DomainException: sold out (app/Events/Shipped.php:12)" in found.why


def test_without_php_only_laravels_own_checks_fail_an_event() -> None:
    found = climb(Step("native", CheckFailed("bad channel")))
    assert (found.outcome, found.by, found.why) == ("failed", "native", "bad channel")
    assert climb(Step("native", WouldFail("no array"))).outcome == "refused"


def test_what_the_mapping_sends_is_the_users_own_word() -> None:
    later = Step("php", Answer(calls=(CALL,)))
    found = climb(Step("mapping", CheckFailed("bad channel")), later)
    assert (found.outcome, found.by, later.asked) == ("failed", "mapping", [])


def test_a_fault_of_ours_is_told_without_what_it_quotes(caplog: pytest.LogCaptureFixture) -> None:
    found = climb(Step("native", KeyError("a secret")))
    assert found.outcome == "refused"
    assert "KeyError at test_ladder.py:" in found.why
    (record,) = caplog.records
    assert record.__dict__["action"] == "resolve_fault"
    assert "a secret" not in found.why + caplog.text + str(record.__dict__)


def test_models_in_a_circle_are_refused_in_plain_words() -> None:
    resolution = climb(Step("native", RecursionError("maximum depth")))
    assert resolution.outcome == "refused"
    assert "circle" in resolution.why


def test_a_fault_of_the_machine_is_no_verdict() -> None:
    with pytest.raises(NotTried, match="EMFILE"):
        climb(Step("native", OSError(errno.EMFILE, "Too many open files")), Step("php", Answer(calls=())))


def test_one_jobs_fault_leaves_the_others_of_its_batch_alone() -> None:
    class Reading(Step):
        def resolve(self, event: BroadcastEvent) -> Answer | None:
            if event.payload.uuid == "b":
                raise OSError(errno.EMFILE, "Too many open files")
            return super().resolve(event)

    def prepare(events: Sequence[Models]) -> None:
        raise ZeroDivisionError

    ladder = Ladder(
        [Reading("native", Answer(calls=(CALL,)))],
        lambda text: text,
        parts=LadderParts(version=(11, 0), prepare=prepare),
    )
    documents = [json.loads(job(EVENT, uuid=uuid)) for uuid in ("a", "b", "c")]
    first, second, third = ladder.batch([*documents])
    assert first().outcome == "broadcast"
    with pytest.raises(NotTried):
        second()
    assert third().outcome == "broadcast"


def test_a_database_that_is_away_is_told_to_the_caller() -> None:
    with pytest.raises(ServiceUnavailable):
        climb(Step("native", ServiceUnavailable("away")), Step("php", Answer(calls=(CALL,))))


def test_without_calls_nothing_is_sent_and_the_reason_told() -> None:
    found = climb(Step("native", Answer(calls=(), why="gone")))
    assert (found.outcome, found.why) == ("nothing", "gone")


def test_what_only_laravel_runs_goes_to_php_alone() -> None:
    native, php = Step("native", Answer(calls=(CALL,))), Step("php", Answer(calls=(CALL,)))
    found = climb(native, php, payload=job(EVENT, command={"middleware": PhpArray.of([EVENT])}))
    assert (found.by, native.asked) == ("php", [])


@pytest.mark.parametrize(
    "document",
    [
        {"tenant_id": "b"},
        {"tenantId": None},
        {"Tags": []},
        {"data": {"commandName": "x", "command": "", "tenant": 1}},
    ],
)
def test_a_payload_with_keys_that_laravel_does_not_write_is_not_evaluated(
    document: dict[str, object],
) -> None:
    payload = json.loads(job(EVENT))
    merged = {**payload, **document}
    if "data" in document:
        merged["data"] = {**payload["data"], "tenant": 1}
    text = json.dumps(merged).encode()
    framework, native = Step("framework", Answer(calls=(CALL,))), Step("native", Answer(calls=(CALL,)))
    php = Step("php", Answer(calls=(CALL,)))
    assert climb(framework, native, php, payload=text).by == "php"
    alone = climb(framework, native, payload=text)
    assert (alone.outcome, framework.asked, native.asked) == ("refused", [], [])
    assert "which Laravel does not write" in alone.why
    assert climb(Step("mapping", Answer(calls=(CALL,))), native, payload=text).by == "mapping"


def test_keys_of_laravel_horizon_and_tracers_are_not_foreign() -> None:
    keys = ["createdAt", "delay", "deleteWhenMissingModels", "id", "attempts", "illuminate:log:context"]
    keys += ["type", "tags", "silenced", "pushedAt", "telescope_uuid", "sentry_trace_parent_data"]
    payload = job(EVENT, **dict.fromkeys(keys))
    assert climb(Step("native", Answer(calls=(CALL,))), payload=payload).by == "native"


def test_releases_that_would_differ_are_refused_and_the_setting_named() -> None:
    rung = Step("native", Answer(calls=(CALL,)), older=Answer(calls=()))
    found = climb(rung, version=None)
    assert found.outcome == "refused"
    assert "BRIDGE_LARAVEL_VERSION" in found.why
    assert len(rung.asked) == 2


def test_a_known_release_is_asked_once() -> None:
    rung = Step("native", Answer(calls=(CALL,)))
    climb(rung)
    assert rung.asked == [(11, 0)]


def test_a_rung_that_is_not_allowed_is_not_asked() -> None:
    native, php = Step("native", Answer(calls=(CALL,))), Step("php", Answer(calls=(CALL,)))
    found = Ladder(
        [native, php], lambda text: text, parts=LadderParts(version=(11, 0)), only=("php",)
    ).resolve(read_payload(job(EVENT)))
    assert (found.by, native.asked) == ("php", [])


def test_a_name_that_is_no_rung_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="magic"):
        Ladder([], lambda text: text, only=("magic",))
