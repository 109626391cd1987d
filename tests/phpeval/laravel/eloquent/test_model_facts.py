"""The guard: whatever a model's class could do to what is read, bridge does as Laravel, or refuses."""

from __future__ import annotations

import json

import pytest

from tests.phpeval.laravel.eloquent.app import Case

HIDES = "$this->hidden = ['secret'];"
RETRIEVED = "function ($model) { $model->setHidden(['secret']); }"
TRAIT = "trait Concern {{ {} }}"


def shown(case: Case, body: str, **sources: str) -> object:
    """What both make of the whole model."""
    case.post(body)
    case.sends("$this->post")
    for name, source in sources.items():
        case.add(name, source)
    data = case.data()
    assert isinstance(data, dict)
    return data["it"]


def why(
    case: Case, body: str, expression: str = "$this->post", *, version: str = "8.83", **sources: str
) -> str:
    """Why the whole model is refused."""
    case.post(body)
    case.sends(expression)
    for name, source in sources.items():
        case.add(name, source)
    return case.refused(version=version)


PLAIN = {"id": 1, "title": "Title", "secret": "s3cret", "user_id": 7, "created_at": None, "updated_at": None}
HIDDEN = {key: value for key, value in PLAIN.items() if key != "secret"}


# ---- hidden and visible ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ("protected $hidden = ['secret'];", set(PLAIN) - {"secret"}),
        ("protected $visible = ['id', 'secret'];", {"id", "secret"}),
        ("protected $visible = ['id', 'secret']; protected $hidden = ['secret'];", {"id"}),
        ("public $hidden = ['secret'];", set(PLAIN) - {"secret"}),
    ],
)
def test_hidden_and_visible_of_the_class_count(case: Case, body: str, keys: set[str]) -> None:
    found = shown(case, body)
    assert isinstance(found, dict)
    assert set(found) == keys


def test_hidden_of_a_parent_counts(case: Case) -> None:
    case.post()
    case.add("Bas", "class Bas extends Model { protected $table = 'posts'; protected $hidden = ['secret']; }")
    case.add("Post", "class Post extends Bas { }")
    case.sends("$this->post")
    assert case.data() == {"it": HIDDEN}


def test_hidden_of_a_trait_of_a_parent_counts(case: Case) -> None:
    case.post()
    case.add("Concern", TRAIT.format("public function getTitleAttribute($value) { return 'by trait'; }"))
    case.add("Bas", "class Bas extends Model { use Concern; protected $hidden = ['secret']; }")
    case.add("Post", "class Post extends Bas { protected $table = 'posts'; }")
    case.sends("$this->post")
    assert case.data() == {"it": HIDDEN | {"title": "by trait"}}


@pytest.mark.parametrize(
    ("body", "expression", "secret"),
    [
        ("", "$this->post->makeHidden('secret')", False),
        ("", "$this->post->makeHidden(['secret', 'title'])", False),
        ("protected $hidden = ['secret'];", "$this->post->makeVisible('secret')", True),
        ("protected $visible = ['id'];", "$this->post->makeVisible(['secret'])", True),
        ("protected $hidden = ['secret'];", "collect([$this->post])->toArray()[0]", False),
        ("protected $hidden = ['secret'];", "collect([$this->post])->map(fn ($p) => $p)->all()[0]", False),
        ("protected $hidden = ['secret'];", "$this->post->only('secret')", True),
    ],
)
def test_what_a_method_hides_or_shows_is_laravels(
    case: Case, body: str, expression: str, secret: bool
) -> None:
    case.post(body)
    case.sends(expression)
    data = case.data()
    assert isinstance(data, dict)
    assert ("secret" in data["it"]) is secret


def test_a_model_hidden_in_one_place_is_hidden_in_all(case: Case) -> None:
    case.post()
    case.sends("[$this->post, $this->post->makeHidden('secret')]")
    assert case.data() == {"it": [HIDDEN, HIDDEN]}


