"""Files from anywhere, read for the first time by a process that may die.

The C libraries below NetCDF and GRIB can crash or turn for ever on a damaged file, and with them the program that reads
it. The commands therefore let a copy of their process read a file first, with a limit of time. What this cannot guard:
data in a file beyond `WHOLE` bytes that are read later, systems that cannot copy a process, and the library itself,
which is called from programs with threads and does not copy them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import xarray as xr

from physlab.data.catalog import open_dataset
from physlab.errors import FieldError

SECONDS = 20.0
"""For opening a file; and so many more for each hundred million bytes that are read."""
WHOLE = 256 << 20
"""Files up to this size are read as a whole, of larger ones what it takes to open them."""


def open_checked(name: str | Path, mapping: Mapping[str, str] | None = None) -> xr.Dataset:
    """:func:`physlab.open_dataset`, after a copy of this process has read the file and lived.

    Raises
    ------
    FieldError : the file makes the library that reads it crash, or does not come to an end.
    """
    path = Path(name).expanduser()
    if path.is_file():
        small = path.stat().st_size <= WHOLE

        def read() -> None:
            ds = open_dataset(name, mapping)
            if small:
                ds.load()

        survive(read, path)
    return open_dataset(name, mapping)


def survive(read: Callable[[], object], path: str | Path) -> None:
    """Call a function in a copy of this process; its errors are left to the one who reads in earnest.

    Raises
    ------
    FieldError : the copy was killed by a signal or did not come to an end.
    """
    if not hasattr(os, "fork"):
        return
    limit = SECONDS * (1 + min(os.path.getsize(path), WHOLE) / 1e8)
    child = os.fork()
    if child == 0:
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, limit)
            read()
        finally:
            os._exit(0)  # whatever it raised: no handlers, no second traceback
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        ended = os.WTERMSIG(status)
        what = (
            f"did not end within {limit:.0f} s" if ended == signal.SIGALRM else f"died of {signal.Signals(ended).name}"
        )
        raise FieldError(f"cannot read '{path}': the library that reads it {what}; the file is damaged, get it again")
