"""Reading the files of a folder in which anything may lie."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_NO_FILE = "it is no regular file"


def read_file(path: Path) -> bytes:
    """What stands in the file. Raises OSError; IsADirectoryError for a folder and NoFile for what is neither:
    a pipe has no end until somebody writes into it, and a device may have none at all."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise NoFile(errno.EINVAL, _NO_FILE, str(path)) from error
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise NoFile(errno.EINVAL, _NO_FILE, str(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


class NoFile(OSError):
    """A pipe, a device, a socket."""
