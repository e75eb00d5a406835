"""Ensembles of methods that draw: each member is a downscaling of its own, by the next draw."""

from __future__ import annotations

from typing import Any, Protocol

import torch
import xarray as xr
from torch import Tensor

from physlab.downscale.base import FieldDownscaler
from physlab.grid import Grid

MEMBERS = 10


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

    def refine_grid(self, grid: Grid) -> Grid:
        """The fine grid of a coarse one."""
        ...

    def check_grid(self, grid: Grid) -> None:
        """Refuse a grid that the method is not for."""
        ...


class Member(FieldDownscaler):
    """One draw of a method at a time."""

    def __init__(self, model: Draws, generator: torch.Generator) -> None:
        self.model, self.generator = model, generator
        self.name, self.factor, self.variable, self.domain = model.name, model.factor, model.variable, model.domain

    def predict(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """The next draw."""
        return self.model.sample(coarse, weights, 1, self.generator)[0]

    def refine_grid(self, grid: Grid) -> Grid:
        """As the model does."""
        return self.model.refine_grid(grid)

    def check_grid(self, grid: Grid) -> None:
        """As the model does."""
        self.model.check_grid(grid)


def downscale_members(
    model: Draws, coarse: xr.DataArray | xr.Dataset, members: int, seed: int, **options: Any
) -> xr.Dataset:
    """:meth:`physlab.downscale.base.FieldDownscaler.downscale` with a leading dimension `member`."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [Member(model, generator).downscale(coarse, **options) for _ in range(members)]
    return xr.concat(drawn, dim="member").assign_coords(member=range(members))
