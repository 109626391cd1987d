"""The walk through PHP code without running it: what it calls and touches that is certainly refused.

`SourceVisitor` goes through nodes and keeps the refusals; what objects and models are is told by `plan`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from bridge.errors import JobError, Refused
from bridge.jobs.resolve.app_environment import AppEnvironment
from bridge.jobs.resolve.survey.types import InferredType, MethodScope, either, held_by, item_of, offers
from bridge.phpeval.laravel.eloquent.model import ModelClass
from bridge.phpeval.laravel.eloquent.model_facts import ATTRIBUTE
from bridge.phpeval.laravel.eloquent.relations import ENDINGS, RELATION_CLASSES, RELATION_METHODS, scope_of
from bridge.phpeval.laravel.object_conversions import is_native
from bridge.phpeval.laravel.support.json_forms import COLLECTIONS
from bridge.phpeval.laravel.support.native_class import NativeClass
from bridge.phpeval.laravel.support.resource import (
    ANONYMOUS,
    METHODS,
    PROTECTED,
    REQUEST,
    ResourceClass,
    collected_by,
)
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.parse.declarations import lower_parameters
from bridge.phpeval.php.runtime.class_table import BoundMethod
from bridge.phpeval.php.runtime.interpreter import Native

CARBON = "Illuminate\\Support\\Carbon"
_USERS = ("App\\Models\\User", "App\\User")
_AUTH = ("Illuminate\\Support\\Facades\\Auth", "Auth")
_IN_ENGLISH = frozenset({"diffForHumans", "isoFormat"})
_CARBON_FUNCTIONS = frozenset({"now", "today"})


def _is_of_request(node: n.Expression) -> bool:
    """Whether it is `request()` or `auth()`."""
    return isinstance(node, n.Call) and node.function in ("request", "auth")


class SourceVisitor(ABC):
    """The walk through one class; make a new one for the next."""

    def __init__(self, environment: AppEnvironment) -> None:
        self._environment = environment
        self._classes = environment.classes
        self._php = new_evaluator(environment)
        self._problems: dict[str, Refused] = {}
        self._known: dict[tuple[str, str], InferredType | None] = {}
        self._done: set[tuple[str, str]] = set()
        self._constructed: dict[str, dict[str, InferredType | None]] = {}
        self._wrapped: dict[str, str] = {}  # resource class → class of what it is first made of
        self._scope = MethodScope("", "", "")
        self._quiet = False
        self._loaded: list[tuple[str, list[str]]] = []  # model class and relations that a constructor loads

    @abstractmethod
    def _property_kind(self, class_name: str, name: str) -> InferredType | None:
        """What a declared property holds."""

    @abstractmethod
    def _attribute(self, class_name: str, name: str) -> InferredType | None:
        """`$model->name`."""

    @abstractmethod
    def _model_call(self, native: ModelClass, kind: InferredType, node: n.MethodCall) -> InferredType | None:
        """A method of Laravel's Model."""

    @abstractmethod
    def _asked(self, relation: InferredType, ending: str) -> InferredType | None:
        """What a relation's query gives that ends with this method, such as `first`."""

    @abstractmethod
    def _sent(self, kind: InferredType | None) -> None:
        """A value that becomes JSON."""

    # ---- keeping account --------------------------------------------------------------------------

    def _note(self, what: str, line: int = 0) -> None:
        self._refusal(Refused(f"{what} is not evaluated natively", file=self._scope.file, line=line))

    def _refusal(self, problem: Refused) -> None:
        if not self._quiet:
            self._problems.setdefault(str(problem), problem)

    def _withheld(self, name: str) -> None:
        """Keeps what the app's setup says against this function or class."""
        problem = self._environment.withheld(name)
        if problem is not None:
            self._refusal(problem)

    def _try(self, act: Callable[[], Any]) -> Any:
        """What `act` gives; None, and its refusal kept, where it is refused."""
        try:
            return act()
        except Refused as problem:
            self._refusal(problem)
        except JobError:
            pass  # PHP itself would fail there: the outcome is known
        return None

    def _first(self, what: str, name: str) -> bool:
        """Whether this is looked at for the first time."""
        if (what, name) in self._done:
            return False
        self._done.add((what, name))
        return True

    # ---- classes ----------------------------------------------------------------------------------

    def _find(self, name: str) -> n.ClassDeclaration | None:
        found: n.ClassDeclaration | None = self._try(lambda: self._classes.find(name))
        return found

    def _bound(self, class_name: str, method: str) -> BoundMethod | None:
        if self._find(class_name) is None:
            return None
        bound: BoundMethod | None = self._try(lambda: self._classes.method(class_name, method))
        return bound

    def _has(self, class_name: str, method: str) -> bool:
        return self._bound(class_name, method) is not None

    def _native(self, class_name: str) -> Native | None:
        native: Native | None = self._try(lambda: self._environment.native(class_name))
        return native

    def _is_model(self, class_name: str) -> bool:
        return bool(class_name) and isinstance(self._native(class_name), ModelClass)

    def _kind(self, declared: n.Type | None, scope: MethodScope) -> InferredType | None:
        """What a declared type tells: one class of objects that are made, nothing of unions or bases."""
        names = [name for name in (declared.names or ()) if name != "null"] if declared is not None else []
        if len(names) != 1:
            return None
        name = {"self": scope.class_name, "static": scope.static_class}.get(names[0], names[0])
        if is_native(name) or self._native(name) is not None:
            return InferredType(class_name=name, many=name in COLLECTIONS)
        found = self._find(name)
        if found is None:
            return InferredType(class_name=name) if "\\" in name else None
        if found.abstract or found.kind == "interface":
            return None
        return InferredType(class_name=name)

    # ---- methods ----------------------------------------------------------------------------------

    def _methods(self, class_name: str, *names: str) -> None:
        for name in names:
            self._method(class_name, name)

    def _method(
        self,
        class_name: str,
        name: str,
        arguments: Sequence[InferredType | None] = (),
        static_class: str = "",
    ) -> InferredType | None:
        """Walks the method once, with its first arguments; what it returns."""
        bound = self._bound(class_name, name)
        if bound is None:
            return None
        key = (static_class or class_name, f"{bound.owner}::{bound.method.name}{'?' if self._quiet else ''}")
        if key in self._known:
            return self._known[key]
        method = bound.method
        scope = MethodScope(method.file, bound.owner, static_class or class_name)
        declared = self._kind(method.returns, scope)
        self._known[key] = declared
        body = self._try(lambda: self._classes.body(method))
        parameters: tuple[n.Parameter, ...] | None = self._try(lambda: lower_parameters(method))
        if body is None or parameters is None:
            return declared
        scope.variables["this"] = InferredType(class_name=scope.static_class)
        outer, self._scope = self._scope, scope
        self._parameters(parameters, arguments)
        if name == "__construct":
            given = self._constructed.setdefault(scope.static_class, {})
            given.update({p.name: scope.variables[p.name] for p in parameters if p.promoted})
        self._walk(body)
        self._scope = outer
        kinds = [kind for kind in scope.returned if kind is not None]
        self._known[key] = kinds[0] if kinds else declared
        return self._known[key]

    def _parameters(
        self, parameters: tuple[n.Parameter, ...], arguments: Sequence[InferredType | None] = ()
    ) -> None:
        for position, parameter in enumerate(parameters):
            given = arguments[position] if position < len(arguments) else None
            self._scope.variables[parameter.name] = self._kind(parameter.type, self._scope) or given

    # ---- nodes ------------------------------------------------------------------------------------

    def _walk(self, part: object) -> None:
        """A node or tuple of nodes, for what it holds."""
        if isinstance(part, n.Expression):
            self._value(part)
        elif isinstance(part, n.Return):
            self._scope.returned.append(self._value(part.value) if part.value is not None else None)
        elif isinstance(part, n.Foreach):
            subject = self._value(part.subject)
            if isinstance(part.value, n.Variable):
                self._scope.variables[part.value.name] = item_of(subject)
            self._walk(part.body)
        elif isinstance(part, n.Node):
            self._inside(part)
        elif isinstance(part, tuple):
            for inner in part:
                self._walk(inner)

    def _inside(self, node: n.Node) -> None:
        for one in fields(node):
            self._walk(getattr(node, one.name))

    def _value(self, node: n.Expression) -> InferredType | None:
        act = _EXPRESSIONS.get(type(node))
        if act is not None:
            return act(self, node)
        self._inside(node)
        return None

    def _class_of(self, reference: str | n.Expression) -> str:
        """The class before `::`; empty where it cannot be told."""
        if isinstance(reference, n.Expression):
            kind = self._value(reference)
            return kind.class_name if kind is not None else ""
        if reference == "parent":
            owner = self._find(self._scope.class_name)
            return (owner.parent or "") if owner is not None else ""
        return {"self": self._scope.class_name, "static": self._scope.static_class}.get(reference, reference)

    def _arguments(
        self, given: tuple[n.Argument, ...], item: InferredType | None = None
    ) -> list[InferredType | None]:
        """Kinds of the arguments; closures get `item` as their first."""
        kinds: list[InferredType | None] = []
        for argument in given:
            if isinstance(argument.value, n.Closure):
                self._closure(argument.value, item)
                kinds.append(None)
            else:
                kinds.append(self._value(argument.value))
        return kinds

    def _closure(self, node: n.Closure, item: InferredType | None = None) -> InferredType | None:
        outer = self._scope
        self._scope = MethodScope(outer.file, outer.class_name, outer.static_class, dict(outer.variables))
        self._parameters(node.parameters, [item])
        self._walk(node.body)
        self._scope = outer
        return None

    def _variable(self, node: n.Variable) -> InferredType | None:
        return self._scope.variables.get(node.name)

    def _assign(self, node: n.Assign) -> InferredType | None:
        kind = self._value(node.value)
        match node.target:
            case n.Variable(name=name):
                self._scope.variables[name] = kind
            case n.Property(object=n.Variable(name="this"), name=str(name)) if self._quiet:
                self._constructed.setdefault(self._scope.static_class, {})[name] = kind
            case n.Property(object=holder):
                owner = self._value(holder)
                if owner is not None and self._native(owner.class_name) is not None:
                    self._note(f"an assignment to {owner.class_name}::${node.target.name}", node.line)
            case target:
                self._walk(target)
        return kind

    def _array(self, node: n.ArrayLiteral) -> InferredType | None:
        kinds = [(self._value(entry.value), entry) for entry in node.entries]
        for entry in node.entries:
            self._walk(entry.key)
        return InferredType(entries=tuple(kind for kind, _ in kinds if kind is not None))

    def _property(self, node: n.Property) -> InferredType | None:
        kind = self._value(node.object)
        if kind is None or not kind.class_name or not isinstance(node.name, str):
            self._walk(node.name)
            return None
        name = kind.class_name
        if self._is_model(name):
            return self._attribute(name, node.name)
        native = self._native(name)
        if isinstance(native, ResourceClass):
            return self._resource_property(kind, node.name)
        if native is not None:
            if isinstance(native, NativeClass) and not native.has_property(node.name):
                self._note(f"the property {name}::${node.name}", node.line)
            return None
        found = self._find(name)
        if found is None and not is_native(name):
            self._note(f"the property {name}::${node.name}", node.line)
        if found is None or not found.file:
            return None
        if node.name not in (self._try(lambda: self._classes.properties(name)) or {}):
            self._method(name, "__get")
            return None
        return self._property_kind(name, node.name)

    def _method_call(self, node: n.MethodCall) -> InferredType | None:
        if self._quiet and node.name == "user" and _is_of_request(node.object):
            return self._user()
        kind = self._value(node.object)
        arguments = self._arguments(node.arguments, item_of(kind))
        if kind is None or not kind.class_name or not isinstance(node.name, str):
            self._walk(node.name)
            return None
        name, method = kind.class_name, node.name
        if name in RELATION_CLASSES:
            if method.lower() in RELATION_METHODS:
                return kind
            if method.lower() in ENDINGS and not node.arguments:
                return self._asked(kind, method.lower())
            if (
                self._try(lambda: scope_of(self._classes, kind.item, method, self._environment.version))
                is None
            ):
                self._note(f"{method}() on a relation", node.line)
                return None
            if self._environment.report.queries is not None:
                self._refusal(self._environment.report.queries.refused())
            return kind
        if self._has(name, method):
            return self._method(name, method, arguments)
        native = self._native(name)
        if isinstance(native, ModelClass):
            return self._model_call(native, kind, node)
        if isinstance(native, ResourceClass):
            return self._resource_call(kind, node.name, node.line, arguments)
        if native is None:
            found = self._find(name)
            if found is None or not found.file:
                self._note(f"the method {name}::{method}()", node.line)
        elif offers(native, method) is False:
            self._note(f"the method {name}::{method}()", node.line)
        elif name == CARBON and method in _IN_ENGLISH and self._environment.sets_locale:
            self._note(f"{method}() in a language that may not be English", node.line)
        return None

    # ---- API resources ----------------------------------------------------------------------------

    def _holds(self, kind: InferredType) -> InferredType | None:
        """What the resource was made of, as far as it was seen."""
        name = kind.item or self._wrapped.get(kind.class_name, "")
        return InferredType(class_name=name) if name else None

    def _resource_property(self, kind: InferredType, name: str) -> InferredType | None:
        held = self._holds(kind)
        if name in (self._try(lambda: self._classes.properties(kind.class_name)) or {}):
            return held if name == "resource" else self._property_kind(kind.class_name, name)
        return self._attribute(held.class_name, name) if held and self._is_model(held.class_name) else None

    def _resource_call(
        self, kind: InferredType, method: str, line: int, arguments: Sequence[InferredType | None]
    ) -> InferredType | None:
        """A method of Laravel's resources, else one of what the resource holds."""
        native, held = self._native(kind.class_name), self._holds(kind)
        if native is not None and offers(native, method) is False:
            self._note(f"the method {kind.class_name}::{method}()", line)
        elif method == "toArray":
            self._sent(held)
        elif method in PROTECTED or method in METHODS:
            return kind if method == "additional" else None
        elif held is not None and self._has(held.class_name, method):
            return self._method(held.class_name, method, arguments)
        return None

    def _made_resource(
        self, native: ResourceClass, name: str, arguments: Sequence[InferredType | None]
    ) -> InferredType:
        """`new Resource($model)`, which is taken to be sent."""
        held = held_by(arguments)
        made = InferredType(class_name=name, item=held)
        if held:
            self._wrapped.setdefault(name, held)
        if not self._first("resource", name + ("?" if self._quiet else "")):
            return made
        self._try(lambda: native.require_plain(self._php, name))
        if self._has(name, "__construct"):
            self._method(name, "__construct", arguments)
        if self._has(name, "toArray"):
            self._sent(self._method(name, "toArray", (InferredType(class_name=REQUEST),)))
        else:
            collects: str | None = self._try(lambda: collected_by(self._php, name))
            self._sent(self._made_resource(native, collects, arguments) if collects else self._holds(made))
        return made

    def _user(self) -> InferredType | None:
        """Who is logged in at dispatch: the app's model of users, where it has the usual name."""
        return next((InferredType(class_name=name) for name in _USERS if self._is_model(name)), None)

    def _static_call(self, node: n.StaticCall) -> InferredType | None:
        name = self._class_of(node.class_name)
        if self._quiet and node.name == "user" and name in _AUTH:
            return self._user()
        arguments = self._arguments(node.arguments)
        if not name or not isinstance(node.name, str):
            self._walk(node.name)
            return None
        self._withheld(name)
        relative = node.class_name in ("self", "static", "parent")
        if self._has(name, node.name):
            return self._method(name, node.name, arguments, self._scope.static_class if relative else "")
        found, native = self._find(name), self._native(name)
        if found is not None and found.kind == "enum":
            return InferredType(class_name=name) if node.name in ("from", "tryFrom") else None
        if relative and isinstance(native, ModelClass):
            if not native.knows(node.name.lower()):
                self._note(f"{name}::{node.name}()", node.line)
        elif isinstance(native, ModelClass):
            self._note(f"{name}::{node.name}()", node.line)
        elif isinstance(native, ResourceClass) and node.name in ("make", "collection"):
            made = self._made_resource(native, name, arguments)
            return made if node.name == "make" else InferredType(class_name=ANONYMOUS, item=name, many=True)
        elif isinstance(native, ResourceClass) and relative:
            if node.name != "__construct":
                own = InferredType(class_name=self._scope.static_class)
                return self._resource_call(own, node.name, node.line, arguments)
        elif isinstance(native, ResourceClass):
            self._note(f"the static method {name}::{node.name}()", node.line)
        elif isinstance(native, NativeClass):
            if node.name not in native.statics:
                self._note(f"the static method {name}::{node.name}()", node.line)
        elif native is None and node.name != "__construct" and not self._has(name, "__callStatic"):
            self._note(f"the static method {name}::{node.name}()", node.line)
        return InferredType(class_name=ATTRIBUTE) if name == ATTRIBUTE else None

    def _new(self, node: n.New) -> InferredType | None:
        name = self._class_of(node.class_name)
        arguments = self._arguments(node.arguments)
        if not name:
            return None
        native = self._native(name)
        if isinstance(native, ResourceClass):
            return self._made_resource(native, name, arguments)
        if isinstance(native, ModelClass) or (isinstance(native, NativeClass) and not native.makes):
            self._note(f"new {name}", node.line)
        elif native is None and name != "stdClass":
            found = self._find(name)
            if found is None or not found.file:
                self._note(f"new {name}", node.line)
            else:
                self._try(lambda: self._classes.whole(name))
                if self._has(name, "__destruct"):
                    self._note(f"the destructor of {name}", node.line)
                self._method(name, "__construct", arguments)
        return InferredType(class_name=name)

    def _call(self, node: n.Call) -> InferredType | None:
        arguments = self._arguments(node.arguments)
        if not isinstance(node.function, str):
            self._value(node.function)
            return None
        if node.function not in self._environment.functions:
            self._note(f"the function {node.function}()", node.line)
        self._withheld(node.function)
        if node.function in _CARBON_FUNCTIONS:
            return InferredType(class_name=CARBON)
        if node.function in ("tap", "optional", "with") and arguments:
            return arguments[0]
        return None

    def _class_constant(self, node: n.ClassConstant) -> InferredType | None:
        name = self._class_of(node.class_name)
        if not name or not isinstance(node.name, str) or node.name == "class":
            self._walk(node.name)
            return None
        if f"{name}::{node.name}" in self._environment.constants:
            return None
        found = self._find(name)
        if found is None:
            self._note(f"the constant {name}::{node.name}", node.line)
            return None
        if node.name in found.cases:
            return InferredType(class_name=name)
        label = node.name
        constant = self._try(lambda: self._classes.constant(name, label))
        if constant is not None and self._first("constant", f"{constant[1]}::{label}"):
            self._walk(constant[0])
        return None

    def _constant(self, node: n.Constant) -> InferredType | None:
        if node.name not in self._environment.constants:
            self._note(f"the constant {node.name}", node.line)
        return None

    def _static_property(self, node: n.StaticProperty) -> InferredType | None:
        self._note(f"the static property ${node.name}", node.line)
        return None

    def _ternary(self, node: n.Ternary) -> InferredType | None:
        condition = self._value(node.condition)
        then = self._value(node.then) if node.then is not None else condition
        return either(then, self._value(node.otherwise))

    def _binary(self, node: n.Binary) -> InferredType | None:
        left, right = self._value(node.left), self._value(node.right)
        return either(left, right) if node.operator == "??" else None

    def _unknown(self, node: n.Unsupported) -> InferredType | None:
        self._refusal(node.problem)
        return None

    def _clone(self, node: n.Clone) -> InferredType | None:
        kind = self._value(node.operand)
        if kind is not None and kind.class_name and self._native(kind.class_name) is not None:
            self._note(f"clone of {kind.class_name}", node.line)
        return kind


_EXPRESSIONS: dict[type[n.Expression], Callable[[SourceVisitor, Any], InferredType | None]] = {
    n.Variable: SourceVisitor._variable,
    n.Assign: SourceVisitor._assign,
    n.ArrayLiteral: SourceVisitor._array,
    n.Closure: SourceVisitor._closure,
    n.Property: SourceVisitor._property,
    n.MethodCall: SourceVisitor._method_call,
    n.StaticCall: SourceVisitor._static_call,
    n.New: SourceVisitor._new,
    n.Call: SourceVisitor._call,
    n.ClassConstant: SourceVisitor._class_constant,
    n.Constant: SourceVisitor._constant,
    n.StaticProperty: SourceVisitor._static_property,
    n.Ternary: SourceVisitor._ternary,
    n.Binary: SourceVisitor._binary,
    n.Clone: SourceVisitor._clone,
    n.Unsupported: SourceVisitor._unknown,
}
