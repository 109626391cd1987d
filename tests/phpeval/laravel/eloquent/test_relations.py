"""Relations, held against real Laravel: what is loaded, from where, and what of it shows."""

from __future__ import annotations

import json

import pytest

from bridge.phpeval.php.runtime.values import PhpArray
from tests.phpeval.laravel.eloquent.app import Case

TABLES = """
    drop table if exists users; drop table if exists comments; drop table if exists tags;
    drop table if exists post_tag; drop table if exists old_users; drop table if exists old_posts;
    drop table if exists old_tags; drop table if exists old_post_tag;
    create table users (id integer primary key, name varchar, password varchar, deleted_at datetime);
    insert into users values (7, 'Ann', 'pw', null), (8, 'Ben', 'pw', '2024-01-01 00:00:00');
    create table comments (id integer primary key, post_id integer, body varchar, rank integer);
    insert into comments values (1, 1, 'a', 2), (2, 1, 'b', 1), (3, 2, 'c', 3);
    create table tags (id integer primary key, label varchar);
    insert into tags values (5, 'five'), (6, 'six');
    create table post_tag (post_id integer, tag_id integer, weight integer);
    insert into post_tag values (1, 5, 10), (1, 6, 20);
"""
RELATIONS = """
    function user() { return $this->belongsTo(User::class); }
    function comments() { return $this->hasMany(Comment::class); }
    function tags() { return $this->belongsToMany(Tag::class)->withPivot('weight'); }
"""
USER = "class User extends Model {{ protected $hidden = ['password']; {} }}"


@pytest.fixture
def blog(case: Case) -> Case:
    case.app.sql(TABLES)
    case.post(RELATIONS)
    case.add("User", USER.format(""))
    case.add(
        "Comment", "class Comment extends Model { function post() { return $this->belongsTo(Post::class); } }"
    )
    case.add("Tag", "class Tag extends Model { }")
    return case


@pytest.mark.parametrize("names", [["user"], ["comments", "comments.post"], ["tags"], ["user", "tags"]])
def test_relations_of_an_identifier_are_loaded_again(blog: Case, names: list[str]) -> None:
    blog.sends("$this->post")
    data = blog.data(post=blog.model(relations=names))
    assert isinstance(data, dict)
    assert set(names) - {"comments.post"} <= set(data["it"])
    assert "pw" not in str(data)


@pytest.mark.parametrize(
    "body",
    [
        "protected $with = ['user'];",
        "protected $with = ['user', 'comments']; protected $hidden = ['comments'];",
        "protected $with = ['user']; protected $visible = ['id'];",
        "protected $with = ['user']; protected $visible = ['id', 'user'];",
    ],
)
def test_what_a_model_always_loads_shows_and_hides_as_in_laravel(blog: Case, body: str) -> None:
    blog.post(body + RELATIONS)
    blog.sends("$this->post")
    assert "pw" not in str(blog.data())


@pytest.mark.parametrize(
    "always", ["'user:id,name'", "'user.posts'", "'user:id,name', 'comments.post'", "'user.posts:id,user_id'"]
)
@pytest.mark.parametrize("names", [["user"], ["user", "user.posts"], ["user", "comments", "comments.post"]])
def test_what_an_identifier_names_and_the_model_always_loads(
    blog: Case, always: str, names: list[str]
) -> None:
    blog.post(f"protected $with = [{always}];" + RELATIONS)
    blog.add("User", USER.format("function posts() { return $this->hasMany(Post::class)->without('user'); }"))
    blog.add(
        "Comment", "class Comment extends Model { function post() { return $this->belongsTo(Tag::class); } }"
    )
    blog.sends("$this->post")
    payload = blog.payload(post=blog.model(relations=names))
    ours, theirs = blog.app.native(payload), blog.app.laravel(payload)
    assert ours.outcome == "refused" or ours.broadcasts == theirs.broadcasts


