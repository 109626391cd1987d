"""Local scopes, `with()` and nested `loadMissing()`, held against real Laravel."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from bridge.jobs.resolve.resolution import Resolution
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.laravel.application import load
from bridge.laravel.payload import read_payload
from bridge.phpeval.php.runtime.values import PhpObject
from bridge.serve.wiring.ladder import build_ladder
from tests.phpeval.laravel.eloquent.app import Case, app, job
from tests.versions import laravel_version, release

TABLES = """
    drop table if exists users; drop table if exists comments; drop table if exists notes;
    create table users (id integer primary key, name varchar);
    insert into users values (7, 'Ann'), (8, 'Ben');
    create table notes (id integer primary key, comment_id integer, text varchar, user_id integer);
    insert into notes values (1, 1, 'n', 7), (2, 3, 'm', null);
    create table comments (id integer primary key, post_id integer, user_id integer, state varchar,
        rank integer, deleted_at datetime);
    insert into comments values (1, 1, 7, 'open', 2, null), (2, 1, null, 'shut', 1, null),
        (3, 1, 8, 'open', 5, null), (4, 1, 8, 'open', 1, '2024-01-01'), (5, 2, 8, 'open', 9, null);
"""
POST = """
    function comments() { return $this->hasMany(Comment::class); }
    function open() { return $this->hasMany(Comment::class)->open()->with('author')->orderBy('id'); }
    function latest() { return $this->hasMany(Comment::class)->above(1); }
    function user() { return $this->belongsTo(User::class); }
