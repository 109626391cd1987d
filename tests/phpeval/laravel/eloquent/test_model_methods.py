"""Methods of models, their relations and their collections, as events of real apps use them, held against
real Laravel."""

from __future__ import annotations

import pytest

from tests.phpeval.laravel.eloquent.app import Case

TABLES = """
    drop table if exists users; drop table if exists comments; drop table if exists tags;
    drop table if exists post_tag; drop table if exists images;
    create table users (id integer primary key, name varchar, password varchar, deleted_at datetime);
    insert into users values (7, 'Ann Lee', 'pw', null), (8, 'Bob', 'pw', null), (9, 'Cy', 'pw', '2024-02-02 00:00:00');
    create table comments (id integer primary key, post_id integer, user_id integer, body varchar, rank integer,
        created_at datetime, updated_at datetime);
    insert into comments values (1, 1, 7, 'first', 3, '2024-03-01 00:00:00', null),
        (2, 1, 8, 'second', 1, '2024-03-02 00:00:00', null), (3, 1, 9, 'third', 2, null, null),
        (4, 2, 7, 'other', 9, null, null);
    create table tags (id integer primary key, label varchar);
    insert into tags values (5, 'five'), (6, 'six');
    create table post_tag (post_id integer, tag_id integer, weight integer, created_at datetime, updated_at datetime);
    insert into post_tag values (1, 5, 10, '2024-01-01 00:00:00', null), (1, 6, 20, null, null);
    create table images (id integer primary key, url varchar, imageable_type varchar, imageable_id integer);
"""  # noqa: E501 - rows stand in one line
POST = """
    protected $casts = ['meta' => 'array', 'due' => 'date:Y-m-d'];
    protected $hidden = ['secret'];
    function user() { return $this->belongsTo(User::class); }
    function comments() { return $this->hasMany(Comment::class); }
    function tags() { return $this->belongsToMany(Tag::class)->withPivot('weight')->withTimestamps(); }
    function image() { return $this->morphOne(Image::class, 'imageable'); }
    function getExcerptAttribute() { return Str::limit($this->title, 3); }
"""
MODELS = {
    "User": "class User extends Model { use SoftDeletes; protected $hidden = ['password'];"
    " function comments() { return $this->hasMany(Comment::class); } }",
    "Comment": "class Comment extends Model { function post() { return $this->belongsTo(Post::class); }"
    " function author() { return $this->belongsTo(User::class, 'user_id'); } }",
    "Tag": "class Tag extends Model { public $timestamps = false; }",
    "Image": "class Image extends Model { public $timestamps = false; }",
}


@pytest.fixture
def blog(case: Case) -> Case:
    case.app.sql(TABLES)
    for name, source in MODELS.items():
        case.add(name, source)
    case.post(
        POST, columns="meta text, due date", meta='{"a":{"b":[1,{"c":null}]}}', due="2024-06-01"
    )  # fmt: skip
    return case


@pytest.mark.parametrize(
    "expression",
    [
        "$this->post->load('user:id,name')",
        "[$this->post->fresh(), $this->post->fresh('user')->user->name, $this->post->fresh(['tags'])->tags]",
        "[$this->post->user->fresh()->name, $this->post->is($this->post->fresh())]",
        "$this->post->load(['comments:id,post_id,body', 'tags:id,label'])",
        "$this->post->load('comments.author:id,name')",
        "[$this->post->user->name, $this->post->loadMissing('user:id')->user]",
        "$this->post->load(['comments:id,post_id,user_id', 'comments.author:id,name'])",
        "$this->post->load('comments.author', 'comments:id,post_id,user_id')",
        "$this->post->load(['comments', 'comments.author:id,name', 'comments.author.comments:id,user_id'])",
        "$this->post->loadMissing(['comments:id,post_id,user_id', 'comments.author:id,name'])",
        "$this->post->loadMissing('comments.author:id,name', 'comments:id,post_id,user_id')",
        "$this->post->comments->loadMissing(['author:id,name', 'post.user:id,name'])",
        "$this->post->loadCount('comments')",
        "$this->post->loadCount(['comments', 'tags'])->only(['comments_count', 'tags_count'])",
        "$this->post->comments->load('author')->map->author",
        "$this->post->comments->load('author:id,name')",
        "$this->post->comments->loadMissing('author')",
        "[$this->post->comments->first()->author, $this->post->comments->loadMissing('author:id')]",
    ],
)
def test_relations_are_loaded_in_part_and_counted(blog: Case, expression: str) -> None:
    blog.sends(expression)
    assert '"password"' not in str(blog.data())


