"""`new Echo({…})` in the app's JavaScript, TypeScript, Vue and Blade files: its options, where known.

JavaScript's grammar is an extra (`laravel-bridge[doctor]`): nothing else needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

from tree_sitter import Language, Node, Parser

from bridge.errors import BridgeError

FOLDERS = ("resources",)
ENDINGS = (".js", ".mjs", ".jsx", ".ts", ".tsx", ".vue", ".blade.php")
_SKIPPED = ("node_modules", "vendor")
_SCRIPT = re.compile(rb"(<script\b[^>]*>)(.*?)(?=</script>)", re.DOTALL | re.IGNORECASE)
_BLADE = re.compile(rb"\{\{.*?\}\}|\{!!.*?!!\}", re.DOTALL)
_BLOTTED = "$$$$"  # stands where Blade writes something: part of a name, or of a text
_ENV = re.compile(r"(?:process\.env|import\.meta\.env)\.(\w+)\Z")
_PAGE = re.compile(r"(?:window\.|document\.)?location\.(?:hostname|host)\Z")
_NUMBERS = ("Number", "parseInt", "parseFloat")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only the running page knows; `text` as it is written."""

    text: str


@dataclass(frozen=True, slots=True)
class Unset:
    """JavaScript's undefined; `name` of the variable that `.env` does not set, if it is one."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class PageHost:
    """The host of the page."""


Value: TypeAlias = "str | float | bool | Unknown | Unset | PageHost | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoCall:
    """One `new Echo`. `whole`: there are no more options than these."""

    file: str
    line: int
    options: Mapping[str, Value]
    whole: bool


class GrammarMissing(BridgeError):
    """A file of the app names Echo, and tree-sitter-javascript is not installed."""


@cache
def _parser() -> Parser:
    try:
        import tree_sitter_javascript  # the one place that needs it
    except ImportError:
        raise GrammarMissing("JavaScript cannot be read: tree-sitter-javascript is not installed") from None
    return Parser(Language(tree_sitter_javascript.language()))


def echo_calls(app: Path, env: Mapping[str, str]) -> Iterator[EchoCall]:
    """Every call in the app's sources. `env`: the variables that the build puts into pages.

    Raises GrammarMissing where a file names Echo and the grammar is not installed.
    """
    for folder in FOLDERS:
        for file in sorted((app / folder).rglob("*")):
            parts = file.relative_to(app).parts
            if not file.name.endswith(ENDINGS) or set(parts) & set(_SKIPPED) or not file.is_file():
                continue
            text = file.read_bytes()
            if b"Echo" in text:
                yield from _calls(_script(text, file.name), str(file.relative_to(app)), env)


def _script(text: bytes, name: str) -> bytes:
    """The scripts of a page, every line at its place."""
    if not name.endswith((".vue", ".blade.php")):
        return text
    text = _BLADE.sub(lambda match: b"$" * len(match[0]), text)
    kept = bytearray(byte if byte == ord("\n") else ord(" ") for byte in text)
    for match in _SCRIPT.finditer(text):
        kept[match.start(2) : match.end(2)] = match[2]
    return bytes(kept)


def _calls(text: bytes, file: str, env: Mapping[str, str]) -> Iterator[EchoCall]:
    waiting = [_parser().parse(text).root_node]
    while waiting:
        node = waiting.pop()
        waiting += reversed(node.children)
        if node.type not in ("new_expression", "call_expression"):
            continue
        callee = node.child_by_field_name("constructor") or node.child_by_field_name("function")
        arguments = node.child_by_field_name("arguments")
        if (
            callee is None
            or arguments is None
            or _text(callee) not in ("Echo", "configureEcho", "window.Echo")
        ):
            continue
        if node.type == "call_expression" and _text(callee) != "configureEcho":
            continue
        given = next((child for child in arguments.named_children if child.type == "object"), None)
        spread = given is None or any(child.type == "spread_element" for child in given.named_children)
        options = {} if given is None else _options(given, env)
        yield EchoCall(file=file, line=node.start_point[0] + 1, options=options, whole=not spread)


def _options(node: Node, env: Mapping[str, str]) -> dict[str, Value]:
    options: dict[str, Value] = {}
    for child in node.named_children:
        key, value = child.child_by_field_name("key"), child.child_by_field_name("value")
        if child.type == "pair" and key is not None and value is not None:
            options[_text(key).strip("'\"")] = _value(value, env)
        elif child.type in ("shorthand_property_identifier", "method_definition"):
            name = child.child_by_field_name("name") or child
            options[_text(name)] = Unknown(_text(name))
    return options


def _value(node: Node, env: Mapping[str, str]) -> Value:
    text = _text(node)
    if _BLOTTED in text:
        return Unknown(text)
    match node.type:
        case "string":
            return text[1:-1]
        case "template_string" if not node.named_children or all(
            child.type == "string_fragment" for child in node.named_children
        ):
            return text[1:-1]
        case "number":
            return float(text) if re.fullmatch(r"[\d.]+", text) else Unknown(text)
        case "true" | "false":
            return text == "true"
        case "null":
            return None
        case "undefined":
            return Unset()
        case "parenthesized_expression" if len(node.named_children) == 1:
            return _value(node.named_children[0], env)
        case "member_expression":
            return _member(text, env)
        case "call_expression":
            return _called(node, env)
        case "unary_expression" if text.startswith("!"):
            operand = node.child_by_field_name("argument")
            value = Unknown(text) if operand is None else _value(operand, env)
            return Unknown(text) if isinstance(value, Unknown) else not _truth(value)
        case "binary_expression":
            return _binary(node, env)
        case "ternary_expression":
            return _ternary(node, env)
    return Unknown(text)


def _member(text: str, env: Mapping[str, str]) -> Value:
    if variable := _ENV.match(text):
        return env.get(variable[1], Unset(variable[1]))
    return PageHost() if _PAGE.match(text) else Unknown(text)


def _called(node: Node, env: Mapping[str, str]) -> Value:
    function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
    if (
        function is None
        or arguments is None
        or _text(function) not in _NUMBERS
        or not arguments.named_children
    ):
        return Unknown(_text(node))
    return _value(arguments.named_children[0], env)


def _binary(node: Node, env: Mapping[str, str]) -> Value:
    left, operator, right = (node.child_by_field_name(name) for name in ("left", "operator", "right"))
    if left is None or operator is None or right is None:
        return Unknown(_text(node))
    first, sign = _value(left, env), _text(operator)
    if isinstance(first, Unknown):
        return Unknown(_text(node))
    missing = {"??": first is None or isinstance(first, Unset), "||": not _truth(first), "&&": _truth(first)}
    if sign in missing:
        return _value(right, env) if missing[sign] else first
    second = _value(right, env)
    if isinstance(second, Unknown) or sign not in ("===", "==", "!==", "!="):
        return Unknown(_text(node))
    return (first == second) == (sign[0] == "=")


def _ternary(node: Node, env: Mapping[str, str]) -> Value:
    condition, yes, no = (
        node.child_by_field_name(name) for name in ("condition", "consequence", "alternative")
    )
    if condition is None or yes is None or no is None:
        return Unknown(_text(node))
    decided = _value(condition, env)
    if isinstance(decided, Unknown):
        return Unknown(_text(node))
    return _value(yes if _truth(decided) else no, env)


def _truth(value: Value) -> bool:
    return bool(value) and not isinstance(value, Unset)


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")
