r"""Advection by the horizontal wind of a conserved c: mixing ratio, potential temperature, potential vorticity.

.. math:: \frac{\partial c}{\partial t} + u \frac{\partial c}{\partial x} + v \frac{\partial c}{\partial y} = S .
"""

from __future__ import annotations

import torch

from physlab.equations.operators import Order, ddx, ddy
from physlab.errors import PhysLabError
from physlab.grid import Grid
from physlab.registry import register


def transport(u: torch.Tensor, v: torch.Tensor, c_x: torch.Tensor, c_y: torch.Tensor) -> torch.Tensor:
    """-(u dc/dx + v dc/dy) from derivatives, any shape: the law itself, on a grid or at points."""
    return -(u * c_x + v * c_y)


def tendency(c: torch.Tensor, u: torch.Tensor, v: torch.Tensor, grid: Grid, order: Order = 2) -> torch.Tensor:
    """-(u dc/dx + v dc/dy), (..., H, W), unit of c per second.

    Parameters
    ----------
    c : (..., H, W), any unit. u, v : eastward and northward wind, m s-1, same shape.
    """
    return transport(u, v, ddx(c, grid, order), ddy(c, grid, order))


@register("advection", group="laws", title="Advection", units="unit of c s-1")
def residual(
    c: torch.Tensor,
    u: torch.Tensor,
    v: torch.Tensor,
    grid: Grid,
    dt: float,
    source: torch.Tensor | None = None,
    order: Order = 2,
) -> torch.Tensor:
    """dc/dt + u dc/dx + v dc/dy - S between consecutive times, (..., T-1, H, W), unit of c per second.

    The time derivative is the difference of two times, advection and source are the means of the two (second order in
    dt).

    Parameters
    ----------
    c, u, v : (..., T, H, W) with T >= 2 times `dt` seconds apart.
    source : S at the same times, unit of c per second, or None for zero.

    Raises
    ------
    PhysLabError : fewer than two times.
    """
    storage = time_difference(c, dt)
    total = tendency(c, u, v, grid, order)
    if source is not None:
        total = total + source
    return storage - time_mean(total)


def time_difference(c: torch.Tensor, dt: float) -> torch.Tensor:
    """(c[t+1] - c[t]) / dt of (..., T, H, W), valid mid-interval: (..., T-1, H, W), unit of c per second."""
    if c.ndim < 3 or c.shape[-3] < 2:
        raise PhysLabError(
            f"field has shape {tuple(c.shape)}: a tendency needs (..., time, H, W) with at least 2 times"
        )
    return (c[..., 1:, :, :] - c[..., :-1, :, :]) / dt


def time_mean(c: torch.Tensor) -> torch.Tensor:
    """Mean of consecutive times of (..., T, H, W): (..., T-1, H, W)."""
    return 0.5 * (c[..., 1:, :, :] + c[..., :-1, :, :])
