"""Sequences for networks that see motion, and rain for weather generators: the hourly part of the shipped sample.

    physlab simulate --output hourly-0 --seed 0 --days 20 --hourly 0 20 --no-forecasts
    physlab simulate --output hourly-1 --seed 1 --days 20 --hourly 0 20 --no-forecasts
    python -m physlab.simulate.hourly physlab/assets/data hourly-0 hourly-1

Training comes from the first run, validation and test from the first and the last days of the second one, which shares
no weather with it.

    nature-sequences.nc  column water in hourly triplets of 128 x 128; for training also coarse fluxes and sources
    nature-rain.nc       six-hourly rain and its large-scale predictors over a storm track, for occurrence and amount
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from physlab.cf import VARIABLES
from physlab.data.pieces import open_pieces
from physlab.errors import PhysLabError
from physlab.grid import Grid, coarsen
from physlab.simulate.pack import PATCH, ship, window

FACTOR = 4  # of the coarse fluxes
SEQUENCES = {"train": 160, "val": 30, "test": 50}
DAYS = {"val": (0.0, 0.35), "test": (0.6, 1.0)}  # parts of the second run
STORM_TRACK = {"latitude": slice(22.0, 67.0), "longitude": slice(270.0, 359.5)}
FLUXES = ("ivt_u", "ivt_v", "e", "tp")


def pack_hourly(runs: list[str | Path], output: str | Path, seed: int = 0, sequences: dict[str, int] | None = None):
    """Write the two files from two hourly T85 runs of different seeds.

    Parameters
    ----------
    runs : two folders made by ``simulate`` with every hour kept.
    output : folder for the files.
    seed : of the choice of hours and longitudes.
    sequences : number of triplets per split.

    Returns
    -------
    list of Path

    Raises
    ------
    PhysLabError : not two runs, runs without hours, or too short.
    """
    if len(runs) != 2:
        raise PhysLabError(f"{len(runs)} runs given: pass two, one for training and one for validation and test")
    first, second = (_open(Path(run)) for run in runs)
    rng, hours = np.random.default_rng(seed), second.sizes["time"]
    parts = {"train": first} | {
        name: second.isel(time=slice(round(a * hours), round(b * hours))) for name, (a, b) in DAYS.items()
    }
    counts = sequences or SEQUENCES
    triplets = [_triplets(part, name, counts[name], rng) for name, part in parts.items()]
    rain = [_rain(part).assign_coords(split=("time", [name] * (part.sizes["time"] // 6))) for name, part in
            (("train", first), ("test", second))]  # fmt: skip
    made = {
        "nature-sequences.nc": xr.concat(triplets, "sequence"),
        "nature-rain.nc": xr.concat(rain, "time"),
    }
    history = f"packed by physlab.simulate.hourly from {first.sizes['time'] // 24} + {hours // 24} days"
    return [ship(ds.drop_attrs(deep=False), Path(output) / n, history, **first.attrs) for n, ds in made.items()]


def _open(run: Path) -> xr.Dataset:
    files = sorted(run.glob("surface-*.nc"))
    if not files:
        raise PhysLabError(f"{run} holds no nature run: make one with `physlab simulate --output {run} --hourly 0 20`")
    surface = open_pieces(files)
    if surface.sizes["latitude"] != PATCH or (np.diff(surface.time.values) != np.timedelta64(1, "h")).any():
        raise PhysLabError(f"{run} is not an hourly run at T85: pass one made with --preset t85 --hourly 0 DAYS")
    return surface


def _triplets(surface: xr.Dataset, split: str, count: int, rng: np.random.Generator) -> xr.Dataset:
    """Three successive hours from every third one, half a globe each, with coarse block means of fluxes and sources."""
    starts = np.arange(0, surface.sizes["time"] - 2, 3)
    if len(starts) * 2 < count:
        raise PhysLabError(f"{split}: {len(starts)} triplets in the run, {count} wanted from its halves: run longer")
    chosen = np.sort(rng.permutation(np.repeat(starts, 2))[:count])
    weights = Grid(surface.latitude.values, surface.longitude.values).row_weights
    columns, patches = [], []
    coarse: dict[str, list[np.ndarray]] = {name: [] for name in FLUXES}
    for i in chosen:
        column = int(rng.integers(surface.sizes["longitude"]))
        hours = surface.isel(time=slice(int(i), int(i) + 3)).load()
        columns.append(column)
        patches.append(window(hours.tcw.values, column))
        for name in FLUXES:
            field = torch.from_numpy(window(hours[name].values, column).astype(np.float64))
            mean = coarsen(field, FACTOR, weights).numpy()
            coarse[name].append(
                mean if split == "train" else np.full_like(mean, np.nan)
            )  # not wanted there: saves space
    fluxes = {
        f"{name}_x{FACTOR}": (("sequence", "frame", "yc", "xc"), np.stack(values), dict(surface[name].attrs))
        for name, values in coarse.items()
    }
    return xr.Dataset(
        {"tcw": (("sequence", "frame", "y", "x"), np.stack(patches), VARIABLES["tcw"]), **fluxes},
        {
            "time": (("sequence", "frame"), surface.time.values[chosen[:, None] + np.arange(3)]),
            "split": ("sequence", [split] * count),
            "longitude0": ("sequence", surface.longitude.values[columns], {"units": "degrees_east"}),
            "latitude": ("y", surface.latitude.values, dict(surface.latitude.attrs)),
        },
    )


def _rain(surface: xr.Dataset) -> xr.Dataset:
    """Six-hourly sums of rain over the storm track, and the state of the air at the middle of the interval."""
    region = surface.sel(STORM_TRACK)
    steps = region.sizes["time"] // 6
    rain = region.tp.values[: 6 * steps].reshape(steps, 6, *region.tp.shape[1:]).sum(1)
    middle = region.isel(time=slice(3, 6 * steps, 6))
    attrs = {**dict(surface.tp.attrs), "units": "kg m-2", "long_name": "precipitation of six hours"}
    fields = {name: middle[name].load() for name in ("tcw", "ivt_u", "ivt_v", "sp")}
    return xr.Dataset({"tp": (("time", "latitude", "longitude"), rain, attrs), **fields}, middle.coords)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python -m physlab.simulate.hourly OUTPUT FIRST-RUN SECOND-RUN")
    for path in pack_hourly([Path(a) for a in sys.argv[2:]], Path(sys.argv[1])):
        print(path)
