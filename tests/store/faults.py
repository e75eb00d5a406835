"""A harness that lets the file system fail at one call: with an error, or by the death of the process.

What Python opens, renames, makes and removes tells its audit hooks; writing, fsync and the exchange of two names, which
have none, are wrapped. A death needs a fork; an error is raised here, as it would be in a notebook that goes on. What a
death leaves is what the system holds at that moment, so that one process that notes its folder before each call, and
then dies, shows all of them.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "os.truncate")
MODES: dict[str, int | None] = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "SIGKILL": None}
DONE, FAILED, OTHER = 0, 3, 4


class Faults:
    """Counts the calls below a folder; the `at`-th one fails, and with `again` all that follow it, too."""

    def __init__(
        self, below: Path, at: int, number: int | None, again: bool, note: Callable[[int], object] | None = None
    ) -> None:
        self.below, self.at, self.number, self.again, self.note = str(below), at, number, again, note
        self.count, self.lock = 0, threading.Lock()

    def call(self, what: str) -> None:
        with self.lock:
            self.count += 1
            now = self.count
            if self.note is not None:
                self.note(now)
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

    @contextlib.contextmanager
    def installed(self) -> Iterator[Faults]:
        """Count, and fail, within this block."""
        from physlab.store import files

        kept = [(os, "write", os.write), (os, "fsync", os.fsync), (files, "exchange", files.exchange)]
        kept += [(io, "open", io.open), (builtins, "open", builtins.open)]
        plain = io.open

        def opened(file, mode="r", *args, **kwargs):
            stream = plain(file, mode, *args, **kwargs)
            inside = not isinstance(file, int) and os.fsdecode(file).startswith(self.below)
            return Writer(stream, self) if inside and set(mode) & set("wax+") else stream

        try:
            for module, name, function in kept[:3]:
                setattr(module, name, self.wrapped(function, name))
            io.open = builtins.open = opened
            _HOOKED.append(self)
            yield self
        finally:
            _HOOKED.remove(self)
            for module, name, function in kept:
                setattr(module, name, function)

    def wrapped(self, function: Callable, name: str) -> Callable:
        def counted(*args):
            if name == "exchange" or self.holds(args[0]):
                self.call(name)
            return function(*args)

        return counted

    def holds(self, descriptor: int) -> bool:
        """Whether a descriptor is that of something below the folder, as far as the system tells."""
        try:
            return os.readlink(f"/proc/self/fd/{descriptor}").startswith(self.below)
        except OSError:
            return True


_HOOKED: list[Faults] = []
"""Who is told of events: a hook stays as long as the process."""


def _hook(event: str, arguments: tuple) -> None:
    for faults in _HOOKED:
        faults.hook(event, arguments)


sys.addaudithook(_hook)


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


def attempt(
    write: Callable[[], object], below: Path, at: int, mode: str, again: bool = False, fork: bool = False
) -> tuple[int, int]:
    """Run a writer with a fault at call `at`; gives how it ended and how many calls it made. In a fork, if it dies."""
    faults = Faults(below, at, MODES[mode], again)
    if MODES[mode] is not None and not fork:
        with faults.installed():
            return ending(write), faults.count
    code, count = in_a_fork(write, faults)
    return (code, 0) if code < 0 else (code, count)


def in_a_fork(write: Callable[[], object], faults: Faults, dies: bool = False) -> tuple[int, int]:
    """How a writer ended in a process of its own, or minus the signal that killed it, and its calls."""
    reader, sender = os.pipe()
    child = os.fork()
    if child == 0:
        code = OTHER
        try:
            os.close(reader)
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            with faults.installed():
                code = ending(write)
            os.write(sender, str(faults.count).encode())
            if dies and code == DONE:
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(code)
    os.close(sender)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as stream:
        count = int(stream.read() or 0)
    return (-os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), count


def each_death(write: Callable[[], object], below: Path, last: int = 0) -> Iterator[int]:
    """The calls of a writer, or the last ones; at each the folder is as a death at that call leaves it."""
    with tempfile.TemporaryDirectory(dir=below.parent) as kept:
        noted = Faults(below, 0, None, False, lambda at: copied(below, Path(kept, str(at))))
        code, count = in_a_fork(write, noted, dies=True)
        assert code == -signal.SIGKILL and count, code
        for at in range(max(1, count - last) if last else 1, count + 1):
            for left in below.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            shutil.copytree(Path(kept, str(at)), below, symlinks=True, dirs_exist_ok=True)
            yield at


def copied(below: Path, target: Path, tries: int = 20) -> None:
    """A copy of a folder; once more if another thread of the writer renamed or removed something meanwhile."""
    for left in reversed(range(tries)):
        try:
            shutil.copytree(below, target, symlinks=True)
            return
        except OSError:
            if not left:
                raise
            shutil.rmtree(target, ignore_errors=True)
            time.sleep(0.001)


def ending(write: Callable[[], object]) -> int:
    """How a writer ends: done, refused in one line, or otherwise."""
    try:
        write()
    except (OSError, ValueError) as error:  # what the command line makes one line of
        return FAILED if "\n" not in str(error) else OTHER
    except Exception:
        return OTHER
    return DONE
