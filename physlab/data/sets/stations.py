"""A climate model beside stations, downloaded once."""

from __future__ import annotations

import xarray as xr

from physlab.data.sources import fetch_files
from physlab.registry import register

SECONDS = 86_400.0
SOURCES = {"CanESM2": 0, "AHCCD": 1, "NRCAN": 2}  # and the place of its file in the catalogue
FACTORS = {"kg m-2 s-1": 1.0, "mm s-1": 1.0, "mm day-1": 1 / SECONDS}


@register(
    "xclim-stations",
    kind="download",
    order=20,
    variables="pr tasmax",
    terms="MIT; ECCC and NRCan open government licence",
)
def xclim_stations() -> xr.Dataset:
    """Daily rain and maximum temperature at three places in Canada, 1950-2013: a climate model, stations, an analysis.

    Dimensions source (CanESM2, AHCCD stations, NRCAN gridded), location and time, of 365-day years; rain in kg m-2 s-1,
    temperature in K, both with gaps at the stations. The file of the model goes on to 2100 (RCP 8.5).
    """
    paths = fetch_files("xclim-stations")
    parts = [_read(paths[place]) for place in SOURCES.values()]
    ds = xr.concat(parts, xr.Variable("source", list(SOURCES)), join="inner")
    ds = ds.rename(lat="latitude", lon="longitude").transpose("source", "location", "time")
    ds["pr"].attrs = {"standard_name": "precipitation_flux", "long_name": "precipitation", "units": "kg m-2 s-1"}
    ds["tasmax"].attrs = {
        "standard_name": "air_temperature",
        "long_name": "daily maximum temperature near the surface",
        "units": "K",
        "cell_methods": "time: maximum",
    }
    for name in ("latitude", "longitude"):
        ds[name].attrs["standard_name"] = name
    ds["time"].attrs = {"standard_name": "time", "long_name": "time"}
    return ds.assign_attrs(Conventions="CF-1.11", title="CanESM2, AHCCD stations and NRCAN at three places in Canada")


def _read(path) -> xr.Dataset:
    """One of the files in SI units."""
    ds = xr.open_dataset(path, decode_times=xr.coders.CFDatetimeCoder(use_cftime=True))[["pr", "tasmax"]]
    ds["pr"] = ds["pr"] * FACTORS[ds["pr"].attrs["units"]]
    ds["tasmax"] = ds["tasmax"] + (273.15 if ds["tasmax"].attrs["units"] == "degC" else 0.0)
    return ds.drop_attrs().assign_coords(lat=ds["lat"], lon=ds["lon"])
