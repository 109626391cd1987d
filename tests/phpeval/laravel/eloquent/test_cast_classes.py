# ruff: noqa: E501 - templates stand in one line
"""Cast classes of an app, and the objects that a model keeps, held against real Laravel."""

from __future__ import annotations

import pytest

from tests.phpeval.laravel.eloquent.app import Case

CONTRACTS = (
    "use Illuminate\\Contracts\\Database\\Eloquent\\{CastsAttributes, CastsInboundAttributes, SerializesCastableAttributes};"
    "use Illuminate\\Contracts\\Support\\{Arrayable, Jsonable};"
)
MONEY = (
    "class Money implements CastsAttributes { public function get($model, $key, $value, $attributes)"
    " { return $value === null ? null : number_format($value / 100, 2); }"
    " public function set($model, $key, $value, $attributes) { return (int) ($value * 100); } }"
)
PLACE = "class Place {0} {{ public $x; public $y; public function __construct($x, $y) {{ $this->x = $x; $this->y = $y; }} {1} }}"
POINT = (
    "class Point implements {0} {{ public function get($model, $key, $value, $attributes)"
    " {{ return new Place($attributes['x'], $attributes['y'] ?? 0); }}"
    " public function set($model, $key, $value, $attributes) {{ return ['x' => $value->x, 'y' => $value->y]; }} {1} }}"
)
SHOWS = (
    "[$this->post->it, $this->post, $this->post->title, $this->post->toArray(), $this->post->getAttributes()]"
)


def cast(case: Case, name: str, source: str, value: object, expression: str = SHOWS, more: str = "") -> None:
    """The column `it` holds the value and has the cast class."""
    short = name.partition(":")[0]
    case.add(short, CONTRACTS + source)
    text = f"{short}::class . '{name[len(short) :]}'" if ":" in name else f"{short}::class"
    case.post(
        f"protected $casts = ['it' => {text}]; {more}", columns="it, x integer, y integer", it=value, x=3, y=4
    )
    case.sends(expression)


@pytest.mark.parametrize("value", [None, 0, 1234, "5", -7])
def test_a_cast_class_gives_what_its_get_gives(case: Case, value: object) -> None:
    cast(case, "Money", MONEY, value)
    case.data()


@pytest.mark.parametrize("arguments", ["", ":a", ":a,b", ":a,b,c"])
def test_a_cast_class_gets_its_arguments(case: Case, arguments: str) -> None:
    source = (
        "class Own implements CastsAttributes { protected $given; public function __construct(...$given) { $this->given = $given; }"
        " public function get($model, $key, $value, $attributes) { return [$this->given, $key, $value, count($attributes)]; }"
        " public function set($model, $key, $value, $attributes) { return $value; } }"
    )
    cast(case, f"Own{arguments}", source, "v")
    case.data()


@pytest.mark.parametrize("parameters", ["$by", "$by = 2", "int $by = 1"])
@pytest.mark.parametrize("arguments", ["", ":3"])
def test_a_constructor_of_a_cast_class_is_evaluated(case: Case, parameters: str, arguments: str) -> None:
    source = (
        f"class Own implements CastsAttributes {{ private $by; public function __construct({parameters}) {{ $this->by = $by; }}"
        " public function get($model, $key, $value, $attributes) { return $value . $this->by; }"
        " public function set($model, $key, $value, $attributes) { return $value; } }"
    )
    cast(case, f"Own{arguments}", source, "v")
    case.both()


@pytest.mark.parametrize(
    ("interface", "method"),
    [
        ("", ""),
        ("implements Arrayable", "public function toArray() { return ['as' => 'array']; }"),
        (
            "implements \\JsonSerializable",
            "#[\\ReturnTypeWillChange] public function jsonSerialize() { return [$this->x]; }",
        ),
        ("implements Jsonable", "public function toJson($o = 0) { return '{}'; }"),
        (
            "implements Arrayable, \\JsonSerializable",
            "public function toArray() { return ['as' => 'array']; } #[\\ReturnTypeWillChange] public function jsonSerialize() { return 'j'; }",
        ),
        ("implements \\Stringable", "public function __toString(): string { return $this->x . ''; }"),
    ],
)
@pytest.mark.parametrize("kind", ["CastsAttributes", "CastsAttributes, SerializesCastableAttributes"])
def test_an_object_of_a_cast_class_becomes_json_as_laravel_has_it(
    case: Case, kind: str, interface: str, method: str
) -> None:
    case.add("Place", CONTRACTS + PLACE.format(interface, method))
    serialize = "public function serialize($model, string $key, $value, array $attributes) { return $value->x . '!'; }"
    cast(case, "Point", POINT.format(kind, serialize if "Serializes" in kind else ""), "v")
    case.data()


