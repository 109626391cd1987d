# ruff: noqa: E501 - templates stand in one line
"""API resources in what is sent, held against real Laravel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.phpeval.laravel.eloquent.app import App, Case, app

HEAD = (
    "use Illuminate\\Http\\Resources\\Json\\JsonResource; use Illuminate\\Http\\Resources\\Json\\ResourceCollection;"
    "use Illuminate\\Http\\Resources\\{MissingValue, MergeValue};\n"
)
COMMENTS = """
    create table if not exists comments (id integer primary key, post_id integer, user_id integer, body varchar,
        secret varchar, created_at datetime, updated_at datetime);
    delete from comments;
    insert into comments (id, post_id, user_id, body, secret) values (1, 1, 7, 'first', 'x'), (2, 1, null, 'second', 'y');
    create table if not exists users (id integer primary key, name varchar);
    delete from users;
    insert into users (id, name) values (7, 'Ann');
    create table if not exists tags (id integer primary key, name varchar);
    delete from tags;
    insert into tags (id, name) values (1, 'red'), (2, 'blue');
    create table if not exists post_tag (post_id integer, tag_id integer, weight integer);
    delete from post_tag;
    insert into post_tag (post_id, tag_id, weight) values (1, 1, 5), (1, 2, 6);
"""


@pytest.fixture(scope="module")
def module_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app(tmp_path_factory.mktemp("resource") / "app") as made:
        made.serve_cases()
        made.sql("drop table if exists comments; drop table if exists users; drop table if exists tags;")
        made.sql(COMMENTS)
        yield made


@pytest.fixture
def case(module_app: App) -> Iterator[Case]:
    made = Case(module_app)
    space = made.space.replace("\\", "\\\\")
    made.post(
        "protected $hidden = ['secret']; protected $appends = ['shout']; protected $casts = ['user_id' => 'string'];"
        "public function getShoutAttribute() { return strtoupper($this->title); }"
        f"public function comments() {{ return $this->hasMany('{space}\\\\Comment'); }}"
        f"public function user() {{ return $this->belongsTo('{space}\\\\User'); }}"
        f"public function writer() {{ return $this->belongsTo('{space}\\\\User', 'secret'); }}"
        f"public function tags() {{ return $this->belongsToMany('{space}\\\\Tag', 'post_tag', 'post_id', 'tag_id')"
        "->withPivot('weight'); }"
        "public function loud($x) { return $x . '!'; } protected function quiet() { return 'no'; }",
    )
    made.add(
        "Comment",
        "class Comment extends Model { protected $table = 'comments'; protected $hidden = ['secret'];"
        f"public function user() {{ return $this->belongsTo('{space}\\\\User'); }} }}",
    )
    made.add("User", "class User extends Model { protected $table = 'users'; public $timestamps = false; }")
    made.add("Tag", "class Tag extends Model { protected $table = 'tags'; public $timestamps = false; }")
    made.add("UserResource", HEAD + "class UserResource extends JsonResource { }")
    made.add(
        "CommentResource",
        HEAD + "class CommentResource extends JsonResource { public function toArray($request) {"
        " return ['id' => $this->id, 'body' => $this->body,"
        " 'user' => new UserResource($this->whenLoaded('user'))]; } }",
    )
    yield made
    made.remove()


def resource(case: Case, body: str, *, name: str = "PostResource", parent: str = "JsonResource") -> None:
    case.add(name, f"{HEAD} class {name} extends {parent} {{ {body} }}")


def shown(
    case: Case, array: str, expression: str = "new PostResource($this->post)", more: str = ""
) -> object:
    """What is sent of a resource with that array."""
    resource(case, f"public function toArray($request) {{ return {array}; }} {more}")
    case.sends(expression)
    return case.data()


@pytest.mark.parametrize(
    "array",
    [
        "['id' => $this->id, 'title' => $this->title, 'secret' => $this->secret, 'user' => $this->user_id]",
        "['a' => $this->shout, 'b' => $this->resource->title, 'c' => $this['title'] ?? 'none']",
        "['a' => $this->nowhere, 'b' => $this->nowhere ?? 'default', 'c' => isset($this->title), 'd' => isset($this->x)]",
        "['a' => $this->created_at, 'b' => optional($this->created_at)->toIso8601String()]",
        "['a' => $this->loud('x'), 'b' => $this->getKey(), 'c' => $this->relationLoaded('user')]",
        "parent::toArray($request)",
        "array_merge(parent::toArray($request), ['more' => 1])",
        "['more' => $this->user->name, 'last' => parent::toArray($request)]",
        "$this->resource->only(['id', 'title'])",
        "collect(['a' => 1, 'b' => $this->id])",
        "$this->resource",
        "new UserResource($this->user)",
        "null",
        "'text'",
        "[$this->id, $this->title]",
        "[1 => 'a', 2 => 'b']",
        "['1' => 'a', '1.5' => 'b']",
        "['1' => 'a', 'x' => 'b']",
        "['list' => [3 => 'a', 5 => 'b'], 'map' => [3 => 'a', 'k' => new MissingValue, 5 => 'c']]",
    ],
)  # fmt: skip
def test_what_a_resource_shows_is_laravels(case: Case, array: str) -> None:
    shown(case, array)


@pytest.mark.parametrize(
    "value",
    [
        "$this->when(true, 1)", "$this->when(false, 1)", "$this->when(false, 1, 2)", "$this->when(0, 1, null)",
        "$this->when($this->id, fn () => $this->title)", "$this->when(null, fn () => 1, fn () => 'other')",
        "$this->when(true, null)", "$this->merge(['x' => 1])", "$this->mergeWhen(true, ['x' => 1])",
        "$this->whenAppended('shout')", "$this->whenAppended('nothing')", "$this->whenAppended('nothing', 1, 2)",
        "$this->whenAppended('shout', fn () => 'yes')", "$this->whenAppended('nothing', 1)",
        "$this->transform($this->title, fn ($t) => $t . '?')", "$this->transform(null, fn ($t) => $t)",
        "$this->transform('', fn ($t) => $t, 5)", "$this->transform(null, fn ($t) => 1, fn ($v) => [$v])",
        "new MissingValue", "new MergeValue([1])", "[$this->when(false, 1), $this->when(true, 2)]",
        "['in' => $this->when(false, 1), 'out' => 2]", "[$this->when(false, 1)]",
        "$this->attributes(['id', 'title'])", "collect([$this->when(false, 1), 2])",
    ],
)  # fmt: skip
def test_a_conditional_value_is_laravels(case: Case, value: str) -> None:
    shown(case, f"['a' => 0, 'it' => {value}, 'z' => 1]")


@pytest.mark.parametrize(
    "entries",
    [
        "$this->merge(['x' => 1])", "'a' => 1, $this->merge(['x' => 1, 'a' => 2]), 'z' => 3",
        "'a' => 1, $this->mergeWhen(false, ['x' => 1]), 'z' => 3", "'a' => 1, $this->mergeWhen(true, []), 'z' => 3",
        "1, $this->merge([2, 3]), 4", "'a' => 1, $this->merge([2, 3]), 'z' => 4, 5",
        "'a' => 1, $this->merge(fn () => ['x' => $this->id]), 'z' => 3", "1, $this->merge(['k' => 2]), 4, $this->merge([5])",
        "'a' => 1, $this->merge(['x' => $this->when(false, 1), 'y' => [1, new MissingValue]]), 'z' => 3",
        "'a' => 1, $this->mergeWhen(true, new UserResource($this->user)), 'z' => 3",
        "'a' => 1, $this->merge(collect(['x' => 1])), 'z' => new MissingValue, 'x' => 7",
        "$this->attributes(['id', 'title']), 'z' => 1", "$this->merge(['a' => 1]), $this->merge(['b' => 2, 'a' => 3])",
        "3 => 'a', $this->merge([7 => 'b']), 'c'", "'in' => ['a' => 1, $this->merge(['b' => 2])]",
    ],
)  # fmt: skip
def test_merged_values_stand_where_laravel_puts_them(case: Case, entries: str) -> None:
    shown(case, f"[{entries}]")


@pytest.mark.parametrize("loaded", ["$this->post", "$this->post->load('user', 'comments', 'writer')"])
@pytest.mark.parametrize(
    "value",
    [
        "$this->whenLoaded('user')", "$this->whenLoaded('writer')", "$this->whenLoaded('writer', 1, 2)",
        "$this->whenLoaded('user', fn () => $this->user->name)", "$this->whenLoaded('user', 5, 6)",
        "$this->whenLoaded('user', fn () => 1, fn () => 2)", "new UserResource($this->whenLoaded('user'))",
        "new UserResource($this->whenLoaded('writer'))", "UserResource::make($this->whenLoaded('user'))",
        "CommentResource::collection($this->whenLoaded('comments'))", "new UserResource($this->user)",
        "new UserResource(null)", "CommentResource::collection($this->comments)", "$this->whenLoaded('user', null, 1)",
    ],
)  # fmt: skip
def test_a_relation_is_shown_when_it_was_loaded(case: Case, loaded: str, value: str) -> None:
    shown(case, f"['a' => 1, 'it' => {value}]", f"new PostResource({loaded})")


@pytest.mark.parametrize(
    "value",
    [
        "$this->whenPivotLoaded('post_tag', fn () => $this->pivot->weight)", "$this->whenPivotLoaded('other', 1)",
        "$this->whenPivotLoaded('post_tag', 1, 2)", "$this->whenPivotLoaded('other', 1, 2)",
        "$this->whenPivotLoadedAs('pivot', 'post_tag', fn () => $this->pivot->weight)",
        "$this->whenPivotLoadedAs('other', 'post_tag', 1, 2)",
    ],
)  # fmt: skip
def test_a_pivot_is_shown_when_it_was_loaded(case: Case, value: str) -> None:
    resource(case, f"public function toArray($request) {{ return ['it' => {value}]; }}", name="TagResource")
    case.sends("[TagResource::collection($this->post->tags), new TagResource($this->post)]")
    case.data()


@pytest.mark.parametrize(
    "expression",
    [
        "new PostResource($this->post)", "PostResource::make($this->post)", "(new PostResource($this->post))->resolve()",
        "(new PostResource($this->post))->toArray(request())", "PostResource::make($this->post)->toArray(null)",
        "(new PostResource($this->post))->jsonSerialize()", "(new PostResource($this->post))->additional(['m' => 1])",
        "(new PostResource($this->post))->resolve(new \\Illuminate\\Http\\Request)", "new PostResource(null)",
        "collect([$this->post])->map(fn ($p) => new PostResource($p))", "[[new PostResource($this->post)]]",
        "PostResource::collection([$this->post])", "PostResource::collection(collect(['k' => $this->post]))",
        "PostResource::collection([])", "PostResource::collection([$this->post])->resolve()", "(object) ['r' => new PostResource($this->post)]",
        "PostResource::collection([$this->post])->toArray(request())", "count(PostResource::collection([$this->post]))",
        "PostResource::collection([new PostResource($this->post)])", "(new PostResource($this->post))->title",
        "(new PostResource($this->post))->loud('y')", "PostResource::collection(collect([$this->post]))->first()",
        "PostResource::collection([$this->post])->collection->count()", "(new PostResource($this->post))->resource",
        "PostResource::collection(null)", "(new PostResource($this->post))->additional(['m' => 1])->additional",
    ],
)  # fmt: skip
def test_a_resource_may_be_made_and_asked_in_every_way(case: Case, expression: str) -> None:
    resource(
        case,
        "public static $wrap = 'post'; public function with($request) { return ['w' => 1]; }"
        "public function toArray($request) { return $this->resource === null ? ['none' => 1] :"
        " ['id' => $this->id, 'no' => $this->when(false, 1), $this->merge(['in' => 1])]; }",
    )
    case.sends(expression)
    case.both()


@pytest.mark.parametrize(
    ("own", "expression"),
    [
        ("public static function collection($r) { return parent::collection($r); }", "PostResource::collection([$this->post])"),
        ("public static function make(...$r) { return parent::make(...$r); }", "PostResource::make($this->post)"),
        ("public static function list($r) { return self::collection($r); }", "PostResource::list([$this->post])"),
        ("public static function list($r) { return static::collection($r); }", "LaterResource::list([$this->post])"),
        ("public static function list($r) { return self::collection($r); }", "LaterResource::list([$this->post])"),
        ("public static function list($r) { return self::make($r[0]); }", "LaterResource::list([$this->post])"),
        ("public static function list($r) { return PostResource::collection($r); }", "LaterResource::list([$this->post])"),
        ("public function list() { return self::make($this->resource); }", "(new LaterResource($this->post))->list()"),
        ("public static function list($r) { return array_map(fn ($p) => static::make($p), $r); }", "LaterResource::list([$this->post])"),
        ("public static function list($r) { return array_map([static::class, 'make'], $r); }", "LaterResource::list([$this->post])"),
    ],
)  # fmt: skip
def test_a_static_call_up_keeps_the_class_that_was_called(case: Case, own: str, expression: str) -> None:
    resource(
        case,
        f"{own} public function toArray($request) {{ return ['only' => $this->id, 'c' => static::class]; }}",
    )
    resource(
        case,
        "public function toArray($request) { return ['later' => parent::toArray($request)['only']]; }",
        name="LaterResource",
        parent="PostResource",
    )
    case.sends(expression)
    case.both()


@pytest.mark.parametrize(
    "body",
    [
        "public $more; public function __construct($resource, $more = 'd') { parent::__construct($resource); $this->more = $more; }",
        "public function __construct($resource, public $more = 5) { parent::__construct($resource); }",
        "protected $more = ['k' => 1];", "private ?string $more = 'p';", "const MORE = 1; protected $more = self::MORE;",
        "public $preserveKeys = true; public $more = [5 => 'a'];", "protected $preserveKeys = false; protected $more = 1;",
    ],
)  # fmt: skip
def test_properties_of_a_resource_come_before_those_of_its_model(case: Case, body: str) -> None:
    resource(
        case,
        f"{body} public function toArray($request) {{ return ['more' => $this->more, 'l' => [3 => 1],"
        " 'title' => $this->title]; }",
    )
    case.sends(
        "[new PostResource($this->post), PostResource::collection(collect([4 => $this->post])), new PostResource($this->post, 'given')]"
    )
    case.both()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "public $collects = CommentResource::class;",
        "public function toArray($request) { return ['data' => $this->collection, 'n' => $this->collection->count()]; }",
        "public function toArray($request) { return $this->collection->map(fn ($c) => $c->body)->all(); }",
        "public function toArray($request) { return ['n' => $this->count(), 'first' => $this->collection->first()]; }",
        "public $preserveKeys = true;",
        "public function toArray($request) { return ['all' => parent::toArray($request), 'x' => $this->when(false, 1)]; }",
        "public function __construct($resource) { parent::__construct($resource); $this->additional = ['a' => 1]; }",
    ],
)
@pytest.mark.parametrize("name", ["CommentCollection", "Comments"])
def test_a_collection_class_shows_what_laravel_shows(case: Case, name: str, body: str) -> None:
    resource(case, body, name=name, parent="ResourceCollection")
    case.sends(
        f"[new {name}($this->post->comments), {name}::make($this->post->comments->keyBy('id')), new {name}([])]"
    )
    case.both()


def test_a_hidden_attribute_stays_hidden_in_a_resource_that_shows_its_whole_model(case: Case) -> None:
    resource(case, "")
    case.sends("[new PostResource($this->post), PostResource::collection([$this->post])]")
    assert "s3cret" not in str(case.data())


def test_a_resource_is_a_public_property_like_any_other(case: Case) -> None:
    resource(case, "public function toArray($request) { return ['t' => $this->title]; }")
    case.event(
        "public $post; public $made; public function broadcastWith() { $this->made = new PostResource($this->post);"
        " return get_object_vars($this); }"
    )
    case.event(
        "public $post; public function broadcastWith() { return ['a' => new PostResource($this->post)]; }"
    )
    assert case.data() == {"a": {"t": "Title"}}


@pytest.mark.parametrize(
    ("version", "value", "json"),
    [
        # what Laravel of that release gave; it was asked once for each
        ("9.52", "$this->whenHas('title')", '"Title"'),
        ("9.52", "$this->whenHas('title', fn ($t) => $t . '?')", '"Title?"'),
        ("9.52", "$this->whenHas('x', 1, 2)", "2"),
        ("9.52", "$this->whenHas('created_at')", "null"),
        ("9.52", "$this->whenNotNull($this->created_at, 5)", "5"),
        ("9.52", "$this->whenNull($this->created_at, 1)", "null"),
        ("9.52", "$this->unless(true, 1, fn () => 2)", "2"),
        ("9.52", "[$this->mergeUnless(false, ['q' => 1]), 5]", '{"q":1,"0":5}'),
        ("9.52", "[$this->mergeWhen(false, ['q' => 1], ['r' => 2]), 5]", "[5]"),
        ("10.50", "[$this->mergeWhen(false, ['q' => 1], ['r' => 2]), 5]", '{"r":2,"0":5}'),
        ("9.52", "$this->whenLoaded('user', null)", "null"),
        ("11.56", "$this->whenLoaded('user', null)", '{"id":7,"name":"Ann"}'),
        ("10.50", "$this->whenLoaded('user', fn ($u) => $u->name)", '"Ann"'),
        ("13.26", "$this->whenLoaded('writer', fn ($w) => 1)", "null"),
        ("13.26", "$this->whenCounted('comments', 1, 2)", "2"),
        ("13.26", "$this->when(false, 1, null)", "null"),
    ],
)
def test_what_came_with_later_releases_is_theirs(case: Case, version: str, value: str, json: str) -> None:
    resource(case, f"public function toArray($request) {{ return ['it' => {value}]; }}")
    case.sends("new PostResource($this->post->load('user', 'writer'))")
    (call,) = case.native(version=version).broadcasts
    assert call.data == f'{{"it":{{"it":{json}}}}}'


@pytest.mark.parametrize(
    "body",
    [
        "public function toArray($request) { return ['it' => $request->user()]; }",
        "public function toArray($request) { return ['it' => $request->wants ?? 1]; }",
        "public function toArray($request) { return ['it' => $request]; }",
        "public function toArray($request) { return $request instanceof \\Symfony\\Component\\X ? [] : [1]; }",
        "public function toArray($request) { return ['it' => $this->quiet()]; }",
        "public function toArray($request) { return ['it' => $this->response()]; }",
        "public function toArray($request) { return ['it' => $this->whenHas('title')]; }",
        "public function toArray($request) { foreach ($this as $x) { } return []; }",
        "protected function removeMissingValues($data) { return []; }",
        "public function __get($key) { return 1; }",
        "public function resolve($request = null) { return []; }",
        "private $preserveKeys = true;",
        "use \\Nobody\\Trait_;",
    ],
)
def test_what_a_resource_does_beyond_is_refused(case: Case, body: str) -> None:
    resource(case, body)
    case.sends("new PostResource($this->post)")
    assert case.refused()


MARK = "#[\\Illuminate\\Http\\Resources\\Attributes\\{}] "


@pytest.mark.parametrize(("version", "kept"), [("13.0", True), ("12.67", False)])
def test_keys_are_preserved_where_an_attribute_says_so(case: Case, version: str, kept: bool) -> None:
    body = "function toArray($request) { return [5 => 'a', 7 => 'b']; }"
    case.add(
        "PostResource",
        f"{HEAD} {MARK.format('PreserveKeys')} class PostResource extends JsonResource {{ {body} }}",
    )
    case.sends("[new PostResource($this->post), PostResource::collection([3 => $this->post])]")
    (sent,) = case.native(version=version).broadcasts
    entries = {"5": "a", "7": "b"} if kept else ["a", "b"]
    assert json.loads(sent.data)["it"] == [entries, {"3": entries} if kept else [entries]]


@pytest.mark.parametrize(("version", "id"), [("13.0", 1), ("12.67", None)])
def test_what_a_collection_collects_may_stand_in_an_attribute(
    case: Case, version: str, id: int | None
) -> None:
    body = "function toArray($request) { return ['only' => $this->id]; }"
    case.add("Narrow", f"{HEAD} class Narrow extends JsonResource {{ {body} }}")
    case.add(
        "Listed",
        f"{HEAD} {MARK.format('Collects(Narrow::class)')} class Listed extends"
        " \\Illuminate\\Http\\Resources\\Json\\ResourceCollection { }",
    )
    case.sends("new Listed(collect([$this->post]))")
    (sent,) = case.native(version=version).broadcasts
    (entry,) = json.loads(sent.data)["it"]
    assert entry.get("only") == id


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("$this->post->toResource()", ["mine"]),
        ("$this->post->toResource(Narrow::class)", ["only"]),
        ("$this->post->newCollection([$this->post])->toResourceCollection()[0]", ["mine"]),
        ("$this->post->newCollection([$this->post])->toResourceCollection(Narrow::class)[0]", ["only"]),
        ("collect([$this->post])->toResourceCollection()[0]", ["mine"]),
    ],
)
def test_a_model_becomes_the_resource_that_its_attribute_names(
    case: Case, expression: str, names: list[str]
) -> None:
    for name, key in (("Narrow", "only"), ("PostResource", "mine")):
        body = f"function toArray($request) {{ return ['{key}' => $this->id]; }}"
        case.add(name, f"{HEAD} class {name} extends JsonResource {{ {body} }}")
    case.post(head="#[\\Illuminate\\Database\\Eloquent\\Attributes\\UseResource(PostResource::class)] ")
    case.sends(expression.replace("[0]", "->resolve()"))
    (sent,) = case.native(version="13.31").broadcasts
    it = json.loads(sent.data)["it"]
    assert list(it[0] if isinstance(it, list) else it) == names
    assert case.native(version="12.28").outcome == ("refused" if names == ["mine"] else "broadcast")


def test_a_model_without_a_resource_of_its_name_is_an_error(case: Case) -> None:
    case.post()
    case.sends("$this->post->toResource()")
    assert "Failed to find resource class" in case.native(version="13.31").why


def test_attributes_of_a_resource_are_refused_once_laravel_reads_them(case: Case) -> None:
    resource(case, "public $attributes = ['id'];")
    case.sends("new PostResource($this->post)")
    assert case.both()
    assert "has $attributes" in case.refused(version="12.45")


def test_methods_that_are_not_public_are_not_called_from_outside(case: Case) -> None:
    resource(case, "")
    case.sends("(new PostResource($this->post))->when(true, 1)")
    assert case.refused()


def test_a_macro_for_resources_may_be_anything(tmp_path: Path) -> None:
    provider = (
        "namespace App\\Providers; use Illuminate\\Http\\Resources\\Json\\JsonResource;"
        " class TestServiceProvider extends \\Illuminate\\Support\\ServiceProvider {"
        " public function boot() { JsonResource::macro('loud', fn () => 1); } }"
    )
    with app(tmp_path / "app", provider) as made:
        case = Case(made)
        case.post()
        case.sends("1")
        assert "macro()" in case.refused()
