"""Eloquent's Model in Python: restoring identifiers, reading attributes, toArray.

`ModelClass` is the Native of every model class. Methods and accessors of the app's own are evaluated by
`php`; what stands here is what Laravel's Model does around them, in Laravel's order: dates, accessors, casts,
appends, then relations. Sources: Model.php, Concerns/HasAttributes.php, Concerns/HidesAttributes.php,
Queue/SerializesAndRestoresModelIdentifiers.php, 8.83 to 13.26.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from bridge.errors import MissingModel, Refused
from bridge.phpeval.laravel.eloquent import attributes, cast_classes, casts, properties, relations
from bridge.phpeval.laravel.eloquent.attribute_values import AttributeValues
from bridge.phpeval.laravel.eloquent.connection import read_by
from bridge.phpeval.laravel.eloquent.description import Description, Relation
from bridge.phpeval.laravel.eloquent.model_arrays import ModelArrays, ToArray
from bridge.phpeval.laravel.eloquent.model_facts import ModelFacts
from bridge.phpeval.laravel.eloquent.model_settings import PIVOT, ModelSettings, is_constant
from bridge.phpeval.laravel.eloquent.model_view import ModelView
from bridge.phpeval.laravel.eloquent.reader import Records
from bridge.phpeval.laravel.eloquent.sql_text import Condition, Query, is_any_of
from bridge.phpeval.laravel.framework_classes import MODEL
from bridge.phpeval.laravel.inflection import snake
from bridge.phpeval.laravel.support.arr import is_items, items_of
from bridge.phpeval.laravel.support.collection_items import is_model
from bridge.phpeval.laravel.support.releases import MODEL as MODEL_RELEASES
from bridge.phpeval.laravel.support.releases import require
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import identical, to_bool
from bridge.phpeval.php.runtime.properties import locate
from bridge.phpeval.php.runtime.values import CustomSerialized, PhpArray, PhpObject, Value, array_key

_SEARCHES = 1024  # all are forgotten then
_SETUPS = 4  # remembered for one class: a few objects of it have settings of their own
ELOQUENT_COLLECTION = "Illuminate\\Database\\Eloquent\\Collection"
Method = Callable[["ModelClass", Interpreter, PhpObject, Sequence[Value]], Value]
# Methods of Laravel's Model that native evaluation does not have; a property of that name is no column.
_OTHER_METHODS = frozenset({"query", "newquery", "save", "update", "delete", "fresh", "refresh"})


class ModelClass:
    """A `bridge.phpeval.php.runtime.interpreter.Native` for all models of one environment."""

    def __init__(
        self,
        records: Records,
        options: casts.EloquentOptions,
        default_connection: str,
        to_array: ToArray,
        methods: Mapping[str, Method],
    ) -> None:
        self._records = records
        self._options = options
        self._default_connection = default_connection
        self._values = AttributeValues(options)
        self._array_of_object = to_array
        self._arrays = ModelArrays(self._values, options, self._array_within)
        self.attributes = self._values.all
        self.attributes_to_array = self._arrays.attributes
        self.relations_to_array = self._arrays.relations
        self._methods = methods
        # Class → relations that were read when they were touched; a batch reads those of the one before ahead
        self.used_relations: dict[str, dict[str, None]] = {}
        self._facts: dict[str, ModelFacts | Refused] = {}
        self._prototypes: dict[str, ModelView] = {}
        self._setups: dict[str, tuple[ModelSettings, ...]] = {}  # of a class, newest first
        self._pivots: dict[tuple[str, bool], dict[int | bytes, Value]] = {}
        self._searches: dict[int, relations.Search] = {}  # by the id of their description

    # ---- restoring --------------------------------------------------------------------------

    def restore(self, identifier: PhpObject, php: Interpreter, *, at_once: bool = False) -> Value:
        """The model or collection of a ModelIdentifier. Raises MissingModel, Refused, ServiceUnavailable.

        `at_once`: by one query `with` the relations named, as `fresh` has it."""
        class_name, key = identifier.get("class"), identifier.get("id")
        named = identifier.get("relations")
        connection = identifier.get("connection")
        names = [php.text(name).decode() for name in named.values()] if isinstance(named, PhpArray) else []
        place = connection.decode() if isinstance(connection, bytes) else self._default_connection
        if isinstance(key, PhpArray):
            return self._restore_collection(identifier, class_name, key, names, place, php)
        if not isinstance(class_name, bytes) or not isinstance(key, int | bytes):
            raise Refused("a model identifier without a class or key")
        name = class_name.decode()
        rows = self.records.select(place, self._restoring(name, key, php))
        if not rows:
            raise MissingModel(f"no query results for model [{name}]")
        model = self.hydrate(name, rows[0], place, php)
        self.eager_load([model], php, together=names if at_once else ())
        if not at_once:
            self._restore_relations([model], names, php)
        return model

    def _restore_relations(self, models: Sequence[PhpObject], names: Sequence[str], php: Interpreter) -> None:
        """What the identifier names, of models that have what their class always loads (`$with`).

        Source: Queue/SerializesAndRestoresModelIdentifiers.php restoreModel."""
        if self._options.version < (12, 11):  # `load` once more, not `loadMissing`
            self.load(models, names, php)
            return
        if models:
            self.load_missing(models, names, php)

    def _restore_collection(
        self,
        identifier: PhpObject,
        class_name: Value,
        keys: PhpArray,
        names: list[str],
        place: str,
        php: Interpreter,
    ) -> Value:
        custom = identifier.get("collectionClass")
        if custom is not None:
            raise Refused("a collection class of the app's own")
        if not isinstance(class_name, bytes) or not keys:
            return self.collection([])
        name = class_name.decode()
        if php.classes.is_a(name, PIVOT):
            raise Refused(f"a collection of {name}, which is a pivot")
        wanted = [key for key in keys.values() if isinstance(key, int | bytes)]
        setup = self.prototype(name, php).setup
        if self._options.version >= (9, 0):  # whereKey from 9.46 on
            relations.require_whole_keys(setup, setup.key_name, wanted)
        rows = self.records.select(place, by_key(setup, wanted))
        models = [self.hydrate(name, row, place, php, row_count=len(rows)) for row in rows]
        self.eager_load(models, php)
        if self._options.version >= (13, 0):  # releases before restore no relations of a collection
            self._restore_relations(models, names, php)
        found_by = {self.key_text(self.key(model, php)): model for model in models}
        found = PhpArray()
        for place_of, key in keys.items():  # those of the collection that was dispatched
            model = found_by.get(self.key_text(key)) if isinstance(key, int | bytes) else None
            if model is not None:
                found[place_of] = model
        return PhpObject(ELOQUENT_COLLECTION, {b"\0*\0items": found})

    def _restoring(self, name: str, key: int | bytes, php: Interpreter) -> Query:
        """`newQueryForRestoration`: a pivot without a key of its own says `post_id:1:tag_id:2`."""
        setup = self.prototype(name, php).setup
        if isinstance(key, int) or b":" not in key or not php.classes.is_a(name, PIVOT):
            return by_key(setup, (key,), limit=1)
        parts = key.decode("utf-8", "replace").split(":")
        if len(parts) != 4:
            raise Refused(f"the key of a {name}, which is a pivot")
        first, second = (
            Condition(column=parts[at], operator="=", value=parts[at + 1].encode()) for at in (0, 2)
        )
        return Query(table=setup.table, key=first, conditions=(second,), limit=1)

    @staticmethod
    def key_text(key: Value) -> Value:
        return str(key).encode() if isinstance(key, int) else key

    @property
    def records(self) -> Records:
        return self._records

    @property
    def default_connection(self) -> str:
        return self._default_connection

    @property
    def options(self) -> casts.EloquentOptions:
        return self._options

    def hydrate(
        self, class_name: str, row: PhpArray, connection: str, php: Interpreter, *, row_count: int = 1
    ) -> PhpObject:
        """`newFromBuilder`: a model that exists, with these raw attributes; `row_count` rows of one query."""
        model = self.new(class_name, php)
        if CustomSerialized in map(type, row.values()):
            named = self.view(model, php).setup.casts
            row = read_by(row, php.environment.php_version, lambda name: casts.is_float(named.get(name)))
        properties.put(model, "attributes", row)
        properties.put(model, "connection", connection.encode())
        model.properties[b"exists"] = True
        if row_count > 1 and self._options.lazy is not None:  # Source: Eloquent/Builder.php hydrate
            model.properties[b"preventsLazyLoading"] = True
        return model

    def pivot(
        self, row: PhpArray, table: str, connection: str, *, timestamps: bool, php: Interpreter
    ) -> PhpObject:
        """The `pivot` relation of a model read through a pivot table."""
        prototype = self._pivots.get((table, timestamps))
        if prototype is None:
            made = php.instantiate(PIVOT)
            properties.put(made, "table", table.encode())
            made.properties |= {b"timestamps": timestamps, b"incrementing": False, b"exists": True}
            self._pivots[table, timestamps] = prototype = made.properties
        model = PhpObject(PIVOT, dict(prototype))
        properties.put(model, "attributes", read_by(row, php.environment.php_version, lambda _: False))
        properties.put(model, "connection", connection.encode())
        return model

    def collection(self, models: Sequence[PhpObject]) -> PhpObject:
        """An Eloquent collection."""
        return PhpObject(ELOQUENT_COLLECTION, {b"\0*\0items": PhpArray.of(models)})

    def eager_load(
        self,
        models: Sequence[PhpObject],
        php: Interpreter,
        *,
        each: Sequence[str] = (),
        together: Sequence[str] = (),
    ) -> None:
        """What the class of these models, just hydrated, always loads (`$with`), and what their query adds:
        `each` by a call of `with`, and `together` by one. All of it at once: what is loaded second would lose
        what the first has loaded deeper."""
        if models:
            view = self._prototypes.get(models[0].class_name) or self.view(models[0], php)
            calls = (view.setup.always_loaded, *((name,) for name in each), tuple(together))
            self._load(models, calls, php)
            for model in models if view.setup.always_counted else ():
                self.count(model, view.setup.always_counted, php)

    def count(self, model: PhpObject, names: Sequence[bytes], php: Interpreter) -> None:
        """`withCount`: how many each of these relations leads to, as attributes."""
        counted = properties.array(model, "attributes").copy()
        for name in names:
            if not name.isalnum():
                raise Refused(f"the number of {name.decode('utf-8', 'replace')}")
            view = self.view(model, php)
            description = self.description(view, name.decode(), php)
            if description is None:
                raise Refused("the number of a relation that points nowhere")
            number = relations.count(self, php, view, description)
            counted[snake(name) + b"_count"] = number
        properties.put(model, "attributes", counted)

    def load(self, models: Sequence[PhpObject], names: Sequence[str], php: Interpreter) -> None:
        """`load`: relations by name, nested ones with dots, for all models (of one class) at once."""
        self._load(models, (tuple(names),), php)

    def _load(
        self, models: Sequence[PhpObject], calls: tuple[tuple[str, ...], ...], php: Interpreter
    ) -> None:
        """What several calls of `with` name; of one relation a later one would lose the columns."""
        wanted = _loads(calls)
        views = [self.view(model, php) for model in models] if wanted else []
        if views:
            for relation, columns, nested in wanted:
                relations.load(self, php, views, relation, columns=columns, nested=nested)

    def load_missing(self, models: Sequence[PhpObject], names: Sequence[str], php: Interpreter) -> None:
        """`loadMissing` of relations, nested ones with dots, for models of one class together.

        Source: Eloquent/Collection.php loadMissing."""
        version = self._options.version
        apart: dict[tuple[str, ...], str] = {}
        for name in names:
            for path, columns in _paths((name,)):
                apart.setdefault(path, columns)  # what an earlier name has loaded stays
        found = apart if version < (12, 26) else dict(_paths(tuple(names)))
        if version == (12, 26) and found != apart:
            raise Refused("loadMissing() whose columns depend on the patch release of 12.26")
        for path, columns in found.items():
            self._load_missing(models, path, columns, php)

    def _load_missing(
        self, models: Sequence[PhpObject], path: Sequence[str], columns: str, php: Interpreter
    ) -> None:
        """`loadMissingRelation`: `columns` are those of the last relation of the path."""
        if any(one.class_name != models[0].class_name for one in models):
            raise Refused("loadMissing() of models of several classes")
        first, *rest = path
        relation = first.encode()
        missing = [one for one in models if not to_bool(php.call_method(one, "relationLoaded", (relation,)))]
        self.load(missing, [f"{first}:{columns}" if columns and not rest else first], php)
        if not rest:
            return
        related: list[PhpObject] = []
        for model in models:
            held = properties.array(model, "relations").get(relation)
            inner = items_of(php, held).values() if is_items(held) else [] if held is None else [held]
            for one in inner:
                if not is_model(php, one):
                    raise Refused(f"loadMissing() of {'.'.join(path)}, where there is no model")
                related.append(one)  # type: ignore[arg-type]  # a model is an object
        if related:
            self._load_missing(related, rest, columns, php)

    @staticmethod
    def names(arguments: Sequence[Value]) -> list[str]:
        """Names of relations, given one by one or as an array."""
        return [name.decode("utf-8", "surrogateescape") for name in properties.names_in(arguments)]

    # ---- what a class is -----------------------------------------------------------------------

    def facts(self, class_name: str, php: Interpreter) -> ModelFacts:
        """The facts of the class; Refused as `ModelFacts.of` says, remembered."""
        known = self._facts.get(class_name)
        if known is None:
            try:
                known = self._facts_of(class_name, php)
            except Refused as refusal:
                known = refusal
            self._facts[class_name] = known
        if isinstance(known, Refused):
            raise known
        return known

    def _facts_of(self, class_name: str, php: Interpreter) -> ModelFacts:
        """What the class says, and what the app has changed from outside of it."""
        options = self._options
        if options.models is not None:
            raise options.models.anew()
        facts = ModelFacts.of(class_name, php, options.version, snaked=options.snake_attributes)
        if options.snake is not None and facts.accessors:
            raise options.snake.anew()
        for part in php.classes.whole(class_name):
            if part.name in options.hooks:
                raise options.hooks[part.name].anew()
        scope = options.scopes.get(class_name)
        return facts if scope is None else replace(facts, scope=facts.scope or scope)

    def prototype(self, class_name: str, php: Interpreter) -> ModelView:
        """A new model of the class, for its table and keys; not to be changed."""
        return self._prototypes.get(class_name) or self.view(self.new(class_name, php), php)

    def view(self, model: PhpObject, php: Interpreter) -> ModelView:
        """The object with its facts."""
        known = self._setups.get(model.class_name, ())
        for setup in known:
            if setup.is_of(model):
                return ModelView(model, setup, self._default_connection)
        setup = ModelSettings(model, self.facts(model.class_name, php), php.classes, self._options.version)
        self._setups[model.class_name] = (setup, *known[: _SETUPS - 1])
        return ModelView(model, setup, self._default_connection)

    def new(self, class_name: str, php: Interpreter) -> PhpObject:
        """`new Class`, with the settings that its class gives it."""
        prototype = self._prototypes.get(class_name)
        if prototype is not None:
            return PhpObject(class_name, dict(prototype.model.properties))
        facts = self.facts(class_name, php)
        model = php.instantiate(class_name)
        fixed = True
        if self._options.version >= (11, 0):
            method = php.classes.method(class_name, "casts")
            if method is not None:
                more = php.call_method(model, "casts")
                if not isinstance(more, PhpArray):
                    raise Refused(f"{class_name}::casts() gives no array")
                merged = properties.array(model, "casts").copy()
                merged.update((key, _cast_text(value)) for key, value in more.items())
                properties.put(model, "casts", merged)
                body = php.classes.body(method.method)
                fixed = php.classes.remember("fixed casts", class_name, lambda: is_constant(body))
        if facts.soft_deletes:
            merged = properties.array(model, "casts").copy()
            merged.setdefault(facts.deleted_at.encode(), b"datetime")
            properties.put(model, "casts", merged)
        attributes.apply(model, php, self._options.version)
        if fixed:
            self._prototypes[class_name] = self.view(PhpObject(class_name, dict(model.properties)), php)
        return model

    # ---- attributes ------------------------------------------------------------------------------

    def key(self, model: PhpObject, php: Interpreter) -> Value:
        """`getKey()`."""
        view = self.view(model, php)
        return self._values.read(view, view.setup.key, php)

    def read(self, php: Interpreter, subject: PhpObject, name: str) -> Value:
        """`$model->name` for code outside; inside the model its own properties come first."""
        own = self._own_property(php, subject, name)
        if own is not None:
            return own[0]
        return self.attribute(self.view(subject, php), name, php)

    def _own_property(self, php: Interpreter, subject: PhpObject, name: str) -> tuple[Value] | None:
        mangled, bound, hidden = locate(php, subject, name)
        if bound is None or hidden:
            return None
        if mangled not in subject.properties:
            php.refuse(f"the property ${name} of {subject.class_name}")
        value = subject.properties[mangled]
        if bound.owner == MODEL:
            if name == "table" and value is None and subject.properties.get(b"exists") is True:
                return (self.view(subject, php).setup.table.encode(),)  # newInstance() sets it
            unknown = name == "original" and not value
            if unknown or (name == "dates" and self._options.version >= (10, 0)):
                php.refuse(f"the property ${name} of {subject.class_name}")
        return (value,)

    def attribute(self, view: ModelView, name: str, php: Interpreter) -> Value:
        """`getAttribute`, which sees no property of the object itself."""
        key = name.encode("utf-8", "surrogateescape")
        setup = view.setup
        if isinstance(array_key(key), int):
            php.refuse(f"an attribute of {view.model.class_name} whose name is a number")
        if key in view.attributes or key in setup.casts or setup.accessor(name) is not None:
            return self._values.read(view, key, php)
        loaded = properties.array(view.model, "relations")
        if key in loaded:
            return loaded[key]
        if php.classes.method(view.model.class_name, name) is not None:
            if self._options.lazy is not None and view.model.get("preventsLazyLoading"):
                raise self._options.lazy.anew()
            self.used_relations.setdefault(view.model.class_name, {})[name] = None
            relations.load(self, php, [view], name, lazily=True)
            return properties.array(view.model, "relations").get(key)
        method = name.lower()
        known = method in self._methods or method in _OTHER_METHODS or method in view.facts.trait_methods
        if known or name == "pivot":
            php.refuse(f"the property {view.model.class_name}::${name}")
        if self._options.missing is not None:
            raise self._options.missing.anew()
        return None

    # ---- arrays ------------------------------------------------------------------------------------

    def to_array(self, model: PhpObject, php: Interpreter) -> PhpArray:
        """Laravel's own `toArray()`: attributes, then relations of the same names over them."""
        return self._arrays.array(self.view(model, php), php)

    def _array_within(self, value: PhpObject, php: Interpreter) -> Value:
        """What arrays show of an object that a model holds: most are models without their own toArray()."""
        facts = self._facts.get(value.class_name)
        if not isinstance(facts, ModelFacts) or facts.overrides_to_array:
            return self._array_of_object(value, php)
        php.strict = False  # as `call_method` leaves it
        return self.to_array(value, php)

    def morph_class(self, class_name: str) -> str:
        """`getMorphClass()`."""
        if self._options.morphs is not None:
            raise self._options.morphs.anew()
        return class_name

    # ---- relations ---------------------------------------------------------------------------------

    def description(
        self, view: ModelView, name: str, php: Interpreter, *, lazily: bool = False
    ) -> Description | None:
        """What the relation method of that name says; None for a morphTo that points nowhere.

        Only `lazily` the model itself is asked: else Eloquent asks a new one, which has no attributes.
        Source: Eloquent/Builder.php getRelation.
        """
        known = view.setup.relations.get(name)
        if known is None:
            class_name = view.model.class_name
            bound = php.classes.method(class_name, name)
            if bound is None:
                raise Refused(f"{class_name} has no relation {name}()")
            asked = view.model if lazily else self.new(class_name, php)
            made = php.call_method(asked, bound.method.name)
            if not isinstance(made, Relation):
                raise Refused(f"{class_name}::{name}() gives no relation that is known here")
            known = made.description
            if relations.is_fixed(class_name, bound, php.classes):
                view.setup.relations[name] = known
        return self.described(view, known, name, php)

    def search(self, description: Description, php: Interpreter) -> relations.Search:
        """What the relation asks of the database. Raises as `relations.Search.of`."""
        known = self._searches.get(id(description))
        if known is not None:
            return known
        made = relations.Search.of(self, php, description)
        asked = (description.related, *(description.through or ())[:1])
        if all(name in self._prototypes for name in asked):
            if len(self._searches) >= _SEARCHES:
                self._searches.clear()
            self._searches[id(description)] = (
                made  # which holds the description, so that its id stays its own
            )
        return made

    def described(
        self, view: ModelView, description: Description, name: str, php: Interpreter
    ) -> Description | None:
        """The description for this very model, see `relations.of`; Refused where its key cannot be used."""
        if cast_classes.keeps(view.model):
            for column in filter(None, (description.local.encode(), description.type.encode())):
                if not identical(
                    self._values.all(view, php, column).get(column), view.attributes.get(column)
                ):
                    raise Refused(f"the relation {name}() over a column that a cast has written back")
        made = relations.of(self, php, view, description, name)
        if made is None:
            return None
        if made.local.encode() not in view.attributes:
            raise Refused(f"the relation {name}() needs {made.local}, which was not read")
        relations.require_plain_key(view, made.local)
        return made

    # ---- Native ------------------------------------------------------------------------------------

    def construct(self, php: Interpreter, class_name: str, arguments: Sequence[Value]) -> Value:
        php.refuse(f"new {class_name}")

    def static(self, php: Interpreter, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        php.refuse(f"{class_name}::{method}()")

    def has(self, php: Interpreter, subject: PhpObject, name: str) -> bool:
        """`isset($model->name)`."""
        return self.read(php, subject, name) is not None

    def knows(self, method: str) -> bool:
        """Whether `call` has an entry for the method of Laravel's Model."""
        return method.lower() in self._methods or method.lower() in relations.RELATIONS

    def call(self, php: Interpreter, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value:
        act = self._methods.get(method.lower())
        if act is not None:
            require(php, MODEL_RELEASES, method.lower(), len(arguments), f"{subject.class_name}::{method}()")
            return act(self, php, subject, arguments)
        make = relations.RELATIONS.get(method.lower())
        if make is not None:
            asked = relations.RelationCall(
                models=self, php=php, parent=subject, method=php.function_name, arguments=arguments
            )
            return make(asked)
        php.refuse(f"the method {subject.class_name}::{method}()")


def by_key(setup: ModelSettings, keys: Sequence[int | bytes], *, limit: int | None = None) -> Query:
    """What finds the models with these keys."""
    if setup.key_type == "string":
        keys = [str(key).encode() if isinstance(key, int) else key for key in keys]
    key = is_any_of(f"{setup.table}.{setup.key_name}", tuple(keys))
    return Query(table=setup.table, key=key, limit=limit)


@lru_cache(maxsize=1024)
def _paths(names: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], str], ...]:
    """What one call of `with` names: the path of each relation, behind that of the relation which has it, and
    its columns, empty where none is named.

    Source: Eloquent/Builder.php parseWithRelations."""
    found: dict[tuple[str, ...], str] = {}
    said: dict[tuple[str, ...], str] = {}
    for name in names:
        joined, _, columns = name.partition(":")
        if " " in name or "." in columns:
            raise Refused(f"loading {name}")
        path = tuple(joined.split("."))
        for length in range(1, len(path)):
            found.setdefault(path[:length], "")
        if said.setdefault(path, columns) != columns:
            raise Refused("loading the same relation in two ways")
        found[path] = columns
    return tuple(found.items())


@lru_cache(maxsize=1024)
def _loads(
    calls: tuple[tuple[str, ...], ...],
) -> tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]:
    """What to load: each relation with its columns, all where none is named, and the relations in it."""
    found: dict[str, tuple[str, list[str]]] = {}
    for names in calls:
        parsed = _paths(names)
        for path, columns in parsed:
            if len(path) == 1 and found.setdefault(path[0], (columns, []))[0] != columns:
                raise Refused("loading the same relation in two ways")
        for path, columns in parsed:
            if len(path) > 1:
                inner = ".".join(path[1:]) + (f":{columns}" if columns else "")
                found[path[0]][1].append(inner)
    return tuple(
        (relation, tuple(columns.split(",")) if columns else (), tuple(inner))
        for relation, (columns, inner) in found.items()
    )


def _cast_text(value: Value) -> Value:
    """A cast of the method `casts()` as text: `[Class, argument]` is `Class:argument`."""
    if isinstance(value, PhpArray):
        parts = list(value.values())
        if parts and all(isinstance(part, bytes) for part in parts):
            head, *rest = (part for part in parts if isinstance(part, bytes))
            return head + (b":" + b",".join(rest) if rest else b"")
        raise Refused("a cast in a form that is not known")
    return value
