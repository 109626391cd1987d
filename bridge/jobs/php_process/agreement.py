"""Whether a PHP process has the app as bridge has read it: else what it says would go astray, or nowhere.

Amid a deploy `.env` may be away for a moment, or half the configuration be new. A process that boots then
lives on with it. What an app sets up in its own code bridge cannot have read; so where the files are those
that bridge has read, the process is right, and so is each that agrees with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

Stamp = tuple[int, int, int, int] | None


class Agreement:
    """For one reading of the configuration.

    read   what was read, in the form in which a process reports it
    files  those that were read, or might have been
    """

    def __init__(self, read: Mapping[str, object], files: Sequence[Path]) -> None:
        self._known = [read]
        self._files = {file: _stamp(file) for file in files}

    def accepts(self, set_up: Mapping[str, object]) -> bool:
        """Whether a process with this set-up may answer. Any thread may ask."""
        if set_up in self._known:
            return True
        if any(_stamp(file) != stamp for file, stamp in self._files.items()):
            return False
        self._known.append(set_up)
        return True


def _stamp(file: Path) -> Stamp:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
