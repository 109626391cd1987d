"""What a payload holds and what of it is sent, held against real Laravel: keys of collections, enums that say
their own JSON, hours that come twice."""

from __future__ import annotations

import pytest

from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from tests.phpeval.laravel.eloquent.app import Case

ENUMS = {
    "Rank": "enum Rank: int implements \\JsonSerializable { case Low = 1; case High = 5;"
    " public function jsonSerialize(): mixed { return ['name' => $this->name]; } }",
    "Mood": "enum Mood implements \\JsonSerializable { case Up;"
    " public function jsonSerialize(): mixed { return 'mood'; } }",
    "Size": "enum Size: string implements \\Illuminate\\Contracts\\Support\\Arrayable { case S = 's';"
    " public function toArray() { return ['size' => 's']; } }",
    "Level": "enum Level: string { case Gold = 'gold'; case None = '';"
    " public function __invoke() { return $this->value; } }",
    "Rows": "class Rows { public static function hid($row) { return $row['hid']; }"
    " public static function rank($row) { return $row['n']; }"
    " public static function __callStatic($name, $given) { return 1; } }",
}


@pytest.fixture
def posts(case: Case) -> Case:
    case.post()
    case.app.sql(
        "insert into posts (id, title, secret, user_id) values (2, 'Second', 's', 8), (3, 'T', 's', 7)"
    )
    return case


KEYS: tuple[dict[int | bytes, Value], ...] = (
    {0: 1, 1: 2},
    {1: 2, 2: 3},
    {1: 3, 0: 1},
    {b"Rex": 1, b"Tom": 3},
    {2: 2, 3: 3},
    {0: 1, 1: 99, 2: 3},
    {5: 99},
)
WITH = """public $posts; public function broadcastWith() { return ['it' => $this->posts,
    'keys' => $this->posts->keys(), 'first' => $this->posts->first(),
    'all' => $this->posts->pluck('title')]; }"""


@pytest.mark.parametrize("event", [WITH, "public $posts;"], ids=["with", "whole"])
@pytest.mark.parametrize("keys", KEYS, ids=str)
def test_a_collection_has_the_keys_that_it_was_dispatched_with(
    posts: Case, keys: dict[int | bytes, Value], event: str
) -> None:
    posts.event(event)
    posts.both(posts=posts.model(key=PhpArray(keys)))


@pytest.mark.parametrize(
    "expression",
    [
        "Rank::Low",
        "Mood::Up",
        "['in' => [Rank::High], 'all' => collect(Rank::cases())]",
        "json_encode(['r' => Rank::Low, 'm' => Mood::Up])",
        "collect(['r' => Rank::Low])->toJson()",
    ],
)
def test_an_enum_that_says_its_json_does(posts: Case, expression: str) -> None:
    for name, source in ENUMS.items():
        posts.add(name, source)
    posts.sends(expression)
    posts.both()


@pytest.mark.parametrize("cast", ["Rank::class", "AsEnumCollection", "AsEnumArrayObject"])
def test_a_cast_to_enums_that_say_their_json(case: Case, cast: str) -> None:
    """Refused where Laravel does not have it."""
    case.add("Rank", ENUMS["Rank"])
    if cast.startswith("As"):
        cast = f"\\Illuminate\\Database\\Eloquent\\Casts\\{cast}::class . ':' . Rank::class"
        case.post(f"protected $casts = ['it' => {cast}];", columns="it", it="[1,5]")
    else:
        case.post(f"protected $casts = ['it' => {cast}];", columns="it", it=5)
    case.sends("[$this->post->it, $this->post, $this->post->only('it'), $this->post->toArray()]")
    ours = case.native()
    assert ours.outcome == "refused" or ours.broadcasts == case.app.laravel(case.payload()).broadcasts


@pytest.mark.parametrize(
    "expression",
    [
        "collect([Size::S])",
        "collect(['s' => Size::S])->toArray()",
        "collect(Level::cases())->contains(Level::None)",
        "collect([1])->search(new class { public function __invoke() { return false; } })",
        "collect(['strtoupper'])->contains([Level::Gold, 'from'])",
        "collect(Level::cases())->reject(Level::None)",
        "collect([['hid' => true]])->reject([Rows::class, 'hid'])->count()",
        "collect([['n' => 2], ['n' => 1]])->sortBy([Rows::class, 'rank'])->values()",
        "collect([['n' => 2], ['n' => 1]])->sortByDesc([Rows::class, 'any'])->values()",
        "collect([['n' => 2], ['n' => 1]])->sortBy([new Rows, 'rank'])->values()",
        "collect([['hid' => true], ['hid' => false]])->where([Rows::class, 'hid'])->values()",
        "collect([['hid' => true]])->firstWhere([Rows::class, 'hid'])",
        "collect([['n' => 2], ['n' => 1]])->implode([Rows::class, 'rank'], ', ')",
    ],
)
def test_what_a_collection_would_convert_or_call_is_refused(posts: Case, expression: str) -> None:
    for name, source in ENUMS.items():
        posts.add(name, source)
    posts.sends(expression)
    posts.refused()


