"""Units of observations, by pint in the dialect of the CF conventions.

What a unit measures decides: a temperature in degC becomes kelvins, one in metres is refused. Two bridges
are those of meteorology and no matter of dimensions: a depth of water is a mass per area (1 mm = 1 kg m-2), and a
geopotential height is a geopotential (times g).
"""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np

from physlab.constants import GRAVITY, WATER_DENSITY
from physlab.data.ingest.units import plain, unit_of
from physlab.errors import FieldError

OWN = {"grad": "degree", "none": ""}
"""What tables of stations mean by words that :mod:`physlab.data.ingest.units` reads otherwise."""
OTHERS = {"K": ("degC", "degF"), "degC": ("K", "degF"), "Pa": ("hPa", "kPa", "inHg"), "hPa": ("Pa", "inHg"),
          "m2 s-2": ("m", "dam"), "m": ("m2 s-2", "dam"), "kg kg-1": ("g kg-1",), "1": ("percent",),
          "percent": ("1",), "kg m-2": ("m", "inch", "cm"), "m s-1": ("knot", "km/h")}  # fmt: skip
"""Unit of a state -> in which observations without a unit may have been written."""


@functools.cache
def parse(text: str) -> Any:
    """A unit of pint, or None where the text is no unit."""
    lower = " ".join(str(text).split()).lower()
    found = OWN.get(lower, plain(text))
    if lower.startswith(("degrees_n", "degrees_e", "degree_n", "degree_e", "degrees_t")):
        found = "degree"
    if not found or (re.fullmatch(r"[\d.]+", found) and found != "1"):
        return None
    return unit_of(found)


def same(a: str, b: str) -> bool:
    """Whether two spellings mean one unit."""
    return a == b or (parse(a) is not None and parse(a) == parse(b))


def measures(units: str, to: str) -> bool:
    """Whether a text is a unit that can be converted to another."""
    if not units or parse(units) is None:
        return False
    try:
        convert(np.zeros(1), units, to)
    except FieldError:
        return False
    return True


def convert(values: np.ndarray, units: str, to: str, difference: bool = False) -> np.ndarray:
    """Values in one unit, in another.

    Parameters
    ----------
    difference : the values are differences, as errors are: 1 degC is 1 K.

    Raises
    ------
    FieldError : a text that is no unit, or units that do not measure the same.
    """
    values = np.asarray(values, dtype=float)
    if same(units, to):
        return values.copy()
    a, b = parse(units), parse(to)
    for text, unit in ((units, a), (to, b)):
        if unit is None:
            raise FieldError(f"'{text}' is no unit that is known: write one such as K, degC, hPa, m s-1 or %")
    low, high = _line(a, b, units, to)
    return values * (high - low) + (0.0 if difference else low)


def _line(a: Any, b: Any, units: str, to: str) -> tuple[float, float]:
    """What 0 and 1 of unit a are in unit b: all conversions here are straight lines."""
    import pint

    quantity = a._REGISTRY.Quantity
    try:
        return tuple(float(quantity(x, a).to(b).magnitude) for x in (0.0, 1.0))  # type: ignore[return-value]
    except pint.DimensionalityError:
        pass
    for factor, first, second in ((WATER_DENSITY, "m", "kg m-2"), (GRAVITY, "m", "m2 s-2")):
        x, y = parse(first), parse(second)
        if a.dimensionality == x.dimensionality and b.dimensionality == y.dimensionality:
            return 0.0, float(quantity(float(quantity(1.0, a).to(x).magnitude) * factor, y).to(b).magnitude)
        if a.dimensionality == y.dimensionality and b.dimensionality == x.dimensionality:
            return 0.0, float(quantity(float(quantity(1.0, a).to(y).magnitude) / factor, x).to(b).magnitude)
    raise FieldError(f"'{units}' does not measure what '{to}' measures")
