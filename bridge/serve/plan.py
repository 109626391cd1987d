"""What the parent of several processes needs of the settings."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.serve.inheritance import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the parent needs of the settings; all of it fits into JSON.

    address   where clients connect, for the line of the start
    is_kept   another process keeps the sockets open when this one ends
    ends_by_itself  the whole ends when the process of the jobs has
    """

    processes: int
    address: str
    is_kept: bool
    ends_by_itself: bool
    drain: float
    drain_jobs: float
    spread: float
    log_level: str
    log_format: str
    running_file: str | None

    @property
    def names(self) -> list[tuple[str, Role]]:
        sockets: list[tuple[str, Role]] = [(f"sockets-{n}", "sockets") for n in range(1, self.processes + 1)]
        return [*sockets, ("jobs", "jobs")]
