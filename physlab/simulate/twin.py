"""The states that the explorer assimilates: a few truths beside their 24-hour forecasts, out of a nature run.

    python -m physlab.simulate.twin physlab/assets/data run-9

The truth and, with the suffix ``_fc``, the background of :mod:`physlab.data.pairs`, at times that nobody trains on.
Steps of the packed numbers leave rounding errors of 5 % of the background's errors or less, which no score can see;
humidity has a step for each level, because it fades by a factor of a hundred from 925 to 200 hPa.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import xarray as xr

from physlab.data.pairs import open_pairs
from physlab.simulate.pack import ship

DAYS = (23, 40)  # of the run: the test block
TIMES = 3
STEPS = {
    "tcw": 0.1, "sp": 10.0, "t": 0.05, "t_low": 0.05, "u": 0.15, "v": 0.15, "u_low": 0.1, "v_low": 0.1, "q": 5e-7,
    "z": 10.0,
}  # fmt: skip
HUMIDITY = {200: 5e-7, 300: 2e-6, 400: 1e-5, 500: 2e-5, 700: 8e-5, 850: 8e-5, 925: 8e-5}  # hPa -> kg kg-1


def pack(run: str | Path, output: str | Path, days: tuple[float, float] = DAYS, times: int = TIMES) -> Path:
    """Write ``nature-twin.nc``.

    Parameters
    ----------
    run : folder of a nature run with forecasts.  output : folder for the file.
    days : first and last (exclusive) day of the run.  times : how many, evenly spread over those days.
    """
    truth, background = open_pairs(run, days)
    at = np.unique(np.linspace(0, truth.sizes["time"] - 1, times).round().astype(int))
    truth, background = (ds.isel(time=at).load() for ds in (truth, background))
    merged = xr.merge([truth, background.rename({k: f"{k}_fc" for k in background})], combine_attrs="override")
    step = xr.DataArray([HUMIDITY[int(p)] for p in merged["level"]], dims="level")
    for name in ("q", "q_fc"):
        merged[name] = ((merged[name] / step).round() * step).clip(min=0.0).assign_attrs(merged[name].attrs)
    history = f"packed by physlab.simulate.twin from the days {days[0]:g} to {days[1]:g} of {Path(run).name}"
    title = "PhysLab nature run: truth (T85 truncated to 64 x 128 points) and 24-hour T42 forecasts (_fc)"
    return ship(merged, Path(output) / "nature-twin.nc", history, STEPS, title=title)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m physlab.simulate.twin OUTPUT RUN")
    print(pack(sys.argv[2], sys.argv[1]))
