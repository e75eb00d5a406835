"""Hours of a region on one pressure level, for continuous fields and regional forecasts.

physlab simulate --output nature-run --seed 0 --days 10          # or any other run at T85: its restart is continued
python -m physlab.simulate.regional physlab/assets/data nature-run
python -m physlab.simulate.regional bands nature-run 30          # 30 days of the whole circle of latitude

nature-window.nc    33 x 33 points of the North Atlantic, every hour of ten days: u, v, t, z, q at 700 hPa, column
                    water with its flux, evaporation and precipitation
nature-band-S.nc    33 x 256 points, the same latitudes all around, of the run with seed S: to train forecasts
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from physlab.data.pieces import seed_of
from physlab.errors import PhysLabError
from physlab.simulate.pack import STEPS, ship
from physlab.simulate.run import NatureRun, _load, _Models

LEVEL = 700  # hPa
ROWS, COLUMNS = slice(79, 112), slice(213, 246)  # 22 to 67 N, 299.5 to 344.5 E on the T85 grid
STEPS_FINE = {**STEPS, "u": 0.005, "v": 0.005, "t": 0.005, "z": 0.25, "q": 5e-7, "tcw": 0.005}  # derivatives are taken
SURFACE = ("tcw", "ivt_u", "ivt_v", "e", "tp")


BAND = ("u", "v", "t", "z", "q", "tcw")


def hourly_region(restart: str | Path, hours: int, rows: slice = ROWS, columns: slice = COLUMNS) -> xr.Dataset:
    """Continue a T85 run for some hours and keep a region of every hour.

    Parameters
    ----------
    restart : folder of a run made by ``simulate``; its files are not changed.
    hours : length; the result has one time more.
    rows, columns : of the T85 grid.

    Returns
    -------
    Dataset (time, latitude, longitude): u, v, t, z, q at LEVEL and the fields of SURFACE.

    Raises
    ------
    PhysLabError : no restart in the folder.
    """
    path = Path(restart) / "restart.npz"
    if not path.exists():
        raise PhysLabError(f"{restart} holds no nature run: make one with `physlab simulate --output {restart}`")
    seed = seed_of(restart)  # it decides the calendar
    if seed is None:
        raise PhysLabError(f"{restart} has no run.json that says its seed: make it by `physlab simulate`")
    models = _Models(replace(NatureRun(), seed=seed, forecasts=False))
    state, totals = _load(path, models.truth.rest(seed))
    start = models.start + np.timedelta64(int(totals["day"]), "D")
    kept, times = [], []
    for hour in range(hours + 1):
        levels = {name: x[0] for name, x in models.view.levels(state, levels=(LEVEL,)).items()}
        surface = models.view.surface(state)
        kept.append({name: np.asarray(x) for name, x in {**levels, **{k: surface[k] for k in SURFACE}}.items()})
        times.append(start + np.timedelta64(hour, "h"))
        state = models.truth.advance({**state, "budget": models.truth.empty_budget()}, 1)
        if hour % 24 == 23:
            state, _ = models.truth.fix_mass(state, totals["pressure"])
            print(f"day {hour // 24 + 1}/{-(-hours // 24)}", flush=True)
    ds = models.view.dataset(kept, times).isel(latitude=rows, longitude=columns)
    for name in ("u", "v", "t", "z", "q"):
        ds[name].attrs["level"] = f"{LEVEL} hPa"
    return ds.assign_attrs(pressure=100.0 * LEVEL)


def pack_window(restart: str | Path, output: str | Path, hours: int = 240) -> Path:
    """Write nature-window.nc; see the head of this module."""
    ds = hourly_region(restart, hours)
    return ship(ds, Path(output) / "nature-window.nc", f"physlab.simulate.regional, {hours} hours", STEPS_FINE)


def pack_band(restart: str | Path, output: str | Path, days: int) -> Path:
    """Write nature-band-S.nc; see the head of this module."""
    ds = hourly_region(restart, 24 * days, columns=slice(None))[list(BAND)]
    return ship(
        ds, Path(output) / f"nature-band-{seed_of(restart)}.nc", f"physlab.simulate.regional, {days} days", STEPS_FINE
    )


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python -m physlab.simulate.regional OUTPUT RUN [DAYS of the whole circle]")
    made, run, *days = sys.argv[1:]
    print(pack_band(run, made, int(days[0])) if days else pack_window(run, made))
