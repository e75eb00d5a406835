"""The picture of the results table: every run of a network, seeds beside each other."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from physlab.benchmark import PAPER
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
    plt.close(figure)
    return figure
