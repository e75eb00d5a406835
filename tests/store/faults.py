"""A harness that lets the file system fail at one call: with an error, or by the death of the process.

Calls are counted in a fork: what Python opens, renames, makes and removes tells its audit hooks; writing, fsync and the
exchange of two names, which have none, are wrapped.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "os.truncate")
MODES: dict[str, int | None] = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "SIGKILL": None}
DONE, FAILED, OTHER = 0, 3, 4


class Faults:
    """Counts the calls below a folder; the `at`-th one fails, and with `again` all that follow it, too."""

    def __init__(self, below: Path, at: int, number: int | None, again: bool) -> None:
        self.below, self.at, self.number, self.again = str(below), at, number, again
        self.count, self.lock = 0, threading.Lock()

    def call(self, what: str) -> None:
        with self.lock:
            self.count += 1
            now = self.count
        if now == self.at or (self.again and now > self.at):
            if self.number is None:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(self.number, os.strerror(self.number), what)

    def hook(self, event: str, arguments: tuple) -> None:
        if event not in EVENTS:
            return
        path = arguments[0]
        if isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(self.below):
            if event == "open" and not writes(arguments):
                return
            self.call(os.fsdecode(path))

    def install(self) -> None:
        from physlab.store import files

        sys.addaudithook(self.hook)
        for module, name in ((os, "write"), (os, "fsync"), (files, "exchange")):
            setattr(module, name, self.wrapped(getattr(module, name), name))
        plain = io.open

        def opened(file, mode="r", *args, **kwargs):
            stream = plain(file, mode, *args, **kwargs)
            inside = not isinstance(file, int) and os.fsdecode(file).startswith(self.below)
            return Writer(stream, self) if inside and set(mode) & set("wax+") else stream

        io.open = builtins.open = opened

    def wrapped(self, function: Callable, name: str) -> Callable:
        def counted(*args):
            self.call(name)
            return function(*args)

        return counted


class Writer:
    """A file whose writes are counted."""

    def __init__(self, stream, faults: Faults) -> None:
        self.stream, self.faults = stream, faults

    def write(self, data) -> int:
        self.faults.call("write")
        return self.stream.write(data)

    def __enter__(self) -> Writer:
        self.stream.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self.stream.__exit__(*error)

    def __getattr__(self, name: str):
        return getattr(self.stream, name)


def writes(arguments: tuple) -> bool:
    """Whether an open is to write, or that of a folder or file for fsync is not."""
    _, mode, flags = arguments
    if isinstance(mode, str):
        return bool(set(mode) & set("wax+"))
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def attempt(write: Callable[[], object], below: Path, at: int, mode: str, again: bool = False) -> tuple[int, int]:
    """Run a writer in a fork with a fault at call `at`; gives how it ended and how many calls it made."""
    reader, sender = os.pipe()
    child = os.fork()
    if child == 0:
        code = OTHER
        try:
            os.close(reader)
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            faults, plain = Faults(below, at, MODES[mode], again), os.write
            faults.install()
            try:
                write()
                code = DONE
            except (OSError, ValueError) as error:  # what the command line makes one line of
                code = FAILED if "\n" not in str(error) else OTHER
            plain(sender, str(faults.count).encode())
        finally:
            os._exit(code)
    os.close(sender)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as stream:
        count = stream.read()
    if os.WIFSIGNALED(status):
        return -os.WTERMSIG(status), 0
    return os.WEXITSTATUS(status), int(count or 0)
