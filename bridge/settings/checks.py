"""One value, checked; one set of names, checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bridge.errors import ConfigurationError
from bridge.settings.table import InvalidValue, Reader

FEW = 20  # names that an error may list


def read_value(read: Reader, value: object, key: str, where: str) -> Any:
    try:
        return read(value)
    except InvalidValue as wrong:
        raise ConfigurationError(key, "is wrong", where=where, remedy=f"write {wrong}") from None


def reject_unknown(found: Iterable[str], known: list[str], prefix: str, where: str) -> None:
    common = "BRIDGE_" if all(name.startswith("BRIDGE_") for name in known) else ""  # makes no two alike
    names = [name.removeprefix(common) for name in known]
    for name in found:
        if name in known:
            continue
        import difflib  # only for whoever mistypes

        near = difflib.get_close_matches(name.removeprefix(common), names, n=1)
        if near:
            remedy = f"did you mean {common}{near[0]}?"
        elif len(known) <= FEW:
            remedy = f"take it out; known are {', '.join(known)}"
        else:
            remedy = "take it out; docs/settings.md has all that are known"
        raise ConfigurationError(f"{prefix}{name}", "is no setting of bridge", where=where, remedy=remedy)