@pytest.mark.parametrize(("version", "whole"), [("12.10", True), ("12.11", False), ("13.31", False)])
def test_since_12_11_what_is_always_loaded_is_not_loaded_again(blog: Case, version: str, whole: bool) -> None:
    blog.post("protected $with = ['user:id,name'];" + RELATIONS)
    blog.sends("$this->post")
    (call,) = blog.native(version=version, post=blog.model(relations=["user"])).broadcasts
    assert ("deleted_at" in json.loads(call.data)["it"]["user"]) is whole


def test_columns_that_12_26_loads_by_its_patch_release_are_refused(blog: Case) -> None:
    blog.sends("$this->post->loadMissing(['comments.post', 'comments:id,post_id'])")

    def has_bodies(version: str) -> bool:
        (call,) = blog.native(version=version).broadcasts
        return "body" in json.loads(call.data)["it"]["comments"][0]

    assert has_bodies("12.25.0")
    assert not has_bodies("12.27.0")
    assert "patch release of 12.26" in blog.refused(version="12.26.4")
    blog.sends("$this->post->loadMissing(['comments:id,post_id', 'comments.post'])")
    assert not has_bodies("12.26.0")


@pytest.mark.parametrize("always", ["'user.old'", "'user:id,name'"])
def test_a_fresh_model_has_what_it_always_loads_and_what_is_asked_for(blog: Case, always: str) -> None:
    blog.post(f"protected $with = [{always}];" + RELATIONS)
    blog.add("User", USER.format("function old() { return $this->hasMany(Comment::class, 'post_id'); }"))
    blog.sends("[$this->post->fresh(), $this->post->fresh('comments')]")
    blog.data()
    blog.sends("$this->post->fresh('user')")
    payload = blog.payload()
    ours, theirs = blog.app.native(payload), blog.app.laravel(payload)
    assert ours.outcome == "refused" or ours.broadcasts == theirs.broadcasts


@pytest.mark.parametrize(
    "read", ["$this->post->user->name", "isset($this->post->user)", "optional($this->post->user)->name"]
)
def test_a_relation_that_was_read_for_the_channel_shows_in_the_model_sent_whole(
    blog: Case, read: str
) -> None:
    blog.event(f"public $post; public function broadcastOn() {{ return new Channel('c' . {read}); }}")
    data = blog.data()
    assert isinstance(data, dict)
    assert data["post"]["user"] == {"id": 7, "name": "Ann", "deleted_at": None}


@pytest.mark.parametrize(
    "expression",
    [
        "$this->post->comments",
        "$this->post->comments->pluck('body')",
        "$this->post->comments->sortBy('rank')->values()",
        "$this->post->comments->map->only('id', 'body')",
        "$this->post->comments->keyBy('id')",
        "$this->post->comments->groupBy('rank')",
        "$this->post->comments->find(2)",
        "$this->post->comments->except([1])",
        "$this->post->comments->unique()",
        "[$this->post->comments->push(5)->count(), $this->post]",
        "[$this->post->comments->transform(fn ($comment) => $comment->id), $this->post]",
        "$this->post->comments->each->makeHidden('body')",
        "$this->post->comments->first()->post",
        "$this->post->tags",
        "$this->post->tags->first()->pivot->weight",
        "$this->post->load('tags', 'user')",
        "[$this->post->relationLoaded('user'), $this->post->user->id, $this->post->relationLoaded('user')]",
        "$this->post->loadMissing('comments')",
        "[$this->post->is($this->post), $this->post->user->is($this->post), $this->post->isNot(null)]",
        "[$this->post->Comments, $this->post->COMMENTS]",
    ],
)
def test_what_is_made_of_relations_is_laravels(blog: Case, expression: str) -> None:
    blog.sends(expression)
    blog.data()


@pytest.mark.parametrize(
    "expression",
    [
        "$this->post->user()->value('name')",
        "$this->post->comments()->sum('rank')",
        "$this->post->comments->fresh()",
        "$this->post->comments->loadCount('post')",
        "$this->post->loadMax('comments', 'rank')",
        "$this->post->load(['comments' => fn ($query) => $query->where('rank', 1)])",
    ],
)
def test_what_is_not_known_of_relations_is_refused(blog: Case, expression: str) -> None:
    blog.sends(expression)
    assert blog.refused()


