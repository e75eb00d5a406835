r"""Derivatives on the sphere and on the plane: d/dx, d/dy, gradient, divergence, curl, Laplacian.

With longitude :math:`\lambda`, latitude :math:`\varphi` and radius a (Vallis 2017, section 2.2):

.. math::
    \partial_x f &= \frac{1}{a\cos\varphi} \partial_\lambda f, \qquad \partial_y f = \frac1a \partial_\varphi f \\
    \nabla\cdot\mathbf u &= \partial_x u + \partial_y v - \frac{v \tan\varphi}{a}, \qquad
    \zeta = \partial_x v - \partial_y u + \frac{u \tan\varphi}{a} \\
    \nabla^2 f &= \frac{\partial_\lambda^2 f}{a^2\cos^2\varphi} + \frac{\partial_\varphi^2 f}{a^2}
                  - \frac{\tan\varphi}{a^2} \partial_\varphi f

On a plane grid the metric terms vanish. All take (..., H, W) tensors and a :class:`~physlab.grid.Grid`, return the
same shape in SI units (unit of the field per metre), in the dtype and on the device of the input, and are
differentiable by autograd.

`order` is 2, 4 or "spectral". Borders of a bounded field use one-sided differences of the same order; "spectral"
needs a periodic direction: both on a periodic plane, longitude on whole latitude circles (there latitude uses
fourth-order differences). A row exactly at a pole has no east: results that need it are NaN there (with zero, not
NaN, gradients).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from physlab.equations import stencils
from physlab.errors import PhysLabError
from physlab.grid import Grid

Order = Literal[2, 4, "spectral"]


def _check(f: torch.Tensor, grid: Grid, order: Order) -> None:
    if order not in (2, 4, "spectral"):
        raise PhysLabError(f"order {order!r} is not known: pass 2, 4 or 'spectral'")
    if tuple(f.shape[-2:]) != grid.shape:
        raise PhysLabError(
            f"field of shape {tuple(f.shape)} does not fit the grid {grid.shape}: pass (..., H, W) on this grid"
        )
    if order == "spectral" and not grid.periodic:
        raise PhysLabError(
            "spectral derivatives need a periodic grid (whole latitude circles or a periodic plane): pass order=2 or 4"
        )


def _along_x(f: torch.Tensor, grid: Grid, derivative: int, order: Order) -> torch.Tensor:
    """Derivative with respect to longitude in radians (sphere) or metres (plane)."""
    step = grid.dlon if grid.is_plane else float(np.deg2rad(grid.dlon))
    if order == "spectral":
        return stencils.spectral(f, step, -1, derivative)
    if grid.periodic:
        return stencils.wrapped(f, step, -1, derivative, order)
    return stencils.bounded(f, step * np.arange(grid.shape[1]), -1, derivative, order)


def _along_y(f: torch.Tensor, grid: Grid, derivative: int, order: Order) -> torch.Tensor:
    """Derivative with respect to latitude in radians (sphere) or metres (plane), right for either order of the rows."""
    if grid.is_plane:
        step = float(grid.latitude[1] - grid.latitude[0])
        if order == "spectral":
            return stencils.spectral(f, step, -2, derivative)
        if grid.periodic:
            return stencils.wrapped(f, step, -2, derivative, order)
        return stencils.bounded(f, grid.latitude, -2, derivative, order)
    return stencils.bounded(f, np.deg2rad(grid.latitude), -2, derivative, 4 if order == "spectral" else order)


def _row(values: np.ndarray, f: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(values, dtype=f.dtype, device=f.device)[:, None]


def _at_poles(grid: Grid) -> np.ndarray:
    return np.abs(np.abs(grid.latitude) - 90.0) < 1e-6


def _inverse_cosine(grid: Grid) -> np.ndarray:
    """1 / cos(lat), and zero at a pole."""
    cosine = np.cos(np.deg2rad(grid.latitude))
    return np.where(_at_poles(grid), 0.0, 1.0 / np.where(_at_poles(grid), 1.0, cosine))


def _tangent(grid: Grid) -> np.ndarray:
    return np.sin(np.deg2rad(grid.latitude)) * _inverse_cosine(grid)


def _undefined_at_poles(f: torch.Tensor, grid: Grid) -> torch.Tensor:
    poles = _at_poles(grid)
    if grid.is_plane or not poles.any():
        return f
    return torch.where(torch.as_tensor(poles, device=f.device)[:, None], torch.full_like(f, torch.nan), f)


def _ddx(f: torch.Tensor, grid: Grid, order: Order) -> torch.Tensor:
    derivative = _along_x(f, grid, 1, order)
    return derivative if grid.is_plane else derivative * _row(_inverse_cosine(grid) / grid.radius, f)


def ddx(f: torch.Tensor, grid: Grid, order: Order = 2) -> torch.Tensor:
    """Eastward derivative of (..., H, W), per metre; NaN in a row at a pole."""
    _check(f, grid, order)
    return _undefined_at_poles(_ddx(f, grid, order), grid)


def ddy(f: torch.Tensor, grid: Grid, order: Order = 2) -> torch.Tensor:
    """Northward derivative of (..., H, W), per metre, whichever way the rows run."""
    _check(f, grid, order)
    derivative = _along_y(f, grid, 1, order)
    return derivative if grid.is_plane else derivative / grid.radius


def gradient(f: torch.Tensor, grid: Grid, order: Order = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """(df/dx, df/dy) of (..., H, W), per metre."""
    return ddx(f, grid, order), ddy(f, grid, order)


def divergence(u: torch.Tensor, v: torch.Tensor, grid: Grid, order: Order = 2) -> torch.Tensor:
    """Horizontal divergence of the vector (u, v), each (..., H, W), unit of u per metre; NaN in a row at a pole."""
    _check(u, grid, order)
    result = _ddx(u, grid, order) + ddy(v, grid, order)
    if not grid.is_plane:
        result = result - v * _row(_tangent(grid) / grid.radius, v)
    return _undefined_at_poles(result, grid)


def curl(u: torch.Tensor, v: torch.Tensor, grid: Grid, order: Order = 2) -> torch.Tensor:
    """Vertical vorticity of the vector (u, v), each (..., H, W), unit of u per metre; NaN in a row at a pole."""
    _check(v, grid, order)
    result = _ddx(v, grid, order) - ddy(u, grid, order)
    if not grid.is_plane:
        result = result + u * _row(_tangent(grid) / grid.radius, u)
    return _undefined_at_poles(result, grid)


def laplacian(f: torch.Tensor, grid: Grid, order: Order = 2) -> torch.Tensor:
    """Horizontal Laplacian of (..., H, W), unit of f per square metre; NaN in a row at a pole."""
    _check(f, grid, order)
    zonal, meridional = _along_x(f, grid, 2, order), _along_y(f, grid, 2, order)
    if grid.is_plane:
        return zonal + meridional
    result = (
        zonal * _row(_inverse_cosine(grid) ** 2, f) + meridional - _along_y(f, grid, 1, order) * _row(_tangent(grid), f)
    )
    return _undefined_at_poles(result / grid.radius**2, grid)
