"""One PHP process that answers one question after another.

It ends with bridge, whatever ends that: on Linux the kernel sees to it. So it is started by way of a few
lines of Python (`_LEASH`), which then become PHP, and by one thread that lives as long as we do: the kernel
watches the thread that started a process.

It talks in frames (four bytes of length, big-endian, then JSON) over one end of a socket pair. What it
prints is read beside that, so that it never blocks, and kept up to OUTPUT_KEPT bytes a question.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

OUTPUT_KEPT = 64 * 1024  # bytes of what one question made the app print
FRAME_LIMIT = 16 * 1024 * 1024  # bytes
LOOK = 1.0  # seconds between looks whether a process still lives while it holds its socket open
FAREWELL = 1.0  # seconds that an idle process has to end by itself

# Gets bridge's process id and the command. What cannot be started is reported as
# an app that does not boot is.
_LEASH = """
import ctypes, json, os, signal, struct, sys
bridge, *command = sys.argv[1:]
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() == int(bridge):
    try:
        os.execv(command[0], command)
    except OSError as error:
        boot = {"class": "OSError", "message": f"{command[0]}: {error.strerror}", "unavailable": True}
        frame = json.dumps({"boot": boot}).encode()
        os.write(int(command[-1]), struct.pack(">I", len(frame)) + frame)
"""
_HAS_LEASH = sys.platform == "linux" and bool(sys.executable)
_starts = ThreadPoolExecutor(1, thread_name_prefix="php-starts")

Frame = Mapping[str, object]


class ProcessDied(Exception):
    """The process ended, or had to be ended, before it answered; `str()` says why."""


class ProcessTimedOut(ProcessDied):
    """It did not answer in time."""


class PhpProcess:
    """One process, in a group of its own, started at once. For one thread at a time; `kill` for any.

    `output` is what it printed during the last question, `printed` how many bytes that were in all.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        """`command` gets the number of its descriptor as the last argument. Raises OSError."""
        self._socket, theirs = socket.socketpair()
        reading, writing = os.pipe()
        leash = [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid())] if _HAS_LEASH else []

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [*leash, *command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                pass_fds=[theirs.fileno()],
                cwd=folder,
                start_new_session=True,
            )

        try:
            self._process = _starts.submit(start).result()
        except BaseException:
            self._socket.close()
            os.close(reading)
            raise
        finally:
            theirs.close()
            os.close(writing)
        self._socket.setblocking(False)
        os.set_blocking(reading, False)
        self._reading: int | None = reading
        self._poll = select.poll()
        self._poll.register(reading, select.POLLIN)
        self._received = bytearray()
        self._unsent = memoryview(b"")
        self._ended = threading.Lock()
        self._reaped = False
        self.output = b""
        self.printed = 0
        self.questions = 0
        self.memory = 0  # bytes that PHP said it uses
        self.has_worked = False  # a job may have left something behind in it
        self.retired = False  # it said that it will answer no more
        self.started_at = time.monotonic()

    @property
    def pid(self) -> int:
        return self._process.pid

    def age(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self.started_at

    @property
    def idle(self) -> bool:
        """Whether it lives and has said nothing unasked."""
        if self._reaped or self._exit():
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def ask(self, question: Frame | None, timeout: float) -> Frame:
        """The next frame from it, after `question` has been sent, in `timeout` seconds.

        Raises ProcessDied, ProcessTimedOut.
        """
        if question is None:
            self.questions += 1  # it boots
        else:
            self.send(question)
        answer = self.receive(timeout)
        if answer is None:
            raise ProcessTimedOut(f"it did not answer within {timeout:g} s")
        if self._received:
            raise ProcessDied("it answered with something that is no frame")
        return answer

    def send(self, question: Frame) -> None:
        """Sends as much of `question` as can be written at once, and the rest during `receive`."""
        self._unsent = memoryview(bytes(self._unsent) + _packed(question))
        self.output, self.printed = b"", 0
        self.questions += 1
        with contextlib.suppress(ConnectionError, BlockingIOError):  # `receive` will meet it too
            self._send()

    def receive(self, timeout: float) -> Frame | None:
        """The next frame from it; None if none comes in `timeout` seconds. Raises ProcessDied."""
        deadline = time.monotonic() + timeout
        while (frame := self._frame()) is None:
            self._poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._unsent else 0))
            left = deadline - time.monotonic()
            ready = dict(self._poll.poll(max(0.0, min(left, LOOK)) * 1000))
            if self._reading in ready:
                self._read_output()
            on_socket = ready.get(self._socket.fileno(), 0)
            try:
                if self._unsent and on_socket & select.POLLOUT:
                    self._send()
                gone = on_socket & ~select.POLLOUT and not self._receive()
            except (ConnectionError, BlockingIOError) as error:
                gone = isinstance(error, ConnectionError)
            if gone or (not ready and self._exit()):
                frame = self._frame()
                if frame is not None:
                    break
                self._read_output()
                raise ProcessDied(self._exit_reason())
            if left <= 0 and not ready:
                return None
        self._read_output()
        return frame

    def kill(self) -> None:
        """Its whole group gets SIGKILL; who waits for its answer gets ProcessDied."""
        with self._ended:
            if not self._reaped:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def close(self, *, grace: float = 0) -> None:
        """Ends the process, which has `grace` seconds to end by itself."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + grace
        while not self._exit() and time.monotonic() < deadline:
            time.sleep(0.005)
        self.kill()
        with self._ended:
            self._process.wait()
            self._reaped = True
        self._socket.close()
        self._close_output()

    def _send(self) -> None:
        self._unsent = self._unsent[self._socket.send(self._unsent) :]

    def _receive(self) -> bool:
        data = self._socket.recv(1 << 18)
        self._received += data
        return bool(data)

    def _frame(self) -> Frame | None:
        if len(self._received) < 4:
            return None
        size: int = struct.unpack_from(">I", self._received)[0]
        if size > FRAME_LIMIT:
            raise ProcessDied(f"its answer is longer than {FRAME_LIMIT >> 20} MiB")
        if len(self._received) < 4 + size:
            return None
        text = self._received[4 : 4 + size]
        del self._received[: 4 + size]
        try:
            frame = json.loads(text.decode())
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            raise ProcessDied("it answered with something that is no frame")
        return frame

    def _read_output(self) -> None:
        while self._reading is not None:
            try:
                data = os.read(self._reading, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                self._close_output()
            self.printed += len(data)
            self.output += data[: OUTPUT_KEPT - len(self.output)]

    def _close_output(self) -> None:
        if self._reading is not None:
            self._poll.unregister(self._reading)
            os.close(self._reading)
            self._reading = None

    def _exit_reason(self) -> str:
        """Why it ended: PHP's own fatal message, else its exit."""
        deadline = time.monotonic() + FAREWELL
        while not (ended := self._exit()) and time.monotonic() < deadline:
            time.sleep(0.005)
        for line in self.output.splitlines():
            if b"Fatal error" in line or b"Parse error" in line or b"Could not open" in line:
                return line.decode("utf-8", "replace").strip()[:300]
        if ended is None:
            return "it closed its socket"
        if ended.si_code == os.CLD_EXITED:
            return f"it exited with {ended.si_status}"
        return f"it was ended by {signal.Signals(ended.si_status).name}"

    def _exit(self) -> os.waitid_result | None:
        """How it ended, None while it lives. It stays a zombie, so that its group keeps its number."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)


def _packed(frame: Frame) -> bytes:
    text = json.dumps(frame).encode()
    return struct.pack(">I", len(text)) + text