@pytest.mark.parametrize(
    "relation",
    [
        "$this->hasMany(Comment::class)->limit(1)",
        "$this->hasOne(Comment::class)->ofMany('rank', 'max')",
        "$this->hasMany(Comment::class)->withDefault()",
        "$this->belongsTo(User::class)->withDefault(fn ($user) => $user)",
        "$this->belongsTo(User::class)->withDefault(['name' => ['a']])",
        "$this->hasMany(Comment::class)->wherePivot('weight', 20)",
        "$this->belongsToMany(Tag::class)->wherePivotIn('weight', [20])",
        "$this->belongsToMany(Tag::class)->using(Own::class)",
        "$this->belongsToMany(Tag::class, Own::class)",
        "$this->hasMany(Comment::class)->whereRaw('1 = 0')",
        "$this->hasMany(Comment::class)->where(fn ($query) => $query->where('rank', 1))",
        "'no relation'",
        "null",
    ],
)
def test_a_relation_of_a_kind_that_is_not_known_is_refused(blog: Case, relation: str) -> None:
    blog.post(f"function things() {{ return {relation}; }}")
    blog.add("Own", "class Own extends \\Illuminate\\Database\\Eloquent\\Relations\\Pivot { }")
    blog.sends("$this->post->things")
    assert blog.refused()


@pytest.mark.parametrize(
    "relation",
    [
        "$this->hasMany(Comment::class)->orderBy('rank')->where('rank', '<', 2)",
        "$this->hasMany(Comment::class)->whereNotNull('rank')->latest('id')",
        "$this->hasOne(Comment::class)->oldest('rank')",
        "$this->belongsTo(User::class, 'user_id')",
        "$this->belongsToMany(Tag::class)->as('link')",
        "$this->title === 'Title' ? $this->belongsTo(User::class, 'user_id') : null",
    ],
)
def test_conditions_and_orders_of_a_relation_count(blog: Case, relation: str) -> None:
    blog.post(f"function things() {{ return {relation}; }}")
    blog.sends("[$this->post->things, $this->post]")
    blog.data()


def test_a_relation_of_two_words_is_written_in_snake_case(blog: Case) -> None:
    blog.post("function theUser() { return $this->belongsTo(User::class, 'user_id'); }")
    blog.sends("[$this->post->theUser, $this->post->the_user, $this->post]")
    data = blog.data()
    assert isinstance(data, dict)
    assert "the_user" in data["it"][2]


@pytest.mark.parametrize("user_id", [None, 99])
def test_a_relation_that_points_nowhere_is_null(blog: Case, user_id: int | None) -> None:
    blog.post(RELATIONS, user_id=user_id)
    blog.sends("[$this->post->user, $this->post->user?->name, $this->post]")
    data = blog.data()
    assert isinstance(data, dict)
    assert data["it"][0] is None


# ---- scopes ----------------------------------------------------------------------------------

NONE = "addGlobalScope('none', fn ($query) => $query->where('id', 0))"


@pytest.mark.parametrize(
    "body",
    [
        f"protected static function booted() {{ static::{NONE}; }}",
        f"protected static function booted() {{ User::{NONE}; }}",
        f"protected static function boot() {{ parent::boot(); $class = static::class; $class::{NONE}; }}",
        "use Scoped;",
        f"use Empties; public static function bootEmpties() {{ static::{NONE}; }}",
        "use Aliased { other as bootAliased; }",
        "public function newQuery() { return parent::newQuery()->where('id', 0); }",
        "public function registerGlobalScopes($builder) { return $builder->where('id', 0); }",
    ],
)
def test_a_global_scope_of_a_related_model_is_refused(blog: Case, body: str) -> None:
    blog.add("Scoped", f"trait Scoped {{ public static function bootScoped() {{ static::{NONE}; }} }}")
    blog.add("Empties", "trait Empties { }")
    blog.add("Aliased", f"trait Aliased {{ public static function other() {{ static::{NONE}; }} }}")
    blog.add("User", USER.format(body))
    blog.sends("$this->post->user")
    assert blog.refused()
    (call,) = blog.app.laravel(blog.payload()).broadcasts
    assert call.data == '{"it":null}'  # so a guess would have shown it


