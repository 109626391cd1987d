"""PHP source → our own nodes, through tree-sitter-php. A construct that has no node is refused here,
statically, with file and line.

`declarations(source, file)` reads the classes of a file; `lower_body(method)` lowers one method when it is
first wanted. `lower_expressions` and `lower_statements` map tree-sitter's node types to functions: a new
construct is one entry there (and one in `expressions` or `statements`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tree_sitter import Node as Tree

from bridge.errors import Refused
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.parse.lower_expressions import EXPRESSIONS
from bridge.phpeval.php.parse.lower_statements import STATEMENTS
from bridge.phpeval.php.parse.lowering import Lowerer
from bridge.phpeval.php.parse.tree import (
    Body,
    Scope,
    children_of,
    instead_of,
    line_of,
    of_type,
    parse,
    text_of,
)


class PhpLowerer(Lowerer):
    """Lower with every kind of tree-sitter node that is known."""

    expressions = EXPRESSIONS
    statements = STATEMENTS

    def declare(self, tree: Tree) -> n.ClassDeclaration:
        return _class(tree, self.scope)


def declarations(source: bytes, file: str) -> dict[str, n.ClassDeclaration]:
    """The classes, interfaces, traits and enums of the file, by name. Raises Refused on a syntax error."""
    root = parse(source, file)
    found: dict[str, n.ClassDeclaration] = {}
    _walk(root, Scope(file), found)
    return found


def lower_body(method: n.Method) -> tuple[n.Statement, ...]:
    """The statements of a method. Raises Refused with file, line and construct where one is not known."""
    body = method.source
    if not isinstance(body, Body):
        raise Refused(f"{method.class_name}::{method.name}() has no body", file=method.file, line=method.line)
    try:
        return PhpLowerer(body.scope, body.class_name, body.function).block(body.tree)
    except RecursionError:
        raise Refused("code nested this deep", file=method.file, line=method.line) from None


def lower_parameters(method: n.Method) -> tuple[n.Parameter, ...]:
    """The parameters of a method; raises Refused where a default is not known."""
    if method.parameters is None:
        raise Refused(
            f"a parameter of {method.class_name}::{method.name}() is not understood",
            file=method.file,
            line=method.line,
        )
    return method.parameters


def source_of(method: n.Method) -> bytes:
    """The text of the method's body; empty for an abstract one."""
    body = method.source
    return body.tree.text or b"" if isinstance(body, Body) else b""


def is_comment(source: bytes, file: str, offset: int) -> bool:
    """Whether the byte at `offset` stands in a comment; False where the file is not understood."""
    try:
        tree = parse(source, file).descendant_for_byte_range(offset, offset + 1)
    except Refused:
        return False
    return tree is not None and tree.type == "comment"


# ---- declarations -----------------------------------------------------------------------


def _walk(tree: Tree, scope: Scope, found: dict[str, n.ClassDeclaration]) -> None:
    for child in tree.named_children:
        match child.type:
            case "namespace_definition":
                name = child.child_by_field_name("name")
                scope.namespace = text_of(name) if name else ""
                body = child.child_by_field_name("body")
                if body is not None:
                    inner = Scope(scope.file, scope.namespace, scope.strict)
                    _walk(body, inner, found)
            case "namespace_use_declaration" | "declare_statement":
                read_head(child, scope)
            case "class_declaration" | "interface_declaration" | "trait_declaration" | "enum_declaration":
                declared = _class(child, scope)
                found[declared.name] = declared
            case "parenthesized_expression" if not _only_asks(child):
                raise Refused("code beside the classes", file=scope.file, line=line_of(child))
            case "if_statement" | "else_if_clause" | "compound_statement" | "else_clause":
                _walk(child, scope, found)
            case kind if kind.endswith("_statement") and not _is_harmless(child):
                raise Refused("code beside the classes", file=scope.file, line=line_of(child))


