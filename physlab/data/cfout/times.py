"""Times as numbers that every reader decodes: the coarsest unit that holds them exactly, and their calendar."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from xarray.coding.times import CFDatetimeCoder

UNITS = ("hours", "minutes", "seconds")
GREGORIAN = np.datetime64("1582-10-15")


def is_time(variable: xr.Variable | xr.DataArray) -> bool:
    """Whether it holds points in time, of any calendar."""
    return variable.dtype.kind == "M" or (variable.dtype == object and _is_cftime(variable))


def _is_cftime(variable: xr.Variable | xr.DataArray) -> bool:
    import cftime

    values = np.asarray(variable.values).ravel()
    return bool(values.size) and isinstance(values[0], cftime.datetime)


def encode(ds: xr.Dataset) -> xr.Dataset:
    """Every time and every duration as numbers with units; bounds in the units of what they bound, without attributes.

    Times on whole hours count hours, in double precision, which old readers know; the calendar is named, "standard"
    for dates after the reform.
    """
    bounds = {str(ds[name].attrs["bounds"]): str(name) for name in ds.variables if "bounds" in ds[name].attrs}
    made = {}
    for name in (n for n in ds.variables if str(n) not in bounds):
        variable = ds.variables[name]
        if variable.dtype.kind == "m":
            made[name] = _spans(variable)
        elif is_time(variable):
            made[name] = _points(variable)
    for name, of in bounds.items():
        if name in ds.variables and is_time(ds.variables[name]) and of in made:
            units, calendar = made[of].attrs["units"], made[of].attrs["calendar"]
            encoded = _points(ds.variables[name], units, calendar)
            made[name] = xr.Variable(encoded.dims, encoded.values)
    if not made:
        return ds
    coords = {name: variable for name, variable in made.items() if name in ds.coords}
    return ds.assign_coords(coords).assign({name: v for name, v in made.items() if name not in coords})


def _points(variable: xr.Variable, units: str = "", calendar: str = "") -> xr.Variable:
    values = np.asarray(variable.values)
    filled = values.ravel()[~_missing(values).ravel()]
    if not units:
        calendar = calendar or _calendar(filled)
        first: Any = filled.min() if filled.size else np.datetime64("2000-01-01", "ns")
        text = (
            str(first)[:10]
            if isinstance(first, np.datetime64)
            else f"{first.year:04d}-{first.month:02d}-{first.day:02d}"
        )
        since = f"{text} 00:00:00"
        for word in UNITS:
            units = f"{word} since {since}"
            numbers = _encoded(filled, units, calendar)
            if np.allclose(numbers, np.round(numbers), rtol=0, atol=1e-9 if word != "seconds" else 1e-4):
                break
    encoded = _encoded(values, units, calendar)
    attrs = {k: v for k, v in variable.attrs.items() if k not in ("units", "calendar")}
    if calendar == "standard":
        attrs["units_metadata"] = "leap_seconds: none"  # what the numbers were made with
    return xr.Variable(variable.dims, encoded, {**attrs, "units": units, "calendar": calendar})


def _encoded(values: np.ndarray, units: str, calendar: str) -> np.ndarray:
    """Numbers in double precision."""
    encoding = {"units": units, "calendar": calendar, "dtype": np.dtype("float64")}
    if not values.size:
        return np.zeros(values.shape)
    flat = xr.Variable(("x",), values.ravel(), encoding=encoding)
    return np.asarray(CFDatetimeCoder().encode(flat).values, dtype="float64").reshape(values.shape)


def _calendar(values: np.ndarray) -> str:
    if not values.size:
        return "standard"
    if values.dtype.kind == "M":
        return "standard" if values.min().astype("datetime64[D]") >= GREGORIAN else "proleptic_gregorian"
    return str(values[0].calendar)


def _missing(values: np.ndarray) -> np.ndarray:
    return np.isnat(values) if values.dtype.kind == "M" else np.array([v is None for v in values.ravel()], bool)


def _spans(variable: xr.Variable) -> xr.Variable:
    """Durations, in hours or seconds; named as such by the attribute `units` alone."""
    seconds = np.asarray(variable.values).astype("timedelta64[ns]").astype("float64") / 1e9
    seconds[np.isnat(variable.values)] = np.nan
    hours = seconds / 3600
    whole = np.allclose(hours, np.round(hours), equal_nan=True)
    attrs = {k: v for k, v in variable.attrs.items() if k != "units"}
    return xr.Variable(variable.dims, hours if whole else seconds, {**attrs, "units": "hours" if whole else "s"})