@pytest.mark.parametrize(
    "expression",
    [
        "[$this->post->it, $this->post->it === $this->post->it, $this->post]",
        "[$this->post->getAttributes(), $this->post->it, $this->post->getAttributes()]",
        "[$this->post->it->move(7), $this->post->it, $this->post->x, $this->post->toArray()]",
        "[$this->post->it->move(7), $this->post->only(['it', 'x', 'y'])]",
        "[$this->post->it->move(7), $this->post->makeHidden('it')]",
        "[$this->post->toArray(), $this->post->it->move(7), $this->post->toArray()]",
        "[$this->post->it->move('9'), $this->post->x]",
    ],
)
@pytest.mark.parametrize(
    "written",
    [
        "['x' => $value->x, 'y' => $value->y]",
        "$value->x . ',' . $value->y",
        "['new' => $value->x, $key => 'set']",
        "null",
        "[$key => $value->x, 'title' => 'written']",
    ],
)
def test_what_a_model_keeps_is_written_back(case: Case, written: str, expression: str) -> None:
    case.add(
        "Place",
        CONTRACTS + PLACE.format("", "public function move($x) { $this->x = $x; return 'moved'; }"),
    )
    source = POINT.format("CastsAttributes", "").replace("['x' => $value->x, 'y' => $value->y]", written)
    cast(case, "Point", source, "v", expression)
    case.both()


def test_an_inbound_cast_class_reads_what_is_there(case: Case) -> None:
    source = (
        "class Own implements CastsInboundAttributes { public function set($model, $key, $value, $attributes)"
        " { return 'hashed'; } }"
    )
    cast(case, "Own", source, "v")
    assert case.data()


@pytest.mark.parametrize("given", ["new \\Illuminate\\Support\\Carbon($value)", "\\Carbon\\CarbonImmutable::parse($value)", "collect([1, $value])", "(object) ['a' => $value]", "[$value]", "$model->title", "$this"])  # fmt: skip
def test_what_a_cast_class_gives_may_be_anything(case: Case, given: str) -> None:
    source = (
        f"class Own implements CastsAttributes {{ public $seen = 1; public function get($model, $key, $value, $attributes) {{ return {given}; }}"
        " public function set($model, $key, $value, $attributes) { return [$key => $attributes[$key]]; } }"
    )
    cast(case, "Own", source, "2024-05-17 12:00:00")
    case.both()


@pytest.mark.parametrize("value", ["0", "", None, "x"])
def test_an_accessor_beside_a_cast_class(case: Case, value: str | None) -> None:
    accessor = "public function getItAttribute($value) { return 'accessor ' . $value; }"
    cast(case, "Own", MONEY.replace("Money", "Own").replace("number_format($value / 100, 2)", "'cast ' . $value"), value, more=accessor)  # fmt: skip
    case.both()


@pytest.mark.parametrize("value", [None, "[]", "{}", '{"a":{"b":[1,2]},"c":null}', "[3,1]"])
@pytest.mark.parametrize(
    "expression",
    [
        "[$this->post->it, $this->post]",
        "[$this->post->it['a'] ?? 'none', isset($this->post->it['c']), $this->post->toArray()]",
        "[$this->post->it?->toArray(), $this->post->it?->collect()->keys(), $this->post->title]",
    ],
)
def test_an_array_object_shows_its_array(case: Case, value: str | None, expression: str) -> None:
    case.post(
        "protected $casts = ['it' => \\Illuminate\\Database\\Eloquent\\Casts\\AsArrayObject::class];",
        columns="it",
        it=value,
    )
    case.sends(expression)
    case.data()


@pytest.mark.parametrize("cast", ["AsCollection", "AsArrayObject", "AsStringable"])
@pytest.mark.parametrize("raw", ['[1,  "ä/"]', '{"k" : 1.0}'])
def test_reading_one_attribute_writes_what_was_kept_of_another(case: Case, cast: str, raw: str) -> None:
    case.post(
        f"protected $casts = ['it' => \\Illuminate\\Database\\Eloquent\\Casts\\{cast}::class];"
        "protected $appends = ['raw']; public function getRawAttribute() { return $this->attributes['it']; }",
        columns="it",
        it=raw,
    )
    case.sends(
        "[$this->post->raw, $this->post->it, $this->post->raw, $this->post->title, $this->post->raw, $this->post]"
    )
    case.data()


