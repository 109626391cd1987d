"""Two answers for one job beside each other: where they differ, and what only the clock made differ."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from bridge.jobs.resolve.resolution import Resolution

TOLD = ("broadcast", "nothing", "failed")  # outcomes with which somebody knows what Laravel does
SLACK = 2.0  # seconds that moments of two evaluations may lie apart, besides what these took
_GONE = object()

Verdict = Literal["same", "different", "unclear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """same         None where one of them had no answer, or the job is no broadcast: then `why`
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


def verdict(
    native: Resolution, php: Resolution, again: Callable[[], Resolution], seconds: float
) -> tuple[Verdict, tuple[str, ...]]:
    """What PHP's answer says of native's, and the paths at which they differ.

    `native` was found before PHP was asked, `again` finds it anew after PHP has answered: where these two
    are the same, nothing that both read has changed while PHP was at work, and PHP should say the same.
    Where they differ, it was the clock if all that differs are moments within `seconds` (and SLACK) of each
    other, which then count for nothing; else it was the database, and nothing is known.
    """
    if _alike(native, php):
        return "same", ()
    if native.outcome not in TOLD or php.outcome not in TOLD:
        return "unclear", ()
    after = again()
    if _alike(after, php):
        return "same", ()
    moved = set(differences(native, after))
    if moved and not _are_moments(native, after, seconds):
        return "unclear", ()
    found = tuple(sorted(set(differences(native, php)) - moved))
    if found:
        return "different", found
    return ("same" if _are_moments(native, php, seconds) else "unclear"), ()


def _alike(one: Resolution, other: Resolution) -> bool:
    return (one.outcome, one.broadcasts) == (other.outcome, other.broadcasts)


def _are_moments(one: Resolution, other: Resolution, seconds: float) -> bool:
    """Whether two resolutions differ in nothing but moments that lie so close."""
    if one.outcome != other.outcome or len(one.broadcasts) != len(other.broadcasts):
        return False
    for ours, theirs in zip(one.broadcasts, other.broadcasts, strict=True):
        if replace(ours, data="") != replace(theirs, data=""):
            return False
        if ours.data != theirs.data:
            try:
                pairs = list(_pairs(_decoded(ours.data), _decoded(theirs.data), ""))
            except ValueError:
                return False
            if not pairs or not all(_are_close(a, b, seconds + SLACK) for _, a, b in pairs):
                return False
    return True


def _are_close(one: object, other: object, seconds: float) -> bool:
    ours, theirs = _moment(one), _moment(other)
    if type(one) is not type(other) or ours is None or theirs is None:
        return False
    return abs(ours - theirs) <= seconds


def _moment(value: object) -> float | None:
    """Unix seconds of a date with its time, or of a number that counts them, or thousandths of them."""
    if isinstance(value, _Number):
        number = float(value)
        return number if 1e9 <= number < 1e10 else number / 1000 if 1e12 <= number < 1e13 else None
    if not isinstance(value, str) or len(value) < len("2024-05-17 12:34:56"):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def combined_answer(native: Resolution, php: Resolution) -> Resolution:
    """What the whole ladder says: PHP is asked where the rungs before it refuse."""
    if native.outcome != "refused":
        return native
    if php.outcome != "refused":
        return php
    return replace(php, why=f"{native.why}; {php.why}")


def differences(one: Resolution, other: Resolution) -> Iterator[str]:
    """The paths at which two resolutions differ; the reasons of failures are not compared."""
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
    """A number as it is written, distinguished from a text by its type."""


def _paths(one: object, other: object, at: str) -> Iterator[str]:
    return (path for path, _, _ in _pairs(one, other, at))


def _pairs(one: object, other: object, at: str) -> Iterator[tuple[str, object, object]]:
    """Path and both values wherever they differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            yield from _pairs(one.get(key, _GONE), other.get(key, _GONE), f"{at}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (ours, theirs) in enumerate(zip(one, other, strict=True)):
            yield from _pairs(ours, theirs, f"{at}[{number}]")
    elif type(one) is not type(other) or one != other:
        yield at, one, other
