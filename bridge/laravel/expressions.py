"""The PHP of `config/*.php`, as far as literals, `env()` and a few pure functions go. Nothing is executed.

A construct that has no entry in the tables below makes an `Unknown`, and only at the array key where it
stands, so that one closure or `parse_url()` does not hide the rest of the file. Strings are text, arrays are
dicts with PHP's keys (int or str, in order), everything else is itself.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable

import tree_sitter_php
from tree_sitter import Language, Node, Parser

from bridge.laravel.coercion import (
    Array,
    NotKnown,
    Unknown,
    Value,
    array_key,
    as_array,
    identical,
    in_64_bits,
    known,
    loosely_equal,
    next_key,
    to_int,
    to_number,
    to_string,
    truth,
)
from bridge.laravel.functions import CASTS, CLASS_CONSTANTS, CONSTANTS, FUNCTIONS, World


def evaluate(source: bytes, file: str, world: World) -> Value:
    """What `require` of this file returns; Unknown with the line when the file as a whole cannot be told.

    `file` is the absolute path: it is `__FILE__`, and stands in every Unknown.
    """
    root = Parser(Language(tree_sitter_php.language_php())).parse(source).root_node
    if root.has_error:
        return Unknown("the file is not PHP that bridge can parse", file, _first_error(root))
    return _File(file, world).run(root)


class _File:
    """One file while it is read: its imports and the variables assigned at its top level."""

    def __init__(self, file: str, world: World) -> None:
        self.file = file
        self.world = world
        self.imports: dict[str, str] = {}
        self.variables: dict[str, Value] = {}

    def run(self, root: Node) -> Value:
        for statement in root.named_children:
            try:
                match statement.type:
                    case "php_tag" | "comment" | "declare_statement" | "text_interpolation":
                        pass
                    case "namespace_use_declaration":
                        self.imports.update(_imports(statement))
                    case "expression_statement":
                        self.assign(statement.named_children[0])
                    case "return_statement" if statement.named_children:
                        return self.value(_meat(statement)[0])
                    case _:
                        raise NotKnown("the file does more than return an array", _line(statement))
            except NotKnown as signal:
                return self.unknown(signal)
            except RecursionError:
                return Unknown("the file is nested too deeply", self.file, _line(statement))
        return Unknown("the file returns nothing", self.file)

    def assign(self, node: Node) -> None:
        if node.type != "assignment_expression" or _field(node, "left").type != "variable_name":
            raise NotKnown("the file does more than return an array", _line(node))
        self.variables[_text(_field(node, "left"))] = self.element(_field(node, "right"))

    def value(self, node: Node) -> Value:
        """The node's value; raises NotKnown."""
        try:
            read = _EXPRESSIONS[node.type]
        except KeyError:
            raise NotKnown(f"`{_short(node)}` is more than bridge evaluates", _line(node)) from None
        try:
            return read(self, node)
        except (TypeError, ValueError, ArithmeticError, KeyError, IndexError):
            raise NotKnown(f"`{_short(node)}` cannot be evaluated", _line(node)) from None

    def element(self, node: Node) -> Value:
        """Like `value`, with Unknown in place of the exception: for what stands under a key of its own."""
        try:
            return self.value(node)
        except NotKnown as signal:
            return self.unknown(signal)

    def unknown(self, signal: NotKnown) -> Unknown:
        return Unknown(signal.reason, self.file, signal.line)

    def class_name(self, node: Node) -> str:
        """Fully qualified, without a leading backslash."""
        name = _text(node)
        if name.startswith("\\"):
            return name[1:]
        head, separator, rest = name.partition("\\")
        return self.imports.get(head.lower(), head) + separator + rest


# Expressions: one function per node type ------------------------------------------------------------------


def _array(file: _File, node: Node) -> Value:
    result: Array = {}
    for item in _meat(node):
        parts = _meat(item)
        if parts[0].type == "variadic_unpacking":
            spread = file.value(_meat(parts[0])[0])
            for key, value in as_array(spread).items():
                result[next_key(result) if isinstance(key, int) else key] = value
        elif len(parts) == 2:
            result[array_key(file.value(parts[0]))] = file.element(parts[1])
        else:
            result[next_key(result)] = file.element(parts[0])
    return result


def _single_quoted(file: _File, node: Node) -> Value:
    return re.sub(r"\\([\\'])", r"\1", _text(node).removeprefix("b")[1:-1])


