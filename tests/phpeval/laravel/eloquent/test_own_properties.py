"""Properties of a model beside its attributes, read by the model itself, by others and by Laravel, held
against real Laravel."""

from __future__ import annotations

import pytest

from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from tests.phpeval.laravel.eloquent.app import Case

SEEN = "public function getSeenAttribute() {{ return {}; }}"


@pytest.mark.parametrize(
    "head", ["", "private $secret = 'C';", "protected $secret = 'C';", "public $secret = 'C';"]
)
def test_the_private_property_of_a_parent_is_what_its_methods_see(case: Case, head: str) -> None:
    case.add(
        "Root",
        f"abstract class Root extends Model {{ private $secret = 'P'; {SEEN.format('$this->secret')}"
        " public function asked() { return $this->getAttribute('secret'); } }",
    )
    if head.startswith("private"):
        head += "public function getMineAttribute() { return $this->secret; }"
    case.post()
    case.add("Post", f"class Post extends Root {{ protected $table = 'posts'; {head} }}")
    case.sends("[$this->post->seen, $this->post->mine, $this->post->secret, $this->post->asked()]")
    case.data()


@pytest.mark.parametrize("body", ["", "protected $table = 'posts';"])
def test_a_model_knows_its_table(case: Case, body: str) -> None:
    case.post(f"{body} {SEEN.format('$this->table')}")
    case.sends("[$this->post->seen, $this->post->getTable(), $this->post]")
    case.data()


@pytest.mark.parametrize("expression", ["$this->original", "$this->original['title'] ?? 'no'"])
def test_what_a_model_keeps_of_the_row_is_refused(case: Case, expression: str) -> None:
    case.post(SEEN.format(expression))
    case.sends("$this->post->seen")
    assert "$original" in case.refused()


@pytest.mark.parametrize(
    "expression",
    [
        "$this->post->only('exists', 'pub')",
        "data_get($this->post, 'exists')",
        "data_get(['p' => $this->post], 'p.pub')",
        "collect([$this->post])->pluck('pub')",
        "collect([$this->post])->where('exists', true)->count()",
        "$this->post->getAttribute('pub')",
        "[$this->post->pub, $this->post->exists, $this->post['pub']]",
        "collect([$this->post])->pluck('hidden', 'title')",
    ],
)
def test_a_column_with_the_name_of_a_property(case: Case, expression: str) -> None:
    """Right, or refused where Laravel asks for the one or the other."""
    case.post(
        "public $pub = 'declared';",
        columns='pub varchar, "exists" varchar, hidden varchar',
        pub="column",
        hidden="h",
    )
    case.app.sql("update posts set \"exists\" = 'column'")
    case.sends(expression)
    ours, theirs = case.native(), case.app.laravel(case.payload())
    assert ours.outcome == "refused" or ours.broadcasts == theirs.broadcasts, (ours, theirs)


@pytest.mark.parametrize("asked", ["isDirty()", "isClean()", "getDirty()", "isDirty('it')"])
def test_what_is_dirty_is_refused_once_the_model_keeps_an_object(case: Case, asked: str) -> None:
    cast = "\\Illuminate\\Database\\Eloquent\\Casts\\AsCollection::class"
    case.post(f"protected $casts = ['it' => {cast}];", columns="it", it='{"k":1.0}')
    case.sends(f"[$this->post->it, $this->post->{asked}]")
    assert "dirty" in case.refused()
    case.sends(f"$this->post->{asked}")
    case.data()


NUMBERED = (
    "$this->post",
    "$this->post->toArray()",
    "$this->post->{'5'}",
    "array_merge(['a' => 1], $this->post->getAttributes())",
    "array_keys($this->post->getAttributes())",
    "$this->post->only(['5'])",
    "$this->post->getOriginal('5')",
    "data_get($this->post, '5')",
    "collect([$this->post])->pluck('5')",
)


@pytest.mark.parametrize("expression", NUMBERED)
def test_a_column_whose_name_is_a_number_is_refused_or_as_laravel_has_it(case: Case, expression: str) -> None:
    """PHP makes an integer of such a key."""
    case.post("protected $hidden = ['id', 'title', 'secret', 'user_id', 'created_at', 'updated_at'];")
    case.app.sql("alter table posts add column `0` text; alter table posts add column `5` text")
    case.app.sql("update posts set `0` = 'zero', `5` = 'five'")
    case.sends(expression)
    ours, theirs = case.native(), case.app.laravel(case.payload())
    assert ours.outcome == "refused" or ours.broadcasts == theirs.broadcasts


@pytest.mark.parametrize("expression", NUMBERED)
def test_a_model_that_was_serialized_whole_with_such_an_attribute(case: Case, expression: str) -> None:
    case.post()
    case.sends(expression)
    held: dict[int | bytes, Value] = {
        b"\0*\0attributes": PhpArray({0: b"zero", 5: b"five"}),
        b"exists": True,
    }
    post = PhpObject(case.name("Post"), held)
    ours, theirs = case.native(post=post), case.app.laravel(case.payload(post=post))
    assert ours.outcome == "refused" or ours.broadcasts == theirs.broadcasts