def test_a_global_scope_does_not_count_for_the_model_of_an_identifier(case: Case) -> None:
    case.post(f"protected static function booted() {{ static::{NONE}; }}")
    case.sends("$this->post->id")
    assert case.data() == {"it": 1}


@pytest.mark.parametrize(
    ("body", "relation", "found"),
    [
        ("use SoftDeletes;", "$this->belongsTo(User::class)", False),
        ("use SoftDeletes;", "$this->belongsTo(User::class)->withTrashed()", True),
        ("", "$this->belongsTo(User::class)", True),
    ],
)
def test_a_deleted_row_is_left_out_of_a_relation(blog: Case, body: str, relation: str, found: bool) -> None:
    blog.add("User", USER.format(body))
    blog.post(f"function user() {{ return {relation}; }}", user_id=8)
    blog.sends("$this->post->user?->name")
    assert blog.data() == {"it": "Ben" if found else None}


def test_a_deleted_row_comes_back_as_the_model_of_an_identifier(case: Case) -> None:
    case.post("use SoftDeletes;", columns="deleted_at datetime", deleted_at="2024-01-02 00:00:00")
    case.sends("[$this->post, $this->post->trashed()]")
    data = case.data()
    assert isinstance(data, dict)
    assert data["it"][1] is True


def test_soft_deletes_that_boot_otherwise_are_refused(blog: Case) -> None:
    blog.add("User", USER.format("use SoftDeletes; public static function bootSoftDeletes() { }"))
    blog.sends("$this->post->user")
    assert "overrides bootSoftDeletes()" in blog.refused()


# ---- where it is read ------------------------------------------------------------------------

ARCHIVE = """
    create table old_users (id integer primary key, name varchar); insert into old_users values (7, 'Old');
    create table old_posts as select * from posts;
    create table old_tags (id integer primary key, label varchar); insert into old_tags values (5, 'Old');
    create table old_post_tag as select * from post_tag;
"""


@pytest.mark.parametrize(
    "expression", ["$this->post->user", "$this->post->tags", "$this->post->load('user')"]
)
def test_a_relation_is_read_from_the_connection_of_its_parent(blog: Case, expression: str) -> None:
    blog.app.sql(ARCHIVE)
    blog.sends(expression)
    assert "Old" in str(blog.data(post=blog.model(connection="archive")))


def test_a_related_class_may_name_its_own_connection(blog: Case) -> None:
    blog.app.sql(ARCHIVE)
    blog.add("User", USER.format("protected $connection = 'archive';"))
    blog.sends("$this->post->user->name")
    assert blog.data() == {"it": "Old"}


def test_a_related_model_with_a_guarded_override_is_refused_only_where_it_is_read(blog: Case) -> None:
    blog.add("User", USER.format("public function getHidden() { return ['name']; }"))
    blog.sends("$this->post->title")
    assert blog.data() == {"it": "Title"}
    blog.sends("$this->post->user")
    assert "overrides getHidden()" in blog.refused()


def test_what_a_model_always_counts_is_counted(blog: Case) -> None:
    blog.post("protected $withCount = ['comments', 'tags'];" + RELATIONS)
    blog.add(
        "User",
        USER.format(
            "protected $withCount = ['posts']; function posts() { return $this->hasMany(Post::class); }"
        ),
    )
    blog.sends("[$this->post, $this->post->tags_count, $this->post->user]")
    blog.data()
    blog.post("protected $withCount = ['comments as total'];" + RELATIONS)
    assert "the number of comments as total" in blog.refused()


