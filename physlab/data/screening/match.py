"""Which variable of a state an observation speaks of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from physlab import cf
from physlab.data.stations.netcdf import STANDARD
from physlab.data.stations.words import UNITS, quantity

GROUND = {"t": ("t2m", "t"), "t2m": ("t2m", "t"), "td": ("d2m", "td"), "d2m": ("d2m", "td"), "u": ("u10", "u"),
          "u10": ("u10", "u"), "v": ("v10", "v"), "v10": ("v10", "v"),
          "q": ("q2m", "q"), "q2m": ("q2m", "q"), "sp": ("sp", "msl"), "msl": ("msl", "sp")}  # fmt: skip
"""Quantity observed near the ground -> those of a state that it may be, the best first."""
ALOFT = {"t2m": "t", "d2m": "td", "u10": "u", "v10": "v", "q2m": "q"}
"""Quantity -> its name on a level."""
SURFACE = frozenset(("t2m", "d2m", "u10", "v10", "q2m", "sp", "rh"))
"""Quantities measured at the station, at the height of its ground."""


@dataclass(frozen=True)
class Known:
    """A variable of a state.

    Attributes
    ----------
    name, quantity : as in the state, and what it is ("" unknown).
    levels : hPa; empty for one without levels.
    at : hPa, of a field that was selected at one level; NaN otherwise.
    units : "" where nobody says.
    low, high : its smallest and largest value.
    """

    name: str
    quantity: str
    levels: tuple[float, ...]
    at: float
    units: str
    low: float
    high: float


def variables(state: xr.Dataset) -> dict[str, Known]:
    """Name -> variable of a state without members and times."""
    made = {}
    for name, da in state.data_vars.items():
        levels = tuple(float(p) for p in np.atleast_1d(da["level"].values)) if "level" in da.dims else ()
        at = float(da["level"]) if "level" in da.coords and not da["level"].ndim else np.nan
        known = quantity(name)
        if not known and name not in cf.VARIABLES:
            known = STANDARD.get(str(da.attrs.get("standard_name", "")).strip(), "")
        units = str(da.attrs.get("units", "")).strip()
        units = units or cf.VARIABLES.get(str(name), {}).get("units", "") or UNITS.get(known, "")
        values = da.values
        made[str(name)] = Known(str(name), known, levels, at, units, float(values.min()), float(values.max()))
    return made


def find(known: dict[str, Known], name: str, level: float) -> Known | None:
    """The variable that an observation of this name speaks of: of the same name, else of the same quantity."""
    if name in known:
        return known[name]
    what = quantity(name)
    if not what:
        return None
    near = GROUND.get(what, (what,)) if np.isnan(level) else (ALOFT.get(what, what), what)
    for wanted in dict.fromkeys(near):
        fit = [k for k in known.values() if k.quantity == wanted and (np.isnan(level) or k.levels or k.at == level)]
        fit = [k for k in fit if not (np.isnan(level) and len(k.levels) > 1)] or fit
        if len(fit) == 1:
            return fit[0]
    return None


def has_level(one: Known, level: float) -> bool:
    """Whether a field of the variable lies at this level; NaN is allowed where there is one only."""
    if one.levels:
        return len(one.levels) == 1 if np.isnan(level) else bool(np.isclose(one.levels, level, rtol=1e-6).any())
    return bool(np.isnan(level) or level == one.at)
