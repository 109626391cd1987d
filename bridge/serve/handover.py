"""The last step of a reload: the parent becomes the program that is installed now, by exec, with its state in
PARENT_STATE.

No client's connection is handed over. The reload before it, of the other processes, is in `parent.py`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from bridge.serve.inheritance import PARENT_STATE
from bridge.serve.plan import Plan
from bridge.sockets.server.binding import Listening

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)


def replace_program(
    command: list[str],
    state: Mapping[str, Any],
    environ: Mapping[str, str],
    unread_signals: Callable[[], bytes],
) -> str:
    """Replaces this process's program by `command`, which reads `state`. Returns only where that fails: why.

    The descriptors that `state` names stay open. Signals that come meanwhile wait for the new program, and
    so do those that had come and that nobody has acted upon."""
    kept = [*state["sockets"], state["counts"], *(one["line"] for one in state["processes"])]
    for descriptor in kept:
        os.set_inheritable(descriptor, True)
    for handler in logging.getLogger().handlers:
        handler.flush()
        if hasattr(handler, "finish"):
            handler.finish()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for number in set(unread_signals()):
        signal.pthread_kill(threading.get_ident(), number)  # to no other thread, which would take it
    try:
        os.execve(  # noqa: S606 - this program again
            command[0], command, {**os.environ, **environ, PARENT_STATE: json.dumps(state)}
        )
    except OSError as problem:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for descriptor in kept:
            os.set_inheritable(descriptor, False)
        return problem.strerror or str(problem)
    return ""  # in a test, whose execve comes back


def adopted_listening(state: str) -> tuple[Plan, Listening]:
    """The plan and the sockets that the program before has left."""
    found = json.loads(state)
    for descriptor in found["sockets"]:
        os.set_inheritable(descriptor, False)
    plan = Plan(**{name: value for name, value in found["plan"].items() if name in Plan.__dataclass_fields__})
    return plan, Listening([socket.socket(fileno=number) for number in found["sockets"]], plan.is_kept)
