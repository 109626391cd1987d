"""How the C library gives memory to our threads."""

from __future__ import annotations

import contextlib
import ctypes
import os

ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h
ARENAS = 2


def few_arenas() -> None:
    """Makes all threads share two memory arenas: to be called before there are threads.

    glibc would give each thread one of its own, which keeps as much as the thread has ever needed at once, so
    that the process grew for hours. Python's lock lets one thread at a time work anyway. Who sets the number
    for the process is obeyed."""
    if "MALLOC_ARENA_MAX" in os.environ or "arena_max" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(ARENA_MAX, ARENAS)
