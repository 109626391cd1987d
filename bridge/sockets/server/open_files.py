"""Open files: each connection is one, and the system limits how many a process has."""

from __future__ import annotations

import errno
import os
import resource

REMEDY = "raise it: LimitNOFILE in systemd, minfds in supervisord, ulimit -Hn in a shell"


def raise_limit() -> int:
    """As many open files as the system lets this process have; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def shortage() -> str | None:
    """Why no further file can be opened; None: one can. The event loop does not tell: libuv closes
    connections for which there is none."""
    try:
        os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as problem:
        return lack(problem)
    return None


def lack(problem: OSError) -> str | None:
    """What is wrong and what helps, where this says that there are too many open files; else None."""
    if problem.errno == errno.EMFILE:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return f"all {limit} open files that this process may have are in use: {REMEDY}"
    if problem.errno == errno.ENFILE:
        return "the system has as many open files as it may: raise fs.file-max (sysctl)"
    return None
