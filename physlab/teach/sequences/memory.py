"""A gate that keeps a share of what was: how much memory is best for a field that moves slowly or fast."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from physlab.teach.pictures import closed


def walk(speed: float, steps: int = 400, noise: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A truth that changes by about `speed` in a step, and looks at it with errors `noise`: (steps, 200) both."""
    dice = torch.Generator().manual_seed(seed)
    push, error = torch.randn(2, steps, 200, generator=dice, dtype=torch.float64)
    truth = (speed * push).cumsum(0)
    return truth, truth + noise * error


def remember(looks: Tensor, gate: float) -> Tensor:
    """The state h = gate * (h before) + (1 - gate) * (what is seen), from the first look on."""
    h, states = looks[0], []
    for look in looks:
        h = gate * h + (1 - gate) * look
        states.append(h)
    return torch.stack(states)


def by_gate(speed: float, gates: Sequence[float] = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)) -> pd.Series:
    """Error of the state, after it has settled, by the share that the gate keeps."""
    truth, looks = walk(speed)
    return pd.Series({g: float((remember(looks, g) - truth)[50:].square().mean().sqrt()) for g in gates})


def draw_memory(gate: float, speeds: Sequence[float] = (0.05, 0.3, 1.5)) -> Figure:
    """Truth, looks and state for three speeds, with the error of each."""
    fig, axes = plt.subplots(1, len(speeds), figsize=(9, 2.6), layout="constrained")
    for ax, speed in zip(axes, speeds, strict=True):
        truth, looks = walk(speed)
        state = remember(looks, gate)
        off = float((state - truth)[50:].square().mean().sqrt())
        ax.plot(looks[100:160, 0], ".", color="C1", ms=3, label="looks")
        ax.plot(truth[100:160, 0], color="0.5", lw=1, label="truth")
        ax.plot(state[100:160, 0], color="k", lw=1.2, label="state")
        ax.set_title(f"changes by {speed:g} a step: error {off:.2f}", fontsize=9)
        ax.set(xlabel="step", yticks=[])
    axes[0].legend(fontsize=7, frameon=False)
    return closed(fig)
