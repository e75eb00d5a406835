"""Memory that is no longer used goes back to the system, where its library can be asked for that."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys

ARENAS = -8  # M_ARENA_MAX of glibc
FEW = 2  # heaps: with one for each of a hundred threads, what one has freed is of no use for the others


def give_back() -> None:
    """Collect, and hand free memory to the system."""
    gc.collect()
    if library := _glibc():
        library.malloc_trim(0)


def few_heaps() -> None:
    """From now on threads share a few heaps; for a process whose threads mostly wait."""
    if library := _glibc():
        library.mallopt(ARENAS, FEW)


def _glibc() -> ctypes.CDLL | None:
    """None on other systems."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL("libc.so.6")
            if library.malloc_trim and library.mallopt:
                return library
    return None
