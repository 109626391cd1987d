"""What the native rungs would refuse of a class, read from its source without running it.

The walk goes through the methods that BroadcastEvent::handle() calls, and from there through everything
they call, with what declared types, constructors, casts and relations say of the values. It finds what is
certainly refused; where the type of a value is not known it assumes the best, and the ladder decides at
run time. `RefusalFinder(environment).event(name)` gives the refusals, empty where all is native.
"""

from __future__ import annotations

from collections.abc import Iterable

from bridge.errors import Refused
from bridge.jobs.resolve.survey.expressions import EXPRESSIONS
from bridge.jobs.resolve.survey.resources import made_resource
from bridge.jobs.resolve.survey.types import CARBON, InferredType, MethodScope, texts_of
from bridge.jobs.resolve.survey.visitor import SourceVisitor
from bridge.phpeval.laravel.eloquent import cast_classes, properties
from bridge.phpeval.laravel.eloquent.casts import is_cast, named_cast
from bridge.phpeval.laravel.eloquent.model import ELOQUENT_COLLECTION, ModelClass
from bridge.phpeval.laravel.eloquent.model_view import ModelView
from bridge.phpeval.laravel.eloquent.relations import RELATION_CLASSES, RELATION_OF
from bridge.phpeval.laravel.object_conversions import is_native
from bridge.phpeval.laravel.support.json_forms import COLLECTIONS
from bridge.phpeval.laravel.support.resource import ResourceClass
from bridge.phpeval.php import ast as n

_DATES = frozenset({"date", "datetime", "immutable_date", "immutable_datetime"})
_LOADING = frozenset({"load", "loadmissing"})
_SAME_MODEL = _LOADING | {"makehidden", "makevisible", "append", "withoutrelations", "fresh", "refresh"}


