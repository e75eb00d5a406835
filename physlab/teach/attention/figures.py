"""Attention by hand on twelve stations, the graph of a transformer block, and what each way of mixing costs."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from physlab.teach.pictures import closed
from physlab.teach.schematic import schematic

STATIONS = torch.tensor([0.2, 0.9, 1.3, 2.2, 2.6, 3.7, 4.1, 5.2, 5.5, 6.6, 7.4, 7.8], dtype=torch.float64)
"""Places on a line of eight units."""
WAVES = 2 * math.pi * torch.arange(1, 7, dtype=torch.float64) / 16


def truth(place: Tensor) -> Tensor:
    """A front with a wave behind it."""
    return torch.tanh(3 * (place - 4)) + 0.5 * torch.sin(2.5 * place)


def positions(place: Tensor) -> Tensor:
    """Places (n,) -> (n, 12): sines and cosines, so that near places have like rows of length one."""
    angle = place[:, None] * WAVES
    return torch.cat([angle.sin(), angle.cos()], 1) / len(WAVES) ** 0.5


def attend(query: Tensor, key: Tensor, value: Tensor, sharp: float = 1.0) -> tuple[Tensor, Tensor]:
    """Weighted means of the values, and the weights: softmax of scaled products of queries and keys."""
    weight = torch.softmax(sharp * query @ key.mT / query.shape[-1] ** 0.5, -1)
    return weight @ value, weight


def draw_attention(sharp: float) -> Figure:
    """The field that attention makes of twelve stations, and the weights of one place."""
    line, here = torch.linspace(0, 8, 200, dtype=torch.float64), torch.tensor([4.6], dtype=torch.float64)
    made, _ = attend(positions(line), positions(STATIONS), truth(STATIONS)[:, None], sharp)
    _, weight = attend(positions(here), positions(STATIONS), truth(STATIONS)[:, None], sharp)
    fig, (top, low) = plt.subplots(2, 1, figsize=(7, 3.6), layout="constrained", sharex=True, height_ratios=(2, 1))
    top.plot(line, truth(line), color="0.6", lw=1, label="truth")
    top.plot(line, made[:, 0], color="C3", label="attention")
    top.plot(STATIONS, truth(STATIONS), "ko", ms=4, label="stations")
    top.axvline(float(here), color="C0", lw=0.8, ls=":")
    top.legend(fontsize=8, frameon=False, loc="upper left")
    low.bar(STATIONS, weight[0], width=0.12, color="C0")
    low.axvline(float(here), color="C0", lw=0.8, ls=":")
    low.set(xlabel="place", ylabel="weights", ylim=(0, 1))
    return closed(fig)


def draw_block() -> Figure:
    """The graph of a transformer block."""
    boxes = {
        "x": ("tokens\nn x c", 0, 0), "q": ("queries\nn x d", 1.2, 0),
        "k": ("keys\nn x d", 1.2, -1), "v": ("values\nn x c", 1.2, -2),
        "w": ("weights n x n\nsoftmax", 2.4, -0.5), "s": ("weighted\nmeans", 3.5, -1), "a": ("+", 4.3, 0),
        "f": ("each token\nby itself", 5.2, 0), "b": ("+", 6.0, 0), "y": ("tokens\nn x c", 6.9, 0),
    }  # fmt: skip
    arrows = [("x", "q"), ("x", "k"), ("x", "v"), ("q", "w"), ("k", "w"), ("w", "s"), ("v", "s"), ("s", "a"),
              ("a", "f"), ("f", "b"), ("b", "y"),
              ("x", "a", "skip", "-0.42"), ("a", "b", "skip", "-0.7")]  # fmt: skip
    return schematic(boxes, arrows, learned=("q", "k", "v", "f"), width=9.5, height=3.4)


def counts(points: tuple[int, ...] = (64, 1024, 8192, 131072), channels: int = 64) -> pd.DataFrame:
    """Multiplications per point to mix all points: attention, Fourier mixing, one 3 x 3 convolution."""
    rows = {
        f"{n:,}": {
            "attention": 2.0 * n * channels,
            "Fourier mixing": 2 * 2.5 * math.log2(n) * channels + 4.0 * channels**2,
            "convolution 3 x 3": 9.0 * channels**2,
        }
        for n in points
    }
    return pd.DataFrame(rows).T
