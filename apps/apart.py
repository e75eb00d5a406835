"""A function in a process of its own that may die: for files of strangers, which libraries may not survive."""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from apps.problems import Unavailable
from apps.process import _portable

_context = mp.get_context("forkserver")
LARGEST = 1 << 30
"""Bytes of a file that it may write."""


def apart(function: Callable, *arguments: Any, seconds: float) -> Any:
    """What a function of a module returns or raises, in a process that ends with it.

    Raises
    ------
    Unavailable : it was killed, or took too long; one sentence.
    """
    ours, theirs = _context.Pipe()
    process = _context.Process(target=_main, args=(theirs, function, arguments, seconds), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(seconds + 60.0):  # and the time until it is there; its own clock is stricter
            raise Unavailable(f"Reading this took longer than {seconds:.0f} s and was stopped: bring less.")
        what, value = ours.recv()
    except (EOFError, OSError):
        process.join(5)
        code = process.exitcode or 0
        if -code in (signal.SIGALRM, signal.SIGXCPU):
            raise Unavailable(f"Reading this took longer than {seconds:.0f} s and was stopped: bring less.") from None
        why = signal.Signals(-code).name if code < 0 else f"code {code}"
        raise Unavailable(
            f"The library that reads such files did not survive this one ({why}): it is damaged, get it again."
        ) from None
    finally:
        ours.close()
        process.kill()
        process.join(5)
    if what == "error":
        raise value
    return value


def _main(end: Connection, function: Callable, arguments: tuple, seconds: float) -> None:
    """In the process: limits of time and of what is written, then the function."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # not every system has them
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, LARGEST))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        answer = ("value", function(*arguments))
    except Exception as error:
        answer = ("error", _portable(error))
    end.send(answer)
    end.close()
