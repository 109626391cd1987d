"""What a relation method said, as `relations` reads it and models keep it."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.phpeval.laravel.eloquent.sql_text import Condition
from bridge.phpeval.php.runtime.values import PhpObject, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a relation method said.

    many       gives a collection, else one model or null
    local      attribute of the parent whose value is looked for
    foreign    column of the related table (or pivot table, or that of `through`) that holds it
    through    class of a model in between, the column of the related table that points to it, and its own
               column of that value (hasManyThrough)
    one_of     which one of many: the first by these orders (latestOfMany); empty: any
    pivot      table in between, its columns for parent and related model, and more columns to read
    default    attributes of the model that stands for none (`withDefault`), None where there is none
    default_key  whether that model gets `foreign` too; None: no default is known for this kind of relation
    eager      relations of the related models that are loaded with them (`with`)
    columns    of the related table to read, all where none is named
    morphs     whether the first of the conditions is the type of a morphOne or morphMany
    type       attribute of the parent that names the related class (morphTo)
    """

    related: str  # empty for a morphTo, until `of` says of which parent
    many: bool
    local: str
    foreign: str
    pivot_table: str = ""
    pivot_related: str = ""
    related_key: str = ""
    pivot_columns: tuple[str, ...] = ()
    pivot_timestamps: bool = False
    accessor: str = "pivot"
    morphs: bool = False
    through: tuple[str, str, str] | None = None
    one_of: tuple[tuple[str, str], ...] = ()
    type: str = ""
    conditions: tuple[Condition, ...] = ()
    orders: tuple[tuple[str, str], ...] = ()
    with_trashed: bool = False
    columns: tuple[str, ...] = ()
    eager: tuple[str, ...] = ()
    default: tuple[tuple[int | bytes, Value], ...] | None = None
    default_key: bool | None = None

    def __hash__(self) -> int:
        """Of what usually tells two apart: each relation that is loaded asks for it."""
        return hash((self.related, self.local, self.foreign))


class Relation(PhpObject):
    """The object that a relation method returns."""

    __slots__ = ("description", "parent")

    def __init__(self, class_name: str, parent: PhpObject, description: Description) -> None:
        super().__init__(class_name)
        self.parent = parent
        self.description = description
