"""Two answers for one job beside each other: where they differ, and what only the clock made differ."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bridge.resolvers.resolution import Resolution

TOLD = ("broadcast", "nothing", "failed")  # outcomes with which somebody knows what Laravel does
_GONE = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """same         None where one of them could not tell, or the job is no broadcast: then `why`
    differences  paths, such as `broadcasts[0].data.order.total`; empty where nothing differs
    """

    native: Resolution
    php: Resolution
    same: bool | None
    why: str = ""
    differences: tuple[str, ...] = ()


def compare(native: Callable[[], Resolution], php: Callable[[], Resolution]) -> Comparison:
    """What the two say. Where they differ, native is asked again: what then is new is the clock's work."""
    ours = native()
    theirs = php()
    untold = [
        f"{who}: {one.why}" for who, one in (("native", ours), ("php", theirs)) if one.outcome not in TOLD
    ]
    if untold:
        return Comparison(native=ours, php=theirs, same=None, why="; ".join(dict.fromkeys(untold)))
    found = set(differences(ours, theirs))
    if found:
        found -= set(differences(ours, native()))
    return Comparison(native=ours, php=theirs, same=not found, differences=tuple(sorted(found)))


def preferred(native: Resolution, php: Resolution) -> Resolution:
    """What the whole ladder says: PHP is asked where the rungs before it refuse."""
    if native.outcome != "refused":
        return native
    if php.outcome != "refused":
        return php
    return replace(php, why=f"{native.why}; {php.why}")


def differences(one: Resolution, other: Resolution) -> Iterator[str]:
    """The paths at which two resolutions differ; why something failed is told in many ways."""
    if one.outcome != other.outcome:
        yield "outcome"
    elif len(one.broadcasts) != len(other.broadcasts):
        yield "broadcasts"
    else:
        for number, (ours, theirs) in enumerate(zip(one.broadcasts, other.broadcasts, strict=True)):
            at = f"broadcasts[{number}]"
            for field in ("connection", "channels", "name", "socket"):
                if getattr(ours, field) != getattr(theirs, field):
                    yield f"{at}.{field}"
            yield from data_differences(ours.data, theirs.data, f"{at}.data")


def data_differences(one: str, other: str, at: str = "data") -> Iterator[str]:
    """The paths at which two JSON texts differ; `at` itself where they differ in order or in writing only."""
    if one == other:
        return
    try:
        paths = list(_paths(_decoded(one), _decoded(other), at))
    except ValueError:
        paths = []
    yield from paths or [at]


def _decoded(text: str) -> object:
    # Numbers stay as they are written: 1.0 is not 1.
    return json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_Number)


class _Number(str):
    """A number as it is written, told from a text by its type."""


def _paths(one: object, other: object, at: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            yield from _paths(one.get(key, _GONE), other.get(key, _GONE), f"{at}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (ours, theirs) in enumerate(zip(one, other, strict=True)):
            yield from _paths(ours, theirs, f"{at}[{number}]")
    elif type(one) is not type(other) or one != other:
        yield at
