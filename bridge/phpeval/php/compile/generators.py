"""Generator functions: statements that contain a `yield` become Python generators, others stay functions.

A `yield` may be a statement, the value that is assigned or returned; elsewhere it is refused, as it is
between `try` and `finally`, which PHP runs when the generator is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from bridge.phpeval.php import ast as n
from bridge.phpeval.php.compile.compiler import Compiler, ExprCode, StmtCode, StoreCode
from bridge.phpeval.php.runtime.conversions import pairs
from bridge.phpeval.php.runtime.frame import Return, ends_loop, left
from bridge.phpeval.php.runtime.generators import AUTOMATIC, PhpGenerator, Yielding
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.object_model import catches
from bridge.phpeval.php.runtime.operators import Thrown, to_bool

Steps: TypeAlias = "Callable[[Interpreter], Yielding]"


def is_generator(part: object) -> bool:
    """Whether the code contains a `yield` of its own. Closures inside have their own."""
    match part:
        case n.Yield() | n.YieldFrom():
            return True
        case n.Closure():
            return False
        case tuple():
            return any(map(is_generator, part))
        case n.Node():
            return any(is_generator(getattr(part, name)) for name in part.__slots__)
    return False


def body(c: Compiler, statements: tuple[n.Statement, ...]) -> ExprCode:
    """What calling the function gives."""
    steps = _block(c, statements)
    return lambda php: PhpGenerator(php, steps(php))


def _block(c: Compiler, statements: tuple[n.Statement, ...]) -> Steps:
    here = c.branch()
    parts: list[tuple[int, int, StmtCode | None, Steps | None]] = []
    for statement in statements:
        outer, c.steps = c.steps, 1
        if is_generator(statement):
            compiled = _STATEMENTS.get(type(statement), _refused)
            parts.append((statement.line, c.steps, None, compiled(c, statement)))
        else:
            act = c.statements((statement,))
            parts.append((statement.line, 0, act, None))
        c.steps = outer

    def run(php: Interpreter) -> Yielding:
        php.path.add(here)
        for line, cost, act, steps in parts:
            php.line = line
            php.charge(cost)
            completion = act(php) if act is not None else (yield from steps(php))  # type: ignore[misc]
            if completion is not None:
                return completion
        return None

    return run


def _refused(c: Compiler, node: n.Node) -> Steps:
    line = node.line

    def run(php: Interpreter) -> Yielding:
        php.line = line
        php.refuse("a yield in this place")
        yield None, None, False

    return run


# ---- yields ---------------------------------------------------------------------------------


def _result(c: Compiler, node: n.Expression) -> Callable[[Interpreter], Any]:
    """What gives the value of the `yield` itself, as a Python generator."""
    match node:
        case n.Yield(key=key, value=value) if not is_generator((key, value)):
            return _yield(c, node)
        case n.YieldFrom(source=source) if not is_generator(source):
            return _yield_from(c, node)
    return _refused(c, node)


def _yield(c: Compiler, node: n.Yield) -> Callable[[Interpreter], Any]:
    key_of = None if node.key is None else c.value(node.key)
    value_of = None if node.value is None else c.value(node.value)
    line = node.line

    def run(php: Interpreter) -> Any:
        key: Any = AUTOMATIC if key_of is None else key_of(php)
        sent = yield key, None if value_of is None else value_of(php), True
        php.line = line
        return sent

    return run


def _yield_from(c: Compiler, node: n.YieldFrom) -> Callable[[Interpreter], Any]:
    source_of, line = c.value(node.source), node.line

    def run(php: Interpreter) -> Any:
        source = source_of(php)
        php.line = line
        if isinstance(source, PhpGenerator):
            while (item := source.item(php)) is not None:
                sent = yield *item, False
                php.line = line
                if sent is None:
                    source.next(php)
                else:
                    source.send(php, sent)
            return source.returned(php)
        for key, value in pairs(php, source):
            yield key, value, False
        return None

    return run


def _evaluate(c: Compiler, node: n.Evaluate) -> Steps:
    match node.expression:
        case n.Assign(target=target, value=n.Yield() | n.YieldFrom() as value) if not is_generator(target):
            result = _result(c, value)
            assign: StoreCode | None = c.target(target)
            if not isinstance(target, n.Variable | n.ListPattern):  # its place is opened before the yield
                return _refused(c, node)
        case expression:
            result, assign = _result(c, expression), None

    def run(php: Interpreter) -> Yielding:
        value = yield from result(php)
        if assign is not None:
            assign(php, value)
        return None

    return run


def _return(c: Compiler, node: n.Return) -> Steps:
    result = _result(c, node.value)  # type: ignore[arg-type]

    def run(php: Interpreter) -> Yielding:
        return Return((yield from result(php)))

    return run


# ---- control --------------------------------------------------------------------------------


def _if(c: Compiler, node: n.If) -> Steps:
    if is_generator(node.condition):
        return _refused(c, node)
    condition, then, otherwise = c.value(node.condition), _block(c, node.then), _block(c, node.otherwise)

    def run(php: Interpreter) -> Yielding:
        return (yield from then(php) if to_bool(condition(php)) else otherwise(php))

    return run


def _foreach(c: Compiler, node: n.Foreach) -> Steps:
    if node.reference or is_generator((node.subject, node.key, node.value)):
        return _refused(c, node)
    subject, line = c.value(node.subject), node.line
    assign_value = c.target(node.value)
    assign_key = c.target(node.key) if node.key is not None else None
    inner = _block(c, node.body)

    def run(php: Interpreter) -> Yielding:
        for key, value in pairs(php, subject(php)):
            assign_value(php, value)
            if assign_key is not None:
                assign_key(php, key)
            php.line = line
            php.charge(1)
            completion = yield from inner(php)
            if completion is not None and ends_loop(completion):
                return left(completion)
        return None

    return run


def _loop(c: Compiler, node: n.Loop) -> Steps:
    if is_generator((node.before, node.condition, node.after)):
        return _refused(c, node)
    line, first = node.line, node.first
    before, condition, after = (
        [c.value(expression) for expression in part] for part in (node.before, node.condition, node.after)
    )
    cost = 1 + len(condition) + len(after)
    inner = _block(c, node.body)

    def run(php: Interpreter) -> Yielding:
        for code in before:
            code(php)
        tests = not first
        while True:
            php.line = line
            php.charge(cost)
            if tests and condition and not to_bool([code(php) for code in condition][-1]):
                return None
            tests = True
            completion = yield from inner(php)
            if completion is not None and ends_loop(completion):
                return left(completion)
            for code in after:
                code(php)

    return run


def _switch(c: Compiler, node: n.Switch) -> Steps:
    if is_generator((node.subject, *(case.value for case in node.cases))):
        return _refused(c, node)
    subject = c.value(node.subject)
    cases = [(index, c.value(case.value)) for index, case in enumerate(node.cases) if case.value is not None]
    default = next((at for at, case in enumerate(node.cases) if case.value is None), len(node.cases))
    bodies = [_block(c, case.body) for case in node.cases]

    def run(php: Interpreter) -> Yielding:
        value = subject(php)
        start = next((index for index, code in cases if php.equal(value, code(php))), default)
        for inner in bodies[start:]:
            completion = yield from inner(php)
            if completion is not None:
                return left(completion)
        return None

    return run


def _try(c: Compiler, node: n.Try) -> Steps:
    if node.finally_body:
        return _refused(c, node)
    inner = _block(c, node.body)
    clauses = [
        (
            catch.class_names,
            None if catch.variable is None else c.target(n.Variable(line=catch.line, name=catch.variable)),
            _block(c, catch.body),
        )
        for catch in node.catches
    ]

    def run(php: Interpreter) -> Yielding:
        try:
            return (yield from inner(php))
        except Thrown as thrown:
            caught = thrown
        for class_names, assign, handler in clauses:
            if any(catches(php, caught.exception, name) for name in class_names):
                if assign is not None:
                    assign(php, caught.exception)
                return (yield from handler(php))
        raise caught

    return run


_STATEMENTS: dict[type[n.Statement], Callable[[Compiler, Any], Steps]] = {
    n.Return: _return,
    n.Evaluate: _evaluate,
    n.If: _if,
    n.Foreach: _foreach,
    n.Loop: _loop,
    n.Switch: _switch,
    n.Try: _try,
}
