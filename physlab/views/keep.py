"""What a page shows as a NetCDF file: maps with their places and units, spectra, and the selection that made them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from physlab.data.cfout.netcdf import small_bytes

Edges = tuple[float, float, float, float]  # west, east, south, north, degrees


@dataclass(frozen=True, eq=False)
class Plane:
    """Where the cells of a map lie: degrees, latitude first; `suffix` tells the axes of a file's grids apart."""

    latitude: np.ndarray
    longitude: np.ndarray
    suffix: str = ""

    @classmethod
    def within(cls, edges: Edges, shape: tuple[int, ...], suffix: str = "") -> Plane:
        """Equal cells between a west, east, south and north edge."""
        west, east, south, north = edges
        rows, columns = shape
        latitude = south + (np.arange(rows) + 0.5) * (north - south) / rows
        return cls(latitude, west + (np.arange(columns) + 0.5) * (east - west) / columns, suffix)


@dataclass(frozen=True, eq=False)
class Map:
    """Values (rows, columns), row 0 southernmost, what they are, and their unit."""

    values: np.ndarray
    words: str
    units: str
    plane: Plane


@dataclass(frozen=True, eq=False)
class Kept:
    """All of a page.

    Attributes
    ----------
    maps : name -> map.
    spectra : name -> (K,) power at `wavenumber`, in `power_units`.
    scores : whatever is said of it in numbers; an attribute, as JSON.
    title, comment : of the file.
    """

    maps: Mapping[str, Map]
    title: str
    comment: str
    wavenumber: np.ndarray = field(default_factory=lambda: np.empty(0))
    spectra: Mapping[str, np.ndarray] = field(default_factory=dict)
    power_units: str = "1"
    scores: Mapping = field(default_factory=dict)

    def dataset(self) -> xr.Dataset:
        """Maps and spectra with CF names."""
        coords: dict[str, tuple] = {}
        fields: dict[str, tuple] = {}
        for name, shown in self.maps.items():
            end = shown.plane.suffix
            for axis, way in (("latitude", "north"), ("longitude", "east")):
                attrs = {"standard_name": axis, "units": f"degrees_{way}"}
                coords[f"{axis}{end}"] = (f"{axis}{end}", np.asarray(getattr(shown.plane, axis), "float64"), attrs)
            attrs = {"long_name": shown.words, "units": shown.units}
            fields[name] = ((f"latitude{end}", f"longitude{end}"), np.asarray(shown.values, "float32"), attrs)
        for name, power in self.spectra.items():
            if len(power) == len(self.wavenumber):
                attrs = {"long_name": f"power spectrum of {name.replace('_', ' ')}", "units": self.power_units}
                fields[f"spectrum_{name.replace('-', '_')}"] = (("wavenumber",), np.asarray(power, "float64"), attrs)
                coords["wavenumber"] = ("wavenumber", np.asarray(self.wavenumber, "float64"), {"units": "1"})
        attrs = {"Conventions": "CF-1.11", "title": self.title, "comment": self.comment}
        if self.scores:
            attrs["scores"] = json.dumps(self.scores, default=float)
        return xr.Dataset(fields, coords, attrs)

    def netcdf(self) -> bytes:
        """The same as a file."""
        return small_bytes(self.dataset())


def cf_units(shown: str) -> str:
    """A unit as files have it, from one as pages show it: "10⁻⁴ m s⁻²" -> "1e-4 m s-2"."""
    plain = shown.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")).replace("\u00a0", " ")
    head, space, rest = plain.partition(" ")
    return f"1e{head[2:]}{space}{rest}" if head.startswith("10-") else plain


def superscript(units: str) -> str:
    """A unit as pages show it: "K s-1" -> "K s⁻¹"."""
    up = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
    return re.sub(r"(?<=[A-Za-z])-?[0-9]+\b", lambda power: power[0].translate(up), units)


def squared(units: str) -> str:
    """Of a power spectrum."""
    return "1" if units in ("", "1") else f"({units})2" if " " in units else f"{units}2"
