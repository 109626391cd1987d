"""PHP attributes on models. Recorded jobs of Laravel 13 say what they do (tests/conformance); here stand the
corners, and that older releases know nothing of them."""

from __future__ import annotations

import json

import pytest

from tests.phpeval.laravel.eloquent.app import Case

SPACE = "\\Illuminate\\Database\\Eloquent\\Attributes\\"
ALL = {"id", "title", "secret", "user_id", "created_at", "updated_at"}


def head(*attributes: str) -> str:
    return "".join(f"#[{SPACE}{attribute}] " for attribute in attributes)


def names_of(case: Case) -> set[str]:
    """Names of what the model shows, by bridge and Laravel 8."""
    data = case.data()
    assert isinstance(data, dict)
    return set(data["it"])


def shown(case: Case, *attributes: str, body: str = "", version: str = "13.31") -> set[str]:
    """Names of what the model shows natively in that release."""
    case.post(body, head=head(*attributes))
    case.sends("$this->post")
    (sent,) = case.native(version=version).broadcasts
    return set(json.loads(sent.data)["it"])


@pytest.mark.parametrize(
    ("attributes", "body", "names"),
    [
        (["Hidden('secret', 'title')"], "", ALL - {"secret", "title"}),
        (["Hidden(['secret', 'title'])"], "", ALL - {"secret", "title"}),
        (["Hidden(self::PRIVATE)"], "const PRIVATE = ['secret'];", ALL - {"secret"}),
        (["Hidden('title')"], "protected $hidden = ['secret'];", ALL - {"secret", "title"}),
        (["Visible('id', 'title')", "Hidden('title')"], "", {"id"}),
        (["Appends('loud')"], "function getLoudAttribute() { return 1; }", ALL | {"loud"}),
        (["Fillable(['title'])", "Guarded('id')", "Touches('user')", "Unguarded"], "", ALL),
        (["UseFactory(X::class)", "UsePolicy(X::class)", "UseResource(X::class)"], "", ALL),
    ],
)
def test_what_is_shown_is_what_the_attributes_say(
    case: Case, attributes: list[str], body: str, names: set[str]
) -> None:
    assert shown(case, *attributes, body=body) == names


@pytest.mark.parametrize("attribute", ["Hidden('secret')", "Visible('id')", "Table('nothing')"])
def test_laravel_before_13_knows_none_of_them(case: Case, attribute: str) -> None:
    case.post(head=head(attribute))
    case.sends("$this->post")
    assert names_of(case) == ALL
    assert case.native(version="12.67").outcome == "broadcast"


def test_the_nearest_of_class_its_traits_and_parents_counts(case: Case) -> None:
    case.post()
    case.add("Bas", head("Hidden('title')", "Table('posts')") + "class Bas extends Model { }")
    case.add("Inner", head("Hidden('id')") + "trait Inner { }")
    case.add("Concern", head("Hidden('user_id')") + "trait Concern { use Inner; }")
    for body, hidden in (("", "title"), ("use Concern;", "user_id"), ("use Inner;", "id")):
        case.add("Post", f"class Post extends Bas {{ {body} }}")
        case.sends("$this->post")
        (sent,) = case.native(version="13.31").broadcasts
        assert set(json.loads(sent.data)["it"]) == ALL - {hidden}
    case.add("Post", head("Hidden('secret')") + "class Post extends Bas { use Concern; }")
    (sent,) = case.native(version="13.31").broadcasts
    assert set(json.loads(sent.data)["it"]) == ALL - {"secret"}


def test_a_table_and_its_key_are_named(case: Case) -> None:
    case.post()
    case.add(
        "Post",
        head("Table('posts', key: 'title', keyType: 'string', incrementing: false, timestamps: false)")
        + "class Post extends Model { }",
    )
    case.sends("[$this->post->getKey(), $this->post->getTable(), $this->post->id]")
    (sent,) = case.native(version="13.31", post=case.model(key=b"Title")).broadcasts
    assert json.loads(sent.data)["it"] == ["Title", "posts", 1]


def test_a_table_that_is_inherited_goes_behind_an_attribute_of_the_class_from_13_6_on(case: Case) -> None:
    case.post()
    case.add("Bas", "class Bas extends Model { protected $table = 'nowhere'; }")
    case.add("Post", head("Table('posts')") + "class Post extends Bas { }")
    case.sends("$this->post->id")
    assert case.native(version="13.6").outcome == "broadcast"
    assert "#[Table]" in case.refused(version="13.5")
    case.add("Post", head("Table('nowhere')") + "class Post extends Bas { protected $table = 'posts'; }")
    assert case.native(version="13.5").outcome == "broadcast"


def test_the_key_in_routes_is_named_from_13_21_on(case: Case) -> None:
    case.post(head=head("RouteKey('title')"))
    case.sends("[$this->post->getRouteKey(), $this->post->getRouteKeyName()]")
    for version, key in (("13.21", ["Title", "title"]), ("13.20", [1, "id"])):
        (sent,) = case.native(version=version).broadcasts
        assert json.loads(sent.data)["it"] == key


@pytest.mark.parametrize(
    "attribute",
    [
        "Hidden(...['secret'])",
        "Hidden(columns: ['secret'])",
        "Hidden()",
        "Hidden([1])",
        "Table(...self::HOW)",
        "Table(nothing: 1)",
        "Connection(Where::Here)",
        "CollectedBy(Posts::class)",
        "UseEloquentBuilder(Builder::class)",
        "NotYetKnown",
    ],
)
def test_what_cannot_be_told_is_refused(case: Case, attribute: str) -> None:
    case.add("Where", "enum Where: string { case Here = 'sqlite'; }")
    case.post("const HOW = ['posts'];", head=head(attribute))
    case.sends("$this->post")
    assert case.refused(version="13.31")


def test_attributes_of_others_than_laravel_change_nothing(case: Case) -> None:
    case.post(head="#[\\OpenApi\\Attributes\\Schema(title: 'Post')] #[Hidden('secret')] ")
    case.sends("$this->post")
    assert names_of(case) == ALL
    assert case.native(version="13.31").outcome == "broadcast"
