"""The form in which a data set is written: CF-1.11, time first, cells with edges, nothing that is no longer true."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr

from physlab.cf import LINKS, VARIABLES, inherited, kind
from physlab.data.cfout import attributes, times
from physlab.data.cfout.provenance import remembered
from physlab.grid import latitude_edges

CONVENTIONS = "CF-1.11"
ORDER = ("time", "member")  # then all others, and at the end
SPACE = ("level", "latitude", "longitude")
MAP = ("level", "y", "x")
FILL = {"f4": np.float32(9.96921e36), "f8": 9.969209968386869e36}
"""The fill value of NetCDF, which every reader knows; NaN as a fill value confuses NCO."""
COORDINATES: dict[str, dict[str, str]] = {
    "time": {"standard_name": "time", "long_name": "time", "axis": "T"},
    "latitude": {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y"},
    "longitude": {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east", "axis": "X"},
    "member": {"standard_name": "realization", "long_name": "member of the ensemble", "units": "1"},
}
TEMPERATURES = ("K", "degC", "degree_Celsius", "Celsius", "degF")
AGAIN = ("of the hour before",)  # in the long names of our own accumulated variables


def template(ds: xr.Dataset) -> xr.Dataset:
    """A data set as it is written: dims in order, own bounds, encoded times, attributes that are true and safe.

    Values of variables are not touched and stay lazy; yes and no become 0 and 1. Its encodings are gone.
    """
    ds = _without_empty_time(ds)
    edges = {name: ds[name].encoding.get("edges") for name in ("latitude", "longitude") if name in ds.coords}
    ds = _labels(_measured(ds.drop_encoding()))
    ds = _ordered(_one_height(ds))
    for name in list(ds.variables):
        ds[name].attrs = _variable_attributes(ds, str(name))
    for name, given in edges.items():
        ds = _with_bounds(ds, name, given)
    ds = times.encode(_accumulated(ds))
    for name, da in ds.variables.items():
        if da.dtype.kind in "iu" and da.dtype.itemsize == 8 and da.chunks is None and _small(da):
            ds[name] = ds[name].astype("int32").assign_attrs(da.attrs)  # which every reader knows
        if da.dtype == bool:
            ds[name] = ds[name].astype("int8").assign_attrs(da.attrs)
        elif da.dtype == np.float16:
            ds[name] = ds[name].astype("float32").assign_attrs(da.attrs)
    spatial = {
        n for n, da in ds.data_vars.items() if {"latitude", "longitude"} <= set(da.dims) or {"y", "x"} <= set(da.dims)
    }
    kept = attributes.inherited_by_set(ds.attrs) if spatial else dict(ds.attrs)
    kept.pop("Conventions", None)
    ds.attrs = {"Conventions": CONVENTIONS, **kept}
    ds.attrs.setdefault("title", "fields written by PhysLab")
    return remembered(ds)


def _measured(ds: xr.Dataset) -> xr.Dataset:
    """Areas of the cells of a map are a variable on that map (named as their measure by others, CDO warns of it)."""
    if "cell_area" not in ds.coords:
        return ds
    ds = ds.reset_coords("cell_area")
    if "crs" in ds.coords:
        ds["cell_area"].attrs = {**ds["cell_area"].attrs, "grid_mapping": "crs"}
    return ds


def _without_empty_time(ds: xr.Dataset) -> xr.Dataset:
    """A field without a time has an axis of length one in memory: in a file it would be a time that nobody knows."""
    return ds.squeeze("time") if ds.sizes.get("time") == 1 and "time" not in ds.coords else ds


def _labels(ds: xr.Dataset) -> xr.Dataset:
    """Members are counted by whole numbers; other labels are kept as the meanings of the count (CDO knows no text)."""
    if "member" not in ds.dims:
        return ds
    values = ds["member"].values  # counted from 0 if they have none
    attrs = dict(ds["member"].attrs) if "member" in ds.coords else {}
    numeric = values.dtype.kind in "iuf" and bool((values == np.round(values)).all())
    if not numeric:
        words = [re.sub(r"[^\w.@+-]", "_", str(v), flags=re.ASCII) or "_" for v in values.tolist()]
        attrs |= {"flag_values": np.arange(len(words), dtype="int32"), "flag_meanings": " ".join(words)}
    count = values.astype("int32") if numeric else np.arange(len(values), dtype="int32")
    return ds.assign_coords(member=("member", count, attrs))


def _ordered(ds: xr.Dataset) -> xr.Dataset:
    """Dims as time, member, others, level, rows, columns, which is the order that CF asks for and CDO needs."""
    for name, da in ds.data_vars.items():
        space = next((s for s in (SPACE, MAP) if set(s[1:]) <= set(da.dims)), None)
        if space is not None:
            first = [d for d in ORDER if d in da.dims]
            last = [d for d in space if d in da.dims]
            ds[name] = da.transpose(*first, *(d for d in da.dims if d not in (*first, *last)), *last)
    return ds


def _variable_attributes(ds: xr.Dataset, name: str) -> dict:
    da = ds[name]
    links = {key: da.attrs[key] for key in LINKS if key in da.attrs}
    attrs = inherited(da.attrs)
    if times.is_time(da):
        for key in ("units", "calendar"):
            attrs.pop(key, None)
    for key, value in links.items():  # to what is here, and still has its size
        if all(word in ds.variables for word in str(value).replace(":", " ").split() if word not in ("area", "volume")):
            if key in ("ancillary_variables", "bounds") or (key == "cell_measures" and _fits(ds, da, str(value))):
                attrs[key] = value
    if attrs.get("grid_mapping") not in ds.variables:
        attrs.pop("grid_mapping", None)
    if name in COORDINATES and da.ndim <= 1:
        attrs = {**attrs, **COORDINATES[name]}
        if da.ndim == 0:
            attrs.pop("axis", None)
    elif name == "level" and da.ndim == 1:
        attrs = {"axis": "Z", "positive": "down", **attrs}
    if name in ("y", "x") and da.ndim == 1:  # numbers of rows are no place
        attrs = {**attrs, "axis": name.upper()} if attrs.get("standard_name") else _without(attrs, "axis")
    if da.ndim == 2 and name in ("latitude", "longitude"):
        attrs = {**attrs, **{k: v for k, v in COORDINATES[name].items() if k != "axis"}}
    if "grid_mapping_name" in attrs:
        attrs = {"long_name": "map of y and x", **attrs}
    if not any(ds[other].attrs.get("bounds") == name for other in ds.coords):
        attrs = {"long_name": str(attrs.get("standard_name", name)).replace("_", " "), **attrs}
    if name in ds.data_vars:
        if da.dtype.kind in "iufb" and "units" not in attrs and kind(da) in ("mask", "flag"):
            attrs["units"] = "1"
        if kind(da) == "mask" and da.dtype == bool and "flag_values" not in attrs:
            attrs |= {"flag_values": np.array([0, 1], "int8"), "flag_meanings": "no yes"}  # of the type of the values
        if kind(da) in ("mask", "flag") and {"flag_values", "flag_masks"} & set(attrs):
            attrs.pop("units", None)
        methods = attrs.get("cell_methods")
        if methods is not None and not _true_methods(ds, str(methods)):
            del attrs["cell_methods"]
    attrs = attributes.tidy_units(attrs)
    if attrs.get("units") in TEMPERATURES and re.search(r"temperature(?!.*(anomaly|difference))", _what(attrs, name)):
        attrs.setdefault("units_metadata", "temperature: on_scale")
    whole = "int8" if da.dtype == bool else da.dtype if da.dtype.kind in "iu" else None
    flags = {
        key: np.asarray(attrs[key]).astype(whole)
        for key in ("flag_values", "flag_masks")
        if whole is not None and key in attrs and _row(attrs[key])
    }
    made = attributes.safe({key: value for key, value in attrs.items() if key not in flags})
    if isinstance(attrs.get("flag_meanings"), list | tuple | np.ndarray):
        made["flag_meanings"] = " ".join(str(word).replace(" ", "_") for word in attrs["flag_meanings"])
    return {**made, **flags}


def _one_height(ds: xr.Dataset) -> xr.Dataset:
    """Where members are the third dim, CDO takes no scalar height for a coordinate: it becomes an attribute."""
    scalars = [
        n for n, c in ds.coords.items() if c.ndim == 0 and (c.attrs.get("positive") or c.attrs.get("axis") == "Z")
    ]
    if "member" not in ds.dims or not scalars:
        return ds
    words = {str(n): f"{ds[n].values} {ds[n].attrs.get('units', '')}".strip() for n in scalars}
    ds = ds.drop_vars(scalars)
    for name, da in ds.data_vars.items():
        if "member" in da.dims:
            ds[name].attrs = {**da.attrs, **words}
    return ds


def _without(attrs: dict, key: str) -> dict:
    return {k: v for k, v in attrs.items() if k != key}


def _small(variable: xr.Variable) -> bool:
    values = np.asarray(variable.values)
    return not values.size or bool(values.min() > -(2**31) and values.max() < 2**31)


def _what(attrs: dict, name: str) -> str:
    """Standard name, without the change of a quantity in time."""
    text = str(attrs.get("standard_name") or VARIABLES.get(name, {}).get("standard_name", ""))
    return "" if text.startswith(("tendency", "change")) else text


def _row(value: Any) -> bool:
    return not isinstance(value, str) and np.asarray(value).dtype.kind in "iu"


def _fits(ds: xr.Dataset, da: xr.DataArray, measures: str) -> bool:
    names = measures.replace(":", " ").split()[1::2]
    return all(set(ds[name].dims) <= set(da.dims) for name in names)


def _true_methods(ds: xr.Dataset, text: str) -> bool:
    """Whether the cell methods speak of dims that are here."""
    words = [word[:-1] for word in text.split() if word.endswith(":") and not word.startswith("(")]
    return all(word in ds.variables or word in ds.dims or word == "area" for word in words if "(" not in word)


def _with_bounds(ds: xr.Dataset, name: str, edges: np.ndarray | None) -> xr.Dataset:
    """Edges of the cells along an axis: those of the refined grid where it is one, else half way between the points."""
    da = ds[name]
    if da.dims != (name,) or da.size < 2 or da.dtype.kind not in "iuf":
        return ds
    values = np.asarray(da.values, dtype=np.float64)
    steps = np.diff(values)
    if not (np.all(steps > 0) or np.all(steps < 0)):
        return ds
    known = None if edges is None else np.asarray(edges, dtype=np.float64)
    if known is None or known.shape != (da.size + 1,) or not _between(known, values):
        inner = 0.5 * (values[1:] + values[:-1])
        outer = (values[0] - steps[0] / 2, values[-1] + steps[-1] / 2)
        known = latitude_edges(values) if name == "latitude" else np.concatenate([outer[:1], inner, outer[1:]])
    bounds = (da.dims[0], "bnds"), np.stack([known[:-1], known[1:]], axis=1)
    ds = ds.assign_coords({f"{name}_bnds": bounds})
    ds[name].attrs["bounds"] = f"{name}_bnds"
    return ds


def _between(edges: np.ndarray, values: np.ndarray) -> bool:
    low, high = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    return bool(((low <= values) & (values <= high)).all())


def _accumulated(ds: xr.Dataset) -> xr.Dataset:
    """The hour that our own accumulated variables speak of, as bounds of the time."""
    ours = [n for n, da in ds.data_vars.items()
            if str(n) in VARIABLES and str(da.attrs.get("long_name", "")) == VARIABLES[str(n)]["long_name"]
            and any(word in VARIABLES[str(n)]["long_name"] for word in AGAIN) and "time" in da.dims]  # fmt: skip
    if not ours or "bounds" in ds["time"].attrs or ds["time"].dtype.kind != "M" or "time_bnds" in ds.variables:
        return ds
    end = ds["time"].values
    ds = ds.assign_coords(time_bnds=(("time", "bnds"), np.stack([end - np.timedelta64(1, "h"), end], axis=1)))
    ds["time"].attrs["bounds"] = "time_bnds"
    for name in ours:
        ds[name].attrs.setdefault("cell_methods", "time: sum (interval: 1 hour)")
    return ds
