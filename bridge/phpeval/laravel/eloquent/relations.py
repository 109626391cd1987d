"""Relations: what a relation method describes, and loading it. One entry a relation kind.

A relation method of the app is evaluated; `belongsTo` and its kin give a `Relation` object, on which the
method may still put conditions. Loading then asks the database as Eloquent does, for one model or for many.
Sources: Concerns/HasRelationships.php, Relations/*.php, 8.83 to 13.26.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bridge.errors import Refused
from bridge.phpeval.laravel.eloquent import properties
from bridge.phpeval.laravel.eloquent.description import Description, Relation
from bridge.phpeval.laravel.eloquent.model_settings import ModelSettings, is_constant
from bridge.phpeval.laravel.eloquent.query_methods import QUERY_METHODS
from bridge.phpeval.laravel.eloquent.sql_text import OPERATORS, Condition, Join, Query, is_any_of
from bridge.phpeval.laravel.inflection import snake
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.class_table import BoundMethod, ClassTable
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import to_bool, to_int
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value, array_key

if TYPE_CHECKING:
    from bridge.phpeval.laravel.eloquent.model import ModelClass
    from bridge.phpeval.laravel.eloquent.model_view import ModelView

_SPACE = "Illuminate\\Database\\Eloquent\\Relations\\"
THROUGH_KEY = b"laravel_through_key"  # as Laravel names it: it shows in arrays, too
_MOST_PARENTS = 100  # of which one of many is read at once, by a query each
MORPH_TO = _SPACE + "MorphTo"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationCall:
    """One call of `belongsTo` and its kin: on which model, from which method, with which arguments."""

    models: ModelClass
    php: Interpreter
    parent: PhpObject
    method: str
    arguments: Sequence[Value] = field(default=())

    def text(self, position: int, default: str | None = None) -> str:
        """A text argument, its default where it is missing or null."""
        value = self.arguments[position] if position < len(self.arguments) else None
        if value is None and default is not None:
            return default
        if not isinstance(value, bytes):
            raise Refused(f"an argument of the relation {self.method}()")
        return value.decode("utf-8", "replace")

    def related(self, position: int = 0) -> str:
        return self.text(position).lstrip("\\")

    def key_of(self, class_name: str) -> str:
        return self.models.prototype(class_name, self.php).setup.key_name


Make = Callable[[RelationCall], Relation]


def _belongs_to(asked: RelationCall) -> Relation:
    related = asked.related()
    owner = asked.text(2, asked.key_of(related))
    relation = asked.text(3, asked.method)
    foreign = asked.text(1, f"{snake(relation.encode()).decode()}_{asked.key_of(related)}")
    description = Description(related=related, many=False, local=foreign, foreign=owner, default_key=False)
    return Relation(_SPACE + "BelongsTo", asked.parent, description)


def _has(*, many: bool) -> Make:
    def make(asked: RelationCall) -> Relation:
        related, own = asked.related(), asked.models.view(asked.parent, asked.php)
        description = Description(
            related=related,
            many=many,
            local=asked.text(2, own.setup.key_name),
            foreign=asked.text(1, own.foreign_key),
            default_key=None if many else True,
        )
        return Relation(_SPACE + ("HasMany" if many else "HasOne"), asked.parent, description)

    return make


def _morph(*, many: bool) -> Make:
    def make(asked: RelationCall) -> Relation:
        related, name = asked.related(), asked.text(1)
        own = asked.models.view(asked.parent, asked.php)
        kind, id = asked.text(2, f"{name}_type"), asked.text(3, f"{name}_id")
        same_class = Condition(
            column=kind, operator="=", value=asked.models.morph_class(asked.parent.class_name).encode()
        )
        description = Description(
            related=related,
            many=many,
            local=asked.text(4, own.setup.key_name),
            foreign=id,
            conditions=(same_class,),
            morphs=True,
        )
        return Relation(_SPACE + ("MorphMany" if many else "MorphOne"), asked.parent, description)

    return make


def _belongs_to_many(asked: RelationCall) -> Relation:
    related, own = asked.related(), asked.models.view(asked.parent, asked.php)
    other = asked.models.prototype(related, asked.php)
    segments = sorted([own.setup.base_name, other.setup.base_name])
    table = asked.text(1, "_".join(segments))
    if "\\" in table:
        raise Refused(f"a pivot class of its own in {asked.method}()")
    description = Description(
        related=related,
        many=True,
        pivot_table=table,
        foreign=asked.text(2, own.foreign_key),
        pivot_related=asked.text(3, other.foreign_key),
        local=asked.text(4, own.setup.key_name),
        related_key=asked.text(5, other.setup.key_name),
    )
    return Relation(_SPACE + "BelongsToMany", asked.parent, description)


def _through(*, many: bool) -> Make:
    def make(asked: RelationCall) -> Relation:
        related, between = asked.related(), asked.related(1)
        own = asked.models.view(asked.parent, asked.php)
        middle = asked.models.prototype(between, asked.php)
        description = Description(
            related=related,
            many=many,
            foreign=asked.text(2, own.foreign_key),
            local=asked.text(4, own.setup.key_name),
            through=(between, asked.text(3, middle.foreign_key), asked.text(5, middle.setup.key_name)),
            default_key=None if many else False,
        )
        return Relation(_SPACE + ("HasManyThrough" if many else "HasOneThrough"), asked.parent, description)

    return make


def _morph_to(asked: RelationCall) -> Relation:
    name = asked.text(0, asked.method)
    kind, id = (
        asked.text(1, f"{snake(name.encode()).decode()}_type"),
        asked.text(2, f"{snake(name.encode()).decode()}_id"),
    )
    description = Description(related="", many=False, local=id, foreign=asked.text(3, ""), type=kind)
    return Relation(MORPH_TO, asked.parent, description)


def of(
    models: ModelClass, php: Interpreter, parent: ModelView, description: Description, name: str
) -> Description | None:
    """The description with the class to which this parent points; None where a morphTo points nowhere."""
    if not description.type:
        return description
    held = parent.attributes.get(description.type.encode())
    if description.type.encode() in parent.setup.casts or parent.setup.accessor(description.type):
        raise Refused(f"the relation {name}() over a type that has an accessor or a cast")
    if held is None or held == b"":
        if parent.attributes.get(description.local.encode()) is not None:
            raise Refused(f"the relation {name}() with a key, but without a type")
        return None
    if not isinstance(held, bytes):
        raise Refused(f"the type of the relation {name}()")
    related = models.morph_class(held.decode("utf-8", "replace").lstrip("\\"))
    foreign = description.foreign or models.prototype(related, php).setup.key_name
    return replace(description, related=related, foreign=foreign)


RELATIONS: dict[str, Make] = {
    "belongsto": _belongs_to,
    "hasone": _has(many=False),
    "hasmany": _has(many=True),
    "belongstomany": _belongs_to_many,
    "morphone": _morph(many=False),
    "morphmany": _morph(many=True),
    "morphto": _morph_to,
    "hasonethrough": _through(many=False),
    "hasmanythrough": _through(many=True),
}


def is_fixed(class_name: str, relation: BoundMethod, classes: ClassTable) -> bool:
    """Whether the method says the same of every model: `return $this->hasMany(X::class)->where('a', 1)…`."""

    def fixed() -> bool:
        body = classes.body(relation.method)
        call = body[0].value if len(body) == 1 and isinstance(body[0], n.Return) else None
        while isinstance(call, n.MethodCall) and isinstance(call.name, str) and is_constant(call.arguments):
            name, holder = call.name.lower(), call.object
            if isinstance(holder, n.Variable):
                makes = name in RELATIONS and name != "morphto" and classes.method(class_name, name) is None
                return makes and holder.name == "this"
            if name not in RELATION_METHODS:
                return False
            call = holder
        return False

    return classes.remember(f"fixed relation {relation.method.name}", class_name, fixed)


# ---- what may be put on a relation -----------------------------------------------------------

Refine = Callable[[Description, Sequence[Value]], Description]


def _name(value: Value) -> str:
    if not isinstance(value, bytes) or not value.replace(b"_", b"").replace(b".", b"").isalnum():
        raise Refused("a relation with a condition on an expression")
    return value.decode()


def _where(description: Description, arguments: Sequence[Value]) -> Description:
    column, *rest = arguments
    operator: Value = b"="
    if len(rest) == 2:
        operator, value = rest
    elif len(rest) == 1:
        value = rest[0]
    else:
        raise Refused("a relation with such a condition")
    if not isinstance(operator, bytes) or operator.decode().lower() not in OPERATORS:
        raise Refused("a relation with such an operator")
    if not isinstance(value, int | float | bytes):
        raise Refused("a relation with such a value in its condition")
    condition = Condition(column=_name(column), operator=operator.decode().lower(), value=value)
    return replace(description, conditions=(*description.conditions, condition))


def _where_null(operator: str) -> Refine:
    def refine(description: Description, arguments: Sequence[Value]) -> Description:
        (column,) = arguments
        condition = Condition(column=_name(column), operator=operator)
        return replace(description, conditions=(*description.conditions, condition))

    return refine


def _order(direction: str | None) -> Refine:
    def refine(description: Description, arguments: Sequence[Value]) -> Description:
        column, *rest = arguments if arguments else (b"created_at",)
        way = direction or (rest[0].decode().lower() if rest and isinstance(rest[0], bytes) else "asc")
        if way not in ("asc", "desc"):
            raise Refused("a relation with such an order")
        return replace(description, orders=(*description.orders, (_name(column), way)))

    return refine


def _with_pivot(description: Description, arguments: Sequence[Value]) -> Description:
    names: list[Value] = []
    for argument in arguments:
        names += argument.values() if isinstance(argument, PhpArray) else [argument]
    return replace(description, pivot_columns=(*description.pivot_columns, *(_name(name) for name in names)))


def _with_timestamps(description: Description, arguments: Sequence[Value]) -> Description:
    if arguments:
        raise Refused("withTimestamps() with other columns")
    timed = _with_pivot(description, (b"created_at", b"updated_at"))
    return replace(timed, pivot_timestamps=True)


def _as(description: Description, arguments: Sequence[Value]) -> Description:
    return replace(description, accessor=_name(arguments[0]))


def _with_default(description: Description, arguments: Sequence[Value]) -> Description:
    given = arguments[0] if arguments else True
    if given is False:
        return replace(description, default=None)
    values = PhpArray() if given is True else given
    if description.default_key is None or not isinstance(values, PhpArray):
        raise Refused("withDefault() of this kind")
    if not all(isinstance(value, int | float | bytes | None) for value in values.values()):
        raise Refused("withDefault() with more than numbers and texts")
    return replace(description, default=tuple(values.items()))


def _of_many(way: str) -> Refine:
    """`latestOfMany`, `oldestOfMany`: among equal ones Laravel takes the greatest key."""

    def refine(description: Description, arguments: Sequence[Value]) -> Description:
        names = [_name(one) for one in properties.names_in(arguments[:1])] or ["id"]
        plain = not description.many and not description.pivot_table and not description.through
        if len(arguments) > 1 or len(names) > 1 or "." in names[0] or not plain or description.one_of:
            raise Refused("one of many models, chosen in such a way")
        if description.type or description.default_key is False:
            raise Refused("one of many models of such a relation")
        return replace(description, one_of=((names[0], way),))

    return refine


def _where_pivot(refine: Refine) -> Refine:
    """The same condition on the table in between."""

    def on_pivot(description: Description, arguments: Sequence[Value]) -> Description:
        if not description.pivot_table or not arguments:
            raise Refused("a condition on a pivot table")
        column = f"{description.pivot_table}.{_name(arguments[0])}".encode()
        return refine(description, (column, *arguments[1:]))

    return on_pivot


def _with_trashed(description: Description, arguments: Sequence[Value]) -> Description:
    if arguments and not to_bool(arguments[0]):
        raise Refused("withTrashed(false)")
    return replace(description, with_trashed=True)


def _with(description: Description, arguments: Sequence[Value]) -> Description:
    listed = len(arguments) == 1 and isinstance(arguments[0], PhpArray)
    if isinstance(arguments[0], PhpArray) and not (
        listed and all(isinstance(one, int) for one in arguments[0])
    ):
        raise Refused("with() of relations with conditions")
    if description.type or description.one_of:
        raise Refused("with() on such a relation")
    names = [name.decode("utf-8", "replace") for name in properties.names_in(arguments)]
    return replace(description, eager=(*description.eager, *names))


RELATION_METHODS: dict[str, Refine] = {
    "with": _with,
    "where": _where,
    "wherenull": _where_null("null"),
    "wherenotnull": _where_null("not null"),
    "orderby": _order(None),
    "orderbydesc": _order("desc"),
    "latest": _order("desc"),
    "oldest": _order("asc"),
    "withpivot": _with_pivot,
    "withtimestamps": _with_timestamps,
    "as": _as,
    "withtrashed": _with_trashed,
    "withdefault": _with_default,
    "latestofmany": _of_many("desc"),
    "oldestofmany": _of_many("asc"),
    "wherepivot": _where_pivot(_where),
    "wherepivotnull": _where_pivot(_where_null("null")),
    "wherepivotnotnull": _where_pivot(_where_null("not null")),
}


BUILDER = "Illuminate\\Database\\Eloquent\\Builder"
_SCOPE = "Illuminate\\Database\\Eloquent\\Attributes\\Scope"
# Of the above, what a query has without its relation.
_ON_QUERIES = frozenset(
    {"latest", "oldest", "orderby", "orderbydesc", "where", "wherenotnull", "wherenull", "with"}
)


def scope_of(classes: ClassTable, model: str, name: str, version: Version) -> BoundMethod | None:
    """The method of the local scope that the model has under that name."""
    if not model or name.lower() in QUERY_METHODS:
        return None
    marked = classes.method(model, name) if version >= (12, 4) else None
    if marked is not None and _SCOPE in marked.method.attributes:
        return marked
    return classes.method(model, f"scope{name[:1].upper()}{name[1:]}")


ENDINGS = frozenset({"count", "doesntexist", "exists", "first", "get"})


class RelationClass:
    """A `bridge.phpeval.php.runtime.interpreter.Native`: the object that a relation method builds upon."""

    def construct(self, php: Interpreter, class_name: str, arguments: Sequence[Value]) -> Value:
        php.refuse(f"new {class_name}")

    def call(self, php: Interpreter, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value:
        if not isinstance(subject, Relation):
            php.refuse(f"{method}() on a relation")
        native = php.environment.native(subject.parent.class_name)
        models: ModelClass = native  # type: ignore[assignment]  # only models have relations
        name, is_query = method.lower(), subject.class_name == BUILDER
        scope = scope_of(php.classes, subject.description.related, method, models.options.version)
        if scope is not None:  # it comes before what a query has by its `__call`, such as count()
            return self._scoped(models, php, subject, scope, arguments)
        refine = RELATION_METHODS.get(name) if not is_query or name in _ON_QUERIES else None
        if refine is not None:
            subject.description = refine(subject.description, arguments)
            return subject
        if name not in ENDINGS or arguments or is_query:
            php.refuse(f"{method}() on a relation")
        return self._asked(models, php, subject, name)

    @staticmethod
    def _scoped(
        models: ModelClass,
        php: Interpreter,
        subject: Relation,
        scope: BoundMethod,
        arguments: Sequence[Value],
    ) -> Value:
        """A local scope of the related model, which puts conditions on the query.

        Source: Eloquent/Builder.php __call, callNamedScope; Eloquent/Model.php callNamedScope."""
        name = scope.method.name
        if scope.method.static or scope.method.visibility == "private":
            php.refuse(f"the scope {name}(), which is private or static,")
        if models.options.queries is not None:
            raise models.options.queries.anew()
        query = Relation(BUILDER, subject.parent, subject.description)
        model = models.new(subject.description.related, php)
        result = php.run(scope, model, model.class_name, (query, *arguments), {})
        if result is not None and result is not query:
            php.refuse(f"the scope {name}(), which gives something else than its query,")
        subject.description = query.description
        return subject

    @staticmethod
    def _asked(models: ModelClass, php: Interpreter, relation: Relation, ending: str) -> Value:
        """What a query of the relation, ended by that method, gives."""
        view = models.view(relation.parent, php)
        made = models.described(view, relation.description, php.function_name, php)
        if ending in ("count", "exists", "doesntexist"):
            number = 0 if made is None else count(models, php, view, made)
            return {"count": number, "exists": number > 0, "doesntexist": number == 0}[ending]
        if made is None:
            php.refuse("a query of a relation that points nowhere")
        results = found(models, php, view, made, limit=None if ending == "get" else 1)
        if ending == "get":
            return models.collection(results)
        return results[0] if results else None

    def static(self, php: Interpreter, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        php.refuse(f"the static method {class_name}::{method}()")

    def read(self, php: Interpreter, subject: PhpObject, name: str) -> Value:
        php.refuse(f"the property ${name} of a relation")

    def has(self, php: Interpreter, subject: PhpObject, name: str) -> bool:
        php.refuse(f"the property ${name} of a relation")


# Method in lower case → the class of what it returns
RELATION_OF = {
    name.lower(): _SPACE + name
    for name in (
        "BelongsTo",
        "HasOne",
        "HasMany",
        "MorphOne",
        "MorphMany",
        "BelongsToMany",
        "MorphTo",
        "HasOneThrough",
        "HasManyThrough",
    )
}
RELATION_CLASSES = tuple(RELATION_OF.values())


# ---- loading ---------------------------------------------------------------------------------


def load(
    models: ModelClass,
    php: Interpreter,
    parents: Sequence[ModelView],
    name: str,
    *,
    columns: tuple[str, ...] = (),
    nested: Sequence[str] = (),
    lazily: bool = False,
) -> None:
    """The relation `name` of all parents (of one class) is loaded, with relations `nested` in it.

    `columns`: as in `load('user:id,name')`. `lazily`: by reading the property, see `ModelClass.relation`."""
    by_description: dict[Description, list[ModelView]] = {}
    for parent in parents:
        description = models.description(parent, name, php, lazily=lazily)
        if description is None:
            set_relation(parent.model, name, None)
        else:
            by_description.setdefault(description, []).append(
                models.view(parent.model, php) if lazily else parent
            )
    for description, group in by_description.items():
        if columns:
            description = replace(description, columns=columns)
        _load_group(models, php, group, name, description, nested, lazily=lazily)


def count(models: ModelClass, php: Interpreter, parent: ModelView, description: Description) -> int:
    """How many the relation leads to."""
    key = parent.attributes.get(description.local.encode())
    _require_key(description, key)
    if key is None:
        return 0
    if description.one_of:
        raise Refused("the number of a relation to one of many")
    search = models.search(description, php)
    query = replace(search.query_for([key]), counts=True)
    (row,) = models.records.select(search.connection or parent.connection, query)
    found = row.get(b"aggregate")
    if not isinstance(found, int):
        raise Refused("a count that is no number")
    return found


def found(
    models: ModelClass,
    php: Interpreter,
    parent: ModelView,
    description: Description,
    *,
    limit: int | None = None,
) -> list[PhpObject]:
    """The models that the relation leads to, as a query of its own."""
    key = parent.attributes.get(description.local.encode())
    _require_key(description, key)
    if key is None:
        return []
    search = models.search(description, php)
    found = _query(models, php, parent, search, [key], limit=limit)
    models.eager_load([model for model, _ in found], php, each=description.eager)
    return [model for model, _ in found]


def set_relation(model: PhpObject, name: str, value: Value) -> None:
    """`$model->setRelation($name, $value)`."""
    if isinstance(array_key(name.encode()), int):
        raise Refused(f"a relation whose name is a number: {name}")
    relations = properties.array(model, "relations").copy()
    relations[name.encode()] = value
    properties.put(model, "relations", relations)


def _load_group(
    models: ModelClass,
    php: Interpreter,
    parents: Sequence[ModelView],
    name: str,
    description: Description,
    nested: Sequence[str],
    *,
    lazily: bool,
) -> None:
    local = description.local.encode()
    keys = [parent.attributes.get(local) for parent in parents]
    wanted: list[Value] = list(dict.fromkeys(key for key in keys if key is not None))
    if None in keys and not (lazily and description.many):
        _require_key(description, None)
    if not lazily:
        require_whole_keys(parents[0].setup, description.local, wanted)
        if not description.pivot_table and not description.through:
            wanted = _looked_for(
                models.prototype(description.related, php).setup, description.foreign, wanted
            )
    found: list[tuple[PhpObject, Value]] = []
    if wanted:
        found = _found_together(models, php, parents[0], description, wanted)
        held = [model for model, _ in found]
        models.eager_load(held, php, each=description.eager, together=nested)
    matches: dict[Value, list[PhpObject]] = {}
    for model, key in found:
        matches.setdefault(_comparable(key), []).append(model)
    if not lazily and b"" in matches and None in keys:
        # Up to Laravel 10 null finds what belongs to an empty text: PHP's arrays have one key for both.
        raise Refused("a relation of models without a key beside one whose key is an empty text")
    for parent, key in zip(parents, keys, strict=True):
        own = matches.get(_comparable(key), []) if key is not None else []
        if (
            lazily
        ):  # for one parent Eloquent takes what the database finds, which may think 7 and "07" the same
            own = [model for model, _ in found]
        if description.many:
            set_relation(parent.model, name, models.collection(own))
        else:
            set_relation(parent.model, name, own[0] if own else _default(models, php, parent, description))


def _found_together(
    models: ModelClass, php: Interpreter, parent: ModelView, description: Description, keys: Sequence[Value]
) -> list[tuple[PhpObject, Value]]:
    """What all parents with these keys are related to: by one query, or by one for each where it is one of
    many."""
    if not description.one_of:
        return _query(models, php, parent, models.search(description, php), keys)
    if len(keys) > _MOST_PARENTS:
        raise Refused("one of many models for so many others")
    search = models.search(description, php)
    return [pair for key in keys for pair in _query(models, php, parent, search, [key], limit=1)]


def _default(models: ModelClass, php: Interpreter, parent: ModelView, description: Description) -> Value:
    """The model that stands for none: never saved, with what `withDefault` was given."""
    if description.default is None:
        return None
    made = models.new(description.related, php)
    view = models.view(made, php)
    attributes = properties.array(made, "attributes").copy()
    values = dict(description.default)
    if description.default_key:
        key = parent.attributes.get(description.local.encode())
        values = {description.foreign.encode(): key, **values}
    for name, value in values.items():
        plain = isinstance(name, bytes) and name not in view.setup.casts and name not in view.setup.dates
        if not isinstance(name, bytes) or not plain or view.setup.changes_when_set(name):
            raise Refused(f"withDefault() of {description.related} with what its class changes")
        attributes[name] = value
    properties.put(made, "attributes", attributes)
    place = properties.text(models.prototype(description.related, php).model, "connection")
    properties.put(made, "connection", (place or parent.connection).encode())
    return made


def _require_key(description: Description, key: Value) -> None:
    """Through another model, some releases of Laravel find what is related to null."""
    if description.through and key is None:
        raise Refused("a relation through another model of a model without a key")


def _comparable(key: Value) -> Value:
    """Eloquent groups by array key: 7 and "7" are the same."""
    if not isinstance(key, int | bytes) or isinstance(key, bool):
        raise Refused("a relation over a key that is neither integer nor text")
    return str(key).encode() if isinstance(key, int) else key


def require_plain_key(view: ModelView, name: str) -> None:
    """Refused where Eloquent matches models by another value than the column holds: it asks accessors and
    casts."""
    cast, held = view.setup.casts.get(name.encode()), view.attributes.get(name.encode())
    changed = cast is not None and (
        cast.whole.lower() not in _KEY_CASTS
        or (isinstance(held, bytes) and not held.isdigit() and cast.whole.lower() != "string")
    )
    if changed or view.setup.accessor(name):
        raise Refused(f"a relation by {view.model.class_name}::${name}, which has an accessor or a cast")


def require_whole_keys(setup: ModelSettings, column: str, keys: Iterable[Value]) -> None:
    """Refused where Eloquent looks for several keys at once and makes other numbers of them: those of a model
    whose key type is `int`, as it stays where only `$incrementing` is false, are cast to integers.

    Source: Eloquent/Relations/Relation.php whereInMethod, Query/Builder.php whereIntegerInRaw.
    """
    if _has_integer_keys(setup, column) and not all(_is_whole(key) for key in keys):
        raise Refused(f"text as the key of the table {setup.table}, whose model says that keys are integers")


def _looked_for(setup: ModelSettings, column: str, keys: Sequence[Value]) -> list[Value]:
    """The keys by which models of that class can be found: where theirs are read as integers, other text than
    an integer matches none of them."""
    if _has_integer_keys(setup, column) and setup.incrementing:
        return [key for key in keys if _is_whole(key)]
    require_whole_keys(setup, column, keys)
    return list(keys)


def _has_integer_keys(setup: ModelSettings, column: str) -> bool:
    return column == setup.key_name and setup.key_type in ("int", "integer")


def _is_whole(key: Value) -> bool:
    return not isinstance(key, bytes) or key == b"%d" % to_int(key)


# By these the key stays the same text, where it is a key at all.
_KEY_CASTS = ("int", "integer", "string")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a relation asks of the database, whichever the parents.

    connection  that the related class names; None: that of the parents
    column      holds the key of the parent; in the rows found it is `key`
    rest        the query but for the key
    """

    description: Description
    connection: str | None
    column: str
    key: bytes
    rest: Query

    @classmethod
    def of(cls, models: ModelClass, php: Interpreter, description: Description) -> Search:
        """Refused where the related models have a global scope."""
        prototype = models.prototype(description.related, php)
        facts = prototype.facts
        if facts.scope is not None:
            raise facts.scope.anew()
        if description.with_trashed and not facts.soft_deletes:
            raise Refused(f"withTrashed() of {description.related}, which has no SoftDeletes")
        table, pivot = prototype.setup.table, description.pivot_table
        orders, conditions = description.orders, description.conditions
        join, owner = None, pivot or table
        if description.one_of:
            orders, conditions = _one_of(models, prototype, description)
        if description.through:
            join, middle = _join_through(models, php, prototype, description)
            owner = join.table
            conditions += middle
        else:
            require_plain_key(prototype, description.related_key if pivot else description.foreign)
        if pivot:
            join = _join_pivot(table, description)
        if facts.soft_deletes and not description.with_trashed:
            conditions += (Condition(column=f"{table}.{facts.deleted_at}", operator="null"),)
        column = f"{owner}.{description.foreign}"
        return cls(
            description=description,
            connection=properties.text(prototype.model, "connection") or None,  # as newRelatedInstance
            column=column,
            key=THROUGH_KEY if description.through else description.foreign.encode(),
            rest=Query(
                table=table,
                key=is_any_of(column, ()),
                conditions=conditions,
                orders=orders,
                join=join,
                columns=description.columns,
            ),
        )

    def query_for(self, keys: Sequence[Value], limit: int | None = None) -> Query:
        """What finds the related models of parents with these keys."""
        rest = self.rest
        return Query(
            table=rest.table,
            key=is_any_of(self.column, tuple(keys)),
            conditions=rest.conditions,
            orders=rest.orders,
            join=rest.join,
            limit=limit,
            columns=rest.columns,
        )


