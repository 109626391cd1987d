"""What is examined, and what a check has to say of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bridge.errors import BridgeError, ConfigurationError
from bridge.laravel.application import LaravelApp
from bridge.settings.load import Settings

if TYPE_CHECKING:
    from bridge.jobs.resolve.survey.survey import EventReport as Event
    from bridge.serve.wiring.survey import Survey


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or a `hint`: what may be right, or what cannot be known from here.

    where  file and line, key, process; may be empty
    remedy   what to do
    check  the row of the table that found it
    """

    what: str
    where: str = ""
    remedy: str
    hint: bool = False
    check: str = ""


Found: TypeAlias = Iterator[Finding]


@dataclass(kw_only=True)
class ExaminedApp:
    """An app and the machine it is on.

    clock  unix seconds
    root   the machine's `/`, for /etc and /proc
    user   the number of the user that bridge runs as
    """

    settings: Settings
    clock: Callable[[], float] = time.time
    root: Path = field(default=Path("/"))
    user: Callable[[], int] = os.geteuid

    @property
    def laravel(self) -> LaravelApp:
        return self.settings.laravel

    @property
    def path(self) -> Path:
        return self.laravel.path

    @property
    def has_code(self) -> bool:
        """Whether this is an app that PHP can boot, and no folder with a `.env` alone."""
        return (self.path / "bootstrap/app.php").is_file()

    @property
    def speaks_tls(self) -> bool:
        """Whether bridge's own port does."""
        return bool(self.settings.ssl_cert and self.settings.ssl_key)

    @cached_property
    def survey(self) -> Survey | None:
        """Every class that broadcasts, and how the app is set up; None where there is no source."""
        from bridge.serve.wiring.survey import survey_app  # no check of a start needs it

        return survey_app(self.settings)

    @property
    def events(self) -> Sequence[Event] | None:
        """Every class that broadcasts; None where there is no source."""
        return None if self.survey is None else self.survey.findings

    @cached_property
    def dotenv_lines(self) -> dict[str, list[int]]:
        """Name → the lines of `.env` that set it."""
        lines: dict[str, list[int]] = {}
        for number, line in enumerate(self.dotenv_text.splitlines(), 1):
            name, equals, _ = line.partition("=")
            name = name.strip().removeprefix("export ").strip().strip("'\"")
            if equals and name and not name.startswith("#"):
                lines.setdefault(name, []).append(number)
        return lines

    def variable(self, name: str) -> str:
        """Where the variable stands: `.env:12`, else `.env`."""
        lines = self.dotenv_lines.get(name)
        return f".env:{lines[-1]}" if lines else ".env"

    def relative(self, file: Path | str) -> str:
        """The path from the app's root, where it lies in it."""
        path = Path(file)
        return str(path.relative_to(self.path)) if path.is_relative_to(self.path) else str(file)

    @cached_property
    def dotenv_text(self) -> str:
        try:
            return (self.path / ".env").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def found(problem: BridgeError, *, remedy: str = "") -> Finding:
    """An error of ours as a finding."""
    if isinstance(problem, ConfigurationError):
        return Finding(
            what=f"{problem.key} {problem.problem}", where=problem.where, remedy=problem.remedy or remedy
        )
    return Finding(what=str(problem), remedy=remedy)
