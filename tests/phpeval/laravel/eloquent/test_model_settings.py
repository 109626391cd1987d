"""Settings and relations of a class are worked out once; an object that has its own still counts by these."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from bridge.laravel.application import load
from bridge.laravel.payload import read_payload
from bridge.phpeval.laravel.version import parse_version
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from bridge.serve.wiring.ladder import build_ladder
from tests.phpeval.laravel.eloquent.app import Case

Say = Callable[..., Any]  # properties of the event Sent → its `it`, always by the same ladder


@pytest.fixture
def say(case: Case) -> Iterator[Say]:
    """Post has a secret that is hidden; everything is asked in one process, one after the other."""
    case.post("protected $hidden = ['secret'];")
    with _Process(case, "8.83") as say:
        yield say


class _Process:
    def __init__(self, case: Case, version: str) -> None:
        self._case = case
        laravel = load(case.app.path, {}, version)
        self._ladder = build_ladder(laravel, {}, version=parse_version(version), only=("native",))

    def __enter__(self) -> Say:
        return self._it

    def __exit__(self, *_: object) -> None:
        self._ladder.close()

    def _it(self, **properties: Value) -> Any:
        resolution = self._ladder.resolve(read_payload(self._case.payload(**properties)))
        assert resolution.outcome == "broadcast", resolution
        (call,) = resolution.broadcasts
        return json.loads(call.data)["it"]


def whole(case: Case, **settings: Value) -> PhpObject:
    """A post that was serialized whole, with settings of its own."""
    attributes = PhpArray({b"id": 1, b"title": b"Whole", b"secret": b"s3cret"})
    held: dict[int | bytes, Value] = {b"\0*\0attributes": attributes, b"exists": True}
    held |= {f"\0*\0{name}".encode(): value for name, value in settings.items()}
    return PhpObject(case.name("Post"), held)


def test_what_one_model_shows_the_next_one_hides(case: Case, say: Say) -> None:
    case.event(
        "public $post; public $other; public function broadcastWith() { return ['it' =>"
        " [$this->post->makeVisible('secret')->toArray(), $this->other->toArray()]]; }"
    )
    for _ in range(3):
        got = say(post=case.model(), other=case.model())
        assert ["secret" in one for one in got] == [True, False]


@pytest.mark.parametrize(
    "call", ["makeHidden('title')", "append('title')", "makeVisible('secret')", "makeHidden('id', 'user_id')"]
)
def test_a_model_that_was_changed_shows_what_laravel_shows(case: Case, call: str) -> None:
    case.post("protected $hidden = ['secret']; function getTitleAttribute($v) { return \"<$v>\"; }")
    case.sends(f"[$this->post->toArray(), $this->post->{call}->toArray(), $this->post->{call}->toArray()]")
    case.both()


def test_models_that_were_serialized_whole_keep_their_own_settings(case: Case, say: Say) -> None:
    case.event(
        "public $post; public $other; public function broadcastWith() {"
        " return ['it' => [$this->post->toArray(), $this->other->toArray()]]; }",
    )
    bare = whole(case, hidden=PhpArray(), visible=PhpArray.of([b"secret"]))
    less = whole(case, hidden=PhpArray.of([b"title", b"secret"]))
    for post, other in ((bare, less), (less, bare), (case.model(), bare), (bare, case.model())):
        got = say(post=post, other=other)
        for one, shown in zip((post, other), got, strict=True):
            names = {"secret"} if one is bare else {"id"} if one is less else {"id", "title"}
            assert names <= set(shown)
            assert ("secret" in shown) is (one is bare)


def test_more_different_settings_than_are_remembered_do_no_harm(case: Case, say: Say) -> None:
    case.sends("$this->post")
    for _ in range(2):
        for n in range(10):
            hidden = PhpArray.of([b"secret", f"x{n}".encode()])
            assert say(post=whole(case, hidden=hidden)) == {"id": 1, "title": "Whole"}


def test_a_row_with_a_new_column_is_read_with_it(case: Case, say: Say) -> None:
    case.sends("$this->post")
    before = say()
    with closing(sqlite3.connect(case.app.path / "app.sqlite")) as database, database:
        database.execute("alter table posts add column more varchar default 'new'")
    assert say() == {**before, "more": "new"}


def test_a_column_whose_name_is_a_number_is_left_to_php_hidden_or_not(case: Case) -> None:
    case.post("protected $hidden = ['5', 'secret'];", columns="'5' varchar")
    case.sends("$this->post")
    assert "a table with a column 5" in case.refused()


def test_an_appended_attribute_whose_name_is_a_number_is_left_to_php(case: Case) -> None:
    case.post("protected $appends = ['7']; public function get7Attribute() { return 'seven'; }")
    case.sends("$this->post")
    assert "which is a number" in case.refused()


def test_a_relation_whose_name_is_a_number_is_left_to_php(case: Case) -> None:
    case.post()
    case.sends("$this->post->setRelation('8', null)")
    assert "whose name is a number" in case.refused()


def test_the_original_of_a_cast_without_a_column_is_left_to_php(case: Case) -> None:
    case.add(
        "Full",
        "class Full implements \\Illuminate\\Contracts\\Database\\Eloquent\\CastsAttributes {"
        " public function get($model, $key, $value, $all) { return strtoupper($all['title']); }"
        " public function set($model, $key, $value, $all) { return ['title' => $value]; } }",
    )
    case.post("protected $casts = ['full' => Full::class];")
    case.sends("$this->post->getOriginal('full')")
    assert "getOriginal()" in case.refused()


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ("return ['title' => 'string', 'user_id' => 'string'];", [str, str]),
        ("return $this->exists ? [] : ['user_id' => 'string'];", [str, str]),
        ("return array_merge(parent::casts(), ['user_id' => 'string']);", []),
        ("$casts = []; $casts['user_id'] = 'string'; return $casts;", [str, str]),
    ],
)
def test_casts_given_by_a_method_count_for_every_model(case: Case, body: str, kinds: list[type]) -> None:
    case.post(f"protected function casts(): array {{ {body} }}")
    case.sends("$this->post->user_id")
    payload = read_payload(case.payload())
    laravel = load(case.app.path, {}, "11.0")
    with closing(build_ladder(laravel, {}, version=parse_version("11.0"), only=("native",))) as ladder:
        answers = [ladder.resolve(payload) for _ in range(2)]
    got = [type(json.loads(one.broadcasts[0].data)["it"]) for one in answers if one.broadcasts]
    assert got == kinds


RELATION_TABLES = """
    drop table if exists users; drop table if exists admins;
    create table users (id integer primary key, name varchar, team integer);
    insert into users values (7, 'User7', 1), (8, 'User8', 2);
    create table admins (id integer primary key, name varchar, team integer);
    insert into admins values (7, 'Admin7', 1), (8, 'Admin8', 2);
