"""Runs a command under a filter as systemd's: the system calls named on standard input, one a line, work, all
others fail with EPERM. By libseccomp, which systemd itself brings along.

    python seccomp.py COMMAND ARGUMENT… < names
"""

import ctypes
import errno
import os
import sys

ALLOW, FAIL = 0x7FFF0000, 0x00050000 | errno.EPERM  # SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM)
NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS

seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
seccomp.seccomp_init.restype = ctypes.c_void_p
seccomp.seccomp_init.argtypes = [ctypes.c_uint32]
seccomp.seccomp_rule_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint]
seccomp.seccomp_load.argtypes = [ctypes.c_void_p]

context = seccomp.seccomp_init(FAIL)
for name in sys.stdin.read().split():
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    if number >= 0:  # else it is another architecture's
        seccomp.seccomp_rule_add(context, ALLOW, number, 0)
ctypes.CDLL(None).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
if seccomp.seccomp_load(context):
    sys.exit("the filter cannot be loaded")
os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606
