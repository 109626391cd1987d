"""PHP source → our own nodes, through tree-sitter-php. A construct that has no node is refused here,
statically, with file and line.

`declarations(source, file)` reads the classes of a file; `lower_body(method)` lowers one method when it is
first wanted. One table maps tree-sitter's node types to functions: a new construct is one entry there (and
one in `evaluate`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NoReturn

import tree_sitter_php
from tree_sitter import Language, Parser
from tree_sitter import Node as Tree

from bridge.errors import Refused
from bridge.php import nodes as n
from bridge.php.values import INT_MAX

_PARSER = Parser(Language(tree_sitter_php.language_php()))

_RELATIVE = {"self", "static", "parent"}
_CASTS = {
    "int": "int", "integer": "int", "float": "float", "double": "float", "real": "float", "string": "string",
    "binary": "string", "bool": "bool", "boolean": "bool", "array": "array", "object": "object",
}  # fmt: skip
_OPERATORS = {
    "+", "-", "*", "/", "%", "**", ".", "==", "!=", "<>", "===", "!==", "<", "<=", ">", ">=", "<=>",
    "&&", "||", "and", "or", "xor", "??", "&", "|", "^", "<<", ">>",
}  # fmt: skip
_SAME_OPERATOR = {"<>": "!=", "and": "&&", "or": "||"}


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
        if name.lower() in _RELATIVE:
            return name.lower()
        first, separator, rest = name.partition("\\")
        if first.lower() == "namespace" and separator:
            return f"{self.namespace}\\{rest}" if self.namespace else rest
        imported = self.classes.get(first.lower())
        if imported is not None:
            return imported + separator + rest
        return f"{self.namespace}\\{name}" if self.namespace else name


@dataclass(frozen=True, slots=True)
class _Body:
    tree: Tree
    scope: Scope
    class_name: str
    function: str


def declarations(source: bytes, file: str) -> dict[str, n.ClassDeclaration]:
    """The classes, interfaces, traits and enums of the file, by name. Raises Refused on a syntax error."""
    root = _parse(source, file)
    found: dict[str, n.ClassDeclaration] = {}
    _walk(root, Scope(file), found)
    return found


def expression_of_file(source: bytes, file: str) -> n.Expression:
    """What a file `<?php return …;` returns."""
    root = _parse(source, file)
    scope = Scope(file)
    for tree in root.named_children:
        if tree.type == "namespace_use_declaration":
            _use(tree, scope)
        elif tree.type == "return_statement":
            return _Lower(scope, "", "").expression(tree.named_children[0])
    raise Refused("the file returns nothing", file=file, line=1)


def lower_body(method: n.Method) -> tuple[n.Statement, ...]:
    """The statements of a method. Raises Refused with file, line and construct where one is not known."""
    body = method.source
    if not isinstance(body, _Body):
        raise Refused(f"{method.class_name}::{method.name}() has no body", file=method.file, line=method.line)
    return _Lower(body.scope, body.class_name, body.function).block(body.tree)


def lower_parameters(method: n.Method) -> tuple[n.Parameter, ...]:
    """The parameters of a method; raises Refused where a default is not known."""
    if method.parameters is None:
        raise Refused(
            f"a parameter of {method.class_name}::{method.name}() is not understood",
            file=method.file,
            line=method.line,
        )
    return method.parameters


def _parse(source: bytes, file: str) -> Tree:
    root = _PARSER.parse(source).root_node
    if root.has_error:
        line = _error_line(root)
        raise Refused("the parser does not understand this file", file=file, line=line)
    return root


def _error_line(tree: Tree) -> int:
    if tree.type == "ERROR" or tree.is_missing:
        return tree.start_point[0] + 1
    for child in tree.children:
        if child.has_error or child.is_missing:
            return _error_line(child)
    return tree.start_point[0] + 1


def _text(tree: Tree) -> str:
    return (tree.text or b"").decode("utf-8", "replace")


def _line(tree: Tree) -> int:
    return tree.start_point[0] + 1


def _children(tree: Tree) -> list[Tree]:
    return [child for child in tree.named_children if child.type != "comment"]


def _of_type(tree: Tree, *types: str) -> list[Tree]:
    return [child for child in tree.named_children if child.type in types]


# ---- declarations -----------------------------------------------------------------------


def _walk(tree: Tree, scope: Scope, found: dict[str, n.ClassDeclaration]) -> None:
    for child in tree.named_children:
        match child.type:
            case "namespace_definition":
                name = child.child_by_field_name("name")
                scope.namespace = _text(name) if name else ""
                body = child.child_by_field_name("body")
                if body is not None:
                    inner = Scope(scope.file, scope.namespace, scope.strict)
                    _walk(body, inner, found)
            case "namespace_use_declaration":
                _use(child, scope)
            case "declare_statement":
                scope.strict = scope.strict or "strict_types=1" in "".join(_text(child).split()).lower()
            case "class_declaration" | "interface_declaration" | "trait_declaration" | "enum_declaration":
                declared = _class(child, scope)
                found[declared.name] = declared
            case "if_statement" | "compound_statement" | "else_clause":
                _walk(child, scope, found)


def _use(tree: Tree, scope: Scope) -> None:
    keyword = next((_text(c) for c in tree.children if c.type in ("function", "const")), "class")
    prefix = next((_text(c) + "\\" for c in tree.named_children if c.type == "namespace_name"), "")
    group = tree.child_by_field_name("body")
    for clause in _of_type(group if group is not None else tree, "namespace_use_clause"):
        kind = next((_text(c) for c in clause.children if c.type in ("function", "const")), keyword)
        alias = clause.child_by_field_name("alias")
        target = next(c for c in clause.named_children if c != alias and c.type.endswith("name"))
        name = prefix + _text(target).lstrip("\\")
        short = _text(alias) if alias is not None else name.rsplit("\\", 1)[-1]
        if kind == "function":
            scope.functions[short.lower()] = name
        elif kind == "const":
            scope.constants[short] = name
        else:
            scope.classes[short.lower()] = name


def _class(tree: Tree, scope: Scope) -> n.ClassDeclaration:
    name_tree = tree.child_by_field_name("name")
    body = tree.child_by_field_name("body")
    if name_tree is None or body is None:
        raise Refused("a class without a name or body", file=scope.file, line=_line(tree))
    name = f"{scope.namespace}\\{_text(name_tree)}" if scope.namespace else _text(name_tree)
    kind = tree.type.removesuffix("_declaration")
    bases = [scope.class_name(_text(c)) for b in _of_type(tree, "base_clause") for c in _children(b)]
    interfaces = [
        scope.class_name(_text(c)) for b in _of_type(tree, "class_interface_clause") for c in _children(b)
    ]
    if kind == "interface":
        interfaces, bases = interfaces + bases, []
    lower = _Lower(scope, name, "")
    constants: dict[str, n.Expression] = {}
    cases: dict[str, n.Expression | None] = {}
    properties: dict[str, n.PropertyDeclaration] = {}
    methods: dict[str, n.Method] = {}
    traits: list[n.TraitUse] = []
    for member in _children(body):
        match member.type:
            case "const_declaration":
                for element in _of_type(member, "const_element"):
                    label, value = _children(element)[:2]
                    constants[_text(label)] = lower.lazily(value)
            case "enum_case":
                label_tree, value_tree = (
                    member.child_by_field_name("name"),
                    member.child_by_field_name("value"),
                )
                cases[_text(label_tree) if label_tree else ""] = (
                    lower.lazily(value_tree) if value_tree else None
                )
            case "property_declaration":
                for declared in _properties(member, lower):
                    properties[declared.name] = declared
            case "method_declaration":
                method, promoted = _method(member, lower)
                methods[method.name.lower()] = method
                for declared in promoted:
                    properties[declared.name] = declared
            case "use_declaration":
                traits.append(_trait_use(member, scope))
            case "attribute_list":
                pass
            case other:
                raise Refused(f"a class member of kind {other}", file=scope.file, line=_line(member))
    return n.ClassDeclaration(
        line=_line(tree),
        name=name,
        kind=kind,
        file=scope.file,
        parent=bases[0] if bases else None,
        interfaces=tuple(interfaces),
        traits=tuple(traits),
        constants=constants,
        cases=cases,
        properties=properties,
        methods=methods,
        attributes=_attributes(tree, scope),
        abstract=any(c.type == "abstract_modifier" for c in tree.named_children),
    )


def _attributes(tree: Tree, scope: Scope) -> tuple[str, ...]:
    return tuple(
        scope.class_name(_text(_children(attribute)[0]))
        for group_list in _of_type(tree, "attribute_list")
        for group in _of_type(group_list, "attribute_group")
        for attribute in _of_type(group, "attribute")
    )


def _visibility(tree: Tree) -> str:
    for child in tree.named_children:
        if child.type == "visibility_modifier" and "(" not in _text(child):
            return _text(child).lower()
    return "public"


def _properties(tree: Tree, lower: _Lower) -> Iterable[n.PropertyDeclaration]:
    modifiers = {c.type for c in tree.named_children}
    for element in _of_type(tree, "property_element"):
        name = element.child_by_field_name("name")
        default = element.child_by_field_name("default_value")
        yield n.PropertyDeclaration(
            line=_line(element),
            name=_text(name)[1:] if name else "",
            visibility=_visibility(tree),
            static="static_modifier" in modifiers,
            type=lower.type(tree.child_by_field_name("type")),
            default=lower.lazily(default) if default is not None else None,
            hooked="property_hook_list" in modifiers,
        )


def _method(tree: Tree, lower: _Lower) -> tuple[n.Method, list[n.PropertyDeclaration]]:
    name_tree = tree.child_by_field_name("name")
    name = _text(name_tree) if name_tree else ""
    body = tree.child_by_field_name("body")
    parameters_tree = tree.child_by_field_name("parameters")
    parameters: tuple[n.Parameter, ...] | None
    try:
        parameters = lower.parameters(parameters_tree) if parameters_tree else ()
    except Refused:
        parameters = None
    promoted: list[n.PropertyDeclaration] = []
    if parameters_tree is not None:
        for parameter in _of_type(parameters_tree, "property_promotion_parameter"):
            variable = parameter.child_by_field_name("name")
            promoted.append(
                n.PropertyDeclaration(
                    line=_line(parameter),
                    name=_text(variable).lstrip("&$") if variable else "",
                    visibility=_visibility(parameter),
                    type=lower.type(parameter.child_by_field_name("type")),
                    promoted=True,
                    hooked=any(c.type == "property_hook_list" for c in parameter.named_children),
                )
            )
    scope = lower.scope
    method = n.Method(
        line=_line(tree),
        name=name,
        class_name=lower.class_name,
        file=scope.file,
        visibility=_visibility(tree),
        static=any(c.type == "static_modifier" for c in tree.named_children),
        abstract=body is None,
        parameters=parameters,
        returns=lower.type(tree.child_by_field_name("return_type")),
        source=_Body(body, scope, lower.class_name, name) if body is not None else None,
    )
    return method, promoted


def _trait_use(tree: Tree, scope: Scope) -> n.TraitUse:
    names = tuple(
        scope.class_name(_text(c)) for c in tree.named_children if c.type in ("name", "qualified_name")
    )
    instead: list[tuple[str, str, tuple[str, ...]]] = []
    aliases: list[tuple[str | None, str, str | None, str | None]] = []
    for rules in _of_type(tree, "use_list"):
        for rule in _children(rules):
            parts = _children(rule)
            if parts[0].type == "class_constant_access_expression":
                trait, member = (_text(c) for c in _children(parts[0]))
                owner: str | None = scope.class_name(trait)
            else:
                owner, member = None, _text(parts[0])
            if rule.type == "use_instead_of_clause":
                losers = tuple(scope.class_name(_text(c)) for c in parts[1:])
                instead.append((owner or "", member.lower(), losers))
            else:
                visibility = next((_text(c) for c in parts[1:] if c.type == "visibility_modifier"), None)
                alias = next((_text(c) for c in parts[1:] if c.type == "name"), None)
                aliases.append((owner, member.lower(), visibility, alias))
    return n.TraitUse(line=_line(tree), names=names, instead_of=tuple(instead), aliases=tuple(aliases))


# ---- expressions and statements -----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(n.Expression):
    """A constant expression (default, constant) that could not be lowered: refused only when it is used."""

    problem: Refused


class _Lower:
    """Lowers the code of one class (or file) of one Scope."""

    def __init__(self, scope: Scope, class_name: str, function: str) -> None:
        self.scope = scope
        self.class_name = class_name
        self.function = function

    def refuse(self, tree: Tree, what: str) -> NoReturn:
        raise Refused(f"{what} is not evaluated natively", file=self.scope.file, line=_line(tree))

    def lazily(self, tree: Tree) -> n.Expression:
        try:
            return self.expression(tree)
        except Refused as problem:
            return Unknown(line=_line(tree), problem=problem)

    def expression(self, tree: Tree) -> n.Expression:
        lower = _EXPRESSIONS.get(tree.type)
        if lower is None:
            self.refuse(tree, tree.type.replace("_", " "))
        return lower(self, tree)

    def block(self, tree: Tree) -> tuple[n.Statement, ...]:
        """The statements of a `{…}`, or the one statement that stands without braces."""
        if tree.type in ("compound_statement", "colon_block"):
            return tuple(s for child in _children(tree) for s in self.statement(child))
        return self.statement(tree)

    def statement(self, tree: Tree) -> tuple[n.Statement, ...]:
        if tree.type == "compound_statement":
            return self.block(tree)
        if tree.type == "empty_statement":
            return ()
        lower = _STATEMENTS.get(tree.type)
        if lower is None:
            self.refuse(tree, tree.type.replace("_", " "))
        return (lower(self, tree),)

    def part(self, tree: Tree, name: str) -> n.Expression:
        child = tree.child_by_field_name(name)
        if child is None:
            self.refuse(tree, f"{tree.type.replace('_', ' ')} without {name}")
        return self.expression(child)

    def type(self, tree: Tree | None) -> n.Type | None:
        """`?A`, `A|B|null`: built-in names in lower case, class names resolved."""
        if tree is None:
            return None
        names: list[str] = []

        def collect(part: Tree) -> bool:
            match part.type:
                case "optional_type":
                    names.append("null")
                    return all(collect(child) for child in _children(part))
                case "union_type" | "type_list":
                    return all(collect(child) for child in _children(part))
                case "primitive_type" | "bottom_type":
                    names.append(_text(part).lower())
                    return True
                case "named_type" | "name" | "qualified_name":
                    written = _text(part)
                    builtin = written.lower() in (
                        "mixed",
                        "object",
                        "self",
                        "static",
                        "iterable",
                        "callable",
                        "parent",
                    )
                    names.append(written.lower() if builtin else self.scope.class_name(written))
                    return True
                case _:
                    return False

        understood = collect(tree)
        return n.Type(line=_line(tree), names=tuple(names) if understood else None, strict=self.scope.strict)

    def parameters(self, tree: Tree) -> tuple[n.Parameter, ...]:
        result = []
        for child in _children(tree):
            if child.type == "attribute_list":
                continue
            variable = child.child_by_field_name("name")
            if (
                variable is None
                or variable.type == "by_ref"
                or "reference_modifier" in {c.type for c in child.named_children}
            ):
                self.refuse(child, "a parameter by reference")
            default = child.child_by_field_name("default_value")
            result.append(
                n.Parameter(
                    line=_line(child),
                    name=_text(variable)[1:],
                    default=self.lazily(default) if default is not None else None,
                    variadic=child.type == "variadic_parameter",
                    promoted=child.type == "property_promotion_parameter",
                    type=self.type(child.child_by_field_name("type")),
                )
            )
        return tuple(result)

    def arguments(self, tree: Tree | None) -> tuple[n.Argument, ...]:
        result = []
        for child in _children(tree) if tree is not None else []:
            if child.type != "argument":
                self.refuse(child, child.type.replace("_", " "))
            name = child.child_by_field_name("name")
            value = _children(child)[-1]
            spread = value.type == "variadic_unpacking"
            result.append(
                n.Argument(
                    line=_line(child),
                    value=self.expression(_children(value)[0] if spread else value),
                    name=_text(name) if name is not None else None,
                    spread=spread,
                )
            )
        return tuple(result)

    def class_reference(self, tree: Tree) -> str | n.Expression:
        if tree.type in ("name", "qualified_name", "relative_scope"):
            return self.scope.class_name(_text(tree))
        return self.expression(tree)

    def member_name(self, tree: Tree) -> str | n.Expression:
        if tree.type == "name":
            return _text(tree)
        return self.expression(tree)


Lowering = Callable[[_Lower, Tree], n.Expression]


def _integer(self: _Lower, tree: Tree) -> n.Expression:
    text = _text(tree).replace("_", "").lower()
    if re.fullmatch(r"0[0-7]+", text):
        text = "0o" + text[1:]
    number = int(text, 0)
    return n.Literal(line=_line(tree), value=number if number <= INT_MAX else float(number))


def _float(self: _Lower, tree: Tree) -> n.Expression:
    return n.Literal(line=_line(tree), value=float(_text(tree).replace("_", "")))


def _boolean(self: _Lower, tree: Tree) -> n.Expression:
    return n.Literal(line=_line(tree), value=_text(tree).lower() == "true")


def _null(self: _Lower, tree: Tree) -> n.Expression:
    return n.Literal(line=_line(tree), value=None)


def _single_quoted(self: _Lower, tree: Tree) -> n.Expression:
    raw = tree.text or b""
    if raw[:1] != b"'":
        self.refuse(tree, "a string with a prefix")
    return n.Literal(line=_line(tree), value=re.sub(rb"\\([\\'])", rb"\1", raw[1:-1]))


_SIMPLE_ESCAPES = {
    b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"e": b"\x1b", b"f": b"\f",
    b"\\": b"\\", b"$": b"$", b'"': b'"',
}  # fmt: skip


def _escape(raw: bytes) -> bytes:
    body = raw[1:]
    if body in _SIMPLE_ESCAPES:
        return _SIMPLE_ESCAPES[body]
    if body[:2] == b"u{":
        return chr(int(body[2:-1], 16)).encode("utf-8", "surrogatepass")
    if body[:1] == b"x":
        return bytes([int(body[1:], 16)])
    if body[:1].isdigit():
        return bytes([int(body, 8) & 0xFF])
    return raw


def _double_quoted(self: _Lower, tree: Tree) -> n.Expression:
    if (tree.text or b"")[:1] != b'"':
        self.refuse(tree, "a string with a prefix")
    parts: list[n.Expression] = []
    text = b""
    cursor = tree.start_byte + 1  # blanks between two parts may be no node of their own
    source = tree.text or b""

    def between(start: int, end: int) -> bytes:
        return source[start - tree.start_byte : end - tree.start_byte]

    for child in tree.children[1:-1]:
        if child.type in ("{", "}"):
            cursor = child.end_byte
            continue
        text += between(cursor, child.start_byte)
        cursor = child.end_byte
        if child.type in ("string_content", "string_value"):
            text += child.text or b""
        elif child.type == "escape_sequence":
            text += _escape(child.text or b"")
        elif child.type == "comment":
            self.refuse(child, "a comment inside a string")
        else:
            if text:
                parts.append(n.Literal(line=_line(child), value=text))
                text = b""
            if child.type == "dynamic_variable_name":
                name = _children(child)
                if len(name) != 1 or name[0].type != "name":
                    self.refuse(child, "a variable variable")
                parts.append(n.Variable(line=_line(child), name=_text(name[0])))
            else:
                parts.append(_interpolation(self, child))
    text += between(cursor, tree.end_byte - 1)
    if text or not parts:
        parts.append(n.Literal(line=_line(tree), value=text))
    if len(parts) == 1 and isinstance(parts[0], n.Literal):
        return parts[0]
    return n.Interpolated(line=_line(tree), parts=tuple(parts))


def _interpolation(self: _Lower, tree: Tree) -> n.Expression:
    """`$a[key]` inside quotes without braces takes its key as a string."""
    if tree.type == "subscript_expression":
        children = _children(tree)
        if len(children) == 2 and children[1].type == "name":
            key = n.Literal(line=_line(tree), value=_text(children[1]).encode())
            return n.Index(line=_line(tree), base=self.expression(children[0]), index=key)
    return self.expression(tree)


def _variable(self: _Lower, tree: Tree) -> n.Expression:
    return n.Variable(line=_line(tree), name=_text(tree)[1:])


_MAGIC = {
    "__class__",
    "__namespace__",
    "__function__",
    "__method__",
    "__line__",
    "__file__",
    "__dir__",
    "__trait__",
}


def _name(self: _Lower, tree: Tree) -> n.Expression:
    text = _text(tree)
    if text.lower() in _MAGIC:
        match text.lower():
            case "__class__":
                # In a trait it is the using class: evaluate knows which.
                return n.ClassConstant(line=_line(tree), class_name="self", name="class")
            case "__namespace__":
                return n.Literal(line=_line(tree), value=self.scope.namespace.encode())
            case "__line__":
                return n.Literal(line=_line(tree), value=_line(tree))
            case "__function__":
                return n.Literal(line=_line(tree), value=self.function.encode())
        self.refuse(tree, text)
    return n.Constant(line=_line(tree), name=text.lstrip("\\").rsplit("\\", 1)[-1])


def _array(self: _Lower, tree: Tree) -> n.Expression:
    entries = []
    for element in _children(tree):
        if element.type != "array_element_initializer":
            self.refuse(element, element.type.replace("_", " "))
        parts = _children(element)
        if any(part.type == "by_ref" for part in parts):
            self.refuse(element, "a reference in an array")
        if parts[0].type == "variadic_unpacking":
            spread = self.expression(_children(parts[0])[0])
            entries.append(n.Entry(line=_line(element), key=None, value=spread, spread=True))
        elif len(parts) == 2:
            entries.append(
                n.Entry(line=_line(element), key=self.expression(parts[0]), value=self.expression(parts[1]))
            )
        else:
            entries.append(n.Entry(line=_line(element), key=None, value=self.expression(parts[0])))
    return n.ArrayLiteral(line=_line(tree), entries=tuple(entries))


def _parenthesized(self: _Lower, tree: Tree) -> n.Expression:
    return self.expression(_children(tree)[0])


def _member(self: _Lower, tree: Tree) -> n.Expression:
    name = tree.child_by_field_name("name")
    assert_name = name if name is not None else self.refuse(tree, "a member without a name")
    return n.Property(
        line=_line(tree),
        object=self.part(tree, "object"),
        name=self.member_name(assert_name),
        nullsafe=tree.type.startswith("nullsafe"),
    )


def _reference_or(
    self: _Lower, tree: Tree, arguments: Tree | None, call: Callable[..., n.Expression]
) -> n.Expression:
    """`f(...)` is the function itself; anything else the call."""
    if arguments is not None and any(c.type == "variadic_placeholder" for c in arguments.named_children):
        made = call(())
        return n.FunctionReference(line=_line(tree), call=made)  # type: ignore[arg-type]
    return call(self.arguments(arguments))


def _member_call(self: _Lower, tree: Tree) -> n.Expression:
    name = tree.child_by_field_name("name")
    if name is None:
        self.refuse(tree, "a call without a name")
    subject, method = self.part(tree, "object"), self.member_name(name)
    return _reference_or(
        self,
        tree,
        tree.child_by_field_name("arguments"),
        lambda arguments: n.MethodCall(
            line=_line(tree),
            object=subject,
            name=method,
            arguments=arguments,
            nullsafe=tree.type.startswith("nullsafe"),
        ),
    )


def _scoped_call(self: _Lower, tree: Tree) -> n.Expression:
    scope, name = tree.child_by_field_name("scope"), tree.child_by_field_name("name")
    if scope is None or name is None or name.type != "name":
        self.refuse(tree, "a static call by a computed name")
    return _reference_or(
        self,
        tree,
        tree.child_by_field_name("arguments"),
        lambda arguments: n.StaticCall(
            line=_line(tree), class_name=self.class_reference(scope), name=_text(name), arguments=arguments
        ),
    )


def _scoped_property(self: _Lower, tree: Tree) -> n.Expression:
    scope, name = tree.child_by_field_name("scope"), tree.child_by_field_name("name")
    if scope is None or name is None or name.type != "variable_name":
        self.refuse(tree, "a static property by a computed name")
    return n.StaticProperty(line=_line(tree), class_name=self.class_reference(scope), name=_text(name)[1:])


def _class_constant(self: _Lower, tree: Tree) -> n.Expression:
    parts = _children(tree)
    if len(parts) != 2 or parts[1].type != "name":
        self.refuse(tree, "a class constant by a computed name")
    reference = self.class_reference(parts[0])
    name = _text(parts[1])
    if name.lower() == "class" and isinstance(reference, str) and reference not in _RELATIVE:
        return n.Literal(line=_line(tree), value=reference.encode())
    return n.ClassConstant(
        line=_line(tree), class_name=reference, name="class" if name.lower() == "class" else name
    )


def _function_call(self: _Lower, tree: Tree) -> n.Expression:
    function, arguments = tree.child_by_field_name("function"), tree.child_by_field_name("arguments")
    if function is None:
        self.refuse(tree, "a call without a name")
    if function.type not in ("name", "qualified_name"):
        callee = self.expression(function)
        return _reference_or(
            self, tree, arguments, lambda given: n.Call(line=_line(tree), function=callee, arguments=given)
        )
    written = _text(function)
    lowered = written.lower()
    if lowered in ("isset", "empty"):
        operands = tuple(argument.value for argument in self.arguments(arguments))
        if lowered == "isset":
            return n.Isset(line=_line(tree), operands=operands)
        return n.Empty(line=_line(tree), operand=operands[0])
    imported = self.scope.functions.get(lowered)
    if imported is not None and "\\" in imported:
        self.refuse(tree, f"the function {imported}()")
    if "\\" in written.lstrip("\\"):
        self.refuse(tree, f"the function {written}()")
    name = (imported or lowered).lstrip("\\").lower()
    strict = self.scope.strict
    return _reference_or(
        self,
        tree,
        arguments,
        lambda given: n.Call(line=_line(tree), function=name, arguments=given, strict=strict),
    )


def _new(self: _Lower, tree: Tree) -> n.Expression:
    parts = _children(tree)
    if not parts or parts[0].type in ("declaration_list", "anonymous_class"):
        self.refuse(tree, "an anonymous class")
    arguments = next((c for c in parts if c.type == "arguments"), None)
    return n.New(
        line=_line(tree), class_name=self.class_reference(parts[0]), arguments=self.arguments(arguments)
    )


def _unary(self: _Lower, tree: Tree) -> n.Expression:
    operator = _text(tree.children[0])
    if operator not in ("!", "-", "+", "~"):
        self.refuse(tree, f"the operator {operator}")
    return n.Unary(line=_line(tree), operator=operator, operand=self.expression(_children(tree)[-1]))


def _binary(self: _Lower, tree: Tree) -> n.Expression:
    operator_tree = tree.child_by_field_name("operator")
    operator = _text(operator_tree).lower() if operator_tree is not None else ""
    right = tree.child_by_field_name("right")
    if operator == "instanceof" and right is not None:
        return n.InstanceOf(
            line=_line(tree), object=self.part(tree, "left"), class_name=self.class_reference(right)
        )
    if operator not in _OPERATORS:
        self.refuse(tree, f"the operator {operator}")
    return n.Binary(
        line=_line(tree),
        operator=_SAME_OPERATOR.get(operator, operator),
        left=self.part(tree, "left"),
        right=self.part(tree, "right"),
    )


def _conditional(self: _Lower, tree: Tree) -> n.Expression:
    body = tree.child_by_field_name("body")
    return n.Ternary(
        line=_line(tree),
        condition=self.part(tree, "condition"),
        then=self.expression(body) if body is not None else None,
        otherwise=self.part(tree, "alternative"),
    )


def _cast(self: _Lower, tree: Tree) -> n.Expression:
    kind_tree = tree.child_by_field_name("type")
    kind = _CASTS.get(_text(kind_tree).lower()) if kind_tree is not None else None
    if kind is None:
        self.refuse(tree, "this cast")
    return n.Cast(line=_line(tree), kind=kind, operand=self.part(tree, "value"))


def _subscript(self: _Lower, tree: Tree) -> n.Expression:
    parts = _children(tree)
    return n.Index(
        line=_line(tree),
        base=self.expression(parts[0]),
        index=self.expression(parts[1]) if len(parts) > 1 else None,
    )


def _target(self: _Lower, tree: Tree) -> n.Expression:
    if tree.type in ("list_literal", "array_creation_expression"):
        return _pattern(self, tree)
    target = self.expression(tree)
    if not isinstance(target, n.Variable | n.Property | n.Index | n.StaticProperty):
        self.refuse(tree, "an assignment to this")
    return target


def _pattern(self: _Lower, tree: Tree) -> n.ListPattern:
    """`[$a, , 'k' => $b]`: tree-sitter leaves only the commas of skipped and keyed entries."""
    entries: list[tuple[n.Expression | None, n.Expression] | None] = []
    pending: list[Tree] = []

    def finish() -> None:
        if not pending:
            entries.append(None)
        elif len(pending) == 1:
            entries.append((None, _target(self, pending[0])))
        else:
            entries.append((self.expression(pending[0]), _target(self, pending[1])))
        pending.clear()

    inner = tree.children
    if inner and inner[0].type == "list":
        inner = inner[1:]
    for child in inner[1:-1]:
        if child.type == ",":
            finish()
        elif child.type == "by_ref":
            self.refuse(child, "a reference in a list")
        elif child.type == "array_element_initializer":
            pending.extend(_children(child))
        elif child.is_named and child.type != "comment":
            pending.append(child)
    if pending:
        finish()
    return n.ListPattern(line=_line(tree), entries=tuple(entries))


def _assign(self: _Lower, tree: Tree) -> n.Expression:
    left = tree.child_by_field_name("left")
    if left is None:
        self.refuse(tree, "an assignment without a target")
    return n.Assign(line=_line(tree), target=_target(self, left), value=self.part(tree, "right"))


def _assign_operation(self: _Lower, tree: Tree) -> n.Expression:
    left, operator = tree.child_by_field_name("left"), tree.child_by_field_name("operator")
    if left is None or operator is None or _text(operator)[:-1] not in _OPERATORS:
        self.refuse(tree, "this assignment")
    return n.AssignOperation(
        line=_line(tree),
        operator=_text(operator)[:-1],
        target=_target(self, left),
        value=self.part(tree, "right"),
    )


def _update(self: _Lower, tree: Tree) -> n.Expression:
    sign = next(_text(c) for c in tree.children if c.type in ("++", "--"))
    return n.Increment(
        line=_line(tree),
        target=_target(self, _children(tree)[0]),
        step=1 if sign == "++" else -1,
        prefix=tree.children[0].type in ("++", "--"),
    )


def _closure(self: _Lower, tree: Tree) -> n.Expression:
    parameters, body = tree.child_by_field_name("parameters"), tree.child_by_field_name("body")
    if parameters is None or body is None:
        self.refuse(tree, "this closure")
    if tree.type == "arrow_function":
        returned = n.Return(line=_line(body), value=self.expression(body))
        return n.Closure(
            line=_line(tree),
            parameters=self.parameters(parameters),
            captures=None,
            body=(returned,),
            returns=self.type(tree.child_by_field_name("return_type")),
        )
    captures = []
    for clause in _of_type(tree, "anonymous_function_use_clause"):
        for variable in _children(clause):
            if variable.type != "variable_name":
                self.refuse(variable, "a closure that captures by reference")
            captures.append(_text(variable)[1:])
    return n.Closure(
        line=_line(tree),
        parameters=self.parameters(parameters),
        captures=tuple(captures),
        body=self.block(body),
        returns=self.type(tree.child_by_field_name("return_type")),
    )


def _match(self: _Lower, tree: Tree) -> n.Expression:
    body = tree.child_by_field_name("body")
    arms = []
    for arm in _children(body) if body is not None else []:
        conditions = arm.child_by_field_name("conditional_expressions")
        arms.append(
            n.MatchArm(
                line=_line(arm),
                conditions=tuple(self.expression(c) for c in _children(conditions)) if conditions else (),
                result=self.part(arm, "return_expression"),
            )
        )
    return n.Match(line=_line(tree), subject=self.part(tree, "condition"), arms=tuple(arms))


def _throw(self: _Lower, tree: Tree) -> n.Expression:
    return n.ThrowExpression(line=_line(tree), exception=self.expression(_children(tree)[0]))


def _clone(self: _Lower, tree: Tree) -> n.Expression:
    return n.Clone(line=_line(tree), operand=self.expression(_children(tree)[0]))


_EXPRESSIONS: dict[str, Lowering] = {
    "integer": _integer,
    "float": _float,
    "boolean": _boolean,
    "null": _null,
    "string": _single_quoted,
    "encapsed_string": _double_quoted,
    "variable_name": _variable,
    "name": _name,
    "qualified_name": _name,
    "array_creation_expression": _array,
    "parenthesized_expression": _parenthesized,
    "member_access_expression": _member,
    "nullsafe_member_access_expression": _member,
    "member_call_expression": _member_call,
    "nullsafe_member_call_expression": _member_call,
    "scoped_call_expression": _scoped_call,
    "scoped_property_access_expression": _scoped_property,
    "class_constant_access_expression": _class_constant,
    "function_call_expression": _function_call,
    "object_creation_expression": _new,
    "unary_op_expression": _unary,
    "binary_expression": _binary,
    "conditional_expression": _conditional,
    "cast_expression": _cast,
    "subscript_expression": _subscript,
    "assignment_expression": _assign,
    "augmented_assignment_expression": _assign_operation,
    "update_expression": _update,
    "arrow_function": _closure,
    "anonymous_function": _closure,
    "match_expression": _match,
    "throw_expression": _throw,
    "clone_expression": _clone,
}


def _return(self: _Lower, tree: Tree) -> n.Statement:
    parts = _children(tree)
    return n.Return(line=_line(tree), value=self.expression(parts[0]) if parts else None)


def _expression_statement(self: _Lower, tree: Tree) -> n.Statement:
    return n.Evaluate(line=_line(tree), expression=self.expression(_children(tree)[0]))


def _if(self: _Lower, tree: Tree) -> n.Statement:
    body = tree.child_by_field_name("body")
    otherwise: tuple[n.Statement, ...] = ()
    for alternative in reversed(tree.children_by_field_name("alternative")):
        inner = alternative.child_by_field_name("body")
        statements = self.block(inner) if inner is not None else ()
        if alternative.type == "else_if_clause":
            condition = self.part(alternative, "condition")
            otherwise = (
                n.If(line=_line(alternative), condition=condition, then=statements, otherwise=otherwise),
            )
        else:
            otherwise = statements
    return n.If(
        line=_line(tree),
        condition=self.part(tree, "condition"),
        then=self.block(body) if body is not None else (),
        otherwise=otherwise,
    )


def _foreach(self: _Lower, tree: Tree) -> n.Statement:
    body = tree.child_by_field_name("body")
    subject, target = [c for c in _children(tree) if body is None or c.id != body.id][:2]
    key: n.Expression | None = None
    if target.type == "pair":
        key_tree, target = _children(target)
        key = _target(self, key_tree)
    if target.type == "by_ref":
        self.refuse(target, "foreach by reference")
    return n.Foreach(
        line=_line(tree),
        subject=self.expression(subject),
        key=key,
        value=_target(self, target),
        body=self.block(body) if body is not None else (),
    )


def _loop(self: _Lower, tree: Tree) -> n.Statement:
    def all_of(name: str) -> tuple[n.Expression, ...]:
        found: list[n.Expression] = []
        for child in tree.children_by_field_name(name):
            parts = _children(child) if child.type == "sequence_expression" else [child]
            found += [self.expression(part) for part in parts if part.is_named]
        return tuple(found)

    body = tree.child_by_field_name("body")
    return n.Loop(
        line=_line(tree),
        before=all_of("initialize"),
        condition=all_of("condition"),
        after=all_of("update"),
        body=self.block(body) if body is not None else (),
        first=tree.type == "do_statement",
    )


def _switch(self: _Lower, tree: Tree) -> n.Statement:
    body = tree.child_by_field_name("body")
    cases = []
    for case in _children(body) if body is not None else []:
        value = case.child_by_field_name("value")
        statements = [c for c in _children(case) if value is None or c.id != value.id]
        cases.append(
            n.Case(
                line=_line(case),
                value=self.expression(value) if value is not None else None,
                body=tuple(s for c in statements for s in self.statement(c)),
            )
        )
    return n.Switch(line=_line(tree), subject=self.part(tree, "condition"), cases=tuple(cases))


def _leave(self: _Lower, tree: Tree) -> n.Statement:
    parts = _children(tree)
    levels = int(_text(parts[0])) if parts else 1
    return n.Leave(line=_line(tree), levels=levels, again=tree.type == "continue_statement")


def _unset(self: _Lower, tree: Tree) -> n.Statement:
    return n.Unset(line=_line(tree), targets=tuple(_target(self, c) for c in _children(tree)))


def _try(self: _Lower, tree: Tree) -> n.Statement:
    body = tree.child_by_field_name("body")
    catches = []
    finally_body: tuple[n.Statement, ...] = ()
    for clause in _children(tree):
        inner = clause.child_by_field_name("body")
        if clause.type == "catch_clause" and inner is not None:
            types, variable = clause.child_by_field_name("type"), clause.child_by_field_name("name")
            names = _children(types) if types is not None else []
            catches.append(
                n.Catch(
                    line=_line(clause),
                    class_names=tuple(self.scope.class_name(_text(name)) for name in names),
                    variable=_text(variable)[1:] if variable is not None else None,
                    body=self.block(inner),
                )
            )
        elif clause.type == "finally_clause" and inner is not None:
            finally_body = self.block(inner)
    return n.Try(
        line=_line(tree),
        body=self.block(body) if body is not None else (),
        catches=tuple(catches),
        finally_body=finally_body,
    )


_STATEMENTS: dict[str, Callable[[_Lower, Tree], n.Statement]] = {
    "return_statement": _return,
    "expression_statement": _expression_statement,
    "if_statement": _if,
    "foreach_statement": _foreach,
    "for_statement": _loop,
    "while_statement": _loop,
    "do_statement": _loop,
    "switch_statement": _switch,
    "break_statement": _leave,
    "continue_statement": _leave,
    "unset_statement": _unset,
    "try_statement": _try,
}