"""
COMMENT = """class Comment extends Model {
    use SoftDeletes; protected $with = ['notes']; protected $hidden = ['user_id'];
    function author() { return $this->belongsTo(User::class, 'user_id'); }
    function post() { return $this->belongsTo(Post::class); }
    function notes() { return $this->hasMany(Note::class); }
    public function scopeOpen(\\Illuminate\\Database\\Eloquent\\Builder $query): void {
        $query->where('state', 'open'); }
    public function scopeAbove($query, int $rank = 1) { return $query->where('rank', '>', $rank)->open(); }
    public function scopeBest($query) { return $query->orderByDesc('rank')->latest('id'); }
    public function scopeEither($query) { return $query->where('id', 2)->orWhere('id', 5); }
    public function scopeNumber($query) { return 5; }
    public function scopeTop($query) { return $query->first(); }
    public function scopeWhereOpen($query) { return $query->open(); }
    private function scopeHidden($query) { return $query->open(); }
    #[\\Illuminate\\Database\\Eloquent\\Attributes\\Scope]
    protected function shut($query) { $query->where('state', 'shut'); }
}"""
NOTE = """class Note extends Model {
    public function scopeCount($query) { return $query->where('id', 1); }
    function author() { return $this->belongsTo(User::class, 'user_id'); }
    function comment() { return $this->belongsTo(Comment::class); }
}"""


@pytest.fixture
def blog(case: Case) -> Case:
    case.app.sql(TABLES)
    case.post(POST)
    case.add("User", "class User extends Model { protected $hidden = ['name']; }")
    case.add("Comment", COMMENT)
    case.add("Note", NOTE)
    return case


ASKED = (
    "$this->post->comments()->open()->get()",
    "$this->post->comments()->above()->count()",
    "$this->post->comments()->above(2)->first()",
    "$this->post->comments()->above(99)->exists()",
    "$this->post->comments()->best()->open()->get()->pluck('id')",
    "$this->post->comments()->whereOpen()->withTrashed()->count()",
    "$this->post->comments[0]->notes()->count()->get()",
    "$this->post->open",
    "$this->post->load('latest')->latest",
    "$this->post->comments()->with('author')->orderBy('rank')->get()",
    "$this->post->comments()->with(['author:id', 'post.user'])->first()",
    "$this->post->comments()->with('notes')->get()",
    "$this->post->comments()->with('notes.author', 'author')->get()",
    "$this->post->user()->with('nothing')->count()",
    "$this->post->loadMissing('comments.author')",
    "$this->post->loadMissing(['comments.notes.author', 'comments.author:id,name', 'user'])",
    "[$this->post->comments->first()->author->id, $this->post->loadMissing('comments.author')]",
    "$this->post->comments->loadMissing('post.user', 'notes.comment.author')",
    "$this->post->setRelation('user', null)->loadMissing('user.posts')",
)


def answers(blog: Case, asked: Sequence[str]) -> Iterator[tuple[str, Resolution, Resolution]]:
    """Of each expression, in an event of its own: what bridge says, and what Laravel says."""
    for number, expression in enumerate(asked):
        body = f"public $post; function broadcastWith() {{ return [{expression}]; }}"
        channel = "function broadcastOn() { return new Channel('c'); }"
        blog.add(
            f"Sent{number}",
            f"class Sent{number} implements ShouldBroadcast {{ use SerializesModels; {body} {channel} }}",
        )
        payload = job(PhpObject(blog.name(f"Sent{number}"), {b"post": blog.model()}))
        yield expression, blog.app.native(payload), blog.app.laravel(payload)


def test_scopes_and_what_is_loaded_with_them_are_laravels(blog: Case) -> None:
    for expression, ours, theirs in answers(blog, ASKED):
        assert (ours.outcome, ours.broadcasts) == ("broadcast", theirs.broadcasts), (expression, ours.why)


DEEP = """class Remark extends Model {
    protected $table = 'comments'; protected $with = ['author.notes.comment'];
    function author() { return $this->belongsTo(User::class, 'user_id'); }
    function notes() { return $this->hasMany(Note::class, 'comment_id'); }
}"""
DEEPER = """class Remark extends Model {
    protected $table = 'comments';
    function author() { return $this->belongsTo(User::class, 'user_id'); }
    function notes() { return $this->hasMany(Note::class, 'comment_id'); }
}"""
DEEPLY = (
    "$this->post->remarks()->with('author')->get()",
    "$this->post->remarks()->with('notes', 'author.notes', 'author')->get()",
    "$this->post->remarks()->with('author')->with('author.notes.author')->first()",
    "$this->post->load('remarks.author')",
    "$this->post->load('deep.author')",
    "$this->post->load(['deep.notes', 'deep.author', 'remarks'])",
    "$this->post->deep",
    "[$this->post->remarks[0]->load('author'), $this->post->deep[0]->author]",
    "$this->post->loadMissing('deep.author', 'remarks.author.notes')",
    "$this->post->remarks()->with('author:id,name')->get()",
    "$this->post->load('deep.author:id,name')",
)


@pytest.mark.parametrize("remark", [DEEP, DEEPER])
def test_what_a_class_loads_deeper_stays_where_its_relation_is_loaded_too(blog: Case, remark: str) -> None:
    blog.post(
        """
        function remarks() { return $this->hasMany(Remark::class); }
        function deep() { return $this->hasMany(Remark::class)->with('author.notes'); }
        """
    )
    blog.add("User", "class User extends Model { function notes() { return $this->hasMany(Note::class); } }")
    blog.add("Remark", remark)
    for expression, ours, theirs in answers(blog, DEEPLY):
        assert theirs.outcome == "broadcast", theirs.why
        if ours.outcome == "refused":
            assert ":id,name" in expression, (expression, ours.why)
            assert "in two ways" in str(ours.why)
        else:
            assert ours.broadcasts == theirs.broadcasts, expression


def test_a_marked_scope_is_there_from_laravel_12_4_on(blog: Case) -> None:
    blog.sends("$this->post->comments()->shut()->get()")
    if release() >= (12, 4):
        blog.data()
    else:
        blog.refused()


@pytest.mark.parametrize("scope", ["either", "number", "top", "hidden", "scopeOpen", "nothing", "with"])
def test_what_only_laravel_can_tell_of_a_scope_is_refused(blog: Case, scope: str) -> None:
    arguments = "['author' => fn ($query) => $query->where('id', 1)]" if scope == "with" else ""
    blog.sends(f"$this->post->comments()->{scope}({arguments})->count()")
    blog.refused()


def test_a_model_that_calls_its_scopes_in_its_own_way_is_refused(blog: Case) -> None:
    own = "public function callNamedScope($scope, array $parameters = []) { return $parameters[0]; } }"
    blog.add("Comment", COMMENT.removesuffix("}") + own)
    blog.sends("$this->post->comments()->open()->count()")
    assert "callNamedScope" in blog.refused()


MACRO = """
    namespace App\\Providers;
    use Illuminate\\Database\\Eloquent\\Builder;
    class TestServiceProvider extends \\Illuminate\\Support\\ServiceProvider {
        function boot() { Builder::macro('open', function () { return $this->where('state', 'shut'); }); } }
"""


def test_a_macro_of_queries_goes_before_a_scope(tmp_path: Path) -> None:
    with app(tmp_path / "app", MACRO) as made, closing(PhpRung(made.path)) as php:
        case = Case(made)
        made.sql(TABLES)
        case.post(POST)
        case.add("Comment", COMMENT)
        case.add("Note", NOTE)
        case.sends("$this->post->comments()->open()->get()->pluck('id')")
        assert case.refused()
        laravel = load(made.path, {}, laravel_version())
        ladder = build_ladder(laravel, {}, only=("native", "php"), php=php, report=php.report)
        with closing(ladder):
            answer = ladder.resolve(read_payload(case.payload()))
    assert (answer.by, json.loads(answer.broadcasts[0].data)) == ("php", {"it": [2]})
