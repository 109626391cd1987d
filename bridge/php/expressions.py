"""Every other expression: literals, operators, constants, closures, match. One function a node, which
compiles it (see `compile`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bridge.php import access, calls
from bridge.php import nodes as n
from bridge.php.frame import MAX_STRING, Frame, PhpClosure, stored
from bridge.php.operators import BINARY, Thrown, identical, to_bool, to_float, to_int, type_name
from bridge.php.values import PhpArray, PhpObject, Value

if TYPE_CHECKING:
    from bridge.php.compile import Code, Compiler
    from bridge.php.evaluate import Evaluator

_put = dict.__setitem__  # past PhpArray's, for an array whose next index nobody has asked for


def _literal(c: Compiler, node: n.Literal) -> Code:
    value = node.value
    return lambda php: value


def _unknown(c: Compiler, node: n.Unknown) -> Code:
    def run(php: Evaluator) -> Value:
        raise node.problem

    return run


def _interpolated(c: Compiler, node: n.Interpolated) -> Code:
    line, parts = node.line, [c.value(part) for part in node.parts]

    def run(php: Evaluator) -> Value:
        text = b"".join([php.text(part(php)) for part in parts])
        return _checked(php, text, line)

    return run


def _checked(php: Evaluator, text: bytes, line: int) -> bytes:
    if len(text) > MAX_STRING:
        php.line = line
        php.refuse("a string this long")
    return text


def _array(c: Compiler, node: n.ArrayLiteral) -> Code:
    keys = c.keys(node.entries)
    if keys is None:
        return _array_of_any_keys(c, node)
    constants = PhpArray()
    parts: list[tuple[int | bytes, Code, bool]] = []
    for key, entry in zip(keys, node.entries, strict=True):
        code, known = c.value(entry.value), c.constant(entry.value)
        constants[key] = None
        if known is None or isinstance(known, bool | int | float | bytes):
            constants[key] = known
        else:
            parts.append((key, code, isinstance(entry.value, n.ArrayLiteral)))
    if len(constants) < len(keys):  # a key twice: the last one counts, but all are evaluated
        return _array_of_any_keys(c, node)

    def run(php: Evaluator) -> Value:
        result = PhpArray(constants)
        for key, code, is_new in parts:
            value = code(php)
            _put(result, key, value if is_new else stored(value))
        return result

    return run


def _array_of_any_keys(c: Compiler, node: n.ArrayLiteral) -> Code:
    line = node.line
    entries = [
        (entry.spread, None if entry.key is None else c.value(entry.key), c.value(entry.value))
        for entry in node.entries
    ]

    def run(php: Evaluator) -> Value:
        result = PhpArray()
        for spread, key_code, code in entries:
            if spread:
                for key, value in php.iterable(code(php)).items():
                    if isinstance(key, int):
                        result.append(stored(value))
                    else:
                        result[key] = stored(value)
            elif key_code is None:
                result.append(stored(code(php)))
            else:
                key_value = key_code(php)
                php.line = line
                index = php.key(key_value)
                result[index] = stored(code(php))
        return result

    return run


def _static_property(c: Compiler, node: n.StaticProperty) -> Code:
    def run(php: Evaluator) -> Value:
        # Its value may have been changed by anything that ran before in the process.
        php.line = node.line
        php.refuse(f"the static property ${node.name}")

    return run


def _class_constant(c: Compiler, node: n.ClassConstant) -> Code:
    line, name, class_of = node.line, node.name, c.class_name(node.class_name)
    if name == "class":
        return lambda php: class_of(php).encode()

    def run(php: Evaluator) -> Value:
        php.line = line
        return php.class_constant(class_of(php), name)

    return run


def _constant(c: Compiler, node: n.Constant) -> Code:
    line, name = node.line, node.name

    def run(php: Evaluator) -> Value:
        constants = php.world.constants
        if name not in constants:
            php.line = line
            php.refuse(f"the constant {name}")
        return constants[name]

    return run


def _unary(c: Compiler, node: n.Unary) -> Code:
    line, operand = node.line, c.value(node.operand)
    match node.operator:
        case "!":
            return lambda php: not to_bool(operand(php))
        case "-":
            return lambda php: BINARY["*"](operand(php), -1)
        case "+":
            return lambda php: BINARY["*"](operand(php), 1)

    def run(php: Evaluator) -> Value:
        value = operand(php)
        if isinstance(value, bytes):
            php.line = line
            php.refuse("~ of a string")
        return ~to_int(value)

    return run


def _binary(c: Compiler, node: n.Binary) -> Code:
    line, operator, right = node.line, node.operator, c.value(node.right)
    if operator == "??":
        quiet = c.quiet(node.left)

        def coalesce(php: Evaluator) -> Value:
            value = quiet(php)
            return value if value is not None else right(php)

        return coalesce
    left = c.value(node.left)
    match operator:
        case ".":

            def concatenate(php: Evaluator) -> Value:
                text = php.text(left(php)) + php.text(right(php))
                return _checked(php, text, line)

            return concatenate
        case "&&":
            return lambda php: to_bool(left(php)) and to_bool(right(php))
        case "||":
            return lambda php: to_bool(left(php)) or to_bool(right(php))
        case "===":
            return lambda php: identical(left(php), right(php))
        case "!==":
            return lambda php: not identical(left(php), right(php))

    def operate(php: Evaluator) -> Value:
        one, other = left(php), right(php)
        php.line = line
        return php.operate(operator, one, other)

    return operate


def _instance_of(c: Compiler, node: n.InstanceOf) -> Code:
    line, value, class_of = node.line, c.value(node.object), c.class_name(node.class_name)

    def run(php: Evaluator) -> Value:
        held = value(php)
        php.line = line
        return php.is_a(held, class_of(php))

    return run


def _ternary(c: Compiler, node: n.Ternary) -> Code:
    condition, otherwise = c.value(node.condition), c.value(node.otherwise)
    if node.then is None:

        def elvis(php: Evaluator) -> Value:
            value = condition(php)
            return value if to_bool(value) else otherwise(php)

        return elvis
    then = c.value(node.then)
    if _asks_for_release(node.condition):

        def either(php: Evaluator) -> Value:
            value = then(php)
            if type(value) not in (int, bytes) or value != otherwise(php):
                condition(php)  # is refused
            return value

        return either
    return lambda php: then(php) if to_bool(condition(php)) else otherwise(php)


def _asks_for_release(condition: n.Expression) -> bool:
    """Whether it compares PHP's release, which is not known, with a literal."""
    match condition:
        case n.Binary(left=n.Constant(name="PHP_VERSION_ID"), right=n.Literal()):
            return True
    return False


