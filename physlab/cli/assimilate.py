"""``physlab assimilate``."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from physlab.cli.options import number, pairs


def assimilate(
    background: Positional[str],
    observations: Positional[Path],
    output: Positional[Path],
    method: str = "letkf",
    radius: float | None = None,
    inflation: float | None = None,
    variable: str = "",
    level: float = float("nan"),
    time: int = 0,
    error: tuple[str, ...] = (),
    option: tuple[str, ...] = (),
    mapping: tuple[str, ...] = (),
    members: int | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Correct a background of yours by observations of yours and write the analysis.

    Args:
        background: NetCDF, Zarr or GRIB file, or a name of `physlab list data`; with a dimension member, except for oi.
        observations: CSV (columns lat, lon, value, error, and variable and level if they vary) or NetCDF of stations.
        output: file to write, .nc or .zarr.
        method: letkf, etkf or enkf for an ensemble; oi (optimal interpolation) for one state; or a trained method of
            `physlab list models`, such as phyda-s0, for one global state on its grid and whole columns.
        radius: km; an observation has no weight from twice this distance on (letkf), or background errors are
            uncorrelated (oi); 1000 unless told otherwise.
        inflation: of the members' spread before the analysis; 1 unless told otherwise.
        variable: of all observations, where the file has no such column.
        level: hPa, likewise.
        time: which time of the background, counted from 0.
        error: for oi: standard deviation of the background errors, as in t=1.5 z=200.
        option: others that a method of your own has, as in cutoff=3.
        mapping: your names and the library's, as in lat_name=latitude.
        members: of the analysis, for trained methods; without it 8 where members differ.
        seed: of what is random.
        device: for trained methods: cpu, cuda, cuda:1, mps, or auto (a CUDA device if there is one).
    """
    from physlab import load_model
    from physlab.assimilate import FIELD_METHODS, FieldAssimilator, Learned
    from physlab.data import read_stations
    from physlab.data.guard import open_checked, survive
    from physlab.data.writer import write_dataset
    from physlab.train.devices import choose_device
    from physlab.train.progress import Bar

    there = choose_device(device)
    options: dict[str, Any] = {name: number(value) for name, value in pairs(option).items()}
    options |= {} if radius is None else {"radius": 1e3 * radius}
    options |= {} if inflation is None else {"inflation": inflation}
    options |= {"error": {name: float(value) for name, value in pairs(error).items()}} if error else {}
    first = open_checked(background, pairs(mapping) or None)
    if "time" in first.dims:
        if not 0 <= time < first.sizes["time"]:
            raise ValueError(f"time {time}: the background has {first.sizes['time']} times, counted from 0")
        first = first.isel(time=[time])
    read = functools.partial(read_stations, observations, variable, level)
    table = survive(read, observations) if observations.is_file() else read()
    if method in FIELD_METHODS:
        chosen = FieldAssimilator(method, **options)
    else:
        chosen = load_model(method, there)
        if not isinstance(chosen, Learned):
            known = ", ".join(FIELD_METHODS)
            raise ValueError(f"{method} is not a method of data assimilation: choose {known} or a trained one")
        if options:
            raise ValueError(f"{method} is trained and has no option {', '.join(options)}: leave it out")
    with Bar(method, 1, isinstance(chosen, Learned)) as bar:
        made = chosen.analyse(first.load(), table, members=members, seed=seed, progress=bar.share)
    print(f"{write_dataset(made, output)}: {made.attrs['analysis']}")
