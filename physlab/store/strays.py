"""What nobody will come back for: old parts of writers that were killed, and what earlier versions left."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from physlab.errors import StoreError

PREFIX = ".physlab-"
JOURNAL = "journal"
KEPT = 14 * 86400.0
"""Seconds for which the parts of a writer that was killed wait for the next try."""
STRAY = re.compile(r"\..+\.(\d+)\.part\.(nc|zarr)")
"""What versions before 0.2 left beside a target when they were killed; the number is that of the process."""


def sweep(parent: Path, acquire: Callable[[Path, Path, float], int]) -> None:
    """Remove parts that are old or of nobody, and the strays of earlier versions, from a folder; never fails.

    Parameters
    ----------
    acquire : takes the lock of a name, :func:`physlab.store.files._acquire`: parts that are being written stay.
    """
    with contextlib.suppress(OSError), os.scandir(parent) as found:
        for entry in found:
            stray = STRAY.fullmatch(entry.name)
            if stray and not alive(int(stray[1])):
                remove(Path(entry.path))
            elif entry.name.startswith(PREFIX) and entry.name.endswith(".part"):
                _forget(Path(entry.path), acquire)


def _forget(folder: Path, acquire: Callable[[Path, Path, float], int]) -> None:
    with contextlib.suppress(OSError, StoreError):
        if not _wanted(folder):
            at = folder.with_suffix(".lock")
            handle = acquire(at, folder, 0.0)
            try:
                remove(folder)
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(at)
                os.close(handle)


def remove(path: Path) -> None:
    """A file or a folder with what is in it; never fails."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _wanted(folder: Path) -> bool:
    """Whether the next try may come back for parts: they say what they belong to, and are not old."""
    try:
        with open(folder / JOURNAL, "rb") as stream:
            key = json.loads(stream.readline())["key"]
        return bool(key) and time.time() - (folder / JOURNAL).stat().st_mtime <= KEPT
    except (OSError, ValueError, KeyError, TypeError):  # killed before the journal was there
        return False


def alive(process: int) -> bool:
    """Whether a process of this number runs, of whoever it is."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