def _double_quoted(file: _File, node: Node) -> Value:
    return "".join(_double_part(file, part) for part in node.named_children)


def _double_part(file: _File, part: Node) -> str:
    if part.type == "string_content":
        return _text(part)
    if part.type != "escape_sequence":
        return to_string(file.value(part))
    escape = _text(part)[1:]
    if escape in _ESCAPES:
        return _ESCAPES[escape]
    if escape.startswith("u{"):
        return chr(int(escape[2:-1], 16))
    code = int(escape[1:], 16) if escape[0] in "xX" else int(escape, 8) & 0xFF
    if code > 127:
        raise ValueError("a byte above 127 is no character by itself")
    return chr(code)


def _integer(file: _File, node: Node) -> Value:
    digits = _text(node).replace("_", "").lower()
    if digits.startswith("0") and digits.isdigit():
        digits = "0o" + digits
    return in_64_bits(int(digits, 0))


def _variable(file: _File, node: Node) -> Value:
    value = file.variables[_text(node)]
    if isinstance(value, Unknown):
        raise NotKnown(value.reason, value.line)
    return value


def _constant(file: _File, node: Node) -> Value:
    name = _text(node).removeprefix("\\")
    own: dict[str, Value] = {
        "__DIR__": os.path.dirname(file.file),
        "__FILE__": file.file,
        "__LINE__": _line(node),
    }
    return own[name] if name in own else CONSTANTS[name]


def _class_constant(file: _File, node: Node) -> Value:
    holder, name = _meat(node)
    if _text(name) == "class":
        return file.class_name(holder)
    return CLASS_CONSTANTS[f"{file.class_name(holder).lower()}::{_text(name)}"]


def _call(file: _File, node: Node) -> Value:
    return _invoke(file, node, _text(_field(node, "function")).removeprefix("\\").lower())


def _static_call(file: _File, node: Node) -> Value:
    scope = file.class_name(_field(node, "scope")).lower().removeprefix("illuminate\\support\\")
    return _invoke(file, node, f"{scope}::{_text(_field(node, 'name')).lower()}")


def _invoke(file: _File, node: Node, name: str) -> Value:
    parts = [_meat(one) for one in _meat(_field(node, "arguments"))]
    plain = all(len(one) == 1 and one[0].type != "variadic_unpacking" for one in parts)
    if plain and name in ("env", "env::get"):  # its default may be an Unknown that is not needed
        key, *default = [one[0] for one in parts]
        return file.world.variable(
            to_string(file.value(key)), lambda: file.value(default[0]) if default else None
        )
    if not plain or name not in FUNCTIONS:
        raise NotKnown(f"`{_short(node)}` is more than bridge evaluates", _line(node))
    return FUNCTIONS[name](file.world, *[_deeply_known(file.value(one[0])) for one in parts])


def _deeply_known(value: Value) -> Value:
    it = known(value)
    for inner in it.values() if isinstance(it, dict) else ():
        _deeply_known(inner)
    return it


def _cast(file: _File, node: Node) -> Value:
    return CASTS[_text(_field(node, "type")).lower()](file.value(_field(node, "value")))


def _unary(file: _File, node: Node) -> Value:
    value = file.value(_field(node, "argument"))
    match _text(_field(node, "operator")):
        case "!":
            return not truth(value)
        case "-":
            return in_64_bits(-to_number(value))
        case "+":
            return to_number(value)
        case _:
            raise ValueError("an operator that bridge does not evaluate")


def _conditional(file: _File, node: Node) -> Value:
    short = node.child_by_field_name("body")
    try:
        condition = file.value(_field(node, "condition"))
    except NotKnown:  # as PHP_VERSION_ID, which chooses between two names of one constant
        both = None if short is None else file.value(short)
        if both is None or both != file.value(_field(node, "alternative")) or isinstance(both, dict):
            raise
        return both
    if truth(condition):
        return condition if short is None else file.value(short)
    return file.value(_field(node, "alternative"))


def _binary(file: _File, node: Node) -> Value:
    operator = _text(_field(node, "operator")).lower()
    left, right = _field(node, "left"), _field(node, "right")
    if operator in _SHORT_CIRCUITS:
        return _SHORT_CIRCUITS[operator](file, left, right)
    return _OPERATORS[operator](file.value(left), file.value(right))


def _sum(left: Value, right: Value) -> Value:
    if isinstance(left, dict) and isinstance(right, dict):
        return left | {key: value for key, value in right.items() if key not in left}
    return in_64_bits(to_number(left) + to_number(right))


