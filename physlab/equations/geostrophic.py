r"""Geostrophic balance of wind and geopotential on a pressure level (Holton and Hakim 2013, eq. 2.23).

.. math:: f u_g = -\frac{\partial \Phi}{\partial y}, \qquad f v_g = \frac{\partial \Phi}{\partial x} .

The wind is undefined where f vanishes; the residual, an acceleration, is defined everywhere and therefore the better
penalty.
"""

from __future__ import annotations

import torch

from physlab.equations.operators import Order, ddx, ddy
from physlab.grid import Grid
from physlab.registry import register


def _coriolis(z: torch.Tensor, grid: Grid, coriolis: float | None) -> torch.Tensor:
    if coriolis is not None:
        return torch.as_tensor(coriolis, dtype=z.dtype, device=z.device)
    return torch.as_tensor(grid.coriolis, dtype=z.dtype, device=z.device)


def wind(
    z: torch.Tensor, grid: Grid, order: Order = 2, min_latitude: float = 25.0, coriolis: float | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Geostrophic wind (u_g, v_g), (..., H, W) each, m s-1.

    Parameters
    ----------
    z : (..., H, W) geopotential, m2 s-2.
    min_latitude : rows equatorward of it are NaN, degrees; not used with `coriolis`.
    coriolis : a constant f in s-1 (f-plane) instead of that of the grid.
    """
    f = _coriolis(z, grid, coriolis)
    if coriolis is None:
        keep = torch.as_tensor(abs(grid.latitude) >= min_latitude, device=z.device)[:, None] & (f != 0)
        f = torch.where(keep, f, torch.ones_like(f))
    u, v = -ddy(z, grid, order) / f, ddx(z, grid, order) / f
    if coriolis is None:
        u, v = (torch.where(keep, x, torch.full_like(x, torch.nan)) for x in (u, v))
    return u, v


@register(
    "geostrophic",
    group="laws",
    title="Geostrophic balance",
    units="m s-2",
    reference="Holton and Hakim (2013), eq. 2.23",
)
def residual(
    u: torch.Tensor, v: torch.Tensor, z: torch.Tensor, grid: Grid, order: Order = 2, coriolis: float | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Geostrophic imbalance (f v - dPhi/dx, -f u - dPhi/dy), (..., H, W) each, m s-2: the net force per mass.

    Parameters
    ----------
    u, v : (..., H, W) wind, m s-1. z : same shape, geopotential, m2 s-2. Others as in :func:`wind`.
    """
    f = _coriolis(z, grid, coriolis)
    return f * v - ddx(z, grid, order), -f * u - ddy(z, grid, order)
