"""Rain seen by radar, at one kilometre."""

from __future__ import annotations

from pathlib import Path

import dask
import dask.array
import numpy as np
import xarray as xr

from physlab.data.sources import fetch_files
from physlab.errors import FieldError
from physlab.registry import register

SHAPE = (3500, 7000)


@register("mrms-rain", kind="download", order=21, variables="rain_rate", terms="NOAA, public domain")
def mrms_rain() -> xr.Dataset:
    """MRMS rain rate over the contiguous United States, 0.01 degrees, every two minutes of 72 on 2019-06-10.

    The fields are read one file at a time when they are asked for; cells that no radar sees are missing.
    """
    paths = sorted(fetch_files("mrms-rain"))
    fields = [dask.array.from_delayed(dask.delayed(read)(path), SHAPE, np.float32) for path in paths]
    times = np.array([instant(path) for path in paths])
    attrs = {
        "standard_name": "lwe_precipitation_rate", "long_name": "rain rate seen by radar", "units": "mm h-1",
    }  # fmt: skip
    latitude = 54.995 - 0.01 * np.arange(SHAPE[0])
    longitude = 230.005 + 0.01 * np.arange(SHAPE[1])
    coords = {
        "time": ("time", times, {"standard_name": "time", "long_name": "time"}),
        "latitude": ("latitude", latitude, {"standard_name": "latitude", "units": "degrees_north"}),
        "longitude": ("longitude", longitude, {"standard_name": "longitude", "units": "degrees_east"}),
    }
    values = dask.array.stack(fields)
    return xr.Dataset({"rain_rate": (("time", "latitude", "longitude"), values, attrs)}, coords)


def instant(path: Path) -> np.datetime64:
    """The time in the name of a file, as in PrecipRate_00.00_20190610-000200.grib2."""
    day, hour = path.stem.rsplit("_", 1)[-1].split("-")
    return np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}T{hour[:2]}:{hour[2:4]}:{hour[4:]}", "ns")


def read(path: Path) -> np.ndarray:
    """(3500, 7000) float32 in mm h-1 of one file; negative codes (-3: no coverage) are missing.

    Raises
    ------
    FieldError : another grid than that of MRMS.
    """
    import eccodes

    with open(path, "rb") as file:
        message = eccodes.codes_grib_new_from_file(file)
        try:
            shape = (eccodes.codes_get(message, "Nj"), eccodes.codes_get(message, "Ni"))
            if shape != SHAPE:
                raise FieldError(f"{path} holds {shape[0]} x {shape[1]} cells, MRMS has {SHAPE[0]} x {SHAPE[1]}")
            values = eccodes.codes_get_values(message).astype(np.float32).reshape(SHAPE)
        finally:
            eccodes.codes_release(message)
    values[values < 0] = np.nan
    return values
