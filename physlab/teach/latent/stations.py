"""What stations add to a refined field: the table of `physlab benchmark stations` as a picture and in words."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from physlab.benchmark.stations import (
    GUIDE,
    KRIGING,
    MEAN,
    MEASURED,
    NOTHING,
    OWN,
    STATIONARY,
    stations_summary,
)
from physlab.teach.pictures import closed

STYLES = {KRIGING: ("0.45", "s"), STATIONARY: ("C1", "^"), MEASURED: ("C3", "o"), OWN: ("C0", "D"), GUIDE: ("C2", "*")}


def draw_stations(runs: pd.DataFrame) -> Figure:
    """Error at places where nothing was measured against the number of stations; bars: 95 % over days."""
    table = stations_summary(runs)
    parts = list(table.groupby(["data", "method"], sort=False))
    fig, axes = plt.subplots(1, len(parts), figsize=(2.9 * len(parts), 2.9), layout="constrained", squeeze=False)
    for ax, ((data, method), part) in zip(axes[0], parts, strict=True):
        base = float(part[part["way"] == NOTHING]["rmse"].iloc[0])
        ax.axhline(base, color="0.2", lw=0.8)
        free = part[part["way"] == MEAN]["rmse"]
        ax.axhline(float(free.iloc[0]), color="0.2", lw=0.8, ls=":")
        for way, (colour, marker) in STYLES.items():
            rows = part[part["way"] == way].sort_values("stations")
            if len(rows):
                low, high = (base * (rows["gain"] - rows["gain_low"]), base * (rows["gain_high"] - rows["gain"]))
                bars = [high.clip(lower=0), low.clip(lower=0)]
                at = base * (1 - rows["gain"]) if way == GUIDE else rows["rmse"]
                ax.errorbar(
                    rows["stations"], at, yerr=bars, color=colour, marker=marker, ms=4, lw=1, capsize=2, label=way
                )
        ax.set(xscale="log", xticks=[5, 10, 20, 50], xticklabels=["5", "10", "20", "50"], ylim=(0, None))
        ax.minorticks_off()
        ax.set_title(f"{data}\n{method}", fontsize=8)
        ax.set_xlabel("stations", fontsize=8)
        ax.tick_params(labelsize=8)
    axes[0][0].set_ylabel("RMSE at other places, K", fontsize=8)
    found = {name: line for ax in axes[0] for line, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(found.values(), found.keys(), loc="outside lower center", ncols=5, fontsize=7, frameon=False)
    return closed(fig)


def stations_words(runs: pd.DataFrame, count: int = 20) -> str:
    """What so many stations are worth, method by method, against what needs none and against kriging."""
    table, said = stations_summary(runs), []
    for (data, method), part in table.groupby(["data", "method"], sort=False):
        rows = part.set_index(["way", "stations"])
        ours, other = rows.loc[(MEASURED, count)], rows.loc[(KRIGING, count)]
        beyond = (
            "beyond its interval" if ours["over_kriging_low"] > 0 else
            "which is more" if ours["over_kriging_high"] < 0 else "no difference"
        )  # fmt: skip
        said.append(
            f"{data}, {method}: {rows.loc[(NOTHING, 0), 'rmse']:.2f} K without stations, "
            f"{rows.loc[(MEAN, 0), 'rmse']:.2f} K without its mean error, {ours['rmse']:.2f} K with {count} stations "
            f"({100 * ours['gain']:.0f} % less, {100 * ours['gain_low']:.0f} to {100 * ours['gain_high']:.0f}; spread "
            f"over error {ours['spread_skill']:.2f}), {other['rmse']:.2f} K by kriging ({beyond})."
        )
    return " ".join(said)
