"""GRIB of edition 1 and 2 through cfgrib: all kinds of levels that fit together, or a word about what was left out."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from physlab.data.ingest.account import Account
from physlab.errors import FieldError

KEYS = frozenset((
    "typeOfLevel", "shortName", "stepType", "stepRange", "paramId", "dataType", "edition", "cfVarName", "name",
    "discipline", "parameterCategory", "parameterNumber", "topLevel", "dataDate", "dataTime",
))  # fmt: skip
NUMBERS = frozenset((
    "paramId", "edition", "discipline", "parameterCategory", "parameterNumber", "topLevel", "dataDate", "dataTime",
))  # fmt: skip
READ = (
    "discipline", "parameterCategory", "parameterNumber", "shapeOfTheEarth", "projectionCentreFlag",
    "standardParallelInDegrees", "centralLongitudeInDegrees", "angleOfRotationInDegrees",
)  # fmt: skip
MRMS = 209
MRMS_FIELDS: dict[Any, tuple[str, str, str]] = {
    (6, 1): ("rain_rate", "rain rate by radar", "mm h-1"),
    (6, 2): ("rain_1h", "rain of the hour before by radar", "mm"),
}
"""(category, number) of NOAA's multi-radar fields -> name, meaning, unit: eccodes does not know them. -3 is no
coverage."""
NO_COVERAGE = (-3.0, -1.0)


def open_grib(path: Path, wanted: dict[str, str], note: Account) -> xr.Dataset:
    """A GRIB file as one data set, lazily; keys of GRIB are taken out of `wanted`.

    Raises
    ------
    FieldError : the file is cut off, has no such messages, or lies on a grid that cfgrib does not unfold.
    """
    import cfgrib

    logging.getLogger("cfgrib").setLevel(logging.CRITICAL)
    whole(path)
    keys: dict[str, Any] = {key: wanted.pop(key) for key in KEYS if key in wanted}
    keys = {key: int(value) if key in NUMBERS else value for key, value in keys.items()}
    backend: dict[str, Any] = {"read_keys": list(READ), **({"filter_by_keys": keys} if keys else {})}
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        backend["indexpath"] = folder + "/{short_hash}"  # cfgrib reads the file once, not once for each part
        try:
            parts = [xr.open_dataset(path, engine="cfgrib", backend_kwargs={**backend, "errors": "raise"})]
        except Exception:  # several kinds of levels or steps
            backend["indexpath"] += "-parts"  # an index is not shared by readers that take errors otherwise
            parts = cfgrib.open_datasets(str(path), backend_kwargs={**backend, "squeeze": True})
    parts = [part for part in parts if part.data_vars]
    if not parts:
        said = ", ".join(f"{k}={v}" for k, v in keys.items())
        raise FieldError(
            f"'{path}' has no GRIB message{f' with {said}' if said else ' that can be read'}: see what it has with "
            f"grib_ls"
        )
    if "values" in parts[0].dims:
        kind = next(iter(parts[0].data_vars.values())).attrs.get("GRIB_gridType", "unstructured")
        raise FieldError(
            f"'{path}' lies on a grid of type {kind}, which has no rows and columns: interpolate it first, for "
            f"example with "
            "cdo -setgridtype,regular IN OUT"
        )
    return _together([_levels(_named(_columns(part))) for part in parts], note)


def _columns(ds: xr.Dataset) -> xr.Dataset:
    """Longitudes in the order of the columns: of a grid over Greenwich cfgrib gives them sorted, its values not."""
    attrs = next(iter(ds.data_vars.values())).attrs
    names = [f"GRIB_longitudeOf{end}GridPointInDegrees" for end in ("First", "Last")]
    if ds["longitude"].ndim != 1 or any(name not in attrs for name in names):
        return ds
    stored, count = ds["longitude"].values, ds.sizes["longitude"]
    first, last = (float(attrs[name]) for name in names)
    sign = -1 if attrs.get("GRIB_iScansNegatively") else 1
    expected = first + sign * np.linspace(0.0, sign * (last - first) % 360, count)
    nearest = np.abs((stored[None] - expected[:, None] + 180) % 360 - 180).argmin(1)
    if count < 2 or (nearest == np.arange(count)).all() or len(set(nearest.tolist())) < count:
        return ds
    return ds.assign_coords(longitude=("longitude", stored[nearest], ds["longitude"].attrs))


def whole(path: Path) -> None:
    """Refuse a file whose last message is cut off, which the reader would leave out without a word.

    Raises
    ------
    FieldError : a message does not end where it should.
    """
    size, at, count = path.stat().st_size, 0, 0
    with open(path, "rb") as stream:
        while at < size:
            stream.seek(at)
            head = stream.read(4096)
            begin = head.find(b"GRIB")
            if begin < 0:
                if not head.strip(b"\0 \r\n\x03"):
                    break
                at += len(head) - 3 if len(head) > 3 else len(head)
                continue
            head = head[begin : begin + 16]
            edition = head[7] if len(head) > 7 else 0
            length = int.from_bytes(head[8:16], "big") if edition == 2 else int.from_bytes(head[4:7], "big")
            if edition not in (1, 2) or length < 12 or (edition == 1 and length >= 0x800000):
                return  # large messages of edition 1 count otherwise: left to eccodes
            end = at + begin + length
            stream.seek(end - 4)
            if end > size or stream.read(4) != b"7777":
                raise FieldError(
                    f"cannot read '{path}': GRIB message {count + 1} is cut off or damaged ({size} bytes, it should "
                    f"end at {end}): "
                    "get it again, whole"
                )
            at, count = end, count + 1


def _named(ds: xr.Dataset) -> xr.Dataset:
    """Names of fields that eccodes does not know, as far as we do."""
    for name, da in ds.data_vars.items():
        attrs = da.attrs
        if attrs.get("GRIB_discipline") == MRMS:
            key = (attrs.get("GRIB_parameterCategory"), attrs.get("GRIB_parameterNumber"))
            new, long_name, unit = MRMS_FIELDS.get(key, (str(name), "radar field", ""))
            known = {"long_name": long_name, "units": unit, "physlab_missing": list(NO_COVERAGE), "standard_name": ""}
            ds = ds.assign({name: da.assign_attrs(known)})
            ds = ds.rename({name: new}) if new != name else ds
        elif str(name) == "unknown":
            keys = [attrs.get(f"GRIB_{key}", "?") for key in ("discipline", "parameterCategory", "parameterNumber")]
            ds = ds.rename(
                {
                    name: f"field_{'_'.join(map(str, keys))}"
                    if "?" not in keys
                    else f"field_{attrs.get('GRIB_paramId', 0)}"
                }
            )
    for name, da in ds.data_vars.items():
        if da.attrs.get("GRIB_stepType") in ("accum", "avg", "max", "min"):
            words = {"accum": "sum", "avg": "mean", "max": "maximum", "min": "minimum"}[da.attrs["GRIB_stepType"]]
            ds[name].attrs.setdefault("cell_methods", f"time: {words}")
    return ds


def _levels(ds: xr.Dataset) -> xr.Dataset:
    """Heights of single levels go into the attributes of the fields; a pressure, and heights along a dim, stay."""
    kind = next(iter(ds.data_vars.values())).attrs.get("GRIB_typeOfLevel", "")
    if kind and kind in ds.coords and ds[kind].ndim == 0 and not kind.startswith("isobaric"):
        value = float(ds[kind])
        for name in ds.data_vars:
            ds[name].attrs["level_type"] = f"{kind} {value:g}" if value else kind
        ds = ds.drop_vars(kind)
    return ds


def _together(parts: list[xr.Dataset], note: Account) -> xr.Dataset:
    """Parts with the same times, members and places as one data set; the largest such group, if there are several."""
    if len(parts) == 1:
        return parts[0]
    groups: list[list[xr.Dataset]] = []
    for part in sorted(parts, key=lambda p: -sum(da.nbytes for da in p.data_vars.values())):
        for group in groups:
            if _fits(group[0], part):
                group.append(part)
                break
        else:
            groups.append([part])
    groups.sort(key=lambda group: -sum(da.nbytes for part in group for da in part.data_vars.values()))
    merged: dict[Any, xr.DataArray] = {}
    for part in groups[0]:
        for name, da in part.data_vars.items():
            if "isobaricInhPa" in da.coords and da["isobaricInhPa"].ndim == 0:
                pressure = f"{float(da['isobaricInhPa']):g}"
                da = da.drop_vars("isobaricInhPa").assign_attrs(level_type=f"pressure {pressure} hPa")
                key = str(name) if str(name) not in merged else f"{name}{pressure}"
            else:
                key = str(name)
            if key in merged:
                kind = str(da.attrs.get("GRIB_typeOfLevel", "other"))
                key = f"{name}_{kind}"
            extra = 2
            while key in merged:
                key, extra = f"{key}_{extra}", extra + 1
            kind = str(da.attrs.get("GRIB_typeOfLevel", ""))
            if kind in da.dims and kind != "isobaricInhPa":
                same = kind in {d for other in merged.values() for d in other.dims}
                if same and not _same_levels(merged, kind, da):
                    da = da.rename({kind: f"{kind}_{key}"})
            merged[key] = da.rename(key)
    if len(merged) > len(groups[0]) or len(groups[0]) > 1:
        note.took(f"{len(groups[0])} kinds of levels together")
    if len(groups) > 1:
        left = [str(n) for group in groups[1:] for part in group for n in part.data_vars]
        kinds = sorted(
            {
                str(da.attrs.get("GRIB_typeOfLevel"))
                for group in groups[1:]
                for p in group
                for da in p.data_vars.values()
            }
        )
        note.did(
            f"left out {', '.join(left[:8])}{' ...' if len(left) > 8 else ''}, whose times, levels or grids differ: "
            f"choose them with "
            f"{note.file}::typeOfLevel={kinds[0]} or {note.file}::shortName={left[0]}"
        )
    return xr.Dataset(merged, attrs=groups[0][0].attrs)


def _same_levels(merged: dict, kind: str, da: xr.DataArray) -> bool:
    other = next(o for o in merged.values() if kind in o.dims)
    return np.array_equal(other[kind].values, da[kind].values)


def _fits(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Whether two parts share time, step, member, and grid."""
    for name in ("time", "step", "number", "latitude", "longitude"):
        if (name in one.coords) != (name in other.coords):
            return name == "number" and False
        if name in one.coords and not (
            one[name].dims == other[name].dims and np.array_equal(one[name].values, other[name].values)
        ):
            return False
    levels = [set(ds.dims) & {"isobaricInhPa"} for ds in (one, other)]
    if all(levels) and not np.array_equal(one["isobaricInhPa"].values, other["isobaricInhPa"].values):
        return False
    return True
