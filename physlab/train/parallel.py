"""Runs side by side, in processes of this machine or on a cluster, each after those that it builds on.

A failure costs its own run and those that build on it.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import queue
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from physlab.errors import PhysLabError
from physlab.train.progress import Bar
from physlab.train.workers import begin

EXPECTED = (PhysLabError, OSError, RuntimeError, ValueError)  # of a run; anything else is a fault of the program


class Client(Protocol):
    """What runs are given to: an executor of :mod:`concurrent.futures`, or a client of ``dask.distributed``."""

    def submit(self, work: Callable, /, *arguments: object) -> Future:
        """A future with ``add_done_callback`` and ``result``."""
        ...


@dataclass(frozen=True)
class Task:
    """A run, the function ``work(run, *arguments)`` that makes it, and the runs that must have been made before."""

    run: Hashable
    work: Callable
    needs: frozenset = frozenset()


class Here:
    """The client that makes a run at once, in this process."""

    def submit(self, work: Callable, /, *arguments: object) -> Future:
        future: Future = Future()
        future.set_result(work(*arguments))
        return future


def results(
    tasks: Sequence[Task], arguments: tuple = (), workers: int = 2, client: Client | None = None, threads: int = 1
) -> Iterator[tuple[Hashable, object]]:
    """Each run with what it gave, or with the exception that it raised, as they come.

    Parameters
    ----------
    tasks : in the order in which they are to be begun.
    workers : processes; with 1 the runs are made here, one after the other.
    client : takes the runs instead.
    threads : of each process.
    """
    waiting = list(tasks)
    failed: set[Hashable] = set()
    running: set[Hashable] = set()
    done: queue.SimpleQueue = queue.SimpleQueue()
    with _client(client, workers, threads, len(tasks)) as (place, slots):
        while waiting or running:
            open_ = {task.run for task in waiting} | running
            begun = [task for task in waiting if not task.needs & open_][: slots - len(running)]
            for task in begun:
                waiting.remove(task)
                running.add(task.run)
                lacks = sorted(map(str, task.needs & failed))
                if lacks:
                    done.put((task.run, PhysLabError(f"it builds on {', '.join(lacks)}, which failed")))
                    continue
                try:
                    future = place.submit(attempt, task.work, task.run, arguments)
                except EXPECTED as error:  # the workers are gone
                    done.put((task.run, error))
                else:
                    future.add_done_callback(functools.partial(_ended, done, task.run))
            if not running:
                raise PhysLabError(f"{', '.join(str(task.run) for task in waiting)} wait for each other")
            run, found = done.get()
            running.discard(run)
            found = found if isinstance(found, Exception) else attempt(_result, found, ())
            if isinstance(found, Exception):
                failed.add(run)
            yield run, found


@contextlib.contextmanager
def _client(client: Client | None, workers: int, threads: int, total: int) -> Iterator[tuple[Client, int]]:
    """Who makes the runs, and how many at a time."""
    if client is not None or workers <= 1:
        yield (Here(), 1) if client is None else (client, max(1, total))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=begin, initargs=(threads,)) as pool:
        try:
            yield pool, max(1, total)
        except BaseException:  # also an interruption, and a caller that wants no more
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def attempt(work: Callable, run: Hashable, arguments: tuple) -> object:
    """What a run gives, or what went wrong with it."""
    try:
        return work(run, *arguments)
    except EXPECTED as error:
        return error


def _ended(done: queue.SimpleQueue, run: Hashable, future: Future) -> None:
    done.put((run, future))


def _result(future: Future) -> object:
    return future.result()


def collect(
    found: Iterator[tuple[Hashable, object]], total: int, keep: Callable[[Any, Any], str], say: Callable
) -> None:
    """Keep every result, and tell how far it is and how long it will take.

    Parameters
    ----------
    found : as from :func:`results`.  total : how many will come.
    keep : stores the result of a run; returns what is said of it.

    Raises
    ------
    PhysLabError : after all have ended, naming the runs that failed.
    """
    failed, begun = [], time.perf_counter()
    with Bar("runs", total, enabled=total > 0) as bar:
        for number, (run, result) in enumerate(found, 1):
            left = (time.perf_counter() - begun) / number * (total - number) / 60
            tail = f", {left:.0f} min left" if number < total else ""
            bar.advance(number)
            if isinstance(result, Exception):
                failed.append(str(run))
                say(f"[{number}/{total}] {run} failed: {result}{tail}")
            else:
                say(f"[{number}/{total}] {run}: {keep(run, result)}{tail}")
    if failed:
        raise PhysLabError(f"{len(failed)} of {total} runs failed ({'; '.join(failed)}): run again to resume")
