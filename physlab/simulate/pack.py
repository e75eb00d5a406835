"""From a nature run to the sample that ships with PhysLab.

    python -m physlab.simulate.pack physlab/assets/data nature-run/ [second-run/]

Three files (int16, compressed; the steps are far below what a score can see, and the packed field is the truth):

    nature-tcw.nc        total column water, single frames of 128 x 128 for super-resolution
    nature-states.nc     full states on the T42 grid beside 24-hour T42 forecasts that are valid at the same time
    nature-budget.nc     a stretch of hours with the terms of the column water budget, global

The split is by blocks of days with gaps in between, the same for all files: the blocks of one run, or training from
the first run and validation and test from a second one with another seed, which shares no weather with it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import xarray as xr

from physlab.cf import VARIABLES
from physlab.data.pieces import open_pieces
from physlab.data.writer import write_dataset
from physlab.errors import PhysLabError
from physlab.simulate.differences import store_differences

# split -> (run, first and last day as fractions of that run), for one run and for two
BLOCKS = {
    1: {"train": (0, 0.0, 0.65), "val": (0, 0.65, 0.825), "test": (0, 0.825, 1.0)},
    2: {"train": (0, 0.0, 1.0), "val": (1, 0.0, 0.5), "test": (1, 0.5, 1.0)},
}
GAP = 5  # days kept free before a block that follows another
PATCH = 128

# quantisation step per variable (SI units)
STEPS = {
    "tcw": 0.02, "sp": 5.0, "t": 0.02, "t_low": 0.02, "u": 0.02, "v": 0.02, "u_low": 0.02, "v_low": 0.02, "q": 1e-6,
    "z": 4.0, "ivt_u": 0.1, "ivt_v": 0.1, "tp": 2e-4, "e": 2e-5,
}  # fmt: skip

# Fields in which a value is near its neighbour in the row: szip stores the differences, a fifth less than deflate makes
# of them, and is read faster. It is part of HDF5 as deflate is, so every reader of NetCDF knows it.
SMOOTH = ("tcw", "sp", "t", "t_low", "q", "z")
SZIP = {"compression": "szip", "compression_opts": ("nn", 16)}
DEFLATE = {"zlib": True, "complevel": 9, "shuffle": True}
CHUNK = 2**20  # bytes of a chunk of szip, about
#: Dims along which fields are stored as differences (:mod:`physlab.data.differences`): the largest files alone.
DIFFERENCES: dict[str, dict[str, tuple[str, ...]]] = {
    "nature-tcw.nc": {"tcw": ("y", "x")},
    "nature-sequences.nc": {"tcw": ("frame", "y", "x"), "ivt_u_x4": ("frame",), "ivt_v_x4": ("frame",)},
}


def blocks(runs: list[tuple[np.datetime64, int]]) -> dict[str, tuple[np.datetime64, np.datetime64]]:
    """First and last time (exclusive) of each split, gaps removed, for runs given by their start and days.

    Raises
    ------
    PhysLabError
        If there are more than two runs, or a block is shorter than its gap.
    """
    if len(runs) not in BLOCKS:
        raise PhysLabError(f"{len(runs)} runs given: pack one, or two of different seeds")
    out = {}
    for name, (index, start, stop) in BLOCKS[len(runs)].items():
        origin, days = runs[index]
        first, last = round(start * days) + (GAP if start > 0 else 0), round(stop * days)
        if last <= first:
            raise PhysLabError(f"a run of {days} days is too short for splits with gaps of {GAP} days: make 60 or more")
        out[name] = (origin + np.timedelta64(first, "D"), origin + np.timedelta64(last, "D"))
    return out


def _encode(dataset: xr.Dataset, steps: dict[str, float]) -> dict:
    encoding = {}
    for name, field in dataset.data_vars.items():
        base = re.sub(r"_(fc|x\d+)$", "", str(name))
        if base not in steps:
            continue
        step, low, high = steps[base], float(field.min()), float(field.max())
        step = max(step, (high - low) / 65000)
        offset = 0.0 if low >= 0 and high / step < 32767 else step * round((low + high) / 2 / step)
        encoding[name] = {"dtype": "int16", "scale_factor": step, "add_offset": offset, "_FillValue": -32768}
        if re.sub(r"_fc$", "", str(name)) in SMOOTH:  # not what is coarse
            first = max(1, min(len(field), CHUNK * len(field) // (2 * field.size)))
            encoding[name] |= {**SZIP, "chunksizes": (first, *field.shape[1:])}
        else:
            encoding[name] |= DEFLATE
    return encoding


def write(dataset: xr.Dataset, path: Path, steps: dict[str, float] = STEPS) -> None:
    """Packed by the given steps."""
    write_dataset(dataset, path, _encode(dataset, steps))


def ship(dataset: xr.Dataset, path: Path, history: str, steps: dict[str, float] = STEPS, **attrs: str) -> Path:
    """Write a sample that says its licence and how it was made; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write(dataset.assign_attrs(attrs, licence="MIT, the PhysLab developers", history=history), path, steps)
    return store_differences(path, DIFFERENCES[path.name]) if path.name in DIFFERENCES else path


def window(field: np.ndarray, first: int) -> np.ndarray:
    """PATCH columns of (..., latitude, longitude) from index `first`, around the date line if need be."""
    return np.take(field, range(first, first + PATCH), axis=-1, mode="wrap")