@pytest.mark.parametrize(
    "expression",
    [
        "collect([['a' => 2, 'b' => 1], ['a' => 1, 'b' => 2]])->sortBy(['a', 'b'])->values()",
        "collect([['a', 'b'], ['a', 'c']])->reject(['a', 'b'])->values()",
        "collect([['a', 'b'], ['a', 'c']])->search(['a', 'c'])",
        "collect([['tag' => ['k' => 1]], ['tag' => ['k' => 2]]])->where(['tag', 'k'], 2)->values()",
    ],
)
def test_a_pair_of_keys_is_nothing_to_call(posts: Case, expression: str) -> None:
    posts.sends(expression)
    posts.both()


@pytest.mark.parametrize(
    "pair",
    [
        "['locale', 'getDefault']",
        "['closure', 'bind']",
        "['datetime', 'getLastErrors']",
        "['event', 'name']",
        "['EVENT', 'name']",
    ],
)
def test_a_pair_of_keys_that_may_be_a_method_of_a_class_of_that_name_is_refused(
    posts: Case, pair: str
) -> None:
    posts.sends(f"collect([['a' => 2], ['a' => 1]])->sortBy({pair})->values()")
    assert "can be called" in posts.refused()


def carbon(date: bytes, zone: bytes) -> PhpObject:
    held: dict[int | bytes, Value] = {b"date": date, b"timezone_type": 3, b"timezone": zone}
    return PhpObject("Illuminate\\Support\\Carbon", held)


def test_an_hour_that_comes_twice_is_refused(case: Case) -> None:
    case.event("public $at;")
    assert "clocks" in case.refused(at=carbon(b"2024-10-27 02:30:00.000000", b"Europe/Berlin"))
    case.both(at=carbon(b"2024-10-27 03:00:00.000000", b"Europe/Berlin"))
    case.both(at=carbon(b"2024-10-27 02:30:00.000000", b"UTC"))


def test_a_date_time_in_an_hour_that_comes_twice_is_sent_as_it_stands(case: Case) -> None:
    case.event("public $at;")
    for name in ("DateTime", "DateTimeImmutable"):
        twice = carbon(b"2024-10-27 02:30:00.000000", b"Europe/Berlin")
        case.both(at=PhpObject(name, twice.properties))
        skipped = carbon(b"2024-03-31 02:30:00.000000", b"Europe/Berlin")
        assert "skips" in case.refused(at=PhpObject(name, skipped.properties))


def test_large_integers_are_written_as_the_php_writes_them(case: Case) -> None:
    case.event("public $n; public function broadcastWith() { return ['it' => number_format($this->n)]; }")
    case.both(n=2**53 - 1)
    ours, theirs = case.native(n=2**53 + 1), case.app.laravel(case.payload(n=2**53 + 1))
    assert ours.outcome == "refused" or ours.broadcasts == theirs.broadcasts


PIVOT = "\\Illuminate\\Database\\Eloquent\\Relations\\Pivot"


@pytest.mark.parametrize(
    ("body", "row"),
    [("", "singular"), ("protected $table = 'memberships';", "plural")],
    ids=["its own table", "a named one"],
)
def test_a_pivot_of_a_class_of_its_own_is_read_from_the_table_that_laravel_reads(
    case: Case, body: str, row: str
) -> None:
    for table, label in (("membership", "singular"), ("memberships", "plural")):
        case.app.sql(
            f"drop table if exists {table}; create table {table} (id integer primary key, label varchar);"
            f" insert into {table} values (1, '{label}')"
        )
    case.add("Membership", f"class Membership extends {PIVOT} {{ public $incrementing = true; {body} }}")
    case.sends("[$this->post->label, $this->post->getTable(), $this->post]")
    data = case.data(post=case.model("Membership"))
    assert isinstance(data, dict)
    assert data["it"][0] == row


def test_a_morph_pivot_is_refused_whose_table_depends_on_the_release(case: Case) -> None:
    case.add("Tagging", "class Tagging extends \\Illuminate\\Database\\Eloquent\\Relations\\MorphPivot { }")
    case.sends("$this->post")
    assert case.refused(post=case.model("Tagging"))


@pytest.mark.parametrize(
    ("expression", "sent"),
    [
        ("Carbon::parse('2024-03-31 00:00', 'Europe/Berlin')->diffInDays('2024-03-31 01:30')", False),
        ("Carbon::parse('2024-05-01T10:00:00+05:30')->format('T')", False),
        ("Carbon::parse('2024-05-01T10:00:00+05:30')->toCookieString()", False),
        ("Carbon::parse('2024-05-01 10:00:00', 'Europe/Berlin')->format('T')", True),
        ("Carbon::parse('2024-05-01 10:00:00', 'UTC')->diffInDays(Carbon::parse('2024-05-03', 'UTC'))", True),
    ],
)
def test_what_of_a_date_depends_on_the_php_is_refused(case: Case, expression: str, sent: bool) -> None:
    case.post()
    case.sends(expression.replace("Carbon::", "\\Illuminate\\Support\\Carbon::"))
    if sent:
        case.both()
    else:
        ours, theirs = case.native(version="13.31"), case.app.laravel(case.payload())
        assert ours.outcome == "refused", (ours, theirs)
