"""The way of a data set through the contract: names, missing values, time, height, place, quantities, account."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from physlab import cf
from physlab.data.ingest import horizontal, maps, time, vertical
from physlab.data.ingest.account import Account
from physlab.data.ingest.fields import understood
from physlab.data.ingest.select import choose
from physlab.errors import FieldError, one_line

LEAD_DIMS = ("member", "time")
GRID_DIMS = ("latitude", "longitude", "y", "x")
MEMBERS = ("number", "realization", "ensemble", "ens", "member_id", "ensemble_member", "realisation")
CONTRACT = ("time", "member", "level", "latitude", "longitude", "y", "x", "crs", "cell_area", "time_bnds")
WORDS_SHOWN = 8


def understand(
    raw: xr.Dataset, note: Account, mapping: Mapping[str, str] | None = None, wanted: Mapping[str, str] | None = None,
    decoded: bool = False, small: bool | None = None,
) -> xr.Dataset:  # fmt: skip
    """A data set as the contract says.

    Parameters
    ----------
    raw : as stored, or `decoded` already (by cfgrib).
    note : takes the account.
    mapping : own names -> names of the library; -> "" to leave a variable out; "EPSG:3035" -> "crs" to say which map.
    wanted : what FILE::key=value asks for.
    small : whether values are read at once; None to decide by their size.

    Raises
    ------
    FieldError : what cannot be understood, in one line that names file, place, value and remedy.
    """
    wanted = dict(wanted or {})
    stated, ds = _renamed(_legible(raw), mapping, note)
    if not decoded:
        ds = decode(ds, note)
    ds = ds.set_coords([n for n in ds.data_vars if _is_coordinate(ds, str(n))])
    ds = time.choose_forecast(ds, wanted, note)
    ds = time.valid_time(_versions(ds, note), note)
    ds = _members(ds, note)
    ds = vertical.pressure_levels(ds, note)
    ds = _placed(ds, note, stated)
    ds = choose(ds, wanted, note)
    ds = _ordered(_fields_alone(ds, note), note)
    ds = time.in_order(ds, note)
    if "time" in ds.coords:
        note.took(time.words(ds["time"]))
    ds = understood(ds, note, small)
    for name in ds.variables:
        ds[name].encoding = {}
    return ds


# --- names and attributes ---------------------------------------------------------------------------------------------
def _legible(ds: xr.Dataset) -> xr.Dataset:
    """Attributes that every format can hold: text, numbers and arrays of these; names without blanks."""
    ds = ds.copy()
    for name in ds.variables:
        ds[name].attrs = {str(k): v for k, v in ((k, _plain(v)) for k, v in ds[name].attrs.items()) if v is not None}
    ds.attrs = {str(k): v for k, v in ((k, _plain(v)) for k, v in ds.attrs.items()) if v is not None}
    names = {*map(str, ds.variables), *map(str, ds.dims)}
    return ds.rename({name: re.sub(r"\s+", "_", name.strip()) for name in names if re.search(r"\s", name)})


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool | np.bool_):
        return int(value)
    if isinstance(value, str | int | float | np.integer | np.floating) or value is None:
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "iufSU":
        return value
    if (
        isinstance(value, list | tuple)
        and value
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    ):
        return np.array(value)
    if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return " ".join(value)
    try:
        return json.dumps(value)
    except TypeError:
        return str(value)


LINKS = (
    "coordinates",
    "bounds",
    "grid_mapping",
    "cell_measures",
    "ancillary_variables",
    "formula_terms",
    "climatology",
)


def _renamed(ds: xr.Dataset, mapping: Mapping[str, str] | None, note: Account) -> tuple[str | None, xr.Dataset]:
    """The map that the user names, and the data set with the names that the user gives."""
    known = {*map(str, ds.dims), *map(str, ds.variables)}
    mapping = {re.sub(r"\s+", "_", str(k).strip()): str(v) for k, v in (mapping or {}).items()}
    stated = [k for k, v in mapping.items() if v == "crs" and k not in known]
    absent = sorted(k for k in mapping if k not in known and k not in stated)
    if absent:
        raise FieldError(
            f"mapping names {', '.join(absent)}, but the data set has {', '.join(sorted(known))}: correct it"
        )
    away = [k for k, v in mapping.items() if not v and k in ds.variables]
    if away:
        note.did(f"left out as you say: {', '.join(away)}")
    ds = ds.drop_vars(away)
    names = {k: v for k, v in mapping.items() if v and k not in stated and k != v}
    try:
        ds = ds.rename(names)
    except ValueError as error:
        raise FieldError(f"'{note.file}': mapping {names} cannot be applied ({error}): choose other names") from None
    if names:
        note.did("renamed " + ", ".join(f"{k} to {v}" for k, v in names.items()))
        for name in ds.variables:
            for key in LINKS:
                if isinstance(text := ds[name].attrs.get(key), str):
                    ds[name].attrs[key] = " ".join(names.get(word, word) for word in text.split())
        for name in names.values():
            if name in ds.data_vars and ds[name].ndim == 1 and name in (*cf.COORDINATES, *GRID_DIMS):
                ds = ds.set_coords(name)
    return (stated[0] if stated else None), ds


def _is_coordinate(ds: xr.Dataset, name: str) -> bool:
    """Whether a variable of the file is a coordinate that the file does not call so."""
    da = ds[name]
    standard, lower = str(da.attrs.get("standard_name", "")).lower(), name.lower()
    if standard in (
        "latitude",
        "longitude",
        "time",
        "forecast_reference_time",
        "forecast_period",
        "realization",
        "cell_area",
    ):
        return True
    if {"grid_mapping_name", "crs_wkt", "spatial_ref"} & set(da.attrs) and da.size <= 1:
        return True
    if lower in (*cf.COORDINATES["latitude"]["names"], *cf.COORDINATES["longitude"]["names"]) and da.ndim in (1, 2, 3):
        return True
    if (
        lower in ("xtime", "times", "expver", *time.VALID, *time.LEAD, *time.BASE) and time.is_dated(da)
    ) or lower == "expver":
        return True
    return da.ndim == 0 and da.dtype.kind in "fiumM"


# --- decoding ---------------------------------------------------------------------------------------------------------
def decode(ds: xr.Dataset, note: Account) -> xr.Dataset:
    """Fill values, packing, valid ranges, characters and times of a data set as stored."""
    ranges = {}
    for name in map(str, ds.variables):
        attrs = ds[name].attrs
        for key in ("_FillValue", "missing_value", "scale_factor", "add_offset"):
            if key in attrs and ds[name].dtype.kind in "iuf":
                attrs[key] = _number(attrs[key], ds[name].dtype)
                if attrs[key] is None:
                    del attrs[key]
        limits = _valid(ds[name])
        for key in ("valid_min", "valid_max", "valid_range", "actual_range", "actual_min", "actual_max"):
            attrs.pop(key, None)
        if limits is not None and name in ds.data_vars:
            ranges[name] = limits
        if ds[name].dtype.kind in "iu" and {"scale_factor", "add_offset"} & set(attrs):
            scale, offset = float(attrs.get("scale_factor", 1)), float(attrs.get("add_offset", 0))
            packed = [
                np.iinfo(ds[name].dtype).min,
                np.iinfo(ds[name].dtype).min + 1,
                np.iinfo(ds[name].dtype).max,
                -9999,
                -999,
            ]
            attrs["physlab_codes"] = [scale * float(code) + offset for code in packed]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = xr.decode_cf(ds, decode_times=False, decode_timedelta=False, decode_coords="all")
        except Exception as error:  # whatever an attribute makes of it
            raise FieldError(
                f"'{note.file}' cannot be decoded ({type(error).__name__}: {one_line(error, 120)}): "
                f"correct its attributes"
            ) from None
    for name, (low, high) in ranges.items():
        if name in ds.data_vars and ds[name].dtype.kind == "f":
            ds[name].attrs["physlab_range"] = [low, high]
        elif name in ds.data_vars and ds[name].dtype.kind in "iu":
            ds[name] = (
                ds[name].astype("f8" if ds[name].dtype.itemsize > 2 else "f4").assign_attrs(physlab_range=[low, high])
            )
    ds = _bounds(ds)
    return time.decode_times(ds, note)


def _number(value: Any, dtype: np.dtype) -> Any:
    """A number of an attribute, also where it was written as text; None if it is none or does not fit."""
    try:
        numbers = np.atleast_1d(np.asarray(value, dtype=float) if isinstance(value, str) else np.asarray(value))
        numbers = numbers.astype(float) if numbers.dtype.kind in "SU" else numbers
    except ValueError:
        return None
    if numbers.dtype.kind not in "iuf" or not numbers.size:
        return None
    if dtype.kind in "iu" and numbers.dtype.kind == "f" and np.isnan(numbers).any():
        return None
    return numbers[0] if numbers.size == 1 else numbers


def _valid(da: xr.DataArray) -> tuple[float, float] | None:
    """The valid range that attributes state, unpacked."""
    attrs = da.attrs
    try:
        if "valid_range" in attrs:
            low, high = (float(v) for v in np.ravel(np.asarray(attrs["valid_range"], dtype=float))[:2])
        elif "valid_min" in attrs or "valid_max" in attrs:
            low, high = (
                float(np.ravel(attrs.get(k, d))[0]) for k, d in (("valid_min", -np.inf), ("valid_max", np.inf))
            )
        else:
            return None
    except (ValueError, TypeError):
        return None
    stated = np.asarray(attrs.get("valid_range", attrs.get("valid_min", attrs.get("valid_max"))))
    if da.dtype.kind in "iu" and stated.dtype.kind in "iu":
        scale, offset = float(attrs.get("scale_factor", 1)), float(attrs.get("add_offset", 0))
        slack = abs(scale) / 2
        low, high = sorted((scale * low + offset, scale * high + offset))
        return low - slack, high + slack
    return (low, high) if low < high else None


def _bounds(ds: xr.Dataset) -> xr.Dataset:
    """Bounds of times in the units of the times; other bounds are made anew by whoever needs them."""
    links = {str(n): str(ds[n].attrs.get("bounds") or ds[n].encoding.get("bounds") or "") for n in ds.coords}
    for name, bounds in links.items():
        if bounds not in ds.variables:
            continue
        attrs = {k: v for k, v in ds[name].attrs.items() if k in ("units", "calendar")}
        if (
            " since " in str(attrs.get("units", ""))
            and ds[bounds].ndim == ds[name].ndim + 1
            and ds[bounds].dtype.kind in "iuf"
        ):
            ds[bounds].attrs = {**attrs, **ds[bounds].attrs}
            if bounds != "time_bnds" and "time_bnds" not in ds.variables:
                ds = ds.rename({bounds: "time_bnds"})
        else:
            ds = ds.drop_vars(bounds)
    for variable in ds.variables:
        ds[variable].attrs.pop("bounds", None)
    return ds


# --- members and versions ---------------------------------------------------------------------------------------------
def _versions(ds: xr.Dataset, note: Account) -> xr.Dataset:
    """ERA5 and its preliminary version ERA5T, put together if they are a dim of their own."""
    if "expver" not in ds.dims:
        if "expver" in ds.variables:
            values = sorted({str(v) for v in np.ravel(ds["expver"].values)})
            if len(values) > 1:
                note.took(f"expver {', '.join(values)} (0005 is the preliminary ERA5T) along time")
            ds = ds.drop_vars("expver")
        return ds
    names = (
        [str(v) for v in ds["expver"].values] if "expver" in ds.coords else [str(i) for i in range(ds.sizes["expver"])]
    )
    parts = [ds.isel(expver=i, drop=True) for i in np.argsort(names, kind="stable")]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.assign(
            {n: da.where(da.notnull(), part[n]) for n, da in merged.data_vars.items() if da.dtype.kind == "f"}
        )
    note.did(f"expver {' and '.join(sorted(names))} put together: where the first (ERA5) is missing, the next (ERA5T)")
    return merged


def _members(ds: xr.Dataset, note: Account) -> xr.Dataset:
    """Members of an ensemble along `member`; a lone number is left out."""
    if "member" in ds.dims:
        return ds
    for name in (*[n for n in ds.coords if ds[n].attrs.get("standard_name") == "realization"], *MEMBERS):
        if name in ds.dims:
            note.took(f"{ds.sizes[name]} members along {name}")
            return ds.drop_vars([n for n in ("member",) if n in ds.variables]).rename({name: "member"})
        if name in ds.coords and ds[name].ndim == 0:
            ds = ds.drop_vars([name])
    return ds


# --- place ------------------------------------------------------------------------------------------------------------
def _placed(ds: xr.Dataset, note: Account, stated: str | None) -> xr.Dataset:
    for name in [str(n) for n in ds.coords if ds[n].ndim == 3]:  # WRF writes its places for each time
        extra = [d for d in ds[name].dims if str(d).lower() == "time"]
        if extra and name.lower() in (*cf.COORDINATES["latitude"]["names"], *cf.COORDINATES["longitude"]["names"]):
            first = ds[name].isel({extra[0]: 0}, drop=True)
            if ds.sizes[extra[0]] > 1 and not np.allclose(ds[name].values, first.values[None], atol=1e-3):
                raise FieldError(
                    f"'{note.file}': '{name}' changes with time: a grid that moves is not supported; take one time"
                )
            ds = ds.drop_vars(name).assign_coords({name: (first.dims, first.values, first.attrs)})
    ds, on_map = maps.projected(ds, note, stated)
    if on_map:
        return ds
    lost = []
    for find in (cf.latitude_name, cf.longitude_name):
        try:
            find(ds)
        except FieldError as error:
            lost.append(str(error))
    if lost:
        both = len(lost) == 2 and all("pass mapping=" in text for text in lost)
        text = lost[0].replace("'latitude'}", "'latitude', " + lost[1].split("mapping={")[-1]) if both else lost[0]
        raise FieldError(f"'{note.file}': {text}")
    ds = horizontal.regular(ds, note)
    lat, lon = ds["latitude"].values, ds["longitude"].values
    note.took(f"latitude {lat[0]:g} to {lat[-1]:g} ({lat.size}), longitude {lon[0]:g} to {lon[-1]:g} ({lon.size})")
    return ds


# --- fields -----------------------------------------------------------------------------------------------------------
def _fields_alone(ds: xr.Dataset, note: Account) -> xr.Dataset:
    """Only numbers on the grid, and the coordinates that they need."""
    grid = {"y", "x"} if cf.is_projected(ds) else {"latitude", "longitude"}
    away: dict[str, list[str]] = {}
    for name, da in ds.data_vars.items():
        kind = {
            "M": "dates",
            "m": "time spans",
            "S": "text",
            "U": "text",
            "O": "text",
            "T": "text",
            "c": "complex numbers",
        }
        span = str(da.attrs.get("dtype", "")).startswith("timedelta") or str(name).lower() in time.LEAD
        if span:
            away.setdefault("time spans", []).append(str(name))
        elif da.dtype.kind in kind:
            away.setdefault(kind[da.dtype.kind], []).append(str(name))
        elif not grid <= set(da.dims):
            away.setdefault("not on the grid", []).append(str(name))
    gone = {name for names in away.values() for name in names}
    keep = [n for n in ds.data_vars if str(n) not in gone]
    words = "; ".join(
        f"{', '.join(names[:WORDS_SHOWN])}{' ...' if len(names) > WORDS_SHOWN else ''} ({why})"
        for why, names in away.items()
    )
    if not keep:
        raise FieldError(
            f"'{note.file}' holds no field on {' and '.join(sorted(grid))}: it has {words or 'no variable'}; pass a "
            f"file with fields"
        )
    if words:
        note.did(f"left out {words}")
    ds = ds.drop_vars([n for n in ds.data_vars if n not in keep])
    empty = [str(d) for d, size in ds.sizes.items() if not size and any(d in da.dims for da in ds.data_vars.values())]
    if empty:
        raise FieldError(
            f"'{note.file}': {', '.join(empty)} has length 0, so that there is no field: get the file again, whole"
        )
    used = {d for da in ds.data_vars.values() for d in da.dims}
    kept = {*CONTRACT, *used}
    spare = [
        n
        for n, da in ds.coords.items()
        if (n not in kept and not (da.ndim == 0 and da.dtype.kind in "iuf"))
        or (n != "time_bnds" and not set(da.dims) <= used)
    ]
    return ds.drop_vars(spare)


def _ordered(ds: xr.Dataset, note: Account) -> xr.Dataset:
    """Dims in the order member, time, others, level, rows, columns; others of length one are left out."""
    standard = (*LEAD_DIMS, "level", *GRID_DIMS)
    single = [d for d in ds.dims if d not in standard and ds.sizes[d] == 1]
    if single:
        ds = ds.squeeze([d for d in single if any(d in da.dims for da in ds.data_vars.values())])
        note.took(f"{', '.join(map(str, single))} of length one dropped as a dimension")
    lead = [d for d in LEAD_DIMS if d in ds.dims]
    tail = [d for d in ("level", *GRID_DIMS) if d in ds.dims]
    changed = False
    for name, da in ds.data_vars.items():
        others = [d for d in da.dims if d not in standard]
        order = [d for d in (*lead, *others, *tail) if d in da.dims]
        if list(da.dims) != order:
            ds[name], changed = da.transpose(*order), True
    if changed:
        note.did("dimensions put in the order time, level, rows, columns")
    return ds
