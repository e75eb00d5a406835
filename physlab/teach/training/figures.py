"""Pictures of the chapter on training: kernels, descent, the network, curves of training and validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from physlab.plot import map_panels
from physlab.teach.pictures import closed, plain_ticks
from physlab.teach.schematic import schematic
from physlab.teach.training.analysis import KERNELS, convolve, descend, lucky

COLOURS = {"seen": "C0", "an hour later": "C1", "another month": "C3"}


def draw_kernel(field: Tensor, latitude: np.ndarray, longitude: np.ndarray, name: str) -> Figure:
    """A field, and the same under a kernel."""
    out = convolve(field, KERNELS[name])
    signed = [] if name in ("mean of nine", "sharpen") else [name]
    panels = {"column water": field, name: out}
    return map_panels(panels, latitude, longitude, "kg m⁻²", columns=2, shared=not signed, diverging=signed)


def draw_descent(loss: Callable[[float], float], slope: Callable[[float], float], start: float, rate: float) -> Figure:
    """Left the loss with the steps of one rate on it; right the loss against the number of steps."""
    path = descend(slope, start, rate)
    best = start - slope(start) / (slope(start + 1) - slope(start))  # a parabola has one curvature
    reach = 1.15 * max(abs(start - best), min(float(np.abs(path[:6] - best).max()), 3 * abs(start - best)))
    along = np.linspace(best - reach, best + reach, 200)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 2.9), layout="constrained")
    left.plot(along, [loss(a) for a in along], color="0.6")
    inside = path[np.abs(path - best) <= reach]
    left.plot(inside, [loss(a) for a in inside], "o-", color="C3", ms=4, lw=1)
    left.plot(best, loss(best), "k*", ms=10)
    left.set(xlabel="weight a", ylabel="loss")
    extra = np.array([loss(a) for a in path]) - loss(best)
    right.plot(np.maximum(extra, 1e-16), "o-", color="C3", ms=3, lw=1)
    right.set(yscale="log", xlabel="step", ylabel="loss above its least", ylim=(1e-9, 1e3))
    return closed(fig)


def draw_network() -> Figure:
    """The network of the chapter, as boxes."""
    boxes = {
        "in": ("coarse field\n1 x 32 x 32", 0, 0), "first": ("convolution 3 x 3\n16 x 32 x 32", 1, 0),
        "relu": ("ReLU\nmax(0, ·)", 2, 0), "last": ("convolution 3 x 3\n16 x 32 x 32", 3, 0),
        "shuffle": ("pixel shuffle\n1 x 128 x 128", 4, 0), "skip": ("bicubic\n1 x 128 x 128", 2, -1),
        "plus": ("+", 5, -0.5), "out": ("fine field\n1 x 128 x 128", 6, -0.5),
    }  # fmt: skip
    arrows = [("in", "first"), ("first", "relu"), ("relu", "last"), ("last", "shuffle"), ("shuffle", "plus"),
              ("in", "skip"), ("skip", "plus"), ("plus", "out")]  # fmt: skip
    return schematic(boxes, arrows, learned=("first", "last"), width=10.0, height=2.0)


def draw_loop() -> Figure:
    """One step of training, as boxes in a circle."""
    boxes = {
        "pick": ("pick a batch\nx, y*", 0, 0), "forward": ("forward\ny = f(x; θ)", 1, 0),
        "loss": ("loss\nmean (y - y*)²", 2, 0), "backward": ("backward\ngradient ∂loss/∂θ", 2, -1),
        "step": ("step\nθ ← θ - η ∂loss/∂θ", 1, -1), "zero": ("forget the\nold gradient", 0, -1),
    }  # fmt: skip
    arrows = [("pick", "forward"), ("forward", "loss"), ("loss", "backward"), ("backward", "step"), ("step", "zero"),
              ("zero", "pick")]  # fmt: skip
    return schematic(boxes, arrows, learned=("step",), width=7.0, height=2.3)


def draw_loss(curves: Mapping[str, pd.DataFrame], floor: float) -> Figure:
    """Validation error against steps for several optimisers, with that of bicubic interpolation."""
    fig, ax = plt.subplots(figsize=(7.5, 3.0), layout="constrained")
    for (name, frame), colour in zip(curves.items(), ("C0", "C3", "C2", "C1"), strict=False):
        ax.plot(frame.index, frame["validation"], color=colour, label=name)
        ax.plot(frame.index, frame["training"], color=colour, lw=0.8, ls=":")
    ax.axhline(floor, color="0.4", lw=1, ls="--")
    ax.annotate("bicubic", (0.99, floor), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    ax.set(xlabel="step", ylabel="RMSE (kg m⁻²)")
    ax.legend(fontsize=8, frameon=False, title="full: validation, dotted: training", title_fontsize=8)
    return closed(fig)


def draw_curves(frame: pd.DataFrame, title: str = "") -> Figure:
    """Errors on what was seen and on what was not, with the least of each curve marked."""
    fig, ax = plt.subplots(figsize=(7.5, 3.0), layout="constrained")
    for name in frame.columns:
        colour = COLOURS.get(name)
        ax.plot(frame.index, frame[name], color=colour, label=name)
        ax.plot(frame[name].idxmin(), frame[name].min(), "o", color=colour, ms=6)
    ax.set(xlabel="step", ylabel="RMSE over that of bicubic", ylim=(0.95 * frame.min().min(), 1.1))
    ax.set_title(title, fontsize=9)
    ax.legend(fontsize=8, frameon=False)
    return closed(fig)


def draw_memory(found: Mapping[int, pd.DataFrame], width: int) -> Figure:
    """Curves of one width, for the slider."""
    return draw_curves(found[width], f"{width} channels")


def draw_sizes(found: Mapping[int, pd.DataFrame]) -> Figure:
    """The last errors against the width of the network."""
    last = pd.DataFrame({width: frame.iloc[-1] for width, frame in found.items()}).T
    fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
    for name in last.columns:
        ax.plot(last.index, last[name], "o-", color=COLOURS.get(name), label=name)
    ax.set(xscale="log", xlabel="channels", ylabel="last RMSE over bicubic's")
    plain_ticks(ax.xaxis, last.index)
    ax.legend(fontsize=8, frameon=False)
    return closed(fig)


def draw_lucky(counts: Sequence[int] = (1, 2, 5, 10, 20, 50, 100)) -> Figure:
    """What the best of many equal competitors seems to be better by."""
    fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
    ax.plot(counts, [lucky(n) for n in counts], "o-", color="C3")
    ax.set(xscale="log", xlabel="networks that were tried", ylabel="apparent gain of the best\n(standard deviations)")
    plain_ticks(ax.xaxis, counts)
    return closed(fig)
