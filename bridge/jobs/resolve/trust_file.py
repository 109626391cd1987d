"""What native evaluation has earned, in a small file that outlives the process.

Several processes may write it: each joins what it knows with what stands there, under a lock on a file beside
it, and puts the whole in its place at once. A file that is damaged, or of another app, state or version of
bridge, is no file. Where none can be written, everything is earned anew after a restart.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

from bridge import state_file
from bridge.jobs.resolve.trust import Earned, Standing, joined

FORMAT = 2
LARGEST = 4 << 20  # bytes

log = logging.getLogger(__name__)


class TrustFile:
    """A `jobs.resolve.trust.Store`. Any thread may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._has_warned = False

    def load(self, basis: str) -> Standing:
        try:
            return _standing(json.loads(state_file.read(self._path, LARGEST)), basis)
        except (OSError, ValueError, RecursionError):
            return Standing()

    def merge(self, basis: str, standing: Standing) -> Standing:
        try:
            with self._locked():
                both = joined(standing, self.load(basis))
                state_file.write(self._path, json.dumps(_document(basis, both)))
                return both
        except OSError as problem:
            if not self._has_warned:
                self._has_warned = True
                why = problem.strerror or str(problem)
                about = {"action": "trust_file", "file": str(self._path), "why": why}
                log.warning("what native evaluation earns cannot be kept over a restart", extra=about)
            return joined(standing, self.load(basis))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(exist_ok=True)
        with state_file.locked(self._path.with_suffix(".lock")):
            yield


class TrustReader:
    """A `jobs.resolve.trust.Store` that keeps nothing: for who only asks how jobs would be sent."""

    def __init__(self, file: TrustFile) -> None:
        self._file = file

    def load(self, basis: str) -> Standing:
        return self._file.load(basis)

    def merge(self, basis: str, standing: Standing) -> Standing:
        return standing


def _document(basis: str, standing: Standing) -> dict[str, object]:
    earned = {
        key: {
            "class": one.class_name,
            "agreed": one.agreed,
            "checked_at": one.checked_at,
            "branches": sorted(one.branches),
        }
        for key, one in standing.earned.items()
    }
    differing = {name: list(paths) for name, paths in standing.differing.items()}
    return {"format": FORMAT, "basis": basis, "earned": earned, "differing": differing}


def _standing(document: object, basis: str) -> Standing:
    """What the document says of this basis. ValueError where any of it is not as it is written here."""
    match document:
        case {"format": 2, "basis": str(of), "earned": dict(earned), "differing": dict(differing)}:
            if of != basis:
                return Standing()
            return Standing(
                earned={key: _earned(one) for key, one in earned.items()},
                differing={name: _paths(paths) for name, paths in differing.items()},
            )
    raise ValueError("no such file")


def _earned(one: object) -> Earned:
    match one:
        case {
            "class": str(name),
            "agreed": int(agreed),
            "checked_at": float() | int() as checked_at,
            "branches": list(branches),
        }:
            if agreed >= 0 and type(agreed) is int and all(type(branch) is int for branch in branches):
                return Earned(
                    class_name=name,
                    agreed=agreed,
                    checked_at=float(checked_at),
                    branches=frozenset(branches),
                )
    raise ValueError("no record")


def _paths(paths: object) -> tuple[str, ...]:
    if isinstance(paths, list) and all(isinstance(path, str) for path in paths):
        return tuple(paths)
    raise ValueError("no paths")
