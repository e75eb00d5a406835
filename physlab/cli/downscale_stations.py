"""``physlab downscale --stations``."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

    from physlab.downscale.base import GriddedDownscaler


def with_stations(
    method: Any, coarse: xr.Dataset, stations: Path, learn: Path | None, how: str, std: Sequence[str],
    units: Sequence[str], rules: Mapping[str, Any], heights: str, wanted: bool, names: Mapping[str, str] | None,
    ground: xr.Dataset | None,
) -> GriddedDownscaler:  # fmt: skip
    """The method and what the stations of a file add to it.

    Parameters
    ----------
    coarse : the fields; their time and variables decide what is measured of the truth.
    heights : file with the height of the fine surface, or "".  wanted : whether it was asked for as such.
    """
    from physlab.cli.assimilate import height_in, one_or_each, say
    from physlab.data import read_stations
    from physlab.data.guard import open_checked, survive
    from physlab.data.screening.heights import is_orography
    from physlab.data.stations.read import is_netcdf
    from physlab.downscale.listening import Listening, measured

    told = {"error": one_or_each(std, "std"), "units": one_or_each(units, "units") or ""}
    only = [str(n) for n, da in coarse.data_vars.items() if {"latitude", "longitude"} <= set(da.dims)]
    variable = method.variable or (only[0] if len(only) == 1 else "")
    read = functools.partial(read_stations, stations, variable, **told)
    table = survive(read, stations) if stations.is_file() and is_netcdf(stations) else read()
    say(str(table.attrs["history"]))
    surface = None
    if heights:
        found = open_checked(heights)
        if wanted or any(is_orography(str(n), da) for n, da in found.data_vars.items()):
            surface = height_in(found, heights)
    errors: Any = None
    if learn is not None:
        truth = open_checked(str(learn), dict(names) if names else None).load()
        wanted_of = [method.variable] if method.variable else [n for n in only if n in truth]
        if not wanted_of:
            raise ValueError(
                f"{learn} holds {', '.join(map(str, truth.data_vars))}: pass fine fields of {', '.join(only)}"
            )
        errors = {name: measured(method, truth if method.variable else truth[[name]], name, statics=ground)
                  for name in wanted_of}  # fmt: skip
    made = Listening(method, errors, how).with_checks(**rules, orography=surface)
    made.observations = table
    return made


def told_by(fine: xr.Dataset) -> str:
    """How many observations were used."""
    a = fine.attrs
    account = "" if a["observations_account"] == "all were used" else f"; {a['observations_account']}"
    return (
        f"{a['observations']}: {a['observations_used']} observations used, {a['observations_left_out']} left out or "
        f"rejected{account}"
    )
