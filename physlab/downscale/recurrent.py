"""Sequence networks on time series: windows of successive frames, and the fine frames put together again.

A network with frames (3, 3) refines three successive hours at once; one with frames (2, 3) also supplies the hour
between two given ones, so that a series of n frames becomes one of 2 n - 1.
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.downscale.base import Cancel, FieldDownscaler, Progress
from physlab.downscale.masks import masked, without_gaps
from physlab.downscale.place import space_of, weights_of
from physlab.errors import Cancelled, FieldError
from physlab.fields import X, to_dataset, to_tensor
from physlab.grid import Grid


def windows(length: int, frames: tuple[int, int]) -> list[tuple[list[int], list[int]]]:
    """(indices of the coarse frames, indices of the fine frames) of each window along a series of `length` frames.

    With frames (3, 3) windows follow one another, and the last one ends with the series (where it overlaps, the later
    window counts). With frames (2, 3) windows share their ends.
    """
    given, made = frames
    if given == made:
        starts = [*range(0, length - given, given), length - given]
        return [(list(range(i, i + given)), list(range(i, i + given))) for i in starts]
    return [([i, i + 1], list(range(2 * i, 2 * i + made))) for i in range(length - 1)]


def check_series(name: str, frames: tuple[int, int], coarse: xr.Dataset) -> np.ndarray:
    """The steps in time of a series.

    Raises
    ------
    FieldError : no time axis, fewer frames than the network takes, or uneven steps.
    """
    steps = np.diff(coarse["time"].values) if "time" in coarse.dims else np.array([])
    if len(steps) < frames[0] - 1 or len(np.unique(steps)) != 1:
        raise FieldError(
            f"{name} needs at least {frames[0]} frames at even steps along 'time': found "
            f"{coarse.sizes.get('time', 0)} frames and steps of {', '.join(map(str, np.unique(steps))) or 'none'}"
        )
    return steps


def downscale_sequence(
    model: FieldDownscaler,
    coarse: xr.DataArray | xr.Dataset,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> xr.Dataset:
    """Fine series of a coarse one; see :meth:`physlab.downscale.base.FieldDownscaler.downscale`.

    Raises
    ------
    FieldError : no time axis, fewer frames than the network takes, or uneven steps.
    Cancelled : `cancel` returned True.
    """
    coarse = model._dataset(coarse)
    given, made = model.spec.frames
    steps = check_series(model.name, (given, made), coarse)
    grid, space = Grid.from_dataset(coarse), space_of(coarse)
    model.check_grid(grid)
    fine_grid = model.refine_grid(grid)
    weights = weights_of(fine_grid)
    halo = 8 if grid.periodic else 0
    length = len(steps) + 1 if given == made else 2 * len(steps) + 1
    parts = []
    for name, da in coarse.data_vars.items():
        if "time" not in da.dims:
            raise FieldError(f"'{name}' has no time axis: {model.name} refines sequences")
        known, missing = without_gaps(da.to_dataset(name=name), [str(name)], grid.periodic)
        da = known[name]
        series = to_tensor(da.transpose("time", ..., *space))
        x = torch.cat([series[..., -halo:], series, series[..., :halo]], -1) if halo else series
        fine: Tensor | None = None
        plan = windows(len(series), (given, made))
        for k, (taken, put) in enumerate(plan):
            if cancel is not None and cancel():
                raise Cancelled(f"{model.name} was cancelled after {k} of {len(plan)} windows in time")
            if progress is not None:
                progress(k + 1, len(plan))
            y = model.predict(x[taken].movedim(0, -3), weights).movedim(-3, 0)
            y = y[..., halo * model.factor : y.shape[-1] - halo * model.factor]
            fine = y.new_empty(length, *y.shape[1:]) if fine is None else fine
            fine[put] = y
        assert fine is not None  # there is a window
        template = with_times(da.transpose("time", ..., *space), length)
        part = to_dataset(fine, template.to_dataset(name=name), str(name), grid=fine_grid)
        if missing is not None:
            before = np.arange(length) if given == made else np.arange(length) // 2
            after = before if given == made else (np.arange(length) + 1) // 2
            gaps = [missing.isel(time=t).drop_vars("time") for t in (before, after)]  # of the frame between two
            part[name] = masked(part[name], gaps[0] | gaps[1], model.factor)
        parts.append(part)
    return xr.merge(parts).assign_attrs({**coarse.attrs, "title": f"downscaled by {model.factor} with {model.name}"})


def with_times(da: X, length: int) -> X:
    """A series on `length` even times between its first and last."""
    if da.sizes["time"] == length:
        return da
    first, step = da["time"].values[0], (da["time"].values[1] - da["time"].values[0]) / 2
    nearest = da.isel(time=np.arange(length) // 2)
    return nearest.assign_coords(time=("time", first + step * np.arange(length), da["time"].attrs))
