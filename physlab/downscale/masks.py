"""Fields with cells that have no value: the sea, the land, what a satellite did not see.

A coarse cell without a value stays without one, and so do all its fine cells. Before a method sees the field, such
cells take the value of the nearest one that has some, so that neither NaN nor a code for it spreads into its
neighbours, and an interpolation beside the coast continues the field evenly. A constraint acts block by block, so it
closes the blocks that have a value exactly as if there were no others.

Where the truth itself has no value in some fine cells of a block (a coast inside a coarse cell), its block mean is
:func:`physlab.grid.coarsen_valid`, over the cells that have one, and a constraint is made to agree with that by its
`weights`: :func:`physlab.grid.valid_weights` are the cell areas where there is a value and zero elsewhere. What each
layer then does to the block: ``none`` nothing; ``add`` shifts all cells by the error of the mean over the valid ones;
``scaled_add`` shares that error out by the room of all cells, counted over the valid ones; ``mult`` and ``softmax``
multiply all cells by one number that closes the mean over the valid ones. What a layer puts into cells without a value
is to be masked afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.downscale.place import space_of
from physlab.errors import FieldError
from physlab.grid import refine


def filled(x: Tensor, periodic: bool = False) -> Tensor:
    """(..., h, w) with each NaN replaced by the nearest value of its field, in cells; a field of NaN alone by zeros.

    Parameters
    ----------
    periodic : the first column is the neighbour of the last one.
    """
    from scipy.ndimage import distance_transform_edt

    flat = x.detach().cpu().reshape(-1, *x.shape[-2:]).numpy().copy()
    width, known = flat.shape[-1], {}
    margin = width // 2 if periodic else 0
    for field in flat:
        missing = np.isnan(field)
        if not missing.any():
            continue
        if missing.all():
            field[:] = 0.0
            continue
        key = missing.tobytes()
        if key not in known:  # the same coast at each time
            wide = np.concatenate([missing[:, width - margin :], missing, missing[:, :margin]], axis=1)
            rows, columns = distance_transform_edt(wide, return_distances=False, return_indices=True)
            inside = slice(margin, margin + width)
            known = {key: (rows[:, inside], (columns[:, inside] - margin) % width)}
        field[:] = field[known[key]]
    return torch.from_numpy(flat).reshape(x.shape).to(x)


def with_missing(predict: Callable[[Tensor], Tensor], coarse: Tensor, factor: int, periodic: bool = False) -> Tensor:
    """predict(coarse) with the cells that have no value kept so; a field without such cells goes through untouched."""
    missing = torch.isnan(coarse)
    if not bool(missing.any()):
        return predict(coarse)
    return predict(filled(coarse, periodic)).masked_fill(refine(missing, factor), float("nan"))


def without_gaps(
    ds: xr.Dataset, names: Iterable[str], periodic: bool = False
) -> tuple[xr.Dataset, xr.DataArray | None]:
    """Fields for a method that takes several at once: filled, and where any of them has no value (None: nowhere).

    Raises
    ------
    FieldError : infinite values, or a field without any value.
    """
    missing = None
    for name in names:
        da = ds[name]
        if check_values(da.values, name, da.dims):
            da = da.transpose(..., *space_of(ds))
            gaps = da.isnull()
            missing = gaps if missing is None else missing | gaps
            values = filled(torch.from_numpy(np.array(da.values)), periodic).numpy()
            ds = ds.assign({name: da.copy(data=values)})
    return ds, missing


def masked(fine: xr.DataArray, missing: xr.DataArray | None, factor: int) -> xr.DataArray:
    """A fine field with NaN where its coarse cells (of the same times and levels) have no value."""
    if missing is None:
        return fine
    space = space_of(fine)
    gaps = missing.transpose(*(d for d in fine.dims if d in missing.dims and d not in space), *space)
    there = xr.Variable(gaps.dims, refine(gaps.values, factor))
    return fine.where(~there)


def check_values(values: np.ndarray, name: object, dims: tuple, whole: bool = True) -> int:
    """How many cells of a field have no value.

    Parameters
    ----------
    whole : these are all values there are, so that one must be there.

    Raises
    ------
    FieldError : infinite values, or none at all.
    """
    if values.dtype.kind not in "fc":
        return 0
    infinite = np.isinf(values)
    if infinite.any():
        first = np.unravel_index(int(infinite.argmax()), values.shape)
        where = ", ".join(f"{dim}={int(i)}" for dim, i in zip(dims, first, strict=True))
        raise FieldError(
            f"'{name}' holds {int(infinite.sum())} infinite values of {values.size}, the first at index {where}: set "
            "them to NaN if they stand for missing ones"
        )
    count = int(np.isnan(values).sum())
    if whole and count == values.size and count:
        raise FieldError(
            f"'{name}' holds no value at all, all {count} are NaN: check how the file marks missing values"
        )
    return count


def check_some(da: xr.DataArray) -> bool:
    """Whether the first part of a lazy field that has any value has gaps, too.

    Raises
    ------
    FieldError : no value at all in the whole field.
    """
    if da.chunks is None:
        return check_values(da.values, da.name, da.dims) > 0
    import itertools

    steps = [range(0, n, max(c)) for n, c in zip(da.shape[:-2], da.chunks[:-2], strict=True)]
    for at in itertools.product(*steps):
        block = da[tuple(slice(a, a + max(c)) for a, c in zip(at, da.chunks[:-2], strict=True))].values
        count = check_values(block, da.name, da.dims, whole=False)
        if count < block.size:
            return count > 0
    check_values(np.full(1, np.nan), da.name, ("all",))
    return False


def told(counts: dict[str, bool]) -> str:
    """A line for the history, empty without missing cells."""
    names = ", ".join(f"'{name}'" for name, gaps in counts.items() if gaps)
    return f"cells of {names} without a value stay without one; beside them the nearest value was used" if names else ""
