"""Every other expression: literals, operators, constants, closures, match. One function a node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bridge.php import access, calls
from bridge.php import nodes as n
from bridge.php.access import value_or_null
from bridge.php.frame import Frame, PhpClosure, stored
from bridge.php.operators import BINARY, Thrown, identical, to_bool, to_float, to_int, type_name
from bridge.php.types import coerce
from bridge.php.values import EnumCase, PhpArray, PhpObject, Value

if TYPE_CHECKING:
    from bridge.php.evaluate import Evaluator


def _literal(php: Evaluator, node: n.Literal) -> Value:
    return node.value


def _unknown(php: Evaluator, node: n.Unknown) -> Value:
    raise node.problem


def _interpolated(php: Evaluator, node: n.Interpolated) -> Value:
    return b"".join([php.text(php.value(part)) for part in node.parts])


def _array(php: Evaluator, node: n.ArrayLiteral) -> Value:
    result = PhpArray()
    for entry in node.entries:
        if entry.spread:
            for key, value in php.iterable(php.value(entry.value)).items():
                if isinstance(key, int):
                    result.append(stored(value))
                else:
                    result[key] = stored(value)
        elif entry.key is None:
            result.append(stored(php.value(entry.value)))
        else:
            index = php.key(php.value(entry.key))
            result[index] = stored(php.value(entry.value))
    return result


def _static_property(php: Evaluator, node: n.StaticProperty) -> Value:
    # Its value may have been changed by anything that ran before in the process.
    php.refuse(f"the static property ${node.name}")


def _class_constant(php: Evaluator, node: n.ClassConstant) -> Value:
    class_name = php.class_of(node.class_name)
    if node.name == "class":
        return class_name.encode()
    if php.classes.find(class_name) is None:
        php.refuse(f"the constant {class_name}::{node.name}")
    if node.name in php.classes.require(class_name).cases:
        return EnumCase(class_name, node.name)
    found = php.classes.constant(class_name, node.name)
    if found is None:
        raise Thrown("Error", f"Undefined constant {class_name}::{node.name}")
    expression, owner = found
    return php.constant_expression(expression, owner, php.classes.require(owner).file)


def _constant(php: Evaluator, node: n.Constant) -> Value:
    if node.name not in php.world.constants:
        php.refuse(f"the constant {node.name}")
    return php.world.constants[node.name]


def _unary(php: Evaluator, node: n.Unary) -> Value:
    value = php.value(node.operand)
    match node.operator:
        case "!":
            return not to_bool(value)
        case "-":
            return BINARY["*"](value, -1)
        case "+":
            return BINARY["*"](value, 1)
    if isinstance(value, bytes):
        php.refuse("~ of a string")
    return ~to_int(value)


def _binary(php: Evaluator, node: n.Binary) -> Value:
    operator = node.operator
    if operator == ".":
        return php.text(php.value(node.left)) + php.text(php.value(node.right))
    if operator == "??":
        value = value_or_null(php, node.left)
        return value if value is not None else php.value(node.right)
    if operator == "&&":
        return to_bool(php.value(node.left)) and to_bool(php.value(node.right))
    if operator == "||":
        return to_bool(php.value(node.left)) or to_bool(php.value(node.right))
    return php.operate(operator, php.value(node.left), php.value(node.right))


def _instance_of(php: Evaluator, node: n.InstanceOf) -> Value:
    return php.is_a(php.value(node.object), php.class_of(node.class_name))


def _ternary(php: Evaluator, node: n.Ternary) -> Value:
    condition = php.value(node.condition)
    if node.then is None:
        return condition if to_bool(condition) else php.value(node.otherwise)
    return php.value(node.then if to_bool(condition) else node.otherwise)


def _cast(php: Evaluator, node: n.Cast) -> Value:
    value = php.value(node.operand)
    match node.kind:
        case "string":
            return php.text(value)
        case "int":
            return to_int(value)
        case "float":
            return to_float(value)
        case "bool":
            return to_bool(value)
        case "array":
            return php.to_array(value)
    if isinstance(value, PhpObject):
        return value
    if isinstance(value, PhpArray):
        entries: dict[int | bytes, Value] = {
            str(k).encode() if isinstance(k, int) else k: stored(v) for k, v in value.items()
        }
        return PhpObject("stdClass", entries)
    return PhpObject("stdClass", {} if value is None else {b"scalar": value})


def _isset(php: Evaluator, node: n.Isset) -> Value:
    return all(value_or_null(php, operand) is not None for operand in node.operands)


def _empty(php: Evaluator, node: n.Empty) -> Value:
    return not to_bool(value_or_null(php, node.operand))


def _closure(php: Evaluator, node: n.Closure) -> Value:
    outer = php.frame
    if node.captures is None:
        captured = dict(outer.variables)
    else:
        captured = {name: stored(outer.variables.get(name)) for name in node.captures}
        if "this" in outer.variables:
            captured["this"] = outer.variables["this"]

    def act(arguments: Sequence[Value]) -> Value:
        frame = Frame(outer.file, dict(captured), outer.this, outer.class_name, outer.static_class)

        def inside() -> Value:
            php.bind(node.parameters, arguments, {})
            return coerce(php, php.body(node.body), node.returns, "return value")

        return php.inside(frame, inside)

    return PhpClosure(act)


def _function_reference(php: Evaluator, node: n.FunctionReference) -> Value:
    call = node.call
    if isinstance(call, n.Call) and isinstance(call.function, str):
        name = call.function
        return PhpClosure(lambda arguments: php.call_function(name, arguments))
    if isinstance(call, n.MethodCall):
        holder, method = php.value(call.object), php.name_of(call.name)
        if isinstance(holder, PhpObject):
            return PhpClosure(lambda arguments: php.call_method(holder, method, arguments))
    php.refuse("this reference to a function")


def _match(php: Evaluator, node: n.Match) -> Value:
    subject = php.value(node.subject)
    default: n.Expression | None = None
    for arm in node.arms:
        if not arm.conditions:
            default = arm.result
        elif any(identical(subject, php.value(condition)) for condition in arm.conditions):
            return php.value(arm.result)
    if default is None:
        raise Thrown("UnhandledMatchError", f"Unhandled match case of type {type_name(subject)}")
    return php.value(default)


def _throw(php: Evaluator, node: n.ThrowExpression) -> Value:
    exception = php.value(node.exception)
    if not isinstance(exception, PhpObject):
        raise Thrown("Error", "Can only throw objects")
    message = exception.get("message", b"")
    raise Thrown(
        exception.class_name,
        message.decode("utf-8", "replace") if isinstance(message, bytes) else "",
        exception,
    )


def _clone(php: Evaluator, node: n.Clone) -> Value:
    value = php.value(node.operand)
    if not isinstance(value, PhpObject) or isinstance(value, PhpClosure):
        php.refuse("clone of this")
    if value.class_name != "stdClass":
        if php.world.native(value.class_name) is not None:
            php.refuse(f"clone of {value.class_name}")
        if php.classes.method(value.class_name, "__clone") is not None:
            php.refuse(f"__clone of {value.class_name}")
    return PhpObject(value.class_name, {k: stored(v) for k, v in value.properties.items()})


EXPRESSIONS: dict[type[n.Expression], Callable[[Evaluator, Any], Value]] = {
    n.Literal: _literal,
    n.Unknown: _unknown,
    n.Interpolated: _interpolated,
    n.ArrayLiteral: _array,
    n.Variable: access.variable,
    n.Property: access.property,
    n.StaticProperty: _static_property,
    n.ClassConstant: _class_constant,
    n.Constant: _constant,
    n.Index: access.index,
    n.Call: calls.call,
    n.MethodCall: calls.method_call,
    n.StaticCall: calls.static_call,
    n.New: calls.new,
    n.Unary: _unary,
    n.Binary: _binary,
    n.InstanceOf: _instance_of,
    n.Ternary: _ternary,
    n.Cast: _cast,
    n.Isset: _isset,
    n.Empty: _empty,
    n.Assign: access.assign,
    n.AssignOperation: access.assign_operation,
    n.Increment: access.increment,
    n.Closure: _closure,
    n.FunctionReference: _function_reference,
    n.Match: _match,
    n.ThrowExpression: _throw,
    n.Clone: _clone,
}
