"""Lookups of the survey in the app's classes; a lookup that is refused is kept as a refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bridge.errors import JobError, Refused
from bridge.jobs.resolve.app_environment import AppEnvironment
from bridge.jobs.resolve.survey.types import InferredType, MethodScope
from bridge.phpeval.laravel.eloquent.model import ModelClass
from bridge.phpeval.laravel.object_conversions import is_native
from bridge.phpeval.laravel.support.json_forms import COLLECTIONS
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.class_table import BoundMethod, BoundProperty
from bridge.phpeval.php.runtime.interpreter import Native


class SourceClasses:
    """The app's classes as their source says, and what is refused of them.

    refusals  message → the refusal, in the order in which they were found
    is_quiet  nothing is added to `refusals`: what is walked through runs at dispatch, in PHP
    """

    def __init__(self, environment: AppEnvironment) -> None:
        self._environment = environment
        self.table = environment.classes
        self.refusals: dict[str, Refused] = {}
        self.is_quiet = False
        self._done: set[tuple[str, str]] = set()

    def refuse(self, problem: Refused) -> None:
        if not self.is_quiet:
            self.refusals.setdefault(str(problem), problem)

    def check_setup(self, name: str) -> None:
        """Keeps what the app's setup says against this function or class."""
        problem = self._environment.withheld(name)
        if problem is not None:
            self.refuse(problem)

    def attempt(self, act: Callable[[], Any]) -> Any:
        """What `act` gives; None, and its refusal kept, where it is refused."""
        try:
            return act()
        except Refused as problem:
            self.refuse(problem)
        except JobError:
            pass  # PHP itself would fail there: the outcome is known
        return None

    def is_first(self, what: str, name: str) -> bool:
        """Whether this is looked at for the first time."""
        if (what, name) in self._done:
            return False
        self._done.add((what, name))
        return True

    def find(self, name: str) -> n.ClassDeclaration | None:
        found: n.ClassDeclaration | None = self.attempt(lambda: self.table.find(name))
        return found

    def method(self, class_name: str, method: str) -> BoundMethod | None:
        if self.find(class_name) is None:
            return None
        bound: BoundMethod | None = self.attempt(lambda: self.table.method(class_name, method))
        return bound

    def has(self, class_name: str, method: str) -> bool:
        return self.method(class_name, method) is not None

    def native(self, class_name: str) -> Native | None:
        native: Native | None = self.attempt(lambda: self._environment.native(class_name))
        return native

    def is_model(self, class_name: str) -> bool:
        return bool(class_name) and isinstance(self.native(class_name), ModelClass)

    def declared_type(self, declared: n.Type | None, scope: MethodScope) -> InferredType | None:
        """Infers a value's type from a declared one that names a class; None for unions and base classes."""
        names = [name for name in (declared.names or ()) if name != "null"] if declared is not None else []
        if len(names) != 1:
            return None
        name = {"self": scope.class_name, "static": scope.static_class}.get(names[0], names[0])
        if is_native(name) or self.native(name) is not None:
            return InferredType(class_name=name, many=name in COLLECTIONS)
        found = self.find(name)
        if found is None:
            return InferredType(class_name=name) if "\\" in name else None
        if found.abstract or found.kind == "interface":
            return None
        return InferredType(class_name=name)

    def properties(self, class_name: str) -> Mapping[str, BoundProperty]:
        """The declared properties, by name; none where the class is refused."""
        found: Mapping[str, BoundProperty] | None = self.attempt(lambda: self.table.properties(class_name))
        return found or {}
