"""Large fields in steps: how a data set is cut along its leading dims so that memory stays flat."""

from __future__ import annotations

import numpy as np
import xarray as xr

from physlab.downscale.place import fields_of, space_of

STEP = 16 << 20
"""Bytes of fine field in one step, at most about so many, but at least one field."""
LARGEST = 16 * STEP
"""Chunks of a lazy input are kept as they are if what becomes of one is not larger than this."""


def in_steps(coarse: xr.Dataset, factor: int) -> xr.Dataset:
    """A data set in dask chunks along the dims before rows and columns; a small one is left as it is.

    Parameters
    ----------
    factor : by which it will be refined.
    """
    space = space_of(coarse)
    fields = [coarse[name] for name in fields_of(coarse)[0]]
    if sum(fine_bytes(da, factor) for da in fields) <= STEP and not any(da.chunks for da in fields):
        return coarse
    sizes: dict[str, int] = {}
    for da in fields:
        one = fine_bytes(da.isel({d: 0 for d in da.dims if d not in space}), factor)
        lead = [str(d) for d in da.dims if d not in space]
        own = dict(zip(da.dims, da.chunks, strict=True)) if da.chunks is not None else {}
        if own and one * int(np.prod([max(own[d]) for d in lead], dtype=np.int64)) <= LARGEST:
            continue
        room = max(1, STEP // one)
        for dim in sorted(lead, key=lambda d: d == "time"):  # time is cut last
            size = min(da.sizes[dim], room, sizes.get(dim, room))
            size = size if size == da.sizes[dim] else 1 << (size.bit_length() - 1)
            sizes[dim], room = size, max(1, room // size)
    whole = dict.fromkeys(space, -1)
    return coarse.assign(
        {da.name: da.chunk({**{d: s for d, s in sizes.items() if d in da.dims}, **whole}) for da in fields}
    )


def fine_bytes(da: xr.DataArray, factor: int) -> int:
    """Of the refined field in single precision."""
    return 4 * da.size * factor**2
