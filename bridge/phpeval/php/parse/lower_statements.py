"""Statements: one function a tree-sitter node type, and the table of them."""

from __future__ import annotations

from collections.abc import Callable

from tree_sitter import Node as Tree

from bridge.phpeval.php import ast as n
from bridge.phpeval.php.parse.lower_expressions import target as target_of
from bridge.phpeval.php.parse.lowering import Lowerer
from bridge.phpeval.php.parse.tree import children_of, line_of, text_of


def _return(self: Lowerer, tree: Tree) -> n.Statement:
    parts = children_of(tree)
    return n.Return(line=line_of(tree), value=self.expression(parts[0]) if parts else None)


def _expression_statement(self: Lowerer, tree: Tree) -> n.Statement:
    return n.Evaluate(line=line_of(tree), expression=self.expression(children_of(tree)[0]))


def _if(self: Lowerer, tree: Tree) -> n.Statement:
    body = tree.child_by_field_name("body")
    otherwise: tuple[n.Statement, ...] = ()
    for alternative in reversed(tree.children_by_field_name("alternative")):
        inner = alternative.child_by_field_name("body")
        statements = self.block(inner) if inner is not None else ()
        if alternative.type == "else_if_clause":
            condition = self.part(alternative, "condition")
            otherwise = (
                n.If(line=line_of(alternative), condition=condition, then=statements, otherwise=otherwise),
            )
        else:
            otherwise = statements
    return n.If(
        line=line_of(tree),
        condition=self.part(tree, "condition"),
        then=self.block(body) if body is not None else (),
        otherwise=otherwise,
    )


def _foreach(self: Lowerer, tree: Tree) -> n.Statement:
    body = tree.child_by_field_name("body")
    subject, target = [c for c in children_of(tree) if body is None or c.id != body.id][:2]
    key: n.Expression | None = None
    if target.type == "pair":
        key_tree, target = children_of(target)
        key = target_of(self, key_tree)
    reference = target.type == "by_ref"
    if reference:
        target = children_of(target)[0]
        if target.type != "variable_name":
            self.refuse(target, "foreach by reference to this")
    return n.Foreach(
        line=line_of(tree),
        reference=reference,
        subject=self.expression(subject),
        key=key,
        value=target_of(self, target),
        body=self.block(body) if body is not None else (),
    )


def _loop(self: Lowerer, tree: Tree) -> n.Statement:
    def all_of(name: str) -> tuple[n.Expression, ...]:
        found: list[n.Expression] = []
        for child in tree.children_by_field_name(name):
            parts = children_of(child) if child.type == "sequence_expression" else [child]
            found += [self.expression(part) for part in parts if part.is_named]
        return tuple(found)

    body = tree.child_by_field_name("body")
    return n.Loop(
        line=line_of(tree),
        before=all_of("initialize"),
        condition=all_of("condition"),
        after=all_of("update"),
        body=self.block(body) if body is not None else (),
        first=tree.type == "do_statement",
    )


def _switch(self: Lowerer, tree: Tree) -> n.Statement:
    body = tree.child_by_field_name("body")
    cases = []
    for case in children_of(body) if body is not None else []:
        value = case.child_by_field_name("value")
        statements = [c for c in children_of(case) if value is None or c.id != value.id]
        cases.append(
            n.Case(
                line=line_of(case),
                value=self.expression(value) if value is not None else None,
                body=tuple(s for c in statements for s in self.statement(c)),
            )
        )
    return n.Switch(line=line_of(tree), subject=self.part(tree, "condition"), cases=tuple(cases))


def _leave(self: Lowerer, tree: Tree) -> n.Statement:
    parts = children_of(tree)
    given = text_of(parts[0]) if parts else "1"
    levels = int(given) if given.isascii() and given.isdecimal() and len(given) < 4 else 0
    if not levels:  # a compile error in PHP
        self.refuse(tree, f"a {tree.type.partition('_')[0]} of {given[:20]} levels")
    return n.Leave(line=line_of(tree), levels=levels, is_continue=tree.type == "continue_statement")


def _unset(self: Lowerer, tree: Tree) -> n.Statement:
    return n.Unset(line=line_of(tree), targets=tuple(target_of(self, c) for c in children_of(tree)))


def _try(self: Lowerer, tree: Tree) -> n.Statement:
    body = tree.child_by_field_name("body")
    catches = []
    finally_body: tuple[n.Statement, ...] = ()
    for clause in children_of(tree):
        inner = clause.child_by_field_name("body")
        if clause.type == "catch_clause" and inner is not None:
            types, variable = clause.child_by_field_name("type"), clause.child_by_field_name("name")
            names = children_of(types) if types is not None else []
            catches.append(
                n.Catch(
                    line=line_of(clause),
                    class_names=tuple(self.scope.class_name(text_of(name)) for name in names),
                    variable=text_of(variable)[1:] if variable is not None else None,
                    body=self.block(inner),
                )
            )
        elif clause.type == "finally_clause" and inner is not None:
            finally_body = self.block(inner)
    return n.Try(
        line=line_of(tree),
        body=self.block(body) if body is not None else (),
        catches=tuple(catches),
        finally_body=finally_body,
    )


def _static_variables(self: Lowerer, tree: Tree) -> n.Statement:
    variables = []
    for child in children_of(tree):
        name, value = child.child_by_field_name("name"), child.child_by_field_name("value")
        if name is None or text_of(name) == "$this":
            self.refuse(child, "this static variable")
        variables.append((text_of(name)[1:], None if value is None else self.lazily(value)))
    return n.StaticVariables(line=line_of(tree), variables=tuple(variables))


STATEMENTS: dict[str, Callable[[Lowerer, Tree], n.Statement]] = {
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
    "function_static_declaration": _static_variables,
}
