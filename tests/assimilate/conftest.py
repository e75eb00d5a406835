"""A linear Gaussian problem with batch dimensions, and its answer by the Kalman formulas; the states of a small twin
experiment."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
import xarray as xr
from torch import Tensor

from physlab.assimilate import StateSpace


class Problem(NamedTuple):
    """Ensemble (N, n) or (2, N, n), observations, and what the Kalman filter makes of the ensemble's moments."""

    ensemble: Tensor
    y: Tensor
    H: Tensor
    R: Tensor
    mean: Tensor
    covariance: Tensor


def normal(seed: int, *shape: int, dtype=torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def positive(seed: int, n: int) -> Tensor:
    """A covariance (n, n) with correlations, eigenvalues between about 0.1 and n."""
    root = normal(seed, n, n)
    return root @ root.mT / n + 0.1 * torch.eye(n, dtype=torch.float64)


def kalman(mean: Tensor, P: Tensor, y: Tensor, H: Tensor, R: Tensor) -> tuple[Tensor, Tensor]:
    """In information form, so that it shares no formula with the methods: A = (P^-1 + H^T R^-1 H)^-1."""
    precision = torch.linalg.inv(R)
    A = torch.linalg.inv(torch.linalg.inv(P) + H.mT @ precision @ H)
    gradient = H.mT @ precision @ (y - (H @ mean[..., None])[..., 0])[..., None]
    return mean + (A @ gradient)[..., 0], A


def moments(ensemble: Tensor) -> tuple[Tensor, Tensor]:
    mean = ensemble.mean(-2)
    X = ensemble - mean[..., None, :]
    return mean, X.mT @ X / (ensemble.shape[-2] - 1)


@pytest.fixture(params=["one", "batch"])
def problem(request: pytest.FixtureRequest) -> Problem:
    """N = 9 members of n = 5 numbers, m = 3 observations with correlated errors."""
    batch = () if request.param == "one" else (2,)
    ensemble = normal(0, *batch, 9, 5) @ normal(1, 5, 5) + normal(2, *batch, 1, 5)
    y, H, R = normal(3, *batch, 3), normal(4, 3, 5), positive(5, 3)
    return Problem(ensemble, y, H, R, *kalman(*moments(ensemble), y, H, R))


@pytest.fixture(scope="module")
def pairs(twin) -> tuple[xr.Dataset, xr.Dataset]:
    """Truths and backgrounds of the small twin experiment."""
    return twin.pairs()


@pytest.fixture(scope="module")
def space(pairs) -> StateSpace:
    return StateSpace.of(*pairs)
