"""ERA5: a sample that comes with the installation, and files that are downloaded once."""

from __future__ import annotations

import xarray as xr

from physlab.data.assets import asset
from physlab.data.readers import read_ensemble, read_moisture, read_uk_t2m, read_upper_air
from physlab.data.sources import fetch_files
from physlab.registry import register


@register(
    "era5-uk-t2m-sample",
    kind="shipped",
    order=10,
    variables="t2m",
    terms="Copernicus licence (attribution)",
    path="data/era5-uk-t2m-sample.nc",
)
def era5_uk_t2m_sample() -> xr.Dataset:
    """ERA5 2-m temperature, British Isles: validation and test hours."""
    return xr.open_dataset(asset("data/era5-uk-t2m-sample.nc"))


@register("era5-uk-t2m", kind="download", order=11, variables="t2m", terms="Copernicus licence (attribution)")
def era5_uk_t2m() -> xr.Dataset:
    """ERA5 2-m temperature, British Isles, hourly, March 2019."""
    return read_uk_t2m(fetch_files("era5-uk-t2m"))


@register(
    "era5-moisture",
    kind="download",
    order=12,
    variables="q u v tcw sp d2m u10 v10 tp e",
    terms="Copernicus licence (attribution)",
)
def era5_moisture() -> xr.Dataset:
    """ERA5 moisture budget, 24 hours of 2020-01-01, 45-55N 0-10E."""
    return read_moisture(fetch_files("era5-moisture"))


@register("era5-ensemble", kind="download", order=13, variables="z t", terms="Copernicus licence (attribution)")
def era5_ensemble() -> xr.Dataset:
    """ERA5 ensemble of data assimilations, 10 members, 850 and 500 hPa."""
    return read_ensemble(fetch_files("era5-ensemble"))


@register(
    "era5-upper-air", kind="download", order=14, variables="z t u v q r pv", terms="Copernicus licence (attribution)"
)
def era5_upper_air() -> xr.Dataset:
    """ERA5 100 to 350 hPa, three hours."""
    return read_upper_air(fetch_files("era5-upper-air"))
