"""Units as files write them, read by pint with the CF definitions of cf_xarray, and the way from one to another."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from physlab.constants import WATER_DENSITY

_SPELLINGS = {
    "mb": "hPa", "mbar": "hPa", "millibar": "hPa", "millibars": "hPa", "hectopascals": "hPa", "pascals": "Pa",
    "kelvin": "K", "kelvins": "K", "degk": "K", "deg k": "K", "degrees_k": "K", "degrees k": "K", "c": "degC",
    "degrees_c": "degC", "degrees c": "degC", "deg c": "degC", "degree celsius": "degC", "degrees celsius": "degC",
    "degrees_celsius": "degC", "degree c": "degC", "degc": "degC", "deg_c": "degC", "celsius": "degC",
    "degree_celsius": "degC", "celcius": "degC", "°c": "degC", "º c": "degC", "ºc": "degC",
    "deg f": "degF", "degrees_f": "degF", "fahrenheit": "degF", "°f": "degF", "degrees fahrenheit": "degF",
    "ms-1": "m s-1", "ms^-1": "m s-1", "ms**-1": "m s-1", "kmh": "km/h", "kph": "km/h", "kmph": "km/h",
    "m/sec": "m s-1", "kgm-2": "kg m-2", "kgm-2s-1": "kg m-2 s-1", "wm-2": "W m-2", "jm-2": "J m-2",
    "kgkg-1": "kg kg-1", "(0 - 1)": "1", "(0-1)": "1", "0-1": "1", "[0-1]": "1", "0 - 1": "1", "fraction": "1",
    "proportion": "1", "unitless": "1", "dimensionless": "1", "none": "1", "-": "1", "~": "", "unknown": "",
    "undefined": "", "n/a": "", "numeric": "1", "code table": "1", "flag": "1", "pct": "%", "per cent": "%",
    "geopotential meters": "gpm", "geopotential metres": "gpm", "geopotential meter": "gpm", "gpdm": "dam",
    "gpdam": "dam", "gpkm": "km", "grad c": "degC", "grad celsius": "degC", "centigrade": "degC", "degree_c": "degC",
    "° c": "degC", "f": "degF", "deg_f": "degF", "degrees_fahrenheit": "degF", "degree_fahrenheit": "degF",
    "ºf": "degF", "° f": "degF", "degrees f": "degF", "degrees_kelvin": "K", "degrees kelvin": "K", "°k": "K",
    "k": "K", "hpa": "hPa", "pa": "Pa", "kpa": "kPa", "in hg": "inHg", "inches of mercury": "inHg", "mps": "m s-1",
    "miles per hour": "mph", "mi/h": "mph", "knoten": "knot", "liter/m2": "kg m-2", "l/m2": "kg m-2",
    "l/m²": "kg m-2", "prozent": "%", "m above sea level": "m", "m asl": "m", "m ue nn": "m",
}  # fmt: skip
"""Ways to write a unit that pint reads otherwise or not at all, in small letters."""

WATER = re.compile(
    r"\s*(of)?[ _]*(water[ _]*(equivalent|equiv\.?)?|w\.?\s?e\.?q?\.?|h2o|liquid water( equivalent)?)\s*$",
    re.IGNORECASE,
)


def plain(text: object) -> str:
    """The unit in one spelling: powers without stars, "m of water equivalent" as m, "mb" as hPa; "" if it says none."""
    units = " ".join(str(text if text is not None else "").split())
    units = units.removeprefix("[").removesuffix("]") if units.startswith("[") and units.endswith("]") else units
    units = WATER.sub("", units) if len(WATER.sub("", units)) else units
    return _SPELLINGS.get(units.lower(), units.replace("**", "").replace("^", ""))


@lru_cache(maxsize=512)
def unit_of(units: str) -> Any:
    """The unit for pint, or None if it is none."""
    from cf_xarray.units import units as registry

    try:
        return registry.parse_units(units)
    except Exception:  # pint has a dozen kinds
        return None


@lru_cache(maxsize=512)
def factors(source: str, target: str, water: bool = False) -> tuple[float, float] | None:
    """(a, b) with value in `target` = a x value in `source` + b, or None if the units do not measure the same.

    Parameters
    ----------
    source, target : units, spelled as by :func:`plain`.
    water : a depth of water may stand for its mass per area, 1 mm for 1 kg m-2, also as a rate, and the other way.
    """
    if source == target or same(source, target):
        return 1.0, 0.0
    one, other = unit_of(source), unit_of(target)
    if one is None or other is None:
        return None
    registry = other._REGISTRY
    scale = 1.0
    if one.dimensionality != other.dimensionality:
        density = registry.parse_units("kg m-3")
        if water and (one * density).dimensionality == other.dimensionality:
            one, scale = one * density, WATER_DENSITY
        elif water and one.dimensionality == (other * density).dimensionality:
            one, scale = one / density, 1 / WATER_DENSITY
        else:
            return None
    zero = registry.Quantity(0.0, one).to(other).magnitude
    return float(scale * (registry.Quantity(1e3, one).to(other).magnitude - zero) / 1e3), float(zero)


def same(source: str, target: str) -> bool:
    """Whether two spellings are certainly one unit, without asking pint."""

    def key(text: str) -> str:
        parts = re.sub(r"[*^·]", "", text.replace("/", " / ")).split()
        return "" if "/" in parts else " ".join(sorted(parts))

    return bool(key(source)) and key(source) == key(target)


def measures(units: str, like: str) -> bool:
    """Whether a unit measures the same as another, as "mb" the same as "Pa"."""
    return factors(plain(units), plain(like)) is not None