# What a condition beside classes may call.
_QUESTIONS = {
    "class_exists", "defined", "enum_exists", "extension_loaded", "function_exists", "interface_exists",
    "method_exists", "trait_exists", "version_compare",
}  # fmt: skip


def _only_asks(condition: Tree) -> bool:
    """Whether the condition of an `if` beside classes runs no code that could set anything."""
    if condition.type in _CALLS:
        name = condition.child_by_field_name("function")
        if name is None or text_of(name).lstrip("\\").lower() not in _QUESTIONS:
            return False
    return all(_only_asks(child) for child in condition.named_children)


_CALLS = {
    "assignment_expression", "function_call_expression", "member_call_expression",
    "nullsafe_member_call_expression", "object_creation_expression", "scoped_call_expression",
}  # fmt: skip


def _is_harmless(statement: Tree) -> bool:
    """Whether a statement outside of classes changes nothing for them when PHP loads the file."""
    if statement.type in ("empty_statement", "return_statement"):
        return not of_type(statement, *(_CALLS - {"object_creation_expression"}))
    call = next(iter(of_type(statement, "function_call_expression")), None)
    name = call.child_by_field_name("function") if call is not None else None
    return (
        statement.type == "expression_statement"
        and name is not None
        and text_of(name).lstrip("\\") == "class_alias"
    )


def read_head(tree: Tree, scope: Scope) -> None:
    """Puts into the scope what a `use` or `declare` line of the file says."""
    if tree.type == "declare_statement":
        scope.strict = scope.strict or "strict_types=1" in "".join(text_of(tree).split()).lower()
    else:
        _use(tree, scope)


def _use(tree: Tree, scope: Scope) -> None:
    keyword = next((text_of(c) for c in tree.children if c.type in ("function", "const")), "class")
    prefix = next((text_of(c) + "\\" for c in tree.named_children if c.type == "namespace_name"), "")
    group = tree.child_by_field_name("body")
    for clause in of_type(group if group is not None else tree, "namespace_use_clause"):
        kind = next((text_of(c) for c in clause.children if c.type in ("function", "const")), keyword)
        alias = clause.child_by_field_name("alias")
        target = next(c for c in clause.named_children if c != alias and c.type.endswith("name"))
        name = prefix + text_of(target).lstrip("\\")
        short = text_of(alias) if alias is not None else name.rsplit("\\", 1)[-1]
        if kind == "function":
            scope.functions[short.lower()] = name
        elif kind == "const":
            scope.constants[short] = name
        else:
            scope.classes[short.lower()] = name


@dataclass(slots=True)
class _Members:
    """What stands in a class's body, by name. `hidden`: constant → its visibility, if it is not public."""

    constants: dict[str, n.Expression] = field(default_factory=dict)
    cases: dict[str, n.Expression | None] = field(default_factory=dict)
    properties: dict[str, n.PropertyDeclaration] = field(default_factory=dict)
    methods: dict[str, n.Method] = field(default_factory=dict)
    traits: list[n.TraitUse] = field(default_factory=list)
    hidden: dict[str, str] = field(default_factory=dict)


def _members(body: Tree, lower: PhpLowerer) -> _Members:
    members = _Members()
    for member in children_of(body):
        match member.type:
            case "const_declaration":
                for element in of_type(member, "const_element"):
                    label, value = children_of(element)[:2]
                    members.constants[text_of(label)] = lower.lazily(value)
                    if _visibility(member) != "public":
                        members.hidden[text_of(label)] = _visibility(member)
            case "enum_case":
                label_tree, value_tree = (
                    member.child_by_field_name("name"),
                    member.child_by_field_name("value"),
                )
                members.cases[text_of(label_tree) if label_tree else ""] = (
                    lower.lazily(value_tree) if value_tree else None
                )
            case "property_declaration":
                for declared in _properties(member, lower):
                    members.properties[declared.name] = declared
            case "method_declaration":
                method, promoted = _method(member, lower)
                members.methods[method.name.lower()] = method
                for declared in promoted:
                    members.properties[declared.name] = declared
            case "use_declaration":
                members.traits.append(_trait_use(member, lower.scope))
            case "attribute_list":
                pass
            case other:
                raise Refused(f"a class member of kind {other}", file=lower.scope.file, line=line_of(member))
    return members


