"""Nodes + values + an Environment → a value. Free of side effects, within a budget of steps and bytes.

    php = new_evaluator(environment)
    php.call_method(subject, "broadcastWith")

This ties `compile` to `runtime`, which know nothing of each other's insides: what is called for the first
time is compiled, once for all evaluators of the environment's ClassTable.
"""

from __future__ import annotations

from bridge.errors import Refused
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.compile.nodes import compiler
from bridge.phpeval.php.parse.declarations import lower_parameters
from bridge.phpeval.php.runtime import callables, conversions, execution, object_model, offsets, properties
from bridge.phpeval.php.runtime.interpreter import MAX_STEPS, Environment, ExprCode, Interpreter, Routine


def new_evaluator(environment: Environment, *, max_steps: int = MAX_STEPS) -> Interpreter:
    """One for one event."""
    return _Evaluator(environment, max_steps=max_steps)


class _Evaluator(Interpreter):
    call_method = callables.call_method
    call_static = callables.call_static
    call = callables.call
    closure_of = callables.closure_of
    call_function = execution.call_function
    run = execution.run
    inside = execution.inside
    expression = execution.expression
    constant_expression = execution.constant_expression
    make = object_model.make
    instantiate = object_model.instantiate
    defaults = object_model.defaults
    accepts = object_model.accepts
    backing_value = object_model.backing_value
    is_a = object_model.is_a
    read = properties.read_property
    offset = offsets.read_offset
    key = offsets.array_offset
    iterable = conversions.iterable
    text = conversions.text
    equal = conversions.equal
    compare = conversions.compare
    to_array = conversions.to_array

    def routine(self, method: n.Method) -> Routine:
        return self.classes.once(method, self._compiled_method)

    def _compiled_method(self, method: n.Method) -> Routine:
        body = self.classes.body(method)
        parameters = lower_parameters(method)
        try:
            unit = f"{method.class_name}::{method.name}"
            return compiler(self.environment, unit).routine(
                parameters, body, method.returns, lends=method.gives_reference
            )
        except RecursionError:
            raise Refused("code nested this deep", file=method.file, line=method.line) from None

    def compiled(self, expression: n.Expression) -> tuple[int, ExprCode]:
        return self.classes.once(expression, self._compiled_expression)

    def _compiled_expression(self, expression: n.Expression) -> tuple[int, ExprCode]:
        made = compiler(self.environment, f"{type(expression).__name__}:{expression.line}")
        code = made.value(expression)
        return made.steps, code
