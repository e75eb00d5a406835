r"""Observations: numbers with a place, a variable and an error, and what a field would show there.

A table of observations is a Dataset with one dimension, `observation`, and the variables

    variable, level     which field: its short name and pressure level (hPa; NaN where the field has no levels)
    latitude, longitude degrees north and east
    value, error        in the unit of the variable; the error is a standard deviation

and, where they are known, `time` (UTC), `elevation` (m) and `station`, `units` of value and error, and the `line` of
a file.

:func:`observe` takes columns out of a state, as the stations of a twin experiment; :func:`read_stations` reads a file.
:class:`Interpolation` is the observation operator H, bilinear between the four grid points around a station.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from physlab.cf import VARIABLES
from physlab.data.stations.read import read_stations as read_stations
from physlab.data.stations.table import COLUMNS, table
from physlab.errors import FieldError, PhysLabError
from physlab.grid import Grid


def fields_of(state: xr.Dataset) -> list[tuple[str, float]]:
    """(variable, level) of each 2-D field, in the order of :func:`physlab.fields.to_tensor`; NaN without levels."""
    found = []
    for name, da in state.data_vars.items():
        levels = da["level"].values if "level" in da.dims else [np.nan]
        found += [(str(name), float(level)) for level in np.atleast_1d(levels)]
    return found


def observe(
    state: xr.Dataset,
    share: float = 0.02,
    error: float | Mapping[str, float] = 0.05,
    seed: int = 0,
    noise: bool = True,
    variables: Sequence[str] | None = None,
) -> xr.Dataset:
    """Random whole columns of a state, at grid points (all variables and levels of each).

    Parameters
    ----------
    state : (level, latitude, longitude), one time, no members.
    share : of the grid points, in (0, 1]; drawn by area, so that the poles are not crowded.
    error : standard deviation of each variable in its unit, or one number: in standard deviations of each field.
    noise : whether the values have that error, or are exact (the error is then only what the analysis is told).
    variables : those observed; None for all.

    Raises
    ------
    FieldError : members or several times in the state, or a variable that is not there.
    PhysLabError : share outside (0, 1], or an error that is not positive.
    """
    if not 0 < share <= 1:
        raise PhysLabError(f"share is {share}: pass a part of the grid points in (0, 1], such as 0.02")
    extra = [str(d) for d in state.dims if d not in ("level", "latitude", "longitude") and state.sizes[d] > 1]
    if extra:
        raise FieldError(f"the state has {', '.join(extra)}: select one, e.g. with .isel({extra[0]}=0)")
    state = state.squeeze([d for d in state.dims if d not in ("level", "latitude", "longitude")], drop=True)
    names = [str(v) for v in (state.data_vars if variables is None else variables)]
    missing = [v for v in names if v not in state]
    if missing:
        raise FieldError(f"no variable {', '.join(missing)}: the state has {', '.join(map(str, state.data_vars))}")
    grid, rng = Grid.from_dataset(state), np.random.default_rng(seed)
    weights = grid.cell_area.ravel() / grid.cell_area.sum()
    at = np.sort(rng.choice(weights.size, max(1, round(share * weights.size)), replace=False, p=weights))
    rows, columns = np.unravel_index(at, grid.shape)
    parts = []
    for name, level in fields_of(state[names]):
        field = state[name] if np.isnan(level) else state[name].sel(level=level)
        values = field.transpose("latitude", "longitude").values.astype(float)
        std = error.get(name, np.nan) if isinstance(error, Mapping) else error * values.std()
        if not std > 0:
            raise PhysLabError(f"error of {name} is {std}: pass a standard deviation above 0 for each variable")
        value = values[rows, columns] + (std * rng.standard_normal(len(at)) if noise else 0.0)
        parts.append(table([name] * len(at), [level] * len(at), grid.latitude[rows], grid.longitude[columns], value,
                           [std] * len(at)))  # fmt: skip
    return xr.concat(parts, "observation")


def check_table(observations: xr.Dataset) -> None:
    """Refuse what is no table of observations.

    Raises
    ------
    FieldError : naming the columns that it lacks.
    """
    absent = [c for c in COLUMNS if c not in observations]
    if absent or observations["value"].ndim != 1:
        raise FieldError(
            f"observations lack {', '.join(absent) or 'one dimension'}: make them by physlab.data.observe or "
            "read_stations"
        )


def checked(observations: xr.Dataset, state: xr.Dataset) -> xr.Dataset:
    """Observations that the state can be compared with.

    Missing values (NaN) are left out; observations of the same field at the same place become one, weighted by their
    inverse error variances, with the error of that mean, unless their times differ. The attributes `missing` and
    `merged` count them.

    Raises
    ------
    FieldError : not a table of observations, a variable or level that the state does not have, or a station outside it.
    PhysLabError : an error that is not a positive number.
    """
    check_table(observations)
    kept = [k for k in ("time", "line") if k in observations and observations[k].ndim == 1]
    frame = observations[[*COLUMNS, *kept]].to_dataframe().reset_index(drop=True)
    missing = int(frame["value"].isna().sum())
    frame = frame[frame["value"].notna()]
    wrong = frame[~(np.isfinite(frame["error"]) & (frame["error"] > 0))]
    if len(wrong):
        raise PhysLabError(
            f"{len(wrong)} observations have an error that is not above 0 (the first {wrong['error'].iloc[0]:g}): pass "
            "standard deviations; an exact observation gets a small one"
        )
    if not np.isfinite(frame[["latitude", "longitude", "value"]].to_numpy(float)).all():
        raise FieldError("observations with a place or a value that is not finite: leave them out")
    known = fields_of(state)
    for name, level in {(v, float(p)) for v, p in frame[["variable", "level"]].itertuples(index=False)}:
        if _position(known, name, level) is None:
            levels = sorted({p for v, p in known if v == name and not np.isnan(p)})
            have = f"{name} at {', '.join(f'{p:g}' for p in levels)} hPa" if levels else ", ".join(dict(known))
            at = "" if np.isnan(level) else f" at {level:g} hPa"
            raise FieldError(f"observations of {name}{at}: the state has {have}")
    grid = Grid.from_dataset(state)
    frame["longitude"] = wrapped(frame["longitude"].to_numpy(float), grid)
    low, high = grid.latitude.min(), grid.latitude.max()
    outside = (frame["latitude"] < low - 1e-6) | (frame["latitude"] > high + 1e-6)
    if grid.periodic:  # beyond the last row of a globe: that row
        outside = frame["latitude"].abs() > 90
    else:
        outside |= (frame["longitude"] < grid.longitude.min() - 1e-6) | (
            frame["longitude"] > grid.longitude.max() + 1e-6
        )
    if outside.any():
        first = frame[outside].iloc[0]
        raise FieldError(
            f"{int(outside.sum())} observations lie outside the grid (the first at {first['latitude']:g} N, "
            f"{first['longitude']:g} E): it reaches from {low:g} to {high:g} N, {grid.longitude.min():g} to "
            f"{grid.longitude.max():g} E; leave them out"
        )
    places = frame.round({"latitude": 6, "longitude": 6}).assign(w=frame["error"] ** -2.0)
    places["wy"] = places["w"] * places["value"]
    keys = ["variable", "level", "latitude", "longitude", *(["time"] if "time" in frame else [])]
    groups = places.groupby(keys, dropna=False, sort=False)
    sums = groups[["w", "wy"]].sum().reset_index()
    alone = groups["w"].size().to_numpy() == 1  # as they stand, without rounding
    value = np.where(alone, groups["value"].first(), sums["wy"] / sums["w"])
    error = np.where(alone, groups["error"].first(), sums["w"] ** -0.5)
    extras = {"time": sums["time"]} if "time" in frame else {}
    extras |= {"line": groups["line"].first().to_numpy()} if "line" in frame else {}
    out = table(sums["variable"], sums["level"], sums["latitude"], sums["longitude"], value, error, **extras)
    return out.assign_attrs(missing=missing, merged=len(frame) - len(sums))


class Interpolation:
    """H: fields (..., n) as a vector, field after field, rows of latitude within -> (..., m) at the stations.

    Parameters
    ----------
    observations : as from :func:`checked`.
    state : whose variables, levels and grid the vector has.
    """

    def __init__(self, observations: xr.Dataset, state: xr.Dataset) -> None:
        grid, known = Grid.from_dataset(state), fields_of(state)
        names, levels = observations["variable"].values, observations["level"].values
        found = [_position(known, str(v), float(p)) for v, p in zip(names, levels, strict=True)]
        which = [k for k in found if k is not None]  # all: checked() refuses fields that the state does not have
        rows, upper = _between(grid.latitude, observations["latitude"].values)
        columns, right = _between(grid.longitude, observations["longitude"].values, wrap=grid.periodic)
        size = grid.shape[0] * grid.shape[1]
        self.index = torch.stack([
            torch.tensor([k * size for k in which], dtype=torch.long)
            + torch.from_numpy(rows[i] * grid.shape[1] + columns[j]) for i in range(2) for j in range(2)
        ])  # fmt: skip
        weights = [np.abs(1 - i - upper) * np.abs(1 - j - right) for i in range(2) for j in range(2)]
        self.weight = torch.from_numpy(np.stack(weights))
        self.place = torch.from_numpy(np.stack([observations["latitude"].values, observations["longitude"].values], 1))

    def __call__(self, x: Tensor) -> Tensor:
        weight = self.weight.to(x)
        return sum(w * x[..., index.to(x.device)] for w, index in zip(weight, self.index, strict=True))


def _position(known: list[tuple[str, float]], name: str, level: float) -> int | None:
    """Index of a field; a level may be left out where the variable has one."""
    same = [n for n, (v, p) in enumerate(known) if v == name and (p == level or (np.isnan(p) and np.isnan(level)))]
    if same:
        return same[0]
    one = [n for n, (v, _) in enumerate(known) if v == name]
    return one[0] if len(one) == 1 and (np.isnan(level) or np.isnan(known[one[0]][1])) else None


def wrapped(longitude: np.ndarray, grid: Grid) -> np.ndarray:
    """Longitudes in the count of the grid: -10 and 350 are one."""
    start = float(grid.longitude.min())
    wrapped = start + (longitude - start) % 360.0
    return np.where(wrapped - start > 360.0 - 1e-6, start, wrapped)


def _between(axis: np.ndarray, at: np.ndarray, wrap: bool = False) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Indices of the two neighbours of each position, and the share of the second; held at the ends."""
    order = np.argsort(axis)
    a = axis[order].astype(float)
    if wrap:
        a, order = np.append(a, a[0] + 360.0), np.append(order, order[0])
    i = np.clip(np.searchsorted(a, at, side="right") - 1, 0, len(a) - 2)
    share = np.clip((at - a[i]) / (a[i + 1] - a[i]), 0.0, 1.0)
    return (order[i], order[i + 1]), share


def describe(observations: xr.Dataset) -> str:
    """One line for people: how many of what."""
    counts = pd.Series(observations["variable"].values).value_counts()
    names = ", ".join(f"{n} of {VARIABLES.get(v, {}).get('long_name', v)}" for v, n in counts.items())
    return f"{observations.sizes['observation']} observations: {names}" if len(counts) else "no observations"
