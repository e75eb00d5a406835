"""Samplers with few calls of the denoiser, on mixtures of Gaussians whose denoiser is known exactly.

All draws start from the same noise, and the reference is the flow itself (the same start, 300 calls): what is left is
the error of the sampler alone, neither of a network nor of a sample. The distance is the sliced Wasserstein distance:
the mean distance of the sorted projections, over directions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from physlab.diffusion import DDIM, AdamsBashforth, NoiseSchedule, PosteriorMean

DRAWS, SEEDS, EXACT = 2000, 5, 300


class Mixture(PosteriorMean):
    """Exact denoiser of a mixture of isotropic Gaussians of one width and one weight; x is (B, n).

    Parameters
    ----------
    means : (K, n).  spread : standard deviation of each.
    """

    def __init__(self, means: Tensor, spread: float, schedule: NoiseSchedule) -> None:
        super().__init__(schedule)
        self.means, self.variance = means, spread**2

    def forward(self, x: Tensor, t: float | Tensor, condition: Tensor | None = None) -> Tensor:
        alpha, sigma = (c.flatten()[:, None, None] for c in self.schedule.coefficients(t, x))
        total = alpha**2 * self.variance + sigma**2
        miss = x[:, None] - alpha * self.means
        share = torch.softmax(-0.5 * miss.square().sum(-1, keepdim=True) / total, 1)
        return (share * (self.means + alpha * self.variance / total * miss)).sum(1)


def ring(modes: int = 8, spread: float = 0.1, kind: str = "edm") -> Mixture:
    """Gaussians on a circle of radius 1.5 in the plane."""
    angle = torch.arange(modes, dtype=torch.float64) * 2 * math.pi / modes
    return Mixture(1.5 * torch.stack([angle.cos(), angle.sin()], 1), spread, NoiseSchedule(kind))


def cloud(modes: int = 8, dimensions: int = 8, spread: float = 0.3, kind: str = "edm") -> Mixture:
    """Gaussians at random places in several dimensions."""
    means = torch.randn(modes, dimensions, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Mixture(1.2 * means, spread, NoiseSchedule(kind))


def start(denoiser: Mixture, count: int, seed: int = 0) -> Tensor:
    """Noise at the largest level, (count, n)."""
    sigma = float(denoiser.schedule.sigma(denoiser.schedule.t_max))
    shape = (count, denoiser.means.shape[1])
    return sigma * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sliced_wasserstein(x: Tensor, y: Tensor, directions: int = 64) -> float:
    """Sliced Wasserstein distance of two samples (S, n) of one size."""
    generator = torch.Generator().manual_seed(0)
    lines = torch.randn(x.shape[1], directions, generator=generator, dtype=x.dtype)
    lines = lines / lines.norm(dim=0)
    return float(((x @ lines).sort(0).values - (y @ lines).sort(0).values).abs().mean())


def distances(denoiser: Mixture, calls: int, draws: int = DRAWS, seeds: int = SEEDS) -> tuple[list[float], list[float]]:
    """Distances of Adams-Bashforth and of DDIM from the flow, one for each start."""
    ours, other = [], []
    for seed in range(seeds):
        x = start(denoiser, draws, seed)
        exact = AdamsBashforth(denoiser, EXACT)(start=x)
        ours.append(sliced_wasserstein(AdamsBashforth(denoiser, calls)(start=x), exact))
        other.append(sliced_wasserstein(DDIM(denoiser, calls)(start=x), exact))
    return ours, other
