"""ERA5 over the network, opened lazily: nothing but the coordinates is read until you ask for values (extra
``physlab[cloud]``).

`weatherbench2-1p5deg`
    WeatherBench 2 (Rasp et al. 2024, doi 10.1029/2023MS004019): ERA5 every 6 hours, 1.5 degrees, 13 levels.
`arco-era5`
    ARCO-ERA5 (Carver and Merose 2023, github.com/google-research/arco-era5): ERA5 hourly, 0.25 degrees, 37 levels.

Both are public and read without an account. The stores use long variable names, and WeatherBench 2 stores longitude
before latitude; here every field has PhysLab's short name and the order time, level, latitude, longitude. Select in
time first: ``open_dataset("arco-era5")["t2m"].sel(time="2019-03-01T12")`` moves 4 MB.
"""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from physlab import registry
from physlab.constants import GRAVITY
from physlab.data.readers import tidy
from physlab.errors import DownloadError, one_line
from physlab.fields import standardise

NAMES = {
    "2m_temperature": "t2m",
    "2m_dewpoint_temperature": "d2m",
    "10m_u_component_of_wind": "u10",
    "10m_v_component_of_wind": "v10",
    "surface_pressure": "sp",
    "mean_sea_level_pressure": "msl",
    "total_column_water": "tcw",
    "total_column_water_vapour": "tcwv",
    "geopotential": "z",
    "temperature": "t",
    "u_component_of_wind": "u",
    "v_component_of_wind": "v",
    "specific_humidity": "q",
    "potential_vorticity": "pv",
    "vertical_integral_of_eastward_water_vapour_flux": "ivt_u",
    "vertical_integral_of_northward_water_vapour_flux": "ivt_v",
    "total_precipitation": "tp",
    "total_precipitation_6hr": "tp_6h",
    "evaporation": "e",
    "land_sea_mask": "land",
    "geopotential_at_surface": "orog",
}
"""Name in the stores -> short name; other variables of a store are left out."""

FACTORS = {
    "total_precipitation": (1000.0, "kg m-2"),
    "total_precipitation_6hr": (1000.0, "kg m-2"),
    "evaporation": (-1000.0, "kg m-2"),
    "geopotential_at_surface": (1.0 / GRAVITY, "m"),
}
"""Metres of water -> kg m-2; evaporation positive upward (ECMWF stores it positive downward); geopotential -> m."""

TIMEOUT = 10.0
ORDER = ("time", "level", "latitude", "longitude")


def open_cloud(name: str, mapping: Mapping[str, str] | None = None) -> xr.Dataset:
    """A public store by the name of its data set in :mod:`physlab.data.sets.cloud`, lazily.

    Raises
    ------
    DownloadError : gcsfs is not installed, or the store cannot be reached.
    """
    url = registry.specs("datasets")[name].facts["url"]
    try:
        import gcsfs  # noqa: F401  (fsspec needs it for gs:// addresses)
    except ImportError:
        raise DownloadError(
            f"'{name}' needs the package gcsfs: install it with  pip install 'physlab[cloud]'"
        ) from None
    _check_reachable(name, url)
    try:
        return open_store(url, mapping, storage_options={"token": "anon"})
    except (OSError, KeyError, ValueError) as error:
        reason = one_line(error)
        raise DownloadError(
            f"'{name}': {url} cannot be opened ({type(error).__name__}: {reason}): try again later"
        ) from None


def open_store(url: str, mapping: Mapping[str, str] | None = None, storage_options: dict | None = None) -> xr.Dataset:
    """A Zarr store of the layout of WeatherBench 2 or ARCO-ERA5 at any address or path, lazily, with PhysLab's names
    and units.

    The unit change of water is written into the decoding (``scale_factor``), so that it happens as values are read.
    Hours outside `valid_time_start` to `valid_time_stop` of the store's attributes, which are reserved but empty, are
    cut off.
    """
    ds = xr.open_zarr(url, chunks=None, decode_cf=False, storage_options=storage_options)
    ds = ds[[name for name in ds.data_vars if name in NAMES]]
    for name, (factor, units) in FACTORS.items():
        if name in ds:
            attrs = ds[name].attrs
            factor *= attrs.get("scale_factor", 1.0)
            ds[name].attrs = {**attrs, "scale_factor": factor, "units": units}
            if "add_offset" in attrs:
                ds[name].attrs["add_offset"] = attrs["add_offset"] * factor / attrs.get("scale_factor", 1.0)
    ds = xr.decode_cf(ds)
    if "valid_time_start" in ds.attrs and "valid_time_stop" in ds.attrs:
        ds = ds.sel(time=slice(ds.attrs["valid_time_start"], ds.attrs["valid_time_stop"]))
    ds = standardise(ds.rename({name: NAMES[str(name)] for name in ds.data_vars}), mapping)
    for key, field in ds.data_vars.items():
        order = [d for d in ORDER if d in field.dims]
        if list(field.dims) != order:
            ds[key] = field.transpose(*order)
    return tidy(ds)


def _check_reachable(name: str, url: str) -> None:
    """Ask for the store's metadata once, with a short time limit: gcsfs alone would try for minutes without a
    network."""
    import requests

    address = url.replace("gs://", "https://storage.googleapis.com/", 1) + "/.zmetadata"
    try:
        requests.head(address, timeout=TIMEOUT).raise_for_status()
    except requests.HTTPError as error:
        assert error.response is not None  # raise_for_status names it
        raise DownloadError(
            f"'{name}': {address} answers HTTP {error.response.status_code}: the store moved; see data/sets/cloud.py"
        ) from None
    except requests.RequestException as error:
        raise DownloadError(
            f"'{name}' is read over the network, and storage.googleapis.com is out of reach "
            f"({type(error).__name__}): connect to the network and try again"
        ) from None
