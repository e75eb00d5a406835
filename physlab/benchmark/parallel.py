"""Runs of a benchmark side by side: one process each, those that others build on first, a failure costs its own run."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

from physlab.errors import PhysLabError
from physlab.train.workers import begin

Run = TypeVar("Run")
EXPECTED = (PhysLabError, OSError, RuntimeError, ValueError)  # of a run; anything else is a fault of the program


def results(
    stages: Sequence[Sequence[Run]], work: Callable, arguments: tuple, workers: int
) -> Iterator[tuple[Run, object]]:
    """Each run with ``work(run, *arguments)``, or with the exception that it raised, as they come.

    Parameters
    ----------
    stages : runs; those of a stage start when the stage before has ended.
    workers : processes, one thread each; with 1 the runs are made here, in order.
    """
    if workers <= 1:
        for run in (run for stage in stages for run in stage):
            yield run, attempt(work, run, arguments)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=begin) as pool:
        try:
            for stage in stages:
                futures = {pool.submit(attempt, work, run, arguments): run for run in stage}
                for future in as_completed(futures):
                    yield futures[future], future.result()
        except (KeyboardInterrupt, GeneratorExit):
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def attempt(work: Callable, run: Run, arguments: tuple) -> object:
    """What a run gives, or what went wrong with it."""
    try:
        return work(run, *arguments)
    except EXPECTED as error:
        return error


def collect(
    found: Iterator[tuple[Run, object]],
    total: int,
    label: Callable[[Run], str],
    keep: Callable[[Run, object], str],
    say: Callable[[str], None],
) -> None:
    """Keep every result, and tell.

    Parameters
    ----------
    found : as from :func:`results`.  total : how many will come.
    label : name of a run.
    keep : stores a result; returns what is said of it.

    Raises
    ------
    PhysLabError : after all have ended, naming the runs that failed.
    """
    failed = []
    for number, (run, result) in enumerate(found, 1):
        if isinstance(result, Exception):
            failed.append(label(run))
            say(f"[{number}/{total}] {label(run)} failed: {result}")
        else:
            said = keep(run, result)
            say(f"[{number}/{total}] {label(run)}: {said}")
    if failed:
        raise PhysLabError(f"{len(failed)} of {total} runs failed ({'; '.join(failed)}): run again to resume")
