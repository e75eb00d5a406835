"""ERA5 in public Zarr stores, read lazily over the network."""

from __future__ import annotations

import xarray as xr

from physlab.data.cloud import open_cloud
from physlab.registry import register


@register(
    "weatherbench2-1p5deg",
    url="gs://weatherbench2/datasets/era5/1959-2023_01_10-6h-240x121_equiangular_with_poles_conservative.zarr",
    kind="cloud",
    order=18,
    variables="t2m u10 v10 msl tcwv z t u v q tp_6h",
    terms="Copernicus licence (attribution)",
)
def weatherbench2() -> xr.Dataset:
    """ERA5 every 6 hours, 1.5 degrees, 13 levels (WeatherBench 2)."""
    return open_cloud("weatherbench2-1p5deg")


@register(
    "arco-era5",
    url="gs://gcp-public-data-arco-era5/ar/full_37-1h-0p25deg-chunk-1.zarr-v3",
    kind="cloud",
    order=19,
    variables="t2m sp msl u10 v10 tcw tcwv z t u v q tp e",
    terms="Copernicus licence (attribution)",
)
def arco_era5() -> xr.Dataset:
    """ERA5 hourly, 0.25 degrees, 37 levels (ARCO-ERA5)."""
    return open_cloud("arco-era5")
