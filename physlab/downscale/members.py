"""Ensembles of methods that draw: each member is a downscaling of its own, by the next draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.downscale.around import Around
from physlab.errors import PhysLabError
from physlab.grid import Grid

MEMBERS = 10


def drawn(draw: Callable[[torch.Generator], Tensor], members: int, generator: torch.Generator | None) -> Tensor:
    """(members, ...) what so many draws give; from a new generator of seed 0 by default, so that the same call gives
    the same.

    Raises
    ------
    PhysLabError : fewer than one.
    """
    if members < 1:
        raise PhysLabError(f"members is {members}: pass at least 1")
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    return torch.stack([draw(generator) for _ in range(members)])


class Draws(Protocol):
    """A field-by-field method whose `sample` gives distinct members."""

    name: str
    factor: int
    variable: str | None
    domain: tuple[int, int] | None

    def sample(
        self, coarse: Tensor, weights: Tensor | None = None, members: int = MEMBERS,
        generator: torch.Generator | None = None,
    ) -> Tensor:  # fmt: skip
        """(..., h, w) -> (members, ..., h*N, w*N)."""
        ...

    @property
    def bound_rows(self) -> np.ndarray | None:
        """Fine latitudes of the rows that the method is bound to."""
        ...

    def refine_grid(self, grid: Grid) -> Grid:
        """The fine grid of a coarse one."""
        ...

    def check_grid(self, grid: Grid) -> None:
        """Refuse a grid that the method is not for."""
        ...


class Member(Around):
    """One draw of a method at a time.

    Parameters
    ----------
    generator : of the numbers that are drawn.
    key : (seed, number of the member); the chunks of a lazy field, which may be computed in any order and more than
        once, each draw by a generator of their own that follows from it.
    """

    def __init__(self, model: Draws, generator: torch.Generator, key: tuple[int, ...] = ()) -> None:
        super().__init__(model)
        self.model, self.generator, self.key = model, generator, key

    def predict(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """The next draw."""
        return self.model.sample(coarse, weights, 1, self.generator)[0]

    def at_block(self, block: tuple[int, ...]) -> Member:
        """The draw of a chunk."""
        seed = int(np.random.SeedSequence([*self.key, *block]).generate_state(1, np.uint64)[0] >> 1)
        return Member(self.model, torch.Generator().manual_seed(seed), self.key)


def downscale_members(
    model: Draws, coarse: xr.DataArray | xr.Dataset, members: int, seed: int, **options: Any
) -> xr.Dataset:
    """:meth:`physlab.downscale.base.FieldDownscaler.downscale` with a leading dimension `member`."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [Member(model, generator, (seed, k)).downscale(coarse, **options) for k in range(members)]
    return xr.concat(drawn, dim="member").assign_coords(member=range(members))
