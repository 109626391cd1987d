"""Events of an app, held against real Laravel: their properties, methods, names and channels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from tests.phpeval.laravel.eloquent.app import App, Case, app


@pytest.fixture(scope="module")
def module_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app(tmp_path_factory.mktemp("native") / "app") as made:
        made.serve_cases()
        yield made


@pytest.fixture
def case(module_app: App) -> Iterator[Case]:
    made = Case(module_app)
    made.post("protected $hidden = ['secret'];")
    yield made
    made.remove()


@pytest.mark.parametrize(
    ("body", "held"),
    [
        ("public $a = 1; protected $b = 2; public static $d = 4; public ?int $e = null;", {"x": 1}),
        ("public string $never; public $x;", {"x": 1}),
        ("public $broadcastQueue = 'q'; public $queue = 'z'; public $x;", {"x": 2}),
        ("public function __construct(public int $n, protected $p = 5, private array $q = []) { }", {"n": 4}),
        ("public readonly string $f;", {"f": b"x"}),
        ("public $x = 1; public function broadcastWith() { return null; }", {"x": 3}),
        ("public function broadcastWith() { return 'text'; }", {"x": 1}),
        ("public function broadcastWith() { return ['socket' => 'x', 'a' => 1]; }", {"socket": b"1.2"}),
        ("public function broadcastWhen() { return false; }", {"x": 1}),
        ("protected function broadcastWith() { return ['a' => 1]; }", {"x": 1}),
        ("public static function broadcastWith() { return ['a' => 1]; }", {"x": 1}),
        ("public function broadcastAs() { return 5; }", {"x": 1}),
        ("public function broadcastAs() { return null; }", {"x": 1}),
        ("public function __call($name, $arguments) { return ['called' => $name]; }", {"x": 1}),
    ],
)  # fmt: skip
def test_what_an_event_sends_is_laravels(case: Case, body: str, held: dict[str, Value]) -> None:
    case.event(body)
    case.both(**held)


@pytest.mark.parametrize(
    "channels",
    [
        "null", "''", "[]", "'private-x'", "['a', new PrivateChannel('b')]", "['a', null]", "'a b'",
        "collect(['a'])", "new PrivateChannel($this->post)", "[new PrivateChannel('private-x')]", "5",
    ],
)  # fmt: skip
def test_the_channels_are_laravels(case: Case, channels: str) -> None:
    case.event(f"public $post; public function broadcastOn() {{ return {channels}; }}")
    case.both()


@pytest.mark.parametrize(
    "body",
    [
        "use First, Second { First::broadcastWith insteadof Second; Second::broadcastWith as other; }",
        "use First, Second { First::BROADCASTWITH insteadof Second; Second::broadcastWith as other; }",
        "use Second { broadcastWith as protected; }",
        "use Second { broadcastWith as protected given; }",
        "use Third;",
        "use Third; public function broadcastWith() { return ['own' => 1]; }",
    ],
)
def test_methods_of_traits_are_those_that_php_takes(case: Case, body: str) -> None:
    case.add(
        "First", "trait First { public function broadcastWith() { return ['first' => $this->other()]; } }"
    )
    case.add("Second", "trait Second { public function broadcastWith() { return ['second' => 1]; } }")
    case.add("Third", "trait Third { use Second; public function broadcastAs() { return 'third'; } }")
    case.event(body)
    case.both(x=1)


def test_properties_and_methods_of_a_parent_count(case: Case) -> None:
    names = "function broadcastAs() { return $this->c; }"
    case.add("Bas", f"class Bas {{ public $a = 1; protected $b = 2; private $c = 3; {names} }}")
    case.add(
        "Sent",
        "class Sent extends Bas implements ShouldBroadcast { use SerializesModels; public $own = 9;"
        " public function broadcastOn() { return 'c' . $this->b; } }",
    )
    case.both(own=5)


@pytest.mark.parametrize("method", ["__wakeup(): void", "__unserialize(array $data): void"])
def test_an_event_that_wakes_up_by_itself_is_refused(case: Case, method: str) -> None:
    case.event(f"public $x; public function {method} {{ $this->x = 'woke'; }}")
    assert "only PHP can run" in case.refused(x=1)


@pytest.mark.parametrize(
    ("body", "value", "why"),
    [
        ("public int $n;", b"5x", "has changed its type"),
        ("protected $n;", 5, "has changed its visibility"),
    ],
)
def test_a_property_that_a_deploy_has_changed_is_refused(
    case: Case, body: str, value: Value, why: str
) -> None:
    case.event(body)
    assert why in case.refused(n=value)


def test_a_static_property_that_the_app_writes_is_refused(case: Case) -> None:
    case.event("public static $countCase = 1;")
    case.add("Counter", "class Counter { function up() { Sent::$countCase++; } }")
    assert "static property $countCase" in case.refused(x=1)


def test_a_model_is_looked_for_even_where_nothing_asks_for_it(case: Case) -> None:
    case.event("public $post; public function broadcastWith() { return []; }")
    assert case.both(post=case.model(key=99)).outcome == "failed"


def test_a_missing_model_drops_the_job_where_the_event_says_so(case: Case) -> None:
    case.event("public $post; public $deleteWhenMissingModels = true;")
    assert case.both(post=case.model(key=99)).outcome == "nothing"


def test_an_object_inside_restores_its_own_models(case: Case) -> None:
    case.add("Dto", "class Dto { use SerializesModels; public $post; private $h = 1; protected $g = 2; }")
    case.event("public $o;")
    case.both(o=PhpObject(case.name("Dto"), {b"post": case.model()}))


def test_a_model_in_an_array_that_was_not_restored_is_refused(case: Case) -> None:
    case.event("public $all;")
    assert case.refused(all=PhpArray.of([case.model()]))


def test_a_class_of_the_payload_that_is_not_known_is_refused(case: Case) -> None:
    case.event("public $o;")
    assert "Vendor\\Thing" in case.refused(o=PhpObject("Vendor\\Thing", {}))


# ---- models that were serialized whole -------------------------------------------------------


def whole(case: Case) -> PhpObject:
    texts: dict[int | bytes, Value] = {b"id": 1, b"title": b"New", b"secret": b"s3cret"}
    return PhpObject(
        case.name("Post"),
        {
            b"\0*\0attributes": PhpArray(texts),
            b"\0*\0original": PhpArray(texts),
            b"\0*\0changes": PhpArray({b"title": b"New"}),
            b"\0*\0hidden": PhpArray.of([b"secret"]),
            b"exists": True,
            b"wasRecentlyCreated": True,
        },
    )


@pytest.mark.parametrize(
    "expression",
    [
        "$this->post",
        "[$this->post->wasChanged(), $this->post->wasChanged('title'), $this->post->wasChanged('id')]",
        "$this->post->getChanges()",
        "[$this->post->isDirty(), $this->post->isClean(), $this->post->getDirty()]",
        "$this->post->wasRecentlyCreated",
    ],
)
def test_a_model_serialized_whole_keeps_the_state_of_its_dispatch(case: Case, expression: str) -> None:
    case.event(
        f"public $post; public function broadcastWith() {{ return ['it' => {expression}]; }}",
        traits="InteractsWithSockets",
    )
    assert "s3cret" not in case.both(post=whole(case)).broadcasts[0].data
