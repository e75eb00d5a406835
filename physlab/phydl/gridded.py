"""The state of gridded data without a network: derivatives by finite differences, half-way between the times.

With dense data this is the better way to coefficients and force: a network would have to fit the data to better than
their derivatives need. With sparse or scattered data there are no differences to take, and the network is the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

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
    border : rows and columns left out on each side, where differences are one-sided; columns only if the grid is not a
        whole circle.

    Raises
    ------
    FieldError : unequal steps, values that are missing, or too small a grid.
    """
    variables = tuple(str(v) for v in ds.data_vars if v not in amounts) if variables is None else tuple(variables)
    seconds, _ = seconds_of(ds["time"].values)
    steps = np.diff(seconds)
    if len(steps) < 1 or np.ptp(steps) > 1e-6 * steps[0]:
        raise FieldError("times are not equally spaced: pass a stretch of equal steps")
    grid, domain, dt = Grid(ds["latitude"].values, ds["longitude"].values), Domain.of(ds), float(steps[0])
    fields = {}
    for name in (*variables, *amounts):
        fields[name] = torch.from_numpy(ds[name].transpose("time", "latitude", "longitude").values.astype(np.float64))
        if name in variables and not bool(torch.isfinite(fields[name]).all()):
            raise FieldError(f"{name} has missing values: fill them, or choose a region without")
    state = difference_state({v: fields[v] for v in variables}, grid, dt, domain, order, border)
    rows, columns = _inner(grid, border)
    for name in amounts:
        state.value[name] = fields[name][1:, rows, columns].flatten() / dt
        state.first[name] = state.second[name] = torch.full((3, state.value[name].numel()), torch.nan).double()
    state.points = grid_points(domain, grid.longitude[columns], grid.latitude[rows], seconds[:-1] + 0.5 * dt).double()
    return state


def _inner(grid: Grid, border: int) -> tuple[slice, slice]:
    """Rows and columns without the border; a circle of latitude has none."""
    rows = slice(border, -border) if border else slice(None)
    return rows, slice(None) if grid.periodic else rows


def difference_state(
    fields: Mapping[str, Tensor],
    grid: Grid,
    dt: float,
    domain: Domain,
    order: operators.Order = 4,
    border: int = 2,
    bend: bool = True,
) -> State:
    """The state between the times of tensors on a grid, followed by autograd, in their dtype.

    Parameters
    ----------
    fields : variable -> (..., T, H, W), SI units, times `dt` seconds apart.
    border : rows and columns left out on each side; a grid that is periodic in longitude keeps all its columns.
    bend : whether second derivatives are wanted.

    Returns
    -------
    State of (... * (T - 1) * H' * W') points; their time is zero, since no term but the latent force asks for it.

    Raises
    ------
    FieldError : too small a grid.
    """
    if min(grid.shape) < 2 * border + 5:
        raise FieldError(f"a grid of {grid.shape} is too small for differences of order {order} within the border")
    rows, columns = _inner(grid, border)
    curvature = np.tan(np.deg2rad(grid.latitude)) / grid.radius if not grid.is_plane else np.zeros(grid.shape[0])
    value, first, second = {}, {}, {}
    middle = next(iter(fields.values()))
    for name, x in fields.items():
        middle = time_mean(x)
        y = operators.ddy(middle, grid, order)
        slopes = [operators.ddx(middle, grid, order), y, time_difference(x, dt)]
        value[name] = middle[..., rows, columns].flatten()
        first[name] = torch.stack([part[..., rows, columns].flatten() for part in slopes])
        if bend:  # the two parts of the Laplacian: what second derivatives along x and y are on the tangent plane
            both = operators.laplacian(middle, grid, order) + torch.as_tensor(curvature).to(y)[:, None] * y
            flat = both[..., rows, columns].flatten()
            second[name] = torch.stack([flat, torch.zeros_like(flat), torch.full_like(flat, torch.nan)])
    shape = middle[..., rows, columns].shape
    lat = torch.tensor(grid.latitude[rows]).to(middle)[:, None].expand(shape).flatten()
    lon = torch.tensor(grid.longitude[columns]).to(middle).expand(shape).flatten()
    return State(torch.stack([lon, lat, torch.zeros_like(lat)], dim=1), domain, value, first, second)
