"""Runs of a benchmark side by side: one process each, those that others build on first.

A failure costs its own run, and what a table holds already is not made again.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

import pandas as pd

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


def collect(found: Iterator[tuple[Run, object]], total: int, keep: Callable[[object], str], say: Callable) -> None:
    """Keep every result, and tell.

    Parameters
    ----------
    found : as from :func:`results`.  total : how many will come.
    keep : stores a result; returns what is said of it.

    Raises
    ------
    PhysLabError : after all have ended, naming the runs that failed.
    """
    failed, begun = [], time.perf_counter()
    for number, (run, result) in enumerate(found, 1):
        left = (time.perf_counter() - begun) / number * (total - number) / 60
        tail = f", {left:.0f} min left" if number < total else ""
        if isinstance(result, Exception):
            failed.append(str(run))
            say(f"[{number}/{total}] {run} failed: {result}{tail}")
        else:
            say(f"[{number}/{total}] {run}: {keep(result)}{tail}")
    if failed:
        raise PhysLabError(f"{len(failed)} of {total} runs failed ({'; '.join(failed)}): run again to resume")


def resume(
    path: Path,
    runs: Sequence[Run],
    keys: Sequence[str],
    read: Callable[[Path], pd.DataFrame],
    write: Callable[[pd.DataFrame, Path], Path],
    work: Callable,
    arguments: tuple,
    tell: Callable[[pd.DataFrame], str],
    workers: int = 2,
    say: Callable[[str], None] = print,
    later: Callable[[Run], bool] | None = None,
) -> Path:
    """Make the runs that a tidy table lacks, and write it after each; returns its path.

    Parameters
    ----------
    path : of the table; it need not be there.
    keys : attributes of a run, and columns of the table, that a run is known by.
    read, write : the table, ``read(path)`` and ``write(table, path)``.
    work : ``work(run, *arguments)`` gives the rows of a run, as dicts.
    tell : a few words about the rows of a run.
    workers : processes, one thread each.
    later : runs that build on others, and start when those have ended.

    Raises
    ------
    PhysLabError : after all have ended, naming the runs that failed.
    """
    table = read(path) if path.exists() else None
    todo = missing(table, runs, keys)
    say(f"{len(runs)} runs, {len(runs) - len(todo)} of them known from {path}")
    second = [run for run in todo if later is not None and later(run)]

    def keep(rows: object) -> str:
        nonlocal table
        new = pd.DataFrame(rows)
        table = new if table is None else pd.concat([table, new], ignore_index=True)
        write(table, path)
        return tell(new)

    found = results([[run for run in todo if run not in second], second], work, arguments, workers)
    collect(found, len(todo), keep, say)
    return path


def missing(table: pd.DataFrame | None, runs: Sequence[Run], keys: Sequence[str]) -> list[Run]:
    """The runs that a table (None: there is none) has no row of; `keys` as of :func:`resume`."""
    known = set() if table is None else {_plain(row) for row in table[list(keys)].itertuples(index=False, name=None)}
    return [run for run in runs if _plain(getattr(run, key) for key in keys) not in known]


def _plain(values: Iterable) -> tuple:
    """Nothing is None, whether it comes from a run or from a table."""
    return tuple(None if pd.isna(value) or value == "" else value for value in values)
