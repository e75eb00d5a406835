"""Methods that are given several fields at once: the way from and to xarray, in tiles and times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from physlab.downscale.base import GriddedDownscaler, check_units
from physlab.errors import Cancelled, FieldError
from physlab.fields import standardise, to_dataset, to_tensor
from physlab.grid import Grid
from physlab.registry import Cancel, Progress

TOGETHER = 16  # times that go through a method at once
TILE, HALO = 256, 24  # coarse cells


def downscale_several(
    method: GriddedDownscaler,
    coarse: xr.DataArray | xr.Dataset,
    variables: Sequence[str],
    predictors: Sequence[str],
    made: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    ground: Callable[[Grid], Tensor | None] = lambda grid: None,
    members: int = 0,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> xr.Dataset:
    """Fine fields of the variables.

    Parameters
    ----------
    made : (B, C, h, w) coarse fields, fine areas and static fields -> (B, V, h*N, w*N).
    ground : the static fields (K, H, W) of a fine grid, or None.
    members : draws; 0 for a method without.

    Raises
    ------
    FieldError : a field that is not there, in degrees Celsius, on other dimensions, or with missing values.
    Cancelled : `cancel` returned True.
    """
    names = (*variables, *predictors)
    if isinstance(coarse, xr.DataArray):
        coarse = coarse.to_dataset(name=coarse.name if coarse.name in names else variables[0])
    coarse = standardise(coarse)
    missing = [name for name in names if name not in coarse]
    if missing:
        raise FieldError(
            f"no {', '.join(missing)} in the coarse data: {method.name} takes {', '.join(names)}, found "
            f"{', '.join(map(str, coarse.data_vars))}; rename yours"
        )
    for name in names:
        check_units(coarse[name])
    coarse = coarse[list(names)]
    extra = [str(d) for d in coarse.dims if d not in ("time", "latitude", "longitude")]
    if extra:
        raise FieldError(f"the fields have the dimension {extra[0]}: {method.name} takes (time, latitude, longitude)")
    grid = Grid.from_dataset(coarse)
    method.check_grid(grid)
    fine = method.refine_grid(grid)
    weights = torch.from_numpy(fine.area_weights.copy()).float()
    static, x = ground(fine), to_tensor(coarse, names)
    total, draws, done = -(-len(x) // TOGETHER), max(1, members), 0
    runs = []
    for _ in range(draws):
        parts = []
        for part in x.split(TOGETHER):
            if cancel is not None and cancel():
                raise Cancelled(f"{method.name} was cancelled after {done} of {draws * total} parts")
            parts.append(tiled(made, part, weights, static, method.factor, grid.periodic, method.domain is not None))
            done += 1
            if progress is not None:
                progress(done, draws * total)
        runs.append(torch.cat(parts))
    like = coarse[list(variables)]
    results = [to_dataset(y, like, list(variables), grid=fine) for y in runs]
    out = results[0] if not members else xr.concat(results, dim="member").assign_coords(member=range(members))
    out = out if "time" in coarse.dims else out.squeeze("time", drop="time" not in coarse.coords)
    return out.assign_attrs({**coarse.attrs, "title": f"downscaled by {method.factor} with {method.name}"})


def tiled(
    made: Callable[[Tensor, Tensor, Tensor | None], Tensor], x: Tensor, weights: Tensor, static: Tensor | None,
    factor: int, periodic: bool, whole: bool,
) -> Tensor:  # fmt: skip
    """A method on overlapping tiles of a large domain; global fields wrap around."""
    n, (height, width) = factor, x.shape[-2:]
    if whole or (height <= TILE and width <= TILE and not periodic):
        return made(x, weights, static)
    halo = min(HALO, width) if periodic else 0
    around = torch.arange(-halo, width + halo) % width
    cells = (around[:, None] * n + torch.arange(n)).flatten()
    wide, ground = x[..., around], None if static is None else static[..., cells]
    areas = weights[..., cells]
    rows: list[Any] = []
    for top in range(0, height, TILE):
        low, high, row = max(top - HALO, 0), min(top + TILE + HALO, height), []
        for left in range(0, width, TILE):
            first, last = max(left + halo - HALO, 0), min(left + halo + TILE + HALO, width + 2 * halo)
            fine = (slice(low * n, high * n), slice(first * n, last * n))
            y = made(wide[..., low:high, first:last], areas[fine], None if ground is None else ground[(..., *fine)])
            a, b = (top - low) * n, (left + halo - first) * n
            row.append(y[..., a : a + n * min(TILE, height - top), b : b + n * min(TILE, width - left)])
        rows.append(torch.cat(row, -1))
    return torch.cat(rows, -2)
