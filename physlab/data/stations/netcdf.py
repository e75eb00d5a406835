"""A NetCDF file of stations as a table: any dimensions, ragged arrays of the CF conventions, flags with their "
"meanings."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from physlab.data.stations.text import Raw
from physlab.data.stations.words import heading, key
from physlab.errors import FieldError, one_line

LARGEST = 50_000_000
"""Rows of a table at most."""
GOOD = re.compile(
    r"good|passed|\bok\b|valid|correct|no_?error|\bpass\b|clean|accepted|reliable|quality_assured|undisputed"
)
BAD = re.compile(r"not_|un?reliable|bad|fail|suspect|doubt|invalid|incorrect|erroneous|missing|reject|wrong|"
                 r"dubious|poor|unknown|no_quality|not|inconsistent|gross|outlier|spike|no_data|fill")  # fmt: skip
STANDARD = {
    "air_temperature": "t", "dew_point_temperature": "td", "relative_humidity": "rh", "specific_humidity": "q",
    "surface_air_pressure": "sp", "air_pressure_at_mean_sea_level": "msl", "air_pressure_at_sea_level": "msl",
    "wind_speed": "wind_speed", "wind_from_direction": "wind_direction", "eastward_wind": "u", "northward_wind": "v",
    "geopotential": "z", "geopotential_height": "z", "precipitation_amount": "tp",
    "atmosphere_mass_content_of_water_vapor": "tcwv", "atmosphere_mass_content_of_water": "tcw",
}  # fmt: skip
"""standard_name -> quantity."""


def read_netcdf(path: Path) -> Raw:
    """The variables of a file as columns of one table, a row for each observation.

    Raises
    ------
    FieldError : no NetCDF, or more rows than fit.
    """
    try:
        ds = xr.open_dataset(path, decode_timedelta=False)
    except Exception as error:
        if ("units" in str(error) and "since" in str(error)) or "calendar" in str(error):
            raise FieldError(f"{path.name}: its time cannot be decoded ({one_line(error, 120)})") from None
        raise FieldError(
            f"cannot read '{path}' as NetCDF ({type(error).__name__}: {one_line(error, 120)}): "
            "pass a CSV or NetCDF file of stations"
        ) from None
    with ds:
        ds = _spread(ds)
        spare = [
            n
            for n, v in ds.variables.items()
            if n not in ds.dims and (v.attrs.get("grid_mapping_name") or (v.dtype.kind == "O" and not v.size))
        ]
        ds = ds.drop_vars(spare).reset_coords()
        bounds = {v.attrs.get(k) for v in ds.variables.values() for k in ("bounds", "climatology")}
        ds = ds.drop_vars([n for n in ds.data_vars if n in bounds])
        main = _dimensions(ds)
        ds = ds.drop_vars([n for n in ds.data_vars if not set(ds[n].dims) <= set(main)])
        rows = int(np.prod([ds.sizes[d] for d in main])) if main else 1
        if rows > LARGEST:
            raise FieldError(
                f"{path.name} has {rows} rows ({' x '.join(f'{ds.sizes[d]} {d}' for d in main)}): select the time "
                "that is wanted first"
            )
        columns: dict[str, np.ndarray] = {}
        units: dict[str, str] = {}
        good: dict[str, np.ndarray] = {}
        for name in [*[d for d in main if d in ds.coords], *ds.data_vars]:
            da = _valid(ds[name].load())
            text = str(name)
            flat = _text(da.values) if da.dtype.kind in "SO" else da.values
            if da.dtype.kind == "O" and da.size and hasattr(da.values.flat[0], "calendar"):
                flat = _standard(da.values, path)
            spread = xr.DataArray(flat, dims=da.dims).broadcast_like(
                xr.DataArray(np.zeros([ds.sizes[d] for d in main], dtype=bool), dims=main)
            )
            columns[text] = spread.transpose(*main).values.ravel()
            unit = str(da.attrs.get("units", "")).strip()
            if unit and " since " not in unit:
                units[text] = unit
            if (trusted := _trusted(da)) is not None:
                good[text] = trusted(columns[text])
        renamed = _by_standard_name(ds, columns)
        for mine, known in renamed.items():
            tables: tuple[dict, ...] = (columns, units, good)
            for part in tables:
                if mine in part:
                    part[known] = part.pop(mine)
    frame = pd.DataFrame({k: pd.Series(v, dtype=object if v.dtype.kind in "OU" else None) for k, v in columns.items()})
    return Raw(frame, np.arange(1, len(frame) + 1), units, good)


def _valid(da: xr.DataArray) -> xr.DataArray:
    """Values outside the range that the file itself calls valid are missing (CF, 2.5.1); the range of packed numbers is
    packed."""
    if da.dtype.kind != "f":
        return da
    limits = np.asarray(
        da.attrs.get("valid_range", (da.attrs.get("valid_min", np.nan), da.attrs.get("valid_max", np.nan)))
    )
    if limits.size != 2 or limits.dtype.kind not in "fiu":
        return da
    scale, offset = (float(da.encoding.get(k, x)) for k, x in (("scale_factor", 1.0), ("add_offset", 0.0)))
    packed = np.dtype(da.encoding.get("dtype", "f8")).kind in "iu" and limits.dtype.kind in "iu"
    low, high = sorted(limits * scale + offset) if packed else limits
    return da.where(~((da < low) | (da > high)))


def _spread(ds: xr.Dataset) -> xr.Dataset:
    """Ragged arrays (CF, chapter 9) with the data of each station beside each of its observations."""
    for name in [str(n) for n in ds.variables]:
        v = ds[name].variable
        if (dim := v.attrs.get("sample_dimension")) in ds.dims and v.ndim == 1:
            counts = np.nan_to_num(v.values.astype(float)).astype(int)
            at, of = np.repeat(np.arange(len(counts)), counts), v.dims[0]
        elif (of := v.attrs.get("instance_dimension")) in ds.dims and v.ndim == 1:
            at, dim = v.values.astype(int), v.dims[0]
        else:
            continue
        if len(at) != ds.sizes[dim] or (len(at) and not 0 <= at.min() <= at.max() < ds.sizes[of]):
            raise FieldError(f"the counts of '{name}' do not fit its {ds.sizes[dim]} observations: the file is damaged")
        ds = ds.drop_vars(name).isel({of: xr.DataArray(at, dims=dim)})
    return ds


def _dimensions(ds: xr.Dataset) -> list[str]:
    """Those of the values: of the variables that are no place, in the order of the largest."""
    kinds = {n: heading(n) for n in ds.data_vars}
    values = [
        n for n, h in kinds.items() if ds[n].dtype.kind in "fiu" and h.role in ("", "value", "pressure") and ds[n].ndim
    ]
    known = [
        n for n in values if kinds[n].role or kinds[n].variable or str(ds[n].attrs.get("standard_name", "")) in STANDARD
    ]
    found = max(known or values or list(ds.data_vars), key=lambda n: (ds[n].ndim, ds[n].size), default=None)
    if found is None:
        return [str(d) for d in ds.dims]
    return [str(d) for d in ds[found].dims]


def _text(values: np.ndarray) -> np.ndarray:
    """Bytes as text, whatever they were written in."""

    def one(cell):
        if not isinstance(cell, bytes):
            return cell
        try:
            return cell.decode("utf-8").strip("\0 ")
        except UnicodeDecodeError:
            return cell.decode("latin-1").strip("\0 ")

    return np.array([one(cell) for cell in values.ravel()], dtype=object).reshape(values.shape)


def _standard(values: np.ndarray, path: Path) -> np.ndarray:
    """Times of another calendar than that of the world, where it is nearly the same."""
    first = values.flat[0]
    if first.calendar not in ("standard", "gregorian", "proleptic_gregorian"):
        raise FieldError(
            f"{path.name}: its time has the calendar {first.calendar}, observations have that of the world"
        )
    return np.array([np.datetime64(t.isoformat(), "ns") for t in values.ravel()]).reshape(values.shape)


def _by_standard_name(ds: xr.Dataset, columns: dict) -> dict[str, str]:
    """Columns whose name says nothing and whose standard_name does -> the name that they get."""
    made: dict[str, str] = {}
    places = {"latitude": "latitude", "longitude": "longitude", "surface_altitude": "elevation",
              "altitude": "elevation", "height_above_mean_sea_level": "elevation", "time": "time",
              "platform_id": "station", "platform_name": "station", "station_id": "station",
              "air_pressure": "level" if "level" in ds.dims else "pressure"}  # fmt: skip
    taken = {heading(c).role for c in columns}
    for name in columns:
        said = str(ds[name].attrs.get("standard_name", "")).strip() if name in ds.variables else ""
        h = heading(name)
        if h.role or h.variable or not said:
            continue
        wanted = places.get(said) or STANDARD.get(said, "")
        if wanted and wanted not in columns and wanted not in made.values() and wanted not in taken:
            made[str(name)] = wanted
    return made


def _trusted(da: xr.DataArray):
    """A function of the flags that says which are good, where flag_meanings tell; None for another variable."""
    meanings = da.attrs.get("flag_meanings")
    if not meanings:
        return None
    words = [key(w) for w in (meanings.split() if isinstance(meanings, str) else list(map(str, meanings)))]
    good = [bool(GOOD.search(w)) and not BAD.search(w) for w in words]
    bad = [bool(BAD.search(w)) for w in words]
    if "flag_masks" in da.attrs and "flag_values" not in da.attrs:
        masks = [int(m) for m in np.atleast_1d(da.attrs["flag_masks"])]
        wrong = sum({m for m, b in zip(masks, bad, strict=False) if b})
        if not wrong:
            return None
        return lambda flags: (np.nan_to_num(flags.astype(float)).astype(int) & wrong) == 0
    values = [float(v) for v in np.atleast_1d(da.attrs.get("flag_values", range(len(words))))]
    if not any(good):
        return None
    known = [v for v, g in zip(values, good, strict=False) if g]
    return lambda flags: np.isin(flags.astype(float), known)