# ---- overridden methods of Model -------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        "public function getHidden() { return ['secret']; }",
        "public function getVisible() { return ['id']; }",
        "public function getCasts() { return []; }",
        "public function attributesToArray() { return []; }",
        "public function jsonSerialize(): mixed { return []; }",
        "public function getAttribute($key) { return 'x'; }",
        "public function __get($key) { return 'x'; }",
        "public function __isset($key) { return false; }",
        "public function newFromBuilder($attributes = [], $connection = null) { return new static; }",
        "public function newQuery() { return parent::newQuery(); }",
        "public function newQueryForRestoration($ids) { return parent::newQueryForRestoration($ids); }",
        "public function getConnectionName() { return 'archive'; }",
        "public function getConnection() { return null; }",
        "public function setConnection($name) { return $this; }",
        "public function getTable() { return strtolower('POSTS'); }",
        "public function qualifyColumn($column) { return 'user_id'; }",
        "public function setRawAttributes(array $attributes, $sync = false) { return $this; }",
        "public function syncOriginal() { return $this; }",
        "public function mergeCasts($casts) { }",
        "protected function fireModelEvent($event, $halt = true) { }",
        "protected function initializeTraits() { }",
        "protected function bootIfNotBooted() { }",
        "protected function addDateAttributesToArray(array $attributes) { return []; }",
        "protected static function getMutatorMethods($class) { return []; }",
        "protected function mergeAttributesFromClassCasts() { }",
        "public function registerGlobalScopes($builder) { return $builder; }",
        "public function __construct(array $attributes = []) { }",
    ],
)  # fmt: skip
def test_an_overridden_method_that_changes_what_is_read_is_refused(case: Case, method: str) -> None:
    name = method.partition("(")[0].rsplit(" ", 1)[-1]
    assert f"overrides {name}()" in why(case, method)


def test_a_trait_that_overrides_is_refused_under_its_alias_too(case: Case) -> None:
    trait = TRAIT.format("public function mine() { return ['secret']; }")
    assert "overrides gethidden()" in why(case, "use Concern { mine as getHidden; }", Concern=trait)


def test_an_overridden_method_of_a_parent_is_refused(case: Case) -> None:
    case.post()
    case.add("Bas", "class Bas extends Model { public function getHidden() { return ['secret']; } }")
    case.add("Post", "class Post extends Bas { }")
    case.sends("$this->post")
    assert "Bas overrides getHidden()" in case.refused()


def test_methods_that_only_write_may_be_overridden(case: Case) -> None:
    assert shown(case, "public function save(array $options = []) { return false; }") == PLAIN


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("public function toArray() { return ['only' => $this->secret]; }", {"only": "s3cret"}),
        ("protected $hidden = ['secret']; public function toArray() { return parent::toArray(); }", HIDDEN),
        ("public function toArray() { return ['id' => $this->id] + parent::toArray(); }", PLAIN),
    ],
)
def test_to_array_of_the_apps_own_is_evaluated(case: Case, body: str, expected: object) -> None:
    assert shown(case, body) == expected


def test_to_array_may_come_from_a_traits_alias(case: Case) -> None:
    trait = TRAIT.format("public function mine() { return ['x' => 1]; }")
    assert shown(case, "use Concern { mine as toArray; }", Concern=trait) == {"x": 1}


# ---- hooks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        f"protected static function booted() {{ static::retrieved({RETRIEVED}); }}",
        f"protected static function booted() {{ Post::retrieved({RETRIEVED}); }}",
        f"protected static function booted() {{ (static::class)::retrieved({RETRIEVED}); }}",
        f"protected static function booted() {{ $class = self::class; $class::retrieved({RETRIEVED}); }}",
        f"protected static function booted() {{ forward_static_call("
        f"[self::class, 'retrieved'], {RETRIEVED}); }}",
        "protected static function boot() { parent::boot(); Post::observe(Watcher::class); }",
        "protected static function boot() { parent::boot(); static::hooks(); } static function hooks() {"
        f" static::retrieved({RETRIEVED}); }}",
        "protected static function booted() { \\Illuminate\\Support\\Facades\\Event::listen("
        f"'eloquent.retrieved: ' . self::class, {RETRIEVED}); }}",
        "protected $dispatchesEvents = ['retrieved' => Heard::class];",
    ],
)  # fmt: skip
def test_a_hook_on_reading_is_refused(case: Case, body: str) -> None:
    watcher = "class Watcher { public function retrieved($model) { $model->setHidden(['secret']); } }"
    heard = "class Heard { public function __construct($model) { $model->setHidden(['secret']); } }"
    case.post(body)
    case.sends("$this->post")
    case.add("Watcher", watcher)
    case.add("Heard", heard)
    refusal = case.refused()
    assert any(
        word in refusal
        for word in (
            "retrieved()",
            "observe()",
            "hooks()",
            "call()",
            "listen()",
            "$disp",
            "eloquent.retrieved",
        )
    )
    assert (
        "secret" not in case.app.laravel(case.payload()).broadcasts[0].data
    )  # so a guess would have shown it


