"""Between fields on a coarse grid and fields on the refined one: dims, coordinates, cell areas."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab import cf
from physlab.grid import Grid, ProjectedGrid

FIRST = ("member", "time")  # then others, and the level


def space_of(ds: xr.Dataset | xr.DataArray) -> tuple[str, str]:
    """Names of the dims of rows and columns."""
    return ("y", "x") if cf.is_projected(ds) else ("latitude", "longitude")


def weights_of(grid: Grid) -> Tensor:
    """Areas of the cells divided by their mean: (H, 1) where they depend on latitude alone, else (H, W)."""
    areas = grid.area_weights
    return torch.from_numpy((areas if isinstance(grid, ProjectedGrid) else areas[:, :1]).copy())


def fields_of(ds: xr.Dataset) -> tuple[list[Hashable], list[Hashable]]:
    """Names of the fields on the grid that hold numbers, and of those that hold text, times or durations."""
    space = set(space_of(ds))
    on_grid = [name for name, da in ds.data_vars.items() if space <= set(da.dims)]
    numbers = [name for name in on_grid if ds[name].dtype.kind in "iufb"]
    return numbers, [name for name in on_grid if name not in numbers]


def arranged(da: xr.DataArray, with_time: bool) -> xr.DataArray:
    """A field with its dims as member, time, others, level, rows, columns.

    Parameters
    ----------
    with_time : a field without a time axis gets one of length one.
    """
    space = space_of(da)
    if with_time and "time" not in da.dims:
        da = da.expand_dims("time")
    first = [d for d in FIRST if d in da.dims]
    others = [d for d in da.dims if d not in (*first, "level", *space)]
    return da.transpose(*first, *others, *(["level"] if "level" in da.dims else []), *space)


def refined(coarse: xr.Dataset, fields: Mapping[Hashable, tuple[xr.DataArray, object]], grid: Grid) -> xr.Dataset:
    """Fine values with the names, attributes and coordinates of the coarse fields, on the fine grid.

    Parameters
    ----------
    coarse : the data set that the fields come from; its coordinates without a place (time and its bounds, level,
        member, height) are kept.
    fields : name -> (coarse field by :func:`arranged`, fine values: an array, in dask chunks or not).
    """
    space, data, coords = space_of(coarse), {}, {}
    for name, (da, values) in fields.items():
        attrs = cf.named(str(name), da.attrs)
        if attrs.get("grid_mapping") not in coarse.coords:
            attrs.pop("grid_mapping", None)
        data[name] = xr.Variable(da.dims, values, attrs)
    dims = {dim for variable in data.values() for dim in variable.dims}
    sources = [da for da, _ in fields.values()]
    for name, coord in coarse.coords.items():
        if "grid_mapping_name" in coord.attrs and name not in {da.attrs.get("grid_mapping") for da in sources}:
            continue  # a map that nothing lies on
        kept = next((da[name] for da in sources if name in da.coords), coord)  # with a time axis of length one
        if not set(space) & set(kept.dims) and name not in space and set(kept.dims) <= dims | {"bnds", "nv", "bounds"}:
            coords[name] = kept.variable
    if isinstance(grid, ProjectedGrid):
        known = {name: coarse[name].attrs for name in space if name in coarse.coords}
        for name, (where, values, attrs) in grid.coordinates().items():
            coords[name] = xr.Variable(where, values, {**attrs, **cf.inherited(known.get(name, {}))})
    else:
        for name, values in zip(space, (grid.latitude, grid.longitude), strict=True):
            coords[name] = xr.Variable((name,), values, cf.inherited(coarse[name].attrs))
    made = xr.Dataset(data, coords=coords)
    return with_edges(made, grid)


def with_edges(ds: xr.Dataset, grid: Grid) -> xr.Dataset:
    """The edges of the rows go with the latitude, for the file: they are not half way between its points."""
    name = space_of(ds)[0]
    ds[name].encoding["edges"] = np.asarray(grid.edges)
    return ds
