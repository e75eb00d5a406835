r"""Optimal interpolation: the Kalman gain with a covariance that never changes (Gandin 1963; Kalnay 2003, section 5.4).

.. math:: x_a = x_b + B H^T (H B H^T + R)^{-1} (y - H(x_b)) .

The matrix in brackets has the size of the observations: cheap for a few, and impossible for a million, for which 3D-Var
was made. A function H is taken as its slope at the background.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from physlab.assimilate.base import Method
from physlab.assimilate.covariance import Covariance, as_covariance
from physlab.assimilate.observed import Observed
from physlab.assimilate.tangent import linearise


@dataclass(frozen=True, eq=False)
class OptimalInterpolation(Method):
    """The formula.

    Attributes
    ----------
    B : background error covariance: a matrix (n, n) or an object of :mod:`physlab.assimilate.covariance`.
    """

    B: Covariance | Tensor = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "B", as_covariance(self.B))

    def check(self, background: Tensor) -> None:
        super().check(background)
        self.check_size(background, as_covariance(self.B))

    def update(self, x: Tensor, observed: Observed, generator: torch.Generator | None = None) -> Tensor:
        seen, H = self._slope(x, observed)
        BHT = as_covariance(self.B).multiply(H)  # its transpose, as rows (..., m, n)
        weights = torch.linalg.solve(H @ BHT.mT + observed.covariance, (observed.y - seen)[..., None])
        return x + (weights * BHT).sum(-2)

    @staticmethod
    def _slope(x: Tensor, observed: Observed) -> tuple[Tensor, Tensor]:
        """H(x) and the matrix (..., m, n) of its slope."""
        if isinstance(observed.H, Tensor):
            return observed.see(x[..., None, :])[..., 0, :], observed.H
        seen, _, adjoint = linearise(lambda x: observed.see(x[..., None, :])[..., 0, :], x)
        unit = torch.eye(observed.m, dtype=x.dtype, device=x.device)
        return seen, torch.stack([adjoint(e.expand_as(seen)) for e in unit], -2)
