"""The fields that latent diffusion is shown with: some test times of a nature run, temperature and wind over terrain.

python -m physlab.simulate.terrain physlab/assets/data run-11
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from physlab.data.surface import open_run
from physlab.errors import PhysLabError
from physlab.simulate.pack import ship

DAYS, TIMES = (18, 36), 3  # of the run: the test block of physlab.benchmark.ensemble
FIELDS = ("t_low", "u_low", "v_low")
STEPS = {"t_low": 0.005, "u_low": 0.2, "v_low": 0.2}  # K, m s-1: a Laplacian sees rounding of temperature first


def pack(run: str | Path, output: str | Path, days: tuple[float, float] = DAYS, times: int = TIMES) -> Path:
    """Write ``nature-terrain.nc``.

    Parameters
    ----------
    run : folder of a nature run.  output : folder for the file.
    days : first and last (exclusive) day of the run.  times : how many, evenly spread over those days.

    Raises
    ------
    PhysLabError : no such days in the run.
    """
    ds = open_run(run, days)[list(FIELDS)]
    count = ds.sizes["time"]
    if count < times:
        raise PhysLabError(f"{run} has {count} six-hourly times in the days {days}, {times} wanted: run longer")
    ds = ds.isel(time=np.arange(times) * (count // times)).load()
    history = f"packed by physlab.simulate.terrain from the days {days[0]:g} to {days[1]:g} of {Path(run).name}"
    title = "PhysLab nature run T85: temperature and wind of the lowest layer"
    return ship(ds, Path(output) / "nature-terrain.nc", history, STEPS, title=title)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m physlab.simulate.terrain OUTPUT RUN")
    print(pack(sys.argv[2], sys.argv[1]))
