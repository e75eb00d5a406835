"""Fitted adjustments in folders: the two records of the calibration, as a checkpoint like any other.

What an adjustment has learned is the calibration itself: the maps depend on the period that is adjusted (the ranks of
QDM) or are taken from windows of days. So the folder holds the observations and the model of the calibration, each
variable and coordinate an array. Times are whole microseconds in their calendar, words stand on the card, gaps are
marked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import cftime
import numpy as np
import xarray as xr

from physlab.errors import CheckpointError, PhysLabError
from physlab.store import open_checkpoint, reading, write_checkpoint

SINCE = "microseconds since 1850-01-01"
PARTS = ("observed", "modelled")
LARGEST = 4 << 30
"""Bytes of a calibration that is kept."""


class Fitted(Protocol):
    """What is kept: a dataclass of settings, with the records that it was fitted to."""

    name: ClassVar[str]
    given: tuple[xr.Dataset, xr.Dataset] | None
    card: dict


def save_adjustment(method: Fitted, folder: str | Path) -> Path:
    """Write the settings and the calibration of a fitted adjustment.

    Raises
    ------
    PhysLabError : not fitted, or a calibration of more than :data:`LARGEST`.
    StoreError : the folder holds something else.
    """
    if method.given is None:
        raise PhysLabError(f"{method.name} is not fitted: call fit(observed, modelled) first")
    size = sum(part.nbytes for part in method.given)
    if size > LARGEST:
        raise PhysLabError(
            f"the calibration of {method.name} has {size / 1e9:.1f} GB: fit a region or a shorter period, or adjust "
            "without keeping it"
        )
    card: dict[str, Any] = {
        "class": type(method).__name__, "name": method.name, "task": "adjustment",
        "settings": {f.name: getattr(method, f.name) for f in dataclasses.fields(method)},  # type: ignore[arg-type]
    }  # fmt: skip
    arrays: dict[str, np.ndarray] = {}
    for part, ds in zip(PARTS, method.given, strict=True):
        card[part] = {"attrs": _plain(ds.attrs), "variables": {}}
        for name, variable in ds.variables.items():
            card[part]["variables"][str(name)] = _packed(f"{part}/{name}", variable, name in ds.coords, arrays)
    years = [str(ds["time"].values[k])[:10] for ds in method.given for k in (0, -1)]
    card["calibration"] = {"observed": years[:2], "modelled": years[2:]}
    return write_checkpoint(folder, card, arrays)


def load_adjustment(kind: type, folder: str | Path) -> Any:
    """A fitted adjustment.

    Raises
    ------
    CheckpointError : missing or damaged files, or settings that the method does not have.
    """
    with reading("adjustment", folder, "fit"):
        found = open_checkpoint(folder)
        card, arrays = found.card, found.arrays()
        method = kind(**card["settings"])
        records = []
        for part in PARTS:
            known = card[part]["variables"]
            made = {name: _unpacked(f"{part}/{name}", entry, arrays) for name, entry in known.items()}
            coords = {name: made.pop(name) for name, entry in known.items() if entry["coord"]}
            records.append(xr.Dataset(made, coords, card[part]["attrs"]))
        method.fit(*records)
    method.card = {k: v for k, v in card.items() if k not in ("settings", *PARTS)}
    return method


def _packed(key: str, variable: xr.Variable, coord: bool, arrays: dict[str, np.ndarray]) -> dict:
    """The entry of a variable on the card; its numbers go to `arrays`."""
    values, entry = variable.values, {"dims": list(variable.dims), "attrs": _plain(variable.attrs), "coord": coord}
    if values.dtype.kind == "M":
        entry["time"] = "datetime64"
        arrays[key] = values.astype("datetime64[ns]").astype(np.int64)
    elif values.dtype.kind == "O" and values.size and isinstance(values.flat[0], cftime.datetime):
        entry["time"] = values.flat[0].calendar
        arrays[key] = np.asarray(cftime.date2num(values, SINCE, values.flat[0].calendar), np.int64)
    elif values.dtype.kind in "OUS":
        entry["words"] = [str(v) for v in values.ravel()]
    else:
        gaps = ~np.isfinite(values) if values.dtype.kind == "f" else np.zeros(0, bool)
        if gaps.any():
            arrays[f"{key}/gaps"], values = gaps, np.where(gaps, values.dtype.type(0), values)
        arrays[key] = values
    return entry


def _unpacked(key: str, entry: Mapping, arrays: Mapping[str, np.ndarray]) -> xr.Variable:
    if "words" in entry:
        values: Any = np.array(entry["words"])
        values = values.reshape(()) if not entry["dims"] else values
        if values.ndim > 1:
            raise CheckpointError(f"words on several dims ({key})")
    else:
        values = arrays[key]
    if entry.get("time") == "datetime64":
        values = values.astype("datetime64[ns]")
    elif "time" in entry:
        values = cftime.num2date(values, SINCE, entry["time"], only_use_cftime_datetimes=True)
    if f"{key}/gaps" in arrays:
        values = np.where(arrays[f"{key}/gaps"], np.array(np.nan, values.dtype), values)
    return xr.Variable(tuple(entry["dims"]), values, dict(entry["attrs"]))


def _plain(attrs: Mapping) -> dict:
    """Attributes as JSON holds them; others become text."""
    made = {}
    for name, value in attrs.items():
        value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        made[str(name)] = value if isinstance(value, str | int | bool) or _finite(value) else str(value)
    return made


def _finite(value: object) -> bool:
    return isinstance(value, float) and bool(np.isfinite(value))
