"""Every kind of node, and what compiles it."""

from __future__ import annotations

from bridge.phpeval.php.compile import expressions, generators, places, statements
from bridge.phpeval.php.compile.compiler import Compiler, Nodes
from bridge.phpeval.php.runtime.interpreter import Environment

NODES = Nodes(
    expressions=expressions.EXPRESSIONS,
    silent=places.QUIET,
    targets=places.TARGETS,
    statements=statements.STATEMENTS,
    place=places.place,
    is_set=places.is_set,
    lent=places.lent,
    is_generator=generators.is_generator,
    generator=generators.body,
)


def compiler(environment: Environment, unit: str) -> Compiler:
    """One for what `unit` names; see `Compiler`."""
    return Compiler(environment, NODES, unit)
