"""From whole records to a calibration and a period that is adjusted: what ``physlab adjust`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from physlab import registry
from physlab.downscale.adjusters import Adjustment
from physlab.downscale.seasons import decimal_years
from physlab.errors import PhysLabError, one_line

LARGE = 256e6
"""Bytes of a record that is read as a whole; larger ones are read in chunks."""


def adjusted(
    method: str,
    model: xr.Dataset,
    observed: xr.Dataset,
    historical: xr.Dataset | None = None,
    calibrate: tuple[str, str] | None = None,
    period: tuple[str, str] | None = None,
    variables: Sequence[str] = (),
    options: Mapping[str, str] | None = None,
) -> xr.Dataset:
    """Adjust a model by what the calibration says of it.

    Parameters
    ----------
    method : EQM, DQM, QDM, MBCn, BCSD or another registered one of kind "adjustment".
    model : what is adjusted.
    observed : truth in the calibration.
    historical : the model in the calibration; None for `model`.
    calibrate : first and last time, as in ("1950", "1980"); None for what both have.
    period : of the model that is adjusted; None for all.
    variables : of the observations; empty for all that both have.
    options : of the method, words or numbers.

    Raises
    ------
    PhysLabError : an unknown method, option or period, no times in it.
    FieldError : see :meth:`physlab.downscale.adjusters.Adjustment.fit`.
    """
    historical = model if historical is None else historical
    return applied(calibrated(method, observed, historical, calibrate, variables, options), model, period)


def calibrated(
    method: str,
    observed: xr.Dataset,
    historical: xr.Dataset,
    calibrate: tuple[str, str] | None = None,
    variables: Sequence[str] = (),
    options: Mapping[str, str] | None = None,
) -> Adjustment:
    """A method fitted to the calibration; parameters as in :func:`adjusted`."""
    known = {name: spec for name, spec in registry.specs("methods").items() if spec.kind == "adjustment"}
    if method not in known:
        raise PhysLabError(registry.unknown("method of adjustment", method, known))
    kind = registry.load("methods", method)
    chosen = {name: _value(value) for name, value in (options or {}).items()}
    registry.check_options(kind, chosen)
    adjuster = kind(**chosen)
    lacking = [name for name in variables if name not in observed]
    if lacking:
        raise PhysLabError(
            f"the observations have no {', '.join(lacking)}: choose among {', '.join(map(str, observed.data_vars))}"
        )
    observed = observed[list(variables)] if variables else observed
    first, last = calibrate or _common(observed, historical)
    past = [between(part, first, last, what) for part, what in ((observed, "observations"), (historical, "model"))]
    return adjuster.fit(*(_in_chunks(part, kind) for part in past))


def applied(adjuster: Adjustment, model: xr.Dataset, period: tuple[str, str] | None = None) -> xr.Dataset:
    """A model, or a period of it, adjusted by what was fitted."""
    model = between(model, *period, "model") if period else model
    return adjuster.adjust(_in_chunks(model, type(adjuster)))


def between(ds: xr.Dataset, first: str, last: str, what: str = "record") -> xr.Dataset:
    """The times from `first` to `last`, years or dates, in the calendar of the record.

    Raises
    ------
    PhysLabError : none there, or no dates.
    """
    try:
        part = ds.sel(time=slice(str(first), str(last)))
    except (ValueError, KeyError, TypeError) as error:
        reason = one_line(error, 100)
        raise PhysLabError(f"'{first}' to '{last}' is no period ({reason}): write years or dates, 1950 1980") from None
    if not part.sizes["time"]:
        times = [str(value)[:10] for value in ds["time"].values[[0, -1]]] if ds.sizes["time"] else ["nothing"] * 2
        raise PhysLabError(f"the {what} have no time from {first} to {last}: they go from {times[0]} to {times[-1]}")
    return part


def _common(observed: xr.Dataset, model: xr.Dataset) -> tuple[str, str]:
    """First and last whole year that both have."""
    years = [decimal_years(ds["time"]) for ds in (observed, model)]
    first, last = int(max(np.floor(y[0] + 0.05) for y in years)), int(min(np.floor(y[-1]) for y in years))
    if last < first:
        ends = [f"{y[0]:.0f} to {y[-1]:.0f}" for y in years]
        raise PhysLabError(
            f"the observations go from {ends[0]}, the model from {ends[1]}: pass the historical run of the model too"
        )
    return f"{first:04d}", f"{last:04d}"


def _in_chunks(ds: xr.Dataset, kind: type) -> xr.Dataset:
    """Large records in chunks: of time for what averages maps, of space for what reads whole series."""
    if ds.nbytes <= LARGE or any(da.chunks is not None for da in ds.data_vars.values()):
        return ds
    space = [d for d in ds.dims if d != "time"]
    if getattr(kind, "name", "") == "BCSD" or not space:
        return ds.chunk(time=max(1, int(LARGE / 8 / (ds.nbytes / ds.sizes["time"]))))
    pieces = max(1, int(np.ceil(ds.nbytes / (LARGE / 8))))
    return ds.chunk({"time": -1, space[0]: max(1, ds.sizes[space[0]] // pieces)})


def _value(text: object) -> object:
    """A whole number where the text is one, else the text."""
    try:
        return int(str(text))
    except ValueError:
        return text
