"""The table of observations as a Dataset, see :mod:`physlab.data.observe`."""

from __future__ import annotations

import numpy as np
import xarray as xr

COLUMNS = ("variable", "level", "latitude", "longitude", "value", "error")
EXTRAS = ("time", "elevation", "station", "units", "line")
"""What a table may have besides: time in UTC (NaT unknown), height of the station (m), its name, the unit of value and
error ("" unknown), and the line of the file."""


def table(variable, level, latitude, longitude, value, error, **extras) -> xr.Dataset:
    """A table of observations from sequences of one length, the six that all have and any of :data:`EXTRAS`."""
    parts = [variable, level, latitude, longitude, value, error]
    arrays = [np.asarray(x, dtype=object if n == 0 else float) for n, x in enumerate(parts)]
    ds = xr.Dataset({name: ("observation", x) for name, x in zip(COLUMNS, arrays, strict=True)})
    for name, unit in (
        ("latitude", "degrees_north"),
        ("longitude", "degrees_east"),
        ("level", "hPa"),
        ("elevation", "m"),
    ):
        if name in ds or name in extras:
            ds[name] = ds[name] if name in ds else ("observation", np.asarray(extras[name], dtype=float))
            ds[name].attrs["units"] = unit
    for name, x in extras.items():
        if name in ("station", "units"):
            ds[name] = ("observation", np.asarray(x, dtype=object).astype(str))
        elif name == "time":
            ds[name] = ("observation", np.asarray(x).astype("datetime64[ns]"))
        elif name == "line":
            ds[name] = ("observation", np.asarray(x, dtype=int))
    return ds.assign(variable=ds["variable"].astype(str))
