"""Work in a thread while a block runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

LIMIT = 120.0  # seconds in which the last call must end


@contextlib.contextmanager
def repeatedly(work: Callable[[], object], pause: float) -> Iterator[None]:
    """`work` is called while the block runs, each time after `pause` seconds. What it raises ends
    that, and is raised at the block's end."""
    over = threading.Event()
    problems: list[BaseException] = []

    def go_on() -> None:
        try:
            while not over.wait(pause):
                work()
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(LIMIT)
        if problems:
            raise problems[0]  # beside what the block raised, which may have waited for this work
    assert not thread.is_alive(), "what is repeated in a thread does not end"