def _quotient(left: int | float, right: int | float) -> Value:
    exact = isinstance(left, int) and isinstance(right, int) and left % right == 0
    return int(left // right) if exact else left / right


def _coalesce(file: _File, left: Node, right: Node) -> Value:
    value = None if left.type == "variable_name" and _text(left) not in file.variables else file.value(left)
    return file.value(right) if value is None else value


_EXPRESSIONS: dict[str, Callable[[_File, Node], Value]] = {
    "array_creation_expression": _array,
    "string": _single_quoted,
    "encapsed_string": _double_quoted,
    "integer": _integer,
    "float": lambda file, node: float(_text(node).replace("_", "")),
    "boolean": lambda file, node: _text(node).lower() == "true",
    "null": lambda file, node: None,
    "parenthesized_expression": lambda file, node: file.value(_meat(node)[0]),
    "variable_name": _variable,
    "name": _constant,
    "qualified_name": _constant,
    "class_constant_access_expression": _class_constant,
    "function_call_expression": _call,
    "scoped_call_expression": _static_call,
    "cast_expression": _cast,
    "unary_op_expression": _unary,
    "conditional_expression": _conditional,
    "binary_expression": _binary,
}

_SHORT_CIRCUITS: dict[str, Callable[[_File, Node, Node], Value]] = {
    "??": _coalesce,
    "&&": lambda file, left, right: truth(file.value(left)) and truth(file.value(right)),
    "||": lambda file, left, right: truth(file.value(left)) or truth(file.value(right)),
    "and": lambda file, left, right: truth(file.value(left)) and truth(file.value(right)),
    "or": lambda file, left, right: truth(file.value(left)) or truth(file.value(right)),
}

_OPERATORS: dict[str, Callable[[Value, Value], Value]] = {
    ".": lambda a, b: to_string(a) + to_string(b),
    "===": lambda a, b: identical(a, b),
    "!==": lambda a, b: not identical(a, b),
    "==": lambda a, b: loosely_equal(a, b),
    "!=": lambda a, b: not loosely_equal(a, b),
    "<>": lambda a, b: not loosely_equal(a, b),
    "+": lambda a, b: _sum(a, b),
    "-": lambda a, b: in_64_bits(to_number(a) - to_number(b)),
    "*": lambda a, b: in_64_bits(to_number(a) * to_number(b)),
    "/": lambda a, b: _quotient(to_number(a), to_number(b)),
    "|": lambda a, b: to_int(a) | to_int(b),
}


_ESCAPES = {
    "n": "\n", "t": "\t", "r": "\r", "v": "\v", "e": "\x1b", "f": "\f", "\\": "\\", "$": "$", '"': '"',
}  # fmt: skip

# The tree -------------------------------------------------------------------------------------------------


def _imports(statement: Node) -> dict[str, str]:
    """Short name in lower case → full name, of one `use` statement."""
    prefix = next((_text(one) + "\\" for one in statement.children if one.type == "namespace_name"), "")
    group = next((one for one in statement.children if one.type == "namespace_use_group"), statement)
    found = {}
    for clause in group.named_children:
        if clause.type != "namespace_use_clause":
            continue
        name = _text(clause.named_children[0]).removeprefix("\\")
        alias = clause.child_by_field_name("alias")
        short = _text(alias) if alias else name.rpartition("\\")[2]
        found[short.lower()] = prefix + name
    return found


def _meat(node: Node) -> list[Node]:
    return [child for child in node.named_children if child.type != "comment"]


def _field(node: Node, name: str) -> Node:
    child = node.child_by_field_name(name)
    if child is None:
        raise ValueError(f"no {name} in {node.type}")
    return child


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "surrogateescape")


def _short(node: Node) -> str:
    """What stands there, without its arguments: they may be secret."""
    for name in ("function", "scope"):
        child = node.child_by_field_name(name)
        if child is not None and child.type in ("name", "qualified_name"):
            method = node.child_by_field_name("name") if name == "scope" else None
            return _text(child) + (f"::{_text(method)}" if method else "") + "()"
    named = ("name", "qualified_name", "variable_name", "class_constant_access_expression")
    return _text(node) if node.type in named else node.type.replace("_", " ")


def _line(node: Node) -> int:
    return node.start_point[0] + 1


def _first_error(node: Node) -> int:
    for child in node.children:
        if child.is_error or child.is_missing:
            return _line(child)
        if child.has_error:
            return _first_error(child)
    return _line(node)