def test_a_trait_method_marked_to_run_at_boot_is_refused(case: Case) -> None:
    case.post("use Concern;")
    marked = "#[\\Illuminate\\Database\\Eloquent\\Attributes\\Boot] static function hide() {}"
    case.add("Concern", TRAIT.format(marked))
    case.sends("$this->post")
    assert "Concern::hide() has #[Boot]" in case.refused()


@pytest.mark.parametrize("name", ["title", "noColumn"])
def test_attribute_make_is_not_known_to_a_release_without_it(case: Case, name: str) -> None:
    attribute = "\\Illuminate\\Database\\Eloquent\\Casts\\Attribute"
    case.post(f"protected function {name}(): {attribute} {{ return {attribute}::make(fn () => 'x'); }}")
    case.sends("$this->post")
    assert "Attribute::make()" in case.refused()
    assert case.app.laravel(case.payload()).outcome == "failed"


@pytest.mark.parametrize(
    "trait_method",
    [
        f"public function initializeConcern() {{ {HIDES} }}",
        f"public static function bootConcern() {{ static::retrieved({RETRIEVED}); }}",
    ],
)
@pytest.mark.parametrize("place", ["trait", "class", "alias"])
def test_what_a_trait_does_when_a_model_boots_or_is_made_is_refused_wherever_it_stands(
    case: Case, trait_method: str, place: str
) -> None:
    name = "initializeConcern" if "initialize" in trait_method else "bootConcern"
    case.post(
        {
            "trait": "use Concern;",
            "class": f"use Concern; {trait_method}",
            "alias": f"use Concern {{ other as {name}; }}",
        }[place]
    )
    inside = {"trait": trait_method, "class": "", "alias": trait_method.replace(name, "other")}[place]
    case.add("Concern", TRAIT.format(inside))
    case.sends("$this->post")
    refusal = case.refused()
    assert name in refusal or "retrieved()" in refusal
    assert "s3cret" not in case.app.laravel(case.payload()).broadcasts[0].data


@pytest.mark.parametrize(
    "body",
    [
        "protected static function booted() { static::creating(function ($model) { $model->id = 5; }); }",
        "protected static function boot() { parent::boot(); self::deleting(fn ($model) => null); }",
        "protected $dispatchesEvents = ['saved' => Heard::class];",
        "protected static function booted() { static::observe(Watcher::class); }",
    ],
)
def test_a_hook_on_writing_does_no_harm(case: Case, body: str) -> None:
    watcher = "class Watcher { public function saved($model) { } }"
    assert shown(case, body, Watcher=watcher, Heard="class Heard { }") == PLAIN


@pytest.mark.parametrize("attribute", ["ObservedBy(Watcher::class)", "Unheard", "CollectedBy('X')"])
def test_an_attribute_that_is_not_known_is_refused(case: Case, attribute: str) -> None:
    case.post(head=f"#[\\Illuminate\\Database\\Eloquent\\Attributes\\{attribute}]")
    case.add("Watcher", "class Watcher { public function retrieved($model) { } }")
    case.sends("$this->post")
    assert "has the attribute" in case.refused()


def test_a_trait_whose_source_is_not_known_is_refused(case: Case) -> None:
    refusal = why(case, "use \\Vendor\\Translatable;")
    assert "the source of Vendor\\Translatable is not known" in refusal


def test_a_parent_whose_source_is_not_known_is_refused(case: Case) -> None:
    case.post()
    case.add("Post", "class Post extends \\Vendor\\Model { }")
    case.sends("$this->post")
    assert "Vendor\\Model" in case.refused()