def _cast(c: Compiler, node: n.Cast) -> Code:
    line, operand, cast = node.line, c.value(node.operand), _CASTS[node.kind]

    def run(php: Evaluator) -> Value:
        value = operand(php)
        php.line = line
        return cast(php, value)

    return run


def _to_object(php: Evaluator, value: Value) -> Value:
    if isinstance(value, PhpObject):
        return value
    if isinstance(value, PhpArray):
        entries: dict[int | bytes, Value] = {
            str(k).encode() if isinstance(k, int) else k: stored(v) for k, v in value.items()
        }
        return PhpObject("stdClass", entries)
    return PhpObject("stdClass", {} if value is None else {b"scalar": value})


_CASTS: dict[str, Callable[[Evaluator, Value], Value]] = {
    "string": lambda php, value: php.text(value),
    "int": lambda php, value: to_int(value),
    "float": lambda php, value: to_float(value),
    "bool": lambda php, value: to_bool(value),
    "array": lambda php, value: php.to_array(value),
    "object": _to_object,
}


def _isset(c: Compiler, node: n.Isset) -> Code:
    operands = [c.quiet(operand) for operand in node.operands]
    return lambda php: all(operand(php) is not None for operand in operands)


def _empty(c: Compiler, node: n.Empty) -> Code:
    operand = c.quiet(node.operand)
    return lambda php: not to_bool(operand(php))


def _closure(c: Compiler, node: n.Closure) -> Code:
    routine, captures = c.routine(node.parameters, node.body, node.returns), node.captures

    def run(php: Evaluator) -> Value:
        outer = php.frame
        if captures is None:
            captured = dict(outer.variables)
        else:
            captured = {name: stored(outer.variables.get(name)) for name in captures}
            if "this" in outer.variables:
                captured["this"] = outer.variables["this"]

        def act(arguments: Sequence[Value]) -> Value:
            frame = Frame(outer.file, dict(captured), outer.this, outer.class_name, outer.static_class)
            return php.enter(frame, routine, arguments, {})

        return PhpClosure(act)

    return run


def _function_reference(c: Compiler, node: n.FunctionReference) -> Code:
    call, line = node.call, node.line
    if isinstance(call, n.Call) and isinstance(call.function, str):
        function = call.function
        return lambda php: PhpClosure(lambda arguments: php.call_function(function, arguments))
    if isinstance(call, n.MethodCall):
        subject, name_of = c.value(call.object), c.name(call.name)

        def run(php: Evaluator) -> Value:
            holder, method = subject(php), name_of(php)
            if isinstance(holder, PhpObject):
                return PhpClosure(lambda arguments: php.call_method(holder, method, arguments))
            php.line = line
            php.refuse("this reference to a function")

        return run

    def refuse(php: Evaluator) -> Value:
        php.line = line
        php.refuse("this reference to a function")

    return refuse


def _match(c: Compiler, node: n.Match) -> Code:
    subject = c.value(node.subject)
    arms = [([c.value(one) for one in arm.conditions], c.value(arm.result)) for arm in node.arms]
    cases = [(condition, result) for conditions, result in arms for condition in conditions]
    default = next((result for conditions, result in reversed(arms) if not conditions), None)

    def run(php: Evaluator) -> Value:
        value = subject(php)
        for condition, result in cases:
            if identical(value, condition(php)):
                return result(php)
        if default is None:
            raise Thrown("UnhandledMatchError", f"Unhandled match case of type {type_name(value)}")
        return default(php)

    return run


def _throw(c: Compiler, node: n.ThrowExpression) -> Code:
    code = c.value(node.exception)

    def run(php: Evaluator) -> Value:
        exception = code(php)
        if not isinstance(exception, PhpObject):
            raise Thrown("Error", "Can only throw objects")
        message = exception.get("message", b"")
        raise Thrown(
            exception.class_name,
            message.decode("utf-8", "replace") if isinstance(message, bytes) else "",
            exception,
        )

    return run


def _clone(c: Compiler, node: n.Clone) -> Code:
    line, operand = node.line, c.value(node.operand)

    def run(php: Evaluator) -> Value:
        value = operand(php)
        php.line = line
        if not isinstance(value, PhpObject) or isinstance(value, PhpClosure):
            php.refuse("clone of this")
        if value.class_name != "stdClass":
            if php.world.native(value.class_name) is not None:
                php.refuse(f"clone of {value.class_name}")
            if php.classes.method(value.class_name, "__clone") is not None:
                php.refuse(f"__clone of {value.class_name}")
        return PhpObject(value.class_name, {k: stored(v) for k, v in value.properties.items()})

    return run


EXPRESSIONS: dict[type[n.Expression], Callable[[Compiler, Any], Code]] = {
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
