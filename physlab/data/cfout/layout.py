"""Chunks on the disk, and the blocks in which a large variable is computed and written."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import xarray as xr

CHUNK = 4 << 20
"""Bytes of a chunk on the disk, at most about so many; small fields share one along their first dimension."""
BLOCK = 16 << 20
"""Bytes that are computed at a time, at most about so many, but at least one field of rows and columns."""
SMALL = 1 << 20
"""Variables up to so many bytes are written at once with the coordinates."""


@dataclass(frozen=True)
class Plan:
    """How a variable is written.

    Attributes
    ----------
    chunks : sizes on the disk, one for each dim.
    sizes : of the blocks, multiples of the chunks, or everything that is left.
    shape : of the variable.
    """

    chunks: tuple[int, ...]
    sizes: tuple[int, ...]
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return math.prod(-(-n // size) for n, size in zip(self.shape, self.sizes, strict=True))

    def blocks(self) -> Iterator[tuple[slice, ...]]:
        """Where each block lies."""
        starts = [range(0, n, size) for n, size in zip(self.shape, self.sizes, strict=True)]
        for at in itertools.product(*starts):
            yield tuple(slice(a, min(a + s, n)) for a, s, n in zip(at, self.sizes, self.shape, strict=True))


def plan(da: xr.DataArray) -> Plan:
    """Chunks and blocks of a variable; those of a lazy one follow its own chunks, so that nothing is computed twice."""
    shape, item = da.shape, da.dtype.itemsize
    own = [max(c) for c in da.chunks] if da.chunks is not None else None
    space = min(2, da.ndim)
    sizes = [1] * (da.ndim - space) + list(shape[da.ndim - space :])
    for axis in reversed(range(da.ndim - space)):  # the dims closest to the field first
        room = max(1, (BLOCK if own is None else CHUNK) // max(1, item * math.prod(sizes)))
        if own is not None:
            own_size = min(own[axis], shape[axis])
            sizes[axis] = own_size if own_size >= room else min(shape[axis], own_size * (room // own_size))
        else:
            sizes[axis] = min(shape[axis], room)
        if sizes[axis] < shape[axis]:
            break
    chunks = list(sizes)
    for axis in range(da.ndim):  # the first dims are cut first, then rows and columns
        while item * math.prod(chunks) > CHUNK and chunks[axis] > 1:
            chunks[axis] = _smaller(chunks[axis], sizes[axis] < shape[axis])
            if axis >= da.ndim - space and chunks[axis] * 4 <= shape[axis]:
                break
    return Plan(tuple(chunks), tuple(sizes), shape)


def _smaller(size: int, exact: bool) -> int:
    """The next smaller length of a chunk; one that divides the length of a block where that is needed."""
    if not exact:
        return -(-size // 2)
    return next(size // k for k in range(2, size + 1) if size % k == 0)


def large(da: xr.DataArray) -> bool:
    """Whether a variable is written block by block."""
    return da.ndim >= 2 and da.dtype.kind in "iufb" and da.nbytes > SMALL


def chunks_of(plan: Plan, block: tuple[slice, ...]) -> Iterator[tuple[slice, ...]]:
    """The chunks of a block, by their place in the variable; the last ones along an axis may be cut."""
    starts = [range(part.start, part.stop, size) for part, size in zip(block, plan.chunks, strict=True)]
    for at in itertools.product(*starts):
        yield tuple(slice(a, min(a + s, p.stop)) for a, s, p in zip(at, plan.chunks, block, strict=True))


def cells(block: tuple[slice, ...]) -> tuple[int, ...]:
    """The shape of a block."""
    return tuple(part.stop - part.start for part in block)