"""


@pytest.mark.parametrize(
    "relation",
    [
        "return $this->belongsTo(User::class, 'user_id');",
        "return $this->belongsTo(User::class, 'user_id')->where('team', 1);",
        "return $this->belongsTo($this->id == 1 ? User::class : Admin::class, 'user_id');",
        "return $this->belongsTo(User::class, 'user_id')->where('team', $this->id);",
        "return $this->belongsTo(User::class, 'user_id')->where('team', '>', strlen($this->title) - 5);",
        "if ($this->id == 2) { return $this->belongsTo(Admin::class, 'user_id'); }"
        " return $this->belongsTo(User::class, 'user_id');",
        "return $this->own();",
        "return $this->hasOne(User::class, 'id', 'user_id');",
    ],
)
def test_a_relation_that_depends_on_its_model_is_described_for_each(case: Case, relation: str) -> None:
    case.app.sql(RELATION_TABLES)
    case.post(
        f"function it() {{ {relation} }}"
        " function own() { return $this->belongsTo($this->id == 1 ? User::class : Admin::class, 'user_id'); }"
    )
    case.app.sql(
        "insert into posts (id, title, secret, user_id) values (2, 'Second', 's', 8), (3, 'T', 's', 7)"
    )
    for name in ("User", "Admin"):
        case.add(name, f"class {name} extends Model {{ }}")
    case.event(
        "public $a; public $b; public $c; public function broadcastWith() {"
        " return ['it' => [$this->a->it, $this->b->it, $this->c->it]]; }"
    )
    case.both(a=case.model(key=1), b=case.model(key=2), c=case.model(key=3))


def test_a_relation_whose_maker_the_app_has_overridden_is_evaluated(case: Case) -> None:
    case.app.sql(RELATION_TABLES)
    case.post(
        "function it() { return $this->belongsTo(User::class, 'user_id'); }"
        " function belongsTo($related, $foreignKey = null, $ownerKey = null, $relation = null) {"
        " return parent::belongsTo($this->id == 1 ? User::class : Admin::class, 'user_id'); }"
    )
    case.app.sql("insert into posts (id, title, secret, user_id) values (2, 'Second', 's', 8)")
    for name in ("User", "Admin"):
        case.add(name, f"class {name} extends Model {{ }}")
    case.event(
        "public $a; public $b; public function broadcastWith() {"
        " return ['it' => [$this->a->it, $this->b->it]]; }"
    )
    case.both(a=case.model(key=1), b=case.model(key=2))


def test_rows_through_two_pivot_tables_do_not_mix_their_names(case: Case) -> None:
    case.app.sql(
        "drop table if exists labels; drop table if exists a_links; drop table if exists b_links;"
        " create table labels (id integer primary key, label varchar); insert into labels values (5, 'five');"
        " create table a_links (post_id integer, label_id integer); insert into a_links values (1, 5);"
        " create table b_links (post_id integer, label_id integer, created_at datetime, updated_at datetime);"
        " insert into b_links values (1, 5, '2024-01-02 03:04:05', null);"
    )
    case.post(
        "function a() { return $this->belongsToMany(Label::class, 'a_links'); }"
        " function b() { return $this->belongsToMany(Label::class, 'b_links')->withTimestamps(); }"
    )
    case.add("Label", "class Label extends Model { public $timestamps = false; }")
    case.sends(
        "[$this->post->a, $this->post->b, $this->post->a[0]->pivot->getTable(), $this->post->b[0]->pivot]"
    )
    case.both()


ROWS = (1, "1", 1.0, 0, 0.0, -0.0, None, "", "text", "1", 1, 2**62, "0", b"1")


@pytest.mark.parametrize(
    "cast", ["", "'it' => 'int'", "'it' => 'string'", "'it' => 'float'", "'it' => 'bool'"]
)
def test_a_row_shows_the_same_however_often_others_that_look_like_it_were_read(case: Case, cast: str) -> None:
    case.post(f"protected $hidden = ['secret']; protected $casts = [{cast}];", columns="it")
    case.sends("$this->post")
    with _Process(case, "8.83") as say:
        for value in ROWS * 2:
            with closing(sqlite3.connect(case.app.path / "app.sqlite")) as database, database:
                database.execute("update posts set it = ?", (value,))
            (call,) = case.native().broadcasts
            assert repr(say()) == repr(json.loads(call.data)["it"])
            assert "secret" not in say()


@pytest.mark.parametrize(
    ("casts", "change"),
    [
        ("'list' => 'array'", "$first['list']['a']['b'] = 2; $first['list'][] = 3; $first['more'] = 4;"),
        ("'list' => 'object'", "$first['list']->a->b = 2;"),
    ],
)
def test_what_is_done_to_the_array_of_a_row_does_not_show_in_the_next(
    case: Case, casts: str, change: str
) -> None:
    case.post(f"protected $casts = [{casts}];", columns="list varchar", list='{"a":{"b":1}}')
    case.event(
        f"public $post; public function broadcastWith() {{ $first = $this->post->toArray(); {change}"
        " return ['it' => [$first, $this->post->toArray()]]; }"
    )
    case.both()
    with _Process(case, "8.83") as say:
        first, second = (say() for _ in range(2))
        assert first == second
        assert first[0]["list"]["a"] == {"b": 2}
        assert first[1]["list"] == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("return new Attribute(fn ($v) => 'got ' . $v);", True),
        ("return new Attribute(get: fn ($v) => 'got ' . $v, set: fn ($v) => $v);", True),
        ("return new Attribute(set: fn ($v) => $v);", False),
        ("return new Attribute(null, fn ($v) => $v);", False),
        ("$own = fn ($v) => 'got ' . $v; return new Attribute($own);", True),
        ("return $this->exists ? new Attribute(set: fn ($v) => $v) : new Attribute(fn ($v) => 'x');", False),
    ],
)
def test_an_accessor_counts_that_has_a_getter(case: Case, source: str, shown: bool) -> None:
    case.post(f"protected function title(): Attribute {{ {source} }}")
    case.sends("$this->post->toArray()['title']")
    assert case.data() == {"it": "got Title" if shown else "Title"}
