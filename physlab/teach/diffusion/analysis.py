r"""Diffusion where everything is a formula: mixtures of bells, samplers of ten lines, guidance by one observation.

All is written for noise that is added to an unchanged signal, :math:`u = x_0 + r n`; any other schedule is this one in
other units, :math:`x_t = \alpha u` with :math:`r = \sigma / \alpha` (Karras et al. 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd
import torch
from torch import Tensor

Denoise = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True, eq=False)
class Mixture:
    """Bells of one width at several places: states (..., d).

    Attributes
    ----------
    centres : (K, d).  weights : (K,), adding up to one.  width : standard deviation of each bell.
    """

    centres: Tensor
    weights: Tensor
    width: float

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, d) clean states."""
        which = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn((count, self.centres.shape[1]), generator=generator, dtype=self.centres.dtype)
        return self.centres[which] + self.width * noise

    def _log(self, u: Tensor, r: float) -> Tensor:
        """log of weight times bell, (..., K), at the noise level r."""
        variance, d = self.width**2 + r**2, self.centres.shape[1]
        squares = (u[..., None, :] - self.centres).square().sum(-1)
        return self.weights.log() - 0.5 * squares / variance - 0.5 * d * math.log(2 * math.pi * variance)

    def density(self, u: Tensor, r: float = 0.0) -> Tensor:
        """Density of noisy states, (...)."""
        return self._log(u, r).logsumexp(-1).exp()

    def _answers(self, u: Tensor, r: float) -> tuple[Tensor, Tensor, float]:
        """Chance of each bell, what it answers, and its Kalman gain."""
        gain = self.width**2 / (self.width**2 + r**2)
        return self._log(u, r).softmax(-1)[..., None], self.centres + gain * (u[..., None, :] - self.centres), gain

    def denoise(self, u: Tensor, r: float) -> Tensor:
        """E[x0 | u]: each bell answers with its Kalman gain, weighed by the chance that it was the one."""
        chance, each, _ = self._answers(u, r)
        return (chance * each).sum(-2)

    def left_open(self, u: Tensor, r: float) -> Tensor:
        """Var[x0 | u] of one-dimensional states, (..., 1)."""
        chance, each, gain = self._answers(u, r)
        mean = (chance * each).sum(-2, keepdim=True)
        return (chance * ((each - mean).square() + r**2 * gain)).sum(-2)

    def score(self, u: Tensor, r: float) -> Tensor:
        """Slope of the log density, by Tweedie's formula."""
        return (self.denoise(u, r) - u) / r**2


def _mixture(centres: Sequence[Sequence[float]], weights: Sequence[float], width: float) -> Mixture:
    return Mixture(torch.tensor(centres).double(), torch.tensor(weights).double(), width)


TWO = _mixture([[-1.5], [1.0]], [0.4, 0.6], 0.25)
"""Two kinds of weather: a front that passes in the west, or in the east."""
_ANGLES = [2 * math.pi * k / 120 for k in range(120)]
RING = _mixture([[math.cos(a), math.sin(a)] for a in _ANGLES], [1 / 120] * 120, 0.04)
"""States on a circle, as good as continuous: the law is |x| = 1."""


# ---- samplers -------------------------------------------------------------------------------------------------------


