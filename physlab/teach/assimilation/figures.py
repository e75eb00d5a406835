"""Pictures of the small worlds: Bayes by hand, curves on Lorenz-96, sampling errors, divergence."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from physlab.assimilate import Scores
from physlab.teach.assimilation.small import bayes_by_hand, sampled, taper

# ---- two numbers ----------------------------------------------------------------------------------------------------


def draw_bayes(xb: float, sb: float, y: float, so: float) -> Figure:
    """Forecast, observation and analysis as bells."""
    mean, std = bayes_by_hand(xb, sb, y, so)
    x = np.linspace(min(xb - 3.5 * sb, y - 3.5 * so), max(xb + 3.5 * sb, y + 3.5 * so), 400)
    fig, ax = plt.subplots(figsize=(6.5, 2.6), layout="constrained")
    for name, m, s, colour in (("forecast", xb, sb, "C0"), ("thermometer", y, so, "C1"), ("analysis", mean, std, "k")):
        bell = np.exp(-0.5 * ((x - m) / s) ** 2) / (s * np.sqrt(2 * np.pi))
        ax.plot(x, bell, color=colour, label=f"{name}, {m:.1f} ± {s:.1f} °C")
    ax.set(xlabel="temperature (°C)", yticks=[], ylim=(0, None))
    ax.legend(fontsize=8, frameon=False)
    plt.close(fig)
    return fig


# ---- Lorenz-96 ------------------------------------------------------------------------------------------------------


def draw_curves(members: pd.DataFrame, radii: pd.DataFrame) -> Figure:
    """Both curves; the number of lost runs, of six, beside each point that has any."""
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", sharey=True)
    for (name, part), colour in zip(members.groupby("filter"), ("C3", "C0"), strict=True):
        axes[0].plot(part["members"], part["RMSE"], "o-", color=colour, label=name)
    axes[1].plot(radii["radius"], radii["RMSE"], "o-", color="C0", label="7 members")
    for ax, x, frame in ((axes[0], "members", members), (axes[1], "radius", radii)):
        for row in frame[frame["lost"] > 0].itertuples():
            ax.annotate(f"{row.lost} lost", (getattr(row, x), row.RMSE), fontsize=7, xytext=(4, 4),
                        textcoords="offset points")  # fmt: skip
        ax.axhline(1.0, color="0.4", ls=":", lw=1)
        ax.set(yscale="log", ylim=(0.15, 7))
        _plain(ax, 0.2, 0.5, 1, 2, 5)
        ax.legend(fontsize=8, frameon=False)
    axes[0].set(xlabel="members", ylabel="RMSE of the analysis")
    axes[1].set(xlabel="standard deviation of the localisation (points)")
    plt.close(fig)
    return fig


def _plain(ax, *ticks: float) -> None:
    """Plain numbers on a logarithmic axis."""
    ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()


def draw_sample(members: int) -> Figure:
    """A small sample's correlations beside the true ones, raw and tapered."""
    true, small = sampled(members)
    fig, ax = plt.subplots(figsize=(7.5, 2.8), layout="constrained")
    ax.plot(true, color="k", label="12,800 states")
    ax.plot(small[0], color="C3", lw=1, label=f"{members} members")
    ax.plot(small[0] * taper(4.0)[20], color="C0", label=f"{members} members, tapered")
    ax.axhspan(-((members - 1) ** -0.5), (members - 1) ** -0.5, color="C3", alpha=0.08, lw=0)
    ax.set(xlabel="point", ylabel="correlation with point 20", ylim=(-1, 1.05))
    ax.legend(fontsize=8, frameon=False, loc="upper left")
    plt.close(fig)
    return fig


def draw_divergence(runs: dict[str, Scores], seed: int = 0) -> Figure:
    """RMSE and spread in time."""
    fig, axes = plt.subplots(1, len(runs), figsize=(9, 2.8), layout="constrained", sharey=True)
    for ax, (name, s) in zip(axes, runs.items(), strict=True):
        ax.plot(s.history[:, seed], color="k", lw=1, label="RMSE")
        ax.plot(s.history_spread[:, seed], color="C0", lw=1, label="spread")
        ax.set(xlabel="analysis", yscale="log")
        ax.set_title(name, fontsize=9)
        _plain(ax, 0.05, 0.2, 1, 5)
        ax.legend(fontsize=8, frameon=False)
    plt.close(fig)
    return fig
