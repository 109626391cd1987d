"""What the native rung knows, written from the tables that it works with: `SUPPORTED.md`.

python -m bridge.jobs.resolve.survey.supported > SUPPORTED.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime

from bridge.jobs.resolve.app_environment import native_classes
from bridge.jobs.resolve.rungs.framework import EVENTS
from bridge.laravel.config import Config
from bridge.laravel.config_file import env
from bridge.phpeval.laravel.eloquent.casts import KNOWN_CLASSES, PRIMITIVE
from bridge.phpeval.laravel.eloquent.model_methods import METHODS
from bridge.phpeval.laravel.eloquent.relations import RELATION_METHODS, RELATION_OF, RELATIONS
from bridge.phpeval.laravel.helpers import laravel_classes, laravel_functions
from bridge.phpeval.laravel.support.collection import PROXIES, CollectionClass
from bridge.phpeval.laravel.support.date_functions import date_functions
from bridge.phpeval.laravel.support.native_class import NativeClass
from bridge.phpeval.laravel.support.resource import METHODS as RESOURCE_METHODS
from bridge.phpeval.laravel.support.resource import PROTECTED, STATICS
from bridge.phpeval.laravel.version import NEWEST
from bridge.phpeval.php.functions import CONSTANTS, FUNCTIONS
from bridge.phpeval.php.parse.lower_expressions import EXPRESSIONS
from bridge.phpeval.php.parse.lower_statements import STATEMENTS
from bridge.phpeval.php.runtime.interpreter import Native

WIDTH = 110  # characters of a line
HEAD = """# What is evaluated natively

