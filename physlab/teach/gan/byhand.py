"""A GAN on a line that can be watched: two possible outcomes, a generator of one number, a judge."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from physlab.teach.pictures import closed


def possible(count: int, dice: torch.Generator) -> Tensor:
    """Truths for one and the same input (count, 1): dry or wet, the wet one a little more often."""
    wet = (torch.rand(count, 1, generator=dice) < 0.6).float()
    return torch.where(wet > 0, 1.0, -1.5) + 0.25 * torch.randn(count, 1, generator=dice)


def little(width: int = 32, seed: int = 0) -> nn.Sequential:
    """A network of one number to one number."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1)
    )  # fmt: skip


def slope_penalty(judge: nn.Module, real: Tensor) -> Tensor:
    """Mean square slope of the judge at real samples (Mescheder et al. 2018)."""
    real = real.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(judge(real).sum(), real, create_graph=True)
    return slope.square().mean()


def fair(a: Tensor, b: Tensor, truth: Tensor) -> Tensor:
    """Fair CRPS of two draws."""
    return (0.5 * ((a - truth).abs() + (b - truth).abs()) - 0.5 * (a - b).abs()).mean()


def draw_state(states: dict[int, tuple[Tensor, nn.Module]], step: int) -> Figure:
    """Histogram of fakes over that of truths, and what the judge says along the line, after so many steps."""
    fakes, judge = states[step]
    line = torch.linspace(-3, 3, 200)[:, None]
    with torch.no_grad():
        said = torch.sigmoid(judge(line))
    real = possible(20_000, torch.Generator().manual_seed(9))
    fig, (top, low) = plt.subplots(2, 1, figsize=(6.5, 3.4), layout="constrained", sharex=True, height_ratios=(2, 1))
    edges = np.linspace(-3, 3, 61)
    top.hist(real[:, 0].numpy(), edges, density=True, color="0.8", label="truth")
    top.hist(fakes[:, 0].numpy(), edges, density=True, histtype="step", color="C3", label="fakes")
    top.set(yticks=[], ylim=(0, 2))
    top.set_title(f"after {step} steps", fontsize=9)
    top.legend(fontsize=8, frameon=False, loc="upper left")
    low.plot(line, said, color="C0")
    low.axhline(0.5, color="0.4", ls=":", lw=1)
    low.set(xlabel="state", ylabel="D says real", ylim=(0, 1))
    return closed(fig)


def draw_scores(chance: float, low: float = 10.0, high: float = 30.0) -> Figure:
    """Expected square and absolute error of every single forecast of a cell with two outcomes, and of a draw."""
    v = np.linspace(5, 35, 301)
    square = (1 - chance) * (v - low) ** 2 + chance * (v - high) ** 2
    absolute = (1 - chance) * abs(v - low) + chance * abs(v - high)
    draw = 2 * chance * (1 - chance) * (high - low)  # a draw misses with this mean distance
    fig, axes = plt.subplots(1, 2, figsize=(8.5, 2.8), layout="constrained")
    axes[0].plot(v, square**0.5, color="C0")
    axes[0].plot(v[square.argmin()], square.min() ** 0.5, "ko", ms=5, label=f"least at {v[square.argmin()]:.0f}")
    axes[0].set_title("root mean square error", fontsize=9)
    axes[1].plot(v, absolute, color="C0", label="one value")
    axes[1].axhline(0.5 * draw, color="C3", ls="--", label="both values, with their chances")
    axes[1].set_title("CRPS", fontsize=9)
    for ax in axes:
        for value in (low, high):
            ax.axvline(value, color="0.6", ls=":", lw=1)
        ax.set(xlabel="forecast (kg m⁻²)", ylim=(0, 22))
        ax.legend(fontsize=8, frameon=False)
    return closed(fig)