def _query(
    models: ModelClass,
    php: Interpreter,
    parent: ModelView,
    search: Search,
    keys: Sequence[Value],
    *,
    limit: int | None = None,
) -> list[tuple[PhpObject, Value]]:
    """The related models with the key of the parent that each belongs to."""
    description, key = search.description, search.key
    connection = search.connection or parent.connection
    pivot = description.pivot_table
    rows = models.records.select(connection, search.query_for(keys, limit))
    result: list[tuple[PhpObject, Value]] = []
    for row in rows:
        if not pivot:
            model = models.hydrate(description.related, row, connection, php, row_count=len(rows))
            result.append((model, row.get(key)))
            continue
        pivots = PhpArray()
        for name in [name for name in row if isinstance(name, bytes) and name.startswith(b"pivot_")]:
            pivots[name[len(b"pivot_") :]] = row.pop(name)
        model = models.hydrate(description.related, row, connection, php, row_count=len(rows))
        held = models.pivot(pivots, pivot, connection, timestamps=description.pivot_timestamps, php=php)
        set_relation(model, description.accessor, held)
        result.append((model, pivots.get(key)))
    return result


def _join_pivot(table: str, description: Description) -> Join:
    pivot = description.pivot_table
    columns = dict.fromkeys([description.foreign, description.pivot_related, *description.pivot_columns])
    return Join(
        table=pivot,
        first=f"{table}.{description.related_key}",
        second=f"{pivot}.{description.pivot_related}",
        columns=tuple(columns),
    )


