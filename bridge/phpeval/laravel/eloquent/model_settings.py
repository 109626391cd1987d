"""What the settings of a model object ($casts, $hidden, $table, …) come to, worked out once for all objects
that have the same.

Objects of a class share the very arrays of its defaults until a method such as `makeHidden` gives one its
own. So whether an object still has the settings that a `ModelSettings` was made from is told by identity.
"""

from __future__ import annotations

import operator
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

from bridge.errors import Refused
from bridge.phpeval.laravel.eloquent import casts
from bridge.phpeval.laravel.eloquent import properties as state
from bridge.phpeval.laravel.eloquent.model_facts import ATTRIBUTE, ModelFacts, gives_attribute
from bridge.phpeval.laravel.inflection import camel, pivot_table_name, snake, studly, table_name
from bridge.phpeval.laravel.support.attribute import MAKE as ATTRIBUTE_MAKE
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.class_table import ClassTable
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value

if TYPE_CHECKING:
    from bridge.phpeval.laravel.eloquent.description import Description

# Properties of Model that say how its objects are read.
_SETTINGS = (
    "table", "primaryKey", "keyType", "incrementing", "timestamps", "casts", "dates", "dateFormat", "hidden",
    "visible", "appends", "with", "withCount",
)  # fmt: skip
_PROPERTIES = tuple(key for name in _SETTINGS for key in state.KEYS[name])
_KEPT = 64  # names of attributes, sets of columns, and rows, remembered for one class
_LONGEST_ROW = 4096  # bytes of its texts
_DISTINCT = frozenset({bytes, int, type(None)})

PIVOT = "Illuminate\\Database\\Eloquent\\Relations\\Pivot"
_READ_PUBLICLY = ("incrementing", "timestamps")

Accessor = tuple[str, bool]  # the method, and whether it gives an Attribute object


@dataclass(frozen=True, slots=True)
class Columns:
    """Of attributes with certain names: those that are shown, and the dates and casts among them; of a cast
    also `casts.plain`. `rows` are there if arrays show the same for the same values each time."""

    shown: tuple[int | bytes, ...]
    dates: tuple[bytes, ...]
    casts: tuple[tuple[bytes, casts.NamedCast, casts.Cast | None], ...]
    rows: Rows | None


class Rows:
    """What arrays show of rows met before: of users, rooms and the like, which come with many an event."""

    def __init__(self) -> None:
        self._known: dict[tuple[Value, ...], dict[int | bytes, Value]] = {}

    @staticmethod
    def key(values: Iterable[Value]) -> tuple[Value, ...] | None:
        """None for values that may be equal and yet not the same, or be changed."""
        key = tuple(values)
        return key if _DISTINCT.issuperset(map(type, key)) else None

    def get(self, key: tuple[Value, ...]) -> dict[int | bytes, Value] | None:
        return self._known.get(key)

    def keep(self, key: tuple[Value, ...], shown: dict[int | bytes, Value]) -> None:
        """Small rows are kept, and of these the last ones."""
        if sum(len(value) for value in key if isinstance(value, bytes)) <= _LONGEST_ROW:
            if len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            self._known[key] = shown


