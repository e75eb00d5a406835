r"""A real coarse file beside the truth: the same times by their dates, the coarse cells of the truth, and how well
block means of the truth explain it.

What a constraint layer conserves is the block mean P of the truth. A coarse file is another model, another grid or
another operator; the fit

.. math:: x \approx a + b\, P y

says how far it is from being that mean: b = 1, a = 0 and no rest for a coarsening, a low :math:`R^2` for a free-running
model, whose weather is not that of the truth on the same date.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from physlab.errors import FieldError
from physlab.grid import Grid, coarsen

NEAR = 0.02
"""Root mean square of x - P y over that of y - P y up to which coarse fields count as block means of the truth."""
SAME_WEATHER = 0.2
"""R^2 below which the coarse fields have not the weather of the truth."""


def match(
    truth: xr.Dataset, coarse: xr.Dataset, grid: Grid, names: Sequence[str]
) -> tuple[xr.Dataset, xr.Dataset, list[str]]:
    """Both at the times that both have, the coarse one on the coarse cells of the truth.

    Parameters
    ----------
    grid : the coarse grid of the truth.

    Returns
    -------
    truth, coarse, and what was done in sentences.

    Raises
    ------
    FieldError : no time or place in common.
    """
    notes = []
    mine, theirs = dates(truth), dates(coarse)
    common, at, other = np.intersect1d(mine, theirs, return_indices=True)
    if not common.size and daily(truth) and daily(coarse):  # noon in one file, midnight in the other
        mine, theirs = (np.array([d[:10] for d in found]) for found in (mine, theirs))
        common, at, other = np.intersect1d(mine, theirs, return_indices=True)
    if not common.size:
        raise FieldError(
            f"the truth has the times {mine[0]} to {mine[-1]}, the coarse file {theirs[0]} to {theirs[-1]}: none "
            f"in common"
        )
    left = (len(mine) - common.size, len(theirs) - common.size)
    said = f"{common.size} times are in both files"
    if any(left):
        said += f" ({left[0]} of the truth and {left[1]} of the coarse file are not)"
    kinds = {str(getattr(v["time"].dt, "calendar", "standard")) for v in (truth, coarse)}
    notes.append(
        said + (f", matched by their dates in the calendars {' and '.join(sorted(kinds))}." if len(kinds) > 1 else ".")
    )
    truth, coarse = truth.isel(time=at), coarse.isel(time=other)[list(names)]
    placed, moved = on_grid(coarse, grid)
    notes += moved
    placed = placed.transpose("time", "latitude", "longitude")
    return truth, placed, notes


def dates(ds: xr.Dataset) -> np.ndarray:
    """Times as text to the minute, the same in every calendar."""
    values = ds["time"].values
    if np.issubdtype(values.dtype, np.datetime64):
        return np.datetime_as_string(values.astype("datetime64[m]"))
    return np.array([f"{v.year:04d}-{v.month:02d}-{v.day:02d}T{v.hour:02d}:{v.minute:02d}" for v in values])


def daily(ds: xr.Dataset) -> bool:
    """Steps of a day."""
    values = ds["time"].values[:2]
    if len(values) < 2:
        return True
    step = values[1] - values[0]
    hours = step / np.timedelta64(1, "h") if isinstance(step, np.timedelta64) else step.total_seconds() / 3600.0
    return bool(abs(hours - 24.0) < 0.5)


def on_grid(coarse: xr.Dataset, grid: Grid) -> tuple[xr.Dataset, list[str]]:
    """The coarse fields at the centres of the coarse cells of the truth, interpolated where they lie elsewhere.

    Raises
    ------
    FieldError : the coarse file does not cover the truth.
    """
    longitude = coarse["longitude"].values.astype(np.float64)
    start = 0.5 * (grid.longitude.min() + grid.longitude.max()) - 180.0
    counted = start + (longitude - start) % 360.0  # as the truth counts, whatever the file does
    coarse = coarse.assign_coords(longitude=counted).sortby(["longitude", "latitude"])
    rows, columns = coarse["latitude"].values, coarse["longitude"].values
    size = max(float(np.abs(np.diff(a)).max()) if a.size > 1 else 1.0 for a in (rows, columns))
    for name, have, want in (("latitude", rows, grid.latitude), ("longitude", columns, grid.longitude)):
        if have.min() > want.min() + 0.5 * size or have.max() < want.max() - 0.5 * size:
            raise FieldError(
                f"the coarse file has {name} {have.min():g} to {have.max():g}, the truth wants {want.min():g} to "
                f"{want.max():g}: they do not overlap as a whole; choose a region that both have"
            )
    target = {"latitude": grid.latitude, "longitude": grid.longitude}
    same = all(
        np.abs(have[np.abs(have[:, None] - want).argmin(0)] - want).max() < 0.05 * abs(np.diff(want)).mean()
        for have, want in ((rows, grid.latitude), (columns, grid.longitude))
    )
    if same:
        return coarse.sel(target, method="nearest").assign_coords(target), []
    steps = [f"{float(np.abs(np.diff(a)).mean()):.3g}" for a in (rows, columns) if a.size > 1]
    wanted = f"{float(np.abs(np.diff(grid.latitude)).mean()):.3g} x {abs(grid.dlon):.3g}"
    inner = {
        "latitude": np.clip(grid.latitude, rows.min(), rows.max()),
        "longitude": np.clip(grid.longitude, columns.min(), columns.max()),
    }
    placed = coarse.interp(inner, method="linear").assign_coords(target)
    return placed, [f"The coarse file ({' x '.join(steps)} degrees) was interpolated to the coarse cells of the truth "
                    f"({wanted} degrees)."]  # fmt: skip


def explained(fine: np.ndarray, coarse: np.ndarray, factor: int, weights: np.ndarray) -> dict[str, float]:
    """How well block means of the truth explain the coarse fields, from the training block.

    Parameters
    ----------
    fine : (S, H, W).  coarse : (S, h, w).

    Returns
    -------
    a, b : of the fit;  r2;  bias : mean of x - P y;  rms : of x - P y;  detail : root mean square of y - P y.
    """
    mean = coarsen(fine.astype(np.float64), factor, weights)
    x, y = coarse.astype(np.float64).ravel(), mean.ravel()
    slope = float(np.cov(y, x)[0, 1] / max(y.var(), 1e-30)) if y.size > 1 else 1.0
    start = float(x.mean() - slope * y.mean())
    left = x - start - slope * y
    detail = fine.astype(np.float64) - np.repeat(np.repeat(mean, factor, -1), factor, -2)
    return {
        "a": start, "b": slope, "r2": float(1.0 - left.var() / max(x.var(), 1e-30)), "bias": float((x - y).mean()),
        "rms": float(np.sqrt(np.mean((x - y) ** 2))), "detail": float(np.sqrt(np.mean(detail**2))),
    }  # fmt: skip


def is_mean(fit: dict[str, float]) -> bool:
    """Whether the coarse fields may be taken for block means of the truth."""
    return fit["rms"] <= NEAR * fit["detail"]


def said_of(fit: dict[str, float], units: str) -> str:
    """The fit in a sentence or two."""
    text = (
        f"Block means of the truth explain {fit['r2']:.1%} of the variance of the coarse file (x = {fit['a']:.4g} + "
        f"{fit['b']:.4g} P y; bias {fit['bias']:.3g}, rms {fit['rms']:.3g} {units}; the detail within blocks is "
        f"{fit['detail']:.3g} {units})."
    )
    if fit["r2"] < SAME_WEATHER:
        text += " The coarse file has other weather than the truth: distributions can be learned from it, not fields."
    elif not is_mean(fit):
        text += " It is no block mean of the truth: a layer that conserves it would keep its error."
    return text
