r"""Horizontal momentum on a pressure surface (Holton and Hakim 2013, section 2.3), without its vertical advection.

.. math::
    \frac{\partial u}{\partial t} &= -\mathbf u\cdot\nabla u + \frac{u v \tan\varphi}{a} + f v
                                     - \frac{\partial \Phi}{\partial x} + F_u \\
    \frac{\partial v}{\partial t} &= -\mathbf u\cdot\nabla v - \frac{u^2 \tan\varphi}{a} - f u
                                     - \frac{\partial \Phi}{\partial y} + F_v

with the geopotential :math:`\Phi` (m2 s-2). What is left, F, is vertical advection, friction and the rest.
"""

from __future__ import annotations

import numpy as np
import torch

from physlab.equations.advection import time_difference, time_mean, transport
from physlab.equations.operators import Order, ddx, ddy
from physlab.grid import Grid
from physlab.registry import register


def terms(
    wind: tuple[torch.Tensor, torch.Tensor],
    slopes: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
    pressure: tuple[torch.Tensor, torch.Tensor],
    f: torch.Tensor | float,
    curvature: torch.Tensor | float,
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The terms of both equations from derivatives, at points or on a grid, m s-2.

    Parameters
    ----------
    wind : u, v.  slopes : u_x, u_y, v_x, v_y.  pressure : eastward and northward derivative of the geopotential.
    f : Coriolis parameter, s-1.  curvature : tan(latitude) / a, m-1; zero on a plane.

    Returns
    -------
    advection, curvature, coriolis, pressure -> (eastward, northward).
    """
    (u, v), (u_x, u_y, v_x, v_y) = wind, slopes
    return {
        "advection": (transport(u, v, u_x, u_y), transport(u, v, v_x, v_y)),
        "curvature": (curvature * u * v, -curvature * u * u),
        "coriolis": (f * v, -f * u),
        "pressure": (-pressure[0], -pressure[1]),
    }


def tendency(
    u: torch.Tensor, v: torch.Tensor, z: torch.Tensor, grid: Grid, order: Order = 2
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the terms, (..., H, W) each, m s-2.

    Parameters
    ----------
    u, v : (..., H, W), m s-1.  z : geopotential, m2 s-2, same shape.
    """
    curvature = np.zeros(grid.shape[0]) if grid.is_plane else np.tan(np.deg2rad(grid.latitude)) / grid.radius
    rows = [torch.as_tensor(np.asarray(row), dtype=u.dtype, device=u.device).reshape(-1, 1)
            for row in (grid.coriolis, curvature)]  # fmt: skip
    slopes = (ddx(u, grid, order), ddy(u, grid, order), ddx(v, grid, order), ddy(v, grid, order))
    found = terms((u, v), slopes, (ddx(z, grid, order), ddy(z, grid, order)), *rows)
    east, north = zip(*found.values(), strict=True)
    return sum(east), sum(north)


@register("momentum", group="laws", title="Momentum", units="m s-2")
def residual(
    u: torch.Tensor, v: torch.Tensor, z: torch.Tensor, grid: Grid, dt: float, order: Order = 2
) -> tuple[torch.Tensor, torch.Tensor]:
    """du/dt and dv/dt minus :func:`tendency` between consecutive times, (..., T-1, H, W) each, m s-2.

    Parameters
    ----------
    u, v, z : (..., T, H, W) with T >= 2 times `dt` seconds apart.
    """
    east, north = tendency(u, v, z, grid, order)
    return time_difference(u, dt) - time_mean(east), time_difference(v, dt) - time_mean(north)
