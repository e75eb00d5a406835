"""At which height a field holds: pressure becomes `level` in hPa; everything else keeps its own name and units."""

from __future__ import annotations

import re

import numpy as np
import xarray as xr

from physlab.data.ingest import units
from physlab.data.ingest.account import Account
from physlab.errors import FieldError

STANDARD_LEVELS = frozenset((1, 2, 3, 5, 7, 10, 20, 30, 50, 70, *range(100, 275, 25), *range(300, 800, 50),
                             *range(775, 1025, 25), 825, 875, 925, 1013))  # fmt: skip
"""Pressures, hPa, at which centres give fields."""
PRESSURE_NAMES = r"plev\d*|isobaric.*|pressure.*|p_?levels?|lv_isbl\d*|air_pressure"
LEVEL_NAMES = r"level|levels|lev|z_levels?|nlev|num_levels"
NOT_PRESSURE = (
    r"depth|deptht|depthu|height.*|altitude|alt|hybrid.*|sigma.*|model_?level.*|theta|isentropic.*|potential.*|"
    r"bottom_top.*|soil.*|eta"
)


def pressure_levels(ds: xr.Dataset, note: Account) -> xr.Dataset:
    """The pressure coordinate becomes `level` in hPa, known by standard name and units; others are named in the
    account.

    Of several pressure coordinates that with the most values is taken.

    Raises
    ------
    FieldError : one that is no pressure on Earth.
    """
    pool = [str(n) for n in (*ds.dims, *[c for c in ds.coords if c not in ds.dims]) if n not in ("time", "member")]
    pressures = [n for n in pool if n in ds.coords and ds[n].ndim <= 1 and _is_pressure(ds, n)]
    along = [n for n in pressures if ds[n].ndim == 1] or pressures
    along.sort(key=lambda n: -sum(da.nbytes for da in ds.data_vars.values() if ds[n].ndim and ds[n].dims[0] in da.dims))
    for other in [n for n in along[1:] if ds[n].ndim == 1]:
        gone = [str(n) for n, da in ds.data_vars.items() if ds[other].dims[0] in da.dims]
        note.did(
            f"left out {', '.join(gone)}, on other pressures ({other}): choose with "
            f"{note.file}::variable={'+'.join(gone)}"
        )
        ds = ds.drop_vars([*gone, other])
    if along:
        ds = _as_level(ds, along[0], note)
    for name in pool:
        if name in pressures or (name not in ds.coords and name not in ds.dims):
            continue
        ds = _other(ds, name, note)
    return ds


def _is_pressure(ds: xr.Dataset, name: str) -> bool:
    attrs, lower = ds[name].attrs, name.lower()
    hybrid = re.search(r"hybrid|sigma|model level", str(attrs.get("long_name", "")).lower())
    above_ground = "fromground" in lower or "layer" in lower
    if ds[name].dtype.kind not in "iuf" or attrs.get("formula_terms") or hybrid or above_ground:
        return False
    standard, unit = str(attrs.get("standard_name", "")).lower(), units.plain(attrs.get("units"))
    if standard:
        return standard == "air_pressure" and unit != "1"
    if unit and unit not in ("1", "level", "levels", "count"):
        return units.measures(unit, "Pa") and str(attrs.get("axis", "Z")).upper() == "Z" and ds[name].size > 0
    values = np.atleast_1d(np.asarray(ds[name].values, dtype=float))
    if re.fullmatch(PRESSURE_NAMES, lower):
        return bool(values.size and (values > 0).all())
    if not re.fullmatch(LEVEL_NAMES, lower) or ds[name].ndim == 0:
        return False
    known = all(v in STANDARD_LEVELS or v / 100 in STANDARD_LEVELS for v in values.tolist())
    return known and values.max() >= 150 and str(attrs.get("positive", "down")).lower() == "down"


def _as_level(ds: xr.Dataset, name: str, note: Account) -> xr.Dataset:
    da = ds[name]
    unit = units.plain(da.attrs.get("units"))
    values = np.asarray(da.values, dtype=float)
    if unit in ("", "1", "level", "levels", "count"):
        unit = "Pa" if values.max() > 1100 else "hPa"
        note.did(f"{name} has no units: its values, {_span(values)}, taken as pressure in {unit}")
    factor = units.factors(unit, "hPa")
    assert factor is not None  # of a pressure
    level = factor[0] * values
    level = np.where(np.isclose(level, np.round(level), rtol=0, atol=1e-6), np.round(level), level)
    if not ((level > 0) & (level <= 1200)).all():
        raise FieldError(
            f"'{note.file}': pressure '{name}' reaches from {_span(level)} hPa, which is no pressure on Earth: "
            f"correct its units '{unit}'"
        )
    if factor != (1.0, 0.0):
        note.did(f"{name} from {unit} to hPa")
    elif da.dtype.kind in "iu":
        level = da.values
    note.took(f"level is pressure, {_span(np.asarray(level))} hPa" if da.ndim else f"pressure {float(level):g} hPa")
    if name != "level":
        ds = ds.drop_vars([n for n in ("level",) if n in ds.variables])
        ds = ds.rename({name: "level"})
    attrs = {"standard_name": "air_pressure", "long_name": "pressure", "units": "hPa", "positive": "down", "axis": "Z"}
    dims = ds["level"].dims
    ds = ds.drop_vars("level").assign_coords(
        level=(dims, level.astype(da.dtype) if da.dtype.kind == "f" else level, attrs)
    )
    return ds.swap_dims({dims[0]: "level"}) if dims and dims != ("level",) else ds


def _other(ds: xr.Dataset, name: str, note: Account) -> xr.Dataset:
    """Heights, depths and numbers of levels: never called `level`, and said."""
    lower = name.lower()
    attrs = ds[name].attrs if name in ds.coords else {}
    vertical = str(attrs.get("axis", "")).upper() == "Z" or "positive" in attrs or attrs.get("formula_terms")
    if not (vertical or re.fullmatch(f"{LEVEL_NAMES}|{NOT_PRESSURE}", lower)):
        return ds
    if name in ds.coords and (
        ds[name].ndim > 1 or (name not in ds.dims and ds[name].ndim == 1 and ds[name].dims[0] in ds.coords)
    ):
        return ds
    what = str(attrs.get("standard_name") or attrs.get("long_name") or "a vertical coordinate").replace("_", " ")
    unit = str(attrs.get("units", "")).strip()
    if lower in ("level", "lev", "levels"):
        words = f"{what} {attrs.get('positive', '')}".lower()
        new = (
            "depth"
            if "depth" in words
            else "height"
            if re.search(r"height|altitude", words) and "hybrid" not in words
            else "model_level"
        )
        if new not in ds.variables and new not in ds.dims:
            ds = ds.rename({name: new})
            name = new
    if name in ds.dims:
        note.took(f"{name} is {what}{f' in {unit}' if unit else ''}, not pressure")
    return ds


def _span(values: np.ndarray) -> str:
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:g}" if low == high else f"{np.atleast_1d(values)[0]:g} to {np.atleast_1d(values)[-1]:g}"