def test_a_trait_that_vendor_holds_is_read(case: Case) -> None:
    vendor = case.app.path / "vendor"
    (vendor / "composer").mkdir(parents=True)
    (vendor / "acme/src").mkdir(parents=True)
    (vendor / "composer/installed.json").write_text(
        '{"packages": [{"name": "acme/acme", "install-path": "../acme",'
        ' "autoload": {"psr-4": {"Acme\\\\": "src/"}}}]}'
    )
    (vendor / "acme/src/Shouts.php").write_text(
        "<?php namespace Acme; trait Shouts { function getTitleAttribute($v) { return strtoupper($v); } }"
    )
    (vendor / "acme/src/Hides.php").write_text(
        "<?php namespace Acme; trait Hides { function getHidden() { return ['secret']; } }"
    )
    try:
        case.post("use \\Acme\\Shouts;")
        case.sends("$this->post->title")
        assert case.native().broadcasts[0].data == '{"it":"TITLE"}'
        assert "overrides getHidden()" in why(case, "use \\Acme\\Hides;")
    finally:
        for file in sorted(vendor.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        vendor.rmdir()


@pytest.mark.parametrize("property", ["string $builder = 'X'", "string $collectionClass = 'X'"])
def test_a_builder_or_collection_of_the_apps_own_is_refused(case: Case, property: str) -> None:
    assert "has $" in why(case, f"protected static {property};")


# ---- accessors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "public function getTitleAttribute($value) { return 'got ' . $value; }",
        "protected function getTitleAttribute($value) { return 'got ' . $value; }",
        "public static function getTitleAttribute($value) { return 'got ' . $value; }",
        "protected function title(): Attribute { return new Attribute(fn ($value) => 'got ' . $value); }",
        "protected function title(): ?Attribute { return new Attribute(fn ($value) => 'got ' . $value); }",
        "public function title(): Attribute|null { return new Attribute(fn ($value) => 'got ' . $value); }",
    ],
)
def test_an_accessor_stands_before_its_column(case: Case, body: str) -> None:
    case.post(body)
    case.sends("[$this->post->title, $this->post]")
    assert case.data() == {"it": ["got Title", PLAIN | {"title": "got Title"}]}


@pytest.mark.parametrize("name", ["gettitleattribute", "getTITLEAttribute"])
def test_an_accessor_in_another_spelling_is_found_where_laravel_finds_it(case: Case, name: str) -> None:
    case.post(f"public function {name}($value) {{ return 'got ' . $value; }}")
    case.sends("[$this->post->title, $this->post]")
    case.data()


def test_an_accessor_under_a_traits_alias_counts(case: Case) -> None:
    trait = TRAIT.format("public function mine($value) { return 'got ' . $value; }")
    found = shown(case, "use Concern { mine as getTitleAttribute; }", Concern=trait)
    assert found == PLAIN | {"title": "got Title"}


@pytest.mark.parametrize(("hidden", "more"), [("", {"label": "l"}), ("'label'", {})])
def test_what_is_appended_is_hidden_like_a_column(case: Case, hidden: str, more: dict[str, str]) -> None:
    body = "public function getLabelAttribute() { return 'l'; } protected $appends = ['label'];"
    assert shown(case, f"{body} protected $hidden = [{hidden}];") == PLAIN | more


@pytest.mark.parametrize(
    "accessor",
    ["function title(): Attribute { return new Attribute; }", "function getTitleAttribute($value) { }"],
)
def test_an_accessor_that_laravel_cannot_call_is_refused(case: Case, accessor: str) -> None:
    assert "is private" in why(case, f"private {accessor}")


def test_an_accessor_may_show_what_is_hidden_as_in_laravel(case: Case) -> None:
    body = (
        "protected $hidden = ['secret']; protected $appends = ['hint'];"
        "public function getHintAttribute() { return substr($this->secret, 0, 2); }"
    )
    assert shown(case, body) == HIDDEN | {"hint": "s3"}


# ---- state -----------------------------------------------------------------------------------


def test_what_changed_before_the_queue_is_forgotten(case: Case) -> None:
    case.post()
    case.sends(
        "[$this->post->wasChanged(), $this->post->wasRecentlyCreated, $this->post->isDirty(),"
        " $this->post->isClean('title'), $this->post->getChanges(), $this->post->exists]"
    )
    assert case.data() == {"it": [False, False, False, True, [], True]}


def test_an_attribute_that_was_added_at_dispatch_is_null(case: Case) -> None:
    case.post()
    case.sends("[$this->post->comments_count, isset($this->post->comments_count)]")
    assert case.data() == {"it": [None, False]}


@pytest.mark.parametrize(
    "expression",
    [
        "$this->post->save()",
        "$this->post->update(['title' => 'x'])",
        "$this->post->increment('user_id')",
        "$this->post->touch()",
        "$this->post->delete()",
        "$this->post->fill(['title' => 'x'])",
        "$this->post->title = 'x'",
        "(function () { unset($this->post->title); })()",
        "clone $this->post",
        "Post::find(1)",
        "Post::query()->count()",
        "$this->post::create([])",
        "(array) $this->post",
        "get_object_vars($this->post)",
        "$this->post->getHidden()",
    ],
)
def test_what_writes_or_looks_behind_the_model_is_refused(case: Case, expression: str) -> None:
    assert "Sent.php:" in why(case, "", expression)


