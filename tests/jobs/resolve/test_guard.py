# ruff: noqa: E501 - templates stand in one line
"""Apps that try to slip something past the native rung: what it says is Laravel's, or it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.phpeval.laravel.eloquent.app import App, Case, app


@pytest.fixture(scope="module")
def module_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app(tmp_path_factory.mktemp("guard") / "app") as made:
        made.serve_cases()
        yield made


@pytest.fixture
def case(module_app: App) -> Iterator[Case]:
    made = Case(module_app)
    made.add(
        "HidesWhenMade",
        "trait HidesWhenMade { public function initializeHidesWhenMade() { $this->hidden[] = 'secret'; } }",
    )
    made.add("HidesNow", "trait HidesNow { public function getHidden() { return ['secret']; } }")
    made.add(
        "Watcher", "class Watcher { public function retrieved($model) { $model->makeHidden('secret'); } }"
    )
    made.add(
        "Base", "class Base extends Model { protected $table = 'posts'; protected $hidden = ['secret']; }"
    )
    made.add("Suit", "enum Suit: string { case Hearts = 'hearts'; public function label() { return 'H'; } }")
    yield made
    made.remove()


def held_against(case: Case, *, refused: bool | None = None) -> None:
    """Native says what Laravel says, or refuses; `refused` where only one of both is right."""
    payload = case.payload()
    ours, theirs = case.app.native(payload), case.app.laravel(payload)
    if ours.outcome != "refused":
        assert (ours.outcome, ours.broadcasts) == (theirs.outcome, theirs.broadcasts), (ours, theirs)
    if refused is not None:
        assert (ours.outcome == "refused") is refused, ours


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ("use HidesWhenMade;", True),
        ("use HidesNow;", True),
        ("use HidesNow { getHidden as protected other; }", True),
        ("protected $hidden = ['SECRET'];", False),
        ("public $hidden = ['secret'];", False),
        ("protected $visible = ['id', 'secret']; protected $hidden = ['secret'];", False),
        ("protected static function boot() { parent::boot(); static::retrieved(fn ($m) => $m->makeHidden('secret')); }", True),
        ("protected static function booted() { static::observe(Watcher::class); }", True),
        ("protected static function booted() { static::saving(fn ($m) => $m->makeHidden('secret')); }", False),
        ("public static function bootSneaky() { static::retrieved(fn ($m) => null); }", None),
        ("public function __construct(array $a = []) { parent::__construct($a); $this->setHidden(['secret']); }", True),
        ("public function newFromBuilder($a = [], $c = null) { return parent::newFromBuilder($a, $c)->makeHidden('secret'); }", True),
        ("public function setRawAttributes(array $a, $sync = false) { unset($a['secret']); return parent::setRawAttributes($a, $sync); }", True),
        ("public function getSecretAttribute($v) { return $v . strlen($this->title); }", False),
        ("public function getSecretAttribute($v) { return static::find(1)->title; }", True),
        ("protected $appends = ['others']; public function getOthersAttribute() { return static::where('id', '>', 0)->count(); }", True),
        ("protected $appends = ['mine']; public function getMineAttribute() { return $this->hasMany(Base::class, 'id', 'id')->get(); }", False),
        ("protected $appends = ['mine']; public function rows() { return $this->hasMany(Base::class, 'id', 'id'); } public function getMineAttribute() { return $this->rows; }", False),
        ("public function toArray() { return array_merge(parent::toArray(), ['secret' => 'x']); }", False),
        ("public function toArray() { return collect(parent::toArray())->except('secret')->all(); }", False),
        ("public function jsonSerialize(): array { return ['only' => 1]; }", True),
        ("protected function serializeDate(\\DateTimeInterface $d) { return 'date'; }", False),
        ("public function attributesToArray() { return []; }", True),
        ("protected $casts = ['user_id' => 'encrypted'];", None),
        ("protected $casts = ['secret' => Suit::class];", None),
        ("protected $casts = ['secret' => 'Suit'];", None),
        ("public static $snakeAttributes = false; protected $appends = ['longName']; public function getLongNameAttribute() { return 1; }", None),
        ("protected $connection = 'nowhere';", None),
        ("protected $dateFormat = 'U';", None),
        ("protected $primaryKey = 'user_id';", None),
        ("public function getKeyName() { return 'user_id'; }", True),
        ("public function getHidden() { return ['secret']; }", True),
        ("public function __get($k) { return $k; }", True),
        ("protected $dispatchesEvents = ['retrieved' => Watcher::class];", True),
        ("protected $with = ['user']; public function user() { return $this->belongsTo(Base::class, 'id'); } protected $hidden = ['user'];", False),
        ("public function hide() { return $this->makeHidden('secret'); }", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("expression", ["$this->post", "[$this->post->toArray(), $this->post->secret]"])
def test_a_model_that_hides_in_its_own_way(
    case: Case, body: str, refused: bool | None, expression: str
) -> None:
    case.post(body, created_at="2024-01-01 00:00:00")
    case.sends(expression)
    held_against(case, refused=refused)


@pytest.mark.parametrize(
    "relation",
    [
        "public function user() { return $this->belongsTo(Base::class, 'user_id'); } public function getUserIdAttribute($v) { return 1; }",
        "public function user() { return $this->belongsTo(Base::class, 'title', 'title'); } public function getTitleAttribute($v) { return strtolower($v); }",
        "public function user() { return $this->hasMany(Base::class, 'id', 'user_id'); } public function getUserIdAttribute($v) { return 1; }",
        "protected $casts = ['user_id' => 'bool']; public function user() { return $this->belongsTo(Base::class, 'user_id'); }",
        "protected $casts = ['user_id' => 'string']; public function user() { return $this->belongsTo(Base::class, 'user_id'); }",
        "protected $casts = ['title' => Suit::class]; public function user() { return $this->belongsTo(Base::class, 'title', 'title'); }",
        "public function user() { return $this->belongsTo(Upper::class, 'title', 'title'); }",
        "public function user() { return $this->belongsTo(Upper::class, 'user_id', 'user_id')->withDefault(['x' => 1]); }",
    ],
)
@pytest.mark.parametrize("expression", ["$this->post->user", "$this->post->load('user')"])
def test_a_relation_whose_key_is_not_as_it_is_stored(case: Case, relation: str, expression: str) -> None:
    case.add(
        "Upper",
        "class Upper extends Base { public function getTitleAttribute($v) { return strtoupper($v); }"
        " public function getUserIdAttribute($v) { return $v + 1; } }",
    )
    case.post(relation, title="hearts")
    case.sends(expression)
    held_against(case)


@pytest.mark.parametrize(
    "body",
    [
        "return ['it' => new class($this->post) { public $x; public function __construct($p) { $this->x = $p; } }];",
        "$p = clone $this->post; return ['it' => $p->makeHidden('secret'), 'post' => $this->post];",
        "$this->post->makeHidden('secret'); return ['it' => $this->post];",
        "$this->post->secret = 'changed'; return ['it' => $this->post];",
        "$this->post->setHidden(['secret']); return ['it' => $this->post];",
        "return ['it' => $this->post->setVisible(['id'])];",
        "return ['it' => $this->post->makeVisible('secret')->toArray(), 'json' => json_encode($this->post)];",
        "return ['it' => (array) $this->post];",
        "return ['it' => (string) $this->post];",
        "return ['it' => get_object_vars($this)];",
        "return ['it' => serialize($this->post)];",
        "return ['it' => $this->post->getOriginal('secret')];",
        "return ['it' => $this->post->replicate()];",
        "return ['it' => $this->post->fresh()];",
        "return ['it' => collect([$this->post])->map->only('id')->toArray()];",
        "return ['it' => collect([$this->post])->toJson()];",
        "return ['it' => [$this->post->getAttributes(), $this->post->attributesToArray()]];",
        "foreach ([$this->post] as $p) { $p->append('nothing'); } return ['it' => $this->post];",
        "static $n = 0; return ['it' => $n];",
        "return ['it' => compact('nothing')];",
        "return ['it' => Suit::from('hearts'), 'all' => Suit::cases(), 'l' => Suit::from('hearts')->label()];",
        "return ['it' => [Suit::Hearts, (object) ['s' => Suit::Hearts], collect([Suit::Hearts])]];",
        "return ['it' => (array) Suit::Hearts];",
    ],
)  # fmt: skip
def test_an_event_that_asks_its_model_in_an_unusual_way(case: Case, body: str) -> None:
    case.post("protected $hidden = ['secret'];")
    case.event(f"public $post; public function broadcastWith() {{ {body} }}")
    held_against(case)


BAG = """
    class Bag implements \\ArrayAccess {
        public $open = 'property';
        private $held = ['n' => 3, 'none' => null, 'deep' => ['k' => 'v']];
        public function offsetExists($key): bool { return array_key_exists($key, $this->held); }
        public function offsetGet($key): mixed { return $this->held[$key]; }
        public function offsetSet($key, $value): void { }
        public function offsetUnset($key): void { }
    }
"""


@pytest.mark.parametrize(
    "expression",
    [
        "data_get(new Bag, 'n')",
        "data_get(new Bag, 'deep.k', 'd')",
        "[data_get(new Bag, 'none', 'd'), data_get(new Bag, 'missing', 'd'), data_get(new Bag, 'open')]",
        "collect([new Bag, new Bag])->pluck('n')",
        "collect([new Bag, new Bag])->sum('n')",
        "collect([new Bag, new Bag])->where('n', 3)->count()",
        "collect([new Bag])->keyBy('n')->keys()",
        "collect([new Bag])->groupBy('deep.k')->keys()",
        "[collect([new Bag])->max('n'), collect([new Bag])->contains('n', 3)]",
        "collect([new Bag, new Bag])->implode('n', '-')",
        "\\Illuminate\\Support\\Arr::pluck([new Bag], 'n', 'deep.k')",
    ],
)
def test_an_object_that_is_read_like_an_array(case: Case, expression: str) -> None:
    case.add("Bag", BAG)
    case.post()
    case.sends(expression)
    held_against(case, refused=False)
