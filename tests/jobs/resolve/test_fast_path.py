"""Events of a known template take the fast path, which gives what the rungs give."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bridge.jobs.resolve.fast_path import FastPath
from bridge.jobs.resolve.ladder import Ladder
from bridge.jobs.resolve.resolution import Resolution
from bridge.laravel.application import load
from bridge.laravel.payload import read_payload
from bridge.phpeval.laravel.eloquent.connection import Source
from bridge.phpeval.laravel.eloquent.sql_text import Query
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
    ("name", "value"),
    [
        ("middleware", b"x"),
        ("middleware", b""),
        ("chained", PhpArray.of([b"O:1"])),
        ("debounceOwner", b"x"),  # Laravel 13 writes an empty text where nobody is
    ],
)
def test_a_job_with_what_only_laravel_runs_takes_no_short_way(case: Case, name: str, value: Value) -> None:
    case.event(PUBLIC)
    with ladder(case) as own:
        for text in (b"", b"", value):
            payload = job(PhpObject(case.name("Sent"), {b"a": 1}), command={name: text})
            outcome = own.resolve(read_payload(payload)).outcome
        assert outcome == ("broadcast" if value == b"" else "refused")
        assert len(shortcuts(own)) == 1  # of those that have none of it


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


# Events that hold models -----------------------------------------------------------------------------

READER = "public $a; public $post; public $other; protected $hidden; public $c = 'a 100% default';"
OF_POST = "public function broadcastOn() { return new PrivateChannel('posts.' . $this->post->id); }"
TOUCHES = (  # the relation is part of the payload from then on
    "public function broadcastOn() { return new Channel('authors.' . $this->post->author->id); }"
)
PLAIN = "protected $casts = ['meta' => 'array', 'user_id' => 'string']; protected $hidden = ['secret'];"
AUTHOR = "public function author() { return $this->belongsTo(Author::class, 'user_id'); }"
APPENDED = (
    "protected $appends = ['loud', 'by']; public function getLoudAttribute() { return $this->id . '!'; } "
    "public function getByAttribute() { return $this->author->name; }" + AUTHOR
)
FORMED = "public function toArray() { return ['n' => $this->id, 'of' => [$this->title => $this->secret]]; }"


def posts(case: Case, body: str) -> None:
    """Posts 1 to 5, of which 3 is gone; authors 7 and 8."""
    case.post(body, columns="meta text")
    case.add("Author", "class Author extends Model { protected $hidden = ['secret']; }")
    case.app.sql(
        "drop table if exists authors; create table authors (id integer primary key, name, secret);"
        "insert into authors values (7, 'Ada /\u007f \\', 'x'), (8, '100%s', 'y');"
        "insert into posts (id, title, secret, user_id, created_at, meta) values"
        " (2, char(0) || '5' || char(0), '%s', 8, '2024-02-29 12:00:00',"
        ' \'{"a": [1.50, {}, {"b/": null}]}\'),'
        " (4, x'ff', 'no UTF-8', 7, null, null), (5, 'fine', null, 9, '2024-01-01 00:00:00', '[]');"
    )


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (READER, PLAIN),
        (READER + OF_POST, PLAIN),
        (READER + NAMED, APPENDED),
        (READER + TOUCHES, PLAIN + AUTHOR),
        (READER + TOUCHES, APPENDED),
        (READER, FORMED),
        (READER, PLAIN + AUTHOR + "protected $with = ['author'];"),
        (
            READER + "public function broadcastWith() { return ['id' => $this->post->id, 'a' => $this->a]; }",
            PLAIN,
        ),
        (READER + "public function broadcastOn() { $this->a = $this->post->title; return 'c'; }", PLAIN),
        (READER.replace("public $post", "private $post"), PLAIN),
        (READER.replace("public $post", "public Post $post"), PLAIN),
    ],
)
def test_with_models_it_leads_where_the_general_way_leads(case: Case, body: str, model: str) -> None:
    posts(case, model)
    case.event(body)
    own = b"\0" + case.name("Sent").encode() + b"\0post" if "private $post" in body else b"post"
    with ladder(case) as short, ladder(case) as general:
        general._fast_path = None
        for key, more in ((1, 2), (2, 1), (2, 5), (5, 2), (1, 1), (3, 1), (1, 3), (4, 1), (2, 4), (5, 5)):
            held: dict[int | bytes, Value] = {
                b"a": b"%d" % key, own: case.model(key=key), b"other": case.model(key=more, relations=()),
            }  # fmt: skip
            payload = read_payload(job(PhpObject(case.name("Sent"), held)))
            assert short.resolve(payload) == general.resolve(payload), key
        (path,) = shortcuts(short)
        assert (path.known.text is None) == ("With" in body or "a =" in body)


def batch(ladder: Ladder, payloads: Sequence[bytes]) -> list[Resolution]:
    return [attempt() for attempt in ladder.batch([json.loads(payload) for payload in payloads])]


def test_models_of_a_batch_are_read_together(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    posts(case, PLAIN + AUTHOR)
    case.event(READER + TOUCHES)
    queries: list[Query] = []
    select = Source.select
    payloads = [case.payload(a=key, post=case.model(key=key), other=None) for key in (1, 2, 1, 2)]
    with ladder(case) as own:
        for _ in range(2):
            expected = batch(own, payloads)
        assert shortcuts(own)
        monkeypatch.setattr(own, "_resolve_event", None)  # the general way

        def recorded(source: Source, query: Query) -> list[PhpArray]:
            queries.append(query)
            return select(source, query)

        monkeypatch.setattr(Source, "select", recorded)
        assert batch(own, payloads) == expected
    assert [query.table for query in queries] == ["posts", "authors"]


def test_relations_that_the_job_names_are_loaded(case: Case) -> None:
    posts(case, PLAIN + AUTHOR)
    case.event(READER)
    with ladder(case) as short, ladder(case) as general:
        general._fast_path = None
        for key in (1, 2, 1):
            held = {"post": case.model(key=key, relations=["author"]), "other": None}
            payload = read_payload(case.payload(**held))
            assert short.resolve(payload) == general.resolve(payload)
        assert shortcuts(short)
        other = read_payload(case.payload(post=case.model(key=1, relations=["nobody"]), other=None))
        assert short.resolve(other) == general.resolve(other)


def test_a_model_of_another_class_goes_the_general_way(case: Case) -> None:
    """The template is the same: the class is a text in it."""
    posts(case, PLAIN)
    case.event(READER)
    with ladder(case) as short, ladder(case) as general:
        general._fast_path = None
        for short_name, key in (("Post", 1), ("Post", 2), ("Author", 7), ("Author", 8), ("Post", 1)):
            payload = read_payload(case.payload(post=case.model(short_name, key), other=None))
            assert short.resolve(payload) == general.resolve(payload)
        before = shortcuts(short)
        for short_name, key in (("Author", 7), ("Post", 1)):
            short.resolve(read_payload(case.payload(post=case.model(short_name, key), other=None)))
        assert shortcuts(short) == before != []


@pytest.mark.parametrize("depth", [508, 509, 510, 511, 512])
def test_a_model_is_as_deep_as_php_lets_it_be(case: Case, depth: int) -> None:
    posts(case, PLAIN)
    case.app.sql(f"update posts set meta = '{'[' * depth}{']' * depth}' where id = 2")
    case.event(READER)
    with ladder(case) as short, ladder(case) as general:
        general._fast_path = None
        for key in (1, 5, 2):
            payload = read_payload(case.payload(post=case.model(key=key), other=None))
            assert short.resolve(payload) == general.resolve(payload)
        assert shortcuts(short)


def test_an_event_that_does_not_restore_models_has_none(case: Case) -> None:
    posts(case, PLAIN)
    case.event(READER, traits="InteractsWithSockets")
    with ladder(case) as own:
        for _ in range(3):
            resolved(own, case, post=case.model(), other=None)
        assert not shortcuts(own)
