r"""Stations stand at another height than the surface of a model, whose mountains are lower and valleys higher.

A temperature is brought from the station to the model's surface by a lapse rate :math:`\Gamma` (6.5 K km-1, the ICAO
standard atmosphere), a pressure by the hypsometric equation with that lapse rate,

.. math:: T_m = T_o + \Gamma (z_o - z_m), \qquad p_m = p_o \Big( \frac{T_m}{T_o} \Big)^{g / (R_d \Gamma)} .

Wind and humidity stay as they are. Beyond a limit none of this is worth believing and the station is left out.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from physlab import cf
from physlab.constants import GRAVITY, R_DRY
from physlab.errors import FieldError

NAMES = ("orog", "orography", "hsurf", "topo", "topography", "elevation", "zs", "hgt_m", "hgt_surface",
         "surface_altitude", "elev", "terrain", "phis", "z_surface", "geopotential_at_surface")  # fmt: skip
STANDARD = ("surface_altitude", "surface_geopotential", "height_above_geopotential_datum")


def is_orography(name: str, da: xr.DataArray) -> bool:
    """Whether a field is the height (or the geopotential) of the surface."""
    said = str(da.attrs.get("standard_name", "")).strip()
    return "level" not in da.dims and (str(name).lower() in NAMES or said in STANDARD[:2])


def set_aside(background: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """What is analysed of a background, and what does not change with the weather: height of the surface, masks."""
    fixed = [
        n for n, da in background.data_vars.items() if is_orography(str(n), da) or _constant(str(n), da, background)
    ]
    fixed = [] if len(fixed) == len(background.data_vars) else fixed
    return background.drop_vars(fixed), background[fixed]


def _constant(name: str, da: xr.DataArray, background: xr.Dataset) -> bool:
    """A land mask, or the surface geopotential beside fields with members."""
    if da.dtype.kind == "b" or name.lower() in ("lsm", "land", "land_sea_mask", "landmask", "sftlf", "mask"):
        return True
    varying = any("member" in other.dims for other in background.data_vars.values())
    return varying and "member" not in da.dims and name == "z" and "level" not in da.dims


def height_of(fixed: xr.Dataset, given: xr.DataArray | None) -> xr.DataArray | None:
    """Height of the surface (latitude, longitude), m; None where nobody knows.

    Raises
    ------
    FieldError : a field that is no height of a surface, or of another unit than m and m2 s-2.
    """
    found = (
        [given]
        if given is not None
        else [da for n, da in fixed.data_vars.items() if is_orography(str(n), da) or n == "z"]
    )
    if not found:
        return None
    da = found[0]
    extra = [d for d in da.dims if d not in ("latitude", "longitude")]
    da = da.isel(dict.fromkeys(extra, 0), drop=True)
    if set(da.dims) != {"latitude", "longitude"}:
        raise FieldError(
            f"the orography has dims ({', '.join(map(str, da.dims))}): pass heights in m by latitude and longitude"
        )
    units = str(da.attrs.get("units", "")).strip().replace("**", "").replace("^", "")
    geopotential = units in ("m2 s-2", "m2/s2", "m2s-2", "J kg-1") or (not units and da.name in ("z", "phis"))
    da = da.transpose("latitude", "longitude").astype(float)
    da = da / GRAVITY if geopotential else da
    known = da.values[np.isfinite(da.values)]
    if not len(known) or known.max() > 9500 or known.min() < -1000:
        raise FieldError(f"the orography reaches from {da.min().item():g} to {da.max().item():g}: pass heights in m")
    return da.assign_attrs(cf.VARIABLES["orog"]).rename("orog")


def to_height(
    pressure: np.ndarray, station: np.ndarray, surface: np.ndarray, t: np.ndarray, lapse: float
) -> np.ndarray:
    """Pressures at the heights `surface` of those measured at the heights `station`, in the same unit.

    Parameters
    ----------
    station, surface : m.  t : temperature at the station, K.  lapse : K m-1.
    """
    rise = surface - station
    if abs(lapse) < 1e-6:
        return pressure * np.exp(-GRAVITY * rise / (R_DRY * t))
    return pressure * ((t - lapse * rise) / t) ** (GRAVITY / (R_DRY * lapse))


def standard_temperature(height: np.ndarray) -> np.ndarray:
    """K, of the ICAO standard atmosphere, below 11 km."""
    return 288.15 - 6.5e-3 * np.asarray(height, dtype=float)
