"""Tables of scores: means and spreads over seeds, and what fits a screen."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


def over_seeds(group: pd.DataFrame, names: Sequence[str]) -> dict[str, float]:
    """NAME and NAME_spread of each name: mean and sample standard deviation over the rows; no spread of one row."""
    found: dict[str, float] = {}
    for name in names:
        values = group[name].astype(float)
        found |= {name: values.mean(), f"{name}_spread": values.std(ddof=1) if len(values) > 1 else float("nan")}
    return found


def summed_up(runs: pd.DataFrame, by: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """One row for all rows that agree in the columns `by`, in the order of the table.

    Returns
    -------
    DataFrame: `by`, seeds (number of rows), and NAME and NAME_spread as of :func:`over_seeds`.
    """
    rows = []
    for values, group in runs.groupby(list(by), sort=False, dropna=False):
        row: dict[str, object] = dict(zip(by, values, strict=True))
        rows.append(row | {"seeds": len(group)} | over_seeds(group, names))
    return pd.DataFrame(rows)


def with_spread(table: pd.DataFrame, keys: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """The columns that fit a screen, as text: those of `names` that are there have their spread behind the mean."""
    shown = table[list(keys)].copy()
    for name in (name for name in names if name in table):
        spreads = table[f"{name}_spread"] if f"{name}_spread" in table else pd.Series(float("nan"), table.index)
        shown[name] = [_cell(mean, spread) for mean, spread in zip(table[name], spreads, strict=True)]
    return shown


def _cell(mean: float, spread: float) -> str:
    if mean != mean:
        return ""
    return f"{mean:.4g}" + (f" ± {spread:.2g}" if spread == spread else "")


def percent(gains: pd.Series) -> list[str]:
    """Gains as text; nothing for what is missing."""
    return [f"{gain:+.1%}" if gain == gain else "" for gain in gains]