# ---- names that a model answers to -----------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "name"),
    [
        ("\\Illuminate\\Notifications\\Notifiable", "unreadNotifications"),
        ("\\Illuminate\\Notifications\\Notifiable", "notifications"),
        ("SoftDeletes", "restore"),
        ("\\Illuminate\\Database\\Eloquent\\Factories\\HasFactory", "factory"),
    ],
)
def test_members_of_laravels_traits_are_no_missing_attributes(case: Case, use: str, name: str) -> None:
    case.post(f"use {use};", columns="deleted_at datetime")
    case.sends(f"$this->post->{name}")
    assert name in case.refused()


@pytest.mark.parametrize(
    ("body", "expression"),
    [
        ("function getRouteKeyName() { return 'title'; }", "$this->post->getRouteKey()"),
        ("function getRouteKeyName() { return 'title'; }", "$this->post->getRouteKeyName()"),
        ("function getRouteKeyName() { return 'x'; } function getXAttribute() { return 's' . $this->id; }",
         "$this->post->getRouteKey()"),
        ("function getRouteKey() { return 'own'; }", "$this->post->getRouteKey()"),
        ("", "[$this->post->getRouteKey(), $this->post->getRouteKeyName()]"),
        ("protected $casts = ['id' => 'string'];", "$this->post->getRouteKey()"),
    ],
)  # fmt: skip
def test_the_key_in_routes_follows_its_name(case: Case, body: str, expression: str) -> None:
    case.post(body)
    case.sends(expression)
    case.data()


def test_dates_of_models_of_releases_that_are_not_known_are_refused(case: Case) -> None:
    case.post(created_at="2024-05-17 12:34:56")
    case.sends("$this->post")
    assert "before Laravel 8" in case.refused(version="6.20")
    case.sends("$this->post->title")
    assert case.native(version="6.20").outcome == "broadcast"


# ---- ways to say what a property could ---------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expression"),
    [
        ("function getIncrementing() { return false; }", "$this->post"),
        ("function getKeyType() { return 'string'; }", "$this->post"),
        ("public $incrementing = false; function getIncrementing() { return true; }", "$this->post"),
        ("function getTable() { return 'posts'; } protected $table = 'nowhere';", "$this->post->getTable()"),
        ("function __construct(array $attributes = []) { parent::__construct($attributes); }", "$this->post"),
        ("function broadcastChannel() { return 'own.' . $this->id; }", "$this->post->broadcastChannel()"),
        ("protected $appends = ['loudTitle']; function getLoudTitleAttribute() { return $this->id . '!'; }",
         "$this->post"),
        ("protected $appends = ['LoudTitle', 'loud_title']; function getLoudTitleAttribute() { return 1; }",
         "[$this->post, $this->post->loudTitle, $this->post->loud_title]"),
    ],
)  # fmt: skip
def test_what_a_method_gives_as_a_literal_is_a_setting(case: Case, body: str, expression: str) -> None:
    case.post(body)
    case.sends(expression)
    case.data()


def test_an_own_key_is_found_by_what_its_methods_say(case: Case) -> None:
    case.post("function getKeyName() { return 'title'; } function getKeyType() { return 'string'; }")
    case.sends("[$this->post->getKey(), $this->post]")
    case.both(post=case.model(key=b"Title"))


def test_the_own_channel_of_a_model_is_its_own(case: Case) -> None:
    case.post("function broadcastChannel() { return 'own.' . $this->id; }")
    case.event("public $post; public function broadcastOn() { return new PrivateChannel($this->post); }")
    assert case.both().broadcasts[0].channels == ("private-own.1",)


@pytest.mark.parametrize(
    "body",
    [
        "function __construct(array $a = []) { parent::__construct($a); $this->hidden = ['secret']; }",
        "function __construct() { }",
        "function getTable() { return config('x.table'); }",
        "function getKeyType() { return $this->keyType; }",
        "function getIncrementing() { return rand() > 5; }",
    ],
)
def test_what_a_method_works_out_is_refused(case: Case, body: str) -> None:
    case.post(body)
    case.sends("$this->post")
    assert case.refused()


