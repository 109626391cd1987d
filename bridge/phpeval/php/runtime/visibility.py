"""Who may reach a member of a class."""

from __future__ import annotations

from bridge.phpeval.php.runtime.interpreter import Interpreter


def may_not_reach(php: Interpreter, visibility: str, class_name: str, owner: str) -> str:
    """The visibility of a member where it keeps the running code out, else nothing."""
    scope = php.frame.class_name
    if visibility == "public" or (scope and scope == owner):
        return ""
    related = (
        visibility == "protected"
        and scope
        and (php.classes.is_a(class_name, scope) or php.classes.is_a(scope, owner))
    )
    return "" if related else visibility
