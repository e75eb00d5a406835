"""A month of cycles with each method: a table of :mod:`physlab.benchmark.cycles` in words and pictures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from physlab.benchmark.cycles import CLASSICAL, FREE, NAMES, SPIN_UP, against, means, of_lead
from physlab.constants import GRAVITY
from physlab.teach.pictures import closed

LEADS = (24.0, 72.0, 120.0)  # hours of the forecasts that the table shows
COLUMNS = {("background", 12.0): "background", ("analysis", 0.0): "analysis",
           **{("forecast", lead): f"forecast of {lead / 24:g} d" for lead in LEADS}}  # fmt: skip


def lives(runs: pd.DataFrame) -> pd.DataFrame:
    """Root mean square error of the height of 500 hPa (m) by method, past the spin-up, each with its interval; and the
    spread of the analysis over its error, where there are members."""
    found = means(runs)
    text = [f"{r.value / GRAVITY:.1f} ({r.low / GRAVITY:.1f} to {r.high / GRAVITY:.1f})" for r in found.itertuples()]
    found = found.assign(text=text).set_index(["kind", "lead", "model"])["text"].sort_index()
    names = [name for name in NAMES if name in set(runs["model"])]
    shown = pd.DataFrame({title: found.get(key, pd.Series(dtype=str)) for key, title in COLUMNS.items()}, index=names)
    late = runs[(runs["day"] > SPIN_UP) & (runs["kind"] == "analysis")].groupby("model")
    ratio = late["spread_z500"].mean() / late["rmse_z500"].mean()
    return shown.fillna("").assign(**{"spread / error": [f"{r:.2f}" if r == r else "" for r in ratio.reindex(names)]})


def steady(runs: pd.DataFrame, kind: str = "background") -> pd.Series:
    """By method: error of the last third of the days over that of the third before, past the spin-up."""
    late = runs[(runs["day"] > SPIN_UP) & (runs["kind"] == kind)]
    end = late["day"].max()
    third = (end - SPIN_UP) / 3
    last, before = (late[(late["day"] > end - k * third) & (late["day"] <= end - (k - 1) * third)] for k in (1, 2))
    return last.groupby("model")["rmse_z500"].mean() / before.groupby("model")["rmse_z500"].mean()


def best_of(runs: pd.DataFrame, kind: str, lead: float) -> str:
    """Who has the least error, and whether beyond the paired interval, as a part of a sentence."""
    table = of_lead(runs, kind, lead)
    first = str(table.mean().idxmin())
    versus = against(runs, kind, lead, reference=first).drop(index=first)
    ties = [str(name) for name, row in versus.iterrows() if row["low"] <= 0]
    more = versus["difference"].min()  # of the next, in per cent of the first
    end = (
        f" (not beyond the interval from {', '.join(ties)})"
        if ties
        else f" ({100 * more / (100 + more):.0f} % less than the next)"
    )
    return f"**{first}**{end}"


def lives_words(runs: pd.DataFrame) -> list[str]:
    """Who analyses and who forecasts best, what a cycle is worth beside a run that sees nothing, and is it stable."""
    ratio = steady(runs).drop(index=FREE, errors="ignore")
    said = [
        f"The least error of the analysis is that of {best_of(runs, 'analysis', 0.0)}.",
        *(f"Forecasts of {lead / 24:g} days are best from {best_of(runs, 'forecast', lead)}." for lead in LEADS[1:]),
        f"From the second third of the month to the last, errors change by a factor of {ratio.min():.2f} to "
        f"{ratio.max():.2f}: " + ("no cycle runs away." if ratio.max() < 1.5 else f"{ratio.idxmax()} runs away."),
    ]
    table = of_lead(runs, "background", 12.0)
    if {FREE, CLASSICAL} <= set(table):
        share = 100 * table[CLASSICAL].mean() / table[FREE].mean()
        said.append(f"The model left alone is wrong by {table[FREE].mean() / GRAVITY:.0f} m; twelve hours after an "
                    f"analysis of {CLASSICAL} it is {share:.0f} % of that.")  # fmt: skip
    return said


def draw_lives(runs: pd.DataFrame) -> Figure:
    """Errors of the backgrounds day by day, and of forecasts by their lead."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    names = [name for name in NAMES if name in set(runs["model"])]
    for k, name in enumerate(names):
        colour = "0.5" if name == FREE else f"C{k}"
        own = runs[runs["model"] == name]
        days = own[own["kind"] == "background"].groupby("day")["rmse_z500"].mean() / GRAVITY
        left.plot(days.index, days, color=colour, lw=1.2, label=name)
        late = own[(own["kind"] != "background") & (own["day"] > SPIN_UP)]
        ahead = late.groupby("lead")["rmse_z500"].mean() / GRAVITY
        right.plot(ahead.index / 24, ahead, color=colour, marker="o", ms=3, lw=1.2)
    left.axvspan(0, SPIN_UP, color="0.93", lw=0)
    left.set(xlabel="day", ylabel="error of the background (m)", yscale="log")
    right.set(xlabel="days after the analysis", ylabel="error of the forecast (m)", yscale="log")
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return closed(fig)
