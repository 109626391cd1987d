"""Statements: one function a node, which compiles it (see `compile`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bridge.php import nodes as n
from bridge.php.frame import Leave, Return, Told
from bridge.php.operators import Thrown, equal, to_bool
from bridge.php.values import PhpArray, PhpObject, Value

if TYPE_CHECKING:
    from bridge.php.compile import Act, Compiler
    from bridge.php.evaluate import Evaluator


def _return(c: Compiler, node: n.Return) -> Act:
    if node.value is None:
        return lambda php: Return(None)
    code = c.value(node.value)
    return lambda php: Return(code(php))


def _evaluate(c: Compiler, node: n.Evaluate) -> Act:
    code = c.value(node.expression)

    def run(php: Evaluator) -> Told:
        code(php)
        return None

    return run


def _if(c: Compiler, node: n.If) -> Act:
    condition, then, otherwise = (
        c.value(node.condition),
        c.statements(node.then),
        c.statements(node.otherwise),
    )
    return lambda php: then(php) if to_bool(condition(php)) else otherwise(php)


def _left(told: Leave) -> Told:
    """What a loop or switch that is left tells of it."""
    return Leave(told.levels - 1, told.again) if told.levels > 1 else None


def _foreach(c: Compiler, node: n.Foreach) -> Act:
    subject, line = c.value(node.subject), node.line
    assign_value = c.target(node.value)
    assign_key = c.target(node.key) if node.key is not None else None
    body = c.statements(node.body)

    def run(php: Evaluator) -> Told:
        for key, value in list(php.iterable(subject(php)).items()):
            assign_value(php, value)
            if assign_key is not None:
                assign_key(php, key)
            php.line = line
            php.spend(1)
            told = body(php)
            if isinstance(told, Return):
                return told
            if told is not None and not (told.again and told.levels == 1):
                return _left(told)
        return None

    return run


def _loop(c: Compiler, node: n.Loop) -> Act:
    line, first = node.line, node.first
    before = [c.value(expression) for expression in node.before]
    outer = c.steps
    condition = [c.value(expression) for expression in node.condition]
    after = [c.value(expression) for expression in node.after]
    turn = 1 + c.steps - outer
    body = c.statements(node.body)

    def run(php: Evaluator) -> Told:
        for code in before:
            code(php)
        tests = not first
        while True:
            php.line = line
            php.spend(turn)
            if tests and condition:
                results = [code(php) for code in condition]
                if not to_bool(results[-1]):
                    return None
            tests = True
            told = body(php)
            if isinstance(told, Return):
                return told
            if told is not None and not (told.again and told.levels == 1):
                return _left(told)
            for code in after:
                code(php)

    return run


def _switch(c: Compiler, node: n.Switch) -> Act:
    subject = c.value(node.subject)
    cases = [(index, c.value(case.value)) for index, case in enumerate(node.cases) if case.value is not None]
    default = next((at for at, case in enumerate(node.cases) if case.value is None), len(node.cases))
    bodies = [c.statements(case.body) for case in node.cases]

    def run(php: Evaluator) -> Told:
        value = subject(php)
        start = next((index for index, code in cases if equal(value, code(php))), default)
        for body in bodies[start:]:
            told = body(php)
            if told is not None:
                return _left(told) if type(told) is Leave else told
        return None

    return run


def _leave(c: Compiler, node: n.Leave) -> Act:
    told = Leave(node.levels, node.again)
    return lambda php: told


def _unset(c: Compiler, node: n.Unset) -> Act:
    acts = [_unset_one(c, target, node.line) for target in node.targets]

    def run(php: Evaluator) -> Told:
        for act in acts:
            act(php)
        return None

    return run


def _unset_one(c: Compiler, target: n.Expression, line: int) -> Callable[[Evaluator], object]:
    match target:
        case n.Variable(name=name):
            return lambda php: php.frame.variables.pop(name, None)
        case n.Index(base=base, index=index) if index is not None:
            holder_of, key_of, assign = c.quiet(base), c.value(index), c.target(base)

            def run(php: Evaluator) -> None:
                holder: Value = holder_of(php)
                if isinstance(holder, PhpArray):
                    changed = holder.copy()
                    changed.next_index = holder.upcoming()
                    changed.pop(php.key(key_of(php)), None)
                    assign(php, changed)
                elif holder is not None:
                    php.line = line
                    php.refuse("unset of an offset of this")

            return run

    def refuse(php: Evaluator) -> None:
        php.line = line
        php.refuse("unset of this")

    return refuse


def _try(c: Compiler, node: n.Try) -> Act:
    body, finally_body = c.statements(node.body), c.statements(node.finally_body)
    catches = [(catch.class_names, catch.variable, c.statements(catch.body)) for catch in node.catches]

    def caught(php: Evaluator) -> Told:
        try:
            return body(php)
        except Thrown as thrown:
            for class_names, variable, act in catches:
                if any(_catches(php, thrown.exception, name) for name in class_names):
                    if variable is not None:
                        php.frame.variables[variable] = thrown.exception
                    return act(php)
            raise

    def run(php: Evaluator) -> Told:
        # A return or exception in finally replaces the one under way, as in PHP.
        try:
            told = caught(php)
        except Thrown:
            last = finally_body(php)
            if last is None:
                raise
            return last
        last = finally_body(php)
        return told if last is None else last

    return run


def _catches(php: Evaluator, exception: PhpObject, class_name: str) -> bool:
    return class_name == "Throwable" or php.is_a(exception, class_name)


STATEMENTS: dict[type[n.Statement], Callable[[Compiler, Any], Act]] = {
    n.Return: _return,
    n.Evaluate: _evaluate,
    n.If: _if,
    n.Foreach: _foreach,
    n.Loop: _loop,
    n.Switch: _switch,
    n.Leave: _leave,
    n.Unset: _unset,
    n.Try: _try,
}
