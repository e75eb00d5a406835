"""``physlab simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from physlab.cli.output import show_numbers


def simulate(
    output: Path = Path("nature-run"),
    preset: Literal["t85", "t42", "t21"] = "t85",
    days: int = 300,
    spinup_t42: int = 120,
    spinup: int = 10,
    hourly: tuple[int, int] = (0, 10),
    piece: int = 5,
    forecasts: bool = True,
    forecast_every: Literal[24, 12, 6] = 24,
    seed: int = 0,
    file_format: Literal["nc", "zarr"] = "nc",
    start: str = "",
) -> None:
    """Make or continue a nature run: the global primitive-equation model that is the laboratory's atmosphere.

    About 1 s per model day at T42 and 6 s at T85 on two free cores. An interrupted run goes on where it was.

    Args:
        output: folder for the files; a run that is found there is continued.
        preset: resolution: T85 (128 x 256, the truth), T42 (64 x 128) or T21 (32 x 64, for the classroom).
        days: length after the spin-up.
        spinup_t42: days from rest at T42 (at T21 for that preset), thrown away.
        spinup: further days at the run's own resolution, thrown away.
        hourly: first and last day (exclusive) of the stretch of which every hour is kept.
        piece: days per file and restart.
        forecasts: 24-hour T42 forecasts.
        forecast_every: hours between their starts, from midnight on.
        seed: of the initial noise; the calendar starts in year 2001 + seed.
        file_format: NetCDF-4 or Zarr.
        start: file of an analysis to start from instead of the second spin-up: u, v, t, q on levels, sp, u_low, v_low,
            t_low, or some of these, on the grid of the run or of its forecasts.
    """
    settings = {name: value for name, value in locals().items() if name != "output"}
    settings["start"] = str(Path(start).expanduser().resolve()) if start else ""
    from physlab.simulate.run import NatureRun, simulate

    show_numbers(f"Budgets of the run in {output}", simulate(NatureRun(**settings), output))
