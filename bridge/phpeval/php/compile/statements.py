"""Statements: one function a node, which compiles it (see `compile`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bridge.phpeval.php import ast as n
from bridge.phpeval.php.compile.compiler import Compiler, StmtCode
from bridge.phpeval.php.compile.places import argument_place, variable_name
from bridge.phpeval.php.runtime.after_warning import is_missing
from bridge.phpeval.php.runtime.conversions import pairs
from bridge.phpeval.php.runtime.frame import Break, Completion, Reference, Return, ends_loop, left
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.object_model import catches
from bridge.phpeval.php.runtime.operators import Thrown, to_bool
from bridge.phpeval.php.runtime.places import ElementPlace, PlaceReference
from bridge.phpeval.php.runtime.values import PhpArray


def _return(c: Compiler, node: n.Return) -> StmtCode:
    if node.value is None:
        return lambda php: Return(None)
    code = c.returned(node.value)
    return lambda php: Return(code(php))


def _evaluate(c: Compiler, node: n.Evaluate) -> StmtCode:
    code = c.value(node.expression)

    def run(php: Interpreter) -> Completion:
        code(php)
        return None

    return run


def _if(c: Compiler, node: n.If) -> StmtCode:
    condition, then, otherwise = (
        c.value(node.condition),
        c.statements(node.then),
        c.statements(node.otherwise),
    )
    return lambda php: then(php) if to_bool(condition(php)) else otherwise(php)


def _foreach_by_reference(c: Compiler, node: n.Foreach, name: str) -> StmtCode:
    place, line = argument_place(c, node.subject), node.line
    elements = ElementPlace(line, place, lambda php: None, late=False)  # opened here, key by key
    assign_key = c.target(node.key) if node.key is not None else None
    body = c.statements(node.body)

    def entries(php: Interpreter, at: Any) -> PhpArray:
        holder = place.read(php, at)
        if not isinstance(holder, PhpArray):
            php.line = line
            php.refuse("a loop by reference over what is no array")
        return holder

    def run(php: Interpreter) -> Completion:
        at = place.open(php)
        keys = [*entries(php, at)]
        seen: set[int | bytes] = set()
        while keys:
            key = keys.pop(0)
            seen.add(key)
            element = PlaceReference(php, elements, (at, key))
            php.frame.variables[name] = element  # type: ignore[assignment]
            if assign_key is not None:
                assign_key(php, key)
            php.line = line
            php.charge(1)
            completion = body(php)
            if completion is not None and ends_loop(completion):
                return left(completion)
            if not entries(php, at).is_referred(element):
                php.line = line
                php.refuse("a loop by reference over an array that it replaces")
            keys = [key for key in entries(php, at) if key not in seen]
        return None

    return run


def _foreach(c: Compiler, node: n.Foreach) -> StmtCode:
    if node.reference and isinstance(node.value, n.Variable):
        return _foreach_by_reference(c, node, node.value.name)
    subject, line = c.value(node.subject), node.line
    assign_value = c.target(node.value)
    assign_key = c.target(node.key) if node.key is not None else None
    body = c.statements(node.body)
    may_refer = isinstance(node.value, n.Variable) and node.value.name in c.shared

    def run(php: Interpreter) -> Completion:
        holder = subject(php)
        if may_refer and isinstance(holder, PhpArray) and holder.is_referred():
            php.refuse("a loop over an array that there is a reference into")
        for key, value in pairs(php, holder):
            assign_value(php, value)
            if assign_key is not None:
                assign_key(php, key)
            php.line = line
            php.charge(1)
            completion = body(php)
            if completion is not None and ends_loop(completion):
                return left(completion)
        return None

    return run


def _loop(c: Compiler, node: n.Loop) -> StmtCode:
    line, first = node.line, node.first
    before = [c.value(expression) for expression in node.before]
    outer = c.steps
    condition = [c.value(expression) for expression in node.condition]
    after = [c.value(expression) for expression in node.after]
    turn = 1 + c.steps - outer
    body = c.statements(node.body)

    def run(php: Interpreter) -> Completion:
        for code in before:
            code(php)
        tests = not first
        while True:
            php.line = line
            php.charge(turn)
            if tests and condition:
                results = [code(php) for code in condition]
                if not to_bool(results[-1]):
                    return None
            tests = True
            completion = body(php)
            if completion is not None and ends_loop(completion):
                return left(completion)
            for code in after:
                code(php)

    return run


def _switch(c: Compiler, node: n.Switch) -> StmtCode:
    subject, name = c.value(node.subject), variable_name(node.subject)
    cases = [(index, c.value(case.value)) for index, case in enumerate(node.cases) if case.value is not None]
    default = next((at for at, case in enumerate(node.cases) if case.value is None), len(node.cases))
    bodies = [c.statements(case.body) for case in node.cases]

    def run(php: Interpreter) -> Completion:
        if is_missing(php, name):
            if not cases:
                php.refuse("a switch over an undefined variable")
            cases[0][1](php)
            subject(php)
            php.refuse("a switch over a variable that its first case defines")
        value = subject(php)
        start = next((index for index, code in cases if php.equal(value, code(php))), default)
        for body in bodies[start:]:
            completion = body(php)
            if completion is not None:
                return left(completion)
        return None

    return run


def _leave(c: Compiler, node: n.Leave) -> StmtCode:
    completion = Break(node.levels, node.is_continue)
    return lambda php: completion


def _unset(c: Compiler, node: n.Unset) -> StmtCode:
    places = [c.place(target) for target in node.targets]

    def run(php: Interpreter) -> Completion:
        for place in places:
            place.unset(php, place.open(php))
        return None

    return run


def _static_variables(c: Compiler, node: n.StaticVariables) -> StmtCode:
    if not c.in_closure:

        def refuse(php: Interpreter) -> Completion:
            php.refuse("a static variable of a method, which keeps its value for the jobs that follow,")

        return refuse
    parts = [(name, None if first is None else c.value(first)) for name, first in node.variables]

    def run(php: Interpreter) -> Completion:
        frame = php.frame
        statics: Any = frame.statics
        for name, first in parts:
            if name not in statics:
                statics[name] = Reference(None if first is None else first(php))
            frame.variables[name] = statics[name]
        return None

    return run


def _try(c: Compiler, node: n.Try) -> StmtCode:
    body, finally_body = c.statements(node.body), c.statements(node.finally_body)
    clauses = [
        (
            catch.class_names,
            None if catch.variable is None else c.target(n.Variable(line=catch.line, name=catch.variable)),
            c.statements(catch.body),
        )
        for catch in node.catches
    ]

    def caught(php: Interpreter) -> Completion:
        try:
            return body(php)
        except Thrown as thrown:
            for class_names, assign, act in clauses:
                if any(catches(php, thrown.exception, name) for name in class_names):
                    if assign is not None:
                        assign(php, thrown.exception)
                    return act(php)
            raise

    def run(php: Interpreter) -> Completion:
        # A return or exception in finally replaces the one under way, as in PHP.
        try:
            completion = caught(php)
        except Thrown:
            last = finally_body(php)
            if last is None:
                raise
            return last
        last = finally_body(php)
        return completion if last is None else last

    return run


STATEMENTS: dict[type[n.Statement], Callable[[Compiler, Any], StmtCode]] = {
    n.Return: _return,
    n.Evaluate: _evaluate,
    n.If: _if,
    n.Foreach: _foreach,
    n.Loop: _loop,
    n.Switch: _switch,
    n.Leave: _leave,
    n.Unset: _unset,
    n.Try: _try,
    n.StaticVariables: _static_variables,
}
