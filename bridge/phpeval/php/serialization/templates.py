"""Serialized objects whose template is known, read by one regular expression.

The jobs of one event class differ in a few scalars; class names, keys, counts and nulls are the same bytes in
each. A template is one pattern with a group for every scalar, which are put into copies of the containers.
Where all of a pattern and every length fits, PHP's reader could read nothing else; where not,
`unserialize` reads as ever. Learned are only templates in which every value stands once: no references, no
class with its own format. Groups are possessive, so that a text that fits nowhere costs linear time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.serialization.unserialize import unserialize

MAX_HEADS = 512  # of which templates are kept; all are forgotten then
MAX_TEMPLATES = 4  # of one head: which properties are null, mostly
MAX_LENGTH = 8192  # bytes of a text whose template is learned
MAX_DEPTH = 16

_Entries: TypeAlias = "dict[int | bytes, Value]"

# Scalars with a group: type → pattern, and the value of its text. Numbers are as PHP writes them.
_SCALARS: dict[type, tuple[bytes, Callable[[bytes], Value]]] = {
    int: (rb"i:(-?\d{1,18}+);", int),
    bool: (rb"b:([01]);", b"1".__eq__),
    float: (rb"d:(-?\d++(?:\.\d++)?(?:E[+-]\d++)?);", float),
}
_TEXT = rb's:(\d{1,9}+):"([^"]*+)";'  # two groups
_put = dict.__setitem__  # past PhpArray's, whose next index is not asked for yet


class Templates:
    """`unserialize` with a memory of its own. To be had once for each source of jobs."""

    def __init__(self) -> None:
        self._known: dict[bytes, list[Template | None]] = {}

    def unserialize(self, data: bytes, *, objects: list[PhpObject]) -> Value:
        """As `bridge.phpeval.php.serialization.unserialize.unserialize`."""
        fit = self.fit(data)
        if fit is not None:
            return fit.read(data, objects=objects)
        value = unserialize(data, objects=objects)
        head = _head(data)
        if head not in self._known and len(self._known) >= MAX_HEADS:
            self._known.clear()
        templates = self._known.setdefault(head, [])
        if head and len(templates) < MAX_TEMPLATES:
            templates.append(_learned(data, value) if len(data) <= MAX_LENGTH else None)
        return value

    def fit(self, data: bytes) -> TemplateMatch | None:
        """The template met before which the text has, None where it has none."""
        for template in self._known.get(_head(data), ()):
            if template is not None and (groups := template.groups(data)) is not None:
                return TemplateMatch(template, groups)
        return None


def _head(data: bytes) -> bytes:
    """The class of the object, and of the first inside; empty where there is none."""
    end = data.find(b"{", data.find(b"{") + 1)
    return data[:end] if end > 0 else b""


@dataclass(frozen=True, slots=True)
class _Container:
    """An array (`class_name` None) or object: its entries but the scalars, and its place in its parent."""

    class_name: str | None
    entries: _Entries
    parent: int
    key: int | bytes


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """`texts` and `scalars`: container, key, number of the group from 0; a text's length stands before it.

    Of a scalar also its type and what reads it. Shapes are compared by identity; `name` is the same in every
    process.
    """

    name: str

    match: Callable[[bytes], re.Match[bytes] | None]
    containers: tuple[_Container, ...]
    texts: tuple[tuple[int, int | bytes, int], ...]
    scalars: tuple[tuple[int, int | bytes, int, type, Callable[[bytes], Value]], ...]

    def groups(self, data: bytes) -> tuple[bytes, ...] | None:
        """The texts of the groups, None where the text has another template."""
        match = self.match(data)
        if match is None:
            return None
        groups = match.groups()
        for _, _, group in self.texts:
            if len(groups[group]) != int(groups[group - 1]):
                return None
        return groups

    def objects(self, groups: tuple[bytes, ...]) -> list[PhpObject]:
        """All objects that the text with these groups holds, the outermost first."""
        found, made = self._copied()
        for place, key, group in self.texts:
            _put(made[place], key, groups[group])
        for place, key, group, _, read in self.scalars:
            _put(made[place], key, read(groups[group]))
        return found

    def marked(self, mark: Callable[[int, type], Value]) -> list[PhpObject]:
        """As `objects`, with `mark(group, type)` in the place of every scalar."""
        found, made = self._copied()
        for place, key, group in self.texts:
            _put(made[place], key, mark(group, bytes))
        for place, key, group, kind, _ in self.scalars:
            _put(made[place], key, mark(group, kind))
        return found

    def _copied(self) -> tuple[list[PhpObject], list[_Entries]]:
        found: list[PhpObject] = []
        made: list[_Entries] = []
        for container in self.containers:
            value: PhpArray | PhpObject
            entries: _Entries
            if container.class_name is None:
                value = entries = PhpArray(container.entries)
            else:
                entries = container.entries.copy()
                value = PhpObject(container.class_name, entries)
                found.append(value)
            if made:
                _put(made[container.parent], container.key, value)
            made.append(entries)
        return found, made


class TemplateMatch(NamedTuple):
    """A text with the template that it has."""

    template: Template
    groups: tuple[bytes, ...]

    def read(self, data: bytes, *, objects: list[PhpObject]) -> Value:
        """As `unserialize` of the text, without looking at it again."""
        found = self.template.objects(self.groups)
        objects += found
        return found[0]


class _Unlearnable(Exception):
    """The text has something that no template holds."""


def _learned(data: bytes, value: Value) -> Template | None:
    """The template of a text and the object that was read from it, None where it has none of its own."""
    learner = _Learner()
    try:
        if not isinstance(value, PhpObject):
            return None
        learner.add(value, 0, b"", 0)
    except _Unlearnable:
        return None
    match = re.compile(b"".join(learner.pattern)).fullmatch
    if match(data) is None:  # not as PHP writes it, or with references
        return None
    name = hashlib.sha256(b"".join(learner.pattern)).hexdigest()
    return Template(name, match, tuple(learner.containers), tuple(learner.texts), tuple(learner.scalars))


class _Learner:
    """Writes the pattern of a value as serialize would write the value."""

    def __init__(self) -> None:
        self.pattern: list[bytes] = []
        self.containers: list[_Container] = []
        self.texts: list[tuple[int, int | bytes, int]] = []
        self.scalars: list[tuple[int, int | bytes, int, type, Callable[[bytes], Value]]] = []
        self._groups = 0
        self._met: set[int] = set()  # arrays and objects, each of which may stand once

    def add(self, value: PhpArray | PhpObject, parent: int, key: int | bytes, depth: int) -> None:
        if depth > MAX_DEPTH or id(value) in self._met:
            raise _Unlearnable
        self._met.add(id(value))
        own: _Entries = {}
        place = len(self.containers)
        entries: _Entries
        if isinstance(value, PhpArray):
            entries, name = value, None
            self._literal(b"a:%d:{" % len(entries))
        else:
            entries, name = value.properties, value.class_name
            text = name.encode()
            self._literal(b'O:%d:"%s":%d:{' % (len(text), text, len(entries)))
        self.containers.append(_Container(name, own, parent, key))
        for inner, held in entries.items():
            self._literal(b"i:%d;" % inner if isinstance(inner, int) else _text(inner))
            own[inner] = None
            self._entry(held, place, inner, depth)
        self._literal(b"}")

    def _entry(self, value: Value, place: int, key: int | bytes, depth: int) -> None:
        match value:
            case None:
                self._literal(b"N;")
            case bytes():
                self.pattern.append(_TEXT)
                self._groups += 2
                self.texts.append((place, key, self._groups - 1))
            case bool() | int() | float():
                pattern, read = _SCALARS[type(value)]
                self.pattern.append(pattern)
                self._groups += 1
                self.scalars.append((place, key, self._groups - 1, type(value), read))
            case EnumCase():
                name = f"{value.class_name}:{value.case}".encode()
                self._literal(b'E:%d:"%s";' % (len(name), name))
                self.containers[place].entries[key] = value
            case PhpArray() | PhpObject():
                self.add(value, place, key, depth + 1)
            case _:
                raise _Unlearnable

    def _literal(self, text: bytes) -> None:
        self.pattern.append(re.escape(text))


def _text(key: bytes) -> bytes:
    return b's:%d:"%s";' % (len(key), key)
