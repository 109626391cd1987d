"""Statements: one function a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bridge.php import nodes as n
from bridge.php.access import assign_to, value_or_null
from bridge.php.frame import Leave, Return
from bridge.php.operators import Thrown, equal, to_bool
from bridge.php.values import PhpArray, PhpObject

if TYPE_CHECKING:
    from bridge.php.evaluate import Evaluator


def _return(php: Evaluator, node: n.Return) -> None:
    raise Return(php.value(node.value) if node.value is not None else None)


def _evaluate(php: Evaluator, node: n.Evaluate) -> None:
    php.value(node.expression)


def _if(php: Evaluator, node: n.If) -> None:
    php.statements(node.then if to_bool(php.value(node.condition)) else node.otherwise)


def _turn(php: Evaluator, body: tuple[n.Statement, ...]) -> bool:
    """One turn of a loop; False where it ends the loop."""
    try:
        php.statements(body)
    except Leave as leave:
        if leave.levels > 1:
            raise Leave(leave.levels - 1, leave.again) from None
        return leave.again
    return True


def _foreach(php: Evaluator, node: n.Foreach) -> None:
    subject = php.iterable(php.value(node.subject))
    for key, value in list(subject.items()):
        assign_to(php, node.value, value)
        if node.key is not None:
            assign_to(php, node.key, key)
        php.step(node.line)
        if not _turn(php, node.body):
            break


def _loop(php: Evaluator, node: n.Loop) -> None:
    for expression in node.before:
        php.value(expression)
    first = node.first
    while True:
        if not first and node.condition:
            results = [php.value(expression) for expression in node.condition]
            if not to_bool(results[-1]):
                return
        first = False
        php.step(node.line)
        if not _turn(php, node.body):
            return
        for expression in node.after:
            php.value(expression)


def _switch(php: Evaluator, node: n.Switch) -> None:
    subject = php.value(node.subject)
    start = next(
        (
            index
            for index, case in enumerate(node.cases)
            if case.value is not None and equal(subject, php.value(case.value))
        ),
        None,
    )
    if start is None:
        start = next((index for index, case in enumerate(node.cases) if case.value is None), len(node.cases))
    try:
        for case in node.cases[start:]:
            php.statements(case.body)
    except Leave as leave:
        if leave.levels > 1:
            raise Leave(leave.levels - 1, leave.again) from None


def _leave(php: Evaluator, node: n.Leave) -> None:
    raise Leave(node.levels, node.again)


def _unset(php: Evaluator, node: n.Unset) -> None:
    for target in node.targets:
        match target:
            case n.Variable(name=name):
                php.frame.variables.pop(name, None)
            case n.Index(base=base, index=index) if index is not None:
                holder = value_or_null(php, base)
                if isinstance(holder, PhpArray):
                    changed = holder.copy()
                    changed.next_index = holder.upcoming()
                    changed.pop(php.key(php.value(index)), None)
                    assign_to(php, base, changed)
                elif holder is not None:
                    php.refuse("unset of an offset of this")
            case _:
                php.refuse("unset of this")


def _try(php: Evaluator, node: n.Try) -> None:
    try:
        _caught(php, node)
    finally:
        # A return or exception in finally replaces the one under way, as in PHP.
        php.statements(node.finally_body)


def _caught(php: Evaluator, node: n.Try) -> None:
    try:
        php.statements(node.body)
    except Thrown as thrown:
        for catch in node.catches:
            if any(_catches(php, thrown.exception, name) for name in catch.class_names):
                if catch.variable is not None:
                    php.frame.variables[catch.variable] = thrown.exception
                php.statements(catch.body)
                return
        raise


def _catches(php: Evaluator, exception: PhpObject, class_name: str) -> bool:
    return class_name == "Throwable" or php.is_a(exception, class_name)


STATEMENTS: dict[type[n.Statement], Callable[[Evaluator, Any], None]] = {
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
