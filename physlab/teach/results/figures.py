"""The picture of the results table: every run of a network, seeds beside each other."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from physlab.benchmark import PAPER
from physlab.teach.pictures import closed
from physlab.teach.report import runs_of


def draw_runs(runs: pd.DataFrame, score: str = "rmse") -> Figure:
    """Each run of the rows of the report as a dot: a score over that of bicubic+add of its task and factor."""
    figure, ax = plt.subplots(figsize=(9, 3.4), layout="constrained")
    colours = {"none": "#b2182b", "soft": "#ef8a62", "add": "#2166ac", "softmax": "#67a9cf"}
    for place, (task, factor, model, constraint) in enumerate(PAPER.values()):
        base = float(runs_of(runs, task, factor, "bicubic", "add")[score].mean())
        values = runs_of(runs, task, factor, model, constraint)[score].to_numpy(float) / base
        ax.plot(np.full(values.size, place), values, "o", color=colours[constraint], ms=5, alpha=0.8)
        ax.text(place, 0.02, model.split("-")[0], transform=ax.get_xaxis_transform(), ha="center", fontsize=7)
    for name, colour in colours.items():
        ax.plot([], [], "o", color=colour, label=name)
    ax.axhline(1.0, color="0.4", lw=1, ls="--")
    ax.set_xticks(range(len(PAPER)), list(PAPER), fontsize=8)
    ax.set_yscale("log")
    ax.set_ylabel(f"{score.replace('_', ' ')} / that of bicubic+add", fontsize=8)
    ax.legend(fontsize=8, ncols=4, loc="upper left")
    return closed(figure)


def draw_sizes(frame: pd.DataFrame) -> Figure:
    """RMSE over that of bicubic+add of each network at its published size, with its interval, and of the small one.

    Parameters
    ----------
    frame : of :func:`physlab.teach.report.at_published_size`.
    """
    figure, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
    place = np.arange(len(frame))
    large, ends = 1 - frame["gain"], np.stack([frame["gain_high"] - frame["gain"], frame["gain"] - frame["gain_low"]])
    small = frame["small"] / frame["untrained"]
    ax.plot(np.stack([place, place]), np.stack([small, large]), color="0.8", lw=1, zorder=0)
    ax.plot(place, small, "o", mfc="white", color="#b2182b", ms=5, label="16 channels, 2 blocks")
    ax.errorbar(place, large, ends, fmt="o", color="#2166ac", ms=5, lw=1, capsize=2, label="published size")
    ax.axhline(1.0, color="0.4", lw=1, ls="--")
    names = [f"{row}\n{called}".replace(", ", "\n") for row, called in frame["called"].items()]
    ax.set_xticks(place, names, fontsize=7)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.yaxis.set_minor_formatter(ScalarFormatter())
    ax.tick_params(axis="y", which="both", labelsize=7)
    ax.set_ylabel("RMSE / that of bicubic+add", fontsize=8)
    ax.legend(fontsize=8)
    return closed(figure)
