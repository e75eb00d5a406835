"""The state of gridded data without a network: derivatives by finite differences, half-way between the times.

With dense data this is the better way to coefficients and force: a network would have to fit the data to better than
their derivatives need. With sparse or scattered data there are no differences to take, and the network is the way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr

from physlab.equations import operators
from physlab.equations.advection import time_difference, time_mean
from physlab.errors import FieldError
from physlab.grid import Grid
from physlab.phydl.domain import Domain, grid_points, seconds_of
from physlab.phydl.library import State


def gridded_state(
    ds: xr.Dataset,
    variables: Sequence[str] | None = None,
    amounts: Sequence[str] = (),
    order: operators.Order = 4,
    border: int = 2,
) -> State:
    """All variables and derivatives at the points of a grid and the middle of each interval, float64.

    Parameters
    ----------
    ds : (time, latitude, longitude), equal steps in time.
    amounts : variables that were accumulated over the interval before each time, such as rain: they become rates, per
        second, of the interval.
    order : of the differences in space; those in time are of second order.
    border : rows and columns left out on each side, where differences are one-sided.

    Raises
    ------
    FieldError : unequal steps, values that are missing, or too small a grid.
    """
    variables = tuple(v for v in ds.data_vars if v not in amounts) if variables is None else tuple(variables)
    seconds, _ = seconds_of(ds["time"].values)
    steps = np.diff(seconds)
    if len(steps) < 1 or np.ptp(steps) > 1e-6 * steps[0]:
        raise FieldError("times are not equally spaced: pass a stretch of equal steps")
    if min(ds.sizes["latitude"], ds.sizes["longitude"]) < 2 * border + 5:
        raise FieldError(f"a grid of {dict(ds.sizes)} is too small for differences of order {order} within the border")
    grid, domain, dt = Grid(ds["latitude"].values, ds["longitude"].values), Domain.of(ds), float(steps[0])
    inner = slice(border, -border) if border else slice(None)
    value, first, second = {}, {}, {}
    curvature = torch.from_numpy(np.tan(np.deg2rad(grid.latitude)) / grid.radius)[:, None]
    for name in variables:
        x = torch.from_numpy(ds[name].transpose("time", "latitude", "longitude").values.astype(np.float64))
        if not bool(torch.isfinite(x).all()):
            raise FieldError(f"{name} has missing values: fill them, or choose a region without")
        middle = time_mean(x)
        y = operators.ddy(middle, grid, order)
        # the two parts of the Laplacian: what the second derivatives along x and y are on the tangent plane
        bend = operators.laplacian(middle, grid, order) + curvature * y
        slopes = (operators.ddx(middle, grid, order), y, time_difference(x, dt))
        value[name], *flat = (part[..., inner, inner].flatten() for part in (middle, *slopes, bend))
        first[name] = torch.stack(flat[:3])
        second[name] = torch.stack([flat[3], torch.zeros_like(flat[3]), torch.full_like(flat[3], torch.nan)])
    for name in amounts:
        x = torch.from_numpy(ds[name].transpose("time", "latitude", "longitude").values.astype(np.float64))
        value[name] = x[1:, inner, inner].flatten() / dt
        first[name] = second[name] = torch.full((3, value[name].numel()), torch.nan, dtype=torch.float64)
    points = grid_points(domain, grid.longitude[inner], grid.latitude[inner], seconds[:-1] + 0.5 * dt)
    return State(points.double(), domain, value, first, second)
