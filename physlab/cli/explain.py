"""``physlab explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from physlab.cli.options import pairs


def explain(
    model: Positional[str],
    input: Positional[str],
    output: Positional[Path | None] = None,
    at: tuple[float, float] | None = None,
    how: Literal["integrated gradients", "gradients", "occlusion"] = "integrated gradients",
    time: str = "",
    frame: int | None = None,
    seed: int = 0,
    mapping: tuple[str, ...] = (),
) -> None:
    """Say which coarse cells a method's value at a place rests on, beside the same network with random weights.

    Args:
        model: a name of `physlab list models`, or a checkpoint folder.
        input: coarse fields: NetCDF, Zarr or GRIB file, or a name of `physlab list data`.
        output: file to write the influence of each cell to, .nc or .zarr.
        at: latitude and longitude, degrees.
        how: integrated gradients divide the value among the cells; gradients say what a unit more would do; occlusion
            leaves out a cell at a time, for methods without gradients too.
        time: of the (first) field, as in 2019-03-01T12; without it the first of the file.
        frame: which fine frame of a network for sequences, counted from 0; without it the middle one.
        seed: of the random weights.
        mapping: your names and the library's, as in lat_name=latitude.
    """
    import numpy as np

    from physlab import load_model
    from physlab.cli.output import show
    from physlab.data.guard import open_checked
    from physlab.data.writer import check_target, write_dataset
    from physlab.downscale import CNN
    from physlab.downscale import explain as explained
    from physlab.downscale.influence import untrained
    from physlab.errors import FieldError

    if at is None:
        raise ValueError("the place is missing: pass --at LATITUDE LONGITUDE")
    if output is not None:
        check_target(output)
    method, ds = load_model(model), open_checked(input, pairs(mapping) or None)
    if "time" in ds.dims:
        first = 0
        if time:
            first = int(np.abs(ds["time"].values - np.datetime64(time)).argmin())
            if abs(ds["time"].values[first] - np.datetime64(time)) > np.timedelta64(1, "D"):
                raise FieldError(f"no time {time} in {input}: it has {ds['time'].values[0]} to {ds['time'].values[-1]}")
        ds = ds.isel(time=slice(first, first + method.spec.frames[0]))
    methods = [method, untrained(method, seed)] if isinstance(method, CNN) else [method]
    found = [explained(one, ds, at, how, frame=frame) for one in methods]
    rows = []
    for one in found:
        size = np.abs(one["influence"].values)
        shares = {str(name): f"{part:.0%}" for name, part in zip(one["channel"].values, _shares(size), strict=True)}
        rows.append({"method": one.attrs["method"], "value": one.attrs["value"], "no weather": one.attrs["without"],
                     "radius (coarse cells)": one.attrs["radius"], **shares})  # fmt: skip
    place = f"{found[0].attrs['latitude']:.2f} N, {found[0].attrs['longitude']:.2f} E"
    show(f"{how} at {place}: shares of the influence, and the radius that holds 90 % of it", rows)
    if output is not None:
        write_dataset(found[0], output)
        print(output)


def _shares(size) -> list[float]:
    """Of each channel in the whole."""
    return [float(part.sum() / max(size.sum(), 1e-30)) for part in size]
