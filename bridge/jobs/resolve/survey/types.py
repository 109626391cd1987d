"""What a walk through source code knows of values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bridge.phpeval.laravel.support.channel import ChannelClass
from bridge.phpeval.laravel.support.native_class import NativeClass
from bridge.phpeval.laravel.support.resource import ResourceClass
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.runtime.interpreter import Native

CARBON = "Illuminate\\Support\\Carbon"


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredType:
    """What is known of a value: an object's class; of a relation or collection the class of its models, of
    an API resource that of what it holds; of an array what stands in it."""

    class_name: str = ""
    item: str = ""
    many: bool = False
    entries: tuple[InferredType, ...] = ()


@dataclass(slots=True)
class MethodScope:
    """One method: where it stands, what it acts as, what its variables hold."""

    file: str
    class_name: str
    static_class: str
    variables: dict[str, InferredType | None] = field(default_factory=dict)
    returned: list[InferredType | None] = field(default_factory=list)


def item_of(kind: InferredType | None) -> InferredType | None:
    """What a loop over the value, or a closure of its methods, gets."""
    return InferredType(class_name=kind.item) if kind is not None and kind.many and kind.item else None


def wrapped_class(arguments: Sequence[InferredType | None]) -> str:
    """The class of what a resource, or each of a collection of resources, is made of; empty if not known."""
    given = arguments[0] if arguments else None
    if given is None:
        return ""
    listed = {inner.class_name for inner in given.entries}
    return given.item if given.many else listed.pop() if len(listed) == 1 else given.class_name


def either(first: InferredType | None, second: InferredType | None) -> InferredType | None:
    """The type that the two have in common, null counting for any; None where they differ."""
    if first is None or second is None or first == second:
        return first or second
    return None


def texts_of(arguments: tuple[n.Argument, ...]) -> Iterator[str]:
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


def offers(native: Native, method: str) -> bool | None:
    """Whether a class written in Python has the method; None where only a call can show it."""
    match native:
        case NativeClass():
            return method in native.methods
        case ChannelClass():
            return method.lower() == "__tostring"
        case ResourceClass():
            return None if native.knows(method) else False
    return None
