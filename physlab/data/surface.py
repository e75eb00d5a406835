"""Surface fields of nature runs, as :mod:`physlab.downscale.terrain` learns from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from physlab.data.pieces import open_pieces
from physlab.errors import PhysLabError


def open_run(run: str | Path, days: tuple[float, float] | None = None, every: int = 1) -> xr.Dataset:
    """Surface fields of a nature run every six hours, lazily.

    Parameters
    ----------
    run : folder made by ``physlab simulate``.
    days : first and last (exclusive) day of the run; None for all.
    every : takes every n-th of the six-hourly times.

    Raises
    ------
    PhysLabError : no surface fields there, or none in those days.
    """
    files = sorted(Path(run).glob("surface-*.nc"))
    if not files:
        raise PhysLabError(
            f"{run} holds no nature run: make it by `physlab simulate --output {run} --hourly 0 0 --no-forecasts`"
        )
    ds = open_pieces(files)
    day = (ds.time.values - ds.time.values[0]) / np.timedelta64(1, "D")
    first, last = (0, np.inf) if days is None else days
    keep = np.flatnonzero((ds.time.dt.hour.values % 6 == 0) & (day >= first) & (day < last))[::every]
    if not len(keep):
        raise PhysLabError(f"{run} has nothing in the days {days}: make a longer run")
    return ds.isel(time=keep)
