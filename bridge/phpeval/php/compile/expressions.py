"""Every other expression: literals, operators, constants, closures, match. One function a node,
which compiles it (see `compiler`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.phpeval.php import ast as n
from bridge.phpeval.php.compile import calls, places
from bridge.phpeval.php.compile.compiler import Compiler, ExprCode
from bridge.phpeval.php.runtime.after_warning import go_on, is_missing, undefined, value_or_null
from bridge.phpeval.php.runtime.callables import (
    as_closure,
    function_reference,
    method_reference,
    static_reference,
)
from bridge.phpeval.php.runtime.conversions import operate, unpacked
from bridge.phpeval.php.runtime.conversions import to_object as _to_object
from bridge.phpeval.php.runtime.execution import enter
from bridge.phpeval.php.runtime.frame import MAX_STRING, Frame, PhpClosure, Reference, shared_reference
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.object_model import class_constant, name_of_class
from bridge.phpeval.php.runtime.operators import (
    BINARY,
    Thrown,
    identical,
    to_bool,
    to_float,
    to_int,
    type_name,
    warn,
)
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.runtime.visibility import may_not_reach

_NONE: Mapping[str, Value] = {}


_put = dict.__setitem__  # past PhpArray's, for an array whose next index nobody has asked for


def _literal(c: Compiler, node: n.Literal) -> ExprCode:
    value = node.value
    return lambda php: value


def _unknown(c: Compiler, node: n.Unsupported) -> ExprCode:
    def run(php: Interpreter) -> Value:
        raise node.problem.anew()

    return run


def _interpolated(c: Compiler, node: n.Interpolated) -> ExprCode:
    line, parts = node.line, [c.value(part) for part in node.parts]

    def run(php: Interpreter) -> Value:
        text = b"".join([php.text(part(php)) for part in parts])
        return _checked(php, text, line)

    return run


def _checked(php: Interpreter, text: bytes, line: int) -> bytes:
    if len(text) > MAX_STRING:
        php.line = line
        php.refuse("a string this long")
    return text


def _array(c: Compiler, node: n.ArrayLiteral) -> ExprCode:
    keys = c.keys(node.entries)
    if keys is None:
        return _array_of_any_keys(c, node)
    constants = PhpArray()
    parts: list[tuple[int | bytes, ExprCode]] = []
    for key, entry in zip(keys, node.entries, strict=True):
        code, known = c.value(entry.value), c.constant(entry.value)
        constants[key] = None
        if known is None or isinstance(known, bool | int | float | bytes):
            constants[key] = known
        else:
            parts.append((key, code))
    if len(constants) < len(keys):  # a key twice: the last one counts, but all are evaluated
        return _array_of_any_keys(c, node)

    def run(php: Interpreter) -> Value:
        result = PhpArray(constants)
        for key, code in parts:
            _put(result, key, code(php))
        return result

    return run


def _array_of_any_keys(c: Compiler, node: n.ArrayLiteral) -> ExprCode:
    line = node.line
    entries = [
        (
            entry.spread,
            None if entry.key is None else c.value(entry.key),
            c.value(entry.value),
            isinstance(entry.key, n.Variable),
            places.variable_name(entry.value) if entry.spread else None,
        )
        for entry in node.entries
    ]

    def run(php: Interpreter) -> Value:
        result = PhpArray()
        for spread, key_code, code, late, name in entries:
            if spread:
                if is_missing(php, name):
                    php.refuse("an undefined variable that is unpacked")
                for key, value in unpacked(php, code(php)):
                    if type(key) is int:
                        result.append(value)
                    elif isinstance(key, bytes):
                        result[key] = value
                    else:
                        raise Thrown("Error", "Keys must be of type int|string during array unpacking")
            elif key_code is None:
                result.append(code(php))
            else:
                key_value = None if late else key_code(php)
                value = code(php)
                if late:
                    key_value = key_code(php)
                php.line = line
                result[php.key(key_value)] = value
        return result

    return run


def _static_property(c: Compiler, node: n.StaticProperty) -> ExprCode:
    def run(php: Interpreter) -> Value:
        # Its value may have been changed by anything that ran before in the process.
        php.line = node.line
        php.refuse(f"the static property ${node.name}")

    return run


def _class_constant(c: Compiler, node: n.ClassConstant) -> ExprCode:
    line, name, class_of = node.line, node.name, c.class_name(node.class_name)
    if name == "class":
        return lambda php: name_of_class(php, class_of(php))
    name_of = c.name(name)

    def run(php: Interpreter) -> Value:
        php.line = line
        class_name, constant = class_of(php), name_of(php)
        php.line = line
        if constant == "class":
            return name_of_class(php, class_name)
        return class_constant(php, class_name, constant, visible=True)

    return run


def _constant(c: Compiler, node: n.Constant) -> ExprCode:
    line, name = node.line, node.name

    def run(php: Interpreter) -> Value:
        constants = php.environment.constants
        if name not in constants:
            php.line = line
            php.refuse(f"the constant {name}")
        return constants[name]

    return run


def _unary(c: Compiler, node: n.Unary) -> ExprCode:
    line, operand, name = node.line, c.value(node.operand), places.variable_name(node.operand)
    match node.operator:
        case "!":
            return lambda php: not to_bool(operand(php))
        case "-":
            return lambda php: BINARY["*"](operand(php), -1)
        case "+":
            return lambda php: BINARY["*"](operand(php), 1)

    def run(php: Interpreter) -> Value:
        php.line = line
        if is_missing(php, name):
            php.refuse("~ of an undefined variable")
        value = operand(php)
        if isinstance(value, bytes):
            php.line = line
            php.refuse("~ of a string")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Thrown("TypeError", f"Cannot perform bitwise not on {type_name(value)}")
        return ~to_int(value)

    return run


def _binary(c: Compiler, node: n.Binary) -> ExprCode:
    line, operator = node.line, node.operator
    if operator == "??":
        return _coalesce(c, node)
    right = c.branching(node.right) if operator in ("&&", "||") else c.value(node.right)
    left = c.value(node.left)
    if operator in ("%", "/", "<<", ">>") and (
        places.variable_name(node.left) or places.variable_name(node.right)
    ):
        return _division(node, left, right)
    if (
        isinstance(node.left, n.Variable)
        and operator not in ("&&", "||")
        and not isinstance(node.right, n.Variable | n.Literal)
    ):
        return _with_late_left(operator, line, left, right)
    match operator:
        case ".":

            def concatenate(php: Interpreter) -> Value:
                one, other = left(php), right(php)
                return _concatenated(php, one, other, line)

            return concatenate
        case "&&":
            return lambda php: to_bool(left(php)) and to_bool(right(php))
        case "||":
            return lambda php: to_bool(left(php)) or to_bool(right(php))
        case "===":
            return lambda php: identical(left(php), right(php))
        case "!==":
            return lambda php: not identical(left(php), right(php))

    def run(php: Interpreter) -> Value:
        one, other = left(php), right(php)
        php.line = line
        return operate(php, operator, one, other)

    return run


def _coalesce(c: Compiler, node: n.Binary) -> ExprCode:
    right, silent, there = c.branching(node.right), c.silent(node.left), c.branch()

    def run(php: Interpreter) -> Value:
        value = silent(php)
        if value is None:
            return right(php)
        php.path.add(there)
        return value

    return run


def _concatenated(php: Interpreter, left: Value, right: Value, line: int) -> bytes:
    if type(left) is not bytes:
        left = php.text(left)
    return _checked(php, left + php.text(right), line)


def _with_late_left(operator: str, line: int, left: ExprCode, right: ExprCode) -> ExprCode:
    """An operator whose left side is a variable, which PHP reads once the right side is known."""

    def run(php: Interpreter) -> Value:
        other = right(php)
        one = left(php)
        php.line = line
        if operator == ".":
            return _concatenated(php, one, other, line)
        return operate(php, operator, one, other)

    return run


def _division(node: n.Binary, left: ExprCode, right: ExprCode) -> ExprCode:
    """An operator that may fail for its values, with a variable as an operand: where that is not defined, PHP
    goes on with null."""
    line, operator = node.line, node.operator
    left_name, right_name = places.variable_name(node.left), places.variable_name(node.right)

    def run(php: Interpreter) -> Value:
        if left_name is None:
            one = left(php)
            other = value_or_null(php, right_name, right)
        else:  # which PHP reads last
            other = value_or_null(php, right_name, right)
            one = value_or_null(php, left_name, left)
        php.line = line
        for name in (left_name, right_name):
            if is_missing(php, name):
                go_on(undefined(name), lambda: operate(php, operator, one, other))
        return operate(php, operator, one, other)

    return run


def _instance_of(c: Compiler, node: n.InstanceOf) -> ExprCode:
    line, value, class_of = node.line, c.value(node.object), c.class_name(node.class_name)

    def run(php: Interpreter) -> Value:
        held = value(php)
        php.line = line
        return php.is_a(held, class_of(php))

    return run


def _ternary(c: Compiler, node: n.Ternary) -> ExprCode:
    condition, otherwise = c.value(node.condition), c.branching(node.otherwise)
    if node.then is None:
        kept = c.branch()

        def elvis(php: Interpreter) -> Value:
            value = condition(php)
            if not to_bool(value):
                return otherwise(php)
            php.path.add(kept)
            return value

        return elvis
    then = c.branching(node.then)
    if _asks_for_release(node.condition):

        def either(php: Interpreter) -> Value:
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


def _cast(c: Compiler, node: n.Cast) -> ExprCode:
    line, operand, cast = node.line, c.value(node.operand), _CASTS[node.kind]

    def run(php: Interpreter) -> Value:
        value = operand(php)
        php.line = line
        return cast(php, value)

    return run


_CASTS: dict[str, Callable[[Interpreter, Value], Value]] = {
    "string": lambda php, value: php.text(value),
    "int": lambda php, value: to_int(value),
    "float": lambda php, value: to_float(value),
    "bool": lambda php, value: to_bool(value),
    "array": lambda php, value: php.to_array(value),
    "object": _to_object,
}


def _isset(c: Compiler, node: n.Isset) -> ExprCode:
    operands = [c.is_set(operand) for operand in node.operands]
    if len(operands) == 1:
        return operands[0]
    return lambda php: all(operand(php) for operand in operands)


def _empty(c: Compiler, node: n.Empty) -> ExprCode:
    if isinstance(node.operand, n.Property):
        return places.is_empty_property(c, node.operand)
    operand = c.silent(node.operand)
    return lambda php: not to_bool(operand(php))


def _closure(c: Compiler, node: n.Closure) -> ExprCode:
    outer_shared, outer_closure = c.shared, c.in_closure
    c.in_closure = True
    c.shared = frozenset(node.shared) if node.captures is not None else frozenset()
    routine = c.routine(node.parameters, node.body, node.returns)
    c.shared, c.in_closure = outer_shared, outer_closure
    captures, shared, static, line = node.captures, node.shared, node.static, node.line
    # A generator gets static variables of its own.
    bindable = not static and not node.names_class and not c.nodes.is_generator(node.body)

    def captured_by(php: Interpreter, variables: dict[str, Value]) -> dict[str, Value]:
        if captures is None:
            captured = {name: _plain(held) for name, held in variables.items()}
        else:
            captured = {}
            for name in captures:
                if name in shared:
                    captured[name] = shared_reference(variables, name)
                elif name in variables:
                    captured[name] = _plain(variables[name])
                else:
                    php.line = line
                    raise warn(f"Undefined variable ${name}")
            if "this" in variables:
                captured["this"] = variables["this"]
        if static:
            captured.pop("this", None)
        return captured

    def run(php: Interpreter) -> Value:
        outer, strict = php.frame, php.frame.strict
        captured = captured_by(php, outer.variables)
        statics: dict[str, Reference] = {}

        def bound(this: PhpObject | None, class_name: str, static_class: str) -> PhpClosure:
            variables = captured if this is None or this is outer.this else {**captured, "this": this}

            def act(arguments: Sequence[Value], named: Mapping[str, Value] = _NONE) -> Value:
                frame = Frame(
                    outer.file, dict(variables), this, class_name, static_class, "{closure}", strict, statics
                )  # fmt: skip
                return enter(php, frame, routine, arguments, named)

            return PhpClosure(act, routine.references, act, rebound if bindable else None)

        def rebound(this: PhpObject) -> PhpClosure:
            return bound(this, this.class_name, this.class_name)

        return bound(None if static else outer.this, outer.class_name, outer.static_class)

    return run


def _plain(held: Any) -> Value:
    value: Value = held.value if isinstance(held, Reference) else held
    return value


def _function_reference(c: Compiler, node: n.FunctionReference) -> ExprCode:
    call, line = node.call, node.line
    if isinstance(call, n.Call):
        if isinstance(call.function, str):
            function = call.function

            def run_function(php: Interpreter) -> Value:
                php.line = line
                return function_reference(php, function)

            return run_function
        callback_of = c.value(call.function)

        def run_callback(php: Interpreter) -> Value:
            callback = callback_of(php)
            php.line = line
            return as_closure(php, callback)

        return run_callback
    if isinstance(call, n.MethodCall):
        subject, name_of = c.value(call.object), c.name(call.name)

        def run(php: Interpreter) -> Value:
            holder, method = subject(php), name_of(php)
            php.line = line
            return method_reference(php, holder, method)

        return run
    class_of, static_name, relative = (
        c.class_name(call.class_name),
        c.name(call.name),
        calls.is_relative(call),
    )

    def run_static(php: Interpreter) -> Value:
        php.line = line
        return static_reference(php, class_of(php), static_name(php), relative)

    return run_static


def _match(c: Compiler, node: n.Match) -> ExprCode:
    subject, name = c.value(node.subject), places.variable_name(node.subject)
    late = isinstance(node.subject, n.Variable) and not all(
        places.is_steady(one) for arm in node.arms for one in arm.conditions
    )
    arms = [([c.value(one) for one in arm.conditions], c.branching(arm.result)) for arm in node.arms]
    cases = [(condition, result) for conditions, result in arms for condition in conditions]
    default = next((result for conditions, result in reversed(arms) if not conditions), None)

    def run(php: Interpreter) -> Value:
        if is_missing(php, name):
            if not cases:
                php.refuse("a match of an undefined variable")
            cases[0][0](php)
            subject(php)
            php.refuse("a match over a variable that its first condition defines")
        value = subject(php)
        for condition, result in cases:
            wanted = condition(php)
            if identical(subject(php) if late else value, wanted):
                return result(php)
        if default is None:
            raise Thrown("UnhandledMatchError", f"Unhandled match case of type {type_name(value)}")
        return default(php)

    return run


def _throw(c: Compiler, node: n.ThrowExpression) -> ExprCode:
    code = c.value(node.exception)

    def run(php: Interpreter) -> Value:
        exception = code(php)
        if not isinstance(exception, PhpObject):
            raise Thrown("Error", "Can only throw objects")
        if php.classes.is_a(exception.class_name, "Throwable") is False:
            raise Thrown("Error", "Cannot throw objects that do not implement Throwable")
        message = exception.get("message", b"")
        raise Thrown(
            exception.class_name,
            message.decode("utf-8", "replace") if isinstance(message, bytes) else "",
            exception,
        )

    return run


def _yield(c: Compiler, node: n.Yield | n.YieldFrom) -> ExprCode:
    """One that `generators` does not know; it stands in no generator function, or deep in an expression."""
    line = node.line

    def refuse(php: Interpreter) -> Value:
        php.line = line
        php.refuse("a yield in this place")

    return refuse


def _clone(c: Compiler, node: n.Clone) -> ExprCode:
    line, operand = node.line, c.value(node.operand)

    def run(php: Interpreter) -> Value:
        value = operand(php)
        php.line = line
        if isinstance(value, EnumCase):
            raise Thrown("Error", f"Trying to clone an uncloneable object of class {value.class_name}")
        if not isinstance(value, PhpObject):
            raise Thrown("Error", "__clone method called on non-object")
        name = value.class_name
        if isinstance(value, PhpClosure) or (name != "stdClass" and not php.is_plain(name)):
            php.refuse(f"clone of {name}")
        php.copies += 1
        twin = PhpObject(name, {k: v for k, v in value.properties.items()})
        own = None if name == "stdClass" else php.classes.method(name, "__clone")
        if own is not None:
            hidden = may_not_reach(php, own.method.visibility, name, own.owner)
            if hidden:
                raise Thrown("Error", f"Call to {hidden} {name}::__clone() from this scope")
            php.run(own, twin, name, (), {})
        return twin

    return run


EXPRESSIONS: dict[type[n.Expression], Callable[[Compiler, Any], ExprCode]] = {
    n.Literal: _literal,
    n.Unsupported: _unknown,
    n.Interpolated: _interpolated,
    n.ArrayLiteral: _array,
    n.Variable: places.variable,
    n.Property: places.property,
    n.StaticProperty: _static_property,
    n.ClassConstant: _class_constant,
    n.Constant: _constant,
    n.Index: places.index,
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
    n.Assign: places.assign,
    n.AssignReference: places.assign_reference,
    n.AssignOperation: places.assign_operation,
    n.Increment: places.increment,
    n.Closure: _closure,
    n.FunctionReference: _function_reference,
    n.Match: _match,
    n.ThrowExpression: _throw,
    n.Clone: _clone,
    n.Yield: _yield,
    n.YieldFrom: _yield,
}
