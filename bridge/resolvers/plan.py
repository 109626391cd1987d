"""What the native rungs would meet in a class, told from its source without running it.

The walk goes through the methods that BroadcastEvent::handle() calls, and from there through everything
they call, with what declared types, constructors, casts and relations say of the values. It finds what is
certainly refused; where the type of a value cannot be told it assumes the best, and the ladder decides at
run time. `Plan(world).event(name)` gives the refusals, empty where all is native.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from bridge.errors import JobError, Refused
from bridge.laravel.classes.channel import ChannelClass
from bridge.laravel.classes.family import Family
from bridge.laravel.classes.values import COLLECTIONS
from bridge.laravel.models import state
from bridge.laravel.models.casts import is_cast, named_cast
from bridge.laravel.models.facts import ATTRIBUTE
from bridge.laravel.models.model import ELOQUENT_COLLECTION, ModelClass, View
from bridge.laravel.models.relations import REFINEMENTS, RELATION_CLASSES, RELATION_OF
from bridge.laravel.objects import is_native
from bridge.php import nodes as n
from bridge.php.classes import BoundMethod
from bridge.php.evaluate import Evaluator, Native
from bridge.php.syntax import lower_parameters
from bridge.resolvers.world import AppWorld

CARBON = "Illuminate\\Support\\Carbon"
_DATES = frozenset({"date", "datetime", "immutable_date", "immutable_datetime"})
_CARBON_FUNCTIONS = frozenset({"now", "today"})
_LOADING = frozenset({"load", "loadmissing"})
_SAME_MODEL = _LOADING | {"makehidden", "makevisible", "append", "withoutrelations", "fresh", "refresh"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is known of a value: an object's class; of a relation or collection the class of its models;
    of an array what stands in it."""

    class_name: str = ""
    item: str = ""
    many: bool = False
    entries: tuple[Kind, ...] = ()


@dataclass(slots=True)
class _Scope:
    """One method: where it stands, what it acts as, what its variables hold."""

    file: str
    class_name: str
    static_class: str
    variables: dict[str, Kind | None] = field(default_factory=dict)
    returned: list[Kind | None] = field(default_factory=list)


