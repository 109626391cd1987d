"""Relations through another model, and one of many: as real Laravel loads them, or refused."""

from __future__ import annotations

import pytest

from bridge.phpeval.php.runtime.values import PhpArray
from tests.phpeval.laravel.eloquent.app import Case

TABLES = """
    drop table if exists authors; drop table if exists reviews; drop table if exists logins;
    create table authors (id integer primary key, post_id integer, name varchar, code varchar,
        deleted_at datetime);
    insert into authors values (1, 1, 'Ann', 'a', null), (2, 1, 'Ben', 'b', '2024-01-01 00:00:00'),
        (3, 2, 'Cyd', 'c', null), (4, 1, 'Dee', 'd', null), (5, null, 'Eve', 'e', null);
    create table reviews (id integer primary key, author_id integer, author_code varchar, stars integer,
        made_at datetime, deleted_at datetime, secret varchar);
    insert into reviews values (10, 1, 'a', 5, '2024-01-03 00:00:00', null, 's'),
        (11, 2, 'b', 4, null, null, 's'), (12, 4, 'd', 3, '2024-01-02 00:00:00', null, 's'),
        (13, 4, 'd', 1, '2024-01-01 00:00:00', '2024-02-01 00:00:00', 's'), (14, 3, 'c', 2, null, null, 's'),
        (15, 5, 'e', 2, null, null, 's');
    create table logins (id integer primary key, of_type varchar, of_id integer, post_id integer, at datetime,
        deleted_at datetime, place varchar);
    insert into logins values (1, 'POST', 1, 1, '2024-01-02 00:00:00', null, 'x'),
        (2, 'POST', 1, 1, '2024-01-03 00:00:00', null, 'y'),
        (3, 'POST', 1, 1, '2024-01-03 00:00:00', null, 'z'),
        (4, 'POST', 1, 1, '2024-01-01 00:00:00', null, 'x'), (5, 'POST', 2, 2, null, null, 'x'),
        (6, 'POST', 1, 1, '2024-01-09 00:00:00', '2024-02-01 00:00:00', 'x'),
        (7, 'POST', 1, 1, null, null, 'x'),
        (8, 'other', 1, 3, '2025-01-01 00:00:00', null, 'x');
    insert into posts (id, title, user_id) values (2, 'Two', null), (3, 'Three', null), (4, 'Four', null);
"""
RELATIONS = """
    protected $hidden = ['secret'];
    function reviews() { return $this->hasManyThrough(Review::class, Author::class); }
    function review() { return $this->hasOneThrough(Review::class, Author::class); }
    function byCode() {
        return $this->hasManyThrough(Review::class, Author::class, 'post_id', 'author_code', 'id', 'code');
    }
    function sorted() {
        return $this->hasManyThrough(Review::class, Author::class)
            ->where('stars', '>', 1)->orderByDesc('stars');
    }
    function byUser() {
        return $this->hasManyThrough(Review::class, Author::class, 'post_id', 'author_id', 'user_id');
    }
    function oneByUser() {
        return $this->hasOneThrough(Review::class, Author::class, 'post_id', 'author_id', 'user_id');
    }
    function none() {
        return $this->hasOneThrough(Review::class, Author::class, 'id', 'author_id', 'title')->withDefault();
    }
    function logins() { return $this->hasMany(Login::class); }
    function last() { return $this->hasOne(Login::class)->latestOfMany(); }
    function first() { return $this->hasOne(Login::class)->oldestOfMany(); }
    function lastAt() { return $this->hasOne(Login::class)->latestOfMany('at'); }
    function firstAt() { return $this->hasOne(Login::class)->oldestOfMany('at'); }
    function lastOr() {
        return $this->hasOne(Login::class)->latestOfMany()->withDefault(['place' => 'none']);
    }
    function lastMorph() { return $this->morphOne(Login::class, 'of')->latestOfMany(['at']); }
    function lastWhere() { return $this->hasOne(Login::class)->where('place', 'x')->latestOfMany(); }
    function lastWhereToo() { return $this->hasOne(Login::class)->latestOfMany()->where('place', 'x'); }
"""
DELETES = "use SoftDeletes; "


@pytest.fixture(params=["", DELETES], ids=["kept", "soft"])
def shop(case: Case, request: pytest.FixtureRequest) -> Case:
    case.post(RELATIONS)
    case.app.sql(TABLES.replace("POST", case.name("Post")))
    case.add("Author", f"class Author extends Model {{ {request.param} }}")
    case.add("Review", f"class Review extends Model {{ {request.param} protected $hidden = ['secret']; }}")
    login = "public $timestamps = false; protected $casts = ['at' => 'datetime'];"
    case.add("Login", f"class Login extends Model {{ {request.param} {login} }}")
    return case


EXPRESSIONS = [
    "$this->post->reviews",
    "$this->post->reviews->pluck('laravel_through_key', 'id')",
    "$this->post->review",
    "$this->post->byCode->pluck('id')",
    "$this->post->sorted->pluck('stars')",
    "$this->post->byUser",
    "$this->post->none",
    "$this->post->reviews()->count()",
    "$this->post->reviews()->exists()",
    "$this->post->reviews()->where('stars', 3)->get()",
    "$this->post->reviews()->first()",
    "$this->post->load('reviews', 'review', 'sorted')",
    "$this->post->loadCount('reviews')",
    "$this->post->last",
    "$this->post->first",
    "$this->post->lastAt",
    "$this->post->firstAt",
    "$this->post->lastOr",
    "$this->post->lastMorph",
    "$this->post->load('last', 'firstAt', 'lastMorph', 'logins')",
    "$this->post->last->place",
    "$this->post->last()->first()",
]
MANY = [
    "$this->posts",
    "$this->posts->load('reviews', 'review')",
    "$this->posts->load('last', 'first', 'lastAt', 'firstAt', 'lastOr', 'lastMorph')",
    "$this->posts->load('byUser')",
    "$this->posts->loadMissing('sorted')",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_they_lead_to_is_laravels(shop: Case, expression: str) -> None:
    shop.sends(expression)
    for key in (1, 2, 3):
        assert '"s"' not in str(shop.data(post=shop.model(key=key)))


@pytest.mark.parametrize("expression", MANY)
def test_of_many_models_they_lead_to_what_laravel_says(shop: Case, expression: str) -> None:
    shop.event(f"public $posts; public function broadcastWith() {{ return ['it' => {expression}]; }}")
    posts = shop.model()
    posts.properties[b"id"] = PhpArray.of([3, 1, 2])
    payload = shop.payload(posts=posts)
    ours, theirs = shop.app.native(payload), shop.app.laravel(payload)
    if "byUser" in expression:  # two of them have no key
        assert ours.outcome == "refused"
    else:
        assert (ours.outcome, ours.broadcasts) == ("broadcast", theirs.broadcasts), ours.why


@pytest.mark.parametrize("name", ["last", "lastAt", "reviews", "review", "lastOr", "lastMorph"])
def test_as_relations_of_a_payload_they_are_laravels(shop: Case, name: str) -> None:
    shop.sends("$this->post")
    for key in (1, 2, 3):
        shop.data(post=shop.model(key=key, relations=[name]))


@pytest.mark.parametrize(
    "expression",
    [
        "$this->post->lastWhere",
        "$this->post->lastWhereToo",
        "$this->post->oneByUser",
        "$this->post->last()->count()",
        "$this->post->load('last:id,post_id')",
    ],
)
def test_what_depends_on_more_is_refused(shop: Case, expression: str) -> None:
    shop.sends(expression)
    shop.refused(post=shop.model(key=2))
