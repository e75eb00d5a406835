r"""The chapter on diffusion and PhyDA, its small worlds: a ring where the analysis is known, and a law on a circle."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from physlab import diffusion
from physlab.diffusion import DDPM, DPS, SDA, GaussianDenoiser, Guided, Heun
from physlab.teach.pictures import closed, plain_ticks

# ---- a ring whose analysis is known ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Ring:
    """A Gaussian field on a ring of n points, seen at m of them.

    Attributes
    ----------
    mu, C : (n,), (n, n) mean and covariance of the prior.
    y, A, R : (m,), (m, n), (m, m) observations, what they see, covariance of their errors.
    """

    mu: Tensor
    C: Tensor
    y: Tensor
    A: Tensor
    R: Tensor

    @classmethod
    def make(cls, n: int = 40, at: Sequence[int] = (2, 3, 11, 19, 20, 33), variance: float = 0.05) -> Ring:
        """Errors that are alike over four points, and three times as large on one side of the ring as on the other."""
        i = torch.arange(n, dtype=torch.float64)
        distance = (i[:, None] - i).abs()
        size = 1 + 0.5 * torch.sin(2 * math.pi * i / n)
        C = torch.outer(size, size) * torch.exp(-0.5 * (torch.minimum(distance, n - distance) / 4).square())
        C = C + 0.0025 * torch.eye(n, dtype=torch.float64)
        C, A = C / C.diag().mean(), torch.eye(n, dtype=torch.float64)[list(at)]
        mu, R = torch.sin(4 * math.pi * i / n), variance * torch.eye(len(at), dtype=torch.float64)
        white = torch.randn(n + len(at), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        return cls(mu, C, A @ (mu + torch.linalg.cholesky(C) @ white[:n]) + variance**0.5 * white[n:], A, R)

    @cached_property
    def kalman(self) -> tuple[Tensor, Tensor]:
        """(n,) mean and (n, n) covariance of the analysis."""
        after = self.prior.given(self.y, self.A, self.R)
        return after.mean, after.covariance()

    @cached_property
    def prior(self) -> GaussianDenoiser:
        """The denoiser that a perfect training would give; it has seen no observation."""
        return GaussianDenoiser(self.mu, self.C)

    def errors(self, mean: Tensor, P: Tensor) -> tuple[float, float, float]:
        """Largest error of the mean in spreads, relative error of the covariance, spread at the stations over right."""
        wanted, right = self.kalman
        ratio = ((self.A @ P @ self.A.mT).diag() / (self.A @ right @ self.A.mT).diag()).mean().sqrt()
        off = ((mean - wanted) / right.diag().sqrt()).abs().max()
        return float(off), float((P - right).norm() / right.norm()), float(ratio)


TITLES = {
    "mmps": "moment matching", "sda": "SDA, γ = 0.01", "sda-1": "SDA, γ = 1", "pigdm": "ΠGDM", "dps": "DPS, ζ = 1",
}  # fmt: skip
GUIDES: dict[str, Callable[..., Guided]] = {title: diffusion.GUIDES[name] for name, title in TITLES.items()}


@functools.lru_cache(maxsize=32)
def drawn(ring: Ring, name: str, steps: int = 128) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the members of a guide; those of DPS, which is not affine, from 1,000 draws."""
    guided = GUIDES[name](ring.prior, ring.y, ring.A, ring.R)
    if not isinstance(guided, DPS):
        return Heun(guided, steps).moments(len(ring.mu))
    x = DDPM(guided, 250, "log")((1000, len(ring.mu)), torch.Generator().manual_seed(0), dtype=torch.float64)
    return x.mean(0), torch.cov(x.mT)


def certificate(ring: Ring) -> pd.DataFrame:
    """What each guide returns, beside the Kalman posterior."""
    names = ["error of the mean (in spreads)", "error of the covariance", "spread / right spread"]
    return pd.DataFrame({guide: dict(zip(names, ring.errors(*drawn(ring, guide)), strict=True)) for guide in GUIDES}).T


def draw_guide(ring: Ring, name: str) -> Figure:
    """Members of a guide (mean and two standard deviations) over those of the Kalman posterior."""
    fig, ax = plt.subplots(figsize=(8.5, 3), layout="constrained")
    i, (mean, P), (made, V) = torch.arange(len(ring.mu)), ring.kalman, drawn(ring, name)
    std, width = 2 * P.diag().sqrt(), 2 * V.diag().clamp(min=0).sqrt()
    ax.fill_between(i, mean - std, mean + std, color="0.8", lw=0, label="Kalman posterior, ± 2 standard deviations")
    ax.plot(i, mean, color="0.35", lw=1)
    ax.plot(i, made, color="C3", lw=1.5, label=f"{name}: mean, ± 2 standard deviations")
    for edge in (made - width, made + width):
        ax.plot(i, edge, color="C3", lw=1, ls="--")
    ax.plot(ring.A.argmax(1), ring.y, "ko", ms=5, label="observations")
    ax.set(xlabel="point on the ring", xlim=(0, len(i) - 1), ylim=(-3.6, 3.4))
    ax.legend(fontsize=8, frameon=False, loc="lower right", ncols=3)
    return closed(fig)