def _join_through(
    models: ModelClass, php: Interpreter, prototype: ModelView, description: Description
) -> tuple[Join, tuple[Condition, ...]]:
    """The table in between, and that its rows are not deleted; its global scopes do not count in Laravel."""
    between, pointing, held = description.through or ("", "", "")
    middle = models.prototype(between, php)
    table = middle.setup.table
    if table == prototype.setup.table or THROUGH_KEY in prototype.setup.casts:
        raise Refused(f"the relation through {between} to the same table")
    if description.columns or prototype.setup.accessor(THROUGH_KEY.decode()):
        raise Refused(f"the relation through {between} with columns or an accessor of its own")
    join = Join(
        table=table,
        first=f"{table}.{held}",
        second=f"{prototype.setup.table}.{pointing}",
        columns=(description.foreign,),
        name=THROUGH_KEY.decode(),
    )
    deleted = Condition(column=f"{table}.{middle.facts.deleted_at}", operator="null")
    return join, (deleted,) if middle.facts.soft_deletes else ()


def _one_of(
    models: ModelClass, prototype: ModelView, description: Description
) -> tuple[tuple[tuple[str, str], ...], tuple[Condition, ...]]:
    """The order by which the first one is that which Laravel's subquery finds, and what must hold. Of
    conditions of its own Laravel asks only that one, which may then not be there: these are refused.

    Source: Relations/Concerns/CanBeOneOfMany.php ofMany."""
    ((name, way),) = description.one_of
    setup = prototype.setup
    whole = setup.incrementing and setup.key_type in ("int", "integer")
    if models.options.version < (8, 42) or not whole or description.orders or description.with_trashed:
        raise Refused(f"one of many {description.related}")
    if len(description.conditions) > description.morphs:
        raise Refused(f"one of many {description.related}, with conditions")
    if description.columns:  # which are ambiguous beside those of Laravel's subquery
        raise Refused(f"one of many {description.related}, with columns")
    if name == setup.key_name:
        return ((name, way),), description.conditions
    there = Condition(column=name, operator="not null")
    return ((name, way), (setup.key_name, "desc")), (*description.conditions, there)
