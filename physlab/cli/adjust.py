"""``physlab adjust``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from physlab import registry
from physlab.cli.options import pairs

NAMES = tuple(name for name, spec in registry.specs("methods").items() if spec.kind == "adjustment")
if TYPE_CHECKING:
    Name = str
else:
    Name = Literal[NAMES]


def adjust(
    method: Positional[Name],
    model: Positional[str],
    observed: Positional[str],
    output: Positional[Path],
    calibrate: tuple[str, str] | None = None,
    period: tuple[str, str] | None = None,
    variables: tuple[str, ...] = (),
    historical: str = "",
    mapping: tuple[str, ...] = (),
    option: tuple[str, ...] = (),
    cluster: str = "",
) -> None:
    """Adjust a climate model to observations, and write the result.

    Calendars and units may differ; the result has the times of the model and the units of the observations. BCSD takes
    observations on a finer grid and gives the model on that grid; the others want the same stations or the same grid.

    Args:
        method: EQM, DQM and QDM adjust each variable, MBCn several together, BCSD disaggregates to a finer grid.
        model: NetCDF file, Zarr store or folder of NetCDF files of the climate model.
        observed: the same of the observations.
        output: file to write, .nc or .zarr.
        calibrate: first and last time of the calibration, as in 1950 1980; without it what both have.
        period: first and last time that are adjusted; without it all of the model.
        variables: of the observations; without it all that the model has too.
        historical: the model in the calibration, where it is another file than the one that is adjusted.
        mapping: your names and the library's, as in lat_name=latitude.
        option: of the method, as in seasons=month window=31 change=ratio "wet=0.1 mm day-1" engine=xsdba nodes=50.
        cluster: an address of a dask scheduler, or local:N for N processes here; without it, this process.
    """
    from physlab.cluster import cluster as joined
    from physlab.data.series import open_series
    from physlab.data.writer import write_dataset
    from physlab.downscale.calibration import adjusted
    from physlab.train.progress import Bar, Tasks

    names = pairs(mapping) or None
    future, truth = (open_series(name, names) for name in (model, observed))
    past = open_series(historical, names) if historical else future
    with joined(cluster):
        made = adjusted(method, future, truth, past, calibrate, period, variables, pairs(option))
        with Bar("adjusting", 1) as bar, Tasks(bar):
            path = write_dataset(made, output)
        print(path, "with", ", ".join(f"{name} {size}" for name, size in made.sizes.items()))
