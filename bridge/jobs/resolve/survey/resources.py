"""What the survey knows of API resources: what they wrap, and what their methods and properties give."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.jobs.resolve.survey.types import InferredType, offers, wrapped_class
from bridge.jobs.resolve.survey.visitor import SourceVisitor
from bridge.phpeval.laravel.support.resource import (
    METHODS,
    PROTECTED,
    REQUEST,
    ResourceClass,
    collected_by,
)


def wrapped_in(visitor: SourceVisitor, kind: InferredType) -> InferredType | None:
    """What the resource was made of, as far as it was seen."""
    name = kind.item or visitor.wrapped.get(kind.class_name, "")
    return InferredType(class_name=name) if name else None


def resource_property(visitor: SourceVisitor, kind: InferredType, name: str) -> InferredType | None:
    inside = wrapped_in(visitor, kind)
    if name in visitor.source.properties(kind.class_name):
        return inside if name == "resource" else visitor.property_kind(kind.class_name, name)
    if inside is None or not visitor.source.is_model(inside.class_name):
        return None
    return visitor.attribute(inside.class_name, name)


def resource_call(
    visitor: SourceVisitor,
    kind: InferredType,
    method: str,
    line: int,
    arguments: Sequence[InferredType | None],
) -> InferredType | None:
    """A method of Laravel's resources, else one of what the resource holds."""
    native, inside = visitor.source.native(kind.class_name), wrapped_in(visitor, kind)
    if native is not None and offers(native, method) is False:
        visitor.note(f"the method {kind.class_name}::{method}()", line)
    elif method == "toArray":
        visitor.sent(inside)
    elif method in PROTECTED or method in METHODS:
        return kind if method == "additional" else None
    elif inside is not None and visitor.source.has(inside.class_name, method):
        return visitor.method(inside.class_name, method, arguments)
    return None


def made_resource(
    visitor: SourceVisitor, native: ResourceClass, name: str, arguments: Sequence[InferredType | None]
) -> InferredType:
    """`new Resource($model)`, which is taken to be sent."""
    inside = wrapped_class(arguments)
    made = InferredType(class_name=name, item=inside)
    if inside:
        visitor.wrapped.setdefault(name, inside)
    if not visitor.source.is_first("resource", name + ("?" if visitor.source.is_quiet else "")):
        return made
    visitor.source.attempt(lambda: native.require_plain(visitor.php, name))
    if visitor.source.has(name, "__construct"):
        visitor.method(name, "__construct", arguments)
    if visitor.source.has(name, "toArray"):
        visitor.sent(visitor.method(name, "toArray", (InferredType(class_name=REQUEST),)))
    else:
        collects: str | None = visitor.source.attempt(lambda: collected_by(visitor.php, name))
        visitor.sent(
            made_resource(visitor, native, collects, arguments) if collects else wrapped_in(visitor, made)
        )
    return made
