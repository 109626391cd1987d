"""Events of a known template take the fast path, which gives what the rungs give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bridge.jobs.resolve.fast_path import FastPath
from bridge.jobs.resolve.ladder import Ladder
from bridge.jobs.resolve.resolution import Resolution
from bridge.laravel.application import load
from bridge.laravel.payload import read_payload
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from bridge.serve.wiring.ladder import build_ladder
from tests.phpeval.laravel.eloquent.app import App, Case, app, job

NO_TEXT = b"\xed\xa0\x80"  # what `\ud800` in a job comes to, which is no UTF-8
PUBLIC = "public $a; public $b; protected $hidden; public $c = 'a 100% default'; public ?int $n = null;"
ORDERS = "public function broadcastOn() { return new PrivateChannel('orders.' . $this->a); }"
NAMED = "public function broadcastAs() { return 'sent.' . self::KIND; } const KIND = 'x';"
WITH = "public function broadcastWith() { return ['sum' => $this->a, 'list' => [$this->b]]; }"


@pytest.fixture(scope="module")
def module_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app(tmp_path_factory.mktemp("shortcut") / "app") as made:
        made.serve_cases()
        yield made


@pytest.fixture
def case(module_app: App) -> Iterator[Case]:
    made = Case(module_app)
    yield made
    made.remove()


@contextmanager
def ladder(case: Case, version: str = "8.83") -> Iterator[Ladder]:
    with closing(build_ladder(load(case.app.path, {}, version), {}, only=("native",))) as made:
        yield made


def resolved(ladder: Ladder, case: Case, **held: Value) -> Resolution:
    return ladder.resolve(read_payload(case.payload(**held)))


def shortcuts(ladder: Ladder) -> list[FastPath]:
    return [one for one in ladder._fast_paths.values() if one is not None]


TEXTS = st.one_of(
    st.text(max_size=6).map(str.encode),
    st.sampled_from([NO_TEXT, b"/", b"%s", b"\x7f", b"\\", b'"', b"\0005\0", b"", b"0", b"a b"]),
)
INTEGERS, NUMBERS = st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
SOCKETS = st.sampled_from([b"1.2", b"123.456", b"no socket"])
NONE: st.SearchStrategy[Value] = st.none()
# What $a, $b and $socket hold in the events of one template.
SHAPES: tuple[tuple[st.SearchStrategy[Value], ...], ...] = (
    (INTEGERS, TEXTS, NONE),
    (TEXTS, st.lists(TEXTS, min_size=2, max_size=2).map(PhpArray.of), SOCKETS),
    (NUMBERS, st.booleans(), SOCKETS),
    (TEXTS, st.builds(lambda one: PhpArray({b"k": PhpArray(), b"100%": one}), NUMBERS), NONE),
)


@pytest.mark.parametrize("body", ["", ORDERS, NAMED, ORDERS + NAMED, WITH, WITH + ORDERS])
def test_it_leads_where_the_general_way_leads(case: Case, body: str) -> None:
    case.event(PUBLIC + body)
    with ladder(case) as short, ladder(case) as general:
        general._fast_path = None

        @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.sampled_from(SHAPES).flatmap(lambda each: st.tuples(*each)))
        @example((7, b"text", None))
        @example((7, b"text", None))
        @example((7, b"text", None))
        def alike(values: tuple[Value, Value, Value]) -> None:
            a, b, socket = values
            assert resolved(short, case, a=a, b=b, socket=socket) == resolved(
                general, case, a=a, b=b, socket=socket
            )

        alike()
        assert shortcuts(short)
        assert not general._fast_paths


@pytest.mark.parametrize("body", ["", ORDERS, WITH])
def test_it_is_taken_from_the_third_event_on(case: Case, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case.event(PUBLIC + body)
    with ladder(case) as own:
        for number in range(2):
            resolved(own, case, a=number, b=1)
        assert len(shortcuts(own)) == 1
        monkeypatch.setattr(own, "_resolve_event", None)  # the general way
        (call,) = resolved(own, case, a=7, b=1).broadcasts
        assert "7" in call.data


@pytest.mark.parametrize(
    ("body", "first", "then"),
    [
        (PUBLIC, b"text", NO_TEXT),
        (PUBLIC, 1.5, float("inf")),
        (PUBLIC + ORDERS, b"1", b"a b"),
        (PUBLIC + ORDERS, b"1", NO_TEXT),
        (
            PUBLIC + "public function broadcastOn() { return [5 => new Channel('c')][$this->a]; }",
            5,
            6,
        ),
        (PUBLIC + "public function broadcastOn() { return $this->a ? 'c' : []; }", True, False),
    ],
)
def test_what_fails_or_sends_nothing_is_told_as_ever(
    case: Case, body: str, first: Value, then: Value
) -> None:
    case.event(body)
    with ladder(case) as short, ladder(case) as general:
        general._fast_path = None
        for value in (first, first, then, first):
            assert resolved(short, case, a=value, b=1) == resolved(general, case, a=value, b=1)
        assert shortcuts(short)
        assert resolved(short, case, a=then, b=1).outcome != "broadcast"


def test_a_socket_that_is_none_fails_as_ever(case: Case) -> None:
    case.event(PUBLIC)
    with ladder(case) as own:
        sockets = [resolved(own, case, a=1, socket=b"%d.5" % at).broadcasts[0].socket for at in range(3)]
        assert sockets == ["0.5", "1.5", "2.5"]
        assert resolved(own, case, a=1, socket=b"nobody").outcome == "failed"


@pytest.mark.parametrize(
    "body",
    [
        "public function broadcastOn() { $this->b = 'changed'; return 'c'; }",
        "public function broadcastOn() { return 'c' . ($this->b = 'changed'); }",
        "public function broadcastOn() { return $this->own(); } function own() { $this->b++; return 'c'; }",
        "public function broadcastOn() { settype($this->b, 'string'); return 'c'; }",
        "public function broadcastAs() { sort($this->b); return 'c'; }",
    ],
)
def test_a_method_that_changes_the_event_changes_what_is_sent(case: Case, body: str) -> None:
    case.event(PUBLIC + body)
    with ladder(case) as short, ladder(case) as general:
        general._fast_path = None
        for number in range(4):
            held: dict[str, Value] = {"a": number, "b": number + 5}
            assert resolved(short, case, **held) == resolved(general, case, **held)


@pytest.mark.parametrize("declared", ["true", "false", "callable", "iterable", "self", "array|false"])
def test_a_type_that_asks_for_more_than_a_kind_is_checked_each_time(case: Case, declared: str) -> None:
    case.event(f"public {declared} $a; public $b;")
    with ladder(case) as short, ladder(case) as general:
        general._fast_path = None
        for value in (False, False, True, False, b"strlen", b"strlen", b"none"):
            assert resolved(short, case, a=value, b=1) == resolved(general, case, a=value, b=1)
        assert not shortcuts(short)


@pytest.mark.parametrize(
    ("name", "value"), [("middleware", b"x"), ("middleware", b""), ("chained", PhpArray.of([b"O:1"]))]
)
def test_a_job_with_what_only_laravel_runs_takes_no_short_way(case: Case, name: str, value: Value) -> None:
    case.event(PUBLIC)
    with ladder(case) as own:
        for text in (b"", b"", value):
            payload = job(PhpObject(case.name("Sent"), {b"a": 1}), command={name: text})
            outcome = own.resolve(read_payload(payload)).outcome
        assert outcome == ("broadcast" if value == b"" else "refused")
        assert not shortcuts(own)


def test_a_deploy_ends_it(case: Case) -> None:
    case.event(PUBLIC)
    with ladder(case) as own:
        for _ in range(3):
            resolved(own, case, a=1, b=2)
        (before,) = shortcuts(own)
        case.event("public $a; protected $b; public $hidden = 'new';")
        environments = before._environment_of.__self__  # type: ignore[attr-defined]
        environments._looked_at -= 2  # files are looked at once a second
        assert resolved(own, case, a=1).broadcasts[0].data == '{"a":1,"hidden":"new"}'
        assert "visibility" in resolved(own, case, a=1, b=2).why


def test_without_a_release_both_that_fit_are_asked(case: Case) -> None:
    case.event(PUBLIC)
    with closing(build_ladder(load(case.app.path, {}, None), {}, version=None, only=("native",))) as own:
        for _ in range(3):
            resolved(own, case, a=1)
        assert not shortcuts(own)