def levels(steps: int, high: float = 20.0, low: float = 0.02, rho: float = 7.0) -> Tensor:
    """Noise levels from `high` to `low` and then zero: (steps + 1,); rho = 1 spaces them evenly, 7 crowds the end."""
    share = torch.linspace(0, 1, steps, dtype=torch.float64)
    grid = (high ** (1 / rho) + share * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    return torch.cat([grid, grid.new_zeros(1)])


def euler(denoise: Denoise, u: Tensor, grid: Tensor) -> Tensor:
    """Follow du/dr = (u - D) / r with the slope at the start of each step."""
    for r, s in pairwise(grid.tolist()):
        u = u + (s - r) * (u - denoise(u, r)) / r
    return u


def heun(denoise: Denoise, u: Tensor, grid: Tensor) -> Tensor:
    """The same with the mean of the slopes at both ends; the last step has one end only."""
    for r, s in pairwise(grid.tolist()):
        slope = (u - denoise(u, r)) / r
        end = u + (s - r) * slope
        if s > 0:
            slope = 0.5 * (slope + (end - denoise(end, s)) / s)
        u = u + (s - r) * slope
    return u


def ancestral(denoise: Denoise, u: Tensor, grid: Tensor, generator: torch.Generator) -> Tensor:
    """Draw from p(u_s | u_r, x0 = D) at every step."""
    for r, s in pairwise(grid.tolist()):
        noise = torch.randn(u.shape, generator=generator, dtype=u.dtype)
        clean = denoise(u, r)
        u = clean + (s / r) ** 2 * (u - clean) + s * math.sqrt(1 - (s / r) ** 2) * noise
    return u


STEPS = (4, 8, 16, 32, 64)


def by_steps(counts: Sequence[int] = STEPS, width: float = 1.0, rho: float = 7.0) -> pd.DataFrame:
    """Standard deviation of what the samplers draw of a single bell, over the right one, by number of steps.

    Euler and Heun are linear there: one start of one standard deviation tells it exactly. The ancestral one is drawn
    40,000 times.
    """
    bell, rows = _mixture([[0.0]], [1.0], width), {}
    for count in counts:
        grid = levels(count, rho=rho)
        start = torch.full((1, 1), math.sqrt(width**2 + float(grid[0]) ** 2), dtype=torch.float64)
        made = {"Euler": float(euler(bell.denoise, start, grid)), "Heun": float(heun(bell.denoise, start, grid))}
        many = start * torch.randn((40000, 1), generator=torch.Generator().manual_seed(count), dtype=torch.float64)
        drawn = ancestral(bell.denoise, many, grid, torch.Generator().manual_seed(1 + count))
        rows[count] = {name: value / width for name, value in (made | {"ancestral": float(drawn.std())}).items()}
    return pd.DataFrame(rows).T


def orders(counts: Sequence[int] = (16, 32, 64, 128, 256)) -> pd.DataFrame:
    """Error of one path of a single bell from r = 5 to r = 0.2, where the exact end is known, by number of steps."""
    bell, rows = _mixture([[0.0]], [1.0], 1.0), {}
    for count in counts:
        grid = levels(count + 1, 5.0, 0.2)[:-1]
        start = torch.full((1, 1), math.sqrt(26.0), dtype=torch.float64)
        exact = math.sqrt(1 + 0.2**2)
        rows[count] = {
            "Euler": abs(float(euler(bell.denoise, start, grid)) - exact),
            "Heun": abs(float(heun(bell.denoise, start, grid)) - exact),
        }
    return pd.DataFrame(rows).T


def off_ring(states: Tensor) -> float:
    """Root mean square distance of states (..., 2) from the unit circle."""
    return float((states.norm(dim=-1) - 1).square().mean().sqrt())


# ---- guidance by one observation ------------------------------------------------------------------------------------

Guide = Callable[[Mixture, Tensor, float], Tensor]
GUIDES: dict[str, Guide] = {
    "V = what is left open": lambda prior, u, r: prior.left_open(u, r),
    "V = 0": lambda prior, u, r: torch.zeros_like(u),
    "V = r²": lambda prior, u, r: torch.full_like(u, r**2),
}
"""What a guide believes of the variance of the truth about the denoised state."""


def guided(prior: Mixture, y: float, error: float, guide: Guide) -> Denoise:
    """Denoiser that was told y = x0 + e, e of the standard deviation `error`: D moved by a Kalman gain V / (V + R).

    The slope of the log likelihood goes through the denoiser: dD/du = Var[x0 | u] / r^2.
    """

    def denoise(u: Tensor, r: float) -> Tensor:
        clean, spread = prior.denoise(u, r), guide(prior, u, r)
        return clean + prior.left_open(u, r) * (y - clean) / (spread + error**2)

    return denoise


def posterior(prior: Mixture, y: float, error: float) -> Mixture:
    """Exact distribution of a one-dimensional state after the observation: again bells, moved and weighed anew."""
    total = prior.width**2 + error**2
    gain = prior.width**2 / total
    log = prior.weights.log() - 0.5 * (y - prior.centres[:, 0]).square() / total
    return Mixture(prior.centres + gain * (y - prior.centres), log.softmax(0), math.sqrt((1 - gain) * prior.width**2))