class ModelSettings:
    """`model` gives the settings; `facts` are those of its class."""

    def __init__(self, model: PhpObject, facts: ModelFacts, classes: ClassTable, version: Version) -> None:
        self.facts = facts
        settings: dict[int | bytes, Value] = {
            key: model.properties[key] for key in _PROPERTIES if key in model.properties
        }
        self._model = PhpObject(model.class_name, settings)
        present, self._absent = _told_by(settings)
        self._held = operator.itemgetter(*present)
        self._values = self._held(settings)
        self._classes = classes
        self._version = version
        # Name → description of a relation that is the same for every object
        self.relations: dict[str, Description] = {}
        self._accessors: dict[str, Accessor | None] = {}
        self._columns: dict[tuple[int | bytes, ...], Columns] = {}
        said = facts.stated
        self.key_name = _text(said, "getkeyname") or state.text(model, "primaryKey") or "id"
        self.key = self.key_name.encode()
        ids = said.get("uniqueids")
        unique = facts.unique_ids and (not isinstance(ids, PhpArray) or self.key in ids.values())
        incrementing = not unique and model.properties.get(b"incrementing") is not False
        self.incrementing = bool(said.get("getincrementing", incrementing))
        key_type = "string" if unique else state.text(model, "keyType") or "int"
        self.key_type = _text(said, "getkeytype") or key_type

    def is_of(self, model: PhpObject) -> bool:
        """Whether the object has the settings that this was made from."""
        properties = model.properties
        try:
            same = all(map(operator.is_, self._held(properties), self._values))
        except KeyError:
            return False
        return same and properties.keys().isdisjoint(self._absent)

    @cached_property
    def table(self) -> str:
        """`getTable()`."""
        named = _text(self.facts.stated, "gettable") or state.text(self._model, "table")
        if named is not None:
            return named
        return (pivot_table_name if self.is_pivot else table_name)(self._model.class_name).decode()

    @cached_property
    def is_pivot(self) -> bool:
        return bool(self._classes.is_a(self._model.class_name, PIVOT))

    @cached_property
    def base_name(self) -> str:
        """Short class name in snake case."""
        return snake(self._model.class_name.rsplit("\\", 1)[-1].encode()).decode()

    @cached_property
    def date_format(self) -> str | None:
        return state.text(self._model, "dateFormat")

    @cached_property
    def casts(self) -> dict[bytes, casts.NamedCast]:
        """`getCasts()`: the key's own type first, while it increments."""
        found: dict[bytes, casts.NamedCast] = {}
        if self.incrementing:
            found[self.key] = casts.named_cast(self.key_type)
        for name, cast in state.array(self._model, "casts").items():
            if not isinstance(name, bytes) or not isinstance(cast, bytes):
                raise Refused(f"the casts of {self._model.class_name}")
            found[name] = casts.named_cast(cast.decode("utf-8", "replace"))
        return found

    @cached_property
    def dates(self) -> tuple[bytes, ...]:
        """`getDates()`."""
        names: list[bytes] = []
        if self._model.properties.get(b"timestamps") is not False:
            names = [name.encode() for name in (self.facts.created_at, self.facts.updated_at) if name]
        if self._version < (10, 0):
            names = state.names(self._model, "dates") + names
        return tuple(dict.fromkeys(names))

    @cached_property
    def always_loaded(self) -> tuple[str, ...]:
        """`$with`."""
        return tuple(name.decode() for name in state.names(self._model, "with"))

    @cached_property
    def always_counted(self) -> tuple[bytes, ...]:
        """`$withCount`."""
        return tuple(state.names(self._model, "withCount"))

    def changes_when_set(self, name: bytes) -> bool:
        """Whether a method of the class may change what is assigned to the attribute."""
        mutator = f"set{studly(name).decode('utf-8', 'replace')}Attribute"
        known = self._classes.method(self._model.class_name, mutator)
        return known is not None or self.accessor(name.decode("utf-8", "surrogateescape")) is not None

    @cached_property
    def appended(self) -> tuple[bytes, ...]:
        """The shown ones of `$appends`, each once."""
        names = dict.fromkeys(state.names(self._model, "appends"))
        return tuple(name for name in names if self._is_shown(name))

    def shown(self, names: Iterable[int | bytes]) -> tuple[int | bytes, ...]:
        """`getArrayableItems`: only visible ones, without hidden ones."""
        return tuple(name for name in names if self._is_shown(name))

    def columns(self, names: tuple[int | bytes, ...]) -> Columns:
        """What toArray makes of attributes with these names."""
        known = self._columns.get(names)
        if known is None:
            if any(isinstance(name, int) for name in names):
                raise Refused(f"an attribute of {self._model.class_name} whose name is a number")
            shown = self.shown(names)
            cast_names = [(name, cast) for name, cast in self.casts.items() if name in shown]
            evaluates = self.facts.accessors or self.facts.overrides_serialize_date or self.appended
            steady = not evaluates and all(casts.is_steady(cast, self._classes) for _, cast in cast_names)
            known = Columns(
                shown=shown,
                dates=tuple(name for name in self.dates if name in shown),
                casts=tuple((name, cast, casts.plain(cast, self._classes)) for name, cast in cast_names),
                rows=Rows() if steady else None,
            )
            if len(self._columns) < _KEPT:
                self._columns[names] = known
        return known

    def accessor(self, name: str) -> Accessor | None:
        """The method that stands before the attribute."""
        if name in self._accessors:
            return self._accessors[name]
        found = self._accessor(name)
        if len(self._accessors) < _KEPT:
            self._accessors[name] = found
        return found

    def _accessor(self, name: str) -> Accessor | None:
        class_name = self._model.class_name
        old = f"get{studly(name.encode()).decode()}Attribute"
        if self._classes.method(class_name, old) is not None:
            return old, False
        bound = self._classes.method(class_name, camel(name.encode()).decode())
        if bound is not None and self._version >= (8, 77) and gives_attribute(bound):
            return bound.method.name, True
        return None

    @cached_property
    def _hidden(self) -> frozenset[bytes]:
        return frozenset(state.names(self._model, "hidden"))

    @cached_property
    def _visible(self) -> frozenset[bytes]:
        return frozenset(state.names(self._model, "visible"))

    def _is_shown(self, name: int | bytes) -> bool:
        text = str(name).encode() if isinstance(name, int) else name
        return (not self._visible or text in self._visible) and text not in self._hidden


