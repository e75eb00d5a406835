"""A weight of the law that is none: what Adam makes of it, and what the logs of the paper imply."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from physlab.teach.pictures import closed

# loss of the averaged weights on test data by weight of the PDE, as logged with the code of arXiv 2510.23866
LOGGED = {1e-11: 0.232794, 1e-9: 0.232794, 1e-8: 0.232794, 1e-3: 0.235252, 1e-2: 0.257386}


def first_step(weight: float, gradient: float, other: float = 0.0, rate: float = 1e-4) -> float:
    """Size of the first step of AdamW (no decay) for a number with the gradient other + weight * gradient, over the
    rate."""
    x = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.AdamW([x], lr=rate, weight_decay=0.0)
    x.grad = torch.tensor(other + weight * gradient, dtype=torch.float64)
    optimiser.step()
    return abs(float(x.detach())) / rate


WEIGHTS = tuple(10.0**k for k in range(-13, 2))


def steps_by_weight(gradient: float = 1.0, weights: Sequence[float] = WEIGHTS) -> pd.DataFrame:
    """Steps by weight of a penalty, for a part that sees the penalty alone.

    Returns
    -------
    DataFrame, index weight: "AdamW", "plain gradient descent", both over the learning rate.
    """
    made = {w: {"AdamW": first_step(w, gradient), "plain gradient descent": w * gradient} for w in weights}
    return pd.DataFrame(made).T


def draw_steps(gradients: Sequence[float] = (1.0, 1e-2)) -> Figure:
    """Step of a decoder that sees the penalty alone, against the weight; and what the logs imply for the penalty."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 2.9), layout="constrained")
    for gradient, line in zip(gradients, ("-", "--"), strict=True):
        found = steps_by_weight(gradient)
        left.plot(found.index, found["AdamW"], color="C3", ls=line, label=f"AdamW, gradient {gradient:g}")
        left.plot(found.index, found["plain gradient descent"], color="0.5", ls=line,
                  label=f"plain descent, gradient {gradient:g}")  # fmt: skip
    left.axvline(1e-11, color="C0", ls=":", lw=1)
    left.set(xscale="log", yscale="log", ylim=(1e-6, 20), xlabel="weight λ (dotted: published)", ylabel="step / rate")
    left.legend(fontsize=7, frameon=False)
    weights, losses = np.array(list(LOGGED)), np.array(list(LOGGED.values()))
    right.plot(weights, losses, "o", color="C3", label="logged")
    along = np.geomspace(weights.min(), weights.max(), 200)
    right.plot(
        along, losses.min() + implied_penalty().mean() * along, color="0.5", label="a penalty that never changes"
    )
    right.set(xscale="log", xlabel="weight λ", ylabel="logged test loss")
    right.legend(fontsize=8, frameon=False)
    return closed(fig)


def implied_penalty() -> pd.Series:
    """Penalty that the logged losses contain, if the rest of the loss is that at the least weight."""
    base = LOGGED[min(LOGGED)]
    return pd.Series({w: (x - base) / w for w, x in LOGGED.items() if w >= 1e-3}, name="penalty")