@pytest.mark.parametrize(("ids", "shown"), [("['secret']", 7), ("['id']", "7"), ("['secret', 'id']", "7")])
def test_the_key_is_a_text_only_where_it_is_one_of_the_unique_ids(
    case: Case, ids: str, shown: object
) -> None:
    """Source: HasUuids::getKeyType; the key of a numeric text shows by which type it is cast."""
    trait = "use \\Illuminate\\Database\\Eloquent\\Concerns\\HasUuids;"
    case.post(f"{trait} public $table = 'keyed'; public function uniqueIds() {{ return {ids}; }}")
    case.app.sql("drop table if exists keyed; create table keyed (id text); insert into keyed values ('7');")
    case.sends("$this->post->id")
    (sent,) = case.native(version="11.0", post=case.model(key=b"7")).broadcasts
    assert json.loads(sent.data)["it"] == shown


SETTERS = (
    "date_default_timezone_set('Asia/Tokyo');",
    "ini_set('precision', '3');",
    "config(['app.name' => 'Set']);",
    "\\Illuminate\\Support\\Facades\\Config::set('app.name', 'Set');",
    "Other::set();",
    "if (true) { $set = fn () => 1; (fn () => Other::set())(); }",
    "$date = 'date_default_timezone_set'; $date('Asia/Tokyo');",
    "static::deleting(function ($post) { @unlink($post->path); }); Other::set();",
    "Other::get();",
    "app(Other::class)->get();",
    "new Other;",
    "config()['app.name'] = 'Set';",
    "$config = config(); $config['app.name'] = 'Set';",
    "unset(app()->config['app.name']);",
    "foreach (['Set'] as config()['app.name']) { }",
    "array_map('date_default_timezone_set', ['Asia/Tokyo']);",
    "json_encode(new Other);",
)


@pytest.mark.parametrize("place", ["booted", "boot", "bootMarked"])
@pytest.mark.parametrize("setter", SETTERS)
def test_what_a_model_sets_in_the_process_when_it_boots(case: Case, setter: str, place: str) -> None:
    case.add("Other", "class Other { static function set() { config(['app.name' => 'Set']); } }")
    boots = f"static function {place}() {{ {'parent::boot();' if place == 'boot' else ''} {setter} }}"
    case.add("Marked", f"trait Marked {{ {boots if place == 'bootMarked' else ''} }}")
    case.post("use Marked;" if place == "bootMarked" else f"protected {boots}")
    case.sends("[date('H', 0), (string) 1.23456, $this->post->title]")
    assert case.refused()


@pytest.mark.parametrize(
    "boot",
    [
        "static::creating(function ($post) { config(['app.name' => 'Set']); });",
        "if (app()->runningInConsole()) { static::saving(fn ($post) => ini_set('precision', '3')); }",
        "if (config('app.name') === 'none') { static::addGlobalScope('x', fn ($query) => $query); }",
        "if (in_array(static::class, class_uses_recursive(static::class))) { return; }",
        "if (app()->environment('none')) { static::addGlobalScope(new Hidden); }",
    ],
)
def test_a_model_that_sets_nothing_when_it_boots(case: Case, boot: str) -> None:
    case.post(f"protected static function booted() {{ {boot} }}")
    case.sends("[date('H', 0), (string) 1.23456, $this->post->title]")
    case.data()


ASKED = "class Asked { static function hour() { return date('H', 0); } }"


@pytest.mark.parametrize(
    "source",
    [
        f"date_default_timezone_set('Asia/Tokyo'); {ASKED}",
        f"{ASKED} if (true) {{ ini_set('precision', '3'); }}",
        f"{ASKED} if (date_default_timezone_set('Asia/Tokyo')) {{ }}",
        f"{ASKED} return date_default_timezone_set('Asia/Tokyo');",
    ],
)
def test_code_beside_a_class_is_refused(case: Case, source: str) -> None:
    case.post()
    case.add("Asked", source)
    case.sends("Asked::hour()")
    assert "code beside the classes" in case.refused()


def test_another_name_for_a_class_is_no_such_code(case: Case) -> None:
    case.post()
    more = "if (! function_exists('a')) { function a() { } }"
    case.add("Asked", f"{ASKED} \\class_alias(Asked::class, 'AskedToo'); {more}")
    case.sends("Asked::hour()")
    case.data()