class Plan:
    """The walk through one class; make a new one for the next."""

    def __init__(self, world: AppWorld) -> None:
        self._world = world
        self._classes = world.classes
        self._php = Evaluator(world)
        self._problems: dict[str, Refused] = {}
        self._known: dict[tuple[str, str], Kind | None] = {}
        self._done: set[tuple[str, str]] = set()
        self._constructed: dict[str, dict[str, Kind | None]] = {}
        self._scope = _Scope("", "", "")
        self._quiet = False

    # ---- what is asked ----------------------------------------------------------------------------

    def event(self, name: str) -> list[Refused]:
        """What the native rung would refuse of an event."""
        self._try(self._world.require_plain_app)
        self._restored(Kind(class_name=name))
        if not self._has(name, "broadcastOn"):
            self._note(f"{name} has no broadcastOn(), which")
        self._methods(name, "broadcastAs", "broadcastOn", "broadcastConnections")
        if self._has(name, "broadcastWith"):
            self._sent(self._method(name, "broadcastWith"))
        else:
            self._sent_properties(name)
        return list(self._problems.values())

    def notification(self, name: str) -> list[Refused]:
        """What the framework rung would refuse of a notification; its data was made at dispatch."""
        self._try(self._world.require_plain_app)
        self._restored(Kind(class_name=name))
        self._methods(name, "broadcastAs", "broadcastOn", "broadcastType")
        if self._has(name, "broadcastWith"):
            self._sent(self._method(name, "broadcastWith"))
        return list(self._problems.values())

    def model(self, name: str) -> list[Refused]:
        """What the framework rung would refuse of a model that broadcasts its events."""
        self._try(self._world.require_plain_app)
        self._restored(Kind(class_name=name))
        self._methods(name, "broadcastAs", "broadcastOn")
        if self._has(name, "broadcastWith"):
            self._sent(self._method(name, "broadcastWith"))
        else:
            self._whole(name)
        return list(self._problems.values())

    # ---- keeping account --------------------------------------------------------------------------

    def _note(self, what: str, line: int = 0) -> None:
        self._refusal(Refused(f"{what} is not evaluated natively", file=self._scope.file, line=line))

    def _refusal(self, problem: Refused) -> None:
        if not self._quiet:
            self._problems.setdefault(str(problem), problem)

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
        native: Native | None = self._try(lambda: self._world.native(class_name))
        return native

    def _is_model(self, class_name: str) -> bool:
        return bool(class_name) and isinstance(self._native(class_name), ModelClass)

    def _kind(self, declared: n.Type | None, scope: _Scope) -> Kind | None:
        """What a declared type tells: one class of objects that are made, nothing of unions or bases."""
        names = [name for name in (declared.names or ()) if name != "null"] if declared is not None else []
        if len(names) != 1:
            return None
        name = {"self": scope.class_name, "static": scope.static_class}.get(names[0], names[0])
        if is_native(name) or self._native(name) is not None:
            return Kind(class_name=name, many=name in COLLECTIONS)
        found = self._find(name)
        if found is None:
            return Kind(class_name=name) if "\\" in name else None
        if found.abstract or found.kind == "interface":
            return None
        return Kind(class_name=name)

    # ---- objects of a payload ---------------------------------------------------------------------

    def _restored(self, kind: Kind | None) -> None:
        """As `laravel.objects.restore`: every object that the payload holds."""
        for inner in kind.entries if kind is not None else ():
            self._restored(inner)
        if kind is None or not kind.class_name or not self._first("restored", kind.class_name):
            return
        name = kind.class_name
        found = self._find(name)
        if self._is_model(name):
            self._view(name)
            return
        if name == "stdClass" or is_native(name) or (found is not None and found.kind != "class"):
            return
        if found is None:
            self._refusal(Refused(f"the class {name} of an object in the payload is not known"))
            return
        if not found.file or self._try(lambda: self._classes.whole(name)) is None:
            return
        for method in ("__wakeup", "__unserialize"):
            if self._has(name, method):
                self._refusal(Refused(f"{name} has {method}(), which only PHP can run"))
        for property in self._try(lambda: self._classes.instance_properties(name)) or ():
            self._restored(self._property_kind(name, property.declaration.name))

    def _property_kind(self, class_name: str, name: str) -> Kind | None:
        """The declared type of a property, else what the constructor puts into it."""
        bound = (self._try(lambda: self._classes.properties(class_name)) or {}).get(name)
        if bound is None:
            return None
        owner = self._find(bound.owner)
        scope = _Scope(owner.file if owner is not None else "", bound.owner, class_name)
        kind = self._kind(bound.declaration.type, scope)
        if kind is None or kind.class_name in COLLECTIONS:
            return self._given(class_name).get(name) or kind
        return kind

    def _given(self, class_name: str) -> dict[str, Kind | None]:
        """Property → what the constructor assigns to it. The constructor runs at dispatch: nothing in it
        is refused here."""
        if class_name not in self._constructed:
            self._constructed[class_name] = {}
            quiet, self._quiet = self._quiet, True
            self._method(class_name, "__construct")
            self._quiet = quiet
        return self._constructed[class_name]

    def _sent(self, kind: Kind | None) -> None:
        """A value that becomes JSON."""
        if kind is None:
            return
        for inner in kind.entries:
            self._sent(inner)
        if kind.item and kind.class_name not in RELATION_CLASSES:
            self._whole(kind.item)
            return
        name = kind.class_name
        found = self._find(name) if name else None
        if found is None or not found.file or found.kind != "class" or is_native(name):
            return
        if self._is_model(name):
            self._whole(name)
            return
        for method in ("jsonSerialize", "toArray"):
            if self._has(name, method):
                self._sent(self._method(name, method))
                return
        if self._first("sent", name):
            self._sent_properties(name)

    def _sent_properties(self, name: str) -> None:
        for property, bound in (self._try(lambda: self._classes.properties(name)) or {}).items():
            if bound.declaration.visibility != "public" or bound.declaration.static:
                continue
            if bound.declaration.hooked:
                self._note(f"the property hook of ${property}", bound.declaration.line)
            self._sent(self._property_kind(name, property))

    # ---- models -----------------------------------------------------------------------------------

    def _view(self, name: str) -> View | None:
        """The facts of a model, with what it always loads."""
        native = self._native(name)
        if not isinstance(native, ModelClass):
            return None
        view: View | None = self._try(lambda: native.blank(name, self._php))
        if view is not None and self._first("model", name):
            if state.array(view.model, "withCount"):
                self._refusal(Refused(f"{name} has $withCount"))
            for relation in state.names(view.model, "with"):
                self._relation(name, relation.decode().partition(".")[0])
        return view

    def _whole(self, name: str) -> None:
        """A model's `toArray()`."""
        if not self._first("whole", name):
            return
        view = self._view(name)
        if view is None:
            return
        self._methods(name, "toArray", "serializeDate")
        visible, hidden = state.names(view.model, "visible"), state.names(view.model, "hidden")

        def shown(key: bytes) -> bool:
            return (not visible or key in visible) and key not in hidden

        for key in state.array(view.model, "casts"):
            if isinstance(key, bytes) and shown(key):
                self._cast(view, key)
        for key in filter(shown, state.names(view.model, "appends")):
            method, _ = view.facts.accessors.get(key.decode(), ("", False))
            if method:
                self._sent(self._method(name, method))
            else:
                self._refusal(Refused(f"{name} appends {key.decode()}, which has no accessor that is known"))
        for relation in state.names(view.model, "with"):
            kind = self._relation(name, relation.decode().partition(".")[0])
            if kind is not None and kind.item:
                self._whole(kind.item)

    def _cast(self, view: View, key: bytes) -> Kind | None:
        """What reading an attribute with a cast gives."""
        text = state.array(view.model, "casts").get(key)
        if not isinstance(text, bytes):
            return None
        cast = named_cast(text.decode("utf-8", "replace"))
        if self._find(cast.whole) is not None and self._php.is_enum(cast.whole):
            return Kind(class_name=cast.whole)
        if self._find(cast.name) is not None:
            if not self._has(cast.name, "get"):
                self._refusal(Refused(f"the cast class {cast.name}"))
            self._method(cast.name, "__construct")
            return self._method(cast.name, "get")
        if not is_cast(cast):
            self._refusal(Refused(f"the cast {cast.whole} of {view.model.class_name}::${key.decode()}"))
        return Kind(class_name=CARBON) if cast.name.lower() in _DATES else None

    def _attribute(self, class_name: str, name: str, line: int) -> Kind | None:
        """`$model->name`."""
        if class_name == self._scope.class_name or class_name == self._scope.static_class:
            declared = (self._try(lambda: self._classes.properties(class_name)) or {}).get(name)
            if declared is not None:
                return None
        view = self._view(class_name)
        if view is None:
            return None
        accessor = view.facts.accessors.get(name)
        if accessor is not None:
            made = self._method(class_name, accessor[0])
            return None if accessor[1] else made
        key = name.encode()
        if key in state.array(view.model, "casts"):
            return self._cast(view, key)
        if name in (view.facts.created_at, view.facts.updated_at, view.facts.deleted_at):
            return Kind(class_name=CARBON)
        if self._has(class_name, name):
            kind = self._relation(class_name, name)
            if kind is None or not kind.item:
                return None
            if kind.many:
                return Kind(class_name=ELOQUENT_COLLECTION, item=kind.item, many=True)
            return Kind(class_name=kind.item)
        return None

    def _relation(self, class_name: str, name: str) -> Kind | None:
        """The relation that a method describes; its related model is looked at, its scopes too."""
        kind = self._method(class_name, name)
        if kind is None or kind.class_name not in RELATION_CLASSES:
            return None
        if kind.item:
            if not self._is_model(kind.item):
                self._refusal(Refused(f"the source of {kind.item} is not known"))
                return None
            view = self._view(kind.item)
            if view is not None and view.facts.scope is not None:
                self._refusal(view.facts.scope)
        return kind

    def _load(self, class_name: str, names: Iterable[str]) -> None:
        for name in names:
            owner: str | None = class_name
            for part in name.split("."):
                kind = self._relation(owner, part) if owner and self._has(owner, part) else None
                owner = kind.item if kind is not None else None

    # ---- methods ----------------------------------------------------------------------------------

    def _methods(self, class_name: str, *names: str) -> None:
        for name in names:
            self._method(class_name, name)

    def _method(
        self, class_name: str, name: str, arguments: Sequence[Kind | None] = (), static_class: str = ""
    ) -> Kind | None:
        """Walks the method once, with its first arguments; what it returns."""
        bound = self._bound(class_name, name)
        if bound is None:
            return None
        key = (static_class or class_name, f"{bound.owner}::{bound.method.name}{'?' if self._quiet else ''}")
        if key in self._known:
            return self._known[key]
        method = bound.method
        scope = _Scope(method.file, bound.owner, static_class or class_name)
        declared = self._kind(method.returns, scope)
        self._known[key] = declared
        body = self._try(lambda: self._classes.body(method))
        parameters: tuple[n.Parameter, ...] | None = self._try(lambda: lower_parameters(method))
        if body is None or parameters is None:
            return declared
        scope.variables["this"] = Kind(class_name=scope.static_class)
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

    def _parameters(self, parameters: tuple[n.Parameter, ...], arguments: Sequence[Kind | None] = ()) -> None:
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
                self._scope.variables[part.value.name] = _item(subject)
            self._walk(part.body)
        elif isinstance(part, n.Node):
            self._inside(part)
        elif isinstance(part, tuple):
            for inner in part:
                self._walk(inner)

    def _inside(self, node: n.Node) -> None:
        for one in fields(node):
            self._walk(getattr(node, one.name))

    def _value(self, node: n.Expression) -> Kind | None:
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

    def _arguments(self, given: tuple[n.Argument, ...], item: Kind | None = None) -> list[Kind | None]:
        """Kinds of the arguments; closures get `item` as their first."""
        kinds: list[Kind | None] = []
        for argument in given:
            if isinstance(argument.value, n.Closure):
                self._closure(argument.value, item)
                kinds.append(None)
            else:
                kinds.append(self._value(argument.value))
        return kinds

    def _closure(self, node: n.Closure, item: Kind | None = None) -> Kind | None:
        outer = self._scope
        self._scope = _Scope(outer.file, outer.class_name, outer.static_class, dict(outer.variables))
        self._parameters(node.parameters, [item])
        self._walk(node.body)
        self._scope = outer
        return None

    def _variable(self, node: n.Variable) -> Kind | None:
        return self._scope.variables.get(node.name)

    def _assign(self, node: n.Assign) -> Kind | None:
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

    def _array(self, node: n.ArrayLiteral) -> Kind | None:
        kinds = [(self._value(entry.value), entry) for entry in node.entries]
        for entry in node.entries:
            self._walk(entry.key)
        return Kind(entries=tuple(kind for kind, _ in kinds if kind is not None))

    def _property(self, node: n.Property) -> Kind | None:
        kind = self._value(node.object)
        if kind is None or not kind.class_name or not isinstance(node.name, str):
            self._walk(node.name)
            return None
        name = kind.class_name
        if self._is_model(name):
            return self._attribute(name, node.name, node.line)
        native = self._native(name)
        if native is not None:
            if isinstance(native, Family) and node.name not in native.properties:
                self._note(f"the property {name}::${node.name}", node.line)
            return None
        found = self._find(name)
        if found is None and not is_native(name):
            self._note(f"the property {name}::${node.name}", node.line)
        if found is None or not found.file:
            return None
        if node.name not in (self._try(lambda: self._classes.properties(name)) or {}):
            if self._has(name, "__get"):
                self._note(f"__get of {name}", node.line)
            return None
        return self._property_kind(name, node.name)

    def _method_call(self, node: n.MethodCall) -> Kind | None:
        kind = self._value(node.object)
        arguments = self._arguments(node.arguments, _item(kind))
        if kind is None or not kind.class_name or not isinstance(node.name, str):
            self._walk(node.name)
            return None
        name, method = kind.class_name, node.name
        if name in RELATION_CLASSES:
            if method.lower() not in REFINEMENTS:
                self._note(f"{method}() on a relation", node.line)
                return None
            return kind
        if self._has(name, method):
            return self._method(name, method, arguments)
        native = self._native(name)
        if isinstance(native, ModelClass):
            return self._model_call(native, kind, node)
        if native is None:
            found = self._find(name)
            if found is None or not found.file:
                self._note(f"the method {name}::{method}()", node.line)
        elif _offers(native, method) is False:
            self._note(f"the method {name}::{method}()", node.line)
        return None

    def _model_call(self, native: ModelClass, kind: Kind, node: n.MethodCall) -> Kind | None:
        """A method of Laravel's Model."""
        method, texts = str(node.name).lower(), list(_texts(node.arguments))
        relation = RELATION_OF.get(method)
        if native.around.morphs is not None and method.removeprefix("get").startswith("morph"):
            self._refusal(native.around.morphs)
        if relation is not None:
            related = texts[0].lstrip("\\") if texts else ""
            many = relation.endswith(("Many", "BelongsToMany"))
            return Kind(class_name=relation, item="" if method == "morphto" else related, many=many)
        if not native.knows(method):
            self._note(f"the method {kind.class_name}::{node.name}()", node.line)
        if method in _LOADING:
            self._load(kind.class_name, texts)
        if method == "toarray":
            self._whole(kind.class_name)
        return kind if method in _SAME_MODEL else None

    def _static_call(self, node: n.StaticCall) -> Kind | None:
        name = self._class_of(node.class_name)
        arguments = self._arguments(node.arguments)
        if not name:
            return None
        relative = node.class_name in ("self", "static", "parent")
        if self._has(name, node.name):
            return self._method(name, node.name, arguments, self._scope.static_class if relative else "")
        found, native = self._find(name), self._native(name)
        if found is not None and found.kind == "enum":
            return Kind(class_name=name) if node.name in ("from", "tryFrom") else None
        if relative and isinstance(native, ModelClass):
            if not native.knows(node.name.lower()):
                self._note(f"{name}::{node.name}()", node.line)
        elif isinstance(native, ModelClass):
            self._note(f"{name}::{node.name}()", node.line)
        elif isinstance(native, Family):
            if node.name not in native.statics:
                self._note(f"the static method {name}::{node.name}()", node.line)
        elif native is None and not (relative and node.name == "__construct"):
            self._note(f"the static method {name}::{node.name}()", node.line)
        return Kind(class_name=ATTRIBUTE) if name == ATTRIBUTE else None

    def _new(self, node: n.New) -> Kind | None:
        name = self._class_of(node.class_name)
        arguments = self._arguments(node.arguments)
        if not name:
            return None
        native = self._native(name)
        if isinstance(native, ModelClass) or (isinstance(native, Family) and not native.makes):
            self._note(f"new {name}", node.line)
        elif native is None and name != "stdClass":
            found = self._find(name)
            if found is None or not found.file:
                self._note(f"new {name}", node.line)
            else:
                self._try(lambda: self._classes.whole(name))
                self._method(name, "__construct", arguments)
        return Kind(class_name=name)

    def _call(self, node: n.Call) -> Kind | None:
        arguments = self._arguments(node.arguments)
        if not isinstance(node.function, str):
            self._value(node.function)
            return None
        if node.function not in self._world.functions:
            self._note(f"the function {node.function}()", node.line)
        if node.function in _CARBON_FUNCTIONS:
            return Kind(class_name=CARBON)
        if node.function in ("tap", "optional", "with") and arguments:
            return arguments[0]
        return None

    def _class_constant(self, node: n.ClassConstant) -> Kind | None:
        name = self._class_of(node.class_name)
        if not name or node.name == "class":
            return None
        found = self._find(name)
        if found is None:
            self._note(f"the constant {name}::{node.name}", node.line)
            return None
        if node.name in found.cases:
            return Kind(class_name=name)
        constant = self._try(lambda: self._classes.constant(name, node.name))
        if constant is not None and self._first("constant", f"{constant[1]}::{node.name}"):
            self._walk(constant[0])
        return None

    def _constant(self, node: n.Constant) -> Kind | None:
        if node.name not in self._world.constants:
            self._note(f"the constant {node.name}", node.line)
        return None

    def _static_property(self, node: n.StaticProperty) -> Kind | None:
        self._note(f"the static property ${node.name}", node.line)
        return None

    def _ternary(self, node: n.Ternary) -> Kind | None:
        condition = self._value(node.condition)
        then = self._value(node.then) if node.then is not None else condition
        return _either(then, self._value(node.otherwise))

    def _binary(self, node: n.Binary) -> Kind | None:
        left, right = self._value(node.left), self._value(node.right)
        return _either(left, right) if node.operator == "??" else None

    def _unknown(self, node: n.Unknown) -> Kind | None:
        self._refusal(node.problem)
        return None

    def _clone(self, node: n.Clone) -> Kind | None:
        kind = self._value(node.operand)
        if kind is not None and kind.class_name and self._native(kind.class_name) is not None:
            self._note(f"clone of {kind.class_name}", node.line)
        return kind


