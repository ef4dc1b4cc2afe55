"""openat2(2): open a path that the kernel itself keeps beneath a directory. Python has no name for it yet.

Source: openat2(2), linux/openat2.h: ``struct open_how`` is flags, mode and resolve, 8 bytes each.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from typing import Final

RESOLVE_NO_XDEV: Final = 0x01  # nor onto another mount
RESOLVE_NO_MAGICLINKS: Final = 0x02  # such as /proc/PID/fd/N, which lead anywhere without a path
RESOLVE_NO_SYMLINKS: Final = 0x04  # of any kind: ELOOP
RESOLVE_BENEATH: Final = 0x08  # neither "..", nor a link, nor a leading slash leaves the directory: EXDEV
RESOLVE_CACHED: Final = 0x20  # Linux 5.12: EAGAIN where the disk would have to be asked

_NUMBER: Final = 437  # the same on every architecture, as for all calls since Linux 5.1
_HOW: Final = struct.Struct("=QQQ")


def _syscall(library: ctypes.CDLL) -> Callable[..., int]:
    call = library.syscall
    call.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
    call.restype = ctypes.c_long
    return call


# Two ways to call: CDLL lets other threads run meanwhile, PyDLL does not. For a call that cannot wait the second is
# better: a busy thread would keep the interpreter for 5 ms (sys.getswitchinterval) before it came back to us.
_waiting: Final = _syscall(ctypes.CDLL(None, use_errno=True))
_at_once: Final = _syscall(ctypes.PyDLL(None, use_errno=True))


def build_how(flags: int, resolve: int) -> bytes:
    """Return the structure that says how to open: made once, used many times."""
    return _HOW.pack(flags, 0, resolve)


def openat2(directory: int, path: str, how: bytes) -> int:
    """Return a descriptor of the path below the directory's. Raises: OSError. ``path`` must hold no NUL."""
    return _checked(_waiting(_NUMBER, directory, os.fsencode(path), how, len(how)), path)


def openat2_nowait(directory: int, path: str, how: bytes) -> int:
    """The same for a ``how`` with RESOLVE_CACHED. Raises: BlockingIOError where the answer is not at hand."""
    return _checked(_at_once(_NUMBER, directory, os.fsencode(path), how, len(how)), path)


def _checked(descriptor: int, path: str) -> int:
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return descriptor


def knows(directory: int, resolve: int) -> bool:
    """Say whether the kernel, and whatever filters its calls, lets us open so."""
    try:
        os.close(openat2(directory, ".", build_how(os.O_PATH | os.O_CLOEXEC, resolve)))
    except OSError as error:
        # An older kernel says ENOSYS, or EINVAL to a flag that it does not know; filters of containers say EPERM.
        return error.errno == errno.EAGAIN
    return True
