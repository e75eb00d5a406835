"""The data sets that have a name, and :func:`open_dataset`, which opens them and your own files alike."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import xarray as xr

from physlab.data import cloud, readers, sources
from physlab.data.assets import asset
from physlab.data.registry import FILES, RemoteFile
from physlab.fields import standardise

COPERNICUS = "Copernicus licence (attribution)"


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue.

    Attributes
    ----------
    name, title : as shown by ``physlab list``.
    kind : "shipped" (comes with the package), "download" (once, then cached), "cloud" (lazy, over the network).
    variables : short names.
    terms : licence or terms of use of the data.
    opener : () -> Dataset.
    path : of a shipped file, below the assets folder.
    url : of a cloud store.
    """

    name: str
    title: str
    kind: str
    variables: tuple[str, ...]
    terms: str
    opener: Callable[[], xr.Dataset]
    path: str = ""
    url: str = ""

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """Address, SHA-256 and size of each file of a download; empty for other kinds."""
        return FILES[self.name] if self.kind == "download" else ()

    @property
    def size(self) -> float:
        """Megabytes on disk; not a number if unknown (cloud stores, assets that are not here)."""
        if self.files:
            return sum(file.size for file in self.files) / 1e6
        try:
            return asset(self.path).stat().st_size / 1e6 if self.path else float("nan")
        except FileNotFoundError:
            return float("nan")

    @property
    def cached(self) -> bool:
        """True if it opens without the network."""
        return sources.is_cached(self.name) if self.files else self.size == self.size


def _shipped(name: str, title: str, variables: str, terms: str) -> Entry:
    path = f"data/{name}.nc"
    return Entry(
        name, title, "shipped", tuple(variables.split()), terms, lambda: xr.open_dataset(asset(path)), path=path
    )


def _terrain_members() -> xr.Dataset:
    """The truth and the members' small differences from it, which are what is stored."""
    with xr.open_dataset(asset("data/nature-terrain-members.nc")) as stored:
        ds = stored.load()
    with xr.open_dataset(asset("data/nature-terrain.nc")) as terrain:
        truth = terrain["t_low"].sel(time=ds["time"]).load()
    made = (ds["t_low_error"] + truth).astype("float32").transpose(*ds["t_low_error"].dims)
    return ds.drop_vars("t_low_error").assign(t_low=made.assign_attrs(truth.attrs))


def _download(name: str, title: str, variables: str, terms: str, reader: Callable) -> Entry:
    return Entry(name, title, "download", tuple(variables.split()), terms, lambda: reader(sources.fetch_files(name)))


def _cloud(name: str, title: str, variables: str) -> Entry:
    return Entry(
        name,
        title,
        "cloud",
        tuple(variables.split()),
        COPERNICUS,
        partial(cloud.open_cloud, name),
        url=cloud.STORES[name],
    )


