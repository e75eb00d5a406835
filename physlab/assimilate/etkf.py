r"""The ensemble transform Kalman filter: a matrix that mixes members, without any random number.

Bishop, Etherton and Majumdar (2001, Mon. Weather Rev. 129, 420-436), with the symmetric root, which keeps the mean and
moves members least (Hunt, Kostelich and Szunyogh 2007, Physica D 230, 112-126, eqs. 20-24). With Z the anomalies of
H(x) and d the innovation of the mean, both in units of the observation errors,

.. math:: \tilde A = \big( (N-1) I + Z^T Z \big)^{-1}, \qquad \bar w = \tilde A Z^T d, \qquad
          W = \big( (N-1) \tilde A \big)^{1/2}, \qquad x_i = \bar x_b + X' (\bar w + W_i) .

Mean and covariance are those of the Kalman filter with the covariance of the ensemble. (Here members are rows, so that
the code has all of this transposed.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from physlab.assimilate.base import EnsembleMethod
from physlab.assimilate.observed import Observed


@dataclass(frozen=True)
class ETKF(EnsembleMethod):
    """The method.

    Attributes
    ----------
    inflation : factor of the anomalies before the analysis, at least 1.
    rotation : turn the anomalies by a random rotation that keeps mean and covariance after each analysis (Sakov and Oke
        2008, Mon. Weather Rev. 136, 1042-1053): it prevents one member from carrying most of the spread.
    """

    rotation: bool = False

    def update(self, x: Tensor, observed: Observed, generator: torch.Generator | None = None) -> Tensor:
        mean, X = self.split(x)
        seen = observed.see(mean + X)
        centre = seen.mean(-2, keepdim=True)
        Z, d = observed.whiten(seen - centre), observed.whiten(observed.y[..., None, :] - centre)
        weights = transform(Z @ Z.mT, Z @ d.mT)
        if self.rotation:
            weights = rotate(weights, generator)
        return mean + weights @ X


def transform(C: Tensor, b: Tensor) -> Tensor:
    """Rows of weights for the members, (..., N, N): analysis = mean + weights @ anomalies.

    Parameters
    ----------
    C : (..., N, N) products Z Z^T of the members' white anomalies.
    b : (..., N, 1) products Z d with the white innovation.
    """
    N = C.shape[-1]
    values, V = torch.linalg.eigh(C)
    gain = 1.0 / (values.clamp(min=0) + (N - 1))
    VT = V.mT
    mean = V @ (gain[..., None] * (VT @ b))
    return (V * ((N - 1) * gain).sqrt()[..., None, :]) @ VT + mean.mT


def rotate(weights: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Weights (..., N, N), or members (..., N, n), with their anomalies turned at random; the mean stays."""
    N = weights.shape[-2]
    device = weights.device if generator is None else generator.device
    white = torch.randn(*weights.shape[:-2], N - 1, N - 1, generator=generator, dtype=weights.dtype, device=device)
    Q, R = torch.linalg.qr(white.to(weights))
    Q = Q * torch.sign(R.diagonal(dim1=-2, dim2=-1))[..., None, :]  # uniform over all rotations
    basis = _orthogonal_to_ones(N, weights.dtype, weights.device)
    return weights.mean(-2, keepdim=True) + basis.mT @ (Q @ (basis @ weights))


@lru_cache(maxsize=16)
def _orthogonal_to_ones(N: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(N - 1, N) orthonormal rows, each with sum zero: a reflection that takes the first axis to ones / sqrt(N)."""
    v = torch.full((N,), -(N**-0.5), dtype=dtype, device=device)
    v[0] += 1.0
    reflection = torch.eye(N, dtype=dtype, device=device) - 2 * torch.outer(v, v) / v.square().sum()
    return reflection[1:]