class RefusalFinder(SourceVisitor):
    """What is refused of one class; make a new one for the next."""

    expressions = EXPRESSIONS

    # ---- what is asked ----------------------------------------------------------------------------

    def event(self, name: str) -> list[Refused]:
        """What the native rung would refuse of an event."""
        self.source.attempt(self.environment.require_unmodified_framework)
        self._restored(InferredType(class_name=name))
        self._given(name)
        for class_name, relations in self.loaded:  # at dispatch; they are restored with their models
            self._load(class_name, relations)
        if not self.source.has(name, "broadcastOn"):
            self.note(f"{name} has no broadcastOn(), which")
        self.methods(name, "broadcastAs", "broadcastOn", "broadcastConnections")
        if self.source.has(name, "broadcastWith"):
            self.sent(self.method(name, "broadcastWith"))
        else:
            self._sent_properties(name)
        return list(self.source.refusals.values())

    def notification(self, name: str) -> list[Refused]:
        """What the framework rung would refuse of a notification; its data was made at dispatch."""
        self.source.attempt(self.environment.require_unmodified_framework)
        self._restored(InferredType(class_name=name))
        self.methods(name, "broadcastAs", "broadcastOn", "broadcastType")
        if self.source.has(name, "broadcastWith"):
            self.sent(self.method(name, "broadcastWith"))
        return list(self.source.refusals.values())

    def model(self, name: str) -> list[Refused]:
        """What the framework rung would refuse of a model that broadcasts its events."""
        self.source.attempt(self.environment.require_unmodified_framework)
        self._restored(InferredType(class_name=name))
        self.methods(name, "broadcastAs", "broadcastOn")
        if self.source.has(name, "broadcastWith"):
            self.sent(self.method(name, "broadcastWith"))
        else:
            self._whole(name)
        return list(self.source.refusals.values())

    # ---- objects of a payload ---------------------------------------------------------------------

    def _restored(self, kind: InferredType | None) -> None:
        """Checks every object of the payload, as `phpeval.laravel.object_conversions.restore` would."""
        for inner in kind.entries if kind is not None else ():
            self._restored(inner)
        if kind is None or not kind.class_name or not self.source.is_first("restored", kind.class_name):
            return
        name = kind.class_name
        found = self.source.find(name)
        if self.source.is_model(name):
            self._view(name)
            return
        if name == "stdClass" or is_native(name) or (found is not None and found.kind != "class"):
            return
        if found is None:
            self.source.refuse(Refused(f"the class {name} of an object in the payload is not known"))
            return
        if not found.file or self.source.attempt(lambda: self.source.table.whole(name)) is None:
            return
        for method in ("__wakeup", "__unserialize"):
            if self.source.has(name, method):
                self.source.refuse(Refused(f"{name} has {method}(), which only PHP can run"))
        for property in self.source.attempt(lambda: self.source.table.instance_properties(name)) or ():
            self._restored(self.property_kind(name, property.declaration.name))

    def property_kind(self, class_name: str, name: str) -> InferredType | None:
        """The declared type of a property, else what the constructor puts into it."""
        bound = self.source.properties(class_name).get(name)
        if bound is None:
            return None
        owner = self.source.find(bound.owner)
        scope = MethodScope(owner.file if owner is not None else "", bound.owner, class_name)
        kind = self.source.declared_type(bound.declaration.type, scope)
        if kind is None or kind.class_name in COLLECTIONS:
            return self._given(class_name).get(name) or kind
        return kind

    def _given(self, class_name: str) -> dict[str, InferredType | None]:
        """Property → what the constructor assigns to it. The constructor runs at dispatch: nothing in it
        is refused here."""
        if class_name not in self.constructed:
            self.constructed[class_name] = {}
            quiet, self.source.is_quiet = self.source.is_quiet, True
            self.method(class_name, "__construct")
            self.source.is_quiet = quiet
        return self.constructed[class_name]

    def sent(self, kind: InferredType | None) -> None:
        """Checks a value that becomes JSON."""
        if kind is None:
            return
        for inner in kind.entries:
            self.sent(inner)
        native = self.source.native(kind.class_name) if kind.class_name else None
        if isinstance(native, ResourceClass):
            made_resource(self, native, kind.class_name, (InferredType(class_name=kind.item),))
            return
        if kind.item and kind.class_name not in RELATION_CLASSES:
            self._whole(kind.item)
            return
        name = kind.class_name
        found = self.source.find(name) if name else None
        if found is None or not found.file or found.kind != "class" or is_native(name):
            return
        if self.source.is_model(name):
            self._whole(name)
            return
        for method in ("jsonSerialize", "toArray"):
            if self.source.has(name, method):
                self.sent(self.method(name, method))
                return
        if self.source.is_first("sent", name):
            self._sent_properties(name)

    def _sent_properties(self, name: str) -> None:
        for property, bound in (
            self.source.attempt(lambda: self.source.table.properties(name)) or {}
        ).items():
            if bound.declaration.visibility != "public" or bound.declaration.static:
                continue
            if bound.declaration.hooked:
                self.note(f"the property hook of ${property}", bound.declaration.line)
            self.sent(self.property_kind(name, property))

    # ---- models -----------------------------------------------------------------------------------

    def _view(self, name: str) -> ModelView | None:
        """The facts of a model, with what it always loads."""
        native = self.source.native(name)
        if not isinstance(native, ModelClass):
            return None
        view: ModelView | None = self.source.attempt(lambda: native.prototype(name, self.php))
        if view is not None and self.source.is_first("model", name):
            for relation in (
                *properties.names(view.model, "with"),
                *properties.names(view.model, "withCount"),
            ):
                self._relation(name, relation.decode().partition(".")[0])
        return view

    def _whole(self, name: str) -> None:
        """Checks a model's `toArray()`."""
        if not self.source.is_first("whole", name):
            return
        view = self._view(name)
        if view is None:
            return
        self.methods(name, "toArray", "serializeDate")
        visible, hidden = properties.names(view.model, "visible"), properties.names(view.model, "hidden")

        def shown(key: bytes) -> bool:
            return (not visible or key in visible) and key not in hidden

        for key in properties.array(view.model, "casts"):
            if isinstance(key, bytes) and shown(key):
                self._cast(view, key)
        for key in filter(shown, properties.names(view.model, "appends")):
            method, _ = view.facts.accessors.get(key.decode(), ("", False))
            if method:
                self.sent(self.method(name, method))
            else:
                self.source.refuse(
                    Refused(f"{name} appends {key.decode()}, which has no accessor that is known")
                )
        for relation in properties.names(view.model, "with"):
            kind = self._relation(name, relation.decode().partition(".")[0])
            if kind is not None and kind.item:
                self._whole(kind.item)

    def _cast(self, view: ModelView, key: bytes) -> InferredType | None:
        """What reading an attribute with a cast gives."""
        text = properties.array(view.model, "casts").get(key)
        if not isinstance(text, bytes):
            return None
        cast = named_cast(text.decode("utf-8", "replace"))
        if self.source.find(cast.whole) is not None and self.php.is_enum(cast.whole):
            return InferredType(class_name=cast.whole)
        if self.source.find(cast.name) is not None:
            refused: Refused | None = self.source.attempt(lambda: cast_classes.problem(cast, self.php))
            if refused is not None:
                self.source.refuse(refused)
            self.method(cast.name, "__construct")
            return self.method(cast.name, "get", (InferredType(class_name=view.model.class_name),))
        if not is_cast(cast):
            self.source.refuse(Refused(f"the cast {cast.whole} of {view.model.class_name}::${key.decode()}"))
        return InferredType(class_name=CARBON) if cast.name.lower() in _DATES else None

    def attribute(self, class_name: str, name: str) -> InferredType | None:
        """`$model->name`."""
        if class_name == self.scope.class_name or class_name == self.scope.static_class:
            declared = self.source.properties(class_name).get(name)
            if declared is not None:
                return None
        view = self._view(class_name)
        if view is None:
            return None
        accessor = view.facts.accessors.get(name)
        if accessor is not None:
            made = self.method(class_name, accessor[0])
            return None if accessor[1] else made
        key = name.encode()
        if key in properties.array(view.model, "casts"):
            return self._cast(view, key)
        if name in (view.facts.created_at, view.facts.updated_at, view.facts.deleted_at):
            return InferredType(class_name=CARBON)
        if self.source.has(class_name, name):
            kind = self._relation(class_name, name)
            if kind is None or not kind.item:
                return None
            return self._models_of(kind) if kind.many else InferredType(class_name=kind.item)
        return None

    def _relation(self, class_name: str, name: str) -> InferredType | None:
        """The relation that a method describes; its related model is looked at, its scopes too."""
        kind = self.method(class_name, name)
        if kind is None or kind.class_name not in RELATION_CLASSES:
            return None
        return kind if not kind.item or self._is_related(kind.item) else None

    def _is_related(self, class_name: str) -> bool:
        """Whether it is a model that is known; its scopes count."""
        if not self.source.is_model(class_name):
            self.source.refuse(Refused(f"the source of {class_name} is not known"))
            return False
        view = self._view(class_name)
        if view is not None and view.facts.scope is not None:
            self.source.refuse(view.facts.scope)
        return True

    def relation_end(self, relation: InferredType, ending: str) -> InferredType | None:
        if not relation.item or not self._is_related(relation.item):
            return None
        if ending == "get":
            return self._models_of(relation)
        return InferredType(class_name=relation.item) if ending == "first" else None

    def _models_of(self, relation: InferredType) -> InferredType:
        return InferredType(class_name=ELOQUENT_COLLECTION, item=relation.item, many=True)

    def _load(self, class_name: str, names: Iterable[str]) -> None:
        for name in names:
            owner: str | None = class_name
            for part in name.split("."):
                kind = self._relation(owner, part) if owner and self.source.has(owner, part) else None
                owner = kind.item if kind is not None else None

    def model_call(self, native: ModelClass, kind: InferredType, node: n.MethodCall) -> InferredType | None:
        """A method of Laravel's Model."""
        method, texts = str(node.name).lower(), list(texts_of(node.arguments))
        relation = RELATION_OF.get(method)
        if native.options.morphs is not None and method.removeprefix("get").startswith("morph"):
            self.source.refuse(native.options.morphs)
        if relation is not None:
            related = next(texts_of(node.arguments[:1]), "").lstrip("\\")
            many = relation.endswith(("Many", "BelongsToMany"))
            return InferredType(class_name=relation, item="" if method == "morphto" else related, many=many)
        if not native.knows(method):
            self.note(f"the method {kind.class_name}::{node.name}()", node.line)
        if method in _LOADING and self.source.is_quiet:
            self.loaded.append((kind.class_name, texts))
        elif method in _LOADING:
            self._load(kind.class_name, texts)
        if method == "toarray":
            self._whole(kind.class_name)
        return kind if method in _SAME_MODEL else None
