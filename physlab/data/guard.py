"""Files from anywhere, read for the first time by a process that may die.

The C libraries below NetCDF and GRIB can crash or turn for ever on a damaged file, and with them the program that reads
it. The commands therefore let a copy of their process read a file, with a limit of time, and take what it has read.
What this cannot guard: data beyond `WHOLE` bytes, which are read later, systems that cannot copy a process, and
the library itself, which is called from programs with threads and does not copy them.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import xarray as xr

from physlab.data.catalog import open_dataset
from physlab.data.ingest.account import told
from physlab.data.ingest.files import split_selection
from physlab.errors import FieldError

SECONDS = 20.0
"""For opening a file; and so many more for each hundred million bytes that are read."""
WHOLE = 256 << 20
"""Data up to this size are read as a whole by the copy; larger ones, and what stays lazy, are only opened by it."""
Result = TypeVar("Result")
ACCOUNTS: list[str] = []
"""What the commands tell at once at a terminal, else when all went well: a refusal takes its place and is one line."""


def open_checked(name: str | Path, mapping: Mapping[str, str] | None = None) -> xr.Dataset:
    """:func:`physlab.open_dataset`, read by a copy of this process, or opened after a copy has opened it and lived.

    What was understood of a file of one's own, converted and left out waits for :func:`tell`.

    Raises
    ------
    FieldError : the file makes the library that reads it crash, or does not come to an end.
    """
    path = Path(split_selection(name)[0]).expanduser()
    # Zarr in a ZIP is read by threads, which a copy of a process does not have
    ds = survive(lambda: _small(name, mapping), path) if path.is_file() and not zipfile.is_zipfile(path) else None
    if ds is None:
        ds = open_dataset(name, mapping)
    if words := told(ds):
        ACCOUNTS.append(words)
        if sys.stderr.isatty():
            tell()
    return ds


def tell() -> None:
    """Print the accounts of the files that have been read, each once."""
    while ACCOUNTS:
        print(ACCOUNTS.pop(0), file=sys.stderr)


def _small(name: str | Path, mapping: Mapping[str, str] | None) -> xr.Dataset | None:
    """A file as a whole if it is small and lies in memory, else None: opened, and that is all."""
    ds = open_dataset(name, mapping)
    if ds.nbytes > WHOLE or any(da.chunks is not None for da in ds.data_vars.values()):
        ds.close()
        return None
    return ds.load()


def survive(read: Callable[[], Result], path: str | Path) -> Result:
    """What a function returns or raises in a copy of this process, which alone touches the file.

    Raises
    ------
    FieldError : the copy was killed by a signal or did not come to an end.
    """
    if not hasattr(os, "fork"):
        return read()
    limit = SECONDS * (1 + min(os.path.getsize(path), WHOLE) / 1e8)
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(receiver)
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, limit)
            with os.fdopen(sender, "wb") as stream:
                stream.write(_told(read))
        finally:
            os._exit(0)  # whatever happened: no handlers, no second traceback
    os.close(sender)
    with os.fdopen(receiver, "rb") as stream:
        content = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        ended = os.WTERMSIG(status)
        what = (
            f"did not end within {limit:.0f} s" if ended == signal.SIGALRM else f"died of {signal.Signals(ended).name}"
        )
        raise FieldError(f"cannot read '{path}': the library that reads it {what}; the file is damaged, get it again")
    if not content:
        raise FieldError(f"cannot read '{path}': there is not enough memory to read it, or the file is damaged")
    result, error = pickle.loads(content)  # of our own copy, never of a file
    if error is not None:
        raise error
    return result


def _told(read: Callable[[], object]) -> bytes:
    """(result, None) or (None, error), for the other process."""
    try:
        return pickle.dumps((read(), None), protocol=5)
    except Exception as error:
        try:
            content = pickle.dumps((None, error))
            pickle.loads(content)
        except Exception:  # an error that cannot travel
            content = pickle.dumps((None, FieldError(" ".join(f"{type(error).__name__}: {error}".split())[:300])))
        return content
