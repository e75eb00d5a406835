"""Where a field lies, on a regular grid: latitude and longitude found, put in order, and refused where they are
none."""

from __future__ import annotations

import numpy as np
import xarray as xr

from physlab import cf
from physlab.data.ingest import units
from physlab.data.ingest.account import Account
from physlab.errors import FieldError


def rounding(values: np.ndarray) -> float:
    """How far rounding may have moved coordinates that are stored in single precision somewhere."""
    single = values.dtype.itemsize <= 4 or np.array_equal(values, values.astype(np.float32))
    return 4 * float(np.finfo(np.float32 if single else np.float64).eps) * max(float(np.abs(values).max()), 1.0)


def locate(ds: xr.Dataset, note: Account) -> dict[str, str]:
    """Names of the coordinates "latitude" and "longitude", as far as there are such, of any dimension."""
    found = {}
    for kind in ("latitude", "longitude"):
        name = cf.find_coordinate(ds, kind)
        if name is not None and name in ds.coords:
            found[kind] = name
    return found


def regular(ds: xr.Dataset, note: Account) -> xr.Dataset:
    """A data set with one-dimensional `latitude` and `longitude`, each a dim, in order, none twice.

    Raises
    ------
    FieldError : places that are no grid, not sorted in any way, impossible, or too few.
    """
    names = locate(ds, note)
    dims = {kind: ds[name].dims for kind, name in names.items()}
    if dims["latitude"] == dims["longitude"]:
        dim, count = dims["latitude"][0], ds[names["latitude"]].size
        raise FieldError(
            f"'{note.file}' holds values at {count} places along '{dim}', no grid: stations go into physlab "
            f"assimilate as "
            "observations; an unstructured grid is interpolated to latitude and longitude first, with cdo remapbil "
            "for example"
        )
    for kind, name in names.items():
        if kind != name and kind in ds.variables:
            ds = ds.drop_vars(kind)
        if ds[name].dims[0] != name:
            ds = ds.swap_dims({ds[name].dims[0]: name})
    ds = ds.rename({name: kind for kind, name in names.items() if name != kind})
    for kind in names:
        ds = _degrees(ds, kind, note)
    ds = _latitude(_longitude(ds, note), note)
    for kind, unit in (("latitude", "degrees_north"), ("longitude", "degrees_east")):
        long_name = ds[kind].attrs.get("long_name", kind)
        ds[kind].attrs = {
            "standard_name": kind,
            "long_name": long_name,
            "units": unit,
            "axis": "YX"[kind == "longitude"],
        }
    return ds


def _degrees(ds: xr.Dataset, kind: str, note: Account) -> xr.Dataset:
    """Finite degrees in floating point; at least two of them."""
    da = ds[kind]
    if da.dtype.kind not in "iuf":
        raise FieldError(f"'{note.file}': {kind} holds {da.values.flat[0]!r}, which is no number: give it in degrees")
    values = da.values if da.dtype.kind == "f" and da.dtype.itemsize >= 4 else da.values.astype(float)
    values = values.astype(values.dtype.newbyteorder("="))
    if units.plain(da.attrs.get("units")).lower() in ("radian", "radians", "rad"):
        values = np.rad2deg(values)
        note.did(f"{kind} from radians to degrees")
    if values.size < 2:
        raise FieldError(
            f"'{note.file}' has one {kind}, {f'{values[0]:g}' if values.size else 'none'}: a grid needs at least 2 "
            f"rows and "
            f"2 columns; "
            "take a larger part of the field"
        )
    wrong = ~np.isfinite(values) | (np.abs(values) > (90 + 1e-3 if kind == "latitude" else 720))
    if wrong.any():
        at = int(wrong.argmax())
        raise FieldError(
            f"'{note.file}': {kind} number {at} is {values[at]:g}, which is no {kind} in degrees: correct it, or, of "
            f"coordinates "
            "in metres, say which map they are of, as in mapping={'EPSG:3035': 'crs'}"
        )
    if values is da.values:
        return ds
    return ds.assign_coords({kind: (kind, values, da.attrs)})


def _latitude(ds: xr.Dataset, note: Account) -> xr.Dataset:
    values = ds["latitude"].values
    steps = np.diff(values)
    if not ((steps > 0).all() or (steps < 0).all()):
        _once(values, "latitude", note)
        ds = ds.isel(latitude=np.argsort(values))
        note.did("latitudes sorted from south to north")
    return ds


def _longitude(ds: xr.Dataset, note: Account) -> xr.Dataset:
    stored = ds["longitude"].values
    noise = rounding(stored)
    values = stored.astype(float)
    if (stored.size > 2 and abs(abs(values[-1] - values[0]) - 360) < noise) or _closed(values, noise):
        ds, stored, values = ds.isel(longitude=slice(-1)), stored[:-1], values[:-1]
        note.did(f"the last column, which repeats the first one ({stored[0]:g} degrees), left out")
    steps = np.diff(values)
    if not ((steps > 0).all() or (steps < 0).all()):
        counted = np.unwrap(values, period=360.0)
        steps = np.diff(counted)
        if (steps > 0).all() or (steps < 0).all():
            turn = 360 * np.floor((counted[0] + 180) / 360)  # begins within -180 and 180
            counted = counted - turn
            note.did(f"longitudes counted on from {counted[0]:g} to {counted[-1]:g}")
        else:
            _once(np.mod(values, 360), "longitude", note)
            order = np.argsort(values)
            ds, counted = ds.isel(longitude=order), values[order]
            note.did("longitudes sorted from west to east")
        even = np.linspace(counted[0], counted[-1], counted.size)
        if np.abs(counted - even).max() <= 2 * noise:  # single precision near 360 is coarse near 0
            counted, stored = even, even
        ds = ds.assign_coords(longitude=("longitude", counted.astype(stored.dtype), ds["longitude"].attrs))
        values = ds["longitude"].values.astype(float)
    steps = np.diff(values)
    step = float(np.median(steps))
    off = np.abs(steps - step)
    if off.max() > 1e-2 * abs(step) + 2 * noise:
        at = int(off.argmax())
        raise FieldError(
            f"'{note.file}': longitudes are not evenly spaced: from {values[at]:g} to {values[at + 1]:g}, elsewhere "
            f"by {step:g}; "
            "fill the gap or interpolate first, as in ds.interp(longitude=...), or take a part without it"
        )
    if abs(values[-1] - values[0]) > 360 - 0.5 * abs(step):
        raise FieldError(
            f"'{note.file}': longitudes from {values[0]:g} to {values[-1]:g} go round the Earth more than once: "
            f"leave out the columns "
            "that repeat others"
        )
    return ds


def _closed(values: np.ndarray, noise: float) -> bool:
    """Whether the last column is the first one again, counted in another way."""
    gap = abs((values[-1] - values[0] + 180) % 360 - 180)
    return values.size > 2 and gap < noise


def _once(values: np.ndarray, kind: str, note: Account) -> None:
    ordered = np.sort(values)
    twice = np.flatnonzero(np.diff(ordered) == 0)
    if twice.size:
        raise FieldError(f"'{note.file}': {kind} {ordered[twice[0]]:g} stands twice: correct the {kind}s")
