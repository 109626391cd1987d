"""What the models of a batch of jobs have in common is read with one statement for all of them.

Each job afterwards restores its models by itself, as if it were alone; only its statements are answered from
the rows that were read here. So a guess that was wrong costs a statement, and changes nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bridge.errors import JobError
from bridge.phpeval.laravel.eloquent.model import ModelClass, by_key
from bridge.phpeval.laravel.eloquent.prefetched_rows import plain_keys
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value

_DEEPEST = 5  # relations of relations


@dataclass(slots=True)
class _Wanted:
    """Models of one class from one connection: how often each key is asked for, with which relations."""

    keys: Counter[int | bytes] = field(default_factory=Counter)
    relations: dict[str, None] = field(default_factory=dict)


def read_ahead(models: ModelClass, php: Interpreter, identifiers: Iterable[PhpObject]) -> None:
    """The rows for these ModelIdentifiers, and for the relations they name, are read where that saves
    statements. What is refused or fails here is left to the jobs. Raises ServiceUnavailable."""
    for (class_name, connection), wanted in _wanted(models, identifiers).items():
        used_relations = models.used_relations.pop(class_name, {})
        if wanted.keys.total() < 2:
            continue
        try:
            setup = models.prototype(class_name, php).setup
            query = by_key(setup, list(wanted.keys))
            keys = plain_keys(query.key.value if isinstance(query.key.value, tuple) else (query.key.value,))
            if not keys:
                continue
            rows = models.records.read_ahead(connection, query, keys)
        except JobError:
            continue
        _relations(models, php, class_name, connection, rows, (*wanted.relations, *used_relations))


def _wanted(models: ModelClass, identifiers: Iterable[PhpObject]) -> dict[tuple[str, str], _Wanted]:
    found: dict[tuple[str, str], _Wanted] = {}
    for identifier in identifiers:
        class_name, key, connection, names = map(identifier.get, ("class", "id", "connection", "relations"))
        if not isinstance(class_name, bytes):
            continue
        place = connection.decode() if isinstance(connection, bytes) else models.default_connection
        wanted = found.setdefault((class_name.decode("utf-8", "replace"), place), _Wanted())
        keys: Sequence[Value] = tuple(key.values()) if isinstance(key, PhpArray) else (key,)
        wanted.keys.update(key for key in keys if isinstance(key, int | bytes))
        for name in names.values() if isinstance(names, PhpArray) else ():
            if isinstance(name, bytes):
                wanted.relations[name.decode("utf-8", "replace")] = None
    return found


def _relations(
    models: ModelClass,
    php: Interpreter,
    class_name: str,
    connection: str,
    rows: Sequence[PhpArray],
    names: Sequence[str],
    depth: int = 0,
) -> None:
    """The rows to which these are related, where what one statement gives is what each job would get."""
    if not rows or depth == _DEEPEST:
        return
    nested: dict[str, list[str]] = {}
    for name in (*models.prototype(class_name, php).setup.always_loaded, *names):
        first, _, rest = name.partition(".")
        nested.setdefault(first, []).extend([rest] if rest else [])
    for first, inner in nested.items():
        try:
            parent = models.hydrate(class_name, rows[0].copy(), connection, php)
            description = models.description(models.view(parent, php), first, php)
            if description is None or description.type or description.through or description.one_of:
                continue
            keys = plain_keys(key for row in rows if (key := row.get(description.local.encode())) is not None)
            if not keys or (description.many and len(keys) > 1):
                continue
            search = models.search(description, php)
            place, query = search.connection or connection, search.query_for(keys)
            found = models.records.read_ahead(place, query, keys)
            used_relations = models.used_relations.pop(description.related, {})
            _relations(models, php, description.related, place, found, (*inner, *used_relations), depth + 1)
        except JobError:
            continue
