"""Which resource class stands for a model, as `toResource()` and `toResourceCollection()` find it.

Sources: Database/Eloquent/Concerns/TransformsToResource.php and Collections/Traits/
TransformsToResourceCollection.php, 12.29 to 13.31.
"""

from __future__ import annotations

from bridge.phpeval.laravel.eloquent.attributes import own
from bridge.phpeval.laravel.support.collection_items import release
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.values import PhpObject


def is_class(name: str, php: Interpreter) -> bool:
    """`class_exists`."""
    found = php.classes.find(name)
    return found is not None and found.kind in ("class", "enum")


def marked_class(class_name: str, short: str, php: Interpreter) -> str | None:
    """The class that #[UseResource] or its kin names, on the very class."""
    marked = own(class_name, short, php.classes)
    return None if marked is None else marked.text(php, "class").decode("utf-8", "replace").lstrip("\\")


def resource_names(model: PhpObject, php: Interpreter) -> list[str]:
    """`guessResourceName()`: App\\Models\\Post → App\\Http\\Resources\\PostResource, …\\Post."""
    name = model.class_name
    if php.classes.method(name, "guessResourceName") is not None or name.count("\\Models\\") > 1:
        php.refuse(f"the name of a resource of {name}")
    space, models, rest = name.partition("\\Models\\")
    if not models:
        return []
    if rest.count("\\") > 1 and release(php) < (13, 20):
        php.refuse(f"the name of a resource of {name}, in which releases differ,")
    guess = f"{space}\\Http\\Resources\\{rest}"
    return [f"{guess}Resource", guess]
