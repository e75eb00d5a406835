r"""The stochastic ensemble Kalman filter: every member meets its own noisy copy of the observations.

Evensen (1994), with the perturbed observations of Burgers, van Leeuwen and Evensen (1998, Mon. Weather Rev. 126,
1719-1724). With X' the anomalies of N members and Y' those of H(x)

.. math:: x_i \leftarrow x_i + K (y + \epsilon_i - H(x_i)), \quad \epsilon_i \sim N(0, R), \qquad
          K = \tfrac{X' Y'^T}{N-1} \Big( \tfrac{Y' Y'^T}{N-1} + R \Big)^{-1} .

Without :math:`\epsilon` the members would come out too near to each other. The noise is that of N draws: with few
members its accidental correlations with the forecast cost accuracy, which square-root filters (:mod:`etkf`) avoid.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from physlab.assimilate.base import EnsembleMethod
from physlab.assimilate.observed import Observed


@dataclass(frozen=True)
class EnKF(EnsembleMethod):
    """The method; pass a generator to :meth:`analyse` for noise that can be had again.

    Attributes
    ----------
    inflation : factor of the anomalies before the analysis, at least 1.
    """

    def update(self, x: Tensor, observed: Observed, generator: torch.Generator | None = None) -> Tensor:
        N = x.shape[-2]
        mean, X = self.split(x)
        seen = observed.see(mean + X)
        Y = observed.whiten(seen - seen.mean(-2, keepdim=True))  # R is the identity from here on
        noise = torch.randn(Y.shape, generator=generator, dtype=x.dtype,
                            device=x.device if generator is None else generator.device).to(x)  # fmt: skip
        noise = (noise - noise.mean(-2, keepdim=True)) * (N / (N - 1)) ** 0.5  # the mean meets y itself
        D = observed.whiten(observed.y[..., None, :] - seen) + noise
        if Y.shape[-1] < N:  # the smaller of two systems, (m, m) or (N, N), with the same answer
            step = torch.linalg.solve(_ridge(Y.mT @ Y, N), D.mT).mT @ (Y.mT @ X)
        else:
            step = torch.linalg.solve(_ridge(Y @ Y.mT, N), Y @ D.mT).mT @ X
        return mean + X + step


def _ridge(C: Tensor, N: int) -> Tensor:
    """C + (N - 1) I."""
    return C + (N - 1) * torch.eye(C.shape[-1], dtype=C.dtype, device=C.device)
