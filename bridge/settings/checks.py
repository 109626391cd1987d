"""One value, checked; one set of names, checked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from bridge.errors import ConfigurationError
from bridge.settings.table import InvalidValue, Reader


def read_value(read: Reader, value: object, key: str, where: str) -> Any:
    try:
        return read(value)
    except InvalidValue as wrong:
        raise ConfigurationError(key, "is wrong", where=where, remedy=f"write {wrong}") from None


def no_strangers(found: Iterable[str], known: list[str], prefix: str, where: str) -> None:
    for name in found:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"take it out; known are {', '.join(known)}"
        raise ConfigurationError(f"{prefix}{name}", "is no setting of bridge", where=where, remedy=remedy)
