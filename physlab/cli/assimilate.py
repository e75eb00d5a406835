"""``physlab assimilate``."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from physlab.cli.options import pairs


def assimilate(
    background: Positional[str],
    observations: Positional[Path],
    output: Positional[Path],
    method: str = "letkf",
    radius: float = 1000.0,
    inflation: float = 1.0,
    variable: str = "",
    level: float = float("nan"),
    time: int = 0,
    error: tuple[str, ...] = (),
    mapping: tuple[str, ...] = (),
    members: int | None = None,
    seed: int = 0,
) -> None:
    """Correct a background of yours by observations of yours and write the analysis.

    Args:
        background: NetCDF, Zarr or GRIB file, or a name of `physlab list data`; with a dimension member, except for oi.
        observations: CSV (columns lat, lon, value, error, and variable and level if they vary) or NetCDF of stations.
        output: file to write, .nc or .zarr.
        method: letkf, etkf or enkf for an ensemble; oi (optimal interpolation) for one state; or a trained method of
            `physlab list models`, such as phyda-s0, for one global state on its grid and whole columns.
        radius: km; an observation has no weight from twice this distance on.
        inflation: of the members' spread before the analysis.
        variable: of all observations, where the file has no such column.
        level: hPa, likewise.
        time: which time of the background, counted from 0.
        error: for oi: standard deviation of the background errors, as in t=1.5 z=200.
        mapping: your names and the library's, as in lat_name=latitude.
        members: of the analysis, for trained methods; without it 8 where members differ.
        seed: of what is random.
    """
    from physlab import load_model, open_dataset
    from physlab.assimilate import FieldAssimilator, Learned
    from physlab.assimilate.fields import METHODS
    from physlab.data import read_stations
    from physlab.data.writer import write_dataset
    from physlab.train.progress import Bar

    errors = {name: float(value) for name, value in pairs(error).items()}
    names = pairs(mapping)
    first = open_dataset(background, names or None)
    if "time" in first.dims:
        if not 0 <= time < first.sizes["time"]:
            raise ValueError(f"time {time}: the background has {first.sizes['time']} times, counted from 0")
        first = first.isel(time=[time])
    table = read_stations(observations, variable, level)
    if method in METHODS:
        made = FieldAssimilator(method, 1e3 * radius, inflation, errors, seed).analyse(first.load(), table)
    else:
        trained = load_model(method)
        if not isinstance(trained, Learned):
            known = ", ".join(METHODS)
            raise ValueError(f"{method} is not a method of data assimilation: choose {known} or a trained one")
        with Bar(method, 1) as bar:
            made = trained.analyse(first.load(), table, members, seed, progress=bar.share)
    print(f"{write_dataset(made, output)}: {made.attrs['analysis']}")
