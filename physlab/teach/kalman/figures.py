"""Pictures of the small worlds: bells, ellipses, a line of towns, a filter in time, and the graph of a cycle."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from physlab.teach.kalman.worlds import HERE, LENGTH, PLACES, along, bayes_by_hand, cycle, plane, steady, walk
from physlab.teach.pictures import closed, plain_ticks
from physlab.teach.schematic import schematic


def draw_steps() -> Figure:
    """Forecast, observation, analysis, and again."""
    boxes = {
        "old": ("analysis\nof before", 0, 0), "model": ("model", 1.1, 0),
        "forecast": ("forecast\nmean, spread", 2.2, 0), "update": ("gain\nk (y - H x)", 3.4, 0),
        "analysis": ("analysis\nmean, spread", 4.6, 0),
        "push": ("what the model\ndoes not know", 1.1, 1), "y": ("observation", 3.4, 1),
    }  # fmt: skip
    arrows = [("old", "model"), ("model", "forecast"), ("push", "model", "widens"), ("forecast", "update"),
              ("y", "update", "narrows"), ("update", "analysis")]  # fmt: skip
    return schematic(boxes, arrows, width=8.5, height=2.6)


def draw_bayes(xb: float, sb: float, y: float, so: float) -> Figure:
    """Forecast, observation and analysis as bells."""
    mean, std = bayes_by_hand(xb, sb, y, so)
    x = np.linspace(min(xb - 3.5 * sb, y - 3.5 * so), max(xb + 3.5 * sb, y + 3.5 * so), 400)
    fig, ax = plt.subplots(figsize=(6.5, 2.6), layout="constrained")
    for name, m, s, colour in (("forecast", xb, sb, "C0"), ("thermometer", y, so, "C1"), ("analysis", mean, std, "k")):
        curve = np.exp(-0.5 * ((x - m) / s) ** 2) / (s * np.sqrt(2 * np.pi))
        ax.plot(x, curve, color=colour, label=f"{name}, {m:.1f} ± {s:.1f} °C")
    ax.set(xlabel="temperature (°C)", yticks=[], ylim=(0, None))
    ax.legend(fontsize=8, frameon=False)
    return closed(fig)


def _ellipse(mean: Tensor, covariance: Tensor) -> Tensor:
    """Points (2, 100) one standard deviation from the mean."""
    angle = torch.linspace(0, 2 * math.pi, 100, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(covariance)
    return mean[:, None] + vectors @ (values.clamp(min=0).sqrt()[:, None] * torch.stack([angle.cos(), angle.sin()]))


def draw_plane(correlation: float) -> Figure:
    """Two towns, one of them observed."""
    made = plane(correlation)
    fig, ax = plt.subplots(figsize=(4.2, 3.6), layout="constrained")
    ax.axvspan(1.0, 2.0, color="C1", alpha=0.15, lw=0)
    ax.axvline(1.5, color="C1", label="observed, town 1")
    ax.plot(*_ellipse(torch.zeros(2, dtype=torch.float64), made["B"]), color="C0", label="forecast")
    ax.plot(*_ellipse(made["analysis"], made["A"]), color="k", label="analysis")
    ax.annotate(
        "",
        (float(made["analysis"][0]), float(made["analysis"][1])),
        (0, 0),
        arrowprops={"arrowstyle": "-|>", "color": "k"},
    )
    ax.set(
        xlim=(-2.4, 2.6), ylim=(-2, 2), aspect="equal", xlabel="town 1 minus forecast", ylabel="town 2 minus forecast"
    )
    ax.legend(fontsize=8, frameon=False, loc="lower left")
    return closed(fig)


def draw_line(length: float) -> Figure:
    """One world on the line: the truth, three stations, and the analysis of someone who believes in a length."""
    made = along(length)
    mean, spread = made["analysis"][4], made["spread"]
    fig, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
    ax.fill_between(PLACES, mean - spread, mean + spread, color="0.88", lw=0, label="analysis ± what it believes")
    ax.plot(PLACES, mean, color="k")
    ax.plot(PLACES, made["truth"][4], color="C3", lw=1, label="truth minus forecast")
    ax.errorbar(PLACES[HERE], made["y"][4], yerr=0.3, fmt="o", color="C1", ms=5, capsize=2, label="stations")
    ax.set(xlabel="place", ylim=(-3, 3))
    ax.set_title(f"believed length {length:g}, true length {LENGTH:g}", fontsize=9)
    ax.legend(fontsize=8, frameon=False, ncols=3, loc="lower left")
    return closed(fig)


def draw_cycle(q: float, a: float = 0.95, r: float = 1.0) -> Figure:
    """A filter in time, and how its gain settles."""
    truth, y = walk(a, q, r)
    mean, variance = cycle(0.0, 9.0, y, a, q, r)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained", width_ratios=(3, 1))
    step = range(1, len(y) + 1)
    left.fill_between(step, mean - variance.sqrt(), mean + variance.sqrt(), color="0.85", lw=0)
    left.plot(step, truth, color="C3", lw=1, label="truth")
    left.plot(step, y, ".", color="C1", ms=4, label="observations")
    left.plot(step, mean, color="k", lw=1, label="analysis ± spread")
    left.set(xlabel="step")
    left.legend(fontsize=8, frameon=False, ncols=3)
    right.plot(step, variance / r, color="C0")
    right.axhline(steady(a, q, r), color="0.4", ls=":", lw=1)
    right.set(xlabel="step", ylim=(0, 1.02), xlim=(0, 15))
    right.set_title("gain", fontsize=9)
    return closed(fig)


def draw_spreads(found: pd.DataFrame) -> Figure:
    """Error, and what was believed of it, by the length that is believed in."""
    fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
    ax.plot(found.index, found["error"], "o-", color="k", label="error of the analysis")
    ax.plot(found.index, found["believed"], "o--", color="C0", label="what it believes")
    ax.axvline(LENGTH, color="0.5", ls=":", lw=1)
    ax.axhline(1.0, color="0.5", ls=":", lw=1)
    ax.set(xscale="log", xlabel="length that is believed in", ylim=(0, 1.15))
    plain_ticks(ax.xaxis, found.index)
    ax.legend(fontsize=8, frameon=False)
    return closed(fig)