def _text(said: Mapping[str, Value], name: str) -> str | None:
    """A text that a method gives, None where there is no such method."""
    value = said.get(name)
    if name in said and not isinstance(value, bytes):
        raise Refused(f"a {name}() that gives no text")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None


def has_getter(class_name: str, method: str, classes: ClassTable, version: Version) -> bool:
    """Whether the source alone shows that the Attribute which the method gives has a getter."""
    bound = classes.method(class_name, method)
    try:
        body = () if bound is None else classes.body(bound.method)
    except Refused:
        return False
    match body:
        case (
            n.Return(
                value=(
                    n.New(class_name=casting, arguments=arguments)
                    | n.StaticCall(class_name=casting, name="make", arguments=arguments)
                ) as made
            ),
        ) if casting == ATTRIBUTE and (version >= ATTRIBUTE_MAKE or isinstance(made, n.New)):
            return any(
                isinstance(one.value, n.Closure) and (one.name == "get" or (at == 0 and one.name is None))
                for at, one in enumerate(arguments)
            )
    return False


def _told_by(settings: Container[int | bytes]) -> tuple[list[bytes], list[bytes]]:
    """The properties that say how an object is read: those that it has, and those that it must not have. A
    public one counts where there is no protected one (`state.get`), or where it is read by itself."""
    present: list[bytes] = []
    absent: list[bytes] = []
    for name in _SETTINGS:
        protected, public = state.KEYS[name]
        (present if protected in settings else absent).append(protected)
        if protected not in settings or name in _READ_PUBLICLY:
            (present if public in settings else absent).append(public)
    return present, absent


_CONSTANT = (n.Return, n.ArrayLiteral, n.Entry, n.Argument, n.Literal, n.ClassConstant)


def is_constant(part: object) -> bool:
    """Whether code gives the same whenever it runs: nothing but literals and constants of classes."""
    if isinstance(part, tuple):
        return all(map(is_constant, part))
    if not isinstance(part, n.Node):
        return True
    return isinstance(part, _CONSTANT) and all(is_constant(getattr(part, one.name)) for one in fields(part))