@pytest.mark.parametrize(
    "expression",
    [
        "[$this->post->comments()->count(), $this->post->tags()->count(), $this->post->user()->count()]",
        "[$this->post->comments()->exists(), $this->post->image()->exists()]",
        "$this->post->comments()->doesntExist()",
        "$this->post->comments()->latest()->first()",
        "$this->post->comments()->orderBy('rank')->get()",
        "$this->post->comments()->where('rank', '>', 1)->orderByDesc('rank')->get()->pluck('id')",
        "$this->post->comments()->where('rank', '>', 1)->count()",
        "[$this->post->tags()->get(), $this->post->tags()->first()]",
        "[$this->post->user()->first()->name, $this->post->image()->first()]",
        "$this->post->comments->last()->author()->count()",
        "$this->post->comments->last()->author()->withTrashed()->first()",
    ],
)
def test_a_relation_is_asked_as_a_query(blog: Case, expression: str) -> None:
    blog.sends(expression)
    blog.data()


@pytest.mark.parametrize(
    "expression",
    [
        "[$this->post->getOriginal('title'), $this->post->getOriginal('meta')]",
        "$this->post->getOriginal('nope')",
        "$this->post->getOriginal('due')",
        "$this->post->setRelation('user', null)",
        "$this->post->setRelation('comments', collect([1]))->relationsToArray()",
        "[$this->post->user->id, $this->post->unsetRelation('user')]",
        "[$this->post->user->id, $this->post->withoutRelations(), $this->post->relationLoaded('user')]",
        "[$this->post->user->id, array_keys($this->post->getRelations())]",
        "$this->post->setHidden(['title'])",
        "$this->post->setVisible(['id', 'title'])",
        "$this->post->setAppends(['excerpt'])",
        "[(string) $this->post, $this->post->toJson(), 'by ' . $this->post->user]",
        "collect($this->post)->only(['id', 'title'])",
        "[collect($this->post->user), collect($this->post)->count()]",
    ],
)
def test_a_model_is_changed_and_shown(blog: Case, expression: str) -> None:
    blog.sends(expression)
    assert '"password"' not in str(blog.data())


@pytest.mark.parametrize(
    "expression",
    [
        "$this->post->comments->makeHidden(['body', 'post_id'])",
        "$this->post->comments->pluck('rank')->countBy()",
        "$this->post->comments->countBy('user_id')",
        "$this->post->comments->countBy(fn ($c) => $c->rank > 1 ? 'high' : 'low')",
        "$this->post->comments->chunk(2)->map->pluck('id')",
        "$this->post->comments->groupBy('user_id')->map(fn ($g) => $g->pluck('body'))",
        "$this->post->comments->takeUntil(fn ($c) => $c->id == 2)->pluck('id')",
        "$this->post->comments->concat($this->post->tags)->map->getKey()",
        "$this->post->tags->pluck('label', 'pivot.weight')",
        "data_get($this->post, 'comments.*.author.name')",
    ],
)
def test_collections_of_models_are_worked_through(blog: Case, expression: str) -> None:
    blog.sends(expression)
    blog.data()


@pytest.mark.parametrize(
    "expression",
    [
        "$this->post->getOriginal()",
        "$this->post->getOriginal('excerpt')",
        "$this->post->comments()->count('id')",
        "$this->post->loadCount(['comments' => fn ($query) => $query])",
        "$this->post->loadCount('comments as total')",
        "$this->post->load(['user', 'user:id'])",
        "$this->post->load('user: id')",
        "$this->post->toJson(JSON_PRETTY_PRINT)",
        "collect([$this->post, 1])->makeHidden('id')",
        "$this->post->user->comments->merge($this->post->tags)->load('author')",
    ],
)
def test_what_is_not_known_of_it_is_refused(blog: Case, expression: str) -> None:
    blog.sends(expression)
    assert blog.refused()


def test_where_of_a_collection_compares_cases_as_the_release_does(case: Case) -> None:
    case.add("Level", "enum Level: int { case Low = 1; case High = 3; }")
    case.add("Mood", "enum Mood { case Fine; case Bad; }")
    held = ("Level::Low", "Level::High", "3", "'3'", "null", "Mood::Bad", "'Bad'")
    listed = ", ".join(f"['n' => {n}, 'it' => {one}]" for n, one in enumerate(held))
    operators = ("=", "==", "!=", "<>", "<", ">", "<=", ">=", "===", "!==")
    wanted = ("Level::High", "Mood::Bad", "3", "'3'", "'Bad'", "null")
    calls = [f"where('it', '{operator}', {one})" for operator in operators for one in wanted]
    calls += [f"{name}('it', {one})" for name in ("where", "firstWhere", "contains") for one in wanted]
    calls += ["whereNull('it')", "whereNotNull('it')", "where('it')"]
    shown = (
        f"is_bool($found = $items->{call}) ? $found : collect($found)->get('n', collect($found)->keys())"
        for call in calls
    )
    body = f"$items = collect([{listed}]); return [{', '.join(shown)}];"
    case.event(f"public $post; function broadcastWith() {{ {body} }}")
    resolution = case.both(post=None)
    assert resolution.outcome == "broadcast", resolution
