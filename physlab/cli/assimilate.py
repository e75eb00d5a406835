"""``physlab assimilate``."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from physlab.cli.options import number, pairs

if TYPE_CHECKING:
    import xarray as xr


def assimilate(
    background: Positional[str],
    observations: Positional[Path],
    output: Positional[Path],
    method: str = "letkf",
    radius: float | None = None,
    inflation: float | None = None,
    variable: str = "",
    level: float = float("nan"),
    time: str = "0",
    std: tuple[str, ...] = (),
    units: tuple[str, ...] = (),
    good: tuple[str, ...] = (),
    missing: tuple[float, ...] = (),
    columns: tuple[str, ...] = (),
    window: float = 1.5,
    every: bool = False,
    check: float = 5.0,
    orography: str = "",
    lapse: float = 6.5,
    height: float = 500.0,
    error: tuple[str, ...] = (),
    instrument: tuple[str, ...] = (),
    option: tuple[str, ...] = (),
    mapping: tuple[str, ...] = (),
    members: int | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Correct a background of yours by observations of yours and write the analysis.

    What was understood, converted and left out of the observations is told on standard error and kept in the analysis.

    Args:
        background: NetCDF, Zarr or GRIB file, or a name of `physlab list data`; with a dimension member, except for oi.
        observations: stations as CSV or NetCDF, one observation a row (columns lat, lon, value, error, and variable,
            level, time, units, elevation, station where they vary) or one column for each variable (lat, lon, time,
            t2m [degC], drct, sknt, ...).
        output: file to write, .nc or .zarr.
        method: letkf, etkf or enkf for an ensemble; oi (optimal interpolation) for one state; or a trained method of
            `physlab list models`, such as phyda-s0, for one global state on its grid and whole columns.
        radius: km; an observation has no weight from twice this distance on (letkf), or background errors are
            uncorrelated (oi); 1000 unless told otherwise.
        inflation: of the members' spread before the analysis; 1 unless told otherwise.
        variable: of all observations, where the file has no such column.
        level: hPa, likewise.
        time: which time of the background, counted from 0, or written as 2024-01-31T12:00.
        std: standard deviation of the observation errors where the file has none, as in t2m=1 u10=1.5, or one number;
            in SI units.
        units: of the observations where the file does not say, as in t2m=degC, or one for all.
        good: values of the quality columns that are to be trusted, as in 0 1; other rows are left out.
        missing: further codes of the file for what is missing.
        columns: columns of the file with names of their own, as in Messhoehe=elevation Luft=t2m.
        window: hours; observations further from the time of the background are left out; inf takes all.
        every: use all observations of a station within the window, not only the nearest in time.
        check: reject what is further from the background than so many standard deviations of the difference; 0: none.
        orography: file with the height of the background's surface on its grid, where the background does not hold it.
        lapse: K per km, by which temperatures are brought from the height of a station to that of the background.
        height: m; stations further above or below the background's surface are left out.
        error: for oi: standard deviation of the background errors, as in t=1.5 z=200.
        instrument: for an ensemble: observed quantities that are no field of the background, as in tcw=column:q
            t_sounder=layer:t:500-300:100km: a column (kg m-2), a mean between pressures (hPa), with a footprint.
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
    from physlab.data.screening import Checks
    from physlab.data.stations.read import is_netcdf
    from physlab.data.writer import write_dataset
    from physlab.train.devices import choose_device
    from physlab.train.progress import Bar

    there = choose_device(device)
    options: dict[str, Any] = {name: number(value) for name, value in pairs(option).items()}
    options |= {} if radius is None else {"radius": 1e3 * radius}
    options |= {} if inflation is None else {"inflation": inflation}
    options |= {"error": named_numbers(error, "error")} if error else {}
    first = at_time(open_checked(background, pairs(mapping) or None), time)
    surface = None if not orography else height_in(open_checked(orography), orography)
    checks = Checks(window=window, every=every, sigmas=check, lapse=lapse, height=height, orography=surface)
    told = {"error": one_or_each(std, "std"), "units": one_or_each(units, "units") or "", "good": good,
            "missing": missing, "columns": pairs(columns)}  # fmt: skip
    read = functools.partial(read_stations, observations, variable, level, **told)
    table = survive(read, observations) if observations.is_file() and is_netcdf(observations) else read()
    say(str(table.attrs["history"]))
    if method in FIELD_METHODS:
        chosen = FieldAssimilator(method, **options)
        chosen = chosen.with_instruments(**pairs(instrument)) if instrument else chosen
    else:
        chosen = load_model(method, there)
        if not isinstance(chosen, Learned):
            known = ", ".join(FIELD_METHODS)
            raise ValueError(f"{method} is not a method of data assimilation: choose {known} or a trained one")
        if instrument:
            raise ValueError(f"{method} is trained on whole columns and takes no instrument: use letkf")
        if options:
            raise ValueError(f"{method} is trained and has no option {', '.join(options)}: leave it out")
    with Bar(method, 1) as bar:
        checked = chosen.with_checks(checks)
        made = checked.analyse(first.load(), table, members=members, seed=seed, progress=bar.share)
    say(f"{table.attrs['source']}: {made.attrs['observations_account']}")
    print(f"{write_dataset(made, output)}: {made.attrs['analysis']}")


def say(line: str) -> None:
    """A line of the account, on standard error."""
    print(line, file=sys.stderr)


def at_time(ds: xr.Dataset, time: str) -> xr.Dataset:
    """One time of a background, by number or by date.

    Raises
    ------
    ValueError : the background has no such time.
    """
    import numpy as np

    if "time" not in ds.dims:
        return ds
    count = ds.sizes["time"]
    if time.lstrip("-").isdigit() and len(time) < 8:
        if not 0 <= int(time) < count:
            raise ValueError(f"time {time}: the background has {count} times, counted from 0")
        return ds.isel(time=[int(time)])
    have = [str(t)[:16] for t in ds["time"].values.astype("datetime64[m]" if ds["time"].dtype.kind == "M" else object)]
    wanted = time.removesuffix("Z").replace(" ", "T")
    at = [n for n, t in enumerate(have) if t.replace(" ", "T").startswith(wanted)]
    if len(at) != 1:
        shown = ", ".join(dict.fromkeys([*have[:3], have[-1]]))
        raise ValueError(
            f"time {time}: the background has {len(at)} such times of {count} ({shown}); write it as {have[0]}"
        )
    return ds.isel(time=np.array(at))


def height_in(ds: xr.Dataset, name: str) -> xr.DataArray:
    """The one field of a file, or the one that is known as the height of a surface."""
    from physlab.data.screening.heights import is_orography

    found = [da for n, da in ds.data_vars.items() if is_orography(str(n), da)] or list(ds.data_vars.values())
    if len(found) != 1:
        raise ValueError(f"{name} holds {', '.join(map(str, ds.data_vars))}: pass a file with one field, called orog")
    return found[0].squeeze(drop=True).load()


def named_numbers(given: Sequence[str], option: str) -> dict[str, float]:
    """NAME=NUMBER of an option.

    Raises
    ------
    ValueError : no number.
    """
    made = {name: number(value) for name, value in pairs(given).items()}
    wrong = [name for name, value in made.items() if isinstance(value, str)]
    if wrong:
        raise ValueError(f"--{option} {wrong[0]}={made[wrong[0]]}: write a number, as in t2m=1")
    return made  # type: ignore[return-value]


def one_or_each(given: Sequence[str], option: str) -> Any:
    """An option that is one value for all, or NAME=VALUE for each; None where it is not given."""
    if not given:
        return None
    if len(given) == 1 and "=" not in given[0]:
        alone = number(given[0]) if option == "std" else given[0]
        if option == "std" and isinstance(alone, str):
            raise ValueError(f"--std {given[0]}: write a number, or t2m=1 for each variable")
        return alone
    return named_numbers(given, option) if option == "std" else pairs(given)
