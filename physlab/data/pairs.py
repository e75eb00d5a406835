"""Pairs of truth and background out of nature runs: what learned assimilation is trained and scored on.

    physlab simulate --output run-8 --seed 8 --days 200 --hourly 0 0 --forecast-every 6
    physlab simulate --output run-9 --seed 9 --days 60 --hourly 0 0 --forecast-every 6

The truth is T85, truncated to the 64 x 128 grid; the background is the T42 forecast of 24 hours that ends there. The
errors are those of the model alone: the forecast starts from the truth. In a cycle it starts from an analysis:

    physlab simulate --output truth-21 --seed 21 --days 130 --hourly 0 0 --no-forecasts
    physlab cycle truth-21 cycle-21 --method 3d-var
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from physlab.data.pieces import open_pieces
from physlab.errors import PhysLabError
from physlab.store import parse_card


def open_pairs(
    run: str | Path, days: tuple[float, float] | None = None, every: int = 1
) -> tuple[xr.Dataset, xr.Dataset]:
    """Truth and background of a nature run at the times that both have, as (lazy) Datasets.

    Parameters
    ----------
    run : folder made by ``physlab simulate`` or by ``physlab cycle``; it may still be growing.
    days : first and last (exclusive) day of the truth; None for all.
    every : takes every n-th pair.

    Raises
    ------
    PhysLabError : no forecasts there, or none in those days.
    """
    run = Path(run)
    cycle = run / "cycle.json"
    places = {"states": Path(parse_card(cycle)["truth"]) if cycle.exists() else run, "forecasts": run}
    files = {kind: sorted(place.glob(f"{kind}-*.nc")) for kind, place in places.items()}
    if not all(files.values()):
        raise PhysLabError(
            f"{run} holds no pairs: make them by `physlab simulate --output {run} --hourly 0 0 --forecast-every 6`"
        )
    truth, background = (open_pieces(f) for f in files.values())
    times = np.intersect1d(truth.time.values, background.time.values)
    start = truth.time.values[0]
    if days is not None:
        day = (times - start) / np.timedelta64(1, "D")
        times = times[(day >= days[0]) & (day < days[1])]
    times = times[::every]
    if not len(times):
        raise PhysLabError(f"{run} has no pair in the days {days}: make a longer run")
    return truth.sel(time=times), background.sel(time=times).drop_vars("observed", errors="ignore")
