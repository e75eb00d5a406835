r"""The outer step: a field whose errors have the covariance B meets stations,

.. math:: x_a = x + K (y - H x) , \qquad K = B H^T (H B H^T + R)^{-1} .

It is optimal interpolation, or the Kalman filter's update, of the one thing that the method has left open. Members take
perturbed observations, :math:`x_k + K (y + \epsilon_k - H x_k)` (Burgers et al. 1998, Mon. Weather Rev. 126,
1719-1724), with perturbations that have mean zero over the members, so that their mean is the analysis of the mean.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.data.observe import Interpolation
from physlab.downscale.listening.covariance import Errors


def gain_of(error: Tensor, see: Interpolation, B: Errors) -> tuple[Tensor, Tensor]:
    """K (n, m), and the standard deviation (n,) of what is still wrong where B is the truth."""
    columns = B.columns(see)  # (n, m)
    S = see(columns.T) + torch.diag(error.square())  # H B H^T + R
    gain = torch.linalg.solve(0.5 * (S + S.T), columns.T).T
    return gain, (B.variance() - (gain * columns).sum(1)).clamp(min=0).sqrt()


def update(
    x: Tensor, y: Tensor, error: Tensor, see: Interpolation, B: Errors, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Fields after the stations.

    Parameters
    ----------
    x : (n,) one field, or (M, n) members.
    y, error : (m,) values and standard deviations of their errors, which are independent.
    see : H.
    generator : of the perturbations.

    Returns
    -------
    The corrected fields, and the standard deviation (n,) of what is still wrong where B is the truth.
    """
    gain, left = gain_of(error.double(), see, B)
    x = x.double()
    mean = x if x.ndim == 1 else x.mean(0)
    moved = mean + gain @ (y.double() - see(mean))
    if x.ndim == 1:
        return moved, left
    M = len(x)
    noise = torch.randn(M, len(y), generator=generator, dtype=torch.float64) * error.double()
    if M > 1:
        noise = (noise - noise.mean(0)) * (M / (M - 1)) ** 0.5
    else:
        noise = torch.zeros_like(noise)
    away = x - mean
    return moved + away + (noise - see(away)) @ gain.T, left
