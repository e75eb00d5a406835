"""Pictures of the small worlds: Bayes by hand, curves on Lorenz-96, sampling errors, divergence."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

from physlab.assimilate import Scores
from physlab.teach.assimilation.small import LORENZ, sampled, taper
from physlab.teach.pictures import closed, plain_ticks

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
    return closed(fig)


def _plain(ax, *ticks: float) -> None:
    """Plain numbers on a logarithmic axis."""
    plain_ticks(ax.yaxis, ticks)


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
    return closed(fig)


def by_taper(radius: float, members: int = 10) -> tuple[float, float]:
    """Root mean square error of the members' correlations without and with a bell of so many points."""
    true, small = sampled(members)
    return tuple(float((x - true).square().mean().sqrt()) for x in (small, small * taper(radius)[20]))  # type: ignore[return-value]


def draw_taper(radius: float, members: int = 10) -> Figure:
    """Correlations of one small sample under a bell, and the error over all samples."""
    true, small = sampled(members)
    raw, kept = by_taper(radius, members)
    fig, ax = plt.subplots(figsize=(7.5, 2.8), layout="constrained")
    ax.plot(true, color="k", label="12,800 states")
    ax.plot(small[0], color="C3", lw=1, alpha=0.5, label=f"{members} members, error {raw:.2f}")
    ax.plot(small[0] * taper(radius)[20], color="C0", label=f"under the bell, error {kept:.2f}")
    ax.plot(taper(radius)[20], color="C2", lw=1, ls="--", label="the bell")
    ax.set(xlabel="point", ylabel="correlation with point 20", ylim=(-1, 1.05))
    ax.legend(fontsize=8, frameon=False, loc="upper left")
    return closed(fig)


def valley(days: float, points: int = 121, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """The cost of a 4D-Var window along one direction of the start, observations exact and dense, without background.

    Returns
    -------
    (torch.Tensor, torch.Tensor)
        Distance from the true start (points,), in units of the climate's spread, and misfit per number, (points,).
    """
    dice = torch.Generator().manual_seed(seed)
    start = LORENZ.model.start(generator=dice)
    direction = torch.randn(40, generator=dice, dtype=torch.float64)
    direction = 3.6 * direction / direction.square().mean().sqrt()  # the spread of the climate
    along = torch.linspace(-0.6, 0.6, points, dtype=torch.float64)
    states, true = start + along[:, None] * direction, start[None]
    total, steps = torch.zeros(points, dtype=torch.float64), max(1, round(4 * days))
    for _ in range(steps):  # six hours each
        states, true = LORENZ.model(states, 1), LORENZ.model(true, 1)
        total += 0.5 * (states - true).square().mean(1)
    return along, total / steps


def draw_valley(days: float) -> Figure:
    """The cost along a line through the truth, for a window of so many days."""
    along, cost = valley(days)
    fig, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
    ax.plot(along, cost, color="C0")
    ax.axvline(0, color="0.4", ls=":", lw=1)
    ax.set(xlabel="distance of the start from the truth (spreads of the climate)", ylabel="misfit", ylim=(0, None))
    ax.set_title(f"window of {days:g} days", fontsize=9)
    return closed(fig)


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
    return closed(fig)
