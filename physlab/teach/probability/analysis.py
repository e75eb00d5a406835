"""Probability on a line and on maps: Bayes' rule by counting, divergences, the variational bound, scores, ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from physlab.data.patches import SRData
from physlab.nn.upscaler import bicubic
from physlab.score import crps, rank_histogram

LINE = torch.linspace(-8, 8, 3201, dtype=torch.float64)
STEP = float(LINE[1] - LINE[0])


def bell(x: Tensor, mean: float | Tensor = 0.0, std: float | Tensor = 1.0) -> Tensor:
    """Density of the normal distribution."""
    std = torch.as_tensor(std, dtype=x.dtype)
    return torch.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))


def two_humps(distance: float) -> Tensor:
    """Density on the line of two equal bells, `distance` apart, each of spread 0.5."""
    return 0.5 * (bell(LINE, -distance / 2, 0.5) + bell(LINE, distance / 2, 0.5))


def chances(first: Tensor, second: Tensor, area: Tensor) -> dict[str, float]:
    """Probabilities of two events by counting cells (..., H, W), weighted by their areas.

    Returns
    -------
    dict: "A", "B", "A and B", "A given B", "B given A".
    """

    def share(where: Tensor) -> float:
        return float((where * area).sum() / area.expand(where.shape).sum())

    a, b, both = share(first), share(second), share(first & second)
    return {"A": a, "B": b, "A and B": both, "A given B": both / b, "B given A": both / a}


# ---- how far apart --------------------------------------------------------------------------------------------------


def divergence(p: Tensor, q: Tensor) -> float:
    """KL(p || q) of two densities on the line, by a sum; where p is nothing it adds nothing."""
    inside = p > 1e-300
    return float((p[inside] * (p[inside] / q[inside].clamp(min=1e-300)).log()).sum() * STEP)


def fit_bell(p: Tensor, way: str) -> tuple[float, float]:
    """Mean and spread of the bell q that is nearest to p.

    Parameters
    ----------
    way : "p || q" has the answer of most likely numbers, mean and spread of p; "q || p" is found by descent from the
        right.
    """
    if way == "p || q":
        mean = float((p * LINE).sum() * STEP)
        return mean, math.sqrt(float((p * (LINE - mean) ** 2).sum() * STEP))
    mean_, log = torch.tensor(1.0).double().requires_grad_(), torch.tensor(-0.7).double().requires_grad_()
    optimiser, target = torch.optim.Adam([mean_, log], lr=0.05), p.clamp(min=1e-300).log()
    for _ in range(400):
        q = bell(LINE, mean_, log.exp())
        loss = (q * (q.clamp(min=1e-300).log() - target)).sum() * STEP
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(mean_.detach()), float(log.detach().exp())


class Bound:
    """A state with the prior N(0, 1) is seen through y = x^2 + error: its evidence, its posterior, and a bell for it.

    Parameters
    ----------
    y, error : what is observed, and the standard deviation of its error.
    """

    def __init__(self, y: float = 1.5, error: float = 0.5) -> None:
        self.joint = bell(LINE) * bell(LINE**2, y, error)  # prior times likelihood
        self.y, self.error = y, error
        self.evidence = float(self.joint.sum() * STEP)
        self.posterior = self.joint / self.evidence
        share = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
        self.noise = math.sqrt(2) * torch.erfinv(2 * share - 1)  # even shares of a bell, instead of dice

    def value(self, mean: Tensor, log_std: Tensor) -> Tensor:
        """E_q[log p(y | x)] - KL(q || prior) of the bell q: never above the log of the evidence."""
        x = mean + log_std.exp() * self.noise
        fits = -0.5 * ((self.y - x**2) / self.error) ** 2 - math.log(self.error * math.sqrt(2 * math.pi))
        return fits.mean() - 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std)

    def climb(self, start: float, steps: int = 300, spread: float = 0.3) -> pd.DataFrame:
        """Gradient ascent from a mean and a spread: mean, spread and bound by step."""
        mean = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        log_std = torch.tensor(math.log(spread), dtype=torch.float64, requires_grad=True)
        optimiser, rows = torch.optim.Adam([mean, log_std], lr=0.03), []
        for _ in range(steps):
            loss = -self.value(mean, log_std)
            rows.append(
                {"mean": float(mean.detach()), "spread": float(log_std.detach().exp()), "bound": -float(loss.detach())}
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return pd.DataFrame(rows)


# ---- scores ---------------------------------------------------------------------------------------------------------


def crps_integral(members: Sequence[float], truth: float) -> float:
    """Area between the staircase of the members and the step at the truth, squared: exact, corner by corner."""
    corners = np.sort(np.append(np.asarray(members, dtype=float), truth))
    left = corners[:-1]
    staircase = (np.asarray(members)[:, None] <= left).mean(0)
    return float((np.diff(corners) * (staircase - (truth <= left)) ** 2).sum())


def bell_crps(std: float | np.ndarray, error: np.ndarray) -> np.ndarray:
    """CRPS of a normal forecast whose mean is off by `error` (Gneiting and Raftery 2007, equation 21)."""
    from scipy.stats import norm

    z = error / std
    return std * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / math.sqrt(math.pi))


def by_claim(claims: Sequence[float], trials: int = 40_000, seed: int = 0) -> pd.DataFrame:
    """Mean scores of forecasters who know the mean and claim a spread, where the true one is 1."""
    error = np.random.default_rng(seed).standard_normal(trials)
    rows = {
        s: {
            "CRPS": bell_crps(s, error).mean(),
            "minus log density": (0.5 * (error / s) ** 2 + math.log(s * math.sqrt(2 * math.pi))).mean(),
        }
        for s in claims
    }
    return pd.DataFrame(rows).T


def ranks(members: int, spread: float, bias: float, count: int = 60_000, seed: int = 0) -> Tensor:
    """Rank histogram of members of a claimed spread and bias, where truth has spread 1 and no bias: (members + 1,)."""
    generator = torch.Generator().manual_seed(seed)
    drawn = bias + spread * torch.randn((members, count), generator=generator)
    truth = torch.randn(count, generator=generator)
    counts = torch.bincount((drawn < truth).sum(0), minlength=members + 1).double()
    return counts / counts.sum()


def ensembles(data: SRData, members: int = 10, every: int = 10) -> Mapping[str, dict]:
    """Two ensembles without any learning: maps of the training block, and bicubic fields with errors of past maps.

    Returns
    -------
    name -> {"CRPS", "spread", "spread/skill", "ranks"}; kg m-2, area-weighted. Of the second ensemble the ranks of the
    calm half and of the steepest tenth of the cells beside.
    """
    fine, weights = data.fine["test"][::every, 0].double(), data.weights.double()
    known, past = data.fine["train"][:, 0].double(), bicubic(data.coarse["train"], data.factor)[:, 0].double()
    guess = bicubic(data.coarse["test"][::every], data.factor)[:, 0].double()
    pick = torch.linspace(0, len(known) - 1, members).long()
    made = {
        "maps of the past": known[pick][:, None].expand(-1, len(fine), -1, -1),
        "bicubic + past errors": guess + (known - past)[pick][:, None],
    }
    found = {}
    for name, drawn in made.items():
        spread = float((drawn.var(0) * weights).mean().sqrt())
        skill = float(((drawn.mean(0) - fine).square() * weights).mean().sqrt())
        found[name] = {
            "CRPS": float(crps(drawn, fine, weights=weights)),
            "spread": spread,
            "spread/skill": math.sqrt((members + 1) / members) * spread / skill,
            "ranks": rank_histogram(drawn, fine),
        }
    rank = (made["bicubic + past errors"] < fine).sum(0)
    steep = (guess[..., 1:, 1:] - guess[..., :-1, :-1]).abs()  # what a user can know: the steepness of the input
    steep = torch.nn.functional.pad(steep[:, None], (0, 1, 0, 1), mode="replicate")[:, 0]
    middle, top = (torch.quantile(steep.flatten()[::17], q) for q in (0.5, 0.9))
    for name, where in (("the same, calm half", steep < middle), ("the same, steepest tenth", steep > top)):
        found[name] = {"ranks": torch.bincount(rank[where], minlength=members + 1)}
    return found
