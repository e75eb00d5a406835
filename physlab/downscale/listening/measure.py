"""How large the errors of a method are, and over which distance they are alike: measured on fields whose truth is
known, or read off what the stations say beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.data.observe import Interpolation, table
from physlab.downscale.base import Downscaler
from physlab.downscale.listening.covariance import Blocks, Errors, Sampled, Stationary, Together
from physlab.errors import FieldError
from physlab.fields import standardise
from physlab.grid import Grid, coarsen

MOST = 240
"""Samples of errors that are kept; of more, so many that lie evenly."""
RADII = (3.0, 6.0, 12.0, None)
"""Radii of localisation that are tried, in coarse cells; None is everywhere."""
SHARES = (0.0, 0.3)
"""Shares of the stationary covariance that are tried beside the samples."""
LENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Correlation lengths that are tried, in coarse cells."""
INSIDE = (0.25, 0.5, 1.0)
"""The same where block means are kept: what is longer was seen by the method already."""
FACTORS = (0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 6.0, 9.0, 14.0)
"""Of a covariance that was measured, tried on what stations say of each other."""
LEAST = 10
"""Observations without which the size of a measured covariance is believed."""
SIZES = (0.4, 0.6, 0.8, 1.0, 1.25, 1.6, 2.0)
"""Standard deviations that are tried, in units of that of the innovations."""


