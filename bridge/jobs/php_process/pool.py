"""The few processes that are kept, and lent to one asker at a time."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator

from bridge.jobs.php_process.process import FAREWELL, PhpProcess, ProcessDied


class Pool:
    """Up to `size` processes, started when they are needed.

    start  makes one
    boot   returns when it is ready for questions; what this and `start` raise goes to who asked
    fit    whether a process may serve another question
    """

    def __init__(
        self,
        start: Callable[[], PhpProcess],
        boot: Callable[[PhpProcess], None],
        *,
        size: int,
        fit: Callable[[PhpProcess], bool],
    ) -> None:
        self._size = size
        self._start = start
        self._boot = boot
        self._fit = fit
        self._slots: queue.LifoQueue[PhpProcess | None] = queue.LifoQueue()
        for _ in range(size):
            self._slots.put(None)
        self._living: set[PhpProcess] = set()
        self._surplus = 0  # slots that are lent and not to come back
        self._lock = threading.Lock()  # `close` comes from another thread than the questions
        self.closed = False

    @property
    def is_empty(self) -> bool:
        """Whether no process lives."""
        return not self._living

    @contextlib.contextmanager
    def lease(self) -> Iterator[PhpProcess]:
        """A process for the caller alone. It is ended if the block raises. Raises ProcessDied when closed."""
        process = self._slots.get()
        try:
            if process is not None and not (process.idle and self._fit(process)):
                self._end(process, grace=FAREWELL)
                process = None
            if process is None:
                process = self._started()
            try:
                yield process
            except BaseException:
                self._end(process)
                process = None
                raise
        finally:
            with self._lock:
                is_surplus = self._surplus > 0
                self._surplus -= is_surplus
            if not is_surplus:
                self._slots.put(process)
            elif process is not None:
                self._end(process, grace=FAREWELL)
            if self.closed:
                self._drain()

    def widen(self) -> None:
        """Lets one more process be lent, until `narrow`: one that is lent will not come back soon."""
        with self._lock:
            self._size += 1
        self._slots.put(None)

    def narrow(self) -> None:
        """Undoes `widen`: ends an idle process, or the next that comes back."""
        with self._lock:
            self._size -= 1
        try:
            process = self._slots.get_nowait()
        except queue.Empty:
            with self._lock:
                self._surplus += 1
            return
        if process is not None:
            self._end(process, grace=FAREWELL)

    @property
    def has_idle(self) -> bool:
        """Whether a process is there that is not lent. Any thread may ask."""
        with self._slots.mutex:
            return any(process is not None for process in self._slots.queue)

    def counts(self) -> dict[str, int]:
        """Processes that live, that are lent, and that may live at most. Any thread may ask."""
        busy = self._size - self._slots.qsize()
        return {"living": len(self._living), "busy": max(0, busy), "most": self._size}

    def close(self) -> None:
        """Ends every process; who waits for one gets ProcessDied."""
        self.closed = True
        self._drain()
        with self._lock:
            for busy in self._living:
                busy.kill()  # whoever has borrowed it ends it

    def _drain(self) -> None:
        """Ends the processes that are idle."""
        slots: list[PhpProcess | None] = []
        with contextlib.suppress(queue.Empty):
            while True:
                slots.append(self._slots.get_nowait())
        for process in slots:
            if process is not None:
                self._end(process, grace=FAREWELL)
            self._slots.put(None)

    def _started(self) -> PhpProcess:
        process = self._start()
        with self._lock:
            self._living.add(process)
        try:
            if self.closed:
                raise ProcessDied("it has been closed")
            self._boot(process)
        except BaseException:
            self._end(process)
            raise
        return process

    def _end(self, process: PhpProcess, *, grace: float = 0) -> None:
        with self._lock:
            self._living.discard(process)
        process.close(grace=grace)
