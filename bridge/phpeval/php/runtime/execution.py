"""Running code: a function in its frame, an expression, a PHP function written in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.errors import BridgeError, Refused
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.arguments import bind, hand_back, promote
from bridge.phpeval.php.runtime.class_table import BoundMethod
from bridge.phpeval.php.runtime.frame import MAX_STRING, Frame
from bridge.phpeval.php.runtime.interpreter import (
    MAX_CALLS,
    ExprCode,
    Function,
    Interpreter,
    ReferenceFunction,
    Routine,
)
from bridge.phpeval.php.runtime.operators import Thrown
from bridge.phpeval.php.runtime.type_declarations import coerce
from bridge.phpeval.php.runtime.values import EnumCase, PhpObject, Value


def enter(
    php: Interpreter, frame: Frame, routine: Routine, arguments: Sequence[Value], named: Mapping[str, Value]
) -> Value:
    """What the function returns, called in that frame."""
    if php.depth >= MAX_CALLS:
        php.refuse("a recursion this deep")
    outer, line = php.frame, php.line
    php.frame = frame
    frame.parameters, frame.arguments = routine.names, None if named else arguments
    php.depth += 1
    try:
        if routine.parameters or named:
            bind(php, routine.parameters, arguments, named)
            if routine.promotes:
                promote(php, routine.parameters)
        value = routine.body(php)
        if routine.returns is not None:
            value = coerce(php, value, routine.returns, "return value", strict=frame.strict)
        return value
    except Refused as refusal:
        if refusal.file:
            raise
        raise Refused(refusal.reason, file=frame.file, line=php.line) from refusal
    except Thrown as thrown:
        thrown.leaves(frame.file, php.line)
        raise
    except BridgeError:
        raise
    except RecursionError:  # Python's frames end before MAX_CALLS where expressions are deep
        php.refuse("a recursion this deep")
    except Exception as problem:
        php.refuse(f"something that ends in {type(problem).__name__}")
    finally:
        if routine.references.rest is not None:
            hand_back(php, routine, arguments)
        php.frame, php.line = outer, line
        php.depth -= 1


def run(
    php: Interpreter,
    bound: BoundMethod,
    this: PhpObject | EnumCase | None,
    static_class: str,
    arguments: Sequence[Value],
    named: Mapping[str, Value],
) -> Value:
    method = bound.method
    routine = php.routine(method)
    variables: dict[str, Value] = {}
    if method.static:
        this = None
    elif this is not None:
        variables["this"] = this
    held = this if isinstance(this, PhpObject) else None
    frame = Frame(method.file, variables, held, bound.owner, static_class, method.name, method.strict)
    return enter(php, frame, routine, arguments, named)


def inside(php: Interpreter, frame: Frame, act: ExprCode) -> Value:
    """What `act` gives in that frame."""
    return enter(php, frame, Routine(parameters=(), body=act, returns=None), (), {})


def expression(php: Interpreter, expression: n.Expression, frame: Frame) -> Value:
    """The value of an expression in that frame."""

    def act(php: Interpreter) -> Value:
        steps, code = php.compiled(expression)
        php.charge(steps)
        return code(php)

    return php.inside(frame, act)


def constant_expression(php: Interpreter, expression: n.Expression, class_name: str, file: str) -> Value:
    """A default value or constant of a class."""
    return php.expression(expression, Frame(file, {}, None, class_name, class_name))


def call_function(php: Interpreter, name: str, arguments: Sequence[Value], *, strict: bool = False) -> Value:
    function = php.environment.functions.get(name)
    if function is None:
        php.refuse(f"the function {name}()")
    return apply(php, function, arguments, strict=strict)


def apply(
    php: Interpreter, function: Function | ReferenceFunction, arguments: Sequence[Value], *, strict: bool
) -> Value:
    """`strict`: whether the call stands in a file with strict_types."""
    if isinstance(function, ReferenceFunction):
        return apply_reference(php, function, arguments, strict=strict)[0]
    php.strict = strict
    outer, php.applied = php.applied, php.frame
    try:
        result = function(php, arguments)
    finally:
        php.applied = outer
    if isinstance(result, bytes) and len(result) > MAX_STRING:
        php.refuse("a string this long")
    return result


def apply_reference(
    php: Interpreter, function: ReferenceFunction, arguments: Sequence[Value], *, strict: bool
) -> tuple[Value, Mapping[int, Value]]:
    """The result, and the new values of the arguments by reference."""
    php.strict = strict
    outer, php.applied = php.applied, php.frame
    try:
        return function.act(php, arguments)
    finally:
        php.applied = outer