def by_gamma(
    ring: Ring, gammas: Sequence[float] = (1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.2, 0.5, 1, 3, 10), steps: int = 64
) -> pd.DataFrame:
    """The three errors of SDA's guide by its one number."""
    rows = {}
    for gamma in gammas:
        found = Heun(SDA(ring.prior, ring.y, ring.A, ring.R, gamma=gamma), steps).moments(len(ring.mu))
        rows[gamma] = dict(zip(("mean", "covariance", "spread"), ring.errors(*found), strict=True))
    return pd.DataFrame(rows).T.rename_axis("gamma")


def draw_gammas(found: pd.DataFrame, best: tuple[float, float, float]) -> Figure:
    """Errors of the mean and of the covariance by gamma; dashed, those of moment matching."""
    fig, axes = plt.subplots(1, 2, figsize=(8.5, 2.8), layout="constrained")
    for ax, column, title, line in zip(
        axes, ("mean", "covariance"), ("error of the mean (in spreads)", "relative error of the covariance"), best[:2],
        strict=True,
    ):  # fmt: skip
        ax.plot(found.index, found[column], "o-", color="C3", ms=4, label="SDA")
        ax.axhline(line, color="k", ls="--", lw=1, label="moment matching")
        ax.axvline(0.01, color="0.6", ls=":", lw=1)
        ax.set(xscale="log", yscale="log", xlabel="γ (dotted: published)", ylabel=title)
        ax.legend(fontsize=8, frameon=False)
    return closed(fig)


# ---- a law that the mean breaks -------------------------------------------------------------------------------------


def denoised_on_circle(y: Tensor, r: float) -> Tensor:
    """E[x | y] for x anywhere on the unit circle and y = x + r noise, (..., 2); the angle given y is von Mises."""
    length = y.norm(dim=-1, keepdim=True)
    kappa = length / r**2
    return torch.special.i1e(kappa) / torch.special.i0e(kappa) * y / length.clamp(min=1e-12)


def law(x: Tensor) -> Tensor:
    """Residual of |x|^2 = 1, zero for every state of this world."""
    return x.square().sum(-1) - 1


def circle(r: float, count: int = 20_000, seed: int = 0) -> tuple[Tensor, Tensor]:
    """States on the circle and what a perfect denoiser makes of them at the noise-to-signal ratio r, (count, 2)."""
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * math.pi * torch.rand(count, generator=generator, dtype=torch.float64)
    x = torch.stack([angle.cos(), angle.sin()], -1)
    return x, denoised_on_circle(x + r * torch.randn(x.shape, generator=generator, dtype=torch.float64), r)


def gap(ratios: Sequence[float] = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1, 1.5, 2, 4)) -> pd.DataFrame:
    """Mean square residual of the denoised state, by noise; weighted by lambda / lambda_0 = 1 / (1 + r^2)."""
    found = {r: float(law(circle(r)[1]).square().mean()) for r in ratios}
    table = pd.DataFrame({"denoised": found}).rename_axis("r")
    table["weight"] = 1 / (1 + table.index.to_numpy() ** 2)
    return table.assign(penalty=table["weight"] * table["denoised"])


def draw_gap(r: float) -> Figure:
    """Denoised states of a law-abiding world at one ratio, and the residual of them by ratio."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained", width_ratios=(1, 1.5))
    x, D = circle(r, 600)
    left.plot(*x.mT, ".", color="0.7", ms=3, label="states")
    left.plot(*D.mT, ".", color="C3", ms=3, label=f"denoised, r = {r:g}")
    left.set(aspect="equal", xlim=(-1.2, 1.2), ylim=(-1.2, 1.6), xticks=[], yticks=[])
    left.legend(fontsize=8, frameon=False, loc="upper center", ncols=2, markerscale=2)
    found = gap()
    right.plot(found.index, found["denoised"], "o-", color="C3", ms=4, label="mean square residual, denoised")
    right.plot(found.index, found["penalty"], "o-", color="C0", ms=4, label="the same times λ(t) / λ₀")
    right.plot(found.index, found["weight"], color="0.5", lw=1, ls="--", label="λ(t) / λ₀")
    right.axhline(0, color="k", lw=1, label="every state of this world")
    right.axvline(r, color="0.6", ls=":", lw=1)
    right.set(xscale="log", xlabel="r, noise over signal", ylim=(-0.05, 1.1))
    plain_ticks(right.xaxis, [0.05, 0.2, 1, 4])
    right.legend(fontsize=8, frameon=False)
    return closed(fig)
