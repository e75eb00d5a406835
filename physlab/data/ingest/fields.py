"""The fields themselves: which quantity each is, its values checked, its units those of the library."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import xarray as xr

from physlab import cf
from physlab.constants import GRAVITY
from physlab.data.ingest import missing, quantities, units
from physlab.data.ingest.account import Account
from physlab.data.ingest.missing import Check
from physlab.errors import FieldError

SMALL = 64 << 20
"""Bytes of all fields together up to which they are read and checked at once; beyond, as they are read."""
CHUNK = 32 << 20
LARGEST_CHUNK = 256 << 20
JUNK = re.compile(
    r"^(GRIB_.*|_FillValue|missing_value|valid_(min|max|range)|actual_(min|max|range)|scale_factor|add_offset|coordinates|"
    r"grid_mapping|bounds|cell_measures|ancillary_variables|_ChunkSizes|_Netcdf4.*|physlab_.*|FieldType|MemoryOrder|stagger)$"
)
HOUR_BEFORE = {"tp": "precipitation", "e": "evaporation, positive upward"}
SHOWN = 8


def understood(ds: xr.Dataset, note: Account, small: bool | None = None) -> xr.Dataset:
    """Every field with its quantity, its units and its missing values; lazy if they are large.

    A field with impossible units or values is left out, and said, if others are sound.

    Raises
    ------
    FieldError : impossible units or values in all fields, or, where they are read later, in any.
    """
    if small is None:
        small = sum(da.nbytes for da in ds.data_vars.values()) <= SMALL
    if not small:
        ds = ds.chunk(_chunks(ds))
        note.took("large: values are checked as they are read")
    made: dict[Any, xr.DataArray] = {}
    words: list[str] = []
    refused: list[FieldError] = []
    for name, da in ds.data_vars.items():
        try:
            field = _field(da, note, small, "crs" in ds.coords)
        except FieldError as error:
            refused.append(error)
            continue
        made[name] = field
        kind = cf.kind(field)
        what = str(field.attrs.get("standard_name") or "not known")
        unit = str(field.attrs.get("units", "")) or "no units"
        words.append(f"{name} is {what} in {unit} ({kind})" if kind not in ("flag", "mask") else f"{name} is a {kind}")
    if refused and not made:
        raise refused[0]
    for why in refused:  # other fields are as good as before
        text = str(why).removeprefix(f"'{note.file}': ").removeprefix("variable ")
        what, _, _ = text.partition(": ")
        note.did(f"left out {what}")
    if small:
        _gaps(made, note)
    note.understood[:0] = [", ".join(words[:SHOWN]) + (f" and {len(words) - SHOWN} more" if len(words) > SHOWN else "")]
    return ds.drop_vars([n for n in ds.data_vars if n not in made]).assign(made)


def _gaps(fields: dict, note: Account) -> None:
    """Say how much is missing; refuse a file in which nothing is there.

    Raises
    ------
    FieldError : no field has a value.
    """
    missing_ = {str(name): int(np.isnan(da.values).sum()) if da.dtype.kind == "f" else 0 for name, da in fields.items()}
    if all(count == fields[name].size for name, count in missing_.items()):
        raise FieldError(
            f"'{note.file}': {', '.join(missing_)} {'is' if len(missing_) == 1 else 'are'} missing everywhere: pass "
            f"a file with values"
        )
    some = [f"{count} of {fields[name].size} values of {name}" for name, count in missing_.items() if count]
    if some:
        note.took("missing: " + ", ".join(some[:SHOWN]) + (" ..." if len(some) > SHOWN else ""))


def _chunks(ds: xr.Dataset) -> dict[Any, int]:
    """Chunks along the leading dims: the file's own, as far as they are neither small nor large; whole fields."""
    largest = max(ds.data_vars.values(), key=lambda da: da.nbytes)
    rows = [d for d in ("latitude", "longitude", "y", "x") if d in largest.dims]
    own = dict(zip(largest.dims, largest.chunks or (), strict=False)) if largest.chunks else {}
    stored = largest.encoding.get("preferred_chunks") or dict(
        zip(largest.dims, largest.encoding.get("chunksizes") or (), strict=False)
    )
    field = largest.dtype.itemsize * int(np.prod([largest.sizes[d] for d in rows]))
    wanted: dict[Any, int] = dict.fromkeys(rows, -1)
    room = max(CHUNK // max(field, 1), 1)
    for dim in ("time", *[d for d in largest.dims if d not in (*rows, "time")]):
        if dim not in largest.dims:
            continue
        size = largest.sizes[dim]
        unit = int(own[dim][0]) if dim in own else int(stored.get(dim, 1) or 1)
        unit = min(max(unit, 1), size)
        count = unit * max(room // unit, 1)
        if unit > room:  # a divisor of the file's own chunk, so that none is read for more than its neighbours
            most = max(LARGEST_CHUNK // max(field, 1), 1) if dim not in own and unit * field > LARGEST_CHUNK else room
            count = next(n for n in range(min(unit, most), 0, -1) if unit % n == 0) if unit > most else unit
        wanted[dim] = min(count, size)
        room = max(room // wanted[dim], 1)
    return wanted


def _field(da: xr.DataArray, note: Account, small: bool, on_map: bool) -> xr.DataArray:
    """One field, understood."""
    name = str(da.name)
    attrs = dict(da.attrs)
    limits, codes = attrs.get("physlab_range"), attrs.get("physlab_codes")
    kept = {k: v for k, v in attrs.items() if not JUNK.match(str(k))}
    if str(kept.get("standard_name", "")).lower() in ("unknown", ""):
        kept.pop("standard_name", None)
    stated = str(kept.get("units") or "").strip()
    unit = units.plain(stated)
    chunks = da.chunks
    if small:
        da = da.copy(data=np.asarray(da.values))
    kind = cf.kind(da.assign_attrs(kept))
    if kind in ("flag", "mask") and da.dtype.kind in "iub":
        kept = {k: v for k, v in kept.items() if k != "units" or unit not in ("", "1")}
        return _finish(da, kept, on_map, chunks if small else None)
    if da.dtype.kind in "iub" or da.dtype.itemsize < 4 or not da.dtype.isnative:
        da = da.astype("f8" if da.dtype.itemsize > 4 or (da.dtype.kind in "iu" and da.dtype.itemsize > 2) else "f4")
    quantity = quantities.identify(name, {**kept, "units": stated}, note.file)
    check = Check(
        note.file, name, stated, coords=_coords(da), codes=(*missing.CODES, *(codes if codes is not None else ()))
    )
    factor = None
    if quantity is not None and unit and unit not in quantity.kept:
        factor = units.factors(unit, quantity.units, quantity.water)
    if "physlab_missing" in attrs:
        da = da.where(~da.isin(attrs["physlab_missing"]))
        note.did(f"{' and '.join(f'{v:g}' for v in attrs['physlab_missing'])} of {name} are no coverage: NaN")
    if limits is not None:
        da = _within(da, limits, name, note, small)
    if quantity is not None:
        check = _limited(check, quantity, unit, factor)
    if quantity is not None and not unit:
        quantity, unit = _without_units(da, quantity, check, note, small)
        factor = (1.0, 0.0) if quantity is not None else None
        if quantity is None:
            check = dataclasses.replace(check, low=-np.inf, high=np.inf)
    da = _checked(da, check, note, small)
    if quantity is not None:
        da, kept = _converted(da, quantity, unit, stated, factor, kept, note)
    elif unit:
        kept["units"] = unit
    else:
        kept.pop("units", None)
    return _finish(da, kept, on_map, chunks if small else None)


def _finish(da: xr.DataArray, attrs: dict, on_map: bool, chunks) -> xr.DataArray:
    da = da.copy(deep=False)
    if str(da.name) in cf.VARIABLES and "units" not in attrs and "long_name" not in attrs:
        attrs["long_name"] = f"{da.name} in unknown units"  # so that nobody gives it some by its name
    da.attrs = {**attrs, "grid_mapping": "crs"} if on_map else attrs
    return da if chunks is None else da.chunk(dict(zip(da.dims, chunks, strict=True)))


def _coords(da: xr.DataArray) -> tuple[tuple[str, np.ndarray | None], ...]:
    return tuple((str(d), da[d].values if d in da.coords else None) for d in da.dims)


def _limited(check: Check, quantity: quantities.Quantity, unit: str, factor: tuple[float, float] | None) -> Check:
    """What is possible, in the units of the file."""
    low, high = quantity.low, quantity.high
    if factor is not None and factor != (1.0, 0.0):
        low, high = ((v - factor[1]) / factor[0] for v in (low, high))
    elif unit in quantity.kept and {unit, quantity.units} == {"1", "%"}:
        scale = 100.0 if unit == "%" else 0.01
        low, high = low * scale, high * scale
    remedy = (
        "correct it or mark it as missing (_FillValue); if it is another quantity, an anomaly, say, name it so with "
        "mapping="
        f"{{'{check.name}': '{check.name}_anomaly'}}, or leave the variable out with {{'{check.name}': ''}}"
    )
    return dataclasses.replace(check, low=low, high=high, remedy=remedy)


def _within(da: xr.DataArray, limits, name: str, note: Account, small: bool) -> xr.DataArray:
    """NaN outside the valid range of the attributes."""
    low, high = (float(v) for v in limits)
    inside = missing.masked_by_range(da, low, high)
    if small:
        count = int(inside.isnull().sum() - da.isnull().sum())
        if count:
            note.did(f"{count} values of {name} outside its valid range {low:g} to {high:g} are missing: NaN")
    else:
        note.did(f"values of {name} outside its valid range {low:g} to {high:g} are missing: NaN")
    return inside


def _sample(da: xr.DataArray, small: bool) -> np.ndarray:
    """Values to judge by: all of a small field, the first of a large one."""
    return (
        da.values
        if small
        else da[{d: slice(1) for d in da.dims if d not in ("latitude", "longitude", "y", "x")}].values
    )


def _without_units(da: xr.DataArray, quantity: quantities.Quantity, check: Check, note: Account, small: bool):
    """(quantity, unit) if values are possible in the units of the library; a fraction or per cent cannot be told."""
    if quantity.kept:
        return None, ""
    plain = dataclasses.replace(check, low=-np.inf, high=np.inf)
    sample = _sample(da, small)
    try:
        values, _ = plain.clean(np.array(sample))
    except FieldError:
        values = np.array(sample)
    values = values[
        np.isfinite(values) & ~np.isclose(values[..., None], np.array([-9999.0, -999.0]), rtol=1e-6).any(-1)
    ]
    if not values.size:
        return None, ""
    low, high = float(values.min()), float(values.max())
    if low < quantity.low or high > quantity.high:
        wrong = (sample < quantity.low) | (sample > quantity.high)
        first = np.unravel_index(int(wrong.argmax()), sample.shape)
        raise FieldError(
            f"'{note.file}': '{check.name}' has no units, and {float(sample[first]):g} at {check.place(first)} is no "
            f"{quantity.standard_name} "
            f"in {quantity.units}: add the attribute units, such as "
            f"{'degC' if quantity.units == 'K' else quantity.units}"
        )
    note.did(f"{check.name} has no units: its values, {low:.4g} to {high:.4g}, taken as {quantity.units}")
    return quantity, quantity.units


def _checked(da: xr.DataArray, check: Check, note: Account, small: bool) -> xr.DataArray:
    """Values with NaN for codes of missing values; impossible ones are refused, at once or when they are read."""
    if not check.remedy:
        check = dataclasses.replace(
            check,
            remedy=(
                f"correct it or mark it as missing (_FillValue), or leave the variable out with "
                f"mapping={{'{check.name}': ''}}"
            ),
        )
    if small:
        values, found = check.clean(da.values)
        if found:
            note.did(missing.tell(found, check.name))
        return da.copy(data=values)
    sample = _sample(da, small)
    _, found = check.clean(np.array(sample))
    if found:
        note.did(
            f"{check.name}: "
            + ", ".join(f"{code:.6g}" for code in found)
            + " is a missing value, though no attribute says so: NaN"
        )
    return da.copy(data=da.data.map_blocks(check.block, dtype=da.dtype, meta=np.empty((0,) * da.ndim, da.dtype)))


def _converted(
    da: xr.DataArray, quantity: quantities.Quantity, unit: str, stated: str, factor: tuple[float, float] | None, attrs:
    dict,
    note: Account,
) -> tuple[xr.DataArray, dict]:  # fmt: skip
    """The field in the units of the library, with the attributes of its quantity."""
    name = str(da.name)
    standard, target = quantity.standard_name, quantity.units if factor is not None else unit
    if standard == "geopotential_height" and name == "z":
        text = " ".join(str(attrs.get(key, "")) for key in ("standard_name", "long_name")).lower()
        if "geopotential" in text or stated.lower().startswith(("gp", "geop")) or "level" in da.coords:
            a = (factor or (1.0, 0.0))[0]
            note.did(f"z from geopotential height in {stated} to geopotential: times {GRAVITY}")
            attrs = {**attrs, "standard_name": "geopotential", "long_name": "geopotential", "units": "m2 s-2"}
            return (a * GRAVITY) * da, attrs
        return da, {**attrs, "units": unit}
    if factor is not None and factor != (1.0, 0.0):
        a, b = factor
        turned = ""
        if standard == "water_evapotranspiration_amount" and name == "e" and units.measures(unit, "m"):
            a, turned = -a, ", counted positive upward (ECMWF counts it downward)"
        da = a * da + b if b else a * da
        note.did(f"{name} from {stated} to {target}{turned}")
    elif factor is not None and unit != target:
        unit = target
    known = cf.VARIABLES.get(name, {})
    long_name = (
        attrs.get("long_name")
        or HOUR_BEFORE.get(name)
        or (known.get("long_name") if known.get("standard_name") == standard else "")
    )
    attrs = {**attrs, "standard_name": standard, "units": target, **({"long_name": long_name} if long_name else {})}
    if name == "e" and standard.startswith("water_evapo") and "upward" not in str(attrs.get("long_name")):
        attrs["long_name"] = HOUR_BEFORE["e"]
    return da, attrs
