"""Attributes that every format takes, and that are true of what is written."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

RESERVED = re.compile(
    r"_NCProperties|_nc3_strict|_Netcdf4\w+|CLASS|NAME|DIMENSION_LIST|REFERENCE_LIST|_NCCOPY|_IsNetcdf4|_Format"
)
OF_THE_INPUT = re.compile(r"geospatial_.*|tracking_id|uuid|nominal_resolution|grid_label|coordinates|GRIB_.*")
"""Global attributes that name or measure the file that was read."""
WORDS_FOR_ONE = {
    "", "-", "~", "none", "dimensionless", "numeric", "fraction", "(0 - 1)", "(0-1)", "0 - 1", "0-1", "code table",
    "bool", "boolean", "flag", "category", "categorical", "unitless", "no units", "nondimensional",
}  # fmt: skip
STANDARD_NAME = re.compile(r"[a-z][a-z0-9_]*( [a-z_]+)?")


def inherited_by_set(attrs: Mapping) -> dict:
    """Global attributes of an input that are true of a result: what measured or identified the file is left out."""
    return {key: value for key, value in attrs.items() if not OF_THE_INPUT.fullmatch(str(key))}


def safe(attrs: Mapping, json_only: bool = False) -> dict[str, Any]:
    """Attributes of any kind as text, numbers or rows of numbers; what is none of these becomes JSON text.

    Parameters
    ----------
    json_only : for Zarr, whose attributes are JSON: plain Python values, and no infinities or NaN.
    """
    made = {}
    for key, value in attrs.items():
        name = re.sub(r"\W", "_", str(key).strip(), flags=re.ASCII)
        if name and not RESERVED.fullmatch(name):
            made[name if name[0].isalpha() else f"a{name}"] = _value(value, json_only)
    return made


def _value(value: Any, json_only: bool) -> Any:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode().replace("\0", "")
    if isinstance(value, bool | np.bool_) or value is None:
        return _json(value)
    if isinstance(value, np.datetime64 | np.timedelta64 | datetime.date | datetime.datetime):
        return str(value)
    if isinstance(value, int | float | np.number) and not isinstance(value, complex | np.complexfloating):
        return _numbers(np.asarray(value), json_only)
    if isinstance(value, list | tuple | np.ndarray):
        try:
            row = np.asarray(value)
        except ValueError:  # ragged
            return _json(value)
        if row.ndim == 1 and row.size and row.dtype.kind in "iuf":
            return _numbers(row, json_only)
    return _json(value)


def _numbers(values: np.ndarray, json_only: bool) -> Any:
    """Whole numbers of at most 32 bits, which every reader knows; half precision has no place in NetCDF."""
    if values.dtype.kind in "iu":
        if values.dtype.itemsize == 8 and not json_only:
            values = values.astype("int32" if bool((abs(values.astype(float)) < 2**31).all()) else "float64")
    elif values.dtype.itemsize not in (4, 8):
        values = values.astype("float64")
    if not json_only:
        return values if values.ndim else values[()]
    return values.tolist() if bool(np.isfinite(values).all()) else _json(values)


def _json(value: Any) -> str:
    def plain(other: Any) -> Any:
        return other.tolist() if isinstance(other, np.ndarray | np.generic) else str(other)

    try:
        return json.dumps(value.tolist() if isinstance(value, np.ndarray) else value, default=plain, ensure_ascii=False)
    except (TypeError, ValueError):  # keys that are no text, circles
        return str(value)


def tidy_units(attrs: Mapping) -> dict:
    """Units that UDUNITS reads: "m**2" becomes "m2", words for a pure number "1"; what is no unit at all becomes a
    remark."""
    made = dict(attrs)
    if "units" not in made:
        return made
    text = " ".join(str(made["units"]).split())
    text = re.sub(r"\s*(\*\*|\^)\s*\{?(-?\d+)\}?", r"\2", text)
    made["units"] = "1" if text.lower() in WORDS_FOR_ONE else text
    if " since " not in text and not _known(made["units"]):
        del made["units"]
        made["units_of_input"] = text
    name = made.get("standard_name")
    if name is not None and (name == "unknown" or not STANDARD_NAME.fullmatch(str(name))):
        del made["standard_name"]
    return made


def _known(units: str) -> bool:
    import cf_xarray.units  # noqa: F401  # enters the dialect of CF into pint
    import pint

    try:
        pint.application_registry.parse_units(units)
    except Exception:  # of the parser and of the registry
        return units in ("degrees_north", "degrees_east", "gpm", "dBZ", "psu")
    return True
