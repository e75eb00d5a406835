"""``physlab adjust``."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from physlab.cli.options import pairs


def adjust(
    method: Positional[str],
    model: Positional[str],
    observed: Positional[str],
    output: Positional[Path | None] = None,
    calibrate: tuple[str, str] | None = None,
    period: tuple[str, str] | None = None,
    variables: tuple[str, ...] = (),
    historical: str = "",
    mapping: tuple[str, ...] = (),
    option: tuple[str, ...] = (),
    cluster: str = "",
    keep: Path | None = None,
) -> None:
    """Adjust a climate model to observations, and write the result.

    Calendars and units may differ; the result has the times of the model and the units of the observations. BCSD takes
    observations on a finer grid and gives the model on that grid; the others want the same stations or the same grid.
    What was fitted may be kept (--keep, or physlab fit) and applied to another run: physlab adjust FOLDER MODEL OUTPUT.

    Args:
        method: EQM, DQM and QDM adjust each variable, MBCn several together, BCSD disaggregates to a finer grid; or the
            folder of a fitted one.
        model: NetCDF file, Zarr store or folder of NetCDF files of the climate model.
        observed: the same of the observations; left out with the folder of a fitted method.
        output: file to write, .nc or .zarr.
        calibrate: first and last time of the calibration, as in 1950 1980; without it what both have.
        period: first and last time that are adjusted; without it all of the model.
        variables: of the observations; without it all that the model has too.
        historical: the model in the calibration, where it is another file than the one that is adjusted.
        mapping: your names and the library's, as in lat_name=latitude.
        option: of the method, as in seasons=month window=31 change=ratio "wet=0.1 mm day-1" engine=xsdba nodes=50.
        cluster: an address of a dask scheduler, or local:N for N processes here; without it, this process.
        keep: folder that keeps what was fitted.
    """
    from physlab.cluster import cluster as joined
    from physlab.data.series import open_series
    from physlab.data.writer import check_target, write_dataset
    from physlab.downscale.calibration import applied, calibrated
    from physlab.errors import PhysLabError
    from physlab.train.progress import Bar, Tasks

    names = pairs(mapping) or None
    with joined(cluster):
        if Path(method).is_dir() or output is None:
            fitted = opened(method)
            told = {"--calibrate": calibrate, "--variables": variables, "--historical": historical, "--option": option}
            given = [name for name, value in told.items() if value]
            if given or output is not None or keep is not None:
                said = (given + (["--keep"] if keep else []) or ["the observations"])[0]
                raise PhysLabError(f"{method} is fitted: leave out {said}, as in physlab adjust FOLDER MODEL OUTPUT")
            target, future = check_target(observed), open_series(model, names)
        else:
            target = check_target(output)
            future, truth = (open_series(name, names) for name in (model, observed))
            past = open_series(historical, names) if historical else future
            fitted = calibrated(method, truth, past, calibrate, variables, pairs(option))
            if keep is not None:
                print(fitted.save(keep))
        made = applied(fitted, future, period)
        with Bar("adjusting", 1) as bar, Tasks(bar):
            path = write_dataset(made, target)
        print(path, "with", ", ".join(f"{name} {size}" for name, size in made.sizes.items()))


def opened(folder: str):
    """The fitted method of a folder.

    Raises
    ------
    PhysLabError : no folder, or one of something else.
    """
    from physlab import load_model
    from physlab.downscale.adjusters import Adjustment
    from physlab.errors import PhysLabError

    if not Path(folder).is_dir():
        raise PhysLabError(
            f"'{folder}' is no folder of a fitted adjustment: write METHOD MODEL OBSERVED OUTPUT, "
            "or FOLDER MODEL OUTPUT"
        )
    fitted = load_model(folder)
    if not isinstance(fitted, Adjustment):
        raise PhysLabError(
            f"{folder} holds a {type(fitted).__name__}, no adjustment of a climate model: physlab fit QDM makes one"
        )
    return fitted
