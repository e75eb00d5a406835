"""The cycled twin: the laboratory's truth (T85), observed and analysed every 12 hours, forecast by T42 in between.

    physlab simulate --output truth-21 --seed 21 --days 130 --no-forecasts --hourly 0 0
    physlab cycle truth-21 cycle-21 --method 3d-var

The background of each analysis is the forecast from the previous one, so that its errors grow, move with the weather
and remember where was observed. Analyses enter the model as increments over six hours (:mod:`physlab.simulate.insert`).

output/
  cycle.json             configuration; a cycle that is found there is continued, one of another configuration refused
  restart.npz            the model half a window before the next analysis
  forecasts-00000.nc     the backgrounds, by valid time, with `observed`: where was observed
  analyses-00000.nc      the analyses
  ahead-00000.nc         forecasts of some days from some of them, if asked for (:mod:`physlab.assimilate.ahead`)
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from physlab.assimilate.ahead import NO_FORECASTS, Ahead, look_ahead
from physlab.assimilate.fields import channels_to_dataset
from physlab.assimilate.learned import Learned
from physlab.assimilate.statespace import observe_columns
from physlab.data.pieces import open_pieces
from physlab.data.writer import write_dataset
from physlab.errors import Cancelled, PhysLabError
from physlab.registry import Cancel, Progress
from physlab.store import lock, parse_card, recover, write_file

PIECE = 20  # cycles per file and restart
SWEEPS = 4  # of the insertion: an analysis is not worth more


@dataclasses.dataclass(frozen=True)
class GlobalCycle:
    """Configuration of a cycle.

    Attributes
    ----------
    share : least and largest share of the grid points whose columns are observed; each cycle draws between them.
    noise : standard deviation of the observation errors over that of the background errors that the method knows.
    first, days : first day of the truth that is used, and length.
    every : hours between analyses.
    window : hours over which an analysis is added to the model.
    seed : of places and errors of observations: another draw of the same weather.
    """

    share: tuple[float, float] = (0.02, 0.1)
    noise: float = 0.25
    first: int = 0
    days: int = 100
    every: int = 12
    window: float = 6.0
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.share
        if not 0 <= low <= high <= 1:
            raise PhysLabError(f"share is {low:g} to {high:g}: pass shares of the grid points between 0 and 1")
        if self.noise < 0 or self.days < 1 or self.first < 0:
            raise PhysLabError(
                f"noise {self.noise:g}, first {self.first}, days {self.days}: none is negative, and a day is the least"
            )
        if self.every not in (6, 12, 24) or not 0 < self.window <= self.every:
            raise PhysLabError(
                f"every {self.every} h with a window of {self.window:g} h: analyse every 6, 12 or 24 hours, with a "
                "window not longer than that"
            )


def open_truth(run: str | Path) -> xr.Dataset:
    """The states of a nature run, lazily; whole files only, so that the run may still be growing."""
    files = sorted(Path(run).expanduser().glob("states-*.nc"))
    if not files:
        raise PhysLabError(f"{run} holds no states: make a truth by `physlab simulate --output {run} --hourly 0 0`")
    found = open_pieces(files)
    assert isinstance(found, xr.Dataset)
    return found


def run_cycle(
    cycle: GlobalCycle, truth: str | Path, output: str | Path, method: Learned, name: str,
    progress: Progress | None = None, cancel: Cancel | None = None, ahead: Ahead = NO_FORECASTS,
) -> Path:  # fmt: skip
    """Make or continue a cycle.

    Parameters
    ----------
    truth : folder of a nature run at T85, see :func:`open_truth`.
    output : folder of the cycle.
    method : any trained or estimated method for the states of the truth; one member is taken.
    name : of the method, for the configuration.
    ahead : forecasts that are made from the analyses and kept.

    Returns
    -------
    The folder.

    Raises
    ------
    PhysLabError : no truth for so many days, a cycle of another configuration, or one that has become unstable.
    """
    with claimed(cycle, output, truth, name) as folder:
        return _run(cycle, open_truth(truth), folder, method, progress, cancel, ahead)


@contextmanager
def claimed(cycle: GlobalCycle, output: str | Path, truth: str | Path, name: str) -> Iterator[Path]:
    """The folder of a cycle, for one process at a time: a new one, or that of the same configuration."""
    output, truth = Path(output).expanduser(), Path(truth).expanduser().resolve()
    config = json.loads(json.dumps(dataclasses.asdict(cycle) | {"truth": str(truth), "method": name}))
    days, path = config.pop("days"), output / "cycle.json"
    with lock(output, 0.0):
        for left in (path, output / "restart.npz"):
            recover(left)
        if path.exists() and {k: v for k, v in parse_card(path).items() if k != "days"} != config:
            raise PhysLabError(f"{output} holds a cycle of another configuration: choose another folder or remove it")
        write_file(path, json.dumps({**config, "days": days}, indent=1))
        yield output


def _run(
    cycle: GlobalCycle, truth: xr.Dataset, output: Path, method: Learned, progress, cancel, ahead: Ahead
) -> Path:  # fmt: skip
    from physlab.simulate import diagnostics, nature
    from physlab.simulate.insert import forecast_from, insert
    from physlab.simulate.run import _load, _save

    model = nature.atmosphere("t42")
    show, start = diagnostics.of(model), truth["time"].values[0]
    total = cycle.days * 24 // cycle.every
    times = start + np.arange(total + 1) * np.timedelta64(cycle.every, "h") + np.timedelta64(24 * cycle.first, "h")
    if times[-1] > truth["time"].values[-1]:
        raise PhysLabError(
            f"the truth ends on day {(truth['time'].values[-1] - start) / np.timedelta64(1, 'D'):g}, the cycle on day "
            f"{cycle.first + cycle.days}: make it longer, or pass fewer days"
        )

    def seen(state) -> xr.Dataset:
        return show.dataset([show.state(state)], [times[0]]).isel(time=0, drop=True)

    restart = output / "restart.npz"
    if restart.exists():
        late, told = _load(restart, lambda _: model.rest(0))
        done = told["cycle"]
        ahead.check(output, done)
    else:  # an atmosphere of another day, into which the first truth is put
        other = model.advance(model.rest(cycle.seed + 1), 24 * 10)
        begun = insert(model, other, truth.sel(time=times[0]), above=True)
        done, late = 0, model.advance(begun, cycle.every - cycle.window / 2)
    kept: dict[str, list[xr.Dataset]] = {"forecasts": [], "analyses": [], "ahead": []}
    first = done
    while done < total:
        if cancel is not None and cancel():
            raise Cancelled(f"the cycle was stopped after {first} of {total} analyses, which are kept")
        now = times[done + 1]
        state = model.advance(late, cycle.window / 2)
        background = seen(state)
        analysis, mask = _analysis(cycle, done, method, background, truth.sel(time=now))
        if not all(bool(np.isfinite(da).all()) for da in analysis.values()):
            raise PhysLabError(
                f"the cycle became unstable at analysis {done}: use weaker increments or a longer window"
            )
        for name, ds in (("forecasts", background.assign(observed=mask)), ("analyses", analysis)):
            kept[name].append(ds.expand_dims(time=[now]))
        late, _ = forecast_from(model, late, state, insert(model, state, analysis, SWEEPS), cycle.every, cycle.window)
        if ahead.due(done):
            made = look_ahead(model, seen, [late], cycle.every - cycle.window / 2, ahead.days)
            kept["ahead"].append(made.expand_dims(time=[now]))
        done += 1
        if progress is not None:
            progress(done, total)
        if done % PIECE == 0 or done == total:
            for name, parts in kept.items():
                if parts:
                    write_dataset(xr.concat(parts, "time"), output / f"{name}-{first:05d}.nc")
                parts.clear()
            _save(restart, late, {"cycle": done})
            first = done
    return output


def _analysis(
    cycle: GlobalCycle, number: int, method: Learned, background: xr.Dataset, truth: xr.Dataset
) -> tuple[xr.Dataset, xr.DataArray]:
    """Analysis and where was observed; the draw depends on the seed and the number of the cycle alone."""
    space = method.space
    draw = torch.Generator().manual_seed(1_000_003 * (cycle.seed + 1) + number)
    b, x = space.tensor(background.expand_dims("time")), space.tensor(truth.expand_dims("time"))
    low, high = cycle.share
    share = low + (high - low) * torch.rand(1, generator=draw)
    columns = observe_columns((x - b) / space.error, share, cycle.noise, space.area, draw)
    made = method.increments(space.standardise(b), columns, 1, draw)[:, 0]
    analysis = channels_to_dataset(method.bounded(b + made * space.error)[0], background[list(space.variables)])
    mask = xr.DataArray(columns.mask[0, 0].numpy().astype(np.int8), dims=("latitude", "longitude"),
                        attrs={"long_name": "column was observed", "units": "1"})  # fmt: skip
    return analysis, mask