def _frames(surface: xr.Dataset, limits, counts: dict[str, int], rng) -> xr.Dataset:
    """Pairs of opposite half globes at random longitudes from six-hourly frames."""
    times_of_run = surface.time.values
    six_hourly = surface.time.dt.hour.values % 6 == 0
    patches, times, splits, first_longitude = [], [], [], []
    for split, (start, stop) in limits.items():
        candidates = np.flatnonzero(six_hourly & (times_of_run >= start) & (times_of_run < stop))
        wanted = -(-counts[split] // 2)
        if len(candidates) < wanted:
            raise PhysLabError(f"{split}: {len(candidates)} six-hourly frames, {wanted} needed: make a longer run")
        for i in np.sort(rng.choice(candidates, wanted, replace=False)):
            field = surface.tcw.isel(time=int(i)).values
            column = int(rng.integers(surface.sizes["longitude"]))
            for first in (column, (column + PATCH) % surface.sizes["longitude"]):
                patches.append(window(field, first))
                times.append(surface.time.values[i])
                splits.append(split)
                first_longitude.append(float(surface.longitude[first]))
    return xr.Dataset(
        {"tcw": (("sample", "y", "x"), np.stack(patches), VARIABLES["tcw"])},
        {
            "time": ("sample", np.array(times)), "split": ("sample", np.array(splits)),
            "longitude0": ("sample", first_longitude, {"units": "degrees_east", "long_name": "first longitude"}),
            "latitude": ("y", surface.latitude.values, dict(surface.latitude.attrs)),
        },
    )  # fmt: skip


def _states(states: xr.Dataset, forecasts: xr.Dataset, limits, counts: dict[str, int]) -> xr.Dataset:
    """Truth and 24-hour forecast at the same valid times, evenly spread over each block."""
    common = np.intersect1d(states.time.values, forecasts.time.values)
    chosen, splits = [], []
    for split, (start, stop) in limits.items():
        inside = common[(common >= start + np.timedelta64(1, "D")) & (common < stop)]
        keep = inside[np.unique(np.linspace(0, len(inside) - 1, min(counts[split], len(inside))).round().astype(int))]
        chosen.append(keep)
        splits += [split] * len(keep)
    times = np.concatenate(chosen)
    forecast = forecasts.sel(time=times).rename({k: f"{k}_fc" for k in forecasts.data_vars})
    merged = xr.merge([states.sel(time=times), forecast], combine_attrs="override")
    return merged.assign_coords(split=("time", np.array(splits)))


def _open(run: Path) -> dict[str, xr.Dataset]:
    """The three kinds of files of a run, each joined in time."""
    pieces = {kind: sorted(run.glob(f"{kind}-*.nc")) for kind in ("surface", "states", "forecasts")}
    if not all(pieces.values()):
        raise PhysLabError(f"{run} holds no complete nature run: make one with `physlab simulate --output {run}`")
    data = {kind: open_pieces(files) for kind, files in pieces.items()}
    rows = data["surface"].sizes["latitude"]
    if rows != PATCH:
        raise PhysLabError(f"the sample needs {PATCH} latitudes (preset t85), the run in {run} has {rows}")
    return data


def pack(runs: list[str | Path], output: str | Path, seed: int = 0, frames=None, states=None):
    """Write the shipped sample from the files of one nature run, or of two with different seeds.

    Parameters
    ----------
    runs : list of path
        Folders made by ``simulate`` (T85). The first gives the budget's hours, so it needs an hourly stretch.
    output : path
        Folder for the three files.
    seed : int
        Of the choice of frames and longitudes.
    frames, states : dict, optional
        Number per split; the defaults are the published sample's.

    Returns
    -------
    list of Path

    Raises
    ------
    PhysLabError
        If a run is missing, too short or on a grid without 128 latitudes.
    """
    output = Path(output)
    opened = [_open(Path(run)) for run in runs]
    starts = [data["surface"].time.values[[0, -1]] for data in opened]
    spans = [(first, int((last - first) / np.timedelta64(1, "D")) + 1) for first, last in starts]
    limits = blocks(spans)
    data = {kind: xr.concat([d[kind] for d in opened], "time", data_vars="minimal") for kind in opened[0]}
    surface, rng = data["surface"], np.random.default_rng(seed)
    surface["tcw"] = surface["tcw"].load()  # single frames out of compressed pieces would be read again and again
    made = {
        "nature-tcw.nc": _frames(surface, limits, frames or {"train": 1024, "val": 300, "test": 300}, rng),
        "nature-states.nc": _states(
            data["states"], data["forecasts"], limits, states or {"train": 12, "val": 4, "test": 8}
        ),
        "nature-budget.nc": surface.isel(time=slice(0, 13))[["tcw", "ivt_u", "ivt_v", "tp", "e", "sp"]],
    }
    split = "; ".join(f"{name} {str(a)[:10]} to {str(b)[:10]}" for name, (a, b) in limits.items())
    days = " + ".join(str(d) for _, d in spans)
    history = f"packed by physlab.simulate.pack from {days} days, split by time: {split}"
    return [ship(ds.load().drop_attrs(deep=False), output / n, history, **surface.attrs) for n, ds in made.items()]


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python -m physlab.simulate.pack OUTPUT RUN [SECOND-RUN]")
    for path in pack([Path(a) for a in sys.argv[2:]], Path(sys.argv[1])):
        print(path)