def _item(kind: Kind | None) -> Kind | None:
    """What a loop over the value, or a closure of its methods, gets."""
    return Kind(class_name=kind.item) if kind is not None and kind.many and kind.item else None


def _either(first: Kind | None, second: Kind | None) -> Kind | None:
    """Null has no kind, so the one that has one tells; two that differ tell nothing."""
    if first is None or second is None or first == second:
        return first or second
    return None


def _texts(arguments: tuple[n.Argument, ...]) -> Iterator[str]:
    """Names given as literals, one by one or in an array."""
    for argument in arguments:
        nodes = (
            [entry.value for entry in argument.value.entries]
            if isinstance(argument.value, n.ArrayLiteral)
            else [argument.value]
        )
        for node in nodes:
            if isinstance(node, n.Literal) and isinstance(node.value, bytes):
                yield node.value.decode("utf-8", "replace")


def _offers(native: Native, method: str) -> bool | None:
    """Whether a class written in Python has the method; None where only a call can tell."""
    match native:
        case Family():
            return method in native.methods
        case ChannelClass():
            return method.lower() == "__tostring"
    return None


_EXPRESSIONS: dict[type[n.Expression], Callable[[Plan, Any], Kind | None]] = {
    n.Variable: Plan._variable,
    n.Assign: Plan._assign,
    n.ArrayLiteral: Plan._array,
    n.Closure: Plan._closure,
    n.Property: Plan._property,
    n.MethodCall: Plan._method_call,
    n.StaticCall: Plan._static_call,
    n.New: Plan._new,
    n.Call: Plan._call,
    n.ClassConstant: Plan._class_constant,
    n.Constant: Plan._constant,
    n.StaticProperty: Plan._static_property,
    n.Ternary: Plan._ternary,
    n.Binary: Plan._binary,
    n.Clone: Plan._clone,
    n.Unknown: Plan._unknown,
}
