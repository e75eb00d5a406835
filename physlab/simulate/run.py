"""Making a nature run in pieces: spin up, pad, run, write, restart.

output/
  restart.npz           the last state, its day, the budgets so far
  spinup.npz            likewise during the spin-up, until there is the first of those
  surface-00000.nc      hourly fields (see SCHEDULE), full resolution
  states-00000.nc       pressure-level fields every 6 hours on the T42 grid (64 x 128)
  forecasts-00000.nc    24-hour T42 forecasts, from each midnight unless asked more often, same grid and levels, by
                        valid time
  run.json              configuration; a restart with another configuration is refused
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from physlab.data.catalog import open_dataset
from physlab.data.writer import write_dataset
from physlab.errors import PhysLabError
from physlab.simulate import diagnostics, nature
from physlab.simulate.insert import insert
from physlab.store import lock, parse_card, recover, write_file

# Hours of the day at which surface fields are kept: an hourly triplet at midnight and six-hourly frames.
SCHEDULE = (0, 1, 2, 6, 12, 18)
STATE_HOURS = (0, 6, 12, 18)


@dataclasses.dataclass(frozen=True)
class NatureRun:
    """Configuration of one run.

    Attributes
    ----------
    preset : str
        ``"t85"`` (128 x 256, the laboratory's truth), ``"t42"`` (64 x 128) or ``"t21"`` (32 x 64, seconds a day).
    days : int
        Length after the spin-up.
    spinup_t42, spinup : int
        Days at T42 (or T21 for that preset) from rest, then days at the run's own resolution, both thrown away.
    hourly : tuple of int
        First and last day (exclusive) of the stretch in which every hour is kept.
    piece : int
        Days per file and restart.
    forecasts : bool
        Whether to make 24-hour T42 forecasts.
    forecast_every : int
        Hours between their starts: 24 (from every midnight), 12 or 6.
    seed : int
        Of the initial noise; the run's calendar starts in year 2001 + seed, so that runs can be joined.
    file_format : str
        ``"nc"`` (NetCDF-4) or ``"zarr"``.
    start : str
        File of an analysis (see :func:`physlab.simulate.insert.insert`) on the grid of the run or of its forecasts,
        that takes the place of the second spin-up; the calendar starts at its time. Empty for none.
    """

    preset: str = "t85"
    days: int = 300
    spinup_t42: int = 120
    spinup: int = 10
    hourly: tuple[int, int] = (0, 10)
    piece: int = 5
    forecasts: bool = True
    forecast_every: int = 24
    seed: int = 0
    file_format: str = "nc"
    start: str = ""

    def __post_init__(self):
        if self.preset not in nature.RESOLUTIONS:
            raise PhysLabError(f"preset {self.preset!r} is unknown: use one of {', '.join(nature.RESOLUTIONS)}")
        if self.file_format not in ("nc", "zarr"):
            raise PhysLabError(f"file format {self.file_format!r} is unknown: use nc or zarr")
        if self.forecast_every not in (6, 12, 24):
            raise PhysLabError(f"forecast_every is {self.forecast_every} hours: use 6, 12 or 24")
        if self.days < 1 or self.piece < 1:
            raise PhysLabError(f"days and piece must be at least 1, got {self.days} and {self.piece}")


def _save(path: Path, state, extra: dict) -> None:
    """Write a state."""
    leaves: dict[str, Any] = {f"leaf{i}": np.asarray(x) for i, x in enumerate(jax.tree.leaves(state))}
    content = io.BytesIO()
    np.savez(content, extra=json.dumps(extra), **leaves)
    write_file(path, content.getbuffer())


def _load(path: Path, like: Callable[[dict], object]):
    """Read a state written by _save; `like` gives a state of the same structure, from what was written beside it."""
    try:
        with np.load(path) as data:
            extra = json.loads(str(data["extra"]))
            model = like(extra)
            shapes = [np.shape(x) for x in jax.tree.leaves(model)]
            leaves = [jnp.asarray(data[f"leaf{i}"]) for i in range(len(shapes))]
        if [x.shape for x in leaves] != shapes or not all(bool(jnp.isfinite(x).all()) for x in leaves):
            raise ValueError("not the numbers of a state")
    except Exception as error:
        raise PhysLabError(f"{path} is not a readable restart ({error}): remove it to start the run anew") from None
    return jax.tree.unflatten(jax.tree.structure(model), leaves), extra


class _Models:
    """The truth and the forecast model of one run, with their diagnostics."""

    analysis: xr.Dataset | None = None  # from which the run starts, if from any

    def __init__(self, run: NatureRun):
        self.run = run
        self.start = np.datetime64(f"{nature.FIRST_YEAR + run.seed}-01-01T00", "ns")
        self.truth = nature.atmosphere(run.preset)
        self.forecast = nature.atmosphere("t42" if run.preset == "t85" else run.preset)
        self.view = diagnostics.of(self.truth)
        self.forecast_view = diagnostics.of(self.forecast)
        self.analysis = open_analysis(run.start) if run.start else None
        if self.analysis is not None and "time" in self.analysis.coords:
            self.start = np.datetime64(str(self.analysis["time"].values), "ns")

    def spin_up(self, report, restart: Path):
        """From rest, at the resolution of the forecasts, to a turbulent state at the run's own; goes on from a file."""
        run, state, own, day = self.run, self.forecast.rest(self.run.seed), False, 0
        if restart.exists():
            like = {False: self.forecast, True: self.truth}
            state, told = _load(restart, lambda told: like[told["own"]].rest(run.seed))
            own, day = told["own"], told["day"]
        while not own and day < run.spinup_t42:
            days = min(5, run.spinup_t42 - day)
            state, day = jax.block_until_ready(self.forecast.advance(state, 24 * days)), day + days
            _save(restart, state, {"own": False, "day": day})
            report(f"spin-up {self.forecast.resolution.name}, day {day}/{run.spinup_t42}")
        if not own and self.analysis is not None:
            same = self.analysis.sizes["latitude"] == len(self.truth.latitude)
            state = state if same else insert(self.forecast, state, self.analysis, above=True)
            state, day = self.truth.regrid(state, self.forecast), run.spinup
            state = insert(self.truth, state, self.analysis, above=True) if same else state
        elif not own:
            state, day = self.truth.regrid(state, self.forecast), 0
        while day < run.spinup:
            state, day = jax.block_until_ready(self.truth.advance(state, 24)), day + 1
            _save(restart, state, {"own": True, "day": day})
            report(f"spin-up {run.preset}, day {day}/{run.spinup}")
        return {**state, "budget": self.truth.empty_budget()}

    def day(self, day: int, state, totals: dict, frames: dict[str, list]):
        """Advance one day from midnight; keep the frames of the schedule, add to the totals of the budget."""
        kept = range(24) if self.run.hourly[0] <= day < self.run.hourly[1] else SCHEDULE
        start = self.start + np.timedelta64(day, "D")
        for hour in range(24):
            now = start + np.timedelta64(hour, "h")
            if hour in kept:
                frames["surface"].append((now, self.view.surface(state)))
            if hour in STATE_HOURS:
                coarse = self.forecast.regrid(state, self.truth)
                frames["states"].append((now, self.forecast_view.state(coarse)))
                if self.run.forecasts and hour % self.run.forecast_every == 0:
                    ahead = self.forecast.advance(coarse, 24)
                    frames["forecasts"].append((now + np.timedelta64(24, "h"), self.forecast_view.state(ahead)))
            state = self.truth.advance({**state, "budget": self.truth.empty_budget()}, 1)
            for key, field in state["budget"].items():
                totals[key] += self.truth.mean(field)
        state, drift = self.truth.fix_mass(state, totals["pressure"])
        if not np.isfinite(drift):
            raise PhysLabError(f"the model became unstable on day {day}: use a shorter step or a stronger filter")
        totals["mass"] += drift
        return state


def open_analysis(path: str | Path) -> xr.Dataset:
    """The one time of a file that a run starts from.

    Raises
    ------
    FieldError, FileNotFoundError : see :func:`physlab.open_dataset`.
    PhysLabError : several times or members.
    """
    ds = open_dataset(str(path))
    for name in ("time", "member"):
        if ds.sizes.get(name, 1) != 1:
            raise PhysLabError(
                f"'{path}' holds {ds.sizes[name]} values of {name}: a run starts from one, select it first"
            )
        ds = ds.isel({name: 0}) if name in ds.dims else ds
    if not {"latitude", "longitude"} <= set(ds.dims):
        raise PhysLabError(f"'{path}' holds no fields on latitude and longitude: a run starts from an analysis")
    return ds.load()


def _claim(run: NatureRun, output: Path) -> None:
    """Make the folder of a run, or make sure that the run found there has the same configuration."""
    config = {k: v for k, v in dataclasses.asdict(run).items() if k != "days"}
    config = json.loads(json.dumps({**config, "resolution": dataclasses.asdict(nature.RESOLUTIONS[run.preset])}))
    path = output / "run.json"
    if not path.exists():
        write_file(path, json.dumps(config, indent=1))
        return
    try:
        found = {"forecast_every": 24, "start": "", **parse_card(path)}  # runs from before these choices
    except ValueError as error:
        raise PhysLabError(f"{path} is damaged ({error}): restore it, or choose another folder") from None
    if found != config:
        raise PhysLabError(f"{output} holds a run of another configuration: choose another folder or remove it")


def simulate(run: NatureRun, output: str | Path, progress: bool = True) -> dict:
    """Make or continue a nature run.

    Parameters
    ----------
    run : NatureRun
    output : path
        Folder for the files; a run found there is continued.
    progress : bool
        Show a progress bar (in a log file: a line per piece).

    Returns
    -------
    dict
        The budget over the run: mean evaporation, precipitation and water moved by filling (kg m-2 day-1), change of
        the mean column water, the part of it that evaporation minus precipitation does not explain, and the mass
        drift removed (Pa day-1).

    Raises
    ------
    PhysLabError
        If the folder holds a run of another configuration, another process is making it, or the model has become
        unstable.
    """
    output = Path(output).expanduser()
    with lock(output, 0.0):
        recover(output / "run.json")  # what a killed run left beside its files
        _claim(run, output)
        return _simulate(run, output, progress)


def _simulate(run: NatureRun, output: Path, progress: bool) -> dict:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    models, restart, spinup = _Models(run), output / "restart.npz", output / "spinup.npz"
    mean, surface = models.truth.mean, models.view.surface
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not progress) as bar:
        task = bar.add_task("days", total=run.days)

        def report(text: str, **update) -> None:
            bar.update(task, description=text, **update)
            if progress and not bar.console.is_terminal:
                print(text, flush=True)

        if restart.exists():
            state, totals = _load(restart, lambda _: models.truth.rest(run.seed))
        else:
            state = models.spin_up(report, spinup)
            first = surface(state)
            totals = {"day": 0, "evaporation": 0.0, "precipitation": 0.0, "filling": 0.0, "mass": 0.0,
                      "tcw0": mean(first["tcw"]), "pressure": mean(first["sp"])}  # fmt: skip
            _save(restart, state, totals)
        spinup.unlink(missing_ok=True)
        report(f"day {totals['day']}/{run.days}", completed=totals["day"])
        while totals["day"] < run.days:
            first_day, last_day = totals["day"], min(totals["day"] + run.piece, run.days)
            frames: dict[str, list] = {"surface": [], "states": [], "forecasts": []}
            for day in range(first_day, last_day):
                state = models.day(day, state, totals, frames)
                bar.advance(task)
            for kind, kept in frames.items():
                if kept:
                    times, fields = zip(*kept, strict=True)
                    view = models.view if kind == "surface" else models.forecast_view
                    dataset = view.dataset(fields, times)
                    write_dataset(dataset, output / f"{kind}-{first_day:05d}.{run.file_format}")
            totals |= {"day": last_day, "tcw1": mean(surface(state)["tcw"])}
            _save(restart, state, totals)
            report(f"day {last_day}/{run.days}")
    return budget(totals)


def budget(totals: dict) -> dict:
    """Mean rates of the water and mass budgets from the totals of a restart."""
    days = max(totals["day"], 1)
    change = (totals.get("tcw1", totals["tcw0"]) - totals["tcw0"]) / days
    rates = {k: totals[k] / days for k in ("evaporation", "precipitation", "filling")}
    return {
        "days": totals["day"],
        **{f"{k} (kg m-2 day-1)": v for k, v in rates.items()},
        "change of column water (kg m-2 day-1)": change,
        "unexplained (kg m-2 day-1)": change - rates["evaporation"] + rates["precipitation"],
        "mass drift removed (Pa day-1)": totals["mass"] / days,
    }
