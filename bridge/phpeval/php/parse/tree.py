"""tree-sitter's trees of PHP source: parsing, small questions to a node, and what names mean in a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import tree_sitter_php
from tree_sitter import Language, Parser
from tree_sitter import Node as Tree

from bridge.errors import Refused

_PARSER = Parser(Language(tree_sitter_php.language_php()))

_READONLY_FIRST = re.compile(rb"\b(readonly)(\s+)(public|protected|private)\b", re.IGNORECASE)
_INSTEAD = re.compile(rb"([\w\\]+\s*::\s*\w+)\s+insteadof\s+((?:[\w\\]+\s*,\s*)*[\w\\]+)\s*;", re.IGNORECASE)
_BACKSLASH = "\N{FULLWIDTH REVERSE SOLIDUS}"
_TEXTS = {"comment", "string_content", "string", "encapsed_string", "heredoc_body", "nowdoc_body", "text"}

RELATIVE = {"self", "static", "parent"}


@dataclass(slots=True)
class Scope:
    """What a name means in one file: its namespace and its `use` lines."""

    file: str
    namespace: str = ""
    strict: bool = False
    classes: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)

    def class_name(self, name: str) -> str:
        """Fully qualified, no leading backslash; `self`, `static` and `parent` stay."""
        if name.startswith("\\"):
            return name[1:]
        if name.lower() in RELATIVE:
            return name.lower()
        first, separator, rest = name.partition("\\")
        if first.lower() == "namespace" and separator:
            return f"{self.namespace}\\{rest}" if self.namespace else rest
        imported = self.classes.get(first.lower())
        if imported is not None:
            return imported + separator + rest
        return f"{self.namespace}\\{name}" if self.namespace else name


@dataclass(frozen=True, slots=True)
class Body:
    tree: Tree
    scope: Scope
    class_name: str
    function: str


def parse(source: bytes, file: str) -> Tree:
    root = _PARSER.parse(source).root_node
    for pattern, usual in ((_READONLY_FIRST, _in_usual_order), (_INSTEAD, _one_by_one)):
        if root.has_error and pattern.search(source):
            source = _replaced(pattern, usual, source, root)
            root = _PARSER.parse(source).root_node
    if root.has_error:
        line = _error_line(root)
        raise Refused("the parser does not understand this file", file=file, line=line)
    return root


def _replaced(
    pattern: re.Pattern[bytes], usual: Callable[[re.Match[bytes]], bytes], source: bytes, root: Tree
) -> bytes:
    """The source in a form that says the same and that the parser knows everywhere."""

    def replaced(match: re.Match[bytes]) -> bytes:
        at = root.descendant_for_byte_range(match.start(), match.end())
        return match[0] if at is not None and at.type in _TEXTS else usual(match)

    return pattern.sub(replaced, source)


def _in_usual_order(match: re.Match[bytes]) -> bytes:
    """`readonly public` as `public readonly`."""
    return match[3] + match[2] + match[1]


def _one_by_one(match: re.Match[bytes]) -> bytes:
    """`A::x insteadof B, \\C\\D;` as a rule for each name, which `instead_of` reads."""
    names = [name.strip().replace(b"\\", _BACKSLASH.encode()) for name in match[2].split(b",")]
    return b" ".join(b"%b insteadof %b;" % (match[1], name) for name in names) + b"\n" * match[0].count(b"\n")


def instead_of(name: Tree) -> str:
    """The name of a trait after `insteadof`."""
    return text_of(name).replace(_BACKSLASH, "\\")


def _error_line(tree: Tree) -> int:
    if tree.type == "ERROR" or tree.is_missing:
        return tree.start_point[0] + 1
    for child in tree.children:
        if child.has_error or child.is_missing:
            return _error_line(child)
    return tree.start_point[0] + 1


def text_of(tree: Tree) -> str:
    return (tree.text or b"").decode("utf-8", "replace")


def line_of(tree: Tree) -> int:
    return tree.start_point[0] + 1


def children_of(tree: Tree) -> list[Tree]:
    return [child for child in tree.named_children if child.type != "comment"]


def of_type(tree: Tree, *types: str) -> list[Tree]:
    return [child for child in tree.named_children if child.type in types]
