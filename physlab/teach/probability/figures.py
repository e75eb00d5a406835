"""Pictures of the chapter on probability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from physlab.teach.pictures import closed, plain_ticks
from physlab.teach.probability.analysis import (
    LINE,
    STEP,
    Bound,
    bell,
    by_claim,
    crps_integral,
    divergence,
    fit_bell,
    ranks,
    two_humps,
)
from physlab.teach.schematic import schematic


def draw_errors(errors: Tensor, blocks: Tensor) -> Figure:
    """Histograms of single errors and of block means, each over the bell of the same spread."""
    fig, axes = plt.subplots(1, 2, figsize=(9, 2.9), layout="constrained")
    for ax, x, name in ((axes[0], errors, "one cell"), (axes[1], blocks, "mean of 256 cells")):
        std = float(x.std())
        z = (x.flatten() - x.mean()) / std
        ax.hist(z.numpy(), bins=101, range=(-8, 8), density=True, color="0.75")
        ax.plot(LINE, bell(LINE), color="C3", lw=1.2, label="bell of the same spread")
        ax.set(yscale="log", ylim=(1e-5, 3), xlabel="error in units of its spread", title=f"{name}: {std:.2f} kg m⁻²")
    axes[0].legend(fontsize=8, frameon=False)
    return closed(fig)


def draw_bayes(error: float) -> Figure:
    """Two humps of a prior, the likelihood of an observation with an error, and their product."""
    prior, likelihood = two_humps(3.0), bell(LINE, 0.8, error)
    post = prior * likelihood
    fig, ax = plt.subplots(figsize=(7.5, 2.8), layout="constrained")
    for name, y, colour in (("prior", prior, "C0"), ("likelihood", likelihood / likelihood.sum() / STEP, "C1"),
                            ("posterior", post / post.sum() / STEP, "k")):  # fmt: skip
        ax.plot(LINE, y, color=colour, label=name)
    ax.set(xlim=(-4, 4), yticks=[], xlabel="state")
    ax.legend(fontsize=8, frameon=False)
    return closed(fig)


def draw_divergence(distance: float) -> Figure:
    """The nearest bell to two humps, by either direction of the divergence."""
    p = two_humps(distance)
    fig, ax = plt.subplots(figsize=(7.5, 2.9), layout="constrained")
    ax.fill_between(LINE, 0, p, color="0.85", lw=0, label="p, two humps")
    for way, colour in (("p || q", "C0"), ("q || p", "C3")):
        mean, std = fit_bell(p, way)
        q = bell(LINE, mean, std)
        value = divergence(p, q) if way == "p || q" else divergence(q, p)
        ax.plot(LINE, q, color=colour, label=f"least KL({way}) = {value:.2f}")
    ax.set(xlim=(-5, 5), yticks=[], xlabel="state")
    ax.legend(fontsize=8, frameon=False)
    return closed(fig)


def draw_bound(bound: Bound, starts: Sequence[float] = (0.5, -0.5)) -> Figure:
    """The bell that the bound finds over the posterior, and the bound below the log of the evidence on the way."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 2.9), layout="constrained")
    left.fill_between(LINE, 0, bound.posterior, color="0.85", lw=0, label="exact posterior")
    for start, colour in zip(starts, ("C3", "C0"), strict=False):
        path = bound.climb(start)
        end = path.iloc[-1]
        left.plot(LINE, bell(LINE, end["mean"], end["spread"]), color=colour, label=f"from {start:g}")
        right.plot(path["bound"], color=colour)
    right.axhline(math.log(bound.evidence), color="k", lw=1, ls="--")
    left.set(xlim=(-3, 3), yticks=[], xlabel="state")
    right.set(xlabel="step", ylabel="bound (dashed: log evidence)")
    left.legend(fontsize=8, frameon=False)
    return closed(fig)


def draw_crps(truth: float, members: Sequence[float] = (-1.2, -0.4, 0.1, 0.5, 1.6)) -> Figure:
    """The staircase of the members, the step at the truth, and the area between them."""
    fig, ax = plt.subplots(figsize=(7.5, 2.8), layout="constrained")
    x = np.linspace(-3.5, 3.5, 2000)
    stairs, step = (np.asarray(members)[:, None] <= x).mean(0), (x >= truth).astype(float)
    ax.fill_between(x, 0, (stairs - step) ** 2, color="C3", alpha=0.35, lw=0, label="squared difference")
    ax.plot(x, stairs, color="C0", label="members")
    ax.plot(x, step, color="k", lw=1, label="truth")
    ax.set(xlabel="state", ylabel="share below")
    ax.set_title(f"area {crps_integral(members, truth):.2f}", fontsize=9)
    ax.legend(fontsize=8, frameon=False, loc="upper left")
    return closed(fig)


def draw_claims() -> Figure:
    """Scores against the claimed spread, each minus its least value."""
    found = by_claim(np.geomspace(0.3, 3, 31).tolist())
    fig, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
    for name, colour in (("CRPS", "C3"), ("minus log density", "C0")):
        ax.plot(found.index, found[name] - found[name].min(), color=colour, label=name)
    ax.axvline(1, color="0.5", lw=1, ls=":")
    ax.set(xscale="log", ylim=(0, 1), xlabel="claimed spread over the true one", ylabel="score above its least")
    plain_ticks(ax.xaxis, [0.3, 0.5, 1, 2, 3])
    ax.legend(fontsize=8, frameon=False)
    return closed(fig)


KINDS = {"reliable": (1.0, 0.0), "too narrow": (0.5, 0.0), "too wide": (2.0, 0.0), "too high": (1.0, 0.7)}


def draw_ranks(kind: str | None = None, found: Mapping[str, dict] | None = None) -> Figure:
    """Rank histograms: of one synthetic ensemble, or of several measured ones."""
    shown = {kind: ranks(9, *KINDS[kind])} if kind else {name: s["ranks"] for name, s in (found or {}).items()}
    fig, axes = plt.subplots(
        1, len(shown), figsize=(4.2 if kind else 2.7 * len(shown), 2.6), layout="constrained", squeeze=False
    )
    for ax, (name, share) in zip(axes[0], shown.items(), strict=True):
        share = torch.as_tensor(share).double()
        share = share / share.sum()
        ax.bar(range(len(share)), share, color="0.6")
        ax.axhline(1 / len(share), color="k", lw=1, ls="--")
        ax.set(xlabel="members below the truth", ylabel="share of cases")
        ax.set_title(name, fontsize=9)
    return closed(fig)


def draw_ideas() -> Figure:
    """From a distribution to its scores, as boxes."""
    boxes = {
        "prior": ("prior\np(x)", 0, 0), "data": ("likelihood\np(y | x)", 0, -1), "bayes": ("Bayes' rule", 1, -0.5),
        "post": ("posterior\np(x | y)", 2, -0.5), "q": ("a bell q(x)\nby the bound", 3, 0),
        "members": ("members\nx₁ ... x_M", 3, -1), "scores": ("CRPS, ranks,\nspread / skill", 4, -1),
    }  # fmt: skip
    arrows = [("prior", "bayes"), ("data", "bayes"), ("bayes", "post"), ("post", "q"), ("post", "members"),
              ("members", "scores")]  # fmt: skip
    return schematic(boxes, arrows, learned=("q",), width=8.5, height=2.2)
