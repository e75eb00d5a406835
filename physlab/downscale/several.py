"""Methods that are given several fields at once: the way from and to xarray, in tiles and times."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import xarray as xr
from torch import Tensor

from physlab.downscale.base import GriddedDownscaler, check_units
from physlab.downscale.tiles import in_tiles
from physlab.errors import FieldError
from physlab.fields import standardise, to_dataset, to_tensor
from physlab.grid import Grid
from physlab.registry import Cancel, Progress, watched

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
    coarse = with_names(coarse, names, method.name)[list(names)]
    extra = [str(d) for d in coarse.dims if d not in ("time", "latitude", "longitude")]
    if extra:
        raise FieldError(f"the fields have the dimension {extra[0]}: {method.name} takes (time, latitude, longitude)")
    grid = Grid.from_dataset(coarse)
    method.check_grid(grid)
    fine = method.refine_grid(grid)
    weights = torch.from_numpy(fine.area_weights.copy()).float()
    static, x = ground(fine), to_tensor(coarse, names)
    parts = x.split(TOGETHER)
    found = [
        tiled(made, part, weights, static, method.factor, grid.periodic, method.domain is not None)
        for part in watched(parts * max(1, members), progress, cancel, f"{method.name} was cancelled", "parts")
    ]
    runs = [torch.cat(found[k : k + len(parts)]) for k in range(0, len(found), len(parts))]
    like = coarse[list(variables)]
    results = [to_dataset(y, like, list(variables), grid=fine) for y in runs]
    out = results[0] if not members else xr.concat(results, dim="member").assign_coords(member=range(members))
    out = out if "time" in coarse.dims else out.squeeze("time", drop="time" not in coarse.coords)
    return out.assign_attrs({**coarse.attrs, "title": f"downscaled by {method.factor} with {method.name}"})


def with_names(coarse: xr.Dataset, names: Sequence[str], method: str) -> xr.Dataset:
    """Coarse fields in the names of the library, all of those that a method takes among them, in its units.

    Raises
    ------
    FieldError : one that is not there, or in degrees Celsius.
    """
    coarse = standardise(coarse)
    missing = [name for name in names if name not in coarse]
    if missing:
        raise FieldError(
            f"no {', '.join(missing)} in the coarse data: {method} takes {', '.join(names)}, found "
            f"{', '.join(map(str, coarse.data_vars))}; rename yours"
        )
    for name in names:
        check_units(coarse[name])
    return coarse


def tiled(
    made: Callable[[Tensor, Tensor, Tensor | None], Tensor], x: Tensor, weights: Tensor, static: Tensor | None,
    factor: int, periodic: bool, whole: bool,
) -> Tensor:  # fmt: skip
    """A method on overlapping tiles of a large domain; global fields wrap around."""
    if whole:
        return made(x, weights, static)
    ground = [] if static is None else [static]

    def apply(x: Tensor, areas: Tensor, *static: Tensor) -> Tensor:
        return made(x, areas, *(static or (None,)))

    return in_tiles(apply, [x, weights, *ground], (1, factor, factor), TILE, periodic, HALO, always=periodic)
