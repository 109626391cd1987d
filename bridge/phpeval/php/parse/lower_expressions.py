"""Expressions: one function a tree-sitter node type, and the table of them."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Callable

from tree_sitter import Node as Tree

from bridge.phpeval.php import ast as n
from bridge.phpeval.php.parse.lowering import Lowerer
from bridge.phpeval.php.parse.tree import RELATIVE, children_of, line_of, of_type, text_of
from bridge.phpeval.php.runtime.values import INT_MAX

_CASTS = {
    "int": "int", "integer": "int", "float": "float", "double": "float", "real": "float", "string": "string",
    "binary": "string", "bool": "bool", "boolean": "bool", "array": "array", "object": "object",
}  # fmt: skip
_OPERATORS = {
    "+", "-", "*", "/", "%", "**", ".", "==", "!=", "<>", "===", "!==", "<", "<=", ">", ">=", "<=>",
    "&&", "||", "and", "or", "xor", "??", "&", "|", "^", "<<", ">>",
}  # fmt: skip
_SAME_OPERATOR = {"<>": "!=", "and": "&&", "or": "||"}

CLOSURE = "{closure}"  # the function that code in a closure stands in; PHP's releases name it in several ways

Lowering = Callable[["Lowerer", Tree], n.Expression]


def _integer(self: Lowerer, tree: Tree) -> n.Expression:
    text = text_of(tree).replace("_", "").lower()
    if re.fullmatch(r"0[0-7]+", text):
        text = "0o" + text[1:]
    try:
        number = int(text, 0)
    except ValueError:  # what the parser took for a number
        self.refuse(tree, f"the number {text[:20]}")
    try:
        return n.Literal(line=line_of(tree), value=number if number <= INT_MAX else float(number))
    except OverflowError:
        return n.Literal(line=line_of(tree), value=math.inf)


def _float(self: Lowerer, tree: Tree) -> n.Expression:
    try:
        return n.Literal(line=line_of(tree), value=float(text_of(tree).replace("_", "")))
    except ValueError:
        self.refuse(tree, f"the number {text_of(tree)[:20]}")


def _boolean(self: Lowerer, tree: Tree) -> n.Expression:
    return n.Literal(line=line_of(tree), value=text_of(tree).lower() == "true")


def _null(self: Lowerer, tree: Tree) -> n.Expression:
    return n.Literal(line=line_of(tree), value=None)


def _single_quoted(self: Lowerer, tree: Tree) -> n.Expression:
    raw = tree.text or b""
    if raw[:1] != b"'":
        self.refuse(tree, "a string with a prefix")
    return n.Literal(line=line_of(tree), value=re.sub(rb"\\([\\'])", rb"\1", raw[1:-1]))


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


def _double_quoted(self: Lowerer, tree: Tree) -> n.Expression:
    if (tree.text or b"")[:1] != b'"':
        self.refuse(tree, "a string with a prefix")
    # blanks between two parts may be no node of their own
    return _text(self, tree, tree.children[1:-1], tree.start_byte + 1, tree.end_byte - 1)


# Longer than others: the pieces of a text share the cursor and whether a line begins.
def _text(
    self: Lowerer, tree: Tree, children: list[Tree], start: int, end: int, indent: bytes | None = None
) -> n.Expression:
    """Text with escapes and variables from `start` to `end`. `indent`: that of a heredoc, taken off each
    line; None between quotes."""
    parts: list[n.Expression] = []
    text = b""
    cursor = start
    source = tree.text or b""
    fresh = True  # at the start of a line

    def raw(since: int, until: int) -> bytes:
        nonlocal fresh
        piece = source[since - tree.start_byte : until - tree.start_byte]
        if not indent or not piece:
            fresh = fresh and not piece
            return piece
        lines = piece.split(b"\n")
        for at, line in enumerate(lines):
            if at == 0 and not fresh:
                continue
            if line.startswith(indent):
                lines[at] = line[len(indent) :]
            elif line:
                self.refuse(tree, "a heredoc with lines that begin like this")
        fresh = piece.endswith(b"\n")
        return b"\n".join(lines)

    for child in children:
        if child.type in ("{", "}"):
            text += raw(cursor, child.start_byte) if child.type == "{" else b""
            cursor = child.end_byte
            continue
        text += raw(cursor, child.start_byte)
        cursor = child.end_byte
        if indent and fresh and child.type not in ("string_content", "string_value"):
            self.refuse(tree, "a heredoc with lines that begin like this")
        if child.type in ("string_content", "string_value"):
            text += raw(child.start_byte, child.end_byte)
        elif child.type == "escape_sequence":
            escape = child.text or b""
            text += escape if indent is not None and escape == b'\\"' else _escape(escape)
            fresh = False
        elif child.type == "comment":
            self.refuse(child, "a comment inside a string")
        else:
            fresh = False
            if text:
                parts.append(n.Literal(line=line_of(child), value=text))
                text = b""
            if child.type == "dynamic_variable_name":
                name = children_of(child)
                if len(name) != 1 or name[0].type != "name":
                    self.refuse(child, "a variable variable")
                parts.append(n.Variable(line=line_of(child), name=text_of(name[0])))
            else:
                parts.append(_interpolation(self, child))
    text += raw(cursor, end)
    if text or not parts:
        parts.append(n.Literal(line=line_of(tree), value=text))
    if len(parts) == 1 and isinstance(parts[0], n.Literal):
        return parts[0]
    return n.Interpolated(line=line_of(tree), parts=tuple(parts))


def _heredoc(self: Lowerer, tree: Tree) -> n.Expression:
    """`<<<NAME` and `<<<'NAME'`: the lines between, without the indentation of the last one."""
    source = tree.text or b""
    last = source.rfind(b"\n")
    indent = source[last + 1 :][: len(source[last + 1 :]) - len(source[last + 1 :].lstrip(b" \t"))]
    first = source.find(b"\n")
    if b"\r" in source or first < 0:
        self.refuse(tree, "a heredoc with such line ends")
    start, end = tree.start_byte + first + 1, tree.start_byte + last
    if end < start:  # no line at all
        return n.Literal(line=line_of(tree), value=b"")
    body = tree.child_by_field_name("value")
    if tree.type == "nowdoc":
        lines = source[first + 1 : last].split(b"\n")
        if any(line.strip(b" \t") and not line.startswith(indent) for line in lines):
            self.refuse(tree, "a nowdoc with lines that begin like this")
        plain = b"\n".join(line[len(indent) :] for line in lines)
        return n.Literal(line=line_of(tree), value=plain)
    return _text(self, tree, body.children if body is not None else [], start, end, indent)


def _interpolation(self: Lowerer, tree: Tree) -> n.Expression:
    """`$a[key]` inside quotes without braces takes its key as a string."""
    if tree.type == "subscript_expression":
        children = children_of(tree)
        if len(children) == 2 and children[1].type == "name":
            key = n.Literal(line=line_of(tree), value=text_of(children[1]).encode())
            return n.Index(line=line_of(tree), base=self.expression(children[0]), index=key)
    return self.expression(tree)


def _variable(self: Lowerer, tree: Tree) -> n.Expression:
    return n.Variable(line=line_of(tree), name=text_of(tree)[1:])


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


def _name(self: Lowerer, tree: Tree) -> n.Expression:
    text = text_of(tree)
    if text.lower() in _MAGIC:
        match text.lower():
            case "__class__":
                # In a trait it is the using class: evaluate knows which.
                return n.ClassConstant(line=line_of(tree), class_name="self", name="class")
            case "__namespace__":
                return n.Literal(line=line_of(tree), value=self.scope.namespace.encode())
            case "__line__":
                return n.Literal(line=line_of(tree), value=line_of(tree))
            case "__function__" if self.function != CLOSURE:
                return n.Literal(line=line_of(tree), value=self.function.encode())
            case "__method__" if self.function and self.function != CLOSURE:
                return n.Literal(line=line_of(tree), value=f"{self.class_name}::{self.function}".encode())
            case "__file__" if self.scope.file.startswith("/"):
                return n.Literal(line=line_of(tree), value=self.scope.file.encode())
            case "__dir__" if self.scope.file.startswith("/"):
                return n.Literal(line=line_of(tree), value=posixpath.dirname(self.scope.file).encode())
        self.refuse(tree, text)
    return n.Constant(line=line_of(tree), name=text.lstrip("\\").rsplit("\\", 1)[-1])


def _array(self: Lowerer, tree: Tree) -> n.Expression:
    entries = []
    for element in children_of(tree):
        if element.type != "array_element_initializer":
            self.refuse(element, element.type.replace("_", " "))
        parts = children_of(element)
        if any(part.type == "by_ref" for part in parts):
            self.refuse(element, "a reference in an array")
        if parts[0].type == "variadic_unpacking":
            spread = self.expression(children_of(parts[0])[0])
            entries.append(n.Entry(line=line_of(element), key=None, value=spread, spread=True))
        elif len(parts) == 2:
            entries.append(
                n.Entry(line=line_of(element), key=self.expression(parts[0]), value=self.expression(parts[1]))
            )
        else:
            entries.append(n.Entry(line=line_of(element), key=None, value=self.expression(parts[0])))
    return n.ArrayLiteral(line=line_of(tree), entries=tuple(entries))


def _parenthesized(self: Lowerer, tree: Tree) -> n.Expression:
    return self.expression(children_of(tree)[0])


def _member(self: Lowerer, tree: Tree) -> n.Expression:
    name = tree.child_by_field_name("name")
    assert_name = name if name is not None else self.refuse(tree, "a member without a name")
    return n.Property(
        line=line_of(tree),
        object=self.part(tree, "object"),
        name=self.member_name(assert_name),
        nullsafe=tree.type.startswith("nullsafe"),
    )


def _reference_or(
    self: Lowerer, tree: Tree, arguments: Tree | None, call: Callable[..., n.Expression]
) -> n.Expression:
    """`f(...)` is the function itself; anything else the call."""
    if arguments is not None and any(c.type == "variadic_placeholder" for c in arguments.named_children):
        made = call(())
        return n.FunctionReference(line=line_of(tree), call=made)  # type: ignore[arg-type]
    return call(self.arguments(arguments))


def _member_call(self: Lowerer, tree: Tree) -> n.Expression:
    name = tree.child_by_field_name("name")
    if name is None:
        self.refuse(tree, "a call without a name")
    subject, method = self.part(tree, "object"), self.member_name(name)
    return _reference_or(
        self,
        tree,
        tree.child_by_field_name("arguments"),
        lambda arguments: n.MethodCall(
            line=line_of(tree),
            object=subject,
            name=method,
            arguments=arguments,
            nullsafe=tree.type.startswith("nullsafe"),
        ),
    )


def _scoped_call(self: Lowerer, tree: Tree) -> n.Expression:
    scope, name = tree.child_by_field_name("scope"), tree.child_by_field_name("name")
    if scope is None or name is None:
        self.refuse(tree, "a call without a name")
    return _reference_or(
        self,
        tree,
        tree.child_by_field_name("arguments"),
        lambda arguments: n.StaticCall(
            line=line_of(tree),
            class_name=self.class_reference(scope),
            name=self.member_name(name),
            arguments=arguments,
        ),
    )


def _scoped_property(self: Lowerer, tree: Tree) -> n.Expression:
    scope, name = tree.child_by_field_name("scope"), tree.child_by_field_name("name")
    if scope is None or name is None or name.type != "variable_name":
        self.refuse(tree, "a static property by a computed name")
    return n.StaticProperty(
        line=line_of(tree), class_name=self.class_reference(scope), name=text_of(name)[1:]
    )


def _class_constant(self: Lowerer, tree: Tree) -> n.Expression:
    parts = children_of(tree)
    if len(parts) != 2:
        self.refuse(tree, "a class constant without a name")
    reference = self.class_reference(parts[0])
    inner = children_of(parts[1])
    if parts[1].type != "name" or inner:
        computed = self.expression(inner[0] if parts[1].type == "name" else parts[1])
        return n.ClassConstant(line=line_of(tree), class_name=reference, name=computed)
    name = text_of(parts[1])
    if name.lower() == "class" and isinstance(reference, str) and reference not in RELATIVE:
        return n.Literal(line=line_of(tree), value=reference.encode())
    return n.ClassConstant(
        line=line_of(tree), class_name=reference, name="class" if name.lower() == "class" else name
    )


def _function_call(self: Lowerer, tree: Tree) -> n.Expression:
    function, arguments = tree.child_by_field_name("function"), tree.child_by_field_name("arguments")
    if function is None:
        self.refuse(tree, "a call without a name")
    if function.type not in ("name", "qualified_name"):
        callee = self.expression(function)
        return _reference_or(
            self, tree, arguments, lambda given: n.Call(line=line_of(tree), function=callee, arguments=given)
        )
    written = text_of(function)
    lowered = written.lower()
    if lowered in ("isset", "empty"):
        operands = tuple(argument.value for argument in self.arguments(arguments))
        if not operands or (lowered == "empty" and len(operands) > 1):  # a compile error in PHP
            self.refuse(tree, f"{lowered}() of {len(operands)} expressions")
        if lowered == "isset":
            return n.Isset(line=line_of(tree), operands=operands)
        return n.Empty(line=line_of(tree), operand=operands[0])
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
        lambda given: n.Call(line=line_of(tree), function=name, arguments=given, strict=strict),
    )


def _new(self: Lowerer, tree: Tree) -> n.Expression:
    parts = children_of(tree)
    if parts and parts[0].type == "anonymous_class":
        declared = self.declare(parts[0])
        given = next((c for c in children_of(parts[0]) if c.type == "arguments"), None)
        return n.New(
            line=line_of(tree),
            class_name=declared.name,
            arguments=self.arguments(given),
            declaration=declared,
        )
    if not parts or parts[0].type == "declaration_list":
        self.refuse(tree, "an anonymous class")
    arguments = next((c for c in parts if c.type == "arguments"), None)
    return n.New(
        line=line_of(tree), class_name=self.class_reference(parts[0]), arguments=self.arguments(arguments)
    )


def _unary(self: Lowerer, tree: Tree) -> n.Expression:
    operator = text_of(tree.children[0])
    if operator not in ("!", "-", "+", "~"):
        self.refuse(tree, f"the operator {operator}")
    return n.Unary(line=line_of(tree), operator=operator, operand=self.expression(children_of(tree)[-1]))


def _binary(self: Lowerer, tree: Tree) -> n.Expression:
    operator_tree = tree.child_by_field_name("operator")
    operator = text_of(operator_tree).lower() if operator_tree is not None else ""
    right = tree.child_by_field_name("right")
    if operator == "instanceof" and right is not None:
        return n.InstanceOf(
            line=line_of(tree), object=self.part(tree, "left"), class_name=self.class_reference(right)
        )
    if operator not in _OPERATORS:
        self.refuse(tree, f"the operator {operator}")
    left = tree.child_by_field_name("left")
    if operator == "**" and left is not None and left.type in ("unary_op_expression", "cast_expression"):
        # PHP reads -$a ** 2 as -($a ** 2), the parser as (-$a) ** 2
        self.refuse(tree, "a sign or cast before **")
    return n.Binary(
        line=line_of(tree),
        operator=_SAME_OPERATOR.get(operator, operator),
        left=self.part(tree, "left"),
        right=self.part(tree, "right"),
    )


def _conditional(self: Lowerer, tree: Tree) -> n.Expression:
    body = tree.child_by_field_name("body")
    return n.Ternary(
        line=line_of(tree),
        condition=self.part(tree, "condition"),
        then=self.expression(body) if body is not None else None,
        otherwise=self.part(tree, "alternative"),
    )


def _cast(self: Lowerer, tree: Tree) -> n.Expression:
    kind_tree = tree.child_by_field_name("type")
    kind = _CASTS.get(text_of(kind_tree).lower()) if kind_tree is not None else None
    if kind is None:
        self.refuse(tree, "this cast")
    return n.Cast(line=line_of(tree), kind=kind, operand=self.part(tree, "value"))


def _subscript(self: Lowerer, tree: Tree) -> n.Expression:
    parts = children_of(tree)
    return n.Index(
        line=line_of(tree),
        base=self.expression(parts[0]),
        index=self.expression(parts[1]) if len(parts) > 1 else None,
    )


def target(self: Lowerer, tree: Tree) -> n.Expression:
    if tree.type in ("list_literal", "array_creation_expression"):
        return _pattern(self, tree)
    target = self.expression(tree)
    if not isinstance(target, n.Variable | n.Property | n.Index | n.StaticProperty):
        self.refuse(tree, "an assignment to this")
    return target


def _pattern(self: Lowerer, tree: Tree) -> n.ListPattern:
    """`[$a, , 'k' => $b]`: tree-sitter leaves only the commas of skipped and keyed entries."""
    entries: list[tuple[n.Expression | None, n.Expression] | None] = []
    pending: list[Tree] = []

    def finish() -> None:
        if not pending:
            entries.append(None)
        elif len(pending) == 1:
            entries.append((None, target(self, pending[0])))
        else:
            entries.append((self.expression(pending[0]), target(self, pending[1])))
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
            pending.extend(children_of(child))
        elif child.is_named and child.type != "comment":
            pending.append(child)
    if pending:
        finish()
    return n.ListPattern(line=line_of(tree), entries=tuple(entries))


def _assign(self: Lowerer, tree: Tree) -> n.Expression:
    left = tree.child_by_field_name("left")
    if left is None:
        self.refuse(tree, "an assignment without a target")
    return n.Assign(line=line_of(tree), target=target(self, left), value=self.part(tree, "right"))


def _assign_reference(self: Lowerer, tree: Tree) -> n.Expression:
    left, right = tree.child_by_field_name("left"), tree.child_by_field_name("right")
    if left is None or right is None or left.type != "variable_name" or right.type != "variable_name":
        self.refuse(tree, "a reference to this")
    name, source = text_of(left)[1:], text_of(right)[1:]
    if "this" in (name, source):
        self.refuse(tree, "a reference to $this")
    return n.AssignReference(line=line_of(tree), name=name, source=source)


def _assign_operation(self: Lowerer, tree: Tree) -> n.Expression:
    left, operator = tree.child_by_field_name("left"), tree.child_by_field_name("operator")
    if left is None or operator is None or text_of(operator)[:-1] not in _OPERATORS:
        self.refuse(tree, "this assignment")
    return n.AssignOperation(
        line=line_of(tree),
        operator=text_of(operator)[:-1],
        target=target(self, left),
        value=self.part(tree, "right"),
    )


def _update(self: Lowerer, tree: Tree) -> n.Expression:
    sign = next(text_of(c) for c in tree.children if c.type in ("++", "--"))
    return n.Increment(
        line=line_of(tree),
        target=target(self, children_of(tree)[0]),
        step=1 if sign == "++" else -1,
        prefix=tree.children[0].type in ("++", "--"),
    )


def _closure(self: Lowerer, tree: Tree) -> n.Expression:
    outer, self.function = self.function, CLOSURE
    try:
        return _closure_of(self, tree)
    finally:
        self.function = outer


def _closure_of(self: Lowerer, tree: Tree) -> n.Expression:
    parameters, body = tree.child_by_field_name("parameters"), tree.child_by_field_name("body")
    if parameters is None or body is None:
        self.refuse(tree, "this closure")
    if any(c.type == "reference_modifier" for c in tree.children):
        self.refuse(tree, "a function that returns a reference")
    static = any(c.type == "static_modifier" for c in tree.children)
    names_class = "__class__" in text_of(tree).lower()
    if tree.type == "arrow_function":
        returned = n.Return(line=line_of(body), value=self.expression(body))
        return n.Closure(
            line=line_of(tree),
            parameters=self.parameters(parameters),
            captures=None,
            body=(returned,),
            returns=self.type(tree.child_by_field_name("return_type")),
            static=static,
            names_class=names_class,
        )
    captures: list[str] = []
    shared: list[str] = []
    for clause in of_type(tree, "anonymous_function_use_clause"):
        for variable in children_of(clause):
            name = text_of(variable).lstrip("& \t\n$")
            captures.append(name)
            if variable.type != "variable_name":
                shared.append(name)
    return n.Closure(
        line=line_of(tree),
        parameters=self.parameters(parameters),
        captures=tuple(captures),
        body=self.block(body),
        returns=self.type(tree.child_by_field_name("return_type")),
        shared=tuple(shared),
        static=static,
        names_class=names_class,
    )


def _match(self: Lowerer, tree: Tree) -> n.Expression:
    body = tree.child_by_field_name("body")
    arms = []
    for arm in children_of(body) if body is not None else []:
        conditions = arm.child_by_field_name("conditional_expressions")
        arms.append(
            n.MatchArm(
                line=line_of(arm),
                conditions=tuple(self.expression(c) for c in children_of(conditions)) if conditions else (),
                result=self.part(arm, "return_expression"),
            )
        )
    return n.Match(line=line_of(tree), subject=self.part(tree, "condition"), arms=tuple(arms))


def _throw(self: Lowerer, tree: Tree) -> n.Expression:
    return n.ThrowExpression(line=line_of(tree), exception=self.expression(children_of(tree)[0]))


def _clone(self: Lowerer, tree: Tree) -> n.Expression:
    return n.Clone(line=line_of(tree), operand=self.expression(children_of(tree)[0]))


def _yield(self: Lowerer, tree: Tree) -> n.Expression:
    parts = children_of(tree)
    if text_of(tree.children[0]).lower().startswith("yield") and tree.children[0].type != "yield":
        return n.YieldFrom(line=line_of(tree), source=self.expression(parts[0]))
    given = [self.expression(part) for part in children_of(parts[0])] if parts else []
    key, value = (None, *given)[-2:] if given else (None, None)
    return n.Yield(line=line_of(tree), key=key, value=value)


EXPRESSIONS: dict[str, Lowering] = {
    "integer": _integer,
    "float": _float,
    "boolean": _boolean,
    "null": _null,
    "string": _single_quoted,
    "encapsed_string": _double_quoted,
    "heredoc": _heredoc,
    "nowdoc": _heredoc,
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
    "reference_assignment_expression": _assign_reference,
    "augmented_assignment_expression": _assign_operation,
    "update_expression": _update,
    "arrow_function": _closure,
    "anonymous_function": _closure,
    "match_expression": _match,
    "throw_expression": _throw,
    "clone_expression": _clone,
    "yield_expression": _yield,
}
