"""Lower: the code of one class, from trees to nodes. What a node type becomes stands in its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NoReturn

from tree_sitter import Node as Tree

from bridge.errors import Refused
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.parse.tree import Scope, children_of, line_of, text_of


class Lowerer:
    """Lowers the code of one class (or file) of one Scope.

    expressions, statements  tree-sitter node type → what lowers it; `declarations.lower` gives them
    """

    expressions: Mapping[str, Callable[[Lowerer, Tree], n.Expression]] = {}
    statements: Mapping[str, Callable[[Lowerer, Tree], n.Statement]] = {}

    def __init__(self, scope: Scope, class_name: str, function: str) -> None:
        self.scope = scope
        self.class_name = class_name
        self.function = function

    def refuse(self, tree: Tree, what: str) -> NoReturn:
        raise Refused(f"{what} is not evaluated natively", file=self.scope.file, line=line_of(tree))

    def declare(self, tree: Tree) -> n.ClassDeclaration:
        """The declaration of an anonymous class."""
        self.refuse(tree, "an anonymous class")

    def lazily(self, tree: Tree) -> n.Expression:
        try:
            return self.expression(tree)
        except Refused as problem:
            return n.Unsupported(line=line_of(tree), problem=problem)
        except RecursionError:
            deep = Refused("an expression this deep", file=self.scope.file, line=line_of(tree))
            return n.Unsupported(line=line_of(tree), problem=deep)

    def expression(self, tree: Tree) -> n.Expression:
        lower = self.expressions.get(tree.type)
        if lower is None:
            self.refuse(tree, tree.type.replace("_", " "))
        return lower(self, tree)

    def block(self, tree: Tree) -> tuple[n.Statement, ...]:
        """The statements of a `{…}`, or the one statement that stands without braces."""
        if tree.type in ("compound_statement", "colon_block"):
            return tuple(s for child in children_of(tree) for s in self.statement(child))
        return self.statement(tree)

    def statement(self, tree: Tree) -> tuple[n.Statement, ...]:
        if tree.type == "compound_statement":
            return self.block(tree)
        if tree.type == "empty_statement":
            return ()
        lower = self.statements.get(tree.type)
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
                    return all(collect(child) for child in children_of(part))
                case "union_type" | "type_list":
                    return all(collect(child) for child in children_of(part))
                case "primitive_type" | "bottom_type":
                    names.append(text_of(part).lower())
                    return True
                case "named_type" | "name" | "qualified_name":
                    written = text_of(part)
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
        return n.Type(
            line=line_of(tree), names=tuple(names) if understood else None, strict=self.scope.strict
        )

    def parameters(self, tree: Tree) -> tuple[n.Parameter, ...]:
        result = []
        for child in children_of(tree):
            if child.type == "attribute_list":
                continue
            variable = child.child_by_field_name("name")
            if variable is None:
                self.refuse(child, "a parameter without a name")
            promoted = child.type == "property_promotion_parameter"
            reference = variable.type == "by_ref" or "reference_modifier" in {
                c.type for c in child.named_children
            }
            if reference and promoted:
                self.refuse(child, "a promoted parameter by reference")
            default = child.child_by_field_name("default_value")
            declared = self.type(child.child_by_field_name("type"))
            if declared is not None and default is not None and not promoted:
                declared = _implicitly_nullable(declared, default)
            result.append(
                n.Parameter(
                    line=line_of(child),
                    name=text_of(variable).lstrip("& \t\n$"),
                    default=self.lazily(default) if default is not None else None,
                    variadic=child.type == "variadic_parameter",
                    promoted=promoted,
                    type=declared,
                    reference=reference,
                )
            )
        return tuple(result)

    def arguments(self, tree: Tree | None) -> tuple[n.Argument, ...]:
        result = []
        for child in children_of(tree) if tree is not None else []:
            if child.type != "argument":
                self.refuse(child, child.type.replace("_", " "))
            name = child.child_by_field_name("name")
            value = children_of(child)[-1]
            spread = value.type == "variadic_unpacking"
            result.append(
                n.Argument(
                    line=line_of(child),
                    value=self.expression(children_of(value)[0] if spread else value),
                    name=text_of(name) if name is not None else None,
                    spread=spread,
                )
            )
        return tuple(result)

    def class_reference(self, tree: Tree) -> str | n.Expression:
        if tree.type in ("name", "qualified_name", "relative_scope"):
            return self.scope.class_name(text_of(tree))
        return self.expression(tree)

    def member_name(self, tree: Tree) -> str | n.Expression:
        if tree.type == "name":
            return text_of(tree)
        return self.expression(tree)


def _implicitly_nullable(declared: n.Type, default: Tree) -> n.Type:
    """`int $x = null` takes null."""
    if declared.names is None or text_of(default).lower() != "null" or {"null", "mixed"} & {*declared.names}:
        return declared
    return replace(declared, names=("null", *declared.names))
