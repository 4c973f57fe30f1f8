"""What a process gives up before it touches a stranger's bytes: its user, the network, the files, memory and time.

Each step goes as far as the system lets it. Linux: an empty network of its own, the user ``nobody`` where it was root,
no new rights ever, and by Landlock no file beyond those that are open, save in the one folder it may fill.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from contextlib import suppress

NOBODY = 65534

_NEW_USER, _NEW_NETWORK, _NEW_IPC = 0x10000000, 0x40000000, 0x08000000
_NO_NEW_RIGHTS = 38
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls of Landlock, the same on every architecture
_BENEATH = 1
_READ, _WRITE, _REMOVE, _MAKE, _TRUNCATE = 1 << 2, 1 << 1, 1 << 5, 1 << 8, 1 << 14


def limit(memory: int, file_size: int, cpu_seconds: int) -> None:
    """Cap this process: bytes of memory, bytes of a file, seconds of processor time."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            hard = resource.getrlimit(what)[1]
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        except (ValueError, OSError):  # macOS refuses some
            continue


def confine(room: int | None) -> None:
    """Give up the rest, for good. ``room`` is an open folder that may be filled, None for none.

    To be called before the first thread, and after the last import: no module can be read afterwards.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if os.geteuid() == 0:
            libc.unshare(_NEW_NETWORK | _NEW_IPC)
        else:
            libc.unshare(_NEW_USER | _NEW_NETWORK | _NEW_IPC)
        _become_nobody()
        libc.prctl(_NO_NEW_RIGHTS, 1, 0, 0, 0)
        _lock_files(libc, room)
    elif hasattr(os, "geteuid"):
        _become_nobody()


def _become_nobody() -> None:
    if os.geteuid() != 0:
        return
    with suppress(OSError):  # a container's root may lack the right to become another
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def _lock_files(libc: ctypes.CDLL, room: int | None) -> None:
    """Landlock: whatever is not open by now stays shut, and so do TCP and the processes outside."""
    version = libc.syscall(_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:  # an older kernel, or one told not to
        return
    known = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)  # kinds of access that this kernel can shut
    rules = struct.pack("=QQQ", (1 << known) - 1, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    rules = rules[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = libc.syscall(_CREATE, rules, ctypes.c_size_t(len(rules)), 0)
    if ruleset < 0:
        return
    if room is not None:
        may = (_READ | _WRITE | _REMOVE | _MAKE | _TRUNCATE) & ((1 << known) - 1)
        libc.syscall(_ADD, ruleset, _BENEATH, struct.pack("=Qi", may, room), 0)
    libc.syscall(_RESTRICT, ruleset, 0)
    os.close(ruleset)
