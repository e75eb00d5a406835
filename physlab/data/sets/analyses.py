"""Analyses and reanalyses of others, downloaded once."""

from __future__ import annotations

import xarray as xr

from physlab.data.readers import read_interim, read_nam, read_storm
from physlab.data.sources import fetch_files
from physlab.registry import register


@register("erainterim-uvz", kind="download", order=15, variables="z u v", terms="ECMWF (attribution)")
def erainterim_uvz() -> xr.Dataset:
    """ERA-Interim monthly z, u, v, January and July."""
    return read_interim(fetch_files("erainterim-uvz"))


@register("storm1996", kind="download", order=16, variables="u v t msl u500 v500", terms="NCEP, public domain")
def storm1996() -> xr.Dataset:
    """Blizzard of January 1996, six-hourly."""
    return read_storm(fetch_files("storm1996"))


@register("nam-snapshot", kind="download", order=17, variables="u v t z r tcwv sp orog", terms="NOAA, public domain")
def nam_snapshot() -> xr.Dataset:
    """NAM analysis, 81 km, 19 levels."""
    return read_nam(fetch_files("nam-snapshot"))
