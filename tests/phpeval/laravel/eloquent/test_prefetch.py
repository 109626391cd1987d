"""Jobs resolved as a batch: fewer statements, and in everything else what they come to one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.jobs.resolve.ladder import Ladder
from bridge.jobs.resolve.resolution import Answer, Resolution
from bridge.laravel.application import load
from bridge.laravel.payload import BroadcastEvent, read_document
from bridge.phpeval.laravel.eloquent import reader
from bridge.phpeval.laravel.version import parse_version
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from bridge.serve.wiring.ladder import build_ladder
from tests import services
from tests.phpeval.laravel.eloquent.app import App, Case, job

Document = Mapping[str, object]
TABLES = (
    "create table users (id int primary key, name varchar(20), password varchar(20), team_id int)",
    "create table teams (id int primary key, name varchar(20))",
    "create table posts (id int primary key, title varchar(20), user_id int, deleted_at datetime)",
    "create table rooms (uuid varchar(36) primary key, title varchar(20))",
    "create table comments (id int primary key, post_id int, text varchar(20))",
)
USER = "protected $hidden = ['password']; public function team() { return $this->belongsTo(Team::class); }"
POST = (
    "public function user() { return $this->belongsTo(User::class); }"
    " public function comments() { return $this->hasMany(Comment::class); }"
    " public function comment() { return $this->hasOne(Comment::class); }"
)


@dataclass(slots=True)
class Asked:
    """The rung after native: it answers, doing what `act` does, and keeps what it was asked."""

    name: str = "php"
    act: Callable[[], None] = lambda: None
    events: list[str] = field(default_factory=list)

    def resolve(self, event: BroadcastEvent) -> Answer:
        self.events.append(event.class_name)
        self.act()
        return Answer(calls=(), why="done by PHP")


class Blog:
    """An app with models on MariaDB, users 1 to 60 in 5 teams, each with the post of the same id."""

    def __init__(self, folder: Path, database: services.Database) -> None:
        self.app = App(folder, **database.env)
        self.case = Case(self.app)
        self.engine = database.engine()
        self.php = Asked()
        self.run(*TABLES)
        with self.engine.begin() as connection:
            for n in range(1, 61):
                connection.exec_driver_sql(f"insert into users values ({n}, 'U{n}', 's3cret', {n % 5 + 1})")
                connection.exec_driver_sql(f"insert into posts values ({n}, 'P{n}', {n}, null)")
            for n in range(1, 6):
                connection.exec_driver_sql(f"insert into teams values ({n}, 'T{n}')")
        self.model("User", f"{USER}")
        self.model("Team")
        self.model("Comment")
        self.model("Post", POST)
        self.ladder: Ladder | None = None

    def model(self, short: str, body: str = "", head: str = "") -> None:
        self.case.add(short, f"{head} class {short} extends Model {{ public $timestamps = false; {body} }}")

    def sends(self, expression: str) -> None:
        self.case.sends(expression)

    def run(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def documents(
        self, keys: Sequence[Value], short: str = "Post", relations: Sequence[str] = (), event: str = "Sent"
    ) -> list[Document]:
        """A job for each key; an array of keys is a collection."""
        name = self.case.name(event)
        return [
            json.loads(
                job(
                    PhpObject(
                        name,
                        {b"post": self.case.model(short, key, relations=relations, connection="mysql")},
                    )
                )
            )
            for key in keys
        ]

    def opened(self) -> Ladder:
        if self.ladder is None:
            laravel = load(self.app.path, {}, "8.83")
            self.ladder = build_ladder(
                laravel, {}, version=parse_version("8.83"), only=("native", "php"), php=self.php
            )
        return self.ladder

    def batch(self, documents: Sequence[Document]) -> list[Resolution]:
        return [resolve() for resolve in self.opened().batch(documents)]

    def alone(self, documents: Sequence[Document]) -> list[Resolution]:
        return [self.opened().resolve(read_document(document)) for document in documents]

    def same(self, documents: Sequence[Document]) -> list[Resolution]:
        """What the batch comes to; AssertionError where that is another thing than one by one."""
        together = self.batch(documents)
        assert together == self.alone(documents)
        return together

    def selects(self, documents: Sequence[Document]) -> int:
        """The statements that the server counted for a batch; the connection was made before."""
        self.alone(documents[:1])
        before = self.counted()
        resolutions = self.batch(documents)
        after = self.counted()
        assert {one.outcome for one in resolutions} == {"broadcast"}
        return after - before

    def counted(self) -> int:
        with self.engine.connect() as connection:
            row = connection.exec_driver_sql("show global status like 'Com_select'").one()
        return int(row[1])

    def close(self) -> None:
        if self.ladder is not None:
            self.ladder.close()
        self.app.close()
        self.engine.dispose()


@pytest.fixture
def blog(
    tmp_path: Path, mariadb_database: services.Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Blog]:
    monkeypatch.setattr(reader, "FRESH", 3_600.0)  # however slow the machine: a batch asks once
    made = Blog(tmp_path / "app", mariadb_database)
    with closing(made):
        yield made


def sent(resolution: Resolution) -> object:
    (call,) = resolution.broadcasts
    return json.loads(call.data)["it"]


def test_fifty_jobs_with_a_model_each_ask_once(blog: Blog) -> None:
    blog.sends("$this->post->title")
    documents = blog.documents(range(1, 51))
    assert blog.selects(documents) == 1
    assert [sent(one) for one in blog.same(documents)] == [f"P{n}" for n in range(1, 51)]


def test_fifty_jobs_with_the_same_model_ask_once(blog: Blog) -> None:
    blog.sends("$this->post->title")
    assert blog.selects(blog.documents([7] * 50)) == 1


def test_relations_that_the_identifiers_name_are_asked_for_once_each(blog: Blog) -> None:
    blog.sends("$this->post")
    documents = blog.documents(range(1, 51), relations=["user.team"])
    assert blog.selects(documents) == 3
    assert "s3cret" not in str(blog.same(documents))
    assert sent(blog.batch(documents)[2])["user"]["team"] == {"id": 4, "name": "T4"}  # type: ignore[index]


def test_what_a_class_always_loads_is_asked_for_once(blog: Blog) -> None:
    blog.model("Post", f"protected $with = ['user']; {POST}")
    blog.sends("$this->post")
    documents = blog.documents(range(1, 51))
    assert blog.selects(documents) == 2
    blog.same(documents)


def test_relations_that_jobs_before_have_touched_are_asked_for_once_each(blog: Blog) -> None:
    blog.sends("$this->post->user->team->name")
    documents = blog.documents(range(1, 51))
    assert [blog.selects(documents), blog.selects(documents)] == [3, 3]
    blog.same(documents)


def test_what_the_batch_before_did_not_touch_is_not_read(blog: Blog) -> None:
    blog.sends("$this->post->user->name")
    blog.case.add(
        "Plain",
        "class Plain implements ShouldBroadcast { use SerializesModels; public $post;"
        " public function broadcastOn() { return 'c'; }"
        " public function broadcastWith() { return ['it' => $this->post->id]; } }",
    )
    blog.batch(blog.documents([1, 2]))
    plain = blog.documents([1, 2, 3], event="Plain")
    blog.batch(plain)
    assert blog.selects(plain) == 1


def test_several_models_of_one_job_and_collections_share_their_statement(blog: Blog) -> None:
    blog.sends("$this->post->count()")
    documents = blog.documents([PhpArray.of([1, 2]), PhpArray.of([2, 3]), PhpArray.of([3, 99])])
    assert blog.selects(documents) == 1
    assert [sent(one) for one in blog.same(documents)] == [2, 2, 1]


def test_one_job_alone_reads_nothing_ahead(blog: Blog) -> None:
    blog.sends("$this->post->title")
    documents = blog.documents([1])
    blog.batch(documents)  # the short way is tried out once
    assert blog.selects(documents) == 1


def test_a_missing_model_is_told_of_its_own_job_only(blog: Blog) -> None:
    blog.sends("$this->post->title")
    by = [one.by for one in blog.same(blog.documents([1, 999, 2]))]
    assert by == ["native", "php", "native"]  # what becomes of such a job is PHP's to judge


def test_a_model_in_the_trash_is_found_as_laravel_finds_it_and_no_relation_leads_to_it(blog: Blog) -> None:
    blog.model("Post", f"use SoftDeletes; {POST}")
    blog.model("User", f"use SoftDeletes; {USER}")
    blog.run("alter table users add deleted_at datetime")
    blog.run("update posts set deleted_at = '2024-01-01' where id = 2")
    blog.run("update users set deleted_at = '2024-01-01' where id = 3")
    blog.sends("[$this->post->trashed(), $this->post->user === null]")
    got = blog.same(blog.documents([1, 2, 3], relations=["user"]))
    assert [sent(one) for one in got] == [[False, False], [True, False], [False, True]]


def test_a_relation_with_a_global_scope_is_refused_as_ever(blog: Blog) -> None:
    blog.model(
        "User", f"{USER} protected static function booted() {{ static::addGlobalScope('x', fn ($q) => $q); }}"
    )
    blog.sends("$this->post->title")
    blog.same(blog.documents([1, 2], relations=["user"]))
    assert len(blog.php.events) == 4


@pytest.mark.parametrize(
    "keys",
    [
        [b"1", b"2"],
        [b"1", 2],
        [1, 2, 2.5, True],
        [b"1x", b"2"],
        [b"", 0],
        [-1, 0],
        [2**63 - 1, 1],
    ],
)
def test_keys_of_another_kind_than_the_column_come_to_what_they_come_to_alone(
    blog: Blog, keys: list[Value]
) -> None:
    blog.sends("$this->post->title")
    blog.same(blog.documents(keys))


@pytest.mark.parametrize("keys", [["a", "b", "none"], ["a", "A"], ["a ", "b"], ["é", "b"], ["e", "b"]])
def test_text_keys_that_the_database_may_take_for_others_come_to_what_they_come_to_alone(
    blog: Blog, keys: list[str]
) -> None:
    blog.model(
        "Room", "protected $keyType = 'string'; protected $primaryKey = 'uuid'; public $incrementing = false;"
    )
    blog.run("insert into rooms values ('a', 'RA'), ('b', 'RB'), ('é', 'RE')")
    blog.sends("[$this->post->uuid, $this->post->title]")
    blog.same(blog.documents([key.encode() for key in keys], "Room"))


def test_plain_text_keys_are_asked_for_together(blog: Blog) -> None:
    blog.model(
        "Room", "protected $keyType = 'string'; protected $primaryKey = 'uuid'; public $incrementing = false;"
    )
    blog.run("insert into rooms values ('a-1', 'RA'), ('b-2', 'RB')")
    blog.sends("$this->post->title")
    assert blog.selects(blog.documents([b"a-1", b"b-2"], "Room")) == 1


def test_many_rows_of_one_parent_come_in_the_order_in_which_they_come_alone(blog: Blog) -> None:
    blog.run("alter table comments add index by_text (post_id, text)")
    blog.run("insert into comments values (1, 1, 'z'), (2, 2, 'y'), (3, 1, 'a'), (4, 2, 'b'), (5, 3, 'm')")
    blog.sends("[$this->post->comments, $this->post->comment]")
    for relations in (["comments"], ["comment"], []):
        blog.same(blog.documents([1, 2, 3, 4], relations=relations))
        blog.same(blog.documents([1, 1], relations=relations))


def test_what_one_job_does_to_its_model_the_next_does_not_see(blog: Blog) -> None:
    blog.sends(
        "[$this->post->user->password === 's3cret', $this->post->user->makeVisible('password')->toArray()]"
    )
    blog.case.add(
        "Plain",
        "class Plain implements ShouldBroadcast { use SerializesModels; public $post;"
        " public function broadcastOn() { return 'c'; }"
        " public function broadcastWith() { return ['it' => $this->post]; } }",
    )
    relations = ["user"]
    shown = blog.documents([1], relations=relations)
    documents = [*shown, *blog.documents([1], relations=relations, event="Plain"), *shown]
    first, second, third = blog.same(documents)
    assert "s3cret" in str(first)
    assert "s3cret" not in str(second)
    assert "s3cret" in str(third)


def test_after_php_has_run_rows_are_read_again(blog: Blog) -> None:
    blog.sends("$this->post->title")
    blog.case.add(
        "Odd",
        "class Odd implements ShouldBroadcast { use SerializesModels; public $post;"
        " public function broadcastOn() { return app('odd')->channels(); } }",
    )
    blog.php.act = lambda: blog.run("update posts set title = 'Written by PHP' where id = 2")
    documents = [*blog.documents([1]), *blog.documents([5], event="Odd"), *blog.documents([2])]
    before, odd, after = blog.batch(documents)
    assert (sent(before), odd.why, sent(after)) == ("P1", "done by PHP", "Written by PHP")


def test_for_events_that_were_not_evaluated_nothing_is_read_ahead(blog: Blog) -> None:
    blog.case.add(
        "Odd",
        "class Odd implements ShouldBroadcast { use SerializesModels; public $post;"
        " public function broadcastOn() { return 'c'; }"
        " public function broadcastWith() { return app('odd')->all(); } }",
    )
    documents = blog.documents([1, 2, 3], event="Odd")
    blog.batch(documents)
    before = blog.counted()
    blog.batch(documents)
    assert blog.counted() - before == 3  # native restores each model before it meets what it does not know


def test_a_job_that_cannot_be_read_stands_in_nobodys_way(blog: Blog) -> None:
    blog.sends("$this->post->title")
    good = blog.documents([1, 2])
    bad = {**good[0], "data": {"commandName": "x", "command": "O:broken"}}
    got = blog.batch([good[0], bad, good[1]])
    assert [one.outcome for one in got] == ["broadcast", "failed", "broadcast"]


def test_a_table_that_is_missing_is_told_by_each_job(blog: Blog) -> None:
    blog.sends("$this->post->title")
    blog.run("drop table posts")
    blog.same(blog.documents([1, 2]))
    assert len(blog.php.events) == 4
