"""PHP attributes that a model's class bears (`#[Table('users'), Hidden('password')]`), put into its settings.

Sources: Eloquent/Model.php initializeModelAttributes and resolveClassAttribute, Concerns/{HasAttributes,
HasTimestamps,HidesAttributes}.php and Attributes/*, 13.0 to 13.31. Releases before have none of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.errors import Refused
from bridge.phpeval.laravel.eloquent import properties as state
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.class_table import ClassTable
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value

SPACE = "Illuminate\\Database\\Eloquent\\Attributes\\"
# Those that say how a model is read, with the release that brought them
SETTING: Mapping[str, Version] = {
    SPACE + "Appends": (13, 0),
    SPACE + "Connection": (13, 0),
    SPACE + "Hidden": (13, 0),
    SPACE + "Table": (13, 0),
    SPACE + "Visible": (13, 0),
    SPACE + "DateFormat": (13, 2),
    SPACE + "WithoutIncrementing": (13, 2),
    SPACE + "WithoutTimestamps": (13, 2),
    SPACE + "RouteKey": (13, 21),
}
# Those that change nothing in how rows become models or arrays
HARMLESS = frozenset(
    SPACE + name
    for name in (
        "Fillable", "Guarded", "Touches", "Unguarded", "UseFactory", "UsePolicy", "UseResource",
        "UseResourceCollection",
    )
)  # fmt: skip
_TABLE = ("name", "key", "keyType", "incrementing", "timestamps", "dateFormat")


@dataclass(frozen=True, slots=True)
class Borne:
    """An attribute where it stands: on a class or one of its traits."""

    name: str
    part: n.ClassDeclaration

    def arguments(self, php: Interpreter, names: Sequence[str]) -> dict[str, Value]:
        """Its arguments by the names of its parameters."""
        given = self._given()
        found: dict[str, Value] = {}
        for at, argument in enumerate(given):
            if argument.spread or (argument.name is None and at >= len(names)):
                raise self.refused()
            found[argument.name or names[at]] = self._value(argument, php)
        if not found.keys() <= set(names):
            raise self.refused()
        return found

    def columns(self, php: Interpreter) -> list[bytes]:
        """What `array|string ...$columns` comes to."""
        values = [self._value(argument, php) for argument in self._given()]
        if any(argument.spread or argument.name is not None for argument in self._given()) or not values:
            raise self.refused()
        listed = list(values[0].values()) if isinstance(values[0], PhpArray) else values
        names = [value for value in listed if isinstance(value, bytes)]
        if len(names) < len(listed):
            raise self.refused()
        return names

    def text(self, php: Interpreter, name: str) -> bytes:
        """Its only argument."""
        value = self.arguments(php, (name,)).get(name)
        if not isinstance(value, bytes):
            raise self.refused()
        return value

    def refused(self) -> Refused:
        short = self.name.rsplit("\\", 1)[-1]
        return Refused(f"#[{short}] of {self.part.name}", file=self.part.file, line=self.part.line)

    def _given(self) -> tuple[n.Argument, ...]:
        given = self.part.attribute_arguments.get(self.name)
        if given is None or self.part.attributes.count(self.name) > 1:
            raise self.refused()
        return given

    def _value(self, argument: n.Argument, php: Interpreter) -> Value:
        return php.constant_expression(argument.value, self.part.name, self.part.file)


def borne(class_name: str, short: str, classes: ClassTable, version: Version) -> Borne | None:
    """`resolveClassAttribute`: that of the class itself, its own traits, then its parents."""
    name = SPACE + short
    if version < SETTING[name]:
        return None
    for declared in classes.chain(class_name):
        own = [classes.require(trait) for use in declared.traits for trait in use.names]
        for part in (declared, *own):
            if name in part.attributes:
                return Borne(name, part)
    return None


def own(class_name: str, short: str, classes: ClassTable) -> Borne | None:
    """That of the very class, without its traits and parents."""
    declared = classes.require(class_name)
    return Borne(SPACE + short, declared) if SPACE + short in declared.attributes else None


def apply(model: PhpObject, php: Interpreter, version: Version) -> None:
    """Puts what the attributes of its class say into the settings of a new model."""
    if version < (13, 0):
        return
    found = {
        name: one
        for name in (key.rsplit("\\", 1)[-1] for key in SETTING)
        if (one := borne(model.class_name, name, php.classes, version)) is not None
    }
    if not found:
        return
    for name, setting in (("Hidden", "hidden"), ("Visible", "visible"), ("Appends", "appends")):
        if name in found:
            merged = dict.fromkeys([*state.names(model, setting), *found[name].columns(php)])
            state.put(model, setting, PhpArray.of(merged))
    table = found["Table"].arguments(php, _TABLE) if "Table" in found else {}
    if "Table" in found:
        _name(model, found["Table"], table, php, version)
    if "DateFormat" in found and state.get(model, "dateFormat") is None:
        state.put(model, "dateFormat", found["DateFormat"].text(php, "format"))
    if "Connection" in found and state.get(model, "connection") is None:
        state.put(model, "connection", found["Connection"].text(php, "name"))
    for setting, said, usual in (
        ("dateFormat", "dateFormat", None),
        ("primaryKey", "key", b"id"),
        ("keyType", "keyType", b"int"),
    ):
        if table.get(said) is not None and state.get(model, setting) == usual:
            state.put(model, setting, table[said])
    properties = model.properties
    if "WithoutIncrementing" in found:
        properties[b"incrementing"] = False
    elif table.get("incrementing") is not None:
        properties[b"incrementing"] = table["incrementing"]
    if properties.get(b"timestamps") is True:
        if "WithoutTimestamps" in found:
            properties[b"timestamps"] = False
        elif table.get("timestamps") is not None:
            properties[b"timestamps"] = table["timestamps"]


def _name(
    model: PhpObject, marked: Borne, table: dict[str, Value], php: Interpreter, version: Version
) -> None:
    """`$table`: an attribute of the class itself goes before a property that it inherits, from 13.6 on."""
    held = state.get(model, "table")
    bound = php.classes.properties(model.class_name).get("table")
    own = bound is not None and bound.owner == model.class_name
    if held is not None and not own and marked.part.name == model.class_name:
        if version < (13, 6):
            raise marked.refused()
        held = None
    if held is None:
        state.put(model, "table", table.get("name"))
