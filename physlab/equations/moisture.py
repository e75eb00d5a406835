r"""The water budget of the atmospheric column (Peixoto and Oort 1992, section 12.3).

.. math::
    W = \frac1g \int_0^{p_s} q \, dp, \qquad \mathbf Q = \frac1g \int_0^{p_s} q\, \mathbf u \, dp, \qquad
    \frac{\partial W}{\partial t} + \nabla\cdot\mathbf Q = E - P .

Sums over pressure levels take q and q u as piecewise linear in pressure, stop at the surface pressure inside a layer,
and continue the value of the lowest level down to the surface where the surface lies below it. Nothing is added above
the highest level.
"""

from __future__ import annotations

import torch

from physlab.constants import GRAVITY
from physlab.equations.advection import time_difference, time_mean
from physlab.equations.hydrostatic import pressures
from physlab.equations.operators import Order, divergence
from physlab.errors import PhysLabError
from physlab.grid import Grid
from physlab.registry import register


def column_integral(x: torch.Tensor, level: torch.Tensor, sp: torch.Tensor | None = None) -> torch.Tensor:
    """(1/g) times the integral of x over pressure, (..., H, W), unit of x times kg m-2.

    Parameters
    ----------
    x : (..., L, H, W) on pressure levels, in either order.
    level : (L,) pressure in Pa (not hPa), strictly rising or falling.
    sp : (..., H, W) surface pressure, Pa; None integrates from the highest to the lowest level only.

    Raises
    ------
    PhysLabError : levels that do not fit the field, are not monotonic, or look like hPa.
    """
    p = pressures(level, x)
    if p.max() < 2000.0:
        raise PhysLabError(f"levels reach {float(p.max()):g} Pa only: pass pressures in Pa (hPa times 100)")
    if p[0] > p[-1]:
        p, x = p.flip(0), x.flip(-3)
    if not bool((p[1:] > p[:-1]).all()):
        raise PhysLabError("pressure levels must rise or fall strictly: sort the data set by level")
    p = p[:, None, None]
    thickness = p[1:] - p[:-1]
    upper, lower = x[..., :-1, :, :], x[..., 1:, :, :]
    if sp is None:
        return (0.5 * (upper + lower) * thickness).sum(-3) / GRAVITY
    surface = sp.to(x).unsqueeze(-3)
    fraction = ((surface - p[:-1]) / thickness).clamp(0.0, 1.0)  # part of each layer that lies above the ground
    at_bottom = upper + fraction * (lower - upper)
    total = (0.5 * (upper + at_bottom) * fraction * thickness).sum(-3)
    below = (sp.to(x) - p[-1]).clamp_min(0.0) * x[..., -1, :, :]
    return (total + below) / GRAVITY


def column_water(q: torch.Tensor, level: torch.Tensor, sp: torch.Tensor | None = None) -> torch.Tensor:
    """Column water vapour W, (..., H, W), kg m-2, of specific humidity q, (..., L, H, W), kg kg-1."""
    return column_integral(q, level, sp)


def column_flux(
    q: torch.Tensor, u: torch.Tensor, v: torch.Tensor, level: torch.Tensor, sp: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eastward and northward column flux of water vapour, (..., H, W) each, kg m-1 s-1; q, u, v are (..., L, H, W)."""
    return column_integral(q * u, level, sp), column_integral(q * v, level, sp)


def budget(
    tcw: torch.Tensor,
    ivt_u: torch.Tensor,
    ivt_v: torch.Tensor,
    e: torch.Tensor,
    p: torch.Tensor,
    grid: Grid,
    dt: float,
    order: Order = 2,
) -> dict[str, torch.Tensor]:
    """The terms of the water budget over each interval, (..., T-1, H, W), kg m-2 s-1.

    Parameters
    ----------
    tcw, ivt_u, ivt_v : (..., T, H, W), kg m-2 and kg m-1 s-1, at times `dt` seconds apart.
    e, p : (..., T, H, W) evaporation (positive upward) and precipitation, kg m-2, accumulated over the interval
        *before* each time (the first one is not used).

    Returns
    -------
    storage dW/dt, divergence div Q (mean of the two times), evaporation E, precipitation P.
    """
    return {
        "storage": time_difference(tcw, dt),
        "divergence": time_mean(divergence(ivt_u, ivt_v, grid, order)),
        "evaporation": e[..., 1:, :, :] / dt,
        "precipitation": p[..., 1:, :, :] / dt,
    }


@register("moisture", group="laws", title="Budget of column water", units="kg m-2 s-1")
def residual(
    tcw: torch.Tensor,
    ivt_u: torch.Tensor,
    ivt_v: torch.Tensor,
    e: torch.Tensor,
    p: torch.Tensor,
    grid: Grid,
    dt: float,
    order: Order = 2,
) -> torch.Tensor:
    """dW/dt + div Q - (E - P) over each interval, (..., T-1, H, W), kg m-2 s-1; parameters as in :func:`budget`."""
    terms = budget(tcw, ivt_u, ivt_v, e, p, grid, dt, order)
    return terms["storage"] + terms["divergence"] - (terms["evaporation"] - terms["precipitation"])