ENTRIES = (
    _shipped("nature-tcw", "Laboratory atmosphere: column water, 128 x 128 patches, train/val/test", "tcw", "MIT"),
    _shipped("nature-sequences", "Laboratory atmosphere: column water, three hourly frames", "tcw", "MIT"),
    _shipped(
        "nature-window",
        "Laboratory atmosphere: 33 x 33 points of the North Atlantic at 700 hPa, every hour of ten days",
        "u v t z q tcw ivt_u ivt_v e tp",
        "MIT",
    ),
    _shipped("nature-rain", "Laboratory atmosphere: six-hourly rain of a storm track", "tp tcw ivt_u ivt_v sp", "MIT"),
    _shipped(
        "nature-states",
        "Laboratory atmosphere: full 64 x 128 states and 24-hour forecasts",
        "u v t q z sp tcw t_low u_low v_low",
        "MIT",
    ),
    _shipped(
        "nature-twin",
        "Laboratory atmosphere: three 64 x 128 states on seven levels and 24-hour forecasts, for assimilation",
        "u v t q z sp tcw t_low u_low v_low",
        "MIT",
    ),
    _shipped(
        "nature-terrain",
        "Laboratory atmosphere: temperature and wind of the lowest layer over terrain, 128 x 256, some test times",
        "t_low u_low v_low",
        "MIT",
    ),
    Entry(
        "nature-terrain-members",
        "Members of latent diffusion for one of these times, trained with different weights of a law in the loss",
        "shipped",
        ("t_low",),
        "MIT",
        _terrain_members,
        path="data/nature-terrain-members.nc",
    ),
    _shipped(
        "nature-budget",
        "Laboratory atmosphere: some hours in a row with the terms of the column water budget, global",
        "tcw ivt_u ivt_v tp e",
        "MIT",
    ),
    _shipped("era5-uk-t2m-sample", "ERA5 2-m temperature, British Isles: validation and test hours", "t2m", COPERNICUS),
    _download(
        "era5-uk-t2m", "ERA5 2-m temperature, British Isles, hourly, March 2019", "t2m", COPERNICUS, readers.read_uk_t2m
    ),
    _download(
        "era5-moisture",
        "ERA5 moisture budget, 24 hours of 2020-01-01, 45-55N 0-10E",
        "q u v tcw sp d2m u10 v10 tp e",
        COPERNICUS,
        readers.read_moisture,
    ),
    _download(
        "era5-ensemble",
        "ERA5 ensemble of data assimilations, 10 members, 850 and 500 hPa",
        "z t",
        COPERNICUS,
        readers.read_ensemble,
    ),
    _download(
        "era5-upper-air", "ERA5 100 to 350 hPa, three hours", "z t u v q r pv", COPERNICUS, readers.read_upper_air
    ),
    _download(
        "erainterim-uvz",
        "ERA-Interim monthly z, u, v, January and July",
        "z u v",
        "ECMWF (attribution)",
        readers.read_interim,
    ),
    _download(
        "storm1996",
        "Blizzard of January 1996, six-hourly",
        "u v t msl u500 v500",
        "NCEP, public domain",
        readers.read_storm,
    ),
    _download(
        "nam-snapshot",
        "NAM analysis, 81 km, 19 levels",
        "u v t z r tcwv sp orog",
        "NOAA, public domain",
        readers.read_nam,
    ),
    _cloud(
        "weatherbench2-1p5deg",
        "ERA5 every 6 hours, 1.5 degrees, 13 levels (WeatherBench 2)",
        "t2m u10 v10 msl tcwv z t u v q tp_6h",
    ),
    _cloud(
        "arco-era5", "ERA5 hourly, 0.25 degrees, 37 levels (ARCO-ERA5)", "t2m sp msl u10 v10 tcw tcwv z t u v q tp e"
    ),
)
CATALOG: dict[str, Entry] = {entry.name: entry for entry in ENTRIES}
"""Name -> entry."""


def open_dataset(name_or_path: str | Path, mapping: Mapping[str, str] | None = None) -> xr.Dataset:
    """Open a data set of the catalogue by name, or your own NetCDF, Zarr or GRIB data by path.

    Parameters
    ----------
    name_or_path : a name of :func:`list_datasets`, or a path (see :func:`physlab.data.readers.open_path`).
    mapping : own names -> names of the library for coordinates and variables.

    Returns
    -------
    Dataset with dims time, level (hPa), latitude, longitude (as far as present), CF names, SI units, latitude as
    stored. A field of a download is documented at its reader in :mod:`physlab.data.readers`.

    Raises
    ------
    FileNotFoundError : neither a name nor a path; the message lists near names.
    DownloadError : a download failed;  FieldError : a file without usable coordinates.
    """
    if str(name_or_path) in CATALOG:
        ds = CATALOG[str(name_or_path)].opener()
        return standardise(ds, mapping) if mapping else ds
    if isinstance(name_or_path, Path) or Path(name_or_path).expanduser().exists() or _looks_like_path(name_or_path):
        return readers.open_path(name_or_path, mapping)
    raise FileNotFoundError(unknown_name(name_or_path))


def list_datasets() -> pd.DataFrame:
    """The catalogue: name, title, kind, size (MB), variables, terms, cached (opens without the network)."""
    rows = [
        {
            "name": entry.name, "title": entry.title, "kind": entry.kind, "size": round(entry.size, 1),
            "variables": " ".join(entry.variables), "terms": entry.terms, "cached": entry.cached,
        }
        for entry in ENTRIES
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _looks_like_path(text: str | Path) -> bool:
    suffixes = (*readers.NETCDF_SUFFIXES, *readers.GRIB_SUFFIXES, ".zarr")
    return any(mark in str(text) for mark in ("/", "\\")) or str(text).lower().endswith(suffixes)


def unknown_name(name: str | Path) -> str:
    """The line that says which names are near."""
    near = difflib.get_close_matches(str(name), CATALOG, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(CATALOG)},"
    return f"no data set '{name}': {hint} physlab list shows all names; for a file of yours pass its path"
