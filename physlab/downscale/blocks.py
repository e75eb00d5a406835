"""Methods that take whole series or several fields, block after block along time.

Memory stays flat, and a run that was killed goes on where it was.

A network for sequences works on windows of successive frames. Blocks are cut between windows and share the frames that
the last window needs, so that the result is that of the whole series. A method that draws has a generator of its own
for each block, which follows from the seed and from where the block lies: blocks may be computed in any order and
again, and what is drawn differs from what one call on the whole series draws.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from physlab import cf
from physlab.downscale.base import GriddedDownscaler
from physlab.downscale.place import fields_of, space_of
from physlab.downscale.recurrent import check_series, with_times
from physlab.downscale.steps import STEP
from physlab.fields import standardise

LIKELY = 8
"""Members that an ensemble is taken to have when their number is left to it."""


class Block(NamedTuple):
    """Frames from `start` to `stop` make the fine frames `first` to `last`, after leaving out `skip` of them."""

    start: int
    stop: int
    skip: int
    first: int
    last: int


def blocks_of(length: int, frames: tuple[int, int], room: int) -> list[Block]:
    """Blocks of a series of `length` frames whose results are those of the whole.

    Parameters
    ----------
    frames : that a window takes and makes, see :func:`physlab.downscale.recurrent.windows`.
    room : fine frames of a block, at most about so many.
    """
    given, made = frames
    if given == made:
        size = given * max(1, room // given)
        found = []
        for first in range(0, length, size):
            last = min(first + size, length)
            ends = last > length - given  # it has frames of the last window, which ends with the series
            start = min(first, length - given)
            found.append(Block(start, length if ends else last, first - start, first, last))
        return found
    total, step = 2 * length - 1, 2 * max(1, room // 2)
    found = []
    for first in range(0, total, step):
        last, start = min(first + step, total), min(first // 2, length - 2)
        found.append(Block(start, min(last // 2, length - 1) + 1, first - 2 * start, first, last))
    return found


def takes_blocks(method: GriddedDownscaler, coarse: xr.Dataset, members: int | None = None) -> bool:
    """Whether a series is better refined block by block: a large one, by a method that does not stay lazy itself."""
    if method.lazy or "time" not in (coarse := _named(coarse)).dims:
        return False
    room, length = _room(method, coarse, members), coarse.sizes["time"]
    return length > method.spec.frames[0] and len(blocks_of(length, method.spec.frames, room)) > 1


def _named(coarse: xr.Dataset) -> xr.Dataset:
    """By the names of the library; on a projected grid as it is."""
    return coarse if cf.is_projected(coarse) else standardise(coarse)


def _room(method: GriddedDownscaler, coarse: xr.Dataset, members: int | None) -> int:
    """Fine frames of a block."""
    space = space_of(coarse)
    fields = [coarse[name] for name in method.spec.inputs if name in coarse] or [
        coarse[name] for name in fields_of(coarse)[0]
    ]
    draws = (members or LIKELY) if method.spec.ensemble else 1
    cells = max((da.size // da.sizes.get("time", 1) for da in fields if set(space) <= set(da.dims)), default=1)
    return max(1, STEP // (4 * cells * method.factor**2 * draws))


def in_blocks(
    method: GriddedDownscaler,
    coarse: xr.Dataset,
    *,
    statics: xr.Dataset | None = None,
    members: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """:meth:`~physlab.downscale.base.Downscaler.downscale` in dask chunks along time, none computed yet.

    Parameters
    ----------
    coarse : fields with a time axis, in dask chunks or not.

    Raises
    ------
    FieldError, PhysLabError : as the method says of its first frames; what is wrong in others comes when they are
        computed.
    """
    import dask
    import dask.array

    coarse = _named(coarse)
    inputs = [name for name in method.spec.inputs if name in coarse]
    coarse = coarse[inputs] if inputs and len(inputs) == len(method.spec.inputs) else coarse
    frames = method.spec.frames
    if frames != (1, 1):
        check_series(method.name, frames, coarse)
    plan = blocks_of(coarse.sizes["time"], frames, _room(method, coarse, members))
    like = method.downscale(_some(coarse, plan, frames[0]), statics=statics, members=members, seed=seed)
    work = dask.delayed(_Work(method, statics, members, seed, like.isel(time=slice(0, 0)).load()), traverse=False)
    made = [
        work(coarse.isel(time=slice(b.start, b.stop)), b.first, slice(b.skip, b.skip + b.last - b.first)) for b in plan
    ]
    data: dict[Any, xr.Variable] = {}
    for name, da in like.data_vars.items():
        axis, parts = da.dims.index("time"), []
        for block, result in zip(plan, made, strict=True):
            shape = [*da.shape[:axis], block.last - block.first, *da.shape[axis + 1 :]]
            parts.append(dask.array.from_delayed(result[name], shape, da.dtype))
        data[name] = xr.Variable(da.dims, dask.array.concatenate(parts, axis), da.attrs)
    series = with_times(coarse.coords.to_dataset(), plan[-1].last)
    coords = {name: (series[name] if "time" in c.dims and name in series else c).variable
              for name, c in like.coords.items() if "time" not in c.dims or name in series}  # fmt: skip
    return xr.Dataset(data, coords, like.attrs)


def _some(coarse: xr.Dataset, plan: list[Block], given: int) -> xr.Dataset:
    """A few frames from the first one on in which every field has a value; the first ones if there are none."""
    fields = [coarse[name] for name in fields_of(coarse)[0] if "time" in coarse[name].dims]
    for block in plan:
        there = np.ones(block.stop - block.start, bool)
        for da in fields:
            part = da.isel(time=slice(block.start, block.stop))
            there &= part.notnull().any([d for d in da.dims if d != "time"]).values
        if there.any():
            start = min(block.start + int(there.argmax()), coarse.sizes["time"] - given)
            return coarse.isel(time=slice(start, start + given)).load()
    return coarse.isel(time=slice(0, given)).load()


class _Work:
    """What makes a block. The last one is kept, as a data set of several fields asks for each of them."""

    def __init__(
        self, method: GriddedDownscaler, statics: xr.Dataset | None, members: int | None, seed: int, like: xr.Dataset
    ) -> None:
        self.method, self.statics, self.members, self.seed, self.like = method, statics, members, seed, like
        self.kept: tuple[int, dict[Any, np.ndarray]] | None = None

    def __call__(self, coarse: xr.Dataset, first: int, taken: slice) -> dict[Any, np.ndarray]:
        """Fine values by name."""
        if self.kept is None or self.kept[0] != first:
            self.kept = (first, self._made(coarse, first, taken)) if len(self.like.data_vars) > 1 else None
            if self.kept is None:
                return self._made(coarse, first, taken)
        return self.kept[1]

    def _made(self, coarse: xr.Dataset, first: int, taken: slice) -> dict[Any, np.ndarray]:
        fields = [coarse[name] for name in fields_of(coarse)[0]]
        if self.method.gaps and any(bool(da.isnull().all()) for da in fields):
            count = taken.stop - taken.start
            return {name: np.full([count if d == "time" else n for d, n in da.sizes.items()], np.nan, da.dtype)
                    for name, da in self.like.data_vars.items()}  # fmt: skip
        seed = int(np.random.SeedSequence([self.seed, first]).generate_state(1, np.uint64)[0] >> np.uint64(2))
        fine = self.method.downscale(coarse, statics=self.statics, members=self.members, seed=seed)
        return {name: np.ascontiguousarray(fine[name].isel(time=taken).transpose(*da.dims).values)
                for name, da in self.like.data_vars.items()}  # fmt: skip

    def __getstate__(self) -> dict:
        return {**self.__dict__, "kept": None}
