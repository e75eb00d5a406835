"""A tidy table, one line for what was measured once: as a file, summed up over seeds, and as it is printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from physlab.data.assets import asset
from physlab.data.writer import write_table
from physlab.errors import PhysLabError
from physlab.train.tables import percent, summed_up, with_spread


@dataclass(frozen=True)
class By:
    """A column that a table is ordered by: the names in `known` in their order, others after them; or its values."""

    column: str
    known: Iterable[str] = ()
    falling: bool = False

    def ranks(self, table: pd.DataFrame) -> pd.Series:
        """Numbers or values that sort like the column."""
        values, known = table[self.column], list(self.known)
        if not known:
            return values
        names = known + sorted(set(values.dropna()) - set(known))
        return values.map({name: place for place, name in enumerate(names)})


@dataclass(frozen=True, kw_only=True)
class TidyTable:
    """What is known of a table.

    Attributes
    ----------
    name : of its file, of the one that ships and of the command that makes it.
    keys, columns : of the table; by `keys` a run is known.
    order : of the rows.
    fill : column -> what an empty cell means.
    part : columns whose values say what is compared with what, each with the value that is summed up by default.
    further : ``further()``: scores that a table may have beyond its columns, those of registered laws.
    by, averaged : columns of the summary: what a row is about, and the means and spreads over its seeds.
    gains, against : new column -> score, 1 - score / score of the row that has these values.
    headline : the scores that are printed.
    summarise, display : instead of these, a summary of another form: ``summarise(runs)`` gives it, ``display(runs)``
        title and table of all that is printed.
    """

    name: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    order: tuple[By, ...] = ()
    fill: Mapping[str, str] = field(default_factory=dict)
    part: Mapping[str, Any] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    averaged: tuple[str, ...] = ()
    further: Callable[[], Sequence[str]] = tuple
    gains: Mapping[str, str] = field(default_factory=dict)
    against: Mapping[str, Any] = field(default_factory=dict)
    headline: tuple[str, ...] = ()
    summarise: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    display: Callable[[pd.DataFrame], Iterable[tuple[str, pd.DataFrame]]] | None = None

    @property
    def file(self) -> str:
        """Name of the file in an output folder."""
        return f"{self.name}.csv"

    @property
    def parts(self) -> list[str]:
        """Columns of `part` that runs know."""
        return [column for column in self.part if column in self.keys]

    def read(self, path: str | Path | None = None) -> pd.DataFrame:
        """The tidy table; None for the one that ships.

        Raises
        ------
        PhysLabError : the file lacks columns.
        """
        path = asset(f"results/{self.file}") if path is None else Path(path)
        # an empty cell, and nothing else, is missing: "none" is the name of a constraint
        table = pd.read_csv(path, dtype={"seed": "Int64", "parameters": "Int64"}, keep_default_na=False, na_values=[""])
        lacking = [name for name in self.columns if name not in table]
        if lacking:
            raise PhysLabError(f"{path} lacks the columns {', '.join(lacking)}: make it by `physlab benchmark`")
        return table.fillna(dict(self.fill))

    def summary(self, runs: pd.DataFrame, *values: object, **named: object) -> pd.DataFrame:
        """Means and spreads over seeds, in the order of the table.

        Parameters
        ----------
        runs : the tidy table.
        values, named : of the columns `part`, in their order or by name; those that are missing have their defaults.

        Returns
        -------
        DataFrame: `by`, seeds (1 where nothing is random), each of `averaged` as mean and NAME_spread (sample standard
        deviation over seeds; empty for one), and `gains` (empty without the row that they refer to).

        Raises
        ------
        PhysLabError : the table has no such part.
        """
        if self.summarise is not None:
            return self.summarise(runs)
        wanted = {**self.part, **dict(zip(self.part, values, strict=False)), **named}
        chosen = runs[_like(runs, wanted)]
        if chosen.empty:
            there = runs[list(wanted)].drop_duplicates().to_dict("records")
            raise PhysLabError(f"no run with {_words(wanted)}: the table has {'; '.join(map(_words, there))}")
        table = summed_up(chosen, self.by, (*self.averaged, *(name for name in self.further() if name in chosen)))
        base = table[_like(table, self.against)]
        for name, score in self.gains.items():
            table[name] = 1 - table[score] / float(base[score].iloc[0]) if len(base) else float("nan")
        return table

    def shown(self, runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
        """Title and table of all that the command prints: the headline of each part."""
        if self.display is not None:
            yield from self.display(runs)
            return
        parts = runs[self.parts].drop_duplicates().to_dict("records") if self.parts else [{}]
        for part in parts:
            table = self.summary(runs, **part)
            table = table.assign(**{name: percent(table[name]) for name in self.gains})
            what = _words({**self.part, **part})
            keys = (*self.by, "seeds", *self.gains)
            headline = (*self.headline, *(name for name in self.further() if name in table))
            yield f"{what or self.name}; mean and spread over seeds", with_spread(table, keys, headline)

    def write(self, table: pd.DataFrame, path: str | Path) -> Path:
        """In order, 6 significant digits, atomically."""
        table = table.reset_index(drop=True)
        if self.order:
            ranks = pd.DataFrame({by.column: by.ranks(table) for by in self.order})
            rising = [not by.falling for by in self.order]
            table = table.loc[ranks.sort_values(list(ranks), ascending=rising, kind="stable").index]
        columns = [*self.columns, *(name for name in self.further() if name in table)]
        return write_table(table.reindex(columns=columns), path)


def _like(table: pd.DataFrame, wanted: Mapping[str, Any]) -> pd.Series:
    """Rows that have these values."""
    return (table[list(wanted)] == pd.Series(wanted, dtype=object)).all(axis=1)


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