def measured(method: Downscaler, truth: xr.Dataset, variable: str | None = None, error: float = 0.1,
             statics: xr.Dataset | None = None, seed: int = 0) -> Errors:  # fmt: skip
    """The covariance of a method's errors on fine fields of the same grid and other times than those to be refined.

    Parameters
    ----------
    truth : (time, latitude, longitude), with all that the method needs; coarsened here by block means. Take times that
        the method was not trained on: on others its errors look too small.
    variable : what is refined; None for that of the method, or the only one.
    error : of the stations, in units of the method's error, for which the localisation is chosen.
    statics, seed : see :meth:`physlab.downscale.base.Downscaler.downscale`.

    Raises
    ------
    FieldError : fewer than four times, or no such variable.
    """
    truth = standardise(truth)
    name = variable or getattr(method, "variable", None) or str(next(iter(truth.data_vars)))
    if name not in truth or "time" not in truth[name].dims or truth.sizes["time"] < 4:
        raise FieldError(
            f"errors of {name} are measured on at least 4 times of it: pass fields (time, latitude, longitude)"
        )
    n = method.factor
    truth = truth.isel({d: slice(truth.sizes[d] // n * n) for d in ("latitude", "longitude")})
    truth = truth.isel(time=spaced(truth.sizes["time"], MOST))
    made = method.downscale(coarsened(truth, n), statics=statics, seed=seed)[name]
    made = made.mean("member") if "member" in made.dims else made
    order = ("time", "latitude", "longitude")
    errors = truth[name].transpose(*order).values.astype(np.float64) - made.transpose(*order).values
    return tuned(torch.from_numpy(errors), Grid.from_dataset(truth), n, error, seed=seed)


def coarsened(ds: xr.Dataset, factor: int) -> xr.Dataset:
    """Area-weighted block means of all variables on (..., latitude, longitude)."""
    grid = Grid.from_dataset(ds)
    weights, low = grid.row_weights, grid.coarsen(factor)
    made: dict = {}
    for name, da in ds.data_vars.items():
        if {"latitude", "longitude"} <= set(da.dims):
            da = da.transpose(..., "latitude", "longitude")
            mean = coarsen(torch.from_numpy(np.asarray(da.values, dtype=np.float64)), factor, weights)
            made[name] = (da.dims, mean.numpy(), da.attrs)
    coords: dict = {"latitude": ("latitude", low.latitude, ds["latitude"].attrs),
              "longitude": ("longitude", low.longitude, ds["longitude"].attrs)}  # fmt: skip
    coords |= {"time": ds["time"]} if "time" in ds.coords else {}
    return xr.Dataset(made, coords)


def tuned(errors: Tensor, grid: Grid, factor: int, error: float = 0.1, stations: int = 20, seed: int = 0) -> Errors:
    """The covariance of errors (K, H, W), with the localisation and the share of a stationary part that do best.

    The first two thirds of the errors make each candidate; on some of the others networks of stations, drawn at
    random, correct what they can, and the least error everywhere wins. All errors make the covariance that is given.

    Parameters
    ----------
    error : of the stations, in units of the errors.  stations : of a network.
    """
    K, blocks = len(errors), Blocks(grid, factor)
    flat = errors.double().flatten(-2)
    late = flat[2 * K // 3 :]
    late = late[spaced(len(late), 16)]
    draw = np.random.default_rng(seed)
    std = float(flat.square().mean().sqrt())
    like = blank(grid)
    networks = [Interpolation(network(grid, stations, draw), like) for _ in range(2)]
    noise = torch.from_numpy(error * std * draw.standard_normal((2, len(late), stations)))

    def loss(B: Errors) -> float:
        total = 0.0
        for see, eps in zip(networks, noise, strict=True):
            columns = B.columns(see)
            S = see(columns.T) + torch.eye(stations, dtype=torch.float64) * (error * std) ** 2
            gain = torch.linalg.solve(S, columns.T).T
            total += float((late - (see(late) + eps) @ gain.T).square().mean())
        return total

    found = {}
    for radius in RADII:
        for share in SHARES:
            found[radius, share] = loss(combined(flat[: 2 * K // 3], grid, blocks, radius, share))
    radius, share = min(found, key=lambda key: found[key])
    return combined(flat, grid, blocks, radius, share)


def combined(flat: Tensor, grid: Grid, blocks: Blocks, radius: float | None, share: float) -> Errors:
    """Samples (K, n) with a localisation of so many coarse cells, and a share of a stationary covariance as large."""
    sampled = Sampled(flat, blocks, None if radius is None else radius * blocks.size)
    if share == 0:
        return Together([(1.0, sampled)])
    conserve = bool(flat.abs().max() > 0) and float(coarse_part(flat, blocks)) < 1e-3
    raw = Stationary(sampled.variance().sqrt(), blocks.size, grid, blocks, conserve)
    size = float(sampled.variance().sum() / raw.variance().sum())
    return Together([(1.0 - share, sampled), (share * size, raw)])


def coarse_part(flat: Tensor, blocks: Blocks) -> Tensor:
    """Share of block means in the variance of errors (K, n)."""
    return 1 - blocks.detail(flat).square().sum() / flat.square().sum()


def fitted(x: Tensor, tables: Sequence[xr.Dataset | None], fine: xr.Dataset, blocks: Blocks, conserve: bool) -> Errors:
    """A stationary covariance, its size and length those under which the innovations are the most likely.

    Parameters
    ----------
    x : (T, H, W) fields of the method.  tables : observations of each time.  fine : for the grid.
    """
    grid, parts = Grid.from_dataset(fine), innovations(x, tables, fine)
    rough = torch.cat([d for _, d, _ in parts])
    middle = rough.median()  # wrong observations are for the background check, which comes later
    size = max(float(1.4826 * (rough - middle).abs().median()), float(torch.cat([r for *_, r in parts]).mean().sqrt()))
    best, chosen = -np.inf, (size, 2.0)
    for length in INSIDE if conserve else LENGTHS:
        unit = Stationary(1.0, length * blocks.size, grid, blocks, conserve)
        seen = {id(see): see(unit.columns(see).T) for see, *_ in parts}
        scale = float(torch.cat([s.diagonal() for s in seen.values()]).mean().clamp(min=1e-6).sqrt())
        for share in SIZES:
            std, total = size * share / scale, 0.0
            for see, d, R in parts:
                S = std**2 * seen[id(see)] + torch.diag(R)
                root = torch.linalg.cholesky(0.5 * (S + S.T))
                white = torch.linalg.solve_triangular(root, d[:, None], upper=False)[:, 0].clamp(-5, 5)
                total -= float(root.diagonal().log().sum() + 0.5 * white.square().sum())
            if total > best:
                best, chosen = total, (std, length)
    std, length = chosen
    return Stationary(std, length * blocks.size, grid, blocks, conserve)


def sized(B: Errors, x: Tensor, tables: Sequence[xr.Dataset | None], fine: xr.Dataset) -> Errors:
    r"""The same covariance times the number under which each station is the most likely, given the others of its time.

    Errors of other days may be smaller or larger than those of today, and a covariance of few samples believes too much
    of what it has seen: both show where one station is predicted from the rest,
    :math:`y_i - \hat y_i = (S^{-1} d)_i / (S^{-1})_{ii}` with variance :math:`1 / (S^{-1})_{ii}`.

    Parameters
    ----------
    x : (T, H, W) fields of the method.  tables : observations of each time.  fine : for the grid.
    """
    parts = innovations(x, tables, fine)
    if sum(len(d) for _, d, _ in parts) < LEAST:
        return B
    seen = {id(see): see(B.columns(see).T) for see, *_ in parts}
    best, chosen = -np.inf, 1.0
    for factor in FACTORS:
        inverse: dict[tuple[int, bytes], Tensor] = {}
        total = 0.0
        for see, d, R in parts:
            key = (id(see), R.numpy().tobytes())
            if key not in inverse:
                S = factor * seen[id(see)] + torch.diag(R)
                inverse[key] = torch.linalg.inv(0.5 * (S + S.T))
            precision = inverse[key].diagonal()
            white = (inverse[key] @ d / precision.sqrt()).clamp(-5, 5)
            total += float(0.5 * precision.log().sum() - 0.5 * white.square().sum())
        if total > best:
            best, chosen = total, factor
    return Together([(chosen, B)])


def innovations(
    x: Tensor, tables: Sequence[xr.Dataset | None], fine: xr.Dataset
) -> list[tuple[Interpolation, Tensor, Tensor]]:
    """H, what is observed beyond the fields, and error variances, of at most so many times, evenly."""
    like = blank(Grid.from_dataset(fine), str(next(iter(fine.data_vars))))
    at = [t for t, found in enumerate(tables) if found is not None]
    parts = []
    same: dict[tuple[bytes, bytes], Interpolation] = {}
    for t in [at[k] for k in spaced(len(at), 24)]:
        found = tables[t]
        assert found is not None
        key = (found["latitude"].values.tobytes(), found["longitude"].values.tobytes())
        see = same.setdefault(key, Interpolation(found, like))
        d = torch.tensor(found["value"].values, dtype=torch.float64) - see(x[t].flatten())
        parts.append((see, d, torch.tensor(found["error"].values, dtype=torch.float64).square()))
    return parts


def network(grid: Grid, count: int, draw: np.random.Generator, name: str = "field") -> xr.Dataset:
    """Places drawn evenly over a grid, as a table without values."""
    south, north = (float(np.sin(np.deg2rad(edge))) for edge in (grid.latitude.min(), grid.latitude.max()))
    lat = np.rad2deg(np.arcsin(draw.uniform(south, north, count)))
    lon = draw.uniform(grid.longitude.min(), grid.longitude.max(), count)
    return table([name] * count, [np.nan] * count, lat, lon, np.zeros(count), np.ones(count))


def blank(grid: Grid, name: str = "field") -> xr.Dataset:
    """A field of zeros on a grid, for observation operators."""
    return xr.Dataset({name: (("latitude", "longitude"), np.zeros(grid.shape))},
                      {"latitude": grid.latitude, "longitude": grid.longitude})  # fmt: skip


def spaced(count: int, most: int) -> list[int]:
    """At most so many indices, evenly."""
    return sorted({int(k) for k in np.linspace(0, count - 1, min(count, most)).round()})
