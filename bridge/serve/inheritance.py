"""What a process of a bridge of several inherits from its parent. Imports next to nothing."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, field, fields
from typing import Literal

VARIABLE = "_BRIDGE_CHILD"  # of the environment, and in no environment of what is started from here
PARENT_STATE = "_BRIDGE_PARENT"  # likewise, what the next program of the parent takes over
Role = Literal["sockets", "jobs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """What a process of several is given. Numbers are descriptors, but for `place`, its place in the counts.

    folder   where all of them have their private Unix sockets, each called as the process
    is_kept  the clients' sockets stay open when the parent ends
    is_first the others have just been started, too
    address  of the clients' sockets, for the process that tells of the start; None: another one does
    """

    name: str
    role: Role
    line: int
    counts: int
    place: int
    private: int
    folder: str
    listening: list[int] = field(default_factory=list)
    is_kept: bool = False
    address: str | None = None
    is_first: bool = True

    def environ(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}

    @property
    def descriptors(self) -> list[int]:
        return [self.line, self.counts, self.private, *self.listening]

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> Inheritance | None:
        """None where this process is no child."""
        text = environ.pop(VARIABLE, None)
        if text is None:
            return None
        given = json.loads(text)  # of a parent that may be of another version
        return cls(**{one.name: given[one.name] for one in fields(cls) if one.name in given})
