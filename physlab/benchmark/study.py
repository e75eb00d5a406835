"""A study: a benchmark that is declared. Its file says what is run and scored; this one how, for all of them.

    STUDY = Study(name="divergence", title="what calmer members do for the spectra", columns=COLUMNS, ...)
    STUDY.launch("twin", workers=4)         # or: physlab benchmark divergence --data twin --workers 4
    STUDY.read()                            # the table that ships;  STUDY.read(path): one of yours

A run is a frozen dataclass with the attributes `keys`, by which the table knows it. What a table holds already is not
made again: a study that was killed goes on. A new study is one file in this folder with a `STUDY`.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from physlab.benchmark.table import TidyTable
from physlab.errors import PhysLabError
from physlab.train.devices import choose_device
from physlab.train.parallel import Client, Task, collect, results


class Named:
    """A run that is called by its words and its seed, "edsr, add, seed 1"; base of dataclasses."""

    def __str__(self) -> str:
        given = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        words = [value for value in given.values() if isinstance(value, str)]
        return ", ".join(words if given["seed"] is None else [*words, f"seed {given['seed']}"])


@dataclass(frozen=True)
class Run(Named):
    """A method and a seed, None where nothing is random: enough for many studies."""

    model: str
    seed: int | None


@dataclass(frozen=True)
class Context:
    """What all runs of a study share.

    Attributes
    ----------
    data : folder or name of the data.
    output : folder of the table and of what is trained for it.
    changes : of the settings of training, for a quick try.
    split : on which is scored.
    device : on which is trained; scores and times are made on the processor.
    """

    data: str = ""
    output: str = "benchmark"
    changes: Mapping = field(default_factory=dict)
    split: str = "test"
    device: str = "auto"


def _nothing(*_: object) -> tuple:
    return ()


@dataclass(frozen=True, kw_only=True)
class Study(TidyTable):
    """The declaration, beside that of its table.

    Attributes
    ----------
    title : one line for the help;  needs : what data it wants, and `data` where they are looked for.
    plans : preset -> its runs.
    work : ``work(run, context)`` gives the rows of a run, as dicts, none to leave it for the next time; a function of a
        module, for other processes.
    tell : a few words about the rows of a run.
    check : ``check(runs, context)`` refuses what cannot be used, and prepares data once, before anything is started.
    after : ``after(run, context)``: runs that this one builds on and whose result is not there yet.
    prepare : ``prepare(run, context)`` makes what others build on, where its rows are not asked for; None: `work`.
    more : ``more(name, preset)``: runs of a method that no plan has, for example one that a package has registered.
    reference : whether gains refer to a run; such runs come along with chosen ones of the same part.
    scores : kinds of :func:`physlab.list_models` that are scored here.
    alone : runs are timed, so they are made one after the other, in this process.
    """

    keys: tuple[str, ...] = ("model", "seed")  # of `Run`
    title: str
    plans: Mapping[str, Callable[[], list]]
    work: Callable[[Any, Context], list[dict]]
    tell: Callable[[pd.DataFrame], str]
    data: str = ""
    needs: str = ""
    check: Callable[[list, Context], object] = _nothing
    after: Callable[[Any, Context], Iterable] = _nothing
    prepare: Callable[[Any, Context], object] | None = None
    more: Callable[[str, str], Sequence] = _nothing
    reference: Callable[[Any], bool] = lambda run: False
    scores: tuple[str, ...] = ()
    alone: bool = False

    def plan(self, preset: str = "paper", only: Sequence[str] = (), seeds: Sequence[int] | None = None) -> list:
        """Runs of a preset.

        Parameters
        ----------
        only : names of methods, constraints, data ...: the runs that have one of them, and those that they are
            compared with; "edsr add" are the runs that have both. A method that the preset lacks may be any other that
            the study can make.
        seeds : instead of the planned ones.

        Raises
        ------
        PhysLabError : an unknown preset or name.
        """
        if preset not in self.plans:
            raise PhysLabError(f"unknown preset {preset!r}: choose one of {', '.join(self.plans)}")
        runs = self.plans[preset]()
        if only:
            runs = self._chosen(runs, only, preset)
        if seeds is not None:
            random = [run for run in runs if getattr(run, "seed", None) is not None]
            runs = [run for run in runs if run not in random]
            runs += dict.fromkeys(replace(run, seed=int(seed)) for seed in seeds for run in random)
        return runs

    def _chosen(self, runs: list, only: Sequence[str], preset: str) -> list:
        every = next(iter(self.plans.values()))()
        found: dict[Any, None] = {}
        for name in only:
            more = _named(runs, name) or self._few(_named(every, name) or self.more(name, preset), preset)
            if not more:
                known = sorted({value for run in every for value in _names(run).values()})
                near = difflib.get_close_matches(name.casefold(), known, 3, 0.5) or known
                raise PhysLabError(f"the study {self.name} has no row {name!r}: choose among {', '.join(near)}")
            found |= dict.fromkeys(more)

        def compared(run: object) -> bool:
            return any(all(getattr(run, key) == getattr(other, key) for key in self.parts) for other in found)

        return list(dict.fromkeys([*(run for run in every if self.reference(run) and compared(run)), *found]))

    def _few(self, runs: Sequence, preset: str) -> list:
        """Of a quick look: the first seed, and the part that is summed up by default."""
        if preset != "quick":
            return list(runs)
        usual = [run for run in runs if all(getattr(run, column) == self.part[column] for column in self.parts)]
        return first_seed(usual or runs)

    def launch(
        self,
        data: str | Path | None = None,
        output: str | Path = "benchmark",
        workers: int = 2,
        runs: Sequence | None = None,
        say: Callable[[str], None] = print,
        *,
        preset: str = "paper",
        only: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
        client: Client | None = None,
        device: str = "auto",
        **changes,
    ) -> Path:
        """Run or resume the study: make the runs that the table lacks, and write it after each; returns its path.

        Parameters
        ----------
        data : folder (or name) of the data; None for `self.data`.
        output : folder of the table and of what is trained for it.
        workers : processes side by side, one thread each; with 1 the runs are made here.
        runs : others than :meth:`plan` gives for `preset`, `only` and `seeds`.
        say : receives a line for each run.
        client : takes the runs instead of processes of this machine: a client of ``dask.distributed``, or an executor;
            its workers see the same folders.
        device : see :class:`Context`.
        changes : of the settings of training, for a quick try.

        Raises
        ------
        PhysLabError : data or a device that are not there, an unknown preset or name; after all runs have ended, some
            failed.
        """
        runs = self.plan(preset, only, seeds) if runs is None else list(runs)
        place = str(self.data if data is None else data)
        context = Context(place, str(output), changes, device=str(choose_device(device)))
        self.check(runs, context)
        path = Path(output) / self.file
        table = self.read(path) if path.exists() else None
        todo = missing(table, runs, self.keys)
        say(f"{len(runs)} runs, {len(runs) - len(todo)} of them known from {path}")

        def keep(run: object, rows: object) -> str:
            nonlocal table
            if run not in todo:
                return "ready"
            new = pd.DataFrame(rows)
            if new.empty:  # left for the next time
                return self.tell(new)
            table = new if table is None else pd.concat([table, new], ignore_index=True)
            self.write(table, path)
            return self.tell(new)

        tasks = self.tasks(todo, context)
        workers, client = (1, None) if self.alone else (workers, client)
        collect(results(tasks, (context,), workers, client), len(tasks), keep, say)
        return path

    def tasks(self, runs: Sequence, context: Context) -> list[Task]:
        """The runs, and before them what they build on; the latter is made once, by one process."""
        tasks: dict = {}

        def add(run: object) -> None:
            if run in tasks:
                return
            needs = frozenset(self.after(run, context))
            for other in sorted(needs, key=str):
                add(other)
            tasks[run] = Task(run, self.work if run in wanted else self.prepare or self.work, needs)

        wanted = set(runs)
        for run in runs:
            add(run)
        return list(tasks.values())


def missing(table: pd.DataFrame | None, runs: Sequence, keys: Sequence[str]) -> list:
    """The runs that a table (None: there is none) has no row of; `keys` are attributes of a run and columns."""
    known = set() if table is None else {_plain(row) for row in table[list(keys)].itertuples(index=False, name=None)}
    return [run for run in runs if _plain(getattr(run, key) for key in keys) not in known]


def _plain(values: Iterable) -> tuple:
    """Nothing is None, whether it comes from a run or from a table."""
    return tuple(None if pd.isna(value) or value == "" else value for value in values)


def _names(run: Any) -> dict[str, str]:
    return {key: value.casefold() for key, value in asdict(run).items() if isinstance(value, str) and value}


def _named(runs: Sequence, name: str) -> list:
    """The runs with a name, or else with all words of it."""
    found = [run for run in runs if name.casefold() in _names(run).values()]
    words = set(name.casefold().split())
    if found or len(words) < 2:
        return found
    return [run for run in runs if words <= set(str(run).casefold().replace(",", " ").split())]


def nature_run(folder: Path, days: int, others: str) -> Path:
    """The folder of a nature run, whose number ends its name and is its seed.

    Raises
    ------
    PhysLabError : it is not there; how it is made.
    """
    if not folder.is_dir():
        seed = folder.name.split("-")[-1]
        made = f"physlab simulate --output {folder} --seed {seed} --days {days} --hourly 0 0 {others}"
        raise PhysLabError(f"no {folder}: make it by `{made}`")
    return folder


def first_seed(runs: Sequence) -> list:
    """What has no seed, or the smallest."""
    smallest = min((run.seed for run in runs if run.seed is not None), default=None)
    return [run for run in runs if run.seed in (None, smallest)]


def presets(plan: Callable[[], list]) -> dict[str, Callable[[], list]]:
    """The plans of most studies: all of it, and for a quick look what has no seed or the first one."""
    return {"paper": plan, "quick": lambda: first_seed(plan())}


@functools.cache
def studies() -> dict[str, Study]:
    """Name -> study of all files of this folder."""
    package = importlib.import_module("physlab.benchmark")
    modules = (
        importlib.import_module(f"{package.__name__}.{info.name}") for info in pkgutil.iter_modules(package.__path__)
    )
    found = [study for module in modules if isinstance(study := getattr(module, "STUDY", None), Study)]
    return {study.name: study for study in sorted(found, key=lambda study: study.name)}
