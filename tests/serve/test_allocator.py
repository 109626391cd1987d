"""How many arenas the C library gives to threads, as it tells itself."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import ctypes, threading
from bridge.serve.allocator import few_arenas
{first}
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.fopen.restype, libc.malloc_info.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
there = threading.Barrier(8)
def work():
    there.wait()
    libc.malloc(100_000)
    there.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
[it.start() for it in threads]
[it.join() for it in threads]
file = libc.fopen(b"/dev/stdout", b"w")
libc.malloc_info(0, file)
libc.fclose(file)
"""


def test_eight_threads_share_two_arenas() -> None:
    def arenas(first: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(first=first)], capture_output=True, text=True, check=True
        )
        return done.stdout.count("<heap nr=")

    assert arenas("") > 2
    assert arenas("few_arenas()") == 2
