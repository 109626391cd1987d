"""The walk through PHP code without running it: what it calls and touches that is certainly refused.

`SourceVisitor` goes through nodes; `expressions.py` says what each gives, and `RefusalFinder` what objects
and models are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar

from bridge.errors import Refused
from bridge.jobs.resolve.app_environment import AppEnvironment
from bridge.jobs.resolve.survey.source_classes import SourceClasses
from bridge.jobs.resolve.survey.types import InferredType, MethodScope, item_of
from bridge.phpeval.laravel.eloquent.model import ModelClass
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.parse.declarations import lower_parameters


class SourceVisitor(ABC):
    """The walk through one class; make a new one for the next. `expressions`: what each kind gives."""

    expressions: ClassVar[Mapping[type[n.Expression], Callable[[Any, Any], InferredType | None]]]

    def __init__(self, environment: AppEnvironment) -> None:
        self.environment = environment
        self.source = SourceClasses(environment)
        self.php = new_evaluator(environment)
        self._known: dict[tuple[str, str], InferredType | None] = {}
        self.constructed: dict[str, dict[str, InferredType | None]] = {}
        self.wrapped: dict[str, str] = {}  # resource class → class of what it is first made of
        self.scope = MethodScope("", "", "")
        self.loaded: list[tuple[str, list[str]]] = []  # model class and relations that a constructor loads

    @abstractmethod
    def property_kind(self, class_name: str, name: str) -> InferredType | None:
        """What a declared property holds."""

    @abstractmethod
    def attribute(self, class_name: str, name: str) -> InferredType | None:
        """`$model->name`."""

    @abstractmethod
    def model_call(self, native: ModelClass, kind: InferredType, node: n.MethodCall) -> InferredType | None:
        """A method of Laravel's Model."""

    @abstractmethod
    def relation_end(self, relation: InferredType, ending: str) -> InferredType | None:
        """What a relation's query gives that ends with this method, such as `first`."""

    @abstractmethod
    def sent(self, kind: InferredType | None) -> None:
        """Checks a value that becomes JSON."""

    def note(self, what: str, line: int = 0) -> None:
        self.source.refuse(Refused(f"{what} is not evaluated natively", file=self.scope.file, line=line))

    # ---- methods ----------------------------------------------------------------------------------

    def methods(self, class_name: str, *names: str) -> None:
        for name in names:
            self.method(class_name, name)

    def method(
        self,
        class_name: str,
        name: str,
        arguments: Sequence[InferredType | None] = (),
        static_class: str = "",
    ) -> InferredType | None:
        """Walks the method once, with its first arguments; what it returns."""
        bound = self.source.method(class_name, name)
        if bound is None:
            return None
        quiet = "?" if self.source.is_quiet else ""
        key = (static_class or class_name, f"{bound.owner}::{bound.method.name}{quiet}")
        if key in self._known:
            return self._known[key]
        method = bound.method
        scope = MethodScope(method.file, bound.owner, static_class or class_name)
        declared = self.source.declared_type(method.returns, scope)
        self._known[key] = declared
        body = self.source.attempt(lambda: self.source.table.body(method))
        parameters: tuple[n.Parameter, ...] | None = self.source.attempt(lambda: lower_parameters(method))
        if body is None or parameters is None:
            return declared
        scope.variables["this"] = InferredType(class_name=scope.static_class)
        outer, self.scope = self.scope, scope
        self._parameters(parameters, arguments)
        if name == "__construct":
            given = self.constructed.setdefault(scope.static_class, {})
            given.update({p.name: scope.variables[p.name] for p in parameters if p.promoted})
        self.walk(body)
        self.scope = outer
        kinds = [kind for kind in scope.returned if kind is not None]
        self._known[key] = kinds[0] if kinds else declared
        return self._known[key]

    def _parameters(
        self, parameters: tuple[n.Parameter, ...], arguments: Sequence[InferredType | None] = ()
    ) -> None:
        for position, parameter in enumerate(parameters):
            given = arguments[position] if position < len(arguments) else None
            declared = self.source.declared_type(parameter.type, self.scope)
            self.scope.variables[parameter.name] = declared or given

    # ---- nodes ------------------------------------------------------------------------------------

    def walk(self, part: object) -> None:
        """Walks through a node or tuple of nodes."""
        if isinstance(part, n.Expression):
            self.value(part)
        elif isinstance(part, n.Return):
            self.scope.returned.append(self.value(part.value) if part.value is not None else None)
        elif isinstance(part, n.Foreach):
            subject = self.value(part.subject)
            if isinstance(part.value, n.Variable):
                self.scope.variables[part.value.name] = item_of(subject)
            self.walk(part.body)
        elif isinstance(part, n.Node):
            self._inside(part)
        elif isinstance(part, tuple):
            for inner in part:
                self.walk(inner)

    def _inside(self, node: n.Node) -> None:
        for one in fields(node):
            self.walk(getattr(node, one.name))

    def value(self, node: n.Expression) -> InferredType | None:
        act = self.expressions.get(type(node))
        if act is not None:
            return act(self, node)
        self._inside(node)
        return None

    def class_of(self, reference: str | n.Expression) -> str:
        """The class before `::`; empty where it is not known."""
        if isinstance(reference, n.Expression):
            kind = self.value(reference)
            return kind.class_name if kind is not None else ""
        if reference == "parent":
            owner = self.source.find(self.scope.class_name)
            return (owner.parent or "") if owner is not None else ""
        return {"self": self.scope.class_name, "static": self.scope.static_class}.get(reference, reference)

    def arguments(
        self, given: tuple[n.Argument, ...], item: InferredType | None = None
    ) -> list[InferredType | None]:
        """Kinds of the arguments; closures get `item` as their first."""
        kinds: list[InferredType | None] = []
        for argument in given:
            if isinstance(argument.value, n.Closure):
                self.closure(argument.value, item)
                kinds.append(None)
            else:
                kinds.append(self.value(argument.value))
        return kinds

    def closure(self, node: n.Closure, item: InferredType | None = None) -> InferredType | None:
        outer = self.scope
        self.scope = MethodScope(outer.file, outer.class_name, outer.static_class, dict(outer.variables))
        self._parameters(node.parameters, [item])
        self.walk(node.body)
        self.scope = outer
        return None