@pytest.mark.parametrize(
    "relation",
    [
        "$this->belongsTo(User::class, 'user_id')->withDefault()",
        "$this->belongsTo(User::class, 'user_id')->withDefault(['name' => 'Guest', 'n' => 5])",
        "$this->hasOne(User::class, 'name', 'secret')->withDefault(['n' => 5])",
        "$this->belongsTo(User::class, 'user_id')->withDefault(false)",
        "$this->belongsToMany(Tag::class)->wherePivot('weight', 20)",
        "$this->belongsToMany(Tag::class)->withPivot('weight')->wherePivot('weight', '>', 5)",
        "$this->belongsToMany(Tag::class)->wherePivotNull('weight')",
    ],
)
@pytest.mark.parametrize("user", [7, 99, None])
def test_a_relation_with_a_default_or_a_condition_on_its_pivot(
    blog: Case, relation: str, user: int | None
) -> None:
    blog.post(READS.format("thing", relation), user_id=user)
    blog.sends("[$this->post->thing, $this->post->load('thing'), $this->post->thing()->get()]")
    blog.data()


def test_a_default_that_its_class_changes_is_refused(blog: Case) -> None:
    blog.add("User", USER.format("function setNameAttribute($v) { $this->attributes['name'] = 'x' . $v; }"))
    blog.post(
        READS.format("thing", "$this->belongsTo(User::class, 'user_id')->withDefault(['name' => 'a'])"),
        user_id=99,
    )
    blog.sends("$this->post->thing")
    assert "what its class changes" in blog.refused()


READS = "function {}() {{ return {}; }}"
BY_TITLE = "$this->hasMany(Comment::class)->where('body', $this->title === 'Title' ? 'a' : 'b')"


@pytest.mark.parametrize(
    "expression",
    [
        "$this->post->load('chosen')",
        "$this->post->loadMissing('chosen')",
        "[$this->post->chosen, $this->post]",
        "[$this->post->load('chosen')->chosen->count(), $this->post->chosen]",
    ],
)
def test_a_relation_that_reads_an_attribute_finds_none_when_it_is_loaded_eagerly(
    blog: Case, expression: str
) -> None:
    blog.post(RELATIONS + READS.format("chosen", BY_TITLE))
    blog.sends(expression)
    blog.data()


def test_so_do_relations_that_are_restored_and_those_that_are_always_loaded(blog: Case) -> None:
    blog.post("protected $with = ['chosen'];" + READS.format("chosen", BY_TITLE))
    blog.sends("$this->post")
    data = blog.data()
    assert isinstance(data, dict)
    assert [one["body"] for one in data["it"]["chosen"]] == ["b"]
    blog.post(READS.format("chosen", BY_TITLE))
    assert blog.data(post=blog.model(relations=["chosen"])) == data


@pytest.mark.parametrize(
    ("kind", "key", "expression"),
    [
        (None, None, "[$this->post->target, $this->post]"),
        (None, None, "$this->post->load('target')"),
        ("", None, "$this->post->load('target')"),
        ("User", 7, "[$this->post->target, $this->post]"),
        ("User", 7, "$this->post->load('target')"),
        ("User", 99, "$this->post->load('target')"),
        ("User", 7, "$this->post->load('target.posts')"),
    ],
)
def test_where_a_morph_relation_points_is_said_by_each_model(
    blog: Case, kind: str | None, key: int | None, expression: str
) -> None:
    named = blog.name(kind) if kind == "User" else kind
    blog.add("User", USER.format("function posts() { return $this->hasMany(Post::class); }"))
    blog.post(
        READS.format("target", "$this->morphTo()"),
        columns="target_type varchar, target_id integer",
        target_type=named,
        target_id=key,
    )
    blog.sends(expression)
    blog.data()


def test_a_morph_relation_with_a_key_and_no_type_is_refused(blog: Case) -> None:
    blog.post(READS.format("t", "$this->morphTo()"), columns="t_type varchar, t_id integer", t_id=7)
    blog.sends("$this->post->t")
    assert "without a type" in blog.refused()


