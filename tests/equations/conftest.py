"""Fields on the sphere whose derivatives are known in closed form, and readers of the real files."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.grid import Grid

AXES = (np.array([1.0, 0.7, -0.5]), np.array([-0.6, 0.9, 0.8]))


@dataclass
class Sphere:
    """f = exp(k . X) with X on the unit sphere, for two axes k; (u, v) = grad f1 + rotated grad f2, so div = lap f1,
    curl = lap f2.
    """

    grid: Grid
    f: torch.Tensor
    fx: torch.Tensor
    fy: torch.Tensor
    laplacian: torch.Tensor
    u: torch.Tensor
    v: torch.Tensor
    curl: torch.Tensor


def sphere_fields(latitude: np.ndarray, longitude: np.ndarray) -> Sphere:
    """The fields and their exact derivatives on a grid (double)."""
    grid = Grid(latitude, longitude)
    lat, lon = np.meshgrid(np.deg2rad(latitude), np.deg2rad(longitude), indexing="ij")
    place = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    east = np.stack([-np.sin(lon), np.cos(lon), 0 * lon])
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])

    def one(k):
        f = np.exp(np.tensordot(k, place, 1))
        fx, fy = (f * np.tensordot(k, e, 1) / grid.radius for e in (east, north))
        along = np.tensordot(k, place, 1)
        return f, fx, fy, (k @ k - along**2 - 2 * along) * f / grid.radius**2

    f, fx, fy, lap = one(AXES[0])
    _, gx, gy, lap2 = one(AXES[1])
    return Sphere(grid, *(torch.tensor(a) for a in (f, fx, fy, lap, fx - gy, fy + gx, lap2)))


def latitudes(kind: str, n: int) -> np.ndarray:
    """Latitudes of a global grid: n cell centres, n Gaussian (falling or rising), or n + 1 rows with the poles."""
    if kind == "gaussian":
        return np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(n)[0]))
    if kind == "gaussian falling":
        return latitudes("gaussian", n)[::-1].copy()
    if kind == "cells":
        return -90 + 180 / n * (np.arange(n) + 0.5)
    return np.linspace(90, -90, n + 1)


def orders(errors: list[float]) -> float:
    """Convergence order from the last two of a series of errors, the resolution doubling each time."""
    return float(np.log2(errors[-2] / errors[-1]))


def correlation(a: torch.Tensor, b: torch.Tensor) -> tuple[float, float]:
    """Correlation and RMS difference over the points where both are finite."""
    good = torch.isfinite(a) & torch.isfinite(b)
    a, b = a[good], b[good]
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1]), float((a - b).square().mean().sqrt())


def double(da: xr.DataArray) -> torch.Tensor:
    """A DataArray as a double tensor."""
    return torch.tensor(np.asarray(da.values, dtype=np.float64))


@pytest.fixture(scope="session")
def tools():
    """The helpers above (test modules cannot import a conftest)."""

    class Tools:
        fields = staticmethod(sphere_fields)
        latitudes = staticmethod(latitudes)
        order = staticmethod(orders)
        correlation = staticmethod(correlation)
        double = staticmethod(double)

    return Tools