bridge evaluates an event natively only if it knows everything that the event uses; otherwise
[PHP resolves it](docs/resolving.md). `bridge events --app DIR` says which events of an app are native, and
why the others are not, with file and line. `bridge resolve --compare` compares both results.
"""
FOOT = """Written by `python -m bridge.jobs.resolve.survey.supported > SUPPORTED.md`; a test keeps it true.
"""
LEFT_TO_PHP: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("routes", ("route",)),
    ("the current user, request and session", ("auth", "session", "cookie")),
    ("the container, and what it makes", ("app", "resolve", "cache", "validator")),
    ("random values, files", ("random_int", "mt_rand", "uniqid", "file_get_contents")),
    ("relations", ("MorphToMany",)),
)
"""What events use that is not native, by kind; nothing of it may stand in the tables below."""
ALSO_LEFT = (
    "queries that an event makes itself: `Model::find()`, `where()->get()`, `DB`; relations are native",
    "relations to models with global scopes other than `SoftDeletes`",
    "the app's own collection classes, and classes with `__wakeup()` or `__unserialize()`",
    "property hooks",
    "anything with side effects: saving, dispatching, writing to a cache",
    "every event, on PHP 7",
)
# What the tables of the parser call it → what PHP's manual does.
TERMS = {
    "anonymous_function": "anonymous functions",
    "array_creation_expression": "`[…]` and `array()`",
    "arrow_function": "arrow functions",
    "assignment_expression": "assignments (`[$a, $b] =` too)",
    "augmented_assignment_expression": "`+=` and its kin",
    "binary_expression": "binary operators (`??`, `<=>` and `instanceof` too)",
    "boolean": "`true` and `false`",
    "cast_expression": "casts",
    "class_constant_access_expression": "class constants and enum cases",
    "clone_expression": "`clone`",
    "conditional_expression": "`?:`",
    "encapsed_string": "strings with variables",
    "float": "floats",
    "function_call_expression": "function calls",
    "heredoc": "heredocs",
    "integer": "integers",
    "match_expression": "`match`",
    "member_access_expression": "`->` properties",
    "member_call_expression": "`->` methods",
    "name": "constants",
    "nowdoc": "nowdocs",
    "null": "`null`",
    "nullsafe_member_access_expression": "`?->` properties",
    "nullsafe_member_call_expression": "`?->` methods",
    "object_creation_expression": "`new`",
    "parenthesized_expression": "parentheses",
    "qualified_name": "constants in namespaces",
    "reference_assignment_expression": "references (`=&`)",
    "scoped_call_expression": "static methods",
    "scoped_property_access_expression": "static properties",
    "string": "strings",
    "subscript_expression": "array elements",
    "throw_expression": "`throw`",
    "unary_op_expression": "unary operators",
    "update_expression": "`++` and `--`",
    "variable_name": "variables",
    "yield_expression": "`yield`",
    "break_statement": "`break`",
    "continue_statement": "`continue`",
    "do_statement": "`do`",
    "expression_statement": "expressions",
    "for_statement": "`for`",
    "foreach_statement": "`foreach`",
    "function_static_declaration": "`static` variables",
    "if_statement": "`if`",
    "return_statement": "`return`",
    "switch_statement": "`switch`",
    "try_statement": "`try`",
    "unset_statement": "`unset`",
    "while_statement": "`while`",
}


def supported() -> str:
    """The whole text."""
    helpers = laravel_functions(Config(items={}, files={}, overrides={}), env({}))
    relations = [name for name in RELATION_OF.values() if name.rsplit("\\", 1)[-1].lower() in RELATIONS]
    sections: list[tuple[str, Iterable[str]]] = [
        ("Most common reasons for PHP", _left()),
        (
            "PHP: syntax",
            _wrapped(sorted({TERMS[node] for node in (*EXPRESSIONS, *STATEMENTS)}, key=_letters)),
        ),
        ("PHP: functions", _listed([*FUNCTIONS, *date_functions(lambda: datetime.now(UTC), "UTC")])),
        ("PHP: constants", _listed(CONSTANTS)),
        ("Laravel: functions", _listed(helpers)),
        ("Laravel: its own events", _listed(EVENTS)),
        ("Laravel: classes", _classes()),
        (
            "API resources",
            [
                "Of `JsonResource` and its collections, apart from what they read of the request.",
                "",
                *_listed([*RESOURCE_METHODS, *PROTECTED, *STATICS]),
            ],
        ),
        (
            "Models: methods",
            ["Method names are in lower case, since PHP ignores case.", "", *_listed(METHODS)],
        ),
        ("Models: casts", _listed([*PRIMITIVE, *KNOWN_CLASSES, "enums", "cast classes of the app"])),
        ("Models: relations", _listed(name.rsplit("\\", 1)[-1] for name in relations)),
        ("Models: on relations", _listed(RELATION_METHODS)),
    ]
    written = (f"## {title}\n\n" + "\n".join(lines) + "\n" for title, lines in sections)
    return "\n".join([HEAD, *written, FOOT])


def _classes() -> Iterator[str]:
    """What each table of members holds, below the names of its classes; then the classes without a table."""
    classes = laravel_classes(
        lambda: datetime.now(UTC), "UTC", "en", Config(items={}, files={}, overrides={})
    )
    tables: dict[tuple[str, ...], list[str]] = {}
    for name, native in {**classes, **native_classes(NEWEST)}.items():
        tables.setdefault(tuple(_members(native)), []).append(name)
    others = tables.pop((), [])
    for members, names in sorted(tables.items(), key=lambda table: min(table[1])):
        yield from _listed(names)
        yield ""
        yield from members
        yield ""
    yield from _listed(others, before="Also the members that matter to a broadcast of: ")


def _members(native: Native) -> Iterator[str]:
    if not isinstance(native, NativeClass):
        return
    if native.makes:
        yield "- made with `new`"
    kinds: list[tuple[str, Collection[str]]] = [
        ("static", native.statics),
        ("methods", native.methods),
        ("properties", native.properties),
        ("`->name->…` on each item", PROXIES if isinstance(native, CollectionClass) else ()),
    ]
    for kind, names in kinds:
        if names:
            yield from _listed(names, before=f"- {kind}: ", indent="  ")


def _left() -> Iterator[str]:
    for kind, names in LEFT_TO_PHP:
        written = [f"`{name}`" if name[0].isupper() else f"`{name}()`" for name in names]
        yield f"- {kind}: {', '.join(written)}"
    for sentence in ALSO_LEFT:
        yield f"- {sentence}"


def _letters(term: str) -> tuple[str, str]:
    letters = re.sub(r"[^a-z]", "", term.lower())
    return letters or "~", term


def _listed(names: Iterable[str], *, before: str = "", indent: str = "") -> Iterator[str]:
    """The names in order, in lines of WIDTH."""
    ordered = sorted(set(names), key=lambda name: (name.lower(), name))
    return _wrapped((f"`{name}`" for name in ordered), before=before, indent=indent)


def _wrapped(pieces: Iterable[str], *, before: str = "", indent: str = "") -> Iterator[str]:
    """With commas between them, in lines of WIDTH."""
    line = before
    for number, piece in enumerate(pieces):
        if number:
            line += ","
        if len(line) + 2 + len(piece) > WIDTH:
            yield line.rstrip()
            line = indent
        elif number:
            line += " "
        line += piece
    yield line


if __name__ == "__main__":
    sys.stdout.write(supported())
