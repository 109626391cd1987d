"""Small files that outlive the process, in a folder where others may write, too."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # follow no link, wait for no pipe


def read(path: Path, largest: int) -> bytes:
    """What stands in it. Raises OSError for what is no file of ours: a link, a pipe, more than `largest`
    bytes, a stranger's."""
    return read_owned(path, largest)[0]


def read_owned(path: Path, largest: int) -> tuple[bytes, int]:
    """What stands in it, and whose it is. Raises OSError as `read` does."""
    descriptor = os.open(path, os.O_RDONLY | _PLAIN)
    with open(descriptor, "rb") as file:
        owner = _owner(descriptor, path)
        data = file.read(largest + 1)
    if len(data) > largest:
        raise OSError(f"{path} is larger than {largest} bytes")
    return data, owner


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock that this empty file stands for. Raises OSError as `read` does."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT | _PLAIN, 0o600), "rb") as file:
        if _owner(file.fileno(), path) == os.geteuid():
            with contextlib.suppress(OSError):
                os.fchmod(file.fileno(), 0o600)  # whoever can open it can hold the lock for ever
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write(path: Path, text: str) -> None:
    """Writes it whole or not at all, under a name that nobody else can have prepared. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _owner(descriptor: int, path: Path) -> int:
    """Root reads every user's files. Shared folders give all files to the folder's owner."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{path} is no file")
    trusted = os.geteuid(), 0, os.stat(path.parent).st_uid
    if os.geteuid() != 0 and found.st_uid not in trusted:
        raise PermissionError(errno.EPERM, "belongs to another user", str(path))
    return found.st_uid
