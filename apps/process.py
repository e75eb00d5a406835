"""Worker processes: each holds a store of its own and answers calls, so that the server's event loop never computes.

The server has one thread for each slot of a process, which does nothing but wait. Work that nobody waits for any more
is asked to stop between two steps, and its process is ended if it does not; so is one that takes longer than its limit.
A process that is gone, for whatever reason, is replaced, and whoever waited for it is told.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import pickle
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from apps.line import Job, Line
from apps.memory import give_back
from apps.problems import Lost, Overtaken

GRACE = 1.5  # s for work to notice that it is cancelled
LIMITS = {"panel": 60.0, "redraw": 60.0, "sampling": 300.0, "tests": 600.0}  # s
STARTING = 120.0  # s until a process is there
EVERY = 0.2  # s between two reports of progress
REST, LONG = 1.0, 5.0
"""After so many seconds without work, or with, a process gives back what it no longer uses: half of it at times."""
SAMPLING_NICE, TESTS_NICE = 3, 10  # how far processes of work that nobody looks at step back
_context = mp.get_context("forkserver")


@dataclass(frozen=True)
class Slot:
    """A thread of a process, and which kinds it takes."""

    kinds: tuple[str, ...]


class Worker:
    """A process that is started when it is needed, and again when it was lost.

    Parameters
    ----------
    slots : what it does at the same time.
    line : where its jobs come from.
    make : makes its store, in the process; a function of a module.
    limits : seconds that work of each kind may take.
    nice : how far the process steps back for others. Of a single thread it would hold up those of its own process.
    """

    def __init__(self, slots: Sequence[Slot], line: Line, make, limits: Mapping[str, float] = LIMITS,
                 nice: int = 0) -> None:  # fmt: skip
        self.slots, self.line, self.make, self.limits, self.nice = tuple(slots), line, make, dict(limits), nice
        self.process: Any = None
        self.lost = 0  # processes
        self._ends: list[Connection] = []
        self._flags: list[Any] = []
        self._ready: list[bool] = []
        self._guard, self._closed = threading.Lock(), False
        for at, slot in enumerate(self.slots):
            name = f"slot {'-'.join(slot.kinds)}"
            threading.Thread(target=self._serve, args=(at, slot), name=name, daemon=True).start()

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        return self.process.pid if self.process is not None and self.process.is_alive() else None

    def start(self) -> None:
        """A process, if there is none."""
        with self._guard:
            if self._closed or (self.process is not None and self.process.is_alive()):
                return
            for end in self._ends:
                end.close()
            pairs = [_context.Pipe() for _ in self.slots]
            self._flags = [_context.Value("L", 0, lock=False) for _ in self.slots]
            theirs = [(b, flag) for (_, b), flag in zip(pairs, self._flags, strict=True)]
            process = _context.Process(target=main, args=(self.make, theirs, self.nice), daemon=True)
            process.start()
            self.process = process
            for _, b in pairs:
                b.close()
            self._ends, self._ready = [a for a, _ in pairs], [False] * len(pairs)

    def close(self) -> None:
        """End it for good."""
        self._closed = True
        if self.process is not None:
            self.process.kill()
            self.process.join(5)

    def _serve(self, at: int, slot: Slot) -> None:
        while not self._closed:
            job = self.line.take(slot.kinds)
            if job is None:
                continue
            whole, value = False, None
            try:
                value = self._run(at, job)
                whole = not isinstance(value, Exception)
            except (EOFError, OSError) as error:
                value = self._gone(error)
                time.sleep(0.2)  # one that cannot be started is not started all the time
            except Exception as error:
                value = error
            self.line.ended(job, whole)
            job.finish(value)

    def _gone(self, error: Exception) -> Lost:
        if self.process is not None:
            self.process.join(1.0)
        code = self.process.exitcode if self.process is not None else None
        why = f"ended by signal {signal.Signals(-code).name}" if code and code < 0 else f"gone ({error or code})"
        self.lost += 1
        return Lost(f"The process that computed this was {why}. The explorer has started another: try again.")

    def _run(self, at: int, job: Job) -> Any:
        """Send, wait, and see to it that it ends."""
        if job.cancelled():
            return Overtaken()
        self.start()
        end, flag, limit = self._ends[at], self._flags[at], self.limits.get(job.kind, 60.0)
        end.send((job.number, job.method, job.arguments, job.report is not None))
        asked, begun = 0.0, time.monotonic()
        while True:
            if end.poll(0.1):
                number, what, value = end.recv()
                if what == "ready":
                    self._ready[at], begun = True, time.monotonic()
                if number != job.number:
                    continue
                if what == "step" and job.report is not None:
                    job.report(*value)
                elif what != "step":
                    return value
            now = time.monotonic()
            if not asked and job.cancelled():
                asked, flag.value = now, job.number
            if asked and now - asked > GRACE:
                self._end()
                return Overtaken()
            if now - begun > (limit if self._ready[at] else STARTING):
                self._end()
                return Lost(f"This took longer than {limit:.0f} s and was stopped: try again, or choose less.")

    def _end(self) -> None:
        process = self.process
        process.kill()
        process.join(5)


# -- in the process ---------------------------------------------------------------------------------------------------


def main(make, slots: Sequence[tuple[Connection, Any]], nice: int = 0) -> None:
    """What a worker process does until its server is gone."""
    with contextlib.suppress(OSError, AttributeError):  # not every system has it
        os.nice(nice)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this
    store = make()
    threads = [threading.Thread(target=_answer, args=(store, *slot), daemon=True) for slot in slots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _answer(store, end: Connection, flag) -> None:
    end.send((0, "ready", None))
    worked, given = False, time.monotonic()
    while True:
        try:
            given = _rest(end, given) if worked else given
            worked = True
            number, method, arguments, tells = end.recv()
        except (EOFError, OSError):
            os._exit(0)  # the server is gone
        last = 0.0

        def cancelled(number=number) -> bool:
            return flag.value == number

        def report(done: int, steps: int, number=number, tells=tells) -> None:
            nonlocal last
            if tells and time.monotonic() - last > EVERY:
                last = time.monotonic()
                end.send((number, "step", (done, steps)))

        try:
            value = store(method, arguments, cancelled, report)
            what = "value"
        except Exception as error:  # told to whoever waits
            what, value = "error", _portable(error)
        with contextlib.suppress(OSError):
            end.send((number, what, value))


def _rest(end: Connection, given: float) -> float:
    """Give memory back if there is nothing to do, or if that was long ago; when it was given back last."""
    if time.monotonic() - given < LONG and end.poll(REST):
        return given
    give_back()
    return time.monotonic()


def _portable(error: Exception) -> Exception:
    """An exception that survives the way to the server."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