@pytest.mark.parametrize(
    "attribute",
    [
        "Attribute::get(fn ($value) => collect([$value]))",
        "new Attribute(fn ($value) => (object) ['v' => $value], fn ($value) => 'set')",
        "new Attribute(fn ($value) => collect([$value]), fn ($value) => ['title' => 'T2', 'more' => $value->count()])",
        "(new Attribute(fn ($value) => collect([$value]), fn ($value) => 'set'))->withoutObjectCaching()",
        "new Attribute(fn ($value, $all) => count($all), fn ($value) => 'set')",
        "new Attribute(null, fn ($value) => 'set')",
    ],
)
@pytest.mark.parametrize("appends", ["", "protected $appends = ['it'];"])
def test_what_an_accessor_made_is_kept_and_written_back(case: Case, attribute: str, appends: str) -> None:
    if "null" in attribute and appends:
        appends = ""
    case.post(f"{appends} protected function it(): Attribute {{ return {attribute}; }}", columns="it", it="v")
    case.sends(
        "[$this->post->it, $this->post->it === $this->post->it, $this->post->title, $this->post, $this->post->getAttributes()]"
    )
    case.both()


@pytest.mark.parametrize(
    "source",
    [
        "class Own { public function set($m, $k, $v, $a) { return $v; } }",
        "class Own implements CastsAttributes { public bool $withoutObjectCaching = true; public function get($m, $k, $v, $a) { return 1; } public function set($m, $k, $v, $a) { } }",
        "class Own implements CastsAttributes { public function get($m, $k, $v, $a) { return session('a'); } public function set($m, $k, $v, $a) { } }",
        "class Own implements \\Nobody\\Casts { public function get($m, $k, $v, $a) { return 1; } }",
        "class Own extends \\Nobody\\Cast { public function get($m, $k, $v, $a) { return 1; } }",
    ],
)
def test_a_cast_class_that_is_not_understood_is_refused(case: Case, source: str) -> None:
    cast(case, "Own", source, "v")
    assert case.refused()


def test_a_set_that_is_not_understood_is_refused_once_it_would_run(case: Case) -> None:
    source = (
        "class Own implements CastsAttributes { public function get($m, $k, $v, $a) { return (object) [1]; }"
        " public function set($m, $k, $v, $a) { return session('a'); } }"
    )
    cast(case, "Own", source, "v", "$this->post->it")
    assert case.both()
    case.sends("[$this->post->it, $this->post->title]")
    assert "session()" in case.refused()


@pytest.mark.parametrize("name", ["AsEnumCollection", "AsEnumArrayObject"])
@pytest.mark.parametrize("value", [None, '["hearts","spades"]', "{}", '{"a":"hearts"}', "5", '["wrong"]'])
def test_many_enums_show_their_values_from_the_release_that_has_the_cast(
    case: Case, value: str | None, name: str
) -> None:
    case.add("Suit", "enum Suit: string { case Hearts = 'hearts'; case Spades = 'spades'; }")
    case.post(
        f"protected $casts = ['it' => \\Illuminate\\Database\\Eloquent\\Casts\\{name}::class . ':' . Suit::class];",
        columns="it",
        it=value,
    )
    case.sends("[$this->post->it, $this->post]")
    resolution = case.native(version="9.52")
    if value == '["wrong"]':
        assert resolution.outcome == "refused"  # Laravel throws, and PHP is asked
    else:
        shown = "null" if value in (None, "5") else "[]" if value == "{}" else value
        assert f'"it":[{shown},' in resolution.broadcasts[0].data
        assert f'"it":{shown}}}]' in resolution.broadcasts[0].data
    assert "does not have it" in case.refused(version="9.48")


def test_an_array_object_of_enums_is_written_back_without_its_keys(case: Case) -> None:
    case.add("Suit", "enum Suit: string { case Hearts = 'hearts'; case Spades = 'spades'; }")
    enums = "\\Illuminate\\Database\\Eloquent\\Casts\\AsEnumArrayObject::class . ':' . Suit::class"
    case.post(f"protected $casts = ['it' => {enums}];", columns="it", it='{"a":"hearts"}')
    case.sends("[$this->post->it, $this->post->getAttributes()['it']]")
    assert case.native(version="12.67").broadcasts[0].data == '{"it":[{"a":"hearts"},"[\\"hearts\\"]"]}'


