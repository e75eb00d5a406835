"""Two names exchanged by one call of the system, where it has one (Linux: renameat2 with RENAME_EXCHANGE)."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from pathlib import Path

HERE = -100  # AT_FDCWD: paths are relative to the working folder
EXCHANGE = 2
UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)
"""What kernels and file systems answer that do not know the call."""


@cache
def _renameat2():
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names of one file system; False if the system cannot, and nothing has happened.

    Raises
    ------
    OSError : the system can, but refused.
    """
    call = _renameat2()
    if call is None:
        return False
    if call(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))
