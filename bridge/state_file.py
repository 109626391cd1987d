"""Small files that outlive the process, in a folder where others may write, too."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path


def read(path: Path, largest: int) -> bytes:
    """What stands in it. Raises OSError for what is no file of ours: a link, a pipe, more than `largest`
    bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no file")
        data = file.read(largest + 1)
    if len(data) > largest:
        raise OSError(f"{path} is larger than {largest} bytes")
    return data


def write(path: Path, text: str) -> None:
    """Whole or not at all, under a name that nobody else can have prepared. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