def _class(tree: Tree, scope: Scope) -> n.ClassDeclaration:
    name_tree = tree.child_by_field_name("name")
    body = tree.child_by_field_name("body")
    anonymous = tree.type == "anonymous_class"
    if body is None or (name_tree is None and not anonymous):
        raise Refused("a class without a name or body", file=scope.file, line=line_of(tree))
    kind = "class" if anonymous else tree.type.removesuffix("_declaration")
    bases = [scope.class_name(text_of(c)) for b in of_type(tree, "base_clause") for c in children_of(b)]
    interfaces = [
        scope.class_name(text_of(c)) for b in of_type(tree, "class_interface_clause") for c in children_of(b)
    ]
    if name_tree is None:
        name = _anonymous_name(tree, scope, [*bases, *interfaces])
    else:
        name = f"{scope.namespace}\\{text_of(name_tree)}" if scope.namespace else text_of(name_tree)
    if kind == "interface":
        interfaces, bases = interfaces + bases, []
    lower = PhpLowerer(scope, name, "")
    members = _members(body, lower)
    readonly = any(c.type == "readonly_modifier" for c in tree.named_children)
    properties = members.properties
    if readonly:
        properties = {key: replace(one, readonly=True) for key, one in properties.items()}
    return n.ClassDeclaration(
        line=line_of(tree),
        name=name,
        kind=kind,
        file=scope.file,
        parent=bases[0] if bases else None,
        interfaces=tuple(interfaces),
        traits=tuple(members.traits),
        constants=members.constants,
        cases=members.cases,
        properties=properties,
        methods=members.methods,
        attributes=_attributes(tree, scope),
        attribute_arguments=_attribute_arguments(tree, lower),
        abstract=any(c.type == "abstract_modifier" for c in tree.named_children),
        readonly=readonly,
        hidden_constants=members.hidden,
    )


def _anonymous_name(tree: Tree, scope: Scope, bases: list[str]) -> str:
    """As PHP makes it, but for the number at the end: nobody can rely on it."""
    return f"{bases[0] if bases else 'class'}@anonymous\0{scope.file}:{line_of(tree)}${tree.start_byte}"


def _attributes(tree: Tree, scope: Scope) -> tuple[str, ...]:
    return tuple(
        scope.class_name(text_of(children_of(attribute)[0]))
        for group_list in of_type(tree, "attribute_list")
        for group in of_type(group_list, "attribute_group")
        for attribute in of_type(group, "attribute")
    )


def _attribute_arguments(tree: Tree, lower: Lowerer) -> dict[str, tuple[n.Argument, ...]]:
    """Attribute → its arguments; without those that are not understood."""
    found: dict[str, tuple[n.Argument, ...]] = {}
    for group_list in of_type(tree, "attribute_list"):
        for group in of_type(group_list, "attribute_group"):
            for attribute in of_type(group, "attribute"):
                given = next(iter(of_type(attribute, "arguments")), None)
                with contextlib.suppress(Refused):
                    name = lower.scope.class_name(text_of(children_of(attribute)[0]))
                    found[name] = lower.arguments(given)
    return found


def _visibility(tree: Tree) -> str:
    for child in tree.named_children:
        if child.type == "visibility_modifier" and "(" not in text_of(child):
            return text_of(child).lower()
    return "public"


def _set_visibility(tree: Tree) -> str:
    """`private` of `private(set)`; a readonly property has its own rule."""
    for child in tree.named_children:
        if child.type == "visibility_modifier" and "(" in text_of(child):
            return text_of(child).partition("(")[0].strip().lower()
    return ""


