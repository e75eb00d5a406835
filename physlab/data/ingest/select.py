"""Regions and periods of a data set: what every command means by ``--region`` and ``--period``."""

from __future__ import annotations

import re

import numpy as np
import xarray as xr

from physlab.data.ingest.account import Account
from physlab.errors import FieldError, one_line

TINY = 1e-5  # degrees: what single precision makes of 0.01 near 360


def region(ds: xr.Dataset, south: float, north: float, west: float, east: float) -> xr.Dataset:
    """The part of a data set between two latitudes and two longitudes, edges included, lazily.

    Longitudes are counted as you like: -8 to 2 is the same place as 352 to 362 or 352 to 2, and 170 to -170 lies across
    the date line. They stay as stored where the part is in one piece there; else they are counted on from `west`. On a
    projected grid it is the smallest block of rows and columns that holds the region.

    Parameters
    ----------
    ds : with one- or two-dimensional latitude and longitude, in any order and counting.
    south, north, west, east : degrees.

    Raises
    ------
    FieldError : an empty region, or one without a grid point; no latitude and longitude.
    """
    if not (-90 <= south < north <= 90) or not np.isfinite([west, east]).all() or west == east:
        raise FieldError(
            f"region {south:g} {north:g} {west:g} {east:g} is empty: give south, north, west and east edge in degrees, "
            "as in 50 58 -8 2"
        )
    if "latitude" not in ds.coords or "longitude" not in ds.coords:
        raise FieldError("a region needs latitude and longitude: open the data with physlab.open_dataset first")
    latitude, longitude = ds["latitude"], ds["longitude"]
    width = 360.0 if abs(east - west) >= 360 - TINY else (east - west) % 360
    # west and east of the edge by rounding alone are inside
    offset = (longitude.values.astype(float) - west + TINY) % 360 - TINY
    rows = (latitude.values >= south - TINY) & (latitude.values <= north + TINY)
    columns = offset <= width + TINY
    inside = rows & columns if latitude.ndim == 2 else rows
    if not inside.any() or not columns.any():
        raise FieldError(
            f"no grid point in region {south:g} {north:g} {west:g} {east:g}: the data reach from {_span(latitude)} in "
            f"latitude and from {_span(longitude)} in longitude; name a region inside"
        )
    if latitude.ndim == 2:
        y, x = latitude.dims
        across, down = np.flatnonzero(inside.any(0)), np.flatnonzero(inside.any(1))
        return ds.isel({y: slice(down[0], down[-1] + 1), x: slice(across[0], across[-1] + 1)})
    chosen, stored = np.flatnonzero(columns), longitude.values
    falling = longitude.size > 1 and float(stored[1] - stored[0]) % 360 > 180
    if not ((np.diff(chosen) == 1).all() and _monotonic(stored[chosen])):  # over the seam of the file's counting
        chosen = chosen[np.argsort(offset[chosen] * (-1 if falling else 1), kind="stable")]
    part = _take(_take(ds, "latitude", np.flatnonzero(rows)), "longitude", chosen)
    if not _monotonic(stored[chosen]):
        turns = np.round((west + offset[chosen] - stored[chosen]) / 360)
        counted = (stored[chosen] + 360 * turns).astype(stored.dtype if stored.dtype.kind == "f" else float)
        part = part.assign_coords(longitude=("longitude", counted, longitude.attrs))
    return part


def _monotonic(values: np.ndarray) -> bool:
    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all())


def _take(ds: xr.Dataset, dim: str, index: np.ndarray) -> xr.Dataset:
    """Rows or columns by number, as a slice where they follow one another, so that nothing is copied."""
    steps = np.diff(index)
    if (steps == 1).all():
        return ds.isel({dim: slice(index[0], index[-1] + 1)})
    return ds.isel({dim: index})


def _span(values: xr.DataArray) -> str:
    return f"{float(values.min()):g} to {float(values.max()):g}"


def period(ds: xr.Dataset, first: str, last: str) -> xr.Dataset:
    """The times from `first` to `last`, both included, lazily; a date alone means the whole day, month or year.

    Any calendar; data without a time dimension come back as they are if their one time, if any, lies inside.

    Raises
    ------
    FieldError : no such time in the data, a text that is no time, or times that are not sorted.
    """
    if "time" not in ds.coords:
        raise FieldError("the data have no time, so a period selects nothing: leave it out")
    single = "time" not in ds.dims
    whole = ds.expand_dims("time") if single else ds
    if "time" not in whole.indexes:
        whole = whole.set_xindex("time")
    times = whole.indexes["time"]
    covered = f"the data reach from {times[0]} to {times[-1]}"
    if not times.is_monotonic_increasing:
        raise FieldError(f"times are not sorted, {covered}: sort them with ds.sortby('time')")
    try:
        part = whole.sel(time=slice(first, last))
    except (ValueError, KeyError, TypeError) as error:
        reason = one_line(error, 100)
        raise FieldError(
            f"period {first} {last} is not understood ({reason}): write 2019-03-01 2019-03-31; {covered}"
        ) from None
    if part.sizes["time"] == 0:
        raise FieldError(f"no time from {first} to {last}: {covered}; name a period inside")
    return ds if single else part


def choose(ds: xr.Dataset, wanted: dict[str, str], note: Account) -> xr.Dataset:
    """What FILE::level=500,time=2024-01-01 asks for: by value, of a time also a day or a month, of A:B by number.

    Raises
    ------
    FieldError : no such dimension or value.
    """
    for key, text in wanted.items():
        if key == "variable":
            names = text.split("+")
            absent = [name for name in names if name not in ds.data_vars]
            if absent:
                raise FieldError(
                    f"'{note.file}' has no {', '.join(absent)}: it has {', '.join(map(str, ds.data_vars))}"
                )
            ds = ds[names]
        elif key not in ds.dims:
            raise FieldError(
                f"'{note.file}' has nothing to choose by {key}={text}: it has {', '.join(map(str, ds.dims))}"
            )
        elif re.fullmatch(r"\d*:\d*", text):
            first, last = (int(part) if part else None for part in text.split(":"))
            ds = ds.isel({key: slice(first, last)})
        elif key == "time":
            ds = period(ds, text, text)
        else:
            values = ds[key].values if key in ds.coords else np.arange(ds.sizes[key])
            same = values.astype(str) == text
            if values.dtype.kind in "iuf":
                try:
                    same = np.isclose(values, float(text), rtol=1e-6)
                except ValueError:
                    same = np.zeros(values.shape, bool)
            if not same.any():
                raise FieldError(
                    f"'{note.file}' has no {key}={text}: it has "
                    f"{', '.join(map(str, values[:8]))}{' ...' * (values.size > 8)}"
                )
            ds = ds.isel({key: int(same.argmax())})
        note.did(f"chosen {key}={text}")
    return ds
