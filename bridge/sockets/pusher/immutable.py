"""`@immutable`: a dataclass of keywords that nobody may change, as mypy checks.

`dataclass(frozen=True)` looks after that at run time too, and each field takes some ten times as long to set.
That is for what is made once; this is for what is made with every message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def immutable(cls: type[T]) -> type[T]:
    return dataclass(slots=True, kw_only=True)(cls)