def _properties(tree: Tree, lower: Lowerer) -> Iterable[n.PropertyDeclaration]:
    modifiers = {c.type for c in tree.named_children}
    for element in of_type(tree, "property_element"):
        name = element.child_by_field_name("name")
        default = element.child_by_field_name("default_value")
        yield n.PropertyDeclaration(
            line=line_of(element),
            name=text_of(name)[1:] if name else "",
            visibility=_visibility(tree),
            static="static_modifier" in modifiers,
            type=lower.type(tree.child_by_field_name("type")),
            default=lower.lazily(default) if default is not None else None,
            hooked="property_hook_list" in modifiers,
            readonly="readonly_modifier" in modifiers,
            set_visibility=_set_visibility(tree),
        )


def _method(tree: Tree, lower: Lowerer) -> tuple[n.Method, list[n.PropertyDeclaration]]:
    name_tree = tree.child_by_field_name("name")
    name = text_of(name_tree) if name_tree else ""
    body = tree.child_by_field_name("body")
    parameters_tree = tree.child_by_field_name("parameters")
    parameters: tuple[n.Parameter, ...] | None
    try:
        parameters = lower.parameters(parameters_tree) if parameters_tree else ()
    except Refused:
        parameters = None
    promoted: list[n.PropertyDeclaration] = []
    if parameters_tree is not None:
        for parameter in of_type(parameters_tree, "property_promotion_parameter"):
            variable = parameter.child_by_field_name("name")
            promoted.append(
                n.PropertyDeclaration(
                    line=line_of(parameter),
                    name=text_of(variable).lstrip("&$") if variable else "",
                    visibility=_visibility(parameter),
                    type=lower.type(parameter.child_by_field_name("type")),
                    promoted=True,
                    hooked=any(c.type == "property_hook_list" for c in parameter.named_children),
                    readonly=any(c.type == "readonly_modifier" for c in parameter.named_children),
                    set_visibility=_set_visibility(parameter),
                )
            )
    scope = lower.scope
    method = n.Method(
        line=line_of(tree),
        name=name,
        class_name=lower.class_name,
        file=scope.file,
        visibility=_visibility(tree),
        static=any(c.type == "static_modifier" for c in tree.named_children),
        abstract=body is None,
        parameters=parameters,
        returns=lower.type(tree.child_by_field_name("return_type")),
        attributes=_attributes(tree, scope),
        strict=scope.strict,
        gives_reference=any(c.type == "reference_modifier" for c in tree.named_children),
        source=Body(body, scope, lower.class_name, name) if body is not None else None,
    )
    return method, promoted


def _trait_use(tree: Tree, scope: Scope) -> n.TraitUse:
    names = tuple(scope.class_name(text_of(c)) for c in children_of(tree) if c.type != "use_list")
    instead: list[tuple[str, str, tuple[str, ...]]] = []
    aliases: list[tuple[str | None, str, str | None, str | None]] = []
    for rules in of_type(tree, "use_list"):
        for rule in children_of(rules):
            parts = children_of(rule)
            if parts[0].type == "class_constant_access_expression":
                trait, member = (text_of(c) for c in children_of(parts[0]))
                owner: str | None = scope.class_name(trait)
            else:
                owner, member = None, text_of(parts[0])
            if rule.type == "use_instead_of_clause":
                losers = tuple(scope.class_name(instead_of(c)) for c in parts[1:])
                instead.append((owner or "", member.lower(), losers))
            else:
                modifiers = (text_of(c).lower() for c in parts[1:] if c.type == "visibility_modifier")
                visibility = next(modifiers, None)
                alias = next((text_of(c) for c in parts[1:] if c.type == "name"), None)
                aliases.append((owner, member.lower(), visibility, alias))
    return n.TraitUse(line=line_of(tree), names=names, instead_of=tuple(instead), aliases=tuple(aliases))