@pytest.mark.parametrize("expression", ["$this->post->user", "$this->post->load('user')"])
def test_trashed_ones_of_what_has_no_soft_deletes_are_refused(blog: Case, expression: str) -> None:
    blog.post(READS.format("user", "$this->belongsTo(User::class)->withTrashed()"))
    blog.sends(expression)
    assert "which has no SoftDeletes" in blog.refused()


UUID = "9b1c7f6e-0000-4000-8000-000000000001"
BOARDS = f"""
    drop table if exists boards; drop table if exists sprints;
    create table boards (id varchar primary key, name varchar);
    insert into boards values ('{UUID}', 'one'), ('8', 'eight');
    create table sprints (id integer primary key, board_id varchar);
    insert into sprints values (1, '{UUID}'), (2, '8');
"""


@pytest.fixture
def boards(case: Case) -> Case:
    """Models with a text key whose class says only that it is not incrementing."""
    case.app.sql(BOARDS)
    case.add("Board", "class Board extends Model { public $incrementing = false; "
             "function sprints() { return $this->hasMany(Sprint::class); } }")  # fmt: skip
    case.add(
        "Sprint", "class Sprint extends Model { function board() { return $this->belongsTo(Board::class); } }"
    )
    return case


@pytest.mark.parametrize("expression", ["$this->post", "$this->post->load('sprints')"])
def test_several_keys_that_eloquent_casts_to_other_integers_are_refused(
    boards: Case, expression: str
) -> None:
    boards.sends(expression)
    names = ["sprints"] if expression == "$this->post" else []
    assert "keys are integers" in boards.refused(post=boards.model("Board", UUID.encode(), relations=names))
    assert "'id': 2" in str(boards.data(post=boards.model("Board", b"8", relations=names)))


@pytest.mark.parametrize(("number", "name"), [(1, "one"), (2, "eight")])
def test_a_parent_that_is_read_lazily_is_found_by_its_text(boards: Case, number: int, name: str) -> None:
    boards.sends("[$this->post->board, $this->post]")
    assert name in str(boards.data(post=boards.model("Sprint", number)))


def test_a_parent_that_is_loaded_is_looked_for_by_integers(boards: Case) -> None:
    boards.sends("$this->post->load('board')")
    assert "keys are integers" in boards.refused(post=boards.model("Sprint", 1))
    assert "eight" in str(boards.data(post=boards.model("Sprint", 2)))


@pytest.mark.parametrize("version", ["8.83", "10.48", "13.31"])
def test_a_collection_of_such_models_is_restored_by_integers_from_nine_on(boards: Case, version: str) -> None:
    boards.sends("$this->post")
    identifier = boards.model("Board")
    identifier.properties[b"id"] = PhpArray.of([UUID.encode(), b"8"])
    if version == "8.83":
        assert boards.native(version=version, post=identifier).outcome == "broadcast"
    else:
        assert "keys are integers" in boards.refused(version=version, post=identifier)


@pytest.mark.parametrize("text", ["8abc", "eight", "08", " 8"])
def test_a_text_that_is_no_integer_finds_no_model_with_integer_keys(case: Case, text: str) -> None:
    case.app.sql(
        "drop table if exists owners; drop table if exists things;"
        "create table owners (id integer primary key); insert into owners values (0), (8);"
        "create table things (id integer primary key, owner_id varchar);"
        f"insert into things values (1, '{text}'), (2, '8');"
    )
    case.add("Owner", "class Owner extends Model { public $timestamps = false; }")
    case.add(
        "Thing", "class Thing extends Model { function owner() { return $this->belongsTo(Owner::class); } }"
    )
    case.sends("$this->post->load('owner')")
    assert "'owner': None" in str(case.data(post=case.model("Thing", 1)))
    assert "'owner': {'id': 8}" in str(case.data(post=case.model("Thing", 2)))


LOOSE = """
    drop table if exists orders; drop table if exists lines; drop table if exists shops;
    create table shops (id integer primary key, name varchar); insert into shops values (8, 'eight');
    create table orders (id integer primary key, code varchar, shop_id varchar);
    insert into orders values (1, 'ABC', '08'), (2, null, null), (3, '', '8');
    create table lines (id integer primary key, order_code varchar collate nocase);
    insert into lines values (1, 'abc'), (2, 'ABC'), (3, '');
"""