@pytest.mark.parametrize("value", [None, '{"a":1,"b":{"c":[1,2]}}', "[]", "[1,2]", '{"1":5}'])
def test_a_fluent_shows_its_attributes_from_the_release_that_has_it(case: Case, value: str | None) -> None:
    case.post(
        "protected $casts = ['it' => \\Illuminate\\Database\\Eloquent\\Casts\\AsFluent::class];",
        columns="it",
        it=value,
    )
    case.sends("[$this->post->it, $this->post->toArray()['it']]")
    shown = "null" if value is None else value
    assert case.native(version="12.19").broadcasts[0].data == f'{{"it":[{shown},{shown}]}}'
    assert "does not have it" in case.refused(version="12.18")


def test_a_fluent_of_what_is_no_array_is_refused(case: Case) -> None:
    casts = "['it' => \\Illuminate\\Database\\Eloquent\\Casts\\AsFluent::class]"
    case.post(f"protected $casts = {casts};", columns="it", it="5")
    case.sends("$this->post")
    assert "AsFluent of what is no array" in case.refused(version="12.67")


@pytest.mark.parametrize("value", ["0", ""])
def test_a_serialize_is_refused_for_what_php_takes_for_empty(case: Case, value: str) -> None:
    text = (
        "class Text implements CastsAttributes { public function get($model, $key, $value, $attributes)"
        " { return (string) $value; } public function set($model, $key, $value, $attributes) { return $value; }"
        " public function serialize($model, string $key, $value, array $attributes) { return 'serialized'; } }"
    )
    cast(case, "Text", text, value, "$this->post")
    assert "empty value" in case.refused()


MOVING = PLACE.format("", "public function move($x) { $this->x = $x; return 'moved'; }")
OF_X = "public function other() { return $this->belongsTo(Post::class, 'x'); }"


@pytest.mark.parametrize(
    "expression",
    [
        "$this->post->other",
        "$this->post->other()->first()",
        "$this->post->load('other')",
        "$this->post->x",
        "$this->post->getOriginal('x')",
        "$this->post->getOriginal('it')",
        "[$this->post->toArray(), $this->post->other]",
        "[$this->post->toArray(), $this->post->getOriginal('x')]",
        "[$this->post->title, $this->post->getKey(), $this->post->only('x')]",
    ],
)
def test_what_is_written_back_counts_for_relations_and_not_for_the_original(
    case: Case, expression: str
) -> None:
    case.add("Place", CONTRACTS + MOVING)
    cast(case, "Point", POINT.format("CastsAttributes", ""), "v", more=OF_X)
    case.sends(f"[$this->post->it->move(1), {expression}]")
    ours, theirs = case.native(), case.app.laravel(case.payload())
    assert ours.outcome == "refused" or ours.broadcasts == theirs.broadcasts, (ours, theirs)


@pytest.mark.parametrize("expression", ["$this->post->getOriginal('it')", "$this->post->toArray()"])
def test_a_collection_that_was_added_to(case: Case, expression: str) -> None:
    casts = "['it' => \\Illuminate\\Database\\Eloquent\\Casts\\AsCollection::class]"
    case.post(f"protected $casts = {casts};", columns="it", it="[1,  2]")
    case.sends(f"[$this->post->it->push(5), {expression}]")
    ours, theirs = case.native(), case.app.laravel(case.payload())
    assert ours.outcome == "refused" or ours.broadcasts == theirs.broadcasts, (ours, theirs)


def test_null_that_an_accessor_keeps_is_written_back_in_some_releases(case: Case) -> None:
    case.post(
        "protected function it(): Attribute { return (new Attribute(fn ($v) => null, fn ($v) =>"
        " ['title' => 'SET']))->shouldCache(); }",
        columns="it",
        it="v",
    )
    case.sends("[$this->post->it, $this->post->getAttributes()['title']]")
    assert '"SET"' in case.native(version="12.51").broadcasts[0].data
    assert "null that an accessor keeps" in case.refused(version="12.60")
    assert '"Title"' in case.native(version="13.31").broadcasts[0].data
