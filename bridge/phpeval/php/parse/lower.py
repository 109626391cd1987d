"""Lower with every kind of tree-sitter node that is known."""

from __future__ import annotations

from bridge.phpeval.php.parse.lower_expressions import EXPRESSIONS
from bridge.phpeval.php.parse.lower_statements import STATEMENTS
from bridge.phpeval.php.parse.lowering import Lower


class FullLower(Lower):
    expressions = EXPRESSIONS
    statements = STATEMENTS