@pytest.fixture
def loose(case: Case) -> Case:
    """Keys of which the database thinks more to be equal than PHP does."""
    case.app.sql(LOOSE)
    case.add("Shop", "class Shop extends Model { protected $keyType = 'string'; }")
    case.add("Line", "class Line extends Model { }")
    case.add(
        "Order",
        "class Order extends Model { function shop() { return $this->belongsTo(Shop::class); } "
        "function lines() { return $this->hasMany(Line::class, 'order_code', 'code'); } }",
    )
    return case


@pytest.mark.parametrize(
    "expression", ["$this->post->shop", "$this->post->lines", "$this->post->lines()->get()"]
)
def test_what_one_model_is_related_to_is_what_the_database_finds(loose: Case, expression: str) -> None:
    loose.sends(f"[{expression}, $this->post]")
    shown = str(loose.data(post=loose.model("Order", 1)))
    assert ("'name': 'eight'" if "shop" in expression else "'order_code': 'abc'") in shown


def test_what_is_loaded_for_many_is_matched_by_equal_keys(loose: Case) -> None:
    loose.sends("$this->post->load('lines')")
    shown = str(loose.data(post=loose.model("Order", 1)))
    assert "'order_code': 'ABC'" in shown
    assert "'order_code': 'abc'" not in shown


def test_a_model_without_a_key_beside_one_with_an_empty_text_is_refused(loose: Case) -> None:
    loose.sends("$this->post->load('lines')")
    identifier = loose.model("Order")
    identifier.properties[b"id"] = PhpArray.of([2, 3])
    assert "whose key is an empty text" in loose.refused(post=identifier)
    identifier.properties[b"id"] = PhpArray.of([2, 1])
    assert "'order_code': 'ABC'" in str(loose.data(post=identifier))


@pytest.mark.parametrize(
    "relation",
    [
        "hasMany(Comment::class)",
        "hasOne(Comment::class)",
        "hasMany(Comment::class, 'tagged_id')",
        "hasOne(Comment::class, null, 'id')",
        "belongsTo(Post::class, 'post_id')",
        "belongsToMany(Post::class, 'comments')",
        "belongsToMany(Post::class, 'comments', 'tagged_id')",
        "hasManyThrough(Comment::class, Post::class)",
        "hasManyThrough(Comment::class, Post::class, 'id', 'post_id', 'post_id')",
    ],
)
@pytest.mark.parametrize("expression", ["tag->it", "tag->load('it')", "far"])
def test_no_column_is_named_after_a_pivot(case: Case, relation: str, expression: str) -> None:
    """Laravel's own default for it is null, and the query an error."""
    case.app.sql(
        "drop table if exists tagged; create table tagged (id integer primary key, post_id integer);"
        "drop table if exists comments; create table comments (id integer primary key, post_id integer,"
        " tagged_id integer); insert into tagged values (1, 1); insert into comments values (1, 1, 1);"
    )
    pivot = "\\Illuminate\\Database\\Eloquent\\Relations\\Pivot"
    case.add(
        "Tagged",
        f"class Tagged extends {pivot} {{ protected $table = 'tagged'; public function it()"
        f" {{ return $this->{relation}; }} }}",
    )
    case.add("Comment", "class Comment extends Model { public $timestamps = false; }")
    case.post(
        "public function tag() { return $this->hasOne(Tagged::class); }"
        "public function far() { return $this->hasManyThrough(Comment::class, Tagged::class); }"
    )
    case.sends(f"$this->post->{expression}")
    ours, theirs = case.native(), case.app.laravel(case.payload())
    assert ours.outcome == "refused" or ours.broadcasts == theirs.broadcasts, (ours, theirs)
    named = "'tagged_id')" in relation or "'id', 'post_id'" in relation or "belongsTo(" in relation
    assert (ours.outcome == "broadcast") is (named and expression != "far")
