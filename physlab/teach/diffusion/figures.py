"""Pictures of the chapter on diffusion: noise on two humps, the denoiser, its score, paths, orders, guides, a ring."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from physlab.teach.diffusion.analysis import GUIDES, RING, TWO, Denoise, guided, heun, levels, posterior
from physlab.teach.pictures import closed, plain_ticks
from physlab.teach.schematic import schematic

LINE = torch.linspace(-4.5, 4.5, 400, dtype=torch.float64)[:, None]


def _dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw_method() -> Figure:
    """Noise forwards, a denoiser in every step backwards."""
    boxes = {
        "clean": ("clean\nx₀", 0, 0), "some": ("a little noise\nu = x₀ + r n", 1.2, 0), "much": ("much noise", 2.4, 0),
        "new": ("a new state", 0, -1), "less": ("less noise", 1.2, -1), "start": ("nothing but\nnoise", 2.4, -1),
        "denoiser": ("denoiser\nD(u, r) = E[x₀ | u]", 1.2, -2),
    }  # fmt: skip
    arrows = [("clean", "some"), ("some", "much"), ("start", "less", "step"), ("less", "new", "step"),
              ("denoiser", "less", ""), ("denoiser", "new", ""), ("denoiser", "start", "")]  # fmt: skip
    return schematic(boxes, arrows, learned=("denoiser",), width=7.5, height=3.2)


def draw_noising(r: float) -> Figure:
    """Samples of the two humps with noise over their density, beside clean against noisy states."""
    clean = TWO.draw(4000, _dice())
    noisy = clean + r * torch.randn(clean.shape, generator=_dice(1), dtype=clean.dtype)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
    reach = 3.2 * math.sqrt(1.6 + r**2)
    along = torch.linspace(-reach, reach, 300, dtype=torch.float64)[:, None]
    left.hist(noisy[:, 0].numpy(), bins=60, range=(-reach, reach), density=True, color="0.8")
    left.plot(along, TWO.density(along, r), color="C0")
    left.set(xlabel="noisy state u", yticks=[])
    right.plot(noisy[:1500], clean[:1500], ".", ms=2, color="0.6")
    right.plot(along, TWO.denoise(along, r), color="C3", label="mean of what lies above")
    right.set(xlabel="noisy state u", ylabel="clean state x₀", xlim=(-reach, reach), ylim=(-2.6, 2.2))
    right.legend(fontsize=8, frameon=False)
    return closed(fig)


def draw_denoiser(network: Denoise, r: float) -> Figure:
    """Exact and learned denoiser at a noise level, and where the noisy states are."""
    fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
    density = TWO.density(LINE, r)
    ax.fill_between(LINE[:, 0], -2.2, -2.2 + density / density.max(), color="0.88", lw=0, label="where u is")
    ax.plot(LINE, LINE, color="0.6", lw=1, ls=":", label="no denoising")
    ax.plot(LINE, TWO.denoise(LINE, r), color="k", lw=3, alpha=0.35, label="exact")
    ax.plot(LINE, network(LINE.float(), r), color="C3", lw=1.3, label="learned")
    ax.set(xlabel="noisy state u", ylabel="D(u, r)", ylim=(-2.2, 2.2), xlim=(-4.5, 4.5))
    ax.legend(fontsize=8, frameon=False, loc="upper left")
    return closed(fig)


def draw_score(r: float) -> Figure:
    """Density of noisy states with arrows along the score."""
    fig, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
    density = TWO.density(LINE, r)
    ax.plot(LINE, density, color="C0")
    at = torch.linspace(-4, 4, 25, dtype=torch.float64)[:, None]
    push = (r**2 * TWO.score(at, r)).clamp(-0.9, 0.9)
    ax.quiver(at, 0 * at - 0.06 * density.max(), push, 0 * push, color="C3", angles="xy", scale_units="xy", scale=1,
              width=0.004)  # fmt: skip
    ax.set(xlabel="noisy state u", yticks=[], ylim=(-0.15 * float(density.max()), None), xlim=(-4.5, 4.5))
    return closed(fig)


def draw_paths(sampler: Callable[[Denoise, Tensor, Tensor], Tensor], steps: int, name: str) -> Figure:
    """Paths from noise to the two humps by a sampler, with the histogram of 4,000 ends."""
    grid, start = levels(steps), 20.0 * torch.randn((4000, 1), generator=_dice(), dtype=torch.float64)
    seen = [start[:25]]
    for k in range(1, len(grid)):
        seen.append(sampler(TWO.denoise, seen[-1], grid[k - 1 : k + 1]))
    ends = sampler(TWO.denoise, start, grid)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained", sharey=True, width_ratios=(3, 1))
    shown = torch.cat(seen, 1) / (1 + torch.cat([grid[:-1], grid[:1] * 0]).square()).sqrt()
    left.plot(range(len(grid)), shown.mT, "-", color="C0", lw=0.7, alpha=0.8)
    left.set(xlabel="step", ylabel="u, scaled to spread one", ylim=(-3, 3))
    left.set_title(f"{name}, {steps} steps", fontsize=9)
    right.hist(ends[:, 0].numpy(), bins=60, range=(-3, 3), density=True, orientation="horizontal", color="0.8")
    right.plot(TWO.density(LINE), LINE, color="k", lw=1)
    right.set(xticks=[])
    return closed(fig)


def draw_orders(found: pd.DataFrame) -> Figure:
    """Error of a path against the number of steps."""
    fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
    for name, colour in (("Euler", "C0"), ("Heun", "C3")):
        ax.plot(found.index, found[name], "o-", color=colour, label=name)
    ax.set(xscale="log", yscale="log", xlabel="steps", ylabel="error of a path")
    plain_ticks(ax.xaxis, found.index)
    ax.legend(fontsize=8, frameon=False)
    return closed(fig)


def draw_guides(y: float, error: float) -> Figure:
    """What each guide draws, over the exact posterior of the two humps."""
    fig, axes = plt.subplots(1, len(GUIDES), figsize=(9, 2.5), layout="constrained", sharey=True)
    start = 20.0 * torch.randn((6000, 1), generator=_dice(2), dtype=torch.float64)
    for ax, (name, guide) in zip(axes, GUIDES.items(), strict=True):
        ends = heun(guided(TWO, y, error, guide), start, levels(40))
        ax.hist(ends[:, 0].numpy(), bins=60, range=(-2.5, 2.5), density=True, color="0.8")
        ax.plot(LINE, posterior(TWO, y, error).density(LINE), color="k", lw=1)
        ax.plot(LINE, TWO.density(LINE), color="C0", lw=1, ls=":")
        ax.axvline(y, color="C1", lw=1)
        ax.set(xlim=(-2.5, 2.5), yticks=[], xlabel="state")
        ax.set_title(name, fontsize=9)
    return closed(fig)


def draw_ring(drawn: Mapping[str, Tensor], r: float) -> Figure:
    """States drawn by several denoisers, and the denoised means at one noise level."""
    fig, axes = plt.subplots(1, len(drawn) + 1, figsize=(3 * (len(drawn) + 1), 3), layout="constrained")
    for ax, (name, states) in zip(axes, drawn.items(), strict=False):
        ax.plot(*states.mT, ".", ms=2, color="C0")
        ax.set_title(name, fontsize=9)
    clean = RING.draw(600, _dice(3))
    noisy = clean + r * torch.randn(clean.shape, generator=_dice(4), dtype=clean.dtype)
    axes[-1].plot(*RING.denoise(noisy, r).mT, ".", ms=2, color="C3")
    axes[-1].set_title(f"D(u, {r:g}) of noisy states", fontsize=9)
    for ax in axes:
        ax.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    return closed(fig)
